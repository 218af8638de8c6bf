//! Subject ids while files are read: each has a number, in the order in which it is first seen.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// Ids of up to so many bytes are their own keys, with their length in the last byte.
const SHORT: usize = 15;

/// The ids of all tables. Transient: ids are still ids here.
#[derive(Default)]
pub(super) struct Ids {
    numbers: HashMap<u128, u32>,
    keys: Vec<u128>,
    /// Those that are longer than their keys, by number, ascending.
    long: Vec<(u32, Box<str>)>,
    last: Option<(u128, u32)>,
}

impl Ids {
    /// The number of a normalised id; none beyond 2^32 ids.
    pub(super) fn number(&mut self, id: &str) -> Option<u32> {
        let key = key(id.as_bytes());
        if let Some((_, number)) = self.last.filter(|(last, _)| *last == key) {
            return Some(number);
        }
        let next = u32::try_from(self.keys.len()).ok()?;
        let number = match self.numbers.entry(key) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(place) => {
                self.keys.push(key);
                if id.len() > SHORT {
                    self.long.push((next, id.into()));
                }
                *place.insert(next)
            }
        };
        self.last = Some((key, number));
        Some(number)
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Every id once, in the order of their numbers.
    pub(super) fn into_each(self, mut each: impl FnMut(u32, &str)) {
        drop(self.numbers);
        let mut long = self.long.iter().peekable();
        for (number, key) in (0u32..).zip(&self.keys) {
            if let Some((_, id)) = long.next_if(|(of, _)| *of == number) {
                each(number, id);
                continue;
            }
            let bytes = key.to_le_bytes();
            let length = usize::from(bytes.last().copied().unwrap_or(0));
            let id = bytes.get(..length).unwrap_or_default();
            each(number, std::str::from_utf8(id).unwrap_or_default());
        }
    }
}

/// Different ids have different keys: short ones are in theirs, those of others are 127 bits of
/// BLAKE3, and the highest bit says which.
fn key(id: &[u8]) -> u128 {
    let mut key = [0; 16];
    match key.get_mut(..id.len()) {
        Some(short) if id.len() <= SHORT => {
            short.copy_from_slice(id);
            key[SHORT] = id.len() as u8;
        }
        _ => {
            let digest = blake3::hash(id);
            let first = digest.as_bytes().first_chunk();
            key = first.copied().unwrap_or_default();
            key[SHORT] |= 0x80;
        }
    }
    u128::from_le_bytes(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_has_a_number_of_its_own_and_comes_back() {
        let mut ids = Ids::default();
        let written: Vec<String> = (0..40)
            .map(|n| "a".repeat(n))
            .chain((0..40).map(|n| "\0".repeat(n + 1)))
            .chain(["\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}x".to_owned()])
            .collect();
        for round in 0..2 {
            for (number, id) in written.iter().enumerate() {
                assert_eq!(ids.number(id), Some(number as u32), "round {round}");
            }
        }
        assert_eq!(ids.len(), written.len());
        let mut back = Vec::new();
        ids.into_each(|number, id| back.push((number as usize, id.to_owned())));
        let expected: Vec<(usize, String)> = written.into_iter().enumerate().collect();
        assert_eq!(back, expected);
    }
}
