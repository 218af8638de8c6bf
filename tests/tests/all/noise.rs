//! The noise that comes out over gRPC is the noise that was promised.

use obscura_client::model::ids::PartyName;
use obscura_tests::audit::bounds::normal;
use obscura_tests::cluster::{Cluster, ask, release_name};
use obscura_tests::data::visits;

use crate::support::VISITS;

const GROUPS: usize = 100;
const RELEASES: u32 = 100;

/// 100 releases of 100 groups, each residual in units of the promised standard deviation.
async fn residuals() -> Vec<Vec<f64>> {
    let cluster = Cluster::builder()
        .site(visits(1_000, 100, 1))
        .limit(20.0)
        .build()
        .await
        .unwrap();
    let ada = cluster.client("ada").await.unwrap();
    let asks = [ask("n", VISITS, 10_000_000).times(RELEASES)];
    let study = cluster.approved(&ada, &asks).await.unwrap();
    let (site, name) = (
        PartyName::new("site-1").unwrap(),
        release_name("n").unwrap(),
    );
    let mut all = Vec::new();
    for run in 1..=RELEASES {
        let release = ada.release(&study, &site, &name, run).await.unwrap();
        let answer = &release.release().answer;
        let vector = &answer.shape().vectors[0];
        let [values] = answer.values() else {
            panic!("more than one vector")
        };
        assert_eq!(values.len(), GROUPS);
        // Ten people in every group, one row each, in steps of a 1,024th.
        let exact = 10.0 * 2f64.powi(-vector.step_exponent);
        all.push(
            values
                .iter()
                .map(|v| (*v as f64 - exact) / vector.sigma as f64)
                .collect(),
        );
    }
    cluster.stop().await;
    all
}

fn mean(values: impl Iterator<Item = f64> + Clone) -> f64 {
    values.clone().sum::<f64>() / values.count() as f64
}

/// Bounds are such that all of it together fails by chance less than once in 5,000 runs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_residuals_have_the_promised_spread_and_no_pattern() {
    let all = residuals().await;
    let flat: Vec<f64> = all.iter().flatten().copied().collect();
    let n = flat.len() as f64;
    assert_eq!(flat.len(), 10_000);
    let middle = mean(flat.iter().copied());
    assert!(middle.abs() < 4.5 / n.sqrt(), "mean {middle}");
    let spread = mean(flat.iter().map(|z| (z - middle).powi(2))).sqrt();
    assert!((spread - 1.0).abs() < 0.03, "standard deviation {spread}");
    // Kolmogorov and Smirnov: sqrt(n) D exceeds 2.2 once in 8,000 times.
    let mut sorted = flat.clone();
    sorted.sort_by(f64::total_cmp);
    let gap = |(i, z): (usize, &f64)| {
        let (below, above) = (i as f64 / n, (i + 1) as f64 / n);
        (normal(*z) - below).abs().max((above - normal(*z)).abs())
    };
    let distance = sorted.iter().enumerate().map(gap).fold(0.0, f64::max);
    assert!(distance * n.sqrt() < 2.2, "distance {distance}");
    // Between groups: 100 times the square of each of the 4,950 correlations is chi-squared with
    // one degree of freedom, so that their sum is 4,950 with a standard deviation near 100.
    let column = |g: usize| all.iter().map(move |release| release[g]);
    let mut sum = 0.0;
    for a in 0..GROUPS {
        for b in 0..a {
            let product = mean(column(a).zip(column(b)).map(|(x, y)| x * y));
            sum += f64::from(RELEASES) * product.powi(2);
        }
    }
    assert!(
        (sum - 4950.0).abs() < 550.0,
        "correlation between groups {sum}"
    );
    // Nothing that all groups of a release share.
    let shared: f64 = all
        .iter()
        .map(|r| mean(r.iter().copied()).powi(2) * 100.0)
        .sum();
    assert!((40.0..180.0).contains(&shared), "shared noise {shared}");
    // Nor from one release to the next.
    let next: f64 = all
        .windows(2)
        .flat_map(|w| w[0].iter().zip(&w[1]))
        .map(|(x, y)| x * y)
        .sum();
    assert!(
        next.abs() < 4.5 * 9_900f64.sqrt(),
        "from one release to the next {next}"
    );
}
