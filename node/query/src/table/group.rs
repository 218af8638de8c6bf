//! Row groups: read whole, compared with their digest, and then decoded from memory.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use bytes::{Buf, Bytes};
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::statistics::Statistics;
use sha2::{Digest as _, Sha256};

use crate::source::Span;

/// Where a row group lies in its file, and what its bytes must be.
pub(super) struct Group {
    start: u64,
    length: usize,
    digest: [u8; 32],
    file_length: u64,
    /// The subjects of its rows.
    pub(super) span: Span,
}

impl Group {
    /// The group's bytes, if they are still those that were measured.
    pub(super) fn read(&self, path: &Path) -> Option<GroupBytes> {
        // A handle of its own: threads do not share a position in the file.
        let file = File::open(path).ok()?;
        let bytes = read_range(&file, self.start, self.length).ok()?;
        let digest: [u8; 32] = Sha256::digest(&bytes).into();
        let file_length = self.file_length;
        (digest == self.digest).then(|| GroupBytes {
            start: self.start,
            bytes: bytes.into(),
            file_length,
        })
    }
}

/// Where each row group lies, and its digest.
pub(super) fn groups(
    file: &File,
    metadata: &ArrowReaderMetadata,
    length: u64,
) -> Option<Vec<Group>> {
    let mut groups = Vec::new();
    for group in metadata.metadata().row_groups() {
        let ranges = group.columns().iter().map(|c| c.byte_range());
        let start = ranges.clone().map(|(start, _)| start).min()?;
        let end = ranges
            .map(|(start, bytes)| start.saturating_add(bytes))
            .max()?;
        if end > length {
            return None;
        }
        let bytes = usize::try_from(end.checked_sub(start)?).ok()?;
        let read = read_range(file, start, bytes).ok()?;
        let digest = Sha256::digest(&read).into();
        let subjects = group.columns().first()?.statistics()?;
        let Statistics::Int32(subjects) = subjects else {
            return None;
        };
        let subject = |value: Option<&i32>| u32::try_from(*value?).ok();
        let span = Span {
            first: subject(subjects.min_opt())?,
            last: subject(subjects.max_opt())?,
        };
        groups.push(Group {
            start,
            length: bytes,
            digest,
            file_length: length,
            span,
        });
    }
    Some(groups)
}

fn read_range(mut file: &File, start: u64, length: usize) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![0u8; length];
    file.seek(SeekFrom::Start(start))?;
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// The bytes of one row group, at their place in a file that is not read further.
pub(super) struct GroupBytes {
    start: u64,
    bytes: Bytes,
    file_length: u64,
}

impl Length for GroupBytes {
    fn len(&self) -> u64 {
        self.file_length
    }
}

impl GroupBytes {
    fn from(&self, start: u64) -> ParquetResult<Bytes> {
        let outside = || ParquetError::EOF("outside the row group".to_owned());
        let offset = start.checked_sub(self.start).ok_or_else(outside)?;
        let offset = usize::try_from(offset).map_err(|_| outside())?;
        if offset > self.bytes.len() {
            return Err(outside());
        }
        Ok(self.bytes.slice(offset..))
    }
}

impl ChunkReader for GroupBytes {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        Ok(self.from(start)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        let bytes = self.from(start)?;
        if length > bytes.len() {
            return Err(ParquetError::EOF("outside the row group".to_owned()));
        }
        Ok(bytes.slice(..length))
    }
}
