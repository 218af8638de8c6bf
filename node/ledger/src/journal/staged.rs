//! Appends of several callers that become durable together: taken in one after the other, and
//! written and synced once, as one append.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use obscura_model::ids::UnixMillis;

use super::append::MOST_RECORDS;
use super::frame::{Entry, Frame};
use super::merkle::Head;
use super::{Journal, JournalError, Place};

/// From so many bytes on one more append would gain nothing by waiting for others: 1 MiB.
const FULL_BYTES: usize = 1 << 20;

/// Frames that have their place in the tree and are not durable yet.
#[derive(Default)]
pub(super) struct Staged {
    frames: Vec<(usize, Frame)>,
    /// The length of all of them, in bytes.
    bytes: usize,
    /// The head before the first of them.
    before: Option<Head>,
}

impl Journal {
    /// Whether there is anything that only [`Journal::flush`] makes durable.
    pub(crate) fn is_staged(&self) -> bool {
        !self.staged.frames.is_empty()
    }

    /// Whether it is time for [`Journal::flush`]: another append would make the wait long, or be
    /// refused.
    pub(crate) fn is_staged_full(&self) -> bool {
        self.staged.bytes >= FULL_BYTES || self.staged.frames.len() >= MOST_RECORDS / 2
    }

    /// Takes entries in: they have index, time and leaf from now on, and the head counts them, so
    /// that nobody may be shown anything before [`Journal::flush`]. Gives the index of the first
    /// and their time. There is room for as many as one append has.
    pub(crate) fn stage(
        &mut self,
        now: UnixMillis,
        entries: Vec<Entry>,
    ) -> Result<(u64, UnixMillis), JournalError> {
        self.health()?;
        let (first, time) = (self.tree.size(), self.time(now));
        if self.staged.frames.len().saturating_add(entries.len()) > MOST_RECORDS {
            return Err(JournalError::TooLarge);
        }
        let frames = self.frames(now, entries)?;
        self.staged.before.get_or_insert(self.tree.head());
        for (length, frame) in frames {
            self.tree.push(frame.leaf());
            self.staged.bytes = self.staged.bytes.saturating_add(length);
            self.staged.frames.push((length, frame));
        }
        self.last_time = time;
        Ok((first, time))
    }

    /// Makes all that was taken in durable: one append, one write, one sync. Gives its places. If
    /// that fails or panics the journal stops, and its head is what it was before.
    pub(crate) fn flush(&mut self) -> Result<Vec<Place>, JournalError> {
        let Staged {
            mut frames, before, ..
        } = std::mem::take(&mut self.staged);
        let before = before.unwrap_or(self.tree.head());
        let count = frames.len() as u16;
        for ((_, frame), position) in frames.iter_mut().zip(0u16..) {
            (frame.position, frame.count) = (position, count);
        }
        let written = catch_unwind(AssertUnwindSafe(|| {
            self.health()?;
            let (places, ()) = self.put(&frames, before, |_, _, run| run())?;
            self.follow_tail()?;
            Ok(places)
        }));
        if !matches!(written, Ok(Ok(_))) {
            self.stop();
            self.tree.cut(before.size);
        }
        written.unwrap_or_else(|panic| resume_unwind(panic))
    }
}
