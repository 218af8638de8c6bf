//! The same expressions, one row at a time, without Arrow: what SQL's three-valued logic says.

use crate::expr::{Any, Arith, Bool, Comparison, Num};

/// One row, by described position.
#[derive(Debug, Clone, Copy)]
pub(super) enum Field {
    Number(Option<f64>),
    Code(Option<i32>),
    Truth(Option<bool>),
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
        Num::Negate(v) => num(v, row).map(|v| -v),
        Num::Chain { first, rest } => rest.iter().fold(num(first, row), |a, (op, b)| {
            let (a, b) = (a?, num(b, row)?);
            match op {
                Arith::Add => defined(a + b),
                Arith::Subtract => defined(a - b),
                Arith::Multiply => defined(a * b),
                Arith::Divide if b == 0.0 => None,
                Arith::Divide => defined(a / b),
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
        Bool::IsNull { value, negated } => Some(any_is_null(value, row) != *negated),
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

fn any_is_null(value: &Any, row: &[Field]) -> bool {
    match value {
        Any::Num(n) => num(n, row).is_none(),
        Any::Bool(b) => bool(b, row).is_none(),
        Any::Category(c) => matches!(row[*c], Field::Code(None)),
        Any::Null => true,
    }
}
