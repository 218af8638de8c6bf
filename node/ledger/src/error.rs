//! Why the ledger did not do something.

use std::io;

use obscura_model::exposure::Rho;
use obscura_model::ids::{
    DatasetName, GrantId, KeyId, PopulationName, ProjectName, ReleaseName, StudyId,
};
use obscura_privacy::InvalidPermit;
use obscura_privacy::admission;

use crate::codec::InvalidBytes;
use crate::journal::JournalError;
use crate::state::InvalidHistory;
use crate::views::{GrantState, StudyState};

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
    /// The release is not asked for on the terms that were approved.
    #[error(
        "release {0} was approved on other terms: ask for it as the study says, or submit the \
         study again under a new id"
    )]
    TermsDiffer(ReleaseName),
    /// The query is not read as it was when it was approved.
    #[error(
        "the query of release {0} is no longer read as it was when it was approved: submit the \
         study again under a new id"
    )]
    QueryDiffers(ReleaseName),
    /// Somebody may have been left out, and the release is wanted complete or not at all.
    #[error(
        "the public meters no longer rule out that people are left out of this release, and it \
         is to run only if nobody is: ask for it with require_complete = false (in a study with a \
         new id), and with coverage to learn how many are in it"
    )]
    NotComplete,
    /// No room of delta for keys that are not declared.
    #[error(
        "the limit has no room for another release with keys that are not declared: declare the \
         keys, or ask the data owner"
    )]
    NoRoomForKeys,
    /// The release answers as many other requests as it may.
    #[error(
        "this question was answered by an earlier release, which answers {} requests already: \
         repeat one of them under its own id, or ask for a new release",
        crate::MOST_OFFERS
    )]
    OfferedOften,
    /// No such project.
    #[error("there is no project {0} at this node; a study opens one by naming it")]
    NoProject(ProjectName),
    /// The person is not a member of the project.
    #[error("the person is not a member of project {0}: ask to join it, and the owner to confirm")]
    NotAMember(ProjectName),
    /// The person did not ask to join.
    #[error("the person has not asked to join project {0}, so there is nothing to confirm")]
    NotWaiting(ProjectName),
    /// Neither the project nor scientists in general have a limit.
    #[error(
        "no limit is set for project {0} or for every scientist; the data owner has to set one"
    )]
    NoProjectLimit(ProjectName),
    /// No such grant, or not this person's.
    #[error("there is no grant {0} of yours at this node")]
    NoGrant(GrantId),
    /// The id was used for another grant.
    #[error("the id {0} belongs to another grant; use a fresh one")]
    GrantExists(GrantId),
    /// A grant of nothing.
    #[error("a grant needs columns, at least one release, room for it, and an end that is to come")]
    GrantTerms,
    /// The grant is in a state in which it allows nothing.
    #[error("grant {grant} {}", to_grant(*.state))]
    GrantState {
        /// The grant.
        grant: GrantId,
        /// Where it stands.
        state: GrantState,
    },
    /// The grant is for another dataset.
    #[error("grant {0} is for another dataset")]
    GrantDataset(GrantId),
    /// A grant reads the newest version only.
    #[error("a grant lets only the newest version of its dataset be read: ask again")]
    NotNewest,
    /// A table of which the grant has no column.
    #[error(
        "the query reads the table {table}, also if only to see who has rows in it; grant {grant} names no column of it"
    )]
    GrantTable {
        /// The grant.
        grant: GrantId,
        /// The table.
        table: String,
    },
    /// A grant for some of several tables, and a version that has one.
    #[error(
        "grant {0} was given for some tables of several, and the dataset has a single one now: ask for a new grant"
    )]
    GrantTables(GrantId),
    /// A column that the grant does not have.
    #[error("the query reads the column {column}, which grant {grant} does not allow")]
    GrantColumn {
        /// The grant.
        grant: GrantId,
        /// The column.
        column: String,
    },
    /// Keys that are not declared, for which the grant has no delta, or not as much.
    #[error(
        "grant {0} does not allow this release to find keys that are not declared: group by \
         declared ones, or ask the owner for a grant that does"
    )]
    GrantKeys(GrantId),
    /// A second population of a node without the statement that nobody is in both.
    #[error(
        "this node has a population already: a second one needs the owner's statement that \
         nobody is in both"
    )]
    NotApart,
    /// The stored rows are of a population that is no more.
    #[error("dataset {0} must be ingested again before anything is released from it")]
    NeedsIngest(DatasetName),
    /// Two populations cannot be one population twice.
    #[error("a population cannot be merged with itself")]
    MergeSelf,
    /// Somebody of the population that goes, or an id that somebody had before, is not mapped. For
    /// the data owner.
    #[error(
        "not everybody of population {0} is mapped: map every id, also those from before a change of ids, then merge again"
    )]
    MergeIncomplete(PopulationName),
    /// The map makes one person of two. For the data owner.
    #[error("the map makes one person of two: re-key population {0} first, then merge again")]
    MergeJoins(PopulationName),
    /// The limit of the merged population is lower than one of those before.
    #[error("the limit of the merged population must be at least both limits before, in all parts")]
    MergeLimit,
    /// No such open intent, or it had its rerun.
    #[error("there is no interrupted release at entry {0} that may run again")]
    NoIntent(u64),
    /// The rerun's plan is not the one that was admitted.
    #[error("the release at entry {0} can no longer be planned as it was admitted")]
    IntentDiffers(u64),
}

/// What a grant in this state says to who uses it.
const fn to_grant(state: GrantState) -> &'static str {
    match state {
        GrantState::Used => "has been used up: ask the owner for another, or submit a study",
        GrantState::Expired => "is over: ask the owner for another, or submit a study",
        GrantState::Revoked => "was taken back by the owner: its status says why",
        GrantState::Suspended => {
            "is suspended because a release failed twice: ask the owner for another"
        }
        // Not refused.
        GrantState::InForce => "is in force",
    }
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
