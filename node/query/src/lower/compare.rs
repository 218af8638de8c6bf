//! Comparisons, and lists that a value may be on.

use std::collections::BTreeSet;

use obscura_model::schema::Domain;
use sqlparser::ast::{BinaryOperator, Expr, Value, ValueWithSpan};
use sqlparser::tokenizer::Location;

use super::{Lowering, means, nearest, place};
use crate::expr::{Any, Bool, Comparison, Num, Same, Text, same};
use crate::limits::shown;
use crate::refusal::Refusal;
use crate::sql;

/// An operator whose two sides matter at once.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Sides {
    Compare(Comparison),
    /// IS DISTINCT FROM, or IS NOT DISTINCT FROM.
    Distinct {
        negated: bool,
    },
    /// A regular expression on the right.
    Regex {
        ignore_case: bool,
        negated: bool,
    },
}

impl Sides {
    pub(super) fn of(op: &BinaryOperator) -> Option<Sides> {
        let regex = |ignore_case, negated| {
            Some(Sides::Regex {
                ignore_case,
                negated,
            })
        };
        match op {
            BinaryOperator::Eq => Some(Sides::Compare(Comparison::Equal)),
            BinaryOperator::NotEq => Some(Sides::Compare(Comparison::NotEqual)),
            BinaryOperator::Lt => Some(Sides::Compare(Comparison::Less)),
            BinaryOperator::LtEq => Some(Sides::Compare(Comparison::LessOrEqual)),
            BinaryOperator::Gt => Some(Sides::Compare(Comparison::Greater)),
            BinaryOperator::GtEq => Some(Sides::Compare(Comparison::GreaterOrEqual)),
            BinaryOperator::PGRegexMatch => regex(false, false),
            BinaryOperator::PGRegexIMatch => regex(true, false),
            BinaryOperator::PGRegexNotMatch => regex(false, true),
            BinaryOperator::PGRegexNotIMatch => regex(true, true),
            other => sql::distinct(other).map(|distinct| Sides::Distinct { negated: !distinct }),
        }
    }
}

impl Lowering<'_> {
    pub(super) fn sides(
        &mut self,
        sides: Sides,
        left: &Expr,
        right: &Expr,
    ) -> Result<Any, Refusal> {
        match sides {
            Sides::Compare(comparison) => self.compare(comparison, left, right),
            Sides::Distinct { negated } => {
                let [left, right] = boxes(self.pair(left, right, None)?.anys(), Any::Null);
                Ok(Any::Bool(Bool::Distinct {
                    left,
                    right,
                    negated,
                }))
            }
            Sides::Regex {
                ignore_case,
                negated,
            } => self.regex(left, right, ignore_case, negated),
        }
    }

    pub(super) fn compare(
        &mut self,
        comparison: Comparison,
        left: &Expr,
        right: &Expr,
    ) -> Result<Any, Refusal> {
        let equality = match comparison {
            Comparison::Equal => Some(false),
            Comparison::NotEqual => Some(true),
            _ => None,
        };
        if let Some(negated) = equality {
            // A category and a text: the text must be on the list, or it was mistyped.
            let sides = [(left, right), (right, left)];
            for (column, text) in sides {
                if let (Some(column), Some(written)) = (self.category(column), text_literal(text)) {
                    let positions = BTreeSet::from([self.listed(column, written, place(text))?]);
                    self.node(2, place(text))?;
                    return Ok(Any::Bool(Bool::Among {
                        column,
                        positions,
                        negated,
                    }));
                }
            }
        }
        Ok(Any::Bool(
            match self.pair(left, right, Some(comparison))? {
                Same::Nums(list) | Same::Dates(list) => {
                    let [left, right] = boxes(list, Num::Null);
                    Bool::Compare(comparison, left, right)
                }
                Same::Texts(list) => {
                    let [left, right] = boxes(list, Text::Null);
                    Bool::CompareTexts(comparison, left, right)
                }
                Same::Bools(list) => {
                    let [a, b] = boxes(list, Bool::Null);
                    match (*a, *b, equality) {
                        (Bool::Null, _, Some(_)) | (_, Bool::Null, Some(_)) => {
                            return Ok(Any::Null);
                        }
                        (b, Bool::Literal(v), Some(negated))
                        | (Bool::Literal(v), b, Some(negated)) => {
                            if v == negated {
                                Bool::Not(Box::new(b))
                            } else {
                                b
                            }
                        }
                        _ => {
                            return Err(Refusal::at(place(left), "conditions cannot be compared")
                                .suggest(
                                    "combine them with AND, OR and NOT, or use IS DISTINCT FROM",
                                ));
                        }
                    }
                }
            },
        ))
    }

    /// Two sides of one type. A text beside a day is that day. NULL is refused if they are compared.
    fn pair(
        &mut self,
        left: &Expr,
        right: &Expr,
        compared: Option<Comparison>,
    ) -> Result<Same, Refusal> {
        self.quoted(left, right)?;
        self.quoted(right, left)?;
        let (mut a, mut b) = (self.any(left)?, self.any(right)?);
        if let Some(comparison) = compared {
            no_null(&b, right, comparison == Comparison::NotEqual)?;
            no_null(&a, left, comparison == Comparison::NotEqual)?;
        }
        if matches!(a, Any::Date(_)) {
            b = self.day_if_text(b, right)?;
        } else if matches!(b, Any::Date(_)) {
            a = self.day_if_text(a, left)?;
        }
        let category = [(&a, left), (&b, right)]
            .into_iter()
            .find(|(v, _)| matches!(v, Any::Category(_)))
            .map(|(_, expr)| place(expr));
        let text = [(&a, right), (&b, left)]
            .into_iter()
            .find(|(v, _)| matches!(v, Any::Text(_)))
            .map(|(_, other)| place(other));
        same(vec![a, b], &self.scope).ok_or_else(|| match (category, text) {
            (Some(at), _) => {
                Refusal::at(at, "a category is compared with texts from its list only")
                    .suggest("texts stand in single quotes")
            }
            (None, Some(at)) => {
                Refusal::at(at, "only a category or a text can be compared with a text")
                    .suggest("numbers are written without quotes")
            }
            (None, None) => Refusal::at(place(left), "two things of different types are compared")
                .suggest("compare numbers with numbers and days with days"),
        })
    }

    /// Refuses a word beside a category that is no column: a text without its quotes.
    fn quoted(&self, column: &Expr, word: &Expr) -> Result<(), Refusal> {
        let (Expr::Identifier(column), Expr::Identifier(word)) = (column, word) else {
            return Ok(());
        };
        let declared = self.scope.columns().find(|c| means(column, &c.name));
        let Some(Domain::Category { values, other: _ }) = declared.map(|c| &c.domain) else {
            return Ok(());
        };
        if self.scope.columns().any(|c| means(word, &c.name)) || self.is_subject(word) {
            return Ok(());
        }
        let at = word.span.start;
        let refusal = Refusal::at(
            at,
            format!(
                "{} is not a column; texts stand in single quotes",
                shown(&word.value)
            ),
        );
        let text = values.iter().find(|v| v.eq_ignore_ascii_case(&word.value));
        Err(match text {
            Some(text) => refusal.suggest(format!("write '{}'", text.replace('\'', "''"))),
            None => {
                let known: Vec<&str> = values.iter().map(String::as_str).collect();
                refusal.suggest(nearest(&word.value, &known, "the values"))
            }
        })
    }

    /// The column of an expression that is a category and nothing else.
    fn category(&self, expr: &Expr) -> Option<usize> {
        match expr {
            Expr::Nested(inner) => self.category(inner),
            Expr::Identifier(ident) => {
                let column = self.column(ident).ok()?;
                let domain = &self.scope.get(column)?.domain;
                matches!(domain, Domain::Category { .. }).then_some(column)
            }
            _ => None,
        }
    }

    /// The declared position of a text.
    fn listed(&self, column: usize, text: &str, at: Location) -> Result<usize, Refusal> {
        let declared = self.scope.get(column);
        let Some(Domain::Category { values, other: _ }) = declared.map(|c| &c.domain) else {
            return Err(Refusal::at(
                at,
                "only a category or a text can be compared with a text",
            ));
        };
        if let Some(position) = values.iter().position(|v| v == text) {
            return Ok(position);
        }
        let name = declared.map_or("", |c| c.name.as_str());
        let known: Vec<&str> = values.iter().map(String::as_str).collect();
        Err(Refusal::at(
            at,
            format!("{} is not on the list of '{name}'", shown(text)),
        )
        .suggest(nearest(text, &known, "the values")))
    }

    pub(super) fn between(
        &mut self,
        value: &Expr,
        low: &Expr,
        high: &Expr,
        negated: bool,
    ) -> Result<Any, Refusal> {
        let mut parts = vec![self.any(value)?, self.any(low)?, self.any(high)?];
        for (part, expr) in parts.iter().zip([value, low, high]) {
            no_null(part, expr, negated)?;
        }
        if matches!(parts.first(), Some(Any::Date(_))) {
            let exprs = [value, low, high];
            parts = parts
                .into_iter()
                .zip(exprs)
                .map(|(part, expr)| self.day_if_text(part, expr))
                .collect::<Result<_, _>>()?;
        }
        match same(parts, &self.scope) {
            Some(Same::Nums(list) | Same::Dates(list)) => {
                let [value, low, high] = boxes(list, Num::Null);
                Ok(Any::Bool(Bool::Between {
                    value,
                    low,
                    high,
                    negated,
                }))
            }
            Some(Same::Texts(list)) => {
                self.node(3, place(value))?;
                let [value, low, high] = boxes(list, Text::Null);
                let above = Bool::CompareTexts(Comparison::GreaterOrEqual, value.clone(), low);
                let below = Bool::CompareTexts(Comparison::LessOrEqual, value, high);
                let both = Bool::and(self.maybe_not(above, false), self.maybe_not(below, false));
                Ok(Any::Bool(if negated {
                    Bool::Not(Box::new(both))
                } else {
                    both
                }))
            }
            Some(Same::Bools(_)) | None => Err(Refusal::at(
                place(value),
                "BETWEEN takes three numbers, three days or three texts",
            )),
        }
    }

    pub(super) fn in_list(
        &mut self,
        expr: &Expr,
        list: &[Expr],
        negated: bool,
    ) -> Result<Any, Refusal> {
        let at = place(expr);
        if let [Expr::Function(function)] = list
            && let Some(found) = self.in_codes(expr, function, negated)
        {
            return found;
        }
        if list.is_empty() {
            return Err(Refusal::at(at, "IN needs a list"));
        }
        if let Some(null) = list.iter().find(|item| is_null(item)) {
            return Err(never_matches(null, negated));
        }
        self.node(list.len(), at)?;
        let value = self.any(expr)?;
        no_null(&value, expr, negated)?;
        match value {
            Any::Category(column) => {
                let positions = list
                    .iter()
                    .map(|item| match text_literal(item) {
                        Some(text) => self.listed(column, text, place(item)),
                        None => self.quoted(expr, item).and(Err(of_texts(item))),
                    })
                    .collect::<Result<_, _>>()?;
                Ok(Any::Bool(Bool::Among {
                    column,
                    positions,
                    negated,
                }))
            }
            Any::Text(value) => {
                let texts = list.iter().map(|item| match text_literal(item) {
                    Some(text) => Ok(text.to_owned()),
                    None => Err(of_texts(item)),
                });
                let among = Bool::InTexts {
                    value: Box::new(value),
                    list: texts.collect::<Result<_, _>>()?,
                };
                Ok(Any::Bool(self.maybe_not(among, negated)))
            }
            Any::Num(value) => {
                let what = "IN takes a list of plain numbers";
                self.in_numbers(value, list, negated, |item| match item {
                    Any::Num(Num::Literal(v)) => Ok(v),
                    _ => Err(what),
                })
            }
            Any::Date(value) => {
                let what = "IN takes a list of days, such as DATE '2020-01-31'";
                self.in_numbers(value, list, negated, |item| match item {
                    Any::Date(Num::Day(day)) => Ok(f64::from(day)),
                    _ => Err(what),
                })
            }
            Any::Bool(_) | Any::Null => Err(Refusal::at(
                at,
                "IN takes a number, a day, a category or a text on its left",
            )),
        }
    }

    fn in_numbers(
        &mut self,
        value: Num,
        list: &[Expr],
        negated: bool,
        number: impl Fn(Any) -> Result<f64, &'static str>,
    ) -> Result<Any, Refusal> {
        let days = crate::expr::is_date(&value, &self.scope);
        let mut numbers = Vec::with_capacity(list.len());
        for item in list {
            let mut found = self.any(item)?;
            if days {
                found = self.day_if_text(found, item)?;
            }
            numbers.push(number(found).map_err(|what| Refusal::at(place(item), what))?);
        }
        numbers.sort_by(f64::total_cmp);
        numbers.dedup();
        Ok(Any::Bool(Bool::InNumbers {
            value: Box::new(value),
            list: numbers,
            negated,
        }))
    }
}

/// Refuses NULL where something is compared: no row would ever match.
pub(super) fn no_null(value: &Any, expr: &Expr, negated: bool) -> Result<(), Refusal> {
    match value {
        Any::Null
        | Any::Num(Num::Null)
        | Any::Date(Num::Null)
        | Any::Bool(Bool::Null)
        | Any::Text(Text::Null) => Err(never_matches(expr, negated)),
        _ => Ok(()),
    }
}

/// The refusal of a comparison with NULL.
pub(super) fn never_matches(null: &Expr, negated: bool) -> Refusal {
    let instead = if negated { "IS NOT NULL" } else { "IS NULL" };
    Refusal::at(place(null), "a comparison with NULL never matches")
        .suggest(format!("write {instead}"))
}

fn is_null(expr: &Expr) -> bool {
    match expr {
        Expr::Value(value) => value.value == Value::Null,
        Expr::Nested(inner) => is_null(inner),
        _ => false,
    }
}

fn of_texts(item: &Expr) -> Refusal {
    Refusal::at(place(item), "IN takes a list of texts here")
        .suggest("texts stand in single quotes")
}

/// The first so many, each boxed.
fn boxes<T: Clone, const N: usize>(list: Vec<T>, missing: T) -> [Box<T>; N] {
    let mut list = list.into_iter();
    std::array::from_fn(|_| Box::new(list.next().unwrap_or_else(|| missing.clone())))
}

pub(super) fn text_literal(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Value(ValueWithSpan {
            value: Value::SingleQuotedString(text),
            span: _,
        }) => Some(text),
        Expr::Nested(inner) => text_literal(inner),
        _ => None,
    }
}
