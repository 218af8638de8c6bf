//! What an expression costs on one row beyond the words and signs of its text, in operators. A
//! function of the form and of declared lengths.

use obscura_model::schema::Domain;

use super::{Any, Bool, Call, Case, Num, Text, longest};
use crate::functions::Reads;
use crate::scope::Scope;

/// What one operator takes, in nanoseconds, as slots count it.
const OPERATOR: u64 = 10;

/// Writing a character of a text to another place, or comparing it, in nanoseconds. Measured for
/// the worst texts: 3.
const COPY: u64 = 8;

/// Reading a stored character, in nanoseconds: 4 for each of at most four bytes. Measured: 1.7 for
/// each byte.
const STORED: u64 = 16;

/// As many characters are matched or looked up at a price of their own.
const PIECE: u64 = 32;

/// Looking up a code among at most 10,000.
const LOOK_UP: u64 = 16;

/// The extra cost of any expression.
pub(crate) fn cost_of_any(value: &Any, scope: &Scope) -> u64 {
    match value {
        Any::Num(n) | Any::Date(n) => cost_of_num(n, scope),
        Any::Bool(b) => cost_of_bool(b, scope),
        Any::Text(t) => of_text(t, scope),
        Any::Category(_) | Any::Null => 0,
    }
}

/// The extra cost of a number.
pub(crate) fn cost_of_num(value: &Num, scope: &Scope) -> u64 {
    match value {
        Num::Null | Num::Literal(_) | Num::Day(_) | Num::Column(_) => 0,
        Num::Negate(inner) => cost_of_num(inner, scope),
        Num::Chain { first, rest } => {
            let rest = sum(rest.iter().map(|(_, n)| cost_of_num(n, scope)));
            rest.saturating_add(cost_of_num(first, scope))
        }
        Num::Case(case) => of_case(case, scope, cost_of_num),
        Num::Least(list) | Num::Greatest(list) => sum(list.iter().map(|n| cost_of_num(n, scope))),
        Num::Call(call) => of_call(call, scope),
    }
}

/// The extra cost of a condition.
pub(crate) fn cost_of_bool(value: &Bool, scope: &Scope) -> u64 {
    match value {
        Bool::Null | Bool::Literal(_) | Bool::Column(_) => 0,
        Bool::Compare(_, left, right) => pair(cost_of_num(left, scope), cost_of_num(right, scope)),
        Bool::Between {
            value,
            low,
            high,
            negated: _,
        } => sum([value, low, high].map(|n| cost_of_num(n, scope))),
        Bool::InNumbers {
            value,
            list: _,
            negated: _,
        } => cost_of_num(value, scope),
        Bool::Among {
            column: _,
            positions: _,
            negated: _,
        } => 0,
        Bool::CompareTexts(_, left, right) => {
            let reading = pair(of_text(left, scope), of_text(right, scope));
            let shorter = longest(left, scope).min(longest(right, scope));
            reading.saturating_add(cost_of_characters(shorter.into(), COPY))
        }
        Bool::InTexts { value, list: _ } | Bool::InCodes { value, codes: _ } => {
            let each = pieces(longest(value, scope)).saturating_add(1);
            pair(of_text(value, scope), each.saturating_mul(LOOK_UP))
        }
        Bool::Matches { value, pattern } => {
            let each = pieces(longest(value, scope)).saturating_add(1);
            pair(of_text(value, scope), each.saturating_mul(pattern.cost()))
        }
        Bool::Is {
            value,
            truth: _,
            negated: _,
        } => cost_of_bool(value, scope),
        Bool::Distinct {
            left,
            right,
            negated: _,
        } => {
            let compared = characters_of(left, scope).min(characters_of(right, scope));
            pair(cost_of_any(left, scope), cost_of_any(right, scope))
                .saturating_add(cost_of_characters(compared, COPY))
                .saturating_add(4)
        }
        Bool::IsNull { value, negated: _ } => cost_of_any(value, scope),
        Bool::Call(call) => of_call(call, scope),
        Bool::All(list) | Bool::Either(list) => sum(list.iter().map(|b| cost_of_bool(b, scope))),
        Bool::Not(inner) => cost_of_bool(inner, scope),
        Bool::Case(case) => of_case(case, scope, cost_of_bool),
    }
}

/// What copying one value costs.
pub(crate) fn cost_of_copy(domain: &Domain) -> u64 {
    match domain {
        Domain::Text { most_characters } => {
            cost_of_characters((*most_characters).into(), COPY).saturating_add(1)
        }
        Domain::Integer { .. }
        | Domain::Number { .. }
        | Domain::Category { .. }
        | Domain::Boolean
        | Domain::Date { .. } => 1,
    }
}

/// What reading a stored value costs beside its row.
pub(crate) fn cost_of_stored(domain: &Domain) -> u64 {
    match domain {
        Domain::Text { most_characters } => cost_of_characters((*most_characters).into(), STORED),
        Domain::Integer { .. }
        | Domain::Number { .. }
        | Domain::Category { .. }
        | Domain::Boolean
        | Domain::Date { .. } => 0,
    }
}

/// What so many characters cost that take so many nanoseconds each.
pub(crate) fn cost_of_characters(characters: u64, nanos: u64) -> u64 {
    characters.saturating_mul(nanos).div_ceil(OPERATOR)
}

fn of_text(value: &Text, scope: &Scope) -> u64 {
    let written = || cost_of_characters(longest(value, scope).into(), COPY);
    match value {
        // A column is there already.
        Text::Null | Text::Column(_) => 0,
        // Written out for each row.
        Text::Literal(_) => written(),
        Text::Category {
            column: _,
            labels: _,
        } => written().saturating_add(2),
        Text::Case(case) => {
            let arms = u64::try_from(case.arms.len()).unwrap_or(u64::MAX);
            of_case(case, scope, of_text).saturating_add(written().saturating_mul(arms))
        }
        Text::Call(call) => of_call(call, scope),
    }
}

fn of_call(call: &Call, scope: &Scope) -> u64 {
    let arguments = sum(call.arguments.iter().map(|a| cost_of_any(a, scope)));
    let each = call.arguments.iter().map(|a| characters_of(a, scope));
    let characters = match call.function.reads {
        Reads::All => sum(each),
        Reads::Shorter => each.min().unwrap_or(0),
    };
    arguments
        .saturating_add(call.function.cost)
        .saturating_add(cost_of_characters(characters, call.function.nanos))
}

/// The most characters of a value that is a text.
fn characters_of(value: &Any, scope: &Scope) -> u64 {
    match value {
        Any::Text(text) => longest(text, scope).into(),
        Any::Num(_) | Any::Date(_) | Any::Bool(_) | Any::Category(_) | Any::Null => 0,
    }
}

fn of_case<T>(case: &Case<T>, scope: &Scope, of: fn(&T, &Scope) -> u64) -> u64 {
    let arms = case.arms.iter();
    let arms = sum(arms.map(|(c, r)| pair(cost_of_bool(c, scope), of(r, scope))));
    let otherwise = case.otherwise.as_ref().map_or(0, |o| of(o, scope));
    pair(arms, otherwise)
}

fn pieces(characters: u32) -> u64 {
    u64::from(characters).div_ceil(PIECE)
}

fn pair(a: u64, b: u64) -> u64 {
    a.saturating_add(b)
}

fn sum(parts: impl IntoIterator<Item = u64>) -> u64 {
    parts.into_iter().fold(0, u64::saturating_add)
}
