//! What can go wrong between a call and its answer: one closed list. The text of every variant is
//! written for the caller and says nothing about private rows; causes go to the log only.

use obscura_model::envelope::Refused;
use obscura_model::schema::InvalidDescription;
use obscura_model::study::StudyState;
use obscura_model::wire::InvalidWire;

/// Every refusal and failure of the node.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The envelope does not hold. The caller sees the same as [`Error::NotAuthorised`].
    #[error("not authorised")]
    Envelope(#[source] Refused),
    /// The caller may not do this.
    #[error("not authorised")]
    NotAuthorised,
    /// The message breaks a rule.
    #[error("{0}")]
    Message(#[from] InvalidWire),
    /// The message is longer than its method takes.
    #[error("the message has more than {most} bytes: say it in fewer")]
    TooLarge {
        /// The most bytes.
        most: usize,
    },
    /// The query is outside the language, or cannot be priced.
    #[error("{0}")]
    Query(#[from] obscura_query::Refusal),
    /// A release of a study is outside the language, or cannot be priced.
    #[error("release '{release}': {refusal}")]
    StudyQuery {
        /// The release's name.
        release: String,
        /// Why.
        refusal: obscura_query::Refusal,
    },
    /// The description file is wrong.
    #[error("the description is wrong: {0}")]
    Description(#[from] InvalidDescription),
    /// The data file cannot be ingested. For the owner only.
    #[error("{0}")]
    Ingest(#[from] obscura_query::ingest::IngestError),
    /// No dataset of that name.
    #[error("there is no dataset called '{0}' here; list the datasets to see their names")]
    NoDataset(String),
    /// No study with that id, or not the caller's.
    #[error("there is no such study here, or it is not for you")]
    NoStudy,
    /// The study names no project.
    #[error(
        "the study names no project, the people who work on it together: add project = \"...\" to the study file"
    )]
    NoProject,
    /// No grant with that id, or not the caller's.
    #[error("there is no such grant here, or it is not for you")]
    NoGrant,
    /// The study does not ask this node.
    #[error("the study does not name this institution")]
    NotAsked,
    /// Mandatory terms are missing.
    #[error(
        "the owner requires the study to state {0}: fill it in under [terms] of the study file"
    )]
    Terms(String),
    /// The study's end date has passed.
    #[error("the study's end date has passed: submit it under a new id with a later one")]
    Ended,
    /// The study is not in a state to do this.
    #[error("the study is {state}: {what}", state = .state.in_words())]
    State {
        /// Where it is.
        state: StudyState,
        /// What cannot be done, and what to do.
        what: &'static str,
    },
    /// The decision or request is about another document than the one here.
    #[error("this is not the document that was submitted: look at the study again")]
    OtherDocument,
    /// No such release in the study.
    #[error("the study has no release called '{0}'")]
    NoRelease(String),
    /// What was approved cannot be had at the approved price any more.
    #[error("the release would now add more to exposure than was approved: submit the study again")]
    PriceChanged,
    /// A public rule refuses: limits, shares, modes.
    #[error("{0}")]
    Rule(String),
    /// Something is there already, or the same id was used for something else.
    #[error("{0}")]
    Exists(String),
    /// The same request id with another body.
    #[error("this request id was used for another request: use a new id")]
    Conflict,
    /// The request failed twice; its id never gets an answer.
    #[error(
        "this release failed and was not made; what it would have added stays on the meter, and the study or grant is suspended"
    )]
    Failed,
    /// The population is stopped.
    #[error("the node is not answering for this dataset until its owner lifts the stop")]
    PopulationStopped,
    /// Too much waits already.
    #[error("the node is busy: try the same request again in a moment")]
    Busy,
    /// Storage failed, or the node is shutting down.
    #[error("the node has stopped answering; its operator must look at its log")]
    Stopped,
    /// Something failed inside; the log has it.
    #[error("the node could not do this; its operator can find the reason in its log")]
    Inside(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// Wraps a cause that only the log may show.
    pub fn inside(cause: impl std::error::Error + Send + Sync + 'static) -> Self {
        Error::Inside(Box::new(cause))
    }
}

impl From<obscura_ledger::Error> for Error {
    /// Rules become texts for the caller; storage failures go to the log.
    fn from(error: obscura_ledger::Error) -> Self {
        use obscura_ledger::{Error as Ledger, Refusal};
        match error {
            Ledger::Refused(refusal) => match refusal {
                Refusal::IntentOpen(_) | Refusal::IngestOverlap(_) => Error::Busy,
                Refusal::Stopped(_) => Error::PopulationStopped,
                Refusal::NoStudy(_) => Error::NoStudy,
                Refusal::NoGrant(_) => Error::NoGrant,
                Refusal::StudyDiffers(_) => Error::OtherDocument,
                Refusal::PriceDiffers { .. } => Error::PriceChanged,
                Refusal::NoRelease { release, .. } => Error::NoRelease(release.to_string()),
                rule => Error::Rule(rule.to_string()),
            },
            Ledger::Permit(invalid) => Error::Rule(invalid.to_string()),
            error if error.is_fatal() => {
                tracing::error!(%error, "the ledger has stopped");
                Error::Stopped
            }
            error => Error::inside(error),
        }
    }
}
