//! The typed row expressions: total, without a node that could fail on a row.
//!
//! Numbers are 64-bit floats or missing. A division by zero and a result that is not a number are
//! missing; infinity stays. Truth has three values. Chains of the same precedence are one node, so
//! that the depth of a tree is bounded by the nesting that the text shows.

mod bounds;
mod call;
mod codes;
mod cost;
mod kind;
mod missing;
mod pattern;
mod print;
mod text;
mod width;
mod words;

use std::collections::BTreeSet;

pub(crate) use bounds::{Extent, Interval, interval, longest};
pub(crate) use call::Call;
pub(crate) use codes::Codes;
pub(crate) use cost::{cost_of_any, cost_of_bool, cost_of_num};
pub(crate) use cost::{cost_of_characters, cost_of_copy, cost_of_stored};
pub(crate) use kind::{Same, is_date, same};
pub(crate) use missing::{Mask, known_from, mask};
pub(crate) use pattern::MOST_CHARACTERS as MOST_PATTERN_CHARACTERS;
pub(crate) use pattern::{Pattern, PatternError, PatternKind};
pub(crate) use print::{Printer, identifier, literal, output_name};
pub(crate) use text::Text;
pub(crate) use width::{width_of_any, width_of_bool, width_of_num};
pub(crate) use words::{Words, join};

/// An arithmetic operation between two neighbours of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arith {
    Add,
    Subtract,
    Multiply,
    Divide,
    /// What a division leaves, with the sign of what is divided.
    Remainder,
}

impl Arith {
    /// Whether it binds like a sum (a chain has either sums or products).
    pub(crate) fn is_sum(self) -> bool {
        match self {
            Arith::Add | Arith::Subtract => true,
            Arith::Multiply | Arith::Divide | Arith::Remainder => false,
        }
    }
}

/// A comparison of two numbers, two days or two texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// A searched CASE: the first condition that is TRUE decides; without ELSE the rest is missing.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Case<T> {
    pub(crate) arms: Vec<(Bool, T)>,
    pub(crate) otherwise: Option<Box<T>>,
}

/// A number for each row, or a day as a number of days since 1970-01-01: which of the two follows
/// from the form ([`is_date`]).
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Num {
    /// Always missing.
    Null,
    /// Finite, never -0.0.
    Literal(f64),
    /// A day of the years 1 to 9999.
    Day(i32),
    /// An integer, number or date column, by position in the scope.
    Column(usize),
    Negate(Box<Num>),
    /// `first op a op b`, from left to right, all sums or all products; `rest` is not empty.
    Chain {
        first: Box<Num>,
        rest: Vec<(Arith, Num)>,
    },
    Case(Case<Num>),
    /// The least of at least one; missing if any is missing.
    Least(Vec<Num>),
    /// The greatest of at least one; missing if any is missing.
    Greatest(Vec<Num>),
    /// A function that gives a number or a day.
    Call(Call),
}

/// TRUE, FALSE or missing for each row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Bool {
    Null,
    Literal(bool),
    /// A boolean column.
    Column(usize),
    Compare(Comparison, Box<Num>, Box<Num>),
    /// `low <= value AND value <= high`, or the contrary.
    Between {
        value: Box<Num>,
        low: Box<Num>,
        high: Box<Num>,
        negated: bool,
    },
    /// Whether the number is (not) one of a sorted list.
    InNumbers {
        value: Box<Num>,
        list: Vec<f64>,
        negated: bool,
    },
    /// Whether a category is (not) one of these declared positions.
    Among {
        column: usize,
        positions: BTreeSet<usize>,
        negated: bool,
    },
    /// Texts are ordered by the bytes of UTF-8, which is the order of code points.
    CompareTexts(Comparison, Box<Text>, Box<Text>),
    /// Whether a text is one of a list.
    InTexts {
        value: Box<Text>,
        list: BTreeSet<String>,
    },
    /// Whether a text matches a pattern.
    Matches {
        value: Box<Text>,
        pattern: Pattern,
    },
    /// Whether a text is on a code list.
    InCodes {
        value: Box<Text>,
        codes: Codes,
    },
    /// IS [NOT] TRUE or FALSE: never missing.
    Is {
        value: Box<Bool>,
        truth: bool,
        negated: bool,
    },
    /// IS DISTINCT FROM, or the contrary: two missing values are the same. Never missing.
    Distinct {
        left: Box<Any>,
        right: Box<Any>,
        negated: bool,
    },
    /// A function that gives a truth.
    Call(Call),
    IsNull {
        value: Box<Any>,
        negated: bool,
    },
    /// AND of at least two.
    All(Vec<Bool>),
    /// OR of at least two.
    Either(Vec<Bool>),
    Not(Box<Bool>),
    Case(Case<Bool>),
}

/// A value of any type.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Any {
    Num(Num),
    /// A day: never summed or averaged.
    Date(Num),
    Bool(Bool),
    Text(Text),
    /// A category column alone; inside an expression it is a [`Text::Category`].
    Category(usize),
    /// NULL, before its place has given it a type.
    Null,
}

impl Num {
    /// `left op right`; a chain on the left of the same kind goes on.
    pub(crate) fn chain(left: Num, op: Arith, right: Num) -> Num {
        match left {
            Num::Chain { first, mut rest }
                if rest.first().is_some_and(|(o, _)| o.is_sum() == op.is_sum()) =>
            {
                rest.push((op, right));
                Num::Chain { first, rest }
            }
            left => Num::Chain {
                first: Box::new(left),
                rest: vec![(op, right)],
            },
        }
    }

    /// `-value`, folded for literals so that text and tree agree.
    pub(crate) fn negate(value: Num) -> Num {
        match value {
            Num::Literal(v) => Num::Literal(0.0 - v),
            other => Num::Negate(Box::new(other)),
        }
    }

    /// Adds the columns that the expression reads.
    pub(crate) fn columns(&self, into: &mut BTreeSet<usize>) {
        match self {
            Num::Null | Num::Literal(_) | Num::Day(_) => {}
            Num::Column(c) => {
                into.insert(*c);
            }
            Num::Call(call) => call.columns(into),
            Num::Negate(value) => value.columns(into),
            Num::Chain { first, rest } => {
                first.columns(into);
                rest.iter().for_each(|(_, n)| n.columns(into));
            }
            Num::Case(case) => case.columns(into, Num::columns),
            Num::Least(list) | Num::Greatest(list) => list.iter().for_each(|n| n.columns(into)),
        }
    }
}

impl<T> Case<T> {
    fn columns(&self, into: &mut BTreeSet<usize>, of: impl Fn(&T, &mut BTreeSet<usize>)) {
        for (condition, result) in &self.arms {
            condition.columns(into);
            of(result, into);
        }
        if let Some(otherwise) = &self.otherwise {
            of(otherwise, into);
        }
    }
}

impl Bool {
    /// AND, flat: the operation is associative in three-valued logic too.
    pub(crate) fn and(left: Bool, right: Bool) -> Bool {
        let mut all = match left {
            Bool::All(list) => list,
            other => vec![other],
        };
        match right {
            Bool::All(list) => all.extend(list),
            other => all.push(other),
        }
        Bool::All(all)
    }

    /// OR, flat.
    pub(crate) fn or(left: Bool, right: Bool) -> Bool {
        let mut any = match left {
            Bool::Either(list) => list,
            other => vec![other],
        };
        match right {
            Bool::Either(list) => any.extend(list),
            other => any.push(other),
        }
        Bool::Either(any)
    }

    /// NOT, kept inside where a node has a contrary of its own.
    pub(crate) fn contrary(value: Bool) -> Bool {
        match value {
            Bool::Among {
                column,
                positions,
                negated,
            } => Bool::Among {
                column,
                positions,
                negated: !negated,
            },
            other => Bool::Not(Box::new(other)),
        }
    }

    /// Adds the columns that the condition reads.
    pub(crate) fn columns(&self, into: &mut BTreeSet<usize>) {
        match self {
            Bool::Null | Bool::Literal(_) => {}
            Bool::Column(column)
            | Bool::Among {
                column,
                positions: _,
                negated: _,
            } => {
                into.insert(*column);
            }
            Bool::Compare(_, left, right) => {
                left.columns(into);
                right.columns(into);
            }
            Bool::Between {
                value,
                low,
                high,
                negated: _,
            } => {
                [value, low, high].into_iter().for_each(|n| n.columns(into));
            }
            Bool::InNumbers {
                value,
                list: _,
                negated: _,
            } => value.columns(into),
            Bool::CompareTexts(_, left, right) => {
                left.columns(into);
                right.columns(into);
            }
            Bool::InTexts { value, list: _ }
            | Bool::Matches { value, pattern: _ }
            | Bool::InCodes { value, codes: _ } => value.columns(into),
            Bool::Is {
                value,
                truth: _,
                negated: _,
            } => value.columns(into),
            Bool::Distinct {
                left,
                right,
                negated: _,
            } => {
                left.columns(into);
                right.columns(into);
            }
            Bool::Call(call) => call.columns(into),
            Bool::IsNull { value, negated: _ } => value.columns(into),
            Bool::All(list) | Bool::Either(list) => list.iter().for_each(|b| b.columns(into)),
            Bool::Not(value) => value.columns(into),
            Bool::Case(case) => case.columns(into, Bool::columns),
        }
    }
}

impl Any {
    /// Adds the columns that the expression reads.
    pub(crate) fn columns(&self, into: &mut BTreeSet<usize>) {
        match self {
            Any::Num(n) | Any::Date(n) => n.columns(into),
            Any::Bool(b) => b.columns(into),
            Any::Text(t) => t.columns(into),
            Any::Category(c) => {
                into.insert(*c);
            }
            Any::Null => {}
        }
    }
}
