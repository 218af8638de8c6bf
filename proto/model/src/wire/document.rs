//! Study documents: the bytes that are signed.

use obscura_wire::v1;
use prost::Message as _;

use super::answer::{InvalidWire, accuracy_from, accuracy_to};
use super::question::{code_lists_from, code_lists_to, options_from, options_to};
use crate::ids::{DatasetName, KeyId, PartyName, ProjectName, ReleaseName, StudyId};
use crate::study::{
    Institution, ReleaseOptions, Study, StudyContent, StudyRelease, StudyState, Terms,
    UNNAMED_PROJECT, Verdict,
};
use crate::text::SqlText;

/// The first form: no project, no code lists, no options.
const FIRST: u32 = 1;
/// The present form.
const PRESENT: u32 = 2;

/// The document's bytes: what is signed and approved by digest.
#[must_use]
pub fn study_encode(study: &Study) -> Vec<u8> {
    study_to(study).encode_to_vec()
}

/// Reads a document's bytes.
pub fn study_decode(bytes: &[u8]) -> Result<Study, InvalidWire> {
    study_from(v1::StudyDocument::decode(bytes).map_err(|_| InvalidWire::Form)?)
}

/// To the wire: the oldest form that can say it, so that what was read from a document of the first
/// form is written as the very same bytes.
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
        options: options_to(&r.options),
    };
    let institution = |i: &Institution| v1::Institution {
        name: i.name.to_string(),
        key: i.key.as_bytes().to_vec(),
    };
    v1::StudyDocument {
        version: if is_first(study) { FIRST } else { PRESENT },
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
        project: if is_first(study) {
            String::new()
        } else {
            study.project().to_string()
        },
        code_lists: code_lists_to(study.code_lists()),
    }
}

fn is_first(study: &Study) -> bool {
    study.project().as_str() == UNNAMED_PROJECT
        && study.code_lists().is_empty()
        && study
            .releases()
            .iter()
            .all(|r| r.options == ReleaseOptions::NONE)
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
        project,
        code_lists,
    } = document;
    let plain =
        project.is_empty() && code_lists.is_empty() && releases.iter().all(|r| r.options.is_none());
    let project = match version {
        FIRST if plain => UNNAMED_PROJECT,
        PRESENT => &project,
        _ => return Err(InvalidWire::Missing("a known version of the study's form")),
    };
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
            options,
        } = r;
        Ok(StudyRelease {
            name: ReleaseName::new(&name)?,
            sql: SqlText::new(&sql)?,
            accuracy: accuracy_from(accuracy)?,
            times,
            options: options_from(options),
        })
    };
    let institution = |v1::Institution { name, key }: v1::Institution| {
        Ok(Institution {
            name: PartyName::new(&name)?,
            key: KeyId::from_bytes(&key)?,
        })
    };
    let (releases, institutions) = (
        releases.into_iter().map(release),
        institutions.into_iter().map(institution),
    );
    Ok(Study::new(StudyContent {
        id: StudyId::from_bytes(&study_id)?,
        project: ProjectName::new(project)?,
        title,
        purpose,
        terms,
        dataset: DatasetName::new(&dataset)?,
        code_lists: code_lists_from(code_lists)?,
        releases: releases.collect::<Result<_, InvalidWire>>()?,
        institutions: institutions.collect::<Result<_, InvalidWire>>()?,
    })?)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accuracy::{Accuracy, AccuracyRequest};
    use crate::codelist::{CodeList, SignedCodeList};
    use crate::exposure::Rho;
    use crate::identity::SigningKey;

    fn content() -> StudyContent {
        let accuracy = Accuracy::Price(Rho::from_nano(7));
        StudyContent {
            id: StudyId::from_parts(1, [1; 10]),
            project: ProjectName::new(UNNAMED_PROJECT).unwrap(),
            title: "t".into(),
            purpose: "p".into(),
            terms: Terms::default(),
            dataset: DatasetName::new("d").unwrap(),
            code_lists: Vec::new(),
            releases: vec![StudyRelease {
                name: ReleaseName::new("n").unwrap(),
                sql: SqlText::new("SELECT COUNT(*) FROM d").unwrap(),
                accuracy: AccuracyRequest::whole(accuracy).unwrap(),
                times: 1,
                options: ReleaseOptions::NONE,
            }],
            institutions: vec![Institution {
                name: PartyName::new("basel").unwrap(),
                key: KeyId::new([3; 32]),
            }],
        }
    }

    #[test]
    fn a_document_of_the_first_form_keeps_its_bytes_and_says_nothing_new() {
        let study = Study::new(content()).unwrap();
        let bytes = study_encode(&study);
        let document = v1::StudyDocument::decode(bytes.as_slice()).unwrap();
        assert_eq!((document.version, document.project.as_str()), (1, ""));
        let read = study_decode(&bytes).unwrap();
        assert_eq!(read, study);
        assert_eq!(study_encode(&read), bytes);
        let mut forged = document;
        forged.project = "other".into();
        assert!(study_from(forged).is_err());
    }

    #[test]
    fn the_present_form_carries_project_options_and_code_lists_whose_signature_holds() {
        let list = CodeList::from_toml("name = \"d\"\ncodes = [\"E10\"]").unwrap();
        let mut content = content();
        content.project = ProjectName::new("cost-sharing").unwrap();
        content.releases[0].options.coverage = true;
        content.code_lists = vec![SignedCodeList::sign(&SigningKey::from_seed([1; 32]), list)];
        let study = Study::new(content).unwrap();
        let bytes = study_encode(&study);
        assert_eq!(study_decode(&bytes).unwrap(), study);
        let mut document = v1::StudyDocument::decode(bytes.as_slice()).unwrap();
        assert_eq!(document.version, 2);
        document.code_lists[0].text.push(' ');
        let error = study_from(document).unwrap_err().to_string();
        assert!(error.contains("signature on code list 'd'"), "{error}");
    }
}
