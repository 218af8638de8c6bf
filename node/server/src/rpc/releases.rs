//! Releases: running what was approved.

use obscura_model::envelope::Reality;
use obscura_model::wire;
use obscura_wire::v1;
use obscura_wire::v1::releases_server::Releases;
use tonic::{Request, Response, Status, async_trait};

use super::{Method, Services};
use crate::access::For;
use crate::limits;
use crate::pipeline;

const RUN: Method = Method {
    path: "/obscura.v1.Releases/Run",
    whom: For::Scientists,
    reality: Reality::Real,
    most: limits::BODY_BYTES,
};

#[async_trait]
impl Releases for Services {
    async fn run(&self, request: Request<v1::Signed>) -> Result<Response<v1::Signed>, Status> {
        let (caller, message) = self.open(RUN, request)?;
        let asked = (caller.clone(), message.envelope_digest());
        let release = match self.turns.turn(caller.key()).await {
            Ok(turn) => pipeline::release(&self.node, caller, message, turn).await,
            Err(busy) => Err(busy),
        };
        let release = release.map(|r| wire::signed_release_to(&r));
        self.seal(RUN, (&asked.0, asked.1), release)
    }
}
