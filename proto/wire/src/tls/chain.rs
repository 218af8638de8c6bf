//! Checking a certificate that did not come with a connection.

use std::sync::Arc;

use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::{ParsedCertificate, VerifierBuilderError, WebPkiClientVerifier};

use super::{provider, roots};

/// What a certificate is meant to be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// To call: scientists, owners, and the callers among the servers.
    Client,
    /// To be called: nodes and gateways.
    Server,
}

/// Checks that `certificate` (DER) was issued by the authority `ca` (DER) for `usage`, and that
/// it is in date at `now`. The name in it is the caller's to check.
///
/// # Errors
///
/// Names the step that failed; the source says what was wrong.
pub fn check_chain(
    ca: &[u8],
    certificate: &[u8],
    now: UnixTime,
    usage: Usage,
) -> Result<(), InvalidChain> {
    let roots = Arc::new(roots(ca.to_vec().into()).map_err(InvalidChain::Anchor)?);
    let leaf = CertificateDer::from(certificate);
    match usage {
        Usage::Client => {
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider())
                .build()
                .map_err(InvalidChain::Verifier)?;
            verifier
                .verify_client_cert(&leaf, &[], now)
                .map_err(InvalidChain::Refused)?;
        }
        Usage::Server => {
            let parsed = ParsedCertificate::try_from(&leaf).map_err(InvalidChain::Certificate)?;
            let algorithms = provider().signature_verification_algorithms.all;
            verify_server_cert_signed_by_trust_anchor(&parsed, &roots, &[], now, algorithms)
                .map_err(InvalidChain::Refused)?;
        }
    }
    Ok(())
}

/// Why a certificate is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum InvalidChain {
    /// The authority's certificate cannot be a root.
    #[error("the authority's certificate is not a certificate of an authority")]
    Anchor(#[source] rustls::Error),
    /// The checker could not be made.
    #[error("the authority's certificate cannot be used to check others")]
    Verifier(#[source] VerifierBuilderError),
    /// The certificate cannot be read.
    #[error("the certificate cannot be read: give an X.509 certificate")]
    Certificate(#[source] rustls::Error),
    /// Another authority, out of date, or not for this use.
    #[error("the certificate is not one of this consortium, is out of date or has another use")]
    Refused(#[source] rustls::Error),
}
