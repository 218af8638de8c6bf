//! Catalogue: public metadata.

use obscura_model::envelope::Reality;
use obscura_wire::v1;
use obscura_wire::v1::catalogue_server::Catalogue;
use tonic::{Request, Response, Status, async_trait};

use super::{Method, Opened, Services, encode};
use crate::access::For;
use crate::limits;

const LIST: Method = Method {
    path: "/obscura.v1.Catalogue/ListDatasets",
    whom: For::Everybody,
    reality: Reality::Mock,
    most: limits::BODY_BYTES,
};
const GET: Method = Method {
    path: "/obscura.v1.Catalogue/GetDataset",
    whom: For::Everybody,
    reality: Reality::Mock,
    most: limits::BODY_BYTES,
};

#[async_trait]
impl Catalogue for Services {
    async fn list_datasets(
        &self,
        request: Request<v1::Signed>,
    ) -> Result<Response<v1::Signed>, Status> {
        self.call(
            LIST,
            request,
            |node, opened: Opened<v1::ListDatasetsRequest>| {
                let v1::ListDatasetsRequest {} = opened.body;
                let datasets = node.datasets()?;
                Ok(v1::ListDatasetsResponse {
                    datasets: datasets.iter().map(encode::dataset).collect(),
                })
            },
        )
        .await
    }

    async fn get_dataset(
        &self,
        request: Request<v1::Signed>,
    ) -> Result<Response<v1::Signed>, Status> {
        self.call(
            GET,
            request,
            |node, opened: Opened<v1::GetDatasetRequest>| {
                let v1::GetDatasetRequest { name } = opened.body;
                Ok(encode::dataset(&node.dataset(&name)?))
            },
        )
        .await
    }
}
