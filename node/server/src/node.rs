//! The node: its parts, and what the services read from them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use obscura_ledger::{AccountView, DatasetVersion, DatasetView, Ledger, StudyView};
use obscura_model::envelope::SignedMessage;
use obscura_model::exposure::Rho;
use obscura_model::identity::{Party, SigningKey};
use obscura_model::ids::{DatasetName, KeyId, PopulationName, ProjectName, UnixMillis};
use obscura_model::schema::Description;
use obscura_model::study::{ReleaseOptions, Study};
use obscura_model::wire;
use obscura_query::{PlanOptions, PrivatePlan, PrivateTable, ValidatedQuery};

use crate::access::Door;
use crate::clock::Clock;
use crate::error::Error;
use crate::pipeline::Run;
use crate::slots::Slots;
use crate::veil::Veil;

/// Who this node is.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Role, name and public key, from the certificate.
    pub party: Party,
    /// The key that signs answers, releases and heads.
    pub key: SigningKey,
    /// The consortium authority's certificate (DER).
    pub ca: Vec<u8>,
}

/// Folders and numbers of a node.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Ingested data.
    pub datasets: PathBuf,
    /// Files to ingest.
    pub import: PathBuf,
    /// The step of slots.
    pub slot: Duration,
    /// Threads of one fold.
    pub threads: usize,
}

/// The node. Cheap to share; all state that lasts is in the ledger.
#[derive(Debug)]
pub struct Node {
    pub(crate) identity: Identity,
    pub(crate) settings: Settings,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) door: Door,
    pub(crate) clock: Arc<dyn Clock>,
    /// What this process has answered and not shown yet.
    pub(crate) veil: Veil,
    /// Held while a failed or interrupted release runs again, so that nobody runs it twice.
    pub(crate) rerunning: Mutex<()>,
    /// Held during an ingest: two at once would write the same file.
    pub(crate) ingesting: Mutex<()>,
    /// The latest time seen, in milliseconds.
    latest: AtomicU64,
    descriptions: RwLock<BTreeMap<DatasetVersion, Arc<Description>>>,
    /// Stored versions, opened once. Every part of a file is compared with its digest again when
    /// it is read.
    tables: Mutex<BTreeMap<DatasetVersion, PrivateTable>>,
    slots: Mutex<BTreeMap<PopulationName, Arc<Slots<Run>>>>,
}

/// A dataset with its description, as the services show it.
#[derive(Debug, Clone)]
pub struct DatasetFace {
    /// What the ledger knows.
    pub view: DatasetView,
    /// What the owner typed in.
    pub description: Arc<Description>,
    /// The accounts that a release counts towards: the population's, and the dataset's own.
    pub accounts: Vec<AccountView>,
    /// Whether its population has no other dataset: then there is just the one limit, and people
    /// know it as the dataset's.
    pub sole: bool,
}

impl DatasetFace {
    /// The minimum price: that of the tighter limit, if any is set.
    #[must_use]
    pub fn minimum(&self) -> Option<Rho> {
        let limits = self.accounts.iter().filter_map(|a| a.limit.as_ref());
        limits.map(|l| l.limit.smallest_release()).min()
    }

    /// Plans a query on this dataset. Public: description, text, accuracy and limits only.
    pub fn plan(
        &self,
        query: &ValidatedQuery,
        accuracy: &obscura_model::accuracy::AccuracyRequest,
        options: ReleaseOptions,
    ) -> Result<PrivatePlan, obscura_query::Refusal> {
        let description = &self.description;
        query.plan(
            description,
            accuracy,
            self.minimum(),
            description.delta(),
            &self.plan_options(options),
        )
    }

    /// What a release computes beside its outputs: as its request says, and what the dataset's
    /// disclosure rules need.
    #[must_use]
    pub fn plan_options(&self, options: ReleaseOptions) -> PlanOptions {
        let ReleaseOptions {
            require_complete: _,
            coverage,
            count_clipped,
        } = options;
        PlanOptions {
            coverage,
            count_clipped,
            minimum_cell: self.description.disclosure().minimum_cell,
        }
    }
}

impl Node {
    /// Puts a node together from its parts.
    #[must_use]
    pub fn new(
        identity: Identity,
        settings: Settings,
        ledger: Ledger,
        owners: Vec<Party>,
        clock: Arc<dyn Clock>,
    ) -> Arc<Self> {
        let (last, now) = (ledger.last_time(), clock.now());
        if now < last {
            tracing::warn!(
                "the clock is behind the ledger: calls are refused until it has caught up"
            );
        }
        let started = last.max(now);
        let door = Door::new(identity.party.key, owners, started);
        Arc::new(Self {
            identity,
            settings,
            ledger: Arc::new(ledger),
            door,
            clock,
            veil: Veil::default(),
            rerunning: Mutex::default(),
            ingesting: Mutex::default(),
            latest: AtomicU64::new(started.0),
            descriptions: RwLock::default(),
            tables: Mutex::default(),
            slots: Mutex::default(),
        })
    }

    /// The ledger, for tests and tools inside the process.
    #[must_use]
    pub fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    /// The wall clock, which never goes back here: what has expired stays expired.
    pub(crate) fn now(&self) -> UnixMillis {
        let now = self.clock.now();
        UnixMillis(self.latest.fetch_max(now.0, Ordering::SeqCst).max(now.0))
    }

    /// The latest version of every dataset.
    pub fn datasets(&self) -> Result<Vec<DatasetFace>, Error> {
        let mut views = self.ledger.datasets(self.now());
        // Not by id: its random part would decide the order.
        views.sort_by(|a, b| a.name.cmp(&b.name));
        views.into_iter().map(|view| self.face(view)).collect()
    }

    /// The latest version of the dataset called `name`.
    pub fn dataset(&self, name: &str) -> Result<DatasetFace, Error> {
        let missing = || Error::NoDataset(name.chars().take(40).collect());
        let valid = DatasetName::new(name).map_err(|_| missing())?;
        self.face(
            self.ledger
                .dataset(&valid, self.now())
                .ok_or_else(missing)?,
        )
    }

    /// One version of a dataset.
    pub fn dataset_version(&self, which: DatasetVersion) -> Result<DatasetFace, Error> {
        let view = self.ledger.dataset_version(which, self.now());
        self.face(view.ok_or_else(|| Error::NoDataset("that version".to_owned()))?)
    }

    fn face(&self, view: DatasetView) -> Result<DatasetFace, Error> {
        let description = self.description(&view)?;
        let population = self.ledger.population(&view.population, self.now());
        let sole = population.as_ref().is_none_or(|p| p.datasets <= 1);
        let population = population.map(|p| p.account);
        let accounts = population.into_iter().chain(view.account.clone()).collect();
        Ok(DatasetFace {
            view,
            description,
            accounts,
            sole,
        })
    }

    /// A stored version: as it was opened before, or by `open`.
    pub(crate) fn table(
        &self,
        which: DatasetVersion,
        open: impl FnOnce() -> Result<PrivateTable, Error>,
    ) -> Result<PrivateTable, Error> {
        let known = |which| {
            let tables = self.tables.lock().unwrap_or_else(|e| e.into_inner());
            tables.get(which).cloned()
        };
        if let Some(table) = known(&which) {
            return Ok(table);
        }
        // Opened without the lock: another population's releases do not wait for this one's.
        let table = open()?;
        let mut tables = self.tables.lock().unwrap_or_else(|e| e.into_inner());
        // Versions before are not read any more, except by what has them open.
        tables.retain(|known, _| known.id != which.id);
        tables.insert(which, table.clone());
        Ok(table)
    }

    fn description(&self, view: &DatasetView) -> Result<Arc<Description>, Error> {
        let known = self.descriptions.read().unwrap_or_else(|e| e.into_inner());
        if let Some(description) = known.get(&view.which) {
            return Ok(description.clone());
        }
        drop(known);
        let description = Arc::new(Description::from_toml(&view.description)?);
        let mut known = self.descriptions.write().unwrap_or_else(|e| e.into_inner());
        known.insert(view.which, description.clone());
        Ok(description)
    }

    /// The document of a submitted study, from the ledger's evidence.
    pub fn study_document(&self, view: &StudyView) -> Result<Study, Error> {
        let signed = signed_evidence(&view.evidence)?;
        Ok(wire::study_decode(&signed.body)?)
    }

    /// The limit and use of a scientist, in public prices.
    #[must_use]
    pub fn scientist_share(&self, key: &KeyId) -> (Option<Rho>, Rho) {
        self.ledger
            .person(key)
            .map_or((None, Rho::ZERO), |p| (p.limit, p.taken))
    }

    /// Whether a person is a member of a project here.
    #[must_use]
    pub fn is_member(&self, project: &ProjectName, person: &KeyId) -> bool {
        let project = self.ledger.project(project);
        project.is_some_and(|project| project.members.contains(person))
    }

    /// How many slots were overrun since the process started: answers that came late.
    pub(crate) fn overruns(&self) -> u32 {
        let slots = self.slots.lock().unwrap_or_else(|e| e.into_inner());
        let each = slots.values().map(|slots| slots.overruns());
        each.fold(0, u32::saturating_add)
    }

    /// The slots of a population; their task starts with the first release.
    pub(crate) fn slots(&self, population: &PopulationName) -> Arc<Slots<Run>> {
        let mut slots = self.slots.lock().unwrap_or_else(|e| e.into_inner());
        let start = || Arc::new(Slots::start(self.clock.clone(), self.settings.slot));
        slots
            .entry(population.clone())
            .or_insert_with(start)
            .clone()
    }
}

/// Reads signed evidence that the ledger kept.
pub(crate) fn signed_evidence(bytes: &[u8]) -> Result<SignedMessage, Error> {
    #[derive(Debug, thiserror::Error)]
    #[error("the ledger holds evidence that is not a signed message")]
    struct Unreadable;
    wire::signed_decode(bytes).ok_or_else(|| Error::inside(Unreadable))
}
