//! Expressions for people: the owner who reviews a study need not read SQL.

use std::collections::BTreeSet;

use super::print::category_label;
use super::{Any, Arith, Bool, Case, Comparison, Num, literal};
use crate::scope::Scope;

/// Tells expressions with the names of a scope.
pub(crate) struct Words<'a> {
    pub(crate) scope: &'a Scope,
}

impl Words<'_> {
    fn column(&self, column: usize) -> String {
        self.scope
            .get(column)
            .map_or_else(String::new, |c| c.name.clone())
    }

    pub(crate) fn any(&self, value: &Any) -> String {
        match value {
            Any::Num(n) => self.num(n),
            Any::Bool(b) => format!("whether {}", self.bool(b)),
            Any::Category(column) => self.column(*column),
            Any::Null => "nothing".to_owned(),
        }
    }

    pub(crate) fn num(&self, value: &Num) -> String {
        match value {
            Num::Null => "nothing".to_owned(),
            Num::Literal(v) => literal(*v),
            Num::Column(column) => self.column(*column),
            Num::Negate(inner) => format!("minus {}", self.part(inner)),
            Num::Chain { first, rest } => {
                let mut text = self.part(first);
                for (op, next) in rest {
                    text.push_str(match op {
                        Arith::Add => " plus ",
                        Arith::Subtract => " minus ",
                        Arith::Multiply => " times ",
                        Arith::Divide => " divided by ",
                    });
                    text.push_str(&self.part(next));
                }
                text
            }
            Num::Case(case) => self.case(case, Self::num),
            Num::Least(list) => self.extreme(list, "at most", "the least of"),
            Num::Greatest(list) => self.extreme(list, "at least", "the greatest of"),
        }
    }

    /// "x, cut to at most 10" for the common clip, a list otherwise.
    fn extreme(&self, list: &[Num], cut: &str, all: &str) -> String {
        match list {
            [value, Num::Literal(v)] | [Num::Literal(v), value] => {
                format!("{} (cut to {cut} {})", self.part(value), literal(*v))
            }
            list => {
                let parts: Vec<String> = list.iter().map(|n| self.num(n)).collect();
                format!("{all} {}", join(&parts, "and"))
            }
        }
    }

    fn part(&self, value: &Num) -> String {
        match value {
            Num::Negate(_) | Num::Chain { first: _, rest: _ } | Num::Case(_) => {
                format!("({})", self.num(value))
            }
            Num::Null | Num::Literal(_) | Num::Column(_) | Num::Least(_) | Num::Greatest(_) => {
                self.num(value)
            }
        }
    }

    pub(crate) fn case<T>(&self, case: &Case<T>, tell: impl Fn(&Self, &T) -> String) -> String {
        let mut parts: Vec<String> = case
            .arms
            .iter()
            .map(|(condition, result)| {
                format!("{} if {}", tell(self, result), self.bool(condition))
            })
            .collect();
        parts.push(match &case.otherwise {
            Some(otherwise) => format!("otherwise {}", tell(self, otherwise)),
            None => "otherwise nothing".to_owned(),
        });
        parts.join(", ")
    }

    pub(crate) fn bool(&self, value: &Bool) -> String {
        match value {
            Bool::Null => "unknown".to_owned(),
            Bool::Literal(true) => "always".to_owned(),
            Bool::Literal(false) => "never".to_owned(),
            Bool::Column(column) => format!("{} is true", self.column(*column)),
            Bool::Compare(comparison, left, right) => {
                let sign = match comparison {
                    Comparison::Equal => "is",
                    Comparison::NotEqual => "is not",
                    Comparison::Less => "is below",
                    Comparison::LessOrEqual => "is at most",
                    Comparison::Greater => "is above",
                    Comparison::GreaterOrEqual => "is at least",
                };
                format!("{} {sign} {}", self.num(left), self.num(right))
            }
            Bool::Between {
                value,
                low,
                high,
                negated,
            } => format!(
                "{} is {}from {} to {}",
                self.num(value),
                not(*negated),
                self.num(low),
                self.num(high)
            ),
            Bool::InNumbers {
                value,
                list,
                negated,
            } => {
                let list: Vec<String> = list.iter().map(|v| literal(*v)).collect();
                format!(
                    "{} is {}{}",
                    self.num(value),
                    not(*negated),
                    join(&list, "or")
                )
            }
            Bool::Among {
                column,
                positions,
                negated,
            } => format!(
                "{} is {}{}",
                self.column(*column),
                not(*negated),
                self.labels(*column, positions)
            ),
            Bool::IsNull { value, negated } => {
                let state = if *negated { "is known" } else { "is missing" };
                format!("{} {state}", self.any(value))
            }
            Bool::All(list) => self.listed(list, " and "),
            Bool::Either(list) => self.listed(list, " or "),
            Bool::Not(inner) => format!("it is not so that ({})", self.bool(inner)),
            Bool::Case(case) => self.case(case, Self::bool),
        }
    }

    fn labels(&self, column: usize, positions: &BTreeSet<usize>) -> String {
        let labels: Vec<String> = positions
            .iter()
            .filter_map(|p| category_label(self.scope, column, *p))
            .map(|label| format!("'{label}'"))
            .collect();
        join(&labels, "or")
    }

    fn listed(&self, list: &[Bool], word: &str) -> String {
        let tell = |b: &Bool| match b {
            Bool::All(_) | Bool::Either(_) | Bool::Case(_) => format!("({})", self.bool(b)),
            other => self.bool(other),
        };
        list.iter().map(tell).collect::<Vec<_>>().join(word)
    }
}

fn not(negated: bool) -> &'static str {
    if negated { "not " } else { "" }
}

/// "a, b or c".
pub(crate) fn join(parts: &[String], last: &str) -> String {
    match parts {
        [] => String::new(),
        [one] => one.clone(),
        [many @ .., end] => format!("{} {last} {end}", many.join(", ")),
    }
}
