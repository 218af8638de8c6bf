//! Who is at the other end: the certificate from a TLS handshake, checked against the consortium's
//! authority and the expected name. Envelopes are addressed to the key in it.

use std::io;

use obscura_wire::tls::{self, ConnectError, Credentials};

use crate::error::Error;
use crate::profile::Target;
use crate::surroundings::Patience;

/// The server's certificate (DER). Tried again while nobody listens.
pub(super) async fn certificate(
    target: &Target,
    credentials: &Credentials,
    patience: Patience,
) -> Result<Vec<u8>, Error> {
    let name = target.dns_name();
    let mut tries = patience.tries();
    loop {
        let error = match tls::peer_certificate(target.address(), &name, credentials).await {
            Ok(certificate) => return Ok(certificate),
            Err(error) => failed(target, error),
        };
        // A certificate that is refused stays refused.
        let again = matches!(error, Error::Connect { .. });
        if !(again && tries.next().await) {
            return Err(error);
        }
    }
}

fn failed(target: &Target, error: ConnectError) -> Error {
    let (who, address) = (target.in_words(), target.address().to_owned());
    match error {
        ConnectError::Target(source) => Error::Target(source),
        ConnectError::Handshake(source) if source.kind() == io::ErrorKind::InvalidData => {
            Error::Handshake {
                who,
                address,
                source,
            }
        }
        ConnectError::Handshake(source) => Error::Connect {
            who,
            address,
            source,
        },
        ConnectError::TooSlow => Error::Connect {
            who,
            address,
            source: io::ErrorKind::TimedOut.into(),
        },
    }
}
