//! Column by column: what many subjects add, without a step of its own for each row and vector.
//!
//! Rows come in batches of whole subjects. Each vector's numbers are computed for all rows of a
//! batch, and added for all rows of a batch, in loops that do one thing. What comes out is what the
//! walk row by row gives; tests hold the two against each other.

use arrow_buffer::{BooleanBuffer, BooleanBufferBuilder};
use obscura_privacy::{Many, NOWHERE};

use super::{Fold, FoldError, Sink};
use crate::batch::{Batch, set};
use crate::eval::{Amounts, Evaluated, NO_CELL, Slices, evaluate, matching};
use crate::plan::{COUNT_SCALE, PrivatePlan};
use crate::runs::Runs;

/// Cells are places of vectors with one number for each, so that no cell is nowhere.
const _: () = assert!(NO_CELL == NOWHERE);

/// The fold of a plan whose keys are declared.
pub(crate) struct Columns<'a> {
    plan: &'a PrivatePlan,
    batch_rows: usize,
    many: Many,
    /// One count for each row, of a batch or more.
    ones: Vec<i32>,
}

impl Fold for Columns<'_> {
    fn rows<S: Sink>(
        &mut self,
        rows: &Batch,
        everybody: Option<Vec<u32>>,
        sink: &mut S,
    ) -> Result<(), FoldError> {
        let rows = match (everybody, self.plan.filter(), self.plan.of_matching()) {
            (Some(all), _, _) => Batch {
                runs: rows.runs.among(&all),
                columns: rows.columns.clone(),
            },
            (None, Some(filter), Some(columns)) => {
                // What does not match is left out before anything else is done.
                let batch = rows;
                let rows = self.plan.slice_rows();
                let matches = Slices { batch, rows }.matches(filter)?;
                batch.only(|c| columns.contains(&c)).filtered(&matches)?
            }
            (None, _, _) => rows.clone(),
        };
        let people = rows.runs.subjects().len();
        let mut from = 0;
        while from < people {
            let to = rows.runs.until(from, self.batch_rows);
            sink.go_on()?;
            self.batch(&rows.people(from..to))?;
            sink.take_many(&mut self.many)?;
            from = to;
        }
        Ok(())
    }
}

/// The rows of a batch that count.
struct Counted {
    rows: BooleanBuffer,
    /// Whether all of the batch do.
    all: bool,
    /// By position, who lost matching rows to the most that count; nobody if it is empty.
    lost: Vec<bool>,
}

impl<'a> Columns<'a> {
    pub(crate) fn new(plan: &'a PrivatePlan, batch_rows: usize) -> Self {
        Self {
            plan,
            batch_rows: batch_rows.max(1),
            many: Many::new(&plan.shape().vectors, plan.shape().cells()),
            ones: Vec::new(),
        }
    }

    /// Whole subjects.
    fn batch(&mut self, batch: &Batch) -> Result<(), FoldError> {
        let Evaluated {
            matches,
            mut cells,
            texts: _,
            amounts,
        } = self.evaluate(batch)?;
        let counted = counted(&batch.runs, matches, self.plan.most_rows() as usize);
        if !counted.all {
            leave_out(&mut cells, &counted.rows);
        }
        // A relation's rows of a chunk are far fewer than 32 bits.
        let ends = batch.runs.iter().map(|(s, run)| (s, run.end as u32));
        self.many.begin(ends);
        // Places of parts follow from cells, which are replaced by slots: so they come first.
        for (vector, amounts) in amounts.iter().enumerate() {
            if let Amounts::Parts(parts) | Amounts::PartsOnce(parts) = amounts {
                let parts = places(
                    &cells,
                    parts,
                    self.plan.vectors().get(vector).map(|v| v.parts),
                );
                self.parts(vector, parts, matches!(amounts, Amounts::Parts(_)))
                    .map_err(FoldError::Sums)?;
            }
        }
        self.many.cells(&mut cells).map_err(FoldError::Sums)?;
        for (vector, amounts) in amounts.iter().enumerate() {
            self.add(vector, amounts, &batch.runs, &counted)
                .map_err(FoldError::Sums)?;
        }
        self.add_rows(&amounts, &cells).map_err(FoldError::Sums)
    }

    /// What each row adds in its cell.
    fn add_rows(
        &mut self,
        amounts: &[Amounts],
        slots: &[u32],
    ) -> Result<(), obscura_privacy::FoldError> {
        self.ones.resize(slots.len(), COUNT_SCALE);
        let one = |present: bool| if present { COUNT_SCALE } else { 0 };
        let present = amounts.iter().map(|amounts| match amounts {
            Amounts::Ones(Some(present)) => present.iter().map(one).collect(),
            _ => Vec::new(),
        });
        let present: Vec<Vec<i32>> = present.collect();
        let steps = amounts.iter().zip(&present).enumerate();
        let steps = steps.filter_map(|(vector, (amounts, present))| match amounts {
            Amounts::Ones(None) => Some((vector, self.ones.as_slice())),
            Amounts::Ones(Some(_)) => Some((vector, present)),
            Amounts::Steps(steps) => Some((vector, steps)),
            Amounts::Once
            | Amounts::Parts(_)
            | Amounts::PartsOnce(_)
            | Amounts::Subject
            | Amounts::SubjectIf(_) => None,
        });
        let steps: Vec<(usize, &[i32])> = steps.collect();
        self.many.add_all(slots, &steps)
    }

    /// Over no more rows at once than the plan allows.
    fn evaluate(&self, batch: &Batch) -> Result<Evaluated, FoldError> {
        let slice = self.plan.slice_rows();
        let evaluate = |batch: &Batch| match self.plan.of_matching() {
            Some(_) => matching(self.plan, batch, BooleanBuffer::new_set(batch.len())),
            None => evaluate(self.plan, batch),
        };
        let first = evaluate(&batch.slice(0, slice.min(batch.len())))?;
        let starts = (0..batch.len()).step_by(slice).skip(1);
        let further = starts.map(|start| {
            let slice = batch.slice(start, slice.min(batch.len() - start));
            evaluate(&slice)
        });
        let further = further.collect::<Result<Vec<Evaluated>, _>>()?;
        Ok(if further.is_empty() {
            first
        } else {
            first.and(further)?
        })
    }

    fn parts(
        &mut self,
        vector: usize,
        mut places: Vec<u32>,
        each_row: bool,
    ) -> Result<(), obscura_privacy::FoldError> {
        self.many.parts(vector, &mut places)?;
        if each_row {
            self.many.count(vector, &places, COUNT_SCALE)
        } else {
            self.many.once(vector, COUNT_SCALE)
        }
    }

    /// What each subject adds, once in a cell or once at all.
    fn add(
        &mut self,
        vector: usize,
        amounts: &Amounts,
        runs: &Runs,
        counted: &Counted,
    ) -> Result<(), obscura_privacy::FoldError> {
        let many = &mut self.many;
        match amounts {
            Amounts::Once => many.once(vector, COUNT_SCALE),
            // Added before, or with all rows.
            Amounts::Parts(_) | Amounts::PartsOnce(_) | Amounts::Ones(_) | Amounts::Steps(_) => {
                Ok(())
            }
            Amounts::Subject => many.people(vector, COUNT_SCALE, |_| true),
            Amounts::SubjectIf(rows) => {
                let rows = &counted.rows & rows;
                let has: Vec<bool> = runs.iter().map(|(_, run)| set(&rows, run) > 0).collect();
                let is = |list: &[bool], person: usize| list.get(person).copied().unwrap_or(false);
                many.people(vector, COUNT_SCALE, |person| {
                    is(&has, person) || is(&counted.lost, person)
                })
            }
        }
    }
}

/// Of each subject the first matching rows, at most as many as count.
fn counted(runs: &Runs, matches: BooleanBuffer, most: usize) -> Counted {
    if runs.longest() <= most {
        return Counted {
            all: matches.count_set_bits() == matches.len(),
            rows: matches,
            lost: Vec::new(),
        };
    }
    let mut rows = BooleanBufferBuilder::new(matches.len());
    let mut lost = Vec::with_capacity(runs.subjects().len());
    for (_, run) in runs.iter() {
        let mut found = 0;
        for row in run {
            let matches = matches.value(row);
            rows.append(matches && found < most);
            found += usize::from(matches);
        }
        lost.push(found > most);
    }
    let rows = rows.finish();
    Counted {
        all: rows.count_set_bits() == rows.len(),
        rows,
        lost,
    }
}

/// Rows that do not count are in no cell.
fn leave_out(cells: &mut [u32], counted: &BooleanBuffer) {
    for (cells, word) in cells.chunks_mut(64).zip(counted.bit_chunks().iter_padded()) {
        for (bit, cell) in cells.iter_mut().enumerate() {
            // All bits where the row's is not set.
            *cell |= ((word >> bit) as u32 & 1).wrapping_sub(1);
        }
    }
}

/// The places of rows in a vector with several parts.
fn places(cells: &[u32], parts: &[u32], count: Option<u32>) -> Vec<u32> {
    let count = count.unwrap_or(0);
    let place = |(cell, part): (&u32, &u32)| match *cell != NO_CELL && *part < count {
        // A vector has at most as many numbers as a plan may have, far below 32 bits.
        true => cell * count + part,
        false => NOWHERE,
    };
    cells.iter().zip(parts).map(place).collect()
}
