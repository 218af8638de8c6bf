//! Views of the state.

use std::collections::BTreeMap;

use obscura_model::ids::{DatasetName, Digest, KeyId, PopulationName, StudyId, UnixMillis};

use super::Ledger;
use crate::record::{Account, DatasetVersion, Names, RequestKey};
use crate::state::{Outcome, PersonEntry, State, StudyEntry};
use crate::views::{AccountView, DatasetView, Person, PopulationView, ReleaseRuns, StudyView};

impl Ledger {
    /// A person who is or was enrolled.
    #[must_use]
    pub fn person(&self, person: &KeyId) -> Option<Person> {
        let inner = self.peek();
        inner
            .state
            .people
            .get(person)
            .map(|entry| inner.state.show_person(*person, entry))
    }

    /// All people, in the order of their keys.
    #[must_use]
    pub fn people(&self) -> Vec<Person> {
        let inner = self.peek();
        let people = inner.state.people.iter();
        people
            .map(|(key, entry)| inner.state.show_person(*key, entry))
            .collect()
    }

    /// The digest of the body of a request that failed for good, and gets a fixed error for ever.
    #[must_use]
    pub fn given_up(&self, key: &RequestKey) -> Option<Digest> {
        let inner = self.peek();
        let entry = inner.state.requests.get(key)?;
        (entry.outcome == Outcome::Poisoned).then_some(entry.body_digest)
    }

    /// The requests of a person that have an answer, in the order of their ids.
    #[must_use]
    pub fn answered(&self, person: &KeyId) -> Vec<RequestKey> {
        let inner = self.peek();
        let own = inner
            .state
            .requests
            .iter()
            .filter(|(key, _)| key.person == *person);
        own.filter(|(_, entry)| matches!(entry.outcome, Outcome::Committed(_)))
            .map(|(key, _)| *key)
            .collect()
    }

    /// One population.
    #[must_use]
    pub fn population(&self, name: &PopulationName, now: UnixMillis) -> Option<PopulationView> {
        let inner = self.peek();
        inner.state.show_population(name, inner.time(now))
    }

    /// All populations, in the order of their names.
    #[must_use]
    pub fn populations(&self, now: UnixMillis) -> Vec<PopulationView> {
        let inner = self.peek();
        let time = inner.time(now);
        let names = inner.state.populations.keys();
        names
            .filter_map(|name| inner.state.show_population(name, time))
            .collect()
    }

    /// The latest version of every dataset, in the order of their ids.
    #[must_use]
    pub fn datasets(&self, now: UnixMillis) -> Vec<DatasetView> {
        let inner = self.peek();
        let time = inner.time(now);
        let latest = inner.state.datasets.iter().map(|(id, entry)| {
            let version = u32::try_from(entry.versions.len()).unwrap_or(u32::MAX);
            DatasetVersion { id: *id, version }
        });
        latest
            .filter_map(|which| inner.state.show_dataset(which, time))
            .collect()
    }

    /// The latest version of a dataset.
    #[must_use]
    pub fn dataset(&self, name: &DatasetName, now: UnixMillis) -> Option<DatasetView> {
        self.datasets(now)
            .into_iter()
            .find(|dataset| dataset.name == *name)
    }

    /// One version of a dataset.
    #[must_use]
    pub fn dataset_version(&self, which: DatasetVersion, now: UnixMillis) -> Option<DatasetView> {
        let inner = self.peek();
        inner.state.show_dataset(which, inner.time(now))
    }

    /// One study as it stands now.
    #[must_use]
    pub fn study(&self, id: StudyId, now: UnixMillis) -> Option<StudyView> {
        let inner = self.peek();
        inner
            .state
            .studies
            .get(&id)
            .map(|entry| show_study(entry, inner.time(now)))
    }

    /// All studies as they stand now, in order of submission.
    #[must_use]
    pub fn studies(&self, now: UnixMillis) -> Vec<StudyView> {
        let inner = self.peek();
        let time = inner.time(now);
        let studies = inner
            .state
            .study_order
            .iter()
            .filter_map(|id| inner.state.studies.get(id));
        studies.map(|entry| show_study(entry, time)).collect()
    }
}

impl State {
    /// What the log calls people and datasets. Two people of the same name are told apart by the
    /// beginning of their keys.
    pub(super) fn names(&self) -> Names {
        let mut bearers: BTreeMap<&str, usize> = BTreeMap::new();
        for person in self.people.values() {
            *bearers.entry(person.name.as_str()).or_default() += 1;
        }
        let called = |(key, person): (&KeyId, &PersonEntry)| {
            let name = person.name.as_str();
            let called = match bearers.get(name) {
                Some(0 | 1) | None => name.to_owned(),
                Some(_) => format!("{name} (key {:.8}…)", key.to_string()),
            };
            (*key, called)
        };
        let datasets = self.datasets.iter();
        let populations = self.populations.values();
        let sole = |name: &PopulationName| {
            let mut of_it = self.datasets.values().filter(|d| d.population == *name);
            let one = of_it.next()?;
            of_it
                .next()
                .is_none()
                .then(|| (name.clone(), one.name.clone()))
        };
        Names {
            soles: self.populations.keys().filter_map(sole).collect(),
            people: self.people.iter().map(called).collect(),
            datasets: datasets.map(|(id, d)| (*id, d.name.clone())).collect(),
            ended: populations.flat_map(|p| &p.ended).copied().collect(),
        }
    }

    fn show_person(&self, key: KeyId, entry: &PersonEntry) -> Person {
        Person {
            key,
            role: entry.role,
            name: entry.name.clone(),
            enrolled: entry.enrolled,
            taken: self.taken(&key),
            limit: self.scientist_limit(&key),
        }
    }

    fn show_account(&self, account: Account, now: UnixMillis) -> Option<AccountView> {
        let entry = self.accounts.get(&account)?;
        Some(AccountView {
            reserved: self.reserved(&account, None, now),
            account,
            limit: entry.limit.clone(),
            guarantee: entry.guarantee.clone(),
            meter: entry.meter,
            meter_keys: entry.meter_keys,
            releases: entry.releases,
        })
    }

    fn show_population(&self, name: &PopulationName, now: UnixMillis) -> Option<PopulationView> {
        let entry = self.populations.get(name)?;
        Some(PopulationView {
            name: name.clone(),
            most_subjects: entry.most_subjects,
            capacity: entry.capacity,
            apart: entry.apart,
            datasets: self
                .datasets
                .values()
                .filter(|dataset| dataset.population == *name)
                .count(),
            account: self.show_account(Account::Population(name.clone()), now)?,
            stops: entry.stops,
            stopped: entry.stopped,
            lifts: entry.lifts,
            open_intent: entry.open.first().copied(),
        })
    }

    fn show_dataset(&self, which: DatasetVersion, now: UnixMillis) -> Option<DatasetView> {
        let (dataset, version) = self.version(which)?;
        Some(DatasetView {
            which,
            name: dataset.name.clone(),
            population: dataset.population.clone(),
            description: version.description.clone(),
            file_sha256: version.file_sha256,
            rows: version.rows,
            added: version.added,
            needs_ingest: !self.usable(which),
            account: self.show_account(Account::Dataset(which.id), now),
        })
    }
}

fn show_study(entry: &StudyEntry, now: UnixMillis) -> StudyView {
    let runs = entry.study.releases.iter().zip(&entry.runs);
    let releases = runs.map(|(release, runs)| ReleaseRuns {
        release: release.clone(),
        begun: runs.begun,
        committed: runs.committed,
    });
    StudyView {
        id: entry.study.id,
        digest: entry.study.digest,
        scientist: entry.study.scientist,
        project: entry.study.project.clone(),
        dataset: entry.study.dataset,
        population: entry.population.clone(),
        releases: releases.collect(),
        expires: entry.study.expires,
        state: entry.state(now),
        reason: entry.reason.clone(),
        submitted: entry.submitted,
        decided: entry.decided,
        evidence: entry.study.evidence.clone(),
        decision_evidence: entry.decision_evidence.clone(),
    }
}
