//! Comparisons, and lists that a value may be on.

use std::collections::BTreeSet;

use obscura_model::schema::Domain;
use sqlparser::ast::{Expr, Value, ValueWithSpan};
use sqlparser::tokenizer::Location;

use super::{Lowering, means, nearest, place};
use crate::expr::{Any, Bool, Comparison, Num};
use crate::limits::shown;
use crate::refusal::Refusal;

impl Lowering<'_> {
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
        // A text on either side makes it a comparison with a category.
        let texts = (text_literal(left), text_literal(right));
        let (column_side, text) = match texts {
            (None, Some(text)) => (left, Some((text, right))),
            (Some(text), None) => (right, Some((text, left))),
            _ => (left, None),
        };
        if let Some((text, text_side)) = text {
            let column = self.category(column_side)?;
            let Some(negated) = equality else {
                return Err(Refusal::at(place(text_side), "texts have no order here")
                    .suggest("compare with =, <> or IN"));
            };
            let positions = BTreeSet::from([self.listed(column, text, place(text_side))?]);
            return Ok(Any::Bool(Bool::Among {
                column,
                positions,
                negated,
            }));
        }
        self.quoted(left, right)?;
        self.quoted(right, left)?;
        let (a, b) = (self.any(left)?, self.any(right)?);
        match (a, b, equality) {
            (Any::Bool(b), Any::Bool(Bool::Literal(v)), Some(negated))
            | (Any::Bool(Bool::Literal(v)), Any::Bool(b), Some(negated)) => {
                Ok(Any::Bool(if v == negated {
                    Bool::Not(Box::new(b))
                } else {
                    b
                }))
            }
            (a, b, _) => {
                let a = self.comparable(a, left)?;
                let b = self.comparable(b, right)?;
                Ok(Any::Bool(Bool::Compare(
                    comparison,
                    Box::new(a),
                    Box::new(b),
                )))
            }
        }
    }

    fn comparable(&self, value: Any, expr: &Expr) -> Result<Num, Refusal> {
        match value {
            Any::Num(n) => Ok(n),
            Any::Null => Ok(Num::Null),
            Any::Bool(_) => Err(Refusal::at(place(expr), "conditions cannot be compared")
                .suggest("combine them with AND, OR and NOT")),
            Any::Category(_) => Err(Refusal::at(
                place(expr),
                "a category is compared with texts from its list only",
            )
            .suggest("texts stand in single quotes")),
        }
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

    /// The column of an expression that must be a category.
    fn category(&mut self, expr: &Expr) -> Result<usize, Refusal> {
        match self.any(expr)? {
            Any::Category(column) => Ok(column),
            _ => Err(
                Refusal::at(place(expr), "only a category can be compared with a text")
                    .suggest("numbers are written without quotes"),
            ),
        }
    }

    /// The declared position of a text.
    fn listed(&self, column: usize, text: &str, at: Location) -> Result<usize, Refusal> {
        let declared = self.scope.get(column);
        let Some(Domain::Category { values, other: _ }) = declared.map(|c| &c.domain) else {
            return Err(Refusal::at(
                at,
                "only a category can be compared with a text",
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

    pub(super) fn in_list(
        &mut self,
        expr: &Expr,
        list: &[Expr],
        negated: bool,
    ) -> Result<Any, Refusal> {
        let at = place(expr);
        if list.is_empty() {
            return Err(Refusal::at(at, "IN needs a list"));
        }
        self.node(list.len(), at)?;
        let value = match self.any(expr)? {
            Any::Null => Any::Num(Num::Null),
            other => other,
        };
        match value {
            Any::Category(column) => {
                let positions = list
                    .iter()
                    .map(|item| match text_literal(item) {
                        Some(text) => self.listed(column, text, place(item)),
                        None => self.quoted(expr, item).and(Err(Refusal::at(
                            place(item),
                            "IN takes a list of texts here",
                        )
                        .suggest("texts stand in single quotes"))),
                    })
                    .collect::<Result<_, _>>()?;
                Ok(Any::Bool(Bool::Among {
                    column,
                    positions,
                    negated,
                }))
            }
            Any::Num(value) => {
                let mut numbers = Vec::with_capacity(list.len());
                for item in list {
                    match self.any(item)? {
                        Any::Num(Num::Literal(v)) => numbers.push(v),
                        _ => {
                            return Err(Refusal::at(
                                place(item),
                                "IN takes a list of plain numbers",
                            ));
                        }
                    }
                }
                numbers.sort_by(f64::total_cmp);
                numbers.dedup();
                Ok(Any::Bool(Bool::InNumbers {
                    value: Box::new(value),
                    list: numbers,
                    negated,
                }))
            }
            Any::Bool(_) | Any::Null => Err(Refusal::at(
                at,
                "IN takes a number or a category on its left",
            )),
        }
    }
}

fn text_literal(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Value(ValueWithSpan {
            value: Value::SingleQuotedString(text),
            span: _,
        }) => Some(text),
        Expr::Nested(inner) => text_literal(inner),
        _ => None,
    }
}
