//! The inner loop of a release: clip, charge, decide, add.

use std::fmt;

use obscura_model::answer::Shape;

use crate::admitted::Admitted;
use crate::charge::{Coder, Divider};
use crate::filter::Filter;
use crate::grid::CodeGrid;
use crate::keys::KeyTally;
use crate::many::Many;
use crate::permit::Permit;
use crate::sparse::Sparse;
use crate::tally::{FoldError, Tally};

/// What the fold knows about subjects beside their rows, by subject index. Private.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    /// One slice for each account of the permit's filter: exposures in billionths of rho.
    pub accounts: &'a [&'a [u64]],
    /// Subjects that contribute nothing and are charged nothing, whatever room they have.
    pub barred: &'a [bool],
}

/// Private: shows nothing.
impl fmt::Debug for Known<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Known")
    }
}

/// Exact sums under way or done: by cell, or by key where keys are found in the rows.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Sums {
    Cells(Tally),
    Keys(KeyTally),
}

impl Sums {
    fn of(shape: &Shape) -> Option<Self> {
        match shape.discovered() {
            None => Some(Sums::Cells(Tally::new(&shape.vectors, shape.cells()))),
            Some(_) => KeyTally::new(shape).map(Sums::Keys),
        }
    }

    fn clip(&mut self, names: &[&str], parts: &[Sparse]) -> Result<&[u128], FoldError> {
        match self {
            Sums::Cells(tally) if names.is_empty() => tally.clip(parts),
            Sums::Cells(_) => Err(FoldError::Mismatch),
            Sums::Keys(tally) => tally.clip(names, parts),
        }
    }

    fn take(&mut self, names: &[&str], parts: &[Sparse]) -> Result<(), FoldError> {
        match self {
            Sums::Cells(tally) => tally.take(parts),
            Sums::Keys(tally) => tally.take(names, parts),
        }
    }

    fn merge(self, other: Sums) -> Result<Self, FoldError> {
        match (self, other) {
            (Sums::Cells(one), Sums::Cells(other)) => one.merge(other).map(Sums::Cells),
            (Sums::Keys(one), Sums::Keys(other)) => one.merge(other).map(Sums::Keys),
            (Sums::Cells(_), Sums::Keys(_)) | (Sums::Keys(_), Sums::Cells(_)) => {
                Err(FoldError::Mismatch)
            }
        }
    }

    fn cells(&self) -> usize {
        match self {
            Sums::Cells(tally) => tally.cells(),
            Sums::Keys(tally) => tally.cells(),
        }
    }
}

/// Folds the subjects of one range, in ascending order, under one permit. One for each thread;
/// [`merge`](Self::merge) puts ranges together, and the result is the same for any cutting.
pub struct Accumulator {
    intent: u64,
    capacity: u64,
    grid: CodeGrid,
    filter: Filter,
    dividers: Vec<Divider>,
    coder: Coder,
    sums: Sums,
    charges: Vec<(u32, u16)>,
    /// The charges of parts merged so far.
    merged: Vec<Vec<(u32, u16)>>,
    /// First and last subject seen, of each part merged so far.
    ranges: Vec<(u32, u32)>,
    /// Of many subjects at hand: billionths so far, and who is active.
    nanos: Vec<u128>,
    active: Vec<bool>,
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
        let vectors = shape.vectors.iter();
        let dividers: Option<Vec<Divider>> = vectors.map(|v| Divider::new(v.sigma)).collect();
        let sums = Sums::of(shape);
        Self {
            intent: permit.intent(),
            capacity: permit.capacity(),
            grid: permit.grid(),
            filter: permit.filter().clone(),
            broken: cells != shape.cells() || dividers.is_none() || sums.is_none(),
            dividers: dividers.unwrap_or_default(),
            coder: Coder::new(permit.grid()),
            // Never used: broken.
            sums: sums.unwrap_or_else(|| Sums::Cells(Tally::new(&[], 0))),
            charges: Vec::new(),
            merged: Vec::new(),
            ranges: Vec::new(),
            nanos: Vec::new(),
            active: Vec::new(),
            exposures: Vec::with_capacity(permit.filter().accounts().len()),
        }
    }

    /// One subject: its contribution to each vector, and what is known about all subjects.
    ///
    /// Clips each vector to its norm, computes the charge from the clipped integers, and, if the
    /// subject is not barred and the filter lets it in, adds them and notes the charge; otherwise
    /// nothing at all happens. In strict mode, too, a barred subject is left out. Subjects come in ascending order, each once. After an error the accumulator is
    /// unusable.
    pub fn add(
        &mut self,
        subject: u32,
        contributions: &[Sparse],
        known: Known<'_>,
    ) -> Result<(), FoldError> {
        self.add_keyed(subject, &[], contributions, known)
    }

    /// The same for a release whose keys are found in the rows: cell n of the contributions is the
    /// key `names[n]`. A subject that is left out creates no key either.
    pub fn add_keyed(
        &mut self,
        subject: u32,
        names: &[&str],
        contributions: &[Sparse],
        known: Known<'_>,
    ) -> Result<(), FoldError> {
        if self.broken {
            return Err(FoldError::Broken);
        }
        let result = self.fold(subject, names, contributions, known);
        self.broken = result.is_err();
        result
    }

    fn fold(
        &mut self,
        subject: u32,
        names: &[&str],
        contributions: &[Sparse],
        known: Known<'_>,
    ) -> Result<(), FoldError> {
        let norms = self.sums.clip(names, contributions)?;
        let mut nano = 0u128;
        for (&norm, divider) in norms.iter().zip(&self.dividers) {
            let part = divider.nano(norm).ok_or(FoldError::Charge)?;
            nano = nano.checked_add(part).ok_or(FoldError::Charge)?;
        }
        if self.admit(subject, nano, known)? {
            self.sums.take(names, contributions)?;
        }
        Ok(())
    }

    /// The same as [`add`](Self::add) for each of many subjects, in ascending order. Contributions
    /// longer than their norm are clipped where they are.
    pub fn add_many(&mut self, many: &mut Many, known: Known<'_>) -> Result<(), FoldError> {
        if self.broken {
            return Err(FoldError::Broken);
        }
        let result = self.fold_many(many, known);
        self.broken = result.is_err();
        result
    }

    fn fold_many(&mut self, many: &mut Many, known: Known<'_>) -> Result<(), FoldError> {
        let mut nanos = std::mem::take(&mut self.nanos);
        let mut active = std::mem::take(&mut self.active);
        nanos.clear();
        nanos.resize(many.subjects().len(), 0);
        active.clear();
        let dividers = &self.dividers;
        let Sums::Cells(tally) = &mut self.sums else {
            return Err(FoldError::Mismatch);
        };
        tally.clip_many(many, |vector, subject, norm| {
            let divider = dividers.get(vector).ok_or(FoldError::Charge)?;
            let part = divider.nano(norm).ok_or(FoldError::Charge)?;
            let nano = nanos.get_mut(subject).ok_or(FoldError::Charge)?;
            *nano = nano.checked_add(part).ok_or(FoldError::Charge)?;
            Ok(())
        })?;
        for (&subject, &nano) in many.subjects().iter().zip(&nanos) {
            active.push(self.admit(subject, nano, known)?);
        }
        let is_active = |subject: usize| active.get(subject).copied().unwrap_or(false);
        let Sums::Cells(tally) = &mut self.sums else {
            return Err(FoldError::Mismatch);
        };
        tally.take_many(many, is_active)?;
        (self.nanos, self.active) = (nanos, active);
        Ok(())
    }

    /// Whether a subject whose clipped contribution adds `nano` billionths takes part. If it does,
    /// its charge is noted: whatever happens next, nothing is added without one.
    fn admit(&mut self, subject: u32, nano: u128, known: Known<'_>) -> Result<bool, FoldError> {
        let barred = self.enter(subject, known)?;
        let (code, charge) = self.coder.code(nano).ok_or(FoldError::Charge)?;
        if code == 0 {
            return Ok(false);
        }
        if u128::from(charge.nano()) < nano {
            // The norms are clipped, so the price covers every subject.
            return Err(FoldError::Charge);
        }
        // Both are looked at, whatever the other says: the same work for everybody.
        let active = self.filter.active(&self.exposures, charge) & !barred;
        if active {
            self.charges.push((subject, code));
        }
        Ok(active)
    }

    /// Checks the subject's turn, looks its exposures up, and says whether it is barred.
    fn enter(&mut self, subject: u32, known: Known<'_>) -> Result<bool, FoldError> {
        match self.ranges.last_mut() {
            Some((_, last)) if *last < subject => *last = subject,
            Some(_) => return Err(FoldError::Order),
            None => self.ranges.push((subject, subject)),
        }
        let complete = known.accounts.len() == self.filter.accounts().len();
        if !complete || u64::from(subject) >= self.capacity {
            return Err(FoldError::Subject);
        }
        self.exposures.clear();
        for account in known.accounts {
            self.exposures
                .push(*account.get(subject as usize).ok_or(FoldError::Subject)?);
        }
        let barred = known.barred.get(subject as usize);
        barred.copied().ok_or(FoldError::Subject)
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
        self.sums = self.sums.merge(other.sums)?;
        self.ranges.extend(other.ranges);
        self.ranges.sort_unstable();
        if self
            .ranges
            .windows(2)
            .any(|pair| matches!(pair, [a, b] if a.1 >= b.0))
        {
            return Err(FoldError::Order);
        }
        self.merged.extend(other.merged);
        self.merged.push(other.charges);
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
            && self.sums.cells() == permit.shape().cells();
        if !same {
            return Err(FoldError::Mismatch);
        }
        // Each part ascends, and parts share no range: in the order of their firsts, all ascend.
        self.merged.push(self.charges);
        self.merged.retain(|part| !part.is_empty());
        self.merged
            .sort_unstable_by_key(|part| part.first().map(|(subject, _)| *subject));
        let all = self.merged.iter().map(Vec::len).sum::<usize>();
        let mut parts = self.merged.into_iter();
        let mut charges = parts.next().unwrap_or_default();
        charges.reserve_exact(all - charges.len());
        parts.for_each(|part| charges.extend(part));
        Ok(Admitted::new(permit, self.sums, charges))
    }
}

/// Private: shows nothing.
impl fmt::Debug for Accumulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Accumulator")
    }
}
