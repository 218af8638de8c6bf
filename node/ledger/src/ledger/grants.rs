//! Standing grants: releases without a study, up to a total price, a number and a date.
//!
//! A grant reserves nothing. Its releases are priced, charged and bounded like any other.

use obscura_model::exposure::Rho;
use obscura_model::ids::{GrantId, UnixMillis};

use super::{Inner, Ledger};
use crate::error::{Error, Refusal};
use crate::record::{NewGrant, Record, Role};
use crate::state::GrantEntry;
use crate::views::{GrantState, GrantView};

impl Ledger {
    /// Gives a grant, for the owner. The first study or grant that names a project opens it, with
    /// its scientist as the first member. The same again changes nothing. Gives the record's
    /// index.
    ///
    /// # Errors
    /// If the scientist is not enrolled or no member of the project, the id belongs to another
    /// grant, there is no such dataset, the grant allows nothing, or the storage fails.
    pub fn give_grant(&self, grant: NewGrant, now: UnixMillis) -> Result<u64, Error> {
        let mut inner = self.lock()?;
        if let Some(entry) = inner.state.grants.get(&grant.id) {
            let same = same_terms(&entry.grant, &grant);
            return if same {
                Ok(entry.index)
            } else {
                Err(Refusal::GrantExists(grant.id).into())
            };
        }
        inner.may_give(&grant, inner.time(now))?;
        let opened = inner.open_project(&grant.project, grant.scientist)?;
        inner.record_after(now, opened, Record::GrantGiven(grant))
    }

    /// Takes a grant back, for the owner. What was released stays released. Revoking again changes
    /// nothing. Gives the record's index.
    ///
    /// # Errors
    /// If there is no such grant, or the storage fails.
    pub fn revoke_grant(
        &self,
        grant: GrantId,
        reason: String,
        evidence: Vec<u8>,
        now: UnixMillis,
    ) -> Result<u64, Error> {
        let mut inner = self.lock()?;
        let entry = inner.state.grants.get(&grant);
        let entry = entry.ok_or(Refusal::NoGrant(grant))?;
        if let Some((GrantState::Revoked, index, _)) = &entry.ended {
            return Ok(*index);
        }
        let record = Record::GrantRevoked {
            grant,
            reason,
            evidence,
        };
        inner.record(now, vec![record])
    }

    /// One grant as it stands now.
    #[must_use]
    pub fn grant(&self, id: GrantId, now: UnixMillis) -> Option<GrantView> {
        let inner = self.peek();
        let entry = inner.state.grants.get(&id)?;
        Some(show(entry, inner.time(now)))
    }

    /// All grants as they stand now, in the order in which they were given.
    #[must_use]
    pub fn grants(&self, now: UnixMillis) -> Vec<GrantView> {
        let inner = self.peek();
        let time = inner.time(now);
        let order = inner.state.grant_order.iter();
        order
            .filter_map(|id| inner.state.grants.get(id))
            .map(|entry| show(entry, time))
            .collect()
    }
}

impl Inner {
    fn may_give(&self, grant: &NewGrant, time: UnixMillis) -> Result<(), Refusal> {
        self.enrolled(&grant.scientist, Role::Scientist)?;
        if !self.state.datasets.contains_key(&grant.dataset) {
            return Err(Refusal::NoDataset);
        }
        let something = !grant.columns.is_empty() && grant.releases > 0 && grant.most > Rho::ZERO;
        if something && grant.expires >= time {
            Ok(())
        } else {
            Err(Refusal::GrantTerms)
        }
    }
}

/// Whether two grants say the same; who signed it when is another matter.
fn same_terms(known: &NewGrant, again: &NewGrant) -> bool {
    let unsigned = |grant: &NewGrant| NewGrant {
        evidence: Vec::new(),
        ..grant.clone()
    };
    unsigned(known) == unsigned(again)
}

fn show(entry: &GrantEntry, now: UnixMillis) -> GrantView {
    let NewGrant {
        id,
        project,
        scientist,
        dataset,
        columns,
        most,
        delta_keys,
        releases,
        expires,
        reason,
        evidence,
    } = entry.grant.clone();
    let ended = entry.ended.as_ref();
    GrantView {
        id,
        project,
        scientist,
        dataset,
        columns,
        most,
        delta_keys,
        releases,
        expires,
        reason,
        evidence,
        given: entry.given,
        taken: entry.taken,
        taken_keys: entry.taken_keys,
        begun: entry.begun,
        state: entry.state(now),
        ended: ended.map(|(.., why)| why.clone()).unwrap_or_default(),
    }
}
