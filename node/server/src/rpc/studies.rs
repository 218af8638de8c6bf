//! Studies: submitting and following.

use obscura_model::envelope::Reality;
use obscura_model::ids::StudyId;
use obscura_model::wire;
use obscura_wire::v1;
use obscura_wire::v1::studies_server::Studies;
use tonic::{Request, Response, Status, async_trait};

use super::{Method, Opened, Services, encode};
use crate::access::For;
use crate::error::Error;
use crate::limits;
use crate::studies;

const SUBMIT: Method = Method {
    path: "/obscura.v1.Studies/Submit",
    whom: For::Scientists,
    reality: Reality::Real,
    most: limits::STUDY_BYTES,
};
const STATUS: Method = Method {
    path: "/obscura.v1.Studies/Status",
    whom: For::Everybody,
    reality: Reality::Mock,
    most: limits::BODY_BYTES,
};
const WITHDRAW: Method = Method {
    path: "/obscura.v1.Studies/Withdraw",
    whom: For::Scientists,
    reality: Reality::Real,
    most: limits::BODY_BYTES,
};
const LIST: Method = Method {
    path: "/obscura.v1.Studies/List",
    whom: For::Everybody,
    reality: Reality::Mock,
    most: limits::BODY_BYTES,
};

pub(super) fn study_id(bytes: &[u8]) -> Result<StudyId, Error> {
    Ok(StudyId::from_bytes(bytes).map_err(wire::InvalidWire::from)?)
}

#[async_trait]
impl Studies for Services {
    async fn submit(&self, request: Request<v1::Signed>) -> Result<Response<v1::Signed>, Status> {
        // The document is read from the signed bytes themselves: they are what is kept.
        self.call(
            SUBMIT,
            request,
            |node, opened: Opened<v1::StudyDocument>| {
                let face = studies::submit(node, &opened.caller, &opened.message)?;
                Ok(encode::study(node, &face))
            },
        )
        .await
    }

    async fn status(&self, request: Request<v1::Signed>) -> Result<Response<v1::Signed>, Status> {
        self.call(STATUS, request, |node, opened: Opened<v1::StudyRequest>| {
            let v1::StudyRequest { study_id: id } = &opened.body;
            let face = studies::own(node, &opened.caller, study_id(id)?)?;
            Ok(encode::study(node, &face))
        })
        .await
    }

    async fn withdraw(&self, request: Request<v1::Signed>) -> Result<Response<v1::Signed>, Status> {
        self.call(
            WITHDRAW,
            request,
            |node, opened: Opened<v1::StudyRequest>| {
                let v1::StudyRequest { study_id: id } = &opened.body;
                let id = study_id(id)?;
                let face = studies::withdraw(node, &opened.caller, id, &opened.message)?;
                Ok(encode::study(node, &face))
            },
        )
        .await
    }

    async fn list(&self, request: Request<v1::Signed>) -> Result<Response<v1::Signed>, Status> {
        self.call(
            LIST,
            request,
            |node, opened: Opened<v1::ListStudiesRequest>| {
                let v1::ListStudiesRequest {} = opened.body;
                encode::studies(node, &opened.caller)
            },
        )
        .await
    }
}
