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
use arrow_buffer::BooleanBuffer;

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
    /// Grid steps.
    Steps(Vec<i64>),
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
    let row = Row { batch };
    let matches = match plan.filter() {
        Some(filter) => truth(&row.bool(filter)?),
        None => BooleanBuffer::new_set(batch.len()),
    };
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
                let values = row.num(value)?;
                let scale = 2f64.powi(-vector.grid.exponent);
                let step = |i: usize, v: f64| {
                    if values.is_null(i) {
                        return 0;
                    }
                    // Within the grid's bound, which is below 2^22.
                    ((v.clamp(*low, *high) - middle) * scale).round_ties_even() as i64
                };
                let steps = values.values().iter().enumerate().map(|(i, v)| step(i, *v));
                Ok(Amounts::Steps(steps.collect()))
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

/// Goes one key further: the last key varies fastest.
fn add_key(cells: &mut [u32], key: &KeyColumn, row: &Row<'_>) -> Result<(), BadRows> {
    let mut put = |i: usize, index: Option<u32>| {
        if let Some(cell) = cells.get_mut(i) {
            let known = *cell != NO_CELL;
            // Keys times cells stay within the most cells of a plan, far below 32 bits.
            *cell = match index.filter(|n| known && *n < key.count) {
                Some(index) => *cell * key.count + index,
                None => NO_CELL,
            };
        }
    };
    match &key.kind {
        KeyKind::Category(column) => {
            let codes = row.batch.column(*column)?;
            let codes = codes.as_primitive_opt::<Int32Type>().ok_or(BadRows)?;
            for (i, code) in codes.values().iter().enumerate() {
                put(i, u32::try_from(*code).ok().filter(|_| codes.is_valid(i)));
            }
        }
        KeyKind::Coded(column, places) => {
            let codes = row.batch.column(*column)?;
            let codes = codes.as_primitive_opt::<Int32Type>().ok_or(BadRows)?;
            let (missing, places) = places.split_last().ok_or(BadRows)?;
            for (i, code) in codes.values().iter().enumerate() {
                let known = usize::try_from(*code).ok().filter(|_| codes.is_valid(i));
                let place = known.map_or(*missing, |code| places.get(code).copied().flatten());
                put(i, place);
            }
        }
        KeyKind::Integer(column, lowest) => {
            let numbers = row.batch.column(*column)?;
            let numbers = numbers.as_primitive_opt::<Float64Type>().ok_or(BadRows)?;
            // Stored integers lie within 2^53, so this is exact.
            let index = |v: f64| u32::try_from((v as i64).saturating_sub(*lowest)).ok();
            for (i, v) in numbers.values().iter().enumerate() {
                put(i, index(*v).filter(|_| numbers.is_valid(i)));
            }
        }
        KeyKind::Listed(value, places) => {
            let numbers = row.num(value)?;
            for (i, v) in numbers.values().iter().enumerate() {
                let found = places.binary_search_by(|(known, _)| known.total_cmp(v));
                let index = found.ok().and_then(|p| places.get(p)).map(|(_, n)| *n);
                put(i, index.filter(|_| numbers.is_valid(i)));
            }
        }
    }
    Ok(())
}
