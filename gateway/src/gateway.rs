//! Building and running a gateway.

#[cfg(test)]
mod tests;

use std::time::Duration;

use obscura_model::identity::{InvalidCertificate, InvalidKey, Party, Role, SigningKey};
use obscura_wire::tls::{self, Credentials, InvalidChain, UnixTime, Usage, check_chain};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::clock::Clock;
use crate::directory::{Directory, InvalidDirectory, Node};
use crate::limits::{CONNECTION_WINDOW, DRAIN_LIMIT, STREAM_WINDOW};
use crate::own::Own;
use crate::routing::Router;
use crate::rpc;

/// What a gateway is made of.
pub struct Parts {
    /// The gateway's certificate and key, and the authority's certificate.
    pub credentials: Credentials,
    /// The nodes that it passes calls on to.
    pub nodes: Vec<Node>,
    /// Tells the time.
    pub clock: Clock,
}

/// A gateway that is ready to run.
pub struct Gateway {
    credentials: Credentials,
    party: Party,
    router: Router<Own>,
}

/// Checks the parts and puts them together. Reads and opens nothing.
///
/// A node's certificate that is out of date is only reported in the log: the other nodes stay in
/// reach, and nobody is misled, because clients check certificates themselves.
///
/// # Errors
///
/// If the gateway's own certificate or an entry of the directory cannot be used.
pub fn build(parts: Parts) -> Result<Gateway, BuildError> {
    let Parts {
        credentials,
        nodes,
        clock,
    } = parts;
    let now = UnixTime::since_unix_epoch(Duration::from_millis(clock().0));
    let party = Party::from_certificate(credentials.certificate())?;
    if party.role != Role::Gateway {
        return Err(BuildError::Role(party.role));
    }
    check_chain(
        credentials.ca(),
        credentials.certificate(),
        now,
        Usage::Server,
    )
    .map_err(BuildError::Chain)?;
    let key = SigningKey::from_pkcs8_der(credentials.private_key()).map_err(BuildError::Key)?;
    for Node {
        name, certificate, ..
    } in &nodes
    {
        if let Err(error) = check_chain(credentials.ca(), certificate, now, Usage::Server) {
            tracing::warn!(node = %name, %error, "nobody will accept this node's certificate");
        }
    }
    let directory = Directory::new(nodes, &credentials).map_err(BuildError::Directory)?;
    let links = directory.links();
    let own = Own::new(rpc::directory::Service::new(directory, key, clock));
    Ok(Gateway {
        credentials,
        party,
        router: Router::new(links, own),
    })
}

impl Gateway {
    /// Who this gateway is.
    #[must_use]
    pub fn party(&self) -> &Party {
        &self.party
    }

    /// Serves on `listener` until `shutdown` is done; then calls under way have 10 seconds to end.
    ///
    /// # Errors
    ///
    /// If the server stops for any other reason.
    pub async fn run(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), tonic::transport::Error> {
        let (asked, drain) = oneshot::channel();
        let signal = async move {
            shutdown.await;
            // Nobody listens only when the server has stopped already.
            let _ = asked.send(());
        };
        let serving = tls::server()
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .serve_with_incoming_shutdown(
                self.router,
                tls::incoming(listener, &self.credentials),
                signal,
            );
        let drained = async move {
            if drain.await.is_err() {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(DRAIN_LIMIT).await;
        };
        tokio::select! {
            ended = serving => ended,
            () = drained => Ok(()),
        }
    }
}

/// Why no gateway can be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The gateway's certificate names nobody.
    #[error("the gateway's certificate cannot be used: have one issued for the role gateway")]
    Certificate(#[from] InvalidCertificate),
    /// The gateway's certificate is for another role.
    #[error("the certificate is for the role {0}: have one issued for the role gateway")]
    Role(Role),
    /// The gateway's certificate would be accepted by nobody.
    #[error("the gateway's certificate is out of date or comes from another authority")]
    Chain(#[source] InvalidChain),
    /// The gateway's key cannot sign.
    #[error("the gateway's private key cannot be used: make an Ed25519 key")]
    Key(#[source] InvalidKey),
    /// An entry of the directory is wrong.
    #[error("the list of nodes cannot be used")]
    Directory(#[source] InvalidDirectory),
}
