//! Populations, their subjects, and datasets.

use std::collections::HashSet;
use std::sync::Arc;

use obscura_model::ids::{DatasetId, DatasetName, PopulationName, UnixMillis};

use super::{Inner, Ledger};
use crate::error::{Error, Refusal};
use crate::record::{DatasetVersion, Mark, Record, Secrets, SubjectHash};
use crate::state::ByHash;

/// A population to be added.
#[derive(Debug, Clone)]
pub struct NewPopulation {
    /// Its name.
    pub name: PopulationName,
    /// The upper end of its declared size, at least 1.
    pub most_subjects: u64,
    /// How many subjects the index has room for, for ever; at least `most_subjects`.
    pub capacity: u32,
    /// The owner's statement that nobody of it is in another population of this node. Without it
    /// a node has one population.
    pub apart: bool,
    /// Fresh secrets.
    pub secrets: Secrets,
    /// The signed request.
    pub evidence: Vec<u8>,
}

/// A dataset version to be added, beside its [`Ingest`].
#[derive(Debug, Clone)]
pub struct NewData {
    /// The description, as the owner wrote it.
    pub description: String,
    /// The SHA-256 of the stored rows. Private.
    pub file_sha256: [u8; 32],
    /// How many rows are stored. Private.
    pub rows: u64,
    /// The signed request.
    pub evidence: Vec<u8>,
}

/// What an ingest does with the rows of a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Indexed {
    /// They are kept under this index.
    At(u32),
    /// They are left out: the subject is excluded or erased.
    Left,
}

/// The index of rows that are kept.
impl From<Indexed> for Option<u32> {
    fn from(indexed: Indexed) -> Self {
        match indexed {
            Indexed::At(index) => Some(index),
            Indexed::Left => None,
        }
    }
}

/// An ingest under way: gives every subject its index.
pub struct Ingest {
    population: PopulationName,
    capacity: u32,
    /// The upper end of the declared size: delta below 1/N rests on it.
    most_subjects: u64,
    name: DatasetName,
    which: DatasetVersion,
    known: Arc<ByHash<u32>>,
    aliases: Arc<ByHash<SubjectHash>>,
    marks: Arc<ByHash<Mark>>,
    /// The first index that is free, and how many people have one, before this ingest.
    first: u32,
    people: u64,
    /// New people, by the id that stands for all of theirs.
    fresh: ByHash<u32>,
    order: Vec<SubjectHash>,
    left: HashSet<SubjectHash>,
}

/// Private: shows nothing.
impl std::fmt::Debug for Ingest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ingest")
    }
}

impl Ingest {
    /// The dataset and version that this becomes.
    #[must_use]
    pub const fn dataset(&self) -> DatasetVersion {
        self.which
    }

    /// The index of a subject. Known subjects keep theirs; a new one gets the next; whoever is
    /// excluded or erased is left out.
    ///
    /// # Errors
    /// If there are as many subjects as were declared.
    pub fn index(&mut self, hash: SubjectHash) -> Result<Indexed, Error> {
        if self.marks.contains_key(&hash) {
            self.left.insert(hash);
            return Ok(Indexed::Left);
        }
        let person = *self.aliases.get(&hash).unwrap_or(&hash);
        if let Some(index) = self.known.get(&hash).or_else(|| self.fresh.get(&person)) {
            return Ok(Indexed::At(*index));
        }
        let next = u64::from(self.first) + self.order.len() as u64;
        let next = u32::try_from(next).ok();
        let next =
            next.filter(|next| *next < self.capacity && u64::from(*next) < self.most_subjects);
        let next = next.ok_or_else(|| Refusal::Full(self.population.clone()))?;
        self.fresh.insert(person, next);
        self.order.push(hash);
        Ok(Indexed::At(next))
    }

    /// How many subjects the index has with this ingest. Private.
    #[must_use]
    pub fn subjects(&self) -> u64 {
        self.people + self.order.len() as u64
    }

    /// How many ids were left out. Private: for the data owner only.
    #[must_use]
    pub fn left_out(&self) -> u64 {
        self.left.len() as u64
    }
}

impl Ledger {
    /// Adds a population. Gives the record's index.
    ///
    /// # Errors
    /// If it is or was there already, its sizes make no sense, it is not the node's first and not
    /// stated to be apart from the others, or the storage fails.
    pub fn add_population(&self, new: NewPopulation, now: UnixMillis) -> Result<u64, Error> {
        let NewPopulation {
            name,
            most_subjects,
            capacity,
            apart,
            secrets,
            evidence,
        } = new;
        let mut inner = self.lock()?;
        let state = &inner.state;
        if state.populations.contains_key(&name) || state.merged.contains(&name) {
            return Err(Refusal::PopulationExists(name).into());
        }
        if !state.populations.is_empty() && !apart {
            return Err(Refusal::NotApart.into());
        }
        if most_subjects == 0 || u64::from(capacity) < most_subjects {
            return Err(Refusal::Capacity.into());
        }
        let record = Record::PopulationCreated {
            name,
            most_subjects,
            capacity,
            apart,
            evidence,
            secrets,
        };
        inner.record(now, vec![record])
    }

    /// The secrets of a population.
    ///
    /// # Errors
    /// If there is no such population.
    pub fn secrets(&self, population: &PopulationName) -> Result<Secrets, Error> {
        let inner = self.lock()?;
        let entry = inner.state.populations.get(population);
        Ok(entry
            .ok_or_else(|| Refusal::NoPopulation(population.clone()))?
            .secrets)
    }

    /// Begins the ingest of a new version of the dataset `name`; `fresh` becomes its id if the
    /// name is new. Nothing is written before [`Ledger::add_dataset`].
    ///
    /// # Errors
    /// If there is no such population, the dataset belongs to another, a release is open, or the
    /// fresh id is taken.
    pub fn begin_ingest(
        &self,
        population: &PopulationName,
        name: &DatasetName,
        fresh: DatasetId,
    ) -> Result<Ingest, Error> {
        let inner = self.lock()?;
        inner.idle(population)?;
        let entry = inner.state.populations.get(population);
        let entry = entry.ok_or_else(|| Refusal::NoPopulation(population.clone()))?;
        Ok(Ingest {
            population: population.clone(),
            capacity: entry.capacity,
            most_subjects: entry.most_subjects,
            name: name.clone(),
            which: inner.next_version(population, name, fresh)?,
            known: Arc::clone(&entry.subjects.known),
            aliases: Arc::clone(&entry.subjects.aliases),
            marks: Arc::clone(&entry.subjects.marks),
            first: entry.subjects.next,
            people: entry.subjects.people(),
            fresh: ByHash::default(),
            order: Vec::new(),
            left: HashSet::new(),
        })
    }

    /// Ends an ingest: new subjects and the dataset version in one durable step.
    ///
    /// # Errors
    /// If the population changed since the ingest began, a release is open, or the storage fails.
    pub fn add_dataset(
        &self,
        ingest: Ingest,
        data: NewData,
        now: UnixMillis,
    ) -> Result<DatasetVersion, Error> {
        let Ingest {
            population,
            capacity,
            name,
            which,
            known,
            aliases,
            marks,
            first,
            order,
            ..
        } = ingest;
        let mut inner = self.lock()?;
        inner.idle(&population)?;
        // The very maps that the ingest looked at: every change makes new ones while it holds them.
        let same = inner
            .state
            .populations
            .get(&population)
            .is_some_and(|entry| {
                let now = &entry.subjects;
                Arc::ptr_eq(&now.known, &known)
                    && Arc::ptr_eq(&now.aliases, &aliases)
                    && Arc::ptr_eq(&now.marks, &marks)
            });
        if !same || inner.next_version(&population, &name, which.id)? != which {
            return Err(Refusal::IngestOverlap(population).into());
        }
        drop((known, aliases, marks));
        let NewData {
            description,
            file_sha256,
            rows,
            evidence,
        } = data;
        let subjects = Record::SubjectsAdded {
            population: population.clone(),
            capacity,
            first,
            hashes: order,
        };
        let dataset = Record::DatasetAdded {
            which,
            name,
            population,
            description,
            evidence,
            file_sha256,
            rows,
        };
        inner.record(now, vec![subjects, dataset])?;
        Ok(which)
    }
}

impl Inner {
    /// An open intent blocks ingest and changes of limits: it may have to run again under the
    /// terms it was admitted with.
    pub(super) fn idle(&self, population: &PopulationName) -> Result<(), Refusal> {
        let entry = self.state.populations.get(population);
        let entry = entry.ok_or_else(|| Refusal::NoPopulation(population.clone()))?;
        if entry.open.is_empty() {
            Ok(())
        } else {
            Err(Refusal::IntentOpen(population.clone()))
        }
    }

    fn next_version(
        &self,
        population: &PopulationName,
        name: &DatasetName,
        fresh: DatasetId,
    ) -> Result<DatasetVersion, Refusal> {
        match self.state.dataset_named(name) {
            Some((_, entry)) if entry.population != *population => Err(Refusal::OtherPopulation {
                name: name.clone(),
                population: entry.population.clone(),
            }),
            Some((id, entry)) => {
                let version = u32::try_from(entry.versions.len() + 1).unwrap_or(u32::MAX);
                Ok(DatasetVersion { id, version })
            }
            None if self.state.datasets.contains_key(&fresh) => Err(Refusal::DatasetIdTaken),
            None => Ok(DatasetVersion {
                id: fresh,
                version: 1,
            }),
        }
    }
}
