//! The commands of `obscura-node`, as functions that other programs can call.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Parser, Subcommand, ValueEnum};
use obscura_ledger::Ledger;
use obscura_model::identity::SigningKey;
use obscura_model::ids::{PartyName, PopulationName};
use rcgen::{CertificateParams, KeyPair, PKCS_ED25519};
use rustls::pki_types::PrivatePkcs8KeyDer;
use tokio::net::TcpListener;

use crate::clock::Clock;
use crate::config::{Config, ConfigError};
use crate::entropy;
use crate::start::{self, StartError};

mod compact;

/// A node of Obscura: holds an institution's data and answers with differential privacy.
#[derive(Debug, Parser)]
#[command(name = "obscura-node", version)]
pub struct Args {
    /// What to report in the log: error, warn, info, debug, or a filter by module.
    #[arg(long, global = true, default_value = "info")]
    pub log: String,
    /// The form of the log, which goes to standard error.
    #[arg(long, global = true, value_enum, default_value_t = LogForm::Text)]
    pub log_form: LogForm,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogForm {
    /// One line for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a folder with a configuration, a key, a certificate request and an empty ledger.
    Init {
        /// The folder; files that exist are never replaced.
        #[arg(long)]
        dir: PathBuf,
        /// The node's name in the consortium.
        #[arg(long, value_parser = PartyName::new)]
        name: PartyName,
        /// Where the node will listen.
        #[arg(long, default_value = "0.0.0.0:7444")]
        listen: SocketAddr,
    },
    /// Serve until interrupted.
    Run {
        /// The configuration file.
        #[arg(long, default_value = "node.toml")]
        config: PathBuf,
    },
    /// Look after the ledger. The node must not be running.
    #[command(subcommand)]
    Ledger(LedgerCommand),
}

/// What to do with the ledger.
#[derive(Debug, Subcommand)]
pub enum LedgerCommand {
    /// Read every record and check it against the head; nothing is changed.
    Verify {
        /// The configuration file.
        #[arg(long, default_value = "node.toml")]
        config: PathBuf,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
    /// Drop the lists of charges in old files of the journal, once what they add up to is kept.
    /// Exposures, answers, request ids and proofs stay what they are.
    Compact {
        /// The configuration file.
        #[arg(long, default_value = "node.toml")]
        config: PathBuf,
        /// Only say what it would do; nothing is changed.
        #[arg(long)]
        rehearse: bool,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The node did not start, or stopped.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A file is there already.
    #[error("{0} exists already and is never replaced: choose another folder or move it away")]
    Exists(PathBuf),
    /// A file or folder cannot be written.
    #[error("cannot write {path}")]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// No key could be made.
    #[error("cannot make a key")]
    Key(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The ledger cannot be made or is damaged.
    #[error("the ledger in {path} cannot be used")]
    Ledger {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: obscura_ledger::Error,
    },
    /// A release waits to be run again, which only the node can do.
    #[error(
        "a release of population {0} was interrupted: start the node, which runs it again, stop \
         it, then compact"
    )]
    Interrupted(PopulationName),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: choose an address of this machine and a free port")]
    Listen {
        /// As configured.
        address: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The result could not be shown.
    #[error("the result could not be written to the output")]
    Report(#[source] io::Error),
}

/// Carries out one command; `out` gets what people should read.
pub async fn run(
    command: Command,
    clock: Arc<dyn Clock>,
    shutdown: impl Future<Output = ()> + Send + 'static,
    out: &mut impl Write,
) -> Result<(), CliError> {
    match command {
        Command::Init { dir, name, listen } => init(&dir, &name, listen, clock.as_ref(), out),
        Command::Run { config } => {
            let announce = |address| tracing::info!(%address, "the node listens");
            serve(&config, clock, shutdown, announce).await
        }
        Command::Ledger(LedgerCommand::Verify { config, json }) => verify(&config, json, out),
        Command::Ledger(LedgerCommand::Compact {
            config,
            rehearse: true,
            json,
        }) => compact::rehearse(&config, json, out),
        Command::Ledger(LedgerCommand::Compact { config, json, .. }) => {
            compact::compact(&config, clock.as_ref(), json, out)
        }
    }
}

/// Loads a configuration and serves until `shutdown`. `listening` is told the address, which
/// matters when the configuration leaves the port open.
pub async fn serve(
    config: &Path,
    clock: Arc<dyn Clock>,
    shutdown: impl Future<Output = ()> + Send + 'static,
    listening: impl FnOnce(SocketAddr),
) -> Result<(), CliError> {
    let config = Config::load(config)?;
    let ready = start::open(&config, clock)?;
    let address = config.listen.clone();
    let bind = |source| CliError::Listen {
        address: address.clone(),
        source,
    };
    let listener = TcpListener::bind(&address).await.map_err(bind)?;
    listening(listener.local_addr().map_err(bind)?);
    Ok(ready.serve(listener, shutdown).await?)
}

/// Makes everything a new node needs but its certificate. Returns the certificate request (PEM).
pub fn prepare(
    dir: &Path,
    name: &PartyName,
    listen: SocketAddr,
    clock: &dyn Clock,
) -> Result<String, CliError> {
    let files = ["node.toml", "node.key", "node.csr"].map(|f| dir.join(f));
    if let Some(there) = files.iter().find(|f| f.exists()) {
        return Err(CliError::Exists(there.clone()));
    }
    let [config, key, request] = files;
    for folder in [dir.to_owned(), dir.join("import"), dir.join("data")] {
        std::fs::create_dir_all(&folder).map_err(|source| CliError::Write {
            path: folder.clone(),
            source,
        })?;
    }
    let seed = entropy::bytes().map_err(|e| CliError::Key(Box::new(e)))?;
    let der = PrivatePkcs8KeyDer::from(SigningKey::pkcs8_der(&seed));
    let pair = KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_ED25519)
        .map_err(|e| CliError::Key(Box::new(e)))?;
    let csr = CertificateParams::default()
        .serialize_request(&pair)
        .and_then(|r| r.pem())
        .map_err(|e| CliError::Key(Box::new(e)))?;
    write_new(&key, &pair.serialize_pem(), 0o600)?;
    write_new(&request, &csr, 0o644)?;
    let ledger = dir.join("data").join("ledger");
    let id = SigningKey::from_seed(seed).key_id();
    Ledger::create(&ledger, id, entropy::source(), clock.now())
        .and_then(Ledger::close)
        .map_err(|source| CliError::Ledger {
            path: ledger,
            source,
        })?;
    write_new(&config, &sample(name, listen), 0o644)?;
    Ok(csr)
}

fn init(
    dir: &Path,
    name: &PartyName,
    listen: SocketAddr,
    clock: &dyn Clock,
    out: &mut impl Write,
) -> Result<(), CliError> {
    prepare(dir, name, listen, clock)?;
    let place = dir.display();
    writeln!(
        out,
        "Made {place}.\n\
         1. Send {place}/node.csr to the consortium's authority. It answers with two files: put\n   \
         them there as node.pem and ca.pem.\n\
         2. Put the data owners' certificates there and list them under owners in node.toml.\n\
         3. Start the node: obscura-node run --config {place}/node.toml\n\
         Dataset files go into {place}/import. Back up {place}/data: what was released to whom is\n\
         there, and nowhere else."
    )
    .map_err(CliError::Report)
}

fn verify(config: &Path, json: bool, out: &mut impl Write) -> Result<(), CliError> {
    let config = Config::load(config)?;
    let folder = start::ledger_folder(&config);
    let journal = start::journal_id(&config)?;
    let failed = |source| CliError::Ledger {
        path: folder.clone(),
        source,
    };
    let verified = Ledger::verify(&folder, journal).map_err(failed)?;
    let root = obscura_model::ids::Digest::new(verified.head.root);
    if json {
        writeln!(
            out,
            "{{\"intact\":true,\"records\":{},\"segments\":{},\"root\":\"{root}\"}}",
            verified.head.size, verified.segments
        )
    } else {
        writeln!(
            out,
            "The ledger is intact: {} records in {} files. Its head is {root}.",
            verified.head.size, verified.segments
        )
    }
    .map_err(CliError::Report)
}

fn write_new(path: &Path, text: &str, mode: u32) -> Result<(), CliError> {
    let failed = |source| CliError::Write {
        path: path.to_owned(),
        source,
    };
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .map_err(failed)?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(failed)
}

/// The commented configuration of a new node.
fn sample(name: &PartyName, listen: SocketAddr) -> String {
    format!(
        r#"# The configuration of an Obscura node. Paths are relative to this file.

# The node's name, as in its certificate.
name = "{name}"
# Where to listen.
listen = "{listen}"
# The ledger and the ingested data. Back this folder up.
data = "data"
# Dataset files to ingest are read from here.
import = "import"
# The consortium authority's certificate, this node's certificate and its private key.
ca = "ca.pem"
certificate = "node.pem"
key = "node.key"
# The data owners' certificates: who may describe data, set limits and decide.
owners = ["owner.pem"]
# Answers leave at multiples of this many milliseconds.
slot_ms = 20
"#
    )
}
