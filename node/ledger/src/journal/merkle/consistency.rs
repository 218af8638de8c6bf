//! Consistency proofs (RFC 9162, section 2.1.4): a later head only added to an earlier one.

use super::{Hash, Head, Tree, node, root_of, split};

impl Tree {
    /// The proof that the tree of the first `second` leaves begins with the tree of the first
    /// `first` (RFC 9162, section 2.1.4.1), in the order in which [`consistent`] reads it; nothing
    /// if `first` is over `second`, or `second` over the size. Between equal sizes, and from the
    /// empty tree, which every tree begins with, the proof has no element.
    pub(crate) fn consistency(&self, first: u64, second: u64) -> Option<Vec<Hash>> {
        let leaves = self.leaves.get(..usize::try_from(second).ok()?)?;
        let mut first = usize::try_from(first).ok().filter(|f| *f <= leaves.len())?;
        let (mut path, mut part) = (Vec::new(), leaves);
        if first == 0 {
            return Some(path);
        }
        // Whether the part still begins where the tree begins: then its verifier has its root.
        let mut known = true;
        while first < part.len() {
            let (left, right) = part.split_at(split(part.len()));
            if first <= left.len() {
                path.push(root_of(right));
                part = left;
            } else {
                path.push(root_of(left));
                (first, part, known) = (first - left.len(), right, false);
            }
        }
        if !known {
            path.push(root_of(part));
        }
        path.reverse();
        Some(path)
    }
}

/// Whether `proof` shows that the journal with the head `second` begins with all records of the
/// journal with the head `first`, unchanged and in order (RFC 9162, section 2.1.4.2). An empty
/// journal begins every other; its proof, and that between equal sizes, is empty.
#[must_use]
pub fn consistent(first: &Head, second: &Head, proof: &[Hash]) -> bool {
    if first.size == 0 {
        return proof.is_empty()
            && first.root == root_of(&[])
            && (second.size > 0 || first == second);
    }
    if first.size >= second.size {
        return proof.is_empty() && first == second;
    }
    let (mut inner, mut last) = (first.size - 1, second.size - 1);
    let shared = inner.trailing_ones();
    (inner, last) = (inner >> shared, last >> shared);
    // A first tree of a power of two is itself a subtree of the second.
    let (start, rest) = match proof.split_first() {
        _ if first.size.is_power_of_two() && !proof.is_empty() => (first.root, proof),
        Some((start, rest)) => (*start, rest),
        None => return false,
    };
    let (mut old, mut new) = (start, start);
    for sibling in rest {
        if last == 0 {
            return false;
        }
        if inner & 1 == 1 || inner == last {
            (old, new) = (node(sibling, &old), node(sibling, &new));
            while inner & 1 == 0 && inner != 0 {
                (inner, last) = (inner >> 1, last >> 1);
            }
        } else {
            new = node(&new, sibling);
        }
        (inner, last) = (inner >> 1, last >> 1);
    }
    last == 0 && old == first.root && new == second.root
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::leaf;
    use super::*;

    fn leaves(size: u64) -> Vec<Hash> {
        (0..size).map(|i| leaf(&i.to_le_bytes())).collect()
    }

    fn tree(size: u64) -> Tree {
        let mut tree = Tree::default();
        leaves(size).into_iter().for_each(|leaf| tree.push(leaf));
        tree
    }

    /// The definitions of RFC 9162, sections 2.1.1 and 2.1.4.1, word by word.
    mod naive {
        use super::super::{Hash, node};

        fn middle(n: usize) -> usize {
            (0..)
                .map(|power| 1 << power)
                .take_while(|k| *k < n)
                .last()
                .unwrap()
        }

        pub(super) fn root(leaves: &[Hash]) -> Hash {
            match leaves.len() {
                1 => leaves[0],
                n => node(&root(&leaves[..middle(n)]), &root(&leaves[middle(n)..])),
            }
        }

        pub(super) fn subproof(m: usize, leaves: &[Hash], whole: bool) -> Vec<Hash> {
            let n = leaves.len();
            if m == n {
                return if whole { vec![] } else { vec![root(leaves)] };
            }
            let k = middle(n);
            let (mut path, last) = if m <= k {
                (subproof(m, &leaves[..k], whole), root(&leaves[k..]))
            } else {
                (subproof(m - k, &leaves[k..], false), root(&leaves[..k]))
            };
            path.push(last);
            path
        }
    }

    /// The proof is that of the definition and verifies; none that differs a little does.
    fn check(tree: &Tree, first: u64, second: u64) {
        let proof = tree.consistency(first, second).unwrap();
        let (old, new) = (tree.head_at(first).unwrap(), tree.head_at(second).unwrap());
        assert!(consistent(&old, &new, &proof), "{first} to {second}");
        if first > 0 {
            let naive = naive::subproof(first as usize, &leaves(second), true);
            assert_eq!(proof, naive, "{first} to {second}");
        }
        let refused = |old: &Head, new: &Head, proof: &[Hash], what: &str| {
            assert!(!consistent(old, new, proof), "{what}: {first} to {second}");
        };
        for at in 0..proof.len() {
            let mut wrong = proof.clone();
            wrong[at][at % 32] ^= 1 << (at % 8);
            refused(&old, &new, &wrong, "an element is flipped");
            let mut wrong = proof.clone();
            wrong.remove(at);
            refused(&old, &new, &wrong, "an element is missing");
        }
        for at in 0..=proof.len() {
            for extra in [[0; 32], old.root, new.root] {
                let mut wrong = proof.clone();
                wrong.insert(at, extra);
                refused(&old, &new, &wrong, "an element is too many");
            }
        }
        if first != second {
            refused(&new, &old, &proof, "the heads are swapped");
        }
        let other = |head: Head| Head {
            root: leaf(b"other"),
            ..head
        };
        refused(&other(old), &new, &proof, "another first head");
        if first > 0 {
            refused(&old, &other(new), &proof, "another second head");
        }
    }

    #[test]
    fn every_pair_up_to_64_is_proved_as_defined_and_nothing_else_verifies() {
        let tree = tree(64);
        for second in 0..=64 {
            (0..=second).for_each(|first| check(&tree, first, second));
        }
        assert_eq!(tree.consistency(3, 2), None);
        assert_eq!(tree.consistency(3, 65), None);
    }

    #[test]
    fn a_history_that_changed_or_forgot_a_record_has_no_proof() {
        let honest = tree(40);
        for first in 1..40u64 {
            for changed in 0..first {
                let mut other = Tree::default();
                for (i, leaf) in (0..).zip(leaves(40)) {
                    other.push(if i == changed {
                        super::super::leaf(b"changed")
                    } else {
                        leaf
                    });
                }
                let (old, new) = (honest.head_at(first).unwrap(), other.head());
                for proof in [honest.consistency(first, 40), other.consistency(first, 40)] {
                    assert!(
                        !consistent(&old, &new, &proof.unwrap()),
                        "{changed} of {first}"
                    );
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn random_pairs_are_proved_as_defined(a in 0u64..1_500, b in 0u64..1_500) {
            check(&tree(a.max(b)), a.min(b), a.max(b));
        }

        #[test]
        fn no_bytes_make_the_verifier_panic(
            a: u64, b: u64, root: [u8; 32], proof in prop::collection::vec(any::<[u8; 32]>(), 0..70)
        ) {
            let (old, new) = (Head { size: a, root }, Head { size: b, root });
            let _ = consistent(&old, &new, &proof);
        }
    }
}
