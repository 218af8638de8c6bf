//! Attacks with what can be written into a request: queries and accuracies.

use std::collections::BTreeSet;

use obscura_client::model::exposure::{Mode, Rho};
use obscura_client::model::wire;
use obscura_tests::cluster::{Cluster, ask, study, terms};
use obscura_tests::data::visits;
use obscura_tests::fixture::{Setup, World, Worlds};
use obscura_wire::v1;
use prost::Message as _;
use tonic::Code;

use super::{Attacker, PREVIEW, SUBMIT, declared, limit, one, preview};
use crate::support::VISITS;

/// The noise is drawn on the grid and not in units of the answer: with 1,024 steps to a row, a
/// count shows neither the true count's place between the steps nor that of its neighbour (A01).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn noisy_counts_lie_anywhere_on_their_grid() {
    let cluster = one(visits(60, 60, 1)).await;
    let ada = cluster.client("ada").await.unwrap();
    let study = cluster
        .approved(&ada, &[ask("n", VISITS, 50_000_000)])
        .await
        .unwrap();
    let release = Attacker::new(&cluster, "ada", 0)
        .run(&study, 1)
        .await
        .unwrap();
    let key = cluster.sites[0].institution().unwrap().key;
    let answer = release.open(&key).unwrap().answer;
    let places: BTreeSet<i64> = answer.values()[0]
        .iter()
        .map(|v| v.rem_euclid(1024))
        .collect();
    assert!(places.len() > 40, "{places:?}");
    cluster.stop().await;
}

/// Accuracies at and beyond every end of what a message can hold.
fn odd_ways() -> Vec<v1::accuracy::Way> {
    use v1::accuracy::Way;
    let mut ways = vec![
        Way::PriceNano(0),
        Way::PriceNano(1),
        Way::PriceNano(u64::MAX),
    ];
    let odd = [
        0.0,
        -0.0,
        -1.0,
        5e-324,
        1e-300,
        0.1,
        7.2e16,
        1e19,
        1e300,
        f64::MAX,
    ];
    for number in odd
        .into_iter()
        .chain([f64::NAN, f64::INFINITY, f64::NEG_INFINITY])
    {
        ways.extend([Way::Sigma(number), Way::Epsilon(number)]);
        let within = |rows| {
            Way::Within(v1::Within {
                margin: number,
                rows,
            })
        };
        ways.extend([within(0), within(1), within(u64::MAX)]);
    }
    ways
}

/// A12: a price is refused or in range, and never below the minimum.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_number_that_an_accuracy_can_hold_makes_an_answer_cheap() {
    let cluster = one(visits(60, 3, 1)).await;
    let eve = Attacker::new(&cluster, "ada", 0);
    let ways = odd_ways();
    let least = limit(5.0).smallest_release().nano();
    let queries = [
        VISITS,
        "SELECT AVG(amount) AS a, SUM(amount - 1e300) AS s FROM visits",
    ];
    let mut priced = 0;
    for (sql, way) in queries
        .iter()
        .flat_map(|q| ways.iter().map(move |w| (q, w)))
    {
        match eve.preview(sql, *way).await {
            Ok(seen) => {
                priced += 1;
                // The sigma of the minimum price rounds up to the grid.
                assert!(
                    seen.price_nano * 1000 >= least * 999,
                    "{way:?}: {}",
                    seen.price_nano
                );
                let sigmas = seen.shape.unwrap().vectors;
                assert!(sigmas.iter().all(|v| v.sigma > 0), "{way:?}");
            }
            Err((code, text)) => assert_eq!(code, Code::InvalidArgument, "{way:?}: {text}"),
        }
    }
    assert!(priced >= 5, "{priced}");
    cluster.stop().await;
}

/// A12: previews and studies with such an accuracy are answered with the same bytes whoever is
/// there, and nothing is begun.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a12_no_accuracy_is_refused_otherwise_because_of_who_is_there() {
    let setup = Setup {
        worlds: vec![World::Everybody, World::Without],
        ..Setup::default()
    };
    let worlds = Worlds::build(setup).await.unwrap();
    let sql = "SELECT COUNT(*) AS n, SUM(income) AS s FROM patients WHERE age = 42";
    let before = worlds.alike().await.unwrap();
    let fine = study(
        &worlds.clients()[0],
        "patients",
        &[ask("n", sql, 1_000_000)],
        terms(),
        worlds.clusters[0].institutions().unwrap(),
    );
    let fine = wire::study_to(&fine.unwrap());
    let mut refused = 0;
    for way in odd_ways() {
        let accuracy = preview(sql, way).accuracy;
        let preview = v1::PreviewRequest {
            dataset: "patients".to_owned(),
            ..preview(sql, way)
        };
        let told = worlds.call(PREVIEW, preview.encode_to_vec()).await.unwrap();
        let previewed = told.alike().unwrap_or_else(|e| panic!("{way:?}: {e:#}"));
        if let Err((code, text)) = &previewed {
            assert_eq!(*code, Code::InvalidArgument, "{way:?}: {text}");
            let mut study = fine.clone();
            study.releases[0].accuracy = accuracy;
            let told = worlds.call(SUBMIT, study.encode_to_vec()).await.unwrap();
            let (code, text) = told.alike().unwrap().expect_err("it was taken");
            assert_eq!(code, Code::InvalidArgument, "{way:?}: {text}");
            refused += 1;
        }
    }
    assert!(refused >= 20, "{refused}");
    worlds.alike().await.unwrap().like(&before).unwrap();
    worlds.stop().await;
}

/// A14, A19: ten tenths fit and an eleventh does not, and the meter is the sum of the prices.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_tenths_of_a_limit_fit_exactly_and_every_output_is_priced() {
    let strict = Cluster::builder()
        .site(visits(60, 3, 1))
        .mode(Mode::Strict)
        .limit(1.0);
    let cluster = strict.build().await.unwrap();
    let eve = Attacker::new(&cluster, "ada", 0);
    let sigma = v1::accuracy::Way::Sigma(40.0);
    let mut apart = 0;
    for output in ["COUNT(*)", "SUM(amount)", "COUNT(DISTINCT person)"] {
        let sql = format!("SELECT {output} AS x FROM visits");
        apart += eve.preview(&sql, sigma).await.unwrap().price_nano;
    }
    let together =
        "SELECT COUNT(*) AS a, SUM(amount) AS b, COUNT(DISTINCT person) AS c FROM visits";
    assert_eq!(
        eve.preview(together, sigma).await.unwrap().price_nano,
        apart
    );
    let ada = cluster.client("ada").await.unwrap();
    let tenth = limit(1.0).rho().nano() / 10;
    let study = cluster
        .approved(&ada, &[ask("n", VISITS, tenth).times(11)])
        .await
        .unwrap();
    let key = cluster.sites[0].institution().unwrap().key;
    let mut sum = 0;
    for run in 1..=10 {
        let release = eve.run(&study, run).await.unwrap();
        sum += release.open(&key).unwrap().price.nano();
    }
    let (code, text) = eve.run(&study, 11).await.unwrap_err();
    assert_eq!(code, Code::FailedPrecondition, "{text}");
    assert_eq!(cluster.sites[0].meter().unwrap().nano(), sum);
    cluster.stop().await;
}

/// What must not be understood (B01 to B42), and what would overfill the node (F01 to F04).
fn hostile() -> Vec<String> {
    let plain = [
        "SELECT * FROM visits",
        "SELECT amount FROM visits",
        "SELECT MAX(amount) FROM visits",
        "SELECT array_agg(amount), string_agg(person, ',') FROM visits",
        "SELECT COUNT(*) FROM visits GROUP BY person",
        "SELECT COUNT(*) FROM visits GROUP BY amount",
        "SELECT COUNT(*) FROM visits GROUP BY ROLLUP(grp, day)",
        "SELECT COUNT(*) FROM (SELECT * FROM visits LIMIT 1)",
        "SELECT COUNT(*) FROM visits LIMIT 1 OFFSET 59",
        "SELECT COUNT(*) FROM visits a JOIN visits b ON a.day = b.day",
        "SELECT COUNT(*) FROM visits a, visits b, visits c, visits d",
        "SELECT COUNT(*) FROM visits v WHERE amount > (SELECT AVG(amount) FROM visits)",
        "SELECT COUNT(*) + 1000000 * (SELECT COUNT(*) FROM visits WHERE person = 'zoe') FROM visits",
        "SELECT SUM(1000000000 * (CASE WHEN person = 'zoe' THEN 1 ELSE 0 END)) FROM visits",
        "SELECT COUNT(*) FROM visits WHERE random() < 0.5",
        "SELECT COUNT(*) FROM visits WHERE amount < now()",
        "SELECT COUNT(*) FROM '/etc/passwd'",
        "SELECT COUNT(*) FROM generate_series(1, 1000000000000)",
        "COPY visits TO 'x.csv'",
        "EXPLAIN ANALYZE SELECT COUNT(*) FROM visits",
        "SELECT 1; SELECT COUNT(*) FROM visits",
        "SELECT COUNT(*) FROM visits; DROP TABLE visits",
        "\u{ff33}ELECT COUNT(*) FROM visits",
        "SELECT COUNT(*) FROM \"VISITS\"",
        "SELECT COUNT(*)\u{0} FROM visits",
        "SELECT COUNT(*) FROM visits \u{202e}",
        "SELECT COUNT(*) FROM visits WHERE COALESCE(person, 'x') = 'zoe'",
        "SELECT COUNT(*) > 0 FROM visits",
        "SELECT COUNT(*) FROM visits WHERE CAST(person AS BIGINT) = 1",
        "SELECT COUNT(*) FROM visits WHERE regexp_like('a', person)",
        "SELECT SUM(1 / (amount - 42)) FROM visits",
        "SELECT SUM(amount * 1e308 * 1e308) FROM visits",
        "SELECT COUNT(*) OVER () FROM visits",
        "SELECT COUNT(*) FROM visits UNION ALL SELECT COUNT(*) FROM visits",
    ];
    let count = |condition: String| format!("SELECT COUNT(*) FROM visits WHERE {condition}");
    let large = [
        count(format!("day = 1{}", "+1".repeat(20_000))),
        count(format!("day = 1{}", " OR day = 1".repeat(5_000))),
        count(format!(
            "{}day{} = 1",
            "(".repeat(10_000),
            ")".repeat(10_000)
        )),
        count(format!("{} day = 1", "NOT ".repeat(5_000))),
        count(format!(
            "{} 1 {} = 1",
            "CASE WHEN TRUE THEN ".repeat(2_000),
            "END ".repeat(2_000)
        )),
        count(format!("day IN ({}1)", "1, ".repeat(20_000))),
        count(format!("day = {}1", "- ".repeat(30_000))),
        count(format!("day = 1{}", " ".repeat(64 * 1024))),
        format!("SELECT {}1 FROM visits", "COUNT(*), ".repeat(3_000)),
        format!(
            "SELECT COUNT(*) FROM {}visits",
            "(SELECT * FROM ".repeat(500)
        ),
    ];
    plain.into_iter().map(str::to_owned).chain(large).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_queries_are_refused_alike_with_and_without_the_one_who_is_sought() {
    let without = declared(visits(60, 2, 1), "[1, 80]");
    let with = without
        .clone()
        .with_csv(format!("{}zoe,1,1,42\n", without.csv));
    let builder = Cluster::builder().site(with).site(without);
    let cluster = builder.build().await.unwrap();
    let ada = cluster.client("ada").await.unwrap();
    let sites = [
        Attacker::new(&cluster, "ada", 0),
        Attacker::new(&cluster, "ada", 1),
    ];
    let mut study = wire::study_to(&cluster.study(&ada, &[ask("n", VISITS, 9_000_000)]).unwrap());
    for sql in hostile() {
        let short: String = sql.chars().take(80).collect();
        let mut told = BTreeSet::new();
        for eve in &sites {
            let way = v1::accuracy::Way::PriceNano(9_000_000);
            let refused = eve.preview(&sql, way).await.expect_err(&short);
            assert_eq!(refused.0, Code::InvalidArgument, "{short}: {}", refused.1);
            assert!(refused.1.len() < 500, "{short}: {}", refused.1);
            assert!(
                !refused.1.contains("42.") && !refused.1.contains("p1"),
                "{}",
                refused.1
            );
            told.insert(refused.1);
            study.releases[0].sql.clone_from(&sql);
            let refused = eve
                .call(SUBMIT, 2, study.encode_to_vec())
                .await
                .unwrap_err();
            assert_eq!(refused.0, Code::InvalidArgument, "{short}: {}", refused.1);
        }
        assert_eq!(told.len(), 1, "{short}: {told:?}");
    }
    for site in &cluster.sites {
        assert_eq!(site.meter().unwrap(), Rho::ZERO);
    }
    cluster.stop().await;
}
