//! What leaves a node beside its answers: the log (C18, C20, PRIVACY 5).

use std::path::Path;

use obscura_client::Client;
use obscura_client::model::accuracy::{Accuracy, AccuracyRequest};
use obscura_client::model::exposure::{Mode, Rho};
use obscura_client::model::ids::DatasetName;
use obscura_client::model::study::Verdict;
use obscura_client::model::text::SqlText;
use obscura_tests::cluster::{ask, release_name, study, terms};
use obscura_tests::fixture::{World, patients};
use obscura_tests::process::Lone;

use super::limit;

const EPSILON: f64 = 5.0;

/// Previews and drafts that are refused, and releases until S0042 is at the limit and beyond.
async fn questions(lone: &Lone) {
    let (ada, owner) = (lone.client(1).await.unwrap(), lone.owner().await.unwrap());
    let node = lone.institution().unwrap();
    let way = AccuracyRequest::whole(Accuracy::Price(Rho::from_nano(10_000_000))).unwrap();
    for sql in [
        "SELECT note FROM patients WHERE age = 42",
        "SELECT COUNT(*) AS n FROM patients WHERE regexp_like('a', note)",
        "SELECT COUNT(*) AS n FROM patients WHERE CAST(note AS BIGINT) = 1",
    ] {
        let (dataset, sql) = (DatasetName::new("patients"), SqlText::new(sql));
        let (dataset, sql) = (dataset.unwrap(), sql.unwrap());
        // Some are refused and some are not: alike, as other tests show.
        drop(ada.preview(&node.name, &dataset, &sql, &way).await);
    }
    let quarter = limit(EPSILON).largest_release().nano();
    let asks = [
        ask(
            "a",
            "SELECT COUNT(*) AS n FROM patients WHERE age = 42",
            quarter,
        )
        .times(6),
        ask(
            "b",
            "SELECT dx, SUM(1 / (age - 42)) AS s FROM patients GROUP BY dx",
            1_000_000,
        ),
        ask(
            "c",
            "SELECT dx, AVG(bmi) AS a FROM patients GROUP BY dx",
            10_000_000,
        ),
    ];
    for asks in asks.chunks(1) {
        let new = study(&ada, "patients", asks, terms(), vec![node.clone()]).unwrap();
        if ada.submit(&new).await.remove(0).outcome.is_err() {
            continue;
        }
        let review = owner.review(new.id()).await.unwrap();
        owner.decide(&review, Verdict::Approve, "").await.unwrap();
        run(&ada, &new, &node.name, asks[0].times + 1).await;
    }
}

/// Every run that was approved, and one that was not.
async fn run(
    ada: &Client,
    study: &obscura_client::model::study::Study,
    node: &obscura_client::model::ids::PartyName,
    runs: u32,
) {
    let name = study.releases()[0].name.clone();
    let mut refused = 0;
    for run in 1..=runs {
        refused += u32::from(ada.release(study, node, &name, run).await.is_err());
    }
    assert_eq!(refused, 1, "{}", release_name(name.as_str()).unwrap());
}

/// A line without its time and without port numbers.
fn masked(line: &str) -> String {
    let (_, rest) = line.split_once(' ').unwrap_or(("", line));
    match rest.split_once("127.0.0.1:") {
        Some((before, after)) => {
            let rest = after.trim_start_matches(|c: char| c.is_ascii_digit());
            format!("{before}127.0.0.1:{rest}")
        }
        None => rest.to_owned(),
    }
}

/// The same node with and without S0042, who alone comes to the limit: every line of the log, at
/// the finest level, is the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_says_the_same_whoever_is_there() {
    let program = Path::new(env!("CARGO_BIN_EXE_node-under-test"));
    let with = Lone::prepare(program, patients(World::Everybody)).unwrap();
    // Slots so long that none is overrun, whatever else the machine does: overruns are logged.
    with.configure("slot_ms", 250).unwrap();
    let with = with.logging("obscura=trace");
    let without = with.fork().unwrap();
    let other = patients(World::Without);
    let file = without.site.folder.join("import").join(&other.file);
    std::fs::write(file, &other.csv).unwrap();
    let mut logs = Vec::new();
    for mut lone in [with, without] {
        lone.start().await.unwrap();
        lone.furnish(EPSILON, Mode::Protect).await.unwrap();
        questions(&lone).await;
        lone.stop().await.unwrap();
        let lines: Vec<String> = lone.log().iter().map(|line| masked(line)).collect();
        let begun = lines.iter().filter(|l| l.contains("the intent is durable"));
        assert!(begun.count() >= 6, "{lines:?}");
        let secrets = ["S0042", "RARE1", "ZZ", "9223372036854775807"];
        for line in &lines {
            assert!(
                !secrets.iter().any(|secret| line.contains(secret)),
                "{line}"
            );
        }
        logs.push(lines);
    }
    assert_eq!(logs[0], logs[1]);
}
