//! A function of the table, applied.

use std::collections::BTreeSet;

use super::Any;
use crate::functions::{Function, Gives};

/// A function with its arguments, of the types and the number that its row of the table asks for.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) function: &'static Function,
    pub(crate) arguments: Vec<Any>,
}

/// Two rows of the table never have one name.
impl PartialEq for Call {
    fn eq(&self, other: &Self) -> bool {
        self.function.name == other.function.name && self.arguments == other.arguments
    }
}

impl Call {
    /// What the call gives: for functions that keep the type of their arguments, that type.
    pub(crate) fn gives(&self) -> Gives {
        match self.function.gives {
            Gives::Same => {
                // They are all of one type.
                match self.arguments.last() {
                    Some(Any::Num(_) | Any::Null) | None => Gives::Number,
                    Some(Any::Date(_)) => Gives::Date,
                    Some(Any::Bool(_)) => Gives::Truth,
                    Some(Any::Text(_) | Any::Category(_)) => Gives::Text,
                }
            }
            other => other,
        }
    }

    /// Adds the columns that the arguments read.
    pub(crate) fn columns(&self, into: &mut BTreeSet<usize>) {
        self.arguments.iter().for_each(|a| a.columns(into));
    }
}
