//! The same expressions, one row at a time, without Arrow: what SQL's three-valued logic says.

mod calendar;
mod call;

use crate::expr::{Any, Arith, Bool, Comparison, Num, Text};
pub(super) use call::REGEXES;
use call::Value;

/// One row, by described position.
#[derive(Debug, Clone, Copy)]
pub(super) enum Field {
    Number(Option<f64>),
    Code(Option<i32>),
    Truth(Option<bool>),
    Text(Option<&'static str>),
}

fn defined(v: f64) -> Option<f64> {
    if v.is_nan() { None } else { Some(v) }
}

pub(super) fn num(value: &Num, row: &[Field]) -> Option<f64> {
    match value {
        Num::Null => None,
        Num::Literal(v) => Some(*v),
        Num::Column(c) => match row[*c] {
            Field::Number(v) => v,
            _ => panic!("not a number"),
        },
        Num::Day(day) => Some(f64::from(*day)),
        Num::Call(call) => match call::value(call, row)? {
            Value::Number(v) => defined(v),
            other => panic!("{other:?} is not a number"),
        },
        Num::Negate(v) => num(v, row).map(|v| -v),
        Num::Chain { first, rest } => rest.iter().fold(num(first, row), |a, (op, b)| {
            let (a, b) = (a?, num(b, row)?);
            match op {
                Arith::Add => defined(a + b),
                Arith::Subtract => defined(a - b),
                Arith::Multiply => defined(a * b),
                Arith::Divide if b == 0.0 => None,
                Arith::Divide => defined(a / b),
                Arith::Remainder if b == 0.0 => None,
                Arith::Remainder => defined(a % b),
            }
        }),
        Num::Case(case) => {
            for (condition, result) in &case.arms {
                if bool(condition, row) == Some(true) {
                    return num(result, row);
                }
            }
            case.otherwise.as_ref().and_then(|o| num(o, row))
        }
        Num::Least(list) => all(list, row).map(|v| v.into_iter().fold(f64::INFINITY, f64::min)),
        Num::Greatest(list) => {
            all(list, row).map(|v| v.into_iter().fold(f64::NEG_INFINITY, f64::max))
        }
    }
}

fn all(list: &[Num], row: &[Field]) -> Option<Vec<f64>> {
    list.iter().map(|n| num(n, row)).collect()
}

pub(super) fn bool(value: &Bool, row: &[Field]) -> Option<bool> {
    match value {
        Bool::Null => None,
        Bool::Literal(b) => Some(*b),
        Bool::Column(c) => match row[*c] {
            Field::Truth(b) => b,
            _ => panic!("not a boolean"),
        },
        Bool::Compare(comparison, a, b) => {
            let (a, b) = (num(a, row)?, num(b, row)?);
            Some(match comparison {
                Comparison::Equal => a == b,
                Comparison::NotEqual => a != b,
                Comparison::Less => a < b,
                Comparison::LessOrEqual => a <= b,
                Comparison::Greater => a > b,
                Comparison::GreaterOrEqual => a >= b,
            })
        }
        Bool::Between {
            value,
            low,
            high,
            negated,
        } => {
            let v = num(value, row);
            let above = v.zip(num(low, row)).map(|(v, l)| v >= l);
            let below = v.zip(num(high, row)).map(|(v, h)| v <= h);
            and(above, below).map(|b| b != *negated)
        }
        Bool::InNumbers {
            value,
            list,
            negated,
        } => num(value, row).map(|v| list.contains(&v) != *negated),
        Bool::Among {
            column,
            positions,
            negated,
        } => match row[*column] {
            Field::Code(code) => code.map(|c| positions.contains(&(c as usize)) != *negated),
            _ => panic!("not a category"),
        },
        Bool::CompareTexts(comparison, a, b) => {
            let (a, b) = (text(a, row)?, text(b, row)?);
            let order = a.as_bytes().cmp(b.as_bytes());
            Some(match comparison {
                Comparison::Equal => order.is_eq(),
                Comparison::NotEqual => order.is_ne(),
                Comparison::Less => order.is_lt(),
                Comparison::LessOrEqual => order.is_le(),
                Comparison::Greater => order.is_gt(),
                Comparison::GreaterOrEqual => order.is_ge(),
            })
        }
        Bool::InTexts { value, list } => text(value, row).map(|t| list.iter().any(|l| *l == t)),
        Bool::Matches { value, pattern } => text(value, row).map(|t| call::matches(pattern, &t)),
        Bool::InCodes { value, codes } => text(value, row).map(|t| codes.codes.contains(&t)),
        Bool::Is {
            value,
            truth,
            negated,
        } => Some((bool(value, row) == Some(*truth)) != *negated),
        Bool::Distinct {
            left,
            right,
            negated,
        } => Some((any(left, row) != any(right, row)) != *negated),
        Bool::Call(call) => match call::value(call, row)? {
            Value::Truth(v) => Some(v),
            other => panic!("{other:?} is not a truth"),
        },
        Bool::IsNull { value, negated } => Some(any(value, row).is_none() != *negated),
        Bool::All(list) => list.iter().map(|b| bool(b, row)).reduce(and).unwrap(),
        Bool::Either(list) => {
            let not = |b: Option<bool>| b.map(|b| !b);
            not(list.iter().map(|b| not(bool(b, row))).reduce(and).unwrap())
        }
        Bool::Not(b) => bool(b, row).map(|b| !b),
        Bool::Case(case) => {
            for (condition, result) in &case.arms {
                if bool(condition, row) == Some(true) {
                    return bool(result, row);
                }
            }
            case.otherwise.as_ref().and_then(|o| bool(o, row))
        }
    }
}

fn and(a: Option<bool>, b: Option<bool>) -> Option<bool> {
    match (a, b) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        _ => None,
    }
}

pub(super) fn text(value: &Text, row: &[Field]) -> Option<String> {
    match value {
        Text::Null => None,
        Text::Literal(text) => Some(text.clone()),
        Text::Column(c) => match row[*c] {
            Field::Text(text) => text.map(str::to_owned),
            _ => panic!("not a text"),
        },
        Text::Category { column, labels } => match row[*column] {
            Field::Code(code) => code.map(|c| labels[c as usize].clone()),
            _ => panic!("not a category"),
        },
        Text::Case(case) => {
            for (condition, result) in &case.arms {
                if bool(condition, row) == Some(true) {
                    return text(result, row);
                }
            }
            case.otherwise.as_ref().and_then(|o| text(o, row))
        }
        Text::Call(call) => match call::value(call, row)? {
            Value::Text(v) => Some(v),
            other => panic!("{other:?} is not a text"),
        },
    }
}

pub(super) fn any(value: &Any, row: &[Field]) -> Option<Value> {
    match value {
        Any::Num(n) | Any::Date(n) => num(n, row).map(|v| Value::Number(v + 0.0)),
        Any::Bool(b) => bool(b, row).map(Value::Truth),
        Any::Text(t) => text(t, row).map(Value::Text),
        Any::Category(c) => match row[*c] {
            Field::Code(code) => code.map(|c| Value::Number(f64::from(c))),
            _ => panic!("not a category"),
        },
        Any::Null => None,
    }
}
