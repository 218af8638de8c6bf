//! Keyed hashes of ids and rows, and the stored order that follows from them.

mod checks;

use std::fmt;
use std::ops::Range;

use hmac::{Hmac, KeyInit, Mac};
use obscura_model::ids::Digest;
use obscura_model::schema::{Description, Domain, Table};
use sha2::Sha256;

use super::cell::normalised_id;
use super::{RawColumn, RawPart, RawTable};

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

/// One table in stored order.
pub(crate) struct SortedPart {
    subjects: Vec<u32>,
    columns: Vec<RawColumn>,
    /// How many rows were left out because their subject has too many.
    beyond: u64,
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
    keyed(secret, &[id.as_bytes()])
}

#[allow(clippy::expect_used)]
fn keyed(secret: &[u8; 32], parts: &[&[u8]]) -> [u8; 16] {
    // HMAC takes a key of any length, so this cannot fail.
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes any key");
    parts.iter().for_each(|p| mac.update(p));
    let bytes = mac.finalize().into_bytes();
    let mut first = [0u8; 16];
    first
        .iter_mut()
        .zip(bytes)
        .for_each(|(to, from)| *to = from);
    first
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
    let subjects = indices(&raw, description, secrets, index)?;
    let parts = description.tables().iter().zip(&raw.parts).zip(subjects);
    let parts = parts
        .enumerate()
        .map(|(position, ((table, part), subjects))| {
            let prefix = if position == 0 {
                Vec::new()
            } else {
                prefix(table)
            };
            let most = most_kept(description, table);
            sorted(part, table, &prefix, &subjects, secrets, most)
        });
    let parts: Vec<SortedPart> = parts.collect();
    for (part, table) in parts.iter().zip(description.tables()) {
        checks::fits(part, table, description.most_subjects())?;
        checks::constants(part, table)?;
    }
    Ok(SortedTable {
        description: raw.description,
        parts,
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

fn sorted(
    raw: &RawPart,
    table: &Table,
    prefix: &[u8],
    subjects: &[Option<u32>],
    secrets: &Secrets,
    most: u64,
) -> SortedPart {
    let content: Vec<Vec<u8>> = (0..raw.ids.len())
        .map(|row| content(&raw.columns, table, row))
        .collect();
    // Equal rows of a subject come together, in whatever order: they are interchangeable.
    let mut order: Vec<usize> = (0..raw.ids.len())
        .filter(|row| subjects.get(*row).copied().flatten().is_some())
        .collect();
    order.sort_unstable_by_key(|row| (subjects.get(*row), content.get(*row)));
    let mut keyed_rows: Vec<(u32, [u8; 16], usize)> = Vec::with_capacity(order.len());
    let mut before: Option<(u32, &[u8], u64)> = None;
    for row in order {
        let subject = subjects.get(row).copied().flatten().unwrap_or(0);
        let bytes = content.get(row).map_or(&[][..], Vec::as_slice);
        let ordinal = match before {
            Some((s, b, ordinal)) if s == subject && b == bytes => ordinal + 1,
            _ => 0,
        };
        before = Some((subject, bytes, ordinal));
        let hash = keyed(&secrets.rows, &[prefix, bytes, &ordinal.to_le_bytes()]);
        keyed_rows.push((subject, hash, row));
    }
    keyed_rows.sort_unstable();
    let all = keyed_rows.len();
    let mut counted: Option<(u32, u64)> = None;
    keyed_rows.retain(|(subject, _, _)| {
        let before = counted.filter(|(s, _)| s == subject).map_or(0, |(_, n)| n);
        counted = Some((*subject, before + 1));
        before < most
    });
    let rows: Vec<usize> = keyed_rows.iter().map(|(_, _, row)| *row).collect();
    SortedPart {
        subjects: keyed_rows.iter().map(|(subject, _, _)| *subject).collect(),
        columns: raw.columns.iter().map(|c| c.take(&rows)).collect(),
        beyond: (all - rows.len()) as u64,
    }
}

/// The subject index of each row of each table; none for rows that are left out.
fn indices<E: std::error::Error + 'static, I: Into<Option<u32>>>(
    raw: &RawTable,
    description: &Description,
    secrets: &Secrets,
    index: &mut impl FnMut([u8; 16]) -> Result<I, E>,
) -> Result<Vec<Vec<Option<u32>>>, SortError<E>> {
    let mut hashes: Vec<([u8; 16], usize, usize)> = Vec::new();
    for (part, rows) in raw.parts.iter().enumerate() {
        let ids = rows.ids.iter().enumerate();
        hashes.extend(ids.map(|(row, id)| (subject_hash(&secrets.subject, id), part, row)));
    }
    hashes.sort_unstable();
    let empty = |part: &RawPart| vec![None; part.ids.len()];
    let mut subjects: Vec<Vec<Option<u32>>> = raw.parts.iter().map(empty).collect();
    let mut before: Option<([u8; 16], Option<u32>)> = None;
    for (hash, part, row) in hashes {
        let subject = match before {
            Some((same, subject)) if same == hash => subject,
            _ => index(hash).map_err(SortError::Index)?.into(),
        };
        if subject.is_some_and(|subject| u64::from(subject) >= description.index_capacity()) {
            return Err(SortError::Full);
        }
        before = Some((hash, subject));
        if let Some(slot) = subjects.get_mut(part).and_then(|s| s.get_mut(row)) {
            *slot = subject;
        }
    }
    Ok(subjects)
}

fn content(columns: &[RawColumn], table: &Table, row: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (values, column) in columns.iter().zip(&table.columns) {
        match values {
            RawColumn::Number(v) => match v.get(row).copied().flatten() {
                Some(number) => {
                    bytes.push(1);
                    bytes.extend_from_slice(&number.to_le_bytes());
                }
                None => bytes.push(0),
            },
            RawColumn::Category(v) => match (v.get(row).copied().flatten(), &column.domain) {
                (Some(code), Domain::Category { values, other: _ }) => {
                    let label = usize::try_from(code).ok().and_then(|c| values.get(c));
                    let text = label.map_or(&[][..], String::as_bytes);
                    bytes.push(2);
                    // Labels have at most 200 bytes.
                    bytes.extend_from_slice(&(text.len() as u32).to_le_bytes());
                    bytes.extend_from_slice(text);
                }
                _ => bytes.push(0),
            },
            RawColumn::Boolean(v) => match v.get(row).copied().flatten() {
                Some(truth) => bytes.extend_from_slice(&[3, u8::from(truth)]),
                None => bytes.push(0),
            },
            RawColumn::Text(v) => match v.get(row).and_then(Option::as_deref) {
                Some(text) => {
                    bytes.push(4);
                    // At most 10,000 characters.
                    bytes.extend_from_slice(&(text.len() as u32).to_le_bytes());
                    bytes.extend_from_slice(text.as_bytes());
                }
                None => bytes.push(0),
            },
        }
    }
    bytes
}

impl RawColumn {
    /// Whether two rows have the same value, or both none.
    pub(super) fn same(&self, a: usize, b: usize) -> bool {
        match self {
            RawColumn::Number(v) => v.get(a) == v.get(b),
            RawColumn::Category(v) => v.get(a) == v.get(b),
            RawColumn::Boolean(v) => v.get(a) == v.get(b),
            RawColumn::Text(v) => v.get(a) == v.get(b),
        }
    }

    fn take(&self, rows: &[usize]) -> RawColumn {
        fn pick<T: Clone>(values: &[Option<T>], rows: &[usize]) -> Vec<Option<T>> {
            rows.iter()
                .map(|r| values.get(*r).cloned().flatten())
                .collect()
        }
        match self {
            RawColumn::Number(v) => RawColumn::Number(pick(v, rows)),
            RawColumn::Category(v) => RawColumn::Category(pick(v, rows)),
            RawColumn::Boolean(v) => RawColumn::Boolean(pick(v, rows)),
            RawColumn::Text(v) => RawColumn::Text(pick(v, rows)),
        }
    }
}

impl SortedTable {
    /// How many rows are kept. Private.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.parts.iter().map(|p| p.subjects.len() as u64).sum()
    }

    /// How many rows were left out because their subject has more than are kept. For the owner
    /// only.
    #[must_use]
    pub fn rows_beyond(&self) -> u64 {
        self.parts.iter().map(|p| p.beyond).sum()
    }

    pub(crate) fn description_digest(&self) -> Digest {
        self.description
    }

    pub(crate) fn parts(&self) -> &[SortedPart] {
        &self.parts
    }
}

impl SortedPart {
    pub(crate) fn subjects(&self) -> &[u32] {
        &self.subjects
    }

    pub(crate) fn columns(&self) -> &[RawColumn] {
        &self.columns
    }

    /// Parts of at least `least` rows (the last may have fewer), cut between subjects.
    pub(crate) fn ranges(&self, least: usize) -> Vec<Range<usize>> {
        let mut ranges = Vec::new();
        let mut start = 0;
        for (i, pair) in self.subjects.windows(2).enumerate() {
            if matches!(pair, [a, b] if a != b) && i + 1 - start >= least {
                ranges.push(start..i + 1);
                start = i + 1;
            }
        }
        if start < self.subjects.len() {
            ranges.push(start..self.subjects.len());
        }
        ranges
    }
}
