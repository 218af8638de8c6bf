//! Who is in a population's index, under which ids, and who is left out of everything.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::InvalidHistory;
use crate::record::{Mark, SubjectHash};

/// The subjects of a population. Looked up, never listed.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Subjects {
    /// Hashes of ids to indexes. A person whose id changed has several hashes and one index.
    pub(crate) known: Arc<HashMap<SubjectHash, u32>>,
    /// Who is marked, with an index or without. All hashes of a person have the same mark.
    pub(crate) marks: Arc<HashMap<SubjectHash, Mark>>,
    /// By index, as long as the capacity: who contributes nothing and is charged nothing.
    pub(crate) barred: Arc<Vec<bool>>,
    /// The next free index.
    pub(crate) next: u32,
    /// Indexes whose person goes on under another one. Old rows may still lie there.
    dead: BTreeSet<u32>,
    /// Indexes under which two people were found to be one. Their exposure may be above the
    /// meter: see [`super::State::barred`].
    pub(crate) joined: BTreeSet<u32>,
}

/// One person under two indexes goes on under `keep`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Join {
    pub(crate) keep: u32,
    pub(crate) gone: u32,
}

/// Where the people of another population come to lie.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Moves {
    /// Indexes there to indexes here; each index here once.
    pub(crate) places: BTreeMap<u32, u32>,
    /// Hashes that are new here.
    hashes: Vec<(SubjectHash, u32)>,
    marks: Vec<(SubjectHash, Mark)>,
    /// The next free index afterwards.
    pub(crate) next: u32,
}

/// Why people cannot be moved into another population.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CannotMove {
    /// Somebody is not mapped.
    Incomplete,
    /// Two indexes would become one, or one two.
    Joins,
    /// There is no room.
    Full,
}

impl Subjects {
    pub(crate) fn new(capacity: u32) -> Self {
        Self {
            barred: Arc::new(vec![false; capacity as usize]),
            ..Self::default()
        }
    }

    /// How many people the index has.
    pub(crate) fn people(&self) -> u64 {
        u64::from(self.next) - self.dead.len() as u64
    }

    /// New people, from index `first` on.
    pub(super) fn add(&mut self, first: u32, hashes: &[SubjectHash]) -> Result<(), InvalidHistory> {
        let range = InvalidHistory::Range("the subject index");
        let after = u64::from(first) + hashes.len() as u64;
        if first != self.next || after > self.barred.len() as u64 {
            return Err(range);
        }
        if hashes.is_empty() {
            return Ok(());
        }
        let known = Arc::make_mut(&mut self.known);
        for (hash, index) in hashes.iter().zip(first..) {
            if known.insert(*hash, index).is_some() {
                return Err(InvalidHistory::Twice("a subject"));
            }
        }
        self.next = u32::try_from(after).map_err(|_| range)?;
        self.bar();
        Ok(())
    }

    /// The people with an index among these, each once.
    pub(crate) fn people_among(&self, hashes: &[SubjectHash]) -> BTreeSet<u32> {
        let indexes = hashes.iter().filter_map(|hash| self.known.get(hash));
        indexes.copied().collect()
    }

    /// Marks these and every other id of the same people. An erasure stays one.
    pub(super) fn mark(&mut self, mark: Mark, hashes: &[SubjectHash]) {
        let people = self.people_among(hashes);
        let others = self.ids_of(&people);
        let marks = Arc::make_mut(&mut self.marks);
        for hash in hashes.iter().copied().chain(others) {
            let entry = marks.entry(hash).or_insert(mark);
            *entry = (*entry).max(mark);
        }
        self.bar();
    }

    /// Lifts the marks of these and of every other id of the same people.
    pub(super) fn readmit(&mut self, hashes: &[SubjectHash]) {
        let people = self.people_among(hashes);
        let others = self.ids_of(&people);
        let marks = Arc::make_mut(&mut self.marks);
        for hash in hashes.iter().copied().chain(others) {
            marks.remove(&hash);
        }
        self.bar();
    }

    /// Each pair is an old and a new id of one person. The new id gets the old one's index and
    /// mark, and the old one stays known. If both had an index, they are one person from now on.
    pub(super) fn rekey(&mut self, pairs: &[(SubjectHash, SubjectHash)]) -> Vec<Join> {
        let known = Arc::make_mut(&mut self.known);
        let mut joins = Joins::default();
        for (old, new) in pairs {
            let at = |hash| known.get(hash).map(|index| joins.of(*index));
            match (at(old), at(new)) {
                (Some(a), Some(b)) => joins.join(a, b),
                (Some(index), None) => {
                    known.insert(*new, index);
                }
                // An old id that was never seen may still come: it is the same person.
                (None, Some(index)) => {
                    known.insert(*old, index);
                }
                (None, None) => {}
            }
        }
        for index in known.values_mut() {
            *index = joins.of(*index);
        }
        for join in &joins.made {
            self.dead.insert(join.gone);
            self.joined.remove(&join.gone);
            self.joined.insert(join.keep);
        }
        self.joined.retain(|index| !self.dead.contains(index));
        self.carry_marks(pairs);
        joins.made
    }

    /// A mark of one id of a person holds for all.
    fn carry_marks(&mut self, pairs: &[(SubjectHash, SubjectHash)]) {
        // Ids without an index: along the pairs, until nothing changes (a chain is as long as
        // somebody made it, and marks only grow).
        loop {
            let mut changed = Vec::new();
            for (old, new) in pairs {
                let (a, b) = (self.marks.get(old).copied(), self.marks.get(new).copied());
                if let Some(mark) = a.max(b).filter(|_| a != b) {
                    changed.extend([(*old, mark), (*new, mark)]);
                }
            }
            if changed.is_empty() {
                break;
            }
            Arc::make_mut(&mut self.marks).extend(changed);
        }
        self.spread_marks();
    }

    /// Whoever is marked under one id is marked under every id.
    fn spread_marks(&mut self) {
        for mark in [Mark::Excluded, Mark::Erased] {
            let marked = self.marks.iter().filter(|(_, m)| **m == mark);
            let marked: Vec<SubjectHash> = marked.map(|(hash, _)| *hash).collect();
            self.mark(mark, &marked);
        }
    }

    /// Where the people of `gone` would lie here, in the order of the pairs (there, here).
    pub(crate) fn moves(
        &self,
        gone: &Subjects,
        pairs: &[(SubjectHash, SubjectHash)],
        most: u64,
    ) -> Result<Moves, CannotMove> {
        let mut moves = Moves {
            next: self.next,
            ..Moves::default()
        };
        let mut fresh: HashMap<SubjectHash, u32> = HashMap::new();
        let (mut taken, mut mapped) = (BTreeSet::new(), BTreeSet::new());
        for (there, here) in pairs {
            mapped.insert(*there);
            if let Some(mark) = gone.marks.get(there) {
                moves.marks.push((*here, *mark));
            }
            let Some(from) = gone.known.get(there) else {
                continue;
            };
            let place = self.known.get(here).or_else(|| fresh.get(here)).copied();
            let place = match (place, moves.places.get(from)) {
                (Some(place), Some(before)) if place != *before => return Err(CannotMove::Joins),
                (Some(place), Some(_)) => place,
                (Some(place), None) if !taken.insert(place) => return Err(CannotMove::Joins),
                (Some(place), None) => place,
                // Another id of somebody who was moved before.
                (None, Some(before)) => *before,
                (None, None) => {
                    let place = moves.next;
                    moves.next = place.checked_add(1).ok_or(CannotMove::Full)?;
                    taken.insert(place);
                    place
                }
            };
            if !self.known.contains_key(here) && fresh.insert(*here, place).is_none() {
                moves.hashes.push((*here, place));
            }
            moves.places.insert(*from, place);
        }
        let all = (0..gone.next).filter(|index| !gone.dead.contains(index));
        let everybody = all
            .into_iter()
            .all(|index| moves.places.contains_key(&index));
        // Tombstones of people without an index have to come along too.
        let unmapped =
            |hash: &SubjectHash| !gone.known.contains_key(hash) && !mapped.contains(hash);
        if !everybody || gone.marks.keys().any(unmapped) {
            return Err(CannotMove::Incomplete);
        }
        if u64::from(moves.next) > most.min(self.barred.len() as u64) {
            return Err(CannotMove::Full);
        }
        Ok(moves)
    }

    /// Takes the people of `gone` in.
    pub(super) fn take_in(&mut self, gone: &Subjects, moves: &Moves) {
        Arc::make_mut(&mut self.known).extend(moves.hashes.iter().copied());
        self.next = moves.next;
        let moved = gone.joined.iter().filter_map(|i| moves.places.get(i));
        self.joined.extend(moved.copied());
        let marks = Arc::make_mut(&mut self.marks);
        for (hash, mark) in &moves.marks {
            let entry = marks.entry(*hash).or_insert(*mark);
            *entry = (*entry).max(*mark);
        }
        self.spread_marks();
    }

    /// Every id of these people.
    fn ids_of(&self, people: &BTreeSet<u32>) -> Vec<SubjectHash> {
        if people.is_empty() {
            return Vec::new();
        }
        let own = self.known.iter().filter(|(_, at)| people.contains(at));
        own.map(|(hash, _)| *hash).collect()
    }

    /// Computes anew who is barred.
    fn bar(&mut self) {
        let mut barred = vec![false; self.barred.len()];
        let marked = self.marks.keys().filter_map(|hash| self.known.get(hash));
        for index in marked.chain(&self.dead) {
            if let Some(bar) = barred.get_mut(*index as usize) {
                *bar = true;
            }
        }
        if *self.barred != barred {
            self.barred = Arc::new(barred);
        }
    }
}

/// Indexes that turn out to be one person.
#[derive(Default)]
struct Joins {
    /// An index to the lower one that it was joined to.
    to: HashMap<u32, u32>,
    made: Vec<Join>,
}

impl Joins {
    /// The index under which a person goes on.
    fn of(&self, index: u32) -> u32 {
        let mut at = index;
        // Every step goes to a lower index.
        while let Some(lower) = self.to.get(&at) {
            at = *lower;
        }
        at
    }

    fn join(&mut self, a: u32, b: u32) {
        let (keep, gone) = (a.min(b), a.max(b));
        if keep != gone {
            self.to.insert(gone, keep);
            self.made.push(Join { keep, gone });
        }
    }
}
