//! Why a query was refused, with its place in the text.

use std::fmt;

use sqlparser::tokenizer::Location;

/// A refused query: a function of the text, the description and the accuracy asked for only, so
/// it never says anything about rows. Displays as one sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What is wrong.
    pub reason: String,
    /// The line in the query text, from 1, where known.
    pub line: Option<u32>,
    /// The column in the query text in characters, from 1, where known.
    pub column: Option<u32>,
    /// What to write instead, where there is something to say.
    pub suggestion: Option<String>,
}

impl Refusal {
    /// A refusal without a place.
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            line: None,
            column: None,
            suggestion: None,
        }
    }

    /// A refusal at a place; the parser's empty location counts as none.
    pub(crate) fn at(location: Location, reason: impl Into<String>) -> Self {
        Self::new(reason).or_at(location)
    }

    /// Adds a place if there is none yet.
    pub(crate) fn or_at(mut self, location: Location) -> Self {
        if self.line.is_none() && location.line > 0 {
            self.line = u32::try_from(location.line).ok();
            self.column = u32::try_from(location.column).ok();
        }
        self
    }

    /// Adds what to write instead.
    pub(crate) fn suggest(mut self, suggestion: impl Into<String>) -> Self {
        self.suggestion = Some(suggestion.into());
        self
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (Some(line), Some(column)) = (self.line, self.column) {
            write!(f, "line {line}, column {column}: ")?;
        }
        f.write_str(&self.reason)?;
        match &self.suggestion {
            Some(suggestion) => write!(f, "; {suggestion}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Refusal {}
