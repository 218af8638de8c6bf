//! Keys, and the labels of those that are not declared: padded, so that lengths say nothing.

use obscura_wire::v1;

use super::InvalidWire;
use crate::answer::{Answer, Discovered, InvalidAnswer, Key, Shape};
use crate::exposure::DeltaCharge;

/// The most places of a discovered key, by the description file.
const MOST_PLACES: u32 = 1000;
/// The most characters of a label, by the description file.
const MOST_CHARACTERS: u32 = 200;

/// Of a discovered key only how it is found: its labels are among the numbers of the answer.
pub(super) fn key_to(key: &Key) -> v1::Key {
    let Key {
        column,
        labels,
        discovered,
    } = key;
    let discovered = discovered.as_ref().map(|discovered| {
        let Discovered {
            gate,
            per_person,
            most,
            characters,
            delta,
        } = *discovered;
        v1::Discovered {
            // Positions are below the number of vectors, which is far below 2^32.
            gate: u32::try_from(gate).unwrap_or(u32::MAX),
            per_person,
            most,
            characters,
            delta_units: delta.units(),
        }
    });
    v1::Key {
        column: column.clone(),
        labels: match discovered {
            None => labels.clone(),
            Some(_) => Vec::new(),
        },
        discovered,
    }
}

pub(super) fn key_from(key: v1::Key) -> Result<Key, InvalidWire> {
    let v1::Key {
        column,
        labels,
        discovered,
    } = key;
    let Some(discovered) = discovered else {
        return Ok(Key {
            column,
            labels,
            discovered: None,
        });
    };
    let v1::Discovered {
        gate,
        per_person,
        most,
        characters,
        delta_units,
    } = discovered;
    let fits = (1..=MOST_PLACES).contains(&most)
        && (1..=MOST_CHARACTERS).contains(&characters)
        && per_person > 0
        && delta_units > 0
        && labels.is_empty();
    if !fits {
        return Err(InvalidWire::Missing("a proper rule for keys"));
    }
    Ok(Key {
        column,
        labels: vec![String::new(); most as usize],
        discovered: Some(Discovered {
            gate: gate as usize,
            per_person,
            most,
            characters,
            delta: DeltaCharge::from_units(delta_units),
        }),
    })
}

/// The labels that were found, each padded to its longest, and as many as may be shown at most.
pub(super) fn labels_to(answer: &Answer) -> Vec<u8> {
    let Some(discovered) = answer.shape().discovered() else {
        return Vec::new();
    };
    let width = discovered.label_bytes();
    let mut bytes = vec![0; width * discovered.most as usize];
    // A label has no more characters than its place has room for, and no character is a zero.
    for (place, label) in bytes.chunks_mut(width.max(1)).zip(answer.found()) {
        let all = place.iter_mut().zip(label.as_bytes());
        all.for_each(|(to, from)| *to = *from);
    }
    bytes
}

/// The shape with the labels that were found.
pub(super) fn shape_with(shape: Shape, found: &[u8]) -> Result<Shape, InvalidWire> {
    let Some(discovered) = shape.discovered() else {
        return match found {
            [] => Ok(shape),
            _ => Err(InvalidAnswer.into()),
        };
    };
    let width = discovered.label_bytes();
    if found.len() != width * discovered.most as usize {
        return Err(InvalidAnswer.into());
    }
    let mut labels = Vec::new();
    for place in found.chunks(width.max(1)) {
        let length = place.iter().rposition(|b| *b != 0).map_or(0, |p| p + 1);
        let text = place.get(..length).unwrap_or_default();
        let text = std::str::from_utf8(text).map_err(|_| InvalidAnswer)?;
        labels.push(text.to_owned());
    }
    Ok(shape.with_found(&labels)?)
}
