//! Texts: a category column through its labels, a text column, and what functions make of them.

use std::collections::BTreeSet;
use std::sync::Arc;

use obscura_model::schema::Domain;

use super::{Call, Case};
use crate::scope::Scope;

/// A text for each row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Text {
    /// Always missing.
    Null,
    Literal(String),
    /// A text column.
    Column(usize),
    /// A category column; its declared labels travel with it, so that evaluating needs no scope.
    Category {
        column: usize,
        labels: Arc<[String]>,
    },
    Case(Case<Text>),
    /// A function that gives a text.
    Call(Call),
}

impl Text {
    /// The labels of a category column, or nothing if it is none.
    pub(crate) fn category(column: usize, scope: &Scope) -> Option<Text> {
        match &scope.get(column)?.domain {
            Domain::Category { values, other: _ } => Some(Text::Category {
                column,
                labels: values.as_slice().into(),
            }),
            Domain::Integer { .. }
            | Domain::Number { .. }
            | Domain::Boolean
            | Domain::Date { .. }
            | Domain::Text { .. } => None,
        }
    }

    /// Adds the columns that the expression reads.
    pub(crate) fn columns(&self, into: &mut BTreeSet<usize>) {
        match self {
            Text::Null | Text::Literal(_) => {}
            Text::Column(column) | Text::Category { column, labels: _ } => {
                into.insert(*column);
            }
            Text::Case(case) => case.columns(into, Text::columns),
            Text::Call(call) => call.columns(into),
        }
    }
}
