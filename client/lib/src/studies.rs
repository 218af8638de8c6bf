//! Where a study is at one institution.

use obscura_model::exposure::Rho;
use obscura_model::ids::{DatasetName, Digest, ProjectName, ReleaseName, StudyId, UnixMillis};
use obscura_model::study::StudyState;

/// A study at one institution. Public to the members of its project and the owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StudyStatus {
    /// The study.
    pub id: StudyId,
    /// SHA-256 of its document.
    pub digest: Digest,
    /// Its title.
    pub title: String,
    /// Where it is.
    pub state: StudyState,
    /// The reason of a decision, or why it was suspended; may be empty.
    pub reason: String,
    /// Its releases.
    pub releases: Vec<ReleaseStatus>,
    /// Until when it may run.
    pub expires: UnixMillis,
    /// When the state last changed.
    pub changed: UnixMillis,
    /// The dataset.
    pub dataset: DatasetName,
    /// Its version when the study was submitted or approved.
    pub dataset_version: u32,
    /// The name of the scientist who submitted it.
    pub scientist: String,
    /// The project whose members may run it.
    pub project: ProjectName,
}

/// One release of a study at one institution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseStatus {
    /// Its name.
    pub name: ReleaseName,
    /// What one run adds to exposure.
    pub price: Rho,
    /// How often it may run.
    pub times: u32,
    /// How often it has.
    pub runs: u32,
}

impl StudyStatus {
    /// Whether the owner (or the scientist, or time) has settled it: nothing to wait for.
    #[must_use]
    pub fn is_decided(&self) -> bool {
        match self.state {
            StudyState::Submitted => false,
            StudyState::ChangesRequested
            | StudyState::Approved
            | StudyState::Declined
            | StudyState::Withdrawn
            | StudyState::Expired
            | StudyState::Suspended
            | StudyState::Revoked
            | StudyState::Completed => true,
        }
    }
}
