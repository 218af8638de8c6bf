//! Ed25519 keys in the form that both TLS and documents read.

use obscura_model::ids::KeyId;
use rcgen::{KeyPair, PKCS_ED25519, PublicKeyData, SignatureAlgorithm};
use rustls::pki_types::PrivatePkcs8KeyDer;

/// What precedes the 32 secret bytes in PKCS #8 version 1 (RFC 8410, section 7).
///
/// Version 1, without the public key: the form of version 2 that some libraries write is one that
/// others refuse.
const PKCS8_PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// The key pair that follows from 32 secret bytes.
///
/// # Errors
///
/// Never for Ed25519, for which every 32 bytes are a key; the library's signature allows for it.
pub(super) fn pair(seed: [u8; 32]) -> Result<KeyPair, rcgen::Error> {
    let der = PrivatePkcs8KeyDer::from([&PKCS8_PREFIX[..], &seed].concat());
    KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_ED25519)
}

/// Somebody's public key, to be put into a certificate.
pub(super) struct Subject(pub(super) KeyId);

impl PublicKeyData for Subject {
    fn der_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ED25519
    }
}
