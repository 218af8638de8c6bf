//! From an owner's files, one for each table, to the node's own sorted tables.
//!
//! Errors name the file, the line and the column, and what to do; they go to the owner only. They
//! never show a value.

mod build;
mod cell;
mod csv;
mod error;
mod parquet;
mod sort;

use std::path::Path;

use obscura_model::ids::Digest;
use obscura_model::schema::{Description, Table};

pub use error::{IngestError, Place};
pub(crate) use sort::SortedPart;
pub use sort::{KEPT_TIMES, Secrets, SortError, SortedTable, sort, subject_hash};

/// Rows as read, checked against the description, in the order of the file. Transient: ids are
/// still ids here.
pub struct RawTable {
    pub(crate) description: Digest,
    /// By described position.
    pub(crate) parts: Vec<RawPart>,
}

/// The rows of one described table.
pub(crate) struct RawPart {
    pub(crate) ids: Vec<String>,
    pub(crate) columns: Vec<RawColumn>,
    without_id: u64,
}

/// The values of one described column; missing ones are none.
pub(crate) enum RawColumn {
    /// Numbers, integers and days within their bounds, never NaN or -0.0.
    Number(Vec<Option<f64>>),
    /// Declared positions.
    Category(Vec<Option<i32>>),
    Boolean(Vec<Option<bool>>),
    Text(Vec<Option<String>>),
}

impl RawTable {
    /// How many rows were left out because they have no subject id. For the owner only.
    #[must_use]
    pub fn rows_without_id(&self) -> u64 {
        let without = self.parts.iter().map(|p| p.without_id);
        without.fold(0, u64::saturating_add)
    }

    /// How many subjects the rows have. For the owner only.
    #[must_use]
    pub fn subjects(&self) -> u64 {
        let ids = self.parts.iter().flat_map(|p| &p.ids);
        ids.collect::<std::collections::BTreeSet<&String>>().len() as u64
    }

    /// How many rows were read. For the owner only.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.parts.iter().map(|p| p.ids.len() as u64).sum()
    }
}

/// Private: shows nothing.
impl std::fmt::Debug for RawTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RawTable")
    }
}

/// Reads the CSV or Parquet file (by its name's end) of each table as the description says. `path`
/// is the first table's file; those of the others are looked for beside it.
pub fn read_rows(description: &Description, path: &Path) -> Result<RawTable, IngestError> {
    let mut parts = Vec::with_capacity(description.tables().len());
    for (position, table) in description.tables().iter().enumerate() {
        let beside = path.with_file_name(&table.source_file);
        let path = if position == 0 { path } else { &beside };
        parts.push(read_table(table, path)?);
    }
    Ok(RawTable {
        description: description.digest(),
        parts,
    })
}

fn read_table(table: &Table, path: &Path) -> Result<RawPart, IngestError> {
    let kind = path
        .extension()
        .and_then(|e| e.to_str())
        .map(str::to_ascii_lowercase);
    match kind.as_deref() {
        Some("csv") => csv::read(table, path),
        Some("parquet") => parquet::read(table, path),
        _ => Err(IngestError::Kind {
            file: error::file_name(path),
        }),
    }
}
