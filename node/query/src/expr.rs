//! The typed row expressions: total, without a node that could fail on a row.
//!
//! Numbers are 64-bit floats or missing. A division by zero and a result that is not a number are
//! missing; infinity stays. Truth has three values. Chains of the same precedence are one node, so
//! that the depth of a tree is bounded by the nesting that the text shows.

mod bounds;
mod missing;
mod print;
mod words;

use std::collections::BTreeSet;

pub(crate) use bounds::{Interval, interval};
pub(crate) use missing::{Mask, known_from, mask};
pub(crate) use print::{Printer, identifier, literal, output_name};
pub(crate) use words::{Words, join};

/// An arithmetic operation between two neighbours of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arith {
    Add,
    Subtract,
    Multiply,
    Divide,
}

impl Arith {
    /// Whether it binds like a sum (a chain has either sums or products).
    pub(crate) fn is_sum(self) -> bool {
        match self {
            Arith::Add | Arith::Subtract => true,
            Arith::Multiply | Arith::Divide => false,
        }
    }
}

/// A comparison of two numbers.
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

/// A number for each row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Num {
    /// Always missing.
    Null,
    /// Finite, never -0.0.
    Literal(f64),
    /// An integer or number column, by position in the description.
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
    Bool(Bool),
    /// A category column.
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
            Num::Null | Num::Literal(_) => {}
            Num::Column(c) => {
                into.insert(*c);
            }
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
            Any::Num(n) => n.columns(into),
            Any::Bool(b) => b.columns(into),
            Any::Category(c) => {
                into.insert(*c);
            }
            Any::Null => {}
        }
    }
}
