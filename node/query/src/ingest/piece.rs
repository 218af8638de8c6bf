//! Some rows in memory, each with whom it belongs to.

/// The most rows of a piece.
pub(super) const PIECE_ROWS: usize = 1 << 16;

/// Rows one after the other. Whom they belong to is a number of an id, and from the sorting on a
/// subject index.
pub(super) struct Piece {
    pub(super) subjects: Vec<u32>,
    bytes: Vec<u8>,
    /// The length of every row, if that is one.
    fixed: Option<usize>,
    /// Where each row ends, if they differ.
    ends: Vec<u32>,
}

impl Piece {
    pub(super) fn new(fixed: Option<usize>) -> Self {
        Self {
            subjects: Vec::new(),
            bytes: Vec::new(),
            fixed,
            ends: Vec::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.subjects.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.subjects.is_empty()
    }

    /// About the bytes of memory that its rows take, sorting included.
    pub(super) fn cost(&self) -> usize {
        self.bytes.len() + 4 * self.ends.len() + (4 + 8) * self.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Adds a row, whose bytes `write` puts at the end of those that are there.
    pub(super) fn add<E>(
        &mut self,
        subject: u32,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        write(&mut self.bytes)?;
        self.subjects.push(subject);
        if self.fixed.is_none() {
            // A piece has some megabytes.
            self.ends.push(self.bytes.len() as u32);
        }
        Ok(())
    }

    pub(super) fn push(&mut self, subject: u32, row: &[u8]) {
        self.bytes.extend_from_slice(row);
        self.subjects.push(subject);
        if self.fixed.is_none() {
            self.ends.push(self.bytes.len() as u32);
        }
    }

    pub(super) fn clear(&mut self) {
        self.subjects.clear();
        self.bytes.clear();
        self.ends.clear();
    }

    #[inline]
    pub(super) fn row(&self, row: usize) -> &[u8] {
        let range = match self.fixed {
            Some(fixed) => row * fixed..(row + 1) * fixed,
            None => {
                let end = |row: usize| self.ends.get(row).copied().unwrap_or(0) as usize;
                row.checked_sub(1).map_or(0, end)..end(row)
            }
        };
        self.bytes.get(range).unwrap_or_default()
    }

    /// Whose row it is, and the row.
    pub(super) fn at(&self, row: usize) -> Option<(u32, &[u8])> {
        self.subjects.get(row).map(|s| (*s, self.row(row)))
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let numbers = self.subjects.iter().chain(&self.ends);
        let mut bytes = Vec::with_capacity(4 * (self.len() + self.ends.len()) + self.bytes.len());
        numbers.for_each(|n| bytes.extend_from_slice(&n.to_le_bytes()));
        bytes.extend_from_slice(&self.bytes);
        bytes
    }

    pub(super) fn decode(bytes: &[u8], rows: usize, fixed: Option<usize>) -> Option<Self> {
        fn numbers(bytes: &[u8]) -> Vec<u32> {
            let (fours, _) = bytes.as_chunks::<4>();
            fours.iter().map(|b| u32::from_le_bytes(*b)).collect()
        }
        let (subjects, rest) = bytes.split_at_checked(4 * rows)?;
        let ends = if fixed.is_some() { 0 } else { 4 * rows };
        let (ends, rest) = rest.split_at_checked(ends)?;
        Some(Self {
            subjects: numbers(subjects),
            bytes: rest.to_vec(),
            fixed,
            ends: numbers(ends),
        })
    }
}
