//! The calling side.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::client::Resumption;
use rustls::pki_types::{InvalidDnsNameError, ServerName};
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Channel, Endpoint};

use super::{ALPN, Credentials, InvalidCredentials, VERSIONS, provider};

/// The most bytes of one answer that a client takes:
/// `XClient::new(channel).max_decoding_message_size(MAX_ANSWER_BYTES)`.
pub const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;

/// The longest that connecting, handshake included, may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// How often a silent connection is asked whether it is alive, and how long the answer may take.
const KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(10));

/// How many bytes may be on their way to us unread, on one stream and on the connection. The
/// second is as large as 64 of the first, so that answers which nobody reads hold up no other.
const WINDOWS: (u32, u32) = (256 * 1024, 16 * 1024 * 1024);

/// A channel to the server named `server_name` (such as `basel.node.obscura`) at `address`
/// (`host:port`). Connects when it is first used and again whenever the connection is gone; a
/// call during that time fails with `UNAVAILABLE`. No compression.
///
/// Must be called inside a tokio runtime.
///
/// # Errors
///
/// If the name is not a DNS name.
pub fn channel(
    address: impl Into<String>,
    server_name: &str,
    credentials: &Credentials,
) -> Result<Channel, InvalidTarget> {
    let name = ServerName::try_from(server_name.to_owned()).map_err(InvalidTarget::Name)?;
    let origin = format!("https://{server_name}")
        .parse::<Uri>()
        .map_err(InvalidTarget::Origin)?;
    let connector = TlsConnector::from(credentials.0.calling.clone());
    let address: Arc<str> = address.into().into();
    let connect = tower::service_fn(move |_: Uri| {
        let (address, name, connector) = (address.clone(), name.clone(), connector.clone());
        async move { secure(&address, name, &connector).await.map(TokioIo::new) }
    });
    Ok(endpoint(origin).connect_with_connector_lazy(connect))
}

/// A connection from us to a server, after its handshake.
pub type Connection = TlsStream<TcpStream>;

/// Connects once to the server named `server_name` at `address` (`host:port`), for those who keep
/// their connections themselves. Takes at most 5 seconds.
///
/// # Errors
///
/// If the name is not a DNS name, or the server cannot be reached or is not who it should be.
pub async fn connect(
    address: &str,
    server_name: &str,
    credentials: &Credentials,
) -> Result<Connection, ConnectError> {
    let name = ServerName::try_from(server_name.to_owned())
        .map_err(|error| ConnectError::Target(InvalidTarget::Name(error)))?;
    let connector = TlsConnector::from(credentials.0.calling.clone());
    match tokio::time::timeout(CONNECT_LIMIT, secure(address, name, &connector)).await {
        Ok(connected) => connected.map_err(ConnectError::Handshake),
        Err(_) => Err(ConnectError::TooSlow),
    }
}

/// The certificate (DER) of the server named `server_name` at `address` (`host:port`): the one that
/// a handshake has just checked against the authority and the name. Takes at most 5 seconds.
///
/// # Errors
///
/// As [`connect`].
pub async fn peer_certificate(
    address: &str,
    server_name: &str,
    credentials: &Credentials,
) -> Result<Vec<u8>, ConnectError> {
    let connection = connect(address, server_name, credentials).await?;
    let (_, session) = connection.get_ref();
    let leaf = session.peer_certificates().and_then(<[_]>::first);
    leaf.map(|leaf| leaf.to_vec()).ok_or_else(|| {
        ConnectError::Handshake(io::Error::new(
            io::ErrorKind::InvalidData,
            "the server showed no certificate",
        ))
    })
}

fn endpoint(origin: Uri) -> Endpoint {
    let ((interval, timeout), (stream, connection)) = (KEEP_ALIVE, WINDOWS);
    // The address is the connector's affair; requests name the origin.
    Endpoint::from_static("http://connector.invalid")
        .origin(origin)
        .connect_timeout(CONNECT_LIMIT)
        .http2_keep_alive_interval(interval)
        .keep_alive_timeout(timeout)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(stream)
        .initial_connection_window_size(connection)
}

pub(super) fn config(
    roots: Arc<RootCertStore>,
    resolver: Arc<SingleCertAndKey>,
) -> Result<ClientConfig, InvalidCredentials> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(VERSIONS)
        .map_err(InvalidCredentials::Provider)?
        .with_root_certificates(roots)
        .with_client_cert_resolver(resolver);
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    Ok(config)
}

async fn secure(
    address: &str,
    name: ServerName<'static>,
    connector: &TlsConnector,
) -> io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let stream = connector.connect(name, stream).await?;
    if stream.get_ref().1.alpn_protocol() != Some(ALPN) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the server does not speak HTTP/2",
        ));
    }
    Ok(stream)
}

/// Why no connection could be made.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The server's name cannot be used.
    #[error("the server's name cannot be used")]
    Target(#[source] InvalidTarget),
    /// Nobody listens there, or it is not who it should be, or it does not want us.
    #[error("the server cannot be reached or is not who it should be")]
    Handshake(#[source] io::Error),
    /// It took too long.
    #[error("the server did not answer in time")]
    TooSlow,
}

/// Why no channel could be made.
#[derive(Debug, thiserror::Error)]
pub enum InvalidTarget {
    /// The server's name is not a DNS name.
    #[error("the server's name is not a DNS name such as basel.node.obscura")]
    Name(#[source] InvalidDnsNameError),
    /// The server's name cannot stand in a URI.
    #[error("the server's name cannot be used in an address")]
    Origin(#[source] http::uri::InvalidUri),
}
