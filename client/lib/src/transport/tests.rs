//! The transport against a network of one gateway and one node that can misbehave.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use obscura_model::accuracy::{Accuracy, AccuracyRequest};
use obscura_model::envelope::{Envelope, SignedMessage};
use obscura_model::exposure::Rho;
use obscura_model::identity::{Role, SigningKey};
use obscura_model::ids::{DatasetName, Digest, PartyName, ProjectName, ReleaseName, UnixMillis};
use obscura_model::release::SignedRelease;
use obscura_model::study::{Institution, ReleaseOptions, Study, StudyContent, StudyRelease, Terms};
use obscura_model::text::SqlText;
use obscura_model::wire;
use obscura_wire::tls::{self, Credentials};
use obscura_wire::v1;
use prost::Message as _;
use tonic::codegen::http;

use crate::testing::{self, Authority, Papers, answer, study_id};
use crate::{Client, Code, Error, Profile, Target, request_id};

/// What the network does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wrong {
    Nothing,
    AnswersSignedByTheGateway,
    BodyFlipped,
    UnavailableTwice,
    UnavailableAlways,
    Refused,
    AnotherRequester,
    AnotherStudyDigest,
    AnotherRequestDigest,
    ReleaseByAnotherKey,
    OlderHead,
}

struct Fake {
    gateway: Papers,
    node: Papers,
    wrong: Mutex<Wrong>,
    seen: Mutex<Vec<Seen>>,
}

/// A request as it arrived.
#[derive(Clone)]
struct Seen {
    method: String,
    id: Vec<u8>,
    envelope: Vec<u8>,
}

impl Fake {
    fn handle(&self, request: tonic::Request<v1::Signed>) -> Result<v1::Signed, tonic::Status> {
        let routed = request.metadata().contains_key("obscura-node");
        let message = wire::signed_from(request.into_inner());
        let envelope = v1::Envelope::decode(message.envelope.as_slice()).unwrap();
        let body = message.body.clone();
        let calls = {
            let mut seen = self.seen.lock().unwrap();
            seen.push(Seen {
                method: envelope.method.clone(),
                id: envelope.request_id.clone(),
                envelope: message.envelope.clone(),
            });
            seen.len()
        };
        let wrong = *self.wrong.lock().unwrap();
        let me = if routed { &self.node } else { &self.gateway };
        let open = message.open_request(&me.key.key_id(), &envelope.method, testing::NOW);
        let asked = open.map_err(|e| tonic::Status::unauthenticated(e.to_string()))?;
        let answer = match asked.method.as_str() {
            "/obscura.v1.Directory/ListNodes" => self.nodes(),
            "/obscura.v1.Releases/Run" => match wrong {
                Wrong::UnavailableTwice if calls < 4 => {
                    return Err(tonic::Status::unavailable("restarting"));
                }
                Wrong::UnavailableAlways => return Err(tonic::Status::unavailable("gone")),
                Wrong::Refused => {
                    return Err(tonic::Status::failed_precondition("this was not approved"));
                }
                wrong => self.release(wrong, &asked, &body),
            },
            _ => return Err(tonic::Status::unimplemented("no such method")),
        };
        let signer = match wrong {
            Wrong::AnswersSignedByTheGateway => &self.gateway.key,
            _ => &me.key,
        };
        Ok(seal(
            signer,
            &asked,
            &message,
            answer,
            wrong == Wrong::BodyFlipped && routed,
        ))
    }

    fn nodes(&self) -> Vec<u8> {
        let node = |name: &str, certificate: &[u8]| v1::Node {
            name: name.to_owned(),
            certificate: certificate.to_vec(),
            reachable: true,
        };
        let stranger = Authority::new(200).issue(Role::Node, "forged", 201);
        let nodes = vec![
            node("basel", &self.node.certificate),
            node("renamed", &self.node.certificate),
            node("alpine", &self.gateway.certificate),
            node("forged", &stranger.certificate),
        ];
        v1::ListNodesResponse { nodes }.encode_to_vec()
    }

    fn release(&self, wrong: Wrong, asked: &Envelope, body: &[u8]) -> Vec<u8> {
        let run = v1::RunRequest::decode(body).unwrap();
        let mut release =
            testing::release("basel", self.node.key.key_id(), answer([3, 4], [1, 2], 1));
        release.requester = asked.sender;
        release.request_id = asked.request_id;
        release.request_digest = Digest::of(body);
        let mut study_digest = Digest::from_bytes(&run.study_digest).unwrap();
        if wrong == Wrong::AnotherStudyDigest {
            study_digest = Digest::of(b"x");
        }
        release.authority = obscura_model::release::Authority::Study {
            study: study_id(),
            digest: study_digest,
            release: ReleaseName::new(&run.release).unwrap(),
        };
        let mut key = &self.node.key;
        match wrong {
            Wrong::AnotherRequester => release.requester = self.gateway.key.key_id(),
            Wrong::AnotherRequestDigest => release.request_digest = Digest::of(b"x"),
            Wrong::ReleaseByAnotherKey => key = &self.gateway.key,
            Wrong::OlderHead => {
                release.head_size = 3;
                release.committed = UnixMillis(release.committed.0 + 1);
            }
            _ => {}
        }
        let signed = SignedRelease::sign(key, wire::encode_release(&release));
        v1::RunResponse {
            release: Some(wire::signed_release_to(&signed)),
            earlier: false,
        }
        .encode_to_vec()
    }
}

fn seal(
    key: &SigningKey,
    asked: &Envelope,
    request: &SignedMessage,
    body: Vec<u8>,
    flip: bool,
) -> v1::Signed {
    let envelope = Envelope {
        audience: asked.sender,
        answers: Some(request.envelope_digest()),
        ..asked.clone()
    };
    let mut message = SignedMessage::sign(key, envelope, body);
    if flip && let Some(byte) = message.body.last_mut() {
        *byte ^= 1;
    }
    wire::signed_to(message)
}

struct Network {
    fake: Arc<Fake>,
    profile: Profile,
}

async fn network() -> Network {
    let authority = Authority::new(100);
    let scientist = authority.issue(Role::Scientist, "ada", 1);
    let gateway = authority.issue(Role::Gateway, "alpine", 2);
    let node = authority.issue(Role::Node, "basel", 3);
    let credentials =
        Credentials::from_pem(&authority.pem, &gateway.certificate_pem, &gateway.key_pem).unwrap();
    let fake = Arc::new(Fake {
        gateway,
        node,
        wrong: Mutex::new(Wrong::Nothing),
        seen: Mutex::default(),
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let serving = fake.clone();
    let service = tower::service_fn(move |request: http::Request<tonic::body::Body>| {
        let fake = serving.clone();
        async move {
            let codec = tonic_prost::ProstCodec::<v1::Signed, v1::Signed>::default();
            let handle = tower::service_fn(move |request: tonic::Request<v1::Signed>| {
                let answer = fake.handle(request).map(tonic::Response::new);
                std::future::ready(answer)
            });
            let mut grpc = tonic::server::Grpc::new(codec);
            Ok::<_, Infallible>(grpc.unary(handle, request).await)
        }
    });
    let incoming = tls::incoming(listener, &credentials);
    tokio::spawn(async move { tls::server().serve_with_incoming(service, incoming).await });
    let target = Target::Gateway {
        address,
        name: PartyName::new("alpine").unwrap(),
    };
    let profile = Profile::new(
        authority.pem,
        scientist.certificate_pem,
        scientist.key_pem,
        target,
    );
    Network {
        fake,
        profile: profile.unwrap(),
    }
}

impl Network {
    async fn client(&self) -> Client {
        let client = Client::connect_with(self.profile.clone(), testing::surroundings());
        client.await.unwrap()
    }

    fn be(&self, wrong: Wrong) {
        *self.fake.wrong.lock().unwrap() = wrong;
    }
}

fn study(institutions: Vec<Institution>) -> Study {
    let release = StudyRelease {
        name: visits(),
        sql: SqlText::new("SELECT COUNT(*) FROM people").unwrap(),
        accuracy: AccuracyRequest::whole(Accuracy::Price(Rho::from_nano(1))).unwrap(),
        times: 1,
        options: ReleaseOptions::NONE,
    };
    let dataset = DatasetName::new("people").unwrap();
    let (title, purpose) = ("t".to_owned(), "p".to_owned());
    Study::new(StudyContent {
        id: study_id(),
        project: ProjectName::new("visits").unwrap(),
        title,
        purpose,
        terms: Terms::default(),
        dataset,
        code_lists: Vec::new(),
        releases: vec![release],
        institutions,
    })
    .unwrap()
}

fn visits() -> ReleaseName {
    ReleaseName::new("visits").unwrap()
}

fn basel() -> PartyName {
    PartyName::new("basel").unwrap()
}

#[tokio::test]
async fn only_nodes_that_the_authority_named_are_in_the_directory() {
    let network = network().await;
    let client = network.client().await;
    let names: Vec<_> = client
        .sites()
        .iter()
        .map(|s| s.institution.name.as_str())
        .collect();
    assert_eq!(names, ["basel"]);
    let key = client.sites()[0].institution.key;
    assert_eq!(key, network.fake.node.key.key_id());
    let refused: Vec<_> = client.refused().iter().map(|r| r.name.as_str()).collect();
    assert_eq!(refused, ["renamed", "alpine", "forged"]);
}

#[tokio::test]
async fn a_server_with_another_name_is_not_believed() {
    let network = network().await;
    let Target::Gateway { address, .. } = network.profile.target().clone() else {
        panic!()
    };
    let name = PartyName::new("other").unwrap();
    let authority = Authority::new(100);
    let ada = authority.issue(Role::Scientist, "ada", 1);
    let target = Target::Gateway { address, name };
    let profile = Profile::new(authority.pem, ada.certificate_pem, ada.key_pem, target).unwrap();
    let refused = Client::connect_with(profile, testing::surroundings()).await;
    assert!(matches!(refused.err(), Some(Error::Handshake { .. })));
}

#[tokio::test]
async fn a_release_is_fetched_checked_and_the_same_again() {
    let network = network().await;
    let client = network.client().await;
    let study = study(client.institutions());
    let first = client
        .release(&study, &basel(), &visits(), 1)
        .await
        .unwrap();
    let again = client
        .release(&study, &basel(), &visits(), 1)
        .await
        .unwrap();
    assert_eq!(first.signed(), again.signed());
    let second = client
        .release(&study, &basel(), &visits(), 2)
        .await
        .unwrap();
    assert_ne!(first.release().request_id, second.release().request_id);
    let ca = network.profile.ca();
    assert!(crate::VerifiedRelease::from_file(&first.to_file(), ca).is_ok());
}

#[tokio::test]
async fn whatever_the_network_changes_is_refused() {
    let network = network().await;
    let client = network.client().await;
    let study = study(client.institutions());
    for (wrong, code) in [
        (Wrong::AnswersSignedByTheGateway, "answer"),
        (Wrong::BodyFlipped, "answer"),
        (Wrong::AnotherRequester, "release"),
        (Wrong::AnotherStudyDigest, "release"),
        (Wrong::AnotherRequestDigest, "release"),
        (Wrong::ReleaseByAnotherKey, "release"),
    ] {
        network.be(wrong);
        let refused = client.release(&study, &basel(), &visits(), 1).await;
        assert_eq!(refused.unwrap_err().code(), code, "{wrong:?}");
    }
    network.be(Wrong::Nothing);
    assert!(client.release(&study, &basel(), &visits(), 1).await.is_ok());
}

#[tokio::test]
async fn a_node_that_shows_an_older_history_is_found_out() {
    let network = network().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ada.heads.json");
    let profile = network.profile.clone().with_heads(path);
    let connect = || Client::connect_with(profile.clone(), testing::surroundings());
    let client = connect().await.unwrap();
    let study = study(client.institutions());
    client
        .release(&study, &basel(), &visits(), 1)
        .await
        .unwrap();
    // Another run of the program remembers.
    network.be(Wrong::OlderHead);
    let later = connect().await.unwrap();
    let refused = later
        .release(&study, &basel(), &visits(), 2)
        .await
        .unwrap_err();
    assert_eq!(refused.code(), "history");
    assert!(refused.in_full().contains("shows an older history"));
}

#[tokio::test]
async fn trying_again_keeps_the_request_id_and_makes_a_fresh_envelope() {
    let network = network().await;
    let client = network.client().await;
    let study = study(client.institutions());
    network.be(Wrong::UnavailableTwice);
    client
        .release(&study, &basel(), &visits(), 1)
        .await
        .unwrap();
    let seen = network.fake.seen.lock().unwrap().clone();
    let runs: Vec<_> = seen.iter().filter(|s| s.method.ends_with("/Run")).collect();
    assert_eq!(runs.len(), 3);
    let key = network.fake.node.key.key_id();
    let id = request_id(&study.id(), &key, &visits(), 1);
    assert!(runs.iter().all(|run| run.id.as_slice() == id.as_bytes()));
    assert!(runs[0].envelope != runs[1].envelope && runs[1].envelope != runs[2].envelope);
}

#[tokio::test]
async fn trying_again_ends_and_refusals_are_not_tried_again() {
    let network = network().await;
    let client = network.client().await;
    let study = study(client.institutions());
    for (wrong, calls) in [(Wrong::UnavailableAlways, 3), (Wrong::Refused, 1)] {
        network.be(wrong);
        network.fake.seen.lock().unwrap().clear();
        let refused = client
            .release(&study, &basel(), &visits(), 1)
            .await
            .unwrap_err();
        assert_eq!(network.fake.seen.lock().unwrap().len(), calls, "{wrong:?}");
        match wrong {
            Wrong::Refused => {
                let text = "basel: this was not approved";
                assert_eq!(refused.to_string(), text);
                let code = Code::NotNow;
                assert!(matches!(refused, Error::Answered { code: c, .. } if c == code));
            }
            _ => assert_eq!(refused.code(), "unreachable"),
        }
    }
}

#[tokio::test]
async fn a_combined_answer_says_who_is_missing() {
    let network = network().await;
    let client = network.client().await;
    let mut institutions = client.institutions();
    institutions.push(Institution {
        name: PartyName::new("cadiz").unwrap(),
        key: network.fake.gateway.key.key_id(),
    });
    let answer = client
        .answer(&study(institutions), &visits())
        .await
        .unwrap();
    assert_eq!(answer.included.len(), 1);
    assert_eq!(answer.not_included[0].name.as_str(), "cadiz");
    assert!(
        answer
            .who()
            .starts_with("1 of 2 institutions are in it: basel; not in it: cadiz (")
    );
}
