//! Why a journal does not serve.

use std::io;

use obscura_model::ids::KeyId;

/// Why the journal does not serve.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// There is no journal in the folder.
    #[error("there is no ledger in this folder; restore it, or initialise a new node elsewhere")]
    Missing,
    /// There already is a journal in the folder.
    #[error("this folder already holds a ledger; open it instead of making one")]
    Exists,
    /// Another process holds the folder.
    #[error("another process uses this ledger; stop it first")]
    Locked,
    /// The journal belongs to another node.
    #[error("this ledger belongs to the node {found}, not to {wanted}")]
    Foreign {
        /// The node that the ledger names.
        found: KeyId,
        /// The node that opens it.
        wanted: KeyId,
    },
    /// A format that only a newer program knows.
    #[error("segment {segment} of the ledger has a format that this program does not know")]
    Unknown {
        /// The segment's number.
        segment: u32,
    },
    /// An acknowledged record is damaged or gone.
    #[error(
        "the ledger is damaged at record {index} (segment {segment}, byte {offset}): {what}; \
         restore the ledger from a copy"
    )]
    Damage {
        /// The segment's number.
        segment: u32,
        /// The record's index.
        index: u64,
        /// The byte in the segment.
        offset: u64,
        /// What is wrong with it.
        what: &'static str,
    },
    /// What compacted records added up to is damaged or gone.
    #[error(
        "the ledger is damaged: its file {name}, named by record {index}, {what}; restore the \
         ledger from a copy"
    )]
    Base {
        /// The file's name.
        name: String,
        /// The index of the record of the compaction.
        index: u64,
        /// What is wrong with the file.
        what: &'static str,
    },
    /// The storage failed.
    #[error("the ledger's storage failed to {step}; free or repair it and start the node again")]
    Storage {
        /// What was being done.
        step: &'static str,
        /// What the storage said.
        #[source]
        source: io::Error,
    },
    /// The source of random bytes failed; nothing was written.
    #[error("the operating system gave no random bytes; nothing was written")]
    Entropy(#[source] io::Error),
    /// A record over the largest length.
    #[error("the record is too large for the ledger")]
    TooLarge,
    /// An earlier call failed while writing.
    #[error("the ledger stopped after a storage failure; start the node again")]
    Stopped,
}

/// Names the step of a storage error.
pub(crate) fn failed(step: &'static str) -> impl FnOnce(io::Error) -> JournalError {
    move |source| JournalError::Storage { step, source }
}
