//! The encodings of a block's parts: whose rows they are, and one column of them. The page about
//! the stored format in the documentation says the same in words.
//!
//! Reading gives nothing for bytes that are no encoding of so many rows; it never panics, and
//! takes no more memory than the rows need that the directory has.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, Float64Array, Int32Array, StringArray};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer};
use obscura_model::schema::Domain;

use super::words::{Width, Words};
use crate::ingest::RawColumn;
use crate::runs::Runs;
use crate::source::Span;

/// What a column's values are kept as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Number,
    /// Declared positions, with the width that the longest list needs.
    Code(Width),
    Truth,
    Text,
}

impl Kind {
    pub(super) fn of(domain: &Domain) -> Self {
        match domain {
            Domain::Integer { .. } | Domain::Number { .. } | Domain::Date { .. } => Kind::Number,
            Domain::Category { values, other: _ } => {
                let last = values.len().saturating_sub(1).max(1) as u64;
                Kind::Code(Width::of(last).unwrap_or(Width::Four))
            }
            Domain::Boolean => Kind::Truth,
            Domain::Text { .. } => Kind::Text,
        }
    }

    pub(super) fn byte(self) -> u8 {
        match self {
            Kind::Number => 1,
            // 17, 18 or 20.
            Kind::Code(width) => 16 + width.bytes() as u8,
            Kind::Truth => 2,
            Kind::Text => 3,
        }
    }
}

/// Numbers as they are, or as whole numbers of this power of ten's part from a lowest on.
const PLAIN: u8 = 0;
const SCALED: u8 = 1;

/// Powers of ten that numbers are tried as whole multiples of: all exact, and so is dividing by
/// them rounded as decimals are when they are read.
const SCALES: [f64; 5] = [1.0, 10.0, 100.0, 1_000.0, 10_000.0];

/// Whole numbers up to this are exact floats.
const LARGEST: f64 = 9_007_199_254_740_992.0;

/// The subjects of a block, ascending, and the rows of each.
pub(super) fn write_runs(subjects: &[u32], into: &mut Vec<u8>) {
    let runs = || subjects.chunk_by(|a, b| a == b);
    let firsts: Vec<u32> = runs().filter_map(<[u32]>::first).copied().collect();
    let gaps = || firsts.windows(2).map(|w| gap(w).unwrap_or(0));
    // A block has far fewer rows than 32 bits.
    let more = || runs().map(|run| (run.len() - 1) as u32);
    let most = |numbers: &mut dyn Iterator<Item = u32>| {
        let most = numbers.fold(0, u32::max);
        Width::of(most.into()).unwrap_or(Width::Four)
    };
    let gap_width = most(&mut gaps());
    let least = more().fold(u32::MAX, u32::min);
    let row_width = most(&mut more().map(|m| m - least));
    into.push(gap_width.bytes() as u8);
    into.push(row_width.bytes() as u8);
    into.extend_from_slice(&least.to_le_bytes());
    gap_width.write(gaps(), into);
    row_width.write(more().map(|m| m - least), into);
}

/// How many subjects lie between two.
fn gap(pair: &[u32]) -> Option<u32> {
    match pair {
        [a, b] => b.checked_sub(*a)?.checked_sub(1),
        _ => None,
    }
}

/// Whose the rows of a block are, if there are as many subjects and rows as the directory says.
pub(super) fn read_runs(bytes: &[u8], span: Span, subjects: u32, rows: usize) -> Option<Runs> {
    let mut words = Words(bytes);
    let gap_width = Width::from_byte(words.byte()?)?;
    let row_width = Width::from_byte(words.byte()?)?;
    let least = words.u32()?;
    let count = subjects as usize;
    let gaps = gap_width.read(&mut words, count.checked_sub(1)?, |gap| gap)?;
    let more = row_width.read(&mut words, count, |more| {
        u64::from(more) + u64::from(least) + 1
    })?;
    words.end()?;
    let mut subject = span.first;
    let mut all = Vec::with_capacity(count);
    all.push(subject);
    for gap in gaps {
        subject = subject.checked_add(gap)?.checked_add(1)?;
        all.push(subject);
    }
    // Each is below 2^33 and there are below 2^32: no sum wraps.
    let right = subject == span.last && more.iter().sum::<u64>() == rows as u64;
    right.then(|| Runs::new(all.into_iter().zip(more.into_iter().map(|m| m as usize))))
}

/// Some rows of one column.
pub(super) fn write_column(column: &RawColumn, rows: Range<usize>, kind: Kind, into: &mut Vec<u8>) {
    match (column, kind) {
        (RawColumn::Number(values), _) => {
            let values = values.get(rows).unwrap_or_default();
            write_known(values, into);
            write_numbers(values, into);
        }
        (RawColumn::Category(codes), kind) => {
            let codes = codes.get(rows).unwrap_or_default();
            write_known(codes, into);
            let width = match kind {
                Kind::Code(width) => width,
                Kind::Number | Kind::Truth | Kind::Text => Width::Four,
            };
            // Declared positions are not negative.
            width.write(codes.iter().map(|c| c.unwrap_or(0) as u32), into);
        }
        (RawColumn::Boolean(values), _) => {
            let values = values.get(rows).unwrap_or_default();
            write_known(values, into);
            write_bits(values.iter().map(|v| v.unwrap_or(false)), into);
        }
        (RawColumn::Text(values), _) => {
            let values = values.get(rows).unwrap_or_default();
            write_known(values, into);
            let text = |v: &Option<String>| v.as_deref().unwrap_or("").len() as u32;
            Width::Four.write(values.iter().map(text), into);
            values.iter().flatten().for_each(|v| into.extend(v.bytes()));
        }
    }
}

/// Whether any value is missing, and which are not.
fn write_known<T>(values: &[Option<T>], into: &mut Vec<u8>) {
    let missing = values.iter().any(Option::is_none);
    into.push(u8::from(missing));
    if missing {
        write_bits(values.iter().map(Option::is_some), into);
    }
}

fn write_bits(bits: impl ExactSizeIterator<Item = bool>, into: &mut Vec<u8>) {
    let start = into.len();
    into.resize(start + bits.len().div_ceil(8), 0);
    for (i, bit) in bits.enumerate() {
        if let Some(byte) = into.get_mut(start + i / 8) {
            *byte |= u8::from(bit) << (i % 8);
        }
    }
}

fn write_numbers(values: &[Option<f64>], into: &mut Vec<u8>) {
    let tried = SCALES.iter().zip(0u8..);
    let mut tried = tried.filter_map(|(scale, digits)| Some((digits, multiples(values, *scale)?)));
    match tried.next() {
        Some((digits, (lowest, width))) => {
            into.extend([SCALED, digits, width.bytes() as u8]);
            into.extend_from_slice(&(lowest as i64).to_le_bytes());
            let scale = SCALES.get(usize::from(digits)).copied().unwrap_or(1.0);
            // Whole and up to 2^32, as was tried.
            let code = |v: f64| ((v * scale).round() - lowest) as u32;
            let codes = values.iter().map(|v| v.map_or(0, code));
            width.write(codes, into);
        }
        None => {
            into.push(PLAIN);
            let bytes = values.iter().flat_map(|v| v.unwrap_or(0.0).to_le_bytes());
            into.extend(bytes);
        }
    }
}

/// The lowest multiple and the width of what is beyond it, if all values come back bit for bit.
fn multiples(values: &[Option<f64>], scale: f64) -> Option<(f64, Width)> {
    let (mut lowest, mut highest) = (f64::INFINITY, f64::NEG_INFINITY);
    for value in values.iter().flatten() {
        let whole = (value * scale).round();
        if !(whole.abs() < LARGEST / 2.0 && (whole / scale).to_bits() == value.to_bits()) {
            return None;
        }
        (lowest, highest) = (lowest.min(whole), highest.max(whole));
    }
    if lowest > highest {
        // All are missing.
        return Some((0.0, Width::None));
    }
    // A difference of whole numbers below 2^52.
    let width = Width::of((highest - lowest) as u64)?;
    Some((lowest, width))
}

/// One column of a block of so many rows.
pub(super) fn read_column(bytes: &[u8], rows: usize, kind: Kind) -> Option<ArrayRef> {
    let mut words = Words(bytes);
    let known = match words.byte()? {
        0 => None,
        1 => Some(NullBuffer::new(read_bits(&mut words, rows)?)),
        _ => return None,
    };
    let column: ArrayRef = match kind {
        Kind::Number => {
            let values = read_numbers(&mut words, rows)?;
            Arc::new(Float64Array::new(values.into(), known))
        }
        Kind::Code(width) => {
            // Codes that are none of the declared ones are in no group.
            let codes = width.read(&mut words, rows, |code| code as i32)?;
            Arc::new(Int32Array::new(codes.into(), known))
        }
        Kind::Truth => {
            let bits = read_bits(&mut words, rows)?;
            Arc::new(BooleanArray::new(bits, known))
        }
        Kind::Text => Arc::new(read_texts(&mut words, rows, known)?),
    };
    words.end()?;
    Some(column)
}

fn read_bits(words: &mut Words<'_>, rows: usize) -> Option<BooleanBuffer> {
    let bytes = words.bytes(rows.div_ceil(8))?;
    Some(BooleanBuffer::new(Buffer::from(bytes), 0, rows))
}

fn read_numbers(words: &mut Words<'_>, rows: usize) -> Option<Vec<f64>> {
    match words.byte()? {
        PLAIN => {
            let bytes = words.bytes(rows.checked_mul(8)?)?;
            let (eights, _) = bytes.as_chunks::<8>();
            Some(eights.iter().map(|b| f64::from_le_bytes(*b)).collect())
        }
        SCALED => {
            let digits = words.byte()?;
            let scale = *SCALES.get(usize::from(digits))?;
            let width = Width::from_byte(words.byte()?)?;
            // Exact: below 2^53, also with 2^32 more.
            let lowest = words.i64()? as f64;
            if lowest.abs() >= LARGEST / 2.0 {
                return None;
            }
            if digits == 0 {
                width.read(words, rows, |code| f64::from(code) + lowest)
            } else {
                width.read(words, rows, |code| (f64::from(code) + lowest) / scale)
            }
        }
        _ => None,
    }
}

fn read_texts(
    words: &mut Words<'_>,
    rows: usize,
    known: Option<NullBuffer>,
) -> Option<StringArray> {
    let lengths = Width::Four.read(words, rows, |length| length)?;
    let mut offsets = Vec::with_capacity(rows.checked_add(1)?);
    let mut end = 0i32;
    offsets.push(end);
    for length in lengths {
        end = end.checked_add(i32::try_from(length).ok()?)?;
        offsets.push(end);
    }
    let bytes = words.bytes(usize::try_from(end).ok()?)?;
    // Ascending from 0, as is asked for.
    let offsets = OffsetBuffer::new(offsets.into());
    StringArray::try_new(offsets, Buffer::from(bytes), known).ok()
}
