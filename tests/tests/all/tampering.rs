//! Every byte of an envelope and of a release, changed in turn, is found out.

use std::sync::Arc;

use obscura_client::VerifiedRelease;
use obscura_client::model::envelope::{Reality, SignedMessage};
use obscura_client::model::ids::{Digest, PartyName, RequestId};
use obscura_client::model::release::{RunRequest, SignedRelease};
use obscura_client::model::wire;
use obscura_model::identity::Role;
use obscura_tests::cluster::{Cluster, ask, release_name};
use obscura_tests::data::visits;
use obscura_tests::raw::{Caller, RUN, Said};
use obscura_wire::v1;
use prost::Message as _;
use tonic::Code;

use crate::support::VISITS;

/// The message with one bit of one byte changed: all parts, one byte after the other.
fn damaged(message: &SignedMessage) -> Vec<(String, SignedMessage)> {
    let parts = [
        ("envelope", message.envelope.len()),
        ("signature", message.signature.len()),
        ("body", message.body.len()),
    ];
    let mut all = Vec::new();
    for (part, length) in parts {
        for at in 0..length {
            let mut other = message.clone();
            let bytes = match part {
                "envelope" => &mut other.envelope,
                "signature" => &mut other.signature,
                _ => &mut other.body,
            };
            bytes[at] ^= 1 << (at % 8);
            all.push((format!("{part} byte {at}"), other));
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_changed_byte_of_an_envelope_is_refused_through_the_gateway() {
    let cluster = Cluster::builder()
        .site(visits(60, 3, 1))
        .build()
        .await
        .unwrap();
    let ada = cluster.client("ada").await.unwrap();
    let study = cluster
        .approved(&ada, &[ask("n", VISITS, 10_000_000)])
        .await
        .unwrap();
    let (node, hub) = (
        cluster.sites[0].institution().unwrap(),
        PartyName::new("hub").unwrap(),
    );
    let person = cluster.scientist("ada").unwrap();
    let address = cluster.gateway().to_string();
    let caller = Caller::new(person, &address, (Role::Gateway, &hub), Some("site-1")).unwrap();
    let said = Said {
        method: RUN,
        audience: node.key,
        request_id: RequestId::from_parts(cluster.clock.today().0, [1; 10]),
        now: cluster.clock.today(),
        reality: Reality::Real,
    };
    let body = wire::run_request_encode(&RunRequest {
        study: study.id(),
        study_digest: Digest::of(&wire::study_encode(&study)),
        release: release_name("n").unwrap(),
        again: false,
    });
    let message = caller.sign(&said, body.clone());
    let all = damaged(&message);
    assert!(all.len() > 250, "{}", all.len());
    for (what, other) in all {
        let refused = caller.send(RUN, other).await.unwrap().expect_err(&what);
        assert_eq!(
            refused,
            (Code::PermissionDenied, "not authorised".to_owned()),
            "{what}"
        );
    }
    // Right bytes for another method, another reality, another receiver, another time.
    let other_node = Digest::of(b"another node");
    let wrong = [
        Said {
            method: "/obscura.v1.Studies/Submit",
            ..said.clone()
        },
        Said {
            reality: Reality::Mock,
            ..said.clone()
        },
        Said {
            audience: obscura_client::model::ids::KeyId::from_bytes(other_node.as_bytes()).unwrap(),
            ..said.clone()
        },
        Said {
            now: obscura_client::model::ids::UnixMillis(said.now.0 - 61_000),
            ..said.clone()
        },
        Said {
            now: obscura_client::model::ids::UnixMillis(said.now.0 + 120_000),
            ..said.clone()
        },
    ];
    for said in wrong {
        let refused = caller
            .send(RUN, caller.sign(&said, body.clone()))
            .await
            .unwrap();
        assert_eq!(refused.unwrap_err().0, Code::PermissionDenied, "{said:?}");
    }
    assert_eq!(cluster.sites[0].meter().unwrap().nano(), 0);
    // What was changed back and forth is what runs.
    assert!(caller.send(RUN, message).await.unwrap().is_ok());
    cluster.stop().await;
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_changed_byte_of_a_release_is_refused_by_the_client() {
    let cluster = Cluster::builder()
        .site(visits(60, 3, 1))
        .build()
        .await
        .unwrap();
    let ada = cluster.client("ada").await.unwrap();
    let study = cluster
        .approved(&ada, &[ask("n", VISITS, 10_000_000)])
        .await
        .unwrap();
    let site = PartyName::new("site-1").unwrap();
    let release = ada
        .release(&study, &site, &release_name("n").unwrap(), 1)
        .await
        .unwrap();
    let ca = Arc::new(cluster.consortium.ca().to_owned());
    let text = release.to_file();
    assert_eq!(VerifiedRelease::from_file(&text, &ca).unwrap(), release);
    let node = cluster.sites[0].institution().unwrap().key;
    let SignedRelease { body, signature } = release.signed().clone();
    let mut changed = 0;
    for at in 0..body.len() + signature.len() {
        let mut other = SignedRelease {
            body: body.clone(),
            signature: signature.clone(),
        };
        match at.checked_sub(body.len()) {
            None => other.body[at] ^= 1 << (at % 8),
            Some(at) => other.signature[at] ^= 1 << (at % 8),
        }
        assert!(other.open(&node).is_err(), "byte {at}");
        let file = text
            .replace(&hex(&body), &hex(&other.body))
            .replace(&hex(&signature), &hex(&other.signature));
        assert_ne!(file, text);
        assert!(
            VerifiedRelease::from_file(&file, &ca).is_err(),
            "byte {at} in the file"
        );
        changed += 1;
    }
    assert!(changed > 500, "{changed}");
    // The certificate beside it.
    let certificate = ada.sites()[0].certificate.clone();
    assert!(text.contains(&hex(&certificate)));
    for at in 0..certificate.len() {
        let mut other = certificate.clone();
        other[at] ^= 1 << (at % 8);
        let file = text.replace(&hex(&certificate), &hex(&other));
        assert!(
            VerifiedRelease::from_file(&file, &ca).is_err(),
            "byte {at} of the certificate"
        );
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owners_message_counts_once() {
    let mut cluster = Cluster::builder()
        .site(visits(60, 3, 1))
        .build()
        .await
        .unwrap();
    let method = "/obscura.v1.Owner/SetLimit";
    let node = cluster.sites[0].institution().unwrap();
    let said = Said {
        method,
        audience: node.key,
        request_id: RequestId::from_parts(cluster.clock.today().0, [3; 10]),
        now: cluster.clock.today(),
        reality: Reality::Real,
    };
    let body = v1::SetLimitRequest {
        dataset: "visits".to_owned(),
        dataset_only: false,
        epsilon: 6.0,
        delta: 1e-6,
        mode: v1::Mode::Protect.into(),
        reason: "a new promise".to_owned(),
        delta_keys: 0.0,
    };
    let call = async |cluster: &Cluster, message: &SignedMessage| {
        let owner = &cluster.sites[0].owner;
        let address = cluster.sites[0].address().unwrap().to_string();
        let caller = Caller::new(owner, &address, (Role::Node, &node.name), None).unwrap();
        caller
            .send(method, message.clone())
            .await
            .unwrap()
            .map_err(|(code, _)| code)
    };
    let owner = &cluster.sites[0].owner;
    let address = cluster.sites[0].address().unwrap().to_string();
    let caller = Caller::new(owner, &address, (Role::Node, &node.name), None).unwrap();
    let message = caller.sign(&said, body.encode_to_vec());
    assert!(call(&cluster, &message).await.is_ok());
    assert_eq!(
        call(&cluster, &message).await.unwrap_err(),
        Code::PermissionDenied
    );
    // A node that has started again does not remember it, and takes nothing from before.
    cluster.sites[0].restart().await.unwrap();
    assert_eq!(
        call(&cluster, &message).await.unwrap_err(),
        Code::PermissionDenied
    );
    cluster.stop().await;
}
