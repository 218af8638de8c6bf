//! Which ids are one person's, whatever the order in which that is said.

use std::collections::{BTreeMap, HashMap};

use crate::record::SubjectHash;

/// Ids that are said, two by two, to be one person's (a union-find; the smallest id of a person
/// stands for all of them, so that nothing depends on the order).
#[derive(Default)]
pub(super) struct Links {
    /// An id to a smaller one of the same person, or to itself.
    to: HashMap<SubjectHash, SubjectHash>,
}

impl Links {
    /// These two are one person's.
    pub(super) fn link(&mut self, a: SubjectHash, b: SubjectHash) {
        let (a, b) = (self.name(a), self.name(b));
        self.to.insert(a.max(b), a.min(b));
    }

    /// The id that stands for the person of this one.
    fn name(&mut self, hash: SubjectHash) -> SubjectHash {
        let mut at = hash;
        loop {
            let next = *self.to.entry(at).or_insert(at);
            if next == at {
                return at;
            }
            // Halves the way for whoever comes next.
            let after = self.to.get(&next).copied().unwrap_or(next);
            self.to.insert(at, after);
            at = after;
        }
    }

    /// Everybody: the id that stands for all, and all ids in order.
    pub(super) fn people(mut self) -> BTreeMap<SubjectHash, Vec<SubjectHash>> {
        let mut ids: Vec<SubjectHash> = self.to.keys().copied().collect();
        ids.sort_unstable();
        let mut people: BTreeMap<SubjectHash, Vec<SubjectHash>> = BTreeMap::new();
        for id in ids {
            people.entry(self.name(id)).or_default().push(id);
        }
        people
    }
}
