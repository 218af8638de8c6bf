//! Appending: frames are made, become durable, and only then count.

use std::panic::resume_unwind;
use std::sync::Arc;

use obscura_model::ids::UnixMillis;

use super::frame::{Entry, Frame};
use super::merkle::{Hash, Head};
use super::segment::{HEADER, Header};
use super::storage::StoredFile;
use super::{Appended, Journal, JournalError, Marked, Place, failed, place_segment};

/// The most records of one append.
pub(super) const MOST_RECORDS: usize = 1024;

/// From so many bytes on an append is hashed while it is written: 1 MiB.
const LARGE: u64 = 1 << 20;

impl Journal {
    /// Appends all entries or none: one write, one sync, then acknowledged.
    pub(crate) fn append(
        &mut self,
        now: UnixMillis,
        entries: Vec<Entry>,
    ) -> Result<Appended, JournalError> {
        self.health()?;
        let frames = self.frames(now, entries)?;
        let result = self.write(&frames);
        self.stopped = result.is_err();
        result
    }

    /// Gives entries their index, time and nonces. Nothing is written yet.
    pub(super) fn frames(
        &mut self,
        now: UnixMillis,
        entries: Vec<Entry>,
    ) -> Result<Vec<(usize, Frame)>, JournalError> {
        if entries.len() > MOST_RECORDS {
            return Err(JournalError::TooLarge);
        }
        let (first, time, count) = (self.tree.size(), self.time(now), entries.len() as u16);
        let mut frames = Vec::with_capacity(entries.len());
        for (entry, position) in entries.into_iter().zip(0u16..) {
            let length = Frame::length(&entry).ok_or(JournalError::TooLarge)?;
            let (mut public_nonce, mut private_nonce) = ([0; 32], [0; 32]);
            self.entropy(&mut public_nonce)?;
            self.entropy(&mut private_nonce)?;
            let index = first + u64::from(position);
            let frame = Frame {
                index,
                time,
                position,
                count,
                public_nonce,
                private_nonce,
                entry,
                dropped: None,
            };
            frames.push((length, frame));
        }
        Ok(frames)
    }

    fn write(&mut self, frames: &[(usize, Frame)]) -> Result<Appended, JournalError> {
        let (first, time) = (self.tree.size(), frames.first().map(|(_, f)| f.time));
        let (places, leaves) = self.put(frames, self.tree.head(), beside_leaves)?;
        leaves.into_iter().for_each(|leaf| self.tree.push(leaf));
        self.last_time = time.unwrap_or(self.last_time);
        self.follow_tail()?;
        Ok(Appended {
            first,
            time: self.last_time,
            places,
        })
    }

    /// Writes and syncs frames that come after the head `before`, and gives their places and what
    /// was made `beside` that.
    pub(super) fn put<T>(
        &mut self,
        frames: &[(usize, Frame)],
        before: Head,
        beside: impl FnOnce(&[(usize, Frame)], u64, &mut dyn FnMut()) -> T,
    ) -> Result<(Vec<Place>, T), JournalError> {
        let total: u64 = frames.iter().map(|(length, _)| *length as u64).sum();
        let length = self.segments.last().map_or(0, |header| header.length);
        let next = if self.offset + total > length {
            Some(self.next_segment(total, before)?)
        } else {
            None
        };
        let last = self.segments.last();
        let header = next.as_ref().or(last).ok_or(JournalError::Missing)?;
        let (segment, salt) = (header.number, header.salt);
        let start = next.as_ref().map_or(self.offset, |_| HEADER as u64);
        let mut bytes = Vec::with_capacity(usize::try_from(total).unwrap_or(0));
        let mut places = Vec::with_capacity(frames.len());
        for (_, frame) in frames {
            let offset = start + bytes.len() as u64;
            bytes = frame.encode_after(bytes, &salt, offset);
            places.push(Place { segment, offset });
        }
        let mut secured = None;
        let made = beside(frames, total, &mut || {
            secured = Some(self.secure(next.as_ref(), start, &bytes));
        });
        self.current = secured.unwrap_or(Err(JournalError::Stopped))?;
        self.segments.extend(next);
        let mut marks = frames.iter().filter_map(|(_, frame)| Marked::of(frame));
        self.mark = marks.next_back().or(self.mark);
        self.offset = start + bytes.len() as u64;
        Ok((places, made))
    }

    /// Makes frames durable: one write and one sync in the last segment, or the next segment as
    /// a whole, which has its final name only once it is durable with them. Gives their file.
    fn secure(
        &self,
        next: Option<&Header>,
        start: u64,
        bytes: &[u8],
    ) -> Result<Arc<dyn StoredFile>, JournalError> {
        if let Some(header) = next {
            return place_segment(&*self.storage, header, bytes);
        }
        self.current
            .write(start, bytes)
            .map_err(failed("write a record"))?;
        self.current.sync().map_err(failed("sync a record"))?;
        Ok(Arc::clone(&self.current))
    }

    /// The header of the next segment after the head `before`, with room for `total` bytes of
    /// frames.
    fn next_segment(&mut self, total: u64, before: Head) -> Result<Header, JournalError> {
        let last = self.segments.last().ok_or(JournalError::Missing)?;
        let (journal, number) = (last.journal, last.number + 1);
        let mut salt = [0; 16];
        self.entropy(&mut salt)?;
        let needed = HEADER as u64 + total;
        // A large append is mostly followed by small ones: they need no segment of their own.
        let length = if needed > self.segment_bytes {
            needed + self.segment_bytes / 64
        } else {
            self.segment_bytes
        };
        Ok(Header {
            journal,
            number,
            before,
            length,
            salt,
            compacted: None,
        })
    }
}

/// Runs `run` and gives the leaves of frames. Hashing millions of bytes takes as long as writing
/// them, and needs no disk: for so many both are done at once.
fn beside_leaves(frames: &[(usize, Frame)], total: u64, run: &mut dyn FnMut()) -> Vec<Hash> {
    let hash = || frames.iter().map(|(_, frame)| frame.leaf()).collect();
    if total < LARGE {
        run();
        return hash();
    }
    std::thread::scope(|scope| {
        let hashing = std::thread::Builder::new().spawn_scoped(scope, hash);
        run();
        match hashing {
            Ok(hashing) => hashing.join().unwrap_or_else(|panic| resume_unwind(panic)),
            // No thread to be had: one after the other.
            Err(_) => hash(),
        }
    })
}
