//! Rows that are set aside on disk while a dataset is ingested.
//!
//! Each table has one file of them, which has no name any more once it is open: what was stopped
//! leaves nothing behind. Where pieces are and what their bytes must be is kept in memory alone.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::piece::Piece;

/// What names of files of rows that were set aside end with.
const END: &str = "aside";
/// Names that are tried.
const NAMES: u32 = 1_000;

/// Rows that cannot be set aside or read again.
#[derive(Debug, thiserror::Error)]
pub enum SpillError {
    /// Writing failed.
    #[error("rows cannot be set aside in {folder}: check the disk and the room on it")]
    Write {
        /// Where.
        folder: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Reading failed.
    #[error("rows that were set aside in {folder} cannot be read: check the disk")]
    Read {
        /// Where.
        folder: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Other bytes came back than were written.
    #[error("rows that were set aside in {folder} came back damaged: check the disk")]
    Damaged {
        /// Where.
        folder: PathBuf,
    },
}

/// A file without a name.
pub(super) struct Aside {
    folder: PathBuf,
    file: File,
    end: u64,
}

/// Where a piece is, and the digest of its bytes.
pub(super) struct Frame {
    at: u64,
    length: usize,
    rows: usize,
    digest: blake3::Hash,
}

impl Aside {
    pub(super) fn new(folder: &Path) -> Result<Self, SpillError> {
        let failed = |source| SpillError::Write {
            folder: folder.to_owned(),
            source,
        };
        std::fs::create_dir_all(folder).map_err(failed)?;
        let mut number = 0;
        let file = loop {
            let path = folder.join(format!("rows-{number}.{END}"));
            let mut options = OpenOptions::new();
            options.read(true).write(true).create_new(true).mode(0o600);
            match options.open(&path) {
                Ok(file) => {
                    std::fs::remove_file(&path).map_err(failed)?;
                    break file;
                }
                // Another's, or one that a crash left in the moment before it lost its name.
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists && number < NAMES => {
                    number += 1;
                }
                Err(source) => return Err(failed(source)),
            }
        };
        Ok(Self {
            folder: folder.to_owned(),
            file,
            end: 0,
        })
    }

    /// Adds a piece at the end.
    pub(super) fn add(&mut self, piece: &Piece) -> Result<Frame, SpillError> {
        let frame = self.put(piece, self.end)?;
        self.end += frame.length as u64;
        Ok(frame)
    }

    /// Writes a piece at a place of which nothing is needed any more.
    pub(super) fn put(&self, piece: &Piece, at: u64) -> Result<Frame, SpillError> {
        let bytes = piece.encode();
        self.file
            .write_all_at(&bytes, at)
            .map_err(|source| SpillError::Write {
                folder: self.folder.clone(),
                source,
            })?;
        Ok(Frame {
            at,
            length: bytes.len(),
            rows: piece.len(),
            digest: blake3::hash(&bytes),
        })
    }

    /// Reads a piece, if its bytes are those that were written.
    pub(super) fn read(&self, frame: &Frame, fixed: Option<usize>) -> Result<Piece, SpillError> {
        let mut bytes = vec![0; frame.length];
        self.file
            .read_exact_at(&mut bytes, frame.at)
            .map_err(|source| SpillError::Read {
                folder: self.folder.clone(),
                source,
            })?;
        let same = blake3::hash(&bytes) == frame.digest;
        let piece = same.then(|| Piece::decode(&bytes, frame.rows, fixed));
        piece.flatten().ok_or_else(|| SpillError::Damaged {
            folder: self.folder.clone(),
        })
    }
}

impl Frame {
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    pub(super) fn end(&self) -> u64 {
        self.at + self.length as u64
    }
}

/// Removes what ingests that were stopped left in the folder of the stored rows: rows set aside,
/// and files that were being written. To be called when no ingest is under way. A folder that is
/// not there is empty.
///
/// # Errors
/// If the folder cannot be read or a file cannot be removed.
pub fn clear(folder: &Path) -> std::io::Result<()> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(e),
    };
    for entry in entries {
        let path = entry?.path();
        let end = path.extension().and_then(|end| end.to_str());
        if matches!(end, Some(END | crate::table::WRITING)) {
            std::fs::remove_file(path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn piece(rows: u32) -> Piece {
        let mut piece = Piece::new(Some(3));
        (0..rows).for_each(|n| piece.push(n, &[n as u8, 1, 2]));
        piece
    }

    #[test]
    fn rows_aside_have_no_name_and_nobody_else_reads_them() {
        let folder = tempfile::tempdir().unwrap();
        let mut aside = Aside::new(folder.path()).unwrap();
        aside.add(&piece(5)).unwrap();
        // Whatever stops the process now leaves nothing.
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        let mode = aside.file.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn pieces_come_back_or_are_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let mut aside = Aside::new(folder.path()).unwrap();
        let frames = [aside.add(&piece(2)).unwrap(), aside.add(&piece(7)).unwrap()];
        let read = aside.read(&frames[1], Some(3)).unwrap();
        assert_eq!((read.len(), read.at(6)), (7, Some((6, &[6u8, 1, 2][..]))));
        aside.file.write_all_at(&[0xff], frames[1].at + 9).unwrap();
        let damaged = aside.read(&frames[1], Some(3));
        assert!(matches!(damaged, Err(SpillError::Damaged { .. })));
        assert!(aside.read(&frames[0], Some(3)).is_ok());
        aside.file.set_len(frames[0].at).unwrap();
        let gone = aside.read(&frames[0], Some(3));
        assert!(matches!(gone, Err(SpillError::Read { .. })));
    }
}
