//! What is durable and must not be seen yet.
//!
//! A release is committed somewhere inside its slot, and when exactly depends on private rows: on
//! how long fold and noise took. Until the slot's end nothing may show that it is there, neither
//! the same request sent again nor a count of releases made.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use obscura_ledger::{RequestKey, StudyView};
use obscura_model::ids::{ReleaseName, StudyId, UnixMillis};
use obscura_model::study::StudyState;

/// The releases under way.
#[derive(Debug, Clone, Default)]
pub struct Veil(Arc<Mutex<BTreeMap<RequestKey, Hidden>>>);

/// What a release that is under way must not change yet.
#[derive(Debug)]
pub struct Hidden {
    /// The request that it answers.
    pub key: RequestKey,
    /// The study that it is made for, if it is one's.
    pub study: Option<Made>,
}

/// How often a release of a study had been made before.
#[derive(Debug)]
pub struct Made {
    /// The study.
    pub study: StudyId,
    /// Its release.
    pub release: ReleaseName,
    /// How often.
    pub committed: u32,
}

/// Hides one release until it is dropped.
#[derive(Debug)]
pub struct Drawn {
    veil: Veil,
    key: RequestKey,
}

/// An answer that lifts its veil with whoever takes it, at the slot's end.
#[derive(Debug)]
pub struct Veiled<A> {
    answer: A,
    _drawn: Option<Drawn>,
}

impl<A> Veiled<A> {
    /// An answer that hides nothing.
    pub fn open(answer: A) -> Self {
        Self {
            answer,
            _drawn: None,
        }
    }

    /// An answer that nobody may know of yet.
    pub fn until_taken(answer: A, drawn: Drawn) -> Self {
        Self {
            answer,
            _drawn: Some(drawn),
        }
    }

    /// The answer, for everybody to see from now on.
    pub fn take(self) -> A {
        self.answer
    }
}

impl Veil {
    /// Hides the release that is about to be made.
    pub fn draw(&self, hidden: Hidden) -> Drawn {
        let key = hidden.key;
        self.hidden().insert(key, hidden);
        Drawn {
            veil: self.clone(),
            key,
        }
    }

    /// Whether the answer to this request must not be seen yet.
    pub fn hides(&self, key: &RequestKey) -> bool {
        self.hidden().contains_key(key)
    }

    /// The study as it may be seen.
    pub fn over(&self, mut study: StudyView, now: UnixMillis) -> StudyView {
        let hidden = self.hidden();
        let made = hidden.values().filter_map(|h| h.study.as_ref());
        for made in made.filter(|made| made.study == study.id) {
            let mut runs = study.releases.iter_mut();
            if let Some(runs) = runs.find(|runs| runs.release.name == made.release) {
                runs.committed = runs.committed.min(made.committed);
            }
            // The last run of a study completes it.
            study.state = match study.state {
                StudyState::Completed if now > study.expires => StudyState::Expired,
                StudyState::Completed => StudyState::Approved,
                other => other,
            };
        }
        study
    }

    fn hidden(&self) -> MutexGuard<'_, BTreeMap<RequestKey, Hidden>> {
        // Nothing between lock and unlock can panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Drawn {
    fn drop(&mut self) {
        self.veil.hidden().remove(&self.key);
    }
}
