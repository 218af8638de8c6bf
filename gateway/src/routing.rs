//! Blind routing: a call that names a node in the metadata `obscura-node` goes to that node, body
//! and trailers untouched, whatever its path and whatever is in it. Everything else is for the
//! gateway's own services.
//!
//! What changes on the way: headers that belong to one connection only are left out, and so is
//! `obscura-node`, which was meant for us. `grpc-timeout` passes.

mod calls;
mod link;
mod relayed;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, Request, Response, Uri, header};
use obscura_model::identity::Party;
use obscura_model::ids::PartyName;
use obscura_wire::tls::PeerCertificate;
use tonic::body::Body;
use tower::Service;

use crate::rpc::status::Refusal;
pub(crate) use calls::Calls;
pub(crate) use link::Link;
use relayed::Relayed;

/// The metadata key that names the node a call is for.
pub(crate) const NODE_KEY: HeaderName = HeaderName::from_static("obscura-node");

/// The links to all nodes, by name.
pub(crate) type Links = Arc<BTreeMap<PartyName, Arc<Link>>>;

/// Passes calls on to nodes, and the rest to `own`, the gateway's own services.
#[derive(Clone)]
pub(crate) struct Router<S> {
    links: Links,
    calls: Calls,
    own: S,
}

impl<S> Router<S> {
    /// A router over these links.
    pub(crate) fn new(links: Links, own: S) -> Self {
        Self {
            links,
            calls: Calls::default(),
            own,
        }
    }
}

type Answering = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

impl<S> Service<Request<Body>> for Router<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.own.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Answering {
        match self.link(request.headers()) {
            Ok(None) => Box::pin(self.own.call(request)),
            Ok(Some(link)) => {
                let calls = self.calls.clone();
                Box::pin(
                    async move { Ok(relay(&link, &calls, request).await.unwrap_or_else(refused)) },
                )
            }
            Err(refusal) => Box::pin(async move { Ok(refused(refusal)) }),
        }
    }
}

impl<S> Router<S> {
    fn link(&self, headers: &HeaderMap) -> Result<Option<Arc<Link>>, Refusal> {
        let mut values = headers.get_all(NODE_KEY).iter();
        let Some(value) = values.next() else {
            return Ok(None);
        };
        if values.next().is_some() {
            return Err(Refusal::InvalidNodeName);
        }
        let text = value.to_str().map_err(|_| Refusal::InvalidNodeName)?;
        let name = PartyName::new(text).map_err(|_| Refusal::InvalidNodeName)?;
        self.links
            .get(&name)
            .cloned()
            .map(Some)
            .ok_or(Refusal::UnknownNode(name))
    }
}

fn refused(refusal: Refusal) -> Response<Body> {
    tonic::Status::from(refusal).into_http()
}

async fn relay(
    link: &Arc<Link>,
    calls: &Calls,
    request: Request<Body>,
) -> Result<Response<Body>, Refusal> {
    let (mut parts, body) = request.into_parts();
    let caller = parts
        .extensions
        .get::<PeerCertificate>()
        .ok_or(Refusal::NotAuthorised)?;
    let caller = Party::from_certificate(caller.der()).map_err(|_| Refusal::NotAuthorised)?;
    let call = calls.begin(caller.key, link.name())?;
    parts.extensions.clear();
    leave_out(&mut parts.headers);
    let authority = parts.uri.authority().cloned();
    parts.uri = target(parts.uri.into_parts().path_and_query, authority, link);
    let request = Request::from_parts(parts, body);
    let answer = link.send(request).await.map_err(|error| {
        let node = link.name();
        match error {
            link::SendError::Unreachable(source) => {
                tracing::info!(%node, error = %chain(&source), "a node cannot be reached");
                Refusal::Unreachable(node.clone())
            }
            link::SendError::Lost(source) => {
                tracing::info!(%node, error = %chain(&source), "a connection to a node ended");
                Refusal::ConnectionLost(node.clone())
            }
        }
    })?;
    let (mut parts, body) = answer.into_parts();
    leave_out(&mut parts.headers);
    parts.extensions.clear();
    Ok(Response::from_parts(
        parts,
        Body::new(Relayed::new(body, link.name().clone(), call)),
    ))
}

fn target(path: Option<PathAndQuery>, asked: Option<Authority>, link: &Link) -> Uri {
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(Scheme::HTTPS);
    parts.authority = Some(link.authority().clone()).or(asked);
    parts.path_and_query = path.or_else(|| Some(PathAndQuery::from_static("/")));
    // All three parts are there, so the default is never used.
    Uri::from_parts(parts).unwrap_or_default()
}

/// Headers that describe one connection (RFC 9110, section 7.6.1), and the one that is for us.
/// `te: trailers` stays, because gRPC servers ask for it.
fn leave_out(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    let own = [
        header::CONNECTION,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
        header::PROXY_AUTHENTICATE,
        header::PROXY_AUTHORIZATION,
        header::HOST,
        HeaderName::from_static("keep-alive"),
        HeaderName::from_static("proxy-connection"),
        NODE_KEY,
    ];
    for name in named.iter().chain(&own) {
        headers.remove(name);
    }
    if headers
        .get(header::TE)
        .is_some_and(|value| value != "trailers")
    {
        headers.remove(header::TE);
    }
}

/// An error and its sources, for the log.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text.push_str(": ");
        text.push_str(&error.to_string());
        next = error.source();
    }
    text
}
