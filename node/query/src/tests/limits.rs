//! Texts that would exhaust a parser are refused at once, on an ordinary stack.

use std::fmt::Write;

use super::parse;
use obscura_model::text::SqlText;

fn refused(sql: &str) {
    // Longer texts never get past SqlText.
    if SqlText::new(sql).is_ok() {
        let refusal = parse(sql).expect_err("accepted");
        assert!(refusal.to_string().len() < 400);
    }
}

fn repeat(piece: &str, times: usize) -> String {
    piece.repeat(times)
}

fn count(condition: &str) -> String {
    format!("SELECT COUNT(*) FROM patients WHERE {condition}")
}

#[test]
fn flat_and_nested_bombs_are_refused() {
    for n in [51, 101, 500, 2_000, 5_000, 10_000, 20_000] {
        refused(&format!(
            "SELECT SUM({}) AS s FROM patients",
            repeat("(", n)
        ));
        refused(&count(&format!(
            "{}age{} > 1",
            repeat("(", n),
            repeat(")", n)
        )));
        refused(&count(&format!("{}smoker", repeat("NOT ", n))));
        refused(&count(&format!("{}age > 1", repeat("- ", n))));
        refused(&count(&format!("{}age > 1", repeat("+", n))));
        refused(&count(&format!(
            "{}smoker{}",
            repeat("CASE WHEN smoker THEN ", n),
            repeat(" END", n)
        )));
        refused(&format!(
            "{}SELECT COUNT(*) FROM patients{}",
            repeat("SELECT COUNT(*) FROM (", n),
            repeat(")", n)
        ));
        refused(&count(&format!("age = {}1", repeat("age = ", n))));
        refused(&count(&format!("smoker {}", repeat("IS NULL ", n + 50))));
        refused(&count(&format!("age {}> 1", repeat("BETWEEN 1 AND 2 ", n))));
        refused(&count(&format!("{}1", repeat("age IN (1) = ", n))));
        refused(&count(&format!("{}age > 1", repeat("~ ", n))));
        refused(&count(&format!("{}age > 1", repeat("INTERVAL ", n))));
        refused(&count(&format!("ward {}", repeat("LIKE 'a' ", n))));
        refused(&count(&format!(
            "ward{} = 'a'",
            repeat(" AT TIME ZONE 'x'", n)
        )));
        refused(&count(&format!("ward{} = 'a'", repeat(" COLLATE x", n))));
        refused(&count(&format!(
            "{}age{} > 1",
            repeat("CAST(", n),
            repeat(" AS BIGINT)", n)
        )));
        refused(&count(&format!(
            "{}ward{}",
            repeat("ward IN CODELIST(", n),
            repeat(")", n)
        )));
        refused(&count(&format!(
            "ward {}",
            repeat("IS DISTINCT FROM 1 ", n)
        )));
    }
    for n in [1_100, 2_000, 20_000] {
        refused(&count(&format!("ward{} = 'a'", repeat("||'a'", n))));
        refused(&count(&format!("age{} = 1", repeat(" % 2", n))));
        refused(&count(&format!(
            "ward ~ 'a'{}",
            repeat(" OR ward ~ 'a'", n)
        )));
        refused(&format!(
            "SELECT SUM(1{}) AS s FROM patients",
            repeat("+1", n)
        ));
        refused(&count(&format!("age = 1{}", repeat(" OR age=1", n))));
        refused(&format!(
            "SELECT COUNT(*) FROM patients{}",
            repeat(" UNION ALL SELECT 1", n)
        ));
        let list: String = (0..n).fold(String::new(), |mut list, i| {
            write!(list, "{i}, ").unwrap();
            list
        });
        refused(&count(&format!("age IN ({list}{list}{list}{list}1)")));
    }
}

/// One more than the most, with little of all the rest.
#[test]
fn each_limit_holds_alone() {
    let within = |text: String| crate::limits::tokens(&format!("SELECT {text}")).is_ok();
    let operators = |n| within(format!("1{}", repeat("+1", n)));
    assert_eq!([1_000, 1_001].map(operators), [true, false]);
    let depth = |n| within(format!("{}1{}", repeat("(", n), repeat(")", n)));
    assert_eq!([50, 51].map(depth), [true, false]);
    let words = |n| within(repeat("a ", n));
    assert_eq!([3_999, 4_000].map(words), [true, false]);
}

#[test]
fn an_end_that_closes_nothing_does_not_hide_depth() {
    refused(&count(&format!("{}1 > 2", repeat("(end + ", 300))));
    refused(&count(&format!("{}1 > 2", repeat("NOT (", 26))));
}

#[test]
fn a_simple_case_cannot_multiply_what_it_compares() {
    let mut operand = "age".to_owned();
    for _ in 0..40 {
        operand = format!("CASE {operand} WHEN 1 THEN 2 WHEN 2 THEN 3 ELSE age END");
    }
    let refusal = parse(&format!("SELECT SUM({operand}) AS s FROM patients")).unwrap_err();
    assert!(refusal.to_string().contains("too large"), "{refusal}");
}

#[test]
fn the_number_of_patterns_is_bounded() {
    let many = |n| count(&format!("ward LIKE 'a'{}", repeat(" OR ward LIKE 'a'", n)));
    parse(&many(50)).unwrap();
    let refusal = parse(&many(120)).unwrap_err();
    assert!(refusal.to_string().contains("too large"), "{refusal}");
}

#[test]
fn long_flat_queries_within_the_limits_are_accepted() {
    let sum = format!("SELECT SUM(age{}) AS s FROM patients", repeat(" + 1", 990));
    assert_eq!(parse(&sum).unwrap().canonical(), sum);
    let texts = format!("ward{} = 'a'", repeat(" || 'a'", 990));
    parse(&count(&texts)).unwrap();
    let differing = format!("age{} IS DISTINCT FROM 3", repeat(" + 1", 980));
    parse(&count(&differing)).unwrap();
    let any = format!("age = 1{}", repeat(" OR age = 1", 490));
    parse(&count(&any)).unwrap();
    parse(&count(&format!(
        "{}age{} > 1",
        repeat("(", 49),
        repeat(")", 49)
    )))
    .unwrap();
}

/// The limits read tokens once, in order, so what they refuse costs no more than its length: the
/// parser never sees it.
#[test]
fn a_bomb_is_refused_before_the_parser_sees_it() {
    let bombs = [
        (count(&format!("{}1", repeat("(", 10_000))), "more than"),
        (
            count(&format!("age=1{}", repeat(" OR age=1", 5_000))),
            "more than",
        ),
        (
            count(&format!("{}smoker", repeat("NOT ", 5_000))),
            "more than",
        ),
        (
            format!("SELECT SUM(1{}) AS s FROM patients", repeat("+1", 20_000)),
            "more than",
        ),
    ];
    for (bomb, says) in bombs {
        let text = SqlText::new(&bomb).unwrap();
        let refusal = crate::limits::tokens(text.as_str())
            .unwrap_err()
            .to_string();
        assert!(refusal.contains(says), "{refusal}");
    }
}
