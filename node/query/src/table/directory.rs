//! What a file's end says: for which description it was written, and where each chunk is and what
//! its bytes must be.

use obscura_model::ids::Digest;

use super::chunk::Kind;
use super::words::Words;
use crate::source::Span;

/// More rows than any block has: that of a subject with as many as may be kept.
const MOST_ROWS: u32 = 1 << 24;

/// Encryption at rest is not there yet: there is no scheme and no key, and chunks have no tags
/// beside their digests.
const NO_SCHEME: u16 = 0;
const NO_KEY: [u8; 32] = [0; 32];
const NO_TAG: u8 = 0;

/// One file's directory.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Directory {
    pub(super) description: Digest,
    /// Which table of the description it is.
    pub(super) table: u32,
    /// What each column is kept as.
    pub(super) kinds: Vec<u8>,
    pub(super) blocks: Vec<Block>,
}

/// Rows of whole subjects.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Block {
    pub(super) span: Span,
    pub(super) subjects: u32,
    pub(super) rows: u32,
    /// Whose the rows are, and then each column.
    pub(super) chunks: Vec<Chunk>,
}

/// Some bytes of the file.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Chunk {
    /// Where they begin: chunks follow each other.
    pub(super) start: u64,
    pub(super) length: u32,
    pub(super) digest: [u8; 32],
}

impl Directory {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(self.description.as_bytes());
        bytes.extend_from_slice(&self.table.to_le_bytes());
        bytes.extend_from_slice(&NO_SCHEME.to_le_bytes());
        bytes.extend_from_slice(&NO_KEY);
        bytes.push(NO_TAG);
        // A description has far fewer columns, and a file far fewer blocks, than 32 bits.
        bytes.extend_from_slice(&(self.kinds.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&self.kinds);
        bytes.extend_from_slice(&(self.blocks.len() as u32).to_le_bytes());
        for block in &self.blocks {
            for number in [
                block.span.first,
                block.span.last,
                block.subjects,
                block.rows,
            ] {
                bytes.extend_from_slice(&number.to_le_bytes());
            }
            for chunk in &block.chunks {
                bytes.extend_from_slice(&chunk.length.to_le_bytes());
                bytes.extend_from_slice(&chunk.digest);
            }
        }
        bytes
    }

    /// Reads a directory of chunks that fill a file from `start` up to `end`.
    pub(super) fn decode(bytes: &[u8], start: u64, end: u64) -> Option<Self> {
        let mut words = Words(bytes);
        let description = Digest::new(words.digest()?);
        let table = words.u32()?;
        if (words.u16()?, words.digest()?, words.byte()?) != (NO_SCHEME, NO_KEY, NO_TAG) {
            return None;
        }
        let columns = words.u32()? as usize;
        let kinds = words.bytes(columns)?.to_vec();
        let count = words.u32()?;
        let mut at = start;
        let mut blocks: Vec<Block> = Vec::new();
        for _ in 0..count {
            let block = block(&mut words, columns, &mut at)?;
            let after = blocks.last().is_none_or(|b| b.span.last < block.span.first);
            if !after {
                return None;
            }
            blocks.push(block);
        }
        words.end()?;
        (at == end).then_some(Self {
            description,
            table,
            kinds,
            blocks,
        })
    }

    /// Whether the columns are kept as these are.
    pub(super) fn has(&self, kinds: &[Kind]) -> bool {
        self.kinds
            .iter()
            .copied()
            .eq(kinds.iter().map(|k| k.byte()))
    }
}

fn block(words: &mut Words<'_>, columns: usize, at: &mut u64) -> Option<Block> {
    let span = Span {
        first: words.u32()?,
        last: words.u32()?,
    };
    let (subjects, rows) = (words.u32()?, words.u32()?);
    let between = u64::from(span.last.checked_sub(span.first)?) + 1;
    let fits = subjects >= 1
        && u64::from(subjects) <= between
        && subjects <= rows
        && rows <= MOST_ROWS
        && (subjects > 1 || between == 1);
    if !fits {
        return None;
    }
    let mut chunks = Vec::new();
    for _ in 0..=columns {
        let (length, digest) = (words.u32()?, words.digest()?);
        chunks.push(Chunk {
            start: *at,
            length,
            digest,
        });
        *at = at.checked_add(length.into())?;
    }
    Some(Block {
        span,
        subjects,
        rows,
        chunks,
    })
}
