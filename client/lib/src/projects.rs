//! Projects: the people who work on a question together, at one institution.

use obscura_model::exposure::{Delta, Rho};
use obscura_model::ids::{KeyId, ProjectName};

use crate::catalogue::Share;

/// A project at one institution. Who only asked to join it sees nobody else, and no numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// Its name, the same at every institution.
    pub name: ProjectName,
    /// Who is in it, or asked to be.
    pub members: Vec<Member>,
    /// Its share: what all its releases together may add, and did, in rho.
    pub share: Share,
}

/// Somebody in a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub key: KeyId,
    /// The name under which the owner enrolled them.
    pub name: String,
    /// False: asked to join, and the owner has not confirmed it.
    pub confirmed: bool,
}

/// A project's share to be set. Not a privacy guarantee by itself.
#[derive(Debug, Clone, PartialEq)]
pub struct ProjectLimit {
    /// Which project.
    pub project: ProjectName,
    /// With `delta`: converted to rho, rounding down.
    pub epsilon: f64,
    /// See `epsilon`.
    pub delta: Delta,
    /// Why.
    pub reason: String,
}

impl Project {
    /// What the limit leaves open; nothing without a limit.
    #[must_use]
    pub fn open(&self) -> Option<Rho> {
        Some(self.share.limit?.saturating_sub(self.share.used))
    }
}
