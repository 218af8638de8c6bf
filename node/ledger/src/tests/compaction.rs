//! Claims about compaction: only lists of charges go, and nothing else can be told to have gone.

use std::collections::BTreeMap;
use std::sync::Arc;

use obscura_privacy::Mode;
use proptest::prelude::*;

use super::disk::{Disk, Fault};
use super::world::*;
use crate::journal::frame::Frame;
use crate::journal::storage::Storage as _;
use crate::journal::{Journal, JournalError};
use crate::ledger::Site;
use crate::state::State;
use crate::{
    Account, Admission, Committed, Compacted, DatasetVersion, Error, Hash, Head, Ledger, NewData,
    NewStudy, Refusal, consistent, includes,
};

mod crashes;
mod damage;
mod golden;
mod random;
mod sharing;
mod tending;

/// Segments of about two releases.
const SEGMENT: u64 = 1_600;

pub(super) fn site_of(disk: &Disk) -> Site {
    Site {
        segment_bytes: SEGMENT,
        compact_from: 1,
        ..site(disk)
    }
}

pub(super) fn open(disk: &Disk) -> Result<Ledger, Error> {
    Ledger::open_at(site_of(disk), NODE, entropy(2), NOW)
}

/// The request with this number, below 1,024; an id keeps only some bits of its bytes.
pub(super) fn ask(n: u16) -> crate::AdmitRequest {
    ask_of(1, n)
}

fn ask_of(study: u8, n: u16) -> crate::AdmitRequest {
    request(study, ANN, (n & 15) | (n >> 4) << 8)
}

/// A ledger with `releases` answers.
pub(super) fn grown(disk: &Disk, releases: u16) -> Ledger {
    grown_from(disk, releases, 1)
}

/// The same, which compacts by itself from so many bytes on.
fn grown_from(disk: &Disk, releases: u16, compact_from: u64) -> Ledger {
    let site = Site {
        compact_from,
        ..site_of(disk)
    };
    let ledger = Ledger::create_at(site, NODE, entropy(1), NOW).unwrap();
    furnish(&ledger).unwrap();
    wide_limits(&ledger, Mode::Protect).unwrap();
    approve(&ledger, new_study(1, ANN, 100)).unwrap();
    (0..releases).for_each(|n| {
        answer(&ledger, ask(n), u64::from(n));
    });
    ledger
}

/// All that a ledger says, but for what it says about its last records.
#[derive(Debug, PartialEq)]
struct Truth {
    state: State,
    answers: BTreeMap<u64, Committed>,
    leaves: Vec<Hash>,
    head: Head,
    log: Vec<crate::LogEntry>,
}

fn truth(ledger: &Ledger, size: u64) -> Truth {
    let state = ledger.state_for_tests();
    let keys = state.answer_keys();
    let answers = keys
        .iter()
        .map(|(index, key)| (*index, ledger.release(key).unwrap().unwrap()));
    Truth {
        answers: answers.collect(),
        leaves: (0..size)
            .map(|index| ledger.leaf_for_tests(index))
            .collect(),
        head: head_at(ledger, size),
        log: ledger.entries(0, size as usize).unwrap(),
        state,
    }
}

fn head_at(ledger: &Ledger, size: u64) -> Head {
    ledger.head_for_tests(size).unwrap()
}

/// Every record is proved in every tree, every tree to be the beginning of every later one.
fn check_proofs(ledger: &Ledger, heads: &[Head]) {
    let size = ledger.head().size;
    for second in 1..=size {
        let head = head_at(ledger, second);
        for index in 0..second {
            let path = ledger.inclusion(index, second).unwrap();
            assert!(includes(&head, index, &ledger.leaf_for_tests(index), &path));
        }
        for first in 0..=second {
            let proof = ledger.consistency(first, second).unwrap();
            assert!(consistent(&head_at(ledger, first), &head, &proof));
        }
    }
    for witnessed in heads {
        let proof = ledger.consistency(witnessed.size, size).unwrap();
        assert!(consistent(witnessed, &ledger.head(), &proof));
    }
}

/// The names and lengths of all files: what somebody sees who sees no byte.
fn lengths(disk: &Disk) -> Vec<(String, usize)> {
    let names = disk.names().unwrap().into_iter();
    names
        .map(|name| (name.clone(), disk.bytes(&name).len()))
        .collect()
}

/// All records as they are stored.
fn frames(disk: &Disk) -> Vec<Frame> {
    let storage = Arc::new(disk.after_power_cut(1));
    let (journal, _) = Journal::open(storage, NODE, entropy(1), SEGMENT).unwrap();
    super::journal::frames(&journal)
}

/// The size in the last mark, and the mark's record.
fn mark(frames: &[Frame]) -> (u64, &Frame) {
    let mark = frames.iter().rfind(|frame| frame.entry.kind == 60).unwrap();
    let size = mark.entry.public[..8].try_into().unwrap();
    (u64::from_le_bytes(size), mark)
}

#[test]
fn compaction_changes_nothing_that_anybody_asks_for() {
    let disk = Disk::default();
    let ledger = grown(&disk, 9);
    let (head, before) = (ledger.head(), truth(&ledger, ledger.head().size));
    let compacted = ledger.compact(LATER).unwrap();
    assert!(
        compacted.segments > 4 && compacted.records > 5,
        "{compacted:?}"
    );
    assert_eq!(
        truth(&ledger, head.size),
        before,
        "in the process that compacted"
    );
    check_proofs(&ledger, &[head]);
    drop(ledger);
    let ledger = open(&disk).unwrap();
    assert_eq!(truth(&ledger, head.size), before, "after a new start");
    check_proofs(&ledger, &[head]);
    answer(&ledger, ask(99), 3);
    let exposures = ledger.peek_for_tests();
    drop(ledger);
    assert_eq!(open(&disk).unwrap().peek_for_tests(), exposures);
}

#[test]
fn only_charges_are_dropped_and_every_opening_stays() {
    let disk = Disk::default();
    let ledger = grown(&disk, 7);
    let before = frames(&disk);
    let compacted = ledger.compact(NOW).unwrap();
    let (after, mut dropped) = (frames(&disk), 0);
    let up_to = mark(&after).0;
    for (before, after) in before.into_iter().zip(&after) {
        let goes = before.entry.kind == 15 && before.index < up_to;
        dropped += u64::from(goes);
        assert_eq!(before.leaf(), after.leaf());
        assert_eq!(goes, after.dropped.is_some());
        let expected = if goes { before.reduce() } else { before };
        assert_eq!(&expected, after);
    }
    assert!(dropped > 3 && dropped == compacted.records);
}

#[test]
fn a_mark_shows_a_head_and_hides_the_digest_of_the_base() {
    let disk = Disk::default();
    let ledger = grown(&disk, 4);
    ledger.compact(NOW).unwrap();
    let frames = frames(&disk);
    let (size, mark) = mark(&frames);
    let head = head_at(&ledger, size);
    let public = [&size.to_le_bytes()[..], &head.root].concat();
    assert_eq!(mark.entry.public, public);
    let base = disk.bytes(&format!("base-{size:020}.exposures"));
    let digest = obscura_model::ids::Digest::of(&base);
    assert_eq!(mark.entry.private, digest.as_bytes());
}

#[test]
fn a_checkpoint_before_or_after_a_compaction_changes_nothing() {
    for late in [false, true] {
        let disk = Disk::default();
        let mut ledger = grown(&disk, 9);
        if !late {
            ledger.close().unwrap();
            ledger = open(&disk).unwrap();
            (20..26).for_each(|n| drop(answer(&ledger, ask(n), 5)));
        }
        ledger.compact(LATER).unwrap();
        let exposures = ledger.peek_for_tests();
        if late {
            ledger.close().unwrap();
        } else {
            drop(ledger);
        }
        assert_eq!(open(&disk).unwrap().peek_for_tests(), exposures, "{late}");
        let without = disk.without("exposures.checkpoint");
        assert_eq!(
            open(&without).unwrap().peek_for_tests(),
            exposures,
            "{late}"
        );
    }
}

#[test]
fn the_log_shows_the_compaction_and_up_to_where() {
    let disk = Disk::default();
    let ledger = grown(&disk, 6);
    let size = ledger.head().size;
    ledger.compact(LATER).unwrap();
    assert_eq!(ledger.head().size, size + 1);
    let entry = ledger.entries(size, 1).unwrap().remove(0);
    assert_eq!((entry.kind, entry.time), ("ledger compacted", LATER));
}

#[test]
fn the_current_segment_is_never_compacted_and_nothing_is_done_twice() {
    let disk = Disk::default();
    let small = grown(&disk, 0);
    small.compact(NOW).unwrap();
    let ledger = grown(&Disk::default(), 6);
    ledger.compact(NOW).unwrap();
    let head = ledger.head();
    let again = ledger.compact(NOW).unwrap();
    let began_a_segment = again.segments > 0;
    assert!(began_a_segment || again == Compacted::default());
    assert_eq!(ledger.head() == head, !began_a_segment);
    let fresh = Ledger::create_at(site(&Disk::default()), NODE, entropy(1), NOW).unwrap();
    assert_eq!(fresh.compact(NOW).unwrap(), Compacted::default());
    assert_eq!(fresh.head().size, 1);
}

#[test]
fn no_compaction_while_a_release_is_open() {
    let disk = Disk::default();
    let ledger = grown(&disk, 6);
    let Ok(Admission::Granted(permit)) = ledger.admit(ask(50), NOW) else {
        panic!("not granted")
    };
    let before = (ledger.head(), lengths(&disk));
    let refused = ledger.compact(NOW);
    assert!(matches!(
        refused,
        Err(Error::Refused(Refusal::IntentOpen(_)))
    ));
    assert_eq!((ledger.head(), lengths(&disk)), before);
    let noised = fold(&ledger, permit, 1).unwrap();
    commit(&ledger, noised).unwrap();
    assert!(ledger.compact(NOW).unwrap().segments > 0);
}

#[test]
fn a_rehearsal_counts_what_the_compaction_does_and_changes_nothing() {
    let disk = Disk::default();
    let ledger = grown(&disk, 9);
    for n in 0..2 {
        let before = lengths(&disk);
        let rehearsed = crate::ledger::rehearse(&disk, NODE).unwrap();
        assert_eq!(lengths(&disk), before);
        assert_eq!(ledger.compact(NOW).unwrap(), rehearsed, "{n}");
        (0..6).for_each(|m| drop(answer(&ledger, ask(20 * (n + 1) + m), 1)));
    }
}

#[test]
fn compaction_makes_room_where_there_are_charges() {
    let disk = Disk::default();
    let ledger = grown(&disk, 20);
    let sum = |disk: &Disk| {
        lengths(disk)
            .iter()
            .map(|(_, length)| *length as u64)
            .sum::<u64>()
    };
    let before = sum(&disk);
    let compacted = ledger.compact(NOW).unwrap();
    // Appending the mark may have begun one more segment.
    let saved = before + SEGMENT - sum(&disk);
    let difference = compacted.bytes_before - compacted.bytes_after;
    assert!(
        saved == difference || saved == difference + SEGMENT,
        "{compacted:?}"
    );
}

/// Answers requests to which everybody contributes, or nobody does, and compacts; also by itself.
fn answered_with(disk: &Disk, everybody: bool, tending: bool) {
    let ledger = grown(disk, 0);
    for n in 0..8 {
        let Ok(Admission::Granted(permit)) = ledger.admit(ask(n), NOW) else {
            panic!("not granted")
        };
        if tending {
            ledger.tend(NOW).unwrap();
        }
        let noised = if everybody {
            fold(&ledger, permit, u64::from(n)).unwrap()
        } else {
            let sums = obscura_privacy::Accumulator::new(&permit, 1);
            let mut rng = <rand_chacha::ChaCha20Rng as rand::SeedableRng>::seed_from_u64(n.into());
            sums.finish(permit).unwrap().add_noise(&mut rng).unwrap()
        };
        ledger.commit(noised, NOW, |_, _| vec![7; 100]).unwrap();
    }
    ledger.compact(NOW).unwrap();
}

#[test]
fn names_and_lengths_of_files_tell_nothing_about_anybody() {
    for tending in [false, true] {
        let (with, without) = (Disk::default(), Disk::default());
        answered_with(&with, true, tending);
        answered_with(&without, false, tending);
        assert_ne!(
            open(&with).unwrap().peek_for_tests(),
            open(&without).unwrap().peek_for_tests()
        );
        assert_eq!(lengths(&with), lengths(&without));
    }
}

#[test]
fn exposures_are_the_base_and_the_charges_since_and_nothing_else() {
    let disk = Disk::default();
    let ledger = grown(&disk, 7);
    ledger.compact(NOW).unwrap();
    (10..13).for_each(|n| drop(answer(&ledger, ask(n), 5)));
    let names = disk.names().unwrap();
    let base = names.iter().find(|name| name.starts_with("base-")).unwrap();
    let bytes = disk.bytes(base);
    // The file's own layout: 44 bytes, head, one account of `people`, one chunk with its digest.
    let size = u64::from_le_bytes(bytes[44..52].try_into().unwrap());
    let array = &bytes[44 + 40 + 4 + 1 + 4 + 6 + 8 + 32..];
    let numbers = array
        .chunks_exact(8)
        .map(|b| u64::from_le_bytes(b.try_into().unwrap()));
    let mut exposures: Vec<u64> = numbers.collect();
    assert_eq!(exposures.len(), CAPACITY as usize);
    let frames = frames(&disk);
    let grid = obscura_privacy::CodeGrid::new(PRICE).unwrap();
    for frame in frames
        .iter()
        .filter(|f| f.index >= size && f.entry.kind == 15)
    {
        let codes = frame.entry.private.chunks_exact(2);
        for (sum, code) in exposures.iter_mut().zip(codes) {
            let code = u16::from_le_bytes(code.try_into().unwrap());
            *sum += if code == 0 {
                0
            } else {
                grid.value(code).unwrap().nano()
            };
        }
    }
    assert!(exposures.iter().any(|exposure| *exposure > 0));
    assert_eq!(ledger.peek_for_tests(), exposures);
}

#[test]
fn an_answer_is_found_through_an_index_from_before_the_compaction() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::default();
    let site = |name: &str| Site {
        index: Some(folder.path().join(name)),
        ..site_of(&disk)
    };
    drop(grown(&disk, 9));
    drop(Ledger::open_at(site("now"), NODE, entropy(2), NOW).unwrap());
    drop(Ledger::open_at(site("then"), NODE, entropy(2), NOW).unwrap());
    let ledger = Ledger::open_at(site("now"), NODE, entropy(3), NOW).unwrap();
    let before = truth(&ledger, 10).answers;
    ledger.compact(NOW).unwrap();
    assert_eq!(truth(&ledger, 10).answers, before);
    drop(ledger);
    for name in ["now", "then", "never"] {
        let ledger = Ledger::open_at(site(name), NODE, entropy(4), NOW).unwrap();
        assert_eq!(truth(&ledger, 10).answers, before, "{name}");
    }
}

#[test]
fn answers_read_while_the_ledger_compacts_are_those_from_before() {
    let disk = Disk::default();
    let ledger = grown(&disk, 12);
    let keys = ledger.answered(&ANN);
    let read = || -> Vec<_> {
        keys.iter()
            .map(|key| ledger.release(key).unwrap())
            .collect()
    };
    let before = read();
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| (0..20).all(|_| read() == before));
        ledger.compact(NOW).unwrap();
        assert!(reader.join().unwrap(), "another answer while compacting");
    });
    assert_eq!(read(), before);
}

#[test]
fn a_ledger_of_real_files_is_rehearsed_while_in_use_then_compacted_and_verified() {
    let folder = tempfile::tempdir().unwrap();
    let small = Site {
        segment_bytes: SEGMENT,
        ..Site::on_disk(folder.path()).unwrap()
    };
    let ledger = Ledger::create_at(small, NODE, entropy(1), NOW).unwrap();
    furnish(&ledger).unwrap();
    wide_limits(&ledger, Mode::Protect).unwrap();
    approve(&ledger, new_study(1, ANN, 100)).unwrap();
    (0..9).for_each(|n| drop(answer(&ledger, ask(n), 1)));
    let before = truth(&ledger, ledger.head().size);
    let rehearsed = Ledger::compactable(folder.path(), NODE).unwrap();
    assert_eq!(ledger.compact(NOW).unwrap(), rehearsed);
    assert_eq!(
        Ledger::verify(folder.path(), NODE).unwrap().head,
        ledger.head()
    );
    drop(ledger);
    let ledger = Ledger::open(folder.path(), NODE, entropy(2), NOW).unwrap();
    assert_eq!(truth(&ledger, before.head.size), before);
    let rest = Ledger::compactable(folder.path(), NODE).unwrap();
    assert!(rest.segments <= 1, "{rest:?}");
}
