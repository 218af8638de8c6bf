//! Commit: the release and every subject's charge, in one atomic durable step.

use obscura_model::ids::UnixMillis;
use obscura_privacy::{CommitParts, Noised, Permit};

use super::failure::open_intent;
use super::{Inner, Ledger};
use crate::error::Error;
use crate::journal::merkle::Head;
use crate::record::Record;
use crate::state::Charges;
use crate::views::{Committed, OpenIntent};

/// What a release body says about its place in the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitContext {
    /// The index that its record will have.
    pub index: u64,
    /// The head before it.
    pub head_before: Head,
    /// The time that its record will carry.
    pub time: UnixMillis,
    /// The intent that it fulfils.
    pub intent: OpenIntent,
    /// The labels that were found for a key that is not declared; empty otherwise.
    pub found: Vec<String>,
}

impl Ledger {
    /// Makes a release durable together with all its charges: one append, one sync, which may be
    /// those of other populations' releases too. `body` makes
    /// the bytes of the release from its place and its noisy values; they are stored as they are.
    ///
    /// # Errors
    /// If the intent is not open or a charge does not fit it (then nothing was released, and the
    /// intent is still open: see [`Ledger::failed`]), or the storage fails.
    pub fn commit(
        &self,
        noised: Noised,
        now: UnixMillis,
        body: impl FnOnce(&CommitContext, Vec<Vec<i64>>) -> Vec<u8>,
    ) -> Result<Committed, Error> {
        let CommitParts {
            permit,
            values,
            found,
            charges,
        } = noised.into_commit();
        self.share(|inner| {
            let codes = inner.codes(&permit, &charges)?;
            let intent = permit.intent();
            let entry = inner.state.intents.get(&intent).ok_or(Error::Commit)?;
            let context = CommitContext {
                index: inner.journal.size(),
                head_before: inner.journal.head(),
                time: inner.time(now),
                intent: open_intent(intent, entry),
                found,
            };
            let key = entry.intent.key;
            let body = body(&context, values);
            let record = Record::ReleaseCommitted {
                intent,
                body: body.clone(),
                codes,
            };
            // This ends the only open release: the moment that a mark waits for.
            let mark = inner.prepared.filter(|_| inner.state.intents.len() == 1);
            let records = [record].into_iter().chain(mark.map(Record::Compacted));
            let index = inner.record(now, records.collect())?;
            if mark.is_some() {
                inner.prepared = None;
            }
            inner.running.remove(&intent);
            Ok(Committed::new(index, context.time, key, body))
        })
    }
}

impl Inner {
    /// One code for each subject index, after checking once more, from the very numbers that are
    /// stored, that no subject leaves any limit under which the release was admitted, and that
    /// nobody who is barred is charged.
    fn codes(&self, permit: &Permit, charges: &[(u32, u16)]) -> Result<Vec<u16>, Error> {
        let entry = self
            .state
            .intents
            .get(&permit.intent())
            .ok_or(Error::Commit)?;
        let population = self.state.populations.get(&entry.intent.population);
        let capacity = population.ok_or(Error::Commit)?.capacity;
        if entry.intent.price != permit.price() || !self.running.contains(&permit.intent()) {
            return Err(Error::Commit);
        }
        let mut codes = vec![0u16; capacity as usize];
        let barred = self.state.barred(&entry.intent).ok_or(Error::Commit)?;
        for (subject, code) in charges {
            let index = *subject as usize;
            let slot = codes.get_mut(index).ok_or(Error::Commit)?;
            let barred = *barred.get(index).ok_or(Error::Commit)?;
            if std::mem::replace(slot, *code) != 0 || (barred && *code != 0) {
                return Err(Error::Commit);
            }
        }
        let charges = Charges::of(entry.intent.price, &codes).map_err(|_| Error::Commit)?;
        let fits = entry.intent.accounts.iter().all(|account| {
            let exposures = self
                .state
                .accounts
                .get(&account.account)
                .map(|e| &e.exposures);
            exposures.is_some_and(|exposures| charges.fit(exposures, account.limit))
        });
        if fits { Ok(codes) } else { Err(Error::Commit) }
    }
}
