//! What the attacks of the suite have in common: the same questions in worlds that differ in one
//! person, and what must be the same in all of them.

use obscura_client::model::exposure::Mode;
use obscura_client::model::release::Release;
use obscura_client::model::wire;
use obscura_tests::cluster::{Ask, ask};
use obscura_tests::fixture::{Seen, Setup, Told, World, Worlds};
use obscura_wire::v1;
use prost::Message as _;
use tonic::Code;

use super::{PREVIEW, RUN_MOCK, SUBMIT};

/// A hundredth of rho.
pub(super) const CENT: u64 = 10_000_000;

/// D, D' and D'' in protect mode.
pub(super) async fn worlds() -> Worlds {
    Worlds::build(Setup::default()).await.unwrap()
}

/// D and D' in strict mode under this limit.
pub(super) async fn strict(epsilon: f64) -> Worlds {
    let setup = Setup {
        worlds: vec![World::Everybody, World::Without],
        mode: Mode::Strict,
        epsilon,
        ..Setup::default()
    };
    Worlds::build(setup).await.unwrap()
}

fn accuracy(nano: u64) -> Option<v1::AccuracyRequest> {
    let way = Some(v1::accuracy::Way::PriceNano(nano));
    Some(v1::AccuracyRequest {
        whole: Some(v1::Accuracy { way }),
        ..v1::AccuracyRequest::default()
    })
}

fn preview(dataset: &str, sql: &str) -> Vec<u8> {
    v1::PreviewRequest {
        dataset: dataset.to_owned(),
        sql: sql.to_owned(),
        accuracy: accuracy(CENT),
        ..v1::PreviewRequest::default()
    }
    .encode_to_vec()
}

fn mock(dataset: &str, sql: &str) -> Vec<u8> {
    v1::RunMockRequest {
        dataset: dataset.to_owned(),
        sql: sql.to_owned(),
        accuracy: accuracy(CENT),
        seed: 1,
        ..v1::RunMockRequest::default()
    }
    .encode_to_vec()
}

/// What a preview says of a query: alike in all worlds.
pub(super) async fn previewed(
    worlds: &Worlds,
    dataset: &str,
    sql: &str,
) -> Result<v1::PreviewResponse, (Code, String)> {
    let told = worlds.call(PREVIEW, preview(dataset, sql)).await.unwrap();
    told.alike().unwrap()?;
    let message = told.answers()[0].as_ref().unwrap();
    Ok(v1::PreviewResponse::decode(message.body.as_slice()).unwrap())
}

/// Submits a study of one release with this text, whatever it is.
async fn submitted(worlds: &Worlds, dataset: &str, sql: &str) -> Result<(), (Code, String)> {
    let fine = [ask("n", "SELECT COUNT(*) AS n FROM patients", CENT)];
    let cluster = &worlds.clusters[0];
    let study = obscura_tests::cluster::study(
        &worlds.clients()[0],
        dataset,
        &fine,
        obscura_tests::cluster::terms(),
        cluster.institutions().unwrap(),
    );
    let mut study = wire::study_to(&study.unwrap());
    sql.clone_into(&mut study.releases[0].sql);
    let told = worlds.call(SUBMIT, study.encode_to_vec()).await.unwrap();
    told.alike().unwrap()
}

/// No piece of anybody's row: neither of S0042's nor of the odd ones'.
fn says_nothing(text: &str, sql: &str) {
    for secret in ["RARE1", "ZZ", "S0042", "9223372036854775807", "word "] {
        let own = sql.contains(secret);
        assert!(own || !text.contains(secret), "{sql}: {text}");
    }
    assert!(text.len() < 600, "{sql}: {text}");
}

/// RS: every way to ask is refused with the same bytes in all worlds, nothing is begun, and
/// everything that can be seen stays what it was.
pub(super) async fn refused(worlds: &Worlds, queries: &[(&str, &str)]) {
    let before = worlds.alike().await.unwrap();
    for (dataset, sql) in queries {
        refused_once(worlds, dataset, sql).await;
    }
    // Nothing was begun: not a byte of what can be seen has changed.
    let after = worlds.alike().await.unwrap();
    after.like(&before).unwrap();
    assert_eq!(begun(&after), 0);
}

/// As [`refused`], without a look at the state afterwards. Gives the sentence.
pub(super) async fn refused_once(worlds: &Worlds, dataset: &str, sql: &str) -> String {
    let short: String = sql.chars().take(100).collect();
    let (code, text) = previewed(worlds, dataset, sql).await.expect_err(&short);
    assert_eq!(code, Code::InvalidArgument, "{short}: {text}");
    says_nothing(&text, &short);
    let told = worlds.call(RUN_MOCK, mock(dataset, sql)).await.unwrap();
    let (code, text) = told.alike().unwrap().expect_err(&short);
    assert_eq!(code, Code::InvalidArgument, "{short}: {text}");
    let (code, said) = submitted(worlds, dataset, sql).await.expect_err(&short);
    assert_eq!(code, Code::InvalidArgument, "{short}: {said}");
    says_nothing(&said, &short);
    text
}

/// OK and IDENT: each query is released once in every world, charged its price, and everything
/// but the noisy numbers is equal. Gives the releases, a row for each query, a column a world.
pub(super) async fn released(
    worlds: &Worlds,
    dataset: &str,
    queries: &[(&str, u64)],
) -> Vec<Vec<Release>> {
    let asks = queries.iter().map(|(sql, nano)| ask("n", sql, *nano));
    released_with(worlds, dataset, &asks.collect::<Vec<_>>()).await
}

/// As [`released`], with options.
pub(super) async fn released_with(
    worlds: &Worlds,
    dataset: &str,
    asks: &[Ask],
) -> Vec<Vec<Release>> {
    let mut all = Vec::new();
    for one in asks {
        let (before, sql) = (meter(worlds), &one.sql);
        let study = worlds.approved(dataset, std::slice::from_ref(one)).await;
        let study = study.unwrap_or_else(|e| panic!("{sql}: {e:#}"));
        let told = worlds.run(&study, one.name).await.unwrap();
        all.push(made(worlds, &told, before, sql));
    }
    worlds.alike().await.unwrap();
    all
}

/// The releases in what was told, alike in all worlds and charged their price.
pub(super) fn made(worlds: &Worlds, told: &Told, before: u64, sql: &str) -> Vec<Release> {
    let alike = told.alike().unwrap_or_else(|e| panic!("{sql}: {e:#}"));
    alike.unwrap_or_else(|e| panic!("{sql}: {e:?}"));
    let releases = told.releases(worlds).unwrap();
    for release in &releases {
        assert!(release.price.nano() > 0, "{sql}");
        assert_eq!(meter(worlds) - before, release.price.nano(), "{sql}");
    }
    releases
}

/// The public meter, which is equal in all worlds.
pub(super) fn meter(worlds: &Worlds) -> u64 {
    let meters: Vec<u64> = worlds.sites().map(|s| s.meter().unwrap().nano()).collect();
    assert!(meters.windows(2).all(|w| w[0] == w[1]), "{meters:?}");
    meters[0]
}

/// Either refused for its text, or released as [`released`] says. Gives the number of releases.
pub(super) async fn refused_or_released(
    worlds: &Worlds,
    dataset: &str,
    queries: &[&str],
) -> Vec<Vec<Release>> {
    let mut all = Vec::new();
    for sql in queries {
        match previewed(worlds, dataset, sql).await {
            Err((code, text)) => {
                assert_eq!(code, Code::InvalidArgument, "{sql}: {text}");
                says_nothing(&text, sql);
                refused_once(worlds, dataset, sql).await;
            }
            Ok(_) => all.extend(released(worlds, dataset, &[(sql, CENT)]).await),
        }
    }
    worlds.alike().await.unwrap();
    all
}

/// The noisy values of one output in one world, in its unit; cells that have none are left out.
pub(super) fn values(release: &Release, output: usize) -> Vec<f64> {
    let cells = release.answer.shape().cells();
    (0..cells)
        .filter_map(|cell| release.answer.estimate(output, cell))
        .map(|estimate| estimate.value)
        .collect()
}

/// What a look shows of runs.
pub(super) fn begun(seen: &Seen) -> usize {
    seen.count("release begun")
}
