//! What a merge of two populations does to the plain maps, person by person.

use std::collections::BTreeSet;

use super::super::world::CAPACITY;
use super::invariants::Merged;
use super::oracle::{Oracle, People};

/// A merge as its owner asks for it.
#[derive(Debug, Clone)]
pub(super) struct Merge {
    pub(super) keep: usize,
    pub(super) gone: usize,
    /// An id there, and the id of the same person here.
    pub(super) pairs: Vec<(u8, u8)>,
    pub(super) limit: u64,
    pub(super) keys: u64,
    pub(super) strict: bool,
}

/// Where everybody of a population goes, and the next free slot afterwards.
struct Places {
    places: Vec<(usize, usize)>,
    next: usize,
}

impl Oracle {
    /// What a merge does, or nothing if it is refused.
    pub(super) fn merge(&mut self, merge: &Merge) -> Option<Merged> {
        let Merge { keep, gone, .. } = *merge;
        let both = [keep, gone].map(|n| &self.people[n]);
        let quiet = both.iter().all(|p| !p.gone && p.open.is_none());
        if keep == gone || !quiet || !self.promises_enough(merge) {
            return None;
        }
        let Places { places, next } = both[0].places_for(both[1], &merge.pairs)?;
        let before = self.people.clone();
        self.move_people(merge, &places, next);
        if !self.people[keep].is_whole() {
            self.people = before;
            return None;
        }
        self.move_books(merge, &places);
        for (n, (population, versions)) in self.datasets.iter_mut().enumerate() {
            if *population == gone {
                *population = keep;
                self.usable[n] = versions.len() + 1;
            }
        }
        Some(Merged { keep, gone, places })
    }

    /// As much as both limits in force, and in strict mode as both meters.
    fn promises_enough(&self, merge: &Merge) -> bool {
        let both = [merge.keep, merge.gone].map(|n| &self.books[n]);
        let meters: u64 = both.iter().map(|book| book.meter).sum();
        let enough = |limit: u64, keys: u64| merge.limit >= limit && merge.keys >= keys;
        both.iter().all(|b| enough(b.limit, b.keys_limit))
            && (!merge.strict || merge.limit >= meters)
    }

    fn move_people(&mut self, merge: &Merge, places: &[(usize, usize)], next: usize) {
        let gone = std::mem::take(&mut self.people[merge.gone]);
        self.people[merge.gone].gone = true;
        let place = |slot: usize| places.iter().find(|(from, _)| *from == slot).unwrap().1;
        let people = &mut self.people[merge.keep];
        for (there, here) in &merge.pairs {
            if let Some(slot) = gone.who.get(there) {
                for id in people.same(*here) {
                    people.who.entry(id).or_insert(place(*slot));
                }
            }
        }
        people.link_as_there(&gone, &merge.pairs);
        people.next = next;
        let joined = gone.joined.iter().filter(|slot| !gone.dead.contains(slot));
        people.joined.extend(joined.map(|slot| place(*slot)));
        let marked = merge
            .pairs
            .iter()
            .filter(|(id, _)| gone.marked.contains(id));
        people.marked.extend(marked.map(|(_, here)| *here));
        people.spread_marks();
        people.stops += gone.stops;
        people.stopped |= gone.stopped || people.stops >= 3;
    }

    fn move_books(&mut self, merge: &Merge, places: &[(usize, usize)]) {
        let other = self.books[merge.gone].clone();
        let book = &mut self.books[merge.keep];
        book.meter += other.meter;
        book.keys += other.keys;
        for (from, to) in places {
            book.exposures[*to] += other.exposures[*from];
        }
        book.highest = (book.highest + other.highest).max(merge.limit);
        book.keys_highest = (book.keys_highest + other.keys_highest).max(merge.keys);
        (book.limit, book.keys_limit, book.strict) = (merge.limit, merge.keys, merge.strict);
        let own = &mut self.books[2];
        if own.population == merge.gone {
            own.population = merge.keep;
            let before = std::mem::replace(&mut own.exposures, vec![0; CAPACITY as usize]);
            for (from, to) in places {
                own.exposures[*to] = before[*from];
            }
        }
    }
}

impl People {
    /// Where everybody of `gone` goes, in the order in which they are first named; nothing if
    /// somebody is left behind, two would become one, one two, or there is no room.
    fn places_for(&self, gone: &People, pairs: &[(u8, u8)]) -> Option<Places> {
        let (mut places, mut next) = (Vec::<(usize, usize)>::new(), self.next);
        let mut theirs: BTreeSet<u8> = BTreeSet::new();
        for (there, _) in pairs {
            let Some(slot) = gone.who.get(there) else {
                continue;
            };
            if places.iter().any(|(from, _)| from == slot) {
                continue;
            }
            let own = pairs
                .iter()
                .filter(|(id, _)| gone.who.get(id) == Some(slot));
            let here: Vec<u8> = own.flat_map(|(_, here)| self.same(*here)).collect();
            let first = self.who.get(&here[0]).copied();
            let to = first.unwrap_or(next);
            next += usize::from(first.is_none());
            let known = here.iter().filter_map(|id| self.who.get(id));
            let split = known.copied().any(|other| other != to);
            let shared = here.iter().any(|id| theirs.contains(id));
            if split || shared || places.iter().any(|(_, taken)| *taken == to) {
                return None;
            }
            theirs.extend(here);
            places.push((*slot, to));
        }
        let named = |id: u8| pairs.iter().any(|(there, _)| *there == id);
        let complete = gone.ids().into_iter().all(named);
        (complete && next <= self.most).then_some(Places { places, next })
    }

    /// Ids that were one person's there, who had no slot, are one person's here.
    fn link_as_there(&mut self, gone: &People, pairs: &[(u8, u8)]) {
        let waits = |id: u8| {
            let linked = gone.linked.iter().any(|(a, b)| *a == id || *b == id);
            linked && !gone.who.contains_key(&id)
        };
        for (there, here) in pairs.iter().filter(|(id, _)| waits(*id)) {
            let same = gone.same(*there);
            let others = pairs.iter().filter(|(id, _)| same.contains(id));
            self.linked.extend(others.map(|(_, other)| (*here, *other)));
        }
        for (here, _) in self.linked.clone() {
            if let Some(slot) = self.who.get(&here).copied() {
                let same = self.same(here);
                for id in same {
                    self.who.entry(id).or_insert(slot);
                }
            }
        }
    }

    /// Whether nobody has two slots.
    fn is_whole(&self) -> bool {
        let slots = |id| -> BTreeSet<_> {
            let same: Vec<u8> = self.same(id);
            same.iter()
                .filter_map(|id| self.who.get(id))
                .copied()
                .collect()
        };
        self.linked.iter().all(|(id, _)| slots(*id).len() <= 1)
    }
}
