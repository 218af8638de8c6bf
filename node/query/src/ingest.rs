//! From an owner's file to the node's own sorted table.
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
use obscura_model::schema::Description;

pub use error::{IngestError, Place};
pub use sort::{Secrets, SortError, SortedTable, sort, subject_hash};

/// Rows as read, checked against the description, in the order of the file. Transient: ids are
/// still ids here.
pub struct RawTable {
    pub(crate) description: Digest,
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
        self.without_id
    }

    /// How many subjects the rows have. For the owner only.
    #[must_use]
    pub fn subjects(&self) -> u64 {
        let ids: std::collections::BTreeSet<&String> = self.ids.iter().collect();
        ids.len() as u64
    }

    /// How many rows were read. For the owner only.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.ids.len() as u64
    }
}

/// Private: shows nothing.
impl std::fmt::Debug for RawTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RawTable")
    }
}

/// Reads a CSV or Parquet file (by its name's end) as the description says.
pub fn read_rows(description: &Description, path: &Path) -> Result<RawTable, IngestError> {
    let kind = path
        .extension()
        .and_then(|e| e.to_str())
        .map(str::to_ascii_lowercase);
    match kind.as_deref() {
        Some("csv") => csv::read(description, path),
        Some("parquet") => parquet::read(description, path),
        _ => Err(IngestError::Kind {
            file: error::file_name(path),
        }),
    }
}
