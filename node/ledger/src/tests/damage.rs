//! Claims about damaged ledgers: any flipped byte and any truncation is found or harmless.

use obscura_privacy::Mode;

use super::disk::Disk;
use super::world::{ANN, NODE, NOW, answer, create, open, ready, request, site};
use crate::journal::storage::Storage as _;
use crate::journal::{JournalError, Place};
use crate::{Error, Head, Ledger, Verified};

const CHECKPOINT: &str = "exposures.checkpoint";

/// What a ledger says: its head covers all records, its exposures may come from a checkpoint.
type Truth = (Head, Vec<u64>);

/// A ledger with a few releases, several segments and a checkpoint.
fn small() -> (Disk, Truth) {
    let disk = Disk::default();
    let ledger = ready(&disk, Mode::Protect, 5);
    for n in 0..3 {
        answer(&ledger, request(1, ANN, n), 3);
    }
    let truth = (ledger.head(), ledger.peek_for_tests());
    ledger.close().unwrap();
    (disk, truth)
}

/// Found, with the place of the record, or the very same ledger.
fn found_or_harmless(disk: &Disk, truth: &Truth, what: &str) -> bool {
    match open(disk) {
        Ok(ledger) => {
            assert_eq!(ledger.head(), truth.0, "{what}: another history is served");
            assert_eq!(ledger.peek_for_tests(), truth.1, "{what}: other exposures");
            false
        }
        Err(Error::Journal(JournalError::Damage { .. } | JournalError::Unknown { .. })) => true,
        Err(Error::Journal(JournalError::Foreign { .. } | JournalError::Missing)) => true,
        Err(other) => panic!("{what}: {other:?}"),
    }
}

#[test]
fn every_flipped_byte_is_found_or_harmless() {
    let (disk, truth) = small();
    let mut found = 0;
    for name in disk.names().unwrap() {
        let length = disk.bytes(&name).len();
        for at in 0..length {
            let bit = 1u8 << (at % 8);
            let copy = disk.with(&name, |bytes| bytes[at] ^= bit);
            let is_found = found_or_harmless(&copy, &truth, &format!("{name} byte {at}"));
            found += u64::from(is_found);
            let harmless = name == "tail" || name.ends_with("checkpoint");
            assert!(
                !(is_found && harmless),
                "{name} byte {at} stops the node for nothing"
            );
        }
    }
    assert!(found > 3_000, "only {found} found");
}

#[test]
fn every_truncation_is_found_or_harmless() {
    let (disk, truth) = small();
    for name in disk.names().unwrap() {
        for length in 0..disk.bytes(&name).len() {
            let copy = disk.with(&name, |bytes| bytes.truncate(length));
            let is_found = found_or_harmless(&copy, &truth, &format!("{name} cut at {length}"));
            assert_eq!(
                is_found,
                name.ends_with(".journal"),
                "{name} cut at {length}"
            );
        }
    }
}

#[test]
fn every_missing_file_is_found_or_harmless() {
    let (disk, truth) = small();
    for name in disk.names().unwrap() {
        let is_found = found_or_harmless(&disk.without(&name), &truth, &name);
        assert_eq!(is_found, name.ends_with(".journal"), "{name}");
    }
}

#[test]
fn the_last_record_is_missed_even_without_the_tail_file() {
    let (disk, truth) = small();
    let (segment, length) = last_record(&disk);
    let copy = disk
        .without("tail")
        .with(&segment, |bytes| bytes[length - 3] ^= 1);
    assert!(
        found_or_harmless(&copy, &truth, "last record"),
        "the checkpoint is a second witness"
    );
}

#[test]
fn the_last_record_is_missed_even_without_a_checkpoint() {
    let (disk, truth) = small();
    let (segment, length) = last_record(&disk);
    let copy = disk
        .without(CHECKPOINT)
        .with(&segment, |bytes| bytes[length - 3] ^= 1);
    assert!(found_or_harmless(&copy, &truth, "last record"));
}

#[test]
fn a_record_with_records_after_it_is_missed_without_any_witness() {
    let (disk, truth) = small();
    let (segment, _) = last_record(&disk);
    let copy = disk.without(CHECKPOINT).without("tail");
    let copy = copy.with(&segment, |bytes| bytes[600] ^= 1);
    assert!(found_or_harmless(&copy, &truth, "an earlier record"));
}

/// The segment and the end of the last record.
fn last_record(disk: &Disk) -> (String, usize) {
    let segments = disk
        .names()
        .unwrap()
        .into_iter()
        .filter(|name| name.ends_with(".journal"));
    let last = segments.max().unwrap();
    let end = disk
        .bytes(&last)
        .iter()
        .rposition(|byte| *byte != 0)
        .unwrap()
        + 1;
    (last, end)
}

#[test]
fn damage_names_the_record() {
    let (disk, _) = small();
    let mut places: Vec<Place> = Vec::new();
    let site = site(&disk);
    let (journal, _) =
        crate::journal::Journal::open(site.storage, NODE, super::world::entropy(1), 4_096).unwrap();
    let visit = &mut |place, _| {
        places.push(place);
        Ok::<(), JournalError>(())
    };
    journal.walk(0, journal.size(), visit).unwrap();
    drop(journal);
    for (index, place) in places.iter().enumerate() {
        let name = crate::journal::segment::name(place.segment);
        let copy = disk.with(&name, |bytes| bytes[place.offset as usize + 50] ^= 4);
        match open(&copy) {
            Err(Error::Journal(JournalError::Damage {
                segment,
                index: named,
                ..
            })) => {
                // An append of several records is damaged as a whole, from its first record on.
                assert!(
                    named <= index as u64 && named + 2 > index as u64,
                    "{index}: {named}"
                );
                assert_eq!(segment, place.segment);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn an_empty_folder_is_never_opened_and_a_full_one_never_made_anew() {
    let disk = Disk::default();
    assert!(matches!(
        open(&disk),
        Err(Error::Journal(JournalError::Missing))
    ));
    let ledger = create(&disk).unwrap();
    drop(ledger);
    assert!(matches!(
        create(&disk),
        Err(Error::Journal(JournalError::Exists))
    ));
}

#[test]
fn a_ledger_is_verified_while_it_is_in_use_and_only_for_its_node() {
    let folder = tempfile::tempdir().unwrap();
    let entropy = || super::world::entropy(1);
    let ledger = Ledger::create(folder.path(), NODE, entropy(), NOW).unwrap();
    super::world::furnish(&ledger).unwrap();
    let verified = Ledger::verify(folder.path(), NODE).unwrap();
    assert_eq!(
        verified,
        Verified {
            head: ledger.head(),
            segments: 1,
            last_time: NOW
        }
    );
    assert!(matches!(
        Ledger::verify(folder.path(), ANN),
        Err(Error::Journal(JournalError::Foreign { .. }))
    ));
    let second = Ledger::open(folder.path(), NODE, entropy(), NOW);
    assert!(matches!(second, Err(Error::Journal(JournalError::Locked))));
}
