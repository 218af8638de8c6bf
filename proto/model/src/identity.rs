//! Who is who: roles, parties, and their Ed25519 keys.
//!
//! Every party has one Ed25519 key, for TLS and for documents. The certificate, issued by the
//! consortium's authority, names role and name in one DNS name, `<name>.<role>.obscura`. TLS 1.3
//! signs under a context of its own and documents are signed under a domain of their own, so that
//! a signature made for one can never pass for the other.

use std::fmt;

use ed25519_dalek::pkcs8::DecodePrivateKey as _;
use ed25519_dalek::{Signature, Signer as _, VerifyingKey};

use crate::ids::{KeyId, PartyName};

/// What a party may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Asks questions.
    Scientist,
    /// Describes data, sets limits, decides.
    Owner,
    /// Holds data and answers.
    Node,
    /// Routes.
    Gateway,
}

impl Role {
    /// All roles.
    pub const ALL: [Role; 4] = [Role::Scientist, Role::Owner, Role::Node, Role::Gateway];

    /// The word in certificates and files.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Role::Scientist => "scientist",
            Role::Owner => "owner",
            Role::Node => "node",
            Role::Gateway => "gateway",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::str::FromStr for Role {
    type Err = InvalidCertificate;
    fn from_str(text: &str) -> Result<Self, InvalidCertificate> {
        Role::ALL
            .into_iter()
            .find(|r| r.as_str() == text)
            .ok_or(InvalidCertificate::Role)
    }
}

/// The DNS name that a certificate of this party carries.
#[must_use]
pub fn dns_name(role: Role, name: &PartyName) -> String {
    format!("{name}.{role}.obscura")
}

/// A role, a name and the key that proves them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Party {
    /// What it may do.
    pub role: Role,
    /// Its name, unique within its role in a consortium.
    pub name: PartyName,
    /// Its public key.
    pub key: KeyId,
}

/// A certificate that names no party.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCertificate {
    /// Not X.509.
    #[error("this is not an X.509 certificate")]
    Form,
    /// No single DNS name of the form `<name>.<role>.obscura`.
    #[error("the certificate must carry exactly one name of the form <name>.<role>.obscura")]
    Name,
    /// No role of that name.
    #[error("the role must be scientist, owner, node or gateway")]
    Role,
    /// The key is not Ed25519, or is a weak point.
    #[error("the certificate's key must be an Ed25519 key")]
    Key,
}

impl Party {
    /// Reads role, name and key from a certificate (DER). Does not check who issued it.
    pub fn from_certificate(der: &[u8]) -> Result<Self, InvalidCertificate> {
        use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};
        let (rest, certificate) =
            X509Certificate::from_der(der).map_err(|_| InvalidCertificate::Form)?;
        if !rest.is_empty() {
            return Err(InvalidCertificate::Form);
        }
        let names = certificate
            .subject_alternative_name()
            .map_err(|_| InvalidCertificate::Name)?
            .ok_or(InvalidCertificate::Name)?;
        let [GeneralName::DNSName(dns)] = names.value.general_names.as_slice() else {
            return Err(InvalidCertificate::Name);
        };
        let mut labels = dns.split('.');
        let (Some(name), Some(role), Some("obscura"), None) =
            (labels.next(), labels.next(), labels.next(), labels.next())
        else {
            return Err(InvalidCertificate::Name);
        };
        let role = role.parse()?;
        let name = PartyName::new(name).map_err(|_| InvalidCertificate::Name)?;
        let info = certificate.public_key();
        let ed25519 = info.algorithm.algorithm.to_id_string() == "1.3.101.112";
        let key = KeyId::from_bytes(&info.subject_public_key.data)
            .ok()
            .filter(|key| ed25519 && verifying_key(key).is_ok())
            .ok_or(InvalidCertificate::Key)?;
        Ok(Party { role, name, key })
    }
}

/// A signature that does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not hold")]
pub struct InvalidSignature;

fn verifying_key(key: &KeyId) -> Result<VerifyingKey, InvalidSignature> {
    let key = VerifyingKey::from_bytes(key.as_bytes()).map_err(|_| InvalidSignature)?;
    if key.is_weak() {
        Err(InvalidSignature)
    } else {
        Ok(key)
    }
}

fn message(domain: &str, bytes: &[u8]) -> Vec<u8> {
    [domain.as_bytes(), &[0], bytes].concat()
}

/// Checks an Ed25519 signature under a domain, strictly (RFC 8032 with small-order keys and
/// malleable encodings refused).
pub fn verify(
    key: &KeyId,
    domain: &str,
    bytes: &[u8],
    signature: &[u8],
) -> Result<(), InvalidSignature> {
    let signature = Signature::from_slice(signature).map_err(|_| InvalidSignature)?;
    verifying_key(key)?
        .verify_strict(&message(domain, bytes), &signature)
        .map_err(|_| InvalidSignature)
}

/// A private key. Has no display; its debug form says nothing.
#[derive(Clone)]
pub struct SigningKey(ed25519_dalek::SigningKey);

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

/// Bytes that are not a private key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is not an Ed25519 private key in PKCS#8 form")]
pub struct InvalidKey;

impl SigningKey {
    /// From 32 secret bytes.
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(&seed))
    }

    /// From PKCS#8 (DER).
    pub fn from_pkcs8_der(der: &[u8]) -> Result<Self, InvalidKey> {
        ed25519_dalek::SigningKey::from_pkcs8_der(der)
            .map(Self)
            .map_err(|_| InvalidKey)
    }

    /// The PKCS#8 form (version 1, DER) of the key with these 32 secret bytes (RFC 8410, section
    /// 7). Version 1, without the public key: the form of version 2 that some libraries write is
    /// one that others refuse.
    #[must_use]
    pub fn pkcs8_der(seed: &[u8; 32]) -> Vec<u8> {
        const PREFIX: [u8; 16] = [
            0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22,
            0x04, 0x20,
        ];
        [&PREFIX[..], seed].concat()
    }

    /// The public key.
    #[must_use]
    pub fn key_id(&self) -> KeyId {
        KeyId::new(self.0.verifying_key().to_bytes())
    }

    /// Signs `bytes` under a domain: Ed25519 over the domain, a zero byte, and the bytes.
    #[must_use]
    pub fn sign(&self, domain: &str, bytes: &[u8]) -> [u8; 64] {
        self.0.sign(&message(domain, bytes)).to_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_holds_for_its_key_domain_and_bytes_only() {
        let key = SigningKey::from_seed([7; 32]);
        let signature = key.sign("a", b"text");
        assert!(verify(&key.key_id(), "a", b"text", &signature).is_ok());
        assert!(verify(&key.key_id(), "b", b"text", &signature).is_err());
        assert!(verify(&key.key_id(), "a", b"texts", &signature).is_err());
        assert!(verify(&key.key_id(), "a", b"text", &signature[..63]).is_err());
        let other = SigningKey::from_seed([8; 32]).key_id();
        assert!(verify(&other, "a", b"text", &signature).is_err());
        for index in 0..64 {
            let mut bad = signature;
            bad[index] ^= 1;
            assert!(
                verify(&key.key_id(), "a", b"text", &bad).is_err(),
                "byte {index}"
            );
        }
    }

    #[test]
    fn small_order_keys_are_refused() {
        let mut identity = [0; 32];
        identity[0] = 1;
        assert!(verify(&KeyId::new(identity), "a", b"", &[0; 64]).is_err());
        assert!(verify(&KeyId::new([0; 32]), "a", b"", &[0; 64]).is_err());
    }
}
