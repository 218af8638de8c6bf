//! Functions of texts. Characters are Unicode code points.

use std::borrow::Cow;

use super::{Cell, Form, Function, Gives, Missing, Reads, Takes, range};
use crate::expr::{Extent, Interval};

const fn plain(name: &'static str) -> Function {
    Function {
        name,
        also: &[],
        takes: &[Takes::Text],
        optional: 0,
        many: false,
        gives: Gives::Text,
        form: Form::Call,
        missing: Missing::WithArguments,
        bounds: |a| up_to(a, 0),
        bounded: "at most as long as x",
        cost: 4,
        nanos: 20,
        reads: Reads::All,
        kernel: |_| Cell::Missing,
        words: "",
        sentence: "",
        example: ("", ""),
    }
}

pub(super) static TABLE: [Function; 10] = [
    Function {
        also: &["LCASE"],
        nanos: 60,
        kernel: |c| changed(c, |t| t.chars().map(lower).collect()),
        words: "{0} in lower case",
        sentence: "The text in lower case. A letter whose lower case is more than one letter \
                   stays as it is.",
        example: ("LOWER('Ab')", "'ab'"),
        ..plain("LOWER")
    },
    Function {
        also: &["UCASE"],
        nanos: 60,
        kernel: |c| changed(c, |t| t.chars().map(upper).collect()),
        words: "{0} in upper case",
        sentence: "The text in upper case. A letter whose upper case is more than one letter \
                   stays as it is.",
        example: ("UPPER('Ab')", "'AB'"),
        ..plain("UPPER")
    },
    Function {
        also: &["BTRIM"],
        kernel: |c| changed(c, |t| t.trim_matches(' ').to_owned()),
        words: "{0} without spaces around it",
        sentence: "The text without the spaces before and after it.",
        example: ("TRIM(' ab ')", "'ab'"),
        ..plain("TRIM")
    },
    Function {
        kernel: |c| changed(c, |t| t.trim_start_matches(' ').to_owned()),
        words: "{0} without spaces before it",
        sentence: "The text without the spaces before it.",
        example: ("LTRIM(' ab')", "'ab'"),
        ..plain("LTRIM")
    },
    Function {
        kernel: |c| changed(c, |t| t.trim_end_matches(' ').to_owned()),
        words: "{0} without spaces after it",
        sentence: "The text without the spaces after it.",
        example: ("RTRIM('ab ')", "'ab'"),
        ..plain("RTRIM")
    },
    Function {
        also: &["SUBSTRING"],
        takes: &[
            Takes::Text,
            Takes::Whole(-20_000, 20_000),
            Takes::Whole(0, 20_000),
        ],
        optional: 1,
        bounds: |a| {
            let whole = up_to(a, 0)?;
            let most = range(a, 2).map_or(whole.high, |i| i.high.min(whole.high));
            Some(Interval {
                low: 0.0,
                high: most,
            })
        },
        bounded: "at most as long as asked for",
        kernel: |c| {
            let start = c.get(1).and_then(Cell::number).unwrap_or(1.0) as i64;
            let length = c.get(2).and_then(Cell::number).map(|v| v as i64);
            changed(c, |t| part(t, start, length))
        },
        words: "the part of {0} from character {1} on|{2} character{s} of {0} from character {1}",
        sentence: "The part that begins with character `start`, the first being 1, of at most so \
                   many characters (all the rest if left out). A start of 0 or less counts \
                   places before the text, which are empty: SUBSTR('abc', 0, 2) is 'a'.",
        example: ("SUBSTR('E11.9', 1, 3)", "'E11'"),
        ..plain("SUBSTR")
    },
    Function {
        takes: &[Takes::Text, Takes::Whole(1, 20_000)],
        bounds: |a| {
            let (text, most) = (range(a, 0)?, range(a, 1)?);
            Some(Interval {
                low: 0.0,
                high: text.high.min(most.high),
            })
        },
        bounded: "at most n characters",
        kernel: |c| match c {
            [Cell::Text(text), Cell::Number(most)] => {
                Cell::Text(Cow::Owned(text.chars().take(*most as usize).collect()))
            }
            _ => Cell::Missing,
        },
        words: "the first {1} character{s} of {0}",
        sentence: "At most n characters from the beginning of a text.",
        example: ("LEFT('E11.9', 3)", "'E11'"),
        ..plain("LEFT")
    },
    Function {
        many: true,
        nanos: 8,
        bounds: |a| {
            let lengths = a.iter().map(|e| e.interval.map(|i| i.high));
            let high = lengths.sum::<Option<f64>>()?;
            Some(Interval { low: 0.0, high })
        },
        bounded: "at most as long as all together, which may be 20,000 characters",
        kernel: |c| {
            let texts: Vec<&str> = c.iter().filter_map(Cell::text).collect();
            Cell::Text(Cow::Owned(texts.concat()))
        },
        words: "{*} put together",
        sentence: "The texts one after another, also written `x || y`; missing if one of them is.",
        example: ("CONCAT('a', 'b')", "'ab'"),
        ..plain("CONCAT")
    },
    Function {
        also: &["CHAR_LENGTH", "CHARACTER_LENGTH", "LEN"],
        gives: Gives::Number,
        bounded: "from 0 to the declared length of x",
        nanos: 4,
        kernel: |c| match c {
            [Cell::Text(text)] => Cell::Number(text.chars().count() as f64),
            _ => Cell::Missing,
        },
        words: "the length of {0}",
        sentence: "The number of characters.",
        example: ("LENGTH('E11.9')", "5"),
        ..plain("LENGTH")
    },
    Function {
        takes: &[Takes::Text, Takes::Text],
        gives: Gives::Truth,
        bounded: "",
        nanos: 8,
        // No byte beyond the end of the shorter one is compared.
        reads: Reads::Shorter,
        kernel: |c| match c {
            [Cell::Text(text), Cell::Text(start)] => Cell::Truth(text.starts_with(start.as_ref())),
            _ => Cell::Missing,
        },
        words: "{0} begins with {1}",
        sentence: "Whether x begins with y.",
        example: ("STARTS_WITH('E11.9', 'E11')", "TRUE"),
        ..plain("STARTS_WITH")
    },
];

fn up_to(arguments: &[Extent<'_>], index: usize) -> Option<Interval> {
    let high = range(arguments, index)?.high;
    Some(Interval { low: 0.0, high })
}

fn changed(cells: &[Cell<'_>], change: impl Fn(&str) -> String) -> Cell<'static> {
    match cells.first() {
        Some(Cell::Text(text)) => Cell::Text(Cow::Owned(change(text))),
        _ => Cell::Missing,
    }
}

fn only(mut letters: impl Iterator<Item = char>, letter: char) -> char {
    match (letters.next(), letters.next()) {
        (Some(one), None) => one,
        _ => letter,
    }
}

fn lower(letter: char) -> char {
    only(letter.to_lowercase(), letter)
}

fn upper(letter: char) -> char {
    only(letter.to_uppercase(), letter)
}

fn part(text: &str, start: i64, length: Option<i64>) -> String {
    let end = length.map(|l| start.saturating_add(l));
    let (mut place, mut cut) = (0i64, String::new());
    for letter in text.chars() {
        place = place.saturating_add(1);
        if place >= start && end.is_none_or(|end| place < end) {
            cut.push(letter);
        }
    }
    cut
}
