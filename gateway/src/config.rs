//! The configuration file, `gateway.toml`.

#[cfg(test)]
mod tests;

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use obscura_model::ids::PartyName;
use obscura_model::schema::place;
use obscura_wire::tls::{Credentials, InvalidCredentials};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject as _};
use serde::Deserialize;

use crate::clock::Clock;
use crate::directory::Node;
use crate::files;
use crate::gateway::Parts;

/// A configuration and everything that it points to, read and not yet judged: see
/// [`build`](crate::build).
pub struct Config {
    listen: SocketAddr,
    credentials: Credentials,
    nodes: Vec<Node>,
}

impl Config {
    /// Reads the file and the certificates and the key that it names. Paths in it are relative to
    /// its own folder.
    ///
    /// # Errors
    ///
    /// Names the file that cannot be read, or the place in it.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let text = files::read(path)?;
        let written: Written = toml::from_str(&text).map_err(|error| {
            let (line, column) = place(&text, error.span().map_or(0, |s| s.start));
            let (path, what) = (path.to_owned(), error.message().trim().to_owned());
            Error::Form {
                path,
                line,
                column,
                what,
            }
        })?;
        let Written {
            listen,
            credentials:
                Paths {
                    ca,
                    certificate,
                    key,
                },
            node,
        } = written;
        let folder = path.parent().unwrap_or(Path::new(""));
        let text = |path: &Path| files::read(&folder.join(path));
        let credentials = Credentials::from_pem(&text(&ca)?, &text(&certificate)?, &text(&key)?)
            .map_err(Error::Credentials)?;
        let nodes = node
            .into_iter()
            .map(
                |Entry {
                     name,
                     address,
                     certificate,
                 }| {
                    let name = PartyName::new(&name).map_err(|_| Error::Name { name })?;
                    let pem = text(&certificate)?;
                    let certificate = CertificateDer::from_pem_slice(pem.as_bytes())
                        .map_err(|source| Error::Certificate {
                            node: name.clone(),
                            source,
                        })?
                        .to_vec();
                    Ok(Node {
                        name,
                        address,
                        certificate,
                    })
                },
            )
            .collect::<Result<_, Error>>()?;
        Ok(Self {
            listen,
            credentials,
            nodes,
        })
    }

    /// Where to listen.
    #[must_use]
    pub fn listen(&self) -> SocketAddr {
        self.listen
    }

    /// The parts of the gateway.
    #[must_use]
    pub fn into_parts(self, clock: Clock) -> Parts {
        let Self {
            listen: _,
            credentials,
            nodes,
        } = self;
        Parts {
            credentials,
            nodes,
            clock,
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nodes: Vec<_> = self
            .nodes
            .iter()
            .map(|node| (&node.name, &node.address))
            .collect();
        f.debug_struct("Config")
            .field("listen", &self.listen)
            .field("credentials", &self.credentials)
            .field("nodes", &nodes)
            .finish()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    listen: SocketAddr,
    credentials: Paths,
    #[serde(default)]
    node: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Paths {
    ca: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    address: String,
    certificate: PathBuf,
}

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read.
    #[error(transparent)]
    File(#[from] files::Error),
    /// The file is not TOML of the right form. The source says where.
    #[error("{path}, line {line}, column {column}: {what}")]
    Form {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
        /// What is wrong.
        what: String,
    },
    /// The gateway's certificate or key cannot be used.
    #[error("the files under [credentials] cannot be used")]
    Credentials(#[source] InvalidCredentials),
    /// A node's name is not a name.
    #[error("{name:?} is not a node's name: use 1 to 40 of a-z, 0-9, - and _, a letter first")]
    Name {
        /// What stands there.
        name: String,
    },
    /// A node's certificate is not PEM.
    #[error("the certificate of node {node} cannot be read: give it in PEM form")]
    Certificate {
        /// The node.
        node: PartyName,
        /// What is wrong with it.
        #[source]
        source: pem::Error,
    },
}

/// The text of a new configuration for a gateway that listens on `listen`.
#[must_use]
pub fn sample(listen: SocketAddr) -> String {
    format!(
        r#"# Configuration of an Obscura gateway. Paths are relative to this file's folder.

# Where the gateway listens: address and port. Port 0 takes any free one.
listen = "{listen}"

[credentials]
# The certificate of the consortium's authority: the same file for everybody.
ca = "ca.pem"
# This gateway's certificate, issued by that authority for the role gateway.
certificate = "gateway.pem"
# This gateway's private key. It was made here and never leaves this machine.
key = "gateway.key"

# One block for each node of the consortium: its name, where it listens (host:port), and its
# certificate, as its operator sent it.
#
# [[node]]
# name = "basel"
# address = "node.basel.example:7444"
# certificate = "nodes/basel.pem"
"#
    )
}
