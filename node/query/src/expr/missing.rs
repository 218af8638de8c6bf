//! When an expression is missing, decided from its form: masks that are provably equal share one
//! count vector.

use std::collections::BTreeSet;

use obscura_model::schema::Domain;

use super::bounds::interval;
use super::{Any, Arith, Bool, Num};
use crate::scope::Scope;

/// Which of the matching rows have a value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Mask {
    /// Every matching row.
    Everything,
    /// The rows in which none of these columns is missing.
    Columns(BTreeSet<usize>),
    /// The rows in which this expression is not missing.
    Expression(Box<Any>),
}

/// The rows in which `value` is not missing, given columns `known` not to be missing in any
/// matching row.
pub(crate) fn mask(value: &Any, known: &BTreeSet<usize>, scope: &Scope) -> Mask {
    match (Sources { known, scope }).of_any(value) {
        Some(columns) if columns.is_empty() => Mask::Everything,
        Some(columns) => Mask::Columns(columns),
        None => Mask::Expression(Box::new(value.clone())),
    }
}

/// The columns that cannot be missing where `condition` is TRUE.
pub(crate) fn known_from(condition: Option<&Bool>) -> BTreeSet<usize> {
    let mut known = BTreeSet::new();
    if let Some(condition) = condition {
        where_true(condition, &mut known);
    }
    known
}

fn where_true(condition: &Bool, known: &mut BTreeSet<usize>) {
    match condition {
        Bool::All(list) => list.iter().for_each(|b| where_true(b, known)),
        Bool::Column(column)
        | Bool::Among {
            column,
            positions: _,
            negated: _,
        } => {
            known.insert(*column);
        }
        Bool::Compare(_, left, right) => {
            strict(left, known);
            strict(right, known);
        }
        // NOT BETWEEN is TRUE already when one end decides, so only the value is known.
        Bool::Between {
            value,
            low,
            high,
            negated,
        } => {
            strict(value, known);
            if !negated {
                strict(low, known);
                strict(high, known);
            }
        }
        Bool::InNumbers {
            value,
            list: _,
            negated: _,
        } => strict(value, known),
        Bool::IsNull {
            value,
            negated: true,
        } => match value.as_ref() {
            Any::Num(n) => strict(n, known),
            Any::Category(column) | Any::Bool(Bool::Column(column)) => {
                known.insert(*column);
            }
            Any::Bool(_) | Any::Null => {}
        },
        Bool::Not(inner) => {
            if let Bool::Column(column) = inner.as_ref() {
                known.insert(*column);
            }
        }
        Bool::IsNull {
            value: _,
            negated: false,
        }
        | Bool::Null
        | Bool::Literal(_)
        | Bool::Either(_)
        | Bool::Case(_) => {}
    }
}

/// The columns that cannot be missing where `value` is not.
fn strict(value: &Num, known: &mut BTreeSet<usize>) {
    match value {
        Num::Column(column) => {
            known.insert(*column);
        }
        Num::Negate(inner) => strict(inner, known),
        Num::Chain { first, rest } => {
            strict(first, known);
            rest.iter().for_each(|(_, n)| strict(n, known));
        }
        Num::Least(list) | Num::Greatest(list) => list.iter().for_each(|n| strict(n, known)),
        Num::Null | Num::Literal(_) | Num::Case(_) => {}
    }
}

/// "Missing if and only if one of these columns is", where the form proves it.
struct Sources<'a> {
    known: &'a BTreeSet<usize>,
    scope: &'a Scope,
}

type Columns = Option<BTreeSet<usize>>;

impl Sources<'_> {
    fn of_any(&self, value: &Any) -> Columns {
        match value {
            Any::Num(n) => self.of_num(n),
            Any::Bool(b) => self.of_bool(b),
            Any::Category(column) => Some(self.of_column(*column)),
            Any::Null => None,
        }
    }

    fn of_column(&self, column: usize) -> BTreeSet<usize> {
        let never = self.known.contains(&column)
            || self.scope.get(column).is_some_and(|c| {
                // A category off the list is stored as missing unless the list has an `other`.
                !c.may_be_missing && !matches!(c.domain, Domain::Category { other: None, .. })
            });
        if never {
            BTreeSet::new()
        } else {
            BTreeSet::from([column])
        }
    }

    fn union<'b>(&self, parts: impl IntoIterator<Item = &'b Num>) -> Columns {
        parts
            .into_iter()
            .try_fold(BTreeSet::new(), |mut so_far, part| {
                so_far.append(&mut self.of_num(part)?);
                Some(so_far)
            })
    }

    fn of_num(&self, value: &Num) -> Columns {
        match value {
            Num::Null => None,
            Num::Literal(_) => Some(BTreeSet::new()),
            Num::Column(column) => Some(self.of_column(*column)),
            Num::Negate(inner) => self.of_num(inner),
            Num::Chain { first, rest } => {
                self.never_undefined(first, rest)?;
                self.union(std::iter::once(first.as_ref()).chain(rest.iter().map(|(_, n)| n)))
            }
            Num::Least(list) | Num::Greatest(list) => self.union(list),
            Num::Case(case) => {
                let results = case
                    .arms
                    .iter()
                    .map(|(_, r)| r)
                    .chain(case.otherwise.as_deref());
                let never = case.otherwise.is_some() && self.union(results)?.is_empty();
                never.then(BTreeSet::new)
            }
        }
    }

    /// Nothing if some row could divide by zero or meet infinity on the way.
    fn never_undefined(&self, first: &Num, rest: &[(Arith, Num)]) -> Option<()> {
        let mut so_far = interval(first, self.scope).filter(|i| i.is_finite())?;
        for (op, next) in rest {
            let next = interval(next, self.scope).filter(|i| i.is_finite())?;
            so_far = Some(so_far.apply(*op, next)).filter(|i| i.is_finite())?;
        }
        Some(())
    }

    fn of_bool(&self, value: &Bool) -> Columns {
        match value {
            Bool::Null => None,
            Bool::Literal(_)
            | Bool::IsNull {
                value: _,
                negated: _,
            } => Some(BTreeSet::new()),
            Bool::Column(column)
            | Bool::Among {
                column,
                positions: _,
                negated: _,
            } => Some(self.of_column(*column)),
            Bool::Compare(_, left, right) => self.union([left.as_ref(), right.as_ref()]),
            Bool::InNumbers {
                value,
                list: _,
                negated: _,
            } => self.of_num(value),
            Bool::Not(inner) => self.of_bool(inner),
            // These can be decided although a part is missing: proved only if no part ever is.
            Bool::Between {
                value,
                low,
                high,
                negated: _,
            } => self
                .union([value.as_ref(), low.as_ref(), high.as_ref()])?
                .is_empty()
                .then(BTreeSet::new),
            Bool::All(list) | Bool::Either(list) => self.never(list.iter()),
            Bool::Case(case) => {
                case.otherwise.as_ref()?;
                self.never(
                    case.arms
                        .iter()
                        .map(|(_, r)| r)
                        .chain(case.otherwise.as_deref()),
                )
            }
        }
    }

    fn never<'b>(&self, mut parts: impl Iterator<Item = &'b Bool>) -> Columns {
        let never = parts.all(|b| self.of_bool(b).is_some_and(|c| c.is_empty()));
        never.then(BTreeSet::new)
    }
}
