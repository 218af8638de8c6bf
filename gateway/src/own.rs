//! The gateway's own services, by the first part of the path.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{Request, Response};
use obscura_wire::v1::directory_server::DirectoryServer;
use tonic::Status;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};
use tower::Service;

use crate::limits::MOST_OWN_REQUEST_BYTES;
use crate::rpc::directory;
use crate::rpc::status::Refusal;

type Directory = DirectoryServer<directory::Service>;
type Health = HealthServer<HealthService>;

/// The directory and `grpc.health.v1`.
#[derive(Clone)]
pub(crate) struct Own {
    directory: Directory,
    health: Health,
}

impl Own {
    /// The services of a gateway; its health is "serving" for as long as it runs.
    #[must_use]
    pub(crate) fn new(directory: directory::Service) -> Self {
        let health = HealthService::from_health_reporter(HealthReporter::new());
        Self {
            directory: DirectoryServer::new(directory)
                .max_decoding_message_size(MOST_OWN_REQUEST_BYTES),
            health: HealthServer::new(health).max_decoding_message_size(MOST_OWN_REQUEST_BYTES),
        }
    }
}

impl Service<Request<Body>> for Own {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // Generated services are always ready.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let service = request.uri().path().split('/').nth(1).unwrap_or_default();
        if service == <Directory as NamedService>::NAME {
            self.directory.call(request)
        } else if service == <Health as NamedService>::NAME {
            self.health.call(request)
        } else {
            let refusal = Status::from(Refusal::UnknownMethod);
            Box::pin(async move { Ok(refusal.into_http()) })
        }
    }
}
