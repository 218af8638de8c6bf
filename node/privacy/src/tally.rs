//! Exact sums of clipped contributions.

use std::fmt;

use obscura_model::answer::VectorShape;

use crate::clip;
use crate::many::{Column, Many};
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
        self.clip_many(many, |_, _, _| Ok(()))?;
        self.take_many(many, |_| true)
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

    /// First half of [`Self::add_many`]: checks, clips each contribution where it is, and tells the
    /// squared norm of each vector's part of each subject, by position: vector, subject, norm.
    pub(crate) fn clip_many(
        &self,
        many: &mut Many,
        mut each: impl FnMut(usize, usize, u128) -> Result<(), FoldError>,
    ) -> Result<(), FoldError> {
        if many.vectors() != self.clips_squared.len() {
            return Err(FoldError::Vectors);
        }
        for (vector, &clip_squared) in self.clips_squared.iter().enumerate() {
            let column = many.vector(vector).ok_or(FoldError::Vectors)?;
            let mut start = 1;
            for (subject, &end) in column.ends.iter().enumerate() {
                let end = end as usize;
                let part = column.values.get_mut(start..end);
                let part = part.ok_or(FoldError::Vectors)?;
                let mut norm = clip::norm_squared(part).map_err(|_| FoldError::Overflow)?;
                if norm > clip_squared {
                    norm = clip::to_norm(part, clip_squared).map_err(|_| FoldError::Overflow)?;
                }
                if norm > clip_squared {
                    return Err(FoldError::Norm);
                }
                each(vector, subject, norm)?;
                start = end;
            }
        }
        Ok(())
    }

    /// Second half of [`Self::add_many`]: adds what [`Self::clip_many`] has just seen of those
    /// subjects, by position, who are active.
    pub(crate) fn take_many(
        &mut self,
        many: &mut Many,
        active: impl Fn(usize) -> bool,
    ) -> Result<(), FoldError> {
        for (vector, sums) in self.sums.iter_mut().enumerate() {
            let Column {
                ends,
                places,
                values,
            } = many.vector(vector).ok_or(FoldError::Vectors)?;
            let mut start = 1;
            for (subject, &end) in ends.iter().enumerate() {
                let own = start..end as usize;
                start = own.end;
                if !active(subject) {
                    continue;
                }
                let places = places.get(own.clone()).ok_or(FoldError::Vectors)?;
                let values = values.get(own).ok_or(FoldError::Vectors)?;
                for (&place, &value) in places.iter().zip(values) {
                    let sum = sums.get_mut(place as usize).ok_or(FoldError::Cell)?;
                    *sum = sum.checked_add(value).ok_or(FoldError::Overflow)?;
                }
            }
        }
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
