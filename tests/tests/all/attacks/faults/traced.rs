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

/// Where a release was when the node was killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Seam {
    /// Nothing is written (D10).
    BeforeIntent,
    /// The intent is written; no row is read (D11).
    AfterIntent,
    /// The rows are being read (D11).
    InFold,
    /// Noise is drawn and its release is about to be written (D12).
    AfterNoise,
    /// The release is written and not sent (D13).
    AfterCommit,
}

/// A system call of a file at which the node is killed: it is not carried out.
#[derive(Debug, Clone, Copy)]
struct Kill {
    call: &'static str,
    file: File,
    nth: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum File {
    Segment,
    Tail,
    Rows,
}

impl Kill {
    /// What the call, and the records that were there when it came, say about the place. Of one
    /// release an intent and a commit are written, each once, with a sync and a tail behind it.
    fn seam(self, records: u64) -> Seam {
        match (self.file, self.call, records) {
            (File::Rows, _, 1) => Seam::InFold,
            (File::Segment, "pwrite64", 0) | (File::Rows, _, 0) => Seam::BeforeIntent,
            (File::Segment, "pwrite64", 1) => Seam::AfterNoise,
            (File::Segment | File::Tail, _, 1) => Seam::AfterIntent,
            (File::Segment | File::Tail, _, 2) => Seam::AfterCommit,
            other => panic!("no seam: {other:?}"),
        }
    }
}

/// The records of the journal, whether or not a node has it open.
fn records(lone: &Lone) -> u64 {
    let key = lone.institution().unwrap().key;
    Ledger::verify(&lone.ledger(), key).unwrap().head.size
}

/// Kills a node in its first release; nothing if the call never came. Then: the node is started
/// again, and before anybody asks it has made what was begun; whoever asks gets that.
async fn after_kill(kill: Kill) -> Option<Seam> {
    let (lone, study) = prepared(3).await;
    let (begin, plain) = (records(&lone), lone.command().to_vec());
    let inject = format!("inject={}:signal=KILL:when={}", kill.call, kill.nth);
    let words = match kill.file {
        File::Segment => tracer(&lone, &inject, "seg-00000001.journal"),
        File::Tail => tracer(&lone, &inject, "tail"),
        File::Rows => tracer(&lone, &inject, &rows(&lone)),
    };
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut lone = lone.under(&words);
    lone.start().await.ok()?;
    let ada = lone.client(1).await.unwrap();
    let answer = run(&ada, &lone, &study, 1).await;
    // The tracer ends with the node: at once if it was killed, else in good order.
    let _ended = lone.stop().await;
    if answer.is_some() {
        return None;
    }
    let seam = kill.seam(records(&lone) - begin);
    lone.set_command(plain);
    lone.start().await.unwrap();
    // Nobody has asked yet: an intent, its stop, that it runs again, its release; or nothing.
    let made = match seam {
        Seam::BeforeIntent => 0,
        Seam::AfterIntent | Seam::InFold | Seam::AfterNoise => 4,
        Seam::AfterCommit => 2,
    };
    assert_eq!(records(&lone) - begin, made, "{kill:?} {seam:?}");
    let ada = lone.client(3).await.unwrap();
    let first = run(&ada, &lone, &study, 1)
        .await
        .expect("one kill is not two");
    let again = run(&ada, &lone, &study, 1).await;
    assert_eq!(again, Some(first), "{kill:?}: two answers to one request");
    let asked = if seam == Seam::BeforeIntent { 2 } else { made };
    assert_eq!(records(&lone) - begin, asked, "{kill:?} {seam:?}");
    let exposure = lone.owner().await.unwrap().exposure().await.unwrap();
    let status = ada.status(&study).await.remove(0).outcome.unwrap();
    let price = status.releases[0].price;
    assert_eq!(status.releases[0].runs, 1, "{kill:?}");
    assert_eq!(exposure.accounts[0].meter, price, "{kill:?}: priced once");
    lone.stop().await.unwrap();
    records(&lone);
    Some(seam)
}

/// The stored rows, seen from the journal's folder.
fn rows(lone: &Lone) -> String {
    let folder = lone.site.folder.join("data/datasets");
    let file = std::fs::read_dir(folder).unwrap().next().unwrap().unwrap();
    let name = file.file_name().into_string().unwrap();
    format!("../../datasets/{name}")
}

/// A kill at every seam of a release. Between the fold and the noise there is no call of a file:
/// what is killed there leaves what a kill inside the fold or after the noise leaves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d10_to_d13_a_kill_at_any_seam_leaves_one_release_priced_once() {
    let mut seams = BTreeSet::new();
    let calls = [
        ("pwrite64", File::Segment, 3),
        ("fdatasync", File::Segment, 3),
        ("pwrite64", File::Tail, 3),
        ("openat", File::Rows, 1),
        ("read", File::Rows, 3),
    ];
    for (call, file, most) in calls {
        for nth in 1..=most {
            let kill = Kill { call, file, nth };
            seams.extend(after_kill(kill).await);
        }
    }
    let all = [
        Seam::BeforeIntent,
        Seam::AfterIntent,
        Seam::InFold,
        Seam::AfterNoise,
        Seam::AfterCommit,
    ];
    assert_eq!(seams, all.into());
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
