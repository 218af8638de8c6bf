//! Standing grants: answered at once, and only within what was granted.

use std::time::Duration;

use obscura_client::model::accuracy::{Accuracy, AccuracyRequest};
use obscura_client::model::exposure::{Delta, Rho, rho_within};
use obscura_client::model::ids::{DatasetName, GrantId, PartyName, ProjectName, UnixMillis};
use obscura_client::model::release::Authority;
use obscura_client::model::study::ReleaseOptions;
use obscura_client::model::text::SqlText;
use obscura_client::{
    Client, Error, Grant, GrantState, NewGrant, OwnerClient, Question, VerifiedRelease,
};
use obscura_tests::cluster::Cluster;
use obscura_tests::data::visits;

use crate::support::{VISITS, outcome};

async fn one_site() -> Cluster {
    let builder = Cluster::builder().site(visits(60, 3, 1)).scientist("bob");
    builder.build().await.unwrap()
}

/// For ada, of the column grp, until tomorrow.
fn wanted(cluster: &Cluster, owner: &OwnerClient, ada: &Client, epsilon: f64) -> NewGrant {
    let tomorrow = UnixMillis(cluster.clock.today().0 + 86_400_000);
    NewGrant {
        id: owner.new_grant_id().unwrap(),
        project: ProjectName::new("ada").unwrap(),
        scientist: ada.me().key,
        dataset: DatasetName::new("visits").unwrap(),
        columns: vec!["grp".to_owned()],
        epsilon,
        delta_keys: None,
        releases: 3,
        until: tomorrow.date(),
        reason: "monitoring".to_owned(),
    }
}

fn question(sql: &str, nano: u64) -> Question {
    let way = Accuracy::Price(Rho::from_nano(nano));
    Question::new(
        DatasetName::new("visits").unwrap(),
        SqlText::new(sql).unwrap(),
        AccuracyRequest::whole(way).unwrap(),
    )
}

async fn asks(
    client: &Client,
    grant: GrantId,
    question: &Question,
) -> Result<VerifiedRelease, Error> {
    let site = PartyName::new("site-1").unwrap();
    client.ask(&site, grant, question, true).await
}

async fn refused(client: &Client, grant: GrantId, question: &Question, says: &str) {
    let refused = outcome(asks(client, grant, question).await);
    assert_eq!(refused.0, "not_now", "{}", refused.1);
    assert!(refused.1.contains(says), "{}", refused.1);
}

async fn own(client: &Client) -> Grant {
    client.grants().await.remove(0).outcome.unwrap().remove(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grant_answers_at_once_for_its_columns_and_its_scientist_until_its_number() {
    let cluster = one_site().await;
    let (ada, bob) = (
        cluster.client("ada").await.unwrap(),
        cluster.client("bob").await.unwrap(),
    );
    let owner = cluster.sites[0].owner_client().await.unwrap();
    let new = wanted(&cluster, &owner, &ada, 2.0);
    // The same grant again changes nothing; another one under its id is refused.
    for _ in 0..2 {
        owner.give_grant(&new).await.unwrap();
    }
    let mut other = new.clone();
    other.releases = 9;
    assert_eq!(outcome(owner.give_grant(&other).await).0, "not_now");
    let count = question(VISITS, 5_000_000);
    let release = asks(&ada, new.id, &count).await.unwrap();
    let content = release.release();
    assert_eq!(content.authority, Authority::Grant { grant: new.id });
    assert_eq!(content.options, ReleaseOptions::NONE);
    assert_eq!(cluster.sites[0].meter().unwrap(), content.price);
    // Another column, another scientist.
    let amounts = question(
        "SELECT grp, SUM(amount) AS n FROM visits GROUP BY grp",
        5_000_000,
    );
    refused(&ada, new.id, &amounts, "amount").await;
    let hidden = question(
        "SELECT COUNT(*) AS n FROM visits WHERE amount > 3",
        5_000_000,
    );
    refused(&ada, new.id, &hidden, "amount").await;
    assert_eq!(outcome(asks(&bob, new.id, &count).await).0, "not_found");
    assert!(bob.grants().await.remove(0).outcome.unwrap().is_empty());
    // What was refused is no release under it.
    let grant = own(&ada).await;
    assert_eq!((grant.begun, grant.taken), (1, content.price));
    assert_eq!(grant.allows().0, 2);
    asks(&ada, new.id, &count).await.unwrap();
    asks(&ada, new.id, &count).await.unwrap();
    assert_eq!(own(&ada).await.state, GrantState::Used);
    refused(&ada, new.id, &count, "grant").await;
    assert_eq!(cluster.sites[0].meter().unwrap(), own(&ada).await.taken);
    assert_eq!(owner.grants().await.unwrap(), vec![own(&ada).await]);
    // What was asked under a grant is in the owner's log, and nowhere else in it.
    let log = owner.log(0, 0).await.unwrap().entries;
    let asked: Vec<_> = log.iter().filter_map(|e| e.question.as_ref()).collect();
    assert_eq!(asked.len(), 3);
    assert_eq!(asked[0].sql, content.canonical_sql);
    assert!(!asked[0].words.is_empty());
    let given = log.iter().find(|e| e.kind == "grant given").unwrap();
    let says = "at most 3 releases about grp of dataset visits";
    assert!(given.text.contains(says), "{}", given.text);
    let total = "Together they add at most epsilon 2.";
    assert!(given.text.ends_with(total), "{}", given.text);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grant_stops_at_its_total_its_date_and_when_it_is_revoked() {
    let cluster = one_site().await;
    let ada = cluster.client("ada").await.unwrap();
    let owner = cluster.sites[0].owner_client().await.unwrap();
    let total = rho_within(1.0, Delta::new(1e-6).unwrap()).unwrap();
    let count = question(VISITS, total.nano() * 2 / 5);
    let small = wanted(&cluster, &owner, &ada, 1.0);
    owner.give_grant(&small).await.unwrap();
    assert_eq!(own(&ada).await.most, total);
    asks(&ada, small.id, &count).await.unwrap();
    asks(&ada, small.id, &count).await.unwrap();
    let before = cluster.sites[0].meter().unwrap();
    refused(&ada, small.id, &count, "grant").await;
    assert_eq!(cluster.sites[0].meter().unwrap(), before);
    // Revoked: again and again, without an error.
    let second = wanted(&cluster, &owner, &ada, 2.0);
    owner.give_grant(&second).await.unwrap();
    for _ in 0..2 {
        let revoked = owner.revoke_grant(second.id, "over").await.unwrap();
        assert_eq!(revoked.state, GrantState::Revoked);
    }
    refused(&ada, second.id, &count, "grant").await;
    // The date.
    let third = wanted(&cluster, &owner, &ada, 2.0);
    owner.give_grant(&third).await.unwrap();
    cluster.clock.skip(Duration::from_secs(3 * 86_400));
    refused(&ada, third.id, &count, "grant").await;
    assert_eq!(cluster.sites[0].meter().unwrap(), before);
    // A column that the dataset does not have is a slip.
    let mut wrong = wanted(&cluster, &owner, &ada, 1.0);
    wrong.columns.push("grb".to_owned());
    let slip = outcome(owner.give_grant(&wrong).await);
    assert!(slip.1.contains("no column called grb"), "{}", slip.1);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_complete_answers_are_given_to_who_asks_for_those() {
    // Four releases of this price fill the limit; in protect mode a fifth leaves people out.
    let cluster = one_site().await;
    let ada = cluster.client("ada").await.unwrap();
    let owner = cluster.sites[0].owner_client().await.unwrap();
    let limit = rho_within(5.0, Delta::new(1e-6).unwrap()).unwrap();
    let mut new = wanted(&cluster, &owner, &ada, 50.0);
    new.releases = 9;
    owner.give_grant(&new).await.unwrap();
    let mut count = question(VISITS, limit.nano() / 4);
    count.options = ReleaseOptions::PROPOSED;
    for _ in 0..4 {
        asks(&ada, new.id, &count).await.unwrap();
    }
    let meter = cluster.sites[0].meter().unwrap();
    refused(&ada, new.id, &count, "coverage").await;
    let site = PartyName::new("site-1").unwrap();
    let preview = ada.preview_of(&site, &count).await.unwrap();
    assert!(preview.proposes_coverage() && preview.refusal.is_some());
    assert_eq!(cluster.sites[0].meter().unwrap(), meter);
    count.options = ReleaseOptions::NONE;
    asks(&ada, new.id, &count).await.unwrap();
    // A coverage is one more priced sum of the same release.
    count.options.coverage = true;
    let covered = asks(&ada, new.id, &count).await.unwrap();
    assert_eq!(covered.release().answer.shape().outputs.len(), 2);
    cluster.stop().await;
}
