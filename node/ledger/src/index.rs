//! sled as an index of the journal: where records lie, and which record answers which request.
//!
//! Nothing here is believed. What a look-up gives is checked against the journal and the state;
//! what is missing, behind, wrong or broken is made again from the journal. Deleting the folder
//! between any two requests changes no answer. This is the only file that knows sled.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use crate::codec::{Reader, Writer};
use crate::journal::Place;
use crate::journal::merkle::Head;
use crate::record::RequestKey;

/// The memory that sled may use for pages.
const CACHE_BYTES: u64 = 4 << 20;
const APPLIED: &[u8] = b"applied";

/// One record's entry.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line {
    pub(crate) index: u64,
    pub(crate) place: Place,
    /// The request that the record answers, if it is a release.
    pub(crate) answers: Option<RequestKey>,
}

#[derive(Debug)]
struct Trees {
    db: sled::Db,
    places: sled::Tree,
    answers: sled::Tree,
}

/// The index, or the place where one could be.
#[derive(Debug)]
pub(crate) struct Index {
    path: Option<PathBuf>,
    trees: Option<Trees>,
}

impl Index {
    /// Opens the index at `path`, whatever state it is in; without a path there is none, and
    /// every look-up walks the journal.
    pub(crate) fn open(path: Option<PathBuf>) -> Self {
        let trees = path.as_deref().and_then(open_trees);
        Self { path, trees }
    }

    /// Removes the index and begins an empty one.
    pub(crate) fn restart(&mut self) {
        self.trees = None;
        if let Some(path) = &self.path {
            let _ = std::fs::remove_dir_all(path);
            self.trees = open_trees(path);
        }
    }

    /// Whether there is a place to keep an index but none that works.
    pub(crate) fn is_broken(&self) -> bool {
        self.path.is_some() && self.trees.is_none()
    }

    /// The head up to which records are in the index.
    pub(crate) fn applied(&self) -> Option<Head> {
        let bytes = self.trees.as_ref()?.db.get(APPLIED).ok()??;
        let mut reader = Reader::new(&bytes);
        Some(Head {
            size: reader.get().ok()?,
            root: reader.get().ok()?,
        })
    }

    /// Notes records, and then the head that they lead to. A failure leaves no index.
    pub(crate) fn note(&mut self, lines: &[Line], head: Head) {
        let noted = self.trees.as_ref().map(|trees| trees.note(lines, head));
        if let Some(Err(error)) = noted {
            tracing::warn!(%error, "the ledger's index failed and is made again");
            self.trees = None;
        }
    }

    /// Where record `index` should lie.
    pub(crate) fn place(&self, index: u64) -> Option<Place> {
        let bytes = self
            .trees
            .as_ref()?
            .places
            .get(index.to_be_bytes())
            .ok()??;
        let mut reader = Reader::new(&bytes);
        Some(Place {
            segment: reader.get().ok()?,
            offset: reader.get().ok()?,
        })
    }

    /// Which record should answer a request.
    pub(crate) fn answer(&self, key: &RequestKey) -> Option<u64> {
        let bytes = self.trees.as_ref()?.answers.get(key_bytes(key)).ok()??;
        Reader::new(&bytes).get().ok()
    }
}

impl Trees {
    fn note(&self, lines: &[Line], head: Head) -> sled::Result<()> {
        let (mut places, mut answers) = (sled::Batch::default(), sled::Batch::default());
        for line in lines {
            let mut writer = Writer::new();
            writer.put(&line.place.segment).put(&line.place.offset);
            places.insert(&line.index.to_be_bytes(), writer.into_bytes());
            if let Some(key) = &line.answers {
                answers.insert(key_bytes(key), &line.index.to_le_bytes());
            }
        }
        self.places.apply_batch(places)?;
        self.answers.apply_batch(answers)?;
        let mut writer = Writer::new();
        writer.put(&head.size).put(&head.root);
        self.db.insert(APPLIED, writer.into_bytes()).map(|_| ())
    }
}

fn key_bytes(key: &RequestKey) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.put(key);
    writer.into_bytes()
}

/// sled meets damaged files with errors or with panics; both mean that there is no index.
fn open_trees(path: &Path) -> Option<Trees> {
    let open = || -> sled::Result<Trees> {
        let config = sled::Config::new().path(path).cache_capacity(CACHE_BYTES);
        let db = config.flush_every_ms(None).open()?;
        let (places, answers) = (db.open_tree("places")?, db.open_tree("answers")?);
        Ok(Trees {
            db,
            places,
            answers,
        })
    };
    match catch_unwind(AssertUnwindSafe(open)) {
        Ok(Ok(trees)) => Some(trees),
        Ok(Err(error)) => {
            tracing::warn!(%error, "the ledger's index cannot be opened and is made again");
            None
        }
        Err(_) => None,
    }
}

/// Makes every record's place that of the first, through sled itself, so that nothing looks
/// damaged. Does nothing while the folder is in use.
#[cfg(test)]
pub(crate) fn scramble(path: &Path) {
    let Ok(db) = sled::open(path) else { return };
    let places = db.open_tree("places").unwrap();
    let entries: Vec<_> = places.iter().map(Result::unwrap).collect();
    for (key, _) in &entries {
        places.insert(key, &entries[0].1).unwrap();
    }
}
