//! One row as bytes: what is kept in memory, set aside on disk and hashed.
//!
//! A row begins with a bit for each described column, set where it has a value, and has a place of
//! fixed length for each: 8 bytes of a number, 4 of a declared position, 1 of a truth, 4 with the
//! length of a text. The texts follow in the order of the columns. What is not there is zeros, so
//! rows are equal if their bytes are.

use std::borrow::Cow;

use obscura_model::schema::{Domain, Table};

use super::RawColumn;

/// A checked value.
pub(super) enum Value<'a> {
    /// Never NaN or -0.0.
    Number(f64),
    /// A declared position.
    Code(u32),
    Truth(bool),
    Text(Cow<'a, str>),
}

/// What a place holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Number,
    Code,
    Truth,
    Text,
}

struct Place {
    kind: Kind,
    at: usize,
    /// Of a category: what the hash has of each declared text.
    labels: Vec<Vec<u8>>,
}

/// Where the values of a table's rows are.
pub(super) struct Layout {
    places: Vec<Place>,
    fixed: usize,
}

impl Layout {
    pub(super) fn of(table: &Table) -> Self {
        let mut at = table.columns.len().div_ceil(8);
        let places = table.columns.iter().map(|column| {
            let (kind, bytes) = match &column.domain {
                Domain::Integer { .. } | Domain::Number { .. } | Domain::Date { .. } => {
                    (Kind::Number, 8)
                }
                Domain::Category { .. } => (Kind::Code, 4),
                Domain::Boolean => (Kind::Truth, 1),
                Domain::Text { .. } => (Kind::Text, 4),
            };
            let declared: &[String] = match &column.domain {
                Domain::Category { values, other: _ } => values,
                Domain::Integer { .. }
                | Domain::Number { .. }
                | Domain::Boolean
                | Domain::Date { .. }
                | Domain::Text { .. } => &[],
            };
            let labels = declared.iter().map(|v| text_content(2, v.as_bytes()));
            let place = Place {
                kind,
                at,
                labels: labels.collect(),
            };
            at += bytes;
            place
        });
        let places = places.collect();
        Self { places, fixed: at }
    }

    /// The bytes of every row, without texts.
    pub(super) fn fixed(&self) -> usize {
        self.fixed
    }

    /// Whether rows have texts, so that they differ in length.
    pub(super) fn varies(&self) -> bool {
        self.places.iter().any(|p| p.kind == Kind::Text)
    }

    /// Begins a row at the end of `bytes`; gives where it begins.
    pub(super) fn begin(&self, bytes: &mut Vec<u8>) -> usize {
        let start = bytes.len();
        bytes.resize(start + self.fixed, 0);
        start
    }

    /// Adds the value of a column; columns come in order.
    pub(super) fn put(&self, bytes: &mut Vec<u8>, start: usize, column: usize, value: &Value<'_>) {
        let Some(place) = self.places.get(column) else {
            return;
        };
        if let Some(known) = bytes.get_mut(start + column / 8) {
            *known |= 1 << (column % 8);
        }
        let mut set = |value: &[u8]| {
            let from = start + place.at;
            if let Some(to) = bytes.get_mut(from..from + value.len()) {
                to.copy_from_slice(value);
            }
        };
        match value {
            Value::Number(v) => set(&v.to_le_bytes()),
            Value::Code(v) => set(&v.to_le_bytes()),
            Value::Truth(v) => set(&[u8::from(*v)]),
            Value::Text(v) => {
                // At most 10,000 characters.
                set(&(v.len() as u32).to_le_bytes());
                bytes.extend_from_slice(v.as_bytes());
            }
        }
    }

    /// The typed content that a row's hash is made of, as [`sort`](super::sort()) says.
    pub(super) fn content(&self, row: &[u8], into: &mut Vec<u8>) {
        let mut texts = row.get(self.fixed..).unwrap_or_default();
        for (column, place) in self.places.iter().enumerate() {
            if !known(row, column) {
                into.push(0);
                continue;
            }
            match place.kind {
                Kind::Number => {
                    into.push(1);
                    into.extend_from_slice(&array::<8>(row, place.at));
                }
                Kind::Code => {
                    let code = u32::from_le_bytes(array(row, place.at)) as usize;
                    into.extend_from_slice(place.labels.get(code).map_or(&[0], Vec::as_slice));
                }
                Kind::Truth => into.extend_from_slice(&[3, array::<1>(row, place.at)[0]]),
                Kind::Text => {
                    let text = next_text(row, place, &mut texts);
                    into.push(4);
                    into.extend_from_slice(&(text.len() as u32).to_le_bytes());
                    into.extend_from_slice(text);
                }
            }
        }
    }

    /// No rows, as columns.
    pub(super) fn columns(&self) -> Vec<RawColumn> {
        let none = |place: &Place| match place.kind {
            Kind::Number => RawColumn::Number(Vec::new()),
            Kind::Code => RawColumn::Category(Vec::new()),
            Kind::Truth => RawColumn::Boolean(Vec::new()),
            Kind::Text => RawColumn::Text(Vec::new()),
        };
        self.places.iter().map(none).collect()
    }

    /// Adds a row to columns.
    pub(super) fn take(&self, row: &[u8], columns: &mut [RawColumn]) {
        let mut texts = row.get(self.fixed..).unwrap_or_default();
        for (column, (place, values)) in self.places.iter().zip(columns).enumerate() {
            let there = known(row, column);
            let at = place.at;
            match values {
                RawColumn::Number(v) => v.push(there.then(|| f64::from_le_bytes(array(row, at)))),
                RawColumn::Category(v) => {
                    v.push(there.then(|| i32::from_le_bytes(array(row, at))));
                }
                RawColumn::Boolean(v) => v.push(there.then(|| array::<1>(row, at) != [0])),
                RawColumn::Text(v) => {
                    let text = there.then(|| next_text(row, place, &mut texts));
                    v.push(text.map(|t| String::from_utf8_lossy(t).into_owned()));
                }
            }
        }
    }
}

/// A tag, the length in 4 bytes and the text.
fn text_content(tag: u8, text: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag];
    // Labels have at most 200 bytes.
    bytes.extend_from_slice(&(text.len() as u32).to_le_bytes());
    bytes.extend_from_slice(text);
    bytes
}

fn next_text<'r>(row: &[u8], place: &Place, texts: &mut &'r [u8]) -> &'r [u8] {
    let length = u32::from_le_bytes(array(row, place.at)) as usize;
    let (text, rest) = texts.split_at_checked(length).unwrap_or((texts, &[]));
    *texts = rest;
    text
}

fn known(row: &[u8], column: usize) -> bool {
    row.get(column / 8)
        .is_some_and(|b| b >> (column % 8) & 1 == 1)
}

/// The bytes of a place; rows have all of theirs.
fn array<const N: usize>(row: &[u8], at: usize) -> [u8; N] {
    let bytes = row.get(at..).and_then(<[u8]>::first_chunk);
    bytes.copied().unwrap_or([0; N])
}
