//! The ledger: named operations, each of which validates against the state, appends, and applies.
//!
//! All decisions are made under one lock, so that of many racing requests exactly those that fit
//! together win. A record is applied only after it is durable, or, where releases of several
//! populations share one flush (`share`), seen by nobody else before it is. Whatever fails half-way
//! stops the ledger: the next start finds out what is true.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use obscura_model::ids::{KeyId, UnixMillis};

use crate::checkpoint;
use crate::error::Error;
use crate::index::{Index, Line};
use crate::journal::JournalError;
use crate::journal::merkle::{Hash, Head};
use crate::journal::storage::Folder;
use crate::journal::{self, Compaction, Entropy, Journal, Place, SEGMENT_BYTES, Stored};
use crate::record::{self, Record, RequestKey};
use crate::state::{At, State};
use crate::views::{Committed, LogEntry};

mod admit;
mod commit;
mod compact;
mod data;
mod failure;
mod grants;
mod offer;
mod open;
mod owner;
mod projects;
mod share;
mod show;
mod studies;
mod subjects;
mod tend;

pub use admit::{Admission, AdmitRequest, Exposures};
pub use commit::CommitContext;
pub use compact::Compacted;
#[cfg(test)]
pub(crate) use compact::rehearse;
pub use data::{Indexed, Ingest, NewData, NewPopulation};
pub use failure::AfterFailure;
pub use offer::{MOST_OFFERS, OfferRequest};
pub(crate) use open::Place as Site;
pub use open::Verified;
#[cfg(test)]
pub(crate) use open::verify;

/// Durable truth of a node. All methods may be called from any thread.
pub struct Ledger {
    inner: Mutex<Inner>,
    /// Held by whoever compacts, before `inner`.
    upkeep: Mutex<()>,
    /// Told after every shared flush.
    flushed: Condvar,
    /// Callers of [`Ledger::share`] that do not have the lock yet, and will.
    coming: Arc<AtomicUsize>,
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ledger")
    }
}

struct Inner {
    journal: Journal,
    state: State,
    index: Index,
    /// Intents whose permit is in somebody's hands now.
    running: BTreeSet<u64>,
    /// Set while durable records and the state may differ; stays set if that fails.
    applying: bool,
    /// From how many bytes of old segments on the ledger compacts by itself.
    compact_from: u64,
    /// A mark whose base is durable, and which waits for a moment without an open release.
    prepared: Option<Compaction>,
    /// What becomes durable with others.
    shared: share::Shared,
}

impl Ledger {
    /// Begins a ledger in a folder that has none. `journal` is the node's key.
    ///
    /// # Errors
    /// If there is a ledger already, or the storage or the random bytes fail.
    pub fn create(
        dir: &Path,
        journal: KeyId,
        entropy: Entropy,
        now: UnixMillis,
    ) -> Result<Self, Error> {
        Self::create_at(Site::on_disk(dir)?, journal, entropy, now)
    }

    /// Opens a ledger: verifies every record, cuts off what was never acknowledged, counts
    /// interrupted releases, gives up those that were interrupted twice.
    ///
    /// # Errors
    /// If there is no ledger, it belongs to another node, another process holds it, a record is
    /// damaged (the error names it), or the storage fails.
    pub fn open(
        dir: &Path,
        journal: KeyId,
        entropy: Entropy,
        now: UnixMillis,
    ) -> Result<Self, Error> {
        // Looked at before anything is made: an empty folder would be in the way of the real one.
        if !Site::journal_path(dir).is_dir() {
            return Err(JournalError::Missing.into());
        }
        Self::open_at(Site::on_disk(dir)?, journal, entropy, now)
    }

    /// Verifies a ledger without changing it, also while a node uses it.
    ///
    /// # Errors
    /// As [`Ledger::open`].
    pub fn verify(dir: &Path, journal: KeyId) -> Result<Verified, Error> {
        open::verify(&Folder::existing(&Site::journal_path(dir)), journal)
    }

    /// Writes a checkpoint of the exposures, so that the next start is quick. Ending without it
    /// is safe.
    ///
    /// # Errors
    /// If the storage fails.
    pub fn close(self) -> Result<(), Error> {
        self.lock()?.checkpoint()
    }

    /// The public head.
    #[must_use]
    pub fn head(&self) -> Head {
        self.peek().journal.head()
    }

    /// The time of the last record. A clock behind it is wrong.
    #[must_use]
    pub fn last_time(&self) -> UnixMillis {
        self.peek().journal.last_time()
    }

    /// Whether the ledger serves.
    ///
    /// # Errors
    /// After any failed write: then every call fails and the node must stop serving.
    pub fn health(&self) -> Result<(), Error> {
        self.lock().map(|_| ())
    }

    /// The inclusion proof of record `index` in the tree of the first `size` records (RFC 9162),
    /// nearest sibling first; nothing if there is no such record or tree.
    #[must_use]
    pub fn inclusion(&self, index: u64, size: u64) -> Option<Vec<Hash>> {
        self.peek().journal.inclusion(index, size)
    }

    /// The proof that the journal of the first `second` records begins with its first `first`
    /// (RFC 9162), for [`crate::consistent`]; nothing if `first` is over `second`, or `second`
    /// over the number of records.
    #[must_use]
    pub fn consistency(&self, first: u64, second: u64) -> Option<Vec<Hash>> {
        self.peek().journal.consistency(first, second)
    }

    /// At most `most` lines of the owner's log, from record `from` on.
    ///
    /// # Errors
    /// If the storage fails or a record is damaged.
    pub fn entries(&self, from: u64, most: usize) -> Result<Vec<LogEntry>, Error> {
        let inner = self.lock()?;
        let to = from.saturating_add(most as u64).min(inner.journal.size());
        let names = inner.state.names();
        let mut entries = Vec::new();
        inner.journal.walk::<Error>(from, to, &mut |_, frame| {
            let record = open::decode(&frame)?;
            let (kind, text) = record::describe(&record, frame.index, &names);
            entries.push(LogEntry {
                index: frame.index,
                time: frame.time,
                kind,
                text,
                said: record::said(record),
            });
            Ok(())
        })?;
        Ok(entries)
    }

    /// The stored answer to this person's request, if there is one. If that was an earlier
    /// release, [`Committed::key`] is the request that it was made for.
    ///
    /// # Errors
    /// If the storage fails or the record is damaged.
    pub fn release(&self, key: &RequestKey) -> Result<Option<Committed>, Error> {
        let answered = self.lock()?.state.answered_by(key);
        answered
            .map(|(made_for, index)| self.answer(&made_for, index))
            .transpose()
    }

    /// The state, unless the ledger stopped.
    fn lock(&self) -> Result<MutexGuard<'_, Inner>, Error> {
        let inner = self.peek();
        inner.journal.health()?;
        if inner.applying {
            Err(Error::Interrupted)
        } else {
            Ok(inner)
        }
    }

    /// The state, for showing. A panic while the lock was held left either nothing behind or the
    /// mark that stops the ledger.
    ///
    /// Waits for what is not durable yet.
    fn peek(&self) -> MutexGuard<'_, Inner> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = |inner: &mut Inner| inner.journal.is_staged();
        let inner = self.flushed.wait_while(inner, waiting);
        inner.unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads a release outside the lock. The index is asked first; if what it says is not there,
    /// it is made again and the journal is walked.
    fn answer(&self, key: &RequestKey, index: u64) -> Result<Committed, Error> {
        let (stored, leaf) = {
            let inner = self.lock()?;
            (inner.indexed(key, index), inner.journal.leaf(index))
        };
        if let Some(stored) = stored
            && let Some(frame) = stored.read()?
            && Some(frame.leaf()) == leaf
        {
            return committed(key, &frame);
        }
        let mut inner = self.lock()?;
        let read = inner.reread(key, index);
        if read.is_err() {
            inner.journal.stop();
        }
        read
    }
}

fn committed(key: &RequestKey, frame: &journal::frame::Frame) -> Result<Committed, Error> {
    match open::decode(frame)? {
        Record::ReleaseCommitted { body, .. } => {
            Ok(Committed::new(frame.index, frame.time, *key, body))
        }
        _ => Err(Error::Interrupted),
    }
}

impl Inner {
    /// What the ledger takes as the present: a clock that goes back changes nothing.
    fn time(&self, now: UnixMillis) -> UnixMillis {
        self.journal.time(now)
    }

    /// Makes records durable, all or none, and only then applies them; in a shared flush see
    /// [`Ledger::share`]. Gives the first's index.
    fn record(&mut self, now: UnixMillis, records: Vec<Record>) -> Result<u64, Error> {
        if self.shared.is_open() || self.journal.is_staged() {
            return self.stage(now, records);
        }
        let entries = records.iter().map(record::encode).collect();
        self.applying = true;
        let appended = match self.journal.append(now, entries) {
            Ok(appended) => appended,
            Err(error) => {
                self.applying = false;
                return Err(error.into());
            }
        };
        let mut lines = Vec::with_capacity(records.len());
        let indexes = (appended.first..).zip(&appended.places);
        for ((index, place), record) in indexes.zip(records) {
            lines.push(Line {
                index,
                place: *place,
                answers: self.state.answers(&record),
            });
            let at = At {
                index,
                time: appended.time,
                charge: true,
            };
            self.state
                .apply(record, at)
                .map_err(|source| Error::History { index, source })?;
        }
        self.applying = false;
        self.index.note(&lines, self.journal.head());
        Ok(appended.first)
    }

    /// The record that the index names as the answer, if the index agrees with the state.
    fn indexed(&self, key: &RequestKey, index: u64) -> Option<Stored> {
        self.index.answer(key).filter(|found| *found == index)?;
        self.journal.stored(self.index.place(index)?)
    }

    /// Brings the index up to the journal's head: by the records it misses if it stands on this
    /// journal, from the beginning otherwise.
    fn catch_up(&mut self) -> Result<(), Error> {
        let applied = self.index.applied();
        let known = applied.filter(|head| self.journal.head_at(head.size) == Some(*head));
        match known {
            Some(head) if head == self.journal.head() => Ok(()),
            Some(head) => self.index_from(head.size),
            None => self.reindex(),
        }
    }

    fn reindex(&mut self) -> Result<(), Error> {
        self.index.restart();
        if self.index.is_broken() {
            tracing::warn!("the ledger works without its index: look-ups walk the journal");
            return Ok(());
        }
        self.index_from(0)
    }

    fn index_from(&mut self, from: u64) -> Result<(), Error> {
        let answers = self.state.answer_keys();
        let (head, mut lines) = (self.journal.head(), Vec::new());
        let index = &mut self.index;
        self.journal
            .walk::<Error>(from, head.size, &mut |place: Place, frame| {
                let answers = answers.get(&frame.index).copied();
                lines.push(Line {
                    index: frame.index,
                    place,
                    answers,
                });
                Ok(())
            })?;
        index.note(&lines, head);
        Ok(())
    }

    /// Makes the index again and reads a release by walking the journal.
    fn reread(&mut self, key: &RequestKey, index: u64) -> Result<Committed, Error> {
        self.reindex()?;
        let mut found = None;
        self.journal
            .walk::<Error>(index, index.saturating_add(1), &mut |_, frame| {
                found = Some(frame);
                Ok(())
            })?;
        let leaf = self.journal.leaf(index);
        match found.filter(|frame| Some(frame.leaf()) == leaf) {
            Some(frame) => committed(key, &frame),
            None => Err(Error::Interrupted),
        }
    }

    fn checkpoint(&mut self) -> Result<(), Error> {
        let (head, storage) = (self.journal.head(), Arc::clone(self.journal.storage()));
        let written = checkpoint::write(&*storage, head, &self.state.accounts);
        written.map_err(|source| {
            self.journal.stop();
            journal::failed("write a checkpoint")(source).into()
        })
    }
}

impl Site {
    /// The default length of segments.
    pub(crate) const SEGMENT: u64 = SEGMENT_BYTES;
    /// The default of the bytes of old segments from which on the ledger compacts: 256 MiB.
    pub(crate) const COMPACT_FROM: u64 = 256 << 20;
}

#[cfg(test)]
impl Ledger {
    pub(crate) fn head_for_tests(&self, size: u64) -> Option<Head> {
        self.peek().journal.head_at(size)
    }

    pub(crate) fn state_for_tests(&self) -> State {
        self.peek().state.clone()
    }

    /// The exposures of the only population's account.
    pub(crate) fn peek_for_tests(&self) -> Vec<u64> {
        let inner = self.peek();
        inner
            .state
            .accounts
            .values()
            .next()
            .map(|a| a.exposures.to_vec())
            .unwrap_or_default()
    }

    /// Changes the exposure of subject 0 of the only population in memory, as no record says.
    pub(crate) fn expose_for_tests(&self) {
        let mut inner = self.peek();
        let account = inner.state.accounts.values_mut().next().unwrap();
        Arc::make_mut(&mut account.exposures)[0] += 1;
    }

    /// The exposures of one account.
    pub(crate) fn exposures_for_tests(&self, account: &crate::Account) -> Vec<u64> {
        let inner = self.peek();
        inner.state.accounts[account].exposures.to_vec()
    }

    /// How many callers are about to write.
    pub(crate) fn coming_for_tests(&self) -> usize {
        self.coming.load(std::sync::atomic::Ordering::SeqCst)
    }

    pub(crate) fn leaf_for_tests(&self, index: u64) -> Hash {
        self.peek().journal.leaf(index).unwrap()
    }
}
