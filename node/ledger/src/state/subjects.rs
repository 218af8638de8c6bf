//! Who is in a population's index, under which ids, and who is left out of everything.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::InvalidHistory;
use crate::record::{Mark, SubjectHash};

mod by_hash;
mod links;

pub(crate) use by_hash::ByHash;
use links::Links;

/// The subjects of a population. Looked up, never listed.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Subjects {
    /// Hashes of ids to indexes. A person whose id changed has several hashes and one index.
    pub(crate) known: Arc<ByHash<u32>>,
    /// Ids of people without an index who have several: to the one that stands for all of them,
    /// which is among them. Whichever comes first, the others are known with it.
    pub(crate) aliases: Arc<ByHash<SubjectHash>>,
    /// Who is marked, with an index or without. All hashes of a person have the same mark.
    pub(crate) marks: Arc<ByHash<Mark>>,
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
    /// Ids here that are one person's without an index there.
    links: Vec<(SubjectHash, SubjectHash)>,
    /// The next free index afterwards.
    pub(crate) next: u32,
}

/// Why people cannot be moved into another population.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CannotMove {
    /// Somebody, or one of several ids of somebody, is not mapped.
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
        known.reserve(hashes.len());
        for position in by_hash::in_order_of_place(hashes) {
            let hash = hashes.get(position as usize).ok_or(range)?;
            if known.insert(*hash, first + position).is_some() {
                return Err(InvalidHistory::Twice("a subject"));
            }
        }
        self.next = u32::try_from(after).map_err(|_| range)?;
        self.settle()?;
        self.bar();
        Ok(())
    }

    /// Gives the other ids of people who have an index now the same index.
    fn settle(&mut self) -> Result<(), InvalidHistory> {
        let mut places = HashMap::new();
        for (hash, name) in self.aliases.iter() {
            if let Some(index) = self.known.get(hash)
                && places
                    .insert(*name, *index)
                    .is_some_and(|other| other != *index)
            {
                return Err(InvalidHistory::Twice("a subject"));
            }
        }
        if places.is_empty() {
            return Ok(());
        }
        let known = Arc::make_mut(&mut self.known);
        Arc::make_mut(&mut self.aliases).retain(|hash, name| match places.get(name) {
            Some(index) => {
                known.insert(*hash, *index);
                false
            }
            None => true,
        });
        Ok(())
    }

    /// The people with an index among these, each once.
    pub(crate) fn people_among(&self, hashes: &[SubjectHash]) -> BTreeSet<u32> {
        let indexes = hashes.iter().filter_map(|hash| self.known.get(hash));
        indexes.copied().collect()
    }

    /// Marks these and every other id of the same people. An erasure stays one.
    pub(super) fn mark(&mut self, mark: Mark, hashes: &[SubjectHash]) {
        let others = self.ids_of(hashes);
        let marks = Arc::make_mut(&mut self.marks);
        for hash in hashes.iter().copied().chain(others) {
            let entry = marks.entry(hash).or_insert(mark);
            *entry = (*entry).max(mark);
        }
        self.bar();
    }

    /// Lifts the marks of these and of every other id of the same people.
    pub(super) fn readmit(&mut self, hashes: &[SubjectHash]) {
        let others = self.ids_of(hashes);
        let marks = Arc::make_mut(&mut self.marks);
        for hash in hashes.iter().copied().chain(others) {
            marks.remove(&hash);
        }
        self.bar();
    }

    /// Each pair is an old and a new id of one person, in any order: all ids that pairs connect
    /// are that person's, and get the index and mark that any of them has. If two had an index,
    /// they are one person from now on. If none had, they are remembered as one until one comes.
    pub(super) fn rekey(&mut self, pairs: &[(SubjectHash, SubjectHash)]) -> Vec<Join> {
        let joins = self.link(pairs);
        self.spread_marks();
        joins
    }

    /// Makes the ids of each pair one person's, without regard to marks.
    fn link(&mut self, pairs: &[(SubjectHash, SubjectHash)]) -> Vec<Join> {
        let mut links = Links::default();
        for (a, b) in pairs
            .iter()
            .copied()
            .chain(self.aliases.iter().map(|(a, b)| (*a, *b)))
        {
            links.link(a, b);
        }
        let known = Arc::make_mut(&mut self.known);
        let mut joins = Joins::default();
        let mut aliases = ByHash::default();
        for (name, ids) in links.people() {
            let mut place = None;
            for index in ids.iter().filter_map(|hash| known.get(hash)) {
                joins.join(*place.get_or_insert(*index), *index);
            }
            match place {
                Some(index) => known.extend(ids.into_iter().map(|hash| (hash, index))),
                None => aliases.extend(ids.into_iter().map(|hash| (hash, name))),
            }
        }
        for index in known.values_mut() {
            *index = joins.of(*index);
        }
        self.aliases = Arc::new(aliases);
        let joins = joins.made();
        for join in &joins {
            self.dead.insert(join.gone);
            self.joined.remove(&join.gone);
            self.joined.insert(join.keep);
        }
        self.joined.retain(|index| !self.dead.contains(index));
        joins
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
        let mut alone: HashMap<SubjectHash, SubjectHash> = HashMap::new();
        let (mut taken, mut mapped) = (BTreeSet::new(), BTreeSet::new());
        for (there, here) in pairs {
            mapped.insert(*there);
            if let Some(mark) = gone.marks.get(there) {
                moves.marks.push((*here, *mark));
            }
            if let Some(name) = gone.aliases.get(there) {
                let first = *alone.entry(*name).or_insert(*here);
                moves.links.push((first, *here));
            }
            let Some(from) = gone.known.get(there) else {
                continue;
            };
            let name = self.aliases.get(here).unwrap_or(here);
            let place = self.known.get(here).or_else(|| fresh.get(name)).copied();
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
            if !self.known.contains_key(here) && fresh.insert(*name, place).is_none() {
                moves.hashes.push((*here, place));
            }
            moves.places.insert(*from, place);
        }
        // Every id, for a row under one that stayed behind would begin at nothing: also the ids
        // that people had before, and tombstones of people without an index.
        let ids = gone.known.keys().chain(gone.marks.keys());
        if !ids.chain(gone.aliases.keys()).all(|id| mapped.contains(id)) {
            return Err(CannotMove::Incomplete);
        }
        if u64::from(moves.next) > most.min(self.barred.len() as u64) {
            return Err(CannotMove::Full);
        }
        // What ids without an index connect may not join people either.
        match self.clone().take_in(gone, &moves) {
            Ok(joins) if joins.is_empty() => Ok(moves),
            _ => Err(CannotMove::Joins),
        }
    }

    /// Takes the people of `gone` in.
    pub(super) fn take_in(
        &mut self,
        gone: &Subjects,
        moves: &Moves,
    ) -> Result<Vec<Join>, InvalidHistory> {
        Arc::make_mut(&mut self.known).extend(moves.hashes.iter().copied());
        self.next = moves.next;
        self.settle()?;
        let joins = self.link(&moves.links);
        let moved = gone.joined.iter().filter_map(|i| moves.places.get(i));
        self.joined.extend(moved.copied());
        let marks = Arc::make_mut(&mut self.marks);
        for (hash, mark) in &moves.marks {
            let entry = marks.entry(*hash).or_insert(*mark);
            *entry = (*entry).max(*mark);
        }
        self.spread_marks();
        Ok(joins)
    }

    /// Every id of the people who have one of these, of those with an index or with several ids.
    fn ids_of(&self, hashes: &[SubjectHash]) -> Vec<SubjectHash> {
        let people = self.people_among(hashes);
        let names = hashes.iter().filter_map(|hash| self.aliases.get(hash));
        let names: BTreeSet<SubjectHash> = names.copied().collect();
        let mut ids = Vec::new();
        if !people.is_empty() {
            let own = self.known.iter().filter(|(_, at)| people.contains(at));
            ids.extend(own.map(|(hash, _)| *hash));
        }
        if !names.is_empty() {
            let own = self
                .aliases
                .iter()
                .filter(|(_, name)| names.contains(*name));
            ids.extend(own.map(|(hash, _)| *hash));
        }
        ids
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

/// Indexes that turn out to be one person: each to the lower one that it was joined to.
#[derive(Default)]
struct Joins(BTreeMap<u32, u32>);

impl Joins {
    /// The index under which a person goes on.
    fn of(&self, index: u32) -> u32 {
        let mut at = index;
        // Every step goes to a lower index.
        while let Some(lower) = self.0.get(&at) {
            at = *lower;
        }
        at
    }

    fn join(&mut self, a: u32, b: u32) {
        let (a, b) = (self.of(a), self.of(b));
        if a != b {
            self.0.insert(a.max(b), a.min(b));
        }
    }

    /// Everybody who goes on under another index, in the order of what they had.
    fn made(&self) -> Vec<Join> {
        let join = |gone: &u32| Join {
            keep: self.of(*gone),
            gone: *gone,
        };
        self.0.keys().map(join).collect()
    }
}
