//! Days: literals, intervals, and what may be added to or subtracted from a day.

use obscura_model::calendar;
use sqlparser::ast::{DataType, DateTimeField, Expr, Interval, TypedString, Value};
use sqlparser::tokenizer::Location;

use super::compare::text_literal;
use super::row::as_number;
use super::{Lowering, not_part, place};
use crate::expr::{Any, Arith, Num, Text};
use crate::functions;
use crate::limits::shown;
use crate::refusal::Refusal;

/// How a day is written.
const FORM: &str = "write a day as DATE '2020-01-31'";

/// The longest interval, in its own unit.
const LONGEST: u32 = 4_000_000;

/// `DATE '2020-01-31'`.
pub(super) fn literal(typed: &TypedString) -> Result<Num, Refusal> {
    let TypedString {
        data_type,
        value,
        uses_odbc_syntax,
    } = typed;
    let at = value.span.start;
    match (data_type, &value.value) {
        (DataType::Date, Value::SingleQuotedString(text)) if !uses_odbc_syntax => written(text, at),
        _ => Err(not_part(at, "a time")),
    }
}

fn written(text: &str, at: Location) -> Result<Num, Refusal> {
    calendar::parse(text).map(Num::Day).ok_or_else(|| {
        Refusal::at(
            at,
            format!("{} is no day of the years 1 to 9999", shown(text)),
        )
        .suggest(FORM)
    })
}

impl Lowering<'_> {
    /// A day; a text in quotes is read as one.
    pub(super) fn day(&mut self, expr: &Expr) -> Result<Num, Refusal> {
        let value = self.any(expr)?;
        self.as_day(value, expr)
    }

    /// A value where a day must stand.
    pub(super) fn as_day(&self, value: Any, expr: &Expr) -> Result<Num, Refusal> {
        match self.day_if_text(value, expr)? {
            Any::Date(day) => Ok(day),
            Any::Null => Ok(Num::Null),
            Any::Num(_) | Any::Bool(_) | Any::Text(_) | Any::Category(_) => {
                Err(Refusal::at(place(expr), "a day is wanted here").suggest(FORM))
            }
        }
    }

    /// A text in quotes where a day must stand, read as one.
    pub(super) fn day_if_text(&self, value: Any, expr: &Expr) -> Result<Any, Refusal> {
        match (&value, text_literal(expr)) {
            (Any::Text(Text::Literal(_)), Some(text)) => written(text, place(expr)).map(Any::Date),
            _ => Ok(value),
        }
    }

    /// An operation of which one side at least is a day.
    pub(super) fn day_arithmetic(
        &mut self,
        left: Any,
        arith: Arith,
        right: Any,
        at: Location,
    ) -> Result<Any, Refusal> {
        let (name, arguments) = match (left, arith, right) {
            (Any::Date(day), Arith::Add, other) if !matches!(other, Any::Date(_)) => (
                "days after",
                [Any::Date(day), Any::Num(as_number(other, at)?)],
            ),
            (other, Arith::Add, Any::Date(day)) if !matches!(other, Any::Date(_)) => (
                "days after",
                [Any::Date(day), Any::Num(as_number(other, at)?)],
            ),
            (Any::Date(a), Arith::Subtract, Any::Date(b)) => {
                ("days between", [Any::Date(a), Any::Date(b)])
            }
            (Any::Null, Arith::Subtract, Any::Date(b)) => {
                ("days between", [Any::Date(Num::Null), Any::Date(b)])
            }
            (Any::Date(day), Arith::Subtract, other) => (
                "days before",
                [Any::Date(day), Any::Num(as_number(other, at)?)],
            ),
            _ => {
                return Err(Refusal::at(at, "days cannot be calculated with like this")
                    .suggest("add days to a day, subtract days from it, or subtract two days"));
            }
        };
        match functions::find(name) {
            Some(function) => self.made(function, arguments.into(), at),
            None => Err(not_part(at, "a day here")),
        }
    }

    /// `d + INTERVAL '3' MONTH`.
    pub(super) fn interval(
        &mut self,
        left: Any,
        arith: Arith,
        interval: &Interval,
        at: Location,
    ) -> Result<Any, Refusal> {
        let place = place(&interval.value);
        let Interval {
            value,
            leading_field,
            leading_precision: None,
            last_field: None,
            fractional_seconds_precision: None,
        } = interval
        else {
            return Err(not_part(place, "an interval of this form"));
        };
        let sign = match arith {
            Arith::Add => 1.0,
            Arith::Subtract => -1.0,
            Arith::Multiply | Arith::Divide | Arith::Remainder => {
                return Err(not_part(place, "an interval here"));
            }
        };
        let day = match left {
            Any::Date(day) => day,
            Any::Null => Num::Null,
            _ => {
                return Err(Refusal::at(at, "an interval is added to a day only").suggest(FORM));
            }
        };
        let count = self.count(value, place)?;
        let (name, factor) = match leading_field {
            Some(DateTimeField::Day | DateTimeField::Days) => ("days", 1.0),
            Some(DateTimeField::Week(None) | DateTimeField::Weeks) => ("days", 7.0),
            Some(DateTimeField::Month | DateTimeField::Months) => ("ADD_MONTHS", 1.0),
            Some(DateTimeField::Year | DateTimeField::Years) => ("ADD_MONTHS", 12.0),
            _ => {
                return Err(not_part(place, "this unit of an interval")
                    .suggest("intervals are of DAY, WEEK, MONTH or YEAR"));
            }
        };
        let number = Any::Num(Num::Literal(count * factor));
        if name == "days" {
            return self.day_arithmetic(Any::Date(day), arith, number, at);
        }
        let months = Any::Num(Num::Literal(sign * count * factor + 0.0));
        match functions::find(name) {
            Some(function) => self.made(function, vec![Any::Date(day), months], at),
            None => Err(not_part(place, "an interval")),
        }
    }

    fn count(&mut self, value: &Expr, at: Location) -> Result<f64, Refusal> {
        let whole = match text_literal(value) {
            Some(text) => text.trim().parse::<u32>().ok().map(f64::from),
            None => match self.any(value)? {
                Any::Num(Num::Literal(v)) if v >= 0.0 && v.fract() == 0.0 => Some(v),
                _ => None,
            },
        };
        whole.filter(|v| *v <= f64::from(LONGEST)).ok_or_else(|| {
            Refusal::at(at, "an interval is a plain whole number")
                .suggest("write INTERVAL '3' MONTH, or d + n for days")
        })
    }
}
