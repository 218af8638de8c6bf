//! Bounds of an expression from the declared bounds of its columns.
//!
//! Interval arithmetic (Moore 1966), evaluated with the very operations that rows use. Rounding
//! to nearest is monotone, so an end computed by the same operation from the extreme operands is
//! never inside what a row can give: no outward rounding is needed.

use obscura_model::schema::Domain;

use super::{Arith, Num};
use crate::scope::Scope;

/// From `low` to `high`; either may be infinite, neither is NaN.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Interval {
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Interval {
    pub(crate) const EVERYTHING: Interval = Interval {
        low: f64::NEG_INFINITY,
        high: f64::INFINITY,
    };

    pub(crate) fn is_finite(self) -> bool {
        self.low.is_finite() && self.high.is_finite()
    }

    pub(crate) fn holds(self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }

    fn hull(self, other: Interval) -> Interval {
        Interval {
            low: self.low.min(other.low),
            high: self.high.max(other.high),
        }
    }

    fn around(corners: [f64; 4]) -> Interval {
        // A corner that is not a number (0 times infinity) is approached by finite operands, whose
        // result is 0; at the corner itself the row's value is missing.
        let fixed = corners.map(|c| if c.is_nan() { 0.0 } else { c + 0.0 });
        Interval {
            low: fixed.into_iter().fold(f64::INFINITY, f64::min),
            high: fixed.into_iter().fold(f64::NEG_INFINITY, f64::max),
        }
    }

    /// All values of `a op b`, with `a` from `self` and `b` from `other`, that are numbers.
    pub(crate) fn apply(self, op: Arith, other: Interval) -> Interval {
        let (a, b) = (self, other);
        match op {
            Arith::Add => Interval {
                low: or_else(a.low + b.low, f64::NEG_INFINITY),
                high: or_else(a.high + b.high, f64::INFINITY),
            },
            Arith::Subtract => Interval {
                low: or_else(a.low - b.high, f64::NEG_INFINITY),
                high: or_else(a.high - b.low, f64::INFINITY),
            },
            Arith::Multiply => Interval::around([
                a.low * b.low,
                a.low * b.high,
                a.high * b.low,
                a.high * b.high,
            ]),
            // A divisor near zero gives anything.
            Arith::Divide if b.holds(0.0) => Interval::EVERYTHING,
            Arith::Divide => Interval::around([
                a.low / b.low,
                a.low / b.high,
                a.high / b.low,
                a.high / b.high,
            ]),
        }
    }
}

fn or_else(value: f64, otherwise: f64) -> f64 {
    if value.is_nan() {
        otherwise
    } else {
        value + 0.0
    }
}

/// The bounds of a column, if it holds numbers.
pub(crate) fn of_column(scope: &Scope, column: usize) -> Interval {
    match scope.get(column).map(|c| &c.domain) {
        Some(Domain::Integer { lowest, highest }) => Interval {
            low: *lowest as f64,
            high: *highest as f64,
        },
        Some(Domain::Date { first, last }) => Interval {
            low: f64::from(*first),
            high: f64::from(*last),
        },
        Some(Domain::Number { lowest, highest }) => Interval {
            low: *lowest,
            high: *highest,
        },
        Some(
            Domain::Category {
                values: _,
                other: _,
            }
            | Domain::Boolean
            | Domain::Text { .. },
        )
        | None => Interval::EVERYTHING,
    }
}

/// Everything that the expression can give on any row, or nothing if it is always missing.
pub(crate) fn interval(num: &Num, scope: &Scope) -> Option<Interval> {
    match num {
        Num::Null => None,
        Num::Literal(v) => Some(Interval { low: *v, high: *v }),
        Num::Column(column) => Some(of_column(scope, *column)),
        Num::Negate(value) => {
            let inner = interval(value, scope)?;
            Some(Interval {
                low: 0.0 - inner.high,
                high: 0.0 - inner.low,
            })
        }
        Num::Chain { first, rest } => rest
            .iter()
            .try_fold(interval(first, scope)?, |so_far, (op, next)| {
                Some(so_far.apply(*op, interval(next, scope)?))
            }),
        Num::Case(case) => {
            let results = case
                .arms
                .iter()
                .map(|(_, r)| r)
                .chain(case.otherwise.as_deref());
            results
                .filter_map(|r| interval(r, scope))
                .reduce(Interval::hull)
        }
        Num::Least(list) => extreme(list, scope, f64::min),
        Num::Greatest(list) => extreme(list, scope, f64::max),
    }
}

fn extreme(list: &[Num], scope: &Scope, pick: fn(f64, f64) -> f64) -> Option<Interval> {
    let mut parts = list.iter().map(|n| interval(n, scope));
    let first = parts.next()??;
    parts.try_fold(first, |so_far, part| {
        let part = part?;
        Some(Interval {
            low: pick(so_far.low, part.low),
            high: pick(so_far.high, part.high),
        })
    })
}
