//! Row expressions over batches, with Arrow's kernels.
//!
//! Every part of an expression is computed for every row: nothing is skipped because of a value,
//! and no value makes an error. After each operation what is not a number becomes missing and
//! -0.0 becomes 0.0, so that comparisons see one zero and no NaN.

mod row;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type};
use arrow_array::{Array, ArrayRef};
use arrow_buffer::BooleanBuffer;

use crate::batch::Batch;
use crate::expr::Mask;
use crate::plan::{KeyColumn, KeyKind, PrivatePlan, Quantity};
pub(crate) use row::Row;

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
}

/// What a batch gives, row by row.
pub(crate) struct Evaluated {
    /// The rows for which WHERE is TRUE.
    pub(crate) matches: BooleanBuffer,
    /// The cell of each row, or [`NO_CELL`].
    pub(crate) cells: Vec<u32>,
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
        add_key(&mut cells, key, batch.column(key.column)?)?;
    }
    let amounts = plan
        .vectors()
        .iter()
        .map(|vector| match &vector.quantity {
            Quantity::Rows(mask) => Ok(Amounts::Ones(present(&row, mask)?)),
            Quantity::Subjects => Ok(Amounts::Once),
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
    Ok(Evaluated {
        matches,
        cells,
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
fn add_key(cells: &mut [u32], key: &KeyColumn, column: &ArrayRef) -> Result<(), BadRows> {
    let nulls = column.nulls();
    let mut put = |i: usize, index: Option<u32>| {
        if let Some(cell) = cells.get_mut(i) {
            let known = nulls.is_none_or(|n| n.is_valid(i)) && *cell != NO_CELL;
            // Keys times cells stay within the most cells of a plan, far below 32 bits.
            *cell = match index.filter(|n| known && *n < key.count) {
                Some(index) => *cell * key.count + index,
                None => NO_CELL,
            };
        }
    };
    match key.kind {
        KeyKind::Category => {
            let codes = column.as_primitive_opt::<Int32Type>().ok_or(BadRows)?;
            codes
                .values()
                .iter()
                .enumerate()
                .for_each(|(i, c)| put(i, u32::try_from(*c).ok()));
        }
        KeyKind::Boolean => {
            let truths = column.as_boolean_opt().ok_or(BadRows)?;
            truths
                .values()
                .iter()
                .enumerate()
                .for_each(|(i, b)| put(i, Some(u32::from(b))));
        }
        KeyKind::Integer(lowest) => {
            let numbers = column.as_primitive_opt::<Float64Type>().ok_or(BadRows)?;
            // Stored integers lie within 2^53, so this is exact.
            let index = |v: f64| u32::try_from((v as i64).saturating_sub(lowest)).ok();
            numbers
                .values()
                .iter()
                .enumerate()
                .for_each(|(i, v)| put(i, index(*v)));
        }
    }
    Ok(())
}
