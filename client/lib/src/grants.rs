//! Standing grants: what an owner allows a scientist without a study.

use obscura_model::exposure::{Delta, DeltaCharge, Rho};
use obscura_model::ids::{DatasetName, GrantId, KeyId, ProjectName, UnixMillis};

/// A standing grant at one institution: public numbers only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Its id.
    pub id: GrantId,
    /// The project whose share its releases count towards.
    pub project: ProjectName,
    /// Whom it names.
    pub scientist: KeyId,
    /// Under which name they are enrolled.
    pub scientist_name: String,
    /// The dataset.
    pub dataset: DatasetName,
    /// The columns that questions may read.
    pub columns: Vec<String>,
    /// The most that all releases under it add together.
    pub most: Rho,
    /// What they added so far, failed ones included.
    pub taken: Rho,
    /// The most that they take of delta for keys that are not declared; nothing: no question may
    /// have such keys.
    pub keys: DeltaCharge,
    /// What they took of it, failed ones included.
    pub keys_taken: DeltaCharge,
    /// The most releases.
    pub releases: u32,
    /// How many were begun.
    pub begun: u32,
    /// Until when.
    pub expires: UnixMillis,
    /// Why it was given.
    pub reason: String,
    /// Where it stands.
    pub state: GrantState,
}

/// Where a grant stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrantState {
    /// Questions are answered at once.
    InForce,
    /// Its releases or its total are used up.
    Used,
    /// Its date has passed.
    Expired,
    /// Taken back by the owner.
    Revoked,
    /// Stopped by the node, because a release failed twice.
    Suspended,
}

impl GrantState {
    /// The state in words for people.
    #[must_use]
    pub const fn in_words(self) -> &'static str {
        match self {
            GrantState::InForce => "in force",
            GrantState::Used => "used up",
            GrantState::Expired => "expired",
            GrantState::Revoked => "revoked",
            GrantState::Suspended => "suspended",
        }
    }
}

impl Grant {
    /// What it still allows: releases, and rho all together; nothing unless it is in force.
    #[must_use]
    pub fn allows(&self) -> (u32, Rho) {
        if self.state != GrantState::InForce {
            return (0, Rho::ZERO);
        }
        (
            self.releases.saturating_sub(self.begun),
            self.most.saturating_sub(self.taken),
        )
    }
}

/// A grant to be given.
#[derive(Debug, Clone, PartialEq)]
pub struct NewGrant {
    /// Chosen by the owner: the same grant again changes nothing.
    pub id: GrantId,
    /// The project whose share its releases count towards.
    pub project: ProjectName,
    /// To whom.
    pub scientist: KeyId,
    /// The dataset.
    pub dataset: DatasetName,
    /// The columns that questions may read.
    pub columns: Vec<String>,
    /// The total, at the delta of the dataset's description: converted to rho, rounding down.
    pub epsilon: f64,
    /// What releases with keys that are not declared may take of delta altogether under it;
    /// nothing: no question may have such keys.
    pub delta_keys: Option<Delta>,
    /// The most releases: at least 1.
    pub releases: u32,
    /// The last day, `YYYY-MM-DD` (UTC).
    pub until: String,
    /// Why.
    pub reason: String,
}
