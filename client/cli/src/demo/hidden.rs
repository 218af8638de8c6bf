//! The hidden subcommands that the demo starts this program with: a node, and a gateway.
//!
//! Each serves what the library offers, says `listening ADDRESS` on standard output, logs JSON to
//! standard error, and stops when standard input ends: whoever started it holds the other end,
//! so that nothing is left running when they are gone, in whatever way.

use std::future::Future;
use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use obscura_node::clock::SystemClock;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tracing_subscriber::EnvFilter;

/// Serves a node until told to stop.
///
/// # Errors
///
/// If it cannot start, or fails.
pub(super) async fn node(config: &Path) -> anyhow::Result<()> {
    log()?;
    let stop = told_to_stop()?;
    let clock = Arc::new(SystemClock::start());
    obscura_node::cli::serve(config, clock, stop, announce).await?;
    Ok(())
}

/// Serves a gateway until told to stop.
///
/// # Errors
///
/// If it cannot start, or fails.
pub(super) async fn gateway(config: &Path) -> anyhow::Result<()> {
    log()?;
    let stop = told_to_stop()?;
    let clock = obscura_gateway::clock::system();
    obscura_gateway::cli::serve(config, clock, stop, announce).await?;
    Ok(())
}

fn log() -> anyhow::Result<()> {
    let logs = tracing_subscriber::fmt()
        .json()
        .with_env_filter(EnvFilter::new("info"))
        .with_writer(io::stderr);
    logs.try_init()
        .map_err(|error| anyhow::anyhow!("the log cannot be started: {error}"))
}

fn announce(address: SocketAddr) {
    let mut out = io::stdout().lock();
    // If nobody reads it, standard input has ended too, and that stops the process.
    let _unread = writeln!(out, "listening {address}").and_then(|()| out.flush());
}

/// Done when standard input ends, or on SIGTERM or SIGINT.
fn told_to_stop() -> anyhow::Result<impl Future<Output = ()> + Send + 'static> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for signals")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for signals")?;
    let (ended, end) = oneshot::channel();
    // A thread of its own: the runtime would wait for its own blocking reads when it ends.
    std::thread::Builder::new()
        .name("stdin".to_owned())
        .spawn(move || {
            let mut ignored = [0; 64];
            let mut input = io::stdin().lock();
            while input.read(&mut ignored).is_ok_and(|n| n > 0) {}
            let _stopped_already = ended.send(());
        })
        .context("cannot start a thread")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = end => {}
        }
    })
}
