//! Exact sums of clipped contributions.

use std::fmt;

use obscura_model::answer::VectorShape;

use crate::clip;
use crate::many::Many;
use crate::sparse::Sparse;

/// A fold that cannot go on. The texts are fixed and say nothing about rows. Whoever folds stops
/// at the first of these; what was folded so far is unusable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FoldError {
    /// Not one contribution for each vector.
    #[error("the fold was given another number of vectors than the plan has")]
    Vectors,
    /// A cell outside the plan.
    #[error("the fold was given a cell that the plan does not have")]
    Cell,
    /// A sum does not fit 64 bits although the plan said that it would.
    #[error("a sum left the range that the plan allows")]
    Overflow,
    /// A contribution is longer than its clip norm after clipping.
    #[error("a contribution left the norm that the plan allows")]
    Norm,
    /// A subject outside the index, or without a known exposure in each account.
    #[error("the fold was given a subject without a known exposure")]
    Subject,
    /// A subject that was folded before, or out of order.
    #[error("the fold was given subjects out of order")]
    Order,
    /// Two parts that do not belong to the same release.
    #[error("parts of different releases cannot be put together")]
    Mismatch,
    /// The permit's own numbers do not fit, which its constructor rules out.
    #[error("the release's charges left the range that its price allows")]
    Charge,
    /// An earlier step of this fold failed.
    #[error("an earlier step of the fold failed")]
    Broken,
}

/// Exact sums by vector, cell and part, of contributions clipped to each vector's norm. Without permit
/// and charges: the whole accumulator for mock data, and the inner part of
/// [`Accumulator`](crate::Accumulator) for real data.
#[derive(Clone, PartialEq, Eq)]
pub struct Tally {
    clips_squared: Vec<u128>,
    cells: usize,
    sums: Vec<Vec<i64>>,
    /// Of the contribution at hand: the squared norm after clipping, for each vector.
    norms_squared: Vec<u128>,
    /// Of many subjects at hand: what each is charged, in billionths.
    nanos: Vec<u128>,
    /// Of the contribution at hand: the clipped values where they differ from the given ones.
    clipped: Vec<Vec<i64>>,
}

impl Tally {
    /// No contributions yet, in `cells` cells of each of `vectors`.
    #[must_use]
    pub fn new(vectors: &[VectorShape], cells: usize) -> Self {
        Self {
            clips_squared: vectors.iter().map(|v| v.clip_squared).collect(),
            cells,
            sums: vectors
                .iter()
                .map(|v| vec![0; v.length(cells).unwrap_or(0)])
                .collect(),
            norms_squared: vec![0; vectors.len()],
            nanos: Vec::new(),
            clipped: vec![Vec::new(); vectors.len()],
        }
    }

    /// Clips one subject's contribution, one [`Sparse`] for each vector, and adds it.
    pub fn add(&mut self, contributions: &[Sparse]) -> Result<(), FoldError> {
        self.clip(contributions)?;
        self.take(contributions)
    }

    /// The same for many subjects at once.
    pub fn add_many(&mut self, many: &mut Many) -> Result<(), FoldError> {
        self.fold_many(many, |_, _| Some(0), |_, _| Ok(true))
    }

    /// Adds the sums of `other`.
    pub fn merge(mut self, other: Tally) -> Result<Tally, FoldError> {
        let lengths = |t: &Tally| t.sums.iter().map(Vec::len).collect::<Vec<_>>();
        let same = self.clips_squared == other.clips_squared
            && self.cells == other.cells
            && lengths(&self) == lengths(&other);
        if !same {
            return Err(FoldError::Mismatch);
        }
        let mine = self.sums.iter_mut().flatten();
        for (sum, more) in mine.zip(other.sums.iter().flatten()) {
            *sum = sum.checked_add(*more).ok_or(FoldError::Overflow)?;
        }
        Ok(self)
    }

    /// The sums, by vector, cell and part, in grid steps.
    #[must_use]
    pub fn sums(self) -> Vec<Vec<i64>> {
        self.sums
    }

    /// First half of [`Self::add`]: checks, clips and measures, and adds nothing. Returns the
    /// squared norm of each vector's part, as it would be added.
    pub(crate) fn clip(&mut self, contributions: &[Sparse]) -> Result<&[u128], FoldError> {
        if contributions.len() != self.clips_squared.len() {
            return Err(FoldError::Vectors);
        }
        let buffers = self.norms_squared.iter_mut().zip(&mut self.clipped);
        let given = contributions.iter().zip(&self.clips_squared);
        let parts = given.zip(buffers).zip(&self.sums);
        for (((part, &clip_squared), (norm, clipped)), sums) in parts {
            // Places are ordered: if the last is in the plan, all are.
            if part
                .cells()
                .last()
                .is_some_and(|&place| place as usize >= sums.len())
            {
                return Err(FoldError::Cell);
            }
            clipped.clear();
            *norm = clip::norm_squared(part.values()).map_err(|_| FoldError::Overflow)?;
            if *norm > clip_squared {
                clipped.extend_from_slice(part.values());
                *norm = clip::to_norm(clipped, clip_squared).map_err(|_| FoldError::Overflow)?;
            }
            if *norm > clip_squared {
                return Err(FoldError::Norm);
            }
        }
        Ok(&self.norms_squared)
    }

    /// Second half of [`Self::add`]: adds the contribution that [`Self::clip`] has just seen.
    pub(crate) fn take(&mut self, contributions: &[Sparse]) -> Result<(), FoldError> {
        let parts = contributions.iter().enumerate();
        parts
            .into_iter()
            .try_for_each(|(vector, part)| self.take_one(vector, part))
    }

    /// One vector of [`Self::take`].
    pub(crate) fn take_one(&mut self, vector: usize, part: &Sparse) -> Result<(), FoldError> {
        let clipped = self.clipped.get(vector).ok_or(FoldError::Vectors)?;
        let values = if clipped.is_empty() {
            part.values()
        } else {
            clipped
        };
        let sums = self.sums.get_mut(vector).ok_or(FoldError::Vectors)?;
        for (&cell, &value) in part.cells().iter().zip(values) {
            let sum = sums.get_mut(cell as usize).ok_or(FoldError::Cell)?;
            *sum = sum.checked_add(value).ok_or(FoldError::Overflow)?;
        }
        Ok(())
    }

    /// Clips what each of many subjects contributes, where it is, and adds that of those whom `admit`
    /// lets in: it is given the subject and the sum of what `charge` makes of each vector and the
    /// squared norm of the subject's part of it.
    pub(crate) fn fold_many(
        &mut self,
        many: &mut Many,
        charge: impl Fn(usize, u128) -> Option<u128>,
        mut admit: impl FnMut(u32, u128) -> Result<bool, FoldError>,
    ) -> Result<(), FoldError> {
        if many.vectors() != self.clips_squared.len() {
            return Err(FoldError::Vectors);
        }
        self.nanos.clear();
        self.nanos.resize(many.subjects().len(), 0);
        many.clip(&self.clips_squared, charge, &mut self.nanos)?;
        let people = many.subjects().iter().zip(&self.nanos).enumerate();
        // Whoever is admitted after somebody who is is added with them.
        let mut open = 0..0;
        for (person, (subject, nano)) in people {
            if admit(*subject, *nano)? {
                if open.end != person {
                    many.take(open.clone(), &mut self.sums)?;
                    open.start = person;
                }
                open.end = person + 1;
            }
        }
        many.take(open, &mut self.sums)?;
        self.nanos.clear();
        Ok(())
    }

    /// One vector's values as [`Self::clip`] has just left them.
    pub(crate) fn clipped<'a>(&'a self, vector: usize, part: &'a Sparse) -> &'a [i64] {
        let clipped = self.clipped.get(vector);
        clipped
            .filter(|c| !c.is_empty())
            .map_or(part.values(), |c| c)
    }

    /// One vector's sums so far.
    pub(crate) fn sums_so_far(&self, vector: usize) -> &[i64] {
        self.sums.get(vector).map_or(&[], |sums| sums)
    }

    /// Cells of the answer.
    pub(crate) fn cells(&self) -> usize {
        self.cells
    }
}

/// Possibly private: shows nothing.
impl fmt::Debug for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tally")
    }
}
