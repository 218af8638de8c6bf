//! Section B: what can be written as a query.

use obscura_tests::cluster::ask;
use obscura_tests::fixture::{CODES, Setup, World, Worlds};

use super::limit;
use super::worlds::{
    CENT, previewed, refused, refused_once, refused_or_released, released, values, worlds,
};

#[cfg(feature = "system")]
#[path = "surface/traced.rs"]
mod traced;

const P: &str = "patients";
const V: &str = "visits";

/// Refused in all worlds, as [`refused`] says, each on the dataset that it names.
async fn all_refused(queries: &[&str]) {
    let worlds = worlds().await;
    let named: Vec<_> = queries.iter().map(|sql| (on(sql), *sql)).collect();
    refused(&worlds, &named).await;
    worlds.stop().await;
}

/// The dataset that a text is about.
fn on(sql: &str) -> &'static str {
    if sql.contains(V) && !sql.contains(P) {
        V
    } else {
        P
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b01_raw_rows() {
    all_refused(&[
        "SELECT * FROM patients",
        "SELECT patients.* FROM patients",
        "SELECT age FROM patients",
        "SELECT age, COUNT(*) FROM patients",
        "SELECT age, COUNT(*) FROM patients GROUP BY sex",
        "SELECT DISTINCT dx FROM patients",
        "SELECT DISTINCT ON (dx) dx FROM patients",
        "SELECT subject_id, COUNT(*) FROM patients GROUP BY subject_id",
        "SELECT note FROM patients WHERE age = 42",
        "SELECT COUNT(*), * FROM patients",
        "TABLE patients",
        "VALUES (1)",
        "SELECT COUNT(*) FROM patients UNION SELECT age FROM patients",
        "SELECT COUNT(*) FROM patients EXCEPT SELECT 5",
        "SELECT TOP 1 age FROM patients",
        "SELECT COUNT(*) INTO t FROM patients",
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b02_one_persons_value_by_an_aggregate() {
    all_refused(&[
        "SELECT MAX(note) FROM patients",
        "SELECT MIN(age) FROM patients",
        "SELECT MAX(income) FROM patients",
        "SELECT MIN(subject_id) FROM patients",
        "SELECT array_agg(note) FROM patients",
        "SELECT array_agg(DISTINCT dx) FROM patients",
        "SELECT string_agg(note, ',') FROM patients",
        "SELECT listagg(note, ',') WITHIN GROUP (ORDER BY age) FROM patients",
        "SELECT first_value(note) FROM patients",
        "SELECT nth_value(note, 42) FROM patients",
        "SELECT last_value(note) OVER () FROM patients",
        "SELECT any_value(note) FROM patients",
        "SELECT arg_max(note, age) FROM patients",
        "SELECT max_by(note, age) FROM patients",
        "SELECT bit_xor(income) FROM patients",
        "SELECT bit_and(income) FROM patients",
        "SELECT mode(note) FROM patients",
        "SELECT json_agg(note) FROM patients",
        "SELECT approx_distinct(note) FROM patients",
        "SELECT COUNT(DISTINCT note) FROM patients",
        "SELECT COUNT(DISTINCT income) FROM patients",
        "SELECT COUNT(patients.*) FROM patients",
        "SELECT hash_agg(note) FROM patients",
        "SELECT SUM(note) FROM patients",
        "SELECT AVG(subject_id) FROM patients",
        "SELECT COUNT(*) OVER (ORDER BY age) FROM patients",
        "SELECT COUNT(*) FILTER (WHERE subject_id = 'S0042') FROM patients",
        "SELECT row_number() OVER () FROM patients",
        "SELECT lag(age) OVER (ORDER BY age) FROM patients",
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b04_group_keys_are_the_declared_ones_in_declared_order() {
    let worlds = worlds().await;
    let sql = "SELECT region, COUNT(*) AS n FROM patients GROUP BY region";
    for release in &released(&worlds, P, &[(sql, CENT)]).await[0] {
        let shape = release.answer.shape();
        assert_eq!(shape.keys.len(), 1);
        assert_eq!(shape.keys[0].labels, ["N", "S", "E", "W"]);
        assert_eq!(values(release, 0).len(), 4);
    }
    worlds.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b05_empty_groups_are_answered() {
    let worlds = worlds().await;
    let sql = "SELECT region, COUNT(*) AS n FROM patients WHERE region <> 'W' GROUP BY region";
    let releases = &released(&worlds, P, &[(sql, 5 * CENT)]).await[0];
    // Also where nobody is there is noise: three times exactly 0 comes once in 10^10.
    assert!(releases.iter().any(|r| r.answer.values()[0][3] != 0));
    for release in releases {
        let sigma = release.answer.shape().vectors[0].sigma_in_units();
        let counts = values(release, 0);
        assert_eq!(counts.len(), 4);
        // False alarm once in a billion: six standard deviations.
        assert!(counts[3].abs() < 6.2 * sigma, "{counts:?}");
        assert!(counts[..3].iter().all(|n| *n > 300.0), "{counts:?}");
    }
    worlds.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b06_only_columns_with_a_declared_domain_are_keys() {
    let worlds = worlds().await;
    let refusals = [
        "SELECT note, COUNT(*) FROM patients GROUP BY note",
        "SELECT COUNT(*) FROM patients GROUP BY subject_id",
        "SELECT COUNT(*) FROM patients GROUP BY bmi",
        "SELECT COUNT(*) FROM patients GROUP BY income",
        "SELECT COUNT(*) FROM patients GROUP BY income, age",
        "SELECT COUNT(*) FROM patients GROUP BY LOWER(note)",
        "SELECT COUNT(*) FROM patients GROUP BY SUBSTR(note, 1, 3)",
        "SELECT COUNT(*) FROM patients GROUP BY LENGTH(note) * bmi",
        "SELECT COUNT(*) FROM patients GROUP BY bmi * 2",
        "SELECT ward, COUNT(*) FROM visits GROUP BY ward",
        "SELECT COUNT(*) FROM visits GROUP BY cost, day",
    ];
    let named: Vec<_> = refusals.iter().map(|sql| (on(sql), *sql)).collect();
    refused(&worlds, &named).await;
    let by_code = "SELECT dx, COUNT(*) AS n FROM patients GROUP BY dx";
    let by_age = "SELECT age, COUNT(*) AS n FROM patients GROUP BY age";
    let all = released(&worlds, P, &[(by_code, CENT), (by_age, CENT)]).await;
    for release in &all[0] {
        assert_eq!(release.answer.shape().cells(), CODES as usize);
        assert_eq!(
            release.answer.shape().keys[0].labels.last().unwrap(),
            "RARE1"
        );
    }
    for release in &all[1] {
        assert_eq!(release.answer.shape().cells(), 121);
    }
    worlds.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b08_grouping_sets() {
    all_refused(&[
        "SELECT COUNT(*) FROM patients GROUP BY ROLLUP(region, sex)",
        "SELECT COUNT(*) FROM patients GROUP BY CUBE(region, sex)",
        "SELECT COUNT(*) FROM patients GROUP BY GROUPING SETS ((region), (sex), ())",
        "SELECT COUNT(*) FROM patients GROUP BY region WITH ROLLUP",
        "SELECT COUNT(*) FROM patients GROUP BY region WITH TOTALS",
        "SELECT COUNT(*) FROM patients GROUP BY ALL",
        "SELECT COUNT(*) FROM patients GROUP BY DISTINCT region",
        "SELECT GROUPING(region), COUNT(*) FROM patients GROUP BY region",
    ])
    .await;
}

/// Refused, or ordered by what is noisy; in any case every cell is answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b10_order_and_limit_never_follow_the_true_values() {
    let worlds = worlds().await;
    let queries = [
        "SELECT dx, COUNT(*) AS n FROM patients GROUP BY dx ORDER BY COUNT(*) DESC LIMIT 1",
        "SELECT dx, COUNT(*) AS n FROM patients GROUP BY dx ORDER BY n",
        "SELECT dx, COUNT(*) AS n FROM patients GROUP BY dx HAVING COUNT(*) < 3",
        "SELECT dx, COUNT(*) AS n FROM patients GROUP BY dx ORDER BY SUM(income) LIMIT 3 OFFSET 2",
        "SELECT region, AVG(age) AS a FROM patients GROUP BY region ORDER BY a",
    ];
    for releases in refused_or_released(&worlds, P, &queries).await {
        for release in releases {
            let cells = release.answer.shape().cells();
            assert!(cells == CODES as usize || cells == 4, "{cells}");
            assert!(release.answer.values().iter().all(|v| v.len() == cells));
        }
    }
    let refusals = [
        (P, "SELECT COUNT(*) FROM patients GROUP BY dx ORDER BY age"),
        (
            P,
            "SELECT COUNT(*) FROM patients GROUP BY dx ORDER BY MAX(age)",
        ),
        (
            P,
            "SELECT COUNT(*) FROM patients GROUP BY dx ORDER BY random()",
        ),
        (
            P,
            "SELECT COUNT(*) FROM patients GROUP BY dx LIMIT (SELECT COUNT(*) FROM patients)",
        ),
        (
            P,
            "SELECT COUNT(*) FROM patients GROUP BY dx QUALIFY COUNT(*) > 1",
        ),
    ];
    for (dataset, sql) in refusals {
        refused_once(&worlds, dataset, sql).await;
    }
    worlds.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b11_what_depends_on_the_order_of_rows() {
    all_refused(&[
        "SELECT COUNT(*) FROM (SELECT * FROM patients LIMIT 1)",
        "SELECT COUNT(*) FROM (SELECT * FROM patients LIMIT 1) t",
        "SELECT COUNT(*) FROM (SELECT * FROM patients OFFSET 1999) t",
        "SELECT COUNT(*) FROM (SELECT subject_id, age FROM patients LIMIT 1) t",
        "SELECT COUNT(*) FROM (SELECT subject_id, age FROM patients LIMIT 5 OFFSET 1999) t",
        "SELECT COUNT(*) FROM (SELECT subject_id FROM patients ORDER BY age LIMIT 5) t",
        "SELECT COUNT(*) FROM (SELECT subject_id FROM patients FETCH FIRST 5 ROWS ONLY) t",
        "SELECT COUNT(*) FROM (SELECT TOP 5 subject_id FROM patients) t",
        "SELECT COUNT(*) FROM patients TABLESAMPLE BERNOULLI (1)",
        "SELECT COUNT(*) FROM patients TABLESAMPLE (5 ROWS)",
        "SELECT COUNT(*) FROM (SELECT DISTINCT dx FROM patients) t",
        "SELECT COUNT(*) FROM (SELECT dx FROM patients GROUP BY dx) t",
        "SELECT COUNT(*) FROM (SELECT subject_id, ROW_NUMBER() OVER () AS r FROM patients) t",
        "WITH t AS (SELECT * FROM patients LIMIT 1) SELECT COUNT(*) FROM t",
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b14_joins_that_multiply_rows() {
    all_refused(&[
        "SELECT COUNT(*) FROM visits a JOIN visits b ON a.ward = b.ward",
        "SELECT COUNT(*) FROM visits a JOIN visits b ON a.day = b.day",
        "SELECT COUNT(*) FROM visits a, visits b",
        "SELECT COUNT(*) FROM visits a CROSS JOIN visits b",
        "SELECT COUNT(*) FROM visits a NATURAL JOIN visits b",
        "SELECT COUNT(*) FROM visits a JOIN visits b ON true",
        "SELECT COUNT(*) FROM visits a JOIN visits b ON a.cost < b.cost",
        "SELECT COUNT(*) FROM visits a JOIN visits b ON a.subject_id <> b.subject_id",
        "SELECT COUNT(*) FROM visits a JOIN visits b ON a.subject_id = b.ward",
        "SELECT COUNT(*) FROM visits a FULL JOIN visits b ON a.subject_id = b.subject_id",
        "SELECT COUNT(*) FROM visits a RIGHT JOIN visits b ON a.subject_id = b.subject_id",
        "SELECT COUNT(*) FROM visits a JOIN visits b USING (ward)",
        "SELECT COUNT(*) FROM visits a JOIN visits b ON a.subject_id = b.subject_id OR a.day = b.day",
        "SELECT COUNT(*) FROM visits a, LATERAL (SELECT * FROM visits b) c",
        "SELECT COUNT(*) FROM visits a SEMI JOIN visits b ON a.ward = b.ward",
        "SELECT COUNT(*) FROM visits a ASOF JOIN visits b MATCH_CONDITION (a.day > b.day)",
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b18_subqueries_that_look_at_others() {
    all_refused(&[
        "SELECT COUNT(*) FROM patients p WHERE age > (SELECT AVG(age) FROM patients q \
         WHERE q.region = p.region)",
        "SELECT COUNT(*) FROM patients WHERE age > (SELECT AVG(age) FROM patients)",
        "SELECT COUNT(*) FROM patients p WHERE EXISTS (SELECT 1 FROM patients q \
         WHERE q.age = p.age AND q.subject_id <> p.subject_id)",
        "SELECT COUNT(*) FROM patients WHERE age IN (SELECT age FROM patients WHERE dx = 'RARE1')",
        "SELECT COUNT(*) FROM patients WHERE age = ANY (SELECT age FROM patients)",
        "SELECT COUNT(*) FROM patients WHERE age >= ALL (SELECT age FROM patients)",
        "SELECT SUM(age - (SELECT AVG(age) FROM patients)) FROM patients",
        "SELECT COUNT(*) FROM patients WHERE (age, sex) IN (SELECT age, sex FROM patients)",
        "SELECT COUNT(*) FROM patients WHERE age > AVG(age)",
        "SELECT SUM(age - AVG(age)) FROM patients",
        "SELECT SUM(RANK() OVER (ORDER BY age)) FROM patients",
        "SELECT COUNT(*) FROM (SELECT region, AVG(age) AS a FROM patients GROUP BY region) t",
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b19_a_scalar_subquery_as_an_oracle() {
    all_refused(&[
        "SELECT COUNT(*) + 1000000 * (SELECT COUNT(*) FROM patients WHERE subject_id = 'S0042') \
         FROM patients",
        "SELECT COUNT(*) FROM patients WHERE subject_id = 'S0042'",
        "SELECT COUNT(*) FROM patients WHERE subject_id LIKE 'S00%'",
        "SELECT COUNT(*) FROM patients WHERE subject_id IN ('S0042')",
        "SELECT COUNT(subject_id) FROM patients",
        "SELECT COUNT(*) FROM patients WHERE subject_id IS NULL",
        "SELECT COUNT(*) FROM patients WHERE patients.subject_id = 'S0042'",
        "SELECT COUNT(*) FROM patients WHERE LOWER(subject_id) = 's0042'",
        "SELECT COUNT(*) FROM patients WHERE note = subject_id",
        "SELECT COUNT(*) FROM patients WHERE CAST(subject_id AS BIGINT) = 42",
        "SELECT SUM(LENGTH(subject_id)) FROM patients",
        "SELECT COUNT(*) FROM patients GROUP BY subject_id = 'S0042'",
        "SELECT COUNT(*) FROM patients HAVING (SELECT COUNT(*) FROM patients) > 1",
        "SELECT (SELECT COUNT(*) FROM patients)",
    ])
    .await;
}

/// A large constant makes large noise.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b20_data_in_the_constant() {
    let worlds = worlds().await;
    let on_id =
        "SELECT SUM(1000000000 * (CASE WHEN subject_id = 'S0042' THEN 1 ELSE 0 END)) FROM patients";
    refused(&worlds, &[(P, on_id)]).await;
    let sql = "SELECT SUM(1000000000 * (CASE WHEN dx = 'RARE1' THEN 1 ELSE 0 END)) AS s \
               FROM patients";
    let exact = "SELECT SUM(CASE WHEN age = 42 THEN 1e300 ELSE 0 END) AS s FROM patients";
    for releases in refused_or_released(&worlds, P, &[sql, exact]).await {
        for release in releases {
            let vector = &release.answer.shape().vectors[0];
            let (sigma, price) = (vector.sigma_in_units(), release.price.nano() as f64 / 1e9);
            // What the promise of this price takes for a clip norm of a billion.
            let least = 1e9 / (2.0 * price).sqrt();
            assert!(sigma >= 0.999 * least, "{sigma} for {least}");
        }
    }
    worlds.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b24_functions_that_do_not_mean_the_same_twice() {
    let conditions = [
        "random() < 0.5",
        "rand() < 0.5",
        "uuid() = note",
        "gen_random_uuid() = note",
        "now() > 0",
        "CURRENT_DATE > 0",
        "CURRENT_TIMESTAMP > 0",
        "LOCALTIME > 0",
        "current_user = 'ada'",
        "session_user = 'ada'",
        "version() = '1'",
        "pg_sleep(10) IS NULL",
        "sleep(10) = 0",
        "input_file_name() = 'x'",
        "file_row_index() = 1",
        "ctid = 1",
        "rowid = 1",
        "row_number() = 1",
        "nextval('s') = 1",
        "txid_current() > 0",
        "getenv('HOME') = '/'",
        "read_text('/etc/passwd') = ''",
        "$1 = 1",
        "? = 1",
        ":x = 1",
        "@x = 1",
        "@@version = 1",
    ];
    let queries: Vec<String> = conditions
        .iter()
        .map(|c| format!("SELECT COUNT(*) FROM patients WHERE {c}"))
        .collect();
    all_refused(&queries.iter().map(String::as_str).collect::<Vec<_>>()).await;
}

/// What is no table of the dataset, and what is no question.
pub(super) const B25: [&str; 34] = [
    "SELECT COUNT(*) FROM '/etc/passwd'",
    "SELECT COUNT(*) FROM \"/etc/passwd\"",
    "SELECT COUNT(*) FROM read_csv('/etc/passwd')",
    "SELECT COUNT(*) FROM parquet_scan('patients.parquet')",
    "SELECT COUNT(*) FROM generate_series(1, 1000000000000)",
    "SELECT COUNT(*) FROM range(1000000000000)",
    "SELECT COUNT(*) FROM unnest([1, 2, 3])",
    "SELECT COUNT(*) FROM TABLE(patients)",
    "SELECT COUNT(*) FROM information_schema.tables",
    "SELECT COUNT(*) FROM pg_catalog.pg_class",
    "SELECT COUNT(*) FROM public.patients",
    "SELECT COUNT(*) FROM sqlite_master",
    "SELECT COUNT(*) FROM (VALUES (1), (2)) t",
    "SELECT COUNT(*) FROM people",
    "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'",
    "CREATE TABLE t AS SELECT * FROM patients",
    "COPY patients TO 'x.csv'",
    "COPY (SELECT * FROM patients) TO PROGRAM 'sh'",
    "INSERT INTO patients VALUES (1)",
    "UPDATE patients SET age = 1",
    "DELETE FROM patients",
    "MERGE INTO patients USING patients ON true WHEN MATCHED THEN DELETE",
    "DROP TABLE patients",
    "SET x = 1",
    "SHOW TABLES",
    "PRAGMA table_info(patients)",
    "ATTACH 'x.db' AS x",
    "LOAD 'x.so'",
    "CALL x()",
    "PREPARE p AS SELECT 1",
    "EXECUTE p",
    "DECLARE c CURSOR FOR SELECT * FROM patients",
    "BEGIN",
    "WITH t AS (DELETE FROM patients RETURNING *) SELECT COUNT(*) FROM t",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b25_tables_that_are_files_or_functions_and_other_statements() {
    all_refused(&B25).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b26_explain_and_describe() {
    all_refused(&[
        "EXPLAIN ANALYZE SELECT COUNT(*) FROM patients WHERE age = 42",
        "EXPLAIN SELECT COUNT(*) FROM patients",
        "EXPLAIN (ANALYZE, FORMAT JSON) SELECT COUNT(*) FROM patients",
        "EXPLAIN VERBOSE SELECT COUNT(*) FROM patients",
        "DESCRIBE patients",
        "DESC patients",
        "ANALYZE patients",
        "SUMMARIZE patients",
        "EXPLAIN QUERY PLAN SELECT COUNT(*) FROM patients",
    ])
    .await;
}

/// One statement, and one canonical form however it is written.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b28_statements_comments_and_letters() {
    let worlds = worlds().await;
    let refusals = [
        "SELECT 1; SELECT * FROM patients",
        "SELECT COUNT(*) FROM patients; SELECT COUNT(*) FROM patients",
        "SELECT COUNT(*) FROM patients; DROP TABLE patients",
        "; SELECT COUNT(*) FROM patients",
        "\u{ff33}\u{ff25}\u{ff2c}\u{ff25}\u{ff23}\u{ff34} COUNT(*) FROM patients",
        "SELECT COUNT(*) FROM \"PATIENTS\"",
        "SELECT COUNT(*) FROM \"patients \"",
        "SELECT COUNT(*) FROM p\u{0430}tients",
        "SELECT COUNT(*) FROM patients WHERE \u{ff41}ge = 42",
        "SELECT COUNT(*) FROM patients WHERE \"Age\" = 42",
        "SELECT COUNT(*) FROM patients WHERE age\u{0} = 42",
        "SELECT COUNT(*) FROM patients\u{0}",
        "SELECT COUNT(*) FROM patients WHERE age = 42 \u{202e}",
        "SELECT COUNT(*) FROM patients WHERE age = 42 /* \u{202e} ",
        "SELECT COUNT(*) FROM patients WHERE age = 42 /*",
        "SELECT COUNT(*) FROM patients WHERE dx = 'RARE1",
        "SELECT COUNT(*) FROM `patients`",
        "SELECT COUNT(*) FROM [patients]",
        "SELECT COUNT(*) FROM patients WHERE age = 0x2A",
        "SELECT COUNT(*) FROM patients WHERE age = \u{0664}\u{0662}",
        "SELECT COUNT(*) FROM patients WHERE dx = U&'\\0052ARE1'",
        "SELECT COUNT(*) FROM patients WHERE dx = X'5241524531'",
        "SELECT COUNT(*) FROM patients \\g",
        "\u{feff}SELECT COUNT(*) FROM patients",
        "SELECT COUNT(*) FROM patients\u{200b}",
        "SELECT COUNT(*) FROM pat\u{ad}ients",
        "SELECT COUNT(*) FROM patients WHERE age = 42\u{2028}AND 1 = 1",
    ];
    refused(&worlds, &refusals.map(|sql| (P, sql))).await;
    let spellings = [
        "SELECT COUNT(*) AS n FROM patients WHERE age = 42",
        "select count ( * ) n from PATIENTS where AGE=42",
        "SELECT/**/COUNT(*)/*; DROP TABLE patients */AS n FROM patients -- more\nWHERE age = 42;",
        "SELECT\n\tCOUNT(*) AS \"n\" FROM \"patients\" WHERE (\"age\" = 42.0)",
    ];
    let mut forms = std::collections::BTreeSet::new();
    for sql in spellings {
        let seen = previewed(&worlds, P, sql).await;
        forms.insert(
            seen.unwrap_or_else(|e| panic!("{sql}: {e:?}"))
                .canonical_sql,
        );
    }
    assert_eq!(forms.len(), 1, "{forms:?}");
    // That one form is what owners are shown and what is run, however it was written.
    let study = worlds.approved(P, &[ask("n", spellings[2], CENT)]).await;
    let study = study.unwrap();
    for site in worlds.sites() {
        let review = site.owner_client().await.unwrap().review(study.id()).await;
        assert!(forms.contains(&review.unwrap().releases[0].canonical_sql));
    }
    let told = worlds.run(&study, "n").await.unwrap();
    told.alike().unwrap().unwrap();
    for release in told.releases(&worlds).unwrap() {
        assert!(forms.contains(&release.canonical_sql));
    }
    worlds.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b30_whose_row_it_is_is_not_the_querys_to_say() {
    all_refused(&[
        "SELECT COUNT(*) FROM (SELECT 'x' AS subject_id, * EXCEPT(subject_id) FROM patients) t",
        "SELECT COUNT(*) FROM (SELECT 'x' AS subject_id, age FROM patients) t",
        "SELECT COUNT(*) FROM (SELECT note AS subject_id, age FROM patients) t",
        "SELECT COUNT(*) FROM (SELECT COALESCE(subject_id, 'x') AS subject_id FROM patients) t",
        "SELECT COUNT(*) FROM (SELECT UPPER(subject_id) AS subject_id FROM patients) t",
        "SELECT COUNT(*) FROM (SELECT subject_id AS s, note AS subject_id FROM patients) t",
        "SELECT COUNT(DISTINCT COALESCE(subject_id, note)) FROM patients",
        "SELECT COUNT(DISTINCT 'x') FROM patients",
        "SELECT COUNT(DISTINCT subject_id, age) FROM patients",
        "SELECT COUNT(DISTINCT UPPER(subject_id)) FROM patients",
        "SELECT COUNT(DISTINCT subject_id || 'x') FROM patients",
        "SELECT COUNT(*) FROM (SELECT 'x' AS subject_id, COUNT(*) AS n FROM patients GROUP BY 1) t",
        "WITH patients AS (SELECT 'x' AS subject_id FROM patients) SELECT COUNT(*) FROM patients",
        "SELECT COUNT(*) FROM patients AS t(subject_id, age)",
    ])
    .await;
}

/// What is computed from an aggregate is computed from its noisy value.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b37_arithmetic_over_aggregates_sees_noisy_values_only() {
    let worlds = worlds().await;
    let queries = [
        "SELECT ROUND(COUNT(*), -6) AS x FROM patients WHERE age = 42",
        "SELECT COUNT(*) > 0 AS x FROM patients WHERE age = 42",
        "SELECT CASE WHEN COUNT(*) = 0 THEN 1 ELSE 0 END AS x FROM patients WHERE age = 42",
        "SELECT SUM(income) / COUNT(*) AS x FROM patients WHERE age = 42",
        "SELECT COUNT(*) * 0 AS x FROM patients WHERE age = 42",
        "SELECT ABS(COUNT(*)) AS x FROM patients WHERE age = 42",
        "SELECT LEAST(COUNT(*), 1) AS x FROM patients WHERE age = 42",
        "SELECT COALESCE(SUM(income), 7) AS x FROM patients WHERE age = 42",
        "SELECT NULLIF(COUNT(*), 0) AS x FROM patients WHERE age = 42",
        "SELECT COUNT(*) - COUNT(*) AS x FROM patients WHERE age = 42",
    ];
    for releases in refused_or_released(&worlds, P, &queries).await {
        for release in releases {
            // Something was released with noise, and that is what the value follows from.
            assert!(!release.answer.shape().vectors.is_empty());
            assert!(release.answer.shape().vectors.iter().all(|v| v.sigma > 0));
        }
    }
    worlds.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b38_what_is_missing_is_defined() {
    let setup = Setup {
        epsilon: 20.0,
        ..Setup::default()
    };
    let worlds = Worlds::build(setup).await.unwrap();
    let all = released(
        &worlds,
        P,
        &[
            ("SELECT COUNT(bmi) AS n FROM patients", 2 * CENT),
            ("SELECT COUNT(*) AS n FROM patients", 2 * CENT),
            (
                "SELECT COUNT(*) AS n FROM patients WHERE bmi IS NULL",
                2 * CENT,
            ),
            (
                "SELECT SUM(bmi) AS s FROM patients WHERE bmi IS NULL",
                2 * CENT,
            ),
            (
                "SELECT AVG(bmi) AS a FROM patients WHERE bmi IS NULL",
                2 * CENT,
            ),
            (
                "SELECT COUNT(*) AS n FROM patients WHERE bmi IS NOT DISTINCT FROM NULL",
                2 * CENT,
            ),
            (
                "SELECT region, SUM(bmi) AS s FROM patients WHERE bmi <> bmi GROUP BY region",
                CENT,
            ),
        ],
    )
    .await;
    for releases in &all {
        for release in releases {
            let found = values(release, 0);
            // A number in every cell: none is missing because nobody is in it.
            assert_eq!(found.len(), release.answer.shape().cells());
            assert!(found.iter().all(|v| v.is_finite()), "{release:?}");
        }
    }
    // Sums of nothing are 0 and noise: bmi <> bmi is true of no row.
    for release in [&all[3], &all[6]].into_iter().flatten() {
        let sigma = release.answer.shape().vectors[0].sigma_in_units();
        let found = values(release, 0);
        assert!(found.iter().all(|v| v.abs() < 8.0 * sigma), "{found:?}");
    }
    let all = released(
        &worlds,
        P,
        &[(
            "SELECT COUNT(*) AS n FROM patients WHERE bmi <> bmi",
            2 * CENT,
        )],
    )
    .await;
    for release in &all[0] {
        let sigma = release.answer.shape().vectors[0].sigma_in_units();
        assert!(values(release, 0)[0].abs() < 8.0 * sigma);
    }
    refused_or_released(
        &worlds,
        P,
        &[
            "SELECT SUM(NULL) AS s FROM patients",
            "SELECT COUNT(NULL) AS n FROM patients",
            "SELECT AVG(CASE WHEN age < 0 THEN age END) AS a FROM patients",
            "SELECT COUNT(*) AS n FROM patients WHERE NULL",
            "SELECT COUNT(*) AS n FROM patients WHERE region IS NULL",
            "SELECT COUNT(*) AS n FROM patients WHERE NOT (bmi > 0)",
        ],
    )
    .await;
    worlds.stop().await;
}

/// Labels are the declared ones, whoever comes first in the file.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b40_categories_come_in_declared_order() {
    let worlds = worlds().await;
    let sql = "SELECT dx, sex, COUNT(*) AS n FROM patients WHERE age > 41 GROUP BY dx, sex";
    for release in &released(&worlds, P, &[(sql, CENT)]).await[0] {
        let keys = &release.answer.shape().keys;
        let expected: Vec<String> = (0..CODES - 1).map(|n| format!("D{n:02}")).collect();
        assert_eq!(keys[0].labels[..39], expected);
        assert_eq!(keys[1].labels, ["F", "M", "X"]);
    }
    worlds.stop().await;
}

/// A join is refused, or each person has at most ten rows in it and the noise is for all of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b15_joins_of_a_person_with_their_rows() {
    let worlds = worlds().await;
    let queries = [
        "SELECT SUM(p.income) AS s FROM patients p JOIN visits v USING (subject_id)",
        "SELECT SUM(p.income) AS s FROM patients p JOIN visits v ON p.subject_id = v.subject_id",
        "SELECT SUM(p.income) AS s FROM patients p LEFT JOIN visits v USING (subject_id)",
        "SELECT COUNT(*) AS s FROM patients p, visits v WHERE p.subject_id = v.subject_id",
        "SELECT COUNT(*) AS s FROM visits v JOIN patients p ON v.cost = p.income",
    ];
    refused(&worlds, &queries.map(|sql| (P, sql))).await;
    refused(&worlds, &queries.map(|sql| (V, sql))).await;
    worlds.stop().await;
}

/// The same person however their id is written; rows without one are left out, and raise nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b30_ids_are_normalised_once_and_rows_without_one_are_dropped() {
    const CLEAR: f64 = 480.0;
    let setup = Setup {
        epsilon: CLEAR,
        ..Setup::default()
    };
    let worlds = Worlds::build(setup).await.unwrap();
    let mut letters = obscura_tests::fixture::visits(World::Nobody);
    letters.description = letters.description.replace("\"visits", "\"letters");
    letters.file = "letters.csv".to_owned();
    let row = |id: &str| format!("{id},2020-01-01,50,north\n");
    letters.csv.extend(
        [
            "s0001", "S0001", " S0001 ", "s0001\t", "", " ", "NULL", "null",
        ]
        .map(row),
    );
    let one_more = ["s0042", "S0042 "].map(row).concat();
    for (site, more) in worlds
        .sites()
        .zip([one_more.as_str(), "", one_more.as_str()])
    {
        let mut letters = letters.clone();
        letters.csv.push_str(more);
        site.add(&letters).await.unwrap();
    }
    let sql = "SELECT COUNT(DISTINCT subject_id) AS n FROM letters";
    let rows = "SELECT COUNT(*) AS n FROM letters";
    let price = limit(CLEAR).largest_release().nano() / 2;
    let all = released(&worlds, "letters", &[(sql, price), (rows, price)]).await;
    // Two people with four rows and two, or one with four. Eight standard deviations.
    let expected = [[2.0, 6.0], [1.0, 4.0], [2.0, 6.0]];
    for (releases, place) in all.iter().zip([0, 1]) {
        for (release, expected) in releases.iter().zip(expected) {
            let (found, sigma) = (
                values(release, 0)[0],
                release.answer.shape().vectors[0].sigma_in_units(),
            );
            // So little noise that a fourth person would show.
            assert!(place == 1 || sigma < 0.12, "{sigma}");
            let far = (found - expected[place]).abs() / sigma;
            assert!(far < 8.0, "{found} for {expected:?}, sigma {sigma}");
        }
    }
    worlds.stop().await;
}

/// A dataset without rows answers in the same shape, and of the same length.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b42_nobody_at_all() {
    let setup = Setup {
        worlds: vec![World::Everybody, World::Nobody],
        ..Setup::default()
    };
    let worlds = Worlds::build(setup).await.unwrap();
    let queries = [
        ("SELECT COUNT(*) AS n FROM patients", CENT),
        (
            "SELECT region, AVG(bmi) AS a, SUM(income) AS s FROM patients GROUP BY region",
            CENT,
        ),
        (
            "SELECT COUNT(DISTINCT subject_id) AS n FROM patients WHERE dx IN ('D01')",
            CENT,
        ),
    ];
    for releases in released(&worlds, P, &queries).await {
        for release in releases {
            let cells = release.answer.shape().cells();
            assert_eq!(values(&release, 0).len(), cells);
        }
    }
    let visits = [("SELECT SUM(cost) AS s FROM visits", CENT)];
    released(&worlds, V, &visits).await;
    worlds.stop().await;
}
