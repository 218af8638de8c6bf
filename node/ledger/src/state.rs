//! What the records add up to: a pure fold, without IO, clock or choice of its own.
//!
//! Whether something may happen is decided before a record is written; the fold only checks that
//! a record makes sense where it stands, so that a journal written by a faulty program is
//! noticed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use obscura_model::exposure::{DeltaCharge, Rho};
use obscura_model::ids::{
    DatasetId, DatasetName, Digest, GrantId, KeyId, PopulationName, ProjectName, StudyId,
    UnixMillis,
};

mod apply;
mod exposures;
mod offers;
mod populations;
mod projects;
mod study;
mod subjects;

pub(crate) use apply::At;
pub(crate) use exposures::Charges;
pub(crate) use offers::ReleaseEntry;
pub(crate) use projects::{GrantEntry, ProjectEntry};
pub(crate) use study::{Stage, StudyEntry};
pub(crate) use subjects::{ByHash, CannotMove, Subjects};

use crate::record::{Account, DatasetVersion, Intent, LimitSet, Record, RequestKey, Role, Secrets};

/// How many stops with begun intents stop a population, counted since its owner's last lift.
pub const MOST_STOPS: u32 = 3;

/// A record that cannot stand where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHistory {
    /// It names something that is not there.
    #[error("it names {0} that the records before it do not have")]
    Unknown(&'static str),
    /// It makes something that is there already.
    #[error("it makes {0} a second time")]
    Twice(&'static str),
    /// A number left its range.
    #[error("{0} leaves its range")]
    Range(&'static str),
}

/// An account's limit, meter and exposures.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct AccountEntry {
    pub(crate) limit: Option<LimitSet>,
    /// The highest limit that was ever in force.
    pub(crate) guarantee: Option<LimitSet>,
    /// The prices of all intents: it never goes down.
    pub(crate) meter: Rho,
    /// The delta of all intents with keys that are not declared: it never goes down.
    pub(crate) meter_keys: DeltaCharge,
    pub(crate) releases: u64,
    /// Billionths, by subject index, as long as the population's capacity. Shared with a fold
    /// that reads while nothing can commit.
    pub(crate) exposures: Arc<Vec<u64>>,
}

impl AccountEntry {
    /// What is promised once `limit` is in force too. Rho and the delta of keys were promised
    /// each for itself: the highest of each counts.
    pub(crate) fn promised_with(&self, limit: &LimitSet) -> LimitSet {
        let Some(before) = &self.guarantee else {
            return limit.clone();
        };
        let higher = before.limit.rho() < limit.limit.rho();
        LimitSet {
            delta_keys: before.delta_keys.max(limit.delta_keys),
            ..if higher { limit } else { before }.clone()
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PopulationEntry {
    pub(crate) most_subjects: u64,
    pub(crate) capacity: u32,
    /// Whether its owner stated that nobody is in another population.
    pub(crate) apart: bool,
    pub(crate) secrets: Secrets,
    pub(crate) subjects: Subjects,
    /// Stops since the last lift.
    pub(crate) stops: u32,
    pub(crate) stopped: bool,
    /// Lifts so far.
    pub(crate) lifts: u32,
    /// The records of those lifts that ended a stop; the others lifted counted stops only.
    pub(crate) ended: BTreeSet<u64>,
    /// The intents that are open: those of one slot, opened one right after the other.
    pub(crate) open: BTreeSet<u64>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct VersionEntry {
    pub(crate) description: String,
    pub(crate) file_sha256: [u8; 32],
    pub(crate) rows: u64,
    pub(crate) added: UnixMillis,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DatasetEntry {
    pub(crate) name: DatasetName,
    pub(crate) population: PopulationName,
    /// Version 1 first.
    pub(crate) versions: Vec<VersionEntry>,
    /// The first version whose rows lie under the indexes of its population as it is.
    pub(crate) usable_from: usize,
    /// Whether any release of it was begun.
    pub(crate) released: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PersonEntry {
    pub(crate) role: Role,
    pub(crate) name: obscura_model::ids::PartyName,
    pub(crate) enrolled: bool,
    /// The last enrolment's record.
    pub(crate) index: u64,
}

/// Where a request stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Its intent is open.
    Open,
    /// Its release is the record with this index.
    Committed(u64),
    /// It is answered by the earlier release that is the record with this index.
    Earlier(u64),
    /// It failed for good.
    Poisoned,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RequestEntry {
    pub(crate) body_digest: Digest,
    pub(crate) outcome: Outcome,
}

/// An intent whose release is neither committed nor given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IntentEntry {
    pub(crate) intent: Intent,
    pub(crate) time: UnixMillis,
    /// Whether its one rerun was begun.
    pub(crate) restarted: bool,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct State {
    pub(crate) begun: bool,
    pub(crate) people: BTreeMap<KeyId, PersonEntry>,
    /// Prices by scientist. It never goes down.
    pub(crate) taken: BTreeMap<KeyId, Rho>,
    pub(crate) scientist_limits: BTreeMap<KeyId, Rho>,
    pub(crate) every_scientist: Option<Rho>,
    pub(crate) populations: BTreeMap<PopulationName, PopulationEntry>,
    pub(crate) datasets: BTreeMap<DatasetId, DatasetEntry>,
    pub(crate) accounts: BTreeMap<Account, AccountEntry>,
    pub(crate) studies: BTreeMap<StudyId, StudyEntry>,
    /// In order of submission.
    pub(crate) study_order: Vec<StudyId>,
    pub(crate) projects: BTreeMap<ProjectName, ProjectEntry>,
    pub(crate) grants: BTreeMap<GrantId, GrantEntry>,
    /// In the order in which they were given.
    pub(crate) grant_order: Vec<GrantId>,
    /// Populations that were merged into another. Their names are never used again.
    pub(crate) merged: BTreeSet<PopulationName>,
    pub(crate) requests: BTreeMap<RequestKey, RequestEntry>,
    /// Every release, by record index.
    pub(crate) releases: BTreeMap<u64, ReleaseEntry>,
    /// A person's newest answer to a plan on a version of a dataset.
    pub(crate) earlier: BTreeMap<(KeyId, Digest, DatasetVersion), RequestKey>,
    /// Open intents by record index.
    pub(crate) intents: BTreeMap<u64, IntentEntry>,
}

impl State {
    pub(crate) fn dataset_named(&self, name: &DatasetName) -> Option<(DatasetId, &DatasetEntry)> {
        self.datasets
            .iter()
            .find(|(_, entry)| entry.name == *name)
            .map(|(id, entry)| (*id, entry))
    }

    pub(crate) fn version(&self, which: DatasetVersion) -> Option<(&DatasetEntry, &VersionEntry)> {
        let dataset = self.datasets.get(&which.id)?;
        let position = usize::try_from(which.version.checked_sub(1)?).ok()?;
        Some((dataset, dataset.versions.get(position)?))
    }

    /// Whether the rows of a version lie under the indexes of its population as it is.
    pub(crate) fn usable(&self, which: DatasetVersion) -> bool {
        let dataset = self.datasets.get(&which.id);
        dataset.is_some_and(|dataset| which.version as usize >= dataset.usable_from)
    }

    /// The accounts that a release of a dataset adds to: the population's, then the dataset's if
    /// it has its own limit.
    pub(crate) fn accounts_of(
        &self,
        dataset: DatasetId,
        population: &PopulationName,
    ) -> Vec<Account> {
        let accounts = [
            Account::Population(population.clone()),
            Account::Dataset(dataset),
        ];
        accounts
            .into_iter()
            .filter(|account| self.accounts.contains_key(account))
            .collect()
    }

    /// The population whose subjects an account counts.
    pub(crate) fn population_of<'a>(&'a self, account: &'a Account) -> Option<&'a PopulationName> {
        match account {
            Account::Population(name) => Some(name),
            Account::Dataset(id) => self.datasets.get(id).map(|dataset| &dataset.population),
        }
    }

    pub(crate) fn scientist_limit(&self, person: &KeyId) -> Option<Rho> {
        self.scientist_limits
            .get(person)
            .copied()
            .or(self.every_scientist)
    }

    pub(crate) fn taken(&self, person: &KeyId) -> Rho {
        self.taken.get(person).copied().unwrap_or_default()
    }

    /// What approved studies hold of an account at `now`, without the study `except`.
    pub(crate) fn reserved(
        &self,
        account: &Account,
        except: Option<StudyId>,
        now: UnixMillis,
    ) -> Rho {
        let held = self
            .studies
            .values()
            .filter(|study| Some(study.study.id) != except);
        let held = held.filter(|study| self.concerns(study, account));
        held.fold(Rho::ZERO, |sum, study| {
            sum.checked_add(study.reserved(now))
                .unwrap_or(Rho::from_nano(u64::MAX))
        })
    }

    /// The request that a record answers, if it is a release of an open intent.
    pub(crate) fn answers(&self, record: &Record) -> Option<RequestKey> {
        match record {
            Record::ReleaseCommitted { intent, .. } => {
                self.intents.get(intent).map(|entry| entry.intent.key)
            }
            _ => None,
        }
    }

    /// The requests that releases answer, by the releases' record indexes.
    pub(crate) fn answer_keys(&self) -> BTreeMap<u64, RequestKey> {
        let releases = self.releases.iter();
        releases.map(|(index, entry)| (*index, entry.key)).collect()
    }

    fn concerns(&self, study: &StudyEntry, account: &Account) -> bool {
        match account {
            Account::Population(name) => study.population == *name,
            Account::Dataset(id) => study.study.dataset.id == *id,
        }
    }

    /// The room that an approval at `now` may hold: what the limits leave after the meters and
    /// what others hold. Nothing while a limit is missing.
    pub(crate) fn room(&self, study: &StudyEntry, now: UnixMillis) -> Rho {
        let accounts = self.accounts_of(study.study.dataset.id, &study.population);
        let room = accounts.iter().map(|account| {
            let entry = self.accounts.get(account)?;
            let held = self.reserved(account, Some(study.study.id), now);
            let limit = entry.limit.as_ref()?.limit.rho();
            Some(limit.saturating_sub(entry.meter).saturating_sub(held))
        });
        room.min().flatten().unwrap_or_default()
    }
}
