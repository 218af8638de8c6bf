//! When an expression is missing, decided from its form: masks that are provably equal share one
//! count vector.

use std::collections::BTreeSet;

use obscura_model::schema::Domain;

use super::bounds::interval;
use super::{Any, Arith, Bool, Call, Num, Text};
use crate::functions::Missing;
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
        } => strict_any(value, known),
        Bool::CompareTexts(_, left, right) => {
            strict_text(left, known);
            strict_text(right, known);
        }
        Bool::InTexts { value, list: _ }
        | Bool::Matches { value, pattern: _ }
        | Bool::InCodes { value, codes: _ } => strict_text(value, known),
        Bool::Call(call) => strict_call(call, known),
        Bool::Is {
            value,
            truth: true,
            negated: false,
        } => where_true(value, known),
        // NOT of a node that is missing with each of its parts is TRUE only where they are known.
        Bool::Not(inner) => {
            if let leaf @ (Bool::Column(_)
            | Bool::CompareTexts(_, _, _)
            | Bool::InTexts { value: _, list: _ }
            | Bool::Matches {
                value: _,
                pattern: _,
            }
            | Bool::InCodes { value: _, codes: _ }) = inner.as_ref()
            {
                where_true(leaf, known);
            }
        }
        Bool::Is {
            value: _,
            truth: _,
            negated: _,
        }
        | Bool::Distinct {
            left: _,
            right: _,
            negated: _,
        }
        | Bool::IsNull {
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
        Num::Call(call) => strict_call(call, known),
        Num::Null | Num::Literal(_) | Num::Day(_) | Num::Case(_) => {}
    }
}

fn strict_text(value: &Text, known: &mut BTreeSet<usize>) {
    match value {
        Text::Column(column) | Text::Category { column, labels: _ } => {
            known.insert(*column);
        }
        Text::Call(call) => strict_call(call, known),
        Text::Null | Text::Literal(_) | Text::Case(_) => {}
    }
}

fn strict_any(value: &Any, known: &mut BTreeSet<usize>) {
    match value {
        Any::Num(n) | Any::Date(n) => strict(n, known),
        Any::Text(t) => strict_text(t, known),
        Any::Category(column) | Any::Bool(Bool::Column(column)) => {
            known.insert(*column);
        }
        Any::Bool(_) | Any::Null => {}
    }
}

fn strict_call(call: &Call, known: &mut BTreeSet<usize>) {
    let needed = match call.function.missing {
        Missing::WithArguments | Missing::Sometimes => call.arguments.len(),
        Missing::IfEqual => 1,
        // Any one of several may be the known one.
        Missing::WithAll if call.arguments.len() == 1 => 1,
        Missing::WithAll => 0,
    };
    let needed = call.arguments.iter().take(needed);
    needed.for_each(|a| strict_any(a, known));
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
            Any::Num(n) | Any::Date(n) => self.of_num(n),
            Any::Bool(b) => self.of_bool(b),
            Any::Text(t) => self.of_text(t),
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
            Num::Literal(_) | Num::Day(_) => Some(BTreeSet::new()),
            Num::Column(column) => Some(self.of_column(*column)),
            Num::Call(call) => self.of_call(call),
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

    fn of_text(&self, value: &Text) -> Columns {
        match value {
            Text::Null => None,
            Text::Literal(_) => Some(BTreeSet::new()),
            Text::Column(column) | Text::Category { column, labels: _ } => {
                Some(self.of_column(*column))
            }
            Text::Case(case) => {
                case.otherwise.as_ref()?;
                let results = case.arms.iter().map(|(_, r)| r);
                let mut results = results.chain(case.otherwise.as_deref());
                let never = results.all(|r| self.of_text(r).is_some_and(|c| c.is_empty()));
                never.then(BTreeSet::new)
            }
            Text::Call(call) => self.of_call(call),
        }
    }

    fn of_call(&self, call: &Call) -> Columns {
        let mut arguments = call.arguments.iter().map(|a| self.of_any(a));
        match call.function.missing {
            Missing::WithArguments => arguments.try_fold(BTreeSet::new(), |mut so_far, part| {
                so_far.append(&mut part?);
                Some(so_far)
            }),
            Missing::Sometimes | Missing::IfEqual => None,
            Missing::WithAll => arguments
                .any(|a| a.is_some_and(|c| c.is_empty()))
                .then(BTreeSet::new),
        }
    }

    /// Nothing if some row could divide by zero or meet infinity on the way.
    fn never_undefined(&self, first: &Num, rest: &[(Arith, Num)]) -> Option<()> {
        let mut so_far = interval(first, self.scope).filter(|i| i.is_finite())?;
        for (op, next) in rest {
            let next = interval(next, self.scope).filter(|i| i.is_finite())?;
            if *op == Arith::Remainder && next.holds(0.0) {
                return None;
            }
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
            }
            | Bool::Is {
                value: _,
                truth: _,
                negated: _,
            }
            | Bool::Distinct {
                left: _,
                right: _,
                negated: _,
            } => Some(BTreeSet::new()),
            Bool::CompareTexts(_, left, right) => {
                let mut both = self.of_text(left)?;
                both.append(&mut self.of_text(right)?);
                Some(both)
            }
            Bool::InTexts { value, list: _ }
            | Bool::Matches { value, pattern: _ }
            | Bool::InCodes { value, codes: _ } => self.of_text(value),
            Bool::Call(call) => self.of_call(call),
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
