//! The accepting side.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::SingleCertAndKey;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;
use tonic::transport::server::Connected;

use super::{ALPN, Credentials, InvalidCredentials, VERSIONS, provider};

/// The longest that a handshake may take.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(5);

/// The most handshakes under way. One more evicts the oldest, which is the one most likely to
/// have stalled on purpose: an honest handshake takes milliseconds.
const MOST_HANDSHAKES: usize = 512;

/// The most connections that wait, after their handshake, for the server to take them.
const MOST_WAITING: usize = 64;

/// The pause after an error of `accept`, such as too many open files, which lasts.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The most requests under way on one connection.
const MOST_STREAMS: u32 = 256;

/// The most bytes of one request that are on their way unread.
const STREAM_WINDOW: u32 = 64 * 1024;

/// The most bytes of requests on their way unread on one connection: every stream's window, so
/// that on a connection which many callers share, as a gateway's is, none holds up another.
const CONNECTION_WINDOW: u32 = MOST_STREAMS * STREAM_WINDOW;

/// The most bytes of headers of one request.
const MOST_HEADER_BYTES: u32 = 16 * 1024;

/// The most streams that a peer may have reset before the server looked at them.
const MOST_PENDING_RESETS: usize = 20;

/// How often a silent connection is asked whether it is alive, and how long the answer may take.
const KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(20));

/// A server for HTTP/2 with the limits that every server of Obscura has. Hand it a service and
/// the stream from [`incoming`].
#[must_use]
pub fn server() -> Server {
    let (interval, timeout) = KEEP_ALIVE;
    Server::builder()
        .max_concurrent_streams(MOST_STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .http2_max_header_list_size(MOST_HEADER_BYTES)
        .http2_max_pending_accept_reset_streams(Some(MOST_PENDING_RESETS))
        .http2_keepalive_interval(Some(interval))
        .http2_keepalive_timeout(Some(timeout))
}

/// Connections whose other side has shown a certificate of the consortium's authority.
pub type Incoming = ReceiverStream<io::Result<Secured>>;

/// Accepts connections until the returned stream is dropped, which also closes the listener:
/// tonic's `serve_with_incoming_shutdown` does so when its signal comes.
///
/// Handshakes run beside the accepting, at most 5 seconds each and at most 512 at a time; one
/// that fails is not an item of the stream. Must be called inside a tokio runtime.
pub fn incoming(listener: TcpListener, credentials: &Credentials) -> Incoming {
    let acceptor = TlsAcceptor::from(credentials.0.accepting.clone());
    let (sender, receiver) = mpsc::channel(MOST_WAITING);
    tokio::spawn(accept(listener, acceptor, sender));
    ReceiverStream::new(receiver)
}

pub(super) fn config(
    roots: Arc<RootCertStore>,
    resolver: Arc<SingleCertAndKey>,
) -> Result<ServerConfig, InvalidCredentials> {
    let provider = provider();
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider.clone())
        .build()
        .map_err(InvalidCredentials::Verifier)?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(VERSIONS)
        .map_err(InvalidCredentials::Provider)?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(resolver);
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Ok(config)
}

type Sender = mpsc::Sender<io::Result<Secured>>;

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, sender: Sender) {
    let mut handshakes = JoinSet::new();
    let mut order = VecDeque::new();
    loop {
        tokio::select! {
            () = sender.closed() => return,
            _ = handshakes.join_next(), if !handshakes.is_empty() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    make_room(&mut order);
                    let work = handshake(stream, acceptor.clone(), sender.clone());
                    order.push_back(handshakes.spawn(work));
                }
                Err(error) => {
                    tracing::warn!(%error, "accepting a connection failed");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
}

fn make_room(order: &mut VecDeque<AbortHandle>) {
    if order.len() >= MOST_HANDSHAKES {
        order.retain(|handshake| !handshake.is_finished());
    }
    if order.len() >= MOST_HANDSHAKES
        && let Some(oldest) = order.pop_front()
    {
        oldest.abort();
    }
}

async fn handshake(stream: TcpStream, acceptor: TlsAcceptor, sender: Sender) {
    match tokio::time::timeout(HANDSHAKE_LIMIT, secure(stream, acceptor)).await {
        // The receiver is gone only when the server stops; then the connection is dropped.
        Ok(Ok(secured)) => drop(sender.send(Ok(secured)).await),
        Ok(Err(error)) => tracing::debug!(%error, "a handshake was refused"),
        Err(_) => tracing::debug!("a handshake took too long"),
    }
}

async fn secure(stream: TcpStream, acceptor: TlsAcceptor) -> io::Result<Secured> {
    stream.set_nodelay(true)?;
    let stream = acceptor.accept(stream).await?;
    let (_, session) = stream.get_ref();
    if session.alpn_protocol() != Some(ALPN) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the peer does not speak HTTP/2",
        ));
    }
    let leaf = session
        .peer_certificates()
        .and_then(<[_]>::first)
        .ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::PermissionDenied,
                "the peer showed no certificate",
            )
        })?;
    let peer = PeerCertificate(Arc::from(leaf.as_ref()));
    Ok(Secured { stream, peer })
}

/// The certificate (DER) of who is at the other end of the connection.
///
/// The server puts it into the extensions of every request:
/// `request.extensions().get::<PeerCertificate>()`. Its chain and dates were checked when the
/// connection was made.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PeerCertificate(Arc<[u8]>);

impl PeerCertificate {
    /// A certificate (DER) that was checked elsewhere.
    #[must_use]
    pub fn from_der(der: &[u8]) -> Self {
        Self(Arc::from(der))
    }

    /// The certificate (DER).
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.0
    }
}

/// A connection after its handshake.
#[derive(Debug)]
pub struct Secured {
    stream: TlsStream<TcpStream>,
    peer: PeerCertificate,
}

impl Secured {
    /// The certificate of the other side.
    #[must_use]
    pub fn peer(&self) -> &PeerCertificate {
        &self.peer
    }
}

impl Connected for Secured {
    type ConnectInfo = PeerCertificate;

    fn connect_info(&self) -> PeerCertificate {
        self.peer.clone()
    }
}

impl AsyncRead for Secured {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Secured {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
