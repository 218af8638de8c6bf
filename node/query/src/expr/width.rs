//! The most memory that evaluating an expression holds for one row: arrays of texts have as many
//! bytes as all their texts together, so that this bounds how many rows may be looked at at once.
//! A function of the form and of declared lengths.

use super::{Any, Bool, Call, Case, Num, Text, longest};
use crate::scope::Scope;

/// A number or a truth of one row, and whether it is there.
const FIXED: u64 = 16;

/// As many numbers and truths of a row a node holds beside what it is made of.
const HELD: u64 = 4 * FIXED;

/// The most bytes that evaluating holds for one row.
pub(crate) fn width_of_any(value: &Any, scope: &Scope) -> u64 {
    match value {
        Any::Num(n) | Any::Date(n) => width_of_num(n, scope),
        Any::Bool(b) => width_of_bool(b, scope),
        Any::Text(t) => of_text(t, scope),
        Any::Category(_) | Any::Null => FIXED,
    }
}

/// The same of a number.
pub(crate) fn width_of_num(value: &Num, scope: &Scope) -> u64 {
    let all = |list: &[Num]| widest(list.iter().map(|n| width_of_num(n, scope)));
    match value {
        Num::Null | Num::Literal(_) | Num::Day(_) | Num::Column(_) => FIXED,
        Num::Negate(inner) => widest([width_of_num(inner, scope)]),
        Num::Chain { first, rest } => {
            let rest = rest.iter().map(|(_, n)| width_of_num(n, scope));
            widest(rest.chain([width_of_num(first, scope)]))
        }
        Num::Case(case) => of_case(case, scope, FIXED, width_of_num),
        Num::Least(list) | Num::Greatest(list) => all(list),
        Num::Call(call) => of_call(call, scope, FIXED),
    }
}

/// The same of a condition.
pub(crate) fn width_of_bool(value: &Bool, scope: &Scope) -> u64 {
    match value {
        Bool::Null | Bool::Literal(_) | Bool::Column(_) => FIXED,
        Bool::Compare(_, left, right) => widest([left, right].map(|n| width_of_num(n, scope))),
        Bool::Between {
            value,
            low,
            high,
            negated: _,
        } => widest([value, low, high].map(|n| width_of_num(n, scope))),
        Bool::InNumbers {
            value,
            list: _,
            negated: _,
        } => widest([width_of_num(value, scope)]),
        Bool::Among {
            column: _,
            positions: _,
            negated: _,
        } => HELD,
        Bool::CompareTexts(_, left, right) => {
            let side = |t: &Text| (of_text(t, scope), held_text(t, scope));
            together([side(left), side(right)], HELD)
        }
        Bool::InTexts { value, list: _ }
        | Bool::InCodes { value, codes: _ }
        | Bool::Matches { value, pattern: _ } => {
            together([(of_text(value, scope), held_text(value, scope))], HELD)
        }
        Bool::Is {
            value,
            truth: _,
            negated: _,
        } => widest([width_of_bool(value, scope)]),
        Bool::Distinct {
            left,
            right,
            negated: _,
        } => together([left, right].map(|v| argument(v, scope)), HELD),
        Bool::IsNull { value, negated: _ } => widest([width_of_any(value, scope)]),
        Bool::Call(call) => of_call(call, scope, FIXED),
        Bool::All(list) | Bool::Either(list) => {
            widest(list.iter().map(|b| width_of_bool(b, scope)))
        }
        Bool::Not(inner) => widest([width_of_bool(inner, scope)]),
        Bool::Case(case) => of_case(case, scope, FIXED, width_of_bool),
    }
}

fn of_text(value: &Text, scope: &Scope) -> u64 {
    let own = held_text(value, scope);
    match value {
        Text::Null
        | Text::Literal(_)
        | Text::Column(_)
        | Text::Category {
            column: _,
            labels: _,
        } => own,
        Text::Case(case) => of_case(case, scope, own, of_text),
        Text::Call(call) => of_call(call, scope, own),
    }
}

/// A text as an array keeps it: at most 4 bytes a character, and where it begins.
fn held_text(value: &Text, scope: &Scope) -> u64 {
    4 * u64::from(longest(value, scope)) + FIXED
}

/// What computing an argument holds, and what stays of it.
fn argument(value: &Any, scope: &Scope) -> (u64, u64) {
    let stays = match value {
        Any::Text(t) => held_text(t, scope),
        Any::Num(_) | Any::Date(_) | Any::Bool(_) | Any::Category(_) | Any::Null => FIXED,
    };
    (width_of_any(value, scope), stays)
}

fn of_call(call: &Call, scope: &Scope, own: u64) -> u64 {
    together(call.arguments.iter().map(|a| argument(a, scope)), own)
}

/// What was chosen so far stays while the next condition and result are computed, and until the
/// next choice among both is made.
fn of_case<T>(case: &Case<T>, scope: &Scope, own: u64, of: fn(&T, &Scope) -> u64) -> u64 {
    let otherwise = case.otherwise.as_ref().map_or(own, |o| of(o, scope));
    let arms = case.arms.iter().map(|(condition, result)| {
        let computed = width_of_bool(condition, scope).max(of(result, scope));
        let chosen = own.saturating_mul(2).max(computed);
        own.saturating_add(chosen).saturating_add(HELD)
    });
    arms.fold(otherwise, u64::max)
}

/// One after the other is computed and stays, and then the result is made of all.
fn together(parts: impl IntoIterator<Item = (u64, u64)>, own: u64) -> u64 {
    let (mut held, mut most) = (HELD, 0u64);
    for (computing, stays) in parts {
        most = most.max(held.saturating_add(computing));
        held = held.saturating_add(stays);
    }
    most.max(held.saturating_add(own))
}

/// One after the other is computed and becomes a number or a truth.
fn widest(parts: impl IntoIterator<Item = u64>) -> u64 {
    parts.into_iter().fold(0, u64::max).saturating_add(HELD)
}
