//! The stored order of a subject's rows, by keyed hash, and the blocks that they are written in.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::RawColumn;
use super::piece::Piece;
use super::row::Layout;
use super::run::{Runs, Sorted};
use super::spill::SpillError;

/// Rows that are handed on at once.
const BATCH_ROWS: usize = 1 << 13;
const BATCH_BYTES: usize = 1 << 20;
/// Batches, and blocks, that wait.
const WAITING: usize = 2;

/// A keyed hash: the first 16 bytes of HMAC-SHA256, its key taken in once.
#[derive(Clone)]
pub(super) struct Keyed(Hmac<Sha256>);

impl Keyed {
    #[allow(clippy::expect_used)]
    pub(super) fn new(secret: &[u8; 32], prefix: &[u8]) -> Self {
        // HMAC takes a key of any length, so this cannot fail.
        let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes any key");
        mac.update(prefix);
        Self(mac)
    }

    pub(super) fn of(&self, bytes: &[u8]) -> [u8; 16] {
        let mut mac = self.0.clone();
        mac.update(bytes);
        let bytes = mac.finalize().into_bytes();
        let mut first = [0u8; 16];
        first
            .iter_mut()
            .zip(bytes)
            .for_each(|(to, from)| *to = from);
        first
    }
}

/// Rows of whole subjects in stored order.
pub(crate) struct Block {
    /// Whose row each is.
    pub(crate) subjects: Vec<u32>,
    pub(crate) columns: Vec<RawColumn>,
}

/// One row of the subject at hand.
struct Entry {
    hash: [u8; 16],
    /// Its bytes in `Orderer::bytes`.
    start: usize,
    end: usize,
    /// Among the subject's equal rows.
    ordinal: u64,
}

/// Takes rows by subject and by their bytes, so that equal ones follow each other, and gives blocks.
pub(super) struct Orderer<'l> {
    layout: &'l Layout,
    rows: Keyed,
    /// Of one subject so many rows are kept.
    most: usize,
    /// A block is closed at the first end of a subject's rows from so many rows on.
    block_rows: usize,
    subject: u32,
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    /// So many entries have their hash.
    hashed: usize,
    last: (Vec<u8>, u64),
    content: Vec<u8>,
    block: Block,
}

impl<'l> Orderer<'l> {
    pub(super) fn new(layout: &'l Layout, rows: Keyed, most: usize, block_rows: usize) -> Self {
        Self {
            layout,
            rows,
            most,
            block_rows,
            subject: 0,
            bytes: Vec::new(),
            entries: Vec::new(),
            hashed: 0,
            last: (Vec::new(), 0),
            content: Vec::new(),
            block: empty(layout),
        }
    }

    /// Takes a row; gives a block if one is closed before it.
    pub(super) fn row(&mut self, subject: u32, row: &[u8]) -> Option<Block> {
        let mut closed = None;
        if self.entries.is_empty() || subject != self.subject {
            closed = self.subject_ends();
            self.subject = subject;
            self.last.1 = 0;
        } else if self.last.0 == row {
            self.last.1 += 1;
        } else {
            self.last.1 = 0;
        }
        if self.last.1 == 0 {
            self.last.0.clear();
            self.last.0.extend_from_slice(row);
        }
        let start = self.bytes.len();
        self.bytes.extend_from_slice(row);
        self.entries.push(Entry {
            hash: [0; 16],
            start,
            end: self.bytes.len(),
            ordinal: self.last.1,
        });
        // One subject may have any number of rows.
        if self.entries.len() >= 2 * self.most + BATCH_ROWS {
            self.drop_beyond();
        }
        closed
    }

    /// The rows that are not in a block yet.
    pub(super) fn end(mut self) -> Option<Block> {
        let closed = self.subject_ends();
        closed.or_else(|| (!self.block.subjects.is_empty()).then_some(self.block))
    }

    fn hash(&mut self) {
        for entry in self.entries.iter_mut().skip(self.hashed) {
            self.content.clear();
            let row = self.bytes.get(entry.start..entry.end).unwrap_or_default();
            self.layout.content(row, &mut self.content);
            self.content.extend_from_slice(&entry.ordinal.to_le_bytes());
            entry.hash = self.rows.of(&self.content);
        }
        self.hashed = self.entries.len();
    }

    /// Keeps the first rows only.
    fn drop_beyond(&mut self) {
        self.hash();
        if self.entries.len() > self.most {
            self.entries
                .select_nth_unstable_by_key(self.most, |e| e.hash);
            self.entries.truncate(self.most);
        }
        self.entries.sort_unstable_by_key(|e| e.start);
        let mut bytes = Vec::with_capacity(self.bytes.len() / 2);
        for entry in &mut self.entries {
            let start = bytes.len();
            bytes.extend_from_slice(self.bytes.get(entry.start..entry.end).unwrap_or_default());
            (entry.start, entry.end) = (start, bytes.len());
        }
        self.bytes = bytes;
        self.hashed = self.entries.len();
    }

    fn subject_ends(&mut self) -> Option<Block> {
        // The only row of a subject is the first, whatever its hash.
        if self.entries.len() > 1 {
            self.hash();
            self.entries.sort_unstable_by_key(|e| e.hash);
            self.entries.truncate(self.most);
        }
        for entry in &self.entries {
            let row = self.bytes.get(entry.start..entry.end).unwrap_or_default();
            self.layout.take(row, &mut self.block.columns);
            self.block.subjects.push(self.subject);
        }
        self.entries.clear();
        self.bytes.clear();
        self.hashed = 0;
        let full = self.block.subjects.len() >= self.block_rows;
        full.then(|| std::mem::replace(&mut self.block, empty(self.layout)))
    }
}

fn empty(layout: &Layout) -> Block {
    Block {
        subjects: Vec::new(),
        columns: layout.columns(),
    }
}

/// Merges runs, orders rows and hands out blocks, in a thread each.
pub(super) fn blocks<E: From<SpillError>>(
    runs: &Runs<Sorted>,
    orderer: Orderer<'_>,
    mut each: impl FnMut(Block) -> Result<(), E>,
) -> Result<(), E> {
    std::thread::scope(|scope| {
        let (rows, taken) = sync_channel(WAITING);
        let (blocks, closed) = sync_channel(WAITING);
        scope.spawn(move || merge(runs, &rows));
        scope.spawn(move || order(orderer, &taken, &blocks));
        for block in closed {
            each(block?)?;
        }
        Ok(())
    })
}

fn merge(runs: &Runs<Sorted>, rows: &SyncSender<Result<Piece, SpillError>>) {
    let mut batch = Piece::new(runs.fixed);
    let merged = runs.merged(|subject, row| {
        batch.push(subject, row);
        if batch.len() < BATCH_ROWS && batch.bytes() < BATCH_BYTES {
            return true;
        }
        let full = std::mem::replace(&mut batch, Piece::new(runs.fixed));
        rows.send(Ok(full)).is_ok()
    });
    // Whoever does not listen any more has failed and says why.
    let _ = rows.send(merged.map(|()| batch));
}

fn order(
    mut orderer: Orderer<'_>,
    taken: &Receiver<Result<Piece, SpillError>>,
    blocks: &SyncSender<Result<Block, SpillError>>,
) {
    for batch in taken {
        let batch = match batch {
            Ok(batch) => batch,
            Err(error) => {
                let _ = blocks.send(Err(error));
                return;
            }
        };
        for row in 0..batch.len() {
            let Some((subject, row)) = batch.at(row) else {
                continue;
            };
            if let Some(block) = orderer.row(subject, row)
                && blocks.send(Ok(block)).is_err()
            {
                return;
            }
        }
    }
    if let Some(block) = orderer.end() {
        let _ = blocks.send(Ok(block));
    }
}
