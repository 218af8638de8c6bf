//! Joins, per-subject columns and WITH: what is accepted, what it says, and what is refused.

use obscura_model::schema::Description;

use super::{parse_with, plan_with};

pub(super) const CLINIC: &str = r#"
name = "clinic"
title = "A clinic"
subject = "person"
subject_unit = "patient"
subjects = [10, 1000]
delta = 1e-6

[[table]]
name = "people"
source = "people.csv"
most_rows_per_subject = 1

[[table.column]]
name = "age"
type = "integer"
lowest = 0
highest = 120
unit = "years"
meaning = "age"
bounds_from = "form"

[[table.column]]
name = "region"
type = "category"
values = ["N", "S", "W"]
meaning = "region"
bounds_from = "form"

[[table.column]]
name = "entry"
type = "integer"
lowest = 0
highest = 3650
unit = "days"
meaning = "day of entry"
bounds_from = "form"
may_be_missing = true

[[table]]
name = "visits"
source = "visits.csv"
most_rows_per_subject = 3

[[table.column]]
name = "day"
type = "integer"
lowest = 0
highest = 3650
unit = "days"
meaning = "day of visit"
bounds_from = "form"

[[table.column]]
name = "cost"
type = "number"
lowest = 0
highest = 400
unit = "EUR"
meaning = "cost"
bounds_from = "price list"
may_be_missing = true

[[table.column]]
name = "code"
type = "category"
values = ["I21", "I50", "E11"]
other = "other"
meaning = "diagnosis"
bounds_from = "list"

[[table.column]]
name = "urgent"
type = "boolean"
meaning = "urgent"
bounds_from = "form"
may_be_missing = true

[[table]]
name = "drugs"
source = "drugs.csv"
subject = "patient"
most_rows_per_subject = 2

[[table.column]]
name = "day"
type = "integer"
lowest = 0
highest = 3650
unit = "days"
meaning = "day of dispensing"
bounds_from = "form"

[[table.column]]
name = "dose"
type = "number"
lowest = 0
highest = 50
unit = "mg"
meaning = "dose"
bounds_from = "label"
"#;

pub(super) fn clinic() -> Description {
    Description::from_toml(CLINIC).unwrap()
}

fn canonical(sql: &str) -> String {
    let query = parse_with(sql, &clinic()).unwrap_or_else(|r| panic!("{sql}: {r}"));
    let canonical = query.canonical();
    let again = parse_with(&canonical, &clinic()).unwrap_or_else(|r| panic!("{canonical}: {r}"));
    assert_eq!(again, query, "{canonical}");
    assert_eq!(again.canonical(), canonical);
    canonical
}

#[test]
fn relations_have_one_canonical_text() {
    for (sql, wanted) in [
        (
            "SELECT SUM(v.cost) FROM people p INNER JOIN visits v ON v.person = p.person",
            "SELECT SUM(cost) AS sum_cost FROM people AS p JOIN visits AS v USING (person)",
        ),
        (
            "SELECT p.region, COUNT(*) FROM people AS p LEFT OUTER JOIN drugs d \
             ON (p.person = d.patient AND d.day > p.entry) WHERE d.dose IS NULL GROUP BY p.region",
            "SELECT region, COUNT(*) AS count FROM people AS p LEFT JOIN drugs AS d \
             ON p.person = d.patient AND day > entry WHERE dose IS NULL GROUP BY region",
        ),
        (
            "WITH t AS (SELECT person, SUM(cost) total, MIN(day) AS first, COUNT(*) AS n \
             FROM visits WHERE urgent GROUP BY person HAVING COUNT(*) > 1 AND MAX(day) < 900) \
             SELECT AVG(total) FROM t",
            "SELECT AVG(total) AS avg_total FROM (SELECT person, SUM(cost) AS total, \
             MIN(day) AS first, COUNT(*) AS n FROM visits WHERE urgent GROUP BY person \
             HAVING COUNT(*) > 1 AND MAX(day) < 900) AS t",
        ),
        (
            "SELECT COUNT(DISTINCT a.person) FROM visits a JOIN visits b ON a.person = b.person \
             AND (b.day - a.day BETWEEN 1 AND 30 OR b.urgent) AND a.code = 'I21'",
            "SELECT COUNT(DISTINCT person) AS subjects FROM visits AS a JOIN visits AS b \
             ON a.person = b.person AND (b.day - a.day BETWEEN 1 AND 30 OR b.urgent) \
             AND a.code = 'I21'",
        ),
        (
            "SELECT COUNT(*) FROM (SELECT *, cost * 2 AS twice FROM visits) AS v",
            "SELECT COUNT(*) AS count FROM (SELECT person, day, cost, code, urgent, \
             cost * 2 AS twice FROM visits) AS v",
        ),
        (
            "SELECT AVG(span) FROM (SELECT person, MAX(day) - MIN(day) AS span, \
             COUNT(DISTINCT code) AS kinds, BOOL_OR(cost > 5) AS dear FROM visits \
             GROUP BY person) AS v WHERE dear AND kinds > 1",
            "SELECT AVG(span) AS avg_span FROM (SELECT person, MAX(day) - MIN(day) AS span, \
             COUNT(DISTINCT code) AS kinds, BOOL_OR(cost > 5) AS dear FROM visits \
             GROUP BY person) AS v WHERE dear AND kinds > 1",
        ),
    ] {
        assert_eq!(canonical(sql), wanted, "{sql}");
    }
}

#[test]
fn ten_patterns_of_epidemiology_can_be_written() {
    let first = "SELECT person, MIN(day) AS first FROM visits WHERE code = 'I21' GROUP BY person";
    let drug = "SELECT patient, MIN(day) AS start, SUM(dose) AS dose FROM drugs GROUP BY patient";
    for sql in [
        // Incidence per person-year: events and the time at risk.
        format!(
            "SELECT COUNT(first) AS events, SUM(LEAST(GREATEST(CASE WHEN first IS NULL THEN 3650 \
             ELSE first END - entry, 0), 3650)) AS days FROM people LEFT JOIN ({first}) AS f \
             USING (person) WHERE entry IS NOT NULL"
        ),
        // Rates by stratum, to be standardised directly.
        "SELECT region, stratum, COUNT(*) AS people, COUNT(n) AS cases FROM (SELECT person, \
         region, CASE WHEN age < 40 THEN 0 WHEN age < 65 THEN 1 ELSE 2 END AS stratum FROM people) \
         AS p LEFT JOIN (SELECT person, COUNT(*) AS n FROM visits GROUP BY person) AS v \
         USING (person) GROUP BY region, stratum"
            .to_owned(),
        // New users: no dispensing in the year before the first one in the study.
        "SELECT COUNT(DISTINCT d.patient) FROM (SELECT patient, MIN(day) AS start FROM drugs \
         WHERE day >= 365 GROUP BY patient) AS d LEFT JOIN (SELECT patient, COUNT(*) AS n \
         FROM drugs WHERE day < 365 GROUP BY patient) AS before USING (patient) \
         WHERE n IS NULL"
            .to_owned(),
        // Events within 90 days of a first diagnosis.
        format!(
            "SELECT COUNT(DISTINCT v.person) FROM ({first}) AS f JOIN visits v \
             ON f.person = v.person AND v.day > first AND v.day <= first + 90 \
             WHERE v.code = 'I50'"
        ),
        // Readmission within 30 days.
        "SELECT COUNT(DISTINCT a.person) FROM visits a JOIN visits b ON a.person = b.person AND \
         b.day > a.day AND b.day <= a.day + 30"
            .to_owned(),
        // Prevalence by age band.
        "SELECT band, COUNT(*) AS people, COUNT(n) AS ill FROM (SELECT person, CASE WHEN age < 20 \
         THEN 0 WHEN age < 40 THEN 20 WHEN age < 60 THEN 40 ELSE 60 END AS band FROM people) AS p \
         LEFT JOIN (SELECT person, COUNT(*) AS n FROM visits WHERE code = 'E11' GROUP BY person) \
         AS v USING (person) GROUP BY band"
            .to_owned(),
        // Age at first event.
        format!(
            "SELECT AVG(age + (first - entry) / 365.25) AS age_at_first FROM people \
             JOIN ({first}) AS f USING (person)"
        ),
        // Co-morbidity pairs.
        "SELECT code_a, code_b, COUNT(DISTINCT person) FROM (SELECT person, code AS code_a \
         FROM visits) AS a JOIN (SELECT person, code AS code_b FROM visits) AS b USING (person) \
         GROUP BY code_a, code_b"
            .to_owned(),
        // Before and after.
        format!(
            "WITH d AS ({drug}), both AS (SELECT v.person, AVG(CASE WHEN v.day < start THEN cost \
             END) AS before, AVG(CASE WHEN v.day >= start THEN cost END) AS after FROM visits v \
             JOIN d ON v.person = d.patient GROUP BY v.person) \
             SELECT AVG(before), AVG(after), AVG(after - before) AS difference FROM both"
        ),
        // Dose groups.
        format!(
            "WITH d AS ({drug}), grouped AS (SELECT patient, CASE WHEN dose < 10 THEN 0 WHEN \
             dose < 30 THEN 1 ELSE 2 END AS dose_group FROM d) SELECT dose_group, \
             COUNT(DISTINCT g.patient), AVG(n) FROM grouped AS g JOIN (SELECT person, COUNT(*) \
             AS n FROM visits GROUP BY person) AS v ON g.patient = v.person GROUP BY dose_group"
        ),
    ] {
        canonical(&sql);
        if let Err(refusal) = plan_with(&sql, &clinic()) {
            panic!("{sql}: {refusal}");
        }
    }
}

#[test]
fn whatever_would_reach_across_people_or_rows_is_refused_with_its_place() {
    for (marked, says, suggests) in [
        // B11
        (
            "SELECT COUNT(*) FROM (SELECT * FROM people ~LIMIT 1) AS p",
            "LIMIT in a subquery",
            "MIN",
        ),
        (
            "SELECT COUNT(*) FROM (SELECT * FROM people ~OFFSET 9) AS p",
            "LIMIT in a subquery",
            "MIN",
        ),
        (
            "SELECT COUNT(*) FROM (SELECT * FROM people ~ORDER BY age) AS p",
            "ORDER BY in a subquery",
            "WHERE",
        ),
        (
            "SELECT COUNT(*) FROM (SELECT ~DISTINCT age FROM people) AS p",
            "DISTINCT",
            "group by",
        ),
        // B14, F04
        (
            "SELECT COUNT(*) FROM visits a JOIN visits b ON ~a.code = b.code",
            "on the subject column only",
            "ON a.person = b.person",
        ),
        (
            "SELECT COUNT(*) FROM people a JOIN people b USING (~age)",
            "subject column only",
            "ON a.",
        ),
        (
            "SELECT COUNT(*) FROM people CROSS JOIN ~visits",
            "CROSS JOIN",
            "USING (person)",
        ),
        (
            "SELECT COUNT(*) FROM people NATURAL JOIN ~visits",
            "NATURAL",
            "USING (person)",
        ),
        (
            "SELECT COUNT(*) FROM people RIGHT JOIN ~visits USING (person)",
            "RIGHT JOIN",
            "swap",
        ),
        (
            "SELECT COUNT(*) FROM people FULL JOIN ~visits USING (person)",
            "join",
            "USING (person)",
        ),
        (
            "SELECT COUNT(*) FROM people JOIN ~visits",
            "needs the subject",
            "USING (person)",
        ),
        (
            "SELECT COUNT(*) FROM people a, ~people b, people c",
            "on the subject column",
            "JOIN b",
        ),
        (
            "SELECT COUNT(*) FROM people JOIN ~people USING (person)",
            "two sides of the join",
            "people AS b",
        ),
        (
            "SELECT COUNT(*) FROM people p JOIN drugs d USING (~person)",
            "on the subject column only",
            "ON p.person = d.patient",
        ),
        (
            "SELECT COUNT(*) FROM (~people JOIN visits USING (person))",
            "a join in parentheses",
            "one after another",
        ),
        // B18, B19
        (
            "SELECT COUNT(*) FROM people p WHERE age > (~SELECT AVG(age) FROM people q \
             WHERE q.region = p.region)",
            "a query in a query",
            "groups by",
        ),
        (
            "SELECT COUNT(*) FROM people p JOIN (SELECT person, COUNT(*) AS n FROM visits \
             WHERE ~p.age > 3 GROUP BY person) AS v USING (person)",
            "no table 'p'",
            "visits",
        ),
        // B30
        (
            "SELECT COUNT(*) FROM (SELECT ~'x' AS person, age FROM people) AS p",
            "a computed text cannot be a column",
            "",
        ),
        (
            "SELECT COUNT(*) FROM (~SELECT age AS person FROM people) AS p",
            "keep the subject column",
            "SELECT person, ...",
        ),
        (
            "SELECT COUNT(*) FROM (SELECT ~person AS age FROM people) AS p",
            "keeps its name",
            "without AS",
        ),
        (
            "SELECT COUNT(*) FROM (~SELECT person, age AS person FROM people) AS p",
            "two columns of the subquery",
            "another name",
        ),
        (
            "SELECT COUNT(*) FROM (SELECT ~COALESCE(person, 'x') AS person FROM people) AS p",
            "",
            "",
        ),
        (
            "SELECT COUNT(*) FROM (SELECT * EXCEPT (person) FROM people) AS p",
            "",
            "",
        ),
        (
            "SELECT COUNT(*) FROM (SELECT person, COUNT(*) AS n FROM visits GROUP BY ~code) AS p",
            "groups by the subject column alone",
            "GROUP BY person",
        ),
        (
            "SELECT COUNT(*) FROM (SELECT person, COUNT(*) AS n FROM visits \
             GROUP BY person, ~code) AS p",
            "groups by the subject column alone",
            "GROUP BY person",
        ),
        // Per-subject columns.
        (
            "SELECT COUNT(*) FROM (SELECT person, ~cost FROM visits GROUP BY person) AS p",
            "several values for one subject",
            "MIN or MAX",
        ),
        (
            "SELECT COUNT(*) FROM (SELECT person, SUM(~urgent) AS s FROM visits \
             GROUP BY person) AS p",
            "",
            "",
        ),
        (
            "SELECT COUNT(*) FROM (SELECT person, ~COUNT(*) FROM visits GROUP BY person) AS p",
            "needs a name",
            "AS",
        ),
        (
            "SELECT COUNT(*) FROM (SELECT person, ~cost / day AS x FROM visits) AS p",
            "no bounds follow",
            "LEAST",
        ),
        (
            "SELECT COUNT(*) FROM (~SELECT person FROM people)",
            "needs a name",
            "AS t",
        ),
        // Names.
        (
            "SELECT SUM(~day) AS s FROM visits JOIN drugs ON visits.person = drugs.patient",
            "'visits' and 'drugs'",
            "visits.day or drugs.day",
        ),
        (
            "SELECT COUNT(*) FROM ~clinic",
            "no table 'clinic'",
            "people",
        ),
        (
            "SELECT COUNT(*) FROM people WHERE people.~agge = 1",
            "no column",
            "'age'",
        ),
        (
            "WITH ~visits AS (SELECT person FROM people) SELECT COUNT(*) FROM visits",
            "there is a 'visits' already",
            "another name",
        ),
        (
            "SELECT COUNT(*) FROM (~SELECT person FROM people UNION SELECT person FROM people) AS p",
            "",
            "",
        ),
        (
            "SELECT SUM(~COUNT(*) OVER ()) AS s FROM visits",
            "OVER",
            "groups by the subject",
        ),
    ] {
        let sql = marked.replace('~', "");
        let refusal = match plan_with(&sql, &clinic()) {
            Ok(plan) => panic!("{sql} was accepted as {}", plan.canonical()),
            Err(refusal) => refusal,
        };
        let text = refusal.to_string();
        assert!(refusal.reason.contains(says), "{sql}: {text}");
        let suggestion = refusal.suggestion.unwrap_or_default();
        assert!(suggestion.contains(suggests), "{sql}: {text}");
        if !says.is_empty() {
            let column = marked.find('~').map(|c| c as u32 + 1);
            assert_eq!(refusal.column, column, "{sql}: {text}");
        }
    }
}

#[test]
fn rows_of_a_subject_multiply_and_too_many_are_refused() {
    let most = |sql: &str| plan_with(sql, &clinic()).unwrap().most_rows();
    // B15: as often as the subject has visits, not as the result has rows.
    assert_eq!(
        most("SELECT COUNT(*) FROM people JOIN visits USING (person)"),
        3
    );
    assert_eq!(
        most("SELECT COUNT(*) FROM visits a JOIN visits b USING (person)"),
        9
    );
    assert_eq!(
        most("SELECT COUNT(*) FROM visits v JOIN drugs d ON v.person = d.patient"),
        6
    );
    assert_eq!(
        most(
            "SELECT COUNT(*) FROM visits v JOIN (SELECT patient, COUNT(*) AS n FROM drugs \
             GROUP BY patient) AS d ON v.person = d.patient"
        ),
        3
    );
    let many = CLINIC.replace("most_rows_per_subject = 3", "most_rows_per_subject = 101");
    let many = Description::from_toml(&many).unwrap();
    let refusal = plan_with(
        "SELECT COUNT(*) FROM visits a JOIN visits b USING (person)",
        &many,
    );
    let text = refusal.unwrap_err().to_string();
    assert!(
        text.contains("up to 10201 rows of one patient and the most is 10000"),
        "{text}"
    );
    assert!(text.contains("COUNT(*) AS n"), "{text}");
    let deep = (0..60).fold("people".to_owned(), |inner, _| {
        format!("(SELECT person FROM {inner}) AS people")
    });
    assert!(parse_with(&format!("SELECT COUNT(*) FROM {deep}"), &clinic()).is_err());
    let deep = (0..10).fold("people".to_owned(), |inner, _| {
        format!("(SELECT person FROM {inner}) AS people")
    });
    let refusal = parse_with(&format!("SELECT COUNT(*) FROM {deep}"), &clinic());
    assert!(
        refusal
            .unwrap_err()
            .to_string()
            .contains("nested more than 10")
    );
    let deep = (0..9).fold("people".to_owned(), |inner, _| {
        format!("(SELECT person FROM {inner}) AS people")
    });
    assert!(parse_with(&format!("SELECT COUNT(*) FROM {deep}"), &clinic()).is_ok());
    let doubled = (0..40).fold(
        "WITH t0 AS (SELECT person FROM people)".to_owned(),
        |text, i| {
            let next = i + 1;
            format!(
                "{text}, t{next} AS (SELECT a.person FROM t{i} AS a JOIN t{i} AS b USING (person))"
            )
        },
    );
    let refusal = parse_with(&format!("{doubled} SELECT COUNT(*) FROM t40"), &clinic());
    assert!(
        refusal
            .unwrap_err()
            .to_string()
            .contains("more than 16 tables")
    );
}

#[test]
fn bounds_of_per_subject_columns_follow_from_those_of_rows() {
    let bound = |expression: &str| {
        let sql = format!(
            "SELECT SUM(x) AS s FROM (SELECT person, {expression} AS x FROM visits \
             GROUP BY person) AS v"
        );
        let query = parse_with(&sql, &clinic()).unwrap_or_else(|r| panic!("{sql}: {r}"));
        query.output_sentences()[0].clone()
    };
    for (expression, range) in [
        ("SUM(cost)", "from 0 to 1200"),
        ("SUM(cost - 500)", "from -1500 to -100"),
        ("AVG(cost)", "from 0 to 400"),
        ("COUNT(cost)", "from 0 to 3"),
        ("COUNT(DISTINCT code)", "from 0 to 3"),
        ("MAX(day) - MIN(day)", "from -3650 to 3650"),
    ] {
        let told = bound(expression);
        assert!(told.contains(range), "{expression}: {told}");
    }
    // A column of whole numbers, and one kept from one-row tables, can be keys.
    for sql in [
        "SELECT n, COUNT(*) FROM (SELECT person, COUNT(*) AS n FROM visits GROUP BY person) AS v \
         GROUP BY n",
        "SELECT worst, COUNT(*) FROM (SELECT person, MAX(code) AS worst FROM visits \
         GROUP BY person) AS v GROUP BY worst",
    ] {
        canonical(sql);
    }
}

#[test]
fn a_subject_of_a_join_is_in_one_cell_of_a_one_row_table() {
    let price = |key: &str| {
        let sql = format!(
            "SELECT {key}, COUNT(DISTINCT person) FROM people JOIN visits USING (person) \
             GROUP BY {key}"
        );
        plan_with(&sql, &clinic()).unwrap().shape().vectors[0].clip_squared
    };
    assert_eq!(price("region"), 1024 * 1024);
    assert_eq!(price("code"), 3 * 1024 * 1024);
}

#[test]
fn the_columns_that_are_read_are_named_with_their_tables() {
    let query = parse_with(
        "SELECT AVG(total) FROM people LEFT JOIN (SELECT person, SUM(cost) AS total, \
         COUNT(urgent) AS unread FROM visits WHERE day > 9 GROUP BY person) AS v \
         ON people.person = v.person AND entry > 3",
        &clinic(),
    )
    .unwrap();
    assert_eq!(
        query.columns_read(&clinic()),
        ["people.entry", "visits.day", "visits.cost", "visits.urgent"]
    );
    let one = super::parse("SELECT SUM(age) FROM patients WHERE smoker").unwrap();
    assert_eq!(one.columns_read(&super::patients()), ["age", "smoker"]);
}

#[test]
fn a_table_that_is_joined_for_its_rows_alone_is_read() {
    for sql in [
        "SELECT AVG(entry) FROM people JOIN visits USING (person)",
        "SELECT AVG(entry) FROM people LEFT JOIN (SELECT person, COUNT(*) AS n FROM visits \
         GROUP BY person) AS v USING (person)",
    ] {
        let query = parse_with(sql, &clinic()).unwrap();
        assert_eq!(query.columns_read(&clinic()), ["people.entry"], "{sql}");
        let plan = plan_with(sql, &clinic()).unwrap();
        assert_eq!(plan.tables_read(&clinic()), ["people", "visits"], "{sql}");
    }
    let one = super::plan("SELECT SUM(age) FROM patients WHERE smoker").unwrap();
    assert!(one.tables_read(&super::patients()).is_empty());
}

#[test]
fn the_words_tell_what_is_computed_for_each_subject() {
    let query = parse_with(
        "SELECT AVG(total) FROM people p LEFT JOIN (SELECT person, SUM(cost) AS total FROM visits \
         WHERE day > 9 GROUP BY person HAVING COUNT(*) > 1) AS v USING (person)",
        &clinic(),
    )
    .unwrap();
    assert_eq!(
        query.in_words(),
        "From 'A clinic': the average of total. All rows. The rows are those of 'people' (here \
         'p'), joined by patient with those of 'v' (for each patient: the sum of cost as 'total', \
         from at most 3 rows of 'visits', where day is above 9, if the number of rows is above \
         1), if there are any. At most 1 matching row of each patient count."
    );
}

#[test]
fn every_word_that_can_be_a_name_reads_back_as_one() {
    let words = sqlparser::keywords::ALL_KEYWORDS.iter();
    let words: Vec<String> = words.map(|w| w.to_ascii_lowercase()).collect();
    let name = |w: &&String| {
        let part = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        w.starts_with(|c: char| c.is_ascii_lowercase()) && w.bytes().all(part) && *w != "b"
    };
    for word in words.iter().filter(name) {
        canonical(&format!(
            "SELECT COUNT(*) FROM people AS \"{word}\" JOIN people AS b USING (person) \
             LEFT JOIN visits AS v ON \"{word}\".person = v.person AND v.day > 3 \
             WHERE \"{word}\".age > b.age OR -\"{word}\".age - \"{word}\".age < 3"
        ));
        canonical(&format!(
            "WITH \"{word}\" AS (SELECT person, age AS \"{word}\" FROM people WHERE age > 3) \
             SELECT \"{word}\".\"{word}\", COUNT(*) AS how_many_there_are FROM \"{word}\" JOIN (SELECT person, \
             COUNT(*) AS \"{word}\" FROM visits GROUP BY person) AS b USING (person) \
             WHERE b.\"{word}\" > \"{word}\".\"{word}\" GROUP BY \"{word}\".\"{word}\""
        ));
    }
}
