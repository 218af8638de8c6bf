//! Sandbox, Studies and Releases.

use std::time::Duration;

use obscura_model::envelope::Reality;
use obscura_model::exposure::Rho;
use obscura_model::ids::{
    DatasetName, Digest, ProjectName, ReleaseName, RequestId, StudyId, UnixMillis,
};
use obscura_model::release::{RunRequest, SignedRelease};
use obscura_model::study::Study;
use obscura_model::wire::{self, InvalidWire};
use obscura_wire::v1;

use super::catalogue::{accounts_from, share_from};
use super::{LONG, Peer, Repeat, Rpc, SHORT, Transport, form};
use crate::error::Error;
use crate::question::Question;
use crate::sandbox::{DeclaredSize, MockRun, Preview};
use crate::studies::{ReleaseStatus, StudyStatus};

/// What a node answered to a request for a release: nothing is checked yet.
pub(crate) struct Ran {
    pub(crate) signed: SignedRelease,
    /// The node says that it answers an earlier request of ours.
    pub(crate) earlier: bool,
    /// The digest of our request.
    pub(crate) asked: Digest,
}

impl Transport {
    /// On one version of the dataset, or the newest (0).
    pub(crate) async fn preview(
        &self,
        to: &Peer,
        asked: &Question,
        version: u32,
    ) -> Result<Preview, Error> {
        let rpc = Rpc::<_, v1::PreviewResponse>::reading("/obscura.v1.Sandbox/Preview");
        let body = v1::PreviewRequest {
            dataset: asked.dataset.to_string(),
            sql: asked.sql.to_string(),
            accuracy: Some(wire::accuracy_to(&asked.accuracy)),
            options: wire::options_to(&asked.options),
            code_lists: wire::code_lists_to(&asked.code_lists),
            dataset_version: version,
            project: asked
                .project
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
        };
        let answer = self.call(to, rpc, &body).await?;
        preview_from(answer).map_err(form(to))
    }

    pub(crate) async fn run_mock(
        &self,
        to: &Peer,
        asked: &Question,
        seed: u64,
    ) -> Result<MockRun, Error> {
        let rpc = Rpc::<_, v1::RunMockResponse>::reading("/obscura.v1.Sandbox/RunMock");
        let body = v1::RunMockRequest {
            dataset: asked.dataset.to_string(),
            sql: asked.sql.to_string(),
            accuracy: Some(wire::accuracy_to(&asked.accuracy)),
            seed,
            options: wire::options_to(&asked.options),
            code_lists: wire::code_lists_to(&asked.code_lists),
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

    /// Runs what was approved; also gives the digest of the request, which a new release must name.
    pub(crate) async fn run(
        &self,
        to: &Peer,
        asked: &RunRequest,
        id: RequestId,
    ) -> Result<Ran, Error> {
        let path = "/obscura.v1.Releases/Run";
        let rpc = Rpc::<_, v1::RunResponse>::new(path, Reality::Real, Repeat::Safe, LONG);
        let body = v1::RunRequest {
            study_id: asked.study.as_bytes().to_vec(),
            study_digest: asked.study_digest.as_bytes().to_vec(),
            release: asked.release.to_string(),
            again: asked.again,
        };
        let answer = self.call_as(to, rpc, &body, id).await;
        let (answer, digest) = answer.map_err(Error::about_a_study)?;
        ran_from(answer, digest).map_err(form(to))
    }
}

pub(super) fn ran_from(answer: v1::RunResponse, asked: Digest) -> Result<Ran, InvalidWire> {
    let v1::RunResponse { release, earlier } = answer;
    let release = release.ok_or(InvalidWire::Missing("a release"))?;
    Ok(Ran {
        signed: wire::signed_release_from(release),
        earlier,
        asked,
    })
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
        warnings,
        dataset_version,
        fewest_subjects,
        most_subjects,
        most_rows_per_subject,
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
        warnings,
        dataset_version,
        size: DeclaredSize {
            fewest_subjects,
            most_subjects,
            most_rows_per_subject,
        },
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
        exact: wire::answer_from(preview.shape.clone(), exact)?.without_noise(),
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
        project,
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
        project: ProjectName::new(&project)?,
    })
}
