//! The stored format does not change by accident.
//!
//! `tests/golden/every-record-N.journal` holds one record of every kind in its newest version at
//! some time. Today's code must read each to the same records and, given the same nonces and times,
//! write the newest byte for byte.

use std::sync::Arc;

use obscura_model::exposure::{Delta, DeltaCharge, Limit, Rho};
use obscura_model::ids::{Digest, UnixMillis};
use obscura_privacy::Mode;

use super::disk::Disk;
use super::journal::frames;
use super::world::*;
use crate::journal::Journal;
use crate::journal::storage::Storage as _;
use crate::record::{Record, decode, encode};
use crate::{
    Account, AccountInForce, Authority, Decision, Intent, LimitSet, Mark, NewGrant, NewStudy, Role,
    Secrets, StudyRelease,
};

const FIRST: &[u8] = include_bytes!("../../tests/golden/every-record-1.journal");
const FIRST_ROOT: &str = include_str!("../../tests/golden/every-record-1.root");
const SECOND: &[u8] = include_bytes!("../../tests/golden/every-record-2.journal");
const SECOND_ROOT: &str = include_str!("../../tests/golden/every-record-2.root");
const THIRD: &[u8] = include_bytes!("../../tests/golden/every-record-3.journal");
const THIRD_ROOT: &str = include_str!("../../tests/golden/every-record-3.root");
const FOURTH: &[u8] = include_bytes!("../../tests/golden/every-record-4.journal");
const FOURTH_ROOT: &str = include_str!("../../tests/golden/every-record-4.root");
const GOLDEN: &[u8] = include_bytes!("../../tests/golden/every-record-5.journal");
const GOLDEN_ROOT: &str = include_str!("../../tests/golden/every-record-5.root");
const SEGMENT: &str = "seg-00000001.journal";

/// Which file: what the first one could not say reads as if nobody had said it.
#[derive(Clone, Copy, PartialEq)]
enum File {
    First,
    /// Without questions that were answered earlier.
    Second,
    /// Without keys that are not declared under a grant.
    Third,
    /// Without the canonical form of a study's queries.
    Fourth,
    Newest,
}

impl File {
    fn delta_keys(self) -> DeltaCharge {
        match self {
            File::First => DeltaCharge::ZERO,
            File::Second | File::Third | File::Fourth | File::Newest => {
                DeltaCharge::from_units(1_234_567)
            }
        }
    }

    fn limit(self, account: Account, rho: u64, mode: Mode) -> LimitSet {
        LimitSet {
            delta_keys: self.delta_keys(),
            ..limit(account, rho, mode)
        }
    }

    fn study(self) -> NewStudy {
        let mut study = new_study(1, ANN, 2);
        if self == File::First {
            let project = "unnamed-01010101010101010101010101010101";
            study.project = project.parse().unwrap();
        } else {
            study.releases[0].require_complete = true;
            study.releases[0].delta_keys = self.delta_keys();
        }
        if self != File::Newest {
            study.releases[0].canonical = StudyRelease::NO_CANONICAL;
        }
        study
    }

    fn records(self) -> Vec<Vec<Record>> {
        let mut records = vec![
            data_records(self),
            study_records(self),
            release_records(self),
        ];
        if self != File::First {
            records.extend([project_records(self), subject_records()]);
        }
        if !matches!(self, File::First | File::Second) {
            records.push(offer_records());
        }
        records
    }
}

fn project_records(file: File) -> Vec<Record> {
    let (project, person) = (own_project(ANN), BOB);
    let evidence = b"project".to_vec();
    vec![
        Record::ProjectOpened {
            project: project.clone(),
            first: ANN,
        },
        Record::JoinAsked {
            project: project.clone(),
            person,
            evidence: evidence.clone(),
        },
        Record::MemberConfirmed {
            project: project.clone(),
            person,
            evidence: evidence.clone(),
        },
        Record::MemberRemoved {
            project: project.clone(),
            person,
            reason: "left".to_owned(),
            evidence: evidence.clone(),
        },
        Record::ProjectLimitSet {
            project,
            rho: Rho::from_nano(8),
            evidence,
        },
        Record::GrantGiven(NewGrant {
            delta_keys: match file {
                File::Fourth | File::Newest => DeltaCharge::from_units(2_345_678),
                File::First | File::Second | File::Third => DeltaCharge::ZERO,
            },
            ..new_grant(1, ANN)
        }),
        Record::GrantRevoked {
            grant: grant_id(1),
            reason: "over".to_owned(),
            evidence: b"revoke".to_vec(),
        },
        Record::GrantSuspended {
            grant: grant_id(1),
            why: "it failed".to_owned(),
        },
        Record::IntentOpened(Intent {
            authority: Authority::Grant { grant: grant_id(1) },
            ..intent(File::Newest)
        }),
    ]
}

fn subject_records() -> Vec<Record> {
    let (population, reason) = (people_of(), "asked".to_owned());
    let (hashes, pairs) = (vec![[0xaa; 16]], vec![([0xaa; 16], [0xcc; 16])]);
    let evidence = b"subjects".to_vec();
    let marked = |mark| Record::SubjectsMarked {
        population: population.clone(),
        capacity: 4,
        mark,
        reason: reason.clone(),
        evidence: evidence.clone(),
        hashes: hashes.clone(),
    };
    vec![
        marked(Mark::Excluded),
        marked(Mark::Erased),
        Record::SubjectsReadmitted {
            population: population.clone(),
            capacity: 4,
            reason: reason.clone(),
            evidence: evidence.clone(),
            hashes: hashes.clone(),
        },
        Record::SubjectsRekeyed {
            population: population.clone(),
            capacity: 4,
            evidence: evidence.clone(),
            pairs: pairs.clone(),
        },
        Record::PopulationsMerged {
            keep: population.clone(),
            gone: "patients".parse().unwrap(),
            capacity: 4,
            limit: File::Newest.limit(Account::Population(population), 9, Mode::Protect),
            guarantee: Limit::as_stored(7.0, Delta::new(1e-6).unwrap(), Rho::from_nano(11)),
            evidence,
            pairs,
        },
    ]
}

fn offer_records() -> Vec<Record> {
    vec![Record::AnsweredEarlier {
        key: key(ANN, 2),
        body_digest: Digest::of(b"the same question"),
        release: 20,
    }]
}

fn data_records(file: File) -> Vec<Record> {
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
            apart: file != File::First,
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
        Record::LimitSet(file.limit(population(), 463_064_990, Mode::Protect)),
        Record::LimitSet(file.limit(Account::Dataset(dataset_id(1)), 99, Mode::Strict)),
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

fn study_records(file: File) -> Vec<Record> {
    let (study, digest) = (study_id(1), Digest::of(&[1]));
    let decided = |decision| Record::StudyDecided {
        study,
        digest,
        decision,
        reason: "because".to_owned(),
        evidence: b"decision".to_vec(),
    };
    vec![
        Record::StudySubmitted(file.study()),
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

fn intent(file: File) -> Intent {
    Intent {
        key: key(ANN, 1),
        body_digest: Digest::of(b"body"),
        authority: Authority::Study {
            study: study_id(1),
            release: release_name(),
        },
        plan: match file {
            File::First => Intent::NO_PLAN,
            File::Second | File::Third | File::Fourth | File::Newest => Digest::of(b"plan"),
        },
        dataset: dataset(),
        population: people_of(),
        price: PRICE,
        delta_keys: file.delta_keys(),
        sigmas: vec![250, 3],
        accounts: vec![AccountInForce {
            account: population(),
            limit: Rho::from_nano(463_064_990),
            mode: Mode::Protect,
        }],
        nobody_dropped: true,
        evidence: b"request".to_vec(),
    }
}

fn release_records(file: File) -> Vec<Record> {
    let codes = vec![0, 16_384, 1, 256];
    vec![
        Record::IntentOpened(intent(file)),
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

const SEGMENT_BYTES: u64 = 16_384;

/// One append for each list, a millisecond apart.
fn written() -> Disk {
    let disk = Disk::default();
    let storage = Arc::new(disk.clone());
    let mut journal = Journal::create(storage, NODE, entropy(2_026), SEGMENT_BYTES).unwrap();
    for (n, records) in (0..).zip(File::Newest.records()) {
        let entries = records.iter().map(encode).collect();
        journal.append(UnixMillis(NOW.0 + n), entries).unwrap();
    }
    disk
}

fn hex(root: &[u8]) -> String {
    root.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn todays_code_writes_the_golden_bytes() {
    assert!(
        written().bytes(SEGMENT) == GOLDEN,
        "the stored format changed"
    );
}

#[test]
fn todays_code_reads_the_golden_records_of_every_version() {
    for (bytes, expected_root, file) in [
        (FIRST, FIRST_ROOT, File::First),
        (SECOND, SECOND_ROOT, File::Second),
        (THIRD, THIRD_ROOT, File::Third),
        (FOURTH, FOURTH_ROOT, File::Fourth),
        (GOLDEN, GOLDEN_ROOT, File::Newest),
    ] {
        let (disk, length) = (Disk::default(), bytes.len() as u64);
        let stored = disk.create(SEGMENT, length).unwrap();
        stored.write(0, bytes).unwrap();
        let (journal, _) = Journal::open(Arc::new(disk), NODE, entropy(1), length).unwrap();
        let read: Vec<Record> = frames(&journal)
            .iter()
            .map(|f| decode(&f.entry).unwrap())
            .collect();
        assert_eq!(read, file.records().concat());
        assert_eq!(hex(&journal.head().root), expected_root.trim());
    }
}

/// Run by hand when a version is added: `cargo test -p obscura-ledger golden -- --ignored`.
#[test]
#[ignore = "writes the golden files of a new format version"]
fn write_golden_files() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let disk = written();
    let bytes = disk.bytes(SEGMENT);
    std::fs::write(folder.join("every-record-5.journal"), bytes).unwrap();
    let (journal, _) = Journal::open(Arc::new(disk), NODE, entropy(1), SEGMENT_BYTES).unwrap();
    let root = hex(&journal.head().root);
    std::fs::write(folder.join("every-record-5.root"), root + "\n").unwrap();
}

#[test]
fn a_record_of_an_unknown_kind_or_version_is_refused_and_not_guessed() {
    for record in File::Newest.records().concat() {
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
    let marked = |count: u8| Record::SubjectsMarked {
        population: people_of(),
        capacity: 9,
        mark: Mark::Excluded,
        reason: String::new(),
        evidence: Vec::new(),
        hashes: (0..count).map(|n| [n; 16]).collect(),
    };
    let rekeyed = |count: u8| Record::SubjectsRekeyed {
        population: people_of(),
        capacity: 9,
        evidence: Vec::new(),
        pairs: (0..count).map(|n| ([n; 16], [n + 100; 16])).collect(),
    };
    let both = |record: Record| {
        let entry = encode(&record);
        (entry.public, entry.private.len())
    };
    for count in 1..=9 {
        assert_eq!(both(marked(count)), both(marked(0)));
        assert_eq!(both(rekeyed(count)), both(rekeyed(0)));
    }
    assert_eq!(both(marked(10)), both(marked(18)));
    let committed = |codes: [u16; 4]| Record::ReleaseCommitted {
        intent: 18,
        body: b"release".to_vec(),
        codes: codes.to_vec(),
    };
    for codes in [[0; 4], [1, 0, 0, 0], [0, 0, 0, 1]] {
        assert_eq!(both(committed(codes)), both(committed([1; 4])));
    }
}
