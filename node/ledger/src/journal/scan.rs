//! Reading a whole journal: every record is verified before the first is used.

use std::ops::Range;

use obscura_model::ids::{Digest, KeyId, UnixMillis};

use super::compact::Marked;
use super::frame::Frame;
use super::merkle::Tree;
use super::segment::{self, Compacted, HEADER, Header, InvalidHeader, TAIL, Tail};
use super::storage::{self, Storage};
use super::{JournalError, Place, failed};

/// What a journal holds.
pub(crate) struct Scan {
    /// The headers of all segments, in order.
    pub(crate) segments: Vec<Header>,
    /// The bytes of the last segment.
    pub(crate) last: Vec<u8>,
    /// Where the last acknowledged record of the last segment ends.
    pub(crate) end: usize,
    /// The tree over all records.
    pub(crate) tree: Tree,
    /// The time of the last record.
    pub(crate) last_time: UnixMillis,
    /// The last mark of a compaction among the records.
    pub(crate) mark: Option<Marked>,
}

/// Reads and verifies everything. Changes nothing.
pub(crate) fn scan(storage: &dyn Storage, id: KeyId) -> Result<Scan, JournalError> {
    let names = storage.names().map_err(failed("list its files"))?;
    let mut numbers: Vec<u32> = names.iter().filter_map(|n| segment::number(n)).collect();
    numbers.sort_unstable();
    let mut scan = Scan {
        segments: Vec::new(),
        last: Vec::new(),
        end: HEADER,
        tree: Tree::default(),
        last_time: UnixMillis(0),
        mark: None,
    };
    let tail = read_tail(storage, &names);
    if numbers.is_empty() {
        return Err(match tail {
            Some(tail) => scan.damage(tail.segment, "its segment is gone"),
            None => JournalError::Missing,
        });
    }
    for (position, number) in numbers.iter().enumerate() {
        if u32::try_from(position).map(|p| p + 1) != Ok(*number) {
            return Err(scan.damage(*number, "a segment before it is gone"));
        }
        scan.last = storage::read_all(storage, &segment::name(*number))
            .map_err(failed("read a segment"))?;
        scan.end = HEADER;
        let header = scan.header(*number, id)?;
        let (salt, last) = (header.salt, position + 1 == numbers.len());
        let compacted = header.compacted.clone();
        scan.segments.push(header);
        scan.records(&salt, last)?;
        if let Some(compacted) = compacted {
            scan.check_compacted(*number, &compacted, last)?;
        }
    }
    scan.check_tail(tail)?;
    scan.check_mark()?;
    Ok(scan)
}

/// Visits the records of verified segments with these indexes, in order.
pub(crate) fn walk<E: From<JournalError>>(
    storage: &dyn Storage,
    segments: &[Header],
    indexes: Range<u64>,
    visit: &mut dyn FnMut(Place, Frame) -> Result<(), E>,
) -> Result<(), E> {
    let ends = segments
        .iter()
        .skip(1)
        .map(|header| header.before.size)
        .chain([u64::MAX]);
    for (header, end) in segments.iter().zip(ends) {
        if end <= indexes.start || header.before.size >= indexes.end {
            continue;
        }
        let bytes = storage::read_all(storage, &segment::name(header.number))
            .map_err(failed("read a segment"))?;
        let mut offset = HEADER;
        for index in header.before.size..end.min(indexes.end) {
            let what = "the record changed since it was verified";
            let place = Place {
                segment: header.number,
                offset: offset as u64,
            };
            let damage = JournalError::Damage {
                segment: place.segment,
                index,
                offset: place.offset,
                what,
            };
            if index < indexes.start {
                let length = Frame::length_at(bytes.get(offset..).unwrap_or_default());
                offset += length.ok_or(damage)?;
                continue;
            }
            let read = Frame::decode(&bytes, &header.salt, offset);
            let (frame, after) = read.filter(|(f, _)| f.index == index).ok_or(damage)?;
            offset = after;
            visit(place, frame)?;
        }
    }
    Ok(())
}

/// A tail file that is missing or damaged is harmless: the journal is the truth.
fn read_tail(storage: &dyn Storage, names: &[String]) -> Option<Tail> {
    names.iter().find(|name| *name == TAIL)?;
    Tail::decode(&storage::read_all(storage, TAIL).ok()?)
}

impl Scan {
    /// Damage at the next record, at the present end of the last segment read.
    fn damage(&self, segment: u32, what: &'static str) -> JournalError {
        let (index, offset) = (self.tree.size(), self.end as u64);
        JournalError::Damage {
            segment,
            index,
            offset,
            what,
        }
    }

    fn header(&self, number: u32, id: KeyId) -> Result<Header, JournalError> {
        let header = Header::decode(&self.last).map_err(|invalid| match invalid {
            InvalidHeader::Damaged => self.damage(number, "the segment's header is damaged"),
            InvalidHeader::Unknown => JournalError::Unknown { segment: number },
        })?;
        if header.journal != id {
            return Err(JournalError::Foreign {
                found: header.journal,
                wanted: id,
            });
        }
        if header.number != number {
            return Err(self.damage(number, "the segment has another segment's name"));
        }
        if header.length != self.last.len() as u64 {
            return Err(self.damage(number, "the segment has lost or gained bytes"));
        }
        if header.before != self.tree.head() {
            return Err(self.damage(number, "records before it are gone or changed"));
        }
        Ok(header)
    }

    /// Takes the appends of one segment, each as a whole.
    fn records(&mut self, salt: &[u8; 16], last: bool) -> Result<(), JournalError> {
        let mut offset = self.end;
        let mut append: Vec<Frame> = Vec::new();
        while let Some((frame, after)) = self.next(salt, offset, &append) {
            offset = after;
            append.push(frame);
            if append
                .last()
                .is_some_and(|f| usize::from(f.count) == append.len())
            {
                for frame in append.drain(..) {
                    self.mark = Marked::of(&frame).or(self.mark);
                    self.last_time = frame.time;
                    self.tree.push(frame.leaf());
                }
                self.end = offset;
            }
        }
        let current = self.segments.last();
        let number = current.map_or(0, |header| header.number);
        // A compacted segment is whole: what could be cut off was cut off before.
        let last = last && current.is_some_and(|header| header.compacted.is_none());
        let free = self
            .last
            .get(offset..)
            .unwrap_or_default()
            .iter()
            .all(|b| *b == 0);
        match (free && append.is_empty(), last) {
            (true, _) => Ok(()),
            (false, false) => Err(self.damage(number, "it is damaged")),
            (false, true) if self.later_append(salt, offset) => {
                Err(self.damage(number, "it is damaged, and valid records follow it"))
            }
            (false, true) => Ok(()),
        }
    }

    /// The next frame of the present append, if a valid one lies at `offset`.
    fn next(&self, salt: &[u8; 16], offset: usize, append: &[Frame]) -> Option<(Frame, usize)> {
        let (frame, after) = Frame::decode(&self.last, salt, offset)?;
        let position = append.len();
        let current = self.segments.last();
        let may_be_reduced = current.is_some_and(|header| header.compacted.is_some());
        let fits = (frame.dropped.is_none() || may_be_reduced)
            && frame.index == self.tree.size() + position as u64
            && usize::from(frame.position) == position
            && frame.position < frame.count
            && append
                .first()
                .is_none_or(|first| first.count == frame.count)
            && frame.time >= self.last_time;
        fits.then_some((frame, after))
    }

    /// Whether any valid frame from `offset` on belongs to another append than the one that is
    /// torn here. Such an append was begun after this one was acknowledged, so this one is
    /// damaged. Frames of the torn append itself may survive in any order.
    fn later_append(&self, salt: &[u8; 16], offset: usize) -> bool {
        let mut from = offset;
        while let Some(at) = Frame::next_marker(&self.last, from) {
            match Frame::decode(&self.last, salt, at) {
                Some((frame, _)) if frame.append_start() != self.tree.size() => return true,
                _ => from = at + 1,
            }
        }
        false
    }

    /// A compacted segment ends with its last record, at the head that its header names, has the
    /// bytes that its header names, and always has a segment after it.
    fn check_compacted(
        &self,
        number: u32,
        compacted: &Compacted,
        last: bool,
    ) -> Result<(), JournalError> {
        let content = self.last.get(HEADER..).unwrap_or_default();
        let what = if self.end != self.last.len() || self.tree.head() != compacted.after {
            "the compacted segment has lost or gained records"
        } else if Digest::of(content) != compacted.content {
            "the compacted segment is damaged"
        } else if last {
            "the segments after the compacted one are gone"
        } else {
            return Ok(());
        };
        Err(self.damage(number, what))
    }

    /// Compacted segments lie before the head of the last mark, which is one of this journal.
    fn check_mark(&self) -> Result<(), JournalError> {
        let compacted = self.segments.iter().rev().find_map(|header| {
            let compacted = header.compacted.as_ref()?;
            Some((header.number, compacted.after.size))
        });
        let covered = self.mark.map_or(0, |marked| marked.mark.up_to.size);
        if let Some((number, _)) = compacted.filter(|(_, size)| *size > covered) {
            return Err(self.damage(number, "it is compacted, and no record says so"));
        }
        let Some(Marked { mark, index }) = self.mark else {
            return Ok(());
        };
        let number = self.segments.last().map_or(0, |header| header.number);
        if mark.up_to.size > index || self.tree.head_at(mark.up_to.size) != Some(mark.up_to) {
            return Err(self.damage(number, "it was compacted as part of another history"));
        }
        Ok(())
    }

    /// What the tail says was acknowledged must be there.
    fn check_tail(&self, tail: Option<Tail>) -> Result<(), JournalError> {
        let Some(tail) = tail else { return Ok(()) };
        match self.tree.head_at(tail.head.size) {
            None => Err(self.damage(tail.segment, "it was acknowledged and is damaged or gone")),
            Some(head) if head != tail.head => Err(self.damage(
                tail.segment,
                "the journal is not the one that was acknowledged",
            )),
            Some(_) => Ok(()),
        }
    }
}
