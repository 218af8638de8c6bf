//! Texts over one batch.

use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{Array, BooleanArray, StringArray};
use arrow_buffer::BooleanBuffer;

use super::Row;
use crate::eval::BadRows;
use crate::expr::{Comparison, Text};

impl Row<'_> {
    /// A text for each row.
    pub(crate) fn text(&self, value: &Text) -> Result<StringArray, BadRows> {
        match value {
            Text::Null => Ok(StringArray::new_null(self.len())),
            Text::Literal(text) => {
                let all = std::iter::repeat_n(text.as_str(), self.len());
                Ok(StringArray::from_iter_values(all))
            }
            Text::Column(column) => self
                .batch
                .column(*column)?
                .as_string_opt::<i32>()
                .cloned()
                .ok_or(BadRows),
            Text::Category { column, labels } => {
                let codes = self.batch.column(*column)?;
                let codes = codes.as_primitive_opt::<Int32Type>().ok_or(BadRows)?;
                let label = |code: i32| labels.get(usize::try_from(code).ok()?);
                let texts = codes.iter().map(|c| label(c?).map(String::as_str));
                Ok(texts.collect())
            }
            Text::Case(case) => {
                let none = StringArray::new_null(self.len());
                let chosen = self.case(case, &none, |t| Ok(Box::new(self.text(t)?)))?;
                chosen.as_string_opt::<i32>().cloned().ok_or(BadRows)
            }
            Text::Call(call) => self.text_of(call),
        }
    }

    /// Whether a text is so, for each row; missing where the text is.
    pub(super) fn each_text(
        &self,
        value: &Text,
        is_so: impl Fn(&str) -> bool,
    ) -> Result<BooleanArray, BadRows> {
        let texts = self.text(value)?;
        let found = |i: usize| texts.is_valid(i) && is_so(texts.value(i));
        let found = BooleanBuffer::collect_bool(self.len(), found);
        Ok(BooleanArray::new(found, texts.nulls().cloned()))
    }

    pub(super) fn compare_texts(
        &self,
        comparison: Comparison,
        left: &Text,
        right: &Text,
    ) -> Result<BooleanArray, BadRows> {
        // A literal needs no array of its own.
        let left = self.side(left)?;
        let right = self.side(right)?;
        let holds = |a: &str, b: &str| match comparison {
            Comparison::Equal => a == b,
            Comparison::NotEqual => a != b,
            Comparison::Less => a < b,
            Comparison::LessOrEqual => a <= b,
            Comparison::Greater => a > b,
            Comparison::GreaterOrEqual => a >= b,
        };
        let at = |i: usize| Some(holds(left.at(i)?, right.at(i)?));
        Ok((0..self.len()).map(at).collect())
    }

    fn side<'a>(&self, value: &'a Text) -> Result<Side<'a>, BadRows> {
        match value {
            Text::Literal(text) => Ok(Side::Literal(text)),
            other => Ok(Side::Array(self.text(other)?)),
        }
    }
}

/// A side of a comparison.
enum Side<'a> {
    Array(StringArray),
    Literal(&'a str),
}

impl Side<'_> {
    fn at(&self, i: usize) -> Option<&str> {
        match self {
            Side::Array(texts) => texts.is_valid(i).then(|| texts.value(i)),
            Side::Literal(text) => Some(text),
        }
    }
}
