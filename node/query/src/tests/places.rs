//! A refusal points at what it is about, and says what to write instead.

use super::plan;

/// Queries with a mark before the place that is pointed at, what is said, and what is suggested.
const TABLE: &[(&str, &str, &str)] = &[
    (
        "SELECT ~* FROM patients",
        "rows themselves",
        "such as COUNT(*)",
    ),
    (
        "SELECT patients.~* FROM patients",
        "rows themselves",
        "COUNT(*)",
    ),
    (
        "SELECT ~MIN(age) FROM patients",
        "'MIN'",
        "ask for a count or an average",
    ),
    (
        "SELECT ~string_agg(sex, ',') FROM patients",
        "'STRING_AGG'",
        "an output is an aggregate",
    ),
    ("SELECT ~DISTINCT sex FROM patients", "DISTINCT", "group by"),
    (
        "SELECT COUNT(*) FROM patients ~LIMIT 1",
        "LIMIT needs groups",
        "leave it out",
    ),
    (
        "SELECT COUNT(*) FROM patients ~OFFSET 9",
        "OFFSET needs groups",
        "leave it out",
    ),
    (
        "SELECT COUNT(*) FROM patients ~HAVING COUNT(*) > 1",
        "HAVING needs groups",
        "leave it out",
    ),
    (
        "SELECT COUNT(*) FROM patients ~ORDER BY COUNT(*)",
        "ORDER BY needs groups",
        "leave it out",
    ),
    (
        "SELECT sex, COUNT(*) FROM patients GROUP BY sex ORDER BY ~AVG(age)",
        "use what is released",
        "add it to the outputs",
    ),
    (
        "SELECT sex, COUNT(*) AS n FROM patients GROUP BY sex HAVING sex = ~'Q'",
        "no group is called 'Q'",
        "",
    ),
    (
        "SELECT ~COUNT(*) > 3 FROM patients",
        "not a condition",
        "CASE WHEN",
    ),
    (
        "SELECT ~5 AS five, COUNT(*) FROM patients",
        "tells nothing",
        "",
    ),
    (
        "SELECT COUNT(*) + ~age FROM patients",
        "stands alone",
        "COUNT(age)",
    ),
    (
        "SELECT quantile(age, ~1) FROM patients",
        "above 0 and below 1",
        "0.5",
    ),
    (
        "SELECT COUNT(*) FROM patients a JOIN patients b ON ~a.age = b.age",
        "on the subject column only",
        "ON a.subject_id = b.subject_id",
    ),
    (
        "SELECT COUNT(*) FROM patients, ~visits",
        "on the subject column only",
        "JOIN b USING (subject_id)",
    ),
    (
        "SELECT COUNT(*) FROM (SELECT * FROM patients ~LIMIT 1)",
        "LIMIT in a subquery",
        "MIN and MAX",
    ),
    (
        "SELECT COUNT(*) FROM patients ~UNION SELECT COUNT(*) FROM patients",
        "one SELECT",
        "a release of its own",
    ),
    (
        "SELECT COUNT(*) FROM patients WHERE age > (~SELECT AVG(age) FROM patients)",
        "a query in a query",
        "write its number here",
    ),
    (
        "SELECT COUNT(*) FROM patients WHERE EXISTS (~SELECT 1)",
        "a query in a query",
        "write its number here",
    ),
    (
        "SELECT COUNT(*) FROM patients WHERE age IN (~SELECT 1)",
        "a query in a query",
        "write its number here",
    ),
    (
        "SELECT COUNT(*) FROM patients WHERE sex ~SIMILAR TO 'F%'",
        "pattern",
        "REGEXP_LIKE",
    ),
    (
        "SELECT SUM(~CAST(age AS DECIMAL)) AS s FROM patients",
        "a cast",
        "BIGINT",
    ),
    (
        "SELECT SUM(~square(age)) AS s FROM patients",
        "'SQUARE'",
        "POWER(x, 2)",
    ),
    ("SELECT SUM(~(age FROM patients", "never closed", ""),
    (
        "SELECT SUM~(LEAST(age, 3) AS s FROM patients",
        "never closed",
        "",
    ),
    (
        "SELECT SUM(~CASE WHEN smoker THEN 1) AS s FROM patients",
        "no END",
        "",
    ),
    ("SELECT COUNT(*)~) FROM patients", "closes nothing", ""),
    (
        "SELECT COUNT(*) FROM~",
        "ends where something is missing",
        "",
    ),
    (
        "SELECT SUM(age *~) FROM patients",
        "')' cannot stand here",
        "missing before it",
    ),
    (
        "SELECT COUNT(*) FROM patients WHERE ward = ~PLAIN",
        "single quotes",
        "write 'plain'",
    ),
    (
        "SELECT COUNT(*) FROM patients WHERE ~plan = ward",
        "single quotes",
        "did you mean 'plain'?",
    ),
    (
        "SELECT COUNT(*) FROM patients WHERE ward IN ('plain', ~\"it's\")",
        "quotes",
        "write 'it''s'",
    ),
    (
        "SELECT COUNT(*) FROM patients WHERE ~sex = 3",
        "texts from its list",
        "in single quotes",
    ),
];

#[test]
fn a_refusal_points_at_what_it_is_about_and_says_what_to_write() {
    for (marked, says, suggests) in TABLE {
        let column = marked.find('~').unwrap() + 1;
        let sql = marked.replace('~', "");
        let refusal = plan(&sql).expect_err(&sql);
        let text = refusal.to_string();
        assert_eq!(
            (refusal.line, refusal.column),
            (Some(1), Some(column as u32)),
            "{sql}: {text}"
        );
        assert!(refusal.reason.contains(says), "{sql}: {text}");
        let suggestion = refusal.suggestion.unwrap_or_default();
        assert!(suggestion.contains(suggests), "{sql}: {text}");
        assert!(
            !text.contains("Expected") && text.len() < 300,
            "{sql}: {text}"
        );
    }
}

#[test]
fn what_stands_in_parentheses_is_not_taken_for_a_clause() {
    let sql = "SELECT COUNT(DISTINCT subject_id) FROM patients\nLIMIT 3";
    let refusal = plan(sql).unwrap_err();
    assert_eq!((refusal.line, refusal.column), (Some(2), Some(1)));
    let sql = "SELECT COUNT(*) FROM patients\nWHERE age IN (SELECT 1 LIMIT 2)\nLIMIT 3";
    let refusal = plan(sql).unwrap_err();
    assert_eq!((refusal.line, refusal.column), (Some(3), Some(1)));
}
