//! The node's own store of one dataset version: one Parquet file sorted by subject index.
//!
//! Columns: `subject` (UInt32), then the described columns in declared order: Float64 for numbers
//! and integers, Int32 for categories (the declared position), Boolean. Row groups are cut at
//! subject boundaries. The file's metadata names its format and the description's digest. Every
//! row group is compared with the digest taken when the file was opened before it is used.

mod group;

use std::collections::BTreeSet;
use std::fmt;
use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt32Type;
use arrow_array::{ArrayRef, RecordBatch, UInt32Array};
use arrow_schema::{DataType, Field, Schema};
use obscura_model::ids::Digest;
use obscura_model::schema::{Description, Domain};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use parquet::arrow::arrow_writer::ArrowWriter;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use sha2::{Digest as _, Sha256};

use crate::eval::Batch;
use crate::fold::{FoldError, Source};
use crate::ingest::SortedTable;
use group::{Group, groups};

/// A row group is closed at the first subject boundary from here on.
const GROUP_ROWS: usize = 65_536;
const FORMAT_KEY: &str = "obscura.table";
const FORMAT: &str = "1";
const DESCRIPTION_KEY: &str = "obscura.description";

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
    /// The Parquet library refused to write.
    #[error("the table cannot be encoded")]
    Encode(#[source] ParquetError),
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
    /// Written for another description.
    #[error("{path} was written for another description: ingest the dataset again")]
    OtherDescription {
        /// Where.
        path: PathBuf,
    },
}

struct Inner {
    path: PathBuf,
    metadata: ArrowReaderMetadata,
    groups: Vec<Group>,
    columns: usize,
    description: Digest,
    digest: Digest,
}

/// One stored dataset version, opened and measured.
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

/// The Arrow schema of a description's table.
pub(crate) fn schema(description: &Description) -> Schema {
    let mut fields = vec![Field::new("subject", DataType::UInt32, false)];
    fields.extend(description.columns().iter().map(|column| {
        let kind = match &column.domain {
            Domain::Integer { .. } | Domain::Number { .. } | Domain::Date { .. } => {
                DataType::Float64
            }
            Domain::Category { .. } => DataType::Int32,
            Domain::Boolean => DataType::Boolean,
            Domain::Text { .. } => DataType::Utf8,
        };
        Field::new(&column.name, kind, true)
    }));
    Schema::new(fields)
}

impl PrivateTable {
    /// Writes a sorted table to `path`: to a temporary name first, synced, renamed, and the folder
    /// synced, so that a crash leaves the old file or the new one. Returns the file's SHA-256.
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
        let failed = |source| TableError::Write {
            path: path.to_owned(),
            source,
        };
        let temporary = path.with_extension("writing");
        let file = File::create(&temporary).map_err(failed)?;
        let file = encode(sorted, description, file)?;
        file.sync_all().map_err(failed)?;
        drop(file);
        let digest = file_digest(&temporary).map_err(|source| TableError::Read {
            path: path.to_owned(),
            source,
        })?;
        std::fs::rename(&temporary, path).map_err(failed)?;
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty());
        let folder = File::open(folder.unwrap_or(Path::new("."))).map_err(failed)?;
        folder.sync_all().map_err(failed)?;
        Ok(digest)
    }

    /// Opens a stored table and measures it. The caller compares [`Self::digest`] with the one
    /// that was registered.
    pub fn open(path: &Path, description: &Description) -> Result<Self, TableError> {
        let unread = |source| TableError::Read {
            path: path.to_owned(),
            source,
        };
        let damaged = || TableError::Damaged {
            path: path.to_owned(),
        };
        let digest = file_digest(path).map_err(unread)?;
        let file = File::open(path).map_err(unread)?;
        let length = file.metadata().map_err(unread)?.len();
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let metadata = ArrowReaderMetadata::load(&file, options).map_err(|_| damaged())?;
        let keys = metadata.metadata().file_metadata().key_value_metadata();
        let value = |name: &str| {
            keys.and_then(|k| k.iter().find(|k| k.key == name))
                .and_then(|k| k.value.as_deref())
        };
        if value(FORMAT_KEY) != Some(FORMAT) {
            return Err(damaged());
        }
        if value(DESCRIPTION_KEY) != Some(description.digest().to_string().as_str()) {
            return Err(TableError::OtherDescription {
                path: path.to_owned(),
            });
        }
        let wanted = schema(description);
        let found = metadata.schema();
        let same = found.fields().len() == wanted.fields().len()
            && found
                .fields()
                .iter()
                .zip(wanted.fields())
                .all(|(a, b)| a.name() == b.name() && a.data_type() == b.data_type());
        if !same {
            return Err(damaged());
        }
        let groups = groups(&file, &metadata, length).ok_or_else(damaged)?;
        Ok(Self(Arc::new(Inner {
            path: path.to_owned(),
            metadata,
            groups,
            columns: description.columns().len(),
            description: description.digest(),
            digest,
        })))
    }

    /// SHA-256 of the file as it was opened. A private value: never published.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.0.digest
    }

    /// The digest of the description that the table was written for.
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

fn encode(sorted: &SortedTable, description: &Description, file: File) -> Result<File, TableError> {
    let schema = Arc::new(schema(description));
    let note = |key: &str, value: String| KeyValue::new(key.to_owned(), value);
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_max_row_group_row_count(None)
        .set_key_value_metadata(Some(vec![
            note(FORMAT_KEY, FORMAT.to_owned()),
            note(DESCRIPTION_KEY, description.digest().to_string()),
        ]))
        .build();
    let mut writer = ArrowWriter::try_new(file, Arc::clone(&schema), Some(properties))
        .map_err(TableError::Encode)?;
    for range in sorted.ranges(GROUP_ROWS) {
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(schema.fields().len());
        let subjects = sorted.subjects().get(range.clone()).unwrap_or_default();
        arrays.push(Arc::new(UInt32Array::from(subjects.to_vec())));
        arrays.extend(sorted.columns().iter().map(|c| c.array(range.clone())));
        let batch = RecordBatch::try_new(Arc::clone(&schema), arrays)
            .map_err(|e| TableError::Encode(ParquetError::from(e)))?;
        writer.write(&batch).map_err(TableError::Encode)?;
        writer.flush().map_err(TableError::Encode)?;
    }
    let mut file = writer.into_inner().map_err(TableError::Encode)?;
    file.flush()
        .map_err(|e| TableError::Encode(ParquetError::from(e)))?;
    Ok(file)
}

fn file_digest(path: &Path) -> std::io::Result<Digest> {
    let mut reader = BufReader::with_capacity(1 << 16, File::open(path)?);
    let mut hash = Sha256::new();
    let mut buffer = vec![0u8; 1 << 16];
    loop {
        let read = reader.read(&mut buffer)?;
        match buffer.get(..read) {
            Some([]) | None => return Ok(Digest::new(hash.finalize().into())),
            Some(part) => hash.update(part),
        }
    }
}

impl PrivateRows {
    pub(crate) fn description_digest(&self) -> Digest {
        self.0.description
    }
}

impl Source for PrivateRows {
    fn pieces(&self) -> usize {
        self.0.groups.len()
    }

    fn read(
        &self,
        piece: usize,
        columns: &BTreeSet<usize>,
        most: usize,
        each: &mut dyn FnMut(&Batch) -> Result<(), FoldError>,
    ) -> Result<(), FoldError> {
        let inner = &self.0;
        let group = inner.groups.get(piece).and_then(|g| g.read(&inner.path));
        let group = group.ok_or(FoldError::Store)?;
        let builder =
            ParquetRecordBatchReaderBuilder::new_with_metadata(group, inner.metadata.clone());
        // The subject is column 0, the described ones follow.
        let roots = std::iter::once(0).chain(columns.iter().map(|c| c + 1));
        let mask = ProjectionMask::roots(builder.parquet_schema(), roots);
        let reader = builder
            .with_row_groups(vec![piece])
            .with_projection(mask)
            .with_batch_size(most)
            .build()
            .map_err(|_| FoldError::Store)?;
        for batch in reader {
            let batch = batch.map_err(|_| FoldError::Store)?;
            each(&by_position(&batch, columns, inner.columns)?)?;
        }
        Ok(())
    }
}

fn by_position(
    batch: &RecordBatch,
    columns: &BTreeSet<usize>,
    described: usize,
) -> Result<Batch, FoldError> {
    let mut arrays = batch.columns().iter();
    let subjects = arrays
        .next()
        .and_then(|a| a.as_primitive_opt::<UInt32Type>());
    let subjects = subjects.cloned().ok_or(FoldError::Store)?;
    let mut by_position: Vec<Option<ArrayRef>> = vec![None; described];
    for (column, array) in columns.iter().zip(arrays) {
        *by_position.get_mut(*column).ok_or(FoldError::Store)? = Some(Arc::clone(array));
    }
    Ok(Batch {
        subjects,
        columns: by_position,
    })
}
