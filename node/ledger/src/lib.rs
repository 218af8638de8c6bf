//! Durable truth of a node: a journal with Merkle heads, sled as its rebuildable index.
//!
//! The journal (opaque, checksummed records under a Merkle head) is the truth. The typed layer
//! above it folds records into a state; the [`Ledger`] decides against that state, appends, and
//! only then applies. sled and the checkpoints are conveniences that can be deleted at any time.
//! Nothing here reads a clock or owns randomness: both are arguments.

mod base;
mod checkpoint;
mod codec;
mod error;
mod index;
mod journal;
mod ledger;
mod record;
mod state;
mod views;

#[cfg(test)]
mod tests;

pub use codec::InvalidBytes;
pub use error::{Error, Refusal};
pub use journal::merkle::{Hash, Head, consistent, includes};
pub use journal::{Entropy, JournalError};
pub use ledger::{
    Admission, AdmitRequest, AfterFailure, CommitContext, Compacted, Exposures, Indexed, Ingest,
    Ledger, MOST_OFFERS, NewData, NewPopulation, OfferRequest, Verified,
};
pub use record::{
    Account, AccountInForce, Authority, DatasetVersion, Decision, Intent, LimitSet, Mark, NewGrant,
    NewStudy, RequestKey, Role, Secrets, StudyRelease, SubjectHash,
};
pub use state::{InvalidHistory, MOST_STOPS};
pub use views::{
    AccountView, Committed, DatasetView, GrantState, GrantView, LogEntry, Marked, OpenIntent,
    Person, PopulationView, ProjectView, ReleaseRuns, Said, StudyState, StudyView,
};
