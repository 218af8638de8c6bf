//! Bounds of an expression from the declared bounds of its columns.
//!
//! Interval arithmetic (Moore 1966), evaluated with the very operations that rows use. Rounding
//! to nearest is monotone, so an end computed by the same operation from the extreme operands is
//! never inside what a row can give: no outward rounding is needed. Functions that are not
//! rounded exactly widen their own bounds.

use obscura_model::schema::Domain;

use super::{Any, Arith, Call, Num, Text};
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
            // No larger than either operand, with the sign of the first; exact in IEEE 754.
            Arith::Remainder => {
                let largest = |i: Interval| i.low.abs().max(i.high.abs());
                let size = largest(a).min(largest(b));
                Interval {
                    low: if a.low < 0.0 { -size } else { 0.0 },
                    high: if a.high > 0.0 { size } else { 0.0 },
                }
            }
        }
    }
}

/// What bounds of a function follow from: of a number or a day its range, of a text that of its
/// length, of a truth 0 and 1.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extent<'a> {
    /// Nothing if it is always missing.
    pub(crate) interval: Option<Interval>,
    /// A literal text itself.
    pub(crate) text: Option<&'a str>,
}

/// What is known of an argument.
pub(crate) fn extent<'a>(value: &'a Any, scope: &Scope) -> Extent<'a> {
    let up_to = |high: f64| Some(Interval { low: 0.0, high });
    let (interval, text) = match value {
        Any::Num(n) | Any::Date(n) => (interval(n, scope), None),
        Any::Bool(_) => (up_to(1.0), None),
        Any::Text(Text::Null) | Any::Null => (None, None),
        Any::Text(Text::Literal(text)) => (up_to(characters(text)), Some(text.as_str())),
        Any::Text(text) => (up_to(longest(text, scope).into()), None),
        Any::Category(_) => (up_to(u32::MAX.into()), None),
    };
    Extent { interval, text }
}

/// The most characters that a text can have.
pub(crate) fn longest(value: &Text, scope: &Scope) -> u32 {
    match value {
        Text::Null => 0,
        Text::Literal(text) => characters(text) as u32,
        Text::Column(column) => match scope.get(*column).map(|c| &c.domain) {
            Some(Domain::Text { most_characters }) => *most_characters,
            _ => u32::MAX,
        },
        Text::Category { column: _, labels } => {
            let lengths = labels.iter().map(|l| characters(l) as u32);
            lengths.max().unwrap_or(0)
        }
        Text::Case(case) => {
            let results = case.arms.iter().map(|(_, r)| r);
            let results = results.chain(case.otherwise.as_deref());
            results.map(|r| longest(r, scope)).max().unwrap_or(0)
        }
        // Saturates, which is over every limit.
        Text::Call(call) => of_call(call, scope).map_or(0, |i| i.high as u32),
    }
}

fn characters(text: &str) -> f64 {
    text.chars().count() as f64
}

fn of_call(call: &Call, scope: &Scope) -> Option<Interval> {
    let arguments: Vec<Extent<'_>> = call.arguments.iter().map(|a| extent(a, scope)).collect();
    if call.function.is_strict() && arguments.iter().any(|a| a.interval.is_none()) {
        return None;
    }
    let found = (call.function.bounds)(&arguments)?;
    Some(Interval {
        low: or_else(found.low, f64::NEG_INFINITY),
        high: or_else(found.high, f64::INFINITY),
    })
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
        Num::Day(day) => {
            let day = f64::from(*day);
            Some(Interval {
                low: day,
                high: day,
            })
        }
        Num::Call(call) => of_call(call, scope),
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
