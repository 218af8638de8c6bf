//! Kinds and versions of records, and how each is encoded.
//!
//! To change a record: give its kind a new version, keep reading the old one, add a golden file.

use super::fields::{get_blob, get_capacity, put_blob};
use super::{Record, SubjectHash, old};
use crate::codec::{InvalidBytes, Reader, Stored as _, Writer};
use crate::journal::Compaction;
use crate::journal::frame::Entry;

mod new;

/// The version in which records of a kind are written; older ones are read for ever.
const fn newest(kind: u16) -> u16 {
    match kind {
        POPULATION_CREATED | LIMIT_SET | INTENT_OPENED | GRANT_GIVEN => 2,
        STUDY_SUBMITTED => 3,
        _ => 1,
    }
}

const GENESIS: u16 = 1;
const POPULATION_CREATED: u16 = 2;
const SUBJECTS_ADDED: u16 = 3;
const DATASET_ADDED: u16 = 4;
const LIMIT_SET: u16 = 5;
const SCIENTIST_LIMIT_SET: u16 = 6;
const ENROLLED: u16 = 7;
const DISMISSED: u16 = 8;
const STUDY_SUBMITTED: u16 = 9;
const STUDY_DECIDED: u16 = 10;
const STUDY_WITHDRAWN: u16 = 11;
const STUDY_SUSPENDED: u16 = 12;
const INTENT_OPENED: u16 = 13;
const FOLD_RESTARTED: u16 = 14;
const RELEASE_COMMITTED: u16 = 15;
const INTENT_POISONED: u16 = 16;
const STOP_COUNTED: u16 = 17;
const POPULATION_STOPPED: u16 = 18;
const LIFTED: u16 = 19;
const PROJECT_OPENED: u16 = 20;
const JOIN_ASKED: u16 = 21;
const MEMBER_CONFIRMED: u16 = 22;
const MEMBER_REMOVED: u16 = 23;
const PROJECT_LIMIT_SET: u16 = 24;
const GRANT_GIVEN: u16 = 25;
const GRANT_REVOKED: u16 = 26;
const GRANT_SUSPENDED: u16 = 27;
const SUBJECTS_MARKED: u16 = 28;
const SUBJECTS_READMITTED: u16 = 29;
const SUBJECTS_REKEYED: u16 = 30;
const POPULATIONS_MERGED: u16 = 31;
const ANSWERED_EARLIER: u16 = 32;

/// The record as the journal stores it.
pub(crate) fn encode(record: &Record) -> Entry {
    let (mut public, mut private) = (Writer::new(), Writer::new());
    let kind = write(record, &mut public, &mut private);
    let (public, private) = (public.into_bytes(), private.into_bytes());
    Entry {
        kind,
        version: newest(kind),
        public,
        private,
    }
}

fn write(record: &Record, to: &mut Writer, private: &mut Writer) -> u16 {
    match record {
        Record::Genesis { journal, created } => {
            to.put(journal).put(created);
            GENESIS
        }
        Record::Compacted(mark) => {
            mark.write(to, private);
            Compaction::KIND
        }
        Record::LimitSet(limit) => {
            to.put(limit);
            LIMIT_SET
        }
        Record::ScientistLimitSet {
            person,
            rho,
            evidence,
        } => {
            put_blob(to.put(person).put(rho), evidence);
            SCIENTIST_LIMIT_SET
        }
        Record::Enrolled {
            person,
            role,
            name,
            evidence,
        } => {
            put_blob(to.put(person).put(role).put(name), evidence);
            ENROLLED
        }
        Record::Dismissed { person, evidence } => {
            put_blob(to.put(person), evidence);
            DISMISSED
        }
        Record::PopulationCreated { .. }
        | Record::SubjectsAdded { .. }
        | Record::DatasetAdded { .. } => write_data(record, to, private),
        Record::StudySubmitted(_)
        | Record::StudyDecided { .. }
        | Record::StudyWithdrawn { .. }
        | Record::StudySuspended { .. } => write_study(record, to),
        Record::IntentOpened(_)
        | Record::FoldRestarted { .. }
        | Record::ReleaseCommitted { .. }
        | Record::AnsweredEarlier { .. }
        | Record::IntentPoisoned { .. } => write_release(record, to, private),
        Record::StopCounted { .. } | Record::PopulationStopped { .. } | Record::Lifted { .. } => {
            write_stop(record, to)
        }
        Record::ProjectOpened { .. }
        | Record::JoinAsked { .. }
        | Record::MemberConfirmed { .. }
        | Record::MemberRemoved { .. }
        | Record::ProjectLimitSet { .. }
        | Record::GrantGiven(_)
        | Record::GrantRevoked { .. }
        | Record::GrantSuspended { .. } => new::write_project(record, to),
        Record::SubjectsMarked { .. }
        | Record::SubjectsReadmitted { .. }
        | Record::SubjectsRekeyed { .. }
        | Record::PopulationsMerged { .. } => new::write_subjects(record, to, private),
    }
}

fn write_stop(record: &Record, to: &mut Writer) -> u16 {
    match record {
        Record::StopCounted { population } => {
            to.put(population);
            STOP_COUNTED
        }
        Record::PopulationStopped { population } => {
            to.put(population);
            POPULATION_STOPPED
        }
        Record::Lifted {
            population,
            evidence,
        } => {
            put_blob(to.put(population), evidence);
            LIFTED
        }
        _ => 0,
    }
}

fn write_data(record: &Record, to: &mut Writer, private: &mut Writer) -> u16 {
    match record {
        Record::PopulationCreated {
            name,
            most_subjects,
            capacity,
            apart,
            evidence,
            secrets,
        } => {
            to.put(name).put(most_subjects).put(capacity).put(apart);
            put_blob(to, evidence);
            private.put(secrets);
            POPULATION_CREATED
        }
        Record::SubjectsAdded {
            population,
            capacity,
            first,
            hashes,
        } => {
            to.put(population).put(capacity);
            private.put(first).put(&(hashes.len() as u32));
            hashes.iter().for_each(|hash| hash.write(private));
            let padding = (*capacity as usize).saturating_sub(hashes.len());
            private.raw(&vec![0; padding * size_of::<SubjectHash>()]);
            SUBJECTS_ADDED
        }
        Record::DatasetAdded {
            which,
            name,
            population,
            description,
            evidence,
            file_sha256,
            rows,
        } => {
            put_blob(
                to.put(which).put(name).put(population).put(description),
                evidence,
            );
            private.put(file_sha256).put(rows);
            DATASET_ADDED
        }
        _ => 0,
    }
}

fn write_study(record: &Record, to: &mut Writer) -> u16 {
    match record {
        Record::StudySubmitted(study) => {
            to.put(study);
            STUDY_SUBMITTED
        }
        Record::StudyDecided {
            study,
            digest,
            decision,
            reason,
            evidence,
        } => {
            put_blob(
                to.put(study).put(digest).put(decision).put(reason),
                evidence,
            );
            STUDY_DECIDED
        }
        Record::StudyWithdrawn { study, evidence } => {
            put_blob(to.put(study), evidence);
            STUDY_WITHDRAWN
        }
        Record::StudySuspended { study, why } => {
            to.put(study).put(why);
            STUDY_SUSPENDED
        }
        _ => 0,
    }
}

fn write_release(record: &Record, to: &mut Writer, private: &mut Writer) -> u16 {
    match record {
        Record::IntentOpened(intent) => {
            to.put(intent);
            INTENT_OPENED
        }
        Record::FoldRestarted { intent } => {
            to.put(intent);
            FOLD_RESTARTED
        }
        Record::ReleaseCommitted {
            intent,
            body,
            codes,
        } => {
            put_blob(to.put(intent), body);
            private.all(codes, u16::to_le_bytes);
            RELEASE_COMMITTED
        }
        Record::IntentPoisoned { intent } => {
            to.put(intent);
            INTENT_POISONED
        }
        Record::AnsweredEarlier {
            key,
            body_digest,
            release,
        } => {
            to.put(key).put(body_digest).put(release);
            ANSWERED_EARLIER
        }
        _ => 0,
    }
}

/// Whether the private part of records of this kind is charges and nothing else, which
/// compaction may drop once they are added up. Without it the record decodes to no codes.
pub(crate) const fn holds_charges(kind: u16) -> bool {
    kind == RELEASE_COMMITTED
}

/// The record that the journal stored.
pub(crate) fn decode(entry: &Entry) -> Result<Record, InvalidBytes> {
    let Entry {
        kind,
        version,
        public,
        private,
    } = entry;
    if *version == 0 || *version > newest(*kind) {
        return Err(InvalidBytes::Unknown {
            kind: *kind,
            version: *version,
        });
    }
    let (mut from, mut hidden) = (Reader::new(public), Reader::new(private));
    let record = read(*kind, *version, &mut from, &mut hidden)?;
    from.end()?;
    hidden.end()?;
    Ok(record)
}

fn read(
    kind: u16,
    version: u16,
    from: &mut Reader<'_>,
    private: &mut Reader<'_>,
) -> Result<Record, InvalidBytes> {
    Ok(match kind {
        GENESIS => Record::Genesis {
            journal: from.get()?,
            created: from.get()?,
        },
        LIMIT_SET if version == 1 => Record::LimitSet(old::limit_set(from)?),
        LIMIT_SET => Record::LimitSet(from.get()?),
        SCIENTIST_LIMIT_SET => Record::ScientistLimitSet {
            person: from.get()?,
            rho: from.get()?,
            evidence: get_blob(from)?,
        },
        ENROLLED => Record::Enrolled {
            person: from.get()?,
            role: from.get()?,
            name: from.get()?,
            evidence: get_blob(from)?,
        },
        DISMISSED => Record::Dismissed {
            person: from.get()?,
            evidence: get_blob(from)?,
        },
        POPULATION_CREATED | SUBJECTS_ADDED | DATASET_ADDED => {
            read_data(kind, version, from, private)?
        }
        STUDY_SUBMITTED..=STUDY_SUSPENDED => read_study(kind, version, from)?,
        INTENT_OPENED..=INTENT_POISONED | ANSWERED_EARLIER => {
            read_release(kind, version, from, private)?
        }
        PROJECT_OPENED..=GRANT_SUSPENDED => new::read_project(kind, version, from)?,
        SUBJECTS_MARKED..=POPULATIONS_MERGED => new::read_subjects(kind, version, from, private)?,
        STOP_COUNTED => Record::StopCounted {
            population: from.get()?,
        },
        Compaction::KIND => Record::Compacted(Compaction::read(from, private)?),
        POPULATION_STOPPED => Record::PopulationStopped {
            population: from.get()?,
        },
        LIFTED => Record::Lifted {
            population: from.get()?,
            evidence: get_blob(from)?,
        },
        _ => return Err(InvalidBytes::Unknown { kind, version }),
    })
}

fn read_study(kind: u16, version: u16, from: &mut Reader<'_>) -> Result<Record, InvalidBytes> {
    Ok(match kind {
        STUDY_SUBMITTED if version == 1 => Record::StudySubmitted(old::study(from)?),
        STUDY_SUBMITTED if version == 2 => Record::StudySubmitted(old::second_study(from)?),
        STUDY_SUBMITTED => Record::StudySubmitted(from.get()?),
        STUDY_DECIDED => Record::StudyDecided {
            study: from.get()?,
            digest: from.get()?,
            decision: from.get()?,
            reason: from.get()?,
            evidence: get_blob(from)?,
        },
        STUDY_WITHDRAWN => Record::StudyWithdrawn {
            study: from.get()?,
            evidence: get_blob(from)?,
        },
        STUDY_SUSPENDED => Record::StudySuspended {
            study: from.get()?,
            why: from.get()?,
        },
        _ => return Err(InvalidBytes::Unknown { kind, version }),
    })
}

fn read_release(
    kind: u16,
    version: u16,
    from: &mut Reader<'_>,
    private: &mut Reader<'_>,
) -> Result<Record, InvalidBytes> {
    Ok(match kind {
        INTENT_OPENED if version == 1 => Record::IntentOpened(old::intent(from)?),
        INTENT_OPENED => Record::IntentOpened(from.get()?),
        FOLD_RESTARTED => Record::FoldRestarted {
            intent: from.get()?,
        },
        RELEASE_COMMITTED => {
            let (intent, body) = (from.get()?, get_blob(from)?);
            Record::ReleaseCommitted {
                intent,
                body,
                codes: read_codes(private)?,
            }
        }
        INTENT_POISONED => Record::IntentPoisoned {
            intent: from.get()?,
        },
        ANSWERED_EARLIER => Record::AnsweredEarlier {
            key: from.get()?,
            body_digest: from.get()?,
            release: from.get()?,
        },
        _ => return Err(InvalidBytes::Unknown { kind, version }),
    })
}

fn read_data(
    kind: u16,
    version: u16,
    from: &mut Reader<'_>,
    private: &mut Reader<'_>,
) -> Result<Record, InvalidBytes> {
    match kind {
        POPULATION_CREATED => Ok(Record::PopulationCreated {
            name: from.get()?,
            most_subjects: from.get()?,
            capacity: get_capacity(from)?,
            // Not asked before: nothing was said.
            apart: version > 1 && from.get()?,
            evidence: get_blob(from)?,
            secrets: private.get()?,
        }),
        SUBJECTS_ADDED => {
            let (population, capacity) = (from.get()?, get_capacity(from)?);
            let (first, count): (_, u32) = (private.get()?, private.get()?);
            let padding = capacity
                .checked_sub(count)
                .ok_or(InvalidBytes::Meaningless("hashes"))?;
            let hashes = private.take(count as usize * size_of::<SubjectHash>(), "hashes")?;
            let hashes = hashes.as_chunks().0.to_vec();
            let padding = private.take(padding as usize * size_of::<SubjectHash>(), "padding")?;
            if padding.iter().any(|byte| *byte != 0) {
                return Err(InvalidBytes::Meaningless("padding"));
            }
            Ok(Record::SubjectsAdded {
                population,
                capacity,
                first,
                hashes,
            })
        }
        DATASET_ADDED => Ok(Record::DatasetAdded {
            which: from.get()?,
            name: from.get()?,
            population: from.get()?,
            description: from.get()?,
            evidence: get_blob(from)?,
            file_sha256: private.get()?,
            rows: private.get()?,
        }),
        _ => Err(InvalidBytes::Unknown { kind, version }),
    }
}

/// Two bytes for each index, to the end.
fn read_codes(private: &mut Reader<'_>) -> Result<Vec<u16>, InvalidBytes> {
    let bytes = private.rest();
    let (pairs, left) = bytes.as_chunks::<2>();
    match left.len() {
        0 => Ok(pairs.iter().map(|pair| u16::from_le_bytes(*pair)).collect()),
        left => Err(InvalidBytes::Left(left)),
    }
}
