//! Casts: what cannot be cast is missing.

use std::borrow::Cow;

use obscura_model::calendar;

use super::{Cell, Form, Function, Gives, Missing, Reads, Takes, range};
use crate::expr::{Interval, literal};

/// Whole numbers that floats hold exactly.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// The longest text of a number.
const LONGEST: f64 = 30.0;

const fn plain(name: &'static str) -> Function {
    Function {
        name,
        also: &[],
        takes: &[Takes::Number],
        optional: 0,
        many: false,
        gives: Gives::Number,
        form: Form::Cast("BIGINT"),
        missing: Missing::Sometimes,
        bounds: |_| Some(Interval::EVERYTHING),
        bounded: "",
        cost: 2,
        nanos: 20,
        reads: Reads::All,
        kernel: |_| Cell::Missing,
        words: "{0} as a number",
        sentence: "",
        example: ("", ""),
    }
}

pub(super) static TABLE: [Function; 12] = [
    Function {
        bounds: |a| whole_within(range(a, 0)?, EXACT, EXACT),
        bounded: "those of x, rounded, within 2^53",
        kernel: |c| to_whole(c, EXACT, EXACT),
        words: "{0} as a whole number",
        sentence: "A number as a whole one: rounded, a half away from zero; missing beyond 2^53.",
        example: ("CAST(2.5 AS BIGINT)", "3"),
        ..plain("number as whole")
    },
    Function {
        form: Form::Cast("INTEGER"),
        bounds: |a| whole_within(range(a, 0)?, 2_147_483_648.0, 2_147_483_647.0),
        bounded: "those of x, rounded, within the type's",
        kernel: |c| to_whole(c, 2_147_483_648.0, 2_147_483_647.0),
        words: "{0} as a whole number below 2^31",
        sentence: "The same, missing outside -2,147,483,648 to 2,147,483,647.",
        example: ("CAST(3000000000 AS INTEGER)", "missing"),
        ..plain("number as integer")
    },
    Function {
        form: Form::Cast("SMALLINT"),
        bounds: |a| whole_within(range(a, 0)?, 32_768.0, 32_767.0),
        bounded: "those of x, rounded, within the type's",
        kernel: |c| to_whole(c, 32_768.0, 32_767.0),
        words: "{0} as a whole number below 2^15",
        sentence: "The same, missing outside -32,768 to 32,767.",
        example: ("CAST(40000 AS SMALLINT)", "missing"),
        ..plain("number as smallint")
    },
    Function {
        form: Form::Cast("TINYINT"),
        bounds: |a| whole_within(range(a, 0)?, 128.0, 127.0),
        bounded: "those of x, rounded, within the type's",
        kernel: |c| to_whole(c, 128.0, 127.0),
        words: "{0} as a whole number below 2^7",
        sentence: "The same, missing outside -128 to 127.",
        example: ("CAST(128 AS TINYINT)", "missing"),
        ..plain("number as tinyint")
    },
    Function {
        takes: &[Takes::Text],
        bounds: |_| {
            Some(Interval {
                low: -EXACT,
                high: EXACT,
            })
        },
        bounded: "within 2^53: clip it",
        kernel: |c| read(c, whole_number),
        words: "{0} as a whole number",
        sentence: "A text that is a whole number, with spaces around it or not.",
        example: ("CAST(' 42 ' AS BIGINT)", "42"),
        ..plain("text as whole")
    },
    Function {
        takes: &[Takes::Text],
        form: Form::Cast("DOUBLE"),
        bounded: "none: clip it",
        kernel: |c| read(c, decimal_number),
        sentence: "A text that is a number: digits, a point, an exponent.",
        example: ("CAST('1.5e2' AS DOUBLE)", "150"),
        ..plain("text as number")
    },
    Function {
        takes: &[Takes::Truth],
        missing: Missing::WithArguments,
        bounds: |_| {
            Some(Interval {
                low: 0.0,
                high: 1.0,
            })
        },
        bounded: "from 0 to 1",
        kernel: |c| match c {
            [Cell::Truth(truth)] => Cell::Number(f64::from(u8::from(*truth))),
            _ => Cell::Missing,
        },
        words: "1 if {0}, and 0 if not",
        sentence: "A condition as 1 or 0.",
        example: ("CAST(TRUE AS BIGINT)", "1"),
        ..plain("truth as number")
    },
    Function {
        takes: &[Takes::Text],
        gives: Gives::Truth,
        form: Form::Cast("BOOLEAN"),
        kernel: |c| match c {
            [Cell::Text(text)] => truth(text).map_or(Cell::Missing, Cell::Truth),
            _ => Cell::Missing,
        },
        words: "{0} says yes",
        sentence: "A text that is true, t, yes or 1, or false, f, no or 0, in any case. A number \
                   is TRUE unless it is 0.",
        example: ("CAST('yes' AS BOOLEAN)", "TRUE"),
        ..plain("text as truth")
    },
    Function {
        takes: &[Takes::Text],
        gives: Gives::Date,
        form: Form::Cast("DATE"),
        bounds: |_| {
            Some(Interval {
                low: f64::from(calendar::FIRST),
                high: f64::from(calendar::LAST),
            })
        },
        bounded: "the years 1 to 9999",
        cost: 12,
        kernel: |c| read(c, |t| calendar::parse(t).map(f64::from)),
        words: "{0} as a day",
        sentence: "A text that is written YYYY-MM-DD.",
        example: ("CAST('2020-02-30' AS DATE)", "missing"),
        ..plain("text as day")
    },
    Function {
        gives: Gives::Text,
        form: Form::Cast("VARCHAR"),
        missing: Missing::WithArguments,
        bounds: |a| range(a, 0).and(short(LONGEST)),
        bounded: "at most 30 characters",
        cost: 24,
        kernel: |c| match c {
            [Cell::Number(v)] => Cell::Text(Cow::Owned(literal(*v))),
            _ => Cell::Missing,
        },
        words: "{0} as a text",
        sentence: "A number as a text, as short as it reads back.",
        example: ("CAST(1.50 AS VARCHAR)", "'1.5'"),
        ..plain("number as text")
    },
    Function {
        takes: &[Takes::Date],
        gives: Gives::Text,
        form: Form::Cast("VARCHAR"),
        missing: Missing::WithArguments,
        bounds: |a| range(a, 0).and(short(10.0)),
        bounded: "10 characters",
        cost: 24,
        kernel: |c| match c {
            [Cell::Number(day)] => Cell::Text(Cow::Owned(calendar::label(day.floor() as i32))),
            _ => Cell::Missing,
        },
        words: "{0} as a text",
        sentence: "A day as YYYY-MM-DD.",
        example: ("CAST(DATE '2020-02-29' AS VARCHAR)", "'2020-02-29'"),
        ..plain("day as text")
    },
    Function {
        takes: &[Takes::Truth],
        gives: Gives::Text,
        form: Form::Cast("VARCHAR"),
        missing: Missing::WithArguments,
        bounds: |_| short(5.0),
        bounded: "at most 5 characters",
        kernel: |c| match c {
            [Cell::Truth(truth)] => Cell::Text(Cow::Owned(truth.to_string())),
            _ => Cell::Missing,
        },
        words: "whether {0}, as a text",
        sentence: "A condition as true or false.",
        example: ("CAST(TRUE AS VARCHAR)", "'true'"),
        ..plain("truth as text")
    },
];

/// The cast of a type to another by its name in SQL, if there is one.
pub(crate) fn cast(from: Takes, to: &str) -> Option<&'static Function> {
    TABLE.iter().find(|f| {
        matches!(f.form, Form::Cast(name) if name == to) && f.takes.first() == Some(&from)
    })
}

fn short(high: f64) -> Option<Interval> {
    Some(Interval { low: 0.0, high })
}

/// Rounding never falls, so it keeps ends; outside the type there is no value.
fn whole_within(x: Interval, below: f64, above: f64) -> Option<Interval> {
    let (low, high) = (x.low.round(), x.high.round());
    (low <= above && high >= -below).then(|| Interval {
        low: low.max(-below),
        high: high.min(above),
    })
}

fn to_whole(cells: &[Cell<'_>], below: f64, above: f64) -> Cell<'static> {
    match cells {
        [Cell::Number(v)] if (-below..=above).contains(&v.round()) => Cell::Number(v.round()),
        _ => Cell::Missing,
    }
}

fn read(cells: &[Cell<'_>], parse: impl Fn(&str) -> Option<f64>) -> Cell<'static> {
    match cells {
        [Cell::Text(text)] => parse(text.trim_matches(' ')).map_or(Cell::Missing, Cell::Number),
        _ => Cell::Missing,
    }
}

fn whole_number(text: &str) -> Option<f64> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    let value = text.parse::<f64>().ok()?;
    (plain && value.abs() <= EXACT).then_some(value)
}

fn decimal_number(text: &str) -> Option<f64> {
    let plain = text
        .bytes()
        .all(|b| b.is_ascii_digit() || b".eE+-".contains(&b));
    let value = text.parse::<f64>().ok()?;
    (plain && value.is_finite()).then_some(value)
}

fn truth(text: &str) -> Option<bool> {
    match text.trim_matches(' ').to_ascii_lowercase().as_str() {
        "true" | "t" | "yes" | "1" => Some(true),
        "false" | "f" | "no" | "0" => Some(false),
        _ => None,
    }
}
