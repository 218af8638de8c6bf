//! Segment files: their names, their fixed header, and the small file that follows their tail.

use obscura_model::ids::{Digest, KeyId};

use super::merkle::{Hash, Head};
use crate::codec::{InvalidBytes, Reader, Writer};

/// The length of a segment's header.
pub(crate) const HEADER: usize = 512;
/// The ending of files that are not finished; they mean nothing and are removed.
pub(crate) const UNFINISHED: &str = ".unfinished";
/// The name of the file that says how far records were acknowledged.
pub(crate) const TAIL: &str = "tail";

const MAGIC: &[u8; 8] = b"obscuraJ";
const FORMAT: u16 = 1;
/// The format of a compacted segment.
const COMPACTED: u16 = 2;
/// Records lie open. Room for a scheme and its key is in every header.
const NOT_ENCRYPTED: u16 = 0;

/// The name of segment `number`.
pub(crate) fn name(number: u32) -> String {
    format!("seg-{number:08}.journal")
}

/// The name under which a file is made before it has its own.
pub(crate) fn unfinished(name: &str) -> String {
    format!("{name}{UNFINISHED}")
}

/// The number of the segment with this name, if it is one.
pub(crate) fn number(name: &str) -> Option<u32> {
    let digits = name.strip_prefix("seg-")?.strip_suffix(".journal")?;
    let number = digits.parse().ok()?;
    (self::name(number) == name).then_some(number)
}

/// What a segment's first 512 bytes say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    /// The journal: its node's key.
    pub(crate) journal: KeyId,
    /// Counted from 1 without gaps.
    pub(crate) number: u32,
    /// The head before the segment's first record; its size is the first record's index.
    pub(crate) before: Head,
    /// The length of the file.
    pub(crate) length: u64,
    /// Secret and random; enters every frame's checksum.
    pub(crate) salt: [u8; 16],
    /// What only a compacted segment has.
    pub(crate) compacted: Option<Compacted>,
}

/// What the header of a compacted segment says about it: nothing is ever added to it, so that its
/// end and its content are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Compacted {
    /// The head after its last record.
    pub(crate) after: Head,
    /// SHA-256 of all bytes after the header.
    pub(crate) content: Digest,
}

/// Why bytes are no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InvalidHeader {
    /// Its hash or its content is wrong.
    Damaged,
    /// A format or encryption that this program does not know.
    Unknown,
}

impl Header {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        let format = if self.compacted.is_some() {
            COMPACTED
        } else {
            FORMAT
        };
        writer
            .raw(MAGIC)
            .put(&format)
            .put(&NOT_ENCRYPTED)
            .raw(&[0; 32]);
        writer.put(&self.journal).put(&self.number);
        writer.put(&self.before.size).put(&self.before.root);
        writer.put(&self.length).put(&self.salt);
        if let Some(Compacted { after, content }) = &self.compacted {
            writer.put(&after.size).put(&after.root).put(content);
        }
        let mut bytes = writer.into_bytes();
        bytes.resize(HEADER - 32, 0);
        let digest = Digest::of(&bytes);
        bytes.extend_from_slice(digest.as_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, InvalidHeader> {
        let damaged = InvalidHeader::Damaged;
        let header = bytes.get(..HEADER).ok_or(damaged)?;
        let (content, digest) = header.split_at(HEADER - 32);
        if Digest::of(content).as_bytes() != digest || !content.starts_with(MAGIC) {
            return Err(damaged);
        }
        let mut reader = Reader::new(content.get(MAGIC.len()..).ok_or(damaged)?);
        let is_compacted = match reader.get::<u16>() {
            Ok(FORMAT) => false,
            Ok(COMPACTED) => true,
            _ => return Err(InvalidHeader::Unknown),
        };
        let scheme = (reader.get::<u16>(), reader.get::<[u8; 32]>());
        if scheme != (Ok(NOT_ENCRYPTED), Ok([0; 32])) {
            return Err(InvalidHeader::Unknown);
        }
        let mut read = || -> Result<Header, InvalidBytes> {
            let (journal, number) = (reader.get()?, reader.get()?);
            let before = read_head(&mut reader)?;
            let (length, salt) = (reader.get()?, reader.get()?);
            let compacted = is_compacted.then(|| Compacted::read(&mut reader));
            Ok(Header {
                journal,
                number,
                before,
                length,
                salt,
                compacted: compacted.transpose()?,
            })
        };
        read().map_err(|_| damaged)
    }
}

impl Compacted {
    fn read(reader: &mut Reader<'_>) -> Result<Self, InvalidBytes> {
        Ok(Compacted {
            after: read_head(reader)?,
            content: reader.get()?,
        })
    }
}

/// A head as it is stored: its size, its root.
pub(super) fn read_head(reader: &mut Reader<'_>) -> Result<Head, InvalidBytes> {
    Ok(Head {
        size: reader.get()?,
        root: reader.get::<Hash>()?,
    })
}

/// How far records were acknowledged. Written after each sync without a sync of its own: it may
/// be older than the journal after a power cut, and never newer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tail {
    pub(crate) head: Head,
    pub(crate) segment: u32,
    pub(crate) offset: u64,
}

impl Tail {
    /// The length of the file.
    pub(crate) const LENGTH: usize = 8 + 8 + 32 + 4 + 8 + 4;
    const MAGIC: &'static [u8; 8] = b"obscuraT";

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer
            .raw(Self::MAGIC)
            .put(&self.head.size)
            .put(&self.head.root);
        writer.put(&self.segment).put(&self.offset);
        let mut bytes = writer.into_bytes();
        let checksum = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Nothing if the bytes are damaged: the journal itself is the truth.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (content, checksum) = bytes.split_at_checked(Self::LENGTH - 4)?;
        if checksum != crc32c::crc32c(content).to_le_bytes() {
            return None;
        }
        let mut reader = Reader::new(content.strip_prefix(Self::MAGIC)?);
        let head = Head {
            size: reader.get().ok()?,
            root: reader.get().ok()?,
        };
        Some(Tail {
            head,
            segment: reader.get().ok()?,
            offset: reader.get().ok()?,
        })
    }
}
