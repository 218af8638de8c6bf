//! Projects: joining and listing.

use obscura_model::envelope::Reality;
use obscura_wire::v1;
use obscura_wire::v1::projects_server::Projects;
use tonic::{Request, Response, Status, async_trait};

use super::{Method, Opened, Services, encode};
use crate::access::For;
use crate::{limits, projects};

const JOIN: Method = Method {
    path: "/obscura.v1.Projects/Join",
    whom: For::Scientists,
    reality: Reality::Real,
    most: limits::BODY_BYTES,
};
const LIST: Method = Method {
    path: "/obscura.v1.Projects/List",
    whom: For::Scientists,
    reality: Reality::Mock,
    most: limits::BODY_BYTES,
};

#[async_trait]
impl Projects for Services {
    async fn join(&self, request: Request<v1::Signed>) -> Result<Response<v1::Signed>, Status> {
        self.call(JOIN, request, |node, opened: Opened<v1::ProjectRequest>| {
            let v1::ProjectRequest { project } = &opened.body;
            let project = projects::name(project)?;
            let face = projects::join(node, &opened.caller, project, &opened.message)?;
            Ok(encode::project(node, &face))
        })
        .await
    }

    async fn list(&self, request: Request<v1::Signed>) -> Result<Response<v1::Signed>, Status> {
        self.call(
            LIST,
            request,
            |node, opened: Opened<v1::ListProjectsRequest>| {
                let v1::ListProjectsRequest {} = opened.body;
                Ok(encode::projects(node, &projects::all(node, &opened.caller)))
            },
        )
        .await
    }
}
