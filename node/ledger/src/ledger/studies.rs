//! Studies: submitted by scientists, decided by owners.

use std::collections::BTreeSet;

use obscura_model::ids::{Digest, KeyId, StudyId, UnixMillis};

use super::{Inner, Ledger};
use crate::error::{Error, Refusal};
use crate::record::{Decision, NewStudy, Record, Role};
use crate::state::Stage;
use crate::views::StudyState;

impl Ledger {
    /// Submits a study. The same again changes nothing. The first study or grant that names a
    /// project opens it, with its scientist as the first member. Gives the index of its record.
    ///
    /// # Errors
    /// If the scientist is not enrolled or no member of the project, the id belongs to another study, there is no such
    /// dataset version, its releases make no sense, its end is over, or the storage fails.
    pub fn submit_study(&self, study: NewStudy, now: UnixMillis) -> Result<u64, Error> {
        let mut inner = self.lock()?;
        inner.enrolled(&study.scientist, Role::Scientist)?;
        if let Some(entry) = inner.state.studies.get(&study.id) {
            let known = &entry.study;
            return if (known.digest, known.scientist) == (study.digest, study.scientist) {
                Ok(entry.index)
            } else {
                Err(Refusal::StudyExists(study.id).into())
            };
        }
        inner.may_submit(&study, inner.time(now))?;
        let opened = inner.open_project(&study.project, study.scientist)?;
        inner.record_after(now, opened, Record::StudySubmitted(study))
    }

    /// Decides on a study; `digest` is what the owner looked at. The same decision again, with
    /// the same reason, changes nothing. Gives the index of the decision's record.
    ///
    /// # Errors
    /// If there is no such study, it is not what was looked at, its state does not allow the
    /// decision, or the storage fails.
    pub fn decide(
        &self,
        study: StudyId,
        digest: Digest,
        decision: Decision,
        reason: String,
        evidence: Vec<u8>,
        now: UnixMillis,
    ) -> Result<u64, Error> {
        let mut inner = self.lock()?;
        let entry = inner
            .state
            .studies
            .get(&study)
            .ok_or(Refusal::NoStudy(study))?;
        if entry.study.digest != digest {
            return Err(Refusal::StudyDiffers(study).into());
        }
        if let Some((index, last)) = entry.decision
            && last == decision
            && entry.reason == reason
            && entry.stage.decided(decision).is_none()
        {
            return Ok(index);
        }
        let state = entry.state(inner.time(now));
        if state == StudyState::Expired || entry.stage.decided(decision).is_none() {
            return Err(Refusal::StudyMoved { study, state }.into());
        }
        let record = Record::StudyDecided {
            study,
            digest,
            decision,
            reason,
            evidence,
        };
        inner.record(now, vec![record])
    }

    /// Withdraws a study of this person. Withdrawing again changes nothing. Gives the index of
    /// the record, or of the submission if it was withdrawn before.
    ///
    /// # Errors
    /// If there is no such study of this person, its state does not allow it, or the storage
    /// fails.
    pub fn withdraw(
        &self,
        study: StudyId,
        person: KeyId,
        evidence: Vec<u8>,
        now: UnixMillis,
    ) -> Result<u64, Error> {
        let mut inner = self.lock()?;
        let entry = inner
            .state
            .studies
            .get(&study)
            .filter(|e| e.study.scientist == person);
        let entry = entry.ok_or(Refusal::NoStudy(study))?;
        if entry.stage == Stage::Withdrawn {
            return Ok(entry.index);
        }
        if !entry.stage.can_withdraw() {
            let state = entry.state(inner.time(now));
            return Err(Refusal::StudyMoved { study, state }.into());
        }
        inner.record(now, vec![Record::StudyWithdrawn { study, evidence }])
    }
}

impl Inner {
    fn may_submit(&self, study: &NewStudy, time: UnixMillis) -> Result<(), Refusal> {
        let (dataset, _) = self
            .state
            .version(study.dataset)
            .ok_or(Refusal::NoDataset)?;
        if !self.state.usable(study.dataset) {
            return Err(Refusal::NeedsIngest(dataset.name.clone()));
        }
        let names: BTreeSet<_> = study.releases.iter().map(|release| &release.name).collect();
        let runs = study.releases.iter().all(|release| release.times >= 1);
        if names.is_empty() || names.len() != study.releases.len() || !runs {
            return Err(Refusal::StudyReleases);
        }
        if study.expires < time {
            Err(Refusal::StudyOver)
        } else {
            Ok(())
        }
    }
}
