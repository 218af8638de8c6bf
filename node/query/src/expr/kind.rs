//! Which of the types an expression is of.

use obscura_model::schema::Domain;

use super::{Any, Bool, Num, Text};
use crate::functions::Gives;
use crate::scope::Scope;

/// Whether a number stands for a day.
pub(crate) fn is_date(value: &Num, scope: &Scope) -> bool {
    match value {
        Num::Day(_) => true,
        Num::Column(column) => scope
            .get(*column)
            .is_some_and(|c| matches!(c.domain, Domain::Date { first: _, last: _ })),
        Num::Case(case) => {
            let results = case.arms.iter().map(|(_, r)| r);
            let mut results = results.chain(case.otherwise.as_deref());
            results.any(|r| is_date(r, scope))
        }
        Num::Least(list) | Num::Greatest(list) => list.iter().any(|n| is_date(n, scope)),
        Num::Call(call) => call.gives() == Gives::Date,
        Num::Null | Num::Literal(_) | Num::Negate(_) | Num::Chain { first: _, rest: _ } => false,
    }
}

/// Several values of one type.
pub(crate) enum Same {
    Nums(Vec<Num>),
    Dates(Vec<Num>),
    Bools(Vec<Bool>),
    Texts(Vec<Text>),
}

impl Same {
    /// The same values, each with its type again.
    pub(crate) fn anys(self) -> Vec<Any> {
        match self {
            Same::Nums(list) => list.into_iter().map(Any::Num).collect(),
            Same::Dates(list) => list.into_iter().map(Any::Date).collect(),
            Same::Bools(list) => list.into_iter().map(Any::Bool).collect(),
            Same::Texts(list) => list.into_iter().map(Any::Text).collect(),
        }
    }
}

/// Gives every NULL the type of the others (a number if there is no other), and categories that of
/// their texts; nothing if two types meet.
pub(crate) fn same(values: Vec<Any>, scope: &Scope) -> Option<Same> {
    let typed = values.iter().find(|v| !matches!(v, Any::Null));
    match typed {
        None | Some(Any::Num(_) | Any::Null) => each(values, |v| match v {
            Any::Num(n) => Some(n),
            Any::Null => Some(Num::Null),
            Any::Date(_) | Any::Bool(_) | Any::Text(_) | Any::Category(_) => None,
        })
        .map(Same::Nums),
        Some(Any::Date(_)) => each(values, |v| match v {
            Any::Date(n) => Some(n),
            Any::Null => Some(Num::Null),
            Any::Num(_) | Any::Bool(_) | Any::Text(_) | Any::Category(_) => None,
        })
        .map(Same::Dates),
        Some(Any::Bool(_)) => each(values, |v| match v {
            Any::Bool(b) => Some(b),
            Any::Null => Some(Bool::Null),
            Any::Num(_) | Any::Date(_) | Any::Text(_) | Any::Category(_) => None,
        })
        .map(Same::Bools),
        Some(Any::Text(_) | Any::Category(_)) => each(values, |v| match v {
            Any::Text(t) => Some(t),
            Any::Category(column) => Text::category(column, scope),
            Any::Null => Some(Text::Null),
            Any::Num(_) | Any::Date(_) | Any::Bool(_) => None,
        })
        .map(Same::Texts),
    }
}

fn each<T>(values: Vec<Any>, typed: impl Fn(Any) -> Option<T>) -> Option<Vec<T>> {
    values.into_iter().map(typed).collect()
}
