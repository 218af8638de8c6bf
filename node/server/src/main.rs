//! `obscura-node`: a node of Obscura.

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Parser as _;
use obscura_node::cli::{self, Args, LogForm};
use obscura_node::clock::SystemClock;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> ExitCode {
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        #[allow(clippy::print_stderr)]
        Err(error) => {
            // The alternate form adds the chain of causes, once.
            eprintln!("obscura-node: {error:#}");
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
        .with_ansi(std::io::stderr().is_terminal())
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
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
    let clock = Arc::new(SystemClock::start());
    cli::run(command, clock, shutdown, &mut std::io::stdout()).await?;
    Ok(())
}
