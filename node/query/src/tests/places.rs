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
        "SELECT ~stddev(age) FROM patients",
        "'STDDEV'",
        "AVG(x * x)",
    ),
    ("SELECT ~DISTINCT sex FROM patients", "DISTINCT", "group by"),
    (
        "SELECT COUNT(*) FROM patients ~LIMIT 1",
        "LIMIT",
        "every group is answered, in declared order",
    ),
    (
        "SELECT COUNT(*) FROM patients ~OFFSET 9",
        "LIMIT",
        "every group is answered",
    ),
    (
        "SELECT COUNT(*) FROM patients ~HAVING COUNT(*) > 1",
        "HAVING",
        "every group is answered",
    ),
    (
        "SELECT sex, COUNT(*) FROM patients GROUP BY sex ~ORDER BY sex",
        "ORDER BY",
        "sort them after the release",
    ),
    (
        "SELECT COUNT(*) FROM patients a ~JOIN patients b ON a.age = b.age",
        "a join",
        "a release of its own",
    ),
    (
        "SELECT COUNT(*) FROM patients, ~visits",
        "exactly one dataset",
        "FROM patients",
    ),
    (
        "SELECT COUNT(*) FROM (~SELECT * FROM patients LIMIT 1)",
        "one dataset",
        "FROM patients",
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
