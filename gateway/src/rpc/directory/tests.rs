use std::net::SocketAddr;

use obscura_model::envelope::Reality;
use obscura_model::identity::{Role, dns_name};
use obscura_model::ids::{Digest, KeyId, RequestId};
use obscura_wire::tls::{self, Credentials, channel};
use obscura_wire::v1::directory_client::DirectoryClient;
use tonic::Code;

use super::*;
use crate::clock;
use crate::testing::{EchoNode, World, listen, name};

fn key(credentials: &Credentials) -> SigningKey {
    SigningKey::from_pkcs8_der(credentials.private_key()).unwrap()
}

fn envelope(audience: KeyId) -> Envelope {
    let now = clock::now();
    Envelope {
        method: LIST_NODES.to_owned(),
        audience,
        sender: audience,
        body_digest: Digest::of(b""),
        request_id: RequestId::from_parts(now.0, [7; 10]),
        issued: now,
        expires: UnixMillis(now.0 + 60_000),
        reality: Reality::Mock,
        answers: None,
    }
}

async fn ask(
    gateway: SocketAddr,
    credentials: &Credentials,
    message: SignedMessage,
) -> Result<SignedMessage, Code> {
    let hub = dns_name(Role::Gateway, &name("hub"));
    let channel = channel(gateway.to_string(), &hub, credentials).unwrap();
    let mut client = DirectoryClient::new(channel).max_decoding_message_size(tls::MAX_ANSWER_BYTES);
    let answer = client.list_nodes(signed_to(message)).await;
    answer
        .map(|answer| signed_from(answer.into_inner()))
        .map_err(|status| status.code())
}

#[tokio::test]
async fn the_directory_is_signed_complete_and_says_who_is_in_reach() {
    let world = World::new();
    let node = EchoNode::start(&world, "basel", listen().await).await;
    let silent = listen().await;
    let gone = silent.local_addr().unwrap();
    drop(silent);
    let nodes = vec![world.node("zug", gone), world.node("basel", node.address)];
    let gateway = world.gateway(nodes.clone()).await;
    let hub = key(&world.credentials(Role::Gateway, "hub")).key_id();
    for role in [Role::Scientist, Role::Owner, Role::Node] {
        let credentials = world.credentials(role, "anna");
        let me = key(&credentials);
        let request = SignedMessage::sign(&me, envelope(hub), Vec::new());
        let answer = ask(gateway, &credentials, request.clone()).await.unwrap();
        answer
            .open_answer(&request, &hub, &me.key_id(), clock::now())
            .unwrap();
        let listed = v1::ListNodesResponse::decode(answer.body.as_slice())
            .unwrap()
            .nodes;
        let listed: Vec<_> = listed
            .into_iter()
            .map(|node| (node.name, node.certificate, node.reachable))
            .collect();
        let expected = [
            ("basel".to_owned(), nodes[1].certificate.clone(), true),
            ("zug".to_owned(), nodes[0].certificate.clone(), false),
        ];
        assert_eq!(listed, expected);
    }
}

#[tokio::test]
async fn a_request_for_somebody_else_of_somebody_else_or_changed_is_refused() {
    let world = World::new();
    let gateway = world.gateway(Vec::new()).await;
    let hub = key(&world.credentials(Role::Gateway, "hub")).key_id();
    let credentials = world.credentials(Role::Scientist, "anna");
    let (me, other) = (
        key(&credentials),
        key(&world.credentials(Role::Scientist, "berta")),
    );
    let good = SignedMessage::sign(&me, envelope(hub), Vec::new());
    assert!(ask(gateway, &credentials, good.clone()).await.is_ok());

    let with = |change: fn(&mut Envelope)| {
        let mut envelope = envelope(hub);
        change(&mut envelope);
        SignedMessage::sign(&me, envelope, Vec::new())
    };
    let refused = [
        (
            "unsigned",
            SignedMessage {
                signature: Vec::new(),
                ..good.clone()
            },
        ),
        (
            "no envelope",
            SignedMessage {
                envelope: Vec::new(),
                ..good.clone()
            },
        ),
        (
            "another body",
            SignedMessage {
                body: vec![8, 1],
                ..good.clone()
            },
        ),
        (
            "another sender",
            SignedMessage::sign(&other, envelope(hub), Vec::new()),
        ),
        (
            "another audience",
            SignedMessage::sign(&me, envelope(me.key_id()), Vec::new()),
        ),
        (
            "another method",
            with(|e| e.method = "/obscura.v1.Catalogue/ListDatasets".to_owned()),
        ),
        (
            "out of date",
            with(|e| {
                e.issued.0 -= 120_000;
                e.expires.0 -= 120_000;
            }),
        ),
        ("an answer", with(|e| e.answers = Some(Digest::of(b"")))),
    ];
    for (what, message) in refused {
        let code = ask(gateway, &credentials, message).await.unwrap_err();
        assert_eq!(code, Code::PermissionDenied, "{what}");
    }
}

#[tokio::test]
async fn a_body_that_is_no_request_and_one_that_is_too_long_are_refused() {
    let world = World::new();
    let gateway = world.gateway(Vec::new()).await;
    let hub = key(&world.credentials(Role::Gateway, "hub")).key_id();
    let credentials = world.credentials(Role::Scientist, "anna");
    let me = key(&credentials);
    let broken = SignedMessage::sign(&me, envelope(hub), vec![0xff; 3]);
    assert_eq!(
        ask(gateway, &credentials, broken).await,
        Err(Code::InvalidArgument)
    );
    let long = SignedMessage::sign(&me, envelope(hub), vec![0; 70_000]);
    assert_eq!(
        ask(gateway, &credentials, long).await,
        Err(Code::OutOfRange)
    );
}
