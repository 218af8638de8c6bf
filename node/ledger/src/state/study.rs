//! A study's way from submission to its last release.

use obscura_model::exposure::Rho;
use obscura_model::ids::{PopulationName, ReleaseName, UnixMillis};

use crate::record::{Decision, NewStudy};
use crate::views::StudyState;

/// What was last decided about a study.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Submitted,
    ChangesRequested,
    Approved,
    Declined,
    Withdrawn,
    Suspended,
    Revoked,
}

impl Stage {
    /// The stage after an owner's decision; nothing if it cannot be decided so from here.
    pub(crate) fn decided(self, decision: Decision) -> Option<Stage> {
        use Stage::{Approved, ChangesRequested, Declined, Revoked, Submitted, Suspended};
        match (self, decision) {
            (Submitted | ChangesRequested | Suspended, Decision::Approve) => Some(Approved),
            (Submitted | ChangesRequested, Decision::Decline) => Some(Declined),
            (Submitted, Decision::AskForChanges) => Some(ChangesRequested),
            (Approved | Suspended, Decision::Revoke) => Some(Revoked),
            (Approved, Decision::Suspend) => Some(Suspended),
            _ => None,
        }
    }

    /// Whether its scientist can still withdraw it.
    pub(crate) fn can_withdraw(self) -> bool {
        use Stage::{Approved, ChangesRequested, Submitted, Suspended};
        matches!(self, Submitted | ChangesRequested | Approved | Suspended)
    }
}

/// How often a release of a study ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Runs {
    /// Intents, also failed ones.
    pub(crate) begun: u32,
    pub(crate) committed: u32,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StudyEntry {
    pub(crate) study: NewStudy,
    pub(crate) index: u64,
    pub(crate) submitted: UnixMillis,
    pub(crate) population: PopulationName,
    pub(crate) stage: Stage,
    pub(crate) decided: Option<UnixMillis>,
    /// The last decision and its record.
    pub(crate) decision: Option<(u64, Decision)>,
    pub(crate) reason: String,
    pub(crate) decision_evidence: Vec<u8>,
    /// In the order of the study's releases.
    pub(crate) runs: Vec<Runs>,
    /// What its approval holds of the accounts for runs not yet made: at most what was free when
    /// it was approved, so that approvals together never hold more than the limits leave.
    pub(crate) held: Rho,
}

impl StudyEntry {
    pub(crate) fn release(&self, name: &ReleaseName) -> Option<usize> {
        self.study
            .releases
            .iter()
            .position(|release| release.name == *name)
    }

    /// The price of all runs not yet begun; the largest number if that leaves its range.
    pub(crate) fn outstanding(&self) -> Rho {
        let runs = self.study.releases.iter().zip(&self.runs);
        runs.fold(Rho::ZERO, |sum, (release, runs)| {
            let left = u64::from(release.times.saturating_sub(runs.begun));
            let price = release.price.checked_mul(left);
            price
                .and_then(|price| sum.checked_add(price))
                .unwrap_or(Rho::from_nano(u64::MAX))
        })
    }

    /// What it holds at `now`: nothing unless it is approved and not expired.
    pub(crate) fn reserved(&self, now: UnixMillis) -> Rho {
        if self.stage == Stage::Approved && now <= self.study.expires {
            self.held.min(self.outstanding())
        } else {
            Rho::ZERO
        }
    }

    /// The state that people see at `now`. Expiry follows from the time; there is no timer.
    pub(crate) fn state(&self, now: UnixMillis) -> StudyState {
        let expired = now > self.study.expires;
        let complete = || {
            let mut runs = self.study.releases.iter().zip(&self.runs);
            runs.all(|(release, runs)| runs.committed >= release.times)
        };
        match self.stage {
            Stage::Approved if complete() => StudyState::Completed,
            Stage::Submitted | Stage::ChangesRequested | Stage::Approved if expired => {
                StudyState::Expired
            }
            Stage::Submitted => StudyState::Submitted,
            Stage::ChangesRequested => StudyState::ChangesRequested,
            Stage::Approved => StudyState::Approved,
            Stage::Declined => StudyState::Declined,
            Stage::Withdrawn => StudyState::Withdrawn,
            Stage::Suspended => StudyState::Suspended,
            Stage::Revoked => StudyState::Revoked,
        }
    }
}
