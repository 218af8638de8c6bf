//! All rows of a table by subject and by their bytes, from however many runs.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

use super::piece::Piece;
use super::run::{Runs, Sorted, row_at};
use super::spill::{Aside, Frame, SpillError};

impl Runs<Sorted> {
    /// Gives every row with its subject, until `each` wants no more.
    pub(super) fn merged(
        &self,
        mut each: impl FnMut(u32, &[u8]) -> bool,
    ) -> Result<(), SpillError> {
        if let [Sorted::Here { pieces, order }] = self.runs.as_slice() {
            let mut rows = order.iter();
            rows.all(|key| each((key >> 32) as u32, row_at(pieces, *key)));
            return Ok(());
        }
        let mut heap = BinaryHeap::with_capacity(self.runs.len());
        for run in &self.runs {
            let mut front = Front {
                subject: 0,
                row: Vec::new(),
                rest: Rest::of(run, self),
            };
            if front.step()? {
                heap.push(Reverse(front));
            }
        }
        while let Some(mut first) = heap.peek_mut() {
            let Reverse(front) = &mut *first;
            if !each(front.subject, &front.row) {
                return Ok(());
            }
            if !front.step()? {
                PeekMut::pop(first);
            }
        }
        Ok(())
    }
}

/// The first row of a run that was not given yet, and the run behind it.
struct Front<'r> {
    subject: u32,
    row: Vec<u8>,
    rest: Rest<'r>,
}

enum Rest<'r> {
    Here(&'r [Piece], std::slice::Iter<'r, u64>),
    Aside {
        frames: std::slice::Iter<'r, Frame>,
        aside: Option<&'r Aside>,
        fixed: Option<usize>,
        piece: Piece,
        at: usize,
    },
}

impl<'r> Rest<'r> {
    fn of(run: &'r Sorted, runs: &'r Runs<Sorted>) -> Self {
        match run {
            Sorted::Here { pieces, order } => Rest::Here(pieces, order.iter()),
            Sorted::Aside(frames) => Rest::Aside {
                frames: frames.iter(),
                aside: runs.aside.as_ref(),
                fixed: runs.fixed,
                piece: Piece::new(runs.fixed),
                at: 0,
            },
        }
    }
}

impl Front<'_> {
    /// Goes on to the next row; false if there is none.
    fn step(&mut self) -> Result<bool, SpillError> {
        let (subject, row) = match &mut self.rest {
            Rest::Here(pieces, keys) => match keys.next() {
                Some(key) => ((key >> 32) as u32, row_at(pieces, *key)),
                None => return Ok(false),
            },
            Rest::Aside {
                frames,
                aside,
                fixed,
                piece,
                at,
            } => {
                if *at == piece.len() {
                    let (Some(frame), Some(aside)) = (frames.next(), aside) else {
                        return Ok(false);
                    };
                    *piece = aside.read(frame, *fixed)?;
                    *at = 0;
                }
                *at += 1;
                match piece.at(*at - 1) {
                    Some(row) => row,
                    None => return Ok(false),
                }
            }
        };
        self.subject = subject;
        self.row.clear();
        self.row.extend_from_slice(row);
        Ok(true)
    }
}

impl Ord for Front<'_> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let rows = || self.row.cmp(&other.row);
        self.subject.cmp(&other.subject).then_with(rows)
    }
}

impl PartialOrd for Front<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Front<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Front<'_> {}
