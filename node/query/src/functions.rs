//! The functions of row expressions: one row of a table each.
//!
//! A row says names, types, bounds, when the result is missing, what it costs, how it computes one
//! row's value, and how people are told. Everything else (checking, evaluating, printing, bounds,
//! masks, cost, the page of the language) reads the table. No function can fail: what has no
//! result is missing.

mod casts;
mod choice;
mod days;
mod numbers;
mod operators;
mod page;
mod texts;

use std::borrow::Cow;
use std::fmt;

use crate::expr::{Extent, Interval};

pub(crate) use casts::cast;
pub use page::page;

/// One value of one row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell<'a> {
    Missing,
    /// A number, or a day.
    Number(f64),
    Truth(bool),
    Text(Cow<'a, str>),
}

impl Cell<'_> {
    pub(crate) fn number(&self) -> Option<f64> {
        match self {
            Cell::Number(v) => Some(*v),
            Cell::Missing | Cell::Truth(_) | Cell::Text(_) => None,
        }
    }

    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Cell::Text(text) => Some(text),
            Cell::Missing | Cell::Truth(_) | Cell::Number(_) => None,
        }
    }

    pub(crate) fn truth(&self) -> Option<bool> {
        match self {
            Cell::Truth(truth) => Some(*truth),
            Cell::Missing | Cell::Text(_) | Cell::Number(_) => None,
        }
    }

    fn owned(&self) -> Cell<'static> {
        match self {
            Cell::Missing => Cell::Missing,
            Cell::Number(v) => Cell::Number(*v),
            Cell::Truth(v) => Cell::Truth(*v),
            Cell::Text(text) => Cell::Text(Cow::Owned(text.clone().into_owned())),
        }
    }
}

/// What an argument must be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Takes {
    Number,
    Date,
    Text,
    Truth,
    /// A plain whole number in this range.
    Whole(i32, i32),
    /// A plain number.
    Constant,
    /// One of these words, in single quotes.
    Unit(&'static [&'static str]),
    /// Any type, the same for all such arguments.
    Same,
}

/// What the result is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gives {
    Number,
    Date,
    Text,
    Truth,
    /// The type of the arguments.
    Same,
}

/// How a call is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// `NAME(a, b)`.
    Call,
    /// `a + b`.
    Infix(&'static str),
    /// `CAST(a AS TYPE)`.
    Cast(&'static str),
    /// `EXTRACT(UNIT FROM a)`; the unit is the first argument.
    Extract,
}

/// When the result is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    /// If and only if an argument is.
    WithArguments,
    /// If an argument is, and for some values.
    Sometimes,
    /// If all arguments are.
    WithAll,
    /// If the first argument is, or equals the second.
    IfEqual,
}

/// How many characters of its texts a function looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reads {
    /// All of all texts.
    All,
    /// Of each text at most as many as the shortest has.
    Shorter,
}

/// One function.
pub(crate) struct Function {
    /// As the canonical text writes it; no two functions have one name.
    pub(crate) name: &'static str,
    /// Other names that are accepted.
    pub(crate) also: &'static [&'static str],
    pub(crate) takes: &'static [Takes],
    /// How many of the last arguments may be left out.
    pub(crate) optional: usize,
    /// Whether the last argument may be there many times.
    pub(crate) many: bool,
    pub(crate) gives: Gives,
    pub(crate) form: Form,
    pub(crate) missing: Missing,
    /// The bounds of a number or a day, and of a text's length in characters.
    pub(crate) bounds: fn(&[Extent<'_>]) -> Option<Interval>,
    /// The same for people.
    pub(crate) bounded: &'static str,
    /// Operators beyond the words and signs of its text.
    pub(crate) cost: u64,
    /// Nanoseconds for each character that its texts can have together, beside the cost: at least
    /// twice what is measured on the worst texts (`tests/costs.rs`).
    pub(crate) nanos: u64,
    /// Of which characters `nanos` are.
    pub(crate) reads: Reads,
    /// One row's value. Strict ones are never called with a missing argument.
    pub(crate) kernel: fn(&[Cell<'_>]) -> Cell<'static>,
    /// What it is in a sentence, `{0}` being the first argument and `{*}` all; `{s}` is an s unless
    /// the argument before it is 1. Where arguments may be left out there is a sentence for each
    /// number of them, fewest first, with `|` between: an owner must read every argument.
    pub(crate) words: &'static str,
    /// What it does, in one or two sentences.
    pub(crate) sentence: &'static str,
    /// An expression, and what it gives.
    pub(crate) example: (&'static str, &'static str),
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Function {
    /// Whether one missing argument makes the result missing.
    pub(crate) fn is_strict(&self) -> bool {
        match self.missing {
            Missing::WithArguments | Missing::Sometimes => true,
            Missing::WithAll | Missing::IfEqual => false,
        }
    }

    /// The fewest and the most arguments.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let most = if self.many { 100 } else { self.takes.len() };
        (self.takes.len() - self.optional, most)
    }

    /// Its words for so many arguments.
    pub(crate) fn words_for(&self, arguments: usize) -> &'static str {
        let beyond = arguments.saturating_sub(self.counts().0);
        let mut words = self.words.split('|');
        words.nth(beyond).unwrap_or(self.words)
    }

    /// What argument number `index` must be.
    pub(crate) fn takes(&self, index: usize) -> Option<Takes> {
        let last = self.takes.last().filter(|_| self.many);
        self.takes.get(index).or(last).copied()
    }
}

/// The table, by section of the page.
pub(crate) static FUNCTIONS: [(&str, &[Function]); 5] = [
    ("Numbers", &numbers::TABLE),
    ("Choosing a value", &choice::TABLE),
    ("Texts", &texts::TABLE),
    ("Days", &days::TABLE),
    ("Casts", &casts::TABLE),
];

/// The function that is called so.
pub(crate) fn find(name: &str) -> Option<&'static Function> {
    all().find(|f| f.name == name || f.also.contains(&name))
}

/// All functions.
pub(crate) fn all() -> impl Iterator<Item = &'static Function> {
    FUNCTIONS.iter().flat_map(|(_, table)| table.iter())
}

/// Every example of the page.
#[cfg(test)]
pub(crate) fn examples() -> impl Iterator<Item = (&'static str, &'static str)> {
    let signs = operators::OPERATORS.iter().map(|o| o.example);
    signs
        .chain(all().map(|f| f.example))
        .filter(|(text, _)| !text.is_empty())
}

/// The bounds of argument number `index`; nothing if it is always missing.
fn range(arguments: &[Extent<'_>], index: usize) -> Option<Interval> {
    arguments.get(index).and_then(|a| a.interval)
}

/// Whether a function of the language gives whole numbers, whatever its arguments.
pub(crate) fn gives_whole_numbers(name: &str, arguments: usize) -> bool {
    match name {
        "FLOOR" | "CEIL" | "TRUNC" | "SIGN" | "WIDTH_BUCKET" | "LENGTH" | "EXTRACT"
        | "DATEDIFF" => true,
        "ROUND" => arguments == 1,
        _ => false,
    }
}
