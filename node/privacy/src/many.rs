//! The contributions of many subjects at once, column by column.

mod pack;

use std::fmt;
use std::ops::Range;

use obscura_model::answer::VectorShape;

use self::pack::{LANES, Pack};
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
    packs: Vec<Pack>,
    /// The pack of each vector, and its lane there.
    of_vectors: Vec<(usize, usize)>,
    subjects: Vec<u32>,
    /// Where the rows of each subject end.
    rows: Vec<u32>,
    /// No step for each row.
    zeros: Vec<i32>,
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

    /// The slot after those of so many subjects.
    fn end(&self, people: usize) -> usize {
        let last = people.checked_sub(1).and_then(|last| self.ends.get(last));
        last.map_or(1, |end| *end as usize)
    }
}

impl Many {
    /// For releases of these vectors in so many cells.
    #[must_use]
    pub fn new(vectors: &[VectorShape], cells: usize) -> Self {
        let mut many = Self {
            groups: vec![Group::new(cells), Group::new(1)],
            packs: Vec::new(),
            of_vectors: Vec::with_capacity(vectors.len()),
            subjects: Vec::new(),
            rows: Vec::new(),
            zeros: Vec::new(),
        };
        for vector in vectors {
            let group = match (vector.grouped, vector.parts) {
                (true, 1) => CELLS,
                (false, 1) => SUBJECTS,
                _ => {
                    let length = vector.length(cells).unwrap_or(0);
                    many.groups.push(Group::new(length));
                    many.groups.len() - 1
                }
            };
            let place = many.packed(group, many.of_vectors.len());
            many.of_vectors.push(place);
        }
        many
    }

    /// A lane for a vector in a pack of its group.
    fn packed(&mut self, group: usize, vector: usize) -> (usize, usize) {
        let mut packs = self.packs.iter_mut().enumerate();
        let open = packs.find(|(_, p)| p.group == group && p.vectors.len() < LANES);
        if let Some((pack, open)) = open {
            open.vectors.push(Some(vector));
            return (pack, open.vectors.len() - 1);
        }
        self.packs.push(Pack::new(group, vector));
        (self.packs.len() - 1, 0)
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
            group.places.push(0);
            group.ends.resize(self.subjects.len(), 1);
        }
        self.packs.iter_mut().for_each(|pack| pack.clear(1));
    }

    /// Replaces the cell of each row by the slot for vectors with one number for each cell. Rows
    /// in no cell of the release, such as [`NOWHERE`], get slot 0, which is nobody's.
    pub fn cells(&mut self, rows: &mut [u32]) -> Result<(), FoldError> {
        self.group(CELLS, rows)
    }

    /// The same for one vector with places of its own: the cell's number times the vector's parts
    /// plus the part.
    pub fn parts(&mut self, vector: usize, rows: &mut [u32]) -> Result<(), FoldError> {
        let (pack, lane) = *self.of_vectors.get(vector).ok_or(FoldError::Vectors)?;
        let found = self.packs.get_mut(pack).ok_or(FoldError::Vectors)?;
        let mut group = found.group;
        if group == SUBJECTS {
            return Err(FoldError::Vectors);
        }
        if group == CELLS {
            // One part in each cell, but not in those of all rows.
            *found.vectors.get_mut(lane).ok_or(FoldError::Vectors)? = None;
            let cells = self.groups.get(CELLS).ok_or(FoldError::Vectors)?;
            let own = Group::new(cells.length as usize);
            group = self.groups.len();
            self.groups.push(own);
            let place = self.packed(group, vector);
            *self.of_vectors.get_mut(vector).ok_or(FoldError::Vectors)? = place;
        }
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
        let packs = self.packs.iter_mut();
        packs
            .filter(|p| p.group == group)
            .for_each(|p| p.clear(slots));
        Ok(())
    }

    /// Adds one value for each row to its slot. There are fewer than 2^32 rows, so that a slot's
    /// sum fits 64 bits.
    pub fn add(&mut self, vector: usize, slots: &[u32], steps: &[i32]) -> Result<(), FoldError> {
        self.add_all(slots, &[(vector, steps)])
    }

    /// The same for several vectors whose slots are the same. One row's slot is often that of the
    /// row before, which has to be there before more is added: together they wait once.
    pub fn add_all(&mut self, slots: &[u32], steps: &[(usize, &[i32])]) -> Result<(), FoldError> {
        let rows = slots.len();
        if steps.iter().any(|(_, steps)| steps.len() != rows) {
            return Err(FoldError::Vectors);
        }
        if self.zeros.len() < rows {
            self.zeros.resize(rows, 0);
        }
        let none = self.zeros.get(..rows).unwrap_or_default();
        for pack in &mut self.packs {
            let of = |vector: &Option<usize>| {
                let found = steps.iter().find(|(of, _)| Some(*of) == *vector);
                found.map(|(_, steps)| *steps)
            };
            let found: Vec<Option<&[i32]>> = pack.vectors.iter().map(of).collect();
            if found.iter().any(Option::is_some) {
                let lanes: Vec<&[i32]> = found.iter().map(|f| f.unwrap_or(none)).collect();
                pack.add(slots, &lanes)?;
            }
        }
        Ok(())
    }

    /// Adds the same value for each row.
    pub fn count(&mut self, vector: usize, slots: &[u32], step: i32) -> Result<(), FoldError> {
        self.add(vector, slots, &vec![step; slots.len()])
    }

    /// Puts the same value into each slot.
    pub fn once(&mut self, vector: usize, step: i32) -> Result<(), FoldError> {
        self.lane(vector, |_| step)
    }

    /// For a vector of the release as a whole: puts a value into the slot of each subject for whom
    /// `counts` says so, by position.
    pub fn people(
        &mut self,
        vector: usize,
        step: i32,
        counts: impl Fn(usize) -> bool,
    ) -> Result<(), FoldError> {
        let (pack, _) = *self.of_vectors.get(vector).ok_or(FoldError::Vectors)?;
        let pack = self.packs.get_mut(pack).ok_or(FoldError::Vectors)?;
        if pack.group != SUBJECTS {
            return Err(FoldError::Vectors);
        }
        let group = self.groups.get_mut(SUBJECTS).ok_or(FoldError::Vectors)?;
        let people = self.subjects.len();
        let slots = u32::try_from(people + 1).map_err(|_| FoldError::Overflow)?;
        group.places.resize(people + 1, 0);
        group.ends.clear();
        group.ends.extend((0..slots).skip(1).map(|slot| slot + 1));
        // Other vectors keep what they have.
        for pack in self.packs.iter_mut().filter(|p| p.group == SUBJECTS) {
            pack.values.resize((people + 1) * pack.vectors.len(), 0);
        }
        self.lane(vector, |slot| match slot.checked_sub(1) {
            Some(person) if counts(person) => step,
            _ => 0,
        })
    }

    /// Puts a value into each slot of one vector.
    fn lane(&mut self, vector: usize, value: impl Fn(usize) -> i32) -> Result<(), FoldError> {
        let (pack, lane) = *self.of_vectors.get(vector).ok_or(FoldError::Vectors)?;
        let pack = self.packs.get_mut(pack).ok_or(FoldError::Vectors)?;
        let lanes = pack.vectors.len();
        let mine = pack.values.iter_mut().skip(lane).step_by(lanes);
        for (slot, mine) in mine.enumerate() {
            *mine = value(slot).into();
        }
        Ok(())
    }

    /// The same, one subject after the other, for whoever looks at each.
    pub fn one_by_one(
        &mut self,
        mut each: impl FnMut(u32, &[Sparse]) -> Result<(), FoldError>,
    ) -> Result<(), FoldError> {
        let mut parts = vec![Sparse::new(); self.vectors()];
        for (person, subject) in self.subjects.iter().enumerate() {
            parts.iter_mut().for_each(Sparse::clear);
            for pack in &self.packs {
                let group = self.groups.get(pack.group).ok_or(FoldError::Vectors)?;
                let own = group.end(person)..group.end(person + 1);
                let places = group.places.get(own.clone()).unwrap_or_default();
                let slots = pack.values.chunks(pack.vectors.len());
                let slots = slots.skip(own.start).take(own.len());
                for (place, values) in places.iter().zip(slots) {
                    for (vector, value) in pack.vectors.iter().zip(values) {
                        let part = vector.and_then(|vector| parts.get_mut(vector));
                        part.map_or(Ok(()), |part| part.add(*place, *value))?;
                    }
                }
            }
            each(*subject, &parts)?;
        }
        Ok(())
    }

    /// Whose contributions these are.
    pub(crate) fn subjects(&self) -> &[u32] {
        &self.subjects
    }

    /// How many vectors there are.
    pub(crate) fn vectors(&self) -> usize {
        self.of_vectors.len()
    }

    /// Clips what each subject contributes to each vector, where it is; and adds what `charge` makes
    /// of each vector and the squared norm of what is left to `nanos`, which has a number for each
    /// subject.
    pub(crate) fn clip(
        &mut self,
        clips_squared: &[u128],
        charge: impl Fn(usize, u128) -> Option<u128>,
        nanos: &mut [u128],
    ) -> Result<(), FoldError> {
        for pack in &mut self.packs {
            let group = self.groups.get(pack.group).ok_or(FoldError::Vectors)?;
            pack.clip(&group.ends, clips_squared, &charge, nanos)?;
        }
        Ok(())
    }

    /// Adds what some subjects, by position, contribute.
    pub(crate) fn take(
        &self,
        people: Range<usize>,
        sums: &mut [Vec<i64>],
    ) -> Result<(), FoldError> {
        for pack in &self.packs {
            let group = self.groups.get(pack.group).ok_or(FoldError::Vectors)?;
            let own = group.end(people.start)..group.end(people.end);
            pack.take(own, &group.places, sums)?;
        }
        Ok(())
    }
}

/// Private: shows nothing.
impl fmt::Debug for Many {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Many")
    }
}
