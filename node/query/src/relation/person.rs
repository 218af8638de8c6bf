//! One value from a subject's rows: folds inside the fold.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{Array, ArrayRef, BooleanArray, Float64Array, Int32Array};
use obscura_model::schema::Domain;

use super::{PersonAggregate, number};
use crate::batch::Batch;
use crate::eval::{BadRows, Slices};
use crate::expr::Any;

impl PersonAggregate {
    /// One value for each run of rows between two neighbours of `starts`. Expressions are evaluated
    /// over `slice` rows at once.
    pub(super) fn values(
        &self,
        rows: &Batch,
        starts: &[usize],
        domain: &Domain,
        slice: usize,
    ) -> Result<ArrayRef, BadRows> {
        let row = Slices {
            batch: rows,
            rows: slice,
        };
        match self {
            PersonAggregate::Rows => Ok(counted(starts, |_| true)),
            PersonAggregate::Known(value) => {
                let known = row.known(value)?;
                Ok(counted(starts, |i| known.value(i)))
            }
            PersonAggregate::Different(value) => {
                let numbers = number_or_code(&row, value)?;
                let count = |known: &mut Vec<f64>| {
                    known.sort_unstable_by(f64::total_cmp);
                    known.dedup();
                    Some(known.len() as f64)
                };
                Ok(Arc::new(folded(&numbers, starts, count)))
            }
            PersonAggregate::Sum(value) => {
                let bounds = bounds(domain);
                let sum = |known: &mut Vec<f64>| {
                    let sum = known.iter().copied().reduce(|a, b| a + b)?;
                    // Rounding must not leave the bounds that others rely on.
                    Some(sum.clamp(bounds.0, bounds.1) + 0.0)
                };
                Ok(Arc::new(folded(&row.num(value)?, starts, sum)))
            }
            PersonAggregate::Average(value) => {
                let bounds = bounds(domain);
                let average = |known: &mut Vec<f64>| {
                    let sum = known.iter().copied().reduce(|a, b| a + b)?;
                    Some((sum / known.len() as f64).clamp(bounds.0, bounds.1) + 0.0)
                };
                Ok(Arc::new(folded(&row.num(value)?, starts, average)))
            }
            PersonAggregate::Least(value) => extreme(&row, value, starts, f64::min),
            PersonAggregate::Greatest(value) => extreme(&row, value, starts, f64::max),
            PersonAggregate::Some(value) => Ok(Arc::new(decided(&row.bool(value)?, starts, true))),
            PersonAggregate::Every(value) => {
                Ok(Arc::new(decided(&row.bool(value)?, starts, false)))
            }
        }
    }
}

fn bounds(domain: &Domain) -> (f64, f64) {
    match domain {
        Domain::Integer { lowest, highest } => (*lowest as f64, *highest as f64),
        Domain::Number { lowest, highest } => (*lowest, *highest),
        Domain::Date { first, last } => (f64::from(*first), f64::from(*last)),
        Domain::Category { .. } | Domain::Boolean | Domain::Text { .. } => {
            (f64::NEG_INFINITY, f64::INFINITY)
        }
    }
}

fn counted(starts: &[usize], counts: impl Fn(usize) -> bool) -> ArrayRef {
    let runs = starts.windows(2).map(|run| match run {
        [start, end] => (*start..*end).filter(|i| counts(*i)).count() as f64,
        _ => 0.0,
    });
    Arc::new(Float64Array::from_iter_values(runs))
}

/// `from` gives a value from the known numbers of each subject, in stored order.
fn folded(
    numbers: &Float64Array,
    starts: &[usize],
    from: impl Fn(&mut Vec<f64>) -> Option<f64>,
) -> Float64Array {
    let mut known: Vec<f64> = Vec::new();
    let runs = starts.windows(2).map(|run| {
        known.clear();
        if let [start, end] = run {
            let valid = (*start..*end).filter(|i| numbers.is_valid(*i));
            known.extend(valid.map(|i| numbers.value(i)));
        }
        from(&mut known)
    });
    Float64Array::from_iter(runs)
}

/// Numbers as they are; categories as their declared positions.
fn number_or_code(row: &Slices<'_>, value: &Any) -> Result<Float64Array, BadRows> {
    match (number(value), value) {
        (Some(number), _) => row.num(number),
        (None, Any::Category(column)) => {
            let codes = row.batch.column(*column)?.as_primitive_opt::<Int32Type>();
            Ok(codes.ok_or(BadRows)?.unary(f64::from))
        }
        _ => Err(BadRows),
    }
}

fn extreme(
    row: &Slices<'_>,
    value: &Any,
    starts: &[usize],
    pick: fn(f64, f64) -> f64,
) -> Result<ArrayRef, BadRows> {
    let numbers = number_or_code(row, value)?;
    let found = folded(&numbers, starts, |known| known.iter().copied().reduce(pick));
    Ok(match value {
        // Codes are small whole numbers.
        Any::Category(_) => Arc::new(Int32Array::from_iter(
            found.iter().map(|v| v.map(|v| v as i32)),
        )),
        _ => Arc::new(found),
    })
}

/// Whether some known condition is `wanted`, as BOOL_OR (true) and BOOL_AND (false) decide.
fn decided(values: &BooleanArray, starts: &[usize], wanted: bool) -> BooleanArray {
    let runs = starts.windows(2).map(|run| {
        let [start, end] = run else { return None };
        let mut known = (*start..*end).filter(|i| values.is_valid(*i)).peekable();
        known.peek()?;
        let found = known.any(|i| values.value(i) == wanted);
        Some(found == wanted)
    });
    BooleanArray::from_iter(runs)
}
