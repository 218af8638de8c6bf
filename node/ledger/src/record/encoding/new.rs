//! Projects and grants; subjects that come and go.

use super::{
    GRANT_GIVEN, GRANT_REVOKED, GRANT_SUSPENDED, JOIN_ASKED, MEMBER_CONFIRMED, MEMBER_REMOVED,
    POPULATIONS_MERGED, PROJECT_LIMIT_SET, PROJECT_OPENED, SUBJECTS_MARKED, SUBJECTS_READMITTED,
    SUBJECTS_REKEYED,
};
use crate::codec::{InvalidBytes, Reader, Stored, Writer};
use crate::record::fields::{get_blob, get_capacity, put_blob};
use crate::record::{Record, SubjectHash, old};

pub(super) fn write_project(record: &Record, to: &mut Writer) -> u16 {
    match record {
        Record::ProjectOpened { project, first } => {
            to.put(project).put(first);
            PROJECT_OPENED
        }
        Record::JoinAsked {
            project,
            person,
            evidence,
        } => {
            put_blob(to.put(project).put(person), evidence);
            JOIN_ASKED
        }
        Record::MemberConfirmed {
            project,
            person,
            evidence,
        } => {
            put_blob(to.put(project).put(person), evidence);
            MEMBER_CONFIRMED
        }
        Record::MemberRemoved {
            project,
            person,
            reason,
            evidence,
        } => {
            put_blob(to.put(project).put(person).put(reason), evidence);
            MEMBER_REMOVED
        }
        Record::ProjectLimitSet {
            project,
            rho,
            evidence,
        } => {
            put_blob(to.put(project).put(rho), evidence);
            PROJECT_LIMIT_SET
        }
        Record::GrantGiven(grant) => {
            to.put(grant);
            GRANT_GIVEN
        }
        Record::GrantRevoked {
            grant,
            reason,
            evidence,
        } => {
            put_blob(to.put(grant).put(reason), evidence);
            GRANT_REVOKED
        }
        Record::GrantSuspended { grant, why } => {
            to.put(grant).put(why);
            GRANT_SUSPENDED
        }
        _ => 0,
    }
}

pub(super) fn read_project(
    kind: u16,
    version: u16,
    from: &mut Reader<'_>,
) -> Result<Record, InvalidBytes> {
    Ok(match kind {
        PROJECT_OPENED => Record::ProjectOpened {
            project: from.get()?,
            first: from.get()?,
        },
        JOIN_ASKED => Record::JoinAsked {
            project: from.get()?,
            person: from.get()?,
            evidence: get_blob(from)?,
        },
        MEMBER_CONFIRMED => Record::MemberConfirmed {
            project: from.get()?,
            person: from.get()?,
            evidence: get_blob(from)?,
        },
        MEMBER_REMOVED => Record::MemberRemoved {
            project: from.get()?,
            person: from.get()?,
            reason: from.get()?,
            evidence: get_blob(from)?,
        },
        PROJECT_LIMIT_SET => Record::ProjectLimitSet {
            project: from.get()?,
            rho: from.get()?,
            evidence: get_blob(from)?,
        },
        GRANT_GIVEN if version == 1 => Record::GrantGiven(old::grant(from)?),
        GRANT_GIVEN => Record::GrantGiven(from.get()?),
        GRANT_REVOKED => Record::GrantRevoked {
            grant: from.get()?,
            reason: from.get()?,
            evidence: get_blob(from)?,
        },
        GRANT_SUSPENDED => Record::GrantSuspended {
            grant: from.get()?,
            why: from.get()?,
        },
        _ => return Err(InvalidBytes::Unknown { kind, version }),
    })
}

pub(super) fn write_subjects(record: &Record, to: &mut Writer, private: &mut Writer) -> u16 {
    match record {
        Record::SubjectsMarked {
            population,
            capacity,
            mark,
            reason,
            evidence,
            hashes,
        } => {
            to.put(population).put(capacity).put(mark).put(reason);
            put_blob(to, evidence);
            put_padded(to, private, *capacity, hashes);
            SUBJECTS_MARKED
        }
        Record::SubjectsReadmitted {
            population,
            capacity,
            reason,
            evidence,
            hashes,
        } => {
            put_blob(to.put(population).put(capacity).put(reason), evidence);
            put_padded(to, private, *capacity, hashes);
            SUBJECTS_READMITTED
        }
        Record::SubjectsRekeyed {
            population,
            capacity,
            evidence,
            pairs,
        } => {
            put_blob(to.put(population).put(capacity), evidence);
            put_padded(to, private, *capacity, pairs);
            SUBJECTS_REKEYED
        }
        Record::PopulationsMerged {
            keep,
            gone,
            capacity,
            limit,
            guarantee,
            evidence,
            pairs,
        } => {
            to.put(keep).put(gone).put(capacity);
            put_blob(to.put(limit).put(guarantee), evidence);
            put_padded(to, private, *capacity, pairs);
            POPULATIONS_MERGED
        }
        _ => 0,
    }
}

pub(super) fn read_subjects(
    kind: u16,
    version: u16,
    from: &mut Reader<'_>,
    private: &mut Reader<'_>,
) -> Result<Record, InvalidBytes> {
    Ok(match kind {
        SUBJECTS_MARKED => Record::SubjectsMarked {
            population: from.get()?,
            capacity: get_capacity(from)?,
            mark: from.get()?,
            reason: from.get()?,
            evidence: get_blob(from)?,
            hashes: get_padded(from, private)?,
        },
        SUBJECTS_READMITTED => Record::SubjectsReadmitted {
            population: from.get()?,
            capacity: get_capacity(from)?,
            reason: from.get()?,
            evidence: get_blob(from)?,
            hashes: get_padded(from, private)?,
        },
        SUBJECTS_REKEYED => Record::SubjectsRekeyed {
            population: from.get()?,
            capacity: get_capacity(from)?,
            evidence: get_blob(from)?,
            pairs: get_padded(from, private)?,
        },
        POPULATIONS_MERGED => Record::PopulationsMerged {
            keep: from.get()?,
            gone: from.get()?,
            capacity: get_capacity(from)?,
            limit: from.get()?,
            guarantee: from.get()?,
            evidence: get_blob(from)?,
            pairs: get_padded(from, private)?,
        },
        _ => return Err(InvalidBytes::Unknown { kind, version }),
    })
}

/// What is stored as the bytes that it is: every value as long as its type.
trait Bytes: Stored {}
impl Bytes for SubjectHash {}
impl Bytes for (SubjectHash, SubjectHash) {}

/// A private list with room for a multiple of the capacity, so that its length does not tell how
/// many are on it; the public part says for how many there is room.
fn put_padded<T: Bytes>(to: &mut Writer, private: &mut Writer, capacity: u32, list: &[T]) {
    let step = (capacity as usize).max(1);
    let room = list.len().div_ceil(step).max(1) * step;
    to.put(&u32::try_from(room).unwrap_or(u32::MAX));
    private.put(&u32::try_from(list.len()).unwrap_or(u32::MAX));
    for value in list {
        private.put(value);
    }
    private.raw(&vec![0; (room - list.len()) * size_of::<T>()]);
}

fn get_padded<T: Bytes>(
    from: &mut Reader<'_>,
    private: &mut Reader<'_>,
) -> Result<Vec<T>, InvalidBytes> {
    let (room, count) = (from.get::<u32>()?, private.get::<u32>()?);
    let padding = room
        .checked_sub(count)
        .ok_or(InvalidBytes::Meaningless("a padded list"))?;
    let mut list = Vec::new();
    for _ in 0..count {
        list.push(private.get()?);
    }
    let padding = private.take(padding as usize * size_of::<T>(), "padding")?;
    if padding.iter().any(|byte| *byte != 0) {
        return Err(InvalidBytes::Meaningless("padding"));
    }
    Ok(list)
}
