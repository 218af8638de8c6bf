//! Claims about records that were written anew by somebody who knows the format (D21): every
//! checksum, length and hash is right again, up to but without the acknowledged head.

use obscura_model::exposure::Rho;
use obscura_privacy::Mode;

use super::disk::Disk;
use super::world::{ANN, NODE, answer, meter, open, ready, request};
use crate::journal::JournalError;
use crate::journal::frame::Frame;
use crate::journal::merkle::Tree;
use crate::journal::segment::{HEADER, Header, TAIL, Tail};
use crate::journal::storage::Storage as _;
use crate::record::{self, Record};
use crate::{Error, Head, Ledger};

const CHECKPOINT: &str = "exposures.checkpoint";

/// A ledger with a few releases and several segments, all of it acknowledged.
fn grown() -> (Disk, Ledger) {
    let disk = Disk::default();
    let ledger = ready(&disk, Mode::Protect, 5);
    for n in 0..3 {
        answer(&ledger, request(1, ANN, n), 3);
    }
    let tail = Tail::decode(&disk.bytes(TAIL)).unwrap();
    assert_eq!(tail.head, ledger.head());
    (disk, ledger)
}

/// The segments' names, in order.
fn segments(disk: &Disk) -> Vec<String> {
    let names = disk.names().unwrap().into_iter();
    let mut segments: Vec<_> = names.filter(|n| n.ends_with(".journal")).collect();
    segments.sort_unstable();
    segments
}

/// The header and the records of one segment.
fn read(bytes: &[u8]) -> (Header, Vec<Frame>) {
    let header = Header::decode(bytes).unwrap();
    let (mut frames, mut offset) = (Vec::new(), HEADER);
    while let Some((frame, after)) = Frame::decode(bytes, &header.salt, offset) {
        frames.push(frame);
        offset = after;
    }
    (header, frames)
}

/// What one change makes of a journal.
struct Forged {
    disk: Disk,
    /// The head over the changed records.
    head: Head,
    /// The record that was changed, and the number of its segment.
    index: u64,
    segment: u32,
}

/// Changes the first record for which `change` gives another. Checksums and lengths are made good
/// again; the heads in later segments too if `heads`.
fn forge(disk: &Disk, heads: bool, change: impl Fn(Record) -> Option<Record>) -> Forged {
    let (mut tree, mut copy, mut place) = (Tree::default(), disk.clone(), None);
    for name in segments(disk) {
        let bytes = disk.bytes(&name);
        let (mut header, mut frames) = read(&bytes);
        for frame in &mut frames {
            if place.is_some() {
                break;
            }
            let other = change(record::decode(&frame.entry).unwrap());
            if let Some(entry) = other.map(|other| record::encode(&other)) {
                assert_ne!(entry, frame.entry);
                (frame.entry, place) = (entry, Some((frame.index, header.number)));
            }
        }
        if heads {
            header.before = tree.head();
        }
        frames.iter().for_each(|frame| tree.push(frame.leaf()));
        let mut content = Vec::new();
        for frame in frames {
            let offset = (HEADER + content.len()) as u64;
            content.extend(frame.encode(&header.salt, offset));
        }
        let length = bytes.len().max(HEADER + content.len());
        header.length = length as u64;
        let mut forged = header.encode();
        forged.extend(content);
        forged.resize(length, 0);
        copy = copy.with(&name, |bytes| *bytes = forged);
    }
    let (index, segment) = place.unwrap();
    Forged {
        disk: copy,
        head: tree.head(),
        index,
        segment,
    }
}

/// A release at half its price.
fn cheaper(record: Record) -> Option<Record> {
    let Record::IntentOpened(mut intent) = record else {
        return None;
    };
    intent.price = Rho::from_nano(intent.price.nano() / 2);
    Some(Record::IntentOpened(intent))
}

/// A release that nobody was charged for.
fn uncharged(record: Record) -> Option<Record> {
    let Record::ReleaseCommitted {
        intent,
        body,
        codes,
    } = record
    else {
        return None;
    };
    let codes = vec![0; codes.len()];
    Some(Record::ReleaseCommitted {
        intent,
        body,
        codes,
    })
}

/// A limit twice as high.
fn roomier(record: Record) -> Option<Record> {
    let Record::ScientistLimitSet {
        person,
        rho,
        evidence,
    } = record
    else {
        return None;
    };
    let rho = Rho::from_nano(rho.nano() * 2);
    Some(Record::ScientistLimitSet {
        person,
        rho,
        evidence,
    })
}

/// Another answer.
fn other_answer(record: Record) -> Option<Record> {
    let Record::ReleaseCommitted {
        intent,
        mut body,
        codes,
    } = record
    else {
        return None;
    };
    body[0] ^= 1;
    Some(Record::ReleaseCommitted {
        intent,
        body,
        codes,
    })
}

type Change = fn(Record) -> Option<Record>;

const CHANGES: [(&str, Change); 4] = [
    ("a lower price", cheaper),
    ("no charge", uncharged),
    ("a higher limit", roomier),
    ("another answer", other_answer),
];

#[track_caller]
fn assert_halts(disk: &Disk, what: &str) -> (u32, u64) {
    let Err(Error::Journal(JournalError::Damage { segment, index, .. })) = open(disk) else {
        panic!("{what}: {:?}", open(disk).map(|ledger| ledger.head()));
    };
    let verified = crate::ledger::verify(disk, NODE);
    assert!(
        matches!(verified, Err(Error::Journal(JournalError::Damage { .. }))),
        "{what}: {verified:?}"
    );
    (segment, index)
}

#[test]
fn d21_a_record_written_anew_under_good_checksums_stops_the_node_where_it_is_missed() {
    let (disk, ledger) = grown();
    let (truth, size) = (ledger.head(), ledger.head().size);
    for (what, change) in CHANGES {
        // With a checkpoint of the true exposures and without one.
        let closed = {
            let copy = disk.after_power_cut(1);
            open(&copy).unwrap().close().unwrap();
            copy
        };
        for disk in [&disk.without(CHECKPOINT), &closed] {
            // The heads in later segments are those of the record that was there.
            let forged = forge(disk, false, change);
            let (segment, index) = assert_halts(&forged.disk, what);
            let next = segment == forged.segment + 1;
            let last = segment == forged.segment && index == size;
            assert!(next || last, "{what}: segment {segment}, record {index}");
            assert!(forged.index < index, "{what}: record {index}");
            // The same without a tail, but for the last segment, after which nothing comes.
            if next {
                assert_halts(&forged.disk.without(TAIL), what);
            }
            // All hashes are right again: the acknowledged head alone tells.
            let forged = forge(disk, true, change);
            assert_eq!(forged.head.size, truth.size);
            assert_ne!(forged.head, truth, "{what}");
            let (_, index) = assert_halts(&forged.disk, what);
            assert_eq!(
                index, size,
                "{what}: it names the end of what was acknowledged"
            );
        }
    }
}

/// What the claim above rests on: the forgeries are sound but for the head, which is public and
/// which every release is signed with.
#[test]
fn d21_the_same_forgery_under_a_forged_head_is_a_ledger_of_its_own() {
    let (disk, ledger) = grown();
    let (truth, priced) = (ledger.peek_for_tests(), meter(&ledger));
    for (what, change) in CHANGES {
        let forged = forge(&disk.without(CHECKPOINT), true, change);
        let tail = Tail::decode(&disk.bytes(TAIL)).unwrap();
        let head = forged.head;
        let copy = forged
            .disk
            .with(TAIL, |bytes| *bytes = Tail { head, ..tail }.encode());
        let served = open(&copy).unwrap();
        assert_eq!(served.head(), head, "{what}");
        assert_ne!(served.head(), ledger.head(), "{what}");
        let cheaper = served.peek_for_tests() != truth || meter(&served) != priced;
        assert_eq!(
            cheaper,
            matches!(what, "a lower price" | "no charge"),
            "{what}"
        );
    }
}
