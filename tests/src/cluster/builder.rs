//! Building a cluster.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use obscura_client::model::exposure::{Delta, Mode};
use obscura_client::{OwnerClient, ScientistLimit};
use obscura_gateway::Parts;
use obscura_model::identity::Role;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::{Cluster, Running, Site};
use crate::clock::TestClock;
use crate::data::Dataset;
use crate::people::{Consortium, Person, name};

/// What a cluster will be like.
#[derive(Debug)]
pub struct Builder {
    sites: Vec<Dataset>,
    epsilon: f64,
    scientist_epsilon: f64,
    delta: f64,
    mode: Mode,
    scientists: Vec<String>,
    clock: Arc<TestClock>,
    template: Option<PathBuf>,
}

impl Default for Builder {
    /// No site, a limit of epsilon 5 at delta 1e-6 in protect mode, and ada.
    fn default() -> Self {
        Self {
            sites: Vec::new(),
            epsilon: 5.0,
            scientist_epsilon: 500.0,
            delta: 1e-6,
            mode: Mode::Protect,
            scientists: vec!["ada".to_owned()],
            clock: Arc::new(TestClock::without_waits()),
            template: None,
        }
    }
}

impl Builder {
    /// One more site with this dataset.
    #[must_use]
    pub fn site(mut self, dataset: Dataset) -> Self {
        self.sites.push(dataset);
        self
    }

    /// So many sites of the demo's public data.
    ///
    /// # Errors
    ///
    /// If the demo's files are not there.
    pub fn demo_sites(mut self, sites: u32) -> Result<Self> {
        for site in 1..=sites {
            self.sites.push(crate::data::demo_site(site)?);
        }
        Ok(self)
    }

    /// The population limit of every site (5 at delta 1e-6).
    #[must_use]
    pub fn limit(mut self, epsilon: f64) -> Self {
        self.epsilon = epsilon;
        self
    }

    /// The share of every scientist (500: never in the way).
    #[must_use]
    pub fn scientist_limit(mut self, epsilon: f64) -> Self {
        self.scientist_epsilon = epsilon;
        self
    }

    /// What happens near the limit (protect).
    #[must_use]
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// One more scientist, who is enrolled everywhere (ada is there already).
    #[must_use]
    pub fn scientist(mut self, who: &str) -> Self {
        self.scientists.push(who.to_owned());
        self
    }

    /// Waits for slots are real.
    #[must_use]
    pub fn with_waits(mut self) -> Self {
        self.clock = Arc::new(TestClock::with_waits());
        self
    }

    /// Everybody's clock; other clusters may have the same.
    #[must_use]
    pub fn clock(mut self, clock: Arc<TestClock>) -> Self {
        self.clock = clock;
        self
    }

    /// Every node begins as a copy of this folder, which [`Site::template`] made: same key, same
    /// empty ledger.
    #[must_use]
    pub fn nodes_like(mut self, template: PathBuf) -> Self {
        self.template = Some(template);
        self
    }

    /// Makes and starts everything; datasets are registered, limits set, scientists enrolled.
    ///
    /// # Errors
    ///
    /// If any step fails.
    pub async fn build(self) -> Result<Cluster> {
        let Builder {
            sites,
            epsilon,
            scientist_epsilon,
            delta,
            mode,
            scientists,
            clock,
            template,
        } = self;
        let folder = tempfile::tempdir()?;
        let consortium = Consortium::new("Test", clock.today())?;
        let named = |s: &String| consortium.issue(Role::Scientist, s);
        let scientists = scientists.iter().map(named).collect::<Result<Vec<_>>>()?;
        let mut started = Vec::new();
        for (number, dataset) in (1..).zip(sites) {
            let who = format!("site-{number}");
            if let Some(template) = &template {
                copy(template, &folder.path().join(&who))?;
            }
            let mut site = Site::prepare(&consortium, folder.path(), &who, dataset, clock.clone())?;
            site.start().await?;
            let owner = site.owner_client().await?;
            let promise = Promise {
                epsilon,
                scientist_epsilon,
                delta,
                mode,
            };
            promise.keep(&site, &owner, &scientists).await?;
            started.push(site);
        }
        let gateway = gateway(&consortium, &started, clock.clone()).await?;
        Ok(Cluster {
            clock,
            sites: started,
            consortium,
            gateway,
            scientists,
            folder,
        })
    }
}

/// Copies a folder with everything in it.
pub(super) fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to)?;
        } else {
            std::fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}

struct Promise {
    epsilon: f64,
    scientist_epsilon: f64,
    delta: f64,
    mode: Mode,
}

impl Promise {
    /// Registers the dataset, sets limits and enrols scientists, as the owner.
    async fn keep(&self, site: &Site, owner: &OwnerClient, scientists: &[Person]) -> Result<()> {
        owner.add_dataset(&site.dataset.description).await?;
        owner
            .set_limit(&site.limit(self.epsilon, self.delta, self.mode)?)
            .await?;
        owner
            .set_scientist_limit(&ScientistLimit {
                scientist: None,
                epsilon: self.scientist_epsilon,
                delta: Delta::new(self.delta)?,
                reason: "for tests".to_owned(),
            })
            .await?;
        for scientist in scientists {
            owner.enrol(&scientist.der()?).await?;
        }
        Ok(())
    }
}

async fn gateway(
    consortium: &Consortium,
    sites: &[Site],
    clock: Arc<TestClock>,
) -> Result<Running> {
    let nodes = sites.iter().map(|site| {
        Ok(obscura_gateway::Node {
            name: name(&site.name)?,
            address: site.address()?.to_string(),
            certificate: site.certificate.clone(),
        })
    });
    let parts = Parts {
        credentials: consortium.issue(Role::Gateway, "hub")?.credentials()?,
        nodes: nodes.collect::<Result<_>>()?,
        clock: Arc::new(move || clock.today()),
    };
    let gateway = obscura_gateway::build(parts)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let (stop, stopped) = oneshot::channel::<()>();
    let ended = tokio::spawn(async move {
        let stopped = async { drop(stopped.await) };
        // A gateway that ends early is found out by the next call.
        drop(gateway.run(listener, stopped).await);
    });
    Ok(Running {
        address,
        stop,
        ended,
    })
}
