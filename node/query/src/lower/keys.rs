//! Group keys: expressions with a finite public domain.
//!
//! The domain of an expression is what it can give on the declared domains of the columns that it
//! reads, in ascending order: found by evaluating the expression itself over all their values, so
//! that a row's value and its group's can never differ by a rounding. Where a column has no finite
//! list the expression must be a CASE, whose results are its domain in the order of its arms, or be
//! made of such parts.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BooleanArray, Float64Array, Int32Array};
use obscura_model::calendar;
use obscura_model::schema::Domain;
use sqlparser::ast::{CaseWhen, Expr, GroupByExpr, SelectItem, Value, ValueWithSpan};
use sqlparser::keywords::Keyword;

use super::arrange::whole;
use super::labels::made;
use super::{Lowering, absent, means, not_part, place};
use crate::batch::Batch;
use crate::eval::Row;
use crate::expr::{Any, Bool, Call, Case, Interval, Num, Text, interval, is_date, literal};
use crate::functions::gives_whole_numbers;
use crate::limits::shown;
use crate::query::{KeyDefinition, KeyValue};
use crate::refusal::Refusal;
use crate::runs::Runs;
use crate::scope::Scope;

/// The most cells of one query: the product of its keys' sizes.
const MOST_CELLS: u64 = 10_000;

/// Whole numbers below this are exact floats: 2^53.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// The most combinations of values that are tried to find a domain.
const MOST_TRIED: u64 = 100_000;

impl Lowering<'_> {
    pub(super) fn keys(
        &mut self,
        group_by: &GroupByExpr,
        projection: &[SelectItem],
    ) -> Result<Vec<KeyDefinition>, Refusal> {
        let at = self.places.clause(&[Keyword::GROUP]);
        let GroupByExpr::Expressions(list, modifiers) = group_by else {
            return Err(not_part(at, "GROUP BY ALL").suggest("name the columns to group by"));
        };
        absent(modifiers.is_empty(), at, "a modifier of GROUP BY")?;
        let mut keys: Vec<KeyDefinition> = Vec::with_capacity(list.len());
        let mut cells = 1u64;
        for written in list {
            let at = Some(place(written)).filter(|p| p.line > 0).unwrap_or(at);
            let (expr, alias) = self.meant(written, projection)?;
            let value = self.lower_key(expr).map_err(|r| r.or_at(at))?;
            if keys.iter().any(|k| k.value == value) {
                return Err(Refusal::at(at, "this is a key twice"));
            }
            let alone = keys.is_empty() && list.len() == 1;
            if !alone && (value.found().is_some() || keys.iter().any(|k| k.value.found().is_some()))
            {
                return Err(Refusal::at(
                    at,
                    "a key whose values nobody declared must be the only key",
                )
                .suggest("group by it alone, and ask once for each part with WHERE"));
            }
            let labels = labels(&value, &self.scope);
            cells = cells.saturating_mul(labels.len() as u64);
            if cells > MOST_CELLS {
                return Err(Refusal::at(
                    at,
                    format!("the keys give {cells} cells and the most is {MOST_CELLS}"),
                )
                .suggest("group by fewer columns, or by wider steps"));
            }
            let name = match alias.or_else(|| self.selected_name(&value, projection)) {
                Some(alias) => super::outputs::output_name(alias)?,
                None => self.key_name(&value, keys.len() + 1),
            };
            if keys.iter().any(|k| k.name == name) {
                return Err(Refusal::at(at, format!("two keys are called '{name}'"))
                    .suggest("give one of them another name with AS"));
            }
            keys.push(KeyDefinition {
                name,
                value,
                labels,
            });
        }
        Ok(keys)
    }

    /// The expression behind an entry of GROUP BY: itself, or the item of SELECT with that
    /// position, or with that name unless a column has it.
    fn meant<'e>(
        &self,
        written: &'e Expr,
        projection: &'e [SelectItem],
    ) -> Result<(&'e Expr, Option<&'e sqlparser::ast::Ident>), Refusal> {
        if let Some(position) = whole(written) {
            let index = usize::try_from(position)
                .ok()
                .and_then(|p| p.checked_sub(1));
            return match index.and_then(|i| projection.get(i)) {
                Some(SelectItem::UnnamedExpr(expr)) => Ok((expr, None)),
                Some(SelectItem::ExprWithAlias { expr, alias }) => Ok((expr, Some(alias))),
                _ => Err(Refusal::at(
                    place(written),
                    format!("SELECT has no expression number {position} to group by"),
                )),
            };
        }
        let Expr::Identifier(ident) = written else {
            return Ok((written, None));
        };
        if self.column(ident).is_ok() {
            return Ok((written, None));
        }
        let named = projection.iter().find_map(|item| match item {
            SelectItem::ExprWithAlias { expr, alias } => match alias.quote_style {
                None if means(ident, &alias.value.to_ascii_lowercase()) => Some((expr, alias)),
                Some(_) if means(ident, &alias.value) => Some((expr, alias)),
                _ => None,
            },
            _ => None,
        });
        Ok(named.map_or((written, None), |(expr, alias)| (expr, Some(alias))))
    }

    /// The name that SELECT gives to the same expression.
    fn selected_name<'e>(
        &mut self,
        value: &KeyValue,
        projection: &'e [SelectItem],
    ) -> Option<&'e sqlparser::ast::Ident> {
        projection.iter().find_map(|item| match item {
            SelectItem::ExprWithAlias { expr, alias } => {
                (self.key_value(expr).as_ref() == Some(value)).then_some(alias)
            }
            _ => None,
        })
    }

    fn key_name(&self, value: &KeyValue, position: usize) -> String {
        let own = value.column().and_then(|c| self.scope.get(c));
        own.map_or_else(|| format!("group_{position}"), |c| c.name.clone())
    }

    /// What an expression would be as a key, if it can be one.
    pub(super) fn key_value(&mut self, expr: &Expr) -> Option<KeyValue> {
        // Tried only: what it costs in nodes is counted where it is lowered for good.
        let nodes = self.nodes;
        let value = self.lower_key(expr).ok();
        self.nodes = nodes;
        value
    }

    fn lower_key(&mut self, expr: &Expr) -> Result<KeyValue, Refusal> {
        if let Some(case) = self.texts(expr)? {
            return Ok(KeyValue::Texts(case));
        }
        let at = place(expr);
        let unlisted = |what: String| {
            Refusal::at(
                at,
                format!("{what} has no declared list of values to group by"),
            )
            .suggest("group by a category, a boolean or a short integer range, or by CASE")
        };
        match self.any(expr)? {
            Any::Category(column) => Ok(KeyValue::Category(column)),
            Any::Text(Text::Column(column)) => match self.scope.get(column).map(|c| c.keys) {
                Some(Some(keys)) => Ok(KeyValue::Found { column, keys }),
                _ => Err(unlisted(match expr {
                    Expr::Identifier(ident) => shown(&ident.value),
                    _ => "this expression".to_owned(),
                })),
            },
            Any::Text(value) => {
                made(value, &self.scope).ok_or_else(|| unlisted("this expression".to_owned()))
            }
            Any::Bool(condition) => Ok(KeyValue::Truth(condition)),
            Any::Num(value) | Any::Date(value) => match values(&value, &self.scope) {
                Some(values) if !values.is_empty() && values.len() as u64 <= MOST_CELLS => {
                    Ok(KeyValue::Number { value, values })
                }
                _ => Err(unlisted(match expr {
                    Expr::Identifier(ident) => shown(&ident.value),
                    _ => "this expression".to_owned(),
                })),
            },
            _ => Err(unlisted("this expression".to_owned())),
        }
    }

    /// A CASE whose results are all plain texts.
    fn texts(&mut self, expr: &Expr) -> Result<Option<Case<String>>, Refusal> {
        let Expr::Case {
            case_token: _,
            end_token: _,
            operand: None,
            conditions,
            else_result,
        } = expr
        else {
            return Ok(None);
        };
        let results = conditions.iter().map(|w| &w.result);
        if !results
            .chain(else_result.as_deref())
            .all(|r| text(r).is_some())
        {
            return Ok(None);
        }
        let mut arms = Vec::with_capacity(conditions.len());
        for CaseWhen { condition, result } in conditions {
            let result = text(result).unwrap_or("").to_owned();
            arms.push((self.condition(condition)?, result));
        }
        let otherwise = else_result.as_deref().and_then(text);
        Ok(Some(Case {
            arms,
            otherwise: otherwise.map(|t| Box::new(t.to_owned())),
        }))
    }
}

fn text(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Value(ValueWithSpan {
            value: Value::SingleQuotedString(text),
            span: _,
        }) => Some(text),
        _ => None,
    }
}

/// The labels of a key in declared order, each once.
fn labels(value: &KeyValue, scope: &Scope) -> Vec<String> {
    match value {
        KeyValue::Category(column) => match scope.get(*column).map(|c| &c.domain) {
            Some(Domain::Category { values, other: _ }) => values.clone(),
            _ => Vec::new(),
        },
        // As many places as may be shown; what stands in them is part of the noisy answer.
        KeyValue::Found { column: _, keys } => vec![String::new(); keys.most as usize],
        KeyValue::Truth(_) => vec!["false".to_owned(), "true".to_owned()],
        KeyValue::Number { value, values } => {
            let day = is_date(value, scope);
            let label = |v: &f64| {
                if day && v.abs() < 1e9 {
                    calendar::label(*v as i32)
                } else {
                    literal(*v)
                }
            };
            values.iter().map(label).collect()
        }
        KeyValue::Texts(case) => {
            let results = case.arms.iter().map(|(_, r)| r);
            each_once(results.chain(case.otherwise.as_deref()))
        }
        KeyValue::Made {
            value: _,
            column: _,
            texts,
        } => each_once(texts.iter().flatten()),
    }
}

/// In the order of their first appearance.
fn each_once<'t>(texts: impl Iterator<Item = &'t String>) -> Vec<String> {
    let mut known = BTreeSet::new();
    texts.filter(|t| known.insert(*t)).cloned().collect()
}

/// The values that a number can have, in declared order, or nothing if that is no short list.
fn values(value: &Num, scope: &Scope) -> Option<Vec<f64>> {
    if let Num::Case(case) = value {
        let mut all: Vec<f64> = Vec::new();
        let results = case.arms.iter().map(|(_, r)| r);
        for result in results.chain(case.otherwise.as_deref()) {
            for v in values(result, scope)? {
                if !all.contains(&v) {
                    all.push(v);
                }
            }
        }
        return Some(all);
    }
    let mut found = match tried(value, scope) {
        Some(found) => found,
        None => structural(value, scope)?,
    };
    found.sort_by(f64::total_cmp);
    found.dedup();
    Some(found)
}

/// The values of an expression in which one part has a list and the others are plain numbers.
fn structural(value: &Num, scope: &Scope) -> Option<Vec<f64>> {
    let over = |found: Vec<f64>, make: &dyn Fn(f64) -> Num| -> Option<Vec<f64>> {
        let each = found.into_iter().map(|v| tried(&make(v), scope));
        let all = each.collect::<Option<Vec<Vec<f64>>>>()?;
        Some(all.into_iter().flatten().collect())
    };
    match value {
        Num::Null => Some(Vec::new()),
        Num::Negate(inner) => over(values(inner, scope)?, &|v| {
            Num::Negate(Box::new(Num::Literal(v)))
        }),
        Num::Chain { first, rest } => {
            let parts = std::iter::once(first.as_ref()).chain(rest.iter().map(|(_, n)| n));
            let mut varying = parts.enumerate().filter(|(_, n)| !is_plain(n));
            let (place, part) = varying.next()?;
            if varying.next().is_some() {
                return None;
            }
            over(values(part, scope)?, &|v| {
                let mut first = first.clone();
                let mut rest = rest.clone();
                match place.checked_sub(1).and_then(|p| rest.get_mut(p)) {
                    Some((_, part)) => *part = Num::Literal(v),
                    None => *first = Num::Literal(v),
                }
                Num::Chain { first, rest }
            })
        }
        Num::Call(Call {
            function,
            arguments,
        }) if gives_whole_numbers(function.name, arguments.len()) => {
            let Interval { low, high } = interval(value, scope)?;
            let (low, high) = (low.ceil(), high.floor());
            let few = low.abs() < EXACT && high.abs() < EXACT && high - low < MOST_CELLS as f64;
            few.then(|| {
                let count = (high - low) as u64;
                (0..=count).map(|i| low + i as f64 + 0.0).collect()
            })
        }
        _ => None,
    }
}

fn is_plain(value: &Num) -> bool {
    let mut columns = BTreeSet::new();
    value.columns(&mut columns);
    columns.is_empty()
}

/// What the expression gives on all combinations of its columns' values, by evaluating it.
fn tried(value: &Num, scope: &Scope) -> Option<Vec<f64>> {
    let mut columns = BTreeSet::new();
    value.columns(&mut columns);
    let mut rows = 1u64;
    for column in &columns {
        rows = rows.checked_mul(scope.get(*column)?.domain.key_count()?)?;
        if rows > MOST_TRIED {
            return None;
        }
    }
    let rows = usize::try_from(rows).ok()?;
    let mut arrays: Vec<Option<ArrayRef>> = vec![None; scope.columns().len()];
    let mut faster = 1usize;
    for column in &columns {
        let domain = &scope.get(*column)?.domain;
        let count = usize::try_from(domain.key_count()?).ok()?;
        let index = |row: usize| row / faster % count;
        let numbers = |lowest: f64| -> ArrayRef {
            let values = (0..rows).map(|r| lowest + index(r) as f64);
            Arc::new(Float64Array::from_iter_values(values))
        };
        *arrays.get_mut(*column)? = Some(match domain {
            Domain::Integer { lowest, .. } => numbers(*lowest as f64),
            Domain::Date { first, .. } => numbers(f64::from(*first)),
            Domain::Boolean => Arc::new(BooleanArray::from_iter(
                (0..rows).map(|r| Some(index(r) == 1)),
            )),
            Domain::Category { .. } => {
                let codes = (0..rows).map(|r| i32::try_from(index(r)).unwrap_or(i32::MAX));
                Arc::new(Int32Array::from_iter_values(codes))
            }
            Domain::Number { .. } | Domain::Text { .. } => return None,
        });
        faster = faster.checked_mul(count)?;
    }
    let batch = Batch {
        runs: Runs::new([(0, rows)]),
        columns: arrays,
    };
    let found = Row { batch: &batch }.num(value).ok()?;
    let valid = (0..rows).filter(|r| found.is_valid(*r));
    let mut all: Vec<f64> = valid
        .map(|r| found.value(r))
        .filter(|v| v.is_finite())
        .collect();
    all.sort_by(f64::total_cmp);
    all.dedup();
    Some(all)
}

/// A CASE that gives texts as the number of the label.
pub(crate) fn numbered(case: &Case<String>, labels: &[String]) -> Num {
    let number = |text: &String| {
        let position = labels.iter().position(|l| l == text);
        Num::Literal(position.unwrap_or(labels.len()) as f64)
    };
    Num::Case(Case {
        arms: case
            .arms
            .iter()
            .map(|(b, t)| (b.clone(), number(t)))
            .collect(),
        otherwise: case.otherwise.as_ref().map(|t| Box::new(number(t))),
    })
}

/// A condition as the number of its label: 0 for false, 1 for true.
pub(crate) fn truth(condition: &Bool) -> Num {
    let arm = |condition: Bool, v: f64| (condition, Num::Literal(v));
    let not = Bool::Not(Box::new(condition.clone()));
    Num::Case(Case {
        arms: vec![arm(condition.clone(), 1.0), arm(not, 0.0)],
        otherwise: None,
    })
}
