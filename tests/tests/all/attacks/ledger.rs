//! Attacks on exposure, ledger and request ids (D01 to D27; the clock, restored backups and the
//! audit of the log are other suites').

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use obscura_client::model::exposure::{Delta, Mode};
use obscura_client::model::ids::{PartyName, PopulationName};
use obscura_client::model::release::{Completeness, SignedRelease};
use obscura_client::model::study::Study;
use obscura_client::{NewLimit, ScientistLimit};
use obscura_ledger::Ledger;
use obscura_tests::cluster::{Cluster, ask, release_name};
use obscura_tests::data::visits;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha20Rng;
use tokio::task::JoinSet;
use tonic::Code;

use super::{Attacker, DELTA, limit, one};
use crate::source::texts;
use crate::support::{VISITS, outcome};

/// Where each row of the section is attacked: the file that holds the test, and its name.
pub(super) const INDEX: &[(&str, &str, &str)] = &[
    (
        "D01",
        "tests/tests/all/races.rs",
        "the_last_room_goes_to_exactly_one_of_64_requests",
    ),
    (
        "D02",
        "attacks/ledger.rs",
        "d02_all_limits_are_kept_by_two_scientists_at_once",
    ),
    (
        "D04",
        "attacks/ledger.rs",
        "d04_a_hundred_repeats_are_one_release_priced_once",
    ),
    (
        "D05",
        "tests/tests/all/races.rs",
        "one_request_made_64_times_at_once_is_carried_out_once",
    ),
    (
        "D06",
        "tests/tests/all/refusals.rs",
        "a_request_id_is_one_persons_and_for_one_body",
    ),
    (
        "D08",
        "attacks/ledger.rs",
        "d08_whatever_was_priced_for_a_caller_who_left_can_be_fetched",
    ),
    (
        "D10",
        "faults/traced.rs",
        "d10_to_d13_a_kill_at_any_seam_leaves_one_release_priced_once",
    ),
    (
        "D11",
        "faults/traced.rs",
        "d10_to_d13_a_kill_at_any_seam_leaves_one_release_priced_once",
    ),
    (
        "D12",
        "faults/traced.rs",
        "d10_to_d13_a_kill_at_any_seam_leaves_one_release_priced_once",
    ),
    (
        "D13",
        "faults/traced.rs",
        "d10_to_d13_a_kill_at_any_seam_leaves_one_release_priced_once",
    ),
    (
        "D15",
        "tests/tests/all/kills.rs",
        "twenty_kills_under_load_lose_nothing_and_price_nothing_twice",
    ),
    (
        "D19",
        "attacks/ledger.rs",
        "d19_a_flipped_bit_stops_the_node_by_name_or_changes_nothing",
    ),
    (
        "D21",
        "node/ledger/src/tests/forged.rs",
        "d21_a_record_written_anew_under_good_checksums_stops_the_node_where_it_is_missed",
    ),
    (
        "D22",
        "attacks/forks.rs",
        "d22_a_second_process_on_one_folder_does_not_start",
    ),
    (
        "D23",
        "attacks/ledger.rs",
        "d23_the_same_people_in_a_new_dataset_keep_their_exposure",
    ),
    (
        "D26",
        "attacks/ledger.rs",
        "d26_twenty_identities_reach_exactly_the_limit",
    ),
    (
        "D27",
        "attacks/ledger.rs",
        "d27_a_lowered_limit_stops_whom_it_does_not_fit_and_undoes_nothing",
    ),
];

/// The rows of the section, but those of other suites (D16 to D18, D31).
const ROWS: [&str; 17] = [
    "D01", "D02", "D04", "D05", "D06", "D08", "D10", "D11", "D12", "D13", "D15", "D19", "D21",
    "D22", "D23", "D26", "D27",
];

/// These rows are there and no others, and each one's test is there: a function of that name in
/// that file.
pub(super) fn check_index(index: &[(&str, &str, &str)], rows: &[&str]) {
    let sources = texts(&["rs"]);
    for (id, file, name) in index {
        let mut found = sources.iter().filter(|(path, _)| path.ends_with(file));
        let there = found.any(|(_, text)| text.contains(&format!("fn {name}(")));
        assert!(there, "{id}: there is no {name} in {file}");
    }
    let ids: Vec<_> = index.iter().map(|(id, _, _)| *id).collect();
    assert_eq!(ids, rows, "a row is missing, too many, or there twice");
}

#[test]
fn every_row_of_the_section_has_its_test() {
    check_index(INDEX, &ROWS);
}

fn site_1() -> PartyName {
    PartyName::new("site-1").unwrap()
}

async fn strict(epsilon: f64, scientists: &[&str]) -> Cluster {
    let builder = Cluster::builder().site(visits(60, 3, 1));
    let builder = builder.mode(Mode::Strict).limit(epsilon);
    let builder = scientists.iter().fold(builder, |b, s| b.scientist(s));
    builder.build().await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d02_all_limits_are_kept_by_two_scientists_at_once() {
    // Room for five in the population, for four in the dataset, for three for each of the two.
    let cluster = strict(0.95, &["bob"]).await;
    let site = &cluster.sites[0];
    let owner = site.owner_client().await.unwrap();
    let tight = site.limit(0.8, DELTA, Mode::Strict).unwrap();
    let tight = NewLimit {
        dataset_only: true,
        ..tight
    };
    owner.set_limit(&tight).await.unwrap();
    let mine = ScientistLimit {
        scientist: None,
        epsilon: 0.71,
        delta: Delta::new(DELTA).unwrap(),
        reason: "for tests".to_owned(),
    };
    owner.set_scientist_limit(&mine).await.unwrap();
    let price = limit(0.8).largest_release().nano();
    let room = [0.95, 0.8, 0.71].map(|epsilon| limit(epsilon).rho().nano() / price);
    assert_eq!(room, [5, 4, 3], "the test's own arithmetic");
    let mut racing = JoinSet::new();
    for who in ["ada", "bob"] {
        let client = cluster.client(who).await.unwrap();
        let asks = [ask("n", VISITS, price).times(3)];
        let study = cluster.approved(&client, &asks).await.unwrap();
        // From the second run on each says that it wants an answer of its own.
        for run in 2..26 {
            let (client, study, name) = (client.clone(), study.clone(), release_name("n").unwrap());
            racing.spawn(async move {
                (
                    who,
                    outcome(client.release(&study, &site_1(), &name, run).await),
                )
            });
        }
    }
    let outcomes = racing.join_all().await;
    let won: Vec<_> = outcomes
        .iter()
        .filter(|(_, o)| o.0 == "ok")
        .map(|(who, _)| who)
        .collect();
    assert_eq!(won.len(), 4, "{outcomes:?}");
    assert!(
        won.iter().filter(|who| ***who == "ada").count() <= 3,
        "{won:?}"
    );
    assert!(
        outcomes
            .iter()
            .all(|(_, o)| o.0 == "ok" || o.0 == "not_now"),
        "{outcomes:?}"
    );
    // No partial price, in no account.
    for account in owner.exposure().await.unwrap().accounts {
        assert_eq!((account.meter.nano() + price / 2) / price, 4, "{account:?}");
        assert_eq!(account.meter, site.meter().unwrap());
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d04_a_hundred_repeats_are_one_release_priced_once() {
    let mut cluster = one(visits(60, 3, 1)).await;
    let ada = cluster.client("ada").await.unwrap();
    let asks = [ask("n", VISITS, 5_000_000).times(50)];
    let study = cluster.approved(&ada, &asks).await.unwrap();
    let first = Attacker::new(&cluster, "ada", 0)
        .run(&study, 1)
        .await
        .unwrap();
    let meter = cluster.sites[0].meter().unwrap();
    for round in 0..100 {
        if round == 50 {
            cluster.sites[0].restart().await.unwrap();
        }
        // The envelope is a fresh one each time, and so is a signature over it.
        cluster.clock.skip(Duration::from_secs(1));
        let again = Attacker::new(&cluster, "ada", 0)
            .run(&study, 1)
            .await
            .unwrap();
        assert_eq!(again, first, "round {round}");
    }
    assert_eq!(cluster.sites[0].meter().unwrap(), meter);
    let key = cluster.sites[0].institution().unwrap().key;
    assert_eq!(meter, first.open(&key).unwrap().price);
    cluster.stop().await;
}

/// How far the node was when a caller left: by the records that the call had made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Left {
    /// None: nothing was priced.
    Before,
    /// The intent: the fold runs, or the noise is drawn.
    During,
    /// The release too; it has not arrived.
    After,
}

/// Makes a call and drops it, which resets its stream: after `polls` polls of it, or as soon as
/// the ledger is `records` longer. Tells how far the node was by then; nothing if it answered.
async fn dropped<T>(
    call: impl Future<Output = T>,
    ledger: &Ledger,
    (polls, records): (usize, u64),
) -> Option<Left> {
    let before = ledger.head().size;
    let mut call = Box::pin(call);
    for poll in 0.. {
        if poll >= polls && ledger.head().size - before >= records {
            break;
        }
        tokio::select! {
            biased;
            _ = &mut call => return None,
            () = tokio::task::yield_now() => {}
        }
    }
    drop(call);
    Some(match ledger.head().size - before {
        0 => Left::Before,
        1 => Left::During,
        _ => Left::After,
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d08_whatever_was_priced_for_a_caller_who_left_can_be_fetched() {
    // Five hundred altogether.
    const TRIALS: u8 = 250;
    let cluster = one(visits(60, 3, 1)).await;
    let key = cluster.sites[0].institution().unwrap().key;
    let ledger = cluster.sites[0].node().unwrap().ledger().clone();
    let (mut prices, mut kept) = (0, BTreeSet::new());
    let mut left = BTreeMap::new();
    for who in ["ada", "bob"] {
        let client = cluster.client(who).await.unwrap();
        let asks = [ask("n", VISITS, 1_000_000).times(u32::from(TRIALS))];
        let study = cluster.approved(&client, &asks).await.unwrap();
        let eve = Attacker::new(&cluster, who, 0);
        for id in 1..=TRIALS {
            let moment = match id % 3 {
                0 => (usize::from(id % 20), 0),
                records => (0, u64::from(records)),
            };
            let how = dropped(eve.run(&study, id), &ledger, moment).await;
            *left.entry(how).or_insert(0) += 1;
            // Some are fetched at once, while they run or before they are there; the others when
            // all have gone.
            if id % 5 == 0 || how == Some(Left::Before) {
                kept.insert(fetched(&eve, &study, id).await.body);
            }
            while open(&ledger) {
                tokio::task::yield_now().await;
            }
        }
        for id in 1..=TRIALS {
            let release = fetched(&eve, &study, id).await;
            prices += release.open(&key).unwrap().price.nano();
            kept.insert(release.body);
        }
    }
    assert_eq!(
        kept.len(),
        2 * usize::from(TRIALS),
        "every request has one release of its own"
    );
    for how in [Left::Before, Left::During, Left::After] {
        let times = left.get(&Some(how)).copied().unwrap_or(0);
        assert!(times >= 10, "{how:?}: {left:?}");
    }
    assert_eq!(cluster.sites[0].meter().unwrap().nano(), prices);
    assert!(ledger.reruns().is_empty());
    cluster.stop().await;
}

/// Whether a release is begun and not committed.
fn open(ledger: &Ledger) -> bool {
    let people = PopulationName::new("people").unwrap();
    let view = ledger.population(&people, ledger.last_time()).unwrap();
    view.open_intent.is_some()
}

/// The release of a request whose first caller left.
async fn fetched(eve: &Attacker<'_>, study: &Study, id: u8) -> SignedRelease {
    loop {
        match eve.run(study, id).await {
            Ok(release) => break release,
            // Its own first call is still under way.
            Err((Code::ResourceExhausted, _)) => tokio::task::yield_now().await,
            Err(other) => panic!("{id}: {other:?}"),
        }
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if std::fs::metadata(&path).unwrap().len() > 0 {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}

/// Flips a bit somewhere in the used part of a file; gives the byte's place.
fn flip(path: &Path, rng: &mut ChaCha20Rng) -> usize {
    let mut bytes = std::fs::read(path).unwrap();
    let used = bytes
        .iter()
        .rposition(|b| *b != 0)
        .map_or(bytes.len(), |at| at + 1);
    let at = rng.random_range(0..used);
    bytes[at] ^= 1 << rng.random_range(0..8);
    std::fs::write(path, bytes).unwrap();
    at
}

async fn answers(cluster: &Cluster, study: &Study, ids: u8) -> Vec<SignedRelease> {
    let eve = Attacker::new(cluster, "ada", 0);
    let mut all = Vec::new();
    for id in 1..=ids {
        all.push(eve.run(study, id).await.unwrap());
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d19_a_flipped_bit_stops_the_node_by_name_or_changes_nothing() {
    let mut cluster = one(visits(60, 3, 1)).await;
    let ada = cluster.client("ada").await.unwrap();
    let asks = [ask("n", VISITS, 5_000_000).times(9)];
    let study = cluster.approved(&ada, &asks).await.unwrap();
    let before = answers(&cluster, &study, 4).await;
    let meter = cluster.sites[0].meter().unwrap();
    cluster.sites[0].stop().await;
    let ledger = cluster.sites[0].folder.join("data/ledger");
    let safe = tempfile::tempdir().unwrap();
    // The lock is let go of a moment after the node ended.
    cluster.sites[0].restart().await.unwrap();
    cluster.sites[0].stop().await;
    copy(&ledger, safe.path());
    let mut rng = ChaCha20Rng::seed_from_u64(19);
    let (mut halted, mut harmless) = (0, 0);
    for trial in 0..60 {
        std::fs::remove_dir_all(&ledger).unwrap();
        copy(safe.path(), &ledger);
        let all = files(&ledger);
        // Every other bit in the journal, the rest anywhere.
        let journal = all
            .iter()
            .filter(|p| p.extension().is_some_and(|e| e == "journal"));
        let journal: Vec<_> = journal.collect();
        let path = match trial % 2 {
            0 => journal[rng.random_range(0..journal.len())].clone(),
            _ => all[rng.random_range(0..all.len())].clone(),
        };
        let at = flip(&path, &mut rng);
        let what = format!("{} byte {at}", path.display());
        match cluster.sites[0].restart().await {
            Ok(()) => {
                harmless += 1;
                assert_eq!(answers(&cluster, &study, 4).await, before, "{what}");
                assert_eq!(cluster.sites[0].meter().unwrap(), meter, "{what}");
                cluster.sites[0].stop().await;
            }
            Err(error) => {
                halted += 1;
                let told = format!("{error:#}");
                let named = told.contains("record") || told.contains("segment");
                assert!(named && !told.contains("panicked"), "{what}: {told}");
            }
        }
    }
    assert!(
        halted >= 25 && harmless >= 5,
        "{halted} halted, {harmless} harmless"
    );
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d22_a_second_process_is_refused_under_any_name_of_the_folder() {
    let cluster = one(visits(60, 3, 1)).await;
    let site = &cluster.sites[0];
    let config = obscura_node::config::Config::load(&site.config()).unwrap();
    let clock = cluster.clock.clone();
    let second = tokio::task::spawn_blocking(move || obscura_node::start::open(&config, clock));
    let refused = second.await.unwrap().unwrap_err();
    let chain = format!("{:#}", anyhow::Error::new(refused));
    assert!(chain.contains("another process"), "{chain}");
    // The same folder under another name.
    let alias = cluster.folder().join("alias");
    std::os::unix::fs::symlink(site.folder.join("data/ledger"), &alias).unwrap();
    let key = site.institution().unwrap().key;
    let entropy = obscura_node::entropy::source();
    let refused = Ledger::open(&alias, key, entropy, cluster.clock.today()).unwrap_err();
    assert!(refused.to_string().contains("another process"), "{refused}");
    // Reading along is not writing.
    Ledger::verify(&alias, key).unwrap();
    let ada = cluster.client("ada").await.unwrap();
    let asks = [ask("n", VISITS, 5_000_000)];
    let study = cluster.approved(&ada, &asks).await.unwrap();
    assert!(
        Attacker::new(&cluster, "ada", 0)
            .run(&study, 1)
            .await
            .is_ok()
    );
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d23_the_same_people_in_a_new_dataset_keep_their_exposure() {
    let cluster = strict(1.0, &[]).await;
    let site = &cluster.sites[0];
    let (owner, ada) = (
        site.owner_client().await.unwrap(),
        cluster.client("ada").await.unwrap(),
    );
    let quarter = limit(1.0).largest_release().nano();
    let study = cluster
        .approved(&ada, &[ask("n", VISITS, quarter).times(3)])
        .await
        .unwrap();
    let name = release_name("n").unwrap();
    for run in 1..=3 {
        ada.release(&study, &site_1(), &name, run).await.unwrap();
    }
    let meter = site.meter().unwrap();
    // The same file with one row changed, under another name.
    let changed = site.dataset.csv.replacen("p0,0,", "p0,1,", 1);
    std::fs::write(site.folder.join("import/again.csv"), changed).unwrap();
    let description = site
        .dataset
        .description
        .replace("name = \"visits\"", "name = \"again\"");
    let description = description.replace("visits.csv", "again.csv");
    owner.add_dataset(&description).await.unwrap();
    assert_eq!(
        site.meter().unwrap(),
        meter,
        "a new name begins with the old meter"
    );
    let sql = VISITS.replace("FROM visits", "FROM again");
    let asks = [ask("n", &sql, quarter).times(4)];
    let institutions = cluster.institutions().unwrap();
    let terms = obscura_tests::cluster::terms();
    let again = obscura_tests::cluster::study(&ada, "again", &asks, terms, institutions).unwrap();
    ada.submit(&again).await.remove(0).outcome.unwrap();
    site.decide(&again, obscura_client::model::study::Verdict::Approve, "")
        .await
        .unwrap();
    assert!(ada.release(&again, &site_1(), &name, 1).await.is_ok());
    let refused = outcome(ada.release(&again, &site_1(), &name, 2).await);
    assert_eq!(refused.0, "not_now", "{}", refused.1);
    assert!(refused.1.contains("room"), "{}", refused.1);
    assert_eq!((site.meter().unwrap().nano() + quarter / 2) / quarter, 4);
    // Nor as other people, without the owner's word that nobody is in both.
    let others = description.replace("name = \"again\"", "name = \"others\"");
    let others = others.replace("subject_unit", "population = \"others\"\nsubject_unit");
    let refused = outcome(owner.add_dataset(&others).await);
    assert_eq!(refused.0, "not_now", "{}", refused.1);
    assert!(refused.1.contains("nobody is in both"), "{}", refused.1);
    assert_eq!(owner.datasets().await.unwrap().len(), 2);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d26_twenty_identities_reach_exactly_the_limit() {
    let names: Vec<String> = (1..=19).map(|n| format!("ada-{n}")).collect();
    let others: Vec<&str> = names.iter().map(String::as_str).collect();
    let cluster = strict(1.0, &others).await;
    let tenth = limit(1.0).rho().nano() / 10;
    let mut racing = JoinSet::new();
    for who in std::iter::once("ada").chain(others) {
        let client = cluster.client(who).await.unwrap();
        let asks = [ask("n", VISITS, tenth)];
        let study = cluster.approved(&client, &asks).await.unwrap();
        racing.spawn(async move {
            let name = release_name("n").unwrap();
            outcome(client.release(&study, &site_1(), &name, 1).await)
        });
    }
    let outcomes = racing.join_all().await;
    assert_eq!(
        outcomes.iter().filter(|o| o.0 == "ok").count(),
        10,
        "{outcomes:?}"
    );
    let others: BTreeSet<_> = outcomes
        .iter()
        .filter(|o| o.0 != "ok")
        .map(|o| o.0)
        .collect();
    assert_eq!(others, ["not_now"].into(), "{outcomes:?}");
    let meter = cluster.sites[0].meter().unwrap().nano();
    assert!(
        meter <= limit(1.0).rho().nano() && meter > 9 * tenth,
        "{meter}"
    );
    cluster.stop().await;
}

/// Six thousand people, three quarters of a limit, and half of that limit.
async fn lowered(mode: Mode) -> (Cluster, Study) {
    let builder = Cluster::builder().site(visits(6_000, 3, 1));
    let cluster = builder.mode(mode).limit(2.0).build().await.unwrap();
    let ada = cluster.client("ada").await.unwrap();
    let quarter = limit(2.0).largest_release().nano();
    let study = cluster
        .approved(&ada, &[ask("n", VISITS, quarter).times(3)])
        .await
        .unwrap();
    answers(&cluster, &study, 3).await;
    assert!(cluster.sites[0].meter().unwrap() > limit(1.0).rho());
    (cluster, study)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d27_a_lowered_limit_stops_whom_it_does_not_fit_and_undoes_nothing() {
    let (cluster, _) = lowered(Mode::Strict).await;
    let site = &cluster.sites[0];
    let owner = site.owner_client().await.unwrap();
    let lower = site.limit(1.0, DELTA, Mode::Strict).unwrap();
    let refused = outcome(owner.set_limit(&lower).await);
    assert_eq!(refused.0, "not_now");
    assert!(refused.1.contains("released already"), "{}", refused.1);
    cluster.stop().await;

    let (cluster, study) = lowered(Mode::Protect).await;
    let site = &cluster.sites[0];
    let before = answers(&cluster, &study, 3).await;
    let meter = site.meter().unwrap();
    let owner = site.owner_client().await.unwrap();
    owner
        .set_limit(&site.limit(1.0, DELTA, Mode::Protect).unwrap())
        .await
        .unwrap();
    assert_eq!(site.meter().unwrap(), meter);
    let ada = cluster.client("ada").await.unwrap();
    let quarter = limit(1.0).largest_release().nano();
    let asks = [ask("n", VISITS, quarter)];
    let late = cluster.approved(&ada, &asks).await.unwrap();
    let key = site.institution().unwrap().key;
    let release = Attacker::new(&cluster, "ada", 0)
        .run(&late, 9)
        .await
        .unwrap();
    let release = release.open(&key).unwrap();
    assert_eq!(release.completeness, Completeness::SubjectsMayBeMissing);
    for cell in 0..3 {
        // Everybody is above the new limit: of the two thousand in a group nobody is counted.
        let people = release.answer.estimate(0, cell).unwrap();
        assert!(
            people.value.abs() < 6.0 * people.margin && people.margin < 100.0,
            "{people:?}"
        );
    }
    assert_eq!(
        answers(&cluster, &study, 3).await,
        before,
        "history is what it was"
    );
    cluster.stop().await;
}
