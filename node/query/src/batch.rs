//! Rows in subject order, column by column.

use std::ops::Range;

use arrow_array::{Array, ArrayRef, BooleanArray, UInt32Array, new_empty_array, new_null_array};
use arrow_buffer::{BooleanBuffer, BooleanBufferBuilder};
use arrow_schema::DataType;
use arrow_select::concat::concat;
use arrow_select::filter::FilterBuilder;
use arrow_select::take::take;
use obscura_model::schema::Domain;

use crate::eval::BadRows;
use crate::runs::Runs;

/// Rows of one or more subjects, in subject order.
#[derive(Clone)]
pub(crate) struct Batch {
    pub(crate) runs: Runs,
    /// By position in the scope; only those that are needed are there.
    pub(crate) columns: Vec<Option<ArrayRef>>,
}

/// How values of a domain are kept.
pub(crate) fn data_type(domain: &Domain) -> DataType {
    match domain {
        Domain::Integer { .. } | Domain::Number { .. } | Domain::Date { .. } => DataType::Float64,
        Domain::Category { .. } => DataType::Int32,
        Domain::Boolean => DataType::Boolean,
        Domain::Text { .. } => DataType::Utf8,
    }
}

/// An array of so many missing values of a domain.
pub(crate) fn missing(domain: &Domain, rows: usize) -> ArrayRef {
    new_null_array(&data_type(domain), rows)
}

impl Batch {
    /// No rows. `kinds` gives the columns that are there.
    pub(crate) fn empty<'d>(kinds: impl Iterator<Item = Option<&'d Domain>>) -> Self {
        let none = |kind: Option<&Domain>| kind.map(|d| new_empty_array(&data_type(d)));
        Self {
            runs: Runs::new([]),
            columns: kinds.map(none).collect(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.runs.len()
    }

    pub(crate) fn column(&self, column: usize) -> Result<&ArrayRef, BadRows> {
        self.columns
            .get(column)
            .and_then(Option::as_ref)
            .ok_or(BadRows)
    }

    /// The part of the batch from `start` on.
    pub(crate) fn slice(&self, start: usize, rows: usize) -> Batch {
        let part = |a: &Option<ArrayRef>| a.as_ref().map(|a| a.slice(start, rows));
        Batch {
            runs: self.runs.slice(start, rows),
            columns: self.columns.iter().map(part).collect(),
        }
    }

    /// Some subjects, by position, with all of their rows.
    pub(crate) fn people(&self, people: Range<usize>) -> Batch {
        let (runs, rows) = self.runs.people(people);
        let part = |a: &Option<ArrayRef>| a.as_ref().map(|a| a.slice(rows.start, rows.len()));
        Batch {
            runs,
            columns: self.columns.iter().map(part).collect(),
        }
    }

    /// The same rows with fewer columns.
    pub(crate) fn only(&self, wanted: impl Fn(usize) -> bool) -> Batch {
        let columns = self.columns.iter().enumerate();
        let keep = |(c, a): (usize, &Option<ArrayRef>)| a.clone().filter(|_| wanted(c));
        Batch {
            runs: self.runs.clone(),
            columns: columns.map(keep).collect(),
        }
    }

    /// The rows that are set, in order.
    pub(crate) fn filtered(&self, rows: &BooleanBuffer) -> Result<Batch, BadRows> {
        if rows.count_set_bits() == self.len() {
            return Ok(self.clone());
        }
        let mask = FilterBuilder::new(&BooleanArray::new(rows.clone(), None));
        // Whatever helps to find the rows is found once for all columns.
        let mask = mask.optimize().build();
        let part = |a: &Option<ArrayRef>| match a {
            Some(a) => mask.filter(a).map(Some).map_err(|_| BadRows),
            None => Ok(None),
        };
        Ok(Batch {
            runs: {
                let ranks = Ranks::of(rows);
                self.runs
                    .with_rows(|run| ranks.before(run.end) - ranks.before(run.start))
            },
            columns: self.columns.iter().map(part).collect::<Result<_, _>>()?,
        })
    }

    /// The rows at these positions; a missing position gives a missing value.
    pub(crate) fn taken(&self, positions: &UInt32Array) -> Result<Vec<Option<ArrayRef>>, BadRows> {
        let part = |a: &Option<ArrayRef>| match a {
            Some(a) => take(a, positions, None).map(Some).map_err(|_| BadRows),
            None => Ok(None),
        };
        self.columns.iter().map(part).collect()
    }

    /// One batch after the other. There is at least one, and all have the same columns.
    pub(crate) fn concatenated(parts: &[Batch]) -> Result<Batch, BadRows> {
        let first = match parts {
            [one] => return Ok(one.clone()),
            [first, ..] => first,
            [] => return Err(BadRows),
        };
        let together = |column: usize| {
            if first.columns.get(column).is_none_or(Option::is_none) {
                return Ok(None);
            }
            let arrays = parts.iter().map(|p| p.column(column).map(|a| a.as_ref()));
            let arrays = arrays.collect::<Result<Vec<&dyn Array>, BadRows>>()?;
            concat(&arrays).map(Some).map_err(|_| BadRows)
        };
        Ok(Batch {
            runs: Runs::concatenated(parts.iter().map(|p| &p.runs)),
            columns: (0..first.columns.len())
                .map(together)
                .collect::<Result<_, _>>()?,
        })
    }

    /// The first so many rows of each subject.
    pub(crate) fn cut(&self, most: u32) -> Result<Batch, BadRows> {
        let most = most as usize;
        if self.runs.longest() <= most {
            return Ok(self.clone());
        }
        let mut keep = BooleanBufferBuilder::new(self.len());
        for (_, run) in self.runs.iter() {
            keep.append_n(run.len().min(most), true);
            keep.append_n(run.len().saturating_sub(most), false);
        }
        self.filtered(&keep.finish())
    }
}

/// How many bits are set before any.
struct Ranks {
    words: Vec<u64>,
    /// Before each word, and at last in all.
    before: Vec<usize>,
}

impl Ranks {
    fn of(bits: &BooleanBuffer) -> Self {
        let words: Vec<u64> = bits.bit_chunks().iter_padded().collect();
        let mut before = vec![0];
        let mut all = 0;
        for word in &words {
            all += word.count_ones() as usize;
            before.push(all);
        }
        Self { words, before }
    }

    fn before(&self, row: usize) -> usize {
        let (word, bit) = (row / 64, row % 64);
        let here = self
            .words
            .get(word)
            .map_or(0, |word| word & !(u64::MAX << bit));
        self.before
            .get(word)
            .map_or(0, |all| all + here.count_ones() as usize)
    }
}

/// How many rows of a run are set.
pub(crate) fn set(rows: &BooleanBuffer, run: Range<usize>) -> usize {
    // A word at a time: a run is most often short.
    let (mut start, mut count) = (run.start, 0);
    while start < run.end {
        count += word(rows, start, run.end).count_ones() as usize;
        start += 64;
    }
    count
}

/// The bits from `start` on up to `end`, at least one and at most 64.
fn word(rows: &BooleanBuffer, start: usize, end: usize) -> u64 {
    let length = (end - start).min(64);
    let first = rows.offset() + start;
    let bytes = rows.values().get(first / 8..).unwrap_or_default();
    let near = match bytes.first_chunk::<16>() {
        Some(near) => u128::from_le_bytes(*near),
        // Near the end there are fewer.
        None => {
            let near = bytes.iter().rev();
            near.fold(0, |near, byte| near << 8 | u128::from(*byte))
        }
    };
    // The lowest 64 bits are kept on purpose.
    (near >> (first % 8)) as u64 & (u64::MAX >> (64 - length.max(1)))
}
