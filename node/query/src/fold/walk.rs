//! Row by row: for keys that are found in the rows, and what the columns are compared with.

use std::collections::VecDeque;

use arrow_array::{Array, StringArray};
use obscura_model::schema::TextKeys;
use obscura_privacy::Sparse;

use super::{Fold, FoldError, Sink};
use crate::batch::Batch;
use crate::eval::{Amounts, Evaluated, NO_CELL, evaluate};
use crate::plan::{PrivatePlan, Quantity};

/// One subject under way.
pub(crate) struct Walk<'a> {
    plan: &'a PrivatePlan,
    /// Rows that are looked at together.
    batch_rows: usize,
    subject: Option<u32>,
    matched: u32,
    /// Whether a matching row was beyond the most that count.
    lost: bool,
    /// For a plan that counts everybody: the subjects of the chunk that were not visited yet,
    /// ascending.
    waiting: VecDeque<u32>,
    /// Where keys are found in the rows: those that the subject supports so far. Cell n of its
    /// contribution is the n-th.
    keys: Vec<String>,
    parts: Vec<Sparse>,
}

impl Fold for Walk<'_> {
    fn rows<S: Sink>(
        &mut self,
        rows: &Batch,
        everybody: Option<Vec<u32>>,
        sink: &mut S,
    ) -> Result<(), FoldError> {
        self.waiting = everybody.unwrap_or_default().into();
        for start in (0..rows.len()).step_by(self.batch_rows) {
            let batch = rows.slice(start, self.batch_rows.min(rows.len() - start));
            self.batch(&batch, sink)?;
        }
        self.visit_before(None, sink)?;
        // A chunk has whole subjects.
        self.finish(sink)
    }
}

impl<'a> Walk<'a> {
    pub(crate) fn new(plan: &'a PrivatePlan, batch_rows: usize) -> Self {
        Self {
            plan,
            batch_rows: batch_rows.min(plan.slice_rows()).max(1),
            subject: None,
            matched: 0,
            lost: false,
            waiting: VecDeque::new(),
            keys: Vec::new(),
            parts: vec![Sparse::new(); plan.vectors().len()],
        }
    }

    fn batch<S: Sink>(&mut self, batch: &Batch, sink: &mut S) -> Result<(), FoldError> {
        sink.go_on()?;
        let evaluated = evaluate(self.plan, batch)?;
        for (subject, run) in batch.runs.iter() {
            if self.subject != Some(subject) {
                self.visit_before(Some(subject), sink)?;
                self.finish(sink)?;
                self.subject = Some(subject);
            }
            for i in run.filter(|i| evaluated.matches.value(*i)) {
                if self.matched < self.plan.most_rows() {
                    self.matched += 1;
                    self.row(&evaluated, i)?;
                } else {
                    self.lost = true;
                }
            }
        }
        Ok(())
    }

    /// Visits the waiting subjects before `subject`, or all, that have no row in the relation.
    fn visit_before<S: Sink>(
        &mut self,
        subject: Option<u32>,
        sink: &mut S,
    ) -> Result<(), FoldError> {
        while let Some(next) = self.waiting.front().copied() {
            if subject.is_some_and(|subject| next > subject) {
                break;
            }
            self.waiting.pop_front();
            if subject != Some(next) {
                self.finish(sink)?;
                self.subject = Some(next);
            }
        }
        Ok(())
    }

    fn row(&mut self, evaluated: &Evaluated, i: usize) -> Result<(), FoldError> {
        let cell = match (&evaluated.texts, self.plan.found()) {
            (Some(texts), Some((_, rule))) => self.found(texts, i, &rule),
            _ => evaluated.cells.get(i).copied().unwrap_or(NO_CELL),
        };
        let scale = i64::from(crate::plan::COUNT_SCALE);
        let each = self.parts.iter_mut().zip(&evaluated.amounts);
        for ((part, amounts), vector) in each.zip(self.plan.vectors()) {
            if let Amounts::SubjectIf(set) = amounts {
                if set.value(i) {
                    part.set(0, scale);
                }
                continue;
            }
            if cell == NO_CELL {
                continue;
            }
            // A vector has at most as many numbers as a plan may have, far below 32 bits.
            let within = |list: &[u32]| {
                let part = list.get(i).copied().filter(|p| *p < vector.parts)?;
                Some(cell * vector.parts + part)
            };
            match amounts {
                Amounts::Ones(None) => part.add(cell, scale).map_err(FoldError::Sums)?,
                Amounts::Ones(Some(present)) if present.value(i) => {
                    part.add(cell, scale).map_err(FoldError::Sums)?;
                }
                Amounts::Ones(Some(_)) | Amounts::Subject | Amounts::SubjectIf(_) => {}
                Amounts::Once => part.set(cell, scale),
                Amounts::Steps(steps) => {
                    let step = steps.get(i).copied().unwrap_or(0);
                    part.add(cell, step.into()).map_err(FoldError::Sums)?;
                }
                Amounts::Parts(list) => {
                    if let Some(place) = within(list) {
                        part.add(place, scale).map_err(FoldError::Sums)?;
                    }
                }
                Amounts::PartsOnce(list) => {
                    if let Some(place) = within(list) {
                        part.set(place, scale);
                    }
                }
            }
        }
        Ok(())
    }

    /// The place of the row's text among the subject's keys: the first that it has, as many as one
    /// person supports. What is beyond is lost.
    fn found(&mut self, texts: &StringArray, i: usize, rule: &TextKeys) -> u32 {
        let text = texts.is_valid(i).then(|| texts.value(i));
        let Some(key) = text.and_then(|text| key_of(text, rule.characters)) else {
            return NO_CELL;
        };
        let place = self.keys.iter().position(|known| *known == key);
        let place = place.or_else(|| {
            let room = self.keys.len() < rule.per_person as usize;
            self.lost |= !room;
            room.then(|| {
                self.keys.push(key);
                self.keys.len() - 1
            })
        });
        place.and_then(|p| u32::try_from(p).ok()).unwrap_or(NO_CELL)
    }

    fn finish<S: Sink>(&mut self, sink: &mut S) -> Result<(), FoldError> {
        if let Some(subject) = self.subject.take() {
            for (part, vector) in self.parts.iter_mut().zip(self.plan.vectors()) {
                let counts = match &vector.quantity {
                    Quantity::Everybody => true,
                    Quantity::Cut(_) => self.lost,
                    _ => false,
                };
                if counts {
                    part.set(0, crate::plan::COUNT_SCALE.into());
                }
            }
            let keys: Vec<&str> = self.keys.iter().map(String::as_str).collect();
            sink.take(subject, &keys, &self.parts)?;
            self.keys.clear();
            self.parts.iter_mut().for_each(Sparse::clear);
            self.matched = 0;
            self.lost = false;
        }
        Ok(())
    }
}

/// What a text is as a key: without control characters and surrounding space, cut to so many
/// characters. Nothing if nothing is left: such a row has no key.
pub(crate) fn key_of(text: &str, characters: u32) -> Option<String> {
    let space = |c: &char| c.is_control() || c.is_whitespace();
    let begun = text.chars().skip_while(space);
    // No more of a long text is looked at than the key needs.
    let cut: String = begun
        .take(characters as usize)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let key = cut.trim_end();
    (!key.is_empty()).then(|| key.to_owned())
}
