//! Functions of the table over one batch.

use std::borrow::Cow;

use arrow_array::{Array, BooleanArray, Float64Array, StringArray};

use super::Row;
use crate::eval::BadRows;
use crate::expr::{Any, Call, Num, Text};
use crate::functions::Cell;

/// An argument, computed for all rows; a literal needs no array.
enum Argument<'a> {
    Literal(Cell<'a>),
    Numbers(Float64Array),
    Truths(BooleanArray),
    Texts(StringArray),
}

impl Argument<'_> {
    fn cell(&self, i: usize) -> Cell<'_> {
        match self {
            Argument::Literal(cell) => cell.clone(),
            Argument::Numbers(a) if a.is_valid(i) => Cell::Number(a.value(i)),
            Argument::Truths(a) if a.is_valid(i) => Cell::Truth(a.value(i)),
            Argument::Texts(a) if a.is_valid(i) => Cell::Text(Cow::Borrowed(a.value(i))),
            Argument::Numbers(_) | Argument::Truths(_) | Argument::Texts(_) => Cell::Missing,
        }
    }
}

impl Row<'_> {
    pub(super) fn number_of(&self, call: &Call) -> Result<Float64Array, BadRows> {
        // What is not a number is missing, and there is one zero.
        let number = |cell: Cell<'_>| cell.number().filter(|v| !v.is_nan()).map(|v| v + 0.0);
        Ok(self.cells(call)?.map(number).collect())
    }

    pub(super) fn truth_of(&self, call: &Call) -> Result<BooleanArray, BadRows> {
        Ok(self.cells(call)?.map(|cell| cell.truth()).collect())
    }

    pub(super) fn text_of(&self, call: &Call) -> Result<StringArray, BadRows> {
        let text = |cell: Cell<'static>| match cell {
            Cell::Text(text) => Some(text.into_owned()),
            Cell::Missing | Cell::Number(_) | Cell::Truth(_) => None,
        };
        Ok(self.cells(call)?.map(text).collect())
    }

    fn cells(&self, call: &Call) -> Result<impl Iterator<Item = Cell<'static>>, BadRows> {
        let arguments = call.arguments.iter().map(|a| self.argument(a));
        let arguments = arguments.collect::<Result<Vec<_>, _>>()?;
        let function = call.function;
        Ok((0..self.len()).map(move |i| {
            let row: Vec<Cell<'_>> = arguments.iter().map(|a| a.cell(i)).collect();
            if function.is_strict() && row.contains(&Cell::Missing) {
                Cell::Missing
            } else {
                (function.kernel)(&row)
            }
        }))
    }

    fn argument<'a>(&self, value: &'a Any) -> Result<Argument<'a>, BadRows> {
        Ok(match value {
            Any::Num(Num::Literal(v)) => Argument::Literal(Cell::Number(*v)),
            Any::Date(Num::Day(day)) => Argument::Literal(Cell::Number(f64::from(*day))),
            Any::Text(Text::Literal(text)) => Argument::Literal(Cell::Text(Cow::Borrowed(text))),
            Any::Num(n) | Any::Date(n) => Argument::Numbers(self.num(n)?),
            Any::Bool(b) => Argument::Truths(self.bool(b)?),
            Any::Text(t) => Argument::Texts(self.text(t)?),
            Any::Null => Argument::Literal(Cell::Missing),
            Any::Category(_) => return Err(BadRows),
        })
    }

    /// Whether two values differ; two missing ones do not.
    pub(super) fn distinct(&self, left: &Any, right: &Any) -> Result<BooleanArray, BadRows> {
        let (left, right) = (self.argument(left)?, self.argument(right)?);
        let differ = |i: usize| Some(left.cell(i) != right.cell(i));
        Ok((0..self.len()).map(differ).collect())
    }
}
