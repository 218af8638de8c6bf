//! Keyed hashes of ids and rows, and the stored order that follows from them.

mod checks;

use std::fmt;

use obscura_model::ids::Digest;
use obscura_model::schema::{Description, Domain, Table};

use super::cell::{normalised_id, normalised_into};
use super::ids::Ids;
use super::order::{self, Block, Keyed, Orderer};
use super::row::Layout;
use super::run::{LEFT, Runs, Sorted};
use super::spill::SpillError;
use super::{RawPart, RawTable};
use checks::Kept;

/// Of one subject at most this many times `most_rows_per_subject` rows of a table are kept: WHERE
/// may choose among more rows than count, and no subject may make the work on all rows longer than
/// its public slot, which has room for one subject with as many.
pub const KEPT_TIMES: u64 = 10;

/// Nor are more rows kept of one subject than have so many bytes of any one text column, by its
/// declared length: a join repeats a text on each row, and an array of texts can have 2^31.
const KEPT_TEXT_BYTES: u64 = 1 << 30;

/// The secrets of a population, never rotated. `subject` keys the hashes of ids, `rows` those of
/// rows.
pub struct Secrets {
    /// Keys the hashes of subject ids.
    pub subject: [u8; 32],
    /// Keys the hashes that choose rows.
    pub rows: [u8; 32],
}

/// Secret: shows nothing.
impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets")
    }
}

/// Why rows could not be given their places.
#[derive(Debug, thiserror::Error)]
pub enum SortError<E: std::error::Error + 'static> {
    /// The rows were read with another description.
    #[error("the rows were read with another description: read them again")]
    OtherDescription,
    /// The caller's index refused a subject.
    #[error("the subject index refused a subject")]
    Index(#[source] E),
    /// More subjects than the declared size has room for.
    #[error(
        "the dataset has more subjects than its description declares: raise the upper end of \
        subjects"
    )]
    Full,
    /// More rows than every slot has room for.
    #[error(
        "the table '{table}' has more rows than answers have time for, which is {each} for each of \
        {subjects} people and ten times as many for one more: raise most_rows_per_subject, or \
        leave rows out"
    )]
    Rows {
        /// The table.
        table: String,
        /// The declared most rows of one subject.
        each: u32,
        /// The declared most subjects.
        subjects: u64,
    },
    /// Rows that were set aside cannot be sorted.
    #[error(transparent)]
    Spill(#[from] SpillError),
    /// Several values of a column that has one for each subject. Under one id that is noticed where
    /// the file is read.
    #[error(
        "in the table '{table}' the rows of somebody with several ids have different values of \
        '{column}', and the description says that it is constant per subject: correct it or change \
        the description"
    )]
    Constant {
        /// The table.
        table: String,
        /// The column.
        column: String,
    },
}

/// The rows of all tables in stored order: by subject index, then by the keyed hash of the row.
pub struct SortedTable {
    description: Digest,
    parts: Vec<SortedPart>,
}

/// One table, from which its rows come in stored order.
pub(crate) struct SortedPart {
    runs: Runs<Sorted>,
    layout: Layout,
    /// Keys the hashes of rows.
    hashes: Keyed,
    /// Of one subject so many rows are kept.
    most: u64,
    kept: Kept,
}

/// Private: shows nothing.
impl fmt::Debug for SortedTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SortedTable")
    }
}

/// The only form in which the node keeps an id: the first 16 bytes of HMAC-SHA256 under the
/// population's secret, of the normalised id (white space around it cut, lower case).
#[must_use]
pub fn subject_hash(secret: &[u8; 32], id: &str) -> [u8; 16] {
    let id = normalised_id(id).unwrap_or_default();
    Keyed::new(secret, &[]).of(id.as_bytes())
}

/// Puts rows into stored order. `index` gives the dense subject index of a keyed id (the ledger
/// owns that map, which only ever grows); it is asked once for each subject of any table, in
/// ascending order of the hashes, so that nothing depends on the order of the files. Rows of a
/// subject without an index are left out.
///
/// The rows of a subject are ordered by the first 16 bytes of HMAC-SHA256 under the row secret, of
/// the typed content of all described columns followed by the row's ordinal among the subject's
/// equal rows (8 bytes, little endian). A missing value is the byte 0; a number 1 and its 8 bytes
/// (IEEE 754, little endian); a category 2, the length of its text in 4 bytes and the text; a
/// boolean 3 and 0 or 1; a text 4, its length in 4 bytes and the text. In every table but the first
/// the byte 5, the length of the table's name in 4 bytes and the name come before. Of each subject
/// the first [`KEPT_TIMES`] times the declared most rows are kept, in this order. Of all subjects
/// together no table may keep more than slots have room for: the declared most rows of each, and
/// [`KEPT_TIMES`] times as many of one more.
pub fn sort<E: std::error::Error + 'static, I: Into<Option<u32>>>(
    raw: RawTable,
    description: &Description,
    secrets: &Secrets,
    index: &mut impl FnMut([u8; 16]) -> Result<I, E>,
) -> Result<SortedTable, SortError<E>> {
    if raw.description != description.digest() {
        return Err(SortError::OtherDescription);
    }
    let RawTable {
        description: digest,
        ids,
        parts,
    } = raw;
    let indices = indices(ids, description, secrets, index)?;
    let people = people(&indices);
    let tables = description.tables().iter().zip(&parts);
    let mut counts = Vec::with_capacity(parts.len());
    for (table, part) in tables {
        let kept = checks::kept(&part.counts, &people, most_kept(description, table));
        checks::fits(kept.rows, table, description.most_subjects())?;
        checks::constants(part, &people, table)?;
        counts.push(kept);
    }
    let tables = description
        .tables()
        .iter()
        .zip(parts)
        .zip(counts)
        .enumerate();
    let parts = tables.map(|(position, ((table, part), kept))| {
        let prefix = if position == 0 {
            Vec::new()
        } else {
            prefix(table)
        };
        Ok(SortedPart {
            runs: part.rows.sorted(&indices)?,
            layout: part.layout,
            hashes: Keyed::new(&secrets.rows, &prefix),
            most: most_kept(description, table),
            kept,
        })
    });
    Ok(SortedTable {
        description: digest,
        parts: parts.collect::<Result<_, SpillError>>()?,
    })
}

/// The most rows of one subject that are kept of a table: from the description alone.
fn most_kept(description: &Description, table: &Table) -> u64 {
    let columns = description.tables().iter().flat_map(|t| &t.columns);
    let bytes = columns.filter_map(|c| match &c.domain {
        Domain::Text { most_characters } => Some(4 * u64::from(*most_characters)),
        Domain::Integer { .. }
        | Domain::Number { .. }
        | Domain::Category { .. }
        | Domain::Boolean
        | Domain::Date { .. } => None,
    });
    let longest = bytes.max().unwrap_or(0).max(1);
    let rows = KEPT_TIMES.saturating_mul(table.most_rows_per_subject.into());
    rows.min(KEPT_TEXT_BYTES / longest).max(1)
}

/// Separates the hashes of a table from those of others.
fn prefix(table: &Table) -> Vec<u8> {
    let mut bytes = vec![5];
    // Names have at most 60 bytes.
    bytes.extend_from_slice(&(table.name.len() as u32).to_le_bytes());
    bytes.extend_from_slice(table.name.as_bytes());
    bytes
}

/// The subject index of each number of an id; [`LEFT`] for those that are left out.
fn indices<E: std::error::Error + 'static, I: Into<Option<u32>>>(
    ids: Ids,
    description: &Description,
    secrets: &Secrets,
    index: &mut impl FnMut([u8; 16]) -> Result<I, E>,
) -> Result<Vec<u32>, SortError<E>> {
    let subjects = Keyed::new(&secrets.subject, &[]);
    let mut hashes: Vec<([u8; 16], u32)> = Vec::with_capacity(ids.len());
    let mut scratch = String::new();
    ids.into_each(|number, id| {
        let id = normalised_into(id, &mut scratch).unwrap_or_default();
        hashes.push((subjects.of(id.as_bytes()), number));
    });
    hashes.sort_unstable();
    let mut indices = vec![LEFT; hashes.len()];
    let mut before: Option<([u8; 16], Option<u32>)> = None;
    for (hash, number) in hashes {
        let subject = match before {
            Some((same, subject)) if same == hash => subject,
            _ => index(hash).map_err(SortError::Index)?.into(),
        };
        if subject.is_some_and(|subject| u64::from(subject) >= description.index_capacity()) {
            return Err(SortError::Full);
        }
        before = Some((hash, subject));
        if let Some(slot) = indices.get_mut(number as usize) {
            *slot = subject.unwrap_or(LEFT);
        }
    }
    Ok(indices)
}

/// Index and number of every id that is not left out, those of a person together.
fn people(indices: &[u32]) -> Vec<(u32, u32)> {
    let numbered = indices.iter().copied().zip(0u32..);
    let mut people: Vec<(u32, u32)> = numbered.filter(|(index, _)| *index != LEFT).collect();
    people.sort_unstable();
    people
}

impl SortedTable {
    /// How many rows are kept. Private.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.parts.iter().map(|p| p.kept.rows).sum()
    }

    /// How many rows were left out because their subject has more than are kept. For the owner
    /// only.
    #[must_use]
    pub fn rows_beyond(&self) -> u64 {
        self.parts.iter().map(|p| p.kept.beyond).sum()
    }

    pub(crate) fn description_digest(&self) -> Digest {
        self.description
    }

    pub(crate) fn parts(&self) -> &[SortedPart] {
        &self.parts
    }
}

impl SortedPart {
    /// Hands out the rows in stored order, in blocks that are closed at the first end of a subject's
    /// rows from so many on.
    pub(crate) fn blocks<E: From<SpillError>>(
        &self,
        block_rows: usize,
        each: impl FnMut(Block) -> Result<(), E>,
    ) -> Result<(), E> {
        // At most ten times 2^32, and more than fits memory is never reached.
        let most = usize::try_from(self.most).unwrap_or(usize::MAX / 4);
        let orderer = Orderer::new(&self.layout, self.hashes.clone(), most, block_rows);
        order::blocks(&self.runs, orderer, each)
    }
}
