//! What a node opens while it is asked for files, by strace.

use std::path::Path;

use obscura_client::model::envelope::Reality;
use obscura_client::model::exposure::Mode;
use obscura_client::model::ids::RequestId;
use obscura_client::model::study::{Study, Verdict};
use obscura_client::model::wire;
use obscura_model::identity::Role;
use obscura_tests::clock::TestClock;
use obscura_tests::cluster::{ask, release_name, study, terms};
use obscura_tests::data::visits;
use obscura_tests::process::Lone;
use obscura_tests::raw::{Caller, Said};
use obscura_wire::v1;
use prost::Message as _;
use tonic::Code;

use super::super::{PREVIEW, RUN_MOCK, SUBMIT, preview};
use super::B25;
use crate::support::VISITS;
use crate::system::{Call, calls, now};

/// Every way to ask this, as the body of its rpc; the study is one that was never submitted.
fn ways(fine: &Study, sql: &str) -> [(&'static str, Vec<u8>); 3] {
    let asked = preview(sql, v1::accuracy::Way::PriceNano(9_000_000));
    let mut document = wire::study_to(fine);
    sql.clone_into(&mut document.releases[0].sql);
    let mock = v1::RunMockRequest {
        dataset: asked.dataset.clone(),
        sql: asked.sql.clone(),
        accuracy: asked.accuracy.clone(),
        seed: 1,
        ..v1::RunMockRequest::default()
    };
    [
        (PREVIEW, asked.encode_to_vec()),
        (RUN_MOCK, mock.encode_to_vec()),
        (SUBMIT, document.encode_to_vec()),
    ]
}

/// Sends all of them, each of which is refused for its text.
async fn refused(lone: &Lone, fine: &Study) {
    let node = lone.institution().unwrap();
    let address = lone.address().unwrap().to_string();
    let to = (Role::Node, &node.name);
    let caller = Caller::new(&lone.scientist, &address, to, None).unwrap();
    let mut id = 0u16;
    for sql in B25 {
        for (method, body) in ways(fine, &sql.replace("patients", "visits")) {
            id += 1;
            let mut rest = [0; 10];
            rest[..2].copy_from_slice(&id.to_be_bytes());
            let said = Said {
                method,
                audience: node.key,
                request_id: RequestId::from_parts(1_700_000_000_000, rest),
                now: TestClock::with_waits().today(),
                reality: if method == SUBMIT {
                    Reality::Real
                } else {
                    Reality::Mock
                },
            };
            let answer = caller.send(method, caller.sign(&said, body)).await.unwrap();
            let (code, text) = answer.expect_err(sql);
            assert_eq!(code, Code::InvalidArgument, "{sql}: {text}");
        }
    }
}

/// The paths that calls name, successful or not.
fn paths(calls: &[Call], (from, to): (f64, f64)) -> Vec<&str> {
    let inside = calls.iter().filter(|c| c.begun >= from && c.ended <= to);
    let named = inside.filter_map(|call| call.text.split('"').nth(1));
    // An empty one is a file that is open already.
    named.filter(|path| !path.is_empty()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b25_no_file_is_opened_and_nothing_is_started_for_any_of_them() {
    let trace = tempfile::NamedTempFile::new().unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_node-under-test"));
    let strace = [
        "strace",
        "-f",
        "-ttt",
        "-T",
        "-s",
        "4096",
        "-e",
        "trace=%file,execve,fork,vfork,socket,connect",
        "-o",
        trace.path().to_str().unwrap(),
        "--",
    ];
    let lone = Lone::prepare(program, visits(300, 3, 2)).unwrap();
    let mut lone = lone.under(&strace);
    lone.start().await.expect("strace must be installed");
    lone.furnish(5.0, Mode::Protect).await.unwrap();
    let (ada, owner) = (lone.client(1).await.unwrap(), lone.owner().await.unwrap());
    let node = lone.institution().unwrap();
    let asks = [ask("n", VISITS, 5_000_000)];
    let fine = study(&ada, "visits", &asks, terms(), vec![node.clone()]).unwrap();
    ada.submit(&fine).await.remove(0).outcome.unwrap();
    let review = owner.review(fine.id()).await.unwrap();
    owner.decide(&review, Verdict::Approve, "").await.unwrap();
    let other = study(&ada, "visits", &asks, terms(), vec![node.clone()]).unwrap();
    let begun = now();
    refused(&lone, &other).await;
    let ended = now();
    // A release is what reads the rows: the trace would show that.
    ada.release(&fine, &node.name, &release_name("n").unwrap(), 1)
        .await
        .unwrap();
    let released = now();
    lone.stop().await.unwrap();

    let calls = calls(&std::fs::read_to_string(trace.path()).unwrap());
    let own = lone.site.folder.display().to_string();
    for path in paths(&calls, (begun, released)) {
        assert!(path.starts_with(&own), "{path} was looked at");
    }
    // And of its own folder neither the rows nor the files to import.
    for path in paths(&calls, (begun, ended)) {
        let private = path.contains("/datasets") || path.contains("/import");
        assert!(!private, "{path} was looked at");
    }
    let others = ["execve", "fork", "vfork", "socket", "connect"];
    let mut inside = calls
        .iter()
        .filter(|c| c.begun >= begun && c.ended <= released);
    assert!(!inside.any(|call| others.contains(&call.name.as_str())));
    let rows = paths(&calls, (ended, released));
    assert!(
        rows.iter().any(|path| path.contains("/datasets")),
        "{rows:?}"
    );
}
