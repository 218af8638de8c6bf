//! Casts: what cannot be cast is missing.

use sqlparser::ast::{DataType, ExactNumberInfo, Expr};
use sqlparser::tokenizer::Location;

use super::row::as_condition;
use super::{Lowering, advice, not_part, place};
use crate::expr::{Any, Bool, Comparison, Num, Text};
use crate::functions::{self, Takes};
use crate::refusal::Refusal;

impl Lowering<'_> {
    /// A cast of `inner`, which is the whole of `whole`.
    pub(super) fn cast(
        &mut self,
        inner: &Expr,
        to: &DataType,
        whole: &Expr,
    ) -> Result<Any, Refusal> {
        let at = place(inner);
        let Some(to) = type_name(to) else {
            return Err(self.without_rule(whole));
        };
        let value = self.any(inner)?;
        let wanted = |from| functions::cast(from, to);
        let (from, value) = match (value, to) {
            // NULL has no type, in the canonical text either: its place gives it one.
            (Any::Null | Any::Num(Num::Null), _) => return Ok(Any::Null),
            // What is of the type already stays as it is.
            (value @ Any::Num(_), "DOUBLE")
            | (value @ Any::Date(_), "DATE")
            | (value @ Any::Bool(_), "BOOLEAN")
            | (value @ Any::Text(_), "VARCHAR") => return Ok(value),
            (Any::Category(column), "VARCHAR") => {
                let text = Text::category(column, &self.scope).unwrap_or(Text::Null);
                return Ok(Any::Text(text));
            }
            (Any::Num(n), "BOOLEAN") => {
                let zero = Box::new(Num::Literal(0.0));
                return Ok(Any::Bool(Bool::Compare(
                    Comparison::NotEqual,
                    Box::new(n),
                    zero,
                )));
            }
            (value @ Any::Num(_), _) => (Takes::Number, value),
            (value @ Any::Date(_), _) => (Takes::Date, value),
            (value @ Any::Bool(_), "VARCHAR") => (Takes::Truth, value),
            (value @ Any::Bool(_), _) => return self.of_truth(value, at),
            (value @ (Any::Text(_) | Any::Category(_)), _) => {
                (Takes::Text, Any::Text(self.as_text(value, at)?))
            }
        };
        if let Some(function) = wanted(from) {
            return self.made(function, vec![value], at);
        }
        // A text becomes a whole number first, and then one of the smaller types.
        let first = functions::cast(Takes::Text, "BIGINT").filter(|_| from == Takes::Text);
        if let (Some(first), Some(second)) = (first, functions::cast(Takes::Number, to)) {
            let whole = self.made(first, vec![value], at)?;
            return self.made(second, vec![whole], at);
        }
        Err(self.without_rule(whole).suggest(match from {
            Takes::Date => advice::NUMBER_FROM_DATE,
            _ => advice::CASTS,
        }))
    }

    fn of_truth(&mut self, value: Any, at: Location) -> Result<Any, Refusal> {
        let truth = as_condition(value, at)?;
        match functions::cast(Takes::Truth, "BIGINT") {
            Some(function) => self.made(function, vec![Any::Bool(truth)], at),
            None => Err(not_part(at, "a cast")),
        }
    }
}

/// The name of a type to cast to, as the table of functions has it.
fn type_name(to: &DataType) -> Option<&'static str> {
    Some(match to {
        DataType::BigInt(None) | DataType::Int8(None) | DataType::Int64 => "BIGINT",
        DataType::Int(None) | DataType::Integer(None) | DataType::Int4(None) => "INTEGER",
        DataType::SmallInt(None) | DataType::Int2(None) => "SMALLINT",
        DataType::TinyInt(None) => "TINYINT",
        DataType::DoublePrecision
        | DataType::Double(ExactNumberInfo::None)
        | DataType::Float8
        | DataType::Float64 => "DOUBLE",
        DataType::Boolean | DataType::Bool => "BOOLEAN",
        DataType::Date => "DATE",
        DataType::Varchar(None) | DataType::Text | DataType::String(None) => "VARCHAR",
        _ => return None,
    })
}
