//! What the language accepts and what it refuses.

use super::{parse, parse_with, patients, plan};
use obscura_model::schema::Description;
use obscura_model::text::SqlText;

#[test]
fn what_is_accepted_has_one_canonical_text() {
    let table = [
        (
            "select count(*) from patients",
            "SELECT COUNT(*) AS count FROM patients",
        ),
        (
            "SELECT/**/COUNT(*) FROM PATIENTS;",
            "SELECT COUNT(*) AS count FROM patients",
        ),
        (
            "SELECT COUNT(bmi) FROM \"patients\"",
            "SELECT COUNT(bmi) AS count_bmi FROM patients",
        ),
        (
            "SELECT COUNT(DISTINCT Subject_Id) people FROM patients",
            "SELECT COUNT(DISTINCT subject_id) AS people FROM patients",
        ),
        (
            "SELECT AVG(LEAST(bmi, 40)), region FROM patients GROUP BY region",
            "SELECT region, AVG(LEAST(bmi, 40)) AS avg_bmi FROM patients GROUP BY region",
        ),
        (
            "SELECT SUM(age+bmi*2-(1-age)) AS s FROM patients \
             WHERE NOT (age>3 AND smoker) OR sex='F'",
            "SELECT SUM(age + bmi * 2 - (1 - age)) AS s FROM patients \
             WHERE NOT (age > 3 AND smoker) OR sex = 'F'",
        ),
        (
            "SELECT COUNT(*) FROM patients \
             WHERE 'F' <> sex AND region IN ('W','N') AND age BETWEEN 3 AND 4",
            "SELECT COUNT(*) AS count FROM patients \
             WHERE sex <> 'F' AND region IN ('N', 'W') AND age BETWEEN 3 AND 4",
        ),
        (
            "SELECT SUM(CASE sex WHEN 'F' THEN 1 WHEN 'M' THEN 2 END) AS s FROM patients",
            "SELECT SUM(CASE WHEN sex = 'F' THEN 1 WHEN sex = 'M' THEN 2 END) AS s FROM patients",
        ),
        (
            "SELECT COUNT(*) FROM patients \
             WHERE smoker = TRUE AND age NOT IN (3, 1, 3) AND bmi IS NOT NULL",
            "SELECT COUNT(*) AS count FROM patients \
             WHERE smoker AND age NOT IN (1, 3) AND bmi IS NOT NULL",
        ),
        (
            "SELECT year, COUNT(*) FROM patients \
             WHERE ward = 'it''s' AND year - -3 < -1e20 GROUP BY year",
            "SELECT year, COUNT(*) AS count FROM patients \
             WHERE ward = 'it''s' AND year - (-3) < -1e20 GROUP BY year",
        ),
        (
            "SELECT COUNT(*) FROM patients WHERE CASE WHEN age=42 THEN TRUE ELSE bmi > 3 END",
            "SELECT COUNT(*) AS count FROM patients \
             WHERE CASE WHEN age = 42 THEN TRUE ELSE bmi > 3 END",
        ),
        (
            "SELECT COUNT(*) FROM patients WHERE 1/(age-42) > 0 AND NULL IS NULL",
            "SELECT COUNT(*) AS count FROM patients \
             WHERE 1 / (age - 42) > 0 AND NULL IS NULL",
        ),
        (
            "SELECT SUM(NULL) AS s FROM patients",
            "SELECT SUM(NULL) AS s FROM patients",
        ),
    ];
    for (sql, canonical) in table {
        let query = parse(sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
        assert_eq!(query.canonical(), canonical);
        assert_eq!(parse(canonical).unwrap(), query, "{sql}");
        plan(sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
    }
}

/// Attack rows by id, and what has no rule in general. All are refused from the text alone.
const REFUSED: &[(&str, &str)] = &[
    // A04, A11, C03: no bounds follow.
    ("SELECT SUM(1/age) AS s FROM patients", "no bounds"),
    ("SELECT SUM(1e308 * income) AS s FROM patients", "no bounds"),
    ("SELECT AVG(income / (bmi - 20)) FROM patients", "no bounds"),
    ("SELECT SUM(1e999) FROM patients", "not a number in range"),
    // B01, B02
    ("SELECT * FROM patients", "rows themselves"),
    ("SELECT patients.* FROM patients", "rows themselves"),
    ("SELECT age FROM patients", "stands alone"),
    ("SELECT MAX(age) FROM patients", "'MAX'"),
    ("SELECT MIN(age) FROM patients", "'MIN'"),
    ("SELECT array_agg(age) FROM patients", "'ARRAY_AGG'"),
    ("SELECT string_agg(sex, ',') FROM patients", "one argument"),
    ("SELECT first_value(age) FROM patients", "'FIRST_VALUE'"),
    ("SELECT bit_xor(age) FROM patients", "'BIT_XOR'"),
    // B06
    (
        "SELECT COUNT(*) FROM patients GROUP BY bmi",
        "no declared list",
    ),
    (
        "SELECT COUNT(*) FROM patients GROUP BY subject_id",
        "can only be counted",
    ),
    ("SELECT COUNT(*) FROM patients GROUP BY note", "no column"),
    (
        "SELECT COUNT(*) FROM patients GROUP BY 1",
        "names of columns",
    ),
    ("SELECT COUNT(*) FROM patients GROUP BY age, age", "twice"),
    (
        "SELECT COUNT(*) FROM patients GROUP BY age, year, ward, sex",
        "cells",
    ),
    ("SELECT COUNT(*) FROM patients GROUP BY ALL", "query"),
    // B08
    (
        "SELECT COUNT(*) FROM patients GROUP BY ROLLUP(region, sex)",
        "names of columns",
    ),
    (
        "SELECT COUNT(*) FROM patients GROUP BY CUBE(region)",
        "names of columns",
    ),
    (
        "SELECT COUNT(*) FROM patients GROUP BY GROUPING SETS ((region), (sex))",
        "",
    ),
    // B10, B11
    (
        "SELECT region, COUNT(*) FROM patients GROUP BY region ORDER BY COUNT(*)",
        "ORDER BY",
    ),
    ("SELECT COUNT(*) FROM patients LIMIT 1", "LIMIT"),
    ("SELECT COUNT(*) FROM patients OFFSET 1999", "LIMIT"),
    (
        "SELECT COUNT(*) FROM patients FETCH FIRST 1 ROWS ONLY",
        "FETCH",
    ),
    (
        "SELECT COUNT(*) FROM (SELECT * FROM patients LIMIT 1)",
        "one dataset",
    ),
    ("SELECT TOP 1 COUNT(*) FROM patients", ""),
    // B14, B15, F04
    (
        "SELECT COUNT(*) FROM patients a JOIN patients b ON a.age=b.age",
        "a join",
    ),
    (
        "SELECT COUNT(*) FROM patients a, patients b, patients c",
        "exactly one dataset",
    ),
    (
        "SELECT COUNT(*) FROM patients CROSS JOIN patients",
        "a join",
    ),
    ("SELECT COUNT(*) FROM patients AS p", "another name"),
    // B18, B19, B20
    (
        "SELECT COUNT(*) FROM patients WHERE age > (SELECT AVG(age) FROM patients)",
        "a query in a query",
    ),
    ("SELECT COUNT(*) + 1 FROM patients", "COUNT, SUM or AVG"),
    (
        "SELECT COUNT(*) FROM patients WHERE EXISTS (SELECT 1)",
        "a query in a query",
    ),
    (
        "SELECT COUNT(*) FROM patients WHERE age IN (SELECT 1)",
        "a query in a query",
    ),
    (
        "SELECT SUM(CASE WHEN subject_id='S0042' THEN 1 ELSE 0 END) FROM patients",
        "can only be counted",
    ),
    (
        "SELECT COUNT(subject_id) FROM patients",
        "can only be counted",
    ),
    (
        "SELECT COUNT(*) FROM patients WHERE subject_id IS NULL",
        "can only be counted",
    ),
    // B24
    (
        "SELECT COUNT(*) FROM patients WHERE random() < 0.5",
        "'RANDOM'",
    ),
    ("SELECT COUNT(*) FROM patients WHERE now() > 3", "'NOW'"),
    ("SELECT COUNT(*) FROM patients WHERE current_date = 3", ""),
    // B25, B26
    ("SELECT COUNT(*) FROM '/etc/passwd'", ""),
    (
        "SELECT COUNT(*) FROM generate_series(1, 10)",
        "a table function",
    ),
    (
        "SELECT COUNT(*) FROM information_schema.tables",
        "no dataset",
    ),
    ("SELECT COUNT(*) FROM other", "FROM patients"),
    ("COPY patients TO 'x.csv'", "one SELECT"),
    ("INSERT INTO patients VALUES (1)", "one SELECT"),
    (
        "EXPLAIN ANALYZE SELECT COUNT(*) FROM patients",
        "one SELECT",
    ),
    ("SET x = 1", "one SELECT"),
    ("WITH p AS (SELECT 1) SELECT COUNT(*) FROM p", "one SELECT"),
    ("SELECT COUNT(*) INTO x FROM patients", "INTO"),
    // B28
    (
        "SELECT COUNT(*) FROM patients; SELECT COUNT(*) FROM patients",
        "exactly one",
    ),
    ("ＳＥＬＥＣＴ COUNT(*) FROM patients", ""),
    ("SELECT COUNT(*) FROM \"PATIENTS\"", "no dataset"),
    ("SELECT COUNT(\"Age\") FROM patients", "no column"),
    ("SELECT COUNT(`age`) FROM patients", "quoted with"),
    // B30, B37
    (
        "SELECT COUNT(*) FROM (SELECT 'x' AS subject_id FROM patients)",
        "one dataset",
    ),
    (
        "SELECT COUNT(DISTINCT age) FROM patients",
        "data subjects only",
    ),
    (
        "SELECT COUNT(DISTINCT COALESCE(subject_id, 'x')) FROM patients",
        "data subjects only",
    ),
    ("SELECT round(COUNT(*), -6) FROM patients", "one argument"),
    ("SELECT COUNT(*) > 0 FROM patients", "COUNT, SUM or AVG"),
    (
        "SELECT CASE WHEN COUNT(*) = 0 THEN 1 END FROM patients",
        "COUNT, SUM or AVG",
    ),
    ("SELECT SUM(COUNT(*)) FROM patients", "inside an expression"),
    // C02, C05
    (
        "SELECT SUM(CAST(age AS DECIMAL(3, 1))) FROM patients",
        "a cast",
    ),
    (
        "SELECT SUM(arrow_cast(age, 'Int8')) FROM patients",
        "'ARROW_CAST'",
    ),
    (
        "SELECT COUNT(*) FROM patients WHERE to_timestamp(ward) > 3",
        "'TO_TIMESTAMP'",
    ),
    (
        "SELECT COUNT(*) FROM patients WHERE regexp_like('a', sex)",
        "a text in quotes",
    ),
    (
        "SELECT COUNT(*) FROM patients WHERE age::text = '1'",
        "'::'",
    ),
    // The rest of SELECT and of functions.
    ("SELECT DISTINCT COUNT(*) FROM patients", "DISTINCT"),
    ("SELECT ALL COUNT(*) FROM patients", ""),
    (
        "SELECT COUNT(*) FROM patients HAVING COUNT(*) > 1",
        "HAVING",
    ),
    (
        "SELECT COUNT(*) FILTER (WHERE age > 1) FROM patients",
        "query",
    ),
    ("SELECT COUNT(*) OVER () FROM patients", "OVER"),
    ("SELECT SUM(DISTINCT age) FROM patients", "DISTINCT"),
    ("SELECT COUNT(ALL age) FROM patients", "ALL"),
    ("SELECT COUNT(age ORDER BY age) FROM patients", ""),
    (
        "SELECT COUNT(*) FROM patients UNION ALL SELECT COUNT(*) FROM patients",
        "one SELECT",
    ),
    (
        "SELECT COUNT(*) FROM patients WINDOW w AS (ORDER BY age)",
        "",
    ),
    ("SELECT COUNT(*) FROM patients TABLESAMPLE (10)", ""),
    ("SELECT COUNT(*) FROM patients FOR UPDATE", "a lock"),
    ("SELECT COUNT(*), COUNT(*) FROM patients", "two outputs"),
    (
        "SELECT region, COUNT(*) AS region FROM patients GROUP BY region",
        "two outputs",
    ),
    ("SELECT COUNT(*) AS \"a b\" FROM patients", "cannot name"),
    ("SELECT region FROM patients GROUP BY region", "asks for no"),
    // Types.
    ("SELECT SUM(sex) FROM patients", "takes a number"),
    ("SELECT SUM(age > 3) FROM patients", "CASE WHEN"),
    (
        "SELECT COUNT(*) FROM patients WHERE age",
        "a condition is wanted",
    ),
    (
        "SELECT COUNT(*) FROM patients WHERE sex = 'Q'",
        "not on the list",
    ),
    (
        "SELECT COUNT(*) FROM patients WHERE age = 'F'",
        "only a category",
    ),
    (
        "SELECT COUNT(*) FROM patients WHERE age IN (1, age)",
        "plain numbers",
    ),
    (
        "SELECT COUNT(*) FROM patients WHERE 'F'",
        "a condition is wanted",
    ),
    (
        "SELECT SUM(CASE WHEN smoker THEN 1 ELSE TRUE END) AS s FROM patients",
        "one type",
    ),
    ("SELECT SUM(LEAST()) AS s FROM patients", "needs numbers"),
    (
        "SELECT COUNT(*) FROM patients WHERE patients.age = 1",
        "a dot",
    ),
    ("SELECT COUNT(*) FROM patients WHERE age = $1", ""),
    ("SELECT COUNT(*) FROM patients WHERE age = x'41'", ""),
    (
        "SELECT COUNT(*) FROM patients WHERE (age, bmi) = (1, 2)",
        "a list of values",
    ),
    ("SELECT COUNT(*) FROM patients WHERE 'open", "not closed"),
    ("SELECT COUNT(*) FROM", "does not read"),
    ("SELECT", ""),
];

#[test]
fn whatever_has_no_rule_is_refused_with_a_reason() {
    for (sql, says) in REFUSED {
        match plan(sql) {
            Ok(plan) => panic!("{sql} was accepted as {}", plan.canonical()),
            Err(refusal) => {
                let text = refusal.to_string();
                assert!(text.contains(says), "{sql}: {text}");
                assert!(!text.contains('\n') && text.len() < 400, "{sql}: {text}");
            }
        }
    }
}

#[test]
fn a_refusal_names_the_place_and_what_to_write() {
    let refusal = parse("SELECT COUNT(*)\nFROM patients\nWHERE agge > 3").unwrap_err();
    assert_eq!((refusal.line, refusal.column), (Some(3), Some(7)));
    assert_eq!(
        refusal.to_string(),
        "line 3, column 7: patients has no column 'agge'; did you mean 'age'?"
    );
    let refusal = parse("SELECT COUNT(*) FROM patients WHERE ward = 'plan'").unwrap_err();
    assert_eq!(refusal.suggestion.as_deref(), Some("did you mean 'plain'?"));
}

#[test]
fn marks_that_make_text_read_differently_never_reach_the_parser() {
    for bad in [
        "SELECT \0",
        "SELECT \u{202e}1",
        "\u{feff}SELECT 1",
        "SELECT\u{200b}",
    ] {
        assert!(SqlText::new(bad).is_err());
    }
}

#[test]
fn a_subject_column_with_capitals_is_quoted_in_the_canonical_text() {
    let text = super::PATIENTS.replace("\"subject_id\"", "\"Patient ID\"");
    let description = Description::from_toml(&text).unwrap();
    let query = parse_with(
        "SELECT COUNT(DISTINCT \"Patient ID\") FROM patients",
        &description,
    )
    .unwrap();
    let canonical = query.canonical();
    assert_eq!(
        canonical,
        "SELECT COUNT(DISTINCT \"Patient ID\") AS subjects FROM patients"
    );
    assert_eq!(parse_with(&canonical, &description).unwrap(), query);
}

#[test]
fn a_plan_is_for_the_description_that_the_query_was_checked_with() {
    let query = parse("SELECT COUNT(*) FROM patients").unwrap();
    let other = Description::from_toml(&super::PATIENTS.replace("120", "121")).unwrap();
    assert!(
        query
            .plan(&other, &super::price(0.1), None, super::delta())
            .is_err()
    );
    assert!(
        query
            .plan(&patients(), &super::price(0.1), None, super::delta())
            .is_ok()
    );
}

#[test]
fn the_words_tell_what_is_asked_of_whom() {
    let query = parse(
        "SELECT region, AVG(LEAST(bmi, 40)) AS bmi_avg, COUNT(DISTINCT subject_id) AS people \
         FROM patients WHERE age >= 18 AND sex IN ('F', 'M') GROUP BY region",
    )
    .unwrap();
    assert_eq!(
        query.in_words(),
        "From 'Patients of one year': the average of bmi (cut to at most 40) and the number of \
         data subjects (each a patient), for each region (4 groups). Only rows where age is at \
         least 18 and sex is 'F' or 'M'. At most 1 matching row of each patient count."
    );
    assert_eq!(
        query.output_sentences(),
        [
            "bmi_avg: the average of bmi (cut to at most 40), each value from 10 to 40.",
            "people: how many data subjects (each a patient) have at least one matching row.",
        ]
    );
}
