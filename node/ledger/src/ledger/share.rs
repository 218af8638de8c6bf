//! One flush for several callers.
//!
//! Whoever writes while others are about to write leaves the flush to the last of them: the records
//! are validated and applied one after the other, become durable in one append, and only then does
//! anybody return. Until then nobody else sees the state: who only reads waits. Without others,
//! everything is as if there were no sharing.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError};

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
    /// The callers of the flush to come.
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
        let before = inner.journal.size();
        // A panic must not leave the records of others behind that nobody makes durable.
        let written = catch_unwind(AssertUnwindSafe(|| {
            inner.usable()?;
            write(&mut inner)
        }));
        inner.shared.sharing = false;
        let mut flushed = Ok(());
        if inner.journal.is_staged() {
            inner.shared.callers += 1;
            let number = inner.shared.flushes;
            let others = self.coming.load(Ordering::SeqCst) > 0;
            if others && inner.shared.callers < MOST_CALLERS {
                if inner.journal.size() > before {
                    let waiting = |inner: &mut Inner| inner.shared.flushes == number;
                    let waited = self.flushed.wait_while(inner, waiting);
                    let inner = waited.unwrap_or_else(PoisonError::into_inner);
                    flushed = inner.journal.health().map_err(Error::from);
                }
            } else {
                flushed = inner.flush();
                drop(inner);
                self.flushed.notify_all();
            }
        }
        match written {
            Ok(written) => written.and_then(|given| flushed.map(|()| given)),
            Err(panic) => resume_unwind(panic),
        }
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

    /// Makes durable what was taken in. After a failure nothing is decided on this state any more.
    fn flush(&mut self) -> Result<(), Error> {
        let lines = std::mem::take(&mut self.shared.lines);
        self.shared.callers = 0;
        self.shared.flushes = self.shared.flushes.wrapping_add(1);
        let places = self.journal.flush()?;
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
