//! Serving: one dispatcher over the generated services, mutual TLS below it.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use obscura_wire::tls::{self, Credentials};
use obscura_wire::v1::catalogue_server::CatalogueServer;
use obscura_wire::v1::exposure_server::ExposureServer;
use obscura_wire::v1::owner_server::OwnerServer;
use obscura_wire::v1::projects_server::ProjectsServer;
use obscura_wire::v1::releases_server::ReleasesServer;
use obscura_wire::v1::sandbox_server::SandboxServer;
use obscura_wire::v1::studies_server::StudiesServer;
use tokio::net::TcpListener;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};
use tower::{Service, ServiceExt as _};

use crate::limits;
use crate::node::Node;
use crate::rpc::Services;

/// All services of the node, chosen by the first part of the path.
#[derive(Debug, Clone)]
struct Dispatch {
    catalogue: CatalogueServer<Services>,
    sandbox: SandboxServer<Services>,
    studies: StudiesServer<Services>,
    projects: ProjectsServer<Services>,
    releases: ReleasesServer<Services>,
    exposure: ExposureServer<Services>,
    owner: OwnerServer<Services>,
    health: HealthServer<HealthService>,
}

type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

impl Dispatch {
    fn new(node: Arc<Node>, health: HealthServer<HealthService>) -> Self {
        let services = Services::new(node);
        let most = limits::MESSAGE_BYTES;
        Self {
            catalogue: CatalogueServer::new(services.clone()).max_decoding_message_size(most),
            sandbox: SandboxServer::new(services.clone()).max_decoding_message_size(most),
            studies: StudiesServer::new(services.clone()).max_decoding_message_size(most),
            projects: ProjectsServer::new(services.clone()).max_decoding_message_size(most),
            releases: ReleasesServer::new(services.clone()).max_decoding_message_size(most),
            exposure: ExposureServer::new(services.clone()).max_decoding_message_size(most),
            owner: OwnerServer::new(services).max_decoding_message_size(most),
            health,
        }
    }
}

impl Service<Request<Body>> for Dispatch {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Answer {
        let service = request.uri().path().split('/').nth(1).unwrap_or_default();
        match service {
            CatalogueServer::<Services>::NAME => Box::pin(self.catalogue.clone().oneshot(request)),
            SandboxServer::<Services>::NAME => Box::pin(self.sandbox.clone().oneshot(request)),
            StudiesServer::<Services>::NAME => Box::pin(self.studies.clone().oneshot(request)),
            ProjectsServer::<Services>::NAME => Box::pin(self.projects.clone().oneshot(request)),
            ReleasesServer::<Services>::NAME => Box::pin(self.releases.clone().oneshot(request)),
            ExposureServer::<Services>::NAME => Box::pin(self.exposure.clone().oneshot(request)),
            OwnerServer::<Services>::NAME => Box::pin(self.owner.clone().oneshot(request)),
            HealthServer::<HealthService>::NAME => Box::pin(self.health.clone().oneshot(request)),
            _ => Box::pin(async { Ok(crate::rpc::unknown_method()) }),
        }
    }
}

/// Serves until `shutdown`, then lets open calls end, up to a limit.
pub async fn run(
    node: Arc<Node>,
    listener: TcpListener,
    credentials: &Credentials,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), tonic::transport::Error> {
    let reporter = HealthReporter::new();
    let health = HealthServer::new(HealthService::from_health_reporter(reporter.clone()));
    reporter.set_serving::<ReleasesServer<Services>>().await;
    let watched = tokio::spawn(watch(node.clone(), reporter));
    let dispatch = Dispatch::new(node, health);
    let incoming = tls::incoming(listener, credentials);
    let (stopping, stopped) = tokio::sync::oneshot::channel();
    let signal = async move {
        shutdown.await;
        let _gone = stopping.send(());
    };
    let serving = tls::server().serve_with_incoming_shutdown(dispatch, incoming, signal);
    let served = tokio::select! {
        served = serving => served,
        () = drained(stopped) => Ok(()),
    };
    watched.abort();
    served
}

/// Ends the drain: some time after the signal.
async fn drained(stopped: tokio::sync::oneshot::Receiver<()>) {
    if stopped.await.is_ok() {
        tokio::time::sleep(limits::DRAIN).await;
    } else {
        std::future::pending::<()>().await;
    }
}

/// Says "not serving" for good when the ledger has stopped.
async fn watch(node: Arc<Node>, reporter: HealthReporter) {
    let mut every = tokio::time::interval(limits::HEALTH_CHECK);
    loop {
        every.tick().await;
        if node.ledger().health().is_err() {
            reporter.set_not_serving::<ReleasesServer<Services>>().await;
            reporter
                .set_service_status("", tonic_health::ServingStatus::NotServing)
                .await;
            return;
        }
    }
}
