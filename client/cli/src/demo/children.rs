//! The processes of the demo's network.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{ChildStdin, Command};
use tokio::sync::watch;

/// How long a process may take to listen.
const START: Duration = Duration::from_secs(30);

/// How long a process may take to stop by itself.
const STOP: Duration = Duration::from_secs(8);

/// What a node logs when the intent of a release is on the disk and no private row has been read.
const DURABLE: &str = "the intent is durable";

/// How to start one process, also again.
#[derive(Debug, Clone)]
pub(super) struct Recipe {
    /// For people: `site-1` or `gateway`.
    pub(super) name: String,
    /// The program: this one.
    pub(super) program: PathBuf,
    /// The hidden subcommand.
    pub(super) command: &'static str,
    /// Its configuration.
    pub(super) config: PathBuf,
    /// Where its log goes.
    pub(super) log: PathBuf,
}

/// A running process. It is killed when this is dropped.
#[derive(Debug)]
pub(super) struct Child {
    name: String,
    process: tokio::process::Child,
    stdin: Option<ChildStdin>,
    address: SocketAddr,
    intents: watch::Receiver<u64>,
}

impl Recipe {
    /// Starts the process and waits until it listens.
    pub(super) async fn start(&self) -> anyhow::Result<Child> {
        let mut command = Command::new(&self.program);
        command
            .arg(self.command)
            .arg("--config")
            .arg(&self.config)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C reaches the demo alone, which then stops the others in good order.
            .process_group(0)
            .kill_on_drop(true);
        let cannot = || format!("{} cannot be started", self.name);
        let mut process = command.spawn().with_context(cannot)?;
        let stdin = process.stdin.take();
        let (out, log) = (process.stdout.take(), process.stderr.take());
        let (out, log) = (out.with_context(cannot)?, log.with_context(cannot)?);
        let file = OpenOptions::new().create(true).append(true).open(&self.log);
        let file = file.with_context(|| format!("cannot write {}", self.log.display()))?;
        let (durable, intents) = watch::channel(0);
        tokio::spawn(keep_log(log, file, durable));
        let listening = tokio::time::timeout(START, listening(out)).await;
        let address = listening
            .ok()
            .flatten()
            .with_context(|| format!("{} did not start:\n{}", self.name, tail(&self.log, 3)))?;
        Ok(Child {
            name: self.name.clone(),
            process,
            stdin,
            address,
            intents,
        })
    }
}

impl Child {
    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process id.
    pub(super) fn id(&self) -> u32 {
        self.process.id().unwrap_or_default()
    }

    /// Tells, from now on, when a release's intent is durable.
    pub(super) fn intents(&self) -> watch::Receiver<u64> {
        let mut intents = self.intents.clone();
        intents.mark_unchanged();
        intents
    }

    /// Stops it in good order, or by force if it does not.
    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        drop(self.stdin.take());
        let stopped = tokio::time::timeout(STOP, self.process.wait()).await;
        let stopped = match stopped {
            Ok(status) => status.with_context(|| format!("{} cannot be waited for", self.name))?,
            Err(_) => {
                self.process.kill().await.ok();
                anyhow::bail!("{} did not stop by itself", self.name);
            }
        };
        anyhow::ensure!(stopped.success(), "{} ended with {stopped}", self.name);
        Ok(())
    }

    /// SIGKILL: the process gets no chance to do anything more.
    pub(super) async fn kill(mut self) -> anyhow::Result<()> {
        let killed = self.process.kill().await;
        killed.with_context(|| format!("{} cannot be killed", self.name))
    }
}

/// The address in the one line that the process prints.
async fn listening(out: impl AsyncRead + Unpin) -> Option<SocketAddr> {
    let line = BufReader::new(out).lines().next_line().await.ok()??;
    line.strip_prefix("listening ")?.parse().ok()
}

/// Copies the log into its file, counting the intents that pass.
async fn keep_log(log: impl AsyncRead + Unpin, mut file: File, durable: watch::Sender<u64>) {
    let mut lines = BufReader::new(log).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if line.contains(DURABLE) {
            durable.send_modify(|n| *n += 1);
        }
        // A log that cannot be kept must not stop the process that writes it.
        let _unkept = writeln!(file, "{line}");
    }
}

/// The last lines of a log, for when something went wrong.
pub(super) fn tail(log: &Path, lines: usize) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let all: Vec<&str> = text.lines().collect();
    let last = all
        .get(all.len().saturating_sub(lines)..)
        .unwrap_or_default();
    last.join("\n")
}
