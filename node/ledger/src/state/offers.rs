//! Releases by their records, and the requests that they answer beside their own.

use obscura_model::ids::Digest;

use super::apply::Applied;
use super::{InvalidHistory, Outcome, RequestEntry, State};
use crate::record::RequestKey;

/// A committed release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReleaseEntry {
    /// The request that it was made for.
    pub(crate) key: RequestKey,
    /// How many other requests it answers.
    pub(crate) offers: u32,
}

impl State {
    /// How many requests beside its own the release with this record answers.
    pub(crate) fn offers(&self, release: u64) -> u32 {
        self.releases.get(&release).map_or(0, |entry| entry.offers)
    }

    /// The request for which the release that answers this one was made, and the release's
    /// record, if it is answered.
    pub(crate) fn answered_by(&self, key: &RequestKey) -> Option<(RequestKey, u64)> {
        match self.requests.get(key)?.outcome {
            Outcome::Committed(index) => Some((*key, index)),
            Outcome::Earlier(index) => Some((self.releases.get(&index)?.key, index)),
            Outcome::Open | Outcome::Poisoned => None,
        }
    }

    pub(super) fn answered_earlier(
        &mut self,
        key: RequestKey,
        body_digest: Digest,
        release: u64,
    ) -> Applied {
        let unknown = InvalidHistory::Unknown("a release of this person");
        let entry = self.releases.get_mut(&release).ok_or(unknown)?;
        if entry.key.person != key.person {
            return Err(unknown);
        }
        entry.offers = entry.offers.saturating_add(1);
        let request = RequestEntry {
            body_digest,
            outcome: Outcome::Earlier(release),
        };
        match self.requests.insert(key, request) {
            Some(_) => Err(InvalidHistory::Twice("a request")),
            None => Ok(()),
        }
    }
}
