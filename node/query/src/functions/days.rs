//! Functions of days: days of the Gregorian calendar, years 1 to 9999, kept as days since
//! 1970-01-01.

use obscura_model::calendar;

use super::{Cell, Form, Function, Gives, Missing, Reads, Takes, range};
use crate::expr::Interval;

/// What EXTRACT gives.
pub(super) const PARTS: &[&str] = &[
    "year", "quarter", "month", "week", "day", "dow", "isodow", "doy",
];

/// What DATE_TRUNC begins.
pub(super) const PERIODS: &[&str] = &["year", "quarter", "month", "week", "day"];

const ALL_DAYS: Interval = Interval {
    low: calendar::FIRST as f64,
    high: calendar::LAST as f64,
};

const fn plain(name: &'static str) -> Function {
    Function {
        name,
        also: &[],
        takes: &[Takes::Date, Takes::Number],
        optional: 0,
        many: false,
        gives: Gives::Date,
        form: Form::Call,
        missing: Missing::Sometimes,
        bounds: |_| Some(ALL_DAYS),
        bounded: "",
        cost: 4,
        nanos: 0,
        reads: Reads::All,
        kernel: |_| Cell::Missing,
        words: "",
        sentence: "",
        example: ("", ""),
    }
}

pub(super) static TABLE: [Function; 7] = [
    Function {
        form: Form::Infix("+"),
        bounds: |a| {
            let (day, days) = (range(a, 0)?, range(a, 1)?);
            within(day.low + days.low.trunc(), day.high + days.high.trunc())
        },
        bounded: "those of d, moved by those of n",
        kernel: |c| moved(c, 1.0),
        words: "{0} plus {1} day{s}",
        sentence: "The day that is n days later; a fraction of a day is left out. Also written \
                   with an interval: d + INTERVAL '7' DAY. Missing outside the years 1 to 9999.",
        example: ("DATE '2020-02-28' + 2", "DATE '2020-03-01'"),
        ..plain("days after")
    },
    Function {
        form: Form::Infix("-"),
        bounds: |a| {
            let (day, days) = (range(a, 0)?, range(a, 1)?);
            within(day.low - days.high.trunc(), day.high - days.low.trunc())
        },
        bounded: "those of d, moved by those of n",
        kernel: |c| moved(c, -1.0),
        words: "{0} minus {1} day{s}",
        sentence: "The day that is n days earlier; a fraction of a day is left out.",
        example: ("DATE '2020-03-01' - 2", "DATE '2020-02-28'"),
        ..plain("days before")
    },
    Function {
        takes: &[Takes::Date, Takes::Date],
        gives: Gives::Number,
        form: Form::Infix("-"),
        missing: Missing::WithArguments,
        bounds: |a| {
            let (a, b) = (range(a, 0)?, range(a, 1)?);
            Some(Interval {
                low: a.low - b.high,
                high: a.high - b.low,
            })
        },
        bounded: "from those of the two days",
        cost: 2,
        kernel: |c| match c {
            [Cell::Number(a), Cell::Number(b)] => Cell::Number(a - b),
            _ => Cell::Missing,
        },
        words: "the days from {1} to {0}",
        sentence: "How many days lie between: the first day minus the second.",
        example: ("DATE '2020-03-01' - DATE '2020-02-01'", "29"),
        ..plain("days between")
    },
    Function {
        bounds: |a| {
            let (day, months) = (range(a, 0)?, range(a, 1)?);
            // Never falls in either argument. Outside the calendar an end is the calendar's.
            let low = with_months(day.low, months.low).unwrap_or(ALL_DAYS.low);
            let high = with_months(day.high, months.high).unwrap_or(ALL_DAYS.high);
            within(low, high)
        },
        bounded: "those of d, moved by those of n",
        cost: 12,
        kernel: |c| match c {
            [Cell::Number(day), Cell::Number(months)] => cell(with_months(*day, *months)),
            _ => Cell::Missing,
        },
        words: "{0} plus {1} month{s}",
        sentence: "The same day of the month n months later (earlier if n is below 0), or the last \
                   day of that month if it is shorter; a fraction of a month is left out. Also \
                   written with an interval: d + INTERVAL '1' MONTH, d - INTERVAL '2' YEAR. \
                   Missing outside the years 1 to 9999.",
        example: ("ADD_MONTHS(DATE '2020-01-31', 1)", "DATE '2020-02-29'"),
        ..plain("ADD_MONTHS")
    },
    Function {
        takes: &[Takes::Unit(PERIODS), Takes::Date],
        missing: Missing::WithArguments,
        bounds: |a| {
            let unit = a.first()?.text?;
            let day = range(a, 1)?;
            // Never falls.
            Some(Interval {
                low: begin(unit, day.low)?,
                high: begin(unit, day.high)?,
            })
        },
        bounded: "those of d, each its period's first day",
        cost: 12,
        kernel: |c| match c {
            [Cell::Text(unit), Cell::Number(day)] => cell(begin(unit, *day)),
            _ => Cell::Missing,
        },
        words: "the first day of the {0} of {1}",
        sentence: "The first day of the period that d is in. A week begins on Monday.",
        example: (
            "DATE_TRUNC('month', DATE '2020-02-29')",
            "DATE '2020-02-01'",
        ),
        ..plain("DATE_TRUNC")
    },
    Function {
        also: &["DATE_PART"],
        takes: &[Takes::Unit(PARTS), Takes::Date],
        gives: Gives::Number,
        form: Form::Extract,
        missing: Missing::WithArguments,
        bounds: |a| {
            let unit = a.first()?.text?;
            let day = range(a, 1)?;
            of_part(unit, day)
        },
        bounded: "those of the part: months from 1 to 12, years those of d",
        cost: 12,
        kernel: |c| match c {
            [Cell::Text(unit), Cell::Number(day)] => cell(piece(unit, *day)),
            _ => Cell::Missing,
        },
        words: "the {0} of {1}",
        sentence: "A part of the day: YEAR, QUARTER, MONTH, WEEK (ISO 8601, 1 to 53), DAY of the \
                   month, DOW (0 is Sunday), ISODOW (1 is Monday, 7 Sunday), DOY (day of the \
                   year). Also written YEAR(d), MONTH(d), DAY(d) and so on.",
        example: ("EXTRACT(YEAR FROM DATE '2020-02-29')", "2020"),
        ..plain("EXTRACT")
    },
    Function {
        also: &["DATE_DIFF"],
        takes: &[Takes::Unit(PERIODS), Takes::Date, Takes::Date],
        gives: Gives::Number,
        missing: Missing::WithArguments,
        bounds: |a| {
            let unit = a.first()?.text?;
            let (from, to) = (range(a, 1)?, range(a, 2)?);
            // Never falls in the second day and never rises in the first.
            Some(Interval {
                low: completed(unit, from.high, to.low)?,
                high: completed(unit, from.low, to.high)?,
            })
        },
        bounded: "from those of the two days",
        cost: 24,
        kernel: |c| match c {
            [Cell::Text(unit), Cell::Number(from), Cell::Number(to)] => {
                cell(completed(unit, *from, *to))
            }
            _ => Cell::Missing,
        },
        words: "the completed {0}s from {1} to {2}",
        sentence: "How many whole periods have passed from the first day to the second, below 0 \
                   if the second is earlier. A year, quarter or month has passed on the same day \
                   of the month, or on the last day of a month that is shorter: somebody born on \
                   29 February completes a year on 28 February. DATEDIFF('year', born, d) is the \
                   age in years.",
        example: (
            "DATEDIFF('year', DATE '2000-02-29', DATE '2001-02-28')",
            "1",
        ),
        ..plain("DATEDIFF")
    },
];

fn cell(value: Option<f64>) -> Cell<'static> {
    value.map_or(Cell::Missing, Cell::Number)
}

/// An interval within the calendar, or nothing.
fn within(low: f64, high: f64) -> Option<Interval> {
    let low = if low.is_nan() { ALL_DAYS.low } else { low };
    let high = if high.is_nan() { ALL_DAYS.high } else { high };
    (low <= ALL_DAYS.high && high >= ALL_DAYS.low).then(|| Interval {
        low: low.max(ALL_DAYS.low),
        high: high.min(ALL_DAYS.high),
    })
}

fn moved(cells: &[Cell<'_>], sign: f64) -> Cell<'static> {
    match cells {
        [Cell::Number(day), Cell::Number(days)] => {
            let day = day + sign * days.trunc();
            cell(Some(day).filter(|d| ALL_DAYS.holds(*d)))
        }
        _ => Cell::Missing,
    }
}

/// A number of days as the calendar's, or nothing outside the years 1 to 9999.
fn whole(day: f64) -> Option<i32> {
    ALL_DAYS.holds(day).then(|| day.floor() as i32)
}

fn with_months(day: f64, months: f64) -> Option<f64> {
    let (year, month, day) = calendar::parts(whole(day)?)?;
    // More than all months of the calendar is outside it anyway.
    let months = months.trunc().clamp(-200_000.0, 200_000.0) as i32;
    let index = year * 12 + month as i32 - 1 + months;
    let (year, month) = (index.div_euclid(12), index.rem_euclid(12) as u32 + 1);
    (28..=day)
        .rev()
        .chain([day.min(28)])
        .find_map(|d| calendar::number(year, month, d))
        .map(f64::from)
}

fn begin(unit: &str, day: f64) -> Option<f64> {
    let number = whole(day)?;
    let (year, month, _) = calendar::parts(number)?;
    let begin = match unit {
        "year" => calendar::number(year, 1, 1)?,
        "quarter" => calendar::number(year, (month - 1) / 3 * 3 + 1, 1)?,
        "month" => calendar::number(year, month, 1)?,
        // The calendar begins on a Monday.
        "week" => number - monday_is_0(number),
        "day" => number,
        _ => return None,
    };
    Some(f64::from(begin))
}

/// The day of the week: 1970-01-01 was a Thursday.
fn monday_is_0(day: i32) -> i32 {
    (day + 3).rem_euclid(7)
}

fn day_of_year(day: i32) -> Option<i32> {
    let (year, _, _) = calendar::parts(day)?;
    Some(day - calendar::number(year, 1, 1)? + 1)
}

/// ISO 8601: a week belongs to the year that its Thursday is in.
fn week(day: i32) -> Option<i32> {
    let thursday = day - monday_is_0(day) + 3;
    // The last days of 9999 are in a week of that year, counted without its Thursday.
    if thursday > calendar::LAST {
        return Some(52);
    }
    Some((day_of_year(thursday)? - 1) / 7 + 1)
}

fn piece(unit: &str, day: f64) -> Option<f64> {
    let number = whole(day)?;
    let (year, month, day) = calendar::parts(number)?;
    Some(match unit {
        "year" => f64::from(year),
        "quarter" => f64::from((month - 1) / 3 + 1),
        "month" => f64::from(month),
        "week" => f64::from(week(number)?),
        "day" => f64::from(day),
        "dow" => f64::from((monday_is_0(number) + 1) % 7),
        "isodow" => f64::from(monday_is_0(number) + 1),
        "doy" => f64::from(day_of_year(number)?),
        _ => return None,
    })
}

fn of_part(unit: &str, day: Interval) -> Option<Interval> {
    let (low, high) = match unit {
        "year" => (piece(unit, day.low)?, piece(unit, day.high)?),
        "quarter" => (1.0, 4.0),
        "month" => (1.0, 12.0),
        "week" => (1.0, 53.0),
        "day" => (1.0, 31.0),
        "dow" => (0.0, 6.0),
        "isodow" => (1.0, 7.0),
        "doy" => (1.0, 366.0),
        _ => return None,
    };
    Some(Interval { low, high })
}

fn completed(unit: &str, from: f64, to: f64) -> Option<f64> {
    if from > to {
        return completed(unit, to, from).map(|n| 0.0 - n);
    }
    let days = (to - from).floor();
    let months = match unit {
        "day" => return Some(days),
        "week" => return Some((days / 7.0).floor()),
        "month" => 1.0,
        "quarter" => 3.0,
        "year" => 12.0,
        _ => return None,
    };
    let (y1, m1, _) = calendar::parts(whole(from)?)?;
    let (y2, m2, _) = calendar::parts(whole(to)?)?;
    let between = f64::from((y2 - y1) * 12 + m2 as i32 - m1 as i32);
    // The last month counts once its day has come.
    let begun = with_months(from, between).is_none_or(|day| day > to);
    let passed = if begun { between - 1.0 } else { between };
    Some((passed / months).floor())
}
