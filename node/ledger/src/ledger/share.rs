//! One flush for several callers.
//!
//! Whoever writes while others are about to write leaves the flush to the last of them: the records
//! are validated and applied one after the other, become durable in one append, and only then does
//! anybody return, also who decided on them and recorded nothing: a refusal, say. Until then nobody
//! else sees the state: who only reads waits. Without others,
//! everything is as if there were no sharing.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, MutexGuard, PoisonError};

use obscura_model::ids::UnixMillis;

use super::{Inner, Ledger};
use crate::error::Error;
use crate::index::Line;
use crate::record::{self, Record, RequestKey};
use crate::state::At;

/// The most callers of one flush, so that those who only read are not kept waiting.
const MOST_CALLERS: u32 = 64;

/// What becomes durable together.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// Whether the one who has the lock came through [`Ledger::share`].
    sharing: bool,
    /// Whether that one records several times.
    several: bool,
    /// As the ledger's.
    pub(super) coming: Arc<AtomicUsize>,
    /// The callers of the flush to come, those included who only read what it makes durable.
    callers: u32,
    /// The flushes so far, failed ones included.
    flushes: u64,
    /// What the index will know of the records: their numbers and what they answer.
    lines: Vec<(u64, Option<RequestKey>)>,
}

impl Shared {
    /// Whether records are to be taken in, for a flush that comes later.
    pub(super) fn is_open(&self) -> bool {
        self.sharing && (self.several || self.coming.load(Ordering::SeqCst) > 0)
    }
}

impl Ledger {
    /// Runs `write`, which validates against the state and records, with the lock. What it recorded
    /// is durable when this returns, perhaps by one flush with what others recorded.
    ///
    /// # Errors
    /// Those of `write`, and if the storage fails or the ledger has stopped.
    pub(super) fn share<T>(
        &self,
        write: impl FnOnce(&mut Inner) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.share_several(false, write)
    }

    /// As [`Ledger::share`]; all that `write` records is durable by one flush if it says that it
    /// records `several` times.
    pub(super) fn share_several<T>(
        &self,
        several: bool,
        write: impl FnOnce(&mut Inner) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.coming.fetch_add(1, Ordering::SeqCst);
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        self.coming.fetch_sub(1, Ordering::SeqCst);
        (inner.shared.sharing, inner.shared.several) = (true, several);
        // A panic must not leave the records of others behind that nobody makes durable.
        let written = catch_unwind(AssertUnwindSafe(|| {
            inner.usable()?;
            write(&mut inner)
        }));
        inner.shared.sharing = false;
        // Who recorded nothing waits like the others: what it decided on may not be durable.
        let flushed = if inner.journal.is_staged() {
            self.flush_or_wait(inner)
        } else {
            Ok(())
        };
        match written {
            Ok(written) => flushed.and(written),
            Err(panic) => resume_unwind(panic),
        }
    }

    /// Ends when all that was taken in so far is durable, or will never be.
    fn flush_or_wait(&self, mut inner: MutexGuard<'_, Inner>) -> Result<(), Error> {
        inner.shared.callers += 1;
        let others = self.coming.load(Ordering::SeqCst) > 0;
        if others && inner.shared.callers < MOST_CALLERS && !inner.journal.is_staged_full() {
            let number = inner.shared.flushes;
            let waiting = |inner: &mut Inner| inner.shared.flushes == number;
            let waited = self.flushed.wait_while(inner, waiting);
            return waited.unwrap_or_else(PoisonError::into_inner).usable();
        }
        // Whatever becomes of it, who waits for it is told.
        let flushed = catch_unwind(AssertUnwindSafe(|| inner.flush()));
        drop(inner);
        self.flushed.notify_all();
        flushed.unwrap_or_else(|panic| resume_unwind(panic))
    }
}

impl Inner {
    /// Whether the state may be decided on.
    pub(super) fn usable(&self) -> Result<(), Error> {
        self.journal.health()?;
        if self.applying {
            Err(Error::Interrupted)
        } else {
            Ok(())
        }
    }

    /// Takes records in and applies them; [`Inner::flush`] makes them durable.
    pub(super) fn stage(&mut self, now: UnixMillis, records: Vec<Record>) -> Result<u64, Error> {
        let entries = records.iter().map(record::encode).collect();
        self.applying = true;
        let (first, time) = match self.journal.stage(now, entries) {
            Ok(staged) => staged,
            Err(error) => {
                self.applying = false;
                return Err(error.into());
            }
        };
        for (index, record) in (first..).zip(records) {
            let answers = self.state.answers(&record);
            self.shared.lines.push((index, answers));
            let at = At {
                index,
                time,
                charge: true,
            };
            self.state
                .apply(record, at)
                .map_err(|source| Error::History { index, source })?;
        }
        self.applying = false;
        Ok(first)
    }

    /// Makes durable what was taken in. After a failure, or a panic, nothing is decided on this
    /// state any more.
    fn flush(&mut self) -> Result<(), Error> {
        let lines = std::mem::take(&mut self.shared.lines);
        self.shared.callers = 0;
        self.shared.flushes = self.shared.flushes.wrapping_add(1);
        // The state has what is not durable yet: only success makes them the same again.
        let before = std::mem::replace(&mut self.applying, true);
        let places = self.journal.flush()?;
        self.applying = before;
        let line = |((index, answers), place)| Line {
            index,
            place,
            answers,
        };
        let lines: Vec<Line> = lines.into_iter().zip(places).map(line).collect();
        self.index.note(&lines, self.journal.head());
        Ok(())
    }
}
