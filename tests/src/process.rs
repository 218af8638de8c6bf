//! Nodes in processes of their own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, Result, bail};
use obscura_client::model::exposure::{Delta, Mode};
use obscura_client::model::study::Institution;
use obscura_client::{
    Client, NewLimit, OwnerClient, Profile, ScientistLimit, Surroundings, Target,
};
use obscura_model::identity::Role;
use obscura_model::ids::DatasetName;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::clock::TestClock;
use crate::cluster::Site;
use crate::data::Dataset;
use crate::people::{Consortium, Person, name};

/// One node with its owner and a scientist; the node runs in a process of its own, or not at all.
pub struct Lone {
    /// The program `node-under-test`, or a tracer that starts it.
    command: Vec<String>,
    /// The node's folder and owner. Not started in this process.
    pub site: Site,
    /// Ada.
    pub scientist: Person,
    /// The authority.
    pub consortium: Arc<Consortium>,
    /// Where everything is.
    pub folder: TempDir,
    running: Option<(Child, SocketAddr)>,
    begun: watch::Sender<u32>,
    /// What the log reports, and what it reported.
    filter: String,
    /// What else the program is told.
    clock: Option<&'static str>,
    log: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
}

impl Lone {
    /// A folder for a node with this dataset; nothing runs yet.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn prepare(program: &Path, dataset: Dataset) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let clock = Arc::new(TestClock::with_waits());
        let consortium = Consortium::new("Test", clock.today())?;
        let site = Site::prepare(&consortium, folder.path(), "alone", dataset, clock)?;
        let scientist = consortium.issue(Role::Scientist, "ada")?;
        let command = vec![program.display().to_string()];
        Ok(Self {
            command,
            site,
            scientist,
            consortium: Arc::new(consortium),
            folder,
            running: None,
            begun: watch::Sender::new(0),
            filter: "obscura_node=info".to_owned(),
            clock: None,
            log: Arc::default(),
            reader: None,
        })
    }

    /// Another node from a copy of this one's folder, which must not run: the same keys, journal
    /// and rows. Not started.
    ///
    /// # Errors
    ///
    /// If it runs or the folder cannot be copied.
    pub fn fork(&self) -> Result<Self> {
        if self.running.is_some() {
            bail!("the node runs");
        }
        let folder = tempfile::tempdir()?;
        Ok(Self {
            command: self.command.clone(),
            site: self.site.twin(&folder.path().join(&self.site.name))?,
            scientist: self.scientist.clone(),
            consortium: self.consortium.clone(),
            folder,
            running: None,
            begun: watch::Sender::new(0),
            filter: self.filter.clone(),
            clock: self.clock,
            log: Arc::default(),
            reader: None,
        })
    }

    /// Has the log report something else from the next start on.
    #[must_use]
    pub fn logging(mut self, filter: &str) -> Self {
        filter.clone_into(&mut self.filter);
        self
    }

    /// Waits for slots are skipped from the next start on.
    #[must_use]
    pub fn without_waits(mut self) -> Self {
        self.clock = Some("without-waits");
        self
    }

    /// The lines of the log so far; all of them once the process has ended.
    #[must_use]
    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap_or_else(|e| e.into_inner()).clone()
    }

    /// Puts another program in front, with its arguments.
    #[must_use]
    pub fn under(mut self, tracer: &[&str]) -> Self {
        self.command
            .splice(0..0, tracer.iter().map(|t| (*t).to_owned()));
        self
    }

    /// The program with its arguments.
    #[must_use]
    pub fn command(&self) -> &[String] {
        &self.command
    }

    /// Starts something else from now on.
    pub fn set_command(&mut self, command: Vec<String>) {
        self.command = command;
    }

    /// Changes a number of the configuration.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn configure(&self, key: &str, value: u64) -> Result<()> {
        let path = self.site.config();
        let text = std::fs::read_to_string(&path)?;
        let other = text.lines().filter(|l| !l.starts_with(&format!("{key} =")));
        let lines: Vec<_> = other
            .map(str::to_owned)
            .chain([format!("{key} = {value}")])
            .collect();
        Ok(std::fs::write(&path, lines.join("\n") + "\n")?)
    }

    /// Starts the process and waits until it listens.
    ///
    /// # Errors
    ///
    /// If it does not start; with what it said.
    pub async fn start(&mut self) -> Result<()> {
        if self.running.is_some() {
            bail!("the node runs already");
        }
        let (program, arguments) = self.command.split_first().context("no program")?;
        let mut child = Command::new(program)
            .args(arguments)
            .arg(self.site.config())
            .arg(&self.filter)
            .args(self.clock)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {program}"))?;
        let log = BufReader::new(child.stderr.take().context("no log")?);
        let (begun, kept) = (self.begun.clone(), self.log.clone());
        self.reader = Some(tokio::spawn(read_log(log.lines(), begun, kept)));
        let out = child.stdout.take().context("no output")?;
        let line = BufReader::new(out)
            .lines()
            .next_line()
            .await?
            .context("it ended at once")?;
        let address = line
            .strip_prefix("listening ")
            .context(line.clone())?
            .parse()?;
        self.running = Some((child, address));
        Ok(())
    }

    /// Sends SIGKILL and waits for the end.
    ///
    /// # Errors
    ///
    /// If there is no process.
    pub async fn kill(&mut self) -> Result<()> {
        let (mut child, _) = self.running.take().context("the node does not run")?;
        Ok(child.kill().await?)
    }

    /// Ends the process in good order.
    ///
    /// # Errors
    ///
    /// If it fails on the way out.
    pub async fn stop(&mut self) -> Result<()> {
        let (mut child, _) = self.running.take().context("the node does not run")?;
        drop(child.stdin.take());
        let status = child.wait().await?;
        if let Some(reader) = self.reader.take() {
            // Ends with the process's end of the pipe.
            reader.await?;
        }
        if status.success() {
            Ok(())
        } else {
            bail!("the node ended with {status}")
        }
    }

    /// Waits until so many more releases have begun: their intents are durable, and nothing is
    /// released.
    ///
    /// # Errors
    ///
    /// Not expected: this object counts them.
    pub async fn begun(&self, more: u32) -> Result<()> {
        let mut begun = self.begun.subscribe();
        let wanted = begun.borrow_and_update().saturating_add(more);
        begun.wait_for(|now| *now >= wanted).await?;
        Ok(())
    }

    /// The id of the process.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.running.as_ref().and_then(|(child, _)| child.id())
    }

    /// Where the process listens.
    ///
    /// # Errors
    ///
    /// If it does not run.
    pub fn address(&self) -> Result<SocketAddr> {
        let (_, address) = self.running.as_ref().context("the node does not run")?;
        Ok(*address)
    }

    fn target(&self) -> Result<Target> {
        Ok(Target::Node {
            address: self.address()?.to_string(),
            name: name(&self.site.name)?,
        })
    }

    fn profile(&self, person: &Person) -> Result<Profile> {
        person.profile(self.target()?)
    }

    /// Ada's connection; a call that fails is made `attempts` times.
    ///
    /// # Errors
    ///
    /// If the node does not answer.
    pub async fn client(&self, attempts: u32) -> Result<Client> {
        let mut around = Surroundings::system();
        around.patience.attempts = attempts;
        Ok(Client::connect_with(self.profile(&self.scientist)?, around).await?)
    }

    /// The owner's connection.
    ///
    /// # Errors
    ///
    /// If the node does not answer.
    pub async fn owner(&self) -> Result<OwnerClient> {
        Ok(OwnerClient::connect(self.profile(&self.site.owner)?).await?)
    }

    /// Registers the dataset, sets limits and enrols ada.
    ///
    /// # Errors
    ///
    /// If the node refuses.
    pub async fn furnish(&self, epsilon: f64, mode: Mode) -> Result<()> {
        let owner = self.owner().await?;
        let (dataset, delta) = (
            DatasetName::new(&self.site.dataset.name)?,
            Delta::new(1e-6)?,
        );
        owner.add_dataset(&self.site.dataset.description).await?;
        let reason = "for tests".to_owned();
        let limit = NewLimit {
            dataset,
            dataset_only: false,
            epsilon,
            delta,
            delta_keys: None,
            mode,
            reason,
        };
        owner.set_limit(&limit).await?;
        let (epsilon, reason) = (500.0, limit.reason);
        owner
            .set_scientist_limit(&ScientistLimit {
                scientist: None,
                epsilon,
                delta,
                reason,
            })
            .await?;
        owner.enrol(&self.scientist.der()?).await?;
        Ok(())
    }

    /// The name and key, as a study names them.
    ///
    /// # Errors
    ///
    /// Not expected.
    pub fn institution(&self) -> Result<Institution> {
        self.site.institution()
    }

    /// The ledger's folder.
    #[must_use]
    pub fn ledger(&self) -> PathBuf {
        self.site.folder.join("data/ledger")
    }
}

/// Keeps the lines of a node's log, and counts those that say that a release has begun.
async fn read_log(
    mut log: Lines<BufReader<ChildStderr>>,
    begun: watch::Sender<u32>,
    kept: Arc<Mutex<Vec<String>>>,
) {
    while let Ok(Some(line)) = log.next_line().await {
        let mut kept = kept.lock().unwrap_or_else(|e| e.into_inner());
        kept.push(line.clone());
        drop(kept);
        if line.contains("the intent is durable") {
            begun.send_modify(|count| *count += 1);
        }
    }
}
