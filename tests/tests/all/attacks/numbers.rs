//! Section A: numbers and noise. A12, A14 and A19 are in `requests`, A17 in `noise`.

use std::collections::BTreeSet;

use obscura_client::model::exposure::Mode;
use obscura_client::model::release::Release;
use obscura_tests::cluster::ask;
use obscura_tests::data::Dataset;
use obscura_tests::fixture::{Setup, World, Worlds};

use super::limit;
use super::worlds::{
    CENT, meter, previewed, refused_once, refused_or_released, released, values, worlds,
};
use crate::support::outcome;

const P: &str = "patients";

/// So large a limit that an eighth of it leaves hardly any noise: what was summed can be read.
const CLEAR: f64 = 480.0;

async fn clear() -> (Worlds, u64) {
    let setup = Setup {
        epsilon: CLEAR,
        ..Setup::default()
    };
    let price = limit(CLEAR).largest_release().nano() / 2;
    (Worlds::build(setup).await.unwrap(), price)
}

/// The values of the first output in the first cell, one a world, with the noise's deviation.
fn first(releases: &[Release]) -> Vec<(f64, f64)> {
    let one = |r: &Release| {
        let sigma = r.answer.shape().vectors[0].sigma_in_units();
        (values(r, 0)[0], sigma)
    };
    releases.iter().map(one).collect()
}

/// Eight standard deviations: a false alarm once in 10^15.
fn about(found: &[(f64, f64)], expected: &[f64], what: &str) {
    for ((value, sigma), expected) in found.iter().zip(expected) {
        assert!(
            (value - expected).abs() < 8.0 * sigma,
            "{what}: {value} for {expected}, sigma {sigma}"
        );
    }
}

/// 10,285 numbers of each kind in each world. On the public grid every place is as likely as any
/// other in every world, also in the cell that only S0042 is in: a chi-squared test with 15 degrees
/// of freedom exceeds 57 once in a million; four tests in all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a01_every_number_lies_on_one_grid_wherever_the_truth_lies() {
    const RUNS: u32 = 85;
    let setup = Setup {
        worlds: vec![World::Everybody, World::Without],
        epsilon: 20.0,
        ..Setup::default()
    };
    let worlds = Worlds::build(setup).await.unwrap();
    let sql = "SELECT age, COUNT(*) AS n, SUM(income) AS s FROM patients GROUP BY age";
    let study = worlds.approved(P, &[ask("n", sql, CENT).times(RUNS)]).await;
    let study = study.unwrap();
    let mut places = vec![vec![[0u32; 16]; 2]; 2];
    let mut of_42: Vec<BTreeSet<i64>> = vec![BTreeSet::new(); 2];
    for _ in 0..RUNS {
        let told = worlds.run(&study, "n").await.unwrap();
        told.alike().unwrap().unwrap();
        for (world, release) in told.releases(&worlds).unwrap().iter().enumerate() {
            for (vector, numbers) in release.answer.values().iter().enumerate() {
                assert!(release.answer.shape().vectors[vector].sigma > 1_000);
                for number in numbers {
                    places[world][vector][number.rem_euclid(16) as usize] += 1;
                }
                of_42[world].insert(numbers[42].rem_euclid(16));
            }
        }
    }
    for count in places.iter().flatten() {
        let expected = f64::from(count.iter().sum::<u32>()) / 16.0;
        assert!(expected * 16.0 > 10_000.0);
        let terms = count.iter().map(|n| (f64::from(*n) - expected).powi(2));
        let chi = terms.sum::<f64>() / expected;
        assert!(chi < 57.0, "{chi}: {count:?}");
    }
    // 170 draws of 16 places miss one with a probability of 16 (15/16)^170 < 3e-4.
    assert!(of_42.iter().all(|seen| seen.len() >= 14), "{of_42:?}");
    worlds.stop().await;
}

/// One numeric column with these bounds and values, one row a person.
fn column(name: &str, kind: &str, bounds: &str, values: &[&str]) -> Dataset {
    let description = format!(
        "name = \"{name}\"\ntitle = \"{name}\"\nsource = \"{name}.csv\"\nsubject = \"subject_id\"\n\
         subject_unit = \"person\"\nmost_rows_per_subject = 1\nsubjects = [1, 3000]\ndelta = 1e-6\n\
         [[column]]\nname = \"x\"\ntype = \"{kind}\"\n{bounds}\nmeaning = \"invented\"\n\
         bounds_from = \"design\"\n"
    );
    let mut csv = "subject_id,x\n".to_owned();
    for (number, value) in values.iter().enumerate() {
        csv.push_str(&format!("T{number},{value}\n"));
    }
    Dataset {
        description,
        csv,
        file: format!("{name}.csv"),
        name: name.to_owned(),
    }
}

/// Four people with 2^62 each, and a neighbour with three: never a wrapped, saturated or failing
/// sum.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a04_sums_that_would_not_fit() {
    let (worlds, _) = clear().await;
    let most = "4611686018427387904";
    let whole = column(
        "whole",
        "integer",
        "lowest = 0\nhighest = 4611686018427387904",
        &[most],
    );
    let wide = "lowest = 0\nhighest = 4611686018427387904.0";
    for (site, people) in worlds.sites().zip([4, 3, 3]) {
        let refused = site.add(&whole).await.unwrap_err();
        assert!(format!("{refused:#}").contains("2^53"), "{refused:#}");
        site.add(&column("wide", "number", wide, &[most].repeat(people)))
            .await
            .unwrap();
    }
    let sums = ["SELECT SUM(x) AS s FROM wide"];
    for releases in refused_or_released(&worlds, "wide", &sums).await {
        let two_62 = 2f64.powi(62);
        about(
            &first(&releases),
            &[4.0 * two_62, 3.0 * two_62, 3.0 * two_62],
            "sum",
        );
    }
    for sql in [
        "SELECT SUM(x * x * x * x * x * x * x * x * x * x * x * x * x * x * x * x * x) AS s FROM wide",
        "SELECT SUM(x / (x - 5)) AS s FROM wide",
        "SELECT AVG(x * 1e300) AS s FROM wide",
        "SELECT SUM(x * 1e308 * 10) AS s FROM wide",
    ] {
        refused_once(&worlds, "wide", sql).await;
    }
    worlds.stop().await;
}

/// NaN is missing, infinity and the largest integer are at the bound, -0.0 is a number below it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a08_a09_what_is_no_number_is_missing_and_infinity_is_at_the_bound() {
    let (worlds, price) = clear().await;
    let cases = [
        (
            "SELECT COUNT(*) AS n FROM patients",
            [2000.0, 1999.0, 2000.0],
        ),
        (
            "SELECT COUNT(bmi) AS n FROM patients",
            [1998.0, 1997.0, 1997.0],
        ),
        (
            "SELECT COUNT(*) AS n FROM patients WHERE bmi = 60",
            [1.0; 3],
        ),
        (
            "SELECT COUNT(*) AS n FROM patients WHERE bmi = 10",
            [1.0; 3],
        ),
        (
            "SELECT COUNT(*) AS n FROM patients WHERE income = 1000000",
            [2.0, 1.0, 1.0],
        ),
    ];
    for (sql, expected) in cases {
        let releases = released(&worlds, P, &[(sql, price)]).await;
        about(&first(&releases[0]), &expected, sql);
    }
    let all = released(
        &worlds,
        P,
        &[
            ("SELECT SUM(bmi) AS s FROM patients", price),
            ("SELECT AVG(bmi) AS a FROM patients", price),
        ],
    )
    .await;
    for (sum, average) in all[0].iter().zip(&all[1]) {
        let (sum, average) = (values(sum, 0)[0], values(average, 0)[0]);
        assert!((20_000.0..120_000.0).contains(&sum), "{sum}");
        assert!((20.0..40.0).contains(&average), "{average}");
    }
    worlds.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a11_bounds_that_are_none() {
    let which = [World::Everybody, World::Without];
    let setup = Setup {
        worlds: which.to_vec(),
        ..Setup::default()
    };
    let worlds = Worlds::build(setup).await.unwrap();
    for (number, bounds) in [
        "lowest = 60\nhighest = 10",
        "lowest = nan\nhighest = 60",
        "lowest = 10\nhighest = nan",
        "lowest = -inf\nhighest = inf",
        "lowest = 10\nhighest = inf",
        "lowest = 1e308\nhighest = -1e308",
        "lowest = 10",
        "",
    ]
    .iter()
    .enumerate()
    {
        for kind in ["integer", "number"] {
            let name = format!("odd{number}{kind}");
            let mut told = Vec::new();
            for (site, world) in worlds.sites().zip(which) {
                // S0042's value fits no column.
                let rows: &[&str] = match world {
                    World::Everybody => &["1", "RARE1"],
                    _ => &["1"],
                };
                let refused = site.add(&column(&name, kind, bounds, rows)).await;
                told.push(format!("{:#}", refused.expect_err(bounds)));
            }
            assert_eq!(told[0], told[1], "{bounds}");
            assert!(!told[0].contains("RARE1"), "{}", told[0]);
            // By a sentence about them, and not by whatever stumbles over them later.
            assert!(told[0].contains("lowest"), "{bounds}: {}", told[0]);
        }
    }
    let point = column(
        "point",
        "number",
        "lowest = 0\nhighest = 0",
        &["1", "-1", "nan"],
    );
    let mut taken = Vec::new();
    for site in worlds.sites() {
        taken.push(site.add(&point).await.map_err(|e| format!("{e:#}")));
    }
    assert_eq!(taken[0], taken[1]);
    if taken[0].is_ok() {
        let sums = [
            "SELECT SUM(x) AS s FROM point",
            "SELECT AVG(x) AS s FROM point",
        ];
        for releases in refused_or_released(&worlds, "point", &sums).await {
            for value in values(&releases[0], 0) {
                assert!(value.is_finite());
            }
        }
    }
    // Bounds that a query makes.
    let clips = [
        "SELECT SUM(LEAST(GREATEST(bmi, 60), 10)) AS s FROM patients",
        "SELECT SUM(LEAST(bmi, 1e309)) AS s FROM patients",
        "SELECT SUM(LEAST(bmi, NULL)) AS s FROM patients",
        "SELECT SUM(LEAST(bmi, -1e308) * 10) AS s FROM patients",
        "SELECT SUM(bmi * 0) AS s FROM patients",
        "SELECT AVG(bmi - bmi) AS s FROM patients",
    ];
    refused_or_released(&worlds, P, &clips).await;
    worlds.stop().await;
}

/// Two nodes from one copied folder, on the same rows, asked the same: other noise. And a request
/// that is asked under a new id has other noise at the same node.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a16_a_copied_node_draws_other_noise() {
    let setup = Setup {
        worlds: vec![World::Everybody; 2],
        ..Setup::default()
    };
    let worlds = Worlds::build(setup).await.unwrap();
    let sql = "SELECT age, COUNT(*) AS n FROM patients GROUP BY age";
    let study = worlds.approved(P, &[ask("n", sql, CENT).times(2)]).await;
    let study = study.unwrap();
    let mut drawn = Vec::new();
    for _ in 0..2 {
        let told = worlds.run(&study, "n").await.unwrap();
        told.alike().unwrap().unwrap();
        for release in told.releases(&worlds).unwrap() {
            drawn.push(release.answer.values()[0].clone());
        }
    }
    // Sigma is over 7,000 steps: that two of 121 cells agree has a probability below one in 100,
    // and that five of one pair do is below 1e-9.
    for (i, one) in drawn.iter().enumerate() {
        for other in &drawn[..i] {
            let equal = one.iter().zip(other).filter(|(a, b)| a == b).count();
            assert!(equal < 5, "{equal} of 121 numbers are the same");
        }
    }
    worlds.stop().await;
}

/// The noise is for ten rows of 50,000, and S0042's 500 rows are cut to ten.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a18_sensitivity_is_a_subjects_and_rows_beyond_the_most_do_not_count() {
    let (worlds, price) = clear().await;
    let sql = "SELECT SUM(cost) AS s FROM visits WHERE cost >= 5000";
    let releases = released(&worlds, "visits", &[(sql, price)]).await;
    for release in &releases[0] {
        let vector = &release.answer.shape().vectors[0];
        let clip = (vector.clip_squared as f64).sqrt() * vector.step();
        assert!((500_000.0..500_001.0).contains(&clip), "{clip}");
        let sigma = clip / (2.0 * release.price.nano() as f64 / 1e9).sqrt();
        assert!((vector.sigma_in_units() / sigma - 1.0).abs() < 1e-3);
    }
    about(
        &first(&releases[0]),
        &[500_000.0, 0.0, 50_000.0],
        "S0042 alone",
    );
    let rows = "SELECT COUNT(*) AS n FROM visits WHERE cost >= 5000";
    let releases = released(&worlds, "visits", &[(rows, price)]).await;
    about(&first(&releases[0]), &[10.0, 0.0, 1.0], "S0042's rows");
    worlds.stop().await;
}

/// Spread over groups, S0042's 500 rows are ten all the same: not ten in each group, and in no
/// group nor in all of them together more than the noise is for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a18_rows_beyond_the_most_do_not_count_in_other_groups_either() {
    let (worlds, price) = clear().await;
    let by_month = "SELECT DATE_TRUNC('month', day) AS m, COUNT(*) AS n FROM visits \
                    WHERE cost >= 5000 GROUP BY DATE_TRUNC('month', day)";
    let by_both = "SELECT DATE_TRUNC('month', day) AS m, WIDTH_BUCKET(cost, 0, 50000, 2) AS b, \
                   SUM(cost) AS s FROM visits WHERE cost >= 5000 \
                   GROUP BY DATE_TRUNC('month', day), WIDTH_BUCKET(cost, 0, 50000, 2)";
    for (sql, unit) in [(by_month, 1.0), (by_both, 50_000.0)] {
        let mut sums = [0.0; 3];
        let (mut cells, mut sigma) = (0, 0.0);
        // Four times, so that ten rows stand out of the noise of all groups together.
        for _ in 0..4 {
            let releases = released(&worlds, "visits", &[(sql, price / 2)]).await;
            for (sum, release) in sums.iter_mut().zip(&releases[0]) {
                let vector = &release.answer.shape().vectors[0];
                let clip = (vector.clip_squared as f64).sqrt() * vector.step() / unit;
                assert!((10.0..10.001).contains(&clip), "{sql}: {clip}");
                sigma = vector.sigma_in_units() / unit;
                let found = values(release, 0);
                cells = found.len();
                *sum += found.iter().sum::<f64>() / unit / 4.0;
                // The norm of what was added: noise alone has a square of cells sigma^2.
                let square: f64 = found.iter().map(|n| (n / unit).powi(2)).sum();
                let noise = cells as f64 * sigma.powi(2);
                let most = (10.0 + noise.sqrt() + 6.0 * sigma).powi(2);
                assert!(square <= most, "{sql}: {square} of {most}");
            }
        }
        assert!(cells >= 12, "{cells}");
        // Five and a half standard deviations of the mean of four sums over all groups: once in
        // 10^7. Five hundred rows in twelve groups have a sum of 34 when cut to the norm alone.
        let most = 5.5 * sigma * (cells as f64 / 4.0).sqrt();
        assert!(most < 34.0, "{sql}: {most}");
        for (sum, expected) in sums.iter().zip([10.0, 0.0, 1.0]) {
            assert!((sum - expected).abs() < most, "{sql}: {sums:?}");
        }
    }
    worlds.stop().await;
}

/// Each of several aggregates has a price of its own, and what was shown before is what is charged,
/// in the release, on the meter and in the journal alike.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a19_several_aggregates_are_charged_each_as_the_preview_said() {
    let worlds = worlds().await;
    let sql = "SELECT COUNT(*) AS n, SUM(age) AS a, SUM(income) AS i FROM patients";
    let seen = previewed(&worlds, P, sql).await.unwrap();
    let before = meter(&worlds);
    let releases = released(&worlds, P, &[(sql, CENT)]).await;
    for release in &releases[0] {
        assert_eq!(release.price.nano(), seen.price_nano);
        let vectors = &release.answer.shape().vectors;
        assert_eq!(vectors.len(), 3);
        let sum: f64 = vectors
            .iter()
            .map(|v| v.clip_squared as f64 / (2.0 * (v.sigma as f64).powi(2)))
            .sum();
        let price = release.price.nano() as f64 / 1e9;
        // Rounded up, and by less than a billionth each.
        assert!(price >= sum - 1e-15 && price < sum + 4e-9, "{price} {sum}");
    }
    assert_eq!(meter(&worlds) - before, seen.price_nano);
    for site in worlds.sites() {
        let owner = site.owner_client().await.unwrap();
        let accounts = owner.exposure().await.unwrap().accounts;
        assert_eq!(accounts[0].meter.nano(), seen.price_nano);
    }
    worlds.stop().await;
}

/// An average over nobody is a number within the declared bounds, like any other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a20_an_average_over_nobody() {
    let worlds = worlds().await;
    let all = released(
        &worlds,
        P,
        &[
            ("SELECT dx, AVG(bmi) AS a FROM patients GROUP BY dx", CENT),
            ("SELECT AVG(bmi) AS a FROM patients WHERE age < 0", CENT),
            (
                "SELECT AVG(income) AS a FROM patients WHERE dx = 'RARE1' AND age = 42",
                CENT,
            ),
            (
                "SELECT region, AVG(age) AS a FROM patients WHERE bmi IS NULL GROUP BY region",
                CENT,
            ),
        ],
    )
    .await;
    for (releases, (lowest, highest)) in
        all.iter()
            .zip([(10.0, 60.0), (10.0, 60.0), (0.0, 1e6), (0.0, 120.0)])
    {
        for release in releases {
            let found = values(release, 0);
            assert_eq!(found.len(), release.answer.shape().cells());
            let inside = found.iter().all(|v| (lowest..=highest).contains(v));
            assert!(inside, "{found:?}");
        }
    }
    worlds.stop().await;
}

/// A thousand times the same question, each at a thousandth of rho: the charges add up, the
/// thousand-and-first is refused, and the average error is that of a thousand independent draws.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b33_asking_a_thousand_times_gains_what_it_is_charged() {
    const RUNS: u32 = 999;
    let setup = Setup {
        worlds: vec![World::Without],
        mode: Mode::Strict,
        epsilon: 10.0,
        ..Setup::default()
    };
    let worlds = Worlds::build(setup).await.unwrap();
    let room = limit(10.0).rho().nano();
    let sql = "SELECT COUNT(*) AS n FROM patients WHERE age = 42";
    // A study has at most a thousand runs of a release.
    let price = room / u64::from(RUNS);
    let asks = [ask("n", sql, price).times(1000)];
    let study = worlds.approved(P, &asks).await.unwrap();
    let (mut errors, mut charged, mut sigma) = (Vec::new(), 0, 0.0);
    for _ in 0..RUNS {
        let told = worlds.run(&study, "n").await.unwrap();
        let releases = told.releases(&worlds).unwrap();
        sigma = releases[0].answer.shape().vectors[0].sigma_in_units();
        charged += releases[0].price.nano();
        errors.push(values(&releases[0], 0)[0]);
    }
    let site = worlds.sites().next().unwrap();
    assert_eq!(site.meter().unwrap().nano(), charged);
    assert!(
        charged <= room && charged > room - room / 500,
        "{charged} of {room}"
    );
    let (code, text) = worlds
        .run(&study, "n")
        .await
        .unwrap()
        .alike()
        .unwrap()
        .unwrap_err();
    assert_eq!(code, tonic::Code::FailedPrecondition, "{text}");
    assert!(text.contains("limit"), "{text}");
    assert_eq!(site.meter().unwrap().nano(), charged);
    let n = f64::from(RUNS);
    let mean = errors.iter().sum::<f64>() / n;
    let spread = (errors.iter().map(|e| e.powi(2)).sum::<f64>() / n).sqrt();
    // Five standard deviations each: a false alarm once in a million.
    assert!(
        mean.abs() < 5.0 * sigma / n.sqrt(),
        "{mean} with sigma {sigma}"
    );
    assert!(
        (spread / sigma - 1.0).abs() < 5.0 / (2.0 * n).sqrt(),
        "{spread} {sigma}"
    );
    assert_eq!(
        outcome(worlds.clients()[0].status(&study).await.remove(0).outcome).0,
        "ok"
    );
    worlds.stop().await;
}
