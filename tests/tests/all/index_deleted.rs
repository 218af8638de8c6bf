//! The index is never the only copy of anything: deleting or damaging it between any two requests
//! changes no answer.

use std::path::Path;

use obscura_client::Client;
use obscura_client::model::ids::PartyName;
use obscura_client::model::study::{Study, Verdict};
use obscura_tests::cluster::{Cluster, ask, release_name};
use obscura_tests::data::visits;

use crate::support::{VISITS, outcome};

/// Everything that anybody can ask for, as text.
async fn everything(cluster: &Cluster, ada: &Client, studies: &[Study], runs: u32) -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    let owner = cluster.sites[0].owner_client().await.unwrap();
    for site in ada.datasets().await {
        writeln!(text, "{:?}", site.outcome.unwrap()).unwrap();
    }
    for site in ada.studies().await {
        writeln!(text, "{:?}", site.outcome.unwrap()).unwrap();
    }
    for site in ada.exposure().await {
        writeln!(text, "{:?}", site.outcome.unwrap()).unwrap();
    }
    let mut exposure = owner.exposure().await.unwrap();
    // Counted since the start, which differs.
    exposure.overruns = 0;
    writeln!(text, "{exposure:?}").unwrap();
    writeln!(text, "{:?}", owner.requests().await.unwrap()).unwrap();
    writeln!(text, "{:?}", owner.log(0, 0).await.unwrap()).unwrap();
    let site = PartyName::new("site-1").unwrap();
    for study in studies {
        writeln!(text, "{:?}", ada.status(study).await.remove(0).outcome).unwrap();
        for run in 1..=runs {
            let release = ada
                .release(study, &site, &release_name("n").unwrap(), run)
                .await;
            writeln!(text, "{:?}", release.map(|r| r.signed().clone())).unwrap();
        }
    }
    text
}

fn delete(folder: &Path) {
    if folder.exists() {
        std::fs::remove_dir_all(folder).unwrap();
    }
}

/// Writes rubbish over the middle of every file.
fn damage(folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            damage(&path);
        } else {
            let mut bytes = std::fs::read(&path).unwrap();
            let (from, to) = (bytes.len() / 4, bytes.len() / 2);
            bytes[from..to].fill(0xa5);
            std::fs::write(&path, bytes).unwrap();
        }
    }
}

fn shorten(folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            std::fs::write(&path, &bytes[..bytes.len() / 3]).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_lost_or_damaged_between_any_two_requests_changes_no_answer() {
    let mut cluster = Cluster::builder()
        .site(visits(60, 3, 1))
        .build()
        .await
        .unwrap();
    let ada = cluster.client("ada").await.unwrap();
    let asks = [ask("n", VISITS, 5_000_000).times(20)];
    let study = cluster.study(&ada, &asks).unwrap();
    let mut studies = Vec::new();
    let (site, name) = (
        PartyName::new("site-1").unwrap(),
        release_name("n").unwrap(),
    );
    let harms: [fn(&Path); 3] = [delete, damage, shorten];
    let mut runs = 0;
    for step in 0..9 {
        match step {
            0 => {
                ada.submit(&study).await.remove(0).outcome.unwrap();
                studies.push(study.clone());
            }
            1 => cluster.sites[0]
                .decide(&study, Verdict::Approve, "")
                .await
                .unwrap(),
            _ => {
                runs += 1;
                ada.release(&study, &site, &name, runs).await.unwrap();
            }
        }
        let before = everything(&cluster, &ada, &studies, runs).await;
        assert_eq!(before.contains("SignedRelease"), runs > 0);
        // While it runs.
        let folder = cluster.sites[0].index_folder();
        delete(&folder);
        assert_eq!(
            everything(&cluster, &ada, &studies, runs).await,
            before,
            "step {step}, live"
        );
        cluster.sites[0].restart().await.unwrap();
        // While it is down.
        cluster.sites[0].stop().await;
        harms[step % 3](&folder);
        cluster.sites[0].restart().await.unwrap();
        assert_eq!(
            everything(&cluster, &ada, &studies, runs).await,
            before,
            "step {step}, down"
        );
    }
    let meter = cluster.sites[0].meter().unwrap();
    let price = ada
        .release(&study, &site, &name, 1)
        .await
        .unwrap()
        .release()
        .price;
    assert_eq!(meter.nano(), u64::from(runs) * price.nano());
    assert_eq!(
        outcome(ada.release(&study, &site, &name, runs + 1).await).0,
        "ok"
    );
    cluster.stop().await;
}
