//! Every row of the page's table of refusals comes true: at its place, with its advice.

use super::{parse_with, plan};
use crate::lower;

/// For each row of the table, by its first name: queries with a mark before the place. `NAME` is
/// each name of the row in turn.
const ROWS: &[(&str, &[&str])] = &[
    (
        "FETCH",
        &["SELECT COUNT(*) FROM patients ~FETCH FIRST 1 ROWS ONLY"],
    ),
    ("SELECT DISTINCT", &["SELECT ~DISTINCT sex FROM patients"]),
    (
        "a query in a query",
        &["SELECT COUNT(*) FROM patients WHERE age IN (~SELECT 1)"],
    ),
    (
        "ORDER BY in a subquery",
        &[
            "SELECT COUNT(*) FROM (SELECT * FROM patients ~ORDER BY age) AS p",
            "SELECT COUNT(*) FROM (SELECT * FROM patients ~LIMIT 1) AS p",
        ],
    ),
    (
        "SELECT DISTINCT in a subquery",
        &["SELECT COUNT(*) FROM (SELECT ~DISTINCT * FROM patients) AS p"],
    ),
    (
        "a cast",
        &["SELECT SUM(~CAST(age AS DECIMAL)) FROM patients"],
    ),
    (
        "matching texts by a pattern",
        &["SELECT COUNT(*) FROM patients WHERE sex ~SIMILAR TO 'F%'"],
    ),
    (
        "a time",
        &["SELECT COUNT(*) FROM patients WHERE age > TIME ~'10:00'"],
    ),
    (
        "an interval here",
        &["SELECT COUNT(*) FROM patients WHERE age > INTERVAL ~'3' MONTH"],
    ),
    (
        "OVER",
        &[
            "SELECT ~COUNT(*) OVER () FROM patients",
            "SELECT COUNT(*) FROM patients ~WINDOW w AS (ORDER BY age)",
        ],
    ),
    (
        "FILTER",
        &[
            "SELECT SUM(age) ~FILTER (WHERE smoker) AS s FROM patients",
            "SELECT COUNT(*) ~filter (WHERE smoker) FROM patients",
        ],
    ),
    (
        "DISTINCT in SUM or AVG",
        &["SELECT ~SUM(DISTINCT age) FROM patients"],
    ),
    ("INTO", &["SELECT COUNT(*) ~INTO x FROM patients"]),
    (
        "ISNULL",
        &[
            "SELECT COUNT(*) FROM patients WHERE bmi ~ISNULL",
            "SELECT COUNT(*) FROM patients WHERE ~ISNULL(bmi, 0) > 3",
        ],
    ),
    (
        "NOTNULL",
        &["SELECT COUNT(*) FROM patients WHERE bmi ~NOTNULL AND age > 3"],
    ),
    (
        "CHARINDEX",
        &[
            "SELECT COUNT(*) FROM patients WHERE ~POSITION('f' IN sex) > 1",
            "SELECT COUNT(*) FROM patients WHERE ~NAME(sex, 'f') > 1",
        ],
    ),
    (
        "CONVERT",
        &[
            "SELECT COUNT(*) FROM patients WHERE ~CONVERT(age, CHAR) = '3'",
            "SELECT COUNT(*) FROM patients WHERE ~NAME(age, age) > 1",
        ],
    ),
    (
        "NOW",
        &[
            "SELECT ~NOW() AS n FROM patients",
            "SELECT ~CURRENT_DATE AS n FROM patients",
            "SELECT COUNT(*) FROM patients WHERE ~CURRENT_DATE > 3",
            "SELECT ~NAME() AS n FROM patients",
        ],
    ),
];

#[test]
fn every_row_of_the_table_of_refusals_comes_true() {
    let mut wrong = Vec::new();
    for (names, instead) in lower::refused() {
        let first = names.split(", ").next().unwrap();
        let row = ROWS.iter().find(|(name, _)| *name == first);
        let queries: Vec<&str> = match row {
            Some((_, queries)) => queries.to_vec(),
            // Functions, called by each name.
            None => vec!["SELECT COUNT(*) FROM patients WHERE ~NAME(age) > 3"],
        };
        for query in queries {
            for name in names.split(", ") {
                wrong.extend(otherwise(&query.replace("NAME", name), instead));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn refused(marked: &str, instead: &str) {
    assert_eq!(otherwise(marked, instead), None);
}

/// How a query is answered if it is not refused at its mark with this advice.
fn otherwise(marked: &str, instead: &str) -> Option<String> {
    let column = marked.find('~').unwrap() + 1;
    let sql = marked.replace('~', "");
    let refusal = match plan(&sql) {
        Ok(_) => return Some(format!("{sql} is accepted")),
        Err(refusal) => refusal,
    };
    let found = (refusal.line, refusal.column, refusal.suggestion.as_deref());
    let wanted = (Some(1), Some(column as u32), Some(instead));
    (found != wanted).then(|| format!("{marked}: {refusal}"))
}

#[test]
fn what_is_nearly_a_name_or_a_sign_of_the_language_is_told() {
    let table = [
        ("SELECT COUTN(*) FROM patients", "did you mean 'COUNT'?"),
        ("SELECT AVERAGE(age) FROM patients", "write AVG(x)"),
        (
            "SELECT COUNT(*) FROM patients WHERE FLOR(age) = 3",
            "did you mean 'FLOOR'?",
        ),
        ("SELECT COUNT(*) FROM patients WHERE age == 3", "write ="),
        (
            "SELECT COUNT(*) FROM patients WHERE age::text = '3'",
            "write CAST(x AS",
        ),
        ("SELECT p.age FROM patients AS p", "COUNT(age)"),
    ];
    for (sql, says) in table {
        let refusal = plan(sql).expect_err(sql);
        assert!(refusal.column.is_some(), "{sql}: {refusal}");
        let suggestion = refusal.suggestion.clone().unwrap_or_default();
        assert!(suggestion.contains(says), "{sql}: {refusal}");
    }
}

#[test]
fn a_comparison_with_null_is_refused_at_the_null() {
    let table = [
        ("bmi = ~NULL", "write IS NULL"),
        ("bmi <> ~NULL", "write IS NOT NULL"),
        ("bmi < (~NULL)", "write IS NULL"),
        ("~NULL = sex", "write IS NULL"),
        ("sex <> ~NULL", "write IS NOT NULL"),
        ("smoker = ~NULL", "write IS NULL"),
        ("bmi = +~NULL", "write IS NULL"),
        ("bmi BETWEEN ~NULL AND 3", "write IS NULL"),
        ("age IN (1, ~NULL)", "write IS NULL"),
        ("sex NOT IN ('F', ~NULL)", "write IS NOT NULL"),
        ("CASE bmi WHEN ~NULL THEN TRUE END", "write IS NULL"),
        ("CASE ~NULL WHEN 1 THEN TRUE END", "write IS NULL"),
        ("~NULL BETWEEN 1 AND 3", "write IS NULL"),
        ("~NULL IN (1, 2)", "write IS NULL"),
        ("~NULL NOT IN ('F', 'M')", "write IS NOT NULL"),
        ("(~NULL) IN (DATE '2020-01-01')", "write IS NULL"),
        ("~NULL LIKE 'F%'", "write IS NULL"),
        ("~NULL NOT LIKE 'F%'", "write IS NOT NULL"),
        ("REGEXP_LIKE(~NULL, 'F')", "write IS NULL"),
    ];
    for (condition, says) in table {
        refused(
            &format!("SELECT COUNT(*) FROM patients WHERE {condition}"),
            says,
        );
    }
    let groups = "SELECT sex, COUNT(*) AS n FROM patients GROUP BY sex HAVING";
    refused(&format!("{groups} n > ~NULL"), "write IS NULL");
    refused(
        &format!("{groups} n NOT BETWEEN 1 AND ~NULL"),
        "write IS NOT NULL",
    );
    refused(&format!("{groups} n IN (1, ~NULL)"), "write IS NULL");
    refused(&format!("{groups} ~NULL IN (1, 2)"), "write IS NULL");
    for fine in [
        "bmi IS NULL",
        "bmi IS DISTINCT FROM NULL",
        "NULLIF(age, NULL) > 3",
    ] {
        let sql = format!("SELECT COUNT(*) FROM patients WHERE {fine}");
        assert!(plan(&sql).is_ok(), "{fine}");
    }
}

#[test]
fn an_aggregate_in_a_subquery_without_groups_is_told_to_group() {
    let of = |select: &str| format!("SELECT COUNT(*) FROM (SELECT subject_id, {select}) AS p");
    let group = "add GROUP BY subject_id";
    refused(&of("~MIN(age) AS a FROM patients"), group);
    refused(&of("1 + ~COUNT(*) AS a FROM patients"), group);
    refused(&of("~BOOL_OR(smoker) AS a FROM patients"), group);
    let list = "use COUNT, SUM, AVG, MIN, MAX, BOOL_OR or BOOL_AND there";
    refused(
        &of("~MEDIAN(age) AS a FROM patients GROUP BY subject_id"),
        list,
    );
    refused(&of("~MEDIAN(age) AS a FROM patients"), list);
    refused(
        "SELECT COUNT(*) FROM patients WHERE ~MIN(age) > 3",
        "release it as an output and compute with the released number",
    );
    let fine = of("MIN(age) AS a FROM patients GROUP BY subject_id");
    assert!(parse_with(&fine, &super::patients()).is_ok());
}
