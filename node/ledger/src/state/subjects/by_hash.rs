//! Tables by hashes of ids: a hash is keyed and as good as random, so it is its own place.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::record::SubjectHash;

/// Something by hash of an id. Looked up, never listed.
pub(crate) type ByHash<T> = HashMap<SubjectHash, T, BuildHasherDefault<AsItIs>>;

/// The first eight bytes of what is hashed. Nobody without the population's key can choose them.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct AsItIs(u64);

impl Hasher for AsItIs {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 = u64::from_le_bytes(*first);
        }
    }

    /// All hashes of ids have the same length.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

/// From so many on an order pays.
const MANY: usize = 1 << 16;
/// Neighbourhoods of a large table, as a power of two.
const PARTS: u32 = 12;

/// The positions of hashes such that those that lie near each other in a table of all of them
/// follow each other: millions put into a table in any order miss every cache each.
pub(super) fn in_order_of_place(hashes: &[SubjectHash]) -> Vec<u32> {
    let all = 0..u32::try_from(hashes.len()).unwrap_or(u32::MAX);
    if hashes.len() < MANY {
        return all.collect();
    }
    // A table is filled to seven eighths at most, and a place in it is a hash's lowest bits.
    let places = (hashes.len() / 7 * 8).next_power_of_two().ilog2();
    let part = |hash: &SubjectHash| {
        let low = u64::from_le_bytes(*hash.first_chunk().unwrap_or(&[0; 8]));
        (low >> places.saturating_sub(PARTS)) as usize % (1 << PARTS)
    };
    let mut ends = vec![0usize; (1 << PARTS) + 1];
    for hash in hashes {
        if let Some(count) = ends.get_mut(part(hash) + 1) {
            *count += 1;
        }
    }
    for at in 1..ends.len() {
        ends[at] += ends[at - 1];
    }
    let mut order = vec![0; hashes.len()];
    for (hash, position) in hashes.iter().zip(all) {
        let next = &mut ends[part(hash)];
        order[*next] = position;
        *next += 1;
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_hash_has_its_turn_once_in_order_of_its_place() {
        for many in [0, 9, MANY as u32 + 77] {
            let hash =
                |n: u32| u128::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
            let hashes: Vec<SubjectHash> = (0..many).map(|n| hash(n).to_le_bytes()).collect();
            let mut order = in_order_of_place(&hashes);
            if hashes.len() > MANY {
                let place = |at: &u32| (hash(*at) as u64 % (1 << 17)) >> 5;
                assert!(order.is_sorted_by_key(place));
            }
            order.sort_unstable();
            assert!(order.into_iter().eq(0..many));
        }
    }
}
