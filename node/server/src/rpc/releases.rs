//! Releases: running what was approved or granted.

use obscura_model::envelope::Reality;
use obscura_model::wire;
use obscura_wire::v1;
use obscura_wire::v1::releases_server::Releases;
use tonic::{Request, Response, Status, async_trait};

use super::{Method, Opened, Services, encode};
use crate::access::For;
use crate::pipeline::{self, Answered};
use crate::{asked, grants, limits};

const RUN: Method = Method {
    path: asked::RUN,
    whom: For::Scientists,
    reality: Reality::Real,
    most: limits::BODY_BYTES,
};
const ASK: Method = Method {
    path: asked::ASK,
    most: limits::STUDY_BYTES,
    ..RUN
};
const LIST_GRANTS: Method = Method {
    path: "/obscura.v1.Releases/ListGrants",
    whom: For::Scientists,
    reality: Reality::Mock,
    most: limits::BODY_BYTES,
};

impl Services {
    /// A release is waited for: it has a turn of its own, and goes on when the caller hangs up.
    async fn release(
        &self,
        method: Method,
        request: Request<v1::Signed>,
    ) -> Result<Response<v1::Signed>, Status> {
        let (caller, message) = self.open(method, request)?;
        let asked = (caller.clone(), message.envelope_digest());
        let answered = match self.turns.turn(caller.key()).await {
            Ok(turn) => pipeline::release(&self.node, caller, message, turn).await,
            Err(busy) => Err(busy),
        };
        let answer = answered.map(|Answered { release, earlier }| v1::RunResponse {
            release: Some(wire::signed_release_to(&release)),
            earlier,
        });
        self.seal(method, (&asked.0, asked.1), answer)
    }
}

#[async_trait]
impl Releases for Services {
    async fn run(&self, request: Request<v1::Signed>) -> Result<Response<v1::Signed>, Status> {
        self.release(RUN, request).await
    }

    async fn ask(&self, request: Request<v1::Signed>) -> Result<Response<v1::Signed>, Status> {
        self.release(ASK, request).await
    }

    async fn list_grants(
        &self,
        request: Request<v1::Signed>,
    ) -> Result<Response<v1::Signed>, Status> {
        self.call(
            LIST_GRANTS,
            request,
            |node, opened: Opened<v1::ListGrantsRequest>| {
                let v1::ListGrantsRequest {} = opened.body;
                Ok(encode::grants(node, &grants::all(node, &opened.caller)))
            },
        )
        .await
    }
}
