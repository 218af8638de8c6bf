//! Vectors that share their slots, side by side: what is done for a slot is done for all of them.

use std::ops::Range;

use crate::clip;
use crate::tally::FoldError;

/// The most vectors of a pack.
pub(super) const LANES: usize = 4;

pub(super) struct Pack {
    /// Whose slots they are.
    pub(super) group: usize,
    /// The vector of each lane; nothing where it has moved to another pack.
    pub(super) vectors: Vec<Option<usize>>,
    /// By slot, and then lane. Slot 0 belongs to nobody.
    pub(super) values: Vec<i64>,
}

impl Pack {
    pub(super) fn new(group: usize, vector: usize) -> Self {
        Self {
            group,
            vectors: vec![Some(vector)],
            values: Vec::new(),
        }
    }

    /// Nothing in each of so many slots.
    pub(super) fn clear(&mut self, slots: usize) {
        self.values.clear();
        self.values.resize(slots * self.vectors.len(), 0);
    }

    /// Adds a step for each row in each lane to the row's slot.
    pub(super) fn add(&mut self, slots: &[u32], lanes: &[&[i32]]) -> Result<(), FoldError> {
        match *lanes {
            [a] => add(&mut self.values, slots, [a]),
            [a, b] => add(&mut self.values, slots, [a, b]),
            [a, b, c] => add(&mut self.values, slots, [a, b, c]),
            [a, b, c, d] => add(&mut self.values, slots, [a, b, c, d]),
            _ => Err(FoldError::Vectors),
        }
    }

    /// Clips the values of each subject's slots in each lane to the norm of its vector, and adds what
    /// `charge` makes of each vector and the squared norm of what is left to the subject's nanos.
    pub(super) fn clip(
        &mut self,
        ends: &[u32],
        clips_squared: &[u128],
        charge: impl Fn(usize, u128) -> Option<u128>,
        nanos: &mut [u128],
    ) -> Result<(), FoldError> {
        match self.vectors.len() {
            1 => self.clip_lanes::<1>(ends, clips_squared, charge, nanos),
            2 => self.clip_lanes::<2>(ends, clips_squared, charge, nanos),
            3 => self.clip_lanes::<3>(ends, clips_squared, charge, nanos),
            LANES => self.clip_lanes::<LANES>(ends, clips_squared, charge, nanos),
            _ => Err(FoldError::Vectors),
        }
    }

    fn clip_lanes<const N: usize>(
        &mut self,
        ends: &[u32],
        clips_squared: &[u128],
        charge: impl Fn(usize, u128) -> Option<u128>,
        nanos: &mut [u128],
    ) -> Result<(), FoldError> {
        // A lane without a vector has nothing in it.
        let mut lanes = [(None, 0); N];
        for (lane, vector) in lanes.iter_mut().zip(&self.vectors) {
            let clip = vector.map(|v| clips_squared.get(v).ok_or(FoldError::Vectors));
            *lane = (*vector, *clip.unwrap_or(Ok(&0))?);
        }
        let (_, mut rest) = self.values.as_chunks_mut::<N>().0.split_at_mut(1);
        let mut start = 1;
        for (end, nano) in ends.iter().zip(nanos) {
            let count = (*end as usize).checked_sub(start);
            let parts = count.and_then(|count| rest.split_at_mut_checked(count));
            let (slots, others) = parts.ok_or(FoldError::Vectors)?;
            rest = others;
            start += slots.len();
            let mut lengths = [clip::Lengths::default(); N];
            for slot in slots.iter() {
                for (lengths, value) in lengths.iter_mut().zip(slot) {
                    lengths.add(*value);
                }
            }
            for (lane, (lengths, (vector, most))) in lengths.iter().zip(&lanes).enumerate() {
                let Some(vector) = vector else { continue };
                let norm = match lengths.norm_squared(slots.len()) {
                    Some(norm) if norm <= *most => norm,
                    _ => clip_lane(slots, lane, *most)?,
                };
                let more = charge(*vector, norm).ok_or(FoldError::Charge)?;
                *nano = nano.checked_add(more).ok_or(FoldError::Charge)?;
            }
        }
        Ok(())
    }

    /// Adds the values of these slots, whose places are given, to the sums of each vector.
    pub(super) fn take(
        &self,
        own: Range<usize>,
        places: &[u32],
        sums: &mut [Vec<i64>],
    ) -> Result<(), FoldError> {
        let places = places.get(own.clone()).ok_or(FoldError::Vectors)?;
        let lanes = self.vectors.len();
        let own = own.start * lanes..own.end * lanes;
        let values = self.values.get(own).ok_or(FoldError::Vectors)?;
        match *self.vectors {
            [Some(a)] => take(values, places, sums, [a]),
            [Some(a), Some(b)] => take(values, places, sums, [a, b]),
            [Some(a), Some(b), Some(c)] => take(values, places, sums, [a, b, c]),
            [Some(a), Some(b), Some(c), Some(d)] => take(values, places, sums, [a, b, c, d]),
            // Some have moved.
            _ => {
                for (lane, vector) in self.vectors.iter().enumerate() {
                    let Some(vector) = *vector else { continue };
                    let values: Vec<i64> =
                        values.iter().copied().skip(lane).step_by(lanes).collect();
                    take(&values, places, sums, [vector])?;
                }
                Ok(())
            }
        }
    }
}

fn take<const N: usize>(
    values: &[i64],
    places: &[u32],
    sums: &mut [Vec<i64>],
    vectors: [usize; N],
) -> Result<(), FoldError> {
    let sums = sums.get_disjoint_mut(vectors);
    let mut sums = sums.map_err(|_| FoldError::Vectors)?;
    let (slots, _) = values.as_chunks::<N>();
    for (place, slot) in places.iter().zip(slots) {
        for (sums, value) in sums.iter_mut().zip(slot) {
            let sum = sums.get_mut(*place as usize).ok_or(FoldError::Cell)?;
            *sum = sum.checked_add(*value).ok_or(FoldError::Overflow)?;
        }
    }
    Ok(())
}

fn add<const N: usize>(
    values: &mut [i64],
    slots: &[u32],
    lanes: [&[i32]; N],
) -> Result<(), FoldError> {
    let (values, _) = values.as_chunks_mut::<N>();
    // Checked once, here, that each has as many as there are rows.
    let rows = slots.len();
    let mut cut: [&[i32]; N] = [&[]; N];
    for (cut, lane) in cut.iter_mut().zip(lanes) {
        *cut = lane.get(..rows).ok_or(FoldError::Vectors)?;
    }
    for (row, slot) in slots.iter().enumerate() {
        let slot = values.get_mut(*slot as usize).ok_or(FoldError::Cell)?;
        for (value, lane) in slot.iter_mut().zip(&cut) {
            *value += i64::from(lane.get(row).copied().unwrap_or(0));
        }
    }
    Ok(())
}

/// One lane alone: what is too long is clipped, in exact integers of any length.
#[cold]
fn clip_lane<const N: usize>(
    slots: &mut [[i64; N]],
    lane: usize,
    most: u128,
) -> Result<u128, FoldError> {
    let own = slots.iter().filter_map(|slot| slot.get(lane).copied());
    let mut part: Vec<i64> = own.collect();
    // Nothing changes if it is only too long to be measured quickly.
    let norm = clip::to_norm(&mut part, most).map_err(|_| FoldError::Overflow)?;
    if norm > most {
        return Err(FoldError::Norm);
    }
    let own = slots.iter_mut().filter_map(|slot| slot.get_mut(lane));
    own.zip(part).for_each(|(own, value)| *own = value);
    Ok(norm)
}
