//! Releases and the requests for them: the bytes that are signed.

use obscura_wire::v1;
use prost::Message as _;

use super::answer::{
    InvalidWire, accuracy_from, accuracy_to, answer_from, numbers_to, shape_from, shape_to,
};
use super::question::{code_lists_from, code_lists_to, options_from, options_to};
use crate::exposure::Rho;
use crate::ids::{
    DatasetId, DatasetName, Digest, GrantId, KeyId, PartyName, ReleaseName, RequestId, StudyId,
    UnixMillis,
};
use crate::release::{AskRequest, Authority, Completeness, Release, RunRequest, SignedRelease};
use crate::text::SqlText;

/// The first form: a study's, without options.
const FIRST: u32 = 1;
/// The present form.
const PRESENT: u32 = 2;

/// The release's bytes: what the journal stores and the node signs.
#[must_use]
pub fn encode_release(release: &Release) -> Vec<u8> {
    let Release {
        node,
        node_name,
        requester,
        request_id,
        request_digest,
        authority,
        options,
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
    let (study_id, study_digest, release, grant_id) = authority_to(authority);
    v1::ReleaseBody {
        version: PRESENT,
        node: node.as_bytes().to_vec(),
        node_name: node_name.to_string(),
        requester: requester.as_bytes().to_vec(),
        request_id: request_id.as_bytes().to_vec(),
        request_digest: request_digest.as_bytes().to_vec(),
        study_id,
        study_digest,
        release,
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
        grant_id,
        options: options_to(options),
    }
    .encode_to_vec()
}

/// Study, digest and release, or grant; what does not apply is empty.
fn authority_to(authority: &Authority) -> (Vec<u8>, Vec<u8>, String, Vec<u8>) {
    match authority {
        Authority::Study {
            study,
            digest,
            release,
        } => (
            study.as_bytes().to_vec(),
            digest.as_bytes().to_vec(),
            release.to_string(),
            Vec::new(),
        ),
        Authority::Grant { grant } => {
            let grant = grant.as_bytes().to_vec();
            (Vec::new(), Vec::new(), String::new(), grant)
        }
    }
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
        grant_id,
        options,
    } = v1::ReleaseBody::decode(bytes).ok()?;
    match version {
        FIRST if grant_id.is_empty() && options.is_none() => {}
        PRESENT => {}
        _ => return None,
    }
    let authority = if grant_id.is_empty() {
        Authority::Study {
            study: StudyId::from_bytes(&study_id).ok()?,
            digest: Digest::from_bytes(&study_digest).ok()?,
            release: ReleaseName::new(&release).ok()?,
        }
    } else if study_id.is_empty() && study_digest.is_empty() && release.is_empty() {
        let grant = GrantId::from_bytes(&grant_id).ok()?;
        Authority::Grant { grant }
    } else {
        return None;
    };
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
        authority,
        options: options_from(options),
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

/// The bytes of a request to run a release.
#[must_use]
pub fn run_request_encode(request: &RunRequest) -> Vec<u8> {
    let RunRequest {
        study,
        study_digest,
        release,
        again,
    } = request;
    v1::RunRequest {
        study_id: study.as_bytes().to_vec(),
        study_digest: study_digest.as_bytes().to_vec(),
        release: release.to_string(),
        again: *again,
    }
    .encode_to_vec()
}

/// Reads a request to run a release.
pub fn run_request_decode(bytes: &[u8]) -> Result<RunRequest, InvalidWire> {
    let v1::RunRequest {
        study_id,
        study_digest,
        release,
        again,
    } = v1::RunRequest::decode(bytes).map_err(|_| InvalidWire::Form)?;
    Ok(RunRequest {
        study: StudyId::from_bytes(&study_id)?,
        study_digest: Digest::from_bytes(&study_digest)?,
        release: ReleaseName::new(&release)?,
        again,
    })
}

/// The bytes of a question under a grant.
#[must_use]
pub fn ask_request_encode(request: &AskRequest) -> Vec<u8> {
    let AskRequest {
        dataset,
        grant,
        sql,
        accuracy,
        options,
        code_lists,
        again,
    } = request;
    v1::AskRequest {
        dataset: dataset.to_string(),
        grant_id: grant.as_bytes().to_vec(),
        sql: sql.to_string(),
        accuracy: Some(accuracy_to(accuracy)),
        options: options_to(options),
        code_lists: code_lists_to(code_lists),
        again: *again,
    }
    .encode_to_vec()
}

/// Reads a question under a grant.
pub fn ask_request_decode(bytes: &[u8]) -> Result<AskRequest, InvalidWire> {
    let v1::AskRequest {
        dataset,
        grant_id,
        sql,
        accuracy,
        options,
        code_lists,
        again,
    } = v1::AskRequest::decode(bytes).map_err(|_| InvalidWire::Form)?;
    Ok(AskRequest {
        dataset: DatasetName::new(&dataset)?,
        grant: GrantId::from_bytes(&grant_id)?,
        sql: SqlText::new(&sql)?,
        accuracy: accuracy_from(accuracy)?,
        options: options_from(options),
        code_lists: code_lists_from(code_lists)?,
        again,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::{Answer, Output, OutputKind, Shape, VectorShape};
    use crate::study::ReleaseOptions;

    fn release(authority: Authority, options: ReleaseOptions) -> Release {
        let shape = Shape {
            keys: Vec::new(),
            vectors: vec![VectorShape {
                what: "count".into(),
                step_exponent: -4,
                clip_squared: 256,
                sigma: 16,
            }],
            outputs: vec![Output {
                name: "n".into(),
                unit: String::new(),
                kind: OutputKind::Count { vector: 0 },
            }],
        };
        let name = PartyName::new("basel").unwrap();
        Release {
            node: KeyId::new([1; 32]),
            node_name: name,
            requester: KeyId::new([2; 32]),
            request_id: RequestId::from_parts(1, [1; 10]),
            request_digest: Digest::of(b"request"),
            authority,
            options,
            dataset_id: DatasetId::from_parts(1, [2; 10]),
            dataset: DatasetName::new("d").unwrap(),
            dataset_version: 1,
            canonical_sql: "SELECT COUNT(*) AS n FROM d".into(),
            answer: Answer::new(shape, vec![vec![3]]).unwrap(),
            price: Rho::from_nano(7),
            completeness: Completeness::NobodyDropped,
            journal_index: 5,
            head_size: 5,
            head_root: Digest::of(b"root"),
            committed: UnixMillis(1),
        }
    }

    fn by_study() -> Authority {
        Authority::Study {
            study: StudyId::from_parts(1, [3; 10]),
            digest: Digest::of(b"study"),
            release: ReleaseName::new("n").unwrap(),
        }
    }

    #[test]
    fn a_body_of_the_first_form_reads_as_a_study_without_options() {
        let present = release(by_study(), ReleaseOptions::NONE);
        let mut body = v1::ReleaseBody::decode(encode_release(&present).as_slice()).unwrap();
        assert_eq!(body.version, 2);
        body.version = 1;
        assert_eq!(decode_release(&body.encode_to_vec()), Some(present));
        body.grant_id = GrantId::from_parts(1, [1; 10]).as_bytes().to_vec();
        assert_eq!(decode_release(&body.encode_to_vec()), None);
        body.version = 2;
        assert_eq!(decode_release(&body.encode_to_vec()), None, "one authority");
    }

    #[test]
    fn a_release_names_its_grant_and_has_a_name_that_follows_from_the_question() {
        let grant = Authority::Grant {
            grant: GrantId::from_parts(1, [4; 10]),
        };
        let release = release(grant, ReleaseOptions::PROPOSED);
        assert_eq!(
            decode_release(&encode_release(&release)),
            Some(release.clone())
        );
        let label = release.label();
        assert!(label.as_str().starts_with("ask-") && label.as_str().len() == 12);
        assert_eq!(ReleaseName::new(label.as_str()), Ok(label));
    }

    #[test]
    fn a_request_says_again_only_if_it_was_said() {
        let mut request = RunRequest {
            study: StudyId::from_parts(1, [3; 10]),
            study_digest: Digest::of(b"study"),
            release: ReleaseName::new("n").unwrap(),
            again: false,
        };
        let plain = run_request_encode(&request);
        request.again = true;
        let again = run_request_encode(&request);
        assert_ne!(Digest::of(&plain), Digest::of(&again));
        assert_eq!(run_request_decode(&again), Ok(request));
    }
}
