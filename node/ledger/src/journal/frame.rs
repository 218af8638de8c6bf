//! One record as it lies in a segment, and the hash under which it is public.

use obscura_model::ids::UnixMillis;
use sha2::{Digest as _, Sha256};

use super::merkle::{self, Hash};
use crate::codec::{Reader, Writer};

/// The first four bytes of every frame. No byte of it is zero, and free space is zero.
const MARKER: [u8; 4] = [0xb1, 0x0b, 0x5c, 0xa1];
/// The first four bytes of a frame whose private part was dropped: in compacted segments only.
const REDUCED: [u8; 4] = [0xb1, 0x0b, 0x5c, 0xa2];
/// Marker, length and checksum.
const PREFIX: usize = 12;
/// The bytes of a frame with empty parts.
const SMALLEST: usize = PREFIX + 24 + 2 * 36;
/// The bytes of a reduced frame with an empty public part.
const SMALLEST_REDUCED: usize = PREFIX + 24 + 36 + 32;
/// The most bytes of one frame: 1 GiB.
pub(crate) const LARGEST: usize = 1 << 30;

/// One record without meaning: what the typed layer hands to the journal and gets back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// What kind of record it is.
    pub(crate) kind: u16,
    /// The version of the kind's encoding.
    pub(crate) version: u16,
    /// What anyone who is shown the record may see.
    pub(crate) public: Vec<u8>,
    /// What only this node may see.
    pub(crate) private: Vec<u8>,
}

/// One record with its place in the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) index: u64,
    pub(crate) time: UnixMillis,
    /// Which one of its append this record is, from 0.
    pub(crate) position: u16,
    /// How many records its append has. An append is there as a whole or not at all.
    pub(crate) count: u16,
    pub(crate) public_nonce: [u8; 32],
    pub(crate) private_nonce: [u8; 32],
    pub(crate) entry: Entry,
    /// The commitment to the private part, if compaction dropped that with its nonce; both are
    /// zero or empty then.
    pub(crate) dropped: Option<Hash>,
}

impl Frame {
    /// The hash of the private part: it shows nothing, because its nonce is secret.
    fn commitment(&self) -> Hash {
        if let Some(commitment) = self.dropped {
            return commitment;
        }
        Sha256::new()
            .chain_update(b"obscura.v1 private")
            .chain_update(self.private_nonce)
            .chain_update(&self.entry.private)
            .finalize()
            .into()
    }

    /// The leaf hash under which the record enters the public tree. All parts but the public
    /// bytes have a fixed length, so no two records give the same input.
    pub(crate) fn leaf(&self) -> Hash {
        let content: Hash = Sha256::new()
            .chain_update(b"obscura.v1 leaf")
            .chain_update(self.public_nonce)
            .chain_update(self.index.to_le_bytes())
            .chain_update(self.entry.kind.to_le_bytes())
            .chain_update(self.entry.version.to_le_bytes())
            .chain_update(self.time.0.to_le_bytes())
            .chain_update(&self.entry.public)
            .chain_update(self.commitment())
            .finalize()
            .into();
        merkle::leaf(&content)
    }

    /// The record without its private part. Its leaf hash stays what it was.
    pub(crate) fn reduce(self) -> Frame {
        Frame {
            dropped: Some(self.commitment()),
            private_nonce: [0; 32],
            entry: Entry {
                private: Vec::new(),
                ..self.entry
            },
            ..self
        }
    }

    /// The index of the first record of this record's append.
    pub(crate) fn append_start(&self) -> u64 {
        self.index.saturating_sub(u64::from(self.position))
    }

    /// The length of an entry's frame, or nothing if it is over [`LARGEST`].
    pub(crate) fn length(entry: &Entry) -> Option<usize> {
        let parts = entry.public.len().checked_add(entry.private.len())?;
        parts
            .checked_add(SMALLEST)
            .filter(|length| *length <= LARGEST)
    }

    /// The frame's bytes alone.
    #[cfg(test)]
    pub(crate) fn encode(&self, salt: &[u8; 16], offset: u64) -> Vec<u8> {
        self.encode_after(Vec::new(), salt, offset)
    }

    /// `bytes`, and after them the frame's for offset `offset` of the segment with this salt. A
    /// frame may have hundreds of megabytes: they are written once, in their place.
    pub(crate) fn encode_after(&self, bytes: Vec<u8>, salt: &[u8; 16], offset: u64) -> Vec<u8> {
        let start = bytes.len();
        let mut writer = Writer::after(bytes);
        let marker = match &self.dropped {
            None => MARKER,
            Some(_) => REDUCED,
        };
        // Length and checksum follow from what comes after them.
        writer.raw(&marker).raw(&[0; PREFIX - MARKER.len()]);
        writer
            .put(&self.index)
            .put(&self.entry.kind)
            .put(&self.entry.version);
        writer.put(&self.time).put(&self.position).put(&self.count);
        let mut part = |nonce: &[u8; 32], bytes: &[u8]| {
            writer.raw(nonce).put(&(bytes.len() as u32)).raw(bytes);
        };
        part(&self.public_nonce, &self.entry.public);
        match &self.dropped {
            None => part(&self.private_nonce, &self.entry.private),
            Some(commitment) => {
                writer.raw(commitment);
            }
        }
        let mut bytes = writer.into_bytes();
        let length = ((bytes.len() - start) as u32).to_le_bytes();
        let frame = bytes.get_mut(start..).unwrap_or_default();
        if let Some((prefix, body)) = frame.split_first_chunk_mut::<PREFIX>() {
            let checksum = checksum(salt, offset, &length, body).to_le_bytes();
            prefix[4..8].copy_from_slice(&length);
            prefix[8..].copy_from_slice(&checksum);
        }
        bytes
    }

    /// Reads the frame at `offset` of a segment; nothing if no valid frame starts there. Gives
    /// the frame and the offset after it.
    pub(crate) fn decode(segment: &[u8], salt: &[u8; 16], offset: usize) -> Option<(Frame, usize)> {
        let length = Self::length_at(segment.get(offset..)?)?;
        let end = offset.checked_add(length)?;
        let bytes = segment.get(offset..end)?;
        Self::decode_alone(bytes, salt, offset as u64).map(|frame| (frame, end))
    }

    /// Reads a frame that fills `bytes` and lies at `offset` of its segment.
    pub(crate) fn decode_alone(bytes: &[u8], salt: &[u8; 16], offset: u64) -> Option<Frame> {
        let (prefix, body) = bytes.split_at_checked(PREFIX)?;
        if Self::length_at(prefix)? != bytes.len() {
            return None;
        }
        let mut reader = Reader::new(prefix.get(8..)?);
        if reader.get::<u32>().ok()? != checksum(salt, offset, prefix.get(4..8)?, body) {
            return None;
        }
        Self::decode_body(body, prefix.starts_with(&REDUCED))
    }

    fn decode_body(body: &[u8], reduced: bool) -> Option<Frame> {
        let mut reader = Reader::new(body);
        let index = reader.get().ok()?;
        let (kind, version) = (reader.get().ok()?, reader.get().ok()?);
        let time = reader.get().ok()?;
        let (position, count) = (reader.get().ok()?, reader.get().ok()?);
        let mut part = || {
            let nonce = reader.get::<[u8; 32]>().ok()?;
            let length = reader.get::<u32>().ok()?;
            Some((nonce, reader.take(length as usize, "a part").ok()?.to_vec()))
        };
        let (public_nonce, public) = part()?;
        let (private_nonce, private, dropped) = if reduced {
            ([0; 32], Vec::new(), Some(reader.get::<Hash>().ok()?))
        } else {
            let (nonce, private) = part()?;
            (nonce, private, None)
        };
        reader.end().ok()?;
        let entry = Entry {
            kind,
            version,
            public,
            private,
        };
        Some(Frame {
            index,
            time,
            position,
            count,
            public_nonce,
            private_nonce,
            entry,
            dropped,
        })
    }

    /// The length that a frame's first bytes claim, if they are a frame's first bytes.
    pub(crate) fn length_at(bytes: &[u8]) -> Option<usize> {
        let prefix = bytes.get(..8)?;
        let smallest = match *prefix.first_chunk::<4>()? {
            MARKER => SMALLEST,
            REDUCED => SMALLEST_REDUCED,
            _ => return None,
        };
        let length = u32::from_le_bytes(prefix.get(4..8)?.try_into().ok()?) as usize;
        (smallest..=LARGEST).contains(&length).then_some(length)
    }

    /// The first offset from `from` on at which a frame could start.
    pub(crate) fn next_marker(segment: &[u8], from: usize) -> Option<usize> {
        let rest = segment.get(from..)?;
        rest.windows(MARKER.len())
            .position(|w| w == MARKER)
            .map(|at| from + at)
    }
}

/// CRC-32C over the segment's salt, the frame's place, its length and everything after the
/// checksum. Salt and place keep bytes that only look like a frame (inside a signed request, say)
/// from ever being one.
fn checksum(salt: &[u8; 16], offset: u64, length: &[u8], body: &[u8]) -> u32 {
    let crc = crc32c::crc32c(salt);
    let crc = crc32c::crc32c_append(crc, &offset.to_le_bytes());
    let crc = crc32c::crc32c_append(crc, length);
    crc32c::crc32c_append(crc, body)
}
