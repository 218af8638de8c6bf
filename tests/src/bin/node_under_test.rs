//! A node in a process of its own, for tests that end, trace or measure processes.
//!
//! `node-under-test CONFIG [LOG] [without-waits]`: prints one line `listening ADDRESS` once it serves, logs to
//! standard error (a filter such as `info`; nothing by default), and stops in good order when its
//! standard input ends, so that no node outlives its test. With `without-waits` it does not wait
//! for slots: its clock jumps to where a wait would end.

use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use obscura_node::cli::serve;
use obscura_node::clock::{Clock, SystemClock};
use obscura_tests::clock::TestClock;
use tokio::sync::oneshot;

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let config = PathBuf::from(arguments.next().context("the first argument is the file")?);
    let filter = arguments.next().unwrap_or_else(|| "off".to_owned());
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::try_new(filter)?)
        .with_ansi(false)
        .with_writer(std::io::stderr)
        .init();
    let (ending, ended) = oneshot::channel::<()>();
    // A thread of its own: reading cannot be given up, and the process must be able to end.
    std::thread::spawn(move || {
        // Reading ends with the pipe, or with an error: either way there is nobody any more.
        let _ended = std::io::stdin().read_to_end(&mut Vec::new());
        drop(ending);
    });
    let ended = async { drop(ended.await) };
    let announce = |address| {
        let mut out = std::io::stdout().lock();
        // Without a reader there is nobody to tell.
        let _gone = writeln!(out, "listening {address}").and_then(|()| out.flush());
    };
    let clock: Arc<dyn Clock> = match arguments.next().as_deref() {
        Some("without-waits") => Arc::new(TestClock::without_waits()),
        Some(other) => bail!("unknown argument {other}"),
        None => Arc::new(SystemClock::start()),
    };
    serve(&config, clock, ended, announce).await?;
    Ok(())
}
