//! Runs: as many rows as memory has room for, in memory or set aside, and their order by subject.

use std::path::{Path, PathBuf};

use super::piece::{PIECE_ROWS, Piece};
use super::row::Layout;
use super::spill::{Aside, Frame, SpillError};

/// The most bytes of rows that an ingest holds in memory, all tables together, with what sorting
/// them takes: 256 MiB. Beside them there are the ids (some hundred bytes each), the rows of one
/// subject and what a reader holds of a file.
pub const MEMORY_BYTES: usize = 1 << 28;

/// The most bytes and rows of a piece of a sorted run: of each run one is in memory when they
/// are merged.
const FRAME_BYTES: usize = 1 << 16;
const FRAME_ROWS: usize = 1 << 12;
/// The most bytes of a piece of a run as it is read.
const PIECE_BYTES: usize = 1 << 22;

/// The index of subjects who are left out: beyond every capacity.
pub(super) const LEFT: u32 = u32::MAX;

/// Where an ingest keeps rows.
#[derive(Debug, Clone)]
pub struct Room {
    folder: Option<PathBuf>,
    bytes: usize,
}

impl Room {
    /// All rows stay in memory, however many.
    #[must_use]
    pub fn in_memory() -> Self {
        Self {
            folder: None,
            bytes: MEMORY_BYTES,
        }
    }

    /// About so many bytes of rows stay in memory ([`MEMORY_BYTES`] is usual); what is more is set
    /// aside in the folder, in files that only their owner may read and that have no name. The
    /// folder is made if need be.
    #[must_use]
    pub fn beside(folder: &Path, bytes: usize) -> Self {
        Self {
            folder: Some(folder.to_owned()),
            bytes,
        }
    }

    /// An equal part for each of so many tables.
    pub(super) fn part(&self, tables: usize) -> Self {
        Self {
            folder: self.folder.clone(),
            bytes: self.bytes / tables.max(1),
        }
    }
}

/// Rows in the order of the file.
pub(super) enum Run {
    Here(Vec<Piece>),
    Aside(Vec<Frame>),
}

/// Rows by subject and, of each, by their bytes.
pub(super) enum Sorted {
    Here {
        pieces: Vec<Piece>,
        /// Subject and position, 32 bits each.
        order: Vec<u64>,
    },
    Aside(Vec<Frame>),
}

/// The runs of one table.
pub(super) struct Runs<R> {
    pub(super) runs: Vec<R>,
    pub(super) aside: Option<Aside>,
    /// The length of every row, if that is one.
    pub(super) fixed: Option<usize>,
}

/// Makes runs of rows as they are read.
pub(super) struct Collector {
    room: Room,
    piece: Piece,
    run: Vec<Piece>,
    cost: usize,
    made: Runs<Run>,
}

impl Collector {
    pub(super) fn new(room: Room, layout: &Layout) -> Self {
        let fixed = (!layout.varies()).then(|| layout.fixed());
        Self {
            room,
            piece: Piece::new(fixed),
            run: Vec::new(),
            cost: 0,
            made: Runs {
                runs: Vec::new(),
                aside: None,
                fixed,
            },
        }
    }

    /// Where the next row goes; [`Self::added`] follows.
    pub(super) fn piece(&mut self) -> &mut Piece {
        &mut self.piece
    }

    /// After each row: closes what is full.
    pub(super) fn added(&mut self) -> Result<(), SpillError> {
        let most = (self.room.bytes / 16).min(PIECE_BYTES);
        if self.piece.len() < PIECE_ROWS && self.piece.cost() < most {
            return Ok(());
        }
        self.close_piece();
        if self.cost + most >= self.room.bytes {
            self.close_run()?;
        }
        Ok(())
    }

    fn close_piece(&mut self) {
        if self.piece.is_empty() {
            return;
        }
        let full = std::mem::replace(&mut self.piece, Piece::new(self.made.fixed));
        self.cost += full.cost();
        self.run.push(full);
    }

    fn close_run(&mut self) -> Result<(), SpillError> {
        let pieces = std::mem::take(&mut self.run);
        self.cost = 0;
        let run = match &self.room.folder {
            None => Run::Here(pieces),
            Some(folder) => {
                let aside = match &mut self.made.aside {
                    Some(aside) => aside,
                    none => none.insert(Aside::new(folder)?),
                };
                let frames = pieces.iter().map(|piece| aside.add(piece));
                Run::Aside(frames.collect::<Result<_, _>>()?)
            }
        };
        self.made.runs.push(run);
        Ok(())
    }

    /// All runs. The last is set aside only if there are others.
    pub(super) fn finish(mut self) -> Result<Runs<Run>, SpillError> {
        self.close_piece();
        if self.made.runs.is_empty() {
            let pieces = std::mem::take(&mut self.run);
            self.made.runs.push(Run::Here(pieces));
        } else if !self.run.is_empty() {
            self.close_run()?;
        }
        Ok(self.made)
    }
}

impl Runs<Run> {
    /// Puts every run into order, one at a time. `indices` has the subject index of each number of
    /// an id; rows of those that are left out go.
    pub(super) fn sorted(self, indices: &[u32]) -> Result<Runs<Sorted>, SpillError> {
        let Runs { runs, aside, fixed } = self;
        let sorted = runs.into_iter().map(|run| match (run, &aside) {
            (Run::Here(pieces), _) => Ok(in_order(pieces, indices)),
            (Run::Aside(frames), Some(aside)) => set_in_order(&frames, aside, fixed, indices),
            // Frames are made with their file.
            (Run::Aside(_), None) => Ok(Sorted::Aside(Vec::new())),
        });
        Ok(Runs {
            runs: sorted.collect::<Result<_, _>>()?,
            aside,
            fixed,
        })
    }

    /// Every row in the order of the file.
    #[cfg(test)]
    pub(super) fn each(&self, mut each: impl FnMut(u32, &[u8])) {
        for run in &self.runs {
            let Run::Here(pieces) = run else {
                panic!("set aside");
            };
            for piece in pieces {
                (0..piece.len()).for_each(|row| each(piece.subjects[row], piece.row(row)));
            }
        }
    }
}

/// A run in memory, by subject and then by the rows' bytes.
fn in_order(pieces: Vec<Piece>, indices: &[u32]) -> Sorted {
    let rows = pieces.iter().map(Piece::len).sum();
    let mut order: Vec<u64> = Vec::with_capacity(rows);
    for (number, piece) in pieces.iter().enumerate() {
        let positions = (number * PIECE_ROWS) as u64..;
        for (id, position) in piece.subjects.iter().zip(positions) {
            let subject = indices.get(*id as usize).copied().unwrap_or(LEFT);
            if subject != LEFT {
                order.push(u64::from(subject) << 32 | position);
            }
        }
    }
    order.sort_unstable();
    let middle = order.len() / 2;
    let of = |at: usize| order.get(at).map(|key| key >> 32);
    let cut = (middle..order.len()).find(|at| of(*at) != of(middle));
    let (one, other) = order.split_at_mut(cut.unwrap_or(0));
    std::thread::scope(|scope| {
        scope.spawn(|| by_bytes(one, &pieces));
        by_bytes(other, &pieces);
    });
    Sorted::Here { pieces, order }
}

/// Puts the rows of each subject into the order of their bytes.
fn by_bytes(order: &mut [u64], pieces: &[Piece]) {
    for rows in order.chunk_by_mut(|a, b| a >> 32 == b >> 32) {
        if rows.len() > 1 {
            rows.sort_unstable_by(|a, b| row_at(pieces, *a).cmp(row_at(pieces, *b)));
        }
    }
}

/// The row at a position, whatever subject stands before it.
pub(super) fn row_at(pieces: &[Piece], key: u64) -> &[u8] {
    let position = (key & u64::from(u32::MAX)) as usize;
    let piece = pieces.get(position / PIECE_ROWS);
    piece.map_or(&[], |piece| piece.row(position % PIECE_ROWS))
}

/// Reads a run, puts it into order and writes it where it was: it has the same rows or fewer.
fn set_in_order(
    frames: &[Frame],
    aside: &Aside,
    fixed: Option<usize>,
    indices: &[u32],
) -> Result<Sorted, SpillError> {
    let pieces = frames.iter().map(|frame| aside.read(frame, fixed));
    let sorted = in_order(pieces.collect::<Result<_, _>>()?, indices);
    let Sorted::Here { pieces, order } = sorted else {
        return Ok(sorted);
    };
    let mut at = frames.first().map_or(0, Frame::at);
    let mut written = Vec::new();
    let mut piece = Piece::new(fixed);
    for key in &order {
        piece.push((key >> 32) as u32, row_at(&pieces, *key));
        if piece.len() >= FRAME_ROWS || piece.bytes() >= FRAME_BYTES {
            let frame = aside.put(&piece, at)?;
            at = frame.end();
            written.push(frame);
            piece.clear();
        }
    }
    if !piece.is_empty() {
        written.push(aside.put(&piece, at)?);
    }
    Ok(Sorted::Aside(written))
}
