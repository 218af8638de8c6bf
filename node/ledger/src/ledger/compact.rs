//! Compaction: the lists of charges in old segments go, what they added up to stays.
//!
//! The order is what makes it safe. (1) The exposures at the head before the current segment are
//! added up from the journal alone, carried on to the present and compared with the exposures in
//! memory. (2) They become durable as the *base*. (3) A record that names the head and, hidden,
//! the base's digest becomes durable. (4) Old segments are replaced one by one. (5) The base of
//! the compaction before goes. After every step the ledger opens to the same state: before (3) a
//! base means nothing, from (3) on charges before its head are not added again, whether their
//! list is there or not. What (4) left undone, the next compaction does.

use std::path::Path;

use obscura_model::ids::{Digest, KeyId, PopulationName, UnixMillis};

use super::open::{self, replay_to};
use super::{Inner, Ledger, Site};
use crate::base;
use crate::error::{Error, Refusal};
use crate::index::Line;
use crate::journal::merkle::Head;
use crate::journal::storage::{Folder, Storage};
use crate::journal::{self, Compaction, Due, Rewritten};
use crate::record::{Record, holds_charges};
use crate::state::State;

/// What a compaction did, or would do. All of it follows from public facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Compacted {
    /// How many segments were rewritten.
    pub segments: u32,
    /// How many releases in them lost the list of their charges.
    pub records: u64,
    /// The lengths of those segments and of the exposure base before, in bytes.
    pub bytes_before: u64,
    /// The same afterwards. It can be the larger number where little was released.
    pub bytes_after: u64,
}

impl Compacted {
    fn count(&mut self, before: &Due, length: u64, dropped: u64) {
        self.segments = self.segments.saturating_add(1);
        self.records = self.records.saturating_add(dropped);
        self.bytes_before = self.bytes_before.saturating_add(before.length());
        self.bytes_after = self.bytes_after.saturating_add(length);
    }
}

impl Ledger {
    /// Drops the lists of charges in all old segments, never the current one, once what they add
    /// up to is durable. Exposures, answers, leaves, heads and proofs stay what they are. The
    /// ledger does nothing else meanwhile. Without an old segment nothing happens.
    ///
    /// # Errors
    /// If a release is open (nothing was done), or the storage fails or a record is damaged (then
    /// the ledger stops, and a new start finds the same state).
    pub fn compact(&self, now: UnixMillis) -> Result<Compacted, Error> {
        let _alone = self.alone();
        let mut inner = self.lock()?;
        inner.no_release_open()?;
        let due = inner.journal.due();
        match inner.journal.old_head() {
            Some(up_to) if !due.is_empty() => {
                let compacted = inner.compact(up_to, &due, now);
                if compacted.as_ref().is_err_and(Error::is_fatal) {
                    inner.journal.stop();
                }
                compacted
            }
            _ => Ok(Compacted::default()),
        }
    }

    /// What [`Ledger::compact`] would do, from the files alone and without changing them.
    ///
    /// # Errors
    /// As [`Ledger::verify`].
    pub fn compactable(dir: &Path, journal: KeyId) -> Result<Compacted, Error> {
        rehearse(&Folder::existing(&Site::journal_path(dir)), journal)
    }

    /// A population with a release that was interrupted and not run again yet, from the files
    /// alone. Opening a ledger that has one counts as a stop of the process, which is for the
    /// node to do and not for a tool.
    ///
    /// # Errors
    /// As [`Ledger::verify`].
    pub fn interrupted(dir: &Path, journal: KeyId) -> Result<Option<PopulationName>, Error> {
        let storage = Folder::existing(&Site::journal_path(dir));
        let scan = journal::scan(&storage, journal)?;
        let state = replay_to(&storage, &scan.segments, scan.mark, scan.tree.size())?;
        let mut populations = state.populations.into_iter();
        let open = populations.find(|(_, population)| !population.open.is_empty());
        Ok(open.map(|(name, _)| name))
    }
}

/// See [`Ledger::compactable`].
pub(crate) fn rehearse(storage: &dyn Storage, journal: KeyId) -> Result<Compacted, Error> {
    let scan = journal::scan(storage, journal)?;
    let mut compacted = Compacted::default();
    for due in journal::due(&scan.segments) {
        let leaf = |index| scan.tree.leaf(index);
        let rewritten = journal::rewritten(storage, &leaf, &due, holds_charges)?;
        compacted.count(&due, rewritten.length(), rewritten.dropped);
    }
    let up_to = scan.segments.last().map(|header| header.before);
    if let Some(up_to) = up_to.filter(|_| compacted.segments > 0) {
        let state = replay_to(storage, &scan.segments, scan.mark, up_to.size)?;
        let bytes = base::encode(up_to, &state.accounts);
        compacted.bytes_before += base::length(storage, scan.mark)?;
        compacted.bytes_after += bytes.len() as u64;
    }
    Ok(compacted)
}

impl Inner {
    /// Compaction is blocked while any intent is open.
    pub(super) fn no_release_open(&self) -> Result<(), Refusal> {
        let mut open = self.state.populations.iter();
        match open.find(|(_, population)| !population.open.is_empty()) {
            Some((name, _)) => Err(Refusal::IntentOpen(name.clone())),
            None => Ok(()),
        }
    }

    fn compact(&mut self, up_to: Head, due: &[Due], now: UnixMillis) -> Result<Compacted, Error> {
        // What waited to be marked may be an older base, which goes.
        self.prepared = None;
        let bytes = self.base(up_to)?;
        let before = base::length(&**self.journal.storage(), self.journal.mark())?;
        self.mark(up_to, &bytes, now)?;
        let mut compacted = Compacted {
            bytes_before: before,
            bytes_after: bytes.len() as u64,
            ..Compacted::default()
        };
        for due in due {
            let rewritten = self.journal.compact(due, holds_charges)?;
            compacted.count(due, rewritten.length(), rewritten.dropped);
            self.moved(&rewritten);
        }
        base::tidy(&**self.journal.storage(), self.journal.mark())?;
        Ok(compacted)
    }

    /// Notes where the records of a compacted segment lie now.
    pub(super) fn moved(&mut self, compacted: &Rewritten) {
        let releases = &self.state.releases;
        let places = compacted.places.iter();
        let lines: Vec<_> = places
            .map(|(index, place)| Line {
                index: *index,
                place: *place,
                answers: releases.get(index).map(|release| release.key),
            })
            .collect();
        self.index.note(&lines, self.journal.head());
    }

    /// The base at a head, from the journal alone, after seeing that it and the charges since
    /// lead to the very exposures in memory.
    fn base(&self, up_to: Head) -> Result<Vec<u8>, Error> {
        let (journal, mark) = (&self.journal, self.journal.mark());
        let storage = &**journal.storage();
        let mut state: State = replay_to(storage, journal.segments(), mark, up_to.size)?;
        let bytes = base::encode(up_to, &state.accounts);
        journal.walk(up_to.size, journal.size(), &mut |_, frame| {
            open::apply(&mut state, frame, true)
        })?;
        if state.accounts == self.state.accounts {
            Ok(bytes)
        } else {
            Err(Error::Interrupted)
        }
    }

    /// Makes the base and its mark durable, unless an interrupted compaction did.
    fn mark(&mut self, up_to: Head, bytes: &[u8], now: UnixMillis) -> Result<(), Error> {
        let mark = Compaction {
            up_to,
            base: Digest::of(bytes),
        };
        // Its base was read and carried on from just now, so that it is the same.
        if self.journal.mark().map(|marked| marked.mark.up_to) == Some(up_to) {
            return Ok(());
        }
        base::write(&**self.journal.storage(), up_to, bytes)?;
        self.record(now, vec![Record::Compacted(mark)])?;
        Ok(())
    }
}
