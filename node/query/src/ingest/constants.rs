//! What is said to be the same in all rows of a subject: the first value of each id is kept.

use std::hash::{BuildHasher, RandomState};

use obscura_model::schema::Table;

use super::error::Place;
use super::row::Value;

/// No row of the id was seen. A number that is not there is no number, so bits of NaN are free, and
/// the highest bit of a text's hash is not set.
const UNSEEN: u64 = u64::MAX;
const MISSING: u64 = u64::MAX - 1;

/// The first values of the ids of one table. Of a text a hash is kept, with keys of this process.
pub(super) struct Constants {
    /// By described position: for each id its bits.
    columns: Vec<(usize, Vec<u64>)>,
    hashes: RandomState,
    /// The first place with another value than the id's rows before, and the described position.
    pub(super) differs: Option<(Place, usize)>,
}

impl Constants {
    pub(super) fn of(table: &Table) -> Self {
        let columns = table.columns.iter().enumerate();
        let constant = columns.filter(|(_, c)| c.constant_per_subject);
        Self {
            columns: constant
                .map(|(position, _)| (position, Vec::new()))
                .collect(),
            hashes: RandomState::new(),
            differs: None,
        }
    }

    /// A value of a constant column.
    pub(super) fn see(
        &mut self,
        id: u32,
        position: usize,
        value: Option<&Value<'_>>,
        place: Place,
    ) {
        let bits = match value {
            None => MISSING,
            Some(Value::Number(v)) => v.to_bits(),
            Some(Value::Code(v)) => u64::from(*v),
            Some(Value::Truth(v)) => u64::from(*v),
            Some(Value::Text(v)) => self.hashes.hash_one(v) >> 1,
        };
        let Some((_, firsts)) = self.columns.iter_mut().find(|(of, _)| *of == position) else {
            return;
        };
        let at = id as usize;
        if at >= firsts.len() {
            firsts.resize(at + 1, UNSEEN);
        }
        if let Some(first) = firsts.get_mut(at) {
            if *first == UNSEEN {
                *first = bits;
            } else if *first != bits && self.differs.is_none() {
                self.differs = Some((place, position));
            }
        }
    }

    /// The described position of the first column in which a person's ids differ. `people` has
    /// the ids of each person together.
    pub(super) fn differ(&self, people: &[(u32, u32)]) -> Option<usize> {
        let differs = |firsts: &[u64]| {
            let mut persons = people.chunk_by(|a, b| a.0 == b.0);
            persons.any(|ids| {
                let of = |(_, id): &(u32, u32)| firsts.get(*id as usize).copied();
                let mut seen = ids.iter().filter_map(of).filter(|bits| *bits != UNSEEN);
                let first = seen.next();
                seen.any(|bits| Some(bits) != first)
            })
        };
        let mut columns = self.columns.iter();
        columns
            .find(|(_, firsts)| differs(firsts))
            .map(|(position, _)| *position)
    }
}
