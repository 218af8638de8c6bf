//! The consortium's authority: a small certificate authority for those who have none.
//!
//! It says one thing: this key belongs to this name in this role. What a party may do is decided
//! elsewhere, by the data owner who enrols a key. Ed25519 throughout. Every certificate carries
//! exactly one name, `<name>.<role>.obscura`, and the authority itself is good for names under
//! `obscura` only. Neither the clock nor randomness is read here: both are arguments.

mod key;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::Path;
use std::time::Duration;

use obscura_model::identity::{InvalidCertificate, Party, Role, dns_name};
use obscura_model::ids::{Digest, KeyId, PartyName, UnixMillis};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    NameConstraints, PKCS_ED25519, PublicKeyData as _, SanType, SerialNumber,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, DnsName};

use crate::files::{self, Readers};

/// How long the authority's own certificate is valid: ten years.
pub const AUTHORITY_VALIDITY: Duration = Duration::from_secs(3650 * DAY);

/// How long an issued certificate is valid: 825 days, long enough for a study and short enough
/// that a forgotten key goes out of use. Never longer than the authority's own certificate.
pub const CERTIFICATE_VALIDITY: Duration = Duration::from_secs(825 * DAY);

/// How far back validity starts, for machines whose clocks are behind.
const BACKDATED: Duration = Duration::from_secs(3600);

const DAY: u64 = 24 * 3600;

/// The latest time that a certificate here can carry: the end of the year 9000.
const LATEST_SECONDS: u64 = 221_845_392_000;

const CERTIFICATE_FILE: &str = "ca.pem";
const KEY_FILE: &str = "ca.key";

/// A certificate authority with its private key. `Debug` does not show the key.
pub struct Authority {
    certificate_pem: String,
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
    /// In seconds since 1970.
    not_after: u64,
}

/// A certificate and the key made for it. `Debug` does not show the key.
pub struct Issued {
    /// The certificate (PEM).
    pub certificate_pem: String,
    /// The private key (PKCS #8, PEM).
    pub key_pem: String,
}

/// A certificate request and the key made for it. `Debug` does not show the key.
pub struct Requested {
    /// The request (PKCS #10, PEM), signed by its own key.
    pub request_pem: String,
    /// The private key (PKCS #8, PEM), which stays where it was made.
    pub key_pem: String,
}

/// Makes a key from `seed`, 32 secret bytes used once, and a certificate request for it. The
/// request names nobody: the authority decides on role and name.
///
/// # Errors
///
/// If the library refuses to make either, which is not expected.
pub fn request(seed: [u8; 32]) -> Result<Requested, Error> {
    let pair = key::pair(seed).map_err(Error::Make)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    let request = params.serialize_request(&pair).map_err(Error::Make)?;
    let request_pem = request.pem().map_err(Error::Make)?;
    Ok(Requested {
        request_pem,
        key_pem: pair.serialize_pem(),
    })
}

impl Authority {
    /// Makes a new authority whose key follows from `seed`: 32 secret bytes, used once.
    ///
    /// # Errors
    ///
    /// If `consortium` is empty or longer than 64 characters, or the time is out of range.
    pub fn create(consortium: &str, seed: [u8; 32], now: UnixMillis) -> Result<Self, Error> {
        if consortium.trim().is_empty() || consortium.chars().count() > 64 {
            return Err(Error::Consortium);
        }
        let pair = key::pair(seed).map_err(Error::Make)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = common_name(consortium);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: vec![GeneralSubtree::DnsName("obscura".to_owned())],
            excluded_subtrees: Vec::new(),
        });
        let not_after = seconds(now).saturating_add(AUTHORITY_VALIDITY.as_secs());
        set_validity(&mut params, now, not_after)?;
        params.serial_number = Some(serial(pair.der_bytes(), pair.der_bytes(), now));
        let certificate = params.self_signed(&pair).map_err(Error::Make)?;
        Self::from_pem(certificate.pem(), pair)
    }

    /// Reads an authority that [`Authority::save`] wrote to a folder.
    ///
    /// # Errors
    ///
    /// If a file is missing, unreadable, or not what it should be.
    pub fn load(folder: &Path) -> Result<Self, Error> {
        let certificate = files::read(&folder.join(CERTIFICATE_FILE))?;
        let key = files::read(&folder.join(KEY_FILE))?;
        let pair =
            KeyPair::from_pkcs8_pem_and_sign_algo(&key, &PKCS_ED25519).map_err(Error::Key)?;
        Self::from_pem(certificate, pair)
    }

    /// Writes `ca.pem` and, readable by its owner only, `ca.key` into a folder, which is made if
    /// it is missing.
    ///
    /// # Errors
    ///
    /// If either file exists already, or cannot be written.
    pub fn save(&self, folder: &Path) -> Result<(), Error> {
        let (certificate, key) = (folder.join(CERTIFICATE_FILE), folder.join(KEY_FILE));
        files::make_folder(folder)?;
        files::none_exists(&[&certificate, &key])?;
        files::write_new(&key, &self.issuer.key().serialize_pem(), Readers::Owner)?;
        files::write_new(&certificate, &self.certificate_pem, Readers::Everybody)?;
        Ok(())
    }

    /// The authority's certificate (PEM): what every party must have.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// Makes a key from `seed`, 32 secret bytes used once, and a certificate for it.
    ///
    /// # Errors
    ///
    /// As [`Authority::certify`].
    pub fn issue(
        &self,
        role: Role,
        name: &PartyName,
        seed: [u8; 32],
        now: UnixMillis,
    ) -> Result<Issued, Error> {
        let pair = key::pair(seed).map_err(Error::Make)?;
        let key = KeyId::from_bytes(pair.der_bytes()).map_err(|_| Error::NotEd25519)?;
        let certificate_pem = self.certify(role, name, key, now)?;
        Ok(Issued {
            certificate_pem,
            key_pem: pair.serialize_pem(),
        })
    }

    /// Answers a certificate request (PKCS #10, PEM), whose key stays where it was made. The
    /// request must be signed by its own key; names and uses that it asks for are ignored.
    ///
    /// # Errors
    ///
    /// If the request cannot be read or its signature does not hold, and as
    /// [`Authority::certify`].
    pub fn sign_request(
        &self,
        request_pem: &str,
        role: Role,
        name: &PartyName,
        now: UnixMillis,
    ) -> Result<String, Error> {
        // Reading checks the signature, which proves that the sender has the private key.
        let request =
            CertificateSigningRequestParams::from_pem(request_pem).map_err(Error::Request)?;
        if request.public_key.algorithm() != &PKCS_ED25519 {
            return Err(Error::NotEd25519);
        }
        let key =
            KeyId::from_bytes(request.public_key.der_bytes()).map_err(|_| Error::NotEd25519)?;
        self.certify(role, name, key, now)
    }

    /// The certificate (PEM) that says: `key` belongs to `name` in `role`. Whoever calls this has
    /// made sure that it is so.
    ///
    /// # Errors
    ///
    /// If the authority is out of date, the name cannot be a DNS label, or the key is weak.
    pub fn certify(
        &self,
        role: Role,
        name: &PartyName,
        key: KeyId,
        now: UnixMillis,
    ) -> Result<String, Error> {
        if seconds(now) >= self.not_after {
            return Err(Error::OutOfDate);
        }
        let dns = dns_name(role, name);
        DnsName::try_from(dns.as_str()).map_err(|_| Error::Name { name: name.clone() })?;
        let mut params = CertificateParams::default();
        params.distinguished_name = common_name(&dns);
        let san = dns.as_str().try_into().map_err(Error::Make)?;
        params.subject_alt_names = vec![SanType::DnsName(san)];
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = usages(role);
        params.use_authority_key_identifier_extension = true;
        let not_after = seconds(now).saturating_add(CERTIFICATE_VALIDITY.as_secs());
        set_validity(&mut params, now, not_after.min(self.not_after))?;
        params.serial_number = Some(serial(&self.certificate, key.as_bytes(), now));
        let made = params
            .signed_by(&key::Subject(key), &self.issuer)
            .map_err(Error::Make)?;
        // What was written is read back as everybody else will read it.
        let wanted = Party {
            role,
            name: name.clone(),
            key,
        };
        if Party::from_certificate(made.der()).map_err(Error::Unfit)? != wanted {
            return Err(Error::Unfit(InvalidCertificate::Name));
        }
        Ok(made.pem())
    }

    fn from_pem(certificate_pem: String, pair: KeyPair) -> Result<Self, Error> {
        let certificate = CertificateDer::from_pem_slice(certificate_pem.as_bytes())
            .map_err(|_| Error::Certificate)?;
        let not_after = {
            let (_, parsed) = x509_parser::parse_x509_certificate(&certificate)
                .map_err(|_| Error::Certificate)?;
            if parsed.public_key().subject_public_key.data.as_ref() != pair.der_bytes() {
                return Err(Error::Pair);
            }
            u64::try_from(parsed.validity().not_after.timestamp()).map_err(|_| Error::Time)?
        };
        let issuer = Issuer::from_ca_cert_der(&certificate, pair).map_err(Error::Issuer)?;
        Ok(Self {
            certificate_pem,
            certificate,
            issuer,
            not_after,
        })
    }
}

/// Servers also call: a gateway calls nodes, and a node will call its gateway.
fn usages(role: Role) -> Vec<ExtendedKeyUsagePurpose> {
    use ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
    match role {
        Role::Scientist | Role::Owner => vec![ClientAuth],
        Role::Node | Role::Gateway => vec![ClientAuth, ServerAuth],
    }
}

fn common_name(text: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, text);
    name
}

fn seconds(time: UnixMillis) -> u64 {
    time.0 / 1000
}

fn set_validity(params: &mut CertificateParams, now: UnixMillis, until: u64) -> Result<(), Error> {
    if until > LATEST_SECONDS {
        return Err(Error::Time);
    }
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let from = seconds(now).saturating_sub(BACKDATED.as_secs());
    params.not_before = epoch + Duration::from_secs(from);
    params.not_after = epoch + Duration::from_secs(until);
    Ok(())
}

/// Differs between any two certificates of an authority, as RFC 5280, section 4.1.2.2, demands:
/// it follows from who issues, for which key, and when.
fn serial(issuer: &[u8], key: &[u8], now: UnixMillis) -> SerialNumber {
    let digest = Digest::of_parts(&[issuer, key, &now.0.to_be_bytes()]);
    let mut bytes = digest
        .as_bytes()
        .first_chunk::<16>()
        .copied()
        .unwrap_or_default();
    // Positive and not empty, whatever the digest.
    bytes[0] = bytes[0] & 0x7f | 0x40;
    SerialNumber::from_slice(&bytes)
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authority(..)")
    }
}

impl fmt::Debug for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Issued(..)")
    }
}

impl fmt::Debug for Requested {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Requested(..)")
    }
}

/// Why the authority did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The consortium's name is empty or too long.
    #[error("the consortium needs a name of 1 to 64 characters")]
    Consortium,
    /// A file could not be written or read.
    #[error(transparent)]
    File(#[from] files::Error),
    /// The authority's certificate cannot be read.
    #[error("ca.pem is not a certificate: restore it from a copy")]
    Certificate,
    /// The authority's certificate cannot issue.
    #[error("ca.pem is not the certificate of an authority: restore it from a copy")]
    Issuer(#[source] rcgen::Error),
    /// The authority's key cannot be read.
    #[error("ca.key is not an Ed25519 private key in PEM form: restore it from a copy")]
    Key(#[source] rcgen::Error),
    /// The authority's key and certificate do not belong together.
    #[error("ca.key does not belong to ca.pem: restore both from the same copy")]
    Pair,
    /// The authority's own certificate has ended.
    #[error("the authority's own certificate is out of date: make a new authority")]
    OutOfDate,
    /// A date out of range.
    #[error("the date is out of range for a certificate: check this machine's clock")]
    Time,
    /// The name is fine elsewhere, but not in a DNS name.
    #[error("the name {name} cannot be used in a certificate: it must not end with a hyphen")]
    Name {
        /// The name.
        name: PartyName,
    },
    /// The request cannot be read, or is not signed by its own key.
    #[error("the certificate request cannot be used: it must be PKCS #10 signed by its own key")]
    Request(#[source] rcgen::Error),
    /// Another kind of key.
    #[error("the key must be an Ed25519 key")]
    NotEd25519,
    /// What was made would not be accepted by anybody.
    #[error("no certificate can be made for this key")]
    Unfit(#[source] InvalidCertificate),
    /// The certificate could not be made.
    #[error("the certificate could not be made")]
    Make(#[source] rcgen::Error),
}
