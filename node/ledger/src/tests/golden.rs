//! The stored format does not change by accident.
//!
//! `tests/golden/every-record-1.journal` holds one record of every kind. Today's code must read
//! it to the same records and, given the same nonces and times, write the same bytes.

use std::sync::Arc;

use obscura_model::exposure::Rho;
use obscura_model::ids::{Digest, UnixMillis};
use obscura_privacy::Mode;

use super::disk::Disk;
use super::journal::frames;
use super::world::*;
use crate::journal::Journal;
use crate::journal::storage::Storage as _;
use crate::record::{Record, decode, encode};
use crate::{Account, AccountInForce, Decision, Intent, Role, Secrets};

const GOLDEN: &[u8] = include_bytes!("../../tests/golden/every-record-1.journal");
const SEGMENT: &str = "seg-00000001.journal";

fn data_records() -> Vec<Record> {
    let secrets = Secrets {
        subject: [0x11; 32],
        row: [0x22; 32],
    };
    vec![
        Record::Genesis {
            journal: NODE,
            created: NOW,
        },
        Record::PopulationCreated {
            name: people_of(),
            most_subjects: 3,
            capacity: 4,
            evidence: b"population".to_vec(),
            secrets,
        },
        Record::SubjectsAdded {
            population: people_of(),
            capacity: 4,
            first: 0,
            hashes: vec![[0xaa; 16], [0xbb; 16]],
        },
        Record::DatasetAdded {
            which: dataset(),
            name: "visits".parse().unwrap(),
            population: people_of(),
            description: "a description".to_owned(),
            evidence: b"dataset".to_vec(),
            file_sha256: [0x33; 32],
            rows: 77,
        },
        Record::LimitSet(limit(population(), 463_064_990, Mode::Protect)),
        Record::LimitSet(limit(Account::Dataset(dataset_id(1)), 99, Mode::Strict)),
        Record::ScientistLimitSet {
            person: None,
            rho: Rho::from_nano(5),
            evidence: vec![1],
        },
        Record::ScientistLimitSet {
            person: Some(ANN),
            rho: Rho::from_nano(6),
            evidence: vec![],
        },
        Record::Enrolled {
            person: ANN,
            role: Role::Scientist,
            name: "ann".parse().unwrap(),
            evidence: b"enrol".to_vec(),
        },
        Record::Dismissed {
            person: BOB,
            evidence: b"dismiss".to_vec(),
        },
    ]
}

fn study_records() -> Vec<Record> {
    let (study, digest) = (study_id(1), Digest::of(&[1]));
    let decided = |decision| Record::StudyDecided {
        study,
        digest,
        decision,
        reason: "because".to_owned(),
        evidence: b"decision".to_vec(),
    };
    vec![
        Record::StudySubmitted(new_study(1, ANN, 2)),
        decided(Decision::Approve),
        decided(Decision::Decline),
        decided(Decision::AskForChanges),
        decided(Decision::Revoke),
        decided(Decision::Suspend),
        Record::StudyWithdrawn {
            study,
            evidence: b"withdraw".to_vec(),
        },
        Record::StudySuspended {
            study,
            why: "it failed".to_owned(),
        },
    ]
}

fn release_records() -> Vec<Record> {
    let intent = Intent {
        key: key(ANN, 1),
        body_digest: Digest::of(b"body"),
        study: study_id(1),
        release: release_name(),
        dataset: dataset(),
        population: people_of(),
        price: PRICE,
        sigmas: vec![250, 3],
        accounts: vec![AccountInForce {
            account: population(),
            limit: Rho::from_nano(463_064_990),
            mode: Mode::Protect,
        }],
        nobody_dropped: true,
        evidence: b"request".to_vec(),
    };
    let codes = vec![0, 16_384, 1, 256];
    vec![
        Record::IntentOpened(intent),
        Record::FoldRestarted { intent: 18 },
        Record::ReleaseCommitted {
            intent: 18,
            body: b"release".to_vec(),
            codes,
        },
        Record::IntentPoisoned { intent: 19 },
        Record::StopCounted {
            population: people_of(),
        },
        Record::PopulationStopped {
            population: people_of(),
        },
        Record::Lifted {
            population: people_of(),
            evidence: b"lift".to_vec(),
        },
    ]
}

/// Three appends, a millisecond apart.
fn written() -> Disk {
    let disk = Disk::default();
    let mut journal = Journal::create(Arc::new(disk.clone()), NODE, entropy(2_026), 8_192).unwrap();
    for (n, records) in (0..).zip([data_records(), study_records(), release_records()]) {
        let entries = records.iter().map(encode).collect();
        journal.append(UnixMillis(NOW.0 + n), entries).unwrap();
    }
    disk
}

#[test]
fn todays_code_writes_the_golden_bytes() {
    assert!(
        written().bytes(SEGMENT) == GOLDEN,
        "the stored format changed"
    );
}

#[test]
fn todays_code_reads_the_golden_records() {
    let disk = Disk::default();
    disk.create(SEGMENT, GOLDEN.len() as u64)
        .unwrap()
        .write(0, GOLDEN)
        .unwrap();
    let (journal, _) = Journal::open(Arc::new(disk), NODE, entropy(1), 8_192).unwrap();
    let read: Vec<Record> = frames(&journal)
        .iter()
        .map(|f| decode(&f.entry).unwrap())
        .collect();
    let expected = [data_records(), study_records(), release_records()].concat();
    assert_eq!(read, expected);
    let root: String = journal
        .head()
        .root
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(
        root,
        include_str!("../../tests/golden/every-record-1.root").trim()
    );
}

/// Run by hand when a version is added: `cargo test -p obscura-ledger golden -- --ignored`.
#[test]
#[ignore = "writes the golden files of a new format version"]
fn write_golden_files() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let disk = written();
    let bytes = disk.bytes(SEGMENT);
    std::fs::write(folder.join("every-record-1.journal"), bytes).unwrap();
    let (journal, _) = Journal::open(Arc::new(disk), NODE, entropy(1), 8_192).unwrap();
    let root: String = journal
        .head()
        .root
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    std::fs::write(folder.join("every-record-1.root"), root + "\n").unwrap();
}

#[test]
fn a_record_of_an_unknown_kind_or_version_is_refused_and_not_guessed() {
    for record in release_records() {
        let entry = encode(&record);
        let mut newer = entry.clone();
        newer.version += 1;
        assert!(decode(&newer).is_err());
        let mut longer = entry.clone();
        longer.public.push(0);
        assert!(decode(&longer).is_err());
        let mut other = entry;
        other.kind = 900;
        assert!(decode(&other).is_err());
    }
}

#[test]
fn private_parts_have_a_length_that_shows_nothing() {
    let subjects = |count: u8| Record::SubjectsAdded {
        population: people_of(),
        capacity: 9,
        first: 0,
        hashes: (0..count).map(|n| [n; 16]).collect(),
    };
    let length = |count| encode(&subjects(count)).private.len();
    assert_eq!([length(0), length(1), length(9)], [length(0); 3]);
}
