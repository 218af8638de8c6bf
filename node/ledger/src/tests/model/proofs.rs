//! Whatever head or leaf anybody was shown is proved by every later ledger.

use super::*;
use crate::{consistent, includes};

impl Run {
    /// No leaf changes, and the journal of the last operation begins the one of this.
    pub(super) fn check_proofs(&mut self) {
        let head = self.ledger().head();
        let before = self.leaves.len();
        for index in 0..head.size as usize {
            let leaf = self.ledger().leaf_for_tests(index as u64);
            match self.leaves.get(index) {
                Some(known) => assert_eq!(*known, leaf, "leaf {index}"),
                None => self.leaves.push(leaf),
            }
        }
        assert!(before <= self.leaves.len());
        if let Some(last) = self.heads.last().copied() {
            self.check_consistent(&last, &head);
            self.check_included(&last, last.size / 2);
        }
        if self.heads.last() != Some(&head) {
            self.heads.push(head);
        }
    }

    /// Every head is the beginning of the last, and every record is in the last.
    pub(super) fn check_all_proofs(&mut self) {
        self.check_proofs();
        let head = self.ledger().head();
        for earlier in &self.heads {
            self.check_consistent(earlier, &head);
            self.check_included(earlier, earlier.size - 1);
        }
        for index in 0..head.size {
            self.check_included(&head, index);
        }
    }

    fn check_consistent(&self, first: &Head, second: &Head) {
        let proof = self.ledger().consistency(first.size, second.size).unwrap();
        assert!(consistent(first, second, &proof));
    }

    fn check_included(&self, head: &Head, index: u64) {
        let path = self.ledger().inclusion(index, head.size).unwrap();
        assert!(includes(head, index, &self.leaves[index as usize], &path));
    }
}
