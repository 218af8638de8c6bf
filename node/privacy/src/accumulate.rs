//! The inner loop of a release: clip, charge, decide, add.

use std::fmt;

use crate::admitted::Admitted;
use crate::filter::Filter;
use crate::grid::CodeGrid;
use crate::permit::Permit;
use crate::sparse::Sparse;
use crate::tally::{FoldError, Tally};
use crate::vectors::{two_sigma_squared, vector_nano};

/// Folds the subjects of one range, in ascending order, under one permit. One for each thread;
/// [`merge`](Self::merge) puts ranges together, and the result is the same for any cutting.
pub struct Accumulator {
    intent: u64,
    capacity: u64,
    grid: CodeGrid,
    filter: Filter,
    two_sigmas_squared: Vec<u128>,
    tally: Tally,
    charges: Vec<(u32, u16)>,
    /// First and last subject seen, of each part merged so far.
    ranges: Vec<(u32, u32)>,
    /// The exposures of the subject at hand, one for each account.
    exposures: Vec<u64>,
    broken: bool,
}

impl Accumulator {
    /// No subject yet, under `permit`, for an answer of `cells` cells: as many as the permit's
    /// shape has, else every step fails.
    #[must_use]
    pub fn new(permit: &Permit, cells: usize) -> Self {
        let shape = permit.shape();
        let sigmas: Option<Vec<u128>> = shape
            .vectors
            .iter()
            .map(|v| two_sigma_squared(v.sigma))
            .collect();
        Self {
            intent: permit.intent(),
            capacity: permit.capacity(),
            grid: permit.grid(),
            filter: permit.filter().clone(),
            broken: cells != shape.cells() || sigmas.is_none(),
            two_sigmas_squared: sigmas.unwrap_or_default(),
            tally: Tally::new(&shape.vectors, cells),
            charges: Vec::new(),
            ranges: Vec::new(),
            exposures: Vec::with_capacity(permit.filter().accounts().len()),
        }
    }

    /// One subject: its contribution to each vector, and the exposures of all subjects, one slice
    /// for each account of the permit's filter, by subject index, in billionths.
    ///
    /// Clips each vector to its norm, computes the charge from the clipped integers, and, if the
    /// filter lets the subject in, adds them and notes the charge; otherwise nothing at all
    /// happens. Subjects come in ascending order, each once. After an error the accumulator is
    /// unusable.
    pub fn add(
        &mut self,
        subject: u32,
        contributions: &[Sparse],
        exposures: &[&[u64]],
    ) -> Result<(), FoldError> {
        if self.broken {
            return Err(FoldError::Broken);
        }
        let result = self.fold(subject, contributions, exposures);
        self.broken = result.is_err();
        result
    }

    fn fold(
        &mut self,
        subject: u32,
        contributions: &[Sparse],
        exposures: &[&[u64]],
    ) -> Result<(), FoldError> {
        self.enter(subject, exposures)?;
        let norms = self.tally.clip(contributions)?;
        let mut nano = 0u128;
        for (&norm, &two_sigma_squared) in norms.iter().zip(&self.two_sigmas_squared) {
            let part = vector_nano(norm, two_sigma_squared).ok_or(FoldError::Charge)?;
            nano = nano.checked_add(part).ok_or(FoldError::Charge)?;
        }
        let code = self.grid.encode(nano);
        if code == 0 {
            return Ok(());
        }
        let charge = self.grid.value(code).map_err(|_| FoldError::Charge)?;
        if u128::from(charge.nano()) < nano {
            // The norms are clipped, so the price covers every subject.
            return Err(FoldError::Charge);
        }
        if self.filter.active(&self.exposures, charge) {
            // The charge first: whatever happens next, nothing is added without one.
            self.charges.push((subject, code));
            self.tally.take(contributions)?;
        }
        Ok(())
    }

    /// Checks the subject's turn and looks its exposures up.
    fn enter(&mut self, subject: u32, exposures: &[&[u64]]) -> Result<(), FoldError> {
        match self.ranges.last_mut() {
            Some((_, last)) if *last < subject => *last = subject,
            Some(_) => return Err(FoldError::Order),
            None => self.ranges.push((subject, subject)),
        }
        let known = exposures.len() == self.filter.accounts().len();
        if !known || u64::from(subject) >= self.capacity {
            return Err(FoldError::Subject);
        }
        self.exposures.clear();
        for account in exposures {
            self.exposures
                .push(*account.get(subject as usize).ok_or(FoldError::Subject)?);
        }
        Ok(())
    }

    /// Puts the subjects of `other` beside these. Both must belong to the same permit and share no
    /// subject. Ranges may be merged in any order, but nothing can be added after a merge unless
    /// its subject comes after all of them.
    pub fn merge(mut self, other: Accumulator) -> Result<Accumulator, FoldError> {
        if self.broken || other.broken {
            return Err(FoldError::Broken);
        }
        if self.intent != other.intent || self.grid != other.grid || self.filter != other.filter {
            return Err(FoldError::Mismatch);
        }
        self.tally = self.tally.merge(other.tally)?;
        self.ranges.extend(other.ranges);
        self.ranges.sort_unstable();
        if self
            .ranges
            .windows(2)
            .any(|pair| matches!(pair, [a, b] if a.1 >= b.0))
        {
            return Err(FoldError::Order);
        }
        self.charges.extend(other.charges);
        Ok(self)
    }

    /// The exact sums and charges, with the permit, which is used up by this.
    pub fn finish(mut self, permit: Permit) -> Result<Admitted, FoldError> {
        if self.broken {
            return Err(FoldError::Broken);
        }
        let same = self.intent == permit.intent()
            && self.grid == permit.grid()
            && self.filter == *permit.filter()
            && self.tally.cells() == permit.shape().cells();
        if !same {
            return Err(FoldError::Mismatch);
        }
        self.charges.sort_unstable_by_key(|&(subject, _)| subject);
        Ok(Admitted::new(permit, self.tally.sums(), self.charges))
    }
}

/// Private: shows nothing.
impl fmt::Debug for Accumulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Accumulator")
    }
}
