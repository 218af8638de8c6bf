//! What the constants of slots stand for, measured on demand, in time on a processor:
//! `cargo test -p obscura-query --lib costs -- --ignored --nocapture`.

use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, Float64Array, StringArray};
use obscura_model::schema::Description;
use obscura_privacy::{KeyTally, Sparse};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;

use super::plan_with;
use super::stored::stored;
use crate::batch::Batch;
use crate::eval::Row;
use crate::expr::{Any, Bool, Call, Num, Pattern, PatternKind, Printer, Text, cost_of_any};
use crate::fold::{key_of, key_tally, tally};
use crate::functions::{self, Function, Gives, Takes};
use crate::limits;
use crate::runs::Runs;
use crate::scope::Scope;

const LIKE: PatternKind = PatternKind::Like {
    ignore_case: false,
    escape: None,
};
const ILIKE: PatternKind = PatternKind::Like {
    ignore_case: true,
    escape: None,
};
const REGEX: PatternKind = PatternKind::Regex { ignore_case: false };
const REGEX_ANY_CASE: PatternKind = PatternKind::Regex { ignore_case: true };

/// Nanoseconds of this thread on a processor, where the system tells them, in its steps.
fn on_processor() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}

/// The mean of many runs, in nanoseconds.
fn nanos(mut run: impl FnMut()) -> f64 {
    let before = on_processor();
    let mut runs = 0u32;
    loop {
        // Many, because asking for the time takes some itself.
        (0..64).for_each(|_| run());
        runs += 64;
        let taken = on_processor() - before;
        if taken > 20_000_000 {
            return taken as f64 / f64::from(runs);
        }
    }
}

fn random(letters: &str, length: usize) -> String {
    let letters: Vec<char> = letters.chars().collect();
    let mut rng = ChaCha20Rng::seed_from_u64(length as u64);
    let letter = |_| letters[rng.random_range(0..letters.len())];
    (0..length).map(letter).collect()
}

/// Nanoseconds for 32 characters of the worst of some texts.
fn worst(pattern: &Pattern) -> f64 {
    let letters = ["ab", "abéö中文𝄞", "abc Xéß1", "𝄞𝄢"];
    let texts = letters
        .iter()
        .flat_map(|l| [32, 1_000, 10_000].map(|n| random(l, n)));
    let each = texts.map(|text| {
        let pieces = text.chars().count().div_ceil(32) as f64;
        nanos(|| {
            std::hint::black_box(pattern.matches(std::hint::black_box(&text)));
        }) / pieces
    });
    each.fold(0.0, f64::max)
}

#[test]
#[ignore = "measures"]
fn what_patterns_take() {
    let mut patterns: Vec<(PatternKind, String)> = vec![
        (LIKE, "%foo%".to_owned()),
        (ILIKE, "%ab%ba%abab%".to_owned()),
        (LIKE, "E1__%ab%".to_owned()),
        (REGEX, "foo|ab(c|aab|bba)|zz".to_owned()),
        (REGEX, "^a[a-c].b$".to_owned()),
        (REGEX_ANY_CASE, "aaab|babab".to_owned()),
        (REGEX, r"\bab\w+q".to_owned()),
        (REGEX, "[0-9]{3}".to_owned()),
        (REGEX, "a.*b.*q".to_owned()),
        (REGEX_ANY_CASE, r"(\w\s?)q".to_owned()),
    ];
    for n in [5, 20, 80, 400] {
        patterns.push((LIKE, format!("%a{}", "_".repeat(n))));
        patterns.push((REGEX, format!("(a|b)*a(a|b){{{n}}}q")));
        patterns.push((REGEX, format!(r"\b(a|b)*a(a|b){{{n}}}\bq")));
        patterns.push((REGEX, format!("(a.{{0,{n}}}){{2}}q")));
    }
    for (kind, source) in patterns {
        let Ok(pattern) = Pattern::new(kind, &source) else {
            println!("refused: {source}");
            continue;
        };
        let (cost, taken) = (pattern.cost() * 10, worst(&pattern));
        println!("{cost:8} ns for 32 characters, measured {taken:8.0}: {source}");
    }
}

#[test]
#[ignore = "measures"]
fn what_keys_take() {
    let text = super::keys::CLINIC.replace("subjects = [500, 1000]", "subjects = [500, 2000]");
    let description = Description::from_toml(&text).unwrap();
    let plan = plan_with(super::keys::QUERY, &description).unwrap();
    let mut parts = vec![Sparse::new(); plan.vectors().len()];
    parts.iter_mut().for_each(|p| p.set(0, 1024));
    let filled = |keys: u32, seed: u64| {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let mut tally = KeyTally::new(plan.shape()).unwrap();
        for _ in 0..keys {
            let key = format!("{:08x}", rng.random::<u32>());
            tally.add(&[&key], &parts).unwrap();
        }
        tally
    };
    let before = on_processor();
    let (one, other) = (filled(500_000, 1), filled(500_000, 2));
    let added = on_processor();
    let merged = one.merge(other).unwrap();
    let end = on_processor();
    println!("added: {} ns a key", (added - before) / 1_000_000);
    println!("merged: {} ns a key of the second", (end - added) / 500_000);
    drop(merged);
    let few = filled(5_000, 3);
    let mut rng = ChaCha20Rng::seed_from_u64(4);
    let before = on_processor();
    few.mock_noise(&plan.shape().vectors, &mut rng).unwrap();
    println!("noise: {} ns a key", (on_processor() - before) / 5_000);
}

/// Notes of so many characters, which are keys if they begin alike.
pub(super) fn notes(characters: usize, subjects: &str, rows: u32) -> Description {
    let text = format!(
        r#"
name = "notes"
title = "Notes"
source = "notes.csv"
subject = "id"
subject_unit = "patient"
most_rows_per_subject = {rows}
subjects = {subjects}
delta = 1e-6

[[column]]
name = "note"
type = "text"
most_characters = {characters}
meaning = "a note"
bounds_from = "form"
may_be_missing = true
keys = {{ per_person = 1, most = 5, characters = 8, delta = 1e-8 }}

[[column]]
name = "x"
type = "integer"
lowest = 0
highest = 100
unit = "EUR"
meaning = "cost"
bounds_from = "form"

[[column]]
name = "yes"
type = "boolean"
meaning = "yes"
bounds_from = "form"

[[column]]
name = "day"
type = "date"
first = "1990-01-01"
last = "2030-01-01"
meaning = "day"
bounds_from = "form"
"#
    );
    Description::from_toml(&text).unwrap()
}

/// Texts of so many characters that are hard for some function.
fn hard(characters: usize) -> Vec<String> {
    let inner = characters.saturating_sub(2);
    let mut texts: Vec<String> = ["aB1", "ß", "Ä", "\u{3000}", "𐐀𐐨", "abéÖ中文𝄞", "𝄞", " "]
        .map(|letters| random(letters, characters))
        .into();
    texts.push(format!("a{}b", " ".repeat(inner)));
    // Numbers that lie between two floats as far as most digits tell.
    let zeros = characters.saturating_sub(20);
    texts.push(format!("9007199254740993.{}1", "0".repeat(zeros)));
    texts.push(format!("2.4703282292062327208{}1e-324", "0".repeat(zeros)));
    texts.push(random("0123456789", characters));
    let fits = |t: &String| t.chars().count() <= characters;
    texts.into_iter().filter(fits).collect()
}

fn rows_of(text: &str, rows: usize) -> Batch {
    let numbers = || (0..rows).map(|n| n as f64 / 7.0);
    let columns: [ArrayRef; 4] = [
        Arc::new(StringArray::from_iter_values(std::iter::repeat_n(
            text, rows,
        ))),
        Arc::new(Float64Array::from_iter_values(numbers())),
        Arc::new(BooleanArray::from(vec![true; rows])),
        Arc::new(Float64Array::from_iter_values(numbers().map(f64::floor))),
    ];
    Batch {
        runs: Runs::new((0..rows as u32).map(|subject| (subject, 1))),
        columns: columns.map(Some).into(),
    }
}

/// A call of columns where it may be, and of the largest numbers elsewhere.
fn called(function: &'static Function) -> Any {
    let arguments = function.takes.iter().map(|takes| match takes {
        Takes::Number => Any::Num(Num::Column(1)),
        Takes::Date => Any::Date(Num::Column(3)),
        Takes::Text | Takes::Same => Any::Text(Text::Column(0)),
        Takes::Truth => Any::Bool(Bool::Column(2)),
        Takes::Whole(low, high) => {
            let most = if *low < 0 { 1 } else { (*high).min(9_999) };
            Any::Num(Num::Literal(f64::from(most)))
        }
        Takes::Constant => Any::Num(Num::Literal(7.0)),
        Takes::Unit(words) => Any::Text(Text::Literal(words[0].to_owned())),
    });
    let arguments = arguments.collect();
    let call = Call {
        function,
        arguments,
    };
    match call.gives() {
        Gives::Number | Gives::Same => Any::Num(Num::Call(call)),
        Gives::Date => Any::Date(Num::Call(call)),
        Gives::Text => Any::Text(Text::Call(call)),
        Gives::Truth => Any::Bool(Bool::Call(call)),
    }
}

fn evaluated(value: &Any, batch: &Batch) {
    let row = Row { batch };
    match value {
        Any::Num(n) | Any::Date(n) => drop(std::hint::black_box(row.num(n).unwrap())),
        Any::Bool(b) => drop(std::hint::black_box(row.bool(b).unwrap())),
        Any::Text(t) => drop(std::hint::black_box(row.text(t).unwrap())),
        Any::Category(_) | Any::Null => {}
    }
}

#[test]
#[ignore = "measures"]
fn what_functions_take() {
    let mut beyond = Vec::new();
    for function in functions::all() {
        let value = called(function);
        for characters in [1, 40, 400, 10_000] {
            let description = notes(characters, "[20, 50]", 10);
            let scope = Scope::of_table(&description, 0);
            let written = format!("SELECT {}", Printer { scope: &scope }.any(&value));
            let words = limits::tokens(&written).unwrap().len() as u64;
            let price = 10 * (words + cost_of_any(&value, &scope));
            let rows = (2_000_000 / characters).clamp(100, 8_192);
            let each = hard(characters).into_iter().map(|text| {
                let batch = rows_of(&text, rows);
                evaluated(&value, &batch);
                let before = on_processor();
                // The system may tell the time in steps of 4 ms.
                let (mut runs, mut taken) = (0, 0);
                while taken < 40_000_000 {
                    evaluated(&value, &batch);
                    runs += 1;
                    taken = on_processor() - before;
                }
                let taken = taken / (runs * rows as u64);
                (taken, text.chars().take(8).collect::<String>())
            });
            let Some((taken, text)) = each.max() else {
                continue;
            };
            let name = function.name;
            println!("{name:18} {characters:6}: price {price:8} ns, measured {taken:8}: {text}");
            if taken > price {
                beyond.push((name, characters, price, taken));
            }
            let texts = [Takes::Text, Takes::Same];
            if !function.takes.iter().any(|t| texts.contains(t)) {
                break;
            }
        }
    }
    assert_eq!(beyond, [], "name, characters, price, measured");
}

#[test]
#[ignore = "measures"]
fn what_folds_of_long_texts_take() {
    let description = notes(10_000, "[20, 50]", 10);
    let folder = tempfile::tempdir().unwrap();
    let csv = folder.path().join("notes.csv");
    let nested = |outer: &str, tail: &str| {
        (0..20).fold("note".to_owned(), |text, _| {
            format!("{outer}({text}{tail})")
        })
    };
    let texts = ["Ä", "a", "ß", "1", "\u{3000}", "𝄞"].map(|letter| letter.repeat(9_999));
    let blanks = [" ", "\u{3000}"].map(|blank| format!("a{}b", blank.repeat(9_998)));
    let mut beyond = Vec::new();
    for text in texts.into_iter().chain(blanks) {
        let mut lines = "id,note,x,yes,day\n".to_owned();
        for row in 0..500 {
            lines.push_str(&format!(
                "p{},\"{text}\",{},true,2000-01-01\n",
                row / 10,
                row % 10
            ));
        }
        std::fs::write(&csv, lines).unwrap();
        let table = stored(&description, folder.path());
        let counted = |what: String| format!("SELECT COUNT(*) AS n FROM notes WHERE {what}");
        for sql in [
            "SELECT note, COUNT(*) AS n FROM notes GROUP BY note".to_owned(),
            counted("note IS NOT NULL".to_owned()),
            counted(format!("{} = 'q'", nested("UPPER", ""))),
            counted(format!("{} = 'q'", nested("LOWER", ""))),
            counted(format!("{} = 'q'", nested("TRIM", ""))),
            counted(format!("{} = 'q'", nested("SUBSTR", ", 1, 9999"))),
            counted(format!("{} = 'q'", nested("LEFT", ", 10000"))),
            counted(format!("{} = 'q'", nested("CONCAT", ", 'a'"))),
            counted(format!("{} = 'q'", nested("COALESCE", ", 'a'"))),
            counted(format!("{} = 'q'", nested("NULLIF", ", 'a'"))),
            counted("note = TRIM(note) OR note > LTRIM(note)".to_owned()),
            counted("CASE WHEN x > 1 THEN note WHEN x > 3 THEN 'b' END = 'a'".to_owned()),
            "SELECT COUNT(*) AS n FROM (SELECT id, note FROM notes WHERE x > 1) AS a JOIN \
             (SELECT id, MAX(x) AS y FROM notes GROUP BY id) AS b ON a.id = b.id AND y > 3 \
             WHERE note <> 'q'"
                .to_owned(),
        ] {
            let plan = plan_with(&sql, &description).unwrap_or_else(|e| panic!("{sql}: {e}"));
            let slot = plan.slot(1).unwrap();
            let before = on_processor();
            if key_tally(&plan, &table.rows()).unwrap().is_none() {
                tally(&plan, &table.rows()).unwrap();
            }
            let taken = (on_processor() - before) / 1_000_000;
            let (text, what): (String, String) = (
                text.chars().take(2).collect(),
                sql.chars().skip(20).take(50).collect(),
            );
            println!("{text:4} slot {slot:6} ms, measured {taken:6}: {what}");
            if taken > slot {
                beyond.push((text, what, slot, taken));
            }
        }
    }
    assert_eq!(beyond, [], "text, query, slot, measured");
}

#[test]
#[ignore = "measures"]
fn what_cutting_keys_takes() {
    let mut texts = hard(10_000);
    texts.extend([" ", "\u{3000}", "\u{85}", "\u{1}", "\u{1680}"].map(|b| b.repeat(10_000)));
    for text in texts {
        let taken = nanos(|| drop(std::hint::black_box(key_of(&text, 200)))) / 10_000.0;
        let begins: String = text.chars().take(4).collect();
        println!("{taken:6.2} ns a character: {begins:?}");
    }
}
