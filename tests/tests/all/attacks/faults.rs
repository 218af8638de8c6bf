//! Faults of disks and processes (H01 to H05, H15, and the kills of D10 to D13), end to end. The
//! ledger's own suites have every single storage call.

use std::path::PathBuf;

use obscura_client::model::study::StudyState;
use obscura_tests::cluster::{Cluster, ask};
use obscura_tests::data::visits;
use tonic::Code;

use super::ledger::check_index;
use super::{Attacker, one};
use crate::support::{VISITS, outcome};

#[cfg(feature = "system")]
#[path = "faults/traced.rs"]
mod traced;

/// Where each row of the section is tried: the file that holds the test, and its name.
pub(super) const INDEX: &[(&str, &str, &str)] = &[
    (
        "H01",
        "tests/tests/all/kills.rs",
        "twenty_kills_under_load_lose_nothing_and_price_nothing_twice",
    ),
    (
        "H03",
        "node/ledger/src/tests/faults.rs",
        "h03_a_power_cut_after_any_acknowledgement_keeps_it",
    ),
    (
        "H04",
        "node/ledger/src/tests/faults.rs",
        "h04_a_full_disk_at_the_nth_write_loses_nothing_and_goes_on_with_space",
    ),
    (
        "H05",
        "node/ledger/src/tests/faults.rs",
        "h05_a_failed_write_or_sync_stops_at_once_and_is_never_tried_again",
    ),
    (
        "H15",
        "attacks/faults.rs",
        "h15_a_damaged_file_is_refused_with_its_place_and_nothing_is_kept",
    ),
];

/// The rows of the section, but those of other suites (H08 to H10, H16).
const ROWS: [&str; 5] = ["H01", "H03", "H04", "H05", "H15"];

#[test]
fn every_row_of_the_section_has_its_test() {
    check_index(INDEX, &ROWS);
}

/// The stored rows of the only dataset.
fn stored(cluster: &Cluster) -> PathBuf {
    let folder = cluster.sites[0].folder.join("data/datasets");
    let mut files = std::fs::read_dir(folder).unwrap();
    let file = files.next().unwrap().unwrap().path();
    assert!(files.next().is_none(), "one file");
    file
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h15_a_damaged_file_is_refused_with_its_place_and_nothing_is_kept() {
    let cluster = one(visits(3_000, 3, 1)).await;
    let site = &cluster.sites[0];
    let owner = site.owner_client().await.unwrap();
    let good = &site.dataset.csv;
    let line = |number: usize| good.lines().nth(number - 1).unwrap().to_owned();
    let row_1999 = line(1_999);
    let import = |name: &str| site.folder.join("import").join(name);
    // Cut off inside a row; and a wrong type, of which the text must show nothing.
    let cut = &good[..good.find(&row_1999).unwrap() + row_1999.find(',').unwrap() + 2];
    let wrong = good.replacen(&row_1999, "p1997,1,SECRET7,3.5", 1);
    let quoted = good.replacen(&row_1999, "\"p1997,1,1,3.5", 1);
    let parquet = std::fs::read(stored(&cluster)).unwrap();
    std::fs::write(import("cut.csv"), cut).unwrap();
    std::fs::write(import("wrong.csv"), wrong).unwrap();
    std::fs::write(import("quoted.csv"), quoted).unwrap();
    std::fs::write(import("cut.parquet"), &parquet[..parquet.len() / 2]).unwrap();
    std::fs::write(import("none.parquet"), b"").unwrap();
    let before = owner.log(0, 1_000).await.unwrap().entries.len();
    let files = [
        ("cut.csv", "line 1999"),
        ("wrong.csv", "line 1999"),
        ("quoted.csv", "line"),
        ("cut.parquet", "cut.parquet"),
        ("none.parquet", "none.parquet"),
        ("missing.csv", "missing.csv"),
    ];
    for (file, place) in files {
        let description = site.dataset.description.replace("visits.csv", file);
        let (code, told) = outcome(owner.add_dataset(&description).await);
        assert_ne!(code, "ok", "{file}");
        assert!(
            told.contains(place) && told.contains(file),
            "{file}: {told}"
        );
        assert!(
            !told.contains("SECRET7") && !told.contains("p1997"),
            "{file}: {told}"
        );
    }
    let (_, told) = {
        let description = site.dataset.description.replace("visits.csv", "wrong.csv");
        outcome(owner.add_dataset(&description).await)
    };
    assert!(
        told.contains("'day'") || told.contains("day"),
        "the column is named: {told}"
    );
    assert_eq!(
        owner.log(0, 1_000).await.unwrap().entries.len(),
        before,
        "nothing was kept"
    );
    assert_eq!(owner.datasets().await.unwrap()[0].version, 1);
    cluster.stop().await;
}

/// Damages the stored rows in one way, runs a release, and repairs them.
async fn damaged(harm: impl Fn(&mut Vec<u8>)) {
    let cluster = one(visits(60, 3, 1)).await;
    let (site, ada) = (&cluster.sites[0], cluster.client("ada").await.unwrap());
    let eve = Attacker::new(&cluster, "ada", 0);
    let study = cluster
        .approved(&ada, &[ask("n", VISITS, 5_000_000).times(3)])
        .await
        .unwrap();
    let path = stored(&cluster);
    let good = std::fs::read(&path).unwrap();
    let mut bad = good.clone();
    harm(&mut bad);
    std::fs::write(&path, bad).unwrap();
    let failed = eve.run(&study, 1).await.unwrap_err();
    assert_eq!(failed.0, Code::Aborted, "{}", failed.1);
    let price = ada.status(&study).await.remove(0).outcome.unwrap().releases[0].price;
    assert_eq!(
        site.meter().unwrap(),
        price,
        "the price of a failed release stands"
    );
    let status = ada.status(&study).await.remove(0).outcome.unwrap();
    assert_eq!(status.state, StudyState::Suspended);
    // The same for ever, also with the rows restored; and nothing else gets through the study.
    std::fs::write(&path, &good).unwrap();
    assert_eq!(eve.run(&study, 1).await.unwrap_err(), failed);
    assert!(eve.run(&study, 2).await.is_err());
    assert_eq!(site.meter().unwrap(), price);
    // Another study runs again.
    let next = cluster
        .approved(&ada, &[ask("n", VISITS, 5_000_000)])
        .await
        .unwrap();
    assert!(eve.run(&next, 3).await.is_ok());
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h15_stored_rows_that_were_damaged_fail_with_a_fixed_text_and_keep_their_price() {
    // In the first chunk, which says whose the rows are, and which every query reads.
    damaged(|bytes| bytes[20] ^= 1).await;
    damaged(|bytes| bytes.truncate(bytes.len() / 3)).await;
    damaged(Vec::clear).await;
    damaged(|bytes| {
        let last = bytes.len() - 1;
        bytes.swap(last, last - 1);
    })
    .await;
}

/// A whole and valid file of the same description that some node registered and answers from,
/// with one row changed.
async fn of_other_rows() -> Vec<u8> {
    let mut dataset = visits(60, 3, 1);
    let row = dataset.csv.lines().nth(30).unwrap().to_owned();
    let (start, _) = row.rsplit_once(',').unwrap();
    dataset.csv = dataset.csv.replacen(&row, &format!("{start},99.5"), 1);
    assert_ne!(dataset.csv, visits(60, 3, 1).csv);
    let cluster = one(dataset).await;
    let ada = cluster.client("ada").await.unwrap();
    let asks = [ask("n", VISITS, 5_000_000)];
    let study = cluster.approved(&ada, &asks).await.unwrap();
    let eve = Attacker::new(&cluster, "ada", 0);
    assert!(eve.run(&study, 1).await.is_ok());
    let bytes = std::fs::read(stored(&cluster)).unwrap();
    cluster.stop().await;
    bytes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h15_a_whole_file_of_other_rows_is_no_stored_file() {
    let other = of_other_rows().await;
    damaged(|bytes| {
        assert_ne!(*bytes, other);
        bytes.clone_from(&other);
    })
    .await;
}
