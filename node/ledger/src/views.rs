//! What a ledger shows: copies of its state at one moment.

use obscura_model::exposure::{DeltaCharge, Rho};
use obscura_model::ids::{
    DatasetId, DatasetName, Digest, GrantId, KeyId, PartyName, PopulationName, ProjectName,
    StudyId, UnixMillis,
};

pub use obscura_model::study::StudyState;

use crate::record::{Account, DatasetVersion, Intent, LimitSet, RequestKey, Role, StudyRelease};

/// A study. All of it is public to its scientist and the data owner.
#[derive(Debug, Clone, PartialEq)]
pub struct StudyView {
    /// Its id.
    pub id: StudyId,
    /// The digest of what was submitted.
    pub digest: Digest,
    /// Who submitted it.
    pub scientist: KeyId,
    /// The project whose members may run it.
    pub project: ProjectName,
    /// The dataset version it reads.
    pub dataset: DatasetVersion,
    /// The dataset's population.
    pub population: PopulationName,
    /// What it releases, and how often it did.
    pub releases: Vec<ReleaseRuns>,
    /// Until when it runs.
    pub expires: UnixMillis,
    /// Where it stands.
    pub state: StudyState,
    /// The reason of the last decision; may be empty.
    pub reason: String,
    /// When it was submitted.
    pub submitted: UnixMillis,
    /// When its owner last decided.
    pub decided: Option<UnixMillis>,
    /// The signed submission.
    pub evidence: Vec<u8>,
    /// The signed last decision; empty without one.
    pub decision_evidence: Vec<u8>,
}

/// One release of a study and how often it ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseRuns {
    /// The release.
    pub release: StudyRelease,
    /// How many request ids took it, failed ones included.
    pub begun: u32,
    /// How many of them have an answer.
    pub committed: u32,
}

/// A project: the people who work on a question together, and what they took together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectView {
    /// Its name.
    pub name: ProjectName,
    /// Its members, in the order of their keys.
    pub members: Vec<KeyId>,
    /// Who asked to join and waits for an owner, in the order of their keys.
    pub waiting: Vec<KeyId>,
    /// The public prices of all releases of its studies and grants, failed ones included.
    pub taken: Rho,
    /// The limit that applies; nothing while the owner has set none.
    pub limit: Option<Rho>,
}

/// A standing grant. All of it is public.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantView {
    /// Its id.
    pub id: GrantId,
    /// The project for which it is.
    pub project: ProjectName,
    /// Whose it is.
    pub scientist: KeyId,
    /// The dataset whose newest version it lets be read.
    pub dataset: DatasetId,
    /// The columns that queries may read.
    pub columns: Vec<String>,
    /// The most that all its releases together add, in public prices.
    pub most: Rho,
    /// The most that they together take of delta for keys that are not declared; nothing, and no
    /// query may have such keys.
    pub delta_keys: DeltaCharge,
    /// How many request ids may use it.
    pub releases: u32,
    /// Until when it holds.
    pub expires: UnixMillis,
    /// The owner's reason for it.
    pub reason: String,
    /// The signed request.
    pub evidence: Vec<u8>,
    /// When it was given.
    pub given: UnixMillis,
    /// The public prices of all releases begun under it.
    pub taken: Rho,
    /// What they took of delta for keys.
    pub taken_keys: DeltaCharge,
    /// How many request ids used it, failed ones included.
    pub begun: u32,
    /// Where it stands.
    pub state: GrantState,
    /// Why it was revoked or suspended; empty otherwise.
    pub ended: String,
}

/// Where a grant stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrantState {
    /// It allows releases.
    InForce,
    /// All its releases were begun, or their prices add up to all it allows.
    Used,
    /// Its end is over.
    Expired,
    /// Its owner took it back.
    Revoked,
    /// A release under it failed twice.
    Suspended,
}

/// What became of subjects that were marked, readmitted or given new ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marked {
    /// How many people with an index were meant. Private: for the data owner only.
    pub matched: u64,
    /// The index of the record.
    pub index: u64,
}

/// A person at the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The person's key.
    pub key: KeyId,
    /// What the person may do.
    pub role: Role,
    /// The person's name.
    pub name: PartyName,
    /// Whether the person is enrolled now.
    pub enrolled: bool,
    /// The public prices of all the person's releases, failed ones included.
    pub taken: Rho,
    /// The scientist limit that applies; nothing while the owner has set none.
    pub limit: Option<Rho>,
}

/// An account's public numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct AccountView {
    /// The account.
    pub account: Account,
    /// The limit in force.
    pub limit: Option<LimitSet>,
    /// The highest limit that was ever in force: the guarantee.
    pub guarantee: Option<LimitSet>,
    /// The prices of all releases and of all open and failed intents.
    pub meter: Rho,
    /// What releases with keys that are not declared took of delta, failed ones included.
    pub meter_keys: DeltaCharge,
    /// What approved studies hold for runs not yet made.
    pub reserved: Rho,
    /// How many releases were made.
    pub releases: u64,
}

/// A population's public facts.
#[derive(Debug, Clone, PartialEq)]
pub struct PopulationView {
    /// Its name.
    pub name: PopulationName,
    /// The upper end of its declared size.
    pub most_subjects: u64,
    /// How many subjects the index has room for.
    pub capacity: u32,
    /// Whether its owner stated that nobody of it is in another population of the node.
    pub apart: bool,
    /// How many datasets it has.
    pub datasets: usize,
    /// Its limit and meter.
    pub account: AccountView,
    /// Stops with a begun release since the owner's last lift.
    pub stops: u32,
    /// Whether it makes no release until its owner lifts that.
    pub stopped: bool,
    /// How often its owner has lifted a stop.
    pub lifts: u32,
    /// The intent that is open: the first, if several share a slot.
    pub open_intent: Option<u64>,
}

/// A version of a dataset. `file_sha256` and `rows` are private: for the node and the owner.
#[derive(Debug, Clone, PartialEq)]
pub struct DatasetView {
    /// Dataset and version.
    pub which: DatasetVersion,
    /// The dataset's name.
    pub name: DatasetName,
    /// Its population.
    pub population: PopulationName,
    /// Its description, as the owner wrote it.
    pub description: String,
    /// Private: the SHA-256 of the stored rows.
    pub file_sha256: [u8; 32],
    /// Private: how many rows are stored.
    pub rows: u64,
    /// When the version was added.
    pub added: UnixMillis,
    /// Whether its rows are of a population that was merged into another, so that nothing is
    /// released from this version any more.
    pub needs_ingest: bool,
    /// Its own limit and meter, if it has its own limit.
    pub account: Option<AccountView>,
}

/// An open intent: what a rerun starts from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenIntent {
    /// The index of its record.
    pub index: u64,
    /// When it was opened.
    pub time: UnixMillis,
    /// Its terms.
    pub intent: Intent,
}

/// One line of the owner's log: public facts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// The record's index.
    pub index: u64,
    /// The record's time.
    pub time: UnixMillis,
    /// The record's kind in a few words.
    pub kind: &'static str,
    /// The record in one sentence.
    pub text: String,
    /// What was said that only the signed request holds.
    pub said: Option<Said>,
}

/// The signed request behind a record that does not hold all that was said in it, opaque.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// A scientist limit: as what it was typed, and why.
    ScientistLimit(Vec<u8>),
    /// A lift: why.
    Lift(Vec<u8>),
    /// A project's limit: as what it was typed, and why.
    ProjectLimit(Vec<u8>),
    /// A grant: its total, as it was typed.
    Grant(Vec<u8>),
    /// A release under a grant: the question. For the owner and its asker only.
    Asked {
        /// The dataset version that it reads.
        dataset: DatasetVersion,
        /// The signed request.
        evidence: Vec<u8>,
    },
}

/// A stored release. Only the ledger makes one, and only after it is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    index: u64,
    time: UnixMillis,
    key: RequestKey,
    body: Vec<u8>,
}

impl Committed {
    pub(crate) fn new(index: u64, time: UnixMillis, key: RequestKey, body: Vec<u8>) -> Self {
        Self {
            index,
            time,
            key,
            body,
        }
    }

    /// The index of its record.
    #[must_use]
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// When it was committed.
    #[must_use]
    pub const fn time(&self) -> UnixMillis {
        self.time
    }

    /// Whose request it answers.
    #[must_use]
    pub const fn key(&self) -> RequestKey {
        self.key
    }

    /// The release body as it was stored.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The release body as it was stored.
    #[must_use]
    pub fn into_body(self) -> Vec<u8> {
        self.body
    }
}
