//! Attacks on a node through its front door, by somebody with a certificate and patience.

#[path = "attacks/bombs.rs"]
mod bombs;
#[path = "attacks/channels.rs"]
mod channels;
#[path = "attacks/faults.rs"]
mod faults;
#[path = "attacks/forks.rs"]
mod forks;
#[path = "attacks/ident.rs"]
mod ident;
#[path = "attacks/index.rs"]
mod index;
#[path = "attacks/joins.rs"]
mod joins;
#[path = "attacks/ledger.rs"]
mod ledger;
#[path = "attacks/logs.rs"]
mod logs;
#[path = "attacks/moments.rs"]
mod moments;
#[path = "attacks/numbers.rs"]
mod numbers;
#[path = "attacks/planted.rs"]
mod planted;
#[path = "attacks/requests.rs"]
mod requests;
#[path = "attacks/surface.rs"]
mod surface;
#[path = "attacks/worlds.rs"]
mod worlds;

use std::time::Duration;

use obscura_client::model::envelope::{Reality, SignedMessage};
use obscura_client::model::exposure::{Delta, Limit, Rho};
use obscura_client::model::ids::{Digest, PartyName, RequestId};
use obscura_client::model::release::{RunRequest, SignedRelease};
use obscura_client::model::study::{Study, Verdict};
use obscura_client::model::wire;
use obscura_model::identity::Role;
use obscura_tests::cluster::{Cluster, ask, release_name};
use obscura_tests::data::{Dataset, visits};
use obscura_tests::raw::{Answer, Caller, RUN, Said};
use obscura_wire::v1;
use prost::Message as _;
use tonic::Code;

use crate::support::{VISITS, outcome};

const PREVIEW: &str = "/obscura.v1.Sandbox/Preview";
const RUN_MOCK: &str = "/obscura.v1.Sandbox/RunMock";
const SUBMIT: &str = "/obscura.v1.Studies/Submit";
const DELTA: f64 = 1e-6;

/// Somebody at one site, without the client's good manners.
struct Attacker<'a> {
    cluster: &'a Cluster,
    caller: Caller,
    site: usize,
}

impl<'a> Attacker<'a> {
    fn new(cluster: &'a Cluster, who: &str, site: usize) -> Self {
        let (hub, node) = (
            PartyName::new("hub").unwrap(),
            cluster.sites[site].name.clone(),
        );
        let person = cluster.scientist(who).unwrap();
        let address = cluster.gateway().to_string();
        let caller = Caller::new(person, &address, (Role::Gateway, &hub), Some(&node)).unwrap();
        Self {
            cluster,
            caller,
            site,
        }
    }

    fn sign(&self, method: &'static str, id: u8, reality: Reality, body: Vec<u8>) -> SignedMessage {
        let now = self.cluster.clock.today();
        let said = Said {
            method,
            audience: self.cluster.sites[self.site].institution().unwrap().key,
            request_id: RequestId::from_parts(1_700_000_000_000, [id; 10]),
            now,
            reality,
        };
        self.caller.sign(&said, body)
    }

    async fn call(&self, method: &'static str, id: u8, body: Vec<u8>) -> Answer {
        let reality = match method {
            RUN | SUBMIT => Reality::Real,
            _ => Reality::Mock,
        };
        let message = self.sign(method, id, reality, body);
        self.caller.send(method, message).await.unwrap()
    }

    async fn preview(
        &self,
        sql: &str,
        way: v1::accuracy::Way,
    ) -> Result<v1::PreviewResponse, (Code, String)> {
        let body = preview(sql, way).encode_to_vec();
        let answer = self.call(PREVIEW, 1, body).await?;
        Ok(v1::PreviewResponse::decode(answer.body.as_slice()).unwrap())
    }

    async fn run(&self, study: &Study, id: u8) -> Result<SignedRelease, (Code, String)> {
        let answer = self.call(RUN, id, run_body(study)).await?;
        let answer = v1::RunResponse::decode(answer.body.as_slice()).unwrap();
        let signed = answer.release.unwrap();
        Ok(SignedRelease {
            body: signed.body,
            signature: signed.signature,
        })
    }
}

fn preview(sql: &str, way: v1::accuracy::Way) -> v1::PreviewRequest {
    let whole = Some(v1::Accuracy { way: Some(way) });
    v1::PreviewRequest {
        dataset: "visits".to_owned(),
        sql: sql.to_owned(),
        accuracy: Some(v1::AccuracyRequest {
            whole,
            outputs: Vec::new(),
            weights: Vec::new(),
        }),
        ..v1::PreviewRequest::default()
    }
}

fn run_body(study: &Study) -> Vec<u8> {
    wire::run_request_encode(&RunRequest {
        study: study.id(),
        study_digest: Digest::of(&wire::study_encode(study)),
        release: release_name("n").unwrap(),
        again: true,
    })
}

async fn one(dataset: Dataset) -> Cluster {
    let builder = Cluster::builder().site(dataset).scientist("bob");
    builder.build().await.unwrap()
}

fn limit(epsilon: f64) -> Limit {
    Limit::new(epsilon, Delta::new(DELTA).unwrap()).unwrap()
}

/// The same rows under another declared size.
fn declared(mut dataset: Dataset, subjects: &str) -> Dataset {
    let lines = dataset.description.lines().map(|line| {
        if line.starts_with("subjects = ") {
            format!("subjects = {subjects}\n")
        } else {
            format!("{line}\n")
        }
    });
    dataset.description = lines.collect();
    assert!(dataset.description.contains(subjects));
    dataset
}

/// F08: bytes that grow in memory or in depth when they are decoded.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bombs_are_refused_and_the_node_goes_on() {
    let cluster = one(visits(60, 3, 1)).await;
    let eve = Attacker::new(&cluster, "ada", 0);
    let refused = async |method, id, body| eve.call(method, id, body).await.unwrap_err().0;
    assert_eq!(
        refused(RUN, 1, vec![0; 4 * 1024 * 1024]).await,
        Code::OutOfRange
    );
    // Two bytes for an empty release, a hundred in memory.
    let releases = |count| [0x3a, 0].repeat(count);
    assert_eq!(
        refused(SUBMIT, 2, releases(1_000_000)).await,
        Code::ResourceExhausted
    );
    assert_eq!(
        refused(SUBMIT, 3, releases(200_000)).await,
        Code::InvalidArgument
    );
    assert_eq!(
        refused(PREVIEW, 4, vec![0x0b; 100_000]).await,
        Code::InvalidArgument
    );
    let unknown = [0xf8, 0x3f, 1].repeat(40_000);
    for (method, id) in [(RUN, 5), (SUBMIT, 6), (PREVIEW, 7), (RUN_MOCK, 8)] {
        assert_eq!(
            refused(method, id, unknown.clone()).await,
            Code::InvalidArgument
        );
        assert_eq!(
            refused(method, id, vec![0xff; 1000]).await,
            Code::InvalidArgument
        );
    }
    let way = v1::accuracy::Way::PriceNano(9_000_000);
    assert!(eve.preview(VISITS, way).await.is_ok());
    cluster.stop().await;
}

/// F08: the transport has no code that unpacks anything, so there is nothing that could grow.
#[test]
fn no_message_is_ever_unpacked() {
    let lock = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.lock");
    let lock = std::fs::read_to_string(lock).unwrap();
    let tonic = lock
        .split("[[package]]")
        .find(|p| p.contains("name = \"tonic\"\n"));
    let tonic = tonic.unwrap();
    assert!(tonic.contains("\"hyper\""), "{tonic}");
    for packer in ["flate2", "zstd", "async-compression", "brotli"] {
        assert!(!tonic.contains(packer), "{tonic}");
    }
}

/// E03, E06, G03: what was signed for one thing is good for no other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_is_good_for_its_node_its_reality_and_its_own_signature_only() {
    let builder = Cluster::builder()
        .site(visits(60, 3, 1))
        .site(visits(60, 3, 1));
    let cluster = builder.build().await.unwrap();
    let ada = cluster.client("ada").await.unwrap();
    let study = cluster
        .approved(&ada, &[ask("n", VISITS, 9_000_000)])
        .await
        .unwrap();
    let (here, there) = (
        Attacker::new(&cluster, "ada", 0),
        Attacker::new(&cluster, "ada", 1),
    );
    let good = here.sign(RUN, 1, Reality::Real, run_body(&study));
    let mock = preview(VISITS, v1::accuracy::Way::Sigma(9.0)).encode_to_vec();
    let mut wrong = vec![
        (&there, RUN, good.clone()),
        (&here, SUBMIT, good.clone()),
        (
            &here,
            RUN,
            here.sign(RUN, 1, Reality::Mock, run_body(&study)),
        ),
        (
            &here,
            PREVIEW,
            here.sign(PREVIEW, 2, Reality::Real, mock.clone()),
        ),
        (&here, RUN_MOCK, here.sign(RUN_MOCK, 2, Reality::Real, mock)),
    ];
    for signature in signatures(&good.signature) {
        let envelope = SignedMessage {
            signature,
            ..good.clone()
        };
        wrong.push((&here, RUN, envelope));
    }
    for (eve, method, message) in wrong {
        let refused = eve.caller.send(method, message).await.unwrap().unwrap_err();
        assert_eq!(
            refused,
            (Code::PermissionDenied, "not authorised".to_owned())
        );
    }
    for site in &cluster.sites {
        assert_eq!(site.meter().unwrap(), Rho::ZERO);
    }
    assert!(here.caller.send(RUN, good).await.unwrap().is_ok());
    cluster.stop().await;
}

/// None, too short, too long, zeros, and the same one with the group's order added to s.
fn signatures(good: &[u8]) -> Vec<Vec<u8>> {
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde,
        0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let mut malleated = good.to_vec();
    let mut carry = 0u16;
    for (byte, more) in malleated[32..].iter_mut().zip(ORDER) {
        carry += u16::from(*byte) + u16::from(more);
        *byte = carry as u8;
        carry >>= 8;
    }
    let longer = [good, &[0]].concat();
    vec![
        Vec::new(),
        good[..63].to_vec(),
        longer,
        vec![0; 64],
        malleated,
    ]
}

/// D04, E04: a hundred times the same, also after a restart and a withdrawal, but not after the
/// envelope's end, and not when the clock goes back to before that (D16).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_request_is_the_same_answer_until_its_envelope_ends() {
    let mut cluster = one(visits(60, 3, 1)).await;
    let ada = cluster.client("ada").await.unwrap();
    let study = cluster
        .approved(&ada, &[ask("n", VISITS, 9_000_000).times(2)])
        .await
        .unwrap();
    let eve = Attacker::new(&cluster, "ada", 0);
    let message = eve.sign(RUN, 1, Reality::Real, run_body(&study));
    let first = eve
        .caller
        .send(RUN, message.clone())
        .await
        .unwrap()
        .unwrap()
        .body;
    let meter = cluster.sites[0].meter().unwrap();
    for _ in 0..100 {
        let again = eve
            .caller
            .send(RUN, message.clone())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(again.body, first);
    }
    ada.withdraw(&study).await.remove(0).outcome.unwrap();
    let caller = eve.caller.clone();
    cluster.sites[0].restart().await.unwrap();
    let again = caller.send(RUN, message.clone()).await.unwrap().unwrap();
    assert_eq!(again.body, first);
    assert_eq!(cluster.sites[0].meter().unwrap(), meter);
    cluster.clock.skip(Duration::from_secs(86_400));
    let expired = caller
        .send(RUN, message.clone())
        .await
        .unwrap()
        .unwrap_err();
    assert_eq!(expired.0, Code::PermissionDenied);
    // A day back: what is added wraps around.
    cluster
        .clock
        .skip(Duration::from_millis(u64::MAX - 86_400_000 + 1));
    let revived = caller.send(RUN, message).await.unwrap().unwrap_err();
    assert_eq!(revived.0, Code::PermissionDenied);
    cluster.stop().await;
}

/// E08, E11: nobody approves for somebody else, twice, or something else than was looked at.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_approval_is_for_one_document_at_one_node() {
    let builder = Cluster::builder()
        .site(visits(60, 3, 1))
        .site(visits(60, 3, 1));
    let cluster = builder.build().await.unwrap();
    let ada = cluster.client("ada").await.unwrap();
    let study = cluster.study(&ada, &[ask("n", VISITS, 9_000_000)]).unwrap();
    ada.submit(&study).await;
    let owners = [
        cluster.sites[0].owner_client().await.unwrap(),
        cluster.sites[1]
            .owner_client_of(&cluster.sites[0].owner)
            .await
            .unwrap(),
    ];
    let review = owners[0].review(study.id()).await.unwrap();
    assert_eq!(
        outcome(owners[1].decide(&review, Verdict::Approve, "").await).0,
        "not_allowed"
    );
    assert_eq!(
        outcome(owners[0].decide(&review, Verdict::Approve, "").await).0,
        "ok"
    );
    let here = Attacker::new(&cluster, "ada", 0).run(&study, 1).await;
    let there = Attacker::new(&cluster, "ada", 1).run(&study, 1).await;
    assert!(here.is_ok());
    assert_eq!(there.unwrap_err().0, Code::FailedPrecondition);
    assert_eq!(
        outcome(owners[0].decide(&review, Verdict::Decline, "no").await).0,
        "not_now"
    );
    cluster.stop().await;
}
