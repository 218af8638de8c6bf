//! Rows in subject order, column by column.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BooleanArray, UInt32Array, new_empty_array, new_null_array};
use arrow_buffer::BooleanBuffer;
use arrow_schema::DataType;
use arrow_select::concat::concat;
use arrow_select::filter::filter;
use arrow_select::take::take;
use obscura_model::schema::Domain;

use crate::eval::BadRows;

/// Rows of one or more subjects, in subject order.
#[derive(Clone)]
pub(crate) struct Batch {
    pub(crate) subjects: UInt32Array,
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
            subjects: UInt32Array::from(Vec::<u32>::new()),
            columns: kinds.map(none).collect(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.subjects.len()
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
            subjects: self.subjects.slice(start, rows),
            columns: self.columns.iter().map(part).collect(),
        }
    }

    /// The same rows with fewer columns.
    pub(crate) fn only(&self, wanted: impl Fn(usize) -> bool) -> Batch {
        let columns = self.columns.iter().enumerate();
        let keep = |(c, a): (usize, &Option<ArrayRef>)| a.clone().filter(|_| wanted(c));
        Batch {
            subjects: self.subjects.clone(),
            columns: columns.map(keep).collect(),
        }
    }

    /// The rows that are set, in order.
    pub(crate) fn filtered(&self, rows: &BooleanBuffer) -> Result<Batch, BadRows> {
        if rows.count_set_bits() == self.len() {
            return Ok(self.clone());
        }
        let rows = BooleanArray::new(rows.clone(), None);
        let part = |a: &dyn Array| filter(a, &rows).map_err(|_| BadRows);
        self.each(part)
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
        let subjects = parts
            .iter()
            .flat_map(|p| p.subjects.values().iter().copied());
        Ok(Batch {
            subjects: subjects.collect::<Vec<u32>>().into(),
            columns: (0..first.columns.len())
                .map(together)
                .collect::<Result<_, _>>()?,
        })
    }

    /// The rows where one subject's begin, and the number of rows at the end.
    pub(crate) fn starts(&self) -> Vec<usize> {
        let subjects = self.subjects.values();
        let mut starts = vec![0];
        let pairs = subjects.windows(2).enumerate();
        starts.extend(
            pairs
                .filter(|(_, w)| w.first() != w.last())
                .map(|(i, _)| i + 1),
        );
        if !subjects.is_empty() {
            starts.push(subjects.len());
        }
        starts
    }

    /// The first so many rows of each subject.
    pub(crate) fn cut(&self, most: u32) -> Result<Batch, BadRows> {
        let most = most as usize;
        let mut keep = vec![true; self.len()];
        for run in self.starts().windows(2) {
            if let [start, end] = run
                && let Some(beyond) = keep.get_mut((start + most).min(*end)..*end)
            {
                beyond.fill(false);
            }
        }
        self.filtered(&BooleanBuffer::from(keep))
    }

    fn each(
        &self,
        part: impl Fn(&dyn Array) -> Result<ArrayRef, BadRows>,
    ) -> Result<Batch, BadRows> {
        let subjects: ArrayRef = Arc::new(self.subjects.clone());
        let subjects = part(&subjects)?;
        let subjects = subjects.as_any().downcast_ref::<UInt32Array>();
        let columns = self.columns.iter().map(|a| match a {
            Some(a) => part(a).map(Some),
            None => Ok(None),
        });
        Ok(Batch {
            subjects: subjects.cloned().ok_or(BadRows)?,
            columns: columns.collect::<Result<_, _>>()?,
        })
    }
}
