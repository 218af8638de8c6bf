//! Row expressions over batches, with Arrow's kernels.
//!
//! Every part of an expression is computed for every row: nothing is skipped because of a value,
//! and no value makes an error. After each operation what is not a number becomes missing and
//! -0.0 becomes 0.0, so that comparisons see one zero and no NaN.

mod row;
mod slices;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type};
use arrow_array::{Array, StringArray};
use arrow_buffer::{BooleanBuffer, BooleanBufferBuilder, NullBuffer};

use crate::batch::Batch;
use crate::expr::Mask;
use crate::plan::{KeyColumn, KeyKind, PrivatePlan, Quantity};
pub(crate) use row::Row;
pub(crate) use slices::Slices;

/// Stored rows that do not have the form that their description promises. Says nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the stored rows do not have the form that the description gives them")]
pub(crate) struct BadRows;

/// A row outside every cell.
pub(crate) const NO_CELL: u32 = u32::MAX;

/// What one vector takes from each row.
pub(crate) enum Amounts {
    /// One count for each row, or for each row that is set.
    Ones(Option<BooleanBuffer>),
    /// One count for each cell that the subject touches.
    Once,
    /// Grid steps, at most 2^21 of them.
    Steps(Vec<i32>),
    /// One count in this part of the cell, for each row, or [`NO_CELL`] for none.
    Parts(Vec<u32>),
    /// The same, but one count for each cell and part that the subject touches.
    PartsOnce(Vec<u32>),
    /// One count for the subject, whatever its rows.
    Subject,
    /// One count for the subject if one of its counted rows is set, or if it lost rows.
    SubjectIf(BooleanBuffer),
}

/// What a batch gives, row by row.
pub(crate) struct Evaluated {
    /// The rows for which WHERE is TRUE.
    pub(crate) matches: BooleanBuffer,
    /// The cell of each row, or [`NO_CELL`].
    pub(crate) cells: Vec<u32>,
    /// The texts of the rows, where keys are found in them: then cells follow from these.
    pub(crate) texts: Option<StringArray>,
    /// By vector.
    pub(crate) amounts: Vec<Amounts>,
}

/// Evaluates a plan over a batch.
pub(crate) fn evaluate(plan: &PrivatePlan, batch: &Batch) -> Result<Evaluated, BadRows> {
    match plan.filter() {
        Some(filter) => matching(plan, batch, truth(&Row { batch }.bool(filter)?)),
        None => matching(plan, batch, BooleanBuffer::new_set(batch.len())),
    }
}

/// Evaluates a plan over a batch of which the rows that match are known.
pub(crate) fn matching(
    plan: &PrivatePlan,
    batch: &Batch,
    matches: BooleanBuffer,
) -> Result<Evaluated, BadRows> {
    let row = Row { batch };
    let mut cells = vec![0u32; batch.len()];
    for key in plan.keys() {
        add_key(&mut cells, key, &row)?;
    }
    let amounts = plan
        .vectors()
        .iter()
        .map(|vector| match &vector.quantity {
            Quantity::Rows(mask) => Ok(Amounts::Ones(present(&row, mask)?)),
            Quantity::Subjects => Ok(Amounts::Once),
            Quantity::Everybody => Ok(Amounts::Subject),
            Quantity::Cut(conditions) => {
                let mut any = BooleanBuffer::new_unset(batch.len());
                for condition in conditions {
                    any = &any | &truth(&row.bool(condition)?);
                }
                Ok(Amounts::SubjectIf(any))
            }
            Quantity::Present(column) => {
                let codes = batch.column(*column)?;
                let codes = codes.as_primitive_opt::<Int32Type>().ok_or(BadRows)?;
                let part = |i: usize, code: &i32| match u32::try_from(*code) {
                    Ok(code) if codes.is_valid(i) && code < vector.parts => code,
                    _ => NO_CELL,
                };
                let codes = codes.values().iter().enumerate();
                Ok(Amounts::PartsOnce(codes.map(|(i, c)| part(i, c)).collect()))
            }
            Quantity::Leaf {
                value,
                first_edge,
                width,
                leaves,
                together,
            } => {
                let values = row.num(value)?;
                let last = f64::from(leaves.saturating_sub(1));
                let part = |i: usize, v: f64| {
                    if values.is_null(i) {
                        return NO_CELL;
                    }
                    // A width of 0 has one leaf; a value beyond the edges is in the outermost.
                    let leaf = ((v - first_edge) / width).floor().clamp(0.0, last);
                    let leaf = if leaf.is_nan() { 0.0 } else { leaf };
                    leaf as u32 / together
                };
                let values = values.values().iter().enumerate();
                Ok(Amounts::Parts(values.map(|(i, v)| part(i, *v)).collect()))
            }
            Quantity::Sum {
                value,
                low,
                high,
                middle,
            } => {
                let scale = 2f64.powi(-vector.grid.exponent);
                let (low, high, middle) = (*low, *high, *middle);
                let clamped = |v: f64| {
                    let v = if v < low { low } else { v };
                    if v > high { high } else { v }
                };
                let values = row.num(value)?;
                let mut steps = vec![0; values.len()];
                for (step, v) in steps.iter_mut().zip(values.values().iter()) {
                    *step = rounded((clamped(*v) - middle) * scale);
                }
                without_missing(&mut steps, values.nulls(), 0);
                Ok(Amounts::Steps(steps))
            }
        })
        .collect::<Result<_, BadRows>>()?;
    let texts = match plan.found() {
        None => None,
        Some((column, _)) => {
            let texts = batch.column(column)?;
            Some(texts.as_string_opt::<i32>().ok_or(BadRows)?.clone())
        }
    };
    Ok(Evaluated {
        matches,
        cells,
        texts,
        amounts,
    })
}

/// TRUE only: FALSE and missing alike do not match.
pub(crate) fn truth(values: &arrow_array::BooleanArray) -> BooleanBuffer {
    match values.nulls() {
        Some(nulls) => values.values() & nulls.inner(),
        None => values.values().clone(),
    }
}

fn present(row: &Row<'_>, mask: &Mask) -> Result<Option<BooleanBuffer>, BadRows> {
    match mask {
        Mask::Everything => Ok(None),
        Mask::Columns(columns) => {
            let mut all = BooleanBuffer::new_set(row.batch.len());
            for column in columns {
                if let Some(nulls) = row.batch.column(*column)?.nulls() {
                    all = &all & nulls.inner();
                }
            }
            Ok(Some(all))
        }
        Mask::Expression(value) => Ok(Some(truth(&row.known(value)?))),
    }
}

/// Added to a number below 2^51 in absolute value it leaves no room for a fraction, so that the sum
/// is rounded to whole numbers, ties to even, and these are its lowest bits: of this number itself
/// the lowest 32 bits are 0.
const WHOLE: f64 = 6_755_399_441_055_744.0;

/// `round_ties_even` of a number within the grid's bound, which is at most 2^21. Anything else is
/// missing in what it comes from, and gives some number.
fn rounded(v: f64) -> i32 {
    // The low bits are kept on purpose.
    (v + WHOLE).to_bits() as i32
}

/// Puts a value where another is missing.
fn without_missing<T: Copy>(values: &mut [T], nulls: Option<&NullBuffer>, instead: T) {
    let Some(nulls) = nulls.filter(|n| n.null_count() > 0) else {
        return;
    };
    let words = nulls.inner().bit_chunks().iter_padded();
    for (values, word) in values.chunks_mut(64).zip(words) {
        for (bit, value) in values.iter_mut().enumerate() {
            *value = if word >> bit & 1 == 1 {
                *value
            } else {
                instead
            };
        }
    }
}

/// Goes one key further: the last key varies fastest. `index` is below the key's count, or the row
/// is in no cell.
fn go_on(cells: &mut [u32], indexes: impl Iterator<Item = u32>, count: u32) {
    for (cell, index) in cells.iter_mut().zip(indexes) {
        let known = (*cell != NO_CELL) & (index < count);
        // Keys times cells stay within the most cells of a plan, far below 32 bits; what is not
        // known may wrap.
        let next = cell.wrapping_mul(count).wrapping_add(index);
        *cell = if known { next } else { NO_CELL };
    }
}

fn add_key(cells: &mut [u32], key: &KeyColumn, row: &Row<'_>) -> Result<(), BadRows> {
    match &key.kind {
        KeyKind::Category(column) => {
            let codes = row.batch.column(*column)?;
            let codes = codes.as_primitive_opt::<Int32Type>().ok_or(BadRows)?;
            // No code is negative; such a one would be beyond all counts.
            go_on(cells, codes.values().iter().map(|c| *c as u32), key.count);
            without_missing(cells, codes.nulls(), NO_CELL);
        }
        KeyKind::Coded(column, places) => {
            let codes = row.batch.column(*column)?;
            let codes = codes.as_primitive_opt::<Int32Type>().ok_or(BadRows)?;
            let (missing, places) = places.split_last().ok_or(BadRows)?;
            let places = |(i, code): (usize, &i32)| {
                let known = usize::try_from(*code).ok().filter(|_| codes.is_valid(i));
                let place = known.map_or(*missing, |code| places.get(code).copied().flatten());
                place.unwrap_or(NO_CELL)
            };
            go_on(
                cells,
                codes.values().iter().enumerate().map(places),
                key.count,
            );
        }
        KeyKind::Integer(column, lowest) => {
            let numbers = row.batch.column(*column)?;
            let numbers = numbers.as_primitive_opt::<Float64Type>().ok_or(BadRows)?;
            // Stored integers lie within 2^53, so this is exact.
            let index = |v: &f64| {
                let index = u32::try_from((*v as i64).saturating_sub(*lowest));
                index.unwrap_or(NO_CELL)
            };
            go_on(cells, numbers.values().iter().map(index), key.count);
            without_missing(cells, numbers.nulls(), NO_CELL);
        }
        KeyKind::Listed(value, places) => {
            let numbers = row.num(value)?;
            let index = |v: &f64| {
                let found = places.binary_search_by(|(known, _)| known.total_cmp(v));
                let index = found.ok().and_then(|p| places.get(p)).map(|(_, n)| *n);
                index.unwrap_or(NO_CELL)
            };
            go_on(cells, numbers.values().iter().map(index), key.count);
            without_missing(cells, numbers.nulls(), NO_CELL);
        }
    }
    Ok(())
}

impl Evaluated {
    /// These rows, and then those of others.
    pub(crate) fn and(self, others: Vec<Evaluated>) -> Result<Evaluated, BadRows> {
        others.into_iter().try_fold(self, Evaluated::and_one)
    }

    fn and_one(mut self, other: Evaluated) -> Result<Evaluated, BadRows> {
        self.matches = after(&self.matches, &other.matches);
        self.cells.extend(other.cells);
        for (amounts, more) in self.amounts.iter_mut().zip(other.amounts) {
            match (amounts, more) {
                (Amounts::Ones(None), Amounts::Ones(None))
                | (Amounts::Once, Amounts::Once)
                | (Amounts::Subject, Amounts::Subject) => {}
                (Amounts::Ones(Some(rows)), Amounts::Ones(Some(more)))
                | (Amounts::SubjectIf(rows), Amounts::SubjectIf(more)) => {
                    *rows = after(rows, &more);
                }
                (Amounts::Steps(steps), Amounts::Steps(more)) => steps.extend(more),
                (Amounts::Parts(parts), Amounts::Parts(more))
                | (Amounts::PartsOnce(parts), Amounts::PartsOnce(more)) => parts.extend(more),
                // Of one plan all have the same form; texts are for who goes row by row.
                _ => return Err(BadRows),
            }
        }
        Ok(self)
    }
}

fn after(rows: &BooleanBuffer, more: &BooleanBuffer) -> BooleanBuffer {
    let mut all = BooleanBufferBuilder::new(rows.len() + more.len());
    all.append_buffer(rows);
    all.append_buffer(more);
    all.finish()
}
