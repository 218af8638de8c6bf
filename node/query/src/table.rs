//! The node's own store of one dataset version: for each table one file of columns, sorted by
//! subject index. The first table's file has the name that the caller gives, the others that name
//! with `-` and the table's number, from 1, before the end.
//!
//! A file has blocks of whole subjects: the subjects with their numbers of rows, and a chunk for
//! each described column. Its end is a directory with every chunk's place and digest. Opening
//! reads the directory alone; a chunk is compared with its digest whenever it is read. The digest
//! of a file is that of its directory; that of a version is its file's, or one over the files'
//! digests in order if there are several. `docs/store-format.md` has the bytes.

mod chunk;
mod directory;
mod file;
#[cfg(test)]
mod tests;
mod words;

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use obscura_model::ids::Digest;
use obscura_model::schema::{Description, Table};

use crate::batch::Batch;
use crate::fold::FoldError;
use crate::ingest::{SortedTable, SpillError};
use crate::source::{Desk, Source, Span};
pub(crate) use file::WRITING;
use file::{Stored, Which};

/// A store that cannot be written or opened. For the owner and the operator.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// Writing, syncing or renaming failed.
    #[error("the table cannot be written to {path}: check the disk")]
    Write {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Rows that were set aside cannot be read again.
    #[error(transparent)]
    Spill(#[from] SpillError),
    /// Reading failed.
    #[error("the table {path} cannot be read: check the disk")]
    Read {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Not a table of ours, or damaged.
    #[error(
        "{path} is damaged or not a table of this node: restore it or ingest the dataset again"
    )]
    Damaged {
        /// Where.
        path: PathBuf,
    },
    /// Written by another version of the node.
    #[error("{path} has the format of another version: ingest the dataset again")]
    OtherFormat {
        /// Where.
        path: PathBuf,
    },
    /// Written for another description.
    #[error("{path} was written for another description: ingest the dataset again")]
    OtherDescription {
        /// Where.
        path: PathBuf,
    },
}

struct Inner {
    files: Vec<Stored>,
    description: Digest,
    digest: Digest,
}

/// One stored dataset version, opened.
#[derive(Clone)]
pub struct PrivateTable(Arc<Inner>);

/// Shows its digest only.
impl fmt::Debug for PrivateTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateTable")
    }
}

/// The rows of a stored dataset. There is no way to look at them but the fold.
#[derive(Clone)]
pub struct PrivateRows(Arc<Inner>);

/// Private: shows nothing.
impl fmt::Debug for PrivateRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateRows")
    }
}

/// The file of a table, by its number.
fn beside(path: &Path, table: usize) -> PathBuf {
    if table == 0 {
        return path.to_owned();
    }
    let part = |part: Option<&std::ffi::OsStr>| {
        part.map_or_else(String::new, |p| p.to_string_lossy().into_owned())
    };
    path.with_file_name(format!(
        "{}-{table}.{}",
        part(path.file_stem()),
        part(path.extension())
    ))
}

/// The digest of a version, from those of its files.
fn together(files: &[Digest]) -> Digest {
    match files {
        [one] => *one,
        many => {
            let mut parts: Vec<&[u8]> = vec![b"obscura tables 1"];
            parts.extend(many.iter().map(|d| d.as_bytes().as_slice()));
            Digest::of_parts(&parts)
        }
    }
}

impl PrivateTable {
    /// Writes sorted tables to `path` and beside it: to temporary names first, synced, renamed, and
    /// the folder synced; the first table's file comes last. A crash leaves the old files or the
    /// new ones, or, if a version is written again, files that do not have its digest. Returns the
    /// version's digest.
    pub fn write(
        sorted: &SortedTable,
        description: &Description,
        path: &Path,
    ) -> Result<Digest, TableError> {
        if sorted.description_digest() != description.digest() {
            return Err(TableError::OtherDescription {
                path: path.to_owned(),
            });
        }
        let tables = description.tables().iter().zip(sorted.parts()).enumerate();
        let mut written = Vec::with_capacity(description.tables().len());
        for (number, (table, part)) in tables {
            let path = beside(path, number);
            let which = Which {
                description: description.digest(),
                number,
                table,
            };
            written.push((file::write(part, which, &path)?, path));
        }
        let digests: Vec<Digest> = written.iter().map(|(w, _)| w.digest).collect();
        for (temporary, path) in written.into_iter().rev() {
            temporary.rename(&path)?;
        }
        file::sync_folder(path)?;
        Ok(together(&digests))
    }

    /// Opens a stored version: its directories are read, not its rows. The caller compares
    /// [`Self::digest`] with the one that was registered.
    pub fn open(path: &Path, description: &Description) -> Result<Self, TableError> {
        let tables = description.tables().iter().enumerate();
        let open = |(number, table): (usize, &Table)| {
            let which = Which {
                description: description.digest(),
                number,
                table,
            };
            Stored::open(&beside(path, number), which)
        };
        let former = path.with_extension("parquet");
        if !path.exists() && former.exists() {
            return Err(TableError::OtherFormat { path: former });
        }
        let files = tables.map(open).collect::<Result<Vec<Stored>, _>>()?;
        let digests: Vec<Digest> = files.iter().map(Stored::digest).collect();
        Ok(Self(Arc::new(Inner {
            files,
            description: description.digest(),
            digest: together(&digests),
        })))
    }

    /// The digest of the version as it was opened. A private value: never published.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.0.digest
    }

    /// The digest of the description that the tables were written for.
    #[must_use]
    pub fn description_digest(&self) -> Digest {
        self.0.description
    }

    /// The rows, for one fold.
    #[must_use]
    pub fn rows(&self) -> PrivateRows {
        PrivateRows(Arc::clone(&self.0))
    }
}

impl PrivateRows {
    pub(crate) fn description_digest(&self) -> Digest {
        self.0.description
    }
}

impl Source for PrivateRows {
    fn spans(&self, table: usize) -> Vec<Span> {
        self.0.files.get(table).map_or_else(Vec::new, Stored::spans)
    }

    fn load(
        &self,
        table: usize,
        group: usize,
        columns: &BTreeSet<usize>,
        desk: &mut Desk,
    ) -> Result<Batch, FoldError> {
        let file = self.0.files.get(table).ok_or(FoldError::Store)?;
        file.load(table, group, columns, desk)
    }
}
