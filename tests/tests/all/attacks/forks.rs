//! Nodes in processes of their own that share what must not be shared: a copied machine image
//! (A16), or one folder (D22).

use std::path::Path;

use obscura_client::model::envelope::{Reality, SignedMessage};
use obscura_client::model::exposure::Mode;
use obscura_client::model::ids::RequestId;
use obscura_client::model::study::{Study, Verdict};
use obscura_model::identity::Role;
use obscura_tests::clock::TestClock;
use obscura_tests::cluster::{ask, release_name, study, terms};
use obscura_tests::data::visits;
use obscura_tests::process::Lone;
use obscura_tests::raw::{Caller, RUN, Said, released};
use tokio::process::Command;

use super::run_body;
use crate::support::VISITS;

const GROUPS: usize = 100;

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_node-under-test"))
}

/// A running node with an approved study of a hundred counts.
async fn ready() -> (Lone, Study) {
    let mut lone = Lone::prepare(program(), visits(1_000, 100, 1)).unwrap();
    lone.start().await.unwrap();
    lone.furnish(5.0, Mode::Protect).await.unwrap();
    let (ada, owner) = (lone.client(1).await.unwrap(), lone.owner().await.unwrap());
    let asks = [ask("n", VISITS, 5_000_000).times(9)];
    let institutions = vec![lone.institution().unwrap()];
    let study = study(&ada, "visits", &asks, terms(), institutions).unwrap();
    ada.submit(&study).await.remove(0).outcome.unwrap();
    let review = owner.review(study.id()).await.unwrap();
    owner.decide(&review, Verdict::Approve, "").await.unwrap();
    (lone, study)
}

fn caller(lone: &Lone) -> Caller {
    let (name, address) = (lone.institution().unwrap().name, lone.address().unwrap());
    let to = (Role::Node, &name);
    Caller::new(&lone.scientist, &address.to_string(), to, None).unwrap()
}

/// The noisy numbers that a node answers with.
async fn numbers(lone: &Lone, message: SignedMessage) -> Vec<i64> {
    let answer = caller(lone).send(RUN, message).await.unwrap().unwrap();
    let release = released(&answer).unwrap();
    let release = release.open(&lone.institution().unwrap().key).unwrap();
    let [numbers] = release.answer.values() else {
        panic!("one vector was asked for")
    };
    assert_eq!(numbers.len(), GROUPS);
    numbers.clone()
}

/// One image is started three times and each of the copies is sent the same bytes: the same key,
/// journal, rows, request, and the same number of releases before it. The noise is another one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a16_processes_from_one_image_draw_other_noise_for_the_same_bytes() {
    let (mut first, study) = ready().await;
    let said = |id: u8| Said {
        method: RUN,
        audience: first.institution().unwrap().key,
        request_id: RequestId::from_parts(1_700_000_000_000, [id; 10]),
        now: TestClock::with_waits().today(),
        reality: Reality::Real,
    };
    let signed = |id| caller(&first).sign(&said(id), run_body(&study));
    let messages = [1, 2, 3].map(signed);
    let mut drawn = vec![numbers(&first, messages[0].clone()).await];
    first.stop().await.unwrap();
    let mut copies = [first.fork().unwrap(), first.fork().unwrap()];
    for node in copies.iter_mut().chain([&mut first]) {
        node.start().await.unwrap();
        // What was drawn before the image was taken is in it, and is not drawn again.
        assert_eq!(numbers(node, messages[0].clone()).await, drawn[0]);
        for message in &messages[1..] {
            drawn.push(numbers(node, message.clone()).await);
        }
    }
    assert_eq!(drawn.len(), 7);
    // Sigma is over 10,000 steps: that five of a hundred numbers of one pair agree has a
    // probability below 1e-9.
    for (i, one) in drawn.iter().enumerate() {
        for other in &drawn[..i] {
            let equal = one.iter().zip(other).filter(|(a, b)| a == b).count();
            assert!(equal < 5, "{equal} of {GROUPS} numbers are the same");
        }
    }
    for node in copies.iter_mut().chain([&mut first]) {
        node.stop().await.unwrap();
    }
}

/// A second process on the same folder does not start, and the first goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d22_a_second_process_on_one_folder_does_not_start() {
    let (mut lone, study) = ready().await;
    let alias = lone.folder.path().join("alias");
    std::os::unix::fs::symlink(&lone.site.folder, &alias).unwrap();
    for config in [lone.site.config(), alias.join("node.toml")] {
        let second = Command::new(program()).arg(config).output().await.unwrap();
        let told = String::from_utf8_lossy(&second.stderr);
        assert!(
            !second.status.success() && second.stdout.is_empty(),
            "{told}"
        );
        assert!(told.contains("another process"), "{told}");
    }
    let ada = lone.client(1).await.unwrap();
    let (node, name) = (lone.institution().unwrap().name, release_name("n").unwrap());
    assert!(ada.release(&study, &node, &name, 1).await.is_ok());
    lone.stop().await.unwrap();
}
