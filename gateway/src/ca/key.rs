//! Ed25519 keys in the form that both TLS and documents read.

use obscura_model::identity::SigningKey;
use obscura_model::ids::KeyId;
use rcgen::{KeyPair, PKCS_ED25519, PublicKeyData, SignatureAlgorithm};
use rustls::pki_types::PrivatePkcs8KeyDer;

/// The key pair that follows from 32 secret bytes.
///
/// # Errors
///
/// Never for Ed25519, for which every 32 bytes are a key; the library's signature allows for it.
pub(super) fn pair(seed: [u8; 32]) -> Result<KeyPair, rcgen::Error> {
    let der = PrivatePkcs8KeyDer::from(SigningKey::pkcs8_der(&seed));
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
