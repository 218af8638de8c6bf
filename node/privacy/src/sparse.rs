//! One subject's contribution to one vector.

use std::fmt;

use crate::tally::FoldError;

/// The cells of one vector that one subject touches, ordered, each at most once, with the
/// subject's value there in grid steps. A cell here is a place in the vector: for a vector with
/// several parts the cell's number times the parts plus the part. Meant to be cleared and filled again for every subject.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Sparse {
    cells: Vec<u32>,
    values: Vec<i64>,
}

impl Sparse {
    /// Touches nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            cells: Vec::new(),
            values: Vec::new(),
        }
    }

    /// Forgets all cells and keeps the memory.
    pub fn clear(&mut self) {
        self.cells.clear();
        self.values.clear();
    }

    /// Adds `value` to what is in `cell`. Fails if the sum does not fit 64 bits, which a plan
    /// rules out.
    pub fn add(&mut self, cell: u32, value: i64) -> Result<(), FoldError> {
        let place = match self.cells.last() {
            Some(&last) if last == cell => Ok(self.cells.len() - 1),
            Some(&last) if last < cell => Err(self.cells.len()),
            None => Err(0),
            Some(_) => self.cells.binary_search(&cell),
        };
        match place {
            Err(place) => {
                self.cells.insert(place, cell);
                self.values.insert(place, value);
            }
            Ok(place) => {
                if let Some(sum) = self.values.get_mut(place) {
                    *sum = sum.checked_add(value).ok_or(FoldError::Overflow)?;
                }
            }
        }
        Ok(())
    }

    /// Puts `value` into `cell`, whatever was there: for vectors to which a subject adds at most
    /// once in a cell, like a number of subjects.
    pub fn set(&mut self, cell: u32, value: i64) {
        match self.cells.binary_search(&cell) {
            Err(place) => {
                self.cells.insert(place, cell);
                self.values.insert(place, value);
            }
            Ok(place) => {
                if let Some(old) = self.values.get_mut(place) {
                    *old = value;
                }
            }
        }
    }

    /// Whether no cell is touched.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// The cells, ordered.
    pub(crate) fn cells(&self) -> &[u32] {
        &self.cells
    }

    /// The values, one for each cell.
    pub(crate) fn values(&self) -> &[i64] {
        &self.values
    }
}

/// Private: shows nothing.
impl fmt::Debug for Sparse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sparse")
    }
}
