//! `obscura-node ledger compact`, on the ledger of a node that answered.

use std::sync::Arc;

use obscura_client::model::ids::PartyName;
use obscura_node::cli::{self, CliError, Command, LedgerCommand};
use obscura_tests::clock::TestClock;
use obscura_tests::cluster::{Cluster, Site, ask, release_name};
use obscura_tests::data::visits;

use crate::support::VISITS;

async fn compact(site: &Site, rehearse: bool, json: bool) -> Result<String, CliError> {
    let command = Command::Ledger(LedgerCommand::Compact {
        config: site.config(),
        rehearse,
        json,
    });
    let clock = Arc::new(TestClock::without_waits());
    let mut out = Vec::new();
    cli::run(command, clock, std::future::ready(()), &mut out).await?;
    Ok(String::from_utf8(out).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_nodes_ledger_is_compacted_and_every_answer_stays() {
    let mut data = visits(60, 3, 1);
    // Two releases fill a file of the journal.
    let many = data
        .description
        .replace("subjects = [1, 60]", "subjects = [1, 900000]");
    assert_ne!(many, data.description);
    data.description = many;
    let mut cluster = Cluster::builder().site(data).build().await.unwrap();
    let ada = cluster.client("ada").await.unwrap();
    let asks = [ask("n", VISITS, 9_000_000).times(5)];
    let study = cluster.approved(&ada, &asks).await.unwrap();
    let (name, n) = (
        PartyName::new("site-1").unwrap(),
        release_name("n").unwrap(),
    );
    let mut made = Vec::new();
    for run in 1..=5 {
        made.push(ada.release(&study, &name, &n, run).await.unwrap());
    }
    let meter = cluster.sites[0].meter().unwrap();
    let locked = compact(&cluster.sites[0], false, true).await;
    assert!(matches!(locked, Err(CliError::Ledger { .. })), "it runs");
    cluster.sites[0].stop().await;
    let site = &cluster.sites[0];
    let would = compact(site, true, true).await.unwrap();
    let words = compact(site, true, false).await.unwrap();
    assert!(words.contains("Nothing was changed."), "{words}");
    let did = compact(site, false, true).await.unwrap();
    assert_eq!(would.replace("true", "false"), did, "as rehearsed");
    assert!(
        did.contains("\"releases\":4") || did.contains("\"releases\":3"),
        "{did}"
    );
    let again = compact(site, false, false).await.unwrap();
    assert!(again.contains("nothing to compact"), "{again}");
    cluster.sites[0].restart().await.unwrap();
    for (run, made) in (1..=5).zip(&made) {
        let kept = ada.release(&study, &name, &n, run).await.unwrap();
        assert_eq!(kept.signed(), made.signed());
    }
    assert_eq!(cluster.sites[0].meter().unwrap(), meter);
    cluster.stop().await;
}
