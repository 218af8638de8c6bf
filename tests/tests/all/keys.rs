//! Keys that nobody declared, from the owner's limit to the answer.

use obscura_client::model::exposure::{Delta, DeltaCharge, Mode};
use obscura_client::model::ids::PartyName;
use obscura_client::model::wire;
use obscura_client::{Client, VerifiedRelease};
use obscura_tests::cluster::{Cluster, ask, release_name};
use obscura_tests::data::{Dataset, visits};

use crate::support::outcome;

const REASONS: &str = "SELECT reason, COUNT(DISTINCT person) AS people, SUM(amount) AS paid FROM \
                       visits GROUP BY reason";

/// 60 people with `flu`, 40 of them with `fall` too, and `more` rows.
fn reasons(more: &str) -> Dataset {
    let mut dataset = visits(80, 1, 2);
    dataset.description.push_str(
        r#"
[[column]]
name = "reason"
type = "text"
most_characters = 20
meaning = "why"
bounds_from = "form"
keys = { per_person = 2, most = 6, characters = 10, delta = 1e-8 }
"#,
    );
    let mut csv = "person,grp,day,amount,reason\n".to_owned();
    for person in 0..60 {
        csv.push_str(&format!("p{person},0,1,10,flu\n"));
        if person < 40 {
            csv.push_str(&format!("p{person},0,2,20,fall\n"));
        }
    }
    dataset.with_csv(csv + more)
}

/// A cluster with room for two such releases, or with none.
async fn cluster(dataset: Dataset, mode: Mode, room: Option<f64>) -> Cluster {
    let cluster = Cluster::builder().site(dataset).mode(mode).limit(9.0);
    let cluster = cluster.build().await.unwrap();
    let site = &cluster.sites[0];
    let mut limit = site.limit(9.0, 1e-6, mode).unwrap();
    limit.delta_keys = room.map(|delta| Delta::new(delta).unwrap());
    let owner = site.owner_client().await.unwrap();
    owner.set_limit(&limit).await.unwrap();
    cluster
}

async fn run(
    cluster: &Cluster,
    client: &Client,
    times: u32,
) -> Vec<Result<VerifiedRelease, obscura_client::Error>> {
    let asks = [ask("reasons", REASONS, 200_000_000).times(times)];
    let study = cluster.approved(client, &asks).await.unwrap();
    let site = PartyName::new("site-1").unwrap();
    let mut runs = Vec::new();
    for run in 1..=times {
        let name = release_name("reasons").unwrap();
        runs.push(client.release(&study, &site, &name, run).await);
    }
    runs
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_many_have_is_shown_and_what_one_has_is_not_at_equal_lengths() {
    let mut lengths = Vec::new();
    for more in ["", "s0042,0,1,99,ZZ\n"] {
        let cluster = cluster(reasons(more), Mode::Strict, Some(1e-7)).await;
        let ada = cluster.client("ada").await.unwrap();
        let release = run(&cluster, &ada, 1).await.remove(0).unwrap();
        let release = release.release();
        let found = release.answer.found();
        assert_eq!(found, ["fall", "flu"]);
        for (cell, people) in [(0, 40.0), (1, 60.0)] {
            let estimate = release.answer.estimate(0, cell).unwrap();
            assert!((estimate.value - people).abs() < 4.0 * estimate.margin);
        }
        lengths.push(wire::encode_release(release).len());
        cluster.stop().await;
    }
    assert_eq!(lengths[0], lengths[1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_room_of_delta_such_a_release_is_refused_in_both_modes() {
    for mode in [Mode::Strict, Mode::Protect] {
        let none = cluster(reasons(""), mode, None).await;
        let ada = none.client("ada").await.unwrap();
        let refused = outcome(run(&none, &ada, 1).await.remove(0));
        assert!(
            refused.1.contains("keys that are not declared"),
            "{}",
            refused.1
        );
        assert_eq!(none.sites[0].meter().unwrap().nano(), 0);
        none.stop().await;

        let two = cluster(reasons(""), mode, Some(2e-8)).await;
        let ada = two.client("ada").await.unwrap();
        let runs = run(&two, &ada, 3).await;
        let outcomes: Vec<_> = runs.into_iter().map(outcome).collect();
        assert_eq!((outcomes[0].0, outcomes[1].0), ("ok", "ok"), "{outcomes:?}");
        assert!(
            outcomes[2].1.contains("keys that are not declared"),
            "{outcomes:?}"
        );
        let faces = ada.datasets().await.remove(0).outcome.unwrap();
        let account = &faces[0].accounts[0];
        assert_eq!(account.keys_taken, DeltaCharge::from_units(20_000_000_000));
        assert_eq!(account.limit.unwrap().keys, account.keys_taken);
        two.stop().await;
    }
}
