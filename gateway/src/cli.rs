//! The commands of `obscura-gateway`, which other programs can call as functions.

#[cfg(test)]
mod tests;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand, ValueEnum};
use obscura_model::identity::Role;
use obscura_model::ids::PartyName;
use tokio::net::TcpListener;

use crate::ca::{self, Authority};
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::files::{self, Readers};
use crate::{BuildError, build, entropy};

/// Directory and blind routing between institutions.
#[derive(Debug, Parser)]
#[command(name = "obscura-gateway", version)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogForm {
    /// One line for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a folder with a configuration, a key and a certificate request for a new gateway.
    Init {
        /// The folder; files that exist are never replaced.
        #[arg(long)]
        dir: PathBuf,
        /// Where the gateway will listen.
        #[arg(long, default_value = "0.0.0.0:7443")]
        listen: SocketAddr,
    },
    /// Serve until interrupted.
    Run {
        /// The configuration file.
        #[arg(long, default_value = "gateway.toml")]
        config: PathBuf,
    },
    /// The consortium's certificate authority, for those who have none.
    #[command(subcommand)]
    Ca(CaCommand),
}

/// What the authority should do.
#[derive(Debug, Subcommand)]
pub enum CaCommand {
    /// Make an authority: ca.pem for everybody, ca.key for nobody.
    Init {
        /// The folder; files that exist are never replaced.
        #[arg(long)]
        dir: PathBuf,
        /// The consortium's name.
        #[arg(long)]
        consortium: String,
    },
    /// Make a key and a certificate for somebody. Prefer `sign`, where no key travels.
    Issue {
        /// The authority's folder.
        #[arg(long)]
        ca: PathBuf,
        /// scientist, owner, node or gateway.
        #[arg(long)]
        role: Role,
        /// The name, unique within the role.
        #[arg(long, value_parser = PartyName::new)]
        name: PartyName,
        /// The folder for ca.pem, NAME.ROLE.pem and NAME.ROLE.key.
        #[arg(long)]
        out: PathBuf,
    },
    /// Answer a certificate request, after making sure from whom it came.
    Sign {
        /// The authority's folder.
        #[arg(long)]
        ca: PathBuf,
        /// The request (PKCS #10, PEM).
        #[arg(long)]
        csr: PathBuf,
        /// scientist, owner, node or gateway.
        #[arg(long)]
        role: Role,
        /// The name, unique within the role.
        #[arg(long, value_parser = PartyName::new)]
        name: PartyName,
        /// The file for the certificate.
        #[arg(long)]
        out: PathBuf,
    },
}

/// Carries out one command. `out` gets what people should read.
///
/// # Errors
///
/// Names the step that failed.
pub async fn run(
    command: Command,
    clock: Clock,
    shutdown: impl Future<Output = ()> + Send + 'static,
    out: &mut impl Write,
) -> Result<(), Error> {
    match command {
        Command::Init { dir, listen } => init(&dir, listen, out),
        Command::Run { config } => {
            let announce = |address| tracing::info!(%address, "the gateway listens");
            serve(&config, clock, shutdown, announce).await
        }
        Command::Ca(command) => authority(command, &clock, out),
    }
}

/// Loads a configuration and serves until `shutdown` is done. `listening` is told the address,
/// which matters when the configuration leaves the port open.
///
/// # Errors
///
/// Names the step that failed.
pub async fn serve(
    config: &Path,
    clock: Clock,
    shutdown: impl Future<Output = ()> + Send + 'static,
    listening: impl FnOnce(SocketAddr),
) -> Result<(), Error> {
    let config = Config::load(config)?;
    let address = config.listen();
    let gateway = build(config.into_parts(clock))?;
    let bind = |source| Error::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(bind)?;
    listening(listener.local_addr().map_err(bind)?);
    gateway.run(listener, shutdown).await.map_err(Error::Serve)
}

fn init(dir: &Path, listen: SocketAddr, out: &mut impl Write) -> Result<(), Error> {
    let (config, key) = (dir.join("gateway.toml"), dir.join("gateway.key"));
    let request = dir.join("gateway.csr");
    files::make_folder(dir)?;
    files::none_exists(&[&config, &key, &request])?;
    let made = ca::request(entropy::seed()?)?;
    files::write_new(&key, &made.key_pem, Readers::Owner)?;
    files::write_new(&request, &made.request_pem, Readers::Everybody)?;
    files::write_new(&config, &config::sample(listen), Readers::Everybody)?;
    writeln!(
        out,
        "Made {}.\n\
         Send gateway.csr to the consortium's authority. It answers with two files: put them\n\
         there as gateway.pem and ca.pem, list the nodes in gateway.toml, then\n\
         obscura-gateway run --config {}",
        dir.display(),
        config.display(),
    )
    .map_err(Error::Report)
}

fn authority(command: CaCommand, clock: &Clock, out: &mut impl Write) -> Result<(), Error> {
    let now = clock();
    match command {
        CaCommand::Init { dir, consortium } => {
            Authority::create(&consortium, entropy::seed()?, now)?.save(&dir)?;
            writeln!(
                out,
                "Made ca.pem and ca.key in {}.\n\
                 Everybody needs ca.pem. Whoever has ca.key can give any name to any key: keep it\n\
                 offline, with one copy in a safe place.",
                dir.display(),
            )
            .map_err(Error::Report)
        }
        CaCommand::Issue {
            ca,
            role,
            name,
            out: folder,
        } => {
            let authority = Authority::load(&ca)?;
            let stem = format!("{name}.{role}");
            let certificate = folder.join(format!("{stem}.pem"));
            let key = folder.join(format!("{stem}.key"));
            let copy = folder.join("ca.pem");
            files::make_folder(&folder)?;
            files::none_exists(&[&certificate, &key])?;
            let issued = authority.issue(role, &name, entropy::seed()?, now)?;
            files::write_new(&key, &issued.key_pem, Readers::Owner)?;
            files::write_new(&certificate, &issued.certificate_pem, Readers::Everybody)?;
            if !copy.exists() {
                files::write_new(&copy, authority.certificate_pem(), Readers::Everybody)?;
            }
            writeln!(
                out,
                "Made {stem}.pem and {stem}.key in {}.",
                folder.display()
            )
            .map_err(Error::Report)
        }
        CaCommand::Sign {
            ca,
            csr,
            role,
            name,
            out: file,
        } => {
            let authority = Authority::load(&ca)?;
            let request = files::read(&csr)?;
            let certificate = authority.sign_request(&request, role, &name, now)?;
            files::write_new(&file, &certificate, Readers::Everybody)?;
            writeln!(out, "Made {}, for {name} as {role}.", file.display()).map_err(Error::Report)
        }
    }
}

/// Which step of a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// The gateway cannot be built from it.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The authority refused.
    #[error(transparent)]
    Ca(#[from] ca::Error),
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] files::Error),
    /// No randomness for a key.
    #[error(transparent)]
    Entropy(#[from] entropy::Unavailable),
    /// The address is taken or not ours.
    #[error("cannot listen on {address}: choose an address of this machine and a free port")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The server stopped.
    #[error("the server stopped")]
    Serve(#[source] tonic::transport::Error),
    /// The result could not be shown.
    #[error("the result could not be written to the output")]
    Report(#[source] io::Error),
}
