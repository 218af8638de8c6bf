//! What a node signs: a release, to whom, under what, and where its journal has it.

use crate::accuracy::AccuracyRequest;
use crate::answer::Answer;
use crate::codelist::SignedCodeList;
use crate::exposure::Rho;
use crate::identity::{self, SigningKey};
use crate::ids::{
    DatasetId, DatasetName, Digest, GrantId, KeyId, PartyName, ReleaseName, RequestId, StudyId,
    UnixMillis,
};
use crate::study::ReleaseOptions;
use crate::text::SqlText;

/// What a scientist asks to run: one release of an approved study.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRequest {
    /// The study.
    pub study: StudyId,
    /// Digest of the document that was approved.
    pub study_digest: Digest,
    /// Which of its releases.
    pub release: ReleaseName,
    /// Make a new release even if the same question has an answer already.
    pub again: bool,
}

/// What a scientist asks under a standing grant.
#[derive(Debug, Clone, PartialEq)]
pub struct AskRequest {
    /// The dataset's name at the node.
    pub dataset: DatasetName,
    /// The grant.
    pub grant: GrantId,
    /// The question.
    pub sql: SqlText,
    /// How accurate.
    pub accuracy: AccuracyRequest,
    /// What is added to the question.
    pub options: ReleaseOptions,
    /// The code lists that it names.
    pub code_lists: Vec<SignedCodeList>,
    /// As in [`RunRequest::again`].
    pub again: bool,
}

/// What allowed a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Authority {
    /// An approved study.
    Study {
        /// The study.
        study: StudyId,
        /// Digest of its document.
        digest: Digest,
        /// The release's name in it.
        release: ReleaseName,
    },
    /// A standing grant.
    Grant {
        /// The grant.
        grant: GrantId,
    },
}

/// Whether the limits can have kept anybody out, known from public meters alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completeness {
    /// Every meter concerned, this release included, is within its limit.
    NobodyDropped,
    /// Some may no longer contribute.
    SubjectsMayBeMissing,
}

/// The body of a release.
#[derive(Debug, Clone, PartialEq)]
pub struct Release {
    /// The node's key.
    pub node: KeyId,
    /// The node's name.
    pub node_name: PartyName,
    /// Who asked.
    pub requester: KeyId,
    /// The request.
    pub request_id: RequestId,
    /// Digest of the request's body.
    pub request_digest: Digest,
    /// What allowed it.
    pub authority: Authority,
    /// What was added to the question.
    pub options: ReleaseOptions,
    /// The dataset.
    pub dataset_id: DatasetId,
    /// Its name.
    pub dataset: DatasetName,
    /// Its version.
    pub dataset_version: u32,
    /// The query as it was run.
    pub canonical_sql: String,
    /// The noisy numbers.
    pub answer: Answer,
    /// What it added to exposure.
    pub price: Rho,
    /// Whether anybody can be missing.
    pub completeness: Completeness,
    /// Its position in the node's journal.
    pub journal_index: u64,
    /// The number of records before it.
    pub head_size: u64,
    /// The Merkle root over them.
    pub head_root: Digest,
    /// The time of its record in the journal: when its run began. When it ended would tell how long
    /// private rows took.
    pub committed: UnixMillis,
}

impl Release {
    /// How files and pictures name it: by its name in the study; under a grant `ask-` and the
    /// first eight digits of the canonical query's SHA-256, so that the same question has the same
    /// name at every institution.
    #[must_use]
    pub fn label(&self) -> ReleaseName {
        match &self.authority {
            Authority::Study { release, .. } => release.clone(),
            Authority::Grant { .. } => {
                let digest = Digest::of(self.canonical_sql.as_bytes()).to_string();
                ReleaseName::asked(digest.get(..8).unwrap_or_default())
            }
        }
    }
}

const DOMAIN: &str = "obscura.v1 release";

/// A release's stored bytes with the node's signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedRelease {
    /// The encoded body, as it stands in the node's journal.
    pub body: Vec<u8>,
    /// The signature over it.
    pub signature: Vec<u8>,
}

/// Why a release was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRelease {
    /// The signature is not this node's, or the bytes were changed.
    #[error("the node's signature on the release does not hold")]
    Signature,
    /// The signed bytes are not a release.
    #[error("the release cannot be read")]
    Form,
    /// It is a release, but of another request, study or dataset.
    #[error("the node answered another request than the one asked")]
    Other,
}

impl SignedRelease {
    /// Signs stored bytes. The same key and bytes give the same signature.
    #[must_use]
    pub fn sign(key: &SigningKey, body: Vec<u8>) -> Self {
        let signature = key.sign(DOMAIN, &body).to_vec();
        Self { body, signature }
    }

    /// Checks the node's signature and reads the release.
    pub fn open(&self, node: &KeyId) -> Result<Release, InvalidRelease> {
        identity::verify(node, DOMAIN, &self.body, &self.signature)
            .map_err(|_| InvalidRelease::Signature)?;
        let release = crate::wire::decode_release(&self.body).ok_or(InvalidRelease::Form)?;
        if release.node == *node {
            Ok(release)
        } else {
            Err(InvalidRelease::Other)
        }
    }
}
