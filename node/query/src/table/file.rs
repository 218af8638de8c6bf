//! One table's file.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt32Type;
use arrow_array::{ArrayRef, RecordBatch, UInt32Array};
use arrow_schema::{DataType, Field, Schema};
use obscura_model::ids::Digest;
use obscura_model::schema::{Domain, Table};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use parquet::arrow::arrow_writer::ArrowWriter;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use sha2::{Digest as _, Sha256};

use super::TableError;
use super::group::{Group, groups};
use crate::batch::{Batch, data_type};
use crate::fold::FoldError;
use crate::ingest::SortedPart;
use crate::source::Span;

/// A row group is closed at the first subject boundary from here on, or earlier if texts are long.
const GROUP_ROWS: usize = 65_536;
/// The most bytes of texts in a row group, by their declared length, unless one subject has more.
const GROUP_TEXT_BYTES: usize = 1 << 28;
const FORMAT_KEY: &str = "obscura.table";
/// 2: row groups say which subjects they have.
const FORMAT: &str = "2";
const DESCRIPTION_KEY: &str = "obscura.description";
const SUBJECT: &str = "subject";

/// A file under its temporary name, synced.
pub(super) struct Written {
    temporary: PathBuf,
    pub(super) digest: Digest,
}

impl Written {
    /// Gives the file its name.
    pub(super) fn rename(self, path: &Path) -> Result<(), TableError> {
        std::fs::rename(&self.temporary, path).map_err(|source| TableError::Write {
            path: path.to_owned(),
            source,
        })
    }
}

/// Makes the names in a file's folder durable.
pub(super) fn sync_folder(path: &Path) -> Result<(), TableError> {
    let failed = |source| TableError::Write {
        path: path.to_owned(),
        source,
    };
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty());
    let folder = File::open(folder.unwrap_or(Path::new("."))).map_err(failed)?;
    folder.sync_all().map_err(failed)
}

/// Writes a table under a temporary name beside `path`.
pub(super) fn write(
    part: &SortedPart,
    table: &Table,
    description: Digest,
    path: &Path,
) -> Result<Written, TableError> {
    let failed = |source| TableError::Write {
        path: path.to_owned(),
        source,
    };
    let temporary = path.with_extension("writing");
    let file = File::create(&temporary).map_err(failed)?;
    let file = encode(part, table, description, file)?;
    file.sync_all().map_err(failed)?;
    drop(file);
    let digest = file_digest(&temporary).map_err(|source| TableError::Read {
        path: path.to_owned(),
        source,
    })?;
    Ok(Written { temporary, digest })
}

/// The Arrow schema of a table.
fn schema(table: &Table) -> Schema {
    let mut fields = vec![Field::new(SUBJECT, DataType::UInt32, false)];
    let field = |c: &obscura_model::schema::Column| Field::new(&c.name, data_type(&c.domain), true);
    fields.extend(table.columns.iter().map(field));
    Schema::new(fields)
}

/// How many rows a row group has before it is closed, from declared lengths alone.
fn group_rows(table: &Table) -> usize {
    let bytes = table.columns.iter().map(|c| match &c.domain {
        // At most 4 bytes each.
        Domain::Text { most_characters } => 4 * *most_characters as usize,
        Domain::Integer { .. }
        | Domain::Number { .. }
        | Domain::Category { .. }
        | Domain::Boolean
        | Domain::Date { .. } => 0,
    });
    let longest = bytes.max().unwrap_or(0).max(1);
    GROUP_ROWS.min(GROUP_TEXT_BYTES / longest).max(1)
}

fn encode(
    part: &SortedPart,
    table: &Table,
    description: Digest,
    file: File,
) -> Result<File, TableError> {
    let schema = Arc::new(schema(table));
    let note = |key: &str, value: String| KeyValue::new(key.to_owned(), value);
    let subject = ColumnPath::from(SUBJECT);
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_column_statistics_enabled(subject, EnabledStatistics::Chunk)
        .set_max_row_group_row_count(None)
        .set_key_value_metadata(Some(vec![
            note(FORMAT_KEY, FORMAT.to_owned()),
            note(DESCRIPTION_KEY, description.to_string()),
        ]))
        .build();
    let mut writer = ArrowWriter::try_new(file, Arc::clone(&schema), Some(properties))
        .map_err(TableError::Encode)?;
    for range in part.ranges(group_rows(table)) {
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(schema.fields().len());
        let subjects = part.subjects().get(range.clone()).unwrap_or_default();
        arrays.push(Arc::new(UInt32Array::from(subjects.to_vec())));
        arrays.extend(part.columns().iter().map(|c| c.array(range.clone())));
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

/// One stored table, opened and measured.
pub(super) struct Stored {
    path: PathBuf,
    metadata: ArrowReaderMetadata,
    groups: Vec<Group>,
    columns: usize,
    digest: Digest,
}

impl Stored {
    pub(super) fn open(
        path: &Path,
        table: &Table,
        description: Digest,
    ) -> Result<Self, TableError> {
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
        if value(DESCRIPTION_KEY) != Some(description.to_string().as_str()) {
            return Err(TableError::OtherDescription {
                path: path.to_owned(),
            });
        }
        let wanted = schema(table);
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
        Ok(Self {
            path: path.to_owned(),
            metadata,
            groups,
            columns: table.columns.len(),
            digest,
        })
    }

    pub(super) fn digest(&self) -> Digest {
        self.digest
    }

    pub(super) fn spans(&self) -> Vec<Span> {
        self.groups.iter().map(|g| g.span).collect()
    }

    /// One row group, compared with what it was when the file was opened.
    pub(super) fn load(&self, group: usize, columns: &BTreeSet<usize>) -> Result<Batch, FoldError> {
        let bytes = self.groups.get(group).and_then(|g| g.read(&self.path));
        let bytes = bytes.ok_or(FoldError::Store)?;
        let builder =
            ParquetRecordBatchReaderBuilder::new_with_metadata(bytes, self.metadata.clone());
        // The subject is column 0, the described ones follow.
        let roots = std::iter::once(0).chain(columns.iter().map(|c| c + 1));
        let mask = ProjectionMask::roots(builder.parquet_schema(), roots);
        let rows = self.metadata.metadata().row_groups().get(group);
        let rows = rows.and_then(|g| usize::try_from(g.num_rows()).ok());
        let reader = builder
            .with_row_groups(vec![group])
            .with_projection(mask)
            .with_batch_size(rows.ok_or(FoldError::Store)?.max(1))
            .build()
            .map_err(|_| FoldError::Store)?;
        let mut parts = Vec::new();
        for batch in reader {
            let batch = batch.map_err(|_| FoldError::Store)?;
            parts.push(by_position(&batch, columns, self.columns)?);
        }
        Ok(Batch::concatenated(&parts)?)
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
