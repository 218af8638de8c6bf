//! One cell: from what the file has to what the description says.

use std::borrow::Cow;
use std::collections::HashMap;

use obscura_model::calendar;
use obscura_model::schema::{Column, Domain};

use super::row::Value;

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

/// What a cell says, or why it is refused; nothing if the value is missing.
pub(super) fn checked<'c>(
    column: &Column,
    labels: &Labels<'_>,
    cell: &Cell<'c>,
) -> Result<Option<Value<'c>>, Refused> {
    let value = match &column.domain {
        Domain::Integer { lowest, highest } => {
            let value = number(cell)?;
            if value.is_some_and(|v| v.is_finite() && v.fract() != 0.0) {
                return Err(NOT_WHOLE);
            }
            bounded(value, *lowest as f64, *highest as f64).map(Value::Number)
        }
        Domain::Number { lowest, highest } => {
            bounded(number(cell)?, *lowest, *highest).map(Value::Number)
        }
        Domain::Category { values: _, other } => {
            let code = category(column, labels, *other, cell)?;
            return Ok(code.map(Value::Code));
        }
        Domain::Boolean => truth(cell)?.map(Value::Truth),
        Domain::Date { first, last } => {
            bounded(day(cell)?, f64::from(*first), f64::from(*last)).map(Value::Number)
        }
        Domain::Text { most_characters } => free_text(cell, *most_characters)?.map(Value::Text),
    };
    required(column, value)
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
fn free_text<'c>(cell: &Cell<'c>, most: u32) -> Result<Option<Cow<'c, str>>, Refused> {
    let text = match cell {
        Cell::Missing => return Ok(None),
        Cell::Text(text) if text.trim().is_empty() => return Ok(None),
        Cell::Text(text) => Cow::Borrowed(*text),
        Cell::Number(v) => Cow::Owned(v.to_string()),
        Cell::Truth(v) => Cow::Owned(v.to_string()),
        Cell::Day(days) => Cow::Owned(calendar::label(*days)),
    };
    let fits = text.len() <= most as usize || text.chars().nth(most as usize).is_none();
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
        Cell::Text(text) => {
            let text = text.trim();
            let is = |words: [&str; 4]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
            match () {
                () if is(["true", "1", "t", "yes"]) => Ok(Some(true)),
                () if is(["false", "0", "f", "no"]) => Ok(Some(false)),
                () if is_missing(text) => Ok(None),
                () => Err(NOT_BOOLEAN),
            }
        }
    }
}

/// The declared position. A text that is not on the list becomes `other` if there is one, and is
/// missing otherwise, whatever the description says about missing values.
fn category(
    column: &Column,
    labels: &Labels<'_>,
    other: Option<usize>,
    cell: &Cell<'_>,
) -> Result<Option<u32>, Refused> {
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
    Ok(found.or(other).and_then(|p| u32::try_from(p).ok()))
}

/// The one form of a subject id: without white space around it, lower case. Nothing if it is
/// missing.
pub(super) fn normalised_id(text: &str) -> Option<String> {
    let id = text.trim().to_lowercase();
    if is_missing(&id) { None } else { Some(id) }
}

/// The same, in `scratch`: without memory of its own if the id is plain.
pub(super) fn normalised_into<'s>(text: &str, scratch: &'s mut String) -> Option<&'s str> {
    scratch.clear();
    if text.is_ascii() {
        scratch.push_str(text.trim());
        scratch.make_ascii_lowercase();
        return (!is_missing(scratch)).then_some(scratch.as_str());
    }
    scratch.push_str(&normalised_id(text)?);
    Some(scratch)
}
