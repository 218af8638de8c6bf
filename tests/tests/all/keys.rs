//! Keys that nobody declared, from the owner's limit to the answer.

use obscura_client::model::accuracy::{Accuracy, AccuracyRequest};
use obscura_client::model::exposure::{Delta, DeltaCharge, Mode, Rho};
use obscura_client::model::ids::{DatasetName, PartyName, ProjectName, UnixMillis};
use obscura_client::model::text::SqlText;
use obscura_client::model::wire;
use obscura_client::{Client, NewGrant, OwnerClient, Question, VerifiedRelease};
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

/// A grant of these columns for ada, with this delta for keys.
async fn granted(
    cluster: &Cluster,
    owner: &OwnerClient,
    ada: &Client,
    columns: &[&str],
    delta_keys: Option<f64>,
) -> NewGrant {
    let grant = NewGrant {
        id: owner.new_grant_id().unwrap(),
        project: ProjectName::new("ada").unwrap(),
        scientist: ada.me().key,
        dataset: DatasetName::new("visits").unwrap(),
        columns: columns.iter().map(|c| (*c).to_owned()).collect(),
        epsilon: 8.0,
        delta_keys: delta_keys.map(|delta| Delta::new(delta).unwrap()),
        releases: 9,
        until: UnixMillis(cluster.clock.today().0 + 86_400_000).date(),
        reason: "monitoring".to_owned(),
    };
    let given = owner.give_grant(&grant).await.unwrap();
    assert_eq!(given.keys.get(), delta_keys.unwrap_or(0.0));
    grant
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grant_finds_keys_of_its_columns_only_if_its_owner_wrote_so_and_counts_their_delta() {
    let cluster = cluster(reasons(""), Mode::Protect, Some(1e-7)).await;
    let ada = cluster.client("ada").await.unwrap();
    let owner = cluster.sites[0].owner_client().await.unwrap();
    let (site, price) = (
        PartyName::new("site-1").unwrap(),
        Rho::from_nano(200_000_000),
    );
    let question = Question::new(
        DatasetName::new("visits").unwrap(),
        SqlText::new(REASONS).unwrap(),
        AccuracyRequest::whole(Accuracy::Price(price)).unwrap(),
    );
    let asks = |grant: &NewGrant| {
        let (client, site, question, id) = (ada.clone(), site.clone(), question.clone(), grant.id);
        async move { client.ask(&site, id, &question, true).await }
    };
    let both: &[&str] = &["reason", "amount"];
    for (columns, keys, says) in [
        (&["amount"][..], Some(1e-8), "reason"),
        (both, None, "keys that are not declared"),
    ] {
        let grant = granted(&cluster, &owner, &ada, columns, keys).await;
        let refused = outcome(asks(&grant).await);
        assert!(
            refused.0 == "not_now" && refused.1.contains(says),
            "{refused:?}"
        );
    }
    assert_eq!(cluster.sites[0].meter().unwrap(), Rho::ZERO);
    // Each takes 1e-8.
    let grant = granted(&cluster, &owner, &ada, both, Some(2e-8)).await;
    for _ in 0..2 {
        let release = asks(&grant).await.unwrap();
        assert_eq!(release.release().answer.found(), ["fall", "flu"]);
    }
    let refused = outcome(asks(&grant).await);
    assert!(
        refused.1.contains("keys that are not declared"),
        "{refused:?}"
    );
    let twice = DeltaCharge::from_units(20_000_000_000);
    let grants = owner.grants().await.unwrap();
    let given = grants.iter().find(|g| g.id == grant.id).unwrap();
    assert_eq!((given.keys_taken, given.keys), (twice, twice));
    let faces = ada.datasets().await.remove(0).outcome.unwrap();
    assert_eq!(faces[0].accounts[0].keys_taken, twice);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_reads_what_a_study_takes_of_delta_and_whom_it_does_not_show() {
    let cluster = cluster(reasons(""), Mode::Protect, Some(2e-8)).await;
    let ada = cluster.client("ada").await.unwrap();
    let owner = cluster.sites[0].owner_client().await.unwrap();
    for (times, warned) in [(2, false), (3, true)] {
        let study = cluster
            .study(&ada, &[ask("reasons", REASONS, 50_000_000).times(times)])
            .unwrap();
        ada.submit(&study).await;
        let review = owner.review(study.id()).await.unwrap();
        let shape = &review.releases[0].shape;
        assert_eq!(shape.delta_keys(), DeltaCharge::from_units(10_000_000_000));
        assert!(shape.threshold().unwrap() > 1.0);
        let about_keys = |warning: &String| warning.contains("keys that are not declared");
        assert_eq!(review.warnings.iter().any(about_keys), warned);
    }
    cluster.stop().await;
}
