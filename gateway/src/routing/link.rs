//! The connection to one node: made when it is first needed, and again when it is gone.

use std::sync::atomic::{AtomicU64, Ordering};

use http::uri::{Authority, InvalidUri};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use obscura_model::identity::{Role, dns_name};
use obscura_model::ids::PartyName;
use obscura_wire::tls::{self, ConnectError, Credentials};
use tokio::sync::Mutex;
use tonic::body::Body;

use crate::limits::{
    KEEP_ALIVE_INTERVAL, KEEP_ALIVE_LIMIT, MOST_HEADER_BYTES, NODE_WINDOW, STREAM_WINDOW,
};

/// One node and the connection to it.
pub(crate) struct Link {
    name: PartyName,
    address: String,
    dns: String,
    authority: Authority,
    credentials: Credentials,
    sender: Mutex<Option<SendRequest<Body>>>,
    /// Counts the attempts to connect, so that those who waited for one that failed fail with it
    /// instead of each making one of their own, one after the other.
    attempts: AtomicU64,
}

impl Link {
    /// A link to the node `name` at `address` (`host:port`). Does not connect yet.
    ///
    /// # Errors
    ///
    /// If the name cannot stand in a URI.
    pub(crate) fn new(
        name: PartyName,
        address: String,
        credentials: Credentials,
    ) -> Result<Self, InvalidUri> {
        let dns = dns_name(Role::Node, &name);
        let authority = dns.parse()?;
        Ok(Self {
            name,
            address,
            dns,
            authority,
            credentials,
            sender: Mutex::new(None),
            attempts: AtomicU64::new(0),
        })
    }

    /// The node's name.
    #[must_use]
    pub(crate) fn name(&self) -> &PartyName {
        &self.name
    }

    pub(super) fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Whether there is a connection, making one if there is none.
    ///
    /// # Errors
    ///
    /// If the node cannot be reached.
    pub(crate) async fn reach(&self) -> Result<(), Unreachable> {
        self.ready().await.map(drop)
    }

    /// Sends a request. One that meets a connection which has just ended, and has not begun to be
    /// sent, is sent once more on a new one.
    pub(super) async fn send(
        &self,
        request: Request<Body>,
    ) -> Result<Response<Incoming>, SendError> {
        let mut sender = self.ready().await.map_err(SendError::Unreachable)?;
        let request = match sender.try_send_request(request).await {
            Ok(answer) => return Ok(answer),
            Err(mut failed) => match failed.take_message() {
                Some(request) => request,
                None => return Err(SendError::Lost(failed.into_error())),
            },
        };
        self.forget(&sender).await;
        let mut sender = self.ready().await.map_err(SendError::Unreachable)?;
        sender
            .try_send_request(request)
            .await
            .map_err(|failed| SendError::Lost(failed.into_error()))
    }

    async fn ready(&self) -> Result<SendRequest<Body>, Unreachable> {
        let seen = self.attempts.load(Ordering::Acquire);
        let mut sender = self.sender.lock().await;
        if let Some(sender) = sender.as_ref().filter(|sender| !sender.is_closed()) {
            return Ok(sender.clone());
        }
        *sender = None;
        if self.attempts.load(Ordering::Acquire) != seen {
            return Err(Unreachable::Together);
        }
        let connected = self.connect().await;
        self.attempts.fetch_add(1, Ordering::AcqRel);
        Ok(sender.insert(connected?).clone())
    }

    /// Forgets the connection of `ended`, unless somebody has made a new one already.
    async fn forget(&self, ended: &SendRequest<Body>) {
        let mut sender = self.sender.lock().await;
        if ended.is_closed() && sender.as_ref().is_some_and(SendRequest::is_closed) {
            *sender = None;
        }
    }

    async fn connect(&self) -> Result<SendRequest<Body>, Unreachable> {
        let stream = tls::connect(&self.address, &self.dns, &self.credentials)
            .await
            .map_err(Unreachable::Connect)?;
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(NODE_WINDOW)
            .max_header_list_size(MOST_HEADER_BYTES)
            .keep_alive_interval(KEEP_ALIVE_INTERVAL)
            .keep_alive_timeout(KEEP_ALIVE_LIMIT)
            .keep_alive_while_idle(true)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(Unreachable::Http)?;
        let node = self.name.clone();
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%node, %error, "a connection to a node ended");
            }
        });
        Ok(sender)
    }
}

/// Why a node could not be reached.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreachable {
    /// No connection could be made.
    #[error("no connection could be made")]
    Connect(#[source] ConnectError),
    /// The node does not speak HTTP/2 as it should.
    #[error("the node does not speak HTTP/2")]
    Http(#[source] hyper::Error),
    /// An attempt made for another call failed while this one waited for it.
    #[error("an attempt made for another call has just failed")]
    Together,
}

/// Why a request did not get an answer.
#[derive(Debug)]
pub(super) enum SendError {
    Unreachable(Unreachable),
    Lost(hyper::Error),
}
