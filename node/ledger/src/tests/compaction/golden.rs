//! Golden files of a compacted ledger: `compacted-1` must keep opening to what `expected.txt`
//! says, and the segments in `uncompacted-1` must keep being compacted to the same bytes.

use std::fmt::Write as _;
use std::path::PathBuf;

use super::*;
use crate::record::holds_charges;

fn folder(name: &str) -> PathBuf {
    let tests = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests");
    tests.join("golden").join(name)
}

/// A folder's files, on a disk.
fn stored(name: &str) -> Disk {
    let disk = Disk::default();
    for entry in std::fs::read_dir(folder(name)).unwrap() {
        let path = entry.unwrap().path();
        let (name, bytes) = (path.file_name().unwrap(), std::fs::read(&path).unwrap());
        if path.extension().is_some_and(|extension| extension == "txt") {
            continue;
        }
        let file = disk
            .create(name.to_str().unwrap(), bytes.len() as u64)
            .unwrap();
        file.write(0, &bytes).unwrap();
    }
    disk
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What the golden ledger says: its head, every exposure, every answer.
fn said(ledger: &Ledger) -> String {
    let (head, mut text) = (ledger.head(), String::new());
    writeln!(text, "head {} {}", head.size, hex(&head.root)).unwrap();
    writeln!(text, "exposures {:?}", ledger.peek_for_tests()).unwrap();
    for key in ledger.answered(&ANN) {
        let answer = ledger.release(&key).unwrap().unwrap();
        writeln!(text, "answer {} {}", answer.index(), hex(answer.body())).unwrap();
    }
    text
}

#[test]
fn the_golden_compacted_ledger_opens_to_what_it_said() {
    let disk = stored("compacted-1");
    let expected = std::fs::read_to_string(folder("compacted-1").join("expected.txt")).unwrap();
    let ledger = open(&disk).unwrap();
    assert_eq!(said(&ledger), expected);
    check_proofs(&ledger, &[]);
    assert!(crate::ledger::verify(&disk, NODE).is_ok());
}

#[test]
fn todays_code_writes_the_golden_mark() {
    let frames = frames(&stored("compacted-1"));
    let marks = frames.iter().filter(|frame| frame.entry.kind == 60);
    let marks: Vec<_> = marks.map(|frame| &frame.entry).collect();
    assert_eq!(marks.len(), 1);
    let record = crate::record::decode(marks[0]).unwrap();
    assert!(matches!(record, crate::record::Record::Compacted(_)));
    assert_eq!(crate::record::encode(&record), *marks[0]);
}

#[test]
fn todays_code_compacts_the_golden_segments_to_the_golden_bytes() {
    let (before, after) = (stored("uncompacted-1"), stored("compacted-1"));
    let scan = crate::journal::scan(&before, NODE).unwrap();
    let due = crate::journal::due(&scan.segments);
    assert!(due.len() > 1);
    for (number, due) in (1..).zip(due) {
        let leaf = |index| scan.tree.leaf(index);
        let rewritten = crate::journal::rewritten(&before, &leaf, &due, holds_charges);
        let name = crate::journal::segment::name(number);
        assert!(
            rewritten.unwrap().bytes() == after.bytes(&name),
            "{name} changed"
        );
    }
}

/// Run by hand when a version is added: `cargo test -p obscura-ledger golden -- --ignored`.
#[test]
#[ignore = "writes the golden files of a new format version"]
fn write_golden_compacted_ledger() {
    let disk = Disk::default();
    let ledger = grown(&disk, 3);
    let save = |disk: &Disk, to: &str| {
        std::fs::create_dir_all(folder(to)).unwrap();
        for name in disk.names().unwrap().iter().filter(|name| *name != "tail") {
            std::fs::write(folder(to).join(name), disk.bytes(name)).unwrap();
        }
    };
    save(&disk, "uncompacted-1");
    ledger.compact(NOW).unwrap();
    save(&disk, "compacted-1");
    std::fs::write(folder("compacted-1").join("expected.txt"), said(&ledger)).unwrap();
}
