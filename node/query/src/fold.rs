//! The fold: rows in subject order become one bounded contribution for each subject.
//!
//! Of each subject the first K rows, in stored order, for which WHERE is TRUE are taken, K being
//! the relation's most rows. A row whose group key is missing takes its place among the K and adds
//! nothing. What one subject adds depends on that subject's rows alone, and sums are exact, so the
//! result does not depend on batches, threads or the order of the source.

mod columns;
mod walk;

use std::fmt;
use std::ops::Range;

use obscura_privacy::{Accumulator, Admitted, KeyTally, Known, Many, Permit, Sparse, Tally};

use crate::batch::Batch;
use crate::eval::BadRows;
use crate::plan::PrivatePlan;
use crate::source::{self, Reader, Source};
use crate::table::PrivateRows;
pub(crate) use columns::Columns;
pub(crate) use walk::Walk;
#[cfg(test)]
pub(crate) use walk::key_of;

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
    /// Whoever asked for the fold no longer waits for it.
    #[error("the fold took longer than it may")]
    Late,
}

impl From<BadRows> for FoldError {
    fn from(_: BadRows) -> Self {
        FoldError::Store
    }
}

/// Where a subject's contribution goes.
pub(crate) trait Sink {
    /// Takes one subject, in ascending order. Where keys are found in the rows, cell n of `parts`
    /// belongs to the n-th of `keys`.
    fn take(&mut self, subject: u32, keys: &[&str], parts: &[Sparse]) -> Result<(), FoldError>;

    /// Takes many subjects, in ascending order, whose keys are declared.
    fn take_many(&mut self, many: &mut Many) -> Result<(), FoldError>;

    /// Asked before every chunk and every batch: an error if the rest is not wanted any more.
    fn go_on(&self) -> Result<(), FoldError> {
        Ok(())
    }
}

impl Sink for Tally {
    fn take(&mut self, _subject: u32, _keys: &[&str], parts: &[Sparse]) -> Result<(), FoldError> {
        self.add(parts).map_err(FoldError::Sums)
    }

    fn take_many(&mut self, many: &mut Many) -> Result<(), FoldError> {
        self.add_many(many).map_err(FoldError::Sums)
    }
}

impl Sink for KeyTally {
    fn take(&mut self, _subject: u32, keys: &[&str], parts: &[Sparse]) -> Result<(), FoldError> {
        self.add(keys, parts).map_err(FoldError::Sums)
    }

    fn take_many(&mut self, _many: &mut Many) -> Result<(), FoldError> {
        // Their keys are found in the rows.
        Err(FoldError::Mismatch)
    }
}

struct Charged<'a> {
    accumulator: Accumulator,
    known: Known<'a>,
    stop: &'a (dyn Fn() -> bool + Sync),
}

impl Sink for Charged<'_> {
    fn take(&mut self, subject: u32, keys: &[&str], parts: &[Sparse]) -> Result<(), FoldError> {
        self.accumulator
            .add_keyed(subject, keys, parts, self.known)
            .map_err(FoldError::Sums)
    }

    fn take_many(&mut self, many: &mut Many) -> Result<(), FoldError> {
        let added = self.accumulator.add_many(many, self.known);
        added.map_err(FoldError::Sums)
    }

    fn go_on(&self) -> Result<(), FoldError> {
        if (self.stop)() {
            Err(FoldError::Late)
        } else {
            Ok(())
        }
    }
}

/// Takes the rows of a relation, some subjects at a time, and hands what they add to a sink.
pub(crate) trait Fold {
    /// All rows of the relation of some subjects. `everybody`, if the plan counts them: all
    /// subjects of the chunk, also those without a row here.
    fn rows<S: Sink>(
        &mut self,
        rows: &Batch,
        everybody: Option<Vec<u32>>,
        sink: &mut S,
    ) -> Result<(), FoldError>;
}

/// Folds some pieces of a source into a sink.
pub(crate) fn walk<S: Sink>(
    source: &impl Source,
    pieces: Range<usize>,
    plan: &PrivatePlan,
    batch_rows: usize,
    sink: &mut S,
) -> Result<(), FoldError> {
    if plan.found().is_some() {
        walk_with(
            source,
            pieces,
            plan,
            batch_rows,
            &mut Walk::new(plan, batch_rows),
            sink,
        )
    } else {
        let mut columns = Columns::new(plan, batch_rows);
        walk_with(source, pieces, plan, batch_rows, &mut columns, sink)
    }
}

/// The same, in one of the two ways.
pub(crate) fn walk_with<S: Sink>(
    source: &impl Source,
    pieces: Range<usize>,
    plan: &PrivatePlan,
    batch_rows: usize,
    fold: &mut impl Fold,
    sink: &mut S,
) -> Result<(), FoldError> {
    let cuts = source::cuts(source, plan.needs());
    let mut reader = Reader::new(source, plan.needs());
    let relation = plan.relation();
    let chunk_rows = relation.chunk_rows(plan.reads()).min(batch_rows.max(1));
    for piece in pieces {
        let Some(from) = cuts.get(piece) else { break };
        let end = cuts.get(piece + 1).map_or(1 << 32, |next| u64::from(*next));
        let mut piece = reader.piece(u64::from(*from), end)?;
        while let Some(chunk) = piece.chunk(chunk_rows) {
            // Also here: many chunks may give the relation no row.
            sink.go_on()?;
            let everybody = plan.counts_everybody().then(|| source::subjects(&chunk));
            let rows = relation.rows(&chunk, plan.reads(), plan.slice_rows())?;
            fold.rows(&rows, everybody, sink)?;
        }
    }
    Ok(())
}

/// How many pieces a plan's rows are read in.
pub(crate) fn pieces(source: &impl Source, plan: &PrivatePlan) -> usize {
    source::cuts(source, plan.needs()).len()
}

/// The exact sums over mock rows.
pub(crate) fn tally(plan: &PrivatePlan, source: &impl Source) -> Result<Tally, FoldError> {
    let mut tally = Tally::new(&plan.shape().vectors, plan.shape().cells());
    walk(
        source,
        0..pieces(source, plan),
        plan,
        BATCH_ROWS,
        &mut tally,
    )?;
    Ok(tally)
}

/// The exact sums by key over mock rows; nothing if the plan's keys are declared.
pub(crate) fn key_tally(
    plan: &PrivatePlan,
    source: &impl Source,
) -> Result<Option<KeyTally>, FoldError> {
    let Some(mut tally) = KeyTally::new(plan.shape()) else {
        return Ok(None);
    };
    walk(
        source,
        0..pieces(source, plan),
        plan,
        BATCH_ROWS,
        &mut tally,
    )?;
    Ok(Some(tally))
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
        self.fold_in(known, threads, BATCH_ROWS, &|| false)
    }

    /// As [`Contributions::fold`], and gives up with [`FoldError::Late`] once `stop` says so, which
    /// is asked before each chunk and batch by every thread. What it says has to follow from public values
    /// and the time alone.
    pub fn fold_until(
        self,
        known: Known<'_>,
        threads: usize,
        stop: &(dyn Fn() -> bool + Sync),
    ) -> Result<Admitted, FoldError> {
        self.fold_in(known, threads, BATCH_ROWS, stop)
    }

    pub(crate) fn fold_in(
        self,
        known: Known<'_>,
        threads: usize,
        batch_rows: usize,
        stop: &(dyn Fn() -> bool + Sync),
    ) -> Result<Admitted, FoldError> {
        let Contributions { permit, plan, rows } = self;
        if permit.shape() != plan.shape() || rows.description_digest() != plan.description_digest()
        {
            return Err(FoldError::Mismatch);
        }
        let (permit_ref, plan_ref, rows_ref) = (&permit, &plan, &rows);
        let run = |pieces: Range<usize>| {
            let accumulator = Accumulator::new(permit_ref, plan_ref.shape().cells());
            let mut sink = Charged {
                accumulator,
                known,
                stop,
            };
            walk(rows_ref, pieces, plan_ref, batch_rows, &mut sink)?;
            Ok(sink.accumulator)
        };
        let ranges = ranges(pieces(rows_ref, plan_ref), threads.clamp(1, MOST_THREADS));
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
