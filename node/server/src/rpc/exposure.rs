//! Exposure: public meters and limits, and what the caller's own releases added.

use obscura_model::envelope::Reality;
use obscura_wire::v1;
use obscura_wire::v1::exposure_server::Exposure;
use tonic::{Request, Response, Status, async_trait};

use super::{Method, Opened, Services, encode};
use crate::access::For;
use crate::limits;

const GET: Method = Method {
    path: "/obscura.v1.Exposure/GetExposure",
    whom: For::Everybody,
    reality: Reality::Mock,
    most: limits::BODY_BYTES,
};

#[async_trait]
impl Exposure for Services {
    async fn get_exposure(
        &self,
        request: Request<v1::Signed>,
    ) -> Result<Response<v1::Signed>, Status> {
        self.call(
            GET,
            request,
            |node, opened: Opened<v1::GetExposureRequest>| {
                let v1::GetExposureRequest {} = opened.body;
                let key = opened.caller.key();
                let (limit, used) = node.scientist_share(&key);
                Ok(v1::GetExposureResponse {
                    accounts: encode::all_accounts(&node.datasets()?),
                    releases: encode::own_releases(node, &key)?,
                    scientist_limit_nano: limit.map_or(0, |l| l.nano()),
                    scientist_used_nano: used.nano(),
                })
            },
        )
        .await
    }
}
