//! Several nodes and a gateway in this process, over real TLS on loopback, each with its own
//! folder, ledger and owner.

mod builder;
mod site;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use obscura_client::model::accuracy::{Accuracy, AccuracyRequest};
use obscura_client::model::exposure::Rho;
use obscura_client::model::study::{
    Institution, ReleaseOptions, Study, StudyContent, StudyRelease, Terms, Verdict,
};
use obscura_client::{Client, Patience, Surroundings, System, Target};
use obscura_model::ids::{DatasetName, ProjectName, ReleaseName};
use obscura_model::text::SqlText;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::clock::TestClock;
use crate::people::{Consortium, Person, name};

pub use builder::Builder;
pub use site::Site;

/// Nodes, a gateway, and the people who use them.
pub struct Cluster {
    /// The clock of everybody.
    pub clock: Arc<TestClock>,
    /// The nodes, `site-1` first.
    pub sites: Vec<Site>,
    /// The authority.
    pub consortium: Consortium,
    gateway: Running,
    scientists: Vec<Person>,
    folder: TempDir,
}

struct Running {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<()>,
}

/// One release that a study asks for.
#[derive(Debug, Clone)]
pub struct Ask {
    /// Its name.
    pub name: &'static str,
    /// The query.
    pub sql: String,
    /// How accurate.
    pub accuracy: Accuracy,
    /// How often.
    pub times: u32,
    /// What is added to the question.
    pub options: ReleaseOptions,
}

/// Asks once, for a price in billionths of rho.
#[must_use]
pub fn ask(name: &'static str, sql: &str, nano: u64) -> Ask {
    let accuracy = Accuracy::Price(Rho::from_nano(nano));
    Ask {
        name,
        sql: sql.to_owned(),
        accuracy,
        times: 1,
        options: ReleaseOptions::NONE,
    }
}

impl Ask {
    /// So many times.
    #[must_use]
    pub fn times(self, times: u32) -> Self {
        Self { times, ..self }
    }

    /// Only while nobody is left out.
    #[must_use]
    pub fn complete(self) -> Self {
        let options = ReleaseOptions::PROPOSED;
        Self { options, ..self }
    }
}

/// Terms with everything stated, until the end of 2099.
#[must_use]
pub fn terms() -> Terms {
    Terms {
        controller: "University of Test".to_owned(),
        legal_basis: "Art. 89".to_owned(),
        ethics_reference: "E-1".to_owned(),
        contract_number: "C-1".to_owned(),
        end_date: "2099-12-31".to_owned(),
    }
}

/// A release's name.
///
/// # Errors
///
/// If it is none.
pub fn release_name(text: &str) -> Result<ReleaseName> {
    Ok(ReleaseName::new(text)?)
}

/// Around a client: the cluster's clock, and little patience.
#[must_use]
pub fn surroundings(clock: Arc<TestClock>) -> Surroundings {
    let mut around = Surroundings {
        clock,
        entropy: Arc::new(System),
        patience: Patience::default(),
    };
    around.patience.attempts = 3;
    around
}

impl Cluster {
    /// Begins with no site, a limit of epsilon 5 in protect mode, and ada.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Where the gateway listens.
    #[must_use]
    pub fn gateway(&self) -> SocketAddr {
        self.gateway.address
    }

    /// The folder of everything.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A scientist who was named to the builder.
    ///
    /// # Errors
    ///
    /// If there is none of that name.
    pub fn scientist(&self, who: &str) -> Result<&Person> {
        let mut all = self.scientists.iter();
        all.find(|p| p.party.name.as_str() == who)
            .with_context(|| format!("no scientist {who}"))
    }

    /// A connection through the gateway.
    ///
    /// # Errors
    ///
    /// If it cannot be made.
    pub async fn client(&self, who: &str) -> Result<Client> {
        self.client_of(self.scientist(who)?).await
    }

    /// A connection through the gateway as anybody.
    ///
    /// # Errors
    ///
    /// If it cannot be made.
    pub async fn client_of(&self, person: &Person) -> Result<Client> {
        let address = self.gateway.address.to_string();
        let target = Target::Gateway {
            address,
            name: name("hub")?,
        };
        let around = surroundings(self.clock.clone());
        Ok(Client::connect_with(person.profile(target)?, around).await?)
    }

    /// The institutions, as a study names them.
    ///
    /// # Errors
    ///
    /// Not expected.
    pub fn institutions(&self) -> Result<Vec<Institution>> {
        self.sites.iter().map(Site::institution).collect()
    }

    /// A study of these releases at every site, with all terms stated.
    ///
    /// # Errors
    ///
    /// If it breaks a rule of studies.
    pub fn study(&self, client: &Client, asks: &[Ask]) -> Result<Study> {
        self.study_with(client, asks, terms())
    }

    /// As [`Cluster::study`], under other terms.
    ///
    /// # Errors
    ///
    /// If it breaks a rule of studies.
    pub fn study_with(&self, client: &Client, asks: &[Ask], terms: Terms) -> Result<Study> {
        let dataset = &self
            .sites
            .first()
            .context("a cluster without sites")?
            .dataset
            .name;
        study(client, dataset, asks, terms, self.institutions()?)
    }

    /// Submits a study everywhere and has every owner approve it.
    ///
    /// # Errors
    ///
    /// If an institution or an owner does not go along.
    pub async fn approved(&self, client: &Client, asks: &[Ask]) -> Result<Study> {
        let study = self.study(client, asks)?;
        for site in client.submit(&study).await {
            site.outcome
                .with_context(|| format!("submitting to {}", site.institution.name))?;
        }
        for site in &self.sites {
            site.decide(&study, Verdict::Approve, "").await?;
        }
        Ok(study)
    }

    /// Stops everything in good order.
    pub async fn stop(self) {
        let Cluster { sites, gateway, .. } = self;
        let _gone = gateway.stop.send(());
        for mut site in sites {
            site.stop().await;
        }
        // The gateway lets connections of clients end first; nobody waits for that here.
        gateway.ended.abort();
    }
}

/// A project of one's own: called as its scientist.
///
/// # Errors
///
/// Not expected.
pub fn project_of(client: &Client) -> Result<ProjectName> {
    Ok(ProjectName::new(client.me().name.as_str())?)
}

/// A study of these releases, in the scientist's own project.
///
/// # Errors
///
/// If it breaks a rule of studies.
pub fn study(
    client: &Client,
    dataset: &str,
    asks: &[Ask],
    terms: Terms,
    institutions: Vec<Institution>,
) -> Result<Study> {
    let release = |ask: &Ask| {
        Ok(StudyRelease {
            name: ReleaseName::new(ask.name)?,
            sql: SqlText::new(&ask.sql)?,
            accuracy: AccuracyRequest::whole(ask.accuracy)?,
            times: ask.times,
            options: ask.options,
        })
    };
    Ok(Study::new(StudyContent {
        id: client.new_study_id()?,
        project: project_of(client)?,
        title: "A test".to_owned(),
        purpose: "To see whether it holds".to_owned(),
        terms,
        dataset: DatasetName::new(dataset)?,
        code_lists: Vec::new(),
        releases: asks.iter().map(release).collect::<Result<_>>()?,
        institutions,
    })?)
}
