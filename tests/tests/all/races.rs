//! Many at once: the last room is given away once, and one request is carried out once.

use std::collections::BTreeSet;

use obscura_client::model::exposure::{Delta, Limit, Mode};
use obscura_client::model::ids::PartyName;
use obscura_tests::cluster::{Cluster, ask, release_name};
use obscura_tests::data::visits;
use tokio::task::JoinSet;

use crate::support::{VISITS, outcome};

const RACERS: u32 = 64;

/// Five times: the order in which 64 requests meet is another one each time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_room_goes_to_exactly_one_of_64_requests() {
    for _ in 0..5 {
        the_last_room().await;
    }
}

async fn the_last_room() {
    let strict = Cluster::builder()
        .site(visits(60, 3, 1))
        .mode(Mode::Strict)
        .limit(1.0);
    let cluster = strict.build().await.unwrap();
    let limit = Limit::new(1.0, Delta::new(1e-6).unwrap()).unwrap();
    let ada = cluster.client("ada").await.unwrap();
    let asks = [ask("n", VISITS, limit.largest_release().nano()).times(RACERS + 3)];
    let study = cluster.approved(&ada, &asks).await.unwrap();
    let (site, name) = (
        PartyName::new("site-1").unwrap(),
        release_name("n").unwrap(),
    );
    for run in 1..=3 {
        ada.release(&study, &site, &name, run).await.unwrap();
    }
    let mut racing = JoinSet::new();
    for run in 4..4 + RACERS {
        let (ada, study, site, name) = (ada.clone(), study.clone(), site.clone(), name.clone());
        racing.spawn(async move { outcome(ada.release(&study, &site, &name, run).await) });
    }
    let outcomes = racing.join_all().await;
    let won = outcomes.iter().filter(|o| o.0 == "ok").count();
    let told: BTreeSet<_> = outcomes.iter().filter(|o| o.0 != "ok").collect();
    assert_eq!(won, 1, "{told:?}");
    // All others hear the same sentence.
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told.iter()
            .all(|o| o.0 == "not_now" && o.1.contains("room")),
        "{told:?}"
    );
    assert!(cluster.sites[0].meter().unwrap() <= limit.rho());
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_request_made_64_times_at_once_is_carried_out_once() {
    let cluster = Cluster::builder()
        .site(visits(60, 3, 1))
        .build()
        .await
        .unwrap();
    let clients = [
        cluster.client("ada").await.unwrap(),
        cluster.client("ada").await.unwrap(),
        cluster.sites[0]
            .direct(cluster.scientist("ada").unwrap())
            .await
            .unwrap(),
    ];
    let asks = [ask("n", VISITS, 5_000_000).times(5)];
    let study = cluster.approved(&clients[0], &asks).await.unwrap();
    let (site, name) = (
        PartyName::new("site-1").unwrap(),
        release_name("n").unwrap(),
    );
    let mut racing = JoinSet::new();
    for racer in 0..RACERS as usize {
        let client = clients[racer % clients.len()].clone();
        let (study, site, name) = (study.clone(), site.clone(), name.clone());
        racing.spawn(async move { client.release(&study, &site, &name, 1).await });
    }
    let answers: Vec<_> = racing
        .join_all()
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    assert_eq!(answers.len(), RACERS as usize);
    assert!(answers.iter().all(|a| a.signed() == answers[0].signed()));
    assert_eq!(
        cluster.sites[0].meter().unwrap(),
        answers[0].release().price
    );
    let status = clients[0].status(&study).await.remove(0).outcome.unwrap();
    assert_eq!(status.releases[0].runs, 1);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_who_hangs_up_finds_the_release_under_its_id() {
    let cluster = Cluster::builder()
        .site(visits(60, 3, 1))
        .build()
        .await
        .unwrap();
    let ada = cluster.client("ada").await.unwrap();
    let asks = [ask("n", VISITS, 5_000_000).times(40)];
    let study = cluster.approved(&ada, &asks).await.unwrap();
    let (site, name) = (
        PartyName::new("site-1").unwrap(),
        release_name("n").unwrap(),
    );
    for run in 1..=20 {
        let (client, study, site, name) = (ada.clone(), study.clone(), site.clone(), name.clone());
        let call = tokio::spawn(async move { client.release(&study, &site, &name, run).await });
        // At another moment of the call each time.
        for _ in 0..run * 3 {
            tokio::task::yield_now().await;
        }
        call.abort();
    }
    let mut prices = 0;
    for run in 1..=20 {
        prices += ada
            .release(&study, &site, &name, run)
            .await
            .unwrap()
            .release()
            .price
            .nano();
    }
    assert_eq!(cluster.sites[0].meter().unwrap().nano(), prices);
    cluster.stop().await;
}
