//! What institutions make public: datasets, limits and meters.

use std::collections::BTreeSet;

use obscura_model::exposure::{Delta, DeltaCharge, Mode, Rho};
use obscura_model::ids::{
    DatasetId, DatasetName, Digest, GrantId, ReleaseName, StudyId, UnixMillis,
};
use obscura_model::schema::{Domain, StudyTerm, TextKeys};

/// The public face of a dataset. Nothing in it was computed from rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    /// Chosen by the node.
    pub id: DatasetId,
    /// The name in queries.
    pub name: DatasetName,
    /// Counts up with every new version.
    pub version: u32,
    /// For people.
    pub title: String,
    /// What it is, in sentences.
    pub about: String,
    /// Who is protected, in the singular.
    pub subject_unit: String,
    /// The name to use in `COUNT(DISTINCT ...)`.
    pub subject_column: String,
    /// At most this many rows of one subject count.
    pub most_rows_per_subject: u32,
    /// The lower end of the public size.
    pub fewest_subjects: u64,
    /// The upper end of the public size.
    pub most_subjects: u64,
    /// The queryable columns, in declared order.
    pub columns: Vec<Column>,
    /// Terms that a study must state.
    pub required_terms: BTreeSet<StudyTerm>,
    /// The accounts that a release counts towards: the population first.
    pub accounts: Vec<Account>,
    /// SHA-256 of the description file.
    pub description_digest: Digest,
    /// Its tables, the main one first.
    pub tables: Vec<TableRows>,
}

/// How many rows of one subject count in a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableRows {
    /// The table's name in queries.
    pub name: String,
    /// At most this many rows of one subject.
    pub most_rows_per_subject: u32,
}

/// One column of a dataset.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// The name in queries.
    pub name: String,
    /// What values it may have. Which category stands for others is not public.
    pub domain: Domain,
    /// The unit; may be empty.
    pub unit: String,
    /// What it means.
    pub meaning: String,
    /// Where the bounds or the list come from.
    pub source: String,
    /// Whether rows may have no value.
    pub may_be_missing: bool,
    /// Whether all rows of a subject have the same value.
    pub constant_per_subject: bool,
    /// For text: how its values may become group keys; nothing unless the owner turned it on.
    pub keys: Option<TextKeys>,
    /// For numbers: between which values most rows are, as public knowledge.
    pub typical: Option<(f64, f64)>,
}

/// The public state of one limit: of a population or of a dataset.
#[derive(Debug, Clone, PartialEq)]
pub struct Account {
    /// `population people (dataset visits)`, `population people` if it has several datasets, or
    /// `dataset visits alone`.
    pub name: String,
    /// Nothing if the owner has set no limit yet: then nothing can be released.
    pub limit: Option<AccountLimit>,
    /// What releases and open or failed runs added, in rho.
    pub meter: Rho,
    /// What approved studies may still add, in rho.
    pub reserved: Rho,
    /// What releases with keys that are not declared took of delta, failed ones included.
    pub keys_taken: DeltaCharge,
}

/// A limit in force.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AccountLimit {
    /// What happens near it.
    pub mode: Mode,
    /// As the owner set it.
    pub epsilon: f64,
    /// As the owner set it.
    pub delta: Delta,
    /// What is enforced.
    pub rho: Rho,
    /// The most that one release may add.
    pub largest_release: Rho,
    /// The least that one release adds.
    pub smallest_release: Rho,
    /// The highest limit ever in force: the guarantee.
    pub guarantee: Rho,
    /// What releases with keys that are not declared may take of delta, besides `delta`.
    pub keys: DeltaCharge,
    /// The highest of those ever in force: the guarantee.
    pub keys_guarantee: DeltaCharge,
}

impl Account {
    /// What the limit leaves open beyond meter and reservations; nothing without a limit.
    #[must_use]
    pub fn room(&self) -> Option<Rho> {
        let limit = self.limit?;
        let room = limit.rho.saturating_sub(self.meter);
        Some(room.saturating_sub(self.reserved))
    }
}

/// A scientist's share, in rho.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// The scientist limit; nothing if none is set.
    pub limit: Option<Rho>,
    /// What the scientist's releases and open or failed runs added.
    pub used: Rho,
}

/// One site's public exposure, and what the caller's own releases added.
#[derive(Debug, Clone, PartialEq)]
pub struct Exposure {
    /// Every limit of the site.
    pub accounts: Vec<Account>,
    /// The caller's releases, newest last. A run that failed has none; what it would have added
    /// stays in the share.
    pub releases: Vec<OwnRelease>,
    /// The caller's share.
    pub share: Share,
}

/// What one of the caller's own releases added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnRelease {
    /// What allowed it.
    pub source: Source,
    /// What it added.
    pub price: Rho,
    /// Its position in the node's journal.
    pub journal_index: u64,
    /// When it was committed.
    pub committed: UnixMillis,
}

/// What allowed one of the caller's own releases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A study.
    Study {
        /// Which.
        study: StudyId,
        /// The release's name in it.
        release: ReleaseName,
    },
    /// A standing grant.
    Grant(GrantId),
}
