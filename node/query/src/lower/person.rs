//! One value from a subject's rows: the aggregates of a SELECT that groups by the subject.

use std::collections::BTreeSet;

use obscura_model::schema::Domain;
use sqlparser::ast::{Function, FunctionArgExpr};

use super::aggregate::{Call, call, expression};
use super::domain::computed;
use super::{Lowering, not_part};
use crate::expr::{Any, Num};
use crate::limits::shown;
use crate::refusal::Refusal;
use crate::relation::{PersonAggregate, number};
use crate::scope::Scope;

/// A SELECT that groups by the subject, while its outputs and HAVING are read.
pub(super) struct Grouping {
    /// The rows that aggregates are over.
    pub(super) input: Scope,
    /// The columns that are not missing on any row.
    pub(super) known: BTreeSet<usize>,
    pub(super) aggregates: Vec<PersonAggregate>,
}

impl Lowering<'_> {
    /// An aggregate over one subject's rows, where a SELECT that groups by the subject is read.
    pub(super) fn of_person(&mut self, function: &Function) -> Result<Option<Any>, Refusal> {
        let Some(grouping) = self.grouping.take() else {
            return Ok(None);
        };
        let shown = std::mem::replace(&mut self.scope, grouping.input);
        let found = self.person_aggregate(function);
        let input = std::mem::replace(&mut self.scope, shown);
        let mut grouping = Grouping { input, ..grouping };
        let result = found.and_then(|found| match found {
            Some(aggregate) => self.add(&mut grouping, aggregate).map(Some),
            None => Ok(None),
        });
        self.grouping = Some(grouping);
        result
    }

    fn add(&mut self, grouping: &mut Grouping, new: PersonAggregate) -> Result<Any, Refusal> {
        let found = grouping.aggregates.iter().position(|a| *a == new);
        let column = match found {
            Some(column) => column,
            None => {
                let input = &grouping.input;
                self.scope
                    .push(computed(&new, input, &grouping.known)?, new.sql(input));
                grouping.aggregates.push(new);
                grouping.aggregates.len() - 1
            }
        };
        Ok(self.any_column(column))
    }

    /// Nothing if it is no aggregate.
    fn person_aggregate(
        &mut self,
        function: &Function,
    ) -> Result<Option<PersonAggregate>, Refusal> {
        let Call {
            name,
            distinct,
            arguments,
            ..
        } = call(function)?;
        let known = [
            "COUNT", "SUM", "AVG", "MIN", "MAX", "BOOL_OR", "BOOL_AND", "ANY", "SOME", "EVERY",
        ];
        if !known.contains(&name.as_str()) {
            return Ok(None);
        }
        let at = super::function_place(function);
        let [argument] = arguments.as_slice() else {
            return Err(Refusal::at(at, format!("{name} takes one argument")));
        };
        if let (FunctionArgExpr::Wildcard, "COUNT", false) = (argument, name.as_str(), distinct) {
            return Ok(Some(PersonAggregate::Rows));
        }
        let expr = expression(argument).map_err(|r| r.or_at(at))?;
        let value = self.any(expr)?;
        let wrong = |what: &str| Err(Refusal::at(at, format!("{name} takes {what} here")));
        Ok(Some(match (name.as_str(), distinct, value) {
            ("COUNT", false, Any::Null) => PersonAggregate::Known(Any::Num(Num::Null)),
            ("COUNT", false, value) => PersonAggregate::Known(value),
            ("COUNT", true, Any::Null) => PersonAggregate::Different(Any::Num(Num::Null)),
            ("COUNT", true, value) if self.has_order(&value) => PersonAggregate::Different(value),
            ("COUNT", true, _) => return wrong("DISTINCT of a number, a day or a category"),
            (_, true, _) => return Err(not_part(at, "DISTINCT here")),
            ("SUM", false, Any::Num(value)) => PersonAggregate::Sum(value),
            ("AVG", false, Any::Num(value)) => PersonAggregate::Average(value),
            ("MIN", false, value) if self.has_order(&value) => PersonAggregate::Least(value),
            ("MAX", false, value) if self.has_order(&value) => PersonAggregate::Greatest(value),
            ("BOOL_OR", false, Any::Bool(value)) => PersonAggregate::Some(value),
            ("BOOL_AND", false, Any::Bool(value)) => PersonAggregate::Every(value),
            ("ANY" | "SOME", false, _) => {
                return Err(not_part(at, &shown(&name)).suggest("write BOOL_OR"));
            }
            ("EVERY", false, _) => {
                return Err(not_part(at, &shown(&name)).suggest("write BOOL_AND"));
            }
            ("BOOL_OR" | "BOOL_AND", false, _) => return wrong("a condition"),
            ("MIN" | "MAX", false, _) => return wrong("a number, a day or a category"),
            _ => return wrong("a number"),
        }))
    }

    fn has_order(&self, value: &Any) -> bool {
        match (number(value), value) {
            (Some(Num::Column(column)), _) => !matches!(
                self.scope.get(*column).map(|c| &c.domain),
                Some(Domain::Text { .. }) | None
            ),
            (Some(_), _) | (None, Any::Category(_)) => true,
            _ => false,
        }
    }
}
