//! The contributions of many subjects at once, column by column.

use std::fmt;

use obscura_model::answer::VectorShape;

use crate::sparse::Sparse;
use crate::tally::FoldError;

/// What many subjects contribute to each vector, subject by subject in ascending order: the same
/// as one list of [`Sparse`](crate::Sparse) for each, without a step of its own for each row.
///
/// Rows come as columns. First [`begin`](Self::begin) says whose rows they are. Then the places of
/// the rows are *grouped*: every row learns the slot of its subject's number at its place, and of
/// one subject no place gets two slots, so that what is measured is what is added. Vectors with
/// one number for each cell share the slots of [`cells`](Self::cells); those with several parts
/// have [`parts`](Self::parts) of their own; those of the release as a whole have one slot for each
/// subject. Then values are added to slots. Meant to be filled again for every batch of rows.
pub struct Many {
    /// First that of the cells, second that of the subjects, then those of vectors with parts.
    groups: Vec<Group>,
    of_vectors: Vec<usize>,
    subjects: Vec<u32>,
    /// Where the rows of each subject end.
    rows: Vec<u32>,
    /// By vector and slot. Slot 0 belongs to nobody.
    values: Vec<Vec<i64>>,
}

const CELLS: usize = 0;
const SUBJECTS: usize = 1;

/// The places that subjects touch, each of a subject once.
#[derive(Default)]
struct Group {
    /// How many places there are.
    length: u32,
    /// The slot that a place had last; 0 before its first.
    last: Vec<u32>,
    /// By slot.
    places: Vec<u32>,
    /// The slot after each subject's last.
    ends: Vec<u32>,
}

/// Rows of no place.
pub const NOWHERE: u32 = u32::MAX;

impl Group {
    fn new(length: usize) -> Self {
        // A release has far fewer numbers than 32 bits; a place beyond is refused when it is added.
        let length = u32::try_from(length).unwrap_or(0);
        Self {
            length,
            last: vec![0; length as usize + 1],
            ..Self::default()
        }
    }

    fn clear(&mut self) {
        for place in &self.places {
            if let Some(last) = self.last.get_mut(*place as usize) {
                *last = 0;
            }
        }
        self.places.clear();
        self.ends.clear();
    }

    /// Replaces the place of each row by its slot.
    fn group(&mut self, ends: &[u32], rows: &mut [u32]) -> Result<(), FoldError> {
        self.clear();
        self.places.resize(rows.len() + 1, 0);
        let none = self.length;
        let (mut next, mut start) = (1u32, 0);
        for end in ends {
            let first = next;
            let end = *end as usize;
            for row in rows.get_mut(start..end).ok_or(FoldError::Vectors)? {
                let place = (*row).min(none);
                let last = self.last.get_mut(place as usize).ok_or(FoldError::Cell)?;
                // A slot before the subject's first is another subject's. Without branches: which
                // rows are the first of their place is as good as random.
                let fresh = (*last < first) & (place != none);
                let slot = if fresh { next } else { *last };
                *last = slot;
                *self.places.get_mut(slot as usize).ok_or(FoldError::Cell)? = place;
                *row = slot;
                next += u32::from(fresh);
            }
            start = end;
            self.ends.push(next);
        }
        if start != rows.len() {
            return Err(FoldError::Vectors);
        }
        self.places.truncate(next as usize);
        Ok(())
    }
}

impl Many {
    /// For releases of these vectors in so many cells.
    #[must_use]
    pub fn new(vectors: &[VectorShape], cells: usize) -> Self {
        let mut groups = vec![Group::new(cells), Group::new(1)];
        let mut of_vectors = Vec::with_capacity(vectors.len());
        for vector in vectors {
            of_vectors.push(match (vector.grouped, vector.parts) {
                (true, 1) => CELLS,
                (false, 1) => SUBJECTS,
                _ => {
                    groups.push(Group::new(vector.length(cells).unwrap_or(0)));
                    groups.len() - 1
                }
            });
        }
        Self {
            groups,
            values: vec![Vec::new(); of_vectors.len()],
            of_vectors,
            subjects: Vec::new(),
            rows: Vec::new(),
        }
    }

    /// Forgets what it has, and says whose rows come now: subjects in ascending order, and where
    /// the rows of each end among all. Nobody has contributed anything yet.
    pub fn begin(&mut self, people: impl IntoIterator<Item = (u32, u32)>) {
        self.subjects.clear();
        self.rows.clear();
        for (subject, end) in people {
            self.subjects.push(subject);
            self.rows.push(end);
        }
        for group in &mut self.groups {
            group.clear();
            group.ends.resize(self.subjects.len(), 1);
        }
        self.values.iter_mut().for_each(Vec::clear);
    }

    /// Replaces the cell of each row by the slot for vectors with one number for each cell. Rows
    /// in no cell of the release, such as [`NOWHERE`], get slot 0, which is nobody's.
    pub fn cells(&mut self, rows: &mut [u32]) -> Result<(), FoldError> {
        self.group(CELLS, rows)
    }

    /// The same for one vector with places of its own: the cell's number times the vector's parts
    /// plus the part.
    pub fn parts(&mut self, vector: usize, rows: &mut [u32]) -> Result<(), FoldError> {
        let group = self.of_vectors.get_mut(vector).ok_or(FoldError::Vectors)?;
        if *group == SUBJECTS {
            return Err(FoldError::Vectors);
        }
        if *group == CELLS {
            // One part in each cell, but not in those of all rows.
            let cells = self.groups.get(CELLS).ok_or(FoldError::Vectors)?;
            let own = Group::new(cells.length as usize);
            *group = self.groups.len();
            self.groups.push(own);
        }
        let group = *group;
        self.group(group, rows)
    }

    fn group(&mut self, group: usize, rows: &mut [u32]) -> Result<(), FoldError> {
        // So that slots are below 2^32.
        if rows.len() >= u32::MAX as usize {
            return Err(FoldError::Overflow);
        }
        let found = self.groups.get_mut(group).ok_or(FoldError::Vectors)?;
        found.group(&self.rows, rows)?;
        let slots = found.places.len();
        let vectors = self.of_vectors.iter().zip(&mut self.values);
        for (_, values) in vectors.filter(|(of, _)| **of == group) {
            values.clear();
            values.resize(slots, 0);
        }
        Ok(())
    }

    /// Adds one value for each row to its slot. There are fewer than 2^32 rows, so that a slot's
    /// sum fits 64 bits.
    pub fn add(&mut self, vector: usize, slots: &[u32], steps: &[i32]) -> Result<(), FoldError> {
        if slots.len() != steps.len() {
            return Err(FoldError::Vectors);
        }
        let values = self.values.get_mut(vector).ok_or(FoldError::Vectors)?;
        for (slot, step) in slots.iter().zip(steps) {
            *values.get_mut(*slot as usize).ok_or(FoldError::Cell)? += i64::from(*step);
        }
        Ok(())
    }

    /// Adds the same value for each row.
    pub fn count(&mut self, vector: usize, slots: &[u32], step: i32) -> Result<(), FoldError> {
        let values = self.values.get_mut(vector).ok_or(FoldError::Vectors)?;
        for slot in slots {
            *values.get_mut(*slot as usize).ok_or(FoldError::Cell)? += i64::from(step);
        }
        Ok(())
    }

    /// Puts the same value into each slot.
    pub fn once(&mut self, vector: usize, step: i32) -> Result<(), FoldError> {
        let values = self.values.get_mut(vector).ok_or(FoldError::Vectors)?;
        values.fill(step.into());
        Ok(())
    }

    /// For a vector of the release as a whole: puts a value into the slot of each subject for whom
    /// `counts` says so, by position.
    pub fn people(
        &mut self,
        vector: usize,
        step: i32,
        counts: impl Fn(usize) -> bool,
    ) -> Result<(), FoldError> {
        if self.of_vectors.get(vector) != Some(&SUBJECTS) {
            return Err(FoldError::Vectors);
        }
        let group = self.groups.get_mut(SUBJECTS).ok_or(FoldError::Vectors)?;
        let values = self.values.get_mut(vector).ok_or(FoldError::Vectors)?;
        let people = self.subjects.len();
        let slots = u32::try_from(people + 1).map_err(|_| FoldError::Overflow)?;
        group.places.resize(people + 1, 0);
        group.ends.clear();
        group.ends.extend((0..slots).skip(1).map(|slot| slot + 1));
        values.clear();
        values.push(0);
        let step = |person| if counts(person) { i64::from(step) } else { 0 };
        values.extend((0..people).map(step));
        Ok(())
    }

    /// The same, one subject after the other, for whoever looks at each.
    pub fn one_by_one(
        &mut self,
        mut each: impl FnMut(u32, &[Sparse]) -> Result<(), FoldError>,
    ) -> Result<(), FoldError> {
        let subjects = std::mem::take(&mut self.subjects);
        let mut parts = vec![Sparse::new(); self.vectors()];
        let mut told = Ok(());
        for (person, subject) in subjects.iter().enumerate() {
            for (vector, part) in parts.iter_mut().enumerate() {
                part.clear();
                let column = self.vector(vector).ok_or(FoldError::Vectors)?;
                for (place, value) in column.of(person) {
                    part.add(place, value)?;
                }
            }
            told = told.and_then(|()| each(*subject, &parts));
        }
        self.subjects = subjects;
        told
    }

    /// Whose contributions these are.
    pub(crate) fn subjects(&self) -> &[u32] {
        &self.subjects
    }

    /// One vector: where each subject's places end, the places, and the value of each.
    pub(crate) fn vector(&mut self, vector: usize) -> Option<Column<'_>> {
        let group = self.groups.get(*self.of_vectors.get(vector)?)?;
        let values = self.values.get_mut(vector)?;
        // Nothing was added: nobody has a place.
        if values.len() < group.places.len() {
            values.resize(group.places.len(), 0);
        }
        Some(Column {
            ends: &group.ends,
            places: &group.places,
            values,
        })
    }

    /// How many vectors there are.
    pub(crate) fn vectors(&self) -> usize {
        self.of_vectors.len()
    }
}

/// One vector's numbers. Slot 0 is nobody's; each subject's follow those of the one before.
pub(crate) struct Column<'a> {
    pub(crate) ends: &'a [u32],
    pub(crate) places: &'a [u32],
    pub(crate) values: &'a mut [i64],
}

impl Column<'_> {
    /// One subject's places, by position, with their values.
    fn of(&self, person: usize) -> impl Iterator<Item = (u32, i64)> {
        let end = |person: usize| self.ends.get(person).map_or(1, |end| *end as usize);
        let own = person.checked_sub(1).map_or(1, end)..end(person);
        let places = self.places.get(own.clone()).unwrap_or_default();
        let values = self.values.get(own).unwrap_or_default();
        places.iter().copied().zip(values.iter().copied())
    }
}

/// Private: shows nothing.
impl fmt::Debug for Many {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Many")
    }
}
