//! Keys that nobody declared: what is public about them before a release, and their labels after.
//!
//! Before the release a discovered key is a number of empty places. A release fills the first of
//! them with the labels that enough people have, in the order of their texts; an empty label is an
//! unused place, whose numbers mean nothing. Why this may be shown is in `obscura_privacy::keys`.

use super::{Answer, InvalidAnswer, Shape, VectorShape};
use crate::exposure::DeltaCharge;

/// How the labels of a key are found. Public.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Discovered {
    /// The position of the vector with the number of people of each key: the gate.
    pub gate: usize,
    /// One person supports at most this many keys, at least 1.
    pub per_person: u32,
    /// At most this many keys are shown.
    pub most: u32,
    /// Keys are cut to this many characters.
    pub characters: u32,
    /// What the release takes of delta, from everybody; above 0.
    pub delta: DeltaCharge,
}

impl Discovered {
    /// The noisy number of people, in the gate's grid steps, from which on a key is shown: one
    /// person and `sigma * sqrt(2 ln(per_person / delta))`, rounded up. Nothing if the numbers
    /// give none; then nothing may be released.
    #[must_use]
    pub fn threshold(&self, gate: &VectorShape) -> Option<i64> {
        if !(-40..=0).contains(&gate.step_exponent) || self.delta == DeltaCharge::ZERO {
            return None;
        }
        let person = 1i64 << gate.step_exponent.unsigned_abs();
        let odds = f64::from(self.per_person.max(1)) / self.delta.get();
        // A relative slack far above what rounding in four operations can lose.
        let above = gate.sigma as f64 * (2.0 * odds.ln()).sqrt() * (1.0 + 1e-12);
        if !(above > 0.0 && above < 2f64.powi(61)) {
            return None;
        }
        person.checked_add(above.ceil() as i64)
    }

    /// How many bytes a label has in an encoded answer, whatever it is.
    #[must_use]
    pub const fn label_bytes(&self) -> usize {
        4 * self.characters as usize
    }

    /// Whether a text can be a label: not empty, without control characters, and short enough.
    #[must_use]
    pub fn is_label(&self, text: &str) -> bool {
        !text.is_empty()
            && !text.chars().any(char::is_control)
            && text.chars().count() <= self.characters as usize
    }
}

impl Shape {
    /// How the labels are found, if the key is not declared. Such a key is the only one.
    #[must_use]
    pub fn discovered(&self) -> Option<&Discovered> {
        self.keys.iter().find_map(|k| k.discovered.as_ref())
    }

    /// What the release takes of delta for keys that are not declared.
    #[must_use]
    pub fn delta_keys(&self) -> DeltaCharge {
        self.discovered().map_or(DeltaCharge::ZERO, |d| d.delta)
    }

    /// The threshold in people: keys that fewer have are hardly ever shown.
    #[must_use]
    pub fn threshold(&self) -> Option<f64> {
        let discovered = self.discovered()?;
        let gate = self.vectors.get(discovered.gate)?;
        Some(discovered.threshold(gate)? as f64 * gate.step())
    }

    /// The same shape with these labels in the first places of its discovered key.
    pub fn with_found(mut self, found: &[String]) -> Result<Self, InvalidAnswer> {
        let mut keys = self.keys.iter_mut();
        let key = keys.find(|k| k.discovered.is_some());
        match key {
            None if found.is_empty() => {}
            Some(key) if found.len() <= key.labels.len() => {
                let labels = key.labels.iter_mut().zip(found.iter());
                labels.for_each(|(label, found)| label.clone_from(found));
            }
            None | Some(_) => return Err(InvalidAnswer),
        }
        Ok(self)
    }

    /// Whether a discovered key stands alone, has a gate with one number for each of its places,
    /// and labels in the order of their texts before the unused places.
    pub(super) fn discovers_well(&self) -> bool {
        let Some(discovered) = self.discovered() else {
            return true;
        };
        let [key] = self.keys.as_slice() else {
            return false;
        };
        let gate = self.vectors.get(discovered.gate);
        let gate =
            gate.is_some_and(|g| g.parts == 1 && g.grouped && discovered.threshold(g).is_some());
        let used = key.labels.iter().take_while(|l| !l.is_empty()).count();
        let (found, unused) = key.labels.split_at(used);
        gate && discovered.per_person > 0
            && unused.iter().all(String::is_empty)
            && found.iter().all(|l| discovered.is_label(l))
            && found.is_sorted_by(|a, b| a < b)
    }
}

impl Answer {
    /// Whether a place was not filled with a discovered key: nothing stands there.
    #[must_use]
    pub fn unused(&self, cell: usize) -> bool {
        self.shape.discovered().is_some()
            && self
                .shape
                .keys
                .iter()
                .any(|k| k.labels.get(cell).is_none_or(String::is_empty))
    }

    /// The labels that were found, in order; empty for declared keys.
    #[must_use]
    pub fn found(&self) -> &[String] {
        let keys = &self.shape.keys;
        let key = keys.iter().find(|k| k.discovered.is_some());
        let labels = key.map_or(&[][..], |k| &k.labels);
        let used = labels.iter().take_while(|l| !l.is_empty()).count();
        labels.get(..used).unwrap_or_default()
    }
}

/// The answers of several institutions with the same discovered labels, so that cell n is the same
/// key everywhere: the union of what was found. Where a key was not found it is absent, never 0.
/// Nothing if the keys are declared.
pub(crate) fn aligned(answers: &[&Answer]) -> Option<Result<Vec<Answer>, InvalidAnswer>> {
    if !answers.iter().any(|a| a.shape.discovered().is_some()) {
        return None;
    }
    let mut union: Vec<String> = answers.iter().flat_map(|a| a.found().to_vec()).collect();
    union.sort();
    union.dedup();
    Some(answers.iter().map(|a| a.spread(&union)).collect())
}

/// The positions of the answers that have a cell's key: all of them if keys are declared.
pub(crate) fn having(answers: &[&Answer], cell: usize) -> Vec<usize> {
    let places = answers.iter().enumerate();
    let having = places.filter(|(_, answer)| !answer.absent(cell));
    having.map(|(place, _)| place).collect()
}

impl Answer {
    /// The same numbers under longer labels.
    fn spread(&self, union: &[String]) -> Result<Answer, InvalidAnswer> {
        // An answer has at least one place.
        let cells = union.len().max(1);
        let mut labels = union.to_vec();
        labels.resize(cells, String::new());
        let places: Vec<Option<usize>> = labels
            .iter()
            .map(|label| self.found().binary_search(label).ok())
            .collect();
        let mut shape = self.shape.clone();
        shape
            .keys
            .iter_mut()
            .for_each(|k| k.labels.clone_from(&labels));
        let vectors = self.shape.vectors.iter().zip(&self.values);
        let values = vectors.map(|(vector, values)| match vector.grouped {
            false => values.clone(),
            true => {
                let parts = (0..vector.parts as usize).collect::<Vec<_>>();
                let number = |place: &Option<usize>, part: &usize| {
                    let at = place.map(|cell| vector.place(cell, *part));
                    at.and_then(|at| values.get(at)).copied().unwrap_or(0)
                };
                let cells = places.iter();
                cells
                    .flat_map(|p| parts.iter().map(|part| number(p, part)).collect::<Vec<_>>())
                    .collect()
            }
        });
        let hidden = |place: &Option<usize>| place.is_none_or(|cell| self.suppressed(cell));
        let suppressed = places.iter().map(hidden).collect();
        let mut answer = Answer::with_suppressed(shape, values.collect(), suppressed)?;
        answer.absent = places.iter().map(Option::is_none).collect();
        answer.noiseless = self.noiseless;
        Ok(answer)
    }

    /// Whether a cell is the place of a key that only other institutions found.
    fn absent(&self, cell: usize) -> bool {
        self.absent.get(cell).copied().unwrap_or(false)
    }
}
