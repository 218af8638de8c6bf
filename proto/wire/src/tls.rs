//! Mutual TLS 1.3: the only transport of Obscura.
//!
//! Both sides show a certificate of the consortium's authority. TLS 1.3 only, no early data, no
//! session tickets, HTTP/2 by ALPN, and the cryptography provider is handed in here instead of
//! being installed for the whole process. Nothing here reads a file: texts come from the caller.
//!
//! TLS says who is at the other end of *this* connection, which may be a relay. What somebody may
//! do follows from the signed envelope, never from the connection.

mod chain;
mod client;
mod server;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::VerifierBuilderError;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};

pub use chain::{InvalidChain, Usage, check_chain};
pub use client::{
    ConnectError, Connection, InvalidTarget, MAX_ANSWER_BYTES, channel, connect, peer_certificate,
};
pub use rustls::pki_types::UnixTime;
pub use server::{Incoming, PeerCertificate, Secured, incoming, server};

/// The only protocol version spoken.
const VERSIONS: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];

/// The only application protocol spoken: gRPC needs HTTP/2.
const ALPN: &[u8] = b"h2";

/// The longest certificate chain sent: the leaf and one certificate between it and the root.
const LONGEST_CHAIN: usize = 2;

/// Who we are on a connection, and whose certificates we accept.
///
/// Cheap to clone. `Debug` shows neither the key nor anything made from it.
#[derive(Clone)]
pub struct Credentials(Arc<Parts>);

struct Parts {
    chain: Vec<CertificateDer<'static>>,
    key: PrivatePkcs8KeyDer<'static>,
    ca: CertificateDer<'static>,
    accepting: Arc<ServerConfig>,
    calling: Arc<ClientConfig>,
}

impl Credentials {
    /// Reads the three PEM texts: the authority's certificate, our certificate (the leaf first)
    /// and our private key (PKCS #8).
    ///
    /// # Errors
    ///
    /// Says which of the three could not be read, or that key and certificate do not belong
    /// together. Neither dates nor the chain are checked: see [`check_chain`].
    pub fn from_pem(ca: &str, certificate: &str, key: &str) -> Result<Self, InvalidCredentials> {
        let ca = CertificateDer::from_pem_slice(ca.as_bytes()).map_err(InvalidCredentials::Ca)?;
        let chain = CertificateDer::pem_slice_iter(certificate.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(InvalidCredentials::Certificate)?;
        if chain.is_empty() || chain.len() > LONGEST_CHAIN {
            return Err(InvalidCredentials::ChainLength { found: chain.len() });
        }
        let key =
            PrivatePkcs8KeyDer::from_pem_slice(key.as_bytes()).map_err(InvalidCredentials::Key)?;
        let certified = CertifiedKey::from_der(
            chain.clone(),
            PrivateKeyDer::Pkcs8(key.clone_key()),
            &provider(),
        )
        .map_err(|_| InvalidCredentials::Pair)?;
        let roots = Arc::new(roots(ca.clone()).map_err(InvalidCredentials::Anchor)?);
        let resolver = Arc::new(SingleCertAndKey::from(certified));
        let accepting = Arc::new(server::config(roots.clone(), resolver.clone())?);
        let calling = Arc::new(client::config(roots, resolver)?);
        Ok(Self(Arc::new(Parts {
            chain,
            key,
            ca,
            accepting,
            calling,
        })))
    }

    /// Our own certificate (DER).
    #[must_use]
    pub fn certificate(&self) -> &[u8] {
        // `from_pem` refuses an empty chain, so the default is never used.
        self.0.chain.first().map(AsRef::as_ref).unwrap_or_default()
    }

    /// The certificate of the consortium's authority (DER).
    #[must_use]
    pub fn ca(&self) -> &[u8] {
        &self.0.ca
    }

    /// Our private key (PKCS #8, DER), for signing documents. Never log it.
    #[must_use]
    pub fn private_key(&self) -> &[u8] {
        self.0.key.secret_pkcs8_der()
    }
}

/// Reads the first certificate of a PEM text as DER.
///
/// # Errors
///
/// If the text holds none.
pub fn certificate_from_pem(text: &str) -> Result<Vec<u8>, InvalidCredentials> {
    CertificateDer::from_pem_slice(text.as_bytes())
        .map(|der| der.to_vec())
        .map_err(InvalidCredentials::Certificate)
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(..)")
    }
}

/// Why certificate and key could not be used.
#[derive(Debug, thiserror::Error)]
pub enum InvalidCredentials {
    /// The authority's certificate is not PEM, or there is none.
    #[error("the authority's certificate (ca) cannot be read: give one certificate in PEM form")]
    Ca(#[source] pem::Error),
    /// The authority's certificate is PEM, but not a certificate that can be a root.
    #[error("the authority's certificate (ca) is not a certificate of an authority")]
    Anchor(#[source] rustls::Error),
    /// Our certificate is not PEM.
    #[error("the certificate cannot be read: give it in PEM form, the leaf first")]
    Certificate(#[source] pem::Error),
    /// There is no certificate, or there are too many.
    #[error(
        "the certificate text holds {found} certificates: give one, or two with the leaf first"
    )]
    ChainLength {
        /// How many certificates were found.
        found: usize,
    },
    /// Our key is not PEM in the form PKCS #8.
    #[error("the private key cannot be read: give it in PEM form, \"BEGIN PRIVATE KEY\"")]
    Key(#[source] pem::Error),
    /// Key and certificate do not belong together.
    #[error("the private key does not belong to the certificate: use the pair made together")]
    Pair,
    /// No checker of clients' certificates could be made from the authority's certificate.
    #[error("the authority's certificate (ca) cannot be used to check others")]
    Verifier(#[source] VerifierBuilderError),
    /// The provider has no cipher for TLS 1.3.
    #[error("the cryptography provider does not offer TLS 1.3")]
    Provider(#[source] rustls::Error),
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn roots(ca: CertificateDer<'static>) -> Result<RootCertStore, rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(ca)?;
    Ok(roots)
}
