//! From an owner's files, one for each table, to the node's own sorted tables.
//!
//! Files are read once, row by row: each value is checked, and rows are kept as bytes with the
//! number of their id. What is more than [`MEMORY_BYTES`] is set aside in runs. When everybody's
//! index is known, each run is sorted by subject, and the runs are merged into blocks.
//!
//! Errors name the file, the line and the column, and what to do; they go to the owner only. They
//! never show a value.

mod build;
mod cell;
mod constants;
mod csv;
mod error;
mod ids;
mod merge;
mod order;
mod parquet;
mod piece;
mod row;
mod run;
mod sort;
mod spill;

use std::path::Path;

use obscura_model::ids::Digest;
use obscura_model::schema::{Description, Table};

pub use error::{IngestError, Place};
pub(crate) use order::Block;
pub use run::{MEMORY_BYTES, Room};
pub(crate) use sort::SortedPart;
pub use sort::{KEPT_TIMES, Secrets, SortError, SortedTable, sort, subject_hash};
pub use spill::{SpillError, clear};

use build::Builder;
use constants::Constants;
use ids::Ids;
use row::Layout;
use run::{Run, Runs};

/// Rows as read, checked against the description, in the order of the file. Transient: ids are
/// still ids here.
pub struct RawTable {
    description: Digest,
    ids: Ids,
    /// By described position.
    parts: Vec<RawPart>,
}

/// The rows of one described table.
struct RawPart {
    rows: Runs<Run>,
    layout: Layout,
    constants: Constants,
    /// How many rows each id has.
    counts: Vec<u32>,
    read: u64,
    without_id: u64,
}

/// The values of one described column in a block; missing ones are none.
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
        self.ids.len() as u64
    }

    /// How many rows were read. For the owner only.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.parts.iter().map(|p| p.read).sum()
    }

    /// The rows of a table, as columns with the ids.
    #[cfg(test)]
    pub(crate) fn columns(self, table: usize) -> (Vec<String>, Vec<RawColumn>) {
        let part = &self.parts[table];
        let (mut numbers, mut columns) = (Vec::new(), part.layout.columns());
        part.rows.each(|number, row| {
            numbers.push(number as usize);
            part.layout.take(row, &mut columns);
        });
        let mut ids = Vec::new();
        self.ids.into_each(|_, id| ids.push(id.to_owned()));
        (numbers.iter().map(|n| ids[*n].clone()).collect(), columns)
    }
}

/// Private: shows nothing.
impl std::fmt::Debug for RawTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RawTable")
    }
}

/// [`read_rows_within`], with all rows in memory.
///
/// # Errors
/// If a file cannot be read or does not fit the description.
pub fn read_rows(description: &Description, path: &Path) -> Result<RawTable, IngestError> {
    read_rows_within(description, path, &Room::in_memory())
}

/// Reads the CSV or Parquet file (by its name's end) of each table as the description says. `path`
/// is the first table's file; those of the others are looked for beside it.
///
/// # Errors
/// If a file cannot be read or does not fit the description, or rows cannot be set aside.
pub fn read_rows_within(
    description: &Description,
    path: &Path,
    room: &Room,
) -> Result<RawTable, IngestError> {
    let mut ids = Ids::default();
    let room = room.part(description.tables().len());
    let mut parts = Vec::with_capacity(description.tables().len());
    for (position, table) in description.tables().iter().enumerate() {
        let beside = path.with_file_name(&table.source_file);
        let path = if position == 0 { path } else { &beside };
        parts.push(read_table(table, path, &mut ids, &room)?);
    }
    Ok(RawTable {
        description: description.digest(),
        ids,
        parts,
    })
}

fn read_table(
    table: &Table,
    path: &Path,
    ids: &mut Ids,
    room: &Room,
) -> Result<RawPart, IngestError> {
    let kind = path
        .extension()
        .and_then(|e| e.to_str())
        .map(str::to_ascii_lowercase);
    let file = error::file_name(path);
    match kind.as_deref() {
        Some("csv") => csv::read(table, path, Builder::new(table, file, ids, room)),
        Some("parquet") => parquet::read(table, path, Builder::new(table, file, ids, room)),
        _ => Err(IngestError::Kind { file }),
    }
}
