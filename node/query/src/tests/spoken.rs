//! The sentences that owners approve: they keep every argument.

use super::parse;
use crate::expr::{Any, Call, Num, Text, Words};
use crate::functions::{self, Function, Takes};
use crate::scope::Scope;

/// A literal argument like no other of its call, and how it is told.
fn literal(takes: Takes, index: usize) -> (Any, String) {
    let number = 11.0 + index as f64;
    match takes {
        Takes::Number | Takes::Whole(..) | Takes::Constant | Takes::Same => {
            (Any::Num(Num::Literal(number)), number.to_string())
        }
        Takes::Date => {
            let day = 7_000 + index as i32;
            let label = obscura_model::calendar::label(day);
            (Any::Date(Num::Day(day)), label)
        }
        Takes::Text => {
            let text = format!("text {index}");
            (Any::Text(Text::Literal(text.clone())), format!("'{text}'"))
        }
        Takes::Truth => {
            let truth = crate::expr::Bool::Literal(true);
            (Any::Bool(truth), "always".to_owned())
        }
        Takes::Unit(units) => {
            let unit = units[index % units.len()].to_owned();
            (Any::Text(Text::Literal(unit.clone())), unit)
        }
    }
}

fn told(function: &'static Function, arguments: usize) -> (String, Vec<String>) {
    let takes = (0..arguments).map(|i| literal(function.takes(i).unwrap(), i));
    let (arguments, literals): (Vec<Any>, Vec<String>) = takes.unzip();
    let call = Call {
        function,
        arguments,
    };
    let scope = Scope::of_item("", "", Vec::new(), "person", 1);
    let words = Words { scope: &scope };
    (words.num(&Num::Call(call)), literals)
}

#[test]
fn the_sentence_of_every_function_keeps_every_argument() {
    for function in functions::all() {
        let (fewest, most) = function.counts();
        for arguments in fewest..=most.min(fewest + 3) {
            let (sentence, literals) = told(function, arguments);
            for literal in literals {
                assert!(
                    sentence.contains(&literal),
                    "{} loses {literal}: {sentence}",
                    function.name
                );
            }
            assert!(!sentence.contains(['{', '|']), "{sentence}");
        }
    }
}

#[test]
fn the_sentence_of_every_condition_keeps_its_literals() {
    let table: &[(&str, &[&str])] = &[
        (
            "SUBSTR(note, 2, 3) = 'E11'",
            &["3 characters of note from character 2", "'E11'"],
        ),
        (
            "SUBSTR(note, 2) = 'E11'",
            &["the part of note from character 2 on"],
        ),
        ("LEFT(note, 1) = 'E'", &["the first 1 character of note"]),
        ("ROUND(bmi, 2) > 30", &["bmi rounded to 2 digits", "30"]),
        ("ROUND(bmi) > 30", &["bmi rounded is above 30"]),
        ("ROUND(bmi, 1) > 30", &["rounded to 1 digit is"]),
        ("bmi % 7 = 3", &["modulo 7", "3"]),
        ("bmi BETWEEN 18 AND 25", &["18", "25"]),
        ("age IN (31, 42, 53)", &["31", "42", "53"]),
        (
            "LEAST(bmi, 41, 42) > GREATEST(age, 17)",
            &["41", "42", "17"],
        ),
        ("note LIKE 'E!%%' ESCAPE '!'", &["'E!%%'", "'!'"]),
        ("REGEXP_LIKE(note, '^e', 'i')", &["'^e'", "in any case"]),
        ("note || 'x' = 'y'", &["'x'", "'y'"]),
        ("IF(bmi > 20, 5, 6) = 4", &["20", "5", "6", "4"]),
        ("bmi IS DISTINCT FROM 19", &["19"]),
        (
            "born + INTERVAL '5' MONTH > DATE '1980-01-02'",
            &["5 months", "1980-01-02"],
        ),
        // Weeks and years are told as days and months, which is what they are.
        ("born + INTERVAL '2' WEEK > DATE '1980-01-02'", &["14 days"]),
        (
            "born - INTERVAL '2' YEAR > DATE '1980-01-02'",
            &["24 months"],
        ),
    ];
    for (condition, literals) in table {
        let said = super::functions::where_is(condition).unwrap().in_words();
        for literal in *literals {
            assert!(said.contains(literal), "{condition}: {said}");
        }
    }
    let rounded = parse("SELECT ROUND(AVG(bmi), 2) AS a FROM patients").unwrap();
    let said = rounded.in_words();
    assert!(said.contains("rounded to 2 digits"), "{said}");
}
