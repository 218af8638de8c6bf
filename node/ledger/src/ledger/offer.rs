//! Offers: who asks a question that was answered to them before gets that answer, for ever.
//!
//! That a request was answered so is a record of its own, durable before the answer leaves. From
//! then on its id is used like any other: the same request gets the same earlier release,
//! whatever became of the data since, and another body under it is a conflict. The record exists
//! or not by public facts and by the requester's own history alone, and no exposure has it.

use obscura_model::ids::{Digest, UnixMillis};

use super::Ledger;
use crate::error::{Error, Refusal};
use crate::record::{DatasetVersion, Record, RequestKey};
use crate::state::Outcome;
use crate::views::Committed;

/// How many request ids one release may answer beside its own. An offer adds nothing to exposure,
/// so this is what keeps the journal in proportion to what was paid for.
pub const MOST_OFFERS: u32 = 1_000;

/// A question under a new request id, whose person may have its answer already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OfferRequest {
    /// Who asks, under which id.
    pub key: RequestKey,
    /// The digest of the request without its envelope.
    pub body_digest: Digest,
    /// The digest of the canonical plan.
    pub plan: Digest,
    /// The dataset version that it would read.
    pub dataset: DatasetVersion,
}

impl Ledger {
    /// Answers a request by the newest release of the same plan on the same version of a dataset
    /// to the same person, if there is one, and keeps that for ever. Nothing if there is none or
    /// the request id was used before.
    ///
    /// # Errors
    /// If the release answers [`MOST_OFFERS`] other requests already (nothing is written then),
    /// or the storage fails.
    pub fn offer(
        &self,
        request: OfferRequest,
        now: UnixMillis,
    ) -> Result<Option<Committed>, Error> {
        let OfferRequest {
            key,
            body_digest,
            plan,
            dataset,
        } = request;
        let found = self.share(|inner| {
            let state = &inner.state;
            if state.requests.contains_key(&key) {
                return Ok(None);
            }
            let Some(earlier) = state.earlier.get(&(key.person, plan, dataset)).copied() else {
                return Ok(None);
            };
            let Some(Outcome::Committed(release)) = state.requests.get(&earlier).map(|r| r.outcome)
            else {
                return Ok(None);
            };
            if state.offers(release) >= MOST_OFFERS {
                return Err(Refusal::OfferedOften.into());
            }
            let answered = Record::AnsweredEarlier {
                key,
                body_digest,
                release,
            };
            inner.record(now, vec![answered])?;
            Ok(Some((earlier, release)))
        })?;
        let answer = |(earlier, release)| self.answer(&earlier, release);
        found.map(answer).transpose()
    }

    /// The digest of the body with which a request id was used, if it was: for ever that one.
    /// Nothing once the ledger has stopped, because then the state may have what no record has.
    #[must_use]
    pub fn asked(&self, key: &RequestKey) -> Option<Digest> {
        let inner = self.lock().ok()?;
        inner.state.requests.get(key).map(|entry| entry.body_digest)
    }
}
