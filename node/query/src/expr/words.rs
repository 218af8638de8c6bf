//! Expressions for people: the owner who reviews a study need not read SQL.

use std::collections::BTreeSet;

use obscura_model::calendar;

use super::print::category_label;
use super::{Any, Arith, Bool, Call, Case, Codes, Comparison, Num, Pattern, PatternKind, Text};
use super::{is_date, literal};
use crate::functions::Takes;
use crate::scope::Scope;

/// Tells expressions with the names of a scope.
pub(crate) struct Words<'a> {
    pub(crate) scope: &'a Scope,
}

impl Words<'_> {
    fn column(&self, column: usize) -> String {
        self.scope.told(column)
    }

    pub(crate) fn any(&self, value: &Any) -> String {
        match value {
            Any::Num(n) | Any::Date(n) => self.num(n),
            Any::Bool(b) => format!("whether {}", self.bool(b)),
            Any::Text(t) => self.text(t),
            Any::Category(column) => self.column(*column),
            Any::Null => "nothing".to_owned(),
        }
    }

    pub(crate) fn num(&self, value: &Num) -> String {
        match value {
            Num::Null => "nothing".to_owned(),
            Num::Literal(v) => literal(*v),
            Num::Day(day) => calendar::label(*day),
            Num::Column(column) => self.column(*column),
            Num::Call(call) => self.call(call),
            Num::Negate(inner) => format!("minus {}", self.part(inner)),
            Num::Chain { first, rest } => {
                let mut text = self.part(first);
                for (op, next) in rest {
                    text.push_str(match op {
                        Arith::Add => " plus ",
                        Arith::Subtract => " minus ",
                        Arith::Multiply => " times ",
                        Arith::Divide => " divided by ",
                        Arith::Remainder => " modulo ",
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
            Num::Null
            | Num::Literal(_)
            | Num::Day(_)
            | Num::Column(_)
            | Num::Least(_)
            | Num::Greatest(_) => self.num(value),
            Num::Call(_) => format!("({})", self.num(value)),
        }
    }

    fn text(&self, value: &Text) -> String {
        match value {
            Text::Null => "nothing".to_owned(),
            Text::Literal(text) => format!("'{text}'"),
            Text::Column(column) | Text::Category { column, labels: _ } => self.column(*column),
            Text::Case(case) => self.case(case, Self::text),
            Text::Call(call) => self.call(call),
        }
    }

    /// The template of the function, filled in.
    fn call(&self, call: &Call) -> String {
        let told = |(index, argument): (usize, &Any)| match (call.function.takes(index), argument) {
            // A word of the language, not of the data.
            (Some(Takes::Unit(_)), Any::Text(Text::Literal(unit))) => unit.clone(),
            _ => self.argument(argument),
        };
        let parts: Vec<String> = call.arguments.iter().enumerate().map(told).collect();
        let mut text = String::new();
        let mut last = "";
        let mut rest = call.function.words_for(parts.len());
        while let Some((before, after)) = rest.split_once('{') {
            let (place, after) = after.split_once('}').unwrap_or((after, ""));
            text.push_str(before);
            match place.parse::<usize>() {
                Ok(place) => {
                    last = parts.get(place).map_or("", String::as_str);
                    text.push_str(last);
                }
                Err(_) if place == "s" => text.push_str(if last == "1" { "" } else { "s" }),
                Err(_) => text.push_str(&join(&parts, "and")),
            }
            rest = after;
        }
        text.push_str(rest);
        text
    }

    fn argument(&self, value: &Any) -> String {
        match value {
            Any::Num(n) | Any::Date(n) => self.part(n),
            Any::Text(Text::Call(call)) => format!("({})", self.call(call)),
            Any::Bool(b) => self.bool(b),
            other => self.any(other),
        }
    }

    fn matching(&self, value: &Text, pattern: &Pattern) -> String {
        let case = |ignored: bool| if ignored { ", in any case" } else { "" };
        let (value, source) = (self.text(value), pattern.source());
        match pattern.kind() {
            PatternKind::Like {
                ignore_case,
                escape,
            } => {
                let escape =
                    escape.map_or_else(String::new, |c| format!(", but literally after '{c}'"));
                format!(
                    "{value} has the form '{source}' (% is any text, _ one character{escape}{})",
                    case(ignore_case)
                )
            }
            PatternKind::Regex { ignore_case } => format!(
                "{value} matches the regular expression '{source}'{}",
                case(ignore_case)
            ),
        }
    }

    fn coded(&self, value: &Text, codes: &Codes) -> String {
        let value = self.text(value);
        let count = codes.codes.len();
        let known = match &codes.positions {
            Some(positions) => format!(", {} of them declared for {value}", positions.len()),
            None => String::new(),
        };
        format!(
            "{value} is one of the {count} codes of the list '{}' ({}{known})",
            codes.title, codes.reference
        )
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
                let days = is_date(left, self.scope) || is_date(right, self.scope);
                let sign = if days {
                    of_days(*comparison)
                } else {
                    of_numbers(*comparison)
                };
                format!("{} {sign} {}", self.num(left), self.num(right))
            }
            Bool::CompareTexts(comparison, left, right) => {
                let sign = of_texts(*comparison);
                format!("{} {sign} {}", self.text(left), self.text(right))
            }
            Bool::InTexts { value, list } => {
                let list: Vec<String> = list.iter().map(|t| format!("'{t}'")).collect();
                format!("{} is {}", self.text(value), join(&list, "or"))
            }
            Bool::Matches { value, pattern } => self.matching(value, pattern),
            Bool::InCodes { value, codes } => self.coded(value, codes),
            Bool::Is {
                value,
                truth,
                negated,
            } => format!(
                "it is {}{} that ({})",
                not(*negated),
                if *truth { "true" } else { "false" },
                self.bool(value)
            ),
            Bool::Distinct {
                left,
                right,
                negated,
            } => format!(
                "{} {} {} (both missing is the same)",
                self.any(left),
                if *negated {
                    "is the same as"
                } else {
                    "differs from"
                },
                self.any(right)
            ),
            Bool::Call(call) => self.call(call),
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
                let days = is_date(value, self.scope);
                let tell = |v: &f64| {
                    if days {
                        calendar::label(*v as i32)
                    } else {
                        literal(*v)
                    }
                };
                let list: Vec<String> = list.iter().map(tell).collect();
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

fn of_numbers(comparison: Comparison) -> &'static str {
    match comparison {
        Comparison::Equal => "is",
        Comparison::NotEqual => "is not",
        Comparison::Less => "is below",
        Comparison::LessOrEqual => "is at most",
        Comparison::Greater => "is above",
        Comparison::GreaterOrEqual => "is at least",
    }
}

fn of_days(comparison: Comparison) -> &'static str {
    match comparison {
        Comparison::Equal => "is",
        Comparison::NotEqual => "is not",
        Comparison::Less => "is before",
        Comparison::LessOrEqual => "is not after",
        Comparison::Greater => "is after",
        Comparison::GreaterOrEqual => "is not before",
    }
}

fn of_texts(comparison: Comparison) -> &'static str {
    match comparison {
        Comparison::Equal => "is",
        Comparison::NotEqual => "is not",
        Comparison::Less => "comes before",
        Comparison::LessOrEqual => "does not come after",
        Comparison::Greater => "comes after",
        Comparison::GreaterOrEqual => "does not come before",
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
