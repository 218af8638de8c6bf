//! Compaction: whole old segments without the private parts that nobody reads any more.
//!
//! A compacted segment takes the place of one old segment under its name. All its records are
//! there with their leaf hashes' openings, but for private parts that were dropped: those leave
//! their commitment, so that the leaf hash still follows from what is kept. Which private parts
//! may go is the typed layer's choice; before any goes it makes durable, outside the segments,
//! what they added up to, and a record, the [`Compaction`], that binds that to the journal.

use std::sync::Arc;

use obscura_model::ids::Digest;

use super::frame::{Entry, Frame};
use super::merkle::{Hash, Head};
use super::segment::{self, Compacted, HEADER, Header, unfinished};
use super::storage::Storage;
use super::{Journal, JournalError, Place, failed, scan, write_segment};
use crate::codec::{InvalidBytes, Reader, Writer};

/// What the record of a compaction says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Compaction {
    /// Public: no record from this head on is without its private part.
    pub(crate) up_to: Head,
    /// Private: the SHA-256 of the file that holds what the dropped parts added up to at that
    /// head. It follows from private data, so it is hidden as they are.
    pub(crate) base: Digest,
}

impl Compaction {
    /// The kind of the record.
    pub(crate) const KIND: u16 = 60;
    /// The newest version of its encoding.
    pub(crate) const VERSION: u16 = 1;

    pub(crate) fn write(&self, public: &mut Writer, private: &mut Writer) {
        public.put(&self.up_to.size).put(&self.up_to.root);
        private.put(&self.base);
    }

    pub(crate) fn read(
        public: &mut Reader<'_>,
        private: &mut Reader<'_>,
    ) -> Result<Self, InvalidBytes> {
        Ok(Compaction {
            up_to: segment::read_head(public)?,
            base: private.get()?,
        })
    }
}

/// A mark and the index of its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Marked {
    pub(crate) mark: Compaction,
    pub(crate) index: u64,
}

impl Marked {
    /// Nothing if the record is no mark, or none that this program can read; the typed layer
    /// refuses the latter.
    pub(super) fn of(frame: &Frame) -> Option<Self> {
        let Entry {
            kind: Compaction::KIND,
            version: Compaction::VERSION,
            public,
            private,
        } = &frame.entry
        else {
            return None;
        };
        let mark = Compaction::read(&mut Reader::new(public), &mut Reader::new(private)).ok()?;
        let index = frame.index;
        Some(Marked { mark, index })
    }
}

/// An old segment that is not compacted, and the head after its last record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Due {
    header: Header,
    after: Head,
}

impl Due {
    /// The length of the file as it is.
    pub(crate) fn length(&self) -> u64 {
        self.header.length
    }

    /// Whether a mark's head covers all its records.
    pub(crate) fn is_before(&self, head: Head) -> bool {
        self.after.size <= head.size
    }
}

/// All old segments that are not compacted. The current segment is never one.
pub(crate) fn due(segments: &[Header]) -> Vec<Due> {
    let pairs = segments.iter().zip(segments.iter().skip(1));
    pairs
        .filter(|(header, _)| header.compacted.is_none())
        .map(|(header, next)| Due {
            header: header.clone(),
            after: next.before,
        })
        .collect()
}

/// What a segment becomes.
#[derive(Debug)]
pub(crate) struct Rewritten {
    header: Header,
    content: Vec<u8>,
    /// Where each record lies then.
    pub(crate) places: Vec<(u64, Place)>,
    /// How many records lose their private part.
    pub(crate) dropped: u64,
}

impl Rewritten {
    /// The length of the file.
    pub(crate) fn length(&self) -> u64 {
        self.header.length
    }

    #[cfg(test)]
    pub(crate) fn bytes(&self) -> Vec<u8> {
        [self.header.encode(), self.content.clone()].concat()
    }
}

/// Makes the compacted form of a segment: records of kinds that `drops` names lose their private
/// part. Changes nothing. Every record is checked against its leaf, which `leaf` gives, once more.
pub(crate) fn rewritten(
    storage: &dyn Storage,
    leaf: &dyn Fn(u64) -> Option<Hash>,
    due: &Due,
    drops: fn(u16) -> bool,
) -> Result<Rewritten, JournalError> {
    let Due { header, after } = due;
    let (number, salt) = (header.number, header.salt);
    let (mut content, mut places, mut dropped) = (Vec::new(), Vec::new(), 0);
    let indexes = header.before.size..after.size;
    let mut visit = |place: Place, frame: Frame| {
        let kept = if drops(frame.entry.kind) {
            dropped += 1;
            frame.reduce()
        } else {
            frame
        };
        if leaf(kept.index) != Some(kept.leaf()) {
            return Err(JournalError::Damage {
                segment: number,
                index: kept.index,
                offset: place.offset,
                what: "the record changed since it was verified",
            });
        }
        let offset = (HEADER + content.len()) as u64;
        let segment = number;
        places.push((kept.index, Place { segment, offset }));
        content = kept.encode_after(std::mem::take(&mut content), &salt, offset);
        Ok(())
    };
    scan::walk(storage, std::slice::from_ref(header), indexes, &mut visit)?;
    let compacted = Compacted {
        after: *after,
        content: Digest::of(&content),
    };
    let header = Header {
        length: (HEADER + content.len()) as u64,
        compacted: Some(compacted),
        ..header.clone()
    };
    Ok(Rewritten {
        header,
        content,
        places,
        dropped,
    })
}

impl Journal {
    /// The old segments that are not compacted.
    pub(crate) fn due(&self) -> Vec<Due> {
        due(&self.segments)
    }

    /// The head before the current segment: the one up to which the journal can be compacted.
    pub(crate) fn old_head(&self) -> Option<Head> {
        self.segments.last().map(|header| header.before)
    }

    /// The last mark of a compaction.
    pub(crate) fn mark(&self) -> Option<Marked> {
        self.mark
    }

    /// Puts the compacted form of one segment in its place, durably. The mark that covers the
    /// segment must be durable.
    pub(crate) fn compact(
        &mut self,
        due: &Due,
        drops: fn(u16) -> bool,
    ) -> Result<Rewritten, JournalError> {
        self.health()?;
        let storage = Arc::clone(&self.storage);
        let compacted = rewritten(&*storage, &self.leaves(due), due, drops).and_then(|ready| {
            prepare(&*storage, &ready)?;
            self.replace(due, &ready)?;
            sync_names(&*storage).map(|()| ready)
        });
        self.stopped = compacted.is_err();
        compacted
    }

    /// The leaves of an old segment's records, so that it can be rewritten beside the journal.
    pub(crate) fn leaves(&self, due: &Due) -> impl Fn(u64) -> Option<Hash> + use<> {
        let first = due.header.before.size;
        let leaves: Vec<_> = (first..due.after.size)
            .map(|at| self.tree.leaf(at))
            .collect();
        move |index| {
            let position = usize::try_from(index.checked_sub(first)?).ok()?;
            leaves.get(position).copied().flatten()
        }
    }

    /// Gives the compacted form of one segment the segment's name: either form is there at every
    /// moment. `ready` is durable under its other name, and the mark that covers the segment is
    /// durable.
    pub(crate) fn replace(&mut self, due: &Due, ready: &Rewritten) -> Result<(), JournalError> {
        self.health()?;
        let result = self.take_place(due, ready);
        self.stopped = result.is_err();
        result
    }

    fn take_place(&mut self, due: &Due, ready: &Rewritten) -> Result<(), JournalError> {
        let mut segments = self.segments.iter_mut();
        let header = segments.find(|header| **header == due.header);
        let header = header.ok_or(JournalError::Missing)?;
        let name = segment::name(header.number);
        let renamed = self.storage.rename(&unfinished(&name), &name);
        renamed.map_err(failed("put a compacted segment in its place"))?;
        *header = ready.header.clone();
        Ok(())
    }
}

/// Makes it durable that compacted segments are in their places.
pub(crate) fn sync_names(storage: &dyn Storage) -> Result<(), JournalError> {
    let synced = storage.sync_folder();
    synced.map_err(failed("put a compacted segment in its place"))
}

/// Writes the compacted form of a segment under another name, and syncs it.
pub(crate) fn prepare(storage: &dyn Storage, ready: &Rewritten) -> Result<(), JournalError> {
    write_segment(storage, &ready.header, &ready.content)
        .map(drop)
        .map_err(failed("write a compacted segment"))
}
