//! Claims about opaque records.

use std::sync::Arc;

use obscura_model::ids::UnixMillis;

use super::disk::{Disk, Fault};
use super::world::{NODE, NOW, entropy};
use crate::journal::frame::{Entry, Frame};
use crate::journal::storage::{Folder, Storage};
use crate::journal::{Journal, JournalError};

pub(super) fn entry(n: u8, private: usize) -> Entry {
    Entry {
        kind: u16::from(n),
        version: 1,
        public: vec![n; 20],
        private: vec![n; private],
    }
}

fn create(disk: &Disk) -> Journal {
    Journal::create(Arc::new(disk.clone()), NODE, entropy(1), 2_048).unwrap()
}

fn open(disk: &Disk) -> Result<Journal, JournalError> {
    Journal::open(Arc::new(disk.clone()), NODE, entropy(2), 2_048).map(|(journal, _)| journal)
}

pub(super) fn frames(journal: &Journal) -> Vec<Frame> {
    let mut frames = Vec::new();
    let visit = &mut |_, frame| {
        frames.push(frame);
        Ok::<(), JournalError>(())
    };
    journal.walk(0, journal.size(), visit).unwrap();
    frames
}

#[test]
fn records_read_back_over_several_segments() {
    let disk = Disk::default();
    let mut journal = create(&disk);
    for n in 0..20 {
        let length = if n == 11 { 9_000 } else { 200 };
        let appended = journal
            .append(NOW, vec![entry(n, length), entry(n, 3)])
            .unwrap();
        assert_eq!(appended.first, 2 * u64::from(n));
        let frame = journal
            .stored(appended.places[1])
            .unwrap()
            .read()
            .unwrap()
            .unwrap();
        assert_eq!(frame.entry, entry(n, 3));
    }
    let (head, before) = (journal.head(), frames(&journal));
    assert_eq!(before.len(), 40);
    drop(journal);
    let journal = open(&disk).unwrap();
    assert_eq!((journal.head(), frames(&journal)), (head, before));
    assert!(disk.names().unwrap().len() > 4);
}

#[test]
fn time_never_goes_back() {
    let disk = Disk::default();
    let mut journal = create(&disk);
    journal.append(NOW, vec![entry(1, 1)]).unwrap();
    let appended = journal.append(UnixMillis(5), vec![entry(2, 1)]).unwrap();
    assert_eq!(appended.time, NOW);
    drop(journal);
    assert_eq!(open(&disk).unwrap().last_time(), NOW);
}

#[test]
fn each_append_costs_one_sync_however_many_records_it_has() {
    let disk = Disk::default();
    let mut journal = create(&disk);
    let before = disk.syncs();
    journal
        .append(NOW, vec![entry(1, 10), entry(2, 10), entry(3, 10)])
        .unwrap();
    assert_eq!(disk.syncs(), before + 1);
}

#[test]
fn an_append_that_begins_a_segment_is_synced_once_with_it() {
    let disk = Disk::default();
    let mut journal = create(&disk);
    let before = disk.syncs();
    journal.append(NOW, vec![entry(1, 9_000)]).unwrap();
    assert_eq!(disk.syncs(), before + 1);
    assert_eq!(open(&disk.after_power_cut(0)).unwrap().size(), 1);
}

#[test]
fn a_large_append_has_the_leaves_of_its_records_and_room_after_it() {
    let disk = Disk::default();
    let mut journal = Journal::create(Arc::new(disk.clone()), NODE, entropy(1), 1 << 16).unwrap();
    let large = vec![entry(1, 2 << 20), entry(2, 10), entry(3, 1 << 20)];
    journal.append(NOW, large).unwrap();
    let files = disk.names().unwrap();
    journal.append(NOW, vec![entry(4, 200)]).unwrap();
    assert_eq!(disk.names().unwrap(), files);
    let leaves = |journal: &Journal| (0..4).map(|n| journal.leaf(n).unwrap()).collect::<Vec<_>>();
    let computed: Vec<_> = frames(&journal).iter().map(Frame::leaf).collect();
    assert_eq!(leaves(&journal), computed);
    let (head, after) = (journal.head(), disk.after_power_cut(0));
    let opened = open(&after).unwrap();
    assert_eq!((opened.head(), leaves(&opened)), (head, computed));
}

#[test]
fn after_a_failed_write_or_sync_nothing_is_served() {
    for call in 1..=2 {
        let disk = Disk::default();
        let mut journal = create(&disk);
        journal.append(NOW, vec![entry(1, 10)]).unwrap();
        disk.set_fault(call, Fault::Error);
        assert!(journal.append(NOW, vec![entry(2, 10)]).is_err());
        let again = journal.append(NOW, vec![entry(2, 10)]);
        assert!(matches!(again, Err(JournalError::Stopped)), "{call}");
        drop(journal);
        assert!(open(&disk).unwrap().size() >= 1);
    }
}

#[test]
fn any_power_cut_keeps_what_was_acknowledged_and_appends_stay_whole() {
    let mut call = 0;
    loop {
        call += 1;
        let disk = Disk::default();
        let mut journal = create(&disk);
        disk.set_fault(call, Fault::PowerCut);
        let mut acknowledged = 0;
        while acknowledged < 12 {
            let n = acknowledged as u8;
            match journal.append(NOW, vec![entry(n, 150), entry(n, 150), entry(n, 90)]) {
                Ok(_) => acknowledged += 1,
                Err(_) => break,
            }
        }
        for seed in 0..40 {
            let journal = open(&disk.after_power_cut(seed));
            let journal = journal.unwrap_or_else(|e| panic!("call {call} seed {seed}: {e}"));
            assert_eq!(journal.size() % 3, 0, "call {call} seed {seed}");
            assert!(
                journal.size() / 3 >= acknowledged,
                "call {call} seed {seed}"
            );
            assert!(
                journal.size() / 3 <= acknowledged + 1,
                "call {call} seed {seed}"
            );
        }
        if acknowledged == 12 {
            break;
        }
    }
    assert!(call > 30, "only {call} calls");
}

#[test]
fn a_power_cut_while_opening_loses_nothing() {
    let disk = Disk::default();
    let mut journal = create(&disk);
    for n in 0..9 {
        journal.append(NOW, vec![entry(n, 150)]).unwrap();
    }
    drop(journal);
    for call in 1..12 {
        for seed in 0..10 {
            let copy = disk.after_power_cut(1);
            copy.set_fault(call, Fault::PowerCut);
            let _ = open(&copy);
            assert_eq!(
                open(&copy.after_power_cut(seed)).unwrap().size(),
                9,
                "{call} {seed}"
            );
        }
    }
}

#[test]
fn bytes_that_look_like_a_record_inside_a_record_are_not_one() {
    let disk = Disk::default();
    let mut journal = create(&disk);
    journal.append(NOW, vec![entry(1, 10)]).unwrap();
    let whole = disk.bytes("seg-00000001.journal");
    let length = Frame::length(&entry(1, 10)).unwrap();
    let public = whole[512..512 + length].to_vec();
    let copied = Entry {
        public,
        ..entry(2, 300)
    };
    disk.set_fault(1, Fault::PowerCut);
    assert!(journal.append(NOW, vec![copied]).is_err());
    assert_eq!(open(&disk.after_power_cut(1)).unwrap().size(), 1);
}

#[test]
fn a_second_process_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let storage = || Arc::new(Folder::at(folder.path()).unwrap());
    let mut first = Journal::create(storage(), NODE, entropy(1), 4_096).unwrap();
    let second = Journal::open(storage(), NODE, entropy(2), 4_096);
    assert!(matches!(second.err(), Some(JournalError::Locked)));
    first.append(NOW, vec![entry(1, 10)]).unwrap();
    drop(first);
    let (third, _) = Journal::open(storage(), NODE, entropy(3), 4_096).unwrap();
    assert_eq!(third.size(), 1);
}

#[test]
fn a_segment_reserves_its_blocks() {
    use std::os::unix::fs::MetadataExt as _;
    let folder = tempfile::tempdir().unwrap();
    let storage = Arc::new(Folder::at(folder.path()).unwrap());
    let _journal = Journal::create(storage, NODE, entropy(1), 1 << 20).unwrap();
    let file = std::fs::metadata(folder.path().join("seg-00000001.journal")).unwrap();
    assert_eq!(file.len(), 1 << 20);
    assert!(file.blocks() * 512 >= 1 << 20, "{} blocks", file.blocks());
}
