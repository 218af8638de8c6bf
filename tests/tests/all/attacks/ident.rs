//! IDENT for every kind of answer: under standing grants, with more vectors, with suppressed cells,
//! and with keys that nobody declared. What the other files of the suite ask is of the plain kind.

use std::collections::BTreeSet;

use obscura_client::model::exposure::Mode;
use obscura_client::model::ids::GrantId;
use obscura_client::model::release::Completeness;
use obscura_client::model::study::ReleaseOptions;
use obscura_tests::cluster::{Ask, ask};
use obscura_tests::fixture::{Setup, Worlds, reasons, ruled};
use tonic::Code;

use super::limit;
use super::worlds::{CENT, made, meter, released_with, values, worlds};

const P: &str = "patients";
const V: &str = "visits";

const BOTH: ReleaseOptions = ReleaseOptions {
    require_complete: false,
    coverage: true,
    count_clipped: true,
};

fn with(options: ReleaseOptions, sql: &str, nano: u64) -> Ask {
    Ask {
        options,
        ..ask("n", sql, nano)
    }
}

/// Refused under a grant with the same bytes in all worlds, and nothing is added.
async fn refused(worlds: &Worlds, grant: GrantId, asked: &Ask) -> (Code, String) {
    let before = worlds.alike().await.unwrap();
    let told = worlds.ask(grant, P, asked).await.unwrap();
    let refused = told.alike().unwrap().expect_err(&asked.sql);
    worlds.alike().await.unwrap().like(&before).unwrap();
    refused
}

/// Whoever is there: what a grant gives, what it refuses, and what it has left are the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_grant_gives_is_alike_whoever_is_there() {
    let worlds = worlds().await;
    let grant = worlds.granted(P, &["age", "dx", "bmi"], (2.5, 6)).await;
    let grant = grant.unwrap();
    let age = "SELECT COUNT(*) AS n FROM patients WHERE age = 42";
    let complete = ReleaseOptions::PROPOSED;
    let asks = [
        ask("n", age, CENT),
        ask(
            "n",
            "SELECT dx, COUNT(*) AS n FROM patients GROUP BY dx",
            CENT,
        ),
        ask(
            "n",
            "SELECT AVG(bmi) AS a FROM patients WHERE dx = 'RARE1'",
            CENT,
        ),
        with(
            BOTH,
            "SELECT SUM(age) AS s, STDDEV(bmi) AS d FROM patients",
            CENT,
        ),
        with(
            complete,
            "SELECT MEDIAN(age) AS m FROM patients WHERE bmi > 59",
            CENT,
        ),
    ];
    for asked in &asks {
        let before = meter(&worlds);
        let told = worlds.ask(grant, P, asked).await.unwrap();
        made(&worlds, &told, before, &asked.sql);
        worlds.alike().await.unwrap();
    }
    // Refused for the text, a column, an unknown grant, the largest share, and the total.
    let income = ask("n", "SELECT SUM(income) AS s FROM patients", CENT);
    let (code, text) = refused(&worlds, grant, &income).await;
    assert_eq!(code, Code::FailedPrecondition, "{text}");
    assert!(text.contains("income"), "{text}");
    let raw = ask("n", "SELECT note FROM patients WHERE age = 42", CENT);
    assert_eq!(refused(&worlds, grant, &raw).await.0, Code::InvalidArgument);
    let other = GrantId::from_parts(1_700_000_000_000, [9; 10]);
    assert_eq!(refused(&worlds, other, &asks[0]).await.0, Code::NotFound);
    let room = limit(5.0).largest_release().nano();
    for nano in [2 * room, limit(2.5).rho().nano()] {
        let (code, text) = refused(&worlds, grant, &ask("n", age, nano)).await;
        assert!(
            matches!(code, Code::FailedPrecondition | Code::InvalidArgument),
            "{text}"
        );
    }
    // The last of six, and none after it.
    let told = worlds.ask(grant, P, &asks[0]).await.unwrap();
    told.alike().unwrap().unwrap();
    let (code, text) = refused(&worlds, grant, &asks[0]).await;
    assert_eq!(code, Code::FailedPrecondition, "{text}");
    worlds.stop().await;
}

/// S0042 is the only one who is cut, and the only one whose exposure runs out: neither the
/// coverage, nor the number of people cut, nor anything beside them says so but by noisy numbers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn coverage_and_the_number_of_people_cut_are_noisy_numbers_like_any_other() {
    const EPSILON: f64 = 300.0;
    let setup = Setup {
        epsilon: EPSILON,
        ..Setup::default()
    };
    let worlds = Worlds::build(setup).await.unwrap();
    let price = limit(EPSILON).rho().nano() / 5;
    let sql = "SELECT SUM(cost) AS s FROM visits WHERE cost >= 5000";
    let (mut cut, mut deviation) = ([0.0; 3], 0.0);
    for round in 1..=7 {
        let all = released_with(&worlds, V, &[with(BOTH, sql, price)]).await;
        for (world, release) in all[0].iter().enumerate() {
            let vectors = &release.answer.shape().vectors;
            assert_eq!(vectors.len(), 3, "{vectors:?}");
            let people = release.answer.values()[2][0] as f64 * vectors[2].step();
            deviation = vectors[2].sigma_in_units();
            // One person more or less; more of seven standard deviations: once in 10^11.
            assert!(people.abs() < 1.0 + 7.0 * deviation, "{people}");
            cut[world] += if round <= 5 { people / 5.0 } else { 0.0 };
            let expected = match round {
                1..=5 => Completeness::NobodyDropped,
                _ => Completeness::SubjectsMayBeMissing,
            };
            assert_eq!(release.completeness, expected);
        }
    }
    // The mean of five has this deviation; five of them are less than half a person.
    deviation /= 5f64.sqrt();
    assert!(5.0 * deviation < 0.5, "{deviation}");
    for (cut, expected) in cut.iter().zip([1.0, 0.0, 0.0]) {
        assert!((cut - expected).abs() < 0.5, "{cut} for {expected}");
    }
    worlds.stop().await;
}

/// Which cells are suppressed follows from noisy numbers: it differs from world to world and from
/// run to run, and nothing else does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn suppressed_cells_are_marked_at_equal_lengths() {
    let worlds = worlds().await;
    worlds.add(ruled).await.unwrap();
    let queries = [
        "SELECT dx, sex, COUNT(DISTINCT subject_id) AS n FROM ruled GROUP BY dx, sex",
        "SELECT dx, AVG(bmi) AS a, COUNT(*) AS n FROM ruled GROUP BY dx",
        "SELECT SUM(income) AS s FROM ruled WHERE age = 42",
        "SELECT region, MEDIAN(age) AS m FROM ruled WHERE bmi > 58 GROUP BY region",
        "SELECT dx, SUM(income) AS s FROM ruled WHERE age < 0 GROUP BY dx \
         HAVING SUM(income) > 0 ORDER BY s LIMIT 3",
    ];
    let mut marks = BTreeSet::new();
    for options in [ReleaseOptions::NONE, BOTH] {
        let asks = queries.map(|sql| with(options, sql, 2 * CENT));
        for (asked, releases) in asks
            .iter()
            .zip(released_with(&worlds, "ruled", &asks).await)
        {
            for release in releases {
                let (shape, answer) = (release.answer.shape(), &release.answer);
                let hidden = answer.suppressed_cells();
                assert_eq!(hidden.len(), shape.cells(), "{}", asked.sql);
                for (cell, hidden) in hidden.iter().enumerate() {
                    // A suppressed cell is missing; and its numbers are not there either.
                    let missing = answer.estimate(0, cell).unwrap().value.is_nan();
                    assert!(!hidden || missing, "{}", asked.sql);
                    for (vector, numbers) in shape.vectors.iter().zip(answer.values()) {
                        let at = vector.place(cell, 0);
                        assert!(!hidden || !vector.grouped || numbers[at] == 0);
                    }
                }
                marks.insert((asked.sql.clone(), hidden.to_vec()));
            }
        }
    }
    // The test would be void if all of them were marked alike.
    assert!(
        marks.len() > queries.len(),
        "{} different marks",
        marks.len()
    );
    worlds.stop().await;
}

/// S0042 alone has the reason ZZ, or in D'' YY. It is not shown, what is shown depends on noisy
/// numbers, and the length of the answer on neither.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_nobody_declared_come_at_equal_lengths_and_never_from_one_person() {
    const EPSILON: f64 = 20.0;
    let setup = Setup {
        epsilon: EPSILON,
        ..Setup::default()
    };
    let worlds = Worlds::build(setup).await.unwrap();
    worlds.add(reasons).await.unwrap();
    let sql = "SELECT reason, COUNT(DISTINCT subject_id) AS n, SUM(paid) AS s FROM reasons \
               GROUP BY reason";
    let rarest = "SELECT reason, COUNT(DISTINCT subject_id) AS n FROM reasons WHERE paid = 100 \
                  GROUP BY reason";
    // Without room of delta: refused alike.
    let study = worlds.approved("reasons", &[ask("n", sql, CENT)]).await;
    let told = worlds.run(&study.unwrap(), "n").await.unwrap();
    let (code, text) = told.alike().unwrap().unwrap_err();
    assert_eq!(code, Code::FailedPrecondition, "{text}");
    assert!(text.contains("keys that are not declared"), "{text}");
    let room = (EPSILON, Mode::Protect);
    worlds.room_for_keys(room, 1e-7).await.unwrap();
    let price = limit(EPSILON).rho().nano() / 24;
    let mut sets = BTreeSet::new();
    for round in 0..4 {
        let options = if round % 2 == 0 {
            ReleaseOptions::NONE
        } else {
            BOTH
        };
        let asks = [sql, rarest].map(|sql| with(options, sql, price));
        let all = released_with(&worlds, "reasons", &asks).await;
        for release in all.iter().flatten() {
            let found = release.answer.found();
            assert!(
                !found.iter().any(|key| key == "ZZ" || key == "YY"),
                "{found:?}"
            );
            // Unused places are missing.
            let shown = values(release, 0).into_iter().filter(|v| v.is_finite());
            assert_eq!(shown.count(), found.len());
        }
        for release in &all[0] {
            let found = release.answer.found().to_vec();
            assert!(found.len() > 15 && found.len() < 50, "{found:?}");
            sets.insert(found);
        }
        assert!(
            all[1]
                .iter()
                .all(|release| release.answer.found().is_empty())
        );
    }
    // The test would be void if the same keys were found everywhere.
    assert!(sets.len() > 4, "{} different sets of keys", sets.len());
    worlds.stop().await;
}
