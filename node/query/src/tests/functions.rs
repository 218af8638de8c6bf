//! Rules that hold for every function of the table, every type and every row.

use arrow_array::{Array, Float64Array};
use obscura_model::codelist::{CodeList, CodeLists};
use obscura_model::text::SqlText;
use proptest::prelude::*;

use super::properties::batch;
use super::reference::{self, Field};
use super::trees::{BORN, DAY, DX, NOTE, rich, rich_rows, trees};
use crate::batch::Batch;
use crate::eval::Row;
use crate::expr::{Any, Bool, Mask, Printer, Text, interval, known_from, longest, mask};
use crate::query::{Aggregate, Released};
use crate::scope::Scope;
use crate::{Refusal, ValidatedQuery, functions};

fn rich_query(sql: &str) -> Result<ValidatedQuery, Refusal> {
    let text = SqlText::new(sql).map_err(|e| Refusal::new(e.to_string()))?;
    ValidatedQuery::parse(&text, &rich(), &CodeLists::none())
}

pub(super) fn where_is(condition: &str) -> Result<ValidatedQuery, Refusal> {
    rich_query(&format!(
        "SELECT COUNT(*) AS n FROM patients WHERE {condition}"
    ))
}

fn counted(expression: &str) -> Any {
    let query = rich_query(&format!("SELECT COUNT({expression}) AS n FROM patients"));
    let query = query.unwrap_or_else(|e| panic!("{expression}: {e}"));
    match &query.definition().outputs[0].value {
        Released::Aggregate(Aggregate::Known(value)) => value.clone(),
        other => panic!("{other:?}"),
    }
}

/// A value of one row as the page writes it.
fn shown(value: &Any, batch: &Batch) -> String {
    let row = Row { batch };
    let missing = || "missing".to_owned();
    match value {
        Any::Num(n) => {
            let found = row.num(n).unwrap();
            if found.is_null(0) {
                missing()
            } else {
                format!("{}", found.value(0))
            }
        }
        Any::Date(n) => {
            let found = row.num(n).unwrap();
            let label = |v: f64| obscura_model::calendar::label(v as i32);
            if found.is_null(0) {
                missing()
            } else {
                format!("DATE '{}'", label(found.value(0)))
            }
        }
        Any::Bool(b) => {
            let found = row.bool(b).unwrap();
            if found.is_null(0) {
                missing()
            } else {
                found.value(0).to_string().to_uppercase()
            }
        }
        Any::Text(t) => {
            let found = row.text(t).unwrap();
            if found.is_null(0) {
                missing()
            } else {
                format!("'{}'", found.value(0))
            }
        }
        Any::Category(_) | Any::Null => missing(),
    }
}

fn plain_row() -> Vec<Field> {
    let mut row = vec![Field::Number(Some(3.0)); 12];
    for category in [1, 2, 7, DX] {
        row[category] = Field::Code(Some(0));
    }
    row[5] = Field::Truth(Some(true));
    row[NOTE] = Field::Text(Some("note"));
    row
}

#[test]
fn every_example_of_the_page_gives_what_it_says() {
    for (text, result) in functions::examples() {
        assert_eq!(
            shown(&counted(text), &batch(&[plain_row()])),
            result,
            "{text}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(384))]

    #[test]
    fn every_function_evaluates_like_single_rows(
        (n, d, t, b) in { let t = trees(3); (t.num, t.date, t.text, t.truth) },
        rows in rich_rows(),
    ) {
        let batch = batch(&rows);
        let row = Row { batch: &batch };
        let (numbers, days) = (row.num(&n).unwrap(), row.num(&d).unwrap());
        let (texts, truths) = (row.text(&t).unwrap(), row.bool(&b).unwrap());
        for (i, fields) in rows.iter().enumerate() {
            let found = |a: &Float64Array| a.is_valid(i).then(|| a.value(i));
            prop_assert_eq!(found(&numbers), reference::num(&n, fields), "{:?}", n);
            prop_assert_eq!(found(&days), reference::num(&d, fields), "{:?}", d);
            let zero = found(&numbers).is_none_or(|v| v != 0.0 || v.is_sign_positive());
            prop_assert!(zero && found(&numbers).is_none_or(|v| !v.is_nan()));
            let text = texts.is_valid(i).then(|| texts.value(i).to_owned());
            prop_assert_eq!(text, reference::text(&t, fields), "{:?}", t);
            let truth = truths.is_valid(i).then(|| truths.value(i));
            prop_assert_eq!(truth, reference::bool(&b, fields), "{:?}", b);
        }
    }

    #[test]
    fn every_value_lies_within_its_bounds(
        (n, d, t) in { let t = trees(3); (t.num, t.date, t.text) },
        rows in rich_rows(),
    ) {
        let scope = Scope::of_table(&rich(), 0);
        let batch = batch(&rows);
        let row = Row { batch: &batch };
        for value in [&n, &d] {
            let bounds = interval(value, &scope);
            for v in row.num(value).unwrap().iter().flatten() {
                prop_assert!(bounds.is_some_and(|i| i.holds(v)), "{bounds:?} {v} {value:?}");
            }
        }
        let most = longest(&t, &scope) as usize;
        for v in row.text(&t).unwrap().iter().flatten() {
            prop_assert!(v.chars().count() <= most, "{most} {v} {t:?}");
        }
    }

    #[test]
    fn a_mask_says_exactly_when_any_value_is_there(
        (n, t, b, f) in { let t = trees(3); (t.num, t.text, t.truth.clone(), t.truth) },
        rows in rich_rows(),
    ) {
        let scope = Scope::of_table(&rich(), 0);
        let known = known_from(Some(&f));
        for row in rows.iter().filter(|r| reference::bool(&f, r) == Some(true)) {
            let missing = |c: &usize| match row[*c] {
                Field::Number(v) => v.is_none(),
                Field::Code(v) => v.is_none(),
                Field::Truth(v) => v.is_none(),
                Field::Text(v) => v.is_none(),
            };
            prop_assert!(known.iter().all(|c| !missing(c)), "{known:?} {f:?}");
            let there = [
                (Any::Num(n.clone()), reference::num(&n, row).is_some()),
                (Any::Text(t.clone()), reference::text(&t, row).is_some()),
                (Any::Bool(b.clone()), reference::bool(&b, row).is_some()),
            ];
            for (value, there) in there {
                match mask(&value, &known, &scope) {
                    Mask::Everything => prop_assert!(there, "{value:?}"),
                    Mask::Columns(c) => {
                        prop_assert_eq!(there, !c.iter().any(missing), "{:?}", value);
                    }
                    Mask::Expression(_) => {}
                }
            }
        }
    }

    #[test]
    fn a_canonical_text_means_the_same_and_reads_back_as_itself(
        (n, d, t, b) in { let t = trees(2); (t.num, t.date, t.text, t.truth) },
        rows in rich_rows(),
    ) {
        let scope = Scope::of_table(&rich(), 0);
        let printer = Printer { scope: &scope };
        let texts = [printer.num(&n), printer.num(&d), printer.text(&t), printer.bool(&b)];
        let sql = format!(
            "SELECT COUNT({}) AS n, COUNT({}) AS d, COUNT({}) AS t FROM patients WHERE {}",
            texts[0], texts[1], texts[2], texts[3],
        );
        let query = match rich_query(&sql) {
            Ok(query) => query,
            Err(refusal) => {
                let text = refusal.to_string();
                // A cast of NULL is NULL, and so is refused where it is compared.
                let large = ["nested", "operators", "too large", "characters", "with NULL"];
                prop_assert!(large.iter().any(|l| text.contains(l)), "{sql}: {text}");
                return Ok(());
            }
        };
        let canonical = query.canonical();
        prop_assert_eq!(&rich_query(&canonical).unwrap(), &query, "{} -> {}", sql, canonical);
        let words = query.in_words();
        prop_assert!(!words.contains(&['{', '}'][..]), "{}", words);
        let values: Vec<&Any> = query.definition().outputs.iter().map(|o| match &o.value {
            Released::Aggregate(Aggregate::Known(value)) => value,
            other => panic!("{other:?}"),
        }).collect();
        let filter = query.definition().filter.clone().unwrap();
        for row in &rows {
            prop_assert_eq!(reference::bool(&filter, row), reference::bool(&b, row), "{}", sql);
            for (read, written) in values.iter().zip([
                Any::Num(n.clone()),
                Any::Date(d.clone()),
                Any::Text(t.clone()),
            ]) {
                let same = reference::any(read, row) == reference::any(&written, row);
                // A category alone is its code.
                prop_assert!(same || matches!(read, Any::Category(_)), "{sql}");
            }
        }
    }

    #[test]
    fn nothing_in_a_row_makes_an_error(
        (n, d, t, b) in { let t = trees(3); (t.num, t.date, t.text, t.truth) },
        number in prop::sample::select(vec![
            f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 9.3e18, 1e308, -1e308, 5e-324,
        ]),
        text in prop::sample::select(vec!["", "(", "\u{0}", "9223372036854775808", "\u{1F600}"]),
    ) {
        let mut row = plain_row();
        for column in [0, 3, 4, 6, DAY, BORN] {
            row[column] = Field::Number(Some(number));
        }
        row[NOTE] = Field::Text(Some(text));
        for category in [1, 2, 7, DX] {
            row[category] = Field::Code(Some(-1));
        }
        let batch = batch(&[row]);
        let row = Row { batch: &batch };
        prop_assert!(row.num(&n).is_ok() && row.num(&d).is_ok());
        prop_assert!(row.text(&t).is_ok() && row.bool(&b).is_ok());
    }
}

#[test]
fn a_condition_on_one_category_becomes_its_labels() {
    let table = [
        ("dx LIKE 'E11%'", "dx IN ('E11.0', 'E11.9')"),
        ("dx NOT LIKE 'E11%'", "dx NOT IN ('E11.0', 'E11.9')"),
        ("LOWER(dx) = 'e10'", "dx = 'E10'"),
        (
            "SUBSTR(dx, 1, 1) IN ('E', 'I')",
            "dx IN ('E10', 'E11.0', 'E11.9', 'I10')",
        ),
        ("dx ~ '^E1[01]'", "dx IN ('E10', 'E11.0', 'E11.9')"),
        ("dx !~* '^e'", "dx NOT IN ('E10', 'E11.0', 'E11.9', 'e66')"),
        ("LENGTH(dx) = 5", "dx IN ('E11.0', 'E11.9')"),
        ("STARTS_WITH(dx, 'I')", "dx = 'I10'"),
        ("dx < 'E11'", "dx IN ('E10', '42', '2020-02-29')"),
        ("dx BETWEEN 'E' AND 'F'", "dx IN ('E10', 'E11.0', 'E11.9')"),
        // Wherever it stands.
        (
            "(LOWER(dx) = 'e10' OR (dx IS NULL OR LOWER(dx) = 'i10'))",
            "dx = 'E10' OR dx IS NULL OR dx = 'I10'",
        ),
        (
            "LOWER(dx) <> 'e10' AND (LOWER(dx) <> 'i10' AND dx IS NOT NULL)",
            "dx <> 'E10' AND dx <> 'I10' AND dx IS NOT NULL",
        ),
        // What is missing for a label cannot be a list.
        ("CAST(dx AS BIGINT) > 5", "CAST(dx AS BIGINT) > 5"),
        ("COALESCE(dx, 'E10') = 'E10'", "COALESCE(dx, 'E10') = 'E10'"),
        ("dx LIKE 'Z%'", "dx LIKE 'Z%'"),
    ];
    for (written, canonical) in table {
        let query = where_is(written).unwrap_or_else(|e| panic!("{written}: {e}"));
        let text = query.canonical();
        let (_, found) = text.split_once("WHERE ").unwrap();
        if written.contains("BETWEEN") {
            assert!(found.contains(" AND "), "{found}");
        } else {
            assert_eq!(found, canonical, "{written}");
        }
        assert_eq!(rich_query(&text).unwrap(), query);
    }
}

#[test]
fn what_is_written_in_many_ways_has_one_canonical_text() {
    let table = [
        ("day >= '2020-01-31'", "day >= DATE '2020-01-31'"),
        ("day + INTERVAL '2' WEEK > born", "day + 14 > born"),
        (
            "day - INTERVAL 1 YEAR > born",
            "ADD_MONTHS(day, -12) > born",
        ),
        ("YEAR(day) = 2020", "EXTRACT(YEAR FROM day) = 2020"),
        (
            "DATE_PART('isodow', day) IN (6, 7)",
            "EXTRACT(ISODOW FROM day) IN (6, 7)",
        ),
        (
            "day IN ('2020-01-31', DATE '2020-01-30')",
            "day IN (DATE '2020-01-30', DATE '2020-01-31')",
        ),
        (
            "date_diff('YEAR', born, day) >= 18",
            "DATEDIFF('year', born, day) >= 18",
        ),
        ("note || '-' || dx = 'a'", "CONCAT(note, '-', dx) = 'a'"),
        (
            "substring(note from 2 for 3) = 'a'",
            "SUBSTR(note, 2, 3) = 'a'",
        ),
        ("trim(leading ' ' from note) = 'a'", "LTRIM(note) = 'a'"),
        ("note !~ 'x'", "NOT (REGEXP_LIKE(note, 'x'))"),
        (
            "note NOT ILIKE 'a!%' ESCAPE '!'",
            "note NOT ILIKE 'a!%' ESCAPE '!'",
        ),
        (
            "mod(age, 3) = 1 AND age % 2 * 2 = 0",
            "age % 3 = 1 AND age % 2 * 2 = 0",
        ),
        (
            "age IS DISTINCT FROM 3 AND smoker",
            "age IS DISTINCT FROM 3 AND smoker",
        ),
        (
            "sex IS NOT DISTINCT FROM 'F' OR smoker IS NOT TRUE",
            "sex IS NOT DISTINCT FROM 'F' OR smoker IS NOT TRUE",
        ),
        (
            "try_cast(note as int) = 3",
            "CAST(CAST(note AS BIGINT) AS INTEGER) = 3",
        ),
        (
            "CAST(age AS DOUBLE) = 3 AND CAST(age AS BOOLEAN)",
            "age = 3 AND age <> 0",
        ),
        (
            "if(smoker, age, 2) > ceiling(bmi)",
            "CASE WHEN smoker THEN age ELSE 2 END > CEIL(bmi)",
        ),
        (
            "IFNULL(bmi, 20) > POW(2, 3)",
            "COALESCE(bmi, 20) > POWER(2, 3)",
        ),
        ("born - day > 3 - 1", "born - day > 3 - 1"),
        ("(day - born) / 365.25 > 3", "(day - born) / 365.25 > 3"),
    ];
    for (written, canonical) in table {
        let query = where_is(written).unwrap_or_else(|e| panic!("{written}: {e}"));
        let text = query.canonical();
        assert_eq!(text.split_once("WHERE ").unwrap().1, canonical, "{written}");
        assert_eq!(rich_query(&text).unwrap(), query);
    }
}

#[test]
fn what_has_no_rule_is_refused_with_its_place() {
    // The mark is where the refusal points.
    let table = [
        (
            "regexp_like(note, ~dx)",
            "text in quotes",
            "the pattern itself",
        ),
        ("note LIKE ~note", "text in quotes", "the pattern itself"),
        (
            "REGEXP_LIKE(note, ~'(')",
            "not a regular expression",
            "after \\",
        ),
        (
            "REGEXP_LIKE(note, ~'(a)\\1')",
            "not a regular expression",
            "",
        ),
        (
            "REGEXP_LIKE(note, ~'a{1000}{1000}')",
            "too large",
            "repetitions",
        ),
        ("REGEXP_LIKE(note, ~'\\p{Greek}')", "by property", ""),
        ("note LIKE ~'a!b' ESCAPE '!'", "escape character", ""),
        ("~now() > day", "'NOW'", "the same whenever it runs"),
        (
            "~current_date > day",
            "'CURRENT_DATE'",
            "write the day itself",
        ),
        ("~random() < 0.5", "'RANDOM'", "noise"),
        ("day = ~'2020-02-30'", "no day", "DATE '2020-01-31'"),
        ("~day + born > day", "like this", "subtract two days"),
        ("~day = 3", "different types", "days with days"),
        ("ROUND(bmi, ~age) = 1", "plain whole number", ""),
        (
            "DATE_TRUNC(~'hour', day) = day",
            "name of a period",
            "'quarter'",
        ),
        (
            "~CAST(age AS VARCHAR(3)) = '1'",
            "a cast",
            "without a length",
        ),
        (
            "dx IN CODELIST(~'x@0123456789abcdef')",
            "no code list",
            "add the file",
        ),
        ("WIDTH_BUCKET(age, 9, 3, 2) = 1", "lower end", ""),
        ("~ABS(age, 3) = 1", "takes 1 arguments", ""),
    ];
    for (marked, says, suggests) in table {
        let condition = marked.replacen('~', "", 1);
        let refusal = where_is(&condition).expect_err(&condition);
        let text = refusal.to_string();
        assert!(refusal.reason.contains(says), "{marked}: {text}");
        let suggestion = refusal.suggestion.clone().unwrap_or_default();
        assert!(suggestion.contains(suggests), "{marked}: {text}");
        if let Some(place) = marked.find('~') {
            let column = place + 1 + "SELECT COUNT(*) AS n FROM patients WHERE ".len();
            assert_eq!(refusal.column, Some(column as u32), "{marked}: {text}");
        }
    }
    for (output, says) in [("AVG(day)", "not a day"), ("SUM(note)", "not a text")] {
        let refusal = rich_query(&format!("SELECT {output} FROM patients")).unwrap_err();
        assert!(refusal.reason.contains(says), "{refusal}");
    }
    // 100 notes of 40 characters, five times, and six times.
    let notes = format!("CONCAT(note{})", ", note".repeat(99));
    where_is(&format!("CONCAT({}) = 'a'", [notes.as_str(); 5].join(", "))).unwrap();
    let refusal = where_is(&format!("CONCAT({}) = 'a'", [notes.as_str(); 6].join(", ")));
    assert!(refusal.unwrap_err().reason.contains("24000 characters"));
}

/// C01, C02, C03: no value of a row is an error, and what has no result does not match.
#[test]
fn divisions_casts_and_overflows_are_missing_for_each_row() {
    for condition in [
        "1 / (age - 3) > 0",
        "5 % (age - 3) = 0",
        "CAST(age * 43 AS TINYINT) = 129",
        "CAST(note AS BIGINT) = 1",
        "income * 1e308 - income * 1e308 = 0",
        "LN(age - 3) < 0",
        "SQRT(-age) = 0",
        "POWER(age - 3, -1) > 0",
    ] {
        let query = where_is(condition).unwrap();
        let filter = query.definition().filter.clone().unwrap();
        let batch = batch(&[plain_row()]);
        let truth = Row { batch: &batch }.bool(&filter).unwrap();
        assert!(truth.is_null(0), "{condition}");
    }
    assert_eq!(
        shown(
            &counted("ABS(-9223372036854775808)"),
            &batch(&[plain_row()])
        ),
        "9223372036854776000"
    );
}

/// C05: a pattern is a literal, compiled when the query is checked; matching is linear.
#[test]
fn patterns_that_blow_up_are_refused_or_linear() {
    let note: &'static str = Box::leak(format!("{}b", "a".repeat(9_000)).into_boxed_str());
    let mut row = plain_row();
    row[NOTE] = Field::Text(Some(note));
    let rows = vec![row; 50];
    let batch = batch(&rows);
    for pattern in [
        "(a+)+$",
        "(a|a)*c",
        "(a*)*c",
        "a{0,30}a{0,30}c",
        "((a?){20}){20}a{20}c",
    ] {
        match where_is(&format!("note ~ '{pattern}'")) {
            Ok(query) => {
                let filter = query.definition().filter.clone().unwrap();
                let found = Row { batch: &batch }.bool(&filter).unwrap();
                assert_eq!(found.true_count(), 0, "{pattern}");
            }
            Err(refusal) => assert!(refusal.reason.contains("too large"), "{refusal}"),
        }
    }
    let likes = format!("note LIKE '{}c'", "%a".repeat(20));
    let filter = where_is(&likes)
        .unwrap()
        .definition()
        .filter
        .clone()
        .unwrap();
    assert_eq!(Row { batch: &batch }.bool(&filter).unwrap().true_count(), 0);
}

fn lists() -> (CodeLists, String) {
    let toml = "name = \"diabetes\"\ntitle = \"Diabetes\"\ncodes = [\"E10\", \"E11.9\", \"E14\"]\n";
    let list = CodeList::from_toml(toml).unwrap();
    let reference = list.reference();
    (CodeLists::new([list]), reference)
}

#[test]
fn a_code_list_is_named_shown_and_asked_by_its_reference() {
    let (lists, reference) = lists();
    let whole = lists.iter().next().unwrap().digest().to_string();
    let parse = |condition: &str| {
        let sql = format!("SELECT COUNT(*) AS n FROM patients WHERE {condition}");
        ValidatedQuery::parse(&SqlText::new(&sql).unwrap(), &rich(), &lists)
    };
    for (name, written) in [
        ("dx", format!("dx IN CODELIST('{reference}')")),
        (
            "dx",
            format!("dx in codelist ( 'diabetes@{whole}' ) AND TRUE"),
        ),
        ("note", format!("note NOT IN CODELIST('{reference}')")),
        (
            "note",
            format!("(age = 1 OR (note) IN (CODELIST('{reference}')))"),
        ),
    ] {
        let query = parse(&written).unwrap_or_else(|e| panic!("{written}: {e}"));
        let canonical = query.canonical();
        let not = if written.contains("NOT") { "NOT " } else { "" };
        assert!(canonical.contains(&format!("{name} {not}IN CODELIST('{reference}')")));
        let again = SqlText::new(&canonical).unwrap();
        assert_eq!(
            ValidatedQuery::parse(&again, &rich(), &lists).unwrap(),
            query
        );
    }
    let query = parse(&format!("dx IN CODELIST('{reference}')")).unwrap();
    let says = format!(
        "dx is one of the 3 codes of the list 'Diabetes' ({reference}, 2 of them declared for dx)"
    );
    assert!(query.in_words().contains(&says), "{}", query.in_words());
    let filter = query.definition().filter.clone().unwrap();
    let rows: Vec<Vec<Field>> = [Some(0), Some(1), Some(2), None]
        .map(|code| {
            let mut row = plain_row();
            row[DX] = Field::Code(code);
            row
        })
        .into();
    let found = Row {
        batch: &batch(&rows),
    }
    .bool(&filter)
    .unwrap();
    let found: Vec<Option<bool>> = found.iter().collect();
    assert_eq!(found, [Some(true), Some(false), Some(true), None]);
    let refusal = parse("dx IN CODELIST('diabets@0123456789abcdef')").unwrap_err();
    assert!(
        refusal.suggestion.unwrap().contains(&reference),
        "{}",
        refusal.reason
    );
    let refusal = parse("age IN CODELIST('x')").unwrap_err();
    assert!(
        refusal.reason.contains("text is wanted"),
        "{}",
        refusal.reason
    );
}

#[test]
fn words_tell_functions_days_and_texts() {
    for (condition, words) in [
        ("day >= DATE '2020-01-31'", "day is not before 2020-01-31"),
        ("day + 30 < born", "day plus 30 days is before born"),
        (
            "DATEDIFF('year', born, day) >= 18",
            "the completed years from born to day is at least 18",
        ),
        ("EXTRACT(MONTH FROM day) = 2", "the month of day is 2"),
        (
            "note LIKE '%x'",
            "note has the form '%x' (% is any text, _ one character)",
        ),
        (
            "note ~* 'x'",
            "note matches the regular expression 'x', in any case",
        ),
        (
            "UPPER(note) IN ('A', 'B')",
            "note in upper case is 'A' or 'B'",
        ),
        (
            "COALESCE(bmi, age) > 3",
            "the first known of bmi and age is above 3",
        ),
        (
            "WIDTH_BUCKET(age, 0, 90, 9) = 3",
            "the class of age among 9 equal ones from 0 to 90 is 3",
        ),
    ] {
        let told = where_is(condition).unwrap().in_words();
        assert!(told.contains(words), "{told}");
    }
}

#[test]
fn the_table_is_consistent() {
    let mut names = std::collections::BTreeSet::new();
    for function in functions::all() {
        assert!(names.insert(function.name), "{} twice", function.name);
        assert!(
            function.also.iter().all(|n| names.insert(n)),
            "{:?}",
            function.also
        );
        let told = !function.words.is_empty() && !function.sentence.is_empty();
        assert!(told && !function.example.0.is_empty(), "{}", function.name);
        assert!(function.cost > 0 && function.optional < function.takes.len());
    }
}

#[test]
fn longer_texts_and_larger_patterns_cost_more() {
    let cost = |condition: &str| {
        let query = where_is(condition).unwrap();
        let scope = &query.definition().scope;
        crate::expr::cost_of_bool(query.definition().filter.as_ref().unwrap(), scope)
    };
    assert_eq!(
        cost("age + 1 > 2 AND sex = 'F'"),
        0,
        "words and signs are counted as before"
    );
    assert!(cost("note = 'a'") > 0);
    assert!(cost("CONCAT(note, note, note) = 'a'") > cost("note = 'a'") * 2);
    assert!(cost("note ~ 'a{200}b{200}'") > cost("note ~ 'ab'"));
    // Where the text decides how many places of a pattern are followed, all of them count.
    for (steady, followed) in [
        ("LIKE '%ab%c'", "LIKE '%a_%c'"),
        ("LIKE 'E1__%ab'", "LIKE 'E1%__'"),
        ("ILIKE 'a!%b__' ESCAPE '!'", "ILIKE 'a%b__' ESCAPE '!'"),
        ("~ 'ab|cd(e|f)'", "~ 'ab|cd(e|f)*'"),
        ("~ '^E1[0-4].x$'", "~ 'E1[0-4].x$'"),
        ("~ '^a.b'", "~ '^a.b|c'"),
        (r"~ '^a\.\d'", r"~ 'a\.\d'"),
        (r"~ 'a\+b'", r"~ 'a+b'"),
        ("~* 'abc'", "~* '(?:abc)'"),
        ("~ '^[abc]'", "~ '^[[:alpha:]]'"),
    ] {
        let [steady, followed] = [steady, followed].map(|p| cost(&format!("note {p}")));
        assert!(followed > 10 * steady, "{steady} {followed}");
    }
}

#[test]
fn every_function_of_texts_has_a_price_for_each_character() {
    for function in functions::all() {
        let texts = [functions::Takes::Text, functions::Takes::Same];
        let reads = function.takes.iter().any(|t| texts.contains(t));
        assert!(function.nanos > 0 || !reads, "{}", function.name);
    }
    let slot = |characters: usize, what: &str| {
        let notes = super::costs::notes(characters, "[10, 50]", 10);
        let sql = format!("SELECT COUNT(*) AS n FROM notes WHERE {what}");
        super::plan_with(&sql, &notes).unwrap().slot(1).unwrap()
    };
    let nested = |outer: &str, tail: &str| {
        (0..20).fold("note".to_owned(), |text, _| {
            format!("{outer}({text}{tail})")
        })
    };
    // 500 rows of 10,000 characters, 20 times: 100 million characters. What each takes at most was
    // measured: `tests/costs.rs`.
    for (nanos, what) in [
        (27, nested("UPPER", "")),
        (27, nested("LOWER", "")),
        (10, nested("SUBSTR", ", 1")),
        (10, nested("LEFT", ", 10000")),
        (3, nested("TRIM", "")),
        (3, nested("CONCAT", ", 'a'")),
        (3, nested("COALESCE", ", 'a'")),
        (3, nested("NULLIF", ", 'a'")),
    ] {
        let more = slot(10_000, &format!("{what} = 'q'")) - slot(10_000, "note = 'q'");
        assert!(more >= 2 * nanos * 100, "{more} ms: {what}");
    }
    // Not even a nanosecond is measured for counting a character, and of two texts no more is
    // compared than the shorter one has.
    let more = |what: &str| slot(10_000, what) - slot(10_000, "note = 'q'");
    assert!((10..=25).contains(&more("LENGTH(note) > 3")));
    assert!(more("STARTS_WITH(note, 'E11')") <= 1);
    assert!(more("STARTS_WITH(note, LTRIM(note))") >= more("LTRIM(note) = 'q'") + 2 * 5);
    // One text, written twice: 5 million characters each time.
    let chosen = "CASE WHEN x > 1 THEN note WHEN x > 2 THEN note END = 'q'";
    let more = slot(10_000, chosen) - slot(10_000, "note = 'q' AND x > 1 AND x > 2");
    assert!(more >= 2 * 2 * 3 * 5, "{more}");
    let compared = slot(10_000, "LTRIM(note) < TRIM(note)")
        - slot(10_000, "LTRIM(note) < 'a' OR TRIM(note) < 'a'");
    assert!(compared >= 20, "{compared}");
}

#[test]
fn the_slot_counts_every_stored_character_that_is_read() {
    let slot = |characters: usize, sql: &str| {
        let notes = super::costs::notes(characters, "[10, 50]", 10);
        super::plan_with(sql, &notes).unwrap().slot(1).unwrap()
    };
    // 500 rows, four bytes a character, 1.7 nanoseconds a byte.
    for sql in [
        "SELECT COUNT(*) AS n FROM notes WHERE note IS NOT NULL",
        "SELECT COUNT(note) AS n FROM notes",
        "SELECT COUNT(*) AS n FROM (SELECT id, note AS other FROM notes) AS t WHERE other = ''",
        "SELECT note, COUNT(*) AS n FROM notes GROUP BY note",
    ] {
        let more = slot(10_000, sql) - slot(8, sql);
        assert!(more >= 2 * 34, "{more}: {sql}");
    }
    let unread = "SELECT COUNT(*) AS n FROM notes WHERE x > 3";
    assert_eq!(slot(10_000, unread), slot(8, unread));
    // Before a key there may be nothing but blanks.
    let found = |characters: usize| {
        slot(
            characters,
            "SELECT note, COUNT(*) AS n FROM notes GROUP BY note",
        )
    };
    let read = |characters: usize| slot(characters, "SELECT COUNT(note) AS n FROM notes");
    let more = (found(10_000) - found(8)) - (read(10_000) - read(8));
    assert!(more >= 2 * 10, "{more}");
}

#[test]
fn the_slot_counts_every_level_of_a_tree_and_every_step_of_a_subquery() {
    let slot = |sql: &str| {
        let query = rich_query(sql).unwrap_or_else(|r| panic!("{sql}: {r}"));
        let options = crate::PlanOptions::default();
        let plan = query.plan(&rich(), &super::price(0.1), None, super::delta(), &options);
        plan.unwrap().slot(1).unwrap()
    };
    // 4,000 people with one row; 10 nanoseconds for each of at least 300 words and signs.
    let long = format!("LEAST(bmi{}, 60)", " + age - age".repeat(75));
    let once = slot(&format!("SELECT SUM({long}) AS s FROM patients"))
        - slot("SELECT SUM(LEAST(bmi, 60)) AS s FROM patients");
    let tree = slot(&format!("SELECT MEDIAN({long}) AS m FROM patients"))
        - slot("SELECT MEDIAN(LEAST(bmi, 60)) AS m FROM patients");
    assert!(once >= 12, "{once}");
    // Written once, evaluated four times: twice and five times, with what is written.
    assert!(tree >= once * 2, "{tree} {once}");
    let sub = |steps: &str| {
        slot(&format!(
            "SELECT COUNT(*) AS n FROM (SELECT subject_id, age FROM patients {steps}) AS t"
        ))
    };
    let plain = sub("");
    assert!(sub("WHERE note ~ '(a|b)*a(a|b){50}c'") >= plain + 400);
    let person = |aggregate: &str| {
        slot(&format!(
            "SELECT SUM(x) AS s FROM (SELECT subject_id, {aggregate} AS x FROM patients \
             GROUP BY subject_id) AS t"
        ))
    };
    let pattern = "MAX(CASE WHEN note ~ '(a|b)*a(a|b){50}c' THEN 1 ELSE 0 END)";
    assert!(person(pattern) >= person("MAX(age)") + 400);
}

#[test]
fn a_category_is_a_text_in_expressions() {
    let scope = Scope::of_table(&rich(), 0);
    assert_eq!(counted("dx"), Any::Category(DX));
    let text = Text::category(DX, &scope).unwrap();
    assert_eq!(counted("CAST(dx AS VARCHAR)"), Any::Text(text));
    let query = where_is("CASE WHEN smoker THEN dx ELSE 'none' END = 'none'").unwrap();
    let filter = query.definition().filter.clone().unwrap();
    assert!(matches!(filter, Bool::CompareTexts(_, _, _)));
}

#[test]
fn what_a_function_needs_is_known_where_it_has_a_value() {
    let known = |condition: &str| {
        let query = where_is(condition).unwrap();
        let known = known_from(query.definition().filter.as_ref());
        known.into_iter().collect::<Vec<usize>>()
    };
    // The second argument of NULLIF may be missing: then nothing equals it.
    assert_eq!(known("NULLIF(bmi, CAST(note AS DOUBLE)) > 3"), [3]);
    assert_eq!(known("COALESCE(bmi, CAST(note AS DOUBLE)) > 3"), []);
    assert_eq!(known("LENGTH(note) > 1 AND note NOT LIKE 'x'"), [NOTE]);
    assert_eq!(known("smoker IS TRUE"), [5]);
    assert_eq!(known("smoker IS NOT FALSE"), []);
    assert_eq!(known("note IS DISTINCT FROM dx"), []);
    assert_eq!(known("DATEDIFF('day', day, born) > 3"), [DAY, BORN]);
    let scope = Scope::of_table(&rich(), 0);
    let mask = |text: &str| mask(&counted(text), &known_from(None), &scope);
    assert_eq!(mask("COALESCE(bmi, age)"), Mask::Everything);
    assert_eq!(mask("age % 3"), Mask::Everything);
    assert_eq!(mask("EXTRACT(YEAR FROM born)"), Mask::Everything);
    assert_eq!(mask("FLOOR(bmi)"), Mask::Columns([3].into()));
    assert_eq!(mask("LENGTH(note)"), Mask::Columns([NOTE].into()));
    for partial in [
        "LN(bmi)",
        "3 % age",
        "NULLIF(age, 3)",
        "day + age",
        "CAST(note AS DATE)",
    ] {
        assert!(matches!(mask(partial), Mask::Expression(_)), "{partial}");
    }
}
