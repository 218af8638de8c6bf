//! From a configuration to a running node: open, verify, recover, rerun, serve.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use obscura_ledger::Ledger;
use obscura_model::identity::{InvalidCertificate, InvalidKey, Party, Role, SigningKey};
use obscura_model::ids::KeyId;
use obscura_wire::tls::{Credentials, InvalidCredentials};
use tokio::net::TcpListener;

use crate::clock::Clock;
use crate::config::Config;
use crate::entropy;
use crate::node::{Identity, Node, Settings};
use crate::{pipeline, serve};

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A file cannot be read.
    #[error(
        "cannot read {path}: put it there, or correct its path in the configuration (certificates come from the consortium's authority)"
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// What an interrupted ingest left cannot be removed.
    #[error("what an interrupted ingest left in {path} cannot be removed: check the folder")]
    Leftovers {
        /// The folder of stored rows.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Certificate, key or authority do not fit together.
    #[error("the node's certificate and key cannot be used")]
    Credentials(#[source] InvalidCredentials),
    /// The key cannot sign.
    #[error("the node's key cannot sign")]
    Key(#[source] InvalidKey),
    /// A certificate names no party.
    #[error("the certificate {path} cannot be used")]
    Certificate {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: InvalidCertificate,
    },
    /// The certificate is for somebody else.
    #[error("the certificate {path} is for the {found}, but the {wanted} is wanted")]
    Other {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        found: String,
        /// Whose was wanted.
        wanted: String,
    },
    /// The ledger does not open.
    #[error("the ledger in {path} does not open")]
    Ledger {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: obscura_ledger::Error,
    },
    /// The interrupted releases could not be dealt with.
    #[error("what the last stop interrupted could not be dealt with")]
    Rerun(#[source] crate::error::Error),
    /// The server failed.
    #[error("the server failed")]
    Serve(#[source] tonic::transport::Error),
}

/// A node that is ready to serve.
#[derive(Debug)]
pub struct Ready {
    /// The node.
    pub node: Arc<Node>,
    credentials: Credentials,
}

fn read(path: &Path) -> Result<String, StartError> {
    std::fs::read_to_string(path).map_err(|source| StartError::Read {
        path: path.to_owned(),
        source,
    })
}

fn party(path: &Path, der: &[u8], role: Role) -> Result<Party, StartError> {
    let invalid = |source| StartError::Certificate {
        path: path.to_owned(),
        source,
    };
    let party = Party::from_certificate(der).map_err(invalid)?;
    if party.role == role {
        return Ok(party);
    }
    let found = format!("{} '{}'", party.role, party.name);
    Err(StartError::Other {
        path: path.to_owned(),
        found,
        wanted: role.to_string(),
    })
}

/// The folder of the ledger inside the data folder.
#[must_use]
pub fn ledger_folder(config: &Config) -> PathBuf {
    config.data.join("ledger")
}

/// The id of the node's journal: its public key.
pub fn journal_id(config: &Config) -> Result<KeyId, StartError> {
    let der = obscura_wire::tls::certificate_from_pem(&read(&config.certificate)?)
        .map_err(StartError::Credentials)?;
    Ok(party(&config.certificate, &der, Role::Node)?.key)
}

/// Opens everything and deals with what the last stop interrupted. Nothing is served before. A
/// missing ledger is an error: only `init` makes one, so that a lost one is never replaced.
pub fn open(config: &Config, clock: Arc<dyn Clock>) -> Result<Ready, StartError> {
    let certificate = read(&config.certificate)?;
    let credentials = Credentials::from_pem(&read(&config.ca)?, &certificate, &read(&config.key)?)
        .map_err(StartError::Credentials)?;
    let me = party(&config.certificate, credentials.certificate(), Role::Node)?;
    if me.name.as_str() != config.name {
        let (path, wanted) = (
            config.certificate.clone(),
            format!("node '{}'", config.name),
        );
        return Err(StartError::Other {
            path,
            found: format!("node '{}'", me.name),
            wanted,
        });
    }
    let key = SigningKey::from_pkcs8_der(credentials.private_key()).map_err(StartError::Key)?;
    let mut owners = Vec::new();
    for path in &config.owners {
        let der = obscura_wire::tls::certificate_from_pem(&read(path)?)
            .map_err(StartError::Credentials)?;
        owners.push(party(path, &der, Role::Owner)?);
    }
    let folder = ledger_folder(config);
    let failed = |source| StartError::Ledger {
        path: folder.clone(),
        source,
    };
    let ledger = Ledger::open(&folder, me.key, entropy::source(), clock.now()).map_err(failed)?;
    let identity = Identity {
        party: me,
        key,
        ca: credentials.ca().to_vec(),
    };
    let settings = Settings {
        datasets: config.data.join("datasets"),
        import: config.import.clone(),
        slot: Duration::from_millis(config.slot_ms),
        threads: config.threads,
    };
    // The ledger is held: no ingest is under way.
    let datasets = settings.datasets.clone();
    obscura_query::ingest::clear(&datasets).map_err(|source| StartError::Leftovers {
        path: datasets,
        source,
    })?;
    let node = Node::new(identity, settings, ledger, owners, clock);
    pipeline::rerun_interrupted(&node).map_err(StartError::Rerun)?;
    Ok(Ready { node, credentials })
}

impl Ready {
    /// Serves on `listener` until `shutdown`.
    pub async fn serve(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), StartError> {
        let Ready { node, credentials } = self;
        serve::run(node, listener, &credentials, shutdown)
            .await
            .map_err(StartError::Serve)
    }
}
