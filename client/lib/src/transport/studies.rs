//! Sandbox, Studies and Releases.

use std::time::Duration;

use obscura_model::accuracy::AccuracyRequest;
use obscura_model::envelope::Reality;
use obscura_model::exposure::Rho;
use obscura_model::ids::{DatasetName, Digest, ReleaseName, RequestId, StudyId, UnixMillis};
use obscura_model::release::SignedRelease;
use obscura_model::study::Study;
use obscura_model::text::SqlText;
use obscura_model::wire::{self, InvalidWire};
use obscura_wire::v1;

use super::catalogue::{accounts_from, share_from};
use super::{LONG, Peer, Repeat, Rpc, SHORT, Transport, form};
use crate::error::Error;
use crate::sandbox::{MockRun, Preview};
use crate::studies::{ReleaseStatus, StudyStatus};

/// One question.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question<'a> {
    pub(crate) dataset: &'a DatasetName,
    pub(crate) sql: &'a SqlText,
    pub(crate) accuracy: &'a AccuracyRequest,
}

impl Transport {
    pub(crate) async fn preview(&self, to: &Peer, asked: Question<'_>) -> Result<Preview, Error> {
        let rpc = Rpc::<_, v1::PreviewResponse>::reading("/obscura.v1.Sandbox/Preview");
        let body = v1::PreviewRequest {
            dataset: asked.dataset.to_string(),
            sql: asked.sql.to_string(),
            accuracy: Some(wire::accuracy_to(asked.accuracy)),
        };
        let answer = self.call(to, rpc, &body).await?;
        preview_from(answer).map_err(form(to))
    }

    pub(crate) async fn run_mock(
        &self,
        to: &Peer,
        asked: Question<'_>,
        seed: u64,
    ) -> Result<MockRun, Error> {
        let rpc = Rpc::<_, v1::RunMockResponse>::reading("/obscura.v1.Sandbox/RunMock");
        let body = v1::RunMockRequest {
            dataset: asked.dataset.to_string(),
            sql: asked.sql.to_string(),
            accuracy: Some(wire::accuracy_to(asked.accuracy)),
            seed,
        };
        let answer = self.call(to, rpc, &body).await?;
        mock_from(answer).map_err(form(to))
    }

    pub(crate) async fn submit(&self, to: &Peer, study: &Study) -> Result<StudyStatus, Error> {
        let path = "/obscura.v1.Studies/Submit";
        let rpc = Rpc::<_, v1::StudyStatus>::new(path, Reality::Real, Repeat::Safe, SHORT);
        let status = self.call(to, rpc, &wire::study_to(study)).await;
        let status = status.map_err(Error::about_a_study)?;
        status_from(status).map_err(form(to))
    }

    pub(crate) async fn study_status(
        &self,
        to: &Peer,
        study: StudyId,
    ) -> Result<StudyStatus, Error> {
        let rpc = Rpc::<_, v1::StudyStatus>::reading("/obscura.v1.Studies/Status");
        let status = self.call(to, rpc, &study_request(study)).await?;
        status_from(status).map_err(form(to))
    }

    pub(crate) async fn withdraw(&self, to: &Peer, study: StudyId) -> Result<StudyStatus, Error> {
        let path = "/obscura.v1.Studies/Withdraw";
        let rpc = Rpc::<_, v1::StudyStatus>::new(path, Reality::Real, Repeat::Safe, SHORT);
        let status = self.call(to, rpc, &study_request(study)).await?;
        status_from(status).map_err(form(to))
    }

    pub(crate) async fn list_studies(&self, to: &Peer) -> Result<Vec<StudyStatus>, Error> {
        let rpc = Rpc::<_, v1::ListStudiesResponse>::reading("/obscura.v1.Studies/List");
        let answer = self.call(to, rpc, &v1::ListStudiesRequest {}).await?;
        statuses_from(answer).map_err(form(to))
    }

    /// Runs what was approved; also gives the digest of the request, which the release must name.
    pub(crate) async fn run(
        &self,
        to: &Peer,
        study: &Study,
        release: &ReleaseName,
        id: RequestId,
    ) -> Result<(SignedRelease, Digest), Error> {
        let path = "/obscura.v1.Releases/Run";
        let rpc = Rpc::<_, v1::SignedRelease>::new(path, Reality::Real, Repeat::Safe, LONG);
        let body = v1::RunRequest {
            study_id: study.id().as_bytes().to_vec(),
            study_digest: study_digest(study).as_bytes().to_vec(),
            release: release.to_string(),
        };
        let answer = self.call_as(to, rpc, &body, id).await;
        let (signed, digest) = answer.map_err(Error::about_a_study)?;
        Ok((wire::signed_release_from(signed), digest))
    }
}

/// The digest of the study's document: what owners approve.
pub(crate) fn study_digest(study: &Study) -> Digest {
    Digest::of(&wire::study_encode(study))
}

pub(super) fn study_request(study: StudyId) -> v1::StudyRequest {
    v1::StudyRequest {
        study_id: study.as_bytes().to_vec(),
    }
}

fn preview_from(answer: v1::PreviewResponse) -> Result<Preview, InvalidWire> {
    let v1::PreviewResponse {
        shape,
        price_nano,
        epsilon,
        canonical_sql,
        words,
        slot_ms,
        accounts,
        scientist_limit_nano,
        scientist_used_nano,
        refusal,
    } = answer;
    Ok(Preview {
        shape: wire::shape_from(shape)?,
        price: Rho::from_nano(price_nano),
        epsilon: (epsilon > 0.0 && epsilon.is_finite()).then_some(epsilon),
        canonical_sql,
        words,
        slot: Duration::from_millis(slot_ms),
        accounts: accounts_from(accounts)?,
        share: share_from(scientist_limit_nano, scientist_used_nano),
        refusal: (!refusal.is_empty()).then_some(refusal),
    })
}

fn mock_from(answer: v1::RunMockResponse) -> Result<MockRun, InvalidWire> {
    let v1::RunMockResponse {
        preview,
        exact,
        noisy,
    } = answer;
    let preview = preview_from(preview.ok_or(InvalidWire::Missing("a preview"))?)?;
    Ok(MockRun {
        exact: wire::answer_from(preview.shape.clone(), exact)?,
        noisy: wire::answer_from(preview.shape.clone(), noisy)?,
        preview,
    })
}

pub(super) fn statuses_from(
    answer: v1::ListStudiesResponse,
) -> Result<Vec<StudyStatus>, InvalidWire> {
    let v1::ListStudiesResponse { studies } = answer;
    studies.into_iter().map(status_from).collect()
}

pub(super) fn status_from(status: v1::StudyStatus) -> Result<StudyStatus, InvalidWire> {
    let v1::StudyStatus {
        study_id,
        digest,
        title,
        state,
        reason,
        releases,
        expires_unix_ms,
        changed_unix_ms,
        dataset,
        dataset_version,
        scientist,
    } = status;
    let release = |v1::ReleaseStatus {
                       name,
                       price_nano,
                       times,
                       runs,
                   }: v1::ReleaseStatus| {
        Ok(ReleaseStatus {
            name: ReleaseName::new(&name)?,
            price: Rho::from_nano(price_nano),
            times,
            runs,
        })
    };
    let releases = releases.into_iter().map(release);
    Ok(StudyStatus {
        id: StudyId::from_bytes(&study_id)?,
        digest: Digest::from_bytes(&digest)?,
        title,
        state: wire::state_from(state)?,
        reason,
        releases: releases.collect::<Result<_, InvalidWire>>()?,
        expires: UnixMillis(expires_unix_ms),
        changed: UnixMillis(changed_unix_ms),
        dataset: DatasetName::new(&dataset)?,
        dataset_version,
        scientist,
    })
}
