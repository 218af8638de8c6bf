//! Appends of several callers that become durable together: taken in one after the other, and
//! written and synced once, as one append.

use obscura_model::ids::UnixMillis;

use super::frame::{Entry, Frame};
use super::merkle::Head;
use super::{Journal, JournalError, Place};

/// Frames that have their place in the tree and are not durable yet.
#[derive(Default)]
pub(super) struct Staged {
    frames: Vec<(usize, Frame)>,
    /// The head before the first of them.
    before: Option<Head>,
}

impl Journal {
    /// Whether there is anything that only [`Journal::flush`] makes durable.
    pub(crate) fn is_staged(&self) -> bool {
        !self.staged.frames.is_empty()
    }

    /// Takes entries in: they have index, time and leaf from now on, and the head counts them, so
    /// that nobody may be shown anything before [`Journal::flush`]. Gives the index of the first
    /// and their time.
    pub(crate) fn stage(
        &mut self,
        now: UnixMillis,
        entries: Vec<Entry>,
    ) -> Result<(u64, UnixMillis), JournalError> {
        self.health()?;
        let (first, time) = (self.tree.size(), self.time(now));
        let frames = self.frames(now, entries)?;
        self.staged.before.get_or_insert(self.tree.head());
        for (length, frame) in frames {
            self.tree.push(frame.leaf());
            self.staged.frames.push((length, frame));
        }
        self.last_time = time;
        Ok((first, time))
    }

    /// Makes all that was taken in durable: one append, one write, one sync. Gives its places. If
    /// that fails the journal stops, and its head is what it was before.
    pub(crate) fn flush(&mut self) -> Result<Vec<Place>, JournalError> {
        let Staged { mut frames, before } = std::mem::take(&mut self.staged);
        let before = before.unwrap_or(self.tree.head());
        let count = frames.len() as u16;
        for ((_, frame), position) in frames.iter_mut().zip(0u16..) {
            (frame.position, frame.count) = (position, count);
        }
        let written = self.health().and_then(|()| {
            let (places, ()) = self.put(&frames, before, |_, _, run| run())?;
            self.follow_tail()?;
            Ok(places)
        });
        if written.is_err() {
            self.stop();
            self.tree.cut(before.size);
        }
        written
    }
}
