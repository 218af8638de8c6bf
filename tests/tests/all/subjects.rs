//! People who leave, come back, and get new ids: silently for everybody but the owner.

use std::path::Path;

use obscura_client::model::exposure::{Delta, Mode, rho_within};
use obscura_client::model::ids::{DatasetName, PartyName, PopulationName};
use obscura_client::model::release::Completeness;
use obscura_client::model::study::Study;
use obscura_client::{
    Client, Marking, Merging, NewDataset, OwnerClient, Rekeying, SubjectIds, SubjectMark,
};
use obscura_tests::cluster::{Cluster, ask, release_name};
use obscura_tests::data::{Dataset, visits};

use crate::support::outcome;

const COUNT: &str = "SELECT COUNT(*) AS n FROM visits";

/// Sixty people with ids that are found in no other bytes.
fn dataset() -> Dataset {
    let mut dataset = visits(60, 3, 1);
    dataset.csv = dataset.csv.replace("\np", "\nperson-of-test-");
    dataset
}

fn ids(numbers: std::ops::Range<u32>) -> SubjectIds {
    let lines: Vec<_> = numbers.map(|n| format!(" Person-of-Test-{n}")).collect();
    SubjectIds::from_lines(&lines.join("\n"))
}

fn marking(mark: SubjectMark, numbers: std::ops::Range<u32>) -> Marking {
    Marking {
        dataset: DatasetName::new("visits").unwrap(),
        mark,
        ids: ids(numbers),
        reason: "requests of March".to_owned(),
    }
}

async fn cluster(mode: Mode) -> Cluster {
    let builder = Cluster::builder().site(dataset()).limit(100.0).mode(mode);
    builder.build().await.unwrap()
}

/// A tenth and more of the limit each, so that the noise is far below one person in ten.
async fn study(cluster: &Cluster, ada: &Client, nano: u64) -> Study {
    let asks = [ask("n", COUNT, nano).times(20)];
    cluster.approved(ada, &asks).await.unwrap()
}

fn limit() -> u64 {
    rho_within(100.0, Delta::new(1e-6).unwrap()).unwrap().nano()
}

/// The count of one run, rounded to tens, and whether anybody may be missing.
async fn tens(ada: &Client, study: &Study, run: u32) -> (f64, Completeness) {
    let site = PartyName::new("site-1").unwrap();
    let name = release_name("n").unwrap();
    let release = ada.release(study, &site, &name, run).await.unwrap();
    let content = release.release();
    let value = content.answer.estimate(0, 0).unwrap().value;
    ((value / 10.0).round() * 10.0, content.completeness)
}

/// Whether a file below `folder` holds these bytes, whatever their case.
fn holds(folder: &Path, bytes: &str) -> bool {
    std::fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return holds(&path, bytes);
        }
        let content = std::fs::read(&path).unwrap().to_ascii_lowercase();
        content.windows(bytes.len()).any(|w| w == bytes.as_bytes())
    })
}

async fn silently_inactive(mode: Mode, mark: SubjectMark) {
    let cluster = cluster(mode).await;
    let ada = cluster.client("ada").await.unwrap();
    let owner = cluster.sites[0].owner_client().await.unwrap();
    let study = study(&cluster, &ada, limit() / 10).await;
    let complete = Completeness::NobodyDropped;
    assert_eq!(tens(&ada, &study, 1).await, (60.0, complete));
    let before = cluster.sites[0].meter().unwrap();
    // Ten of these are known; the owner alone learns it.
    let matched = owner.mark_subjects(&marking(mark, 50..70)).await;
    assert_eq!(matched.unwrap(), 10);
    assert_eq!(tens(&ada, &study, 2).await, (50.0, complete));
    // The price is that of everybody, so that the meter does not show it.
    let after = cluster.sites[0].meter().unwrap();
    assert_eq!(after.nano(), 2 * before.nano());
    // Again changes nothing.
    let again = owner.mark_subjects(&marking(mark, 50..70)).await;
    assert_eq!(again.unwrap(), 10);
    assert_eq!(tens(&ada, &study, 3).await, (50.0, complete));
    let back = owner
        .mark_subjects(&marking(SubjectMark::Readmit, 50..70))
        .await;
    assert_eq!(back.unwrap(), 10);
    assert_eq!(tens(&ada, &study, 4).await, (60.0, complete));
    let data = cluster.sites[0].folder.join("data");
    assert!(!holds(&data, "person-of-test"), "an id is stored in plain");
    let import = cluster.sites[0].folder.join("import");
    assert!(holds(&import, "person-of-test"), "the search finds ids");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn erased_people_are_silently_inactive_in_protect_mode() {
    silently_inactive(Mode::Protect, SubjectMark::Erase).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn erased_people_are_silently_inactive_in_strict_mode() {
    silently_inactive(Mode::Strict, SubjectMark::Erase).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn excluded_people_are_silently_inactive_in_protect_mode() {
    silently_inactive(Mode::Protect, SubjectMark::Exclude).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn excluded_people_are_silently_inactive_in_strict_mode() {
    silently_inactive(Mode::Strict, SubjectMark::Exclude).await;
}

async fn back_with_exposure(mark: SubjectMark) {
    let cluster = cluster(Mode::Protect).await;
    let ada = cluster.client("ada").await.unwrap();
    let owner = cluster.sites[0].owner_client().await.unwrap();
    // Four releases of this size fit each person.
    let study = study(&cluster, &ada, limit() * 2 / 9).await;
    assert_eq!(tens(&ada, &study, 1).await.0, 60.0);
    let gone = marking(mark, 0..10);
    owner.mark_subjects(&gone).await.unwrap();
    for run in 2..=4 {
        assert_eq!(tens(&ada, &study, run).await.0, 50.0, "run {run}");
    }
    // The others are at the limit; those who come back had one release, so three more fit.
    assert_eq!(tens(&ada, &study, 5).await.0, 0.0);
    let back = marking(SubjectMark::Readmit, 0..10);
    assert_eq!(owner.mark_subjects(&back).await.unwrap(), 10);
    for run in 6..=8 {
        assert_eq!(tens(&ada, &study, run).await.0, 10.0, "run {run}");
    }
    assert_eq!(tens(&ada, &study, 9).await.0, 0.0);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_back_has_the_exposure_of_before() {
    back_with_exposure(SubjectMark::Erase).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_excluded_has_the_exposure_of_before() {
    back_with_exposure(SubjectMark::Exclude).await;
}

/// The rows of whoever is excluded are in no later version, until one after they came back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_of_excluded_people_drop_out_of_the_next_version_and_return_with_them() {
    let cluster = cluster(Mode::Protect).await;
    let site = &cluster.sites[0];
    let ada = cluster.client("ada").await.unwrap();
    let owner = site.owner_client().await.unwrap();
    let description = &site.dataset.description;
    // Four releases of this size fit each person.
    let nano = limit() * 2 / 9;
    let first = study(&cluster, &ada, nano).await;
    assert_eq!(tens(&ada, &first, 1).await.0, 60.0);
    let excluded = marking(SubjectMark::Exclude, 0..10);
    assert_eq!(owner.mark_subjects(&excluded).await.unwrap(), 10);
    assert_eq!(add(&owner, description, false, ids(0..0)).await, 10);
    let without = study(&cluster, &ada, nano).await;
    assert_eq!(tens(&ada, &without, 1).await.0, 50.0);
    let back = marking(SubjectMark::Readmit, 0..10);
    assert_eq!(owner.mark_subjects(&back).await.unwrap(), 10);
    assert_eq!(
        tens(&ada, &without, 2).await.0,
        50.0,
        "their rows are not there"
    );
    assert_eq!(add(&owner, description, false, ids(0..0)).await, 0);
    let again = study(&cluster, &ada, nano).await;
    assert_eq!(tens(&ada, &again, 1).await.0, 60.0);
    // Four for those who stayed; those who came back were in two of them.
    for run in 2..=3 {
        assert_eq!(tens(&ada, &again, run).await.0, 10.0, "run {run}");
    }
    assert_eq!(tens(&ada, &again, 4).await.0, 0.0);
    cluster.stop().await;
}

async fn add(owner: &OwnerClient, description: &str, apart: bool, opt_out: SubjectIds) -> u64 {
    let new = NewDataset {
        description: description.to_owned(),
        apart,
        opt_out,
    };
    owner.add(&new).await.unwrap().rows_of_excluded
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_opt_out_list_is_applied_before_the_rows_are_read_and_is_not_kept() {
    let cluster = cluster(Mode::Protect).await;
    let ada = cluster.client("ada").await.unwrap();
    let owner = cluster.sites[0].owner_client().await.unwrap();
    let description = cluster.sites[0].dataset.description.clone();
    assert_eq!(add(&owner, &description, false, ids(0..20)).await, 20);
    let study = study(&cluster, &ada, limit() / 10).await;
    assert_eq!(tens(&ada, &study, 1).await.0, 40.0);
    // The next version needs no list: who opted out stays out.
    assert_eq!(add(&owner, &description, false, ids(0..0)).await, 20);
    let data = cluster.sites[0].folder.join("data");
    assert!(!holds(&data, "person-of-test"), "an id is stored in plain");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_ids_are_the_same_people() {
    let cluster = cluster(Mode::Protect).await;
    let owner = cluster.sites[0].owner_client().await.unwrap();
    let ada = cluster.client("ada").await.unwrap();
    // Four releases of this size fit each person: all of them for fifty, one for the first ten.
    let nano = limit() * 2 / 9;
    let before = study(&cluster, &ada, nano).await;
    assert_eq!(tens(&ada, &before, 1).await.0, 60.0);
    let gone = marking(SubjectMark::Exclude, 0..10);
    assert_eq!(owner.mark_subjects(&gone).await.unwrap(), 10);
    for run in 2..=4 {
        assert_eq!(tens(&ada, &before, run).await.0, 50.0, "run {run}");
    }
    let back = marking(SubjectMark::Readmit, 0..10);
    assert_eq!(owner.mark_subjects(&back).await.unwrap(), 10);
    let meter = cluster.sites[0].meter().unwrap();
    let pair = |n| (format!("person-of-test-{n}"), format!("renamed-{n}"));
    let rekeying = Rekeying {
        population: PopulationName::new("people").unwrap(),
        pairs: (0..60).map(pair).collect(),
        reason: "renumbered".to_owned(),
    };
    assert_eq!(owner.rekey(&rekeying).await.unwrap(), 60);
    let site = &cluster.sites[0];
    let import = site.folder.join("import").join(&site.dataset.file);
    let csv = site.dataset.csv.replace("person-of-test-", "renamed-");
    std::fs::write(import, csv).unwrap();
    let added = owner.add_dataset(&site.dataset.description).await.unwrap();
    assert_eq!(added.subjects, 60, "nobody is counted twice");
    assert_eq!(site.meter().unwrap(), meter);
    // Under their new ids they have the exposure of before, each their own.
    let after = study(&cluster, &ada, nano).await;
    for run in 1..=3 {
        assert_eq!(tens(&ada, &after, run).await.0, 10.0, "run {run}");
    }
    assert_eq!(tens(&ada, &after, 4).await.0, 0.0);
    let data = site.folder.join("data");
    assert!(!holds(&data, "renamed-1"), "an id is stored in plain");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_population_needs_the_owners_word_and_merging_adds_exposures() {
    let cluster = cluster(Mode::Protect).await;
    let site = &cluster.sites[0];
    let owner = site.owner_client().await.unwrap();
    let text = site
        .dataset
        .description
        .replace("name = \"visits\"", "name = \"others\"");
    let others = text.replace("subject_unit", "population = \"others\"\nsubject_unit");
    let refused = outcome(owner.add_dataset(&others).await);
    assert_eq!(refused.0, "not_now");
    assert!(refused.1.contains("nobody is in both"), "{}", refused.1);
    add(&owner, &others, true, ids(0..0)).await;
    let mut limit = site.limit(50.0, 1e-6, Mode::Protect).unwrap();
    limit.dataset = DatasetName::new("others").unwrap();
    owner.set_limit(&limit).await.unwrap();
    let mut merging = Merging {
        keep: PopulationName::new("people").unwrap(),
        gone: PopulationName::new("others").unwrap(),
        ids: ids(0..59),
        epsilon: 100.0,
        delta: Delta::new(1e-6).unwrap(),
        mode: Mode::Protect,
        reason: "they were the same".to_owned(),
    };
    let incomplete = outcome(owner.merge(&merging).await);
    assert!(incomplete.1.contains("map every id"), "{}", incomplete.1);
    merging.ids = ids(0..60);
    let merged = owner.merge(&merging).await.unwrap();
    assert!(merged.limit.is_some());
    // Its dataset has to be registered again, as one of the population that stays.
    let ada = cluster.client("ada").await.unwrap();
    let draft = ada.draft("Others", "others").unwrap().project("ada");
    let way = obscura_client::model::accuracy::Accuracy::Sigma(3.0);
    let sql = "SELECT COUNT(*) AS n FROM others";
    let draft = draft.purpose("To see").release("n", sql, way);
    let study = draft.ask(&cluster.institutions().unwrap()).unwrap();
    let waits = outcome(ada.submit(&study).await.remove(0).outcome);
    assert_eq!(waits.0, "not_now", "{}", waits.1);
    add(&owner, &text, false, ids(0..0)).await;
    assert_eq!(outcome(ada.submit(&study).await.remove(0).outcome).0, "ok");
    cluster.stop().await;
}
