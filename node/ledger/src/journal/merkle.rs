//! The Merkle tree of RFC 9162, section 2.1, over leaf hashes.

use sha2::{Digest as _, Sha256};

mod consistency;

pub use consistency::consistent;

/// A hash of a leaf or an inner node.
pub type Hash = [u8; 32];

/// The public head of a journal: how many records it has, and the Merkle root over their leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The number of records.
    pub size: u64,
    /// The root: SHA-256 of nothing when there is no record.
    pub root: Hash,
}

/// The leaf hash of `content`: SHA-256(0x00 || content).
pub(crate) fn leaf(content: &[u8]) -> Hash {
    Sha256::new()
        .chain_update([0u8])
        .chain_update(content)
        .finalize()
        .into()
}

/// The hash of an inner node: SHA-256(0x01 || left || right).
fn node(left: &Hash, right: &Hash) -> Hash {
    Sha256::new()
        .chain_update([1u8])
        .chain_update(left)
        .chain_update(right)
        .finalize()
        .into()
}

/// A growing tree. It keeps all leaves (32 bytes each), so that proofs need no reading, and the
/// roots of its complete subtrees, so that the head is there at once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tree {
    leaves: Vec<Hash>,
    /// (number of leaves, root) of complete subtrees, largest first.
    frontier: Vec<(u64, Hash)>,
}

impl Tree {
    pub(crate) fn push(&mut self, leaf: Hash) {
        self.leaves.push(leaf);
        let mut last = (1u64, leaf);
        while let Some((size, left)) = self.frontier.pop_if(|(size, _)| *size == last.0) {
            last = (size + last.0, node(&left, &last.1));
        }
        self.frontier.push(last);
    }

    /// Forgets all leaves but the first `size`.
    pub(crate) fn cut(&mut self, size: u64) {
        let mut leaves = std::mem::take(self).leaves;
        leaves.truncate(usize::try_from(size).unwrap_or(usize::MAX));
        leaves.into_iter().for_each(|leaf| self.push(leaf));
    }

    pub(crate) fn size(&self) -> u64 {
        self.leaves.len() as u64
    }

    pub(crate) fn leaf(&self, index: u64) -> Option<Hash> {
        self.leaves.get(usize::try_from(index).ok()?).copied()
    }

    pub(crate) fn head(&self) -> Head {
        let mut subtrees = self.frontier.iter().rev().map(|(_, hash)| *hash);
        let root = match subtrees.next() {
            None => root_of(&[]),
            Some(last) => subtrees.fold(last, |right, left| node(&left, &right)),
        };
        Head {
            size: self.size(),
            root,
        }
    }

    /// The head as it was after `size` records; nothing if the tree is smaller.
    pub(crate) fn head_at(&self, size: u64) -> Option<Head> {
        let leaves = self.leaves.get(..usize::try_from(size).ok()?)?;
        Some(Head {
            size,
            root: root_of(leaves),
        })
    }

    /// The inclusion proof of leaf `index` in the tree of the first `size` leaves (RFC 9162,
    /// section 2.1.3.1), nearest sibling first.
    pub(crate) fn inclusion(&self, index: u64, size: u64) -> Option<Vec<Hash>> {
        let leaves = self.leaves.get(..usize::try_from(size).ok()?)?;
        let mut index = usize::try_from(index).ok().filter(|i| *i < leaves.len())?;
        let mut path = Vec::new();
        let mut part = leaves;
        while part.len() > 1 {
            let (left, right) = part.split_at(split(part.len()));
            if index < left.len() {
                path.push(root_of(right));
                part = left;
            } else {
                path.push(root_of(left));
                index -= left.len();
                part = right;
            }
        }
        path.reverse();
        Some(path)
    }
}

/// The largest power of two below `length`, which is at least 2.
fn split(length: usize) -> usize {
    length.next_power_of_two() / 2
}

fn root_of(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Sha256::digest([]).into(),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(split(leaves.len()));
            node(&root_of(left), &root_of(right))
        }
    }
}

/// Whether `path` proves that `leaf` is record `index` of the journal with this head (RFC 9162,
/// section 2.1.3.2).
#[must_use]
pub fn includes(head: &Head, index: u64, leaf: &Hash, path: &[Hash]) -> bool {
    if index >= head.size {
        return false;
    }
    let (mut position, mut last, mut hash) = (index, head.size - 1, *leaf);
    for sibling in path {
        if last == 0 {
            return false;
        }
        if position & 1 == 1 || position == last {
            hash = node(sibling, &hash);
            while position & 1 == 0 && position != 0 {
                position >>= 1;
                last >>= 1;
            }
        } else {
            hash = node(&hash, sibling);
        }
        position >>= 1;
        last >>= 1;
    }
    last == 0 && hash == head.root
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(size: u64) -> Tree {
        let mut tree = Tree::default();
        (0..size).for_each(|i| tree.push(leaf(&i.to_le_bytes())));
        tree
    }

    fn hex(hash: Hash) -> String {
        hash.iter().map(|b| format!("{b:02x}")).collect()
    }

    /// The roots of the test tree that Certificate Transparency implementations share.
    #[test]
    fn roots_agree_with_published_vectors() {
        let leaves: [&[u8]; 8] = [
            b"",
            b"\x00",
            b"\x10",
            b"\x20\x21",
            b"\x30\x31",
            b"\x40\x41\x42\x43",
            b"\x50\x51\x52\x53\x54\x55\x56\x57",
            b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
        ];
        let mut tree = Tree::default();
        assert!(hex(tree.head().root).starts_with("e3b0c44298fc1c14"));
        tree.push(leaf(leaves[0]));
        assert!(hex(tree.head().root).starts_with("6e340b9cffb37a98"));
        leaves[1..].iter().for_each(|l| tree.push(leaf(l)));
        assert!(
            hex(tree.head().root).starts_with("5dc9da79a70659a9"),
            "{}",
            hex(tree.head().root)
        );
    }

    #[test]
    fn the_frontier_gives_the_root_of_the_definition() {
        for size in 0..70 {
            let tree = tree(size);
            assert_eq!(Some(tree.head()), tree.head_at(size));
        }
    }

    #[test]
    fn every_record_is_proved_and_no_other_is() {
        for size in 1..40 {
            let tree = tree(size);
            let head = tree.head();
            for index in 0..size {
                let path = tree.inclusion(index, size).unwrap();
                let right = leaf(&index.to_le_bytes());
                assert!(includes(&head, index, &right, &path), "{index} of {size}");
                assert!(!includes(&head, index, &leaf(b"other"), &path));
                assert!(size == 1 || !includes(&head, (index + 1) % size, &right, &path));
                assert!(!includes(&head, index + size, &right, &path));
            }
        }
    }
}
