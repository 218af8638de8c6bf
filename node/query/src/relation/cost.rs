//! What the steps of a relation cost on each of their rows beyond the words and signs of their
//! text, in operators. A function of the query and of declared lengths.

use std::collections::BTreeSet;

use super::{PersonAggregate, Relation, Rows, Select, Value};
use crate::expr::{Any, cost_of_any, cost_of_bool, cost_of_copy, cost_of_num};
use crate::scope::Scope;

/// Sorting a subject's values: their logarithm of comparisons each.
const SORTED: u64 = 16;

impl Relation {
    /// What all steps cost if these columns are read. Every row is supposed to go through all.
    pub(crate) fn cost(&self, wanted: &BTreeSet<usize>) -> u64 {
        let all = self.with_conditions(wanted);
        let mut offset = 0;
        let mut cost = 0u64;
        for item in self.items() {
            let end = offset + item.scope.columns().len();
            if let Rows::Select(select) = &item.rows {
                let own = all.range(offset..end).map(|c| c - offset).collect();
                cost = cost.saturating_add(select.cost(&own));
            }
            offset = end;
        }
        for join in &self.joins {
            let on = join
                .on
                .as_ref()
                .map_or(0, |on| cost_of_bool(on, &join.scope));
            // Put together once, and once more where a condition decides.
            let copied = copied(&all, &join.scope).saturating_mul(2);
            cost = cost.saturating_add(on).saturating_add(copied);
        }
        cost
    }
}

impl Select {
    fn cost(&self, outputs: &BTreeSet<usize>) -> u64 {
        let read = self.wanted(outputs);
        let (from, scope) = (self.from.scope(), self.scope());
        let mut parts = vec![self.from.cost(&read)];
        if let Some(filter) = &self.filter {
            parts.push(cost_of_bool(filter, from));
            parts.push(copied(&read, from));
        }
        if let Some(person) = &self.person {
            parts.extend(person.aggregates.iter().map(|a| a.cost(from)));
            let having = person.having.as_ref();
            parts.push(having.map_or(0, |h| cost_of_bool(h, &person.scope)));
            parts.push(copied(&read, from));
        }
        let outputs = outputs.iter().filter_map(|o| self.outputs.get(*o));
        parts.extend(outputs.map(|output| match &output.value {
            Value::Column(_) => 0,
            Value::Computed(value) => cost_of_any(value, scope),
        }));
        parts.into_iter().fold(0, u64::saturating_add)
    }
}

impl PersonAggregate {
    fn cost(&self, scope: &Scope) -> u64 {
        let any = |value: &Any| cost_of_any(value, scope);
        match self {
            PersonAggregate::Rows => 0,
            PersonAggregate::Different(value) => any(value).saturating_add(SORTED),
            PersonAggregate::Known(value)
            | PersonAggregate::Least(value)
            | PersonAggregate::Greatest(value) => any(value),
            PersonAggregate::Sum(value) | PersonAggregate::Average(value) => {
                cost_of_num(value, scope)
            }
            PersonAggregate::Some(value) | PersonAggregate::Every(value) => {
                cost_of_bool(value, scope)
            }
        }
    }
}

/// Copying a row's values.
fn copied(columns: &BTreeSet<usize>, scope: &Scope) -> u64 {
    let columns = columns.iter().filter_map(|c| scope.get(*c));
    columns.fold(0, |sum, c| sum.saturating_add(cost_of_copy(&c.domain)))
}
