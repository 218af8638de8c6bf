//! The inner loop of a release: clip, charge, decide, add.

mod charging;

use std::fmt;

use obscura_model::answer::Shape;

use self::charging::{Charging, Door};
use crate::admitted::Admitted;
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
    grid: CodeGrid,
    charging: Charging,
    sums: Sums,
    /// The charges of parts merged so far.
    merged: Vec<Vec<(u32, u16)>>,
    broken: bool,
}

impl Accumulator {
    /// No subject yet, under `permit`, for an answer of `cells` cells: as many as the permit's
    /// shape has, else every step fails.
    #[must_use]
    pub fn new(permit: &Permit, cells: usize) -> Self {
        let shape = permit.shape();
        let (charging, priced) = Charging::new(permit);
        let sums = Sums::of(shape);
        Self {
            intent: permit.intent(),
            grid: permit.grid(),
            broken: cells != shape.cells() || !priced || sums.is_none(),
            charging,
            // Never used: broken.
            sums: sums.unwrap_or_else(|| Sums::Cells(Tally::new(&[], 0))),
            merged: Vec::new(),
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
        let nano = self.charging.nano(norms)?;
        if self.charging.door.admit(subject, nano, known)? {
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
        let Sums::Cells(tally) = &mut self.sums else {
            return Err(FoldError::Mismatch);
        };
        let (dividers, door) = (&self.charging.dividers, &mut self.charging.door);
        let charge = |vector: usize, norm| dividers.get(vector)?.nano(norm);
        tally.fold_many(many, charge, |subject, nano| {
            door.admit(subject, nano, known)
        })
    }

    /// Puts the subjects of `other` beside these. Both must belong to the same permit and share no
    /// subject. Ranges may be merged in any order, but nothing can be added after a merge unless
    /// its subject comes after all of them.
    pub fn merge(mut self, other: Accumulator) -> Result<Accumulator, FoldError> {
        if self.broken || other.broken {
            return Err(FoldError::Broken);
        }
        let Door { filter, .. } = &self.charging.door;
        let same = self.intent == other.intent && self.grid == other.grid;
        if !same || *filter != other.charging.door.filter {
            return Err(FoldError::Mismatch);
        }
        self.sums = self.sums.merge(other.sums)?;
        let ranges = &mut self.charging.door.ranges;
        ranges.extend(other.charging.door.ranges);
        ranges.sort_unstable();
        let mut pairs = ranges.windows(2);
        if pairs.any(|pair| matches!(pair, [a, b] if a.1 >= b.0)) {
            return Err(FoldError::Order);
        }
        self.merged.extend(other.merged);
        self.merged.push(other.charging.door.charges);
        Ok(self)
    }

    /// The exact sums and charges, with the permit, which is used up by this.
    pub fn finish(mut self, permit: Permit) -> Result<Admitted, FoldError> {
        if self.broken {
            return Err(FoldError::Broken);
        }
        let same = self.intent == permit.intent()
            && self.grid == permit.grid()
            && self.charging.door.filter == *permit.filter()
            && self.sums.cells() == permit.shape().cells();
        if !same {
            return Err(FoldError::Mismatch);
        }
        // Each part ascends, and parts share no range: in the order of their firsts, all ascend.
        self.merged.push(self.charging.door.charges);
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
