//! `obscura-gateway`: directory and blind routing between institutions.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;
use obscura_gateway::cli::{self, Args, LogForm};
use obscura_gateway::clock;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    match run(args).await {
        Ok(()) => ExitCode::SUCCESS,
        #[allow(clippy::print_stderr)]
        Err(error) => {
            // The alternate form adds the chain of causes, once.
            eprintln!("obscura-gateway: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> anyhow::Result<()> {
    let Args {
        log,
        log_form,
        command,
    } = args;
    let filter = EnvFilter::try_new(&log).context("--log is not a filter")?;
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    match log_form {
        LogForm::Text => logs.init(),
        LogForm::Json => logs.json().init(),
    }
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for signals")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for signals")?;
    let shutdown = async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    cli::run(command, clock::system(), shutdown, &mut std::io::stdout()).await?;
    Ok(())
}
