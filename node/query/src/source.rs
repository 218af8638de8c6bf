//! Stored rows of several tables, read together for ranges of subjects.
//!
//! Every table is stored in groups of whole subjects. The groups of all tables cut the subjects
//! into pieces; a piece has all rows of its subjects in every table, and pieces share no subject,
//! so that each can be folded on its own.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;

use crate::batch::Batch;
use crate::fold::FoldError;

/// The first and the last subject of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) first: u32,
    pub(crate) last: u32,
}

/// The columns that are read, by table.
pub(crate) type Needs = BTreeMap<usize, BTreeSet<usize>>;

/// Rows of some subjects, by table; a table without rows of theirs is absent.
pub(crate) type Chunk = BTreeMap<usize, Batch>;

/// What whoever reads keeps between two groups.
#[derive(Default)]
pub(crate) struct Desk {
    /// The open file of each table.
    pub(crate) files: BTreeMap<usize, File>,
    /// Bytes as they are stored.
    pub(crate) bytes: Vec<u8>,
}

/// Tables in groups of whole subjects, in subject order.
pub(crate) trait Source: Sync {
    /// The subjects of each group of a table, ascending.
    fn spans(&self, table: usize) -> Vec<Span>;

    /// The columns of one group.
    fn load(
        &self,
        table: usize,
        group: usize,
        columns: &BTreeSet<usize>,
        desk: &mut Desk,
    ) -> Result<Batch, FoldError>;
}

/// The first subject of each piece, ascending: wherever a group of any table begins, so that a
/// piece needs at most one group of each.
pub(crate) fn cuts(source: &impl Source, needs: &Needs) -> Vec<u32> {
    let spans = needs.keys().flat_map(|table| source.spans(*table));
    let cuts: BTreeSet<u32> = spans.map(|span| span.first).collect();
    cuts.into_iter().collect()
}

/// The subjects that have rows in any table of a chunk, ascending.
pub(crate) fn subjects(chunk: &Chunk) -> Vec<u32> {
    let mut all: Vec<u32> = Vec::new();
    for batch in chunk.values() {
        // Each table's subjects ascend: little is to sort.
        all.extend(batch.runs.subjects());
    }
    all.sort();
    all.dedup();
    all
}

/// Reads pieces in ascending order.
pub(crate) struct Reader<'a, S> {
    source: &'a S,
    cursors: Vec<Cursor<'a>>,
    desk: Desk,
}

struct Cursor<'a> {
    table: usize,
    columns: &'a BTreeSet<usize>,
    spans: Vec<Span>,
    next: usize,
    held: Option<(Batch, usize)>,
}

impl<'a, S: Source> Reader<'a, S> {
    pub(crate) fn new(source: &'a S, needs: &'a Needs) -> Self {
        let cursor = |(table, columns): (&usize, &'a BTreeSet<usize>)| Cursor {
            table: *table,
            columns,
            spans: source.spans(*table),
            next: 0,
            held: None,
        };
        Self {
            source,
            cursors: needs.iter().map(cursor).collect(),
            desk: Desk::default(),
        }
    }

    /// All rows of the subjects from `from` up to, and without, `end`.
    pub(crate) fn piece(&mut self, from: u64, end: u64) -> Result<Piece, FoldError> {
        let mut rows = Vec::with_capacity(self.cursors.len());
        for cursor in &mut self.cursors {
            if let Some(batch) = cursor.until(self.source, from, end, &mut self.desk)? {
                rows.push((cursor.table, batch, 0));
            }
        }
        Ok(Piece { rows })
    }
}

impl Cursor<'_> {
    fn until(
        &mut self,
        source: &impl Source,
        from: u64,
        end: u64,
        desk: &mut Desk,
    ) -> Result<Option<Batch>, FoldError> {
        let mut parts = Vec::new();
        loop {
            if let Some((batch, at)) = &mut self.held {
                let (start, stop) = (batch.runs.before(from).max(*at), batch.runs.before(end));
                if start < stop {
                    parts.push(batch.slice(start, stop - start));
                }
                *at = stop;
                if stop < batch.len() {
                    break;
                }
                self.held = None;
            }
            while self
                .spans
                .get(self.next)
                .is_some_and(|s| u64::from(s.last) < from)
            {
                self.next += 1;
            }
            match self.spans.get(self.next) {
                Some(span) if u64::from(span.first) < end => {
                    let batch = source.load(self.table, self.next, self.columns, desk)?;
                    self.held = Some((batch, 0));
                    self.next += 1;
                }
                _ => break,
            }
        }
        match parts.is_empty() {
            true => Ok(None),
            false => Ok(Some(Batch::concatenated(&parts)?)),
        }
    }
}

/// The rows of some subjects, handed out in chunks of whole subjects.
pub(crate) struct Piece {
    /// Table, rows, and how many of them have been handed out.
    rows: Vec<(usize, Batch, usize)>,
}

impl Piece {
    /// The next subjects: about `most` rows of each table, and at least one subject.
    pub(crate) fn chunk(&mut self, most: usize) -> Option<Chunk> {
        let ahead =
            |(_, batch, at): &(usize, Batch, usize), rows: usize| batch.runs.subject_at(at + rows);
        let first = self.rows.iter().filter_map(|r| ahead(r, 0)).min()?;
        let stop = self.rows.iter().filter_map(|r| ahead(r, most.max(1))).min();
        // Without a stop the rest fits; a subject with many rows is whole all the same.
        let stop = stop.map(|stop| u64::from(stop).max(u64::from(first) + 1));
        let mut chunk = Chunk::new();
        for (table, batch, at) in &mut self.rows {
            let end = stop.map_or(batch.len(), |stop| batch.runs.before(stop));
            if end > *at {
                chunk.insert(*table, batch.slice(*at, end - *at));
            }
            *at = end;
        }
        Some(chunk)
    }
}
