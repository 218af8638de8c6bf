//! A profile: who we are and where to call. One TOML file, readable by its owner only.

use std::fmt;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use obscura_model::codelist::{CodeList, SignedCodeList};
use obscura_model::identity::{self, InvalidCertificate, Party, Role, SigningKey};
use obscura_model::ids::{PartyName, UnixMillis};
use obscura_wire::tls::{self, Credentials, InvalidChain, UnixTime, Usage};
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// Where a profile leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// To a gateway, and through it to every node: for scientists.
    Gateway {
        /// `host:port`.
        address: String,
        /// The gateway's name in its certificate.
        name: PartyName,
    },
    /// To one node directly: for its owner.
    Node {
        /// `host:port`.
        address: String,
        /// The node's name in its certificate.
        name: PartyName,
    },
}

impl Target {
    pub(crate) fn address(&self) -> &str {
        match self {
            Target::Gateway { address, .. } | Target::Node { address, .. } => address,
        }
    }

    pub(crate) fn name(&self) -> &PartyName {
        match self {
            Target::Gateway { name, .. } | Target::Node { name, .. } => name,
        }
    }

    pub(crate) fn role(&self) -> Role {
        match self {
            Target::Gateway { .. } => Role::Gateway,
            Target::Node { .. } => Role::Node,
        }
    }

    /// `gateway alpine` or `node basel`.
    #[must_use]
    pub fn in_words(&self) -> String {
        format!("{} {}", self.role(), self.name())
    }

    pub(crate) fn dns_name(&self) -> String {
        identity::dns_name(self.role(), self.name())
    }
}

/// Who we are and where to call. Its debug form shows no key.
#[derive(Clone)]
pub struct Profile {
    ca: String,
    certificate: String,
    key: String,
    target: Target,
    heads: Option<PathBuf>,
}

impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Profile")
            .field("target", &self.target)
            .field("heads", &self.heads)
            .finish_non_exhaustive()
    }
}

/// Why a profile cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InvalidProfile {
    /// Cannot be read.
    #[error(
        "the profile {path} cannot be read: `obscura profile list` shows those that you have, \
         `obscura profile add` makes one"
    )]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Others may read the private key in it.
    #[error("others can read the profile {path}, which holds a private key: run chmod 600 on it")]
    Open {
        /// Which file.
        path: PathBuf,
    },
    /// Not of the expected form.
    #[error("{path} is not a profile (line {line}: {what}): make one with `obscura profile add`")]
    Form {
        /// Which file.
        path: PathBuf,
        /// In which line, from 1.
        line: usize,
        /// What is wrong there; never the line itself, which may hold the key.
        what: String,
    },
    /// The certificate in it is not one of the authority in it.
    #[error("the profile's certificate is not one of the authority in it, or is out of date")]
    Chain(#[source] InvalidChain),
    /// Names both a gateway and a node, or neither.
    #[error("the profile {path} must name either a gateway or a node")]
    Target {
        /// Which file.
        path: PathBuf,
    },
    /// A name that is none.
    #[error("the profile {path} names no party")]
    Name {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: obscura_model::ids::InvalidId,
    },
    /// Cannot be written. Existing files are never overwritten.
    #[error("the profile {path} cannot be written; an existing one is never overwritten")]
    Write {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Cannot be put into TOML.
    #[error("the profile cannot be put into a file")]
    Encode(#[source] toml::ser::Error),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    ca: String,
    certificate: String,
    key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    gateway: Option<FileTarget>,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<FileTarget>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileTarget {
    address: String,
    name: String,
}

impl Profile {
    /// From three PEM texts. Heads are remembered in memory only; see [`Profile::with_heads`].
    ///
    /// # Errors
    ///
    /// If certificate and key do not belong together, or the certificate names no party.
    pub fn new(
        ca: String,
        certificate: String,
        key: String,
        target: Target,
    ) -> Result<Self, Error> {
        let profile = Profile {
            ca,
            certificate,
            key,
            target,
            heads: None,
        };
        profile.party()?;
        Ok(profile)
    }

    /// Remembers the journal heads of nodes in this file.
    #[must_use]
    pub fn with_heads(self, path: PathBuf) -> Self {
        Profile {
            heads: Some(path),
            ..self
        }
    }

    /// Reads a profile. Heads are remembered in `NAME.heads.json` beside it.
    ///
    /// # Errors
    ///
    /// Says what is wrong with the file; on Unix also if others can read it.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let at = || path.to_path_buf();
        let read = |source| InvalidProfile::Read { path: at(), source };
        let text = fs::read_to_string(path).map_err(read)?;
        let file: File = toml::from_str(&text).map_err(|error| form(path, &text, &error))?;
        if readable_by_others(path).map_err(read)? {
            return Err(InvalidProfile::Open { path: at() }.into());
        }
        let name = |target: &FileTarget| {
            PartyName::new(&target.name)
                .map_err(|source| InvalidProfile::Name { path: at(), source })
        };
        let target = match (file.gateway, file.node) {
            (Some(gateway), None) => Target::Gateway {
                name: name(&gateway)?,
                address: gateway.address,
            },
            (None, Some(node)) => Target::Node {
                name: name(&node)?,
                address: node.address,
            },
            (Some(_), Some(_)) | (None, None) => {
                return Err(InvalidProfile::Target { path: at() }.into());
            }
        };
        let profile = Profile::new(file.ca, file.certificate, file.key, target)?;
        Ok(profile.with_heads(path.with_extension("heads.json")))
    }

    /// Checks that the authority in it issued the certificate in it, which is in date at `now`.
    ///
    /// # Errors
    ///
    /// If not.
    pub fn check(&self, now: UnixMillis) -> Result<(), Error> {
        let credentials = self.credentials()?;
        let now = UnixTime::since_unix_epoch(Duration::from_millis(now.0));
        let (ca, certificate) = (credentials.ca(), credentials.certificate());
        tls::check_chain(ca, certificate, now, Usage::Client).map_err(InvalidProfile::Chain)?;
        Ok(())
    }

    /// Writes a new file that only its owner can read.
    ///
    /// # Errors
    ///
    /// If the file exists or cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), Error> {
        let target = Some(FileTarget {
            address: self.target.address().to_owned(),
            name: self.target.name().to_string(),
        });
        let (gateway, node) = match self.target {
            Target::Gateway { .. } => (target, None),
            Target::Node { .. } => (None, target),
        };
        let text = toml::to_string_pretty(&File {
            ca: self.ca.clone(),
            certificate: self.certificate.clone(),
            key: self.key.clone(),
            gateway,
            node,
        })
        .map_err(InvalidProfile::Encode)?;
        write_private(path, text.as_bytes()).map_err(|source| InvalidProfile::Write {
            path: path.to_path_buf(),
            source,
        })?;
        Ok(())
    }

    /// Where it leads.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Where heads are remembered.
    #[must_use]
    pub fn heads(&self) -> Option<&Path> {
        self.heads.as_deref()
    }

    /// The certificate of the consortium's authority (PEM).
    #[must_use]
    pub fn ca(&self) -> &str {
        &self.ca
    }

    /// Who we are: role, name and public key.
    ///
    /// # Errors
    ///
    /// If the certificate names no party.
    pub fn party(&self) -> Result<Party, Error> {
        Party::from_certificate(self.credentials()?.certificate()).map_err(Error::OwnCertificate)
    }

    /// Signs a code list as its author.
    ///
    /// # Errors
    ///
    /// If the profile's key cannot be used.
    pub fn sign_code_list(&self, list: CodeList) -> Result<SignedCodeList, Error> {
        let key = SigningKey::from_pkcs8_der(self.credentials()?.private_key())
            .map_err(|_| Error::OwnCertificate(InvalidCertificate::Key))?;
        Ok(SignedCodeList::sign(&key, list))
    }

    pub(crate) fn credentials(&self) -> Result<Credentials, Error> {
        Ok(Credentials::from_pem(
            &self.ca,
            &self.certificate,
            &self.key,
        )?)
    }
}

/// What is wrong with the form, and where.
fn form(path: &Path, text: &str, error: &toml::de::Error) -> InvalidProfile {
    let start = error.span().map_or(0, |span| span.start);
    let before = text.get(..start).unwrap_or_default();
    InvalidProfile::Form {
        path: path.to_path_buf(),
        line: before.matches('\n').count() + 1,
        what: error.message().trim().to_owned(),
    }
}

#[cfg(unix)]
fn readable_by_others(path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(fs::metadata(path)?.permissions().mode() & 0o077 != 0)
}

#[cfg(not(unix))]
fn readable_by_others(_path: &Path) -> io::Result<bool> {
    Ok(false)
}

fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Authority;

    fn profile() -> Profile {
        let authority = Authority::new(100);
        let ada = authority.issue(Role::Scientist, "ada", 1);
        let target = Target::Gateway {
            address: "127.0.0.1:7400".to_owned(),
            name: PartyName::new("alpine").unwrap(),
        };
        Profile::new(authority.pem, ada.certificate_pem, ada.key_pem, target).unwrap()
    }

    #[test]
    fn a_profile_reads_back_and_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ada.toml");
        profile().save(&path).unwrap();
        let loaded = Profile::load(&path).unwrap();
        assert_eq!(loaded.target(), profile().target());
        assert_eq!(loaded.party().unwrap().name.as_str(), "ada");
        let heads = folder.path().join("ada.heads.json");
        assert_eq!(loaded.heads(), Some(heads.as_path()));
        assert!(profile().save(&path).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn a_profile_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ada.toml");
        profile().save(&path).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let refused = Profile::load(&path).unwrap_err();
        assert!(refused.to_string().contains("chmod 600"), "{refused}");
    }

    #[test]
    fn a_file_that_is_no_profile_is_called_that_and_never_quoted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("study.toml");
        fs::write(&path, "ca = \"x\"\nkey = \"secret\"\ntitle = \"What?\"\n").unwrap();
        let refused = Profile::load(&path).unwrap_err().in_full();
        assert!(refused.contains("is not a profile (line 3: "), "{refused}");
        fs::write(&path, "key = secret\n").unwrap();
        let refused = Profile::load(&path).unwrap_err().in_full();
        assert!(!refused.contains("secret"), "{refused}");
        let missing = folder.path().join("missing.toml");
        let refused = Profile::load(&missing).unwrap_err().to_string();
        assert!(refused.contains("`obscura profile list`"), "{refused}");
    }

    #[test]
    fn a_certificate_of_another_authority_is_found_before_the_first_call() {
        let now = crate::testing::NOW;
        assert!(profile().check(now).is_ok());
        let stranger = Profile {
            ca: Authority::new(101).pem,
            ..profile()
        };
        let refused = stranger.check(now).unwrap_err();
        assert!(refused.to_string().contains("authority"), "{refused}");
        assert!(profile().check(UnixMillis(0)).is_err(), "out of date");
    }

    #[test]
    fn the_debug_form_shows_no_key() {
        let shown = format!("{:?}", profile());
        assert!(
            shown.contains("alpine") && !shown.contains("BEGIN"),
            "{shown}"
        );
    }

    #[test]
    fn a_key_that_belongs_to_another_certificate_is_refused() {
        let authority = Authority::new(100);
        let (ada, bob) = (
            authority.issue(Role::Scientist, "ada", 1),
            authority.issue(Role::Scientist, "bob", 2),
        );
        let target = profile().target().clone();
        let mixed = Profile::new(authority.pem, ada.certificate_pem, bob.key_pem, target);
        assert!(matches!(mixed, Err(Error::Credentials(_))));
    }
}
