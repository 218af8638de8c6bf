//! What is refused: the wrong people, the wrong questions, the wrong time.

use std::time::Duration;

use obscura_client::model::envelope::Reality;
use obscura_client::model::ids::{Digest, PartyName, RequestId};
use obscura_client::model::release::RunRequest;
use obscura_client::model::study::{Study, StudyContent, StudyState, Terms, Verdict};
use obscura_client::model::wire;
use obscura_client::{Client, NewLimit};
use obscura_model::identity::Role;
use obscura_tests::cluster::{Cluster, ask, release_name, terms};
use obscura_tests::data::visits;
use obscura_tests::people::Person;
use obscura_tests::raw::{Caller, RUN, Said};
use tonic::Code;

use crate::support::{VISITS, outcome};

async fn one_site() -> Cluster {
    Cluster::builder()
        .site(visits(60, 3, 1))
        .scientist("bob")
        .build()
        .await
        .unwrap()
}

fn site_1() -> PartyName {
    PartyName::new("site-1").unwrap()
}

async fn run(client: &Client, study: &Study, name: &str, run: u32) -> (&'static str, String) {
    let name = release_name(name).unwrap();
    outcome(client.release(study, &site_1(), &name, run).await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_was_approved_runs() {
    let cluster = one_site().await;
    let ada = cluster.client("ada").await.unwrap();
    let study = cluster
        .approved(&ada, &[ask("n", VISITS, 10_000_000)])
        .await
        .unwrap();
    let institutions = cluster.institutions().unwrap();
    let releases = |sql: &str| {
        let other = cluster.study(&ada, &[ask("n", sql, 10_000_000)]).unwrap();
        other.releases().to_vec()
    };
    // The same study id and release name with another question: another document.
    let other = Study::new(StudyContent {
        id: study.id(),
        project: study.project().clone(),
        title: study.title().to_owned(),
        purpose: study.purpose().to_owned(),
        terms: study.terms().clone(),
        dataset: study.dataset().clone(),
        code_lists: Vec::new(),
        releases: releases("SELECT SUM(amount) AS n FROM visits"),
        institutions,
    })
    .unwrap();
    assert_eq!(run(&ada, &other, "n", 1).await.0, "not_now");
    // It cannot be submitted over the approved one either.
    let [again] = ada.submit(&other).await.try_into().unwrap();
    assert_eq!(outcome(again.outcome).0, "conflict");
    // A study that nobody knows, and one that nobody decided on.
    let unknown = cluster
        .study(&ada, &[ask("n", VISITS, 10_000_000)])
        .unwrap();
    assert_eq!(run(&ada, &unknown, "n", 1).await.0, "not_found");
    ada.submit(&unknown).await;
    assert_eq!(run(&ada, &unknown, "n", 1).await.0, "not_now");
    assert_eq!(cluster.sites[0].meter().unwrap().nano(), 0);
    // What was approved runs, as often as was approved.
    assert_eq!(run(&ada, &study, "n", 1).await.0, "ok");
    let beyond = run(&ada, &study, "n", 2).await;
    assert_eq!(beyond.0, "not_now", "{}", beyond.1);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_its_own_scientist_runs_and_sees_a_study() {
    let cluster = one_site().await;
    let (ada, bob) = (
        cluster.client("ada").await.unwrap(),
        cluster.client("bob").await.unwrap(),
    );
    let study = cluster
        .approved(&ada, &[ask("n", VISITS, 10_000_000)])
        .await
        .unwrap();
    assert_eq!(run(&bob, &study, "n", 1).await.0, "not_found");
    assert_eq!(
        outcome(bob.status(&study).await.remove(0).outcome).0,
        "not_found"
    );
    assert_eq!(
        outcome(bob.withdraw(&study).await.remove(0).outcome).0,
        "not_found"
    );
    assert!(bob.studies().await.remove(0).outcome.unwrap().is_empty());
    // What a stranger is told of a study that exists is what they are told of one that does not.
    let nothing = cluster
        .study(&bob, &[ask("n", VISITS, 10_000_000)])
        .unwrap();
    assert_eq!(
        run(&bob, &study, "n", 1).await,
        run(&bob, &nothing, "n", 1).await
    );
    // The answer is ada's alone, also once it is there.
    assert_eq!(run(&ada, &study, "n", 1).await.0, "ok");
    assert_eq!(run(&bob, &study, "n", 1).await.0, "not_found");
    let exposure = bob.exposure().await.remove(0).outcome.unwrap();
    assert!(exposure.releases.is_empty());
    cluster.stop().await;
}

/// Everything that somebody without rights could try at a node.
async fn tries_everything(cluster: &Cluster, person: &Person, study: &Study) {
    let site = &cluster.sites[0];
    let direct = site.direct(person).await.unwrap();
    assert_eq!(
        outcome(direct.datasets().await.remove(0).outcome).0,
        "not_allowed"
    );
    assert_eq!(
        outcome(direct.exposure().await.remove(0).outcome).0,
        "not_allowed"
    );
    assert_eq!(
        outcome(direct.submit(study).await.remove(0).outcome).0,
        "not_allowed"
    );
    assert_eq!(run(&direct, study, "n", 1).await.0, "not_allowed");
    is_no_owner(cluster, person, study).await;
}

async fn is_no_owner(cluster: &Cluster, person: &Person, study: &Study) {
    let site = &cluster.sites[0];
    let owner = site.owner_client_of(person).await.unwrap();
    let own = site.owner_client().await.unwrap();
    let review = own.review(study.id()).await.unwrap();
    let limit: NewLimit = site
        .limit(9.0, 1e-6, obscura_client::model::exposure::Mode::Protect)
        .unwrap();
    let der = person.der().unwrap();
    assert_eq!(outcome(owner.requests().await).0, "not_allowed");
    assert_eq!(outcome(owner.review(study.id()).await).0, "not_allowed");
    assert_eq!(outcome(owner.exposure().await).0, "not_allowed");
    assert_eq!(outcome(owner.log(0, 0).await).0, "not_allowed");
    assert_eq!(outcome(owner.set_limit(&limit).await).0, "not_allowed");
    assert_eq!(outcome(owner.enrol(&der).await).0, "not_allowed");
    assert_eq!(
        outcome(owner.add_dataset(&site.dataset.description).await).0,
        "not_allowed"
    );
    assert_eq!(
        outcome(owner.decide(&review, Verdict::Approve, "").await).0,
        "not_allowed"
    );
    let people = obscura_client::model::ids::PopulationName::new("people").unwrap();
    assert_eq!(
        outcome(owner.lift(&people, "please").await).0,
        "not_allowed"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_alone_opens_nothing() {
    let cluster = one_site().await;
    let ada = cluster.client("ada").await.unwrap();
    let study = cluster
        .study(&ada, &[ask("n", VISITS, 10_000_000)])
        .unwrap();
    ada.submit(&study).await;
    let issue = |role, who: &str| cluster.consortium.issue(role, who).unwrap();
    tries_everything(&cluster, &issue(Role::Scientist, "mallory"), &study).await;
    tries_everything(&cluster, &issue(Role::Owner, "owner-of-elsewhere"), &study).await;
    tries_everything(&cluster, &issue(Role::Gateway, "hub"), &study).await;
    tries_everything(&cluster, &issue(Role::Node, "site-9"), &study).await;
    // An enrolled scientist is no owner.
    is_no_owner(&cluster, cluster.scientist("ada").unwrap(), &study).await;
    assert_eq!(cluster.sites[0].meter().unwrap().nano(), 0);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_is_no_scientist() {
    let cluster = one_site().await;
    let site = &cluster.sites[0];
    let direct = site.direct(&site.owner).await.unwrap();
    // Looking around is theirs; asking themselves for a study is not.
    assert_eq!(outcome(direct.datasets().await.remove(0).outcome).0, "ok");
    let study = cluster
        .study(&direct, &[ask("n", VISITS, 10_000_000)])
        .unwrap();
    assert_eq!(
        outcome(direct.submit(&study).await.remove(0).outcome).0,
        "not_allowed"
    );
    assert_eq!(run(&direct, &study, "n", 1).await.0, "not_allowed");
    // Nor can they be enrolled, nor anybody who is no scientist, nor somebody else's scientist.
    let owner = site.owner_client().await.unwrap();
    let elsewhere = obscura_tests::people::Consortium::new("Elsewhere", cluster.clock.today());
    let strangers = [
        site.owner.clone(),
        cluster.consortium.issue(Role::Gateway, "hub").unwrap(),
        elsewhere.unwrap().issue(Role::Scientist, "eve").unwrap(),
    ];
    for person in strangers {
        let refused = outcome(owner.enrol(&person.der().unwrap()).await);
        assert_eq!(refused.0, "not_now", "{}: {}", person.party.name, refused.1);
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_withdrawn_or_has_expired_does_not_run() {
    let cluster = one_site().await;
    let ada = cluster.client("ada").await.unwrap();
    let asks = [ask("n", VISITS, 10_000_000)];
    let withdrawn = cluster.approved(&ada, &asks).await.unwrap();
    ada.withdraw(&withdrawn).await.remove(0).outcome.unwrap();
    let refused = run(&ada, &withdrawn, "n", 1).await;
    assert_eq!(refused.0, "not_now", "{}", refused.1);

    // Without an end date a study lasts for a year.
    let short = cluster.study_with(&ada, &asks, Terms::default()).unwrap();
    ada.submit(&short).await.remove(0).outcome.unwrap();
    cluster.sites[0]
        .decide(&short, Verdict::Approve, "")
        .await
        .unwrap();
    cluster.clock.skip(Duration::from_secs(366 * 86_400));
    let refused = run(&ada, &short, "n", 1).await;
    assert_eq!(refused.0, "not_now", "{}", refused.1);
    let status = ada.status(&short).await.remove(0).outcome.unwrap();
    assert_eq!(status.state, StudyState::Expired);
    // A study whose last day is over is not even taken in.
    let late = Terms {
        end_date: "2026-01-01".to_owned(),
        ..terms()
    };
    let late = cluster.study_with(&ada, &asks, late).unwrap();
    assert_eq!(
        outcome(ada.submit(&late).await.remove(0).outcome).0,
        "not_now"
    );
    assert_eq!(cluster.sites[0].meter().unwrap().nano(), 0);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn terms_that_an_owner_requires_must_be_stated() {
    let dataset = visits(60, 3, 1).requiring(&["controller", "contract_number"]);
    let cluster = Cluster::builder().site(dataset).build().await.unwrap();
    let ada = cluster.client("ada").await.unwrap();
    let asks = [ask("n", VISITS, 10_000_000)];
    let empty = Terms {
        contract_number: "  ".to_owned(),
        ..terms()
    };
    let study = cluster.study_with(&ada, &asks, empty).unwrap();
    let refused = outcome(ada.submit(&study).await.remove(0).outcome);
    assert_eq!(refused.0, "invalid");
    assert!(refused.1.contains("contract_number") && !refused.1.contains("controller,"));
    let study = cluster.study_with(&ada, &asks, terms()).unwrap();
    assert_eq!(outcome(ada.submit(&study).await.remove(0).outcome).0, "ok");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_id_is_one_persons_and_for_one_body() {
    let cluster = one_site().await;
    let ada = cluster.client("ada").await.unwrap();
    let asks = [ask("n", VISITS, 10_000_000), ask("m", VISITS, 11_000_000)];
    let study = cluster.approved(&ada, &asks).await.unwrap();
    let bob = cluster.client("bob").await.unwrap();
    let bobs = cluster.approved(&bob, &asks[..1]).await.unwrap();
    let node = cluster.sites[0].institution().unwrap();
    let request_id = RequestId::from_parts(cluster.clock.today().0, [7; 10]);
    let said = Said {
        method: RUN,
        audience: node.key,
        request_id,
        now: cluster.clock.today(),
        reality: Reality::Real,
    };
    let call = async |who: &str, study: &Study, name: &str| {
        let person = cluster.scientist(who).unwrap();
        let address = cluster.sites[0].address().unwrap().to_string();
        let caller = Caller::new(person, &address, (Role::Node, &node.name), None).unwrap();
        let body = wire::run_request_encode(&RunRequest {
            study: study.id(),
            study_digest: Digest::of(&wire::study_encode(study)),
            release: release_name(name).unwrap(),
            again: false,
        });
        caller.send(RUN, caller.sign(&said, body)).await.unwrap()
    };
    let first = call("ada", &study, "n").await.unwrap();
    let meter = cluster.sites[0].meter().unwrap();
    let conflict = call("ada", &study, "m").await.unwrap_err();
    assert_eq!(conflict.0, Code::AlreadyExists, "{}", conflict.1);
    assert_eq!(cluster.sites[0].meter().unwrap(), meter);
    // Another person's request of the same id is another request.
    let other = call("bob", &bobs, "n").await.unwrap();
    assert_ne!(first.body, other.body);
    assert_eq!(cluster.sites[0].meter().unwrap().nano(), 2 * meter.nano());
    // And the first is still what it was.
    assert_eq!(call("ada", &study, "n").await.unwrap().body, first.body);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_approves_queries_as_they_are_read_and_nothing_else() {
    let cluster = one_site().await;
    let ada = cluster.client("ada").await.unwrap();
    let sql = "select count ( * )/* DROP TABLE visits */n from VISITS";
    let study = cluster.study(&ada, &[ask("n", sql, 10_000_000)]).unwrap();
    for at in ada.submit(&study).await {
        at.outcome.unwrap();
    }
    let owner = cluster.sites[0].owner_client().await.unwrap();
    let review = owner.review(study.id()).await.unwrap();
    let read = review.releases[0].canonical_sql.clone();
    assert_eq!(read, "SELECT COUNT(*) AS n FROM visits");
    // Whoever was shown another question approves nothing.
    let mut other = review.clone();
    other.releases[0].canonical_sql = read.replace("COUNT(*)", "SUM(amount)");
    let refused = owner.decide(&other, Verdict::Approve, "").await;
    assert!(refused.is_err());
    let state = owner.review(study.id()).await.unwrap().status.state;
    assert_eq!(state, StudyState::Submitted);
    owner.decide(&review, Verdict::Approve, "").await.unwrap();
    let n = release_name("n").unwrap();
    let made = ada.release(&study, &site_1(), &n, 1).await.unwrap();
    assert_eq!(made.release().canonical_sql, read);
    cluster.stop().await;
}
