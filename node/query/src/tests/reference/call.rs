//! The functions once more, one value at a time, by their names.

use super::calendar::{length, number, parts, week, weekday};
use super::{Field, any, num, text};
use crate::expr::{Any, Call, Pattern, PatternKind, Text};
use crate::functions::Form;

#[derive(Debug, Clone, PartialEq)]
pub(in crate::tests) enum Value {
    Number(f64),
    Truth(bool),
    Text(String),
}

const FIRST: f64 = -719_162.0;
const LAST: f64 = 2_932_896.0;

fn n(call: &Call, index: usize, row: &[Field]) -> Option<f64> {
    match call.arguments.get(index)? {
        Any::Num(value) | Any::Date(value) => num(value, row),
        other => panic!("{other:?} is not a number"),
    }
}

fn t(call: &Call, index: usize, row: &[Field]) -> Option<String> {
    match call.arguments.get(index)? {
        Any::Text(value) => text(value, row),
        other => panic!("{other:?} is not a text"),
    }
}

fn in_calendar(day: f64) -> Option<f64> {
    (FIRST..=LAST).contains(&day).then_some(day)
}

pub(super) fn value(call: &Call, row: &[Field]) -> Option<Value> {
    let name = call.function.name;
    match (name, call.function.form) {
        ("COALESCE", _) => return call.arguments.iter().find_map(|a| any(a, row)),
        ("NULLIF", _) => {
            let first = any(&call.arguments[0], row)?;
            let equal = any(&call.arguments[1], row) == Some(first.clone());
            return (!equal).then_some(first);
        }
        (_, Form::Cast(to)) => return cast(call, to, row),
        _ => {}
    }
    if call.arguments.iter().any(|a| any(a, row).is_none()) {
        return None;
    }
    of_numbers(call, row)
        .map(Some)
        .or_else(|| of_texts(call, row).map(Some))
        .unwrap_or_else(|| of_days(call, row).map(Value::Number))
}

/// Nothing for other functions.
fn of_numbers(call: &Call, row: &[Field]) -> Option<Value> {
    let x = || n(call, 0, row).unwrap();
    let result = match call.function.name {
        "ABS" => x().abs(),
        "SIGN" => f64::from(i8::from(x() > 0.0) - i8::from(x() < 0.0)),
        "FLOOR" => x().floor(),
        "CEIL" => x().ceil(),
        "TRUNC" => x().trunc(),
        "ROUND" => {
            let digits = n(call, 1, row).unwrap_or(0.0) as i32;
            let p = 10f64.powi(digits.abs());
            match digits >= 0 {
                true if x().abs() >= 2f64.powi(53) => x(),
                true => (x() * p).round() / p,
                false => (x() / p).round() * p,
            }
        }
        "LN" => if_so(x() > 0.0, x().ln()),
        "LOG10" => if_so(x() > 0.0, x().log10()),
        "LOG2" => if_so(x() > 0.0, x().log2()),
        "EXP" => x().exp(),
        "SQRT" => x().sqrt(),
        "POWER" => {
            let y = n(call, 1, row).unwrap();
            if_so(x() != 0.0 || y >= 0.0, x().powf(y))
        }
        "WIDTH_BUCKET" => {
            let [low, high, count] = [1, 2, 3].map(|i| n(call, i, row).unwrap());
            if x() < low {
                0.0
            } else if x() >= high {
                count + 1.0
            } else {
                let share = (x() - low) / (high - low) * count;
                if share.is_nan() {
                    1.0
                } else {
                    share.floor().min(count - 1.0) + 1.0
                }
            }
        }
        _ => return None,
    };
    Some(Value::Number(result))
}

fn if_so(so: bool, value: f64) -> f64 {
    if so { value } else { f64::NAN }
}

fn of_texts(call: &Call, row: &[Field]) -> Option<Value> {
    if !matches!(call.arguments.first(), Some(Any::Text(_))) {
        return None;
    }
    let x = t(call, 0, row).unwrap();
    let letters: Vec<char> = x.chars().collect();
    let cased = |change: fn(&str) -> String| {
        let one = |c: &char| {
            let text = change(&c.to_string());
            if text.chars().count() == 1 {
                text
            } else {
                c.to_string()
            }
        };
        letters.iter().map(one).collect::<String>()
    };
    Some(match call.function.name {
        "LOWER" => Value::Text(cased(str::to_lowercase)),
        "UPPER" => Value::Text(cased(str::to_uppercase)),
        "TRIM" => Value::Text(x.trim_matches(' ').to_owned()),
        "LTRIM" => Value::Text(x.trim_start_matches(' ').to_owned()),
        "RTRIM" => Value::Text(x.trim_end_matches(' ').to_owned()),
        "LEFT" => {
            let most = n(call, 1, row).unwrap() as usize;
            Value::Text(letters[..most.min(letters.len())].iter().collect())
        }
        "SUBSTR" => {
            let start = n(call, 1, row).unwrap() as i64;
            let count = letters.len() as i64;
            let end = n(call, 2, row).map_or(count + 1, |l| start + l as i64);
            let from = start.clamp(1, count + 1);
            let to = end.clamp(from, count + 1);
            Value::Text(letters[from as usize - 1..to as usize - 1].iter().collect())
        }
        "CONCAT" => {
            let parts = 0..call.arguments.len();
            Value::Text(parts.map(|i| t(call, i, row).unwrap()).collect())
        }
        "LENGTH" => Value::Number(letters.len() as f64),
        "STARTS_WITH" => {
            let start: Vec<char> = t(call, 1, row).unwrap().chars().collect();
            Value::Truth(letters.get(..start.len()) == Some(&start))
        }
        _ => return None,
    })
}

fn of_days(call: &Call, row: &[Field]) -> Option<f64> {
    let unit = match &call.arguments[0] {
        Any::Text(Text::Literal(unit)) => unit.as_str(),
        _ => "",
    };
    let [a, b, c] = [0, 1, 2].map(|i| match call.arguments.get(i) {
        Some(Any::Num(_) | Any::Date(_)) => n(call, i, row),
        _ => None,
    });
    match call.function.name {
        "days after" => in_calendar(a? + b?.trunc()),
        "days before" => in_calendar(a? - b?.trunc()),
        "days between" => Some(a? - b?),
        "ADD_MONTHS" => months_later(a?, b?),
        "DATE_TRUNC" => {
            let (year, month, _, _) = parts(b?);
            match unit {
                "year" => number(year, 1, 1),
                "quarter" => number(
                    year,
                    [1, 1, 1, 4, 4, 4, 7, 7, 7, 10, 10, 10][month as usize - 1],
                    1,
                ),
                "month" => number(year, month, 1),
                "week" => Some(b? - (weekday(b?) - 1) as f64),
                _ => b,
            }
        }
        "EXTRACT" => {
            let (year, month, day, of_year) = parts(b?);
            Some(match unit {
                "year" => year,
                "quarter" => (month + 2) / 3,
                "month" => month,
                "week" => week(b?),
                "day" => day,
                "dow" => weekday(b?) % 7,
                "isodow" => weekday(b?),
                "doy" => of_year,
                other => panic!("{other}"),
            } as f64)
        }
        "DATEDIFF" => {
            let (from, to) = (b?, c?);
            let (early, late) = (from.min(to), from.max(to));
            let sign = if from > to { -1.0 } else { 1.0 };
            let months = match unit {
                "day" => return Some(to - from),
                "week" => return Some(sign * ((late - early) / 7.0).floor()),
                "month" => 1.0,
                "quarter" => 3.0,
                _ => 12.0,
            };
            // Near the end, then counted.
            let mut count = (((late - early) / 31.0 / months).floor() - 2.0).max(0.0);
            while months_later(early, (count + 1.0) * months).is_some_and(|d| d <= late) {
                count += 1.0;
            }
            Some(sign * count)
        }
        other => panic!("{other} has no reference"),
    }
}

fn months_later(day: f64, months: f64) -> Option<f64> {
    let (year, month, day, _) = parts(day);
    if months.abs() > 200_000.0 {
        return None;
    }
    let index = year * 12 + month - 1 + months.trunc() as i64;
    let (year, month) = (index.div_euclid(12), index.rem_euclid(12) + 1);
    if !(1..=9999).contains(&year) {
        return None;
    }
    number(year, month, day.min(length(year, month)))
}

fn cast(call: &Call, to: &str, row: &[Field]) -> Option<Value> {
    let whole = |v: f64| -> Option<Value> {
        let (low, high) = match to {
            "TINYINT" => (-128.0, 127.0),
            "SMALLINT" => (-32768.0, 32767.0),
            "INTEGER" => (-2147483648.0, 2147483647.0),
            _ => (-(2f64.powi(53)), 2f64.powi(53)),
        };
        let v = if v.fract().abs() == 0.5 {
            v + v.signum() * 0.5
        } else {
            v.round()
        };
        (low <= v && v <= high).then_some(Value::Number(v))
    };
    match (any(&call.arguments[0], row)?, to, &call.arguments[0]) {
        (Value::Number(day), "VARCHAR", Any::Date(_)) => {
            let (y, m, d, _) = parts(day);
            Some(Value::Text(format!("{y:04}-{m:02}-{d:02}")))
        }
        (Value::Number(v), "VARCHAR", _) => Some(Value::Text(crate::expr::literal(v))),
        (Value::Number(v), _, _) => whole(v),
        (Value::Truth(v), "VARCHAR", _) => Some(Value::Text(format!("{v}"))),
        (Value::Truth(v), _, _) => Some(Value::Number(f64::from(i32::from(v)))),
        (Value::Text(text), "BIGINT", _) => {
            let v: i64 = text.trim_matches(' ').parse().ok()?;
            (v.abs() <= 1 << 53).then_some(Value::Number(v as f64))
        }
        (Value::Text(text), "DOUBLE", _) => {
            let text = text.trim_matches(' ');
            let letters = text
                .chars()
                .any(|c| c.is_ascii_alphabetic() && !"eE".contains(c));
            let v: f64 = text.parse().ok()?;
            (!letters && v.is_finite()).then_some(Value::Number(v))
        }
        (Value::Text(text), "BOOLEAN", _) => {
            let text = text.trim_matches(' ').to_lowercase();
            let yes = ["true", "t", "yes", "1"].contains(&text.as_str());
            let no = ["false", "f", "no", "0"].contains(&text.as_str());
            (yes || no).then_some(Value::Truth(yes))
        }
        (Value::Text(text), "DATE", _) => {
            let text = text.trim_matches(' ');
            let parts: Vec<&str> = text.split('-').collect();
            let [y, m, d] = parts.as_slice() else {
                return None;
            };
            let lengths = (y.len(), m.len(), d.len()) == (4, 2, 2);
            let digits = [y, m, d]
                .iter()
                .all(|p| p.bytes().all(|b| b.is_ascii_digit()));
            if !lengths || !digits {
                return None;
            }
            number(y.parse().ok()?, m.parse().ok()?, d.parse().ok()?).map(Value::Number)
        }
        (value, to, _) => panic!("{value:?} as {to}"),
    }
}

type Says = fn(&str) -> bool;

/// Regular expressions with what they say, written by hand.
pub(in crate::tests) const REGEXES: [(&str, Says); 5] = [
    ("^E1[01]", |t| t.starts_with("E10") || t.starts_with("E11")),
    ("[0-9]+$", |t| t.ends_with(|c: char| c.is_ascii_digit())),
    ("(a+)+$", |t| t.ends_with('a')),
    (" ", |t| t.contains(' ')),
    ("^$", str::is_empty),
];

pub(super) fn matches(pattern: &Pattern, text: &str) -> bool {
    match pattern.kind() {
        PatternKind::Like {
            ignore_case,
            escape,
        } => {
            let fold = |t: &str| {
                if ignore_case {
                    t.to_ascii_lowercase()
                } else {
                    t.to_owned()
                }
            };
            let (pattern, text) = (fold(pattern.source()), fold(text));
            let pattern: Vec<char> = pattern.chars().collect();
            let text: Vec<char> = text.chars().collect();
            like(&pattern, &text, escape)
        }
        PatternKind::Regex { ignore_case } => {
            assert!(!ignore_case);
            let known = REGEXES.iter().find(|(p, _)| *p == pattern.source());
            known.unwrap().1(text)
        }
    }
}

fn like(pattern: &[char], text: &[char], escape: Option<char>) -> bool {
    match pattern {
        [] => text.is_empty(),
        [e, c, rest @ ..] if Some(*e) == escape => {
            text.first() == Some(c) && like(rest, &text[1..], escape)
        }
        ['%', rest @ ..] => (0..=text.len()).any(|i| like(rest, &text[i..], escape)),
        ['_', rest @ ..] => !text.is_empty() && like(rest, &text[1..], escape),
        [c, rest @ ..] => text.first() == Some(c) && like(rest, &text[1..], escape),
    }
}
