//! Study documents and releases: the bytes that are signed.

use obscura_wire::v1;
use prost::Message as _;

use super::VERSION;
use super::answer::{
    InvalidWire, accuracy_from, accuracy_to, answer_from, numbers_to, shape_from, shape_to,
};
use crate::exposure::Rho;
use crate::ids::{
    DatasetId, DatasetName, Digest, KeyId, PartyName, ReleaseName, RequestId, StudyId, UnixMillis,
};
use crate::release::{Completeness, Release, RunRequest, SignedRelease};
use crate::study::{Institution, Study, StudyRelease, StudyState, Terms, Verdict};
use crate::text::SqlText;

/// The document's bytes: what is signed and approved by digest.
#[must_use]
pub fn study_encode(study: &Study) -> Vec<u8> {
    study_to(study).encode_to_vec()
}

/// Reads a document's bytes.
pub fn study_decode(bytes: &[u8]) -> Result<Study, InvalidWire> {
    study_from(v1::StudyDocument::decode(bytes).map_err(|_| InvalidWire::Form)?)
}

/// To the wire.
#[must_use]
pub fn study_to(study: &Study) -> v1::StudyDocument {
    let Terms {
        controller,
        legal_basis,
        ethics_reference,
        contract_number,
        end_date,
    } = study.terms().clone();
    let release = |r: &StudyRelease| v1::StudyRelease {
        name: r.name.to_string(),
        sql: r.sql.to_string(),
        accuracy: Some(accuracy_to(&r.accuracy)),
        times: r.times,
    };
    let institution = |i: &Institution| v1::Institution {
        name: i.name.to_string(),
        key: i.key.as_bytes().to_vec(),
    };
    v1::StudyDocument {
        version: VERSION,
        study_id: study.id().as_bytes().to_vec(),
        title: study.title().to_owned(),
        purpose: study.purpose().to_owned(),
        terms: Some(v1::Terms {
            controller,
            legal_basis,
            ethics_reference,
            contract_number,
            end_date,
        }),
        dataset: study.dataset().to_string(),
        releases: study.releases().iter().map(release).collect(),
        institutions: study.institutions().iter().map(institution).collect(),
    }
}

/// From the wire.
pub fn study_from(document: v1::StudyDocument) -> Result<Study, InvalidWire> {
    let v1::StudyDocument {
        version,
        study_id,
        title,
        purpose,
        terms,
        dataset,
        releases,
        institutions,
    } = document;
    if version != VERSION {
        return Err(InvalidWire::Missing("a known version of the study's form"));
    }
    let v1::Terms {
        controller,
        legal_basis,
        ethics_reference,
        contract_number,
        end_date,
    } = terms.unwrap_or_default();
    let terms = Terms {
        controller,
        legal_basis,
        ethics_reference,
        contract_number,
        end_date,
    };
    let release = |r: v1::StudyRelease| {
        let v1::StudyRelease {
            name,
            sql,
            accuracy,
            times,
        } = r;
        Ok(StudyRelease {
            name: ReleaseName::new(&name)?,
            sql: SqlText::new(&sql)?,
            accuracy: accuracy_from(accuracy)?,
            times,
        })
    };
    let institution = |v1::Institution { name, key }: v1::Institution| {
        Ok(Institution {
            name: PartyName::new(&name)?,
            key: KeyId::from_bytes(&key)?,
        })
    };
    Ok(Study::new(
        StudyId::from_bytes(&study_id)?,
        title,
        purpose,
        terms,
        DatasetName::new(&dataset)?,
        releases
            .into_iter()
            .map(release)
            .collect::<Result<_, InvalidWire>>()?,
        institutions
            .into_iter()
            .map(institution)
            .collect::<Result<_, InvalidWire>>()?,
    )?)
}

/// The release's bytes: what the journal stores and the node signs.
#[must_use]
pub fn encode_release(release: &Release) -> Vec<u8> {
    let Release {
        node,
        node_name,
        requester,
        request_id,
        request_digest,
        study_id,
        study_digest,
        release,
        dataset_id,
        dataset,
        dataset_version,
        canonical_sql,
        answer,
        price,
        completeness,
        journal_index,
        head_size,
        head_root,
        committed,
    } = release;
    v1::ReleaseBody {
        version: VERSION,
        node: node.as_bytes().to_vec(),
        node_name: node_name.to_string(),
        requester: requester.as_bytes().to_vec(),
        request_id: request_id.as_bytes().to_vec(),
        request_digest: request_digest.as_bytes().to_vec(),
        study_id: study_id.as_bytes().to_vec(),
        study_digest: study_digest.as_bytes().to_vec(),
        release: release.to_string(),
        dataset_id: dataset_id.as_bytes().to_vec(),
        dataset: dataset.to_string(),
        dataset_version: *dataset_version,
        canonical_sql: canonical_sql.clone(),
        shape: Some(shape_to(answer.shape())),
        numbers: Some(numbers_to(answer)),
        price_nano: price.nano(),
        completeness: match completeness {
            Completeness::NobodyDropped => v1::Completeness::NobodyDropped,
            Completeness::SubjectsMayBeMissing => v1::Completeness::SubjectsMayBeMissing,
        }
        .into(),
        journal_index: *journal_index,
        head_size: *head_size,
        head_root: head_root.as_bytes().to_vec(),
        committed_unix_ms: committed.0,
    }
    .encode_to_vec()
}

/// Reads a release's bytes; nothing if they break a rule.
#[must_use]
pub fn decode_release(bytes: &[u8]) -> Option<Release> {
    let v1::ReleaseBody {
        version,
        node,
        node_name,
        requester,
        request_id,
        request_digest,
        study_id,
        study_digest,
        release,
        dataset_id,
        dataset,
        dataset_version,
        canonical_sql,
        shape,
        numbers,
        price_nano,
        completeness,
        journal_index,
        head_size,
        head_root,
        committed_unix_ms,
    } = v1::ReleaseBody::decode(bytes).ok()?;
    if version != VERSION {
        return None;
    }
    let completeness = match v1::Completeness::try_from(completeness).ok()? {
        v1::Completeness::Unspecified => return None,
        v1::Completeness::NobodyDropped => Completeness::NobodyDropped,
        v1::Completeness::SubjectsMayBeMissing => Completeness::SubjectsMayBeMissing,
    };
    Some(Release {
        node: KeyId::from_bytes(&node).ok()?,
        node_name: PartyName::new(&node_name).ok()?,
        requester: KeyId::from_bytes(&requester).ok()?,
        request_id: RequestId::from_bytes(&request_id).ok()?,
        request_digest: Digest::from_bytes(&request_digest).ok()?,
        study_id: StudyId::from_bytes(&study_id).ok()?,
        study_digest: Digest::from_bytes(&study_digest).ok()?,
        release: ReleaseName::new(&release).ok()?,
        dataset_id: DatasetId::from_bytes(&dataset_id).ok()?,
        dataset: DatasetName::new(&dataset).ok()?,
        dataset_version,
        canonical_sql,
        answer: answer_from(shape_from(shape).ok()?, numbers).ok()?,
        price: Rho::from_nano(price_nano),
        completeness,
        journal_index,
        head_size,
        head_root: Digest::from_bytes(&head_root).ok()?,
        committed: UnixMillis(committed_unix_ms),
    })
}

/// To the wire.
#[must_use]
pub fn signed_release_to(release: &SignedRelease) -> v1::SignedRelease {
    let SignedRelease { body, signature } = release.clone();
    v1::SignedRelease { body, signature }
}

/// From the wire; nothing is checked yet.
#[must_use]
pub fn signed_release_from(release: v1::SignedRelease) -> SignedRelease {
    let v1::SignedRelease { body, signature } = release;
    SignedRelease { body, signature }
}

/// To the wire.
#[must_use]
pub fn state_to(state: StudyState) -> v1::StudyState {
    match state {
        StudyState::Submitted => v1::StudyState::Submitted,
        StudyState::ChangesRequested => v1::StudyState::ChangesRequested,
        StudyState::Approved => v1::StudyState::Approved,
        StudyState::Declined => v1::StudyState::Declined,
        StudyState::Withdrawn => v1::StudyState::Withdrawn,
        StudyState::Expired => v1::StudyState::Expired,
        StudyState::Suspended => v1::StudyState::Suspended,
        StudyState::Revoked => v1::StudyState::Revoked,
        StudyState::Completed => v1::StudyState::Completed,
    }
}

/// From the wire.
pub fn state_from(state: i32) -> Result<StudyState, InvalidWire> {
    let state = v1::StudyState::try_from(state).map_err(|_| InvalidWire::Missing("a state"))?;
    Ok(match state {
        v1::StudyState::Unspecified => return Err(InvalidWire::Missing("a state")),
        v1::StudyState::Submitted => StudyState::Submitted,
        v1::StudyState::ChangesRequested => StudyState::ChangesRequested,
        v1::StudyState::Approved => StudyState::Approved,
        v1::StudyState::Declined => StudyState::Declined,
        v1::StudyState::Withdrawn => StudyState::Withdrawn,
        v1::StudyState::Expired => StudyState::Expired,
        v1::StudyState::Suspended => StudyState::Suspended,
        v1::StudyState::Revoked => StudyState::Revoked,
        v1::StudyState::Completed => StudyState::Completed,
    })
}

/// To the wire.
#[must_use]
pub fn verdict_to(verdict: Verdict) -> v1::Verdict {
    match verdict {
        Verdict::Approve => v1::Verdict::Approve,
        Verdict::Decline => v1::Verdict::Decline,
        Verdict::AskForChanges => v1::Verdict::AskForChanges,
        Verdict::Revoke => v1::Verdict::Revoke,
    }
}

/// From the wire.
pub fn verdict_from(verdict: i32) -> Result<Verdict, InvalidWire> {
    match v1::Verdict::try_from(verdict) {
        Ok(v1::Verdict::Approve) => Ok(Verdict::Approve),
        Ok(v1::Verdict::Decline) => Ok(Verdict::Decline),
        Ok(v1::Verdict::AskForChanges) => Ok(Verdict::AskForChanges),
        Ok(v1::Verdict::Revoke) => Ok(Verdict::Revoke),
        Ok(v1::Verdict::Unspecified) | Err(_) => Err(InvalidWire::Missing("a verdict")),
    }
}

/// The bytes of a request to run a release.
#[must_use]
pub fn run_request_encode(request: &RunRequest) -> Vec<u8> {
    let RunRequest {
        study,
        study_digest,
        release,
    } = request;
    v1::RunRequest {
        study_id: study.as_bytes().to_vec(),
        study_digest: study_digest.as_bytes().to_vec(),
        release: release.to_string(),
    }
    .encode_to_vec()
}

/// Reads a request to run a release.
pub fn run_request_decode(bytes: &[u8]) -> Result<RunRequest, InvalidWire> {
    let v1::RunRequest {
        study_id,
        study_digest,
        release,
    } = v1::RunRequest::decode(bytes).map_err(|_| InvalidWire::Form)?;
    Ok(RunRequest {
        study: StudyId::from_bytes(&study_id)?,
        study_digest: Digest::from_bytes(&study_digest)?,
        release: ReleaseName::new(&release)?,
    })
}
