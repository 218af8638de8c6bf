//! The journal: append-only segments of checksummed, opaque records under a Merkle head.
//!
//! Durability contract. A record is acknowledged only after one write and one successful sync;
//! an append of several records is there as a whole or not at all. After any failed write or sync
//! the journal refuses every further call: what reached the disk is found out by opening it anew.
//! An append that begins a segment is written and synced with it, before the segment has its name.
//! The format is described in `docs/ledger-format.md`.

use std::any::Any;
use std::io;
use std::sync::Arc;

use obscura_model::ids::{KeyId, UnixMillis};

mod append;
mod compact;
mod error;
pub(crate) mod frame;
pub(crate) mod merkle;
mod scan;
pub(crate) mod segment;
mod staged;
pub(crate) mod storage;
mod stored;

pub(crate) use compact::{Compaction, Due, Marked, Rewritten, due, prepare, rewritten, sync_names};
pub use error::JournalError;
pub(crate) use error::failed;
use frame::Frame;
use merkle::{Hash, Head, Tree};
pub(crate) use scan::{Scan, scan, walk};
use segment::{HEADER, Header, TAIL, Tail, UNFINISHED, unfinished};
use storage::{Storage, StoredFile};
pub(crate) use stored::Stored;

/// Fresh secret random bytes, from the operating system's generator in a product.
pub type Entropy = Box<dyn FnMut(&mut [u8]) -> io::Result<()> + Send>;

/// The length of a segment unless one append needs more: 4 MiB.
pub(crate) const SEGMENT_BYTES: u64 = 4 << 20;

/// Where a record lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) segment: u32,
    pub(crate) offset: u64,
}

/// What one append did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Appended {
    /// The index of the first record; the others follow.
    pub(crate) first: u64,
    /// The time that the records carry.
    pub(crate) time: UnixMillis,
    /// Where each record lies.
    pub(crate) places: Vec<Place>,
}

pub(crate) struct Journal {
    storage: Arc<dyn Storage>,
    entropy: Entropy,
    segment_bytes: u64,
    segments: Vec<Header>,
    /// The last mark of a compaction among the records.
    mark: Option<Marked>,
    current: Arc<dyn StoredFile>,
    tail: Arc<dyn StoredFile>,
    /// Where the next frame goes in the last segment.
    offset: u64,
    tree: Tree,
    last_time: UnixMillis,
    stopped: bool,
    staged: staged::Staged,
    _lock: Box<dyn Any + Send + Sync>,
}

/// What opening did to the journal's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Cut {
    /// The bytes of an append that was never acknowledged.
    pub(crate) bytes: u64,
}

impl Journal {
    /// Makes a journal without records in a folder that has none.
    pub(crate) fn create(
        storage: Arc<dyn Storage>,
        id: KeyId,
        mut entropy: Entropy,
        segment_bytes: u64,
    ) -> Result<Self, JournalError> {
        let lock = lock(&*storage)?;
        if !remove_unfinished(&*storage)?.is_empty() {
            return Err(JournalError::Exists);
        }
        let mut salt = [0; 16];
        entropy(&mut salt).map_err(JournalError::Entropy)?;
        let before = Tree::default().head();
        let length = segment_bytes.max(HEADER as u64);
        let header = Header {
            journal: id,
            number: 1,
            before,
            length,
            salt,
            compacted: None,
        };
        let current = place_segment(&*storage, &header, &[])?;
        Self::start(
            storage,
            entropy,
            segment_bytes,
            vec![header],
            current,
            Tree::default(),
            lock,
        )
    }

    /// Opens, verifies every record, and secures what lies at the end: the surviving records of
    /// the last segment are copied to a new file that is synced before anything is served,
    /// because a page cache can show records that never reached the disk.
    pub(crate) fn open(
        storage: Arc<dyn Storage>,
        id: KeyId,
        entropy: Entropy,
        segment_bytes: u64,
    ) -> Result<(Self, Cut), JournalError> {
        let lock = lock(&*storage)?;
        remove_unfinished(&*storage)?;
        let Scan {
            segments,
            last,
            end,
            tree,
            last_time,
            mark,
        } = scan(&*storage, id)?;
        let kept = last.get(..end).unwrap_or_default();
        let cut = last
            .get(end..)
            .unwrap_or_default()
            .iter()
            .rposition(|b| *b != 0);
        let cut = Cut {
            bytes: cut.map_or(0, |at| at as u64 + 1),
        };
        let header = segments.last().ok_or(JournalError::Missing)?;
        let current = place_segment(&*storage, header, kept.get(HEADER..).unwrap_or_default())?;
        let mut journal = Self::start(
            storage,
            entropy,
            segment_bytes,
            segments,
            current,
            tree,
            lock,
        )?;
        journal.offset = end as u64;
        (journal.last_time, journal.mark) = (last_time, mark);
        journal.follow_tail()?;
        Ok((journal, cut))
    }

    fn start(
        storage: Arc<dyn Storage>,
        entropy: Entropy,
        segment_bytes: u64,
        segments: Vec<Header>,
        current: Arc<dyn StoredFile>,
        tree: Tree,
        lock: Box<dyn Any + Send + Sync>,
    ) -> Result<Self, JournalError> {
        let tail = storage
            .create(TAIL, Tail::LENGTH as u64)
            .map_err(failed("make its tail"))?;
        let (offset, last_time) = (HEADER as u64, UnixMillis(0));
        Ok(Self {
            storage,
            entropy,
            segment_bytes,
            segments,
            mark: None,
            current,
            tail,
            offset,
            tree,
            last_time,
            stopped: false,
            staged: staged::Staged::default(),
            _lock: lock,
        })
    }

    pub(crate) fn storage(&self) -> &Arc<dyn Storage> {
        &self.storage
    }

    pub(crate) fn segments(&self) -> &[Header] {
        &self.segments
    }

    pub(crate) fn head(&self) -> Head {
        self.tree.head()
    }

    pub(crate) fn head_at(&self, size: u64) -> Option<Head> {
        self.tree.head_at(size)
    }

    pub(crate) fn inclusion(&self, index: u64, size: u64) -> Option<Vec<Hash>> {
        self.tree.inclusion(index, size)
    }

    pub(crate) fn consistency(&self, first: u64, second: u64) -> Option<Vec<Hash>> {
        self.tree.consistency(first, second)
    }

    pub(crate) fn size(&self) -> u64 {
        self.tree.size()
    }

    pub(crate) fn last_time(&self) -> UnixMillis {
        self.last_time
    }

    pub(crate) fn entropy(&mut self, bytes: &mut [u8]) -> Result<(), JournalError> {
        (self.entropy)(bytes).map_err(JournalError::Entropy)
    }

    /// Whether an earlier failure stopped the journal.
    pub(crate) fn health(&self) -> Result<(), JournalError> {
        if self.stopped {
            Err(JournalError::Stopped)
        } else {
            Ok(())
        }
    }

    /// From now on every call fails.
    pub(crate) fn stop(&mut self) {
        self.stopped = true;
    }

    /// The time that a record appended now would carry: time never goes back in a journal.
    pub(crate) fn time(&self, now: UnixMillis) -> UnixMillis {
        now.max(self.last_time)
    }

    fn follow_tail(&mut self) -> Result<(), JournalError> {
        let segment = self.segments.last().map_or(0, |header| header.number);
        let tail = Tail {
            head: self.tree.head(),
            segment,
            offset: self.offset,
        };
        self.tail
            .write(0, &tail.encode())
            .map_err(failed("write its tail"))
    }

    /// A stored record, ready to be read without holding the journal.
    pub(crate) fn stored(&self, place: Place) -> Option<Stored> {
        let header = self
            .segments
            .iter()
            .find(|header| header.number == place.segment)?;
        Some(Stored {
            storage: Arc::clone(&self.storage),
            salt: header.salt,
            place,
        })
    }

    /// The leaf hash of record `index`.
    pub(crate) fn leaf(&self, index: u64) -> Option<Hash> {
        self.tree.leaf(index)
    }

    /// The last segment and the byte after its last record.
    pub(crate) fn end(&self) -> (u32, u64) {
        (
            self.segments.last().map_or(0, |header| header.number),
            self.offset,
        )
    }

    /// Visits the records from index `from` up to, and without, `to`, in order.
    pub(crate) fn walk<E: From<JournalError>>(
        &self,
        from: u64,
        to: u64,
        visit: &mut dyn FnMut(Place, Frame) -> Result<(), E>,
    ) -> Result<(), E> {
        scan::walk(
            &*self.storage,
            &self.segments,
            from..to.min(self.tree.size()),
            visit,
        )
    }
}

fn lock(storage: &dyn Storage) -> Result<Box<dyn Any + Send + Sync>, JournalError> {
    storage.lock().map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => JournalError::Locked,
        _ => failed("lock its folder")(error),
    })
}

/// Removes files that were never finished, and gives the names of the others.
fn remove_unfinished(storage: &dyn Storage) -> Result<Vec<String>, JournalError> {
    let names = storage.names().map_err(failed("list its files"))?;
    let (unfinished, names): (Vec<_>, Vec<_>) = names
        .into_iter()
        .partition(|name| name.ends_with(UNFINISHED));
    for name in unfinished {
        storage
            .remove(&name)
            .map_err(failed("remove an unfinished file"))?;
    }
    Ok(names)
}

/// Writes a whole segment under another name, syncs it, and only then gives it its name.
fn place_segment(
    storage: &dyn Storage,
    header: &Header,
    frames: &[u8],
) -> Result<Arc<dyn StoredFile>, JournalError> {
    let name = segment::name(header.number);
    let place = || -> io::Result<Arc<dyn StoredFile>> {
        let file = write_segment(storage, header, frames)?;
        storage.rename(&unfinished(&name), &name)?;
        storage.sync_folder()?;
        Ok(file)
    };
    place().map_err(failed("make a segment"))
}

/// Writes a whole segment under another name, and syncs it.
fn write_segment(
    storage: &dyn Storage,
    header: &Header,
    frames: &[u8],
) -> io::Result<Arc<dyn StoredFile>> {
    let name = unfinished(&segment::name(header.number));
    let file = storage.create(&name, header.length)?;
    file.write(0, &header.encode())?;
    if !frames.is_empty() {
        file.write(HEADER as u64, frames)?;
    }
    file.sync()?;
    Ok(file)
}
