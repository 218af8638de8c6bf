//! What happens near a limit, and the share and minimum of one release.

use obscura_client::model::accuracy::Accuracy;
use obscura_client::model::exposure::{Limit, Mode, Rho};
use obscura_client::model::ids::PartyName;
use obscura_client::model::release::Completeness;
use obscura_client::model::study::{ReleaseOptions, Study};
use obscura_client::{Client, VerifiedRelease};
use obscura_tests::cluster::{Ask, Cluster, ask, release_name};
use obscura_tests::data::visits;

use crate::support::{VISITS, outcome};

const DELTA: f64 = 1e-6;

fn limit(epsilon: f64) -> Limit {
    let delta = obscura_client::model::exposure::Delta::new(DELTA).unwrap();
    Limit::new(epsilon, delta).unwrap()
}

async fn run(
    client: &Client,
    study: &Study,
    run: u32,
) -> Result<VerifiedRelease, obscura_client::Error> {
    let site = PartyName::new("site-1").unwrap();
    client
        .release(study, &site, &release_name("n").unwrap(), run)
        .await
}

/// A study of runs that take a quarter of the limit each.
async fn quarters(mode: Mode) -> (Cluster, Client, Study) {
    let cluster = Cluster::builder()
        .site(visits(60, 3, 1))
        .mode(mode)
        .limit(1.0)
        .build()
        .await
        .unwrap();
    let ada = cluster.client("ada").await.unwrap();
    let quarter = limit(1.0).largest_release().nano();
    let study = cluster
        .approved(&ada, &[ask("n", VISITS, quarter).times(8)])
        .await
        .unwrap();
    (cluster, ada, study)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strict_refuses_what_does_not_fit_for_everybody() {
    let (cluster, ada, study) = quarters(Mode::Strict).await;
    for number in 1..=4 {
        let release = run(&ada, &study, number).await.unwrap();
        assert_eq!(release.release().completeness, Completeness::NobodyDropped);
    }
    let meter = cluster.sites[0].meter().unwrap();
    let refused = outcome(run(&ada, &study, 5).await);
    assert_eq!(refused.0, "not_now", "{}", refused.1);
    assert!(
        refused.1.contains("population limit has room for"),
        "{}",
        refused.1
    );
    assert_eq!(cluster.sites[0].meter().unwrap(), meter);
    assert!(meter <= limit(1.0).rho());
    // What is stored is still answered.
    assert!(run(&ada, &study, 4).await.is_ok());
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn protect_goes_on_and_says_that_people_may_be_missing() {
    let (cluster, ada, study) = quarters(Mode::Protect).await;
    for number in 1..=4 {
        let release = run(&ada, &study, number).await.unwrap();
        assert_eq!(release.release().completeness, Completeness::NobodyDropped);
    }
    // Everybody has one row a release and one price, so that now nobody has room.
    let release = run(&ada, &study, 5).await.unwrap();
    let release = release.release();
    assert_eq!(release.completeness, Completeness::SubjectsMayBeMissing);
    let sigma = release.answer.shape().vectors[0].sigma as f64;
    let far = release.answer.values()[0]
        .iter()
        .any(|v| *v as f64 > 8.0 * sigma);
    assert!(
        !far,
        "somebody beyond the limit was counted: {:?}",
        release.answer.values()
    );
    let meter = cluster.sites[0].meter().unwrap();
    assert_eq!(meter.nano(), 5 * release.price.nano());
    cluster.stop().await;
}

/// Noisy people in a vector of counts without keys.
fn people(release: &VerifiedRelease, vector: usize) -> (f64, f64) {
    let answer = &release.release().answer;
    let (shape, value) = (&answer.shape().vectors[vector], answer.values()[vector][0]);
    (value as f64 * shape.step(), shape.sigma_in_units())
}

#[track_caller]
fn assert_people(release: &VerifiedRelease, vector: usize, expected: f64) {
    let (people, sigma) = people(release, vector);
    // So little noise that nobody hides in it: more than six sigma once in 10^8.
    assert!(6.0 * sigma < 1.0, "{sigma}");
    assert!(
        (people - expected).abs() < 6.0 * sigma,
        "{people}, not {expected}"
    );
}

/// What is wanted complete or not at all comes while the meters prove it, and afterwards what is
/// wanted with a count of who is in it. One person has more rows than count.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wanted_complete_is_refused_once_the_meters_do_not_prove_it() {
    let epsilon = 400.0;
    let mut dataset = visits(60, 3, 1);
    dataset.csv.push_str("p0,0,3,5.0\np0,0,4,7.0\n");
    let builder = Cluster::builder().site(dataset).limit(epsilon);
    let cluster = builder.build().await.unwrap();
    let (site, ada) = (&cluster.sites[0], cluster.client("ada").await.unwrap());
    let sql = "SELECT COUNT(*) AS n FROM visits";
    let quarter = limit(epsilon).largest_release().nano();
    let counted = ReleaseOptions {
        require_complete: false,
        coverage: true,
        count_clipped: true,
    };
    let asks = [
        ask("whole", sql, quarter).times(6).complete(),
        Ask {
            options: counted,
            ..ask("open", sql, quarter).times(3)
        },
    ];
    let study = cluster.approved(&ada, &asks).await.unwrap();
    let (node, names) = (
        PartyName::new("site-1").unwrap(),
        ["whole", "open"].map(|name| release_name(name).unwrap()),
    );
    let open = ada.release(&study, &node, &names[1], 1).await.unwrap();
    let nobody = Completeness::NobodyDropped;
    assert_eq!(open.release().completeness, nobody);
    // Rows, people in it, people cut: p0.
    for (vector, expected) in [60.0, 60.0, 1.0].into_iter().enumerate() {
        assert_people(&open, vector, expected);
    }
    for run in 1..=3 {
        let whole = ada.release(&study, &node, &names[0], run).await.unwrap();
        assert_eq!(whole.release().completeness, nobody);
        assert_eq!(whole.release().answer.shape().vectors.len(), 1);
    }
    // Nothing is left that everybody surely has, so that nothing runs and nothing is charged.
    let (meter, records) = (site.meter().unwrap(), site.node().unwrap().ledger().head());
    for run in [4, 4, 5] {
        let refused = outcome(ada.release(&study, &node, &names[0], run).await);
        assert_eq!(refused.0, "not_now", "{}", refused.1);
        for said in [
            "meters no longer rule out",
            "require_complete = false",
            "coverage",
        ] {
            assert!(refused.1.contains(said), "{}", refused.1);
        }
        assert_eq!(site.meter().unwrap(), meter);
        assert_eq!(site.node().unwrap().ledger().head(), records);
    }
    let open = ada.release(&study, &node, &names[1], 2).await.unwrap();
    let missing = Completeness::SubjectsMayBeMissing;
    assert_eq!(open.release().completeness, missing);
    for vector in 0..3 {
        assert_people(&open, vector, 0.0);
    }
    assert!(site.meter().unwrap() > meter);
    // What was answered complete is still answered.
    assert!(ada.release(&study, &node, &names[0], 3).await.is_ok());
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_release_takes_at_most_a_quarter_and_at_least_the_minimum() {
    let cluster = Cluster::builder()
        .site(visits(60, 3, 1))
        .limit(1.0)
        .build()
        .await
        .unwrap();
    let ada = cluster.client("ada").await.unwrap();
    let rho = limit(1.0).rho().nano();
    // A hundredth over a quarter.
    let large = cluster
        .approved(&ada, &[ask("n", VISITS, rho / 4 + rho / 100)])
        .await
        .unwrap();
    let refused = outcome(run(&ada, &large, 1).await);
    assert_eq!(refused.0, "not_now", "{}", refused.1);
    assert_eq!(cluster.sites[0].meter().unwrap(), Rho::ZERO);
    // So much noise would be nearly free: it gets the noise of the minimum.
    let mut nearly = ask("n", VISITS, 1);
    nearly.accuracy = Accuracy::Sigma(1e9);
    for asked in [ask("n", VISITS, 1), nearly] {
        let before = cluster.sites[0].meter().unwrap();
        let study = cluster.approved(&ada, &[asked]).await.unwrap();
        // Both are the same question then, so that a new release is asked for.
        let (site, name) = (
            PartyName::new("site-1").unwrap(),
            release_name("n").unwrap(),
        );
        let made = ada.release_again(&study, &site, &name).await.unwrap();
        let price = made.release().price.nano();
        let least = rho.div_ceil(10_000);
        // The sigma of a price rounds up to the grid: under by less than a thousandth.
        assert!(
            price * 1000 >= least * 999 && price <= least + least / 100,
            "{price} {least}"
        );
        assert_eq!(
            cluster.sites[0].meter().unwrap().nano(),
            before.nano() + price
        );
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scientist_limit_is_a_brake_of_its_own() {
    let cluster = Cluster::builder()
        .site(visits(60, 3, 1))
        .limit(5.0)
        .scientist_limit(0.5)
        .scientist("bob")
        .build()
        .await
        .unwrap();
    let mine = limit(0.5).rho().nano();
    let ada = cluster.client("ada").await.unwrap();
    let asks = [ask("n", VISITS, mine / 2).times(3)];
    let study = cluster.approved(&ada, &asks).await.unwrap();
    assert!(run(&ada, &study, 1).await.is_ok());
    assert!(run(&ada, &study, 2).await.is_ok());
    let refused = outcome(run(&ada, &study, 3).await);
    assert_eq!(refused.0, "not_now");
    assert!(refused.1.contains("scientist limit"), "{}", refused.1);
    // Somebody else's share is untouched.
    let bob = cluster.client("bob").await.unwrap();
    let study = cluster.approved(&bob, &asks).await.unwrap();
    assert!(run(&bob, &study, 1).await.is_ok());
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strict_cannot_be_entered_below_what_was_released() {
    let (cluster, ada, study) = quarters(Mode::Protect).await;
    for number in 1..=5 {
        run(&ada, &study, number).await.unwrap();
    }
    let site = &cluster.sites[0];
    let owner = site.owner_client().await.unwrap();
    let strict = site.limit(1.0, DELTA, Mode::Strict).unwrap();
    let refused = outcome(owner.set_limit(&strict).await);
    assert_eq!(refused.0, "not_now", "{}", refused.1);
    let higher = site.limit(2.0, DELTA, Mode::Strict).unwrap();
    let account = owner.set_limit(&higher).await.unwrap();
    assert_eq!(account.meter, site.meter().unwrap());
    cluster.stop().await;
}
