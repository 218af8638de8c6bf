//! The most bytes that the expressions of a relation hold for one row while they are evaluated.

use super::{PersonAggregate, Relation, Rows, Select, Value};
use crate::expr::{width_of_any, width_of_bool, width_of_num};
use crate::scope::Scope;

impl Relation {
    /// Of all conditions and values in it, the widest. From declared lengths alone.
    pub(crate) fn width(&self) -> u64 {
        let selects = self.items().map(|item| match &item.rows {
            Rows::Table(_) => 0,
            Rows::Select(select) => select.width(),
        });
        let conditions = self.joins.iter().map(|join| {
            let on = join.on.as_ref();
            on.map_or(0, |on| width_of_bool(on, &join.scope))
        });
        selects.chain(conditions).fold(0, u64::max)
    }
}

impl Select {
    fn width(&self) -> u64 {
        let (from, scope) = (self.from.scope(), self.scope());
        let filter = self.filter.as_ref().map(|f| width_of_bool(f, from));
        let person = self.person.iter().flat_map(|person| {
            let having = person.having.as_ref();
            let having = having.map(|h| width_of_bool(h, &person.scope));
            let aggregates = person.aggregates.iter().map(|a| a.width(from));
            aggregates.chain(having)
        });
        let outputs = self.outputs.iter().map(|output| match &output.value {
            Value::Column(_) => 0,
            Value::Computed(value) => width_of_any(value, scope),
        });
        let parts = filter.into_iter().chain(person).chain(outputs);
        parts.fold(self.from.width(), u64::max)
    }
}

impl PersonAggregate {
    fn width(&self, scope: &Scope) -> u64 {
        match self {
            PersonAggregate::Rows => 0,
            PersonAggregate::Known(value)
            | PersonAggregate::Different(value)
            | PersonAggregate::Least(value)
            | PersonAggregate::Greatest(value) => width_of_any(value, scope),
            PersonAggregate::Sum(value) | PersonAggregate::Average(value) => {
                width_of_num(value, scope)
            }
            PersonAggregate::Some(value) | PersonAggregate::Every(value) => {
                width_of_bool(value, scope)
            }
        }
    }
}
