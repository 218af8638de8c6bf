//! Upkeep beside the releases: the ledger compacts by itself, so that a start never reads more
//! than a share of what its releases have written.
//!
//! The steps and their order are those of `compact`; only who waits for them differs. Charges of
//! old segments are added up from the journal, the base is written, and segments are written
//! anew, all without the lock, because nothing ever changes in old segments and bases. The mark
//! needs a moment without an open release: it is appended then, or together with the release that
//! ends the last open one. When there is something to do follows from lengths of segments and
//! from capacities; how long it takes is the same whatever the codes are.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, MutexGuard, PoisonError, TryLockError};

use obscura_model::ids::{Digest, UnixMillis};

use super::open::{self, replay_to};
use super::{Inner, Ledger};
use crate::base;
use crate::error::Error;
use crate::journal::frame::Frame;
use crate::journal::merkle::Head;
use crate::journal::segment::Header;
use crate::journal::storage::Storage;
use crate::journal::{self, Compaction, Due, Marked};
use crate::record::{Account, Record, holds_charges};
use crate::state::{AccountEntry, State};

mod tally;

use tally::Tally;

/// How many times the length of the base old segments have to have before they are compacted: a
/// base takes 8 bytes for a subject, a release 2, so this is a base for every 16 releases.
const BASES: u64 = 4;

/// What is to be done next.
enum Chore {
    /// Adding up the charges before a head, after which there is a mark to be made.
    AddUp(Head),
    /// Appending the mark that waits.
    Mark,
    /// Writing these segments, which the last mark covers, again.
    Drop(Vec<Due>),
}

/// The journal as it was at a moment: what of it is old never changes.
struct Past {
    storage: Arc<dyn Storage>,
    segments: Vec<Header>,
    mark: Option<Marked>,
    size: u64,
    /// How many subjects each account has room for.
    capacities: BTreeMap<Account, usize>,
}

impl Ledger {
    /// Whether [`Ledger::tend`] has anything to do now. A quick look.
    #[must_use]
    pub fn wants_tending(&self) -> bool {
        self.lock().is_ok_and(|inner| inner.chore().is_some())
    }

    /// Compacts if old segments are long enough; to be called, on a thread that nobody waits for,
    /// after releases. What cannot be done while a release is open, a later call does. Gives how
    /// many segments were written again; nothing is done while another call is at it.
    ///
    /// # Errors
    /// If the storage fails, a record is damaged, or the exposures in memory are not those of the
    /// journal. Then the ledger stops, and a new start finds the same state.
    pub fn tend(&self, now: UnixMillis) -> Result<u32, Error> {
        let _alone = match self.upkeep.try_lock() {
            Ok(alone) => alone,
            Err(TryLockError::Poisoned(alone)) => alone.into_inner(),
            Err(TryLockError::WouldBlock) => return Ok(0),
        };
        let done = self.chores(now);
        if done.as_ref().is_err_and(Error::is_fatal) {
            self.peek().journal.stop();
        }
        done
    }

    /// Waits until nobody else compacts.
    pub(super) fn alone(&self) -> MutexGuard<'_, ()> {
        self.upkeep.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn chores(&self, now: UnixMillis) -> Result<u32, Error> {
        let mut written = 0;
        loop {
            let chore = self.lock()?.chore();
            match chore {
                None => return Ok(written),
                Some(Chore::AddUp(up_to)) => self.add_up(up_to)?,
                Some(Chore::Mark) => self.lock()?.mark_prepared(now)?,
                Some(Chore::Drop(due)) => written += self.drop_lists(&due)?,
            }
        }
    }

    /// Makes the base at a head durable, from the journal alone, after seeing that it and the
    /// charges since lead to the very exposures in memory. It means nothing until it is marked.
    fn add_up(&self, up_to: Head) -> Result<(), Error> {
        let past = self.lock()?.past();
        let tally = Tally::begin(base::read(&*past.storage, past.mark)?);
        if !self.add_up_with(&past, up_to, Sum::Tally(tally))? {
            let size = past.mark.map_or(0, |marked| marked.mark.up_to.size);
            let state = replay_to(&*past.storage, &past.segments, past.mark, size)?;
            self.add_up_with(&past, up_to, Sum::State(Box::new(state)))?;
        }
        Ok(())
    }

    /// The same with a sum that stands at the last mark; no if it cannot tell.
    fn add_up_with(&self, past: &Past, up_to: Head, mut sum: Sum) -> Result<bool, Error> {
        let from = past.mark.map_or(0, |marked| marked.mark.up_to.size);
        if !sum.add(past, from..up_to.size)? {
            return Ok(false);
        }
        let bytes = base::encode(up_to, sum.accounts());
        let base = Digest::of(&bytes);
        base::write(&*past.storage, up_to, &bytes)?;
        drop(bytes);
        if !sum.add(past, up_to.size..past.size)? {
            return Ok(false);
        }
        let mut inner = self.lock()?;
        let now = inner.past();
        if !sum.add(&now, past.size..now.size)? {
            return Ok(false);
        }
        if !same(sum.accounts(), &inner.state.accounts) {
            return Err(Error::Interrupted);
        }
        inner.prepared = Some(Compaction { up_to, base });
        Ok(true)
    }

    /// Writes segments without their lists of charges, each in the place of the one with them.
    fn drop_lists(&self, due: &[Due]) -> Result<u32, Error> {
        let storage = Arc::clone(self.lock()?.journal.storage());
        for due in due {
            let leaf = self.lock()?.journal.leaves(due);
            let ready = journal::rewritten(&*storage, &leaf, due, holds_charges)?;
            journal::prepare(&*storage, &ready)?;
            let mut inner = self.lock()?;
            inner.journal.replace(due, &ready)?;
            inner.moved(&ready);
        }
        journal::sync_names(&*storage)?;
        let mark = self.lock()?.journal.mark();
        base::tidy(&*storage, mark)?;
        Ok(u32::try_from(due.len()).unwrap_or(u32::MAX))
    }
}

impl Inner {
    fn chore(&self) -> Option<Chore> {
        let due = self.journal.due();
        let marked = self.journal.mark().map(|marked| marked.mark.up_to);
        let covered = |due: &&Due| marked.is_some_and(|head| due.is_before(head));
        let covered: Vec<Due> = due.iter().filter(covered).cloned().collect();
        if !covered.is_empty() {
            return Some(Chore::Drop(covered));
        }
        if self.prepared.is_some() {
            return self.no_release_open().is_ok().then_some(Chore::Mark);
        }
        let length = due
            .iter()
            .fold(0u64, |sum, due| sum.saturating_add(due.length()));
        let accounts = self.state.accounts.values();
        let base: u64 = accounts.map(|entry| 8 * entry.exposures.len() as u64).sum();
        let long = !due.is_empty() && length >= self.compact_from.max(BASES.saturating_mul(base));
        self.journal.old_head().filter(|_| long).map(Chore::AddUp)
    }

    fn past(&self) -> Past {
        let accounts = self.state.accounts.iter();
        Past {
            storage: Arc::clone(self.journal.storage()),
            segments: self.journal.segments().to_vec(),
            mark: self.journal.mark(),
            size: self.journal.size(),
            capacities: accounts
                .map(|(account, entry)| (account.clone(), entry.exposures.len()))
                .collect(),
        }
    }

    fn mark_prepared(&mut self, now: UnixMillis) -> Result<(), Error> {
        if self.no_release_open().is_ok()
            && let Some(mark) = self.prepared.take()
        {
            self.record(now, vec![Record::Compacted(mark)])?;
        }
        Ok(())
    }
}

/// Exposures on their way from the last mark on.
enum Sum {
    /// Only they: quick, and enough for nearly every journal.
    Tally(Tally),
    /// Everything, where records since the mark move exposures from one place to another.
    State(Box<State>),
}

impl Sum {
    /// Adds the charges of some records; no if it cannot tell what they change.
    fn add(&mut self, past: &Past, indexes: Range<u64>) -> Result<bool, Error> {
        let mut told = true;
        let mut visit = |_, frame: Frame| {
            match self {
                Sum::Tally(tally) => told = told && tally.add(frame, past)?,
                Sum::State(state) => open::apply(state, frame, true)?,
            }
            Ok(())
        };
        journal::walk::<Error>(&*past.storage, &past.segments, indexes, &mut visit)?;
        Ok(told)
    }

    fn accounts(&self) -> &BTreeMap<Account, AccountEntry> {
        match self {
            Sum::Tally(tally) => tally.accounts(),
            Sum::State(state) => &state.accounts,
        }
    }
}

/// Whether two sets of accounts have the same exposures.
fn same(one: &BTreeMap<Account, AccountEntry>, other: &BTreeMap<Account, AccountEntry>) -> bool {
    let exposures = |(account, entry): (_, &AccountEntry)| (account, Arc::clone(&entry.exposures));
    one.iter().map(exposures).eq(other.iter().map(exposures))
}
