//! One value from a subject's rows: folds inside the fold.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{Array, ArrayRef, BooleanArray, Float64Array, Int32Array};
use arrow_buffer::NullBufferBuilder;
use obscura_model::schema::Domain;

use super::{PersonAggregate, number};
use crate::batch::{Batch, set};
use crate::eval::{BadRows, Slices};
use crate::expr::Any;
use crate::runs::Runs;

impl PersonAggregate {
    /// One value for each subject. Expressions are evaluated over `slice` rows at once.
    pub(super) fn values(
        &self,
        rows: &Batch,
        domain: &Domain,
        slice: usize,
    ) -> Result<ArrayRef, BadRows> {
        let row = Slices {
            batch: rows,
            rows: slice,
        };
        let runs = &rows.runs;
        match self {
            PersonAggregate::Rows => Ok(counted(runs, |run| run.len())),
            PersonAggregate::Known(value) => {
                let known = row.known(value)?;
                Ok(counted(runs, |run| set(known.values(), run)))
            }
            PersonAggregate::Different(value) => {
                let numbers = number_or_code(&row, value)?;
                let mut sorted: Vec<f64> = Vec::new();
                let count = |known: &[f64]| {
                    sorted.clear();
                    sorted.extend_from_slice(known);
                    sorted.sort_unstable_by(f64::total_cmp);
                    sorted.dedup();
                    Some(sorted.len() as f64)
                };
                Ok(Arc::new(folded(&numbers, runs, count)))
            }
            PersonAggregate::Sum(value) => {
                let bounds = bounds(domain);
                let sum = |known: &[f64]| {
                    let sum = known.iter().copied().reduce(|a, b| a + b)?;
                    // Rounding must not leave the bounds that others rely on.
                    Some(sum.clamp(bounds.0, bounds.1) + 0.0)
                };
                Ok(Arc::new(folded(&row.num(value)?, runs, sum)))
            }
            PersonAggregate::Average(value) => {
                let bounds = bounds(domain);
                let average = |known: &[f64]| {
                    let sum = known.iter().copied().reduce(|a, b| a + b)?;
                    Some((sum / known.len() as f64).clamp(bounds.0, bounds.1) + 0.0)
                };
                Ok(Arc::new(folded(&row.num(value)?, runs, average)))
            }
            PersonAggregate::Least(value) => extreme(&row, value, runs, f64::min),
            PersonAggregate::Greatest(value) => extreme(&row, value, runs, f64::max),
            PersonAggregate::Some(value) => Ok(Arc::new(decided(&row.bool(value)?, runs, true))),
            PersonAggregate::Every(value) => Ok(Arc::new(decided(&row.bool(value)?, runs, false))),
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

fn counted(runs: &Runs, count: impl Fn(Range<usize>) -> usize) -> ArrayRef {
    let counts = runs.iter().map(|(_, run)| count(run) as f64);
    Arc::new(Float64Array::from_iter_values(counts))
}

/// `from` gives a value from the known numbers of each subject, in stored order.
fn folded(
    numbers: &Float64Array,
    runs: &Runs,
    mut from: impl FnMut(&[f64]) -> Option<f64>,
) -> Float64Array {
    let mut values = Vec::with_capacity(runs.subjects().len());
    let mut missing = NullBufferBuilder::new(values.capacity());
    let mut known: Vec<f64> = Vec::new();
    for (_, run) in runs.iter() {
        let own = numbers.values().get(run.clone()).unwrap_or_default();
        let value = match numbers.nulls() {
            None => from(own),
            Some(nulls) => {
                known.clear();
                let valid = own.iter().zip(run).filter(|(_, i)| nulls.is_valid(*i));
                known.extend(valid.map(|(v, _)| *v));
                from(&known)
            }
        };
        values.push(value.unwrap_or(0.0));
        missing.append(value.is_some());
    }
    Float64Array::new(values.into(), missing.finish())
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
    runs: &Runs,
    pick: fn(f64, f64) -> f64,
) -> Result<ArrayRef, BadRows> {
    let numbers = number_or_code(row, value)?;
    let found = folded(&numbers, runs, |known| known.iter().copied().reduce(pick));
    Ok(match value {
        // Codes are small whole numbers.
        Any::Category(_) => Arc::new(Int32Array::from_iter(
            found.iter().map(|v| v.map(|v| v as i32)),
        )),
        _ => Arc::new(found),
    })
}

/// Whether some known condition is `wanted`, as BOOL_OR (true) and BOOL_AND (false) decide.
fn decided(values: &BooleanArray, runs: &Runs, wanted: bool) -> BooleanArray {
    let runs = runs.iter().map(|(_, run)| {
        let mut known = run.filter(|i| values.is_valid(*i)).peekable();
        known.peek()?;
        let found = known.any(|i| values.value(i) == wanted);
        Some(found == wanted)
    });
    BooleanArray::from_iter(runs)
}
