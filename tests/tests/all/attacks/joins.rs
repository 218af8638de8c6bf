//! The same attacks on two tables of one dataset: what several rows, joins and values of one
//! person make possible.

use obscura_tests::fixture::{Setup, Worlds};

use super::limit;
use super::worlds::{refused, refused_or_released, released, values};

const C: &str = "clinic";

async fn clinic(epsilon: f64) -> Worlds {
    let setup = Setup {
        epsilon,
        ..Setup::default()
    };
    let worlds = Worlds::build(setup).await.unwrap();
    worlds.add_clinic().await.unwrap();
    worlds
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b11_b14_b18_b30_what_is_no_join_of_one_persons_rows() {
    let worlds = clinic(5.0).await;
    let queries = [
        "SELECT COUNT(*) FROM visits a JOIN visits b ON a.ward = b.ward",
        "SELECT COUNT(*) FROM visits a JOIN visits b ON a.day = b.day AND a.cost = b.cost",
        "SELECT COUNT(*) FROM visits a JOIN visits b USING (ward)",
        "SELECT COUNT(*) FROM visits a JOIN visits b USING (subject_id, ward)",
        "SELECT COUNT(*) FROM visits a, visits b",
        "SELECT COUNT(*) FROM visits a, visits b WHERE a.subject_id = b.subject_id",
        "SELECT COUNT(*) FROM visits a CROSS JOIN patients b",
        "SELECT COUNT(*) FROM visits NATURAL JOIN patients",
        "SELECT COUNT(*) FROM visits a JOIN patients b ON true",
        "SELECT COUNT(*) FROM visits a JOIN patients b ON a.subject_id = b.note",
        "SELECT COUNT(*) FROM visits a JOIN patients b ON NOT (a.subject_id = b.subject_id)",
        "SELECT COUNT(*) FROM visits a JOIN patients b ON a.subject_id = b.subject_id OR a.cost = 1",
        "SELECT COUNT(*) FROM visits a JOIN patients b ON a.subject_id = a.subject_id",
        "SELECT COUNT(*) FROM visits a JOIN patients b ON LOWER(a.subject_id) = b.subject_id",
        "SELECT COUNT(*) FROM visits a JOIN patients b ON a.subject_id >= b.subject_id",
        "SELECT COUNT(*) FROM visits a FULL JOIN patients b USING (subject_id)",
        "SELECT COUNT(*) FROM visits a RIGHT JOIN patients b USING (subject_id)",
        "SELECT COUNT(*) FROM visits a LEFT ANTI JOIN patients b USING (subject_id)",
        "SELECT COUNT(*) FROM patients WHERE subject_id IN (SELECT subject_id FROM visits)",
        "SELECT COUNT(*) FROM patients p WHERE EXISTS (SELECT 1 FROM visits v \
         WHERE v.subject_id = p.subject_id)",
        "SELECT COUNT(*) FROM patients p WHERE age > (SELECT AVG(cost) FROM visits)",
        "SELECT COUNT(*) FROM (SELECT subject_id FROM visits LIMIT 1) t",
        "SELECT COUNT(*) FROM (SELECT subject_id, cost FROM visits ORDER BY cost LIMIT 9) t",
        "SELECT COUNT(*) FROM (SELECT DISTINCT ward FROM visits) t",
        "SELECT COUNT(*) FROM (SELECT ward, COUNT(*) AS n FROM visits GROUP BY ward) t",
        "SELECT COUNT(*) FROM (SELECT COUNT(*) AS n FROM visits) t",
        "SELECT COUNT(*) FROM (SELECT subject_id, day, COUNT(*) AS n FROM visits \
         GROUP BY subject_id, day) t",
        "SELECT COUNT(*) FROM (SELECT subject_id, SUM(cost) OVER (ORDER BY day) AS s FROM visits) t",
        "SELECT COUNT(*) FROM (SELECT ward AS subject_id, cost FROM visits) t \
         JOIN patients USING (subject_id)",
        "SELECT COUNT(*) FROM (SELECT 'S0042' AS subject_id, cost FROM visits) t \
         JOIN patients USING (subject_id)",
        "SELECT COUNT(*) FROM (SELECT subject_id AS other, cost FROM visits) t",
        "SELECT COUNT(*) FROM (SELECT subject_id, subject_id AS s FROM visits) t WHERE s = 'S0042'",
        "SELECT COUNT(*) FROM (SELECT subject_id, MAX(subject_id) AS s FROM visits \
         GROUP BY subject_id) t",
        "SELECT COUNT(*) FROM (SELECT subject_id, SUM(cost) AS s FROM visits) t",
        "SELECT t.subject_id, COUNT(*) FROM (SELECT subject_id FROM visits) t GROUP BY t.subject_id",
        "SELECT MAX(t.s) FROM (SELECT subject_id, MAX(cost) AS s FROM visits GROUP BY subject_id) t",
        "WITH RECURSIVE t AS (SELECT subject_id FROM visits UNION ALL SELECT subject_id FROM t) \
         SELECT COUNT(*) FROM t",
        "WITH visits AS (SELECT subject_id, 0 AS cost FROM patients) SELECT SUM(cost) FROM visits",
        "WITH a AS (SELECT subject_id FROM b), b AS (SELECT subject_id FROM a) \
         SELECT COUNT(*) FROM a",
        "SELECT COUNT(*) FROM clinic",
        "SELECT COUNT(*) FROM clinic.patients",
        "SELECT SUM(cost) FROM patients",
        "SELECT COUNT(*) FROM visits a JOIN visits a USING (subject_id)",
        "SELECT SUM(cost) FROM visits a JOIN visits b USING (subject_id)",
    ];
    refused(&worlds, &queries.map(|sql| (C, sql))).await;
    worlds.stop().await;
}

/// B15, A18: the noise is for every row that one person can have after the join, and no more rows
/// than that are taken of S0042's 500.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b15_a_join_is_for_all_rows_that_a_person_can_have() {
    let worlds = clinic(480.0).await;
    let price = limit(480.0).largest_release().nano() / 2;
    let joined = "SELECT COUNT(*) AS n FROM patients p JOIN visits v USING (subject_id) \
                  WHERE v.cost >= 5000";
    let each = "SELECT SUM(t.n) AS s FROM (SELECT subject_id, COUNT(*) AS n FROM visits \
                WHERE cost >= 5000 GROUP BY subject_id) t";
    let total = "SELECT SUM(t.s) AS s FROM (SELECT subject_id, SUM(cost) AS s FROM visits \
                 WHERE cost >= 5000 GROUP BY subject_id) AS t";
    let pairs = "SELECT COUNT(*) AS n FROM visits a JOIN visits b \
                 ON a.subject_id = b.subject_id AND a.cost = b.cost WHERE a.cost >= 5000";
    let income = "SELECT SUM(p.income) AS s FROM patients p JOIN visits v USING (subject_id) \
                  WHERE v.cost >= 5000";
    let cases = [
        (joined, 10.0, [10.0, 0.0, 1.0]),
        (each, 10.0, [10.0, 0.0, 1.0]),
        (total, 500_000.0, [500_000.0, 0.0, 50_000.0]),
        (pairs, 100.0, [100.0, 0.0, 1.0]),
        (income, 1e7, [1e7, 0.0, 0.0]),
    ];
    for (sql, clip, expected) in cases {
        let releases = released(&worlds, C, &[(sql, price)]).await;
        for (release, expected) in releases[0].iter().zip(expected) {
            let vector = &release.answer.shape().vectors[0];
            let norm = (vector.clip_squared as f64).sqrt() * vector.step();
            assert!((clip..clip * 1.001).contains(&norm), "{sql}: {norm}");
            let (value, sigma) = (values(release, 0)[0], vector.sigma_in_units());
            let far = (value - expected).abs() / sigma;
            assert!(far < 8.0, "{sql}: {value} for {expected}, sigma {sigma}");
        }
    }
    worlds.stop().await;
}

/// The same with groups: ten joined rows at most over all of them, however they are spread.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b15_joined_rows_are_cut_once_and_not_in_each_group() {
    let worlds = clinic(480.0).await;
    let price = limit(480.0).largest_release().nano() / 2;
    let joined = "SELECT DATE_TRUNC('month', v.day) AS m, COUNT(*) AS n FROM patients p \
                  JOIN visits v USING (subject_id) WHERE v.cost >= 5000 \
                  GROUP BY DATE_TRUNC('month', v.day)";
    let dear = "SELECT DATE_TRUNC('month', v.day) AS m, SUM(p.income) AS s FROM patients p \
                JOIN visits v USING (subject_id) WHERE v.cost >= 5000 \
                GROUP BY DATE_TRUNC('month', v.day)";
    let cases = [
        (joined, 1.0, [10.0, 0.0, 1.0]),
        (dear, 1e6, [10.0, 0.0, 0.0]),
    ];
    for (sql, unit, expected) in cases {
        let (mut sums, mut most) = ([0.0; 3], 0.0);
        for _ in 0..4 {
            let releases = released(&worlds, C, &[(sql, price / 2)]).await;
            for (sum, release) in sums.iter_mut().zip(&releases[0]) {
                let vector = &release.answer.shape().vectors[0];
                let norm = (vector.clip_squared as f64).sqrt() * vector.step() / unit;
                assert!((10.0..10.01).contains(&norm), "{sql}: {norm}");
                let found = values(release, 0);
                *sum += found.iter().sum::<f64>() / unit / 4.0;
                // Five and a half standard deviations of the mean of four sums: once in 10^7.
                most = 5.5 * vector.sigma_in_units() / unit * (found.len() as f64 / 4.0).sqrt();
            }
        }
        // Five hundred rows in twelve months have a sum of 34 when cut to the norm alone.
        assert!(most < 20.0, "{sql}: {most}");
        for (sum, expected) in sums.iter().zip(expected) {
            assert!((sum - expected).abs() < most, "{sql}: {sums:?}");
        }
    }
    worlds.stop().await;
}

/// Whatever is accepted runs in every world, whoever is there and whatever their rows are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c01_c02_nothing_inside_a_subquery_fails() {
    let worlds = clinic(100.0).await;
    let queries = [
        "SELECT region, AVG(t.s) AS a FROM patients JOIN (SELECT subject_id, SUM(cost) AS s \
         FROM visits GROUP BY subject_id) t USING (subject_id) GROUP BY region",
        "SELECT COUNT(*) AS n FROM patients LEFT JOIN visits USING (subject_id) WHERE cost IS NULL",
        "SELECT COUNT(*) AS n FROM patients p LEFT JOIN visits v \
         ON p.subject_id = v.subject_id AND 1 / (p.age - 42) > 0",
        "SELECT COUNT(*) AS n FROM patients p LEFT JOIN visits v \
         ON p.subject_id = v.subject_id AND v.cost % (p.age - 42) = 0 WHERE v.cost > 1",
        "SELECT SUM(t.q) AS s FROM (SELECT subject_id, LEAST(GREATEST(1 / (age - 42), 0), 5) AS q \
         FROM patients) t",
        "SELECT COUNT(*) AS n FROM (SELECT subject_id, SUM(cost) AS s, COUNT(*) AS n FROM visits \
         GROUP BY subject_id HAVING COUNT(*) > 9) t WHERE t.s / (t.n - 10) IS NULL",
        "SELECT COUNT(*) AS n FROM (SELECT subject_id, AVG(cost) AS a FROM visits \
         WHERE 1 / (cost - 50000) < 0 GROUP BY subject_id) t",
        "SELECT COUNT(*) AS n FROM (SELECT subject_id, MIN(day) AS d FROM visits \
         GROUP BY subject_id) t WHERE t.d IS NOT NULL",
        "SELECT COUNT(*) AS n FROM (SELECT subject_id, MAX(ward) AS w FROM visits \
         GROUP BY subject_id) t WHERE t.w IS NOT NULL",
        "SELECT COUNT(*) AS n FROM (SELECT subject_id, ward AS w FROM visits) t WHERE t.w IS NULL",
        "SELECT COUNT(*) AS n FROM (SELECT subject_id, LOWER(note) AS w FROM patients) t \
         WHERE t.w = '('",
        "SELECT COUNT(*) AS n FROM (SELECT subject_id, note || ward AS w FROM patients \
         JOIN visits USING (subject_id)) t WHERE t.w LIKE '(%'",
        "SELECT COUNT(*) AS n FROM (SELECT subject_id, dx AS d FROM patients) t WHERE t.d = 'RARE1'",
        "SELECT t.d, COUNT(*) AS n FROM (SELECT subject_id, dx AS d FROM patients) t GROUP BY t.d",
        "SELECT COUNT(*) AS n FROM (SELECT subject_id, age > 41 AS b FROM patients) t WHERE t.b",
        "SELECT COUNT(*) AS n FROM (SELECT subject_id, NULL AS b FROM patients) t \
         WHERE t.b IS NULL",
        "SELECT COUNT(*) AS n FROM (SELECT subject_id, CAST(note AS BIGINT) AS b FROM patients) t \
         WHERE t.b IS NULL",
        "SELECT COUNT(*) AS n FROM (SELECT subject_id, DATE '2020-01-01' AS b FROM patients) t \
         WHERE t.b IS NULL",
        "SELECT COUNT(*) AS n FROM (SELECT subject_id, day + cost AS b FROM visits) t \
         WHERE t.b > DATE '2020-06-01'",
        "SELECT COUNT(*) AS n FROM (SELECT subject_id, COUNT(DISTINCT ward) AS b FROM visits \
         GROUP BY subject_id) t WHERE t.b > 2",
        "SELECT COUNT(*) AS n FROM (SELECT subject_id, BOOL_OR(cost / 0 > 1) AS b FROM visits \
         GROUP BY subject_id) t WHERE t.b IS NULL",
        "SELECT CASE WHEN v.cost IS NULL THEN 'none' ELSE 'some' END AS k, COUNT(*) AS n \
         FROM patients p LEFT JOIN visits v ON p.subject_id = v.subject_id AND v.cost > 4000 \
         GROUP BY CASE WHEN v.cost IS NULL THEN 'none' ELSE 'some' END",
        "WITH w AS (SELECT subject_id, SUM(cost) AS s FROM visits GROUP BY subject_id) \
         SELECT COUNT(*) AS n FROM w a JOIN w b USING (subject_id) WHERE a.s = b.s",
        "SELECT COUNT(*) AS n FROM (SELECT subject_id FROM patients WHERE age < 0) t \
         LEFT JOIN visits v USING (subject_id)",
        "SELECT COUNT(*) AS n FROM patients p LEFT JOIN (SELECT subject_id, note FROM patients \
         WHERE age < 0) t USING (subject_id) WHERE t.note IS NULL",
    ];
    let made = refused_or_released(&worlds, C, &queries).await;
    for release in made.iter().flatten() {
        let outputs = release.answer.shape().outputs.len();
        assert!((0..outputs).all(|o| values(release, o).iter().all(|v| v.is_finite())));
    }
    // Most of it is in the language.
    assert!(made.len() > 10, "only {} were released", made.len());
    worlds.stop().await;
}
