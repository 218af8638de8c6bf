//! One cell: from what the file has to what the description says.

use std::collections::HashMap;

use obscura_model::calendar;
use obscura_model::schema::{Column, Domain};

use super::RawColumn;

/// What the file has in a cell.
pub(super) enum Cell<'a> {
    Missing,
    Text(&'a str),
    Number(f64),
    Truth(bool),
    /// Days since 1970-01-01.
    Day(i32),
}

/// Why a cell was refused; place and column are added by the reader.
pub(super) type Refused = &'static str;

const MISSING: Refused = "the value is missing, and the description says that it never is; \
    complete it or set may_be_missing";
const NOT_NUMBER: Refused = "this is not a number; correct it or change the column's type";
const NOT_WHOLE: Refused = "this is not a whole number; correct it or describe the column as \
    type number";
const NOT_BOOLEAN: Refused = "this is neither true nor false; use true, false, 1, 0, yes or no";

const NOT_DATE: Refused = "this is not a day; write it as 2026-01-31";
const TOO_LONG: Refused = "the text is longer than the description says; correct it or raise \
    most_characters";

/// The declared positions of a category's texts.
pub(super) type Labels<'a> = HashMap<&'a str, usize>;

/// The texts of a column, if it is a category.
pub(super) fn labels(column: &Column) -> Labels<'_> {
    match &column.domain {
        Domain::Category { values, other: _ } => values
            .iter()
            .enumerate()
            .map(|(i, v)| (v.as_str(), i))
            .collect(),
        Domain::Integer { .. }
        | Domain::Number { .. }
        | Domain::Boolean
        | Domain::Date { .. }
        | Domain::Text { .. } => Labels::new(),
    }
}

impl RawColumn {
    pub(super) fn of(domain: &Domain) -> Self {
        match domain {
            Domain::Integer { .. } | Domain::Number { .. } | Domain::Date { .. } => {
                RawColumn::Number(Vec::new())
            }
            Domain::Category { .. } => RawColumn::Category(Vec::new()),
            Domain::Boolean => RawColumn::Boolean(Vec::new()),
            Domain::Text { .. } => RawColumn::Text(Vec::new()),
        }
    }

    /// Adds a cell, or says why not.
    pub(super) fn push(
        &mut self,
        column: &Column,
        labels: &Labels<'_>,
        cell: &Cell<'_>,
    ) -> Result<(), Refused> {
        match (self, &column.domain) {
            (RawColumn::Number(values), Domain::Integer { lowest, highest }) => {
                let value = number(cell)?;
                if value.is_some_and(|v| v.is_finite() && v.fract() != 0.0) {
                    return Err(NOT_WHOLE);
                }
                let bounded = bounded(value, *lowest as f64, *highest as f64);
                values.push(required(column, bounded)?);
            }
            (RawColumn::Number(values), Domain::Number { lowest, highest }) => {
                values.push(required(column, bounded(number(cell)?, *lowest, *highest))?);
            }
            (RawColumn::Category(codes), Domain::Category { values: _, other }) => {
                codes.push(category(column, labels, *other, cell)?);
            }
            (RawColumn::Boolean(values), Domain::Boolean) => {
                values.push(required(column, truth(cell)?)?);
            }
            (RawColumn::Number(values), Domain::Date { first, last }) => {
                let bounded = bounded(day(cell)?, f64::from(*first), f64::from(*last));
                values.push(required(column, bounded)?);
            }
            (RawColumn::Text(values), Domain::Text { most_characters }) => {
                values.push(required(column, free_text(cell, *most_characters)?)?);
            }
            // A column is made from its domain, so the two agree.
            _ => return Err("the column has another type than its description"),
        }
        Ok(())
    }
}

fn required<T>(column: &Column, value: Option<T>) -> Result<Option<T>, Refused> {
    if value.is_none() && !column.may_be_missing {
        Err(MISSING)
    } else {
        Ok(value)
    }
}

/// Moves a number, infinity included, to the nearest bound; -0.0 becomes 0.0.
fn bounded(value: Option<f64>, lowest: f64, highest: f64) -> Option<f64> {
    value.map(|v| v.clamp(lowest, highest) + 0.0)
}

fn is_missing(text: &str) -> bool {
    text.is_empty() || text.eq_ignore_ascii_case("null") || text.eq_ignore_ascii_case("nan")
}

fn number(cell: &Cell<'_>) -> Result<Option<f64>, Refused> {
    let value = match cell {
        Cell::Missing => None,
        Cell::Text(text) if is_missing(text.trim()) => None,
        Cell::Text(text) => Some(text.trim().parse::<f64>().map_err(|_| NOT_NUMBER)?),
        Cell::Number(v) => Some(*v),
        Cell::Truth(_) | Cell::Day(_) => return Err(NOT_NUMBER),
    };
    Ok(value.filter(|v| !v.is_nan()))
}

/// Days since 1970-01-01. A time of day after the date is left out.
fn day(cell: &Cell<'_>) -> Result<Option<f64>, Refused> {
    match cell {
        Cell::Missing => Ok(None),
        Cell::Text(text) if is_missing(text.trim()) => Ok(None),
        Cell::Text(text) => {
            let text = text.trim();
            let date = match text.split_once(['T', ' ']) {
                Some((date, _)) => date,
                None => text,
            };
            let day = calendar::parse(date).ok_or(NOT_DATE)?;
            Ok(Some(f64::from(day)))
        }
        Cell::Number(v) if v.is_nan() => Ok(None),
        Cell::Day(days) => Ok(Some(f64::from(*days))),
        Cell::Number(_) | Cell::Truth(_) => Err(NOT_DATE),
    }
}

/// A text as it is written; only one of nothing but white space is missing.
fn free_text(cell: &Cell<'_>, most: u32) -> Result<Option<String>, Refused> {
    let text = match cell {
        Cell::Missing => return Ok(None),
        Cell::Text(text) if text.trim().is_empty() => return Ok(None),
        Cell::Text(text) => (*text).to_owned(),
        Cell::Number(v) => v.to_string(),
        Cell::Truth(v) => v.to_string(),
        Cell::Day(days) => calendar::label(*days),
    };
    let fits = text.chars().nth(most as usize).is_none();
    if fits { Ok(Some(text)) } else { Err(TOO_LONG) }
}

fn truth(cell: &Cell<'_>) -> Result<Option<bool>, Refused> {
    match cell {
        Cell::Missing => Ok(None),
        Cell::Truth(value) => Ok(Some(*value)),
        Cell::Number(v) if *v == 0.0 => Ok(Some(false)),
        Cell::Number(v) if *v == 1.0 => Ok(Some(true)),
        Cell::Number(v) if v.is_nan() => Ok(None),
        Cell::Number(_) | Cell::Day(_) => Err(NOT_BOOLEAN),
        Cell::Text(text) => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "1" | "t" | "yes" => Ok(Some(true)),
            "false" | "0" | "f" | "no" => Ok(Some(false)),
            other if is_missing(other) => Ok(None),
            _ => Err(NOT_BOOLEAN),
        },
    }
}

/// The declared position. A text that is not on the list becomes `other` if there is one, and is
/// missing otherwise, whatever the description says about missing values.
fn category(
    column: &Column,
    labels: &Labels<'_>,
    other: Option<usize>,
    cell: &Cell<'_>,
) -> Result<Option<i32>, Refused> {
    let written;
    let text = match cell {
        Cell::Missing => return required(column, None),
        Cell::Text(text) => *text,
        Cell::Number(v) => {
            written = format!("{v}");
            written.as_str()
        }
        Cell::Day(days) => {
            written = calendar::label(*days);
            written.as_str()
        }
        Cell::Truth(v) => {
            if *v {
                "true"
            } else {
                "false"
            }
        }
    };
    let find = |t: &str| labels.get(t).copied();
    let found = find(text).or_else(|| find(text.trim()));
    if found.is_none() && is_missing(text.trim()) {
        return required(column, None);
    }
    // A list has at most 10,000 entries.
    Ok(found.or(other).and_then(|p| i32::try_from(p).ok()))
}

/// The one form of a subject id: without white space around it, lower case. Nothing if it is
/// missing.
pub(super) fn normalised_id(text: &str) -> Option<String> {
    let id = text.trim().to_lowercase();
    if is_missing(&id) { None } else { Some(id) }
}
