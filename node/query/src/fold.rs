//! The fold: rows in subject order become one bounded contribution for each subject.
//!
//! Of each subject the first K rows, in stored order, for which WHERE is TRUE are taken, K being
//! the relation's most rows. A row whose group key is missing takes its place among the K and adds
//! nothing. What one subject adds depends on that subject's rows alone, and sums are exact, so the
//! result does not depend on batches, threads or the order of the source.

use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;

use arrow_array::{Array, StringArray};
use obscura_model::schema::TextKeys;
use obscura_privacy::{Accumulator, Admitted, KeyTally, Known, Permit, Sparse, Tally};

use crate::batch::Batch;
use crate::eval::{Amounts, BadRows, Evaluated, NO_CELL, evaluate};
use crate::plan::{PrivatePlan, Quantity};
use crate::source::{self, Reader, Source};
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

    /// Asked before every chunk and every batch: an error if the rest is not wanted any more.
    fn go_on(&self) -> Result<(), FoldError> {
        Ok(())
    }
}

impl Sink for Tally {
    fn take(&mut self, _subject: u32, _keys: &[&str], parts: &[Sparse]) -> Result<(), FoldError> {
        self.add(parts).map_err(FoldError::Sums)
    }
}

impl Sink for KeyTally {
    fn take(&mut self, _subject: u32, keys: &[&str], parts: &[Sparse]) -> Result<(), FoldError> {
        self.add(keys, parts).map_err(FoldError::Sums)
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

    fn go_on(&self) -> Result<(), FoldError> {
        if (self.stop)() {
            Err(FoldError::Late)
        } else {
            Ok(())
        }
    }
}

/// One subject under way.
struct Walk<'a, S> {
    plan: &'a PrivatePlan,
    sink: &'a mut S,
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

impl<S: Sink> Walk<'_, S> {
    fn batch(&mut self, batch: &Batch) -> Result<(), FoldError> {
        self.sink.go_on()?;
        let evaluated = evaluate(self.plan, batch)?;
        for (i, subject) in batch.subjects.values().iter().enumerate() {
            if self.subject != Some(*subject) {
                self.visit_before(Some(*subject))?;
                self.finish()?;
                self.subject = Some(*subject);
            }
            if evaluated.matches.value(i) {
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
    fn visit_before(&mut self, subject: Option<u32>) -> Result<(), FoldError> {
        while let Some(next) = self.waiting.front().copied() {
            if subject.is_some_and(|subject| next > subject) {
                break;
            }
            self.waiting.pop_front();
            if subject != Some(next) {
                self.finish()?;
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
        let scale = crate::plan::COUNT_SCALE;
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
                    part.add(cell, step).map_err(FoldError::Sums)?;
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

    fn finish(&mut self) -> Result<(), FoldError> {
        if let Some(subject) = self.subject.take() {
            for (part, vector) in self.parts.iter_mut().zip(self.plan.vectors()) {
                let counts = match &vector.quantity {
                    Quantity::Everybody => true,
                    Quantity::Cut(_) => self.lost,
                    _ => false,
                };
                if counts {
                    part.set(0, crate::plan::COUNT_SCALE);
                }
            }
            let keys: Vec<&str> = self.keys.iter().map(String::as_str).collect();
            self.sink.take(subject, &keys, &self.parts)?;
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
        lost: false,
        waiting: VecDeque::new(),
        keys: Vec::new(),
        parts,
    };
    let cuts = source::cuts(source, plan.needs());
    let mut reader = Reader::new(source, plan.needs());
    let batch_rows = batch_rows.max(1);
    let chunk_rows = batch_rows.min(plan.relation().chunk_rows(plan.reads()));
    let batch_rows = batch_rows.min(plan.slice_rows());
    for piece in pieces {
        let Some(from) = cuts.get(piece) else { break };
        let end = cuts.get(piece + 1).map_or(1 << 32, |next| u64::from(*next));
        let mut piece = reader.piece(u64::from(*from), end)?;
        while let Some(chunk) = piece.chunk(chunk_rows) {
            // Also here: many chunks may give the relation no row.
            walk.sink.go_on()?;
            if plan.counts_everybody() {
                walk.waiting = source::subjects(&chunk).into();
            }
            let relation = plan.relation();
            let rows = relation.rows(&chunk, plan.reads(), plan.slice_rows())?;
            for start in (0..rows.len()).step_by(batch_rows) {
                walk.batch(&rows.slice(start, batch_rows.min(rows.len() - start)))?;
            }
            walk.visit_before(None)?;
        }
        walk.finish()?;
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
