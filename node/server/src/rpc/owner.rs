//! Owner: administration of the owner's own node.

use std::time::Duration;

use obscura_model::envelope::Reality;
use obscura_model::exposure::Rho;
use obscura_model::ids::{DatasetId, Digest, KeyId};
use obscura_model::wire::{self, InvalidWire};
use obscura_wire::tls::{self, UnixTime, Usage};
use obscura_wire::v1;
use obscura_wire::v1::owner_server::Owner;
use tonic::{Request, Response, Status, async_trait};

use super::studies::study_id;
use super::{Method, Opened, Services, encode, journal};
use crate::access::For;
use crate::error::Error;
use crate::limits;
use crate::node::Node;
use crate::{owner, studies};

mod people;

const fn deciding(path: &'static str) -> Method {
    Method {
        path,
        whom: For::OwnersDeciding,
        reality: Reality::Real,
        most: limits::BODY_BYTES,
    }
}

const fn reading(path: &'static str) -> Method {
    Method {
        path,
        whom: For::Owners,
        reality: Reality::Mock,
        most: limits::BODY_BYTES,
    }
}

/// A description may list many categories.
const ADD_DATASET: Method = Method {
    most: limits::MESSAGE_BYTES,
    ..deciding("/obscura.v1.Owner/AddDataset")
};
const SET_LIMIT: Method = deciding("/obscura.v1.Owner/SetLimit");
const REHEARSE_LIMIT: Method = reading("/obscura.v1.Owner/RehearseLimit");
const SET_SCIENTIST_LIMIT: Method = deciding("/obscura.v1.Owner/SetScientistLimit");
const ENROL: Method = deciding("/obscura.v1.Owner/Enrol");
const LIST_REQUESTS: Method = reading("/obscura.v1.Owner/ListRequests");
const REVIEW: Method = reading("/obscura.v1.Owner/Review");
const DECIDE: Method = deciding("/obscura.v1.Owner/Decide");
const GET_EXPOSURE: Method = reading("/obscura.v1.Owner/GetOwnerExposure");
const GET_LOG: Method = reading("/obscura.v1.Owner/GetLog");
const LIFT: Method = deciding("/obscura.v1.Owner/Lift");
const LIST_PROJECTS: Method = reading("/obscura.v1.Owner/ListProjects");
const CONFIRM_MEMBER: Method = deciding("/obscura.v1.Owner/ConfirmMember");
const REMOVE_MEMBER: Method = deciding("/obscura.v1.Owner/RemoveMember");
const SET_PROJECT_LIMIT: Method = deciding("/obscura.v1.Owner/SetProjectLimit");
const GIVE_GRANT: Method = deciding("/obscura.v1.Owner/GiveGrant");
const REVOKE_GRANT: Method = deciding("/obscura.v1.Owner/RevokeGrant");
const LIST_GRANTS: Method = reading("/obscura.v1.Owner/ListGrants");
const MARK_SUBJECTS: Method = many("/obscura.v1.Owner/MarkSubjects");
const REKEY: Method = many("/obscura.v1.Owner/Rekey");
const MERGE: Method = many("/obscura.v1.Owner/Merge");

/// May list many ids.
const fn many(path: &'static str) -> Method {
    Method {
        most: limits::MESSAGE_BYTES,
        ..deciding(path)
    }
}

fn wanted_limit(body: v1::SetLimitRequest) -> Result<owner::WantedLimit, Error> {
    let v1::SetLimitRequest {
        dataset,
        dataset_only,
        epsilon,
        delta,
        mode,
        reason,
        delta_keys,
    } = body;
    Ok(owner::WantedLimit {
        dataset,
        dataset_only,
        epsilon,
        delta,
        delta_keys,
        mode: wire::mode_from(mode)?,
        reason,
    })
}

#[async_trait]
impl Owner for Services {
    async fn add_dataset(
        &self,
        request: Request<v1::Signed>,
    ) -> Result<Response<v1::Signed>, Status> {
        self.call(
            ADD_DATASET,
            request,
            |node, opened: Opened<v1::AddDatasetRequest>| {
                let v1::AddDatasetRequest {
                    description,
                    apart,
                    opt_out,
                    salt,
                } = opened.body;
                let wanted = owner::WantedDataset {
                    description,
                    apart,
                    opt_out,
                    salt,
                };
                let owner::Ingested { face, report } =
                    owner::add_dataset(node, &wanted, &opened.message)?;
                Ok(v1::AddDatasetResponse {
                    dataset: Some(encode::dataset(&face)),
                    rows: report.rows,
                    subjects: report.subjects,
                    rows_without_subject: report.rows_without_subject,
                    rows_of_excluded: report.rows_of_excluded,
                    rows_beyond: report.rows_beyond,
                })
            },
        )
        .await
    }

    async fn set_limit(
        &self,
        request: Request<v1::Signed>,
    ) -> Result<Response<v1::Signed>, Status> {
        self.call(
            SET_LIMIT,
            request,
            |node, opened: Opened<v1::SetLimitRequest>| {
                let wanted = wanted_limit(opened.body)?;
                let position = usize::from(wanted.dataset_only);
                let face = owner::set_limit(node, wanted, &opened.message)?;
                let account = encode::accounts(&face).into_iter().nth(position);
                account.ok_or(Error::Message(InvalidWire::Missing("an account")))
            },
        )
        .await
    }

    async fn rehearse_limit(
        &self,
        request: Request<v1::Signed>,
    ) -> Result<Response<v1::Signed>, Status> {
        self.call(
            REHEARSE_LIMIT,
            request,
            |node, opened: Opened<v1::SetLimitRequest>| {
                owner::rehearse_limit(node, wanted_limit(opened.body)?)?;
                Ok(v1::Done {})
            },
        )
        .await
    }

    async fn set_scientist_limit(
        &self,
        request: Request<v1::Signed>,
    ) -> Result<Response<v1::Signed>, Status> {
        let method = SET_SCIENTIST_LIMIT;
        self.call(
            method,
            request,
            |node, opened: Opened<v1::SetScientistLimitRequest>| {
                let v1::SetScientistLimitRequest {
                    scientist,
                    epsilon,
                    delta,
                    reason: _,
                } = opened.body;
                let person = match scientist.as_slice() {
                    [] => None,
                    key => Some(KeyId::from_bytes(key).map_err(InvalidWire::from)?),
                };
                owner::set_scientist_limit(node, person, epsilon, delta, &opened.message)?;
                Ok(v1::Done {})
            },
        )
        .await
    }

    async fn enrol(&self, request: Request<v1::Signed>) -> Result<Response<v1::Signed>, Status> {
        self.call(ENROL, request, |node, opened: Opened<v1::EnrolRequest>| {
            let v1::EnrolRequest { certificate } = &opened.body;
            let holds = issued_by_authority(node, certificate);
            let person = owner::enrol(node, certificate, holds, &opened.message)?;
            Ok(encode::person(&person))
        })
        .await
    }

    async fn list_requests(
        &self,
        request: Request<v1::Signed>,
    ) -> Result<Response<v1::Signed>, Status> {
        self.call(
            LIST_REQUESTS,
            request,
            |node, opened: Opened<v1::ListRequestsRequest>| {
                let v1::ListRequestsRequest {} = opened.body;
                encode::studies(node, &opened.caller)
            },
        )
        .await
    }

    async fn review(&self, request: Request<v1::Signed>) -> Result<Response<v1::Signed>, Status> {
        self.call(REVIEW, request, |node, opened: Opened<v1::StudyRequest>| {
            let v1::StudyRequest { study_id: id } = &opened.body;
            let review = studies::review(node, &opened.caller, study_id(id)?)?;
            Ok(encode::review(node, &review))
        })
        .await
    }

    async fn decide(&self, request: Request<v1::Signed>) -> Result<Response<v1::Signed>, Status> {
        self.call(DECIDE, request, |node, opened: Opened<v1::Decision>| {
            let decided = decided(opened.body)?;
            let face = studies::decide(node, &opened.caller, decided, &opened.message)?;
            Ok(encode::study(node, &face))
        })
        .await
    }

    async fn get_owner_exposure(
        &self,
        request: Request<v1::Signed>,
    ) -> Result<Response<v1::Signed>, Status> {
        self.call(
            GET_EXPOSURE,
            request,
            |node, opened: Opened<v1::OwnerExposureRequest>| {
                let v1::OwnerExposureRequest {} = opened.body;
                encode::owner_exposure(node)
            },
        )
        .await
    }

    async fn get_log(&self, request: Request<v1::Signed>) -> Result<Response<v1::Signed>, Status> {
        self.call(GET_LOG, request, |node, opened: Opened<v1::LogRequest>| {
            let v1::LogRequest { from, most } = opened.body;
            let most = match most as usize {
                0 => limits::LOG_ENTRIES,
                some => some.min(limits::LOG_ENTRIES),
            };
            journal::log(node, from, most)
        })
        .await
    }

    async fn lift(&self, request: Request<v1::Signed>) -> Result<Response<v1::Signed>, Status> {
        self.call(LIFT, request, |node, opened: Opened<v1::LiftRequest>| {
            let v1::LiftRequest {
                population,
                reason: _,
            } = &opened.body;
            let was_stopped = owner::lift(node, population, &opened.message)?;
            Ok(v1::LiftResponse { was_stopped })
        })
        .await
    }

    async fn list_projects(
        &self,
        request: Request<v1::Signed>,
    ) -> Result<Response<v1::Signed>, Status> {
        self.call(LIST_PROJECTS, request, people::projects).await
    }

    async fn confirm_member(
        &self,
        request: Request<v1::Signed>,
    ) -> Result<Response<v1::Signed>, Status> {
        self.call(CONFIRM_MEMBER, request, people::confirm).await
    }

    async fn remove_member(
        &self,
        request: Request<v1::Signed>,
    ) -> Result<Response<v1::Signed>, Status> {
        self.call(REMOVE_MEMBER, request, people::remove).await
    }

    async fn set_project_limit(
        &self,
        request: Request<v1::Signed>,
    ) -> Result<Response<v1::Signed>, Status> {
        self.call(SET_PROJECT_LIMIT, request, people::limit).await
    }

    async fn give_grant(
        &self,
        request: Request<v1::Signed>,
    ) -> Result<Response<v1::Signed>, Status> {
        self.call(GIVE_GRANT, request, people::give).await
    }

    async fn revoke_grant(
        &self,
        request: Request<v1::Signed>,
    ) -> Result<Response<v1::Signed>, Status> {
        self.call(REVOKE_GRANT, request, people::revoke).await
    }

    async fn list_grants(
        &self,
        request: Request<v1::Signed>,
    ) -> Result<Response<v1::Signed>, Status> {
        self.call(LIST_GRANTS, request, people::grants).await
    }

    async fn mark_subjects(
        &self,
        request: Request<v1::Signed>,
    ) -> Result<Response<v1::Signed>, Status> {
        self.call(MARK_SUBJECTS, request, people::mark).await
    }

    async fn rekey(&self, request: Request<v1::Signed>) -> Result<Response<v1::Signed>, Status> {
        self.call(REKEY, request, people::rekey).await
    }

    async fn merge(&self, request: Request<v1::Signed>) -> Result<Response<v1::Signed>, Status> {
        self.call(MERGE, request, people::merge).await
    }
}

fn issued_by_authority(node: &Node, certificate: &[u8]) -> bool {
    let now = UnixTime::since_unix_epoch(Duration::from_millis(node.now().0));
    tls::check_chain(&node.identity.ca, certificate, now, Usage::Client).is_ok()
}

fn decided(decision: v1::Decision) -> Result<studies::Decided, Error> {
    let v1::Decision {
        study_id: id,
        study_digest,
        dataset_id,
        dataset_version,
        verdict,
        reason,
        price_ceiling_nano,
        queries_digest,
    } = decision;
    Ok(studies::Decided {
        study: study_id(&id)?,
        digest: Digest::from_bytes(&study_digest).map_err(InvalidWire::from)?,
        dataset: DatasetId::from_bytes(&dataset_id).map_err(InvalidWire::from)?,
        version: dataset_version,
        verdict: wire::verdict_from(verdict)?,
        reason,
        ceiling: Rho::from_nano(price_ceiling_nano),
        queries: match queries_digest.as_slice() {
            [] => None,
            bytes => Some(Digest::from_bytes(bytes).map_err(InvalidWire::from)?),
        },
    })
}
