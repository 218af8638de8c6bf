//! Beginning, opening and verifying a ledger.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};

use obscura_model::ids::{KeyId, UnixMillis};

use super::share::Shared;
use super::{Inner, Ledger};
use crate::base;
use crate::checkpoint::{self, Checkpoint};
use crate::error::Error;
use crate::index::Index;
use crate::journal::frame::Frame;
use crate::journal::merkle::Head;
use crate::journal::segment::Header;
use crate::journal::storage::{Folder, Storage};
use crate::journal::{self, Entropy, Journal, JournalError, Marked};
use crate::record::{self, Record};
use crate::state::{At, State};

/// Where a ledger lies.
pub(crate) struct Place {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) index: Option<PathBuf>,
    pub(crate) segment_bytes: u64,
    /// From how many bytes of old segments on the ledger compacts by itself.
    pub(crate) compact_from: u64,
}

impl Place {
    /// The journal and the index in their own folders.
    pub(crate) fn on_disk(dir: &Path) -> Result<Self, Error> {
        let storage = Folder::at(&Self::journal_path(dir)).map_err(Error::Folder)?;
        let index = Some(dir.join("index"));
        Ok(Self {
            storage: Arc::new(storage),
            index,
            segment_bytes: Self::SEGMENT,
            compact_from: Self::COMPACT_FROM,
        })
    }

    pub(crate) fn journal_path(dir: &Path) -> PathBuf {
        dir.join("journal")
    }
}

/// What a verification found to be in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    /// The head over all records.
    pub head: Head,
    /// The number of segment files.
    pub segments: usize,
    /// The time of the last record.
    pub last_time: UnixMillis,
}

/// Reads and checks everything: checksums, Merkle heads, acknowledgement, meaning.
pub(crate) fn verify(storage: &dyn Storage, journal: KeyId) -> Result<Verified, Error> {
    let scan = journal::scan(storage, journal)?;
    replay_to(storage, &scan.segments, scan.mark, scan.tree.size())?;
    Ok(Verified {
        head: scan.tree.head(),
        segments: scan.segments.len(),
        last_time: scan.last_time,
    })
}

impl Ledger {
    pub(crate) fn create_at(
        place: Place,
        id: KeyId,
        entropy: Entropy,
        now: UnixMillis,
    ) -> Result<Self, Error> {
        let journal = Journal::create(place.storage, id, entropy, place.segment_bytes)?;
        let (index, from) = (place.index, place.compact_from);
        Self::start(journal, State::default(), index, from, id, now)
    }

    pub(crate) fn open_at(
        place: Place,
        id: KeyId,
        entropy: Entropy,
        now: UnixMillis,
    ) -> Result<Self, Error> {
        let (journal, cut) = Journal::open(place.storage, id, entropy, place.segment_bytes)?;
        if cut.bytes > 0 {
            tracing::warn!(
                bytes = cut.bytes,
                "cut off an append that was never acknowledged"
            );
        }
        let state = replay(&journal)?;
        base::tidy(&**journal.storage(), journal.mark())?;
        Self::start(journal, state, place.index, place.compact_from, id, now)
    }

    fn start(
        journal: Journal,
        state: State,
        index: Option<PathBuf>,
        compact_from: u64,
        id: KeyId,
        now: UnixMillis,
    ) -> Result<Self, Error> {
        let mut inner = Inner {
            journal,
            state,
            index: Index::open(index),
            running: BTreeSet::new(),
            applying: false,
            compact_from,
            prepared: None,
            shared: Shared::default(),
        };
        if !inner.state.begun {
            let created = inner.time(now);
            inner.record(
                now,
                vec![Record::Genesis {
                    journal: id,
                    created,
                }],
            )?;
        }
        inner.catch_up()?;
        inner.count_stops(now)?;
        let coming = Arc::clone(&inner.shared.coming);
        Ok(Ledger {
            inner: Mutex::new(inner),
            upkeep: Mutex::new(()),
            flushed: Condvar::new(),
            coming,
        })
    }
}

/// The state of a verified journal, with the help of the last checkpoint if it fits.
fn replay(journal: &Journal) -> Result<State, Error> {
    let storage = &**journal.storage();
    // Looked at even where a checkpoint makes it needless: it is a part of the truth.
    let base = base::read(storage, journal.mark())?;
    let counted = base.as_ref().map_or(0, |base| base.head.size);
    // An older checkpoint says nothing: there may be no charges to go on from it with.
    let checkpoint = checkpoint::read(storage).filter(|found| found.head.size >= counted);
    if let Some(checkpoint) = checkpoint {
        if checkpoint.head.size > journal.size() {
            let damage = journal.missing("a checkpoint was made after it, and it is gone");
            return Err(damage.into());
        }
        if journal.head_at(checkpoint.head.size) == Some(checkpoint.head)
            && let Some(state) =
                replay_from(storage, journal.segments(), checkpoint, journal.size())?
        {
            return Ok(state);
        }
        tracing::warn!("a checkpoint does not fit the journal and is ignored");
    }
    replay_to(storage, journal.segments(), journal.mark(), journal.size())
}

/// The state after the first `size` records, from the journal alone: the exposure base, if there
/// is one, and the charges after it. `size` is not below the base's head.
pub(super) fn replay_to(
    storage: &dyn Storage,
    segments: &[Header],
    mark: Option<Marked>,
    size: u64,
) -> Result<State, Error> {
    let Some(base) = base::read(storage, mark)? else {
        let mut state = State::default();
        journal::walk::<Error>(storage, segments, 0..size, &mut |_, frame| {
            apply(&mut state, frame, true)
        })?;
        return Ok(state);
    };
    let head = base.head;
    match replay_from(storage, segments, base, size)? {
        Some(state) => Ok(state),
        None => Err(base::foreign(head, mark).into()),
    }
}

/// The state after the first `size` records, in which the charges up to the head of `counted` are
/// counted already. Nothing if it has other accounts than the journal has at its head.
fn replay_from(
    storage: &dyn Storage,
    segments: &[Header],
    mut counted: Checkpoint,
    size: u64,
) -> Result<Option<State>, Error> {
    let (mut state, middle) = (State::default(), counted.head.size);
    journal::walk::<Error>(storage, segments, 0..middle, &mut |_, frame| {
        apply(&mut state, frame, false)
    })?;
    for (account, entry) in &mut state.accounts {
        match counted.exposures.remove(account) {
            Some(array) if array.len() == entry.exposures.len() => {
                entry.exposures = Arc::new(array)
            }
            _ => return Ok(None),
        }
    }
    if !counted.exposures.is_empty() {
        return Ok(None);
    }
    journal::walk::<Error>(storage, segments, middle..size, &mut |_, frame| {
        apply(&mut state, frame, true)
    })?;
    Ok(Some(state))
}

pub(super) fn apply(state: &mut State, frame: Frame, charge: bool) -> Result<(), Error> {
    let at = At {
        index: frame.index,
        time: frame.time,
        charge,
    };
    let record = decode(&frame)?;
    state.apply(record, at).map_err(|source| Error::History {
        index: at.index,
        source,
    })
}

pub(super) fn decode(frame: &Frame) -> Result<Record, Error> {
    let index = frame.index;
    record::decode(&frame.entry).map_err(|source| Error::Record { index, source })
}

impl Journal {
    /// The record after the last, as damage.
    fn missing(&self, what: &'static str) -> JournalError {
        let (segment, offset) = self.end();
        JournalError::Damage {
            segment,
            index: self.size(),
            offset,
            what,
        }
    }
}
