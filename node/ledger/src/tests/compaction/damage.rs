//! Claims about damaged compacted ledgers: any flipped byte and any truncation is found.

use super::*;

fn compacted() -> (Disk, Truth) {
    let disk = Disk::default();
    let ledger = grown(&disk, 4);
    ledger.compact(NOW).unwrap();
    let truth = truth(&ledger, ledger.head().size);
    (disk, truth)
}

/// The files that compaction wrote.
fn written(disk: &Disk) -> Vec<String> {
    let names = disk.names().unwrap().into_iter();
    let last = names
        .clone()
        .filter(|name| name.ends_with(".journal"))
        .max();
    let files = names.filter(|name| name.ends_with(".journal") || name.starts_with("base-"));
    files.filter(|name| Some(name) != last.as_ref()).collect()
}

fn assert_found(disk: &Disk, what: &str) {
    match open(disk) {
        Err(Error::Journal(
            JournalError::Damage { .. }
            | JournalError::Unknown { .. }
            | JournalError::Base { .. }
            | JournalError::Foreign { .. },
        )) => {}
        other => panic!("{what}: {:?}", other.map(|ledger| ledger.head())),
    }
    assert!(crate::ledger::verify(disk, NODE).is_err(), "{what}");
}

#[test]
fn every_flipped_byte_of_what_a_compaction_wrote_is_found() {
    let (disk, truth) = compacted();
    assert_eq!(
        super::truth(&open(&disk.after_power_cut(1)).unwrap(), truth.head.size),
        truth
    );
    // Without a checkpoint, a tail or a later record to compare with.
    let disk = disk.without("tail");
    for name in written(&disk) {
        for at in 0..disk.bytes(&name).len() {
            let copy = disk.with(&name, |bytes| bytes[at] ^= 1 << (at % 8));
            assert_found(&copy, &format!("{name} byte {at}"));
        }
    }
}

#[test]
fn every_truncation_and_addition_of_what_a_compaction_wrote_is_found() {
    let (disk, _) = compacted();
    for name in written(&disk) {
        for length in 0..disk.bytes(&name).len() {
            let copy = disk.with(&name, |bytes| bytes.truncate(length));
            assert_found(&copy, &format!("{name} cut at {length}"));
        }
        let copy = disk.with(&name, |bytes| bytes.push(0));
        assert_found(&copy, &format!("{name} with a byte more"));
        assert_found(&disk.without(&name), &name);
    }
}

#[test]
fn appends_that_were_joined_with_all_checksums_made_good_again_are_found() {
    let (disk, _) = compacted();
    let segments = written(&disk)
        .into_iter()
        .filter(|name| name.ends_with(".journal"));
    for name in segments {
        let bytes = disk.bytes(&name);
        let (header, salt) = (&bytes[..512], bytes[128..144].try_into().unwrap());
        let (mut frames, mut offset) = (Vec::new(), 512);
        while let Some((frame, after)) = Frame::decode(&bytes, &salt, offset) {
            frames.push(frame);
            offset = after;
        }
        if frames.len() < 2 || frames.iter().any(|frame| frame.count != 1) {
            continue;
        }
        let (count, mut joined) = (frames.len() as u16, header.to_vec());
        for (frame, position) in frames.into_iter().zip(0..) {
            let offset = joined.len() as u64;
            let frame = Frame {
                position,
                count,
                ..frame
            };
            joined.extend(frame.encode(&salt, offset));
        }
        assert_found(&disk.with(&name, |bytes| *bytes = joined), &name);
        return;
    }
    panic!("no segment with several appends");
}

#[test]
fn a_base_of_other_exposures_with_all_digests_made_good_again_is_found() {
    let (disk, truth) = compacted();
    let mut names = disk.names().unwrap().into_iter();
    let name = names.find(|name| name.starts_with("base-")).unwrap();
    let ledger = open(&disk.after_power_cut(1)).unwrap();
    let (size, _) = mark(&frames(&disk));
    let head = head_at(&ledger, size);
    let mut accounts = truth.state.accounts.clone();
    for forged in [0u64, 1] {
        let entry = accounts.values_mut().next().unwrap();
        Arc::make_mut(&mut entry.exposures).fill(forged);
        let bytes = crate::base::encode(head, &accounts);
        assert_eq!(bytes.len(), disk.bytes(&name).len());
        assert_found(
            &disk.with(&name, |content| *content = bytes),
            "a forged base",
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_damage_anywhere_is_found_or_harmless(
        file: prop::sample::Index,
        at: prop::sample::Index,
        bytes in prop::collection::vec(any::<u8>(), 1..80),
    ) {
        let (disk, truth) = compacted();
        let names = disk.names().unwrap();
        let name = file.get(&names);
        let copy = disk.with(name, |content| {
            let at = at.index(content.len());
            for (to, from) in content[at..].iter_mut().zip(&bytes) {
                *to = *from;
            }
        });
        let changed = copy.bytes(name) != disk.bytes(name);
        match open(&copy) {
            Ok(ledger) => {
                prop_assert_eq!(super::truth(&ledger, truth.head.size), truth);
                prop_assert!(!changed || !written(&disk).contains(name), "{} is damaged", name);
            }
            Err(error) => prop_assert!(error.is_fatal() && changed, "{:?}", error),
        }
    }
}

#[test]
fn the_base_of_an_earlier_compaction_does_not_stand_for_the_last() {
    let disk = Disk::default();
    let ledger = grown(&disk, 5);
    ledger.compact(NOW).unwrap();
    let base = |disk: &Disk| {
        let mut names = disk.names().unwrap().into_iter();
        names.find(|name| name.starts_with("base-")).unwrap()
    };
    let old = disk.bytes(&base(&disk));
    (20..26).for_each(|n| drop(answer(&ledger, ask(n), 5)));
    ledger.compact(NOW).unwrap();
    drop(ledger);
    assert_found(
        &disk.with(&base(&disk), |bytes| *bytes = old),
        "an old base",
    );
}

#[test]
fn compacted_segments_of_the_same_journal_do_not_stand_for_those_of_a_copy_without_a_mark() {
    let disk = Disk::default();
    let ledger = grown(&disk, 5);
    let earlier = disk.after_power_cut(1);
    ledger.compact(NOW).unwrap();
    let name = written(&disk)
        .into_iter()
        .find(|name| name.ends_with(".journal"))
        .unwrap();
    let copy = earlier.with(&name, |bytes| *bytes = disk.bytes(&name));
    assert_found(&copy, "a compacted segment without its mark");
}

#[test]
fn a_ledger_that_lost_everything_after_its_compacted_segments_is_damaged() {
    let (disk, _) = compacted();
    let last = disk
        .names()
        .unwrap()
        .into_iter()
        .filter(|name| name.ends_with(".journal"))
        .max();
    let copy = disk.without("tail").without(&last.unwrap());
    assert_found(&copy, "the current segment is gone");
}
