//! Kills and disk errors at chosen system calls of a node in a process of its own, by strace.

use std::collections::BTreeSet;
use std::path::Path;

use obscura_client::Client;
use obscura_client::model::exposure::Mode;
use obscura_client::model::release::SignedRelease;
use obscura_client::model::study::{Study, Verdict};
use obscura_ledger::Ledger;
use obscura_tests::cluster::{ask, release_name, study, terms};
use obscura_tests::data::visits;
use obscura_tests::process::Lone;

use crate::support::VISITS;

/// A node with an approved study that was stopped in good order, not traced yet.
async fn prepared(times: u32) -> (Lone, Study) {
    let program = Path::new(env!("CARGO_BIN_EXE_node-under-test"));
    let mut lone = Lone::prepare(program, visits(300, 3, 2)).unwrap();
    lone.start().await.unwrap();
    lone.furnish(5.0, Mode::Protect).await.unwrap();
    let (ada, owner) = (lone.client(1).await.unwrap(), lone.owner().await.unwrap());
    let asks = [ask("n", VISITS, 5_000_000).times(times)];
    let institutions = vec![lone.institution().unwrap()];
    let study = study(&ada, "visits", &asks, terms(), institutions).unwrap();
    ada.submit(&study).await.remove(0).outcome.unwrap();
    let review = owner.review(study.id()).await.unwrap();
    owner.decide(&review, Verdict::Approve, "").await.unwrap();
    lone.stop().await.unwrap();
    (lone, study)
}

async fn run(client: &Client, lone: &Lone, study: &Study, run: u32) -> Option<SignedRelease> {
    let node = lone.institution().unwrap().name;
    let name = release_name("n").unwrap();
    let answer = client.release(study, &node, &name, run).await;
    answer.ok().map(|release| release.signed().clone())
}

/// The journal's folder, so that only its calls are counted.
fn journal(lone: &Lone) -> String {
    lone.ledger().join("journal").display().to_string()
}

/// strace, with a fault at the journal's calls.
fn tracer(lone: &Lone, inject: &str, file: &str) -> Vec<String> {
    let path = format!("{}/{file}", journal(lone));
    let words = [
        "strace",
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        "-P",
        &path,
        "-e",
        inject,
        "--",
    ];
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// What each kill leaves: the meter, and every answer that anybody got.
async fn after_kill(inject: &str, file: &str) -> bool {
    let (lone, study) = prepared(3).await;
    let words = tracer(&lone, inject, file);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let plain = lone.command().to_vec();
    let mut lone = lone.under(&words);
    let mut received = BTreeSet::new();
    // It may be killed while it starts, too.
    let killed = match lone.start().await {
        Err(_) => true,
        Ok(()) => {
            let ada = lone.client(1).await.unwrap();
            let answer = run(&ada, &lone, &study, 1).await;
            let killed = answer.is_none();
            received.extend(answer.map(|a| (a.body, a.signature)));
            // The tracer ends with the node: at once if it was killed, else in good order.
            let _ended = lone.stop().await;
            killed
        }
    };
    lone.set_command(plain);
    lone.start().await.unwrap();
    let (ada, owner) = (lone.client(3).await.unwrap(), lone.owner().await.unwrap());
    let first = run(&ada, &lone, &study, 1)
        .await
        .expect("one kill is not two");
    let again = run(&ada, &lone, &study, 1).await.unwrap();
    received.extend([first, again].map(|a| (a.body, a.signature)));
    assert_eq!(received.len(), 1, "{inject}: two answers to one request");
    let exposure = owner.exposure().await.unwrap();
    let status = ada.status(&study).await.remove(0).outcome.unwrap();
    let price = status.releases[0].price;
    assert_eq!(status.releases[0].runs, 1, "{inject}");
    assert_eq!(exposure.accounts[0].meter, price, "{inject}: priced once");
    let key = lone.institution().unwrap().key;
    lone.stop().await.unwrap();
    Ledger::verify(&lone.ledger(), key).unwrap();
    killed
}

/// The calls of a release on its segment: write and sync of the intent, write and sync of the
/// commit. A kill at each is one at a seam: before the intent, after it, after the noise, after
/// the commit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d10_to_d13_a_kill_at_any_seam_leaves_one_release_priced_once() {
    let mut kills = 0;
    for call in ["pwrite64", "fdatasync"] {
        for nth in 1..=3 {
            let inject = format!("inject={call}:signal=KILL:when={nth}");
            kills += u32::from(after_kill(&inject, "seg-00000001.journal").await);
        }
    }
    // After a sync, at the write of the tail that follows it.
    for nth in 1..=4 {
        let inject = format!("inject=pwrite64:signal=KILL:when={nth}");
        kills += u32::from(after_kill(&inject, "tail").await);
    }
    assert!(kills >= 4, "only {kills} of the kills came");
}

/// H04, H05: a node whose disk is full or broken refuses, stops answering, and after a restart on
/// a sound disk has everything that it acknowledged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h04_h05_a_node_on_a_failing_disk_stops_and_loses_nothing() {
    let faults = [
        ("inject=pwrite64:error=ENOSPC:when=1", "once full"),
        ("inject=pwrite64:error=ENOSPC:when=2+", "full from then on"),
        ("inject=pwrite64:error=EIO:when=1", "once broken"),
        (
            "inject=fdatasync:error=EIO:when=1",
            "a sync that fails once",
        ),
        (
            "inject=fdatasync:error=EIO:when=2+",
            "syncs that fail for good",
        ),
    ];
    for (inject, what) in faults {
        let (lone, study) = prepared(20).await;
        let words = tracer(&lone, inject, "seg-00000001.journal");
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let plain = lone.command().to_vec();
        let mut lone = lone.under(&words);
        let mut received = Vec::new();
        if lone.start().await.is_ok() {
            let ada = lone.client(1).await.unwrap();
            let mut stopped = false;
            for number in 1..=6 {
                match run(&ada, &lone, &study, number).await {
                    Some(_) if stopped => panic!("{what}: it went on after an error"),
                    Some(answer) => received.push((number, answer)),
                    None => stopped = true,
                }
            }
            assert!(stopped, "{what}: no call failed");
            let _ended = lone.stop().await;
        }
        lone.set_command(plain);
        lone.start().await.unwrap();
        let (ada, owner) = (lone.client(3).await.unwrap(), lone.owner().await.unwrap());
        for (number, answer) in &received {
            let again = run(&ada, &lone, &study, *number).await;
            assert_eq!(again.as_ref(), Some(answer), "{what}");
        }
        for number in 1..=6 {
            assert!(
                run(&ada, &lone, &study, number).await.is_some(),
                "{what}: {number}"
            );
        }
        let status = ada.status(&study).await.remove(0).outcome.unwrap();
        let price = status.releases[0].price.nano();
        let meter = owner.exposure().await.unwrap().accounts[0].meter.nano();
        assert_eq!(meter, price * 6, "{what}: every release priced once");
        lone.stop().await.unwrap();
    }
}
