//! A small world for tests: an authority, nodes that echo, a gateway, and a raw caller.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http2::SendRequest;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use obscura_model::identity::{Role, dns_name};
use obscura_model::ids::{PartyName, UnixMillis};
use obscura_wire::tls::{self, Credentials};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;

use crate::ca::Authority;
use crate::{Node, Parts, build, clock};

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn name(text: &str) -> PartyName {
    PartyName::new(text).unwrap()
}

pub(crate) struct World {
    authority: Authority,
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            authority: Authority::create("Test", [1; 32], clock::now()).unwrap(),
        }
    }

    pub(crate) fn credentials(&self, role: Role, who: &str) -> Credentials {
        self.credentials_at(role, who, clock::now())
    }

    pub(crate) fn credentials_at(&self, role: Role, who: &str, now: UnixMillis) -> Credentials {
        let seed = obscura_model::ids::Digest::of(format!("{who}.{role}").as_bytes());
        let issued = self
            .authority
            .issue(role, &name(who), *seed.as_bytes(), now)
            .unwrap();
        let ca = self.authority.certificate_pem();
        Credentials::from_pem(ca, &issued.certificate_pem, &issued.key_pem).unwrap()
    }

    pub(crate) fn node(&self, who: &str, address: SocketAddr) -> Node {
        let seed = obscura_model::ids::Digest::of(format!("{who}.node").as_bytes());
        let issued = self
            .authority
            .issue(Role::Node, &name(who), *seed.as_bytes(), clock::now())
            .unwrap();
        let certificate = CertificateDer::from_pem_slice(issued.certificate_pem.as_bytes());
        Node {
            name: name(who),
            address: address.to_string(),
            certificate: certificate.unwrap().to_vec(),
        }
    }

    pub(crate) async fn gateway(&self, nodes: Vec<Node>) -> SocketAddr {
        let credentials = self.credentials(Role::Gateway, "hub");
        let gateway = build(Parts {
            credentials,
            nodes,
            clock: clock::system(),
        })
        .unwrap();
        let listener = listen().await;
        let address = listener.local_addr().unwrap();
        tokio::spawn(gateway.run(listener, std::future::pending()));
        address
    }

    /// Opens a connection to the gateway as somebody.
    pub(crate) async fn caller(&self, gateway: SocketAddr, role: Role, who: &str) -> Caller {
        let credentials = self.credentials(role, who);
        let hub = dns_name(Role::Gateway, &name("hub"));
        let stream = tls::connect(&gateway.to_string(), &hub, &credentials)
            .await
            .unwrap();
        // Windows that are smaller than anything on the way: what is not read stays elsewhere.
        let (sender, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
            .initial_stream_window_size(4096)
            .handshake(TokioIo::new(stream))
            .await
            .unwrap();
        tokio::spawn(connection);
        Caller(sender)
    }
}

pub(crate) async fn listen() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

/// A server that answers under a node's name without knowing anything about gRPC.
pub(crate) struct EchoNode {
    pub(crate) address: SocketAddr,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<()>,
}

impl EchoNode {
    pub(crate) async fn start(world: &World, who: &str, listener: TcpListener) -> Self {
        let address = listener.local_addr().unwrap();
        let mut incoming = tls::incoming(listener, &world.credentials(Role::Node, who));
        let (stop, mut stopped) = oneshot::channel();
        let ended = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                tokio::select! {
                    _ = &mut stopped => return,
                    Some(Ok(stream)) = incoming.next() => {
                        let mut server = http2::Builder::new(TokioExecutor::new());
                        // As nodes have them: a connection that many share must not fill up.
                        server.initial_stream_window_size(64 * 1024);
                        server.initial_connection_window_size(16 * 1024 * 1024);
                        connections.spawn(
                            server.serve_connection(TokioIo::new(stream), service_fn(answer)),
                        );
                    }
                }
            }
        });
        Self {
            address,
            stop,
            ended,
        }
    }

    /// Stops at once and closes all connections and the listener.
    pub(crate) async fn stop(self) {
        let _ = self.stop.send(());
        self.ended.await.unwrap();
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let (parts, body) = request.into_parts();
    let mut response = Response::new(match parts.uri.path() {
        // Answers with one frame, and never ends.
        "/test.Test/Hang" => {
            let first = Frame::data(Bytes::from_static(b"first"));
            let frames = tokio_stream::once(Ok::<_, Infallible>(first));
            Body::new(StreamBody::new(frames.chain(tokio_stream::pending())))
        }
        // Never answers.
        "/test.Test/Silence" => std::future::pending().await,
        _ => Body::new(body),
    });
    let seen = response.headers_mut();
    for (key, value) in &parts.headers {
        let key = format!("seen-{key}").parse::<http::HeaderName>().unwrap();
        seen.append(key, value.clone());
    }
    seen.insert(
        "seen-path",
        HeaderValue::from_str(parts.uri.path()).unwrap(),
    );
    seen.insert("connection-only", HeaderValue::from_static("stays"));
    Ok(response)
}

/// A raw HTTP/2 caller.
pub(crate) struct Caller(SendRequest<Body>);

/// The answer to a raw call.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) trailers: HeaderMap,
}

impl Answer {
    /// The gRPC status, wherever it stands.
    pub(crate) fn status(&self) -> Option<(&str, &str)> {
        let text = |map: &HeaderMap| -> Option<(String, String)> {
            let code = map.get("grpc-status")?.to_str().ok()?.to_owned();
            let words = map
                .get("grpc-message")
                .and_then(|v| v.to_str().ok())
                .unwrap_or("");
            Some((code, words.to_owned()))
        };
        let (code, words) = text(&self.headers).or_else(|| text(&self.trailers))?;
        Some((code.leak(), words.leak()))
    }
}

/// A request under construction: path, metadata and body.
pub(crate) fn request(path: &str, node: Option<&str>, body: Body) -> Request<Body> {
    let mut request = Request::post(format!("https://hub.gateway.obscura{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    if let Some(node) = node {
        request = request.header("obscura-node", node);
    }
    request.body(body).unwrap()
}

pub(crate) fn whole(bytes: impl Into<Bytes>) -> Body {
    Body::new(Full::new(bytes.into()))
}

pub(crate) fn streaming() -> (mpsc::Sender<Result<Frame<Bytes>, Infallible>>, Body) {
    let (sender, receiver) = mpsc::channel(1);
    (
        sender,
        Body::new(StreamBody::new(ReceiverStream::new(receiver))),
    )
}

impl Caller {
    pub(crate) async fn begin(&mut self, request: Request<Body>) -> Response<Incoming> {
        self.0.ready().await.unwrap();
        let answer = self.0.send_request(request);
        tokio::time::timeout(PATIENCE, answer)
            .await
            .unwrap()
            .unwrap()
    }

    pub(crate) fn sender(&self) -> SendRequest<Body> {
        self.0.clone()
    }

    pub(crate) async fn call(&mut self, request: Request<Body>) -> Answer {
        let (parts, body) = self.begin(request).await.into_parts();
        let collected = tokio::time::timeout(PATIENCE, body.collect())
            .await
            .unwrap()
            .unwrap();
        let trailers = collected.trailers().cloned().unwrap_or_default();
        Answer {
            headers: parts.headers,
            body: collected.to_bytes(),
            trailers,
        }
    }
}

/// Bytes without a pattern, the same for the same seed (xorshift).
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed | 1;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_be_bytes()[3]
    })
    .take(length)
    .collect()
}
