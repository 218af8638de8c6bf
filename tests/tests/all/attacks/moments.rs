//! Attacks on the moment: what shows before its time, what changes meanwhile, what happens at
//! once.

use std::time::Duration;

use obscura_client::Client;
use obscura_client::model::accuracy::Accuracy;
use obscura_client::model::envelope::Reality;
use obscura_client::model::exposure::{Mode, Rho};
use obscura_client::model::study::{Study, StudyState};
use obscura_client::{NewDataset, SubjectIds};
use obscura_tests::cluster::{Cluster, ask};
use obscura_tests::data::visits;
use obscura_tests::raw::{Answer, RUN};
use obscura_wire::v1;
use prost::Message as _;
use tokio::task::JoinSet;
use tonic::Code;

use super::{Attacker, DELTA, RUN_MOCK, declared, one, preview, run_body};
use crate::support::{VISITS, outcome};

/// What a scientist sees of a study without asking for its release.
struct Look {
    at: Duration,
    runs: u32,
    state: StudyState,
    own: usize,
    meter: Rho,
    /// Seen by looking into the node: the release is durable.
    made: bool,
}

async fn look(cluster: &Cluster, ada: &Client, study: &Study) -> Look {
    let ledger = cluster.sites[0].node().unwrap().ledger().clone();
    let made = !ledger.answered(&ada.me().key).is_empty();
    let status = ada.status(study).await.remove(0).outcome.unwrap();
    let exposure = ada.exposure().await.remove(0).outcome.unwrap();
    Look {
        at: cluster.clock.since_start(),
        runs: status.releases[0].runs,
        state: status.state,
        own: exposure.releases.len(),
        meter: exposure.accounts[0].meter,
        made,
    }
}

/// Asks for two releases, and looks around and asks for the first again and again until it
/// answers. Gives what was seen, when anything else was answered, and when the first was.
async fn watched(
    cluster: &Cluster,
    ada: &Client,
    study: &Study,
) -> (Vec<Look>, [Vec<Duration>; 2]) {
    let eve = Attacker::new(cluster, "ada", 0);
    let mut first = std::pin::pin!(eve.run(study, 1));
    let (mut others, mut looks, mut early) = (JoinSet::new(), Vec::new(), Vec::new());
    let ask = |id| {
        let message = eve.sign(RUN, id, Reality::Real, run_body(study));
        let caller = eve.caller.clone();
        async move { caller.send(RUN, message).await.unwrap() }
    };
    loop {
        tokio::select! {
            biased;
            answer = &mut first => break assert!(answer.is_ok()),
            Some(_) = others.join_next() => early.push(cluster.clock.since_start()),
            seen = look(cluster, ada, study) => {
                if others.len() < 16 && seen.meter > Rho::ZERO {
                    // The first's slot has begun: the second waits, and so do those who ask again.
                    others.spawn(ask(if others.is_empty() { 2 } else { 1 }));
                }
                looks.push(seen);
            }
        }
    }
    let ended = vec![cluster.clock.since_start()];
    assert!(others.join_all().await.iter().all(Result::is_ok));
    (looks, [early, ended])
}

/// C08, C10: until its slot is over nothing shows that a release is there, and what it says of
/// time is when it began.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_shows_a_release_before_its_slot_ends() {
    let builder = Cluster::builder()
        .site(declared(visits(60, 3, 1), "[1, 900000]"))
        .with_waits();
    let cluster = builder.build().await.unwrap();
    let ada = cluster.client("ada").await.unwrap();
    let asks = [ask("n", VISITS, 9_000_000).times(2)];
    let study = cluster.approved(&ada, &asks).await.unwrap();
    let (mut looks, [early, ended]) = watched(&cluster, &ada, &study).await;
    // What crossed the first answer on its way says nothing.
    let before = |at: Duration| at + Duration::from_millis(50) < ended[0];
    looks.retain(|look| before(look.at));
    assert!(
        !early.into_iter().any(before),
        "the release was known before its slot ended"
    );
    let made: Vec<_> = looks.iter().filter(|look| look.made).collect();
    assert!(made.len() >= 3, "{} of {} looks", made.len(), looks.len());
    for look in &made {
        assert_eq!((look.runs, look.own), (0, 0));
        assert_eq!(look.state, StudyState::Approved);
        // The second's intent would tell when the first's fold was over.
        assert_eq!(look.meter, made[0].meter);
    }
    let both = cluster.sites[0].meter().unwrap().nano();
    assert_eq!(both, 2 * made[0].meter.nano());
    let ledger = cluster.sites[0].node().unwrap().ledger().clone();
    let log = ledger.entries(0, 1000).unwrap();
    let times = |kind: &str| -> Vec<_> {
        let of_kind = log.iter().filter(|entry| entry.kind == kind);
        of_kind.map(|entry| entry.time).collect()
    };
    assert_eq!(times("release begun").len(), 2);
    assert_eq!(times("release begun"), times("release made"));
    drop(ledger);
    cluster.stop().await;
}

/// F13: a caller who hangs up and calls again does not get more than one who waits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_mock_runs_is_one_callers_own_trouble() {
    let cluster = one(declared(visits(60, 3, 1), "[90000, 90000]")).await;
    let (eve, bob) = (
        Attacker::new(&cluster, "ada", 0),
        Attacker::new(&cluster, "bob", 0),
    );
    let v1::PreviewRequest {
        dataset,
        sql,
        accuracy,
        options,
        code_lists,
        dataset_version: _,
        project: _,
    } = preview(VISITS, v1::accuracy::Way::PriceNano(9_000_000));
    let body = v1::RunMockRequest {
        dataset,
        sql,
        accuracy,
        seed: 1,
        options,
        code_lists,
    }
    .encode_to_vec();
    let mut calls = JoinSet::new();
    for id in 0..40 {
        let message = eve.sign(RUN_MOCK, id, Reality::Mock, body.clone());
        let caller = eve.caller.clone();
        calls.spawn(async move { caller.send(RUN_MOCK, message).await.unwrap() });
    }
    let answers = calls.join_all().await;
    let refused = |a: &&Answer| matches!(a, Err((Code::ResourceExhausted, _)));
    let busy = answers.iter().filter(refused).count();
    assert_eq!(busy + answers.iter().filter(|a| a.is_ok()).count(), 40);
    assert!(busy >= 10, "only {busy} of 40 were refused");
    assert!(bob.call(RUN_MOCK, 1, body).await.is_ok());
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scientist_cannot_bury_the_owner_in_studies() {
    let cluster = one(visits(60, 3, 1)).await;
    let ada = cluster.client("ada").await.unwrap();
    let asks = [ask("n", VISITS, 9_000_000)];
    let mut last = ("ok", String::new());
    for _ in 0..101 {
        assert_eq!(last.0, "ok", "{}", last.1);
        let study = cluster.study(&ada, &asks).unwrap();
        last = outcome(ada.submit(&study).await.remove(0).outcome);
    }
    assert_eq!(last.0, "not_now");
    assert!(last.1.contains("wait for a decision"), "{}", last.1);
    // Others still can.
    let bob = cluster.client("bob").await.unwrap();
    let study = cluster.study(&bob, &asks).unwrap();
    assert_eq!(outcome(bob.submit(&study).await.remove(0).outcome).0, "ok");
    cluster.stop().await;
}

/// What the owner does meanwhile makes an approved release dearer, impossible, or nothing at all;
/// never cheaper, and never about other rows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_changes_between_approval_and_run_changes_no_price() {
    let cluster = one(visits(60, 3, 1)).await;
    let (site, ada) = (&cluster.sites[0], cluster.client("ada").await.unwrap());
    let eve = Attacker::new(&cluster, "ada", 0);
    let owner = site.owner_client().await.unwrap();
    let cheap = cluster
        .approved(&ada, &[ask("n", VISITS, 1).times(2)])
        .await
        .unwrap();
    assert!(eve.run(&cheap, 1).await.is_ok());
    let meter = site.meter().unwrap();
    // A higher limit has a higher minimum.
    owner
        .set_limit(&site.limit(50.0, DELTA, Mode::Protect).unwrap())
        .await
        .unwrap();
    let (code, text) = eve.run(&cheap, 2).await.unwrap_err();
    assert_eq!(code, Code::FailedPrecondition, "{text}");
    assert_eq!(site.meter().unwrap(), meter);
    // A dataset limit comes too late for a dataset that was released from.
    let own = obscura_client::NewLimit {
        dataset_only: true,
        ..site.limit(1.0, DELTA, Mode::Strict).unwrap()
    };
    assert_eq!(outcome(owner.set_limit(&own).await).0, "not_now");
    // A new version does not move a study that was approved for the old one.
    let mut dear = ask("n", VISITS, 0);
    dear.accuracy = Accuracy::Price(Rho::from_nano(90_000_000));
    let dear = cluster.approved(&ada, &[dear]).await.unwrap();
    std::fs::write(
        site.folder.join("import/visits.csv"),
        "person,grp,day,amount\n",
    )
    .unwrap();
    owner.add_dataset(&site.dataset.description).await.unwrap();
    let key = site.institution().unwrap().key;
    let release = eve.run(&dear, 3).await.unwrap().open(&key).unwrap();
    assert_eq!(release.dataset_version, 1);
    let people = release.answer.estimate(0, 0).unwrap();
    assert!(
        (people.value - 20.0).abs() < 6.0 * people.margin,
        "{people:?}"
    );
    cluster.stop().await;
}

/// Two ingests at once: whichever is registered, its rows are the ones that are stored.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ingests_at_once_leave_a_dataset_that_answers() {
    let cluster = one(visits(60, 3, 1)).await;
    let site = &cluster.sites[0];
    let mut owners = Vec::new();
    for people in 30..38 {
        let file = format!("visits-{people}.csv");
        let csv = visits(people, 3, 1).csv;
        std::fs::write(site.folder.join("import").join(&file), csv).unwrap();
        let description = &site.dataset.description;
        let description = description.replace("visits.csv", &file);
        owners.push((site.owner_client().await.unwrap(), description));
    }
    let mut adding = JoinSet::new();
    for (owner, description) in owners {
        adding.spawn(async move { owner.add_dataset(&description).await.is_ok() });
    }
    assert!(adding.join_all().await.contains(&true));
    let ada = cluster.client("ada").await.unwrap();
    let study = cluster
        .approved(&ada, &[ask("n", VISITS, 9_000_000)])
        .await
        .unwrap();
    assert!(
        Attacker::new(&cluster, "ada", 0)
            .run(&study, 1)
            .await
            .is_ok()
    );
    cluster.stop().await;
}

/// A size that no node could hold is refused before the population has it for good.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_declared_size_that_no_query_could_be_answered_for_is_refused() {
    let mut cluster = one(visits(60, 3, 1)).await;
    let owner = cluster.sites[0].owner_client().await.unwrap();
    let huge = declared(visits(60, 3, 1), "[1, 100000000]").description;
    let huge = huge
        .replace("\"visits\"", "\"huge\"")
        .replace(
            "most_rows_per_subject = 1\n",
            "most_rows_per_subject = 1000\n",
        )
        .replace("1e-6", "1e-11");
    let huge = huge.replace("subject_unit", "population = \"everybody\"\nsubject_unit");
    let refused = outcome(owner.add_dataset(&huge).await);
    assert_eq!(refused.0, "not_now", "{}", refused.1);
    assert!(refused.1.contains("rows"), "{}", refused.1);
    cluster.sites[0].restart().await.unwrap();
    let site = &cluster.sites[0];
    let names = site.owner_client().await.unwrap().datasets().await.unwrap();
    assert_eq!(names.len(), 1);
    cluster.stop().await;
}

/// Delta below 1/N rests on the declared size, so a file with more people than that is refused,
/// and the failed attempt fixes nothing: the corrected description is accepted.
#[tokio::test]
async fn more_people_than_declared_are_refused_and_nothing_is_kept_of_it() {
    let cluster = one(visits(60, 3, 1)).await;
    let owner = cluster.sites[0].owner_client().await.unwrap();
    let other = |size: &str| {
        let text = declared(visits(60, 3, 1), size).description;
        let text = text.replace("name = \"visits\"", "name = \"others\"");
        text.replace("subject_unit", "population = \"others\"\nsubject_unit")
    };
    let refused = outcome(owner.add(&apart(&other("[1, 59]"))).await);
    assert!(refused.1.contains("has 60 subjects"), "{}", refused.1);
    assert!(refused.1.contains("at most 59"), "{}", refused.1);
    let log = owner.log(0, 1_000).await.unwrap();
    assert!(!log.entries.iter().any(|e| e.text.contains("others")));
    owner.add(&apart(&other("[1, 60]"))).await.unwrap();
    drop(owner);
    cluster.stop().await;
}

/// With the owner's statement that nobody is in two populations.
fn apart(description: &str) -> NewDataset {
    NewDataset {
        description: description.to_owned(),
        apart: true,
        opt_out: SubjectIds::from_lines(""),
    }
}
