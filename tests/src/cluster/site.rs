//! One node with its owner.

use std::net::{SocketAddr, TcpListener as StdListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use obscura_client::model::exposure::{Delta, Mode, Rho};
use obscura_client::model::study::{Institution, Study, Verdict};
use obscura_client::{Client, NewLimit, OwnerClient, Target};
use obscura_model::identity::{Party, Role};
use obscura_model::ids::{DatasetName, PopulationName};
use obscura_node::config::Config;
use obscura_node::node::Node;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::{Running, surroundings};
use crate::clock::TestClock;
use crate::data::Dataset;
use crate::people::{Consortium, Person, name};

/// A node with its owner.
pub struct Site {
    /// `site-1` and so on.
    pub name: String,
    /// Its owner.
    pub owner: Person,
    /// Its folder: configuration, `import`, `data`.
    pub folder: PathBuf,
    /// What it holds.
    pub dataset: Dataset,
    pub(super) certificate: Vec<u8>,
    clock: Arc<TestClock>,
    // Kept over restarts, so that the port is never somebody else's.
    listener: StdListener,
    node: Option<Arc<Node>>,
    running: Option<Running>,
}

impl Site {
    /// Makes a node's folder: configuration, key, certificate, empty ledger, import file.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn prepare(
        consortium: &Consortium,
        inside: &Path,
        who: &str,
        dataset: Dataset,
        clock: Arc<TestClock>,
    ) -> Result<Self> {
        let (folder, listener) = (inside.join(who), StdListener::bind("127.0.0.1:0")?);
        listener.set_nonblocking(true)?;
        if !folder.exists() {
            Self::template(&folder, who, clock.as_ref())?;
        }
        let request = std::fs::read_to_string(folder.join("node.csr"))?;
        let certificate = consortium.sign(&request, Role::Node, who)?;
        let owner = consortium.issue(Role::Owner, &format!("owner-of-{who}"))?;
        std::fs::write(folder.join("node.pem"), &certificate)?;
        std::fs::write(folder.join("ca.pem"), consortium.ca())?;
        std::fs::write(folder.join("owner.pem"), &owner.certificate)?;
        std::fs::write(folder.join("import").join(&dataset.file), &dataset.csv)?;
        Ok(Self {
            name: who.to_owned(),
            owner,
            folder,
            dataset,
            certificate: obscura_wire::tls::certificate_from_pem(&certificate)?,
            clock,
            listener,
            node: None,
            running: None,
        })
    }

    /// Makes the folder of a node that nobody knows yet: configuration, key, empty ledger.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn template(folder: &Path, who: &str, clock: &TestClock) -> Result<()> {
        // A process of its own would listen elsewhere; in this one it is handed its listener.
        let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
        obscura_node::cli::prepare(folder, &name(who)?, anywhere, clock)?;
        Ok(())
    }

    /// A second node from a copy of this one's folder, with everything in it: configuration, keys,
    /// journal and rows. Not started.
    ///
    /// # Errors
    ///
    /// If the folder cannot be copied.
    pub fn twin(&self, folder: &Path) -> Result<Self> {
        super::builder::copy(&self.folder, folder)?;
        let listener = StdListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        Ok(Self {
            name: self.name.clone(),
            owner: self.owner.clone(),
            folder: folder.to_owned(),
            dataset: self.dataset.clone(),
            certificate: self.certificate.clone(),
            clock: self.clock.clone(),
            listener,
            node: None,
            running: None,
        })
    }

    /// Registers one more dataset, as the owner.
    ///
    /// # Errors
    ///
    /// If the node refuses.
    pub async fn add(&self, dataset: &Dataset) -> Result<()> {
        let file = self.folder.join("import").join(&dataset.file);
        std::fs::write(file, &dataset.csv)?;
        let owner = self.owner_client().await?;
        owner.add_dataset(&dataset.description).await?;
        Ok(())
    }

    /// Where the node listens.
    ///
    /// # Errors
    ///
    /// Not expected.
    pub fn address(&self) -> Result<SocketAddr> {
        Ok(self.listener.local_addr()?)
    }

    /// The node's certificate (DER).
    #[must_use]
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// The configuration file.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.folder.join("node.toml")
    }

    /// The folder of the index that can always be deleted.
    #[must_use]
    pub fn index_folder(&self) -> PathBuf {
        self.folder.join("data/ledger/index")
    }

    /// The name and the key.
    ///
    /// # Errors
    ///
    /// Not expected.
    pub fn institution(&self) -> Result<Institution> {
        let party = Party::from_certificate(&self.certificate)?;
        Ok(Institution {
            name: party.name,
            key: party.key,
        })
    }

    /// Opens the ledger and serves.
    ///
    /// # Errors
    ///
    /// If it runs already or does not start.
    pub async fn start(&mut self) -> Result<()> {
        if self.running.is_some() {
            bail!("{} runs already", self.name);
        }
        let (config, clock) = (Config::load(&self.config())?, self.clock.clone());
        let open = move || obscura_node::start::open(&config, clock);
        let ready = tokio::task::spawn_blocking(open).await??;
        self.node = Some(ready.node.clone());
        let listener = TcpListener::from_std(self.listener.try_clone()?)?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let ended = tokio::spawn(async move {
            let stopped = async { drop(stopped.await) };
            // A node that ends early is found out by the next call.
            drop(ready.serve(listener, stopped).await);
        });
        self.running = Some(Running {
            address,
            stop,
            ended,
        });
        Ok(())
    }

    /// Stops serving and closes the ledger.
    pub async fn stop(&mut self) {
        self.node = None;
        if let Some(running) = self.running.take() {
            let _gone = running.stop.send(());
            drop(running.ended.await);
        }
    }

    /// Stops and starts again. What still holds the ledger for a moment is waited for.
    ///
    /// # Errors
    ///
    /// If it does not start within some seconds.
    pub async fn restart(&mut self) -> Result<()> {
        self.stop().await;
        for _ in 0..200 {
            match self.start().await {
                Ok(()) => return Ok(()),
                Err(error) if format!("{error:#}").contains("another process") => {
                    tokio::time::sleep(std::time::Duration::from_millis(10)).await;
                }
                Err(error) => return Err(error),
            }
        }
        bail!("{} did not let go of its ledger", self.name)
    }

    /// Starts again with another clock.
    ///
    /// # Errors
    ///
    /// If it does not start within some seconds.
    pub async fn restart_with(&mut self, clock: TestClock) -> Result<()> {
        self.clock = Arc::new(clock);
        self.restart().await
    }

    /// The node, to look inside.
    ///
    /// # Errors
    ///
    /// If it does not run.
    pub fn node(&self) -> Result<&Arc<Node>> {
        self.node.as_ref().context("the node does not run")
    }

    /// The owner's connection.
    ///
    /// # Errors
    ///
    /// If it cannot be made.
    pub async fn owner_client(&self) -> Result<OwnerClient> {
        self.owner_client_of(&self.owner).await
    }

    /// Anybody's connection to the node as if they were an owner.
    ///
    /// # Errors
    ///
    /// If it cannot be made.
    pub async fn owner_client_of(&self, person: &Person) -> Result<OwnerClient> {
        let profile = person.profile(self.target()?)?;
        Ok(OwnerClient::connect_with(profile, surroundings(self.clock.clone())).await?)
    }

    /// Anybody's connection to the node without a gateway.
    ///
    /// # Errors
    ///
    /// If it cannot be made.
    pub async fn direct(&self, person: &Person) -> Result<Client> {
        let profile = person.profile(self.target()?)?;
        Ok(Client::connect_with(profile, surroundings(self.clock.clone())).await?)
    }

    fn target(&self) -> Result<Target> {
        let running = self.running.as_ref().context("the node does not run")?;
        Ok(Target::Node {
            address: running.address.to_string(),
            name: name(&self.name)?,
        })
    }

    /// A population limit to be set.
    ///
    /// # Errors
    ///
    /// If delta is out of range.
    pub fn limit(&self, epsilon: f64, delta: f64, mode: Mode) -> Result<NewLimit> {
        Ok(NewLimit {
            dataset: DatasetName::new(&self.dataset.name)?,
            dataset_only: false,
            epsilon,
            delta: Delta::new(delta)?,
            delta_keys: None,
            mode,
            reason: "for tests".to_owned(),
        })
    }

    /// Has the owner review a study and decide.
    ///
    /// # Errors
    ///
    /// If the node refuses.
    pub async fn decide(&self, study: &Study, verdict: Verdict, reason: &str) -> Result<()> {
        let owner = self.owner_client().await?;
        let review = owner.review(study.id()).await?;
        owner.decide(&review, verdict, reason).await?;
        Ok(())
    }

    /// The public meter of the node's population.
    ///
    /// # Errors
    ///
    /// If the node does not run.
    pub fn meter(&self) -> Result<Rho> {
        let population = PopulationName::new("people")?;
        let view = self
            .node()?
            .ledger()
            .population(&population, self.clock.today());
        Ok(view.context("no population")?.account.meter)
    }
}
