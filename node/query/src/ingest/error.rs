//! What can be wrong with an owner's file.

use std::fmt;
use std::path::Path;

use super::spill::SpillError;

/// Where in the file: the line of a CSV file (the header is line 1), or the row of a Parquet file
/// (from 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A line of text.
    Line(u64),
    /// A row of a columnar file.
    Row(u64),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Line(line) => write!(f, "line {line}"),
            Place::Row(row) => write!(f, "row {row}"),
        }
    }
}

/// A refused file. For the owner only; no value of a row is shown.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// Neither CSV nor Parquet by its name.
    #[error("{file}: only .csv and .parquet files can be ingested")]
    Kind {
        /// The file's name.
        file: String,
    },
    /// The file cannot be opened or read.
    #[error("{file}: cannot be read; check that it exists and the node may read it")]
    Read {
        /// The file's name.
        file: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The header lacks a column.
    #[error("{file}: there is no column '{column}'; add it or change the description")]
    NoColumn {
        /// The file's name.
        file: String,
        /// The column.
        column: String,
    },
    /// The header has a needed column twice.
    #[error("{file}: column '{column}' is there twice; rename one")]
    TwoColumns {
        /// The file's name.
        file: String,
        /// The column.
        column: String,
    },
    /// A row that is not made like the header.
    #[error("{file}, {place}: {what}")]
    Form {
        /// The file's name.
        file: String,
        /// Where.
        place: Place,
        /// What is wrong and what to do.
        what: &'static str,
    },
    /// A value that does not fit its column.
    #[error("{file}, {place}, column '{column}': {what}")]
    Value {
        /// The file's name.
        file: String,
        /// Where.
        place: Place,
        /// The column.
        column: String,
        /// What is wrong and what to do.
        what: &'static str,
    },
    /// A column of a type that its description does not fit.
    #[error("{file}, column '{column}': its type {found} cannot be read as {wanted}")]
    Type {
        /// The file's name.
        file: String,
        /// The column.
        column: String,
        /// The type in the file.
        found: String,
        /// What the description says.
        wanted: &'static str,
    },
    /// More different ids than numbers.
    #[error("{file}: there are more than 2^32 different subject ids; leave some out")]
    Ids {
        /// The file's name.
        file: String,
    },
    /// Rows cannot be set aside.
    #[error(transparent)]
    Spill(#[from] SpillError),
    /// The file is cut off or damaged.
    #[error("{file}: is cut off or damaged; export it again")]
    Damaged {
        /// The file's name.
        file: String,
    },
}

/// The last part of a path, for messages.
pub(super) fn file_name(path: &Path) -> String {
    path.file_name()
        .map_or_else(String::new, |n| n.to_string_lossy().into_owned())
}
