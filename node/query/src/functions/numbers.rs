//! Functions of numbers.
//!
//! The library's logarithms, exponentials and powers may be a unit or two in the last place off,
//! and are then not monotone to the last bit. Their bounds are widened by a few units; what IEEE
//! 754 rounds exactly (square roots, the operations, rounding) needs none of that.

use super::{Cell, Form, Function, Gives, Missing, Reads, Takes, range};
use crate::expr::{Extent, Interval};

/// By how many floats an end moves outwards.
const UNITS: usize = 8;

/// 2^53: from here on every float is a whole number.
const WHOLE: f64 = 9_007_199_254_740_992.0;

/// The widest that WIDTH_BUCKET divides.
pub(super) const MOST_BUCKETS: i32 = 10_000;

const ONE: &[Takes] = &[Takes::Number];

const fn plain(name: &'static str) -> Function {
    Function {
        name,
        also: &[],
        takes: ONE,
        optional: 0,
        many: false,
        gives: Gives::Number,
        form: Form::Call,
        missing: Missing::WithArguments,
        bounds: |_| Some(Interval::EVERYTHING),
        bounded: "",
        cost: 1,
        nanos: 0,
        reads: Reads::All,
        kernel: |_| Cell::Missing,
        words: "",
        sentence: "",
        example: ("", ""),
    }
}

pub(super) static TABLE: [Function; 13] = [
    Function {
        bounds: |a| Some(absolute(range(a, 0)?)),
        bounded: "from 0 to the larger size of x",
        kernel: |c| one(c, f64::abs),
        words: "the size of {0}",
        sentence: "The number without its sign.",
        example: ("ABS(-3)", "3"),
        ..plain("ABS")
    },
    Function {
        bounds: |a| rising(a, sign),
        bounded: "from -1 to 1",
        kernel: |c| one(c, sign),
        words: "the sign of {0}",
        sentence: "-1, 0 or 1.",
        example: ("SIGN(-3)", "-1"),
        ..plain("SIGN")
    },
    Function {
        takes: &[Takes::Number, Takes::Whole(-15, 15)],
        optional: 1,
        bounds: |a| {
            let digits = range(a, 1).map_or(0.0, |i| i.low);
            let x = range(a, 0)?;
            Some(Interval {
                low: rounded(x.low, digits),
                high: rounded(x.high, digits),
            })
        },
        bounded: "those of x, rounded",
        cost: 4,
        kernel: |c| {
            let digits = c.get(1).and_then(Cell::number).unwrap_or(0.0);
            one(c, |x| rounded(x, digits))
        },
        words: "{0} rounded|{0} rounded to {1} digit{s}",
        sentence: "The nearest number with so many digits after the point (0 if left out, fewer \
                   than 0 for tens and hundreds); a half goes away from zero.",
        example: ("ROUND(2.75, 1)", "2.8"),
        ..plain("ROUND")
    },
    Function {
        bounds: |a| rising(a, f64::floor),
        bounded: "those of x, rounded down",
        kernel: |c| one(c, f64::floor),
        words: "{0} rounded down",
        sentence: "The largest whole number that is not above x.",
        example: ("FLOOR(-1.5)", "-2"),
        ..plain("FLOOR")
    },
    Function {
        also: &["CEILING"],
        bounds: |a| rising(a, f64::ceil),
        bounded: "those of x, rounded up",
        kernel: |c| one(c, f64::ceil),
        words: "{0} rounded up",
        sentence: "The smallest whole number that is not below x.",
        example: ("CEIL(-1.5)", "-1"),
        ..plain("CEIL")
    },
    Function {
        also: &["TRUNCATE"],
        bounds: |a| rising(a, f64::trunc),
        bounded: "those of x, without the fraction",
        kernel: |c| one(c, f64::trunc),
        words: "{0} without its fraction",
        sentence: "The number without what is after the point.",
        example: ("TRUNC(-1.5)", "-1"),
        ..plain("TRUNC")
    },
    Function {
        missing: Missing::Sometimes,
        bounds: |a| logarithm(a, f64::ln),
        bounded: "those of x; of 0 and less there is none",
        cost: 6,
        kernel: |c| positive(c, f64::ln),
        words: "the natural logarithm of {0}",
        sentence: "The natural logarithm; missing for 0 and less.",
        example: ("LN(1)", "0"),
        ..plain("LN")
    },
    Function {
        also: &["LOG"],
        missing: Missing::Sometimes,
        bounds: |a| logarithm(a, f64::log10),
        bounded: "those of x; of 0 and less there is none",
        cost: 6,
        kernel: |c| positive(c, f64::log10),
        words: "the decimal logarithm of {0}",
        sentence: "The logarithm to base 10; missing for 0 and less.",
        example: ("LOG10(1000)", "3"),
        ..plain("LOG10")
    },
    Function {
        missing: Missing::Sometimes,
        bounds: |a| logarithm(a, f64::log2),
        bounded: "those of x; of 0 and less there is none",
        cost: 6,
        kernel: |c| positive(c, f64::log2),
        words: "the logarithm of {0} to base 2",
        sentence: "The logarithm to base 2; missing for 0 and less.",
        example: ("LOG2(8)", "3"),
        ..plain("LOG2")
    },
    Function {
        bounds: |a| {
            let x = range(a, 0)?;
            Some(not_negative(widened(x.low.exp(), x.high.exp())))
        },
        bounded: "from those of x",
        cost: 6,
        kernel: |c| one(c, f64::exp),
        words: "e to the power of {0}",
        sentence: "e to the power of x.",
        example: ("EXP(0)", "1"),
        ..plain("EXP")
    },
    Function {
        missing: Missing::Sometimes,
        bounds: |a| {
            let x = range(a, 0).filter(|x| x.high >= 0.0)?;
            Some(Interval {
                low: x.low.max(0.0).sqrt(),
                high: x.high.sqrt(),
            })
        },
        bounded: "from those of x; of less than 0 there is none",
        cost: 2,
        kernel: |c| one(c, f64::sqrt),
        words: "the square root of {0}",
        sentence: "The square root; missing for less than 0.",
        example: ("SQRT(9)", "3"),
        ..plain("SQRT")
    },
    Function {
        also: &["POW"],
        takes: &[Takes::Number, Takes::Number],
        missing: Missing::Sometimes,
        bounds: |a| Some(of_power(range(a, 0)?, range(a, 1)?)),
        bounded: "from those of x and y, where x is not below 0 or y is a plain whole number",
        cost: 12,
        kernel: |c| match numbers(c) {
            // A division by zero.
            [Some(0.0), Some(y)] if y < 0.0 => Cell::Missing,
            [Some(x), Some(y)] => Cell::Number(x.powf(y)),
            _ => Cell::Missing,
        },
        words: "{0} to the power of {1}",
        sentence: "x to the power of y; missing where there is none, such as a broken power of a \
                   number below 0, or a negative power of 0.",
        example: ("POWER(2, 10)", "1024"),
        ..plain("POWER")
    },
    Function {
        takes: &[
            Takes::Number,
            Takes::Constant,
            Takes::Constant,
            Takes::Whole(1, MOST_BUCKETS),
        ],
        bounds: |a| {
            let at = |i| range(a, i).map(|r: Interval| r.low);
            let (low, high, count) = (at(1)?, at(2)?, at(3)?);
            let x = range(a, 0)?;
            Some(Interval {
                low: bucket(x.low, low, high, count),
                high: bucket(x.high, low, high, count),
            })
        },
        bounded: "from 0 to n + 1",
        cost: 4,
        kernel: |c| match numbers(c) {
            [Some(x), Some(low), Some(high), Some(count)] => {
                Cell::Number(bucket(x, low, high, count))
            }
            _ => Cell::Missing,
        },
        words: "the class of {0} among {3} equal ones from {1} to {2}",
        sentence: "In which of n equally wide classes from low to high x is, from 1; 0 below low, \
                   n + 1 from high on. A class begins at its lower end.",
        example: ("WIDTH_BUCKET(25, 0, 100, 10)", "3"),
        ..plain("WIDTH_BUCKET")
    },
];

/// The first so many arguments as numbers.
fn numbers<const N: usize>(cells: &[Cell<'_>]) -> [Option<f64>; N] {
    std::array::from_fn(|i| cells.get(i).and_then(Cell::number))
}

fn one(cells: &[Cell<'_>], of: impl Fn(f64) -> f64) -> Cell<'static> {
    match numbers(cells) {
        [Some(x)] => Cell::Number(of(x)),
        _ => Cell::Missing,
    }
}

fn positive(cells: &[Cell<'_>], of: fn(f64) -> f64) -> Cell<'static> {
    match numbers(cells) {
        [Some(x)] if x > 0.0 => Cell::Number(of(x)),
        _ => Cell::Missing,
    }
}

fn sign(x: f64) -> f64 {
    if x == 0.0 { 0.0 } else { x.signum() }
}

/// Rounds to `digits` after the point. Monotone: each of its steps is. What is as large as 2^53 is
/// whole, and multiplying it could overflow.
fn rounded(x: f64, digits: f64) -> f64 {
    let power = 10f64.powi(digits.abs() as i32);
    if digits >= 0.0 {
        if x.abs() >= WHOLE {
            return x;
        }
        (x * power).round() / power
    } else {
        (x / power).round() * power
    }
}

/// As in PostgreSQL, in whole classes.
fn bucket(x: f64, low: f64, high: f64, count: f64) -> f64 {
    if x < low {
        0.0
    } else if x >= high {
        count + 1.0
    } else {
        // Between 0 and 1, up to rounding; bounds whose distance overflows give 0.
        let share = (x - low) / (high - low);
        let class = (share * count).floor();
        if class.is_nan() {
            1.0
        } else {
            class.clamp(0.0, count - 1.0) + 1.0
        }
    }
}

fn absolute(x: Interval) -> Interval {
    let high = x.low.abs().max(x.high.abs());
    let low = if x.holds(0.0) {
        0.0
    } else {
        x.low.abs().min(x.high.abs())
    };
    Interval { low, high }
}

/// Of a function that never falls and is computed exactly.
fn rising(arguments: &[Extent<'_>], of: fn(f64) -> f64) -> Option<Interval> {
    let x = range(arguments, 0)?;
    Some(Interval {
        low: of(x.low),
        high: of(x.high),
    })
}

/// Outwards by a few floats; infinity stays.
fn widened(low: f64, high: f64) -> Interval {
    let (mut low, mut high) = (low, high);
    for _ in 0..UNITS {
        (low, high) = (low.next_down(), high.next_up());
    }
    Interval { low, high }
}

fn not_negative(x: Interval) -> Interval {
    Interval {
        low: x.low.max(0.0),
        high: x.high.max(0.0),
    }
}

/// The smallest number above 0 has a logarithm, so there always is a lower bound.
fn logarithm(arguments: &[Extent<'_>], of: fn(f64) -> f64) -> Option<Interval> {
    let x = range(arguments, 0).filter(|x| x.high > 0.0)?;
    let smallest = f64::from_bits(1);
    Some(widened(of(x.low.max(smallest)), of(x.high)))
}

/// For x from 0 on a power is monotone in x and in y, so its extremes are at corners.
fn of_power(x: Interval, y: Interval) -> Interval {
    let corners = |x: Interval, y: Interval| {
        if x.low <= 0.0 && y.low < 0.0 {
            return Interval {
                low: 0.0,
                high: f64::INFINITY,
            };
        }
        let of = [
            (x.low, y.low),
            (x.low, y.high),
            (x.high, y.low),
            (x.high, y.high),
        ];
        let of = of.map(|(x, y)| x.powf(y));
        // Where 0 and 1 meet infinity there is no number; anything from 0 may be near.
        if of.iter().any(|v| v.is_nan()) {
            return Interval {
                low: 0.0,
                high: f64::INFINITY,
            };
        }
        let low = of.into_iter().fold(f64::INFINITY, f64::min);
        let high = of.into_iter().fold(0.0, f64::max);
        not_negative(widened(low, high))
    };
    let size = corners(absolute(x), y);
    let whole = y.low == y.high && y.low.fract() == 0.0;
    let even = whole && y.low % 2.0 == 0.0;
    if x.low >= 0.0 || even {
        size
    } else {
        // Of a number below 0 a whole power is that of its size, with either sign.
        Interval {
            low: -size.high,
            high: size.high,
        }
    }
}
