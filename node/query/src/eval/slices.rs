//! Expressions over batches of any length, so many rows at a time: every array of texts on the way
//! has the texts of one slice only.

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef, BooleanArray, Float64Array};
use arrow_buffer::BooleanBuffer;
use arrow_select::concat::concat;

use super::{BadRows, Batch, Row, truth};
use crate::expr::{Any, Bool, Num};

/// Evaluates over a batch in slices of at most `rows` rows. Every rule is of one row, so what it
/// gives does not depend on `rows`.
pub(crate) struct Slices<'a> {
    pub(crate) batch: &'a Batch,
    pub(crate) rows: usize,
}

impl Slices<'_> {
    /// A number for each row.
    pub(crate) fn num(&self, value: &Num) -> Result<Float64Array, BadRows> {
        let all = self.each(|row| row.num(value))?;
        all.as_primitive_opt::<Float64Type>()
            .cloned()
            .ok_or(BadRows)
    }

    /// TRUE, FALSE or missing for each row.
    pub(crate) fn bool(&self, value: &Bool) -> Result<BooleanArray, BadRows> {
        let all = self.each(|row| row.bool(value))?;
        all.as_boolean_opt().cloned().ok_or(BadRows)
    }

    /// The rows for which a condition is TRUE.
    pub(crate) fn matches(&self, condition: &Bool) -> Result<BooleanBuffer, BadRows> {
        Ok(truth(&self.bool(condition)?))
    }

    /// Whether a value is not missing, for each row.
    pub(crate) fn known(&self, value: &Any) -> Result<BooleanArray, BadRows> {
        let all = self.each(|row| row.known(value))?;
        all.as_boolean_opt().cloned().ok_or(BadRows)
    }

    fn each<A: Array + 'static>(
        &self,
        part: impl Fn(Row<'_>) -> Result<A, BadRows>,
    ) -> Result<ArrayRef, BadRows> {
        let (len, rows) = (self.batch.len(), self.rows.max(1));
        if len <= rows {
            return Ok(std::sync::Arc::new(part(Row { batch: self.batch })?));
        }
        let starts = (0..len).step_by(rows);
        let parts = starts.map(|start| {
            let batch = self.batch.slice(start, rows.min(len - start));
            part(Row { batch: &batch })
        });
        let parts = parts.collect::<Result<Vec<A>, BadRows>>()?;
        let parts: Vec<&dyn Array> = parts.iter().map(|a| a as &dyn Array).collect();
        concat(&parts).map_err(|_| BadRows)
    }
}
