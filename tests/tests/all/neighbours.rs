//! Two nodes that differ in one subject answer alike in everything but the noisy numbers.

use obscura_client::model::accuracy::{Accuracy, AccuracyRequest};
use obscura_client::model::envelope::Reality;
use obscura_client::model::exposure::Mode;
use obscura_client::model::ids::{DatasetName, Digest, PartyName, RequestId};
use obscura_client::model::release::{Release, RunRequest, SignedRelease};
use obscura_client::model::study::{StudyState, Verdict};
use obscura_client::model::text::SqlText;
use obscura_client::model::wire;
use obscura_model::identity::Role;
use obscura_tests::cluster::{Cluster, ask, release_name};
use obscura_tests::data::{Dataset, visits};
use obscura_tests::raw::{Caller, RUN, Said};
use obscura_wire::v1;
use prost::Message as _;

use crate::support::outcome;

/// Zoe is extreme in every way: alone in her group, out of bounds, with too many rows.
fn with_zoe(dataset: &Dataset) -> Dataset {
    let rows = "zoe,2,1,1e300\nzoe,2,2,-5\nzoe,2,3,0.01\nzoe,2,3,0.01\nzoe,2,7,99.99\n";
    dataset.clone().with_csv(format!("{}{rows}", dataset.csv))
}

fn questions() -> Vec<(&'static str, u64)> {
    vec![
        (
            "SELECT grp, COUNT(*) AS n FROM visits GROUP BY grp",
            20_000_000,
        ),
        (
            "SELECT COUNT(DISTINCT person) AS n FROM visits WHERE grp = 2",
            30_000_000,
        ),
        (
            "SELECT day, AVG(amount) AS a FROM visits GROUP BY day",
            30_000_000,
        ),
        (
            "SELECT SUM(1 / (amount - 0.01)) AS s FROM visits",
            20_000_000,
        ),
        (
            "SELECT SUM(LEAST(GREATEST(1 / (amount - 0.01), 0), 9)) AS s FROM visits",
            20_000_000,
        ),
        (
            "SELECT SUM(amount * amount) AS s FROM visits WHERE amount > 99.98",
            30_000_000,
        ),
        ("SELECT person FROM visits", 10_000_000),
        (
            "SELECT COUNT(*) AS n FROM visits WHERE person = 'zoe'",
            10_000_000,
        ),
        ("SELECT nothing FROM nowhere", 10_000_000),
        (
            "SELECT grp, day, COUNT(*) AS n FROM visits GROUP BY grp, day",
            20_000_000,
        ),
        // Far over a quarter of the limit.
        ("SELECT COUNT(*) AS n FROM visits", 900_000_000),
    ]
}

/// Everything public that one node answers, as lines.
async fn answers(dataset: Dataset, mode: Mode) -> Vec<String> {
    let cluster = Cluster::builder()
        .site(dataset)
        .mode(mode)
        .limit(5.0)
        .build()
        .await
        .unwrap();
    let ada = cluster.client("ada").await.unwrap();
    let site = &cluster.sites[0];
    let mut lines = Vec::new();
    for (number, (sql, nano)) in (0u8..).zip(questions()) {
        let name = DatasetName::new("visits").unwrap();
        let accuracy = Accuracy::Price(obscura_client::model::exposure::Rho::from_nano(nano));
        let accuracy = AccuracyRequest::whole(accuracy).unwrap();
        let (at, text) = (
            PartyName::new("site-1").unwrap(),
            SqlText::new(sql).unwrap(),
        );
        let preview = ada.preview(&at, &name, &text, &accuracy).await;
        lines.push(format!("{:?}", preview.map_err(|e| e.in_full())));
        let mock = ada.sandbox(&at, &name, &text, &accuracy, 5).await;
        lines.push(format!(
            "{:?}",
            mock.map(|m| m.exact).map_err(|e| e.in_full())
        ));
        let study = cluster
            .study(&ada, &[ask("n", sql, nano).times(3)])
            .unwrap();
        let taken = ada.submit(&study).await.remove(0).outcome;
        lines.push(format!(
            "{:?}",
            taken.as_ref().map(|s| s.state).map_err(|e| e.in_full())
        ));
        if taken.is_ok_and(|s| s.state == StudyState::Submitted) {
            let review = site
                .owner_client()
                .await
                .unwrap()
                .review(study.id())
                .await
                .unwrap();
            lines.push(format!("{:?} {:?}", review.price, review.warnings));
            site.decide(&study, Verdict::Approve, "").await.unwrap();
        }
        for run in 0..3u8 {
            let body = wire::run_request_encode(&RunRequest {
                study: study.id(),
                study_digest: Digest::of(&wire::study_encode(&study)),
                release: release_name("n").unwrap(),
                again: true,
            });
            lines.push(call(&cluster, [number, run], body).await);
            lines.push(format!("meter {:?}", site.meter().unwrap()));
        }
    }
    for at in ada.exposure().await {
        let exposure = at.outcome.unwrap();
        lines.push(format!("{:?} {:?}", exposure.accounts, exposure.share));
    }
    let faces = ada.datasets().await.remove(0).outcome.unwrap();
    let face = &faces[0];
    lines.push(format!(
        "{:?} {:?} {:?}",
        face.version, face.accounts, face.description_digest
    ));
    lines.push(format!(
        "{} records",
        site.node().unwrap().ledger().head().size
    ));
    let dir = std::fs::read_dir(site.folder.join("data/ledger/journal")).unwrap();
    let mut files: Vec<_> = dir
        .map(|e| e.unwrap())
        .map(|e| format!("{:?} {}", e.file_name(), e.metadata().unwrap().len()))
        .collect();
    files.sort();
    lines.extend(files);
    assert_eq!(outcome(ada.datasets().await.remove(0).outcome).0, "ok");
    cluster.stop().await;
    lines
}

/// One raw call: code and text, or lengths and everything in the release but its numbers.
async fn call(cluster: &Cluster, id: [u8; 2], body: Vec<u8>) -> String {
    let node = cluster.sites[0].institution().unwrap();
    let said = Said {
        method: RUN,
        audience: node.key,
        request_id: RequestId::from_parts(
            cluster.clock.today().0,
            [id[0], id[1], 0, 0, 0, 0, 0, 0, 0, 1],
        ),
        now: cluster.clock.today(),
        reality: Reality::Real,
    };
    let address = cluster.gateway().to_string();
    let hub = PartyName::new("hub").unwrap();
    let person = cluster.scientist("ada").unwrap();
    let caller = Caller::new(person, &address, (Role::Gateway, &hub), Some("site-1")).unwrap();
    match caller.send(RUN, caller.sign(&said, body)).await.unwrap() {
        Err((code, text)) => format!("{code:?} {text}"),
        Ok(signed) => {
            let lengths = (
                signed.envelope.len(),
                signed.signature.len(),
                signed.body.len(),
            );
            let answer = v1::RunResponse::decode(signed.body.as_slice()).unwrap();
            assert!(!answer.earlier, "every run is a new release");
            let wire_form = answer.release.unwrap();
            let signed = SignedRelease {
                body: wire_form.body,
                signature: wire_form.signature,
            };
            let Release {
                answer,
                price,
                completeness,
                journal_index,
                head_size,
                canonical_sql,
                ..
            } = signed.open(&node.key).unwrap();
            let numbers: Vec<_> = answer.values().iter().map(Vec::len).collect();
            format!(
                "{lengths:?} {:?} {numbers:?} {price} {completeness:?} {journal_index} {head_size} \
                 {canonical_sql}",
                answer.shape()
            )
        }
    }
}

async fn compare(mode: Mode) {
    let mut without = visits(60, 2, 3);
    // Room for Zoe and her group in what is declared.
    for (from, to) in [("highest = 1\n", "highest = 2\n"), ("[1, 60]", "[1, 80]")] {
        assert!(without.description.contains(from));
        without.description = without.description.replacen(from, to, 1);
    }
    let (here, there) = (answers(with_zoe(&without), mode), answers(without, mode));
    let (here, there) = tokio::join!(here, there);
    assert_eq!(here.len(), there.len());
    for (a, b) in here.iter().zip(&there) {
        assert_eq!(a, b);
    }
    let released = here
        .iter()
        .filter(|l| l.contains("Shape {") && l.starts_with('('))
        .count();
    assert!(
        released >= 10,
        "only {released} releases were compared: {here:#?}"
    );
    let refused = here.iter().filter(|l| l.starts_with("FailedPrecondition"));
    assert!(refused.count() >= 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_subject_more_or_less_shows_nowhere_in_protect_mode() {
    compare(Mode::Protect).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_subject_more_or_less_shows_nowhere_in_strict_mode() {
    compare(Mode::Strict).await;
}
