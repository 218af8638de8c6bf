//! The exposure base: what the charges that compaction dropped added up to, exactly.
//!
//! Exposures are the base and the charges of the records from its head on. It is no convenience,
//! as a checkpoint is: after a compaction it is a part of the truth, bound to the journal by the
//! digest in the compaction's mark. One that is missing or differs in a single bit is damage.

use std::collections::BTreeMap;
use std::io;

use obscura_model::ids::Digest;

use crate::checkpoint::{self, Checkpoint};
use crate::journal::merkle::Head;
use crate::journal::storage::{self, Storage};
use crate::journal::{JournalError, Marked, failed};
use crate::record::Account;
use crate::state::AccountEntry;

const PREFIX: &str = "base-";
const SUFFIX: &str = ".exposures";

fn name(size: u64) -> String {
    format!("{PREFIX}{size:020}{SUFFIX}")
}

/// The bytes of the base of these accounts at this head. Their number follows from capacities and
/// names of accounts, which are public.
pub(crate) fn encode(head: Head, accounts: &BTreeMap<Account, AccountEntry>) -> Vec<u8> {
    checkpoint::encode(head, accounts)
}

/// Makes a base durable, before the mark that names it is written.
pub(crate) fn write(storage: &dyn Storage, head: Head, bytes: &[u8]) -> Result<(), JournalError> {
    let step = "write the exposures of compacted records";
    checkpoint::place(storage, &name(head.size), bytes).map_err(failed(step))
}

/// A base whose accounts are not those that the journal has at its head.
pub(crate) fn foreign(head: Head, mark: Option<Marked>) -> JournalError {
    JournalError::Base {
        name: name(head.size),
        index: mark.map_or(0, |marked| marked.index),
        what: "has other accounts than the records",
    }
}

/// The base that the last mark names; nothing if the journal was never compacted.
///
/// # Errors
/// If it is missing or not the one that the mark names, or the storage fails.
pub(crate) fn read(
    storage: &dyn Storage,
    mark: Option<Marked>,
) -> Result<Option<Checkpoint>, JournalError> {
    let Some(Marked { mark, index }) = mark else {
        return Ok(None);
    };
    let damage = |what| JournalError::Base {
        name: name(mark.up_to.size),
        index,
        what,
    };
    let bytes = match storage::read_all(storage, &name(mark.up_to.size)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(damage("is gone")),
        Err(error) => return Err(failed("read the exposures of compacted records")(error)),
    };
    if Digest::of(&bytes) != mark.base {
        return Err(damage("is damaged"));
    }
    let base = checkpoint::decode(&bytes).ok().flatten();
    match base.filter(|base| base.head == mark.up_to) {
        Some(base) => Ok(Some(base)),
        None => Err(damage("has no meaning for this program")),
    }
}

/// The length of the base of the last mark.
pub(crate) fn length(storage: &dyn Storage, mark: Option<Marked>) -> Result<u64, JournalError> {
    let Some(marked) = mark else { return Ok(0) };
    let length = || storage.open(&name(marked.mark.up_to.size))?.length();
    length().map_err(failed("read the exposures of compacted records"))
}

/// Removes every base but that of the last mark: what a compaction that was interrupted, or the
/// one before the last, left.
pub(crate) fn tidy(storage: &dyn Storage, mark: Option<Marked>) -> Result<(), JournalError> {
    let kept = mark.map(|marked| name(marked.mark.up_to.size));
    let remove = || -> io::Result<()> {
        let names = storage.names()?.into_iter();
        let bases = names.filter(|name| name.starts_with(PREFIX) && name.ends_with(SUFFIX));
        for name in bases.filter(|name| Some(name) != kept.as_ref()) {
            storage.remove(&name)?;
        }
        Ok(())
    };
    remove().map_err(failed("remove the exposures of an earlier compaction"))
}
