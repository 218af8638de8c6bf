//! Tests that need strace, or data outside the repository.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use obscura_client::model::exposure::Mode;
use obscura_client::model::study::Verdict;
use obscura_tests::cluster::{Cluster, ask, release_name, study, terms};
use obscura_tests::data::{Dataset, visits};
use obscura_tests::process::Lone;

use crate::support::VISITS;

/// A system call that has ended.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) begun: f64,
    pub(crate) ended: f64,
    result: i64,
}

/// Reads what `strace -f -ttt -T -yy` writes: calls may be split in two lines.
pub(crate) fn calls(trace: &str) -> Vec<Call> {
    let mut open: BTreeMap<String, (f64, String)> = BTreeMap::new();
    let mut found = Vec::new();
    for line in trace.lines() {
        let mut parts = line.trim_start().splitn(2, ' ');
        let process = parts.next().unwrap().to_owned();
        let Some((time, rest)) = parts
            .next()
            .unwrap_or_default()
            .trim_start()
            .split_once(' ')
        else {
            continue;
        };
        let Ok(time) = time.parse::<f64>() else {
            continue;
        };
        if let Some(begun) = rest.strip_suffix(" <unfinished ...>") {
            open.insert(process, (time, begun.to_owned()));
            continue;
        }
        let (begun, text) = match rest.split_once(" resumed>") {
            Some((_, end)) => {
                let (begun, start) = open.remove(&process).unwrap();
                (begun, start + end)
            }
            None => (time, rest.to_owned()),
        };
        let (Some((name, _)), Some((_, end))) = (text.split_once('('), text.rsplit_once(") "))
        else {
            continue;
        };
        let end = end.trim_start().trim_start_matches('=').trim();
        let result = end.split_whitespace().next().unwrap().parse().unwrap_or(-1);
        let took = end
            .rsplit_once('<')
            .and_then(|(_, t)| t.strip_suffix('>')?.parse::<f64>().ok());
        let (name, ended) = (name.to_owned(), begun + took.unwrap());
        found.push(Call {
            name,
            text,
            begun,
            ended,
            result,
        });
    }
    found
}

pub(crate) fn now() -> f64 {
    #[allow(clippy::disallowed_methods)] // compared with what strace wrote
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap().as_secs_f64()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_journal_is_flushed_before_the_reply_to_each_release() {
    const RELEASES: u32 = 12;
    let trace = tempfile::NamedTempFile::new().unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_node-under-test"));
    let strace = [
        "strace",
        "-f",
        "-ttt",
        "-T",
        "-yy",
        "-s",
        "16",
        "-e",
        "trace=fsync,fdatasync,write,writev,sendto,sendmsg",
        "-o",
        trace.path().to_str().unwrap(),
        "--",
    ];
    let mut lone = Lone::prepare(program, visits(300, 3, 2))
        .unwrap()
        .under(&strace);
    lone.start().await.expect("strace must be installed");
    lone.furnish(5.0, Mode::Protect).await.unwrap();
    let (ada, owner) = (lone.client(1).await.unwrap(), lone.owner().await.unwrap());
    let institution = lone.institution().unwrap();
    let asks = [ask("n", VISITS, 5_000_000).times(RELEASES)];
    let study = study(&ada, "visits", &asks, terms(), vec![institution.clone()]).unwrap();
    ada.submit(&study).await.remove(0).outcome.unwrap();
    let review = owner.review(study.id()).await.unwrap();
    owner.decide(&review, Verdict::Approve, "").await.unwrap();
    let mut windows = Vec::new();
    for run in 1..=RELEASES {
        let sent = now();
        let name = release_name("n").unwrap();
        ada.release(&study, &institution.name, &name, run)
            .await
            .unwrap();
        windows.push((sent, now()));
    }
    lone.stop().await.unwrap();

    let calls = calls(&std::fs::read_to_string(trace.path()).unwrap());
    for (number, (sent, got)) in windows.into_iter().enumerate() {
        let inside: Vec<_> = calls
            .iter()
            .filter(|c| c.begun >= sent && c.ended <= got)
            .collect();
        // The answer is the first large thing that leaves.
        let reply = inside
            .iter()
            .find(|c| c.name.contains(['w', 'd']) && c.text.contains("TCP") && c.result > 400);
        let reply = reply.unwrap_or_else(|| panic!("no reply to release {number}: {inside:#?}"));
        let flushes = inside.iter().filter(|c| {
            let flush = c.name == "fsync" || c.name == "fdatasync";
            flush && c.text.contains("/ledger/journal/") && c.result == 0 && c.ended < reply.begun
        });
        // The intent's and the commit's.
        assert!(
            flushes.count() >= 2,
            "release {number} left before a flush: {inside:#?}"
        );
    }
}

/// The folder of the four files, or where `OBSCURA_DATA` says.
fn heart_folder() -> PathBuf {
    #[allow(clippy::disallowed_methods)] // tests that need something from outside say where it is
    let given = std::env::var_os("OBSCURA_DATA").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    given.unwrap_or(beside).join("heart_disease")
}

const HEART: &str = r#"name = "heart"
title = "Heart disease"
source = "heart.csv"
subject = "patient"
subject_unit = "patient"
most_rows_per_subject = 1
subjects = [50, 1000]
delta = 1e-5

[[column]]
name = "age"
type = "integer"
lowest = 0
highest = 120
unit = "years"
meaning = "age"
bounds_from = "professional judgement"

[[column]]
name = "chol"
type = "number"
lowest = 80
highest = 600
unit = "mg/dl"
meaning = "serum cholesterol"
bounds_from = "professional judgement"
may_be_missing = true

[[column]]
name = "num"
type = "integer"
lowest = 0
highest = 4
meaning = "diagnosis"
bounds_from = "protocol"
"#;

/// One site: its CSV, and the age and diagnosis of its patients.
fn heart(site: &str) -> (Dataset, Vec<(f64, u32)>) {
    let path = heart_folder().join(format!("processed.{site}.data"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut csv = "patient,age,chol,num\n".to_owned();
    let mut known = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let fields: Vec<_> = line
            .split(',')
            .map(|f| if f == "?" { "" } else { f })
            .collect();
        let (age, num): (f64, f64) = (fields[0].parse().unwrap(), fields[13].parse().unwrap());
        csv += &format!("{site}-{number},{age},{},{num}\n", fields[4]);
        known.push((age, num as u32));
    }
    let (description, name) = (HEART.to_owned(), "heart".to_owned());
    (
        Dataset {
            description,
            csv,
            file: "heart.csv".to_owned(),
            name,
        },
        known,
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_hospitals_with_real_gaps_answer_as_one() {
    let sites = ["cleveland", "hungarian", "switzerland", "va"].map(heart);
    let mut builder = Cluster::builder().limit(8.0);
    for (dataset, _) in &sites {
        builder = builder.site(dataset.clone());
    }
    let cluster = builder.build().await.unwrap();
    let ada = cluster.client("ada").await.unwrap();
    let sql = "SELECT num, COUNT(*) AS n, AVG(age) AS age FROM heart GROUP BY num";
    let study = cluster
        .approved(&ada, &[ask("n", sql, 200_000_000)])
        .await
        .unwrap();
    let answer = ada
        .answer(&study, &release_name("n").unwrap())
        .await
        .unwrap();
    assert_eq!(answer.included.len(), 4, "{}", answer.who());
    for (num, row) in (0..5).zip(&answer.combined.rows) {
        let here = sites
            .iter()
            .flat_map(|(_, known)| known)
            .filter(|(_, n)| *n == num);
        let ages: Vec<f64> = here.map(|(age, _)| *age).collect();
        let exact = [
            ages.len() as f64,
            ages.iter().sum::<f64>() / ages.len() as f64,
        ];
        for (estimate, exact) in row.estimates.iter().zip(exact) {
            let off = (estimate.value - exact).abs();
            // Five standard deviations.
            assert!(
                off < 5.0 / 1.96 * estimate.margin,
                "{num}: {exact} against {estimate:?}"
            );
        }
    }
    cluster.stop().await;
}

/// Twenty questions of two data sets, each against the best that Gaussian noise can do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn utility_of_twenty_real_questions_is_near_the_best() {
    let (folder, hidden) = (heart_folder(), indicatif::ProgressBar::hidden());
    let report = obscura_tests::audit::utility::measure(5, Some(&folder), &hidden).await;
    let report = report.unwrap();
    assert!(report.alarms().is_empty(), "{report}");
}
