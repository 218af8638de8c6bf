//! Keys that nobody declared: which of them may be shown, and why that is private.
//!
//! # The mechanism
//!
//! Every active subject supports at most k keys, chosen from its own rows. The *gate* counts, for
//! every key that an active subject supports, how many do (each adds at most one person), and adds
//! discrete Gaussian noise of its own sigma. A key is shown only if its noisy count is at least
//! the threshold
//!
//! ```text
//! T = 1 person + sigma sqrt(2 ln(k / delta)), rounded up to the grid.
//! ```
//!
//! Of those the m with the largest noisy counts are shown, in the order of their texts, with the
//! noisy sums of the release's other vectors. (Korolova, Kenthapadi, Mishra and Ntoulas 2009,
//! "Releasing search queries and clicks privately"; with Gaussian noise Gopi et al. 2020,
//! "Differentially private set union"; bounded contributions as in Wilson et al. 2020.)
//!
//! # The claim
//!
//! One release is delta-approximate rho-zCDP (Bun and Steinke 2016, section 8) between worlds that
//! differ in all rows of subject i, with rho = rho_i as charged. Any sequence of releases, chosen
//! adaptively, in which the filter holds rho within R and admission holds the sum of the deltas
//! within D, is (epsilon, delta_conv + D)-DP with epsilon = epsilon(R, delta_conv).
//!
//! # The proof
//!
//! Let i be in world x and not in x'. Whether another subject is active, what it supports and what
//! it adds depend on its own rows, its own exposure and answers already released; so, given the
//! same answers before, all others do the same in x and x'. (An inactive subject adds nothing to
//! the table, not even a key; so a subject that a limit drops is to this release as if it had no
//! rows, and no threshold is ever compared with a count that it is part of.) If i is not active
//! in x, the releases are equal in distribution. Else let S be the keys that others support: they
//! are in the tables of both worlds. Let E be the keys that i alone supports: they are in the
//! table of x only, and are at most k.
//!
//! *Noise alone rarely passes.* Let Z be the discrete Gaussian with sigma in steps. For every real
//! t, completing the square,
//! `E[exp(tZ)] = exp(t^2 sigma^2 / 2) * sum_n exp(-(n - t sigma^2)^2 / (2 sigma^2)) / sum_n
//! exp(-n^2 / (2 sigma^2))`, and the fraction is at most 1, because by Poisson's summation formula
//! the sum over the integers of a shifted Gaussian is a Fourier series with positive coefficients,
//! largest without shift. So Z is sigma^2-subgaussian (Canonne, Kamath and Steinke 2020), and
//! `P[Z >= a] <= exp(-a^2 / (2 sigma^2))` for a > 0 (Markov, t = a / sigma^2). A key of E has
//! a count of at most one person, so it passes with probability at most
//! `exp(-(T - 1)^2 / (2 sigma^2)) <= delta / k`, and any of E with at most delta.
//!
//! *All else is Gaussian noise.* Let G be the event that no key of E passes. The noise of keys in E
//! is independent of all other noise, and what leaves under G is a function of the noisy vectors
//! at the keys of S (which of them pass, which are the m largest, and their numbers: all
//! post-processing). So, given G, the release in x has exactly the law of that function of the
//! noisy sums over S with i's part added, and in x' of the same function without it: rho_i-zCDP,
//! where rho_i is computed from i's whole contribution, E included, which is no less.
//!
//! *Many releases.* Let H be the process that runs in x but never shows a key of E. By the above
//! and the filter (Feldman and Zrnic 2021) H and the process in x' are (epsilon, delta_conv)-close
//! both ways. For every path of answers the probability that x shows a key of E at release j is
//! p_j <= delta_j, given the path, and independent of what else is released; the sum of delta_j is
//! at most D on every path, since each is public and admission refuses what does not fit. Writing
//! Q for any set of paths: `P_x[Q] <= P_H[Q] + D <= e^epsilon P_x'[Q] + delta_conv + D`. And the
//! paths of x without a key of E have at least (product of 1 - p_j) >= 1 - D times their
//! probability in H, so `(1 - D) P_x'[Q] <= (1 - D) (e^epsilon P_H[Q] + delta_conv) <= e^epsilon
//! P_x[Q] + delta_conv`, hence `P_x'[Q] <= e^epsilon P_x[Q] + delta_conv + D`.
//!
//! What is used: each subject adds at most one person to the gate of each of at most k keys
//! ([`KeyTally::add`] refuses more), T is rounded up ([`Discovered::threshold`]), delta is charged
//! in full whatever is found, and the table never drops a key, so that no key's fate depends on
//! another's.

use std::collections::BTreeMap;
use std::fmt;

use obscura_model::answer::{Discovered, Shape, VectorShape};
use rand::CryptoRng;

use crate::noise::{self, NoiseError};
use crate::sparse::Sparse;
use crate::tally::{FoldError, Tally};

/// Exact sums by key, of keys that are found in the rows. Without permit and charges: for mock
/// data, and the inner part of an [`Accumulator`](crate::Accumulator) for real data.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyTally {
    rule: Discovered,
    /// One person in the gate's grid steps.
    person: i64,
    /// Clips, in as many cells as one subject supports keys; its sums are used only for vectors
    /// that are of the whole release.
    inner: Tally,
    /// By vector: the first of its numbers in a row of the table and how many, if it is grouped.
    places: Vec<Option<(usize, usize)>>,
    width: usize,
    table: BTreeMap<Box<str>, Box<[i64]>>,
}

/// What leaves of a release with keys that are not declared.
pub(crate) struct Shown {
    /// By vector: one number for each place and part; 0 in unused places.
    pub(crate) values: Vec<Vec<i64>>,
    /// The labels of the used places, in the order of their texts.
    pub(crate) found: Vec<String>,
}

impl KeyTally {
    /// No keys yet. Nothing if the shape's keys are declared, or its rule has no threshold.
    #[must_use]
    pub fn new(shape: &Shape) -> Option<Self> {
        let rule = *shape.discovered()?;
        let gate = shape.vectors.get(rule.gate)?;
        rule.threshold(gate)?;
        let mut width = 0;
        let mut places = Vec::with_capacity(shape.vectors.len());
        for vector in &shape.vectors {
            let parts = usize::try_from(vector.parts).ok()?;
            places.push(vector.grouped.then_some((width, parts)));
            width += if vector.grouped { parts } else { 0 };
        }
        places.get(rule.gate).copied().flatten()?;
        Some(Self {
            rule,
            // The threshold exists, so this is from 0 to 40 bits.
            person: 1i64 << gate.step_exponent.unsigned_abs(),
            inner: Tally::new(&shape.vectors, rule.per_person as usize),
            places,
            width,
            table: BTreeMap::new(),
        })
    }

    /// Clips one subject's contribution and adds it. Cell n of the contributions is the key
    /// `names[n]`.
    ///
    /// # Errors
    /// If there are more keys than one person supports, one is twice or no label, or the subject
    /// adds anything but a part of one person, above 0, to the gate of each of them.
    pub fn add(&mut self, names: &[&str], contributions: &[Sparse]) -> Result<(), FoldError> {
        self.clip(names, contributions)?;
        self.take(names, contributions)
    }

    /// First half of [`Self::add`]: checks, clips and measures, and adds nothing.
    pub(crate) fn clip(
        &mut self,
        names: &[&str],
        contributions: &[Sparse],
    ) -> Result<&[u128], FoldError> {
        let fits = names.len() <= self.rule.per_person as usize
            && names.iter().all(|name| self.rule.is_label(name))
            && names
                .iter()
                .enumerate()
                .all(|(i, n)| !names.iter().skip(i + 1).any(|m| m == n));
        let gate = contributions
            .get(self.rule.gate)
            .ok_or(FoldError::Vectors)?;
        let person = gate.values().iter().all(|v| (1..=self.person).contains(v));
        let each = gate.cells().iter().map(|c| *c as usize).eq(0..names.len());
        if !fits || !person || !each {
            return Err(FoldError::Cell);
        }
        for (part, place) in contributions.iter().zip(&self.places) {
            let beyond = |(_, parts): (usize, usize)| {
                let last = part.cells().last().map(|c| *c as usize / parts.max(1));
                last.is_some_and(|cell| cell >= names.len())
            };
            if place.is_some_and(beyond) {
                return Err(FoldError::Cell);
            }
        }
        self.inner.clip(contributions)
    }

    /// Second half of [`Self::add`]: adds what [`Self::clip`] has just seen.
    pub(crate) fn take(
        &mut self,
        names: &[&str],
        contributions: &[Sparse],
    ) -> Result<(), FoldError> {
        for name in names {
            if !self.table.contains_key(*name) {
                let row = vec![0; self.width].into_boxed_slice();
                self.table.insert((*name).into(), row);
            }
        }
        for (vector, place) in self.places.iter().enumerate() {
            let part = contributions.get(vector).ok_or(FoldError::Vectors)?;
            let Some((first, parts)) = *place else {
                self.inner.take_one(vector, part)?;
                continue;
            };
            let values = self.inner.clipped(vector, part);
            for (&at, &value) in part.cells().iter().zip(values) {
                let (cell, within) = (at as usize / parts, at as usize % parts);
                let name = names.get(cell).ok_or(FoldError::Cell)?;
                let row = self.table.get_mut(*name).ok_or(FoldError::Cell)?;
                let sum = row.get_mut(first + within).ok_or(FoldError::Cell)?;
                *sum = sum.checked_add(value).ok_or(FoldError::Overflow)?;
            }
        }
        Ok(())
    }

    /// Adds the sums of `other`.
    pub fn merge(mut self, other: KeyTally) -> Result<KeyTally, FoldError> {
        if self.rule != other.rule || self.places != other.places {
            return Err(FoldError::Mismatch);
        }
        self.inner = self.inner.merge(other.inner)?;
        for (name, row) in other.table {
            match self.table.get_mut(&name) {
                None => {
                    self.table.insert(name, row);
                }
                Some(sums) => {
                    for (sum, more) in sums.iter_mut().zip(&row) {
                        *sum = sum.checked_add(*more).ok_or(FoldError::Overflow)?;
                    }
                }
            }
        }
        Ok(self)
    }

    /// Places of the answer.
    pub(crate) const fn cells(&self) -> usize {
        self.rule.most as usize
    }

    /// The exact sums of all keys, by key and then as the vectors' parts follow each other.
    pub(crate) fn all(&self) -> Vec<(&str, &[i64])> {
        let all = self.table.iter();
        all.map(|(name, row)| (name.as_ref(), row.as_ref()))
            .collect()
    }

    /// The exact sums of these keys of mock data, in the form of the answer.
    #[must_use]
    pub fn sums_of(&self, found: &[String]) -> Vec<Vec<i64>> {
        let rows: Vec<&[i64]> = found
            .iter()
            .map(|name| self.table.get(name.as_str()).map_or(&[][..], |row| row))
            .collect();
        let of = |vector: usize| self.numbers(vector, &rows);
        (0..self.places.len()).map(of).collect()
    }

    /// Draws the noise of mock data and shows what passes, exactly as it is done with real data.
    pub fn mock_noise<R: CryptoRng + ?Sized>(
        &self,
        vectors: &[VectorShape],
        rng: &mut R,
    ) -> Result<(Vec<Vec<i64>>, Vec<String>), NoiseError> {
        let Shown { values, found } = self.show(vectors, rng)?;
        Ok((values, found))
    }

    /// The mechanism: noise on the gate of every key, in the order of their texts; then of those
    /// that pass the `most` with the largest noisy gates, in the order of their texts; then the
    /// noise of every other vector for these. (What does not pass is never shown, so that its
    /// other noise need not be drawn.)
    pub(crate) fn show<R: CryptoRng + ?Sized>(
        &self,
        vectors: &[VectorShape],
        rng: &mut R,
    ) -> Result<Shown, NoiseError> {
        let gate = vectors.get(self.rule.gate).ok_or(NoiseError::Vectors)?;
        let at = self.places.get(self.rule.gate).copied().flatten();
        let (at, _) = at
            .filter(|_| vectors.len() == self.places.len())
            .ok_or(NoiseError::Vectors)?;
        let threshold = self.rule.threshold(gate).ok_or(NoiseError::Threshold)?;
        let counts = self
            .table
            .values()
            .map(|row| row.get(at).copied().unwrap_or(0));
        let mut gates: Vec<i64> = counts.collect();
        noise::add_to(&mut gates, gate.sigma, rng)?;
        let keys = self.table.iter().zip(&gates);
        let mut passing: Vec<_> = keys.filter(|(_, gate)| **gate >= threshold).collect();
        // Both are stable: equal gates and, afterwards, all keys are in the order of their texts.
        passing.sort_by_key(|(_, gate)| std::cmp::Reverse(**gate));
        passing.truncate(self.cells());
        passing.sort_by_key(|((name, _), _)| *name);
        let rows: Vec<&[i64]> = passing.iter().map(|((_, row), _)| row.as_ref()).collect();
        let mut values = Vec::with_capacity(vectors.len());
        for (position, vector) in vectors.iter().enumerate() {
            let mut numbers = self.numbers(position, &rows);
            if position == self.rule.gate {
                let noisy = numbers.iter_mut().zip(&passing);
                noisy.for_each(|(number, (_, gate))| *number = **gate);
            } else {
                let used = match self.places.get(position).copied().flatten() {
                    Some((_, parts)) => parts * rows.len(),
                    None => numbers.len(),
                };
                let used = numbers.get_mut(..used).ok_or(NoiseError::Vectors)?;
                noise::add_to(used, vector.sigma, rng)?;
            }
            values.push(numbers);
        }
        let found = passing
            .iter()
            .map(|((name, _), _)| name.to_string())
            .collect();
        Ok(Shown { values, found })
    }

    /// One vector's exact numbers for these rows of the table, filled up with zeros.
    fn numbers(&self, vector: usize, rows: &[&[i64]]) -> Vec<i64> {
        let Some((first, parts)) = self.places.get(vector).copied().flatten() else {
            return self.inner.sums_so_far(vector).to_vec();
        };
        let mut numbers = Vec::with_capacity(parts * self.cells());
        for row in rows {
            numbers.extend_from_slice(row.get(first..first + parts).unwrap_or_default());
        }
        numbers.resize(parts * self.cells(), 0);
        numbers
    }
}

/// Possibly private: shows nothing.
impl fmt::Debug for KeyTally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyTally")
    }
}
