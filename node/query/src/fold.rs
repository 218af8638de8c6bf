//! The fold: rows in subject order become one bounded contribution for each subject.
//!
//! Of each subject the first K rows, in stored order, for which WHERE is TRUE are taken, K being
//! the declared most rows. A row whose group key is missing takes its place among the K and adds
//! nothing. What one subject adds depends on that subject's rows alone, and sums are exact, so the
//! result does not depend on batches, threads or the order of the source.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;

use obscura_privacy::{Accumulator, Admitted, Known, Permit, Sparse, Tally};

use crate::eval::{Amounts, BadRows, Batch, Evaluated, NO_CELL, evaluate};
use crate::plan::PrivatePlan;
use crate::table::PrivateRows;

/// Rows in one batch.
const BATCH_ROWS: usize = 8192;

/// The most threads that one fold uses.
const MOST_THREADS: usize = 64;

/// A fold that failed. The texts are fixed: they say nothing about rows.
#[derive(Debug, thiserror::Error)]
pub enum FoldError {
    /// Permit, plan and rows do not belong together.
    #[error("permit, plan and rows do not belong together")]
    Mismatch,
    /// The stored rows could not be read as they were written.
    #[error("the stored rows are damaged or gone: restore or ingest the dataset again")]
    Store,
    /// The accumulator stopped.
    #[error("the sums stopped")]
    Sums(#[source] obscura_privacy::FoldError),
    /// A thread of the fold stopped.
    #[error("a part of the fold stopped")]
    Stopped,
}

impl From<BadRows> for FoldError {
    fn from(_: BadRows) -> Self {
        FoldError::Store
    }
}

/// Rows in subject order, in pieces that share no subject.
pub(crate) trait Source: Sync {
    /// How many pieces there are.
    fn pieces(&self) -> usize;

    /// Gives a piece's rows in order, in batches of at most `most`.
    fn read(
        &self,
        piece: usize,
        columns: &BTreeSet<usize>,
        most: usize,
        each: &mut dyn FnMut(&Batch) -> Result<(), FoldError>,
    ) -> Result<(), FoldError>;
}

/// Where a subject's contribution goes.
pub(crate) trait Sink {
    /// Takes one subject, in ascending order.
    fn take(&mut self, subject: u32, parts: &[Sparse]) -> Result<(), FoldError>;
}

impl Sink for Tally {
    fn take(&mut self, _subject: u32, parts: &[Sparse]) -> Result<(), FoldError> {
        self.add(parts).map_err(FoldError::Sums)
    }
}

struct Charged<'a> {
    accumulator: Accumulator,
    known: Known<'a>,
}

impl Sink for Charged<'_> {
    fn take(&mut self, subject: u32, parts: &[Sparse]) -> Result<(), FoldError> {
        self.accumulator
            .add(subject, parts, self.known)
            .map_err(FoldError::Sums)
    }
}

/// One subject under way.
struct Walk<'a, S> {
    plan: &'a PrivatePlan,
    sink: &'a mut S,
    subject: Option<u32>,
    matched: u32,
    parts: Vec<Sparse>,
}

impl<S: Sink> Walk<'_, S> {
    fn batch(&mut self, batch: &Batch) -> Result<(), FoldError> {
        let evaluated = evaluate(self.plan, batch)?;
        for (i, subject) in batch.subjects.values().iter().enumerate() {
            if self.subject != Some(*subject) {
                self.finish()?;
                self.subject = Some(*subject);
            }
            if evaluated.matches.value(i) && self.matched < self.plan.most_rows() {
                self.matched += 1;
                self.row(&evaluated, i)?;
            }
        }
        Ok(())
    }

    fn row(&mut self, evaluated: &Evaluated, i: usize) -> Result<(), FoldError> {
        let cell = evaluated.cells.get(i).copied().unwrap_or(NO_CELL);
        if cell == NO_CELL {
            return Ok(());
        }
        let scale = crate::plan::COUNT_SCALE;
        for (part, amounts) in self.parts.iter_mut().zip(&evaluated.amounts) {
            match amounts {
                Amounts::Ones(None) => part.add(cell, scale).map_err(FoldError::Sums)?,
                Amounts::Ones(Some(present)) if present.value(i) => {
                    part.add(cell, scale).map_err(FoldError::Sums)?;
                }
                Amounts::Ones(Some(_)) => {}
                Amounts::Once => part.set(cell, scale),
                Amounts::Steps(steps) => {
                    let step = steps.get(i).copied().unwrap_or(0);
                    part.add(cell, step).map_err(FoldError::Sums)?;
                }
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), FoldError> {
        if let Some(subject) = self.subject.take() {
            self.sink.take(subject, &self.parts)?;
            self.parts.iter_mut().for_each(Sparse::clear);
            self.matched = 0;
        }
        Ok(())
    }
}

/// Folds some pieces of a source into a sink.
pub(crate) fn walk<S: Sink>(
    source: &impl Source,
    pieces: Range<usize>,
    plan: &PrivatePlan,
    batch_rows: usize,
    sink: &mut S,
) -> Result<(), FoldError> {
    let parts = vec![Sparse::new(); plan.vectors().len()];
    let mut walk = Walk {
        plan,
        sink,
        subject: None,
        matched: 0,
        parts,
    };
    for piece in pieces {
        source.read(piece, plan.reads(), batch_rows.max(1), &mut |batch| {
            walk.batch(batch)
        })?;
        walk.finish()?;
    }
    Ok(())
}

/// The exact sums over mock rows.
pub(crate) fn tally(plan: &PrivatePlan, source: &impl Source) -> Result<Tally, FoldError> {
    let mut tally = Tally::new(&plan.shape().vectors, plan.shape().cells());
    walk(source, 0..source.pieces(), plan, BATCH_ROWS, &mut tally)?;
    Ok(tally)
}

/// A bound, not yet run stream of secret contributions.
pub struct Contributions {
    permit: Permit,
    plan: PrivatePlan,
    rows: PrivateRows,
}

/// Private: shows nothing.
impl fmt::Debug for Contributions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Contributions")
    }
}

impl Contributions {
    /// Binds a plan to rows under a permit. Nothing is read yet.
    #[must_use]
    pub fn bind(permit: Permit, plan: PrivatePlan, rows: PrivateRows) -> Self {
        Self { permit, plan, rows }
    }

    /// Runs once. `known` has the exposures under each account of the permit's filter and who is
    /// barred, by subject index. The result is the same for any number of threads.
    pub fn fold(self, known: Known<'_>, threads: usize) -> Result<Admitted, FoldError> {
        self.fold_in(known, threads, BATCH_ROWS)
    }

    pub(crate) fn fold_in(
        self,
        known: Known<'_>,
        threads: usize,
        batch_rows: usize,
    ) -> Result<Admitted, FoldError> {
        let Contributions { permit, plan, rows } = self;
        if permit.shape() != plan.shape() || rows.description_digest() != plan.description_digest()
        {
            return Err(FoldError::Mismatch);
        }
        let (permit_ref, plan_ref, rows_ref) = (&permit, &plan, &rows);
        let run = |pieces: Range<usize>| {
            let accumulator = Accumulator::new(permit_ref, plan_ref.shape().cells());
            let mut sink = Charged { accumulator, known };
            walk(rows_ref, pieces, plan_ref, batch_rows, &mut sink)?;
            Ok(sink.accumulator)
        };
        let ranges = ranges(rows.pieces(), threads.clamp(1, MOST_THREADS));
        let mut done = std::thread::scope(|scope| {
            let spawned: Vec<_> = ranges
                .into_iter()
                .map(|range| scope.spawn(|| run(range)))
                .collect();
            let join = |handle: std::thread::ScopedJoinHandle<'_, _>| {
                handle.join().unwrap_or(Err(FoldError::Stopped))
            };
            spawned
                .into_iter()
                .map(join)
                .collect::<Result<Vec<Accumulator>, FoldError>>()
        })?
        .into_iter();
        let first = done.next().ok_or(FoldError::Stopped)?;
        let merged = done
            .try_fold(first, Accumulator::merge)
            .map_err(FoldError::Sums)?;
        merged.finish(permit).map_err(FoldError::Sums)
    }
}

/// At least one range; together all pieces, in order.
fn ranges(pieces: usize, threads: usize) -> Vec<Range<usize>> {
    let size = pieces.div_ceil(threads).max(1);
    let mut ranges: Vec<Range<usize>> = (0..pieces)
        .step_by(size)
        .map(|start| start..(start + size).min(pieces))
        .collect();
    if ranges.is_empty() {
        ranges.push(0..0);
    }
    ranges
}
