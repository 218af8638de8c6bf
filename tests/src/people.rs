//! A consortium's authority and the parties that it vouches for.

use anyhow::{Context as _, Result};
use obscura_client::{Profile, Target};
use obscura_gateway::ca::Authority;
use obscura_model::identity::{Party, Role, SigningKey};
use obscura_model::ids::{Digest, PartyName, UnixMillis};
use obscura_wire::tls::{Credentials, certificate_from_pem};

/// The authority. Keys follow from names, so that two runs have the same parties.
pub struct Consortium {
    authority: Authority,
    now: UnixMillis,
}

/// Somebody with a certificate.
#[derive(Debug, Clone)]
pub struct Person {
    /// Role, name and key.
    pub party: Party,
    /// The certificate (PEM).
    pub certificate: String,
    /// The private key (PEM).
    pub key: String,
    ca: String,
}

/// A name.
///
/// # Errors
///
/// If it is none.
pub fn name(text: &str) -> Result<PartyName> {
    PartyName::new(text).with_context(|| format!("the name {text}"))
}

impl Consortium {
    /// A new authority, at this time.
    ///
    /// # Errors
    ///
    /// If no certificate can be made.
    pub fn new(title: &str, now: UnixMillis) -> Result<Self> {
        let authority = Authority::create(title, *Digest::of(title.as_bytes()).as_bytes(), now)?;
        Ok(Self { authority, now })
    }

    /// The authority's certificate (PEM).
    #[must_use]
    pub fn ca(&self) -> &str {
        self.authority.certificate_pem()
    }

    /// Makes a key and a certificate for somebody.
    ///
    /// # Errors
    ///
    /// If the name is none.
    pub fn issue(&self, role: Role, who: &str) -> Result<Person> {
        let seed = Digest::of(format!("{who}.{role}").as_bytes());
        let issued = self
            .authority
            .issue(role, &name(who)?, *seed.as_bytes(), self.now)?;
        let der = certificate_from_pem(&issued.certificate_pem)?;
        Ok(Person {
            party: Party::from_certificate(&der)?,
            certificate: issued.certificate_pem,
            key: issued.key_pem,
            ca: self.ca().to_owned(),
        })
    }

    /// Answers a certificate request (PEM).
    ///
    /// # Errors
    ///
    /// If the request is none.
    pub fn sign(&self, request: &str, role: Role, who: &str) -> Result<String> {
        Ok(self
            .authority
            .sign_request(request, role, &name(who)?, self.now)?)
    }
}

impl Person {
    /// The certificate (DER).
    ///
    /// # Errors
    ///
    /// Not expected: it was made here.
    pub fn der(&self) -> Result<Vec<u8>> {
        Ok(certificate_from_pem(&self.certificate)?)
    }

    /// For connections.
    ///
    /// # Errors
    ///
    /// Not expected: all three were made here.
    pub fn credentials(&self) -> Result<Credentials> {
        Ok(Credentials::from_pem(
            &self.ca,
            &self.certificate,
            &self.key,
        )?)
    }

    /// For signatures.
    ///
    /// # Errors
    ///
    /// Not expected: it was made here.
    pub fn signing_key(&self) -> Result<SigningKey> {
        let credentials = self.credentials()?;
        let der = credentials.private_key();
        SigningKey::from_pkcs8_der(der).context("a key that was made here")
    }

    /// A client's profile.
    ///
    /// # Errors
    ///
    /// Not expected: certificate and key were made here.
    pub fn profile(&self, target: Target) -> Result<Profile> {
        let texts = (self.ca.clone(), self.certificate.clone(), self.key.clone());
        Ok(Profile::new(texts.0, texts.1, texts.2, target)?)
    }
}
