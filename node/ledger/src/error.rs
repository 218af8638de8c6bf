//! Why the ledger did not do something.

use std::io;

use obscura_model::exposure::Rho;
use obscura_model::ids::{DatasetName, KeyId, PopulationName, ReleaseName, StudyId};
use obscura_privacy::InvalidPermit;
use obscura_privacy::admission;

use crate::codec::InvalidBytes;
use crate::journal::JournalError;
use crate::state::InvalidHistory;
use crate::views::StudyState;

/// Why the ledger did not do something.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The journal does not serve. After a failed write every later call ends here.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A verified record has no meaning for this program; a newer one may know it.
    #[error("record {index} of the ledger cannot be read by this program")]
    Record {
        /// The record's index.
        index: u64,
        /// Why not.
        #[source]
        source: InvalidBytes,
    },
    /// A verified record contradicts those before it.
    #[error("record {index} of the ledger contradicts the records before it")]
    History {
        /// The record's index.
        index: u64,
        /// How.
        #[source]
        source: InvalidHistory,
    },
    /// The rules do not allow it. Nothing was written.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The admitted release cannot be computed. Nothing was written.
    #[error(transparent)]
    Permit(InvalidPermit),
    /// What the fold hands over does not fit its intent; nothing was released.
    #[error("the release does not fit what was admitted, so it was not made")]
    Commit,
    /// The ledger's folder could not be made.
    #[error("the ledger's folder could not be made")]
    Folder(#[source] io::Error),
    /// A call failed half-way; what is durable is found out by a new start.
    #[error("the ledger stopped after a failure; start the node again")]
    Interrupted,
}

impl Error {
    /// Whether the ledger refuses every further call, so that the node has to stop serving.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        match self {
            Error::Journal(JournalError::Entropy(_) | JournalError::TooLarge) => false,
            Error::Journal(_)
            | Error::Record { .. }
            | Error::History { .. }
            | Error::Folder(_)
            | Error::Interrupted => true,
            Error::Refused(_) | Error::Permit(_) | Error::Commit => false,
        }
    }
}

/// A rule that does not allow something, in words for people. All of it is public, but for
/// [`Refusal::Full`], which is for the data owner.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Prices, limits and rooms.
    #[error(transparent)]
    Admission(#[from] admission::Refusal),
    /// No such population.
    #[error("there is no population {0} at this node")]
    NoPopulation(PopulationName),
    /// The population is there already.
    #[error("there already is a population {0}; a population is never made again")]
    PopulationExists(PopulationName),
    /// The declared size or the capacity makes no sense.
    #[error("a population needs a declared size of at least 1 and a capacity of at least that")]
    Capacity,
    /// No such dataset version.
    #[error("there is no such version of this dataset at this node")]
    NoDataset,
    /// The dataset belongs to another population.
    #[error("dataset {name} belongs to population {population} and stays there")]
    OtherPopulation {
        /// The dataset.
        name: DatasetName,
        /// Its population.
        population: PopulationName,
    },
    /// The id of a new dataset is taken.
    #[error("the id chosen for the new dataset is taken; choose a fresh one")]
    DatasetIdTaken,
    /// More subjects than were declared. For the data owner.
    #[error("population {0} has more people than the upper end of its declared size")]
    Full(PopulationName),
    /// The population changed since the ingest began.
    #[error("another ingest of population {0} finished first; start this one again")]
    IngestOverlap(PopulationName),
    /// A release of the population is open.
    #[error("a release of population {0} is being made; try again when it is done")]
    IntentOpen(PopulationName),
    /// The population was stopped.
    #[error("population {0} makes no release until its owner lifts the stop")]
    Stopped(PopulationName),
    /// There is nothing to lift.
    #[error("population {0} has no interrupted release to lift")]
    NothingToLift(PopulationName),
    /// A dataset's own limit comes before its first release.
    #[error("a dataset limit must be set before the dataset's first release")]
    LimitTooLate,
    /// A share outside its range.
    #[error("the largest share of one release must be from 1 to 10,000 ten-thousandths")]
    Share,
    /// The person is not enrolled in the role that is needed.
    #[error("the person with key {0} is not enrolled as a scientist at this node")]
    NotEnrolled(KeyId),
    /// The person has the other role.
    #[error("the key {0} is enrolled in the other role; one key has one role")]
    OtherRole(KeyId),
    /// No scientist limit is set.
    #[error("no scientist limit is set; the data owner has to set one first")]
    NoScientistLimit,
    /// No such study, or not this person's.
    #[error("there is no study {0} of yours at this node")]
    NoStudy(StudyId),
    /// The id was used for another study.
    #[error("the id {0} belongs to another study; use a fresh one")]
    StudyExists(StudyId),
    /// The study names no release, a release twice, or no number of runs.
    #[error("a study needs releases with different names, each run at least once")]
    StudyReleases,
    /// The study's end is over.
    #[error("the study's end date is over")]
    StudyOver,
    /// A decision about something else than what was submitted.
    #[error("study {0} is not what was decided on; look at it again")]
    StudyDiffers(StudyId),
    /// The study is in a state in which nothing is released from it.
    #[error("study {study} is {}: {}", .state.in_words(), to_release(*.state))]
    StudyState {
        /// The study.
        study: StudyId,
        /// Where it stands.
        state: StudyState,
    },
    /// The study is in a state from which it cannot be decided or withdrawn so.
    #[error(
        "study {study} is {}: look at it again, because this cannot be done from there",
        .state.in_words()
    )]
    StudyMoved {
        /// The study.
        study: StudyId,
        /// Where it stands.
        state: StudyState,
    },
    /// The study was approved for another dataset version.
    #[error("study {0} was approved for another version of the dataset")]
    StudyDataset(StudyId),
    /// The release is not one of the study.
    #[error("study {study} has no release {release}")]
    NoRelease {
        /// The study.
        study: StudyId,
        /// The release.
        release: ReleaseName,
    },
    /// All runs were made.
    #[error("release {release} was approved for {times} runs, and all were made")]
    NoRunLeft {
        /// The release.
        release: ReleaseName,
        /// How often it may run.
        times: u32,
    },
    /// The price is not the approved one.
    #[error(
        "the release would add {} of what was approved: submit the study again under a new id",
        admission::share(*.price, *.approved)
    )]
    PriceDiffers {
        /// The price asked.
        price: Rho,
        /// The price approved.
        approved: Rho,
    },
    /// No such open intent, or it had its rerun.
    #[error("there is no interrupted release at entry {0} that may run again")]
    NoIntent(u64),
    /// The rerun's plan is not the one that was admitted.
    #[error("the release at entry {0} can no longer be planned as it was admitted")]
    IntentDiffers(u64),
}

/// What to do before a study in this state gives a release.
const fn to_release(state: StudyState) -> &'static str {
    match state {
        StudyState::Submitted => "it can be released once the owner has approved it",
        StudyState::ChangesRequested => {
            "its status says which changes; submit the changed study under a new id"
        }
        StudyState::Declined => "its status says why; submit a changed study under a new id",
        StudyState::Withdrawn => "submit it again under a new id",
        StudyState::Expired => "submit it again under a new id and with a later end date",
        StudyState::Suspended => "ask the owner, whose approval lets it go on",
        StudyState::Revoked => "its status says why; ask the owner",
        // Neither is refused: a release that has no run left has a sentence of its own.
        StudyState::Approved | StudyState::Completed => "its status says which runs are left",
    }
}
