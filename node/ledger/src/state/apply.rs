//! One record changes the state.

use std::collections::BTreeSet;
use std::sync::Arc;

use obscura_model::exposure::Rho;
use obscura_model::ids::{PopulationName, UnixMillis};

use super::study::Runs;
use super::{
    AccountEntry, Charges, DatasetEntry, IntentEntry, InvalidHistory, Outcome, PersonEntry,
    PopulationEntry, ProjectEntry, ReleaseEntry, RequestEntry, Stage, State, StudyEntry, Subjects,
    VersionEntry,
};
use crate::record::{Account, Authority, Intent, LimitSet, NewStudy, Record};

/// Where a record stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct At {
    pub(crate) index: u64,
    pub(crate) time: UnixMillis,
    /// Whether the exposures do not have the record's charges yet.
    pub(crate) charge: bool,
}

pub(super) type Applied = Result<(), InvalidHistory>;

impl State {
    /// Takes one record in.
    pub(crate) fn apply(&mut self, record: Record, at: At) -> Applied {
        match record {
            Record::Genesis { .. } if self.begun => Err(InvalidHistory::Twice("the ledger")),
            Record::Genesis { .. } => {
                self.begun = true;
                Ok(())
            }
            Record::LimitSet(limit) => self.limit_set(limit),
            Record::ScientistLimitSet { .. }
            | Record::Enrolled { .. }
            | Record::Dismissed { .. } => self.apply_person(record, at),
            Record::PopulationCreated { .. } | Record::DatasetAdded { .. } => {
                self.apply_data(record, at)
            }
            Record::SubjectsAdded { .. }
            | Record::SubjectsMarked { .. }
            | Record::SubjectsReadmitted { .. }
            | Record::SubjectsRekeyed { .. }
            | Record::PopulationsMerged { .. } => self.apply_subjects(record),
            Record::ProjectOpened { .. }
            | Record::JoinAsked { .. }
            | Record::MemberConfirmed { .. }
            | Record::MemberRemoved { .. }
            | Record::ProjectLimitSet { .. } => self.apply_project(record, at),
            Record::GrantGiven(_) | Record::GrantRevoked { .. } | Record::GrantSuspended { .. } => {
                self.apply_grant(record, at)
            }
            Record::StudySubmitted(_)
            | Record::StudyDecided { .. }
            | Record::StudyWithdrawn { .. }
            | Record::StudySuspended { .. } => self.apply_study(record, at),
            Record::IntentOpened(intent) => self.intent_opened(intent, at),
            Record::FoldRestarted { intent } => {
                let open = self.intents.get_mut(&intent);
                open.ok_or(InvalidHistory::Unknown("an intent"))?.restarted = true;
                Ok(())
            }
            Record::ReleaseCommitted { intent, codes, .. } => self.committed(intent, &codes, at),
            Record::IntentPoisoned { intent } => self.close(intent, Outcome::Poisoned).map(|_| ()),
            Record::AnsweredEarlier {
                key,
                body_digest,
                release,
            } => self.answered_earlier(key, body_digest, release),
            Record::StopCounted { .. }
            | Record::PopulationStopped { .. }
            | Record::Lifted { .. } => self.apply_stop(record, at),
            Record::Compacted(mark) if mark.up_to.size > at.index => {
                Err(InvalidHistory::Range("the end of a compaction"))
            }
            Record::Compacted(_) => Ok(()),
        }
    }

    fn apply_person(&mut self, record: Record, at: At) -> Applied {
        match record {
            Record::ScientistLimitSet {
                person: Some(person),
                rho,
                ..
            } => {
                self.scientist_limits.insert(person, rho);
                Ok(())
            }
            Record::ScientistLimitSet {
                person: None, rho, ..
            } => {
                self.every_scientist = Some(rho);
                Ok(())
            }
            Record::Enrolled {
                person, role, name, ..
            } => {
                self.people.insert(
                    person,
                    PersonEntry {
                        role,
                        name,
                        enrolled: true,
                        index: at.index,
                    },
                );
                Ok(())
            }
            Record::Dismissed { person, .. } => {
                let person = self
                    .people
                    .get_mut(&person)
                    .ok_or(InvalidHistory::Unknown("a person"))?;
                person.enrolled = false;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn apply_stop(&mut self, record: Record, at: At) -> Applied {
        match record {
            Record::StopCounted { population } => {
                let population = self.population_mut(&population)?;
                population.stops = population.stops.saturating_add(1);
                Ok(())
            }
            Record::PopulationStopped { population } => {
                self.population_mut(&population)?.stopped = true;
                Ok(())
            }
            Record::Lifted { population, .. } => {
                let population = self.population_mut(&population)?;
                if population.stopped {
                    population.ended.insert(at.index);
                }
                (population.stops, population.stopped) = (0, false);
                population.lifts = population.lifts.saturating_add(1);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    pub(super) fn population_mut(
        &mut self,
        name: &PopulationName,
    ) -> Result<&mut PopulationEntry, InvalidHistory> {
        self.populations
            .get_mut(name)
            .ok_or(InvalidHistory::Unknown("a population"))
    }

    fn apply_data(&mut self, record: Record, at: At) -> Applied {
        match record {
            Record::PopulationCreated {
                name,
                most_subjects,
                capacity,
                apart,
                secrets,
                ..
            } => {
                let entry = PopulationEntry {
                    most_subjects,
                    capacity,
                    apart,
                    secrets,
                    subjects: Subjects::new(capacity),
                    stops: 0,
                    stopped: false,
                    lifts: 0,
                    ended: BTreeSet::new(),
                    open: BTreeSet::new(),
                };
                match self.populations.insert(name.clone(), entry) {
                    Some(_) => Err(InvalidHistory::Twice("a population")),
                    None => self.open_account(Account::Population(name)),
                }
            }
            Record::DatasetAdded {
                which,
                name,
                population,
                description,
                file_sha256,
                rows,
                ..
            } => {
                let added = at.time;
                let version = VersionEntry {
                    description,
                    file_sha256,
                    rows,
                    added,
                };
                let dataset = self
                    .datasets
                    .entry(which.id)
                    .or_insert_with(|| DatasetEntry {
                        name: name.clone(),
                        population: population.clone(),
                        versions: Vec::new(),
                        usable_from: 1,
                        released: false,
                    });
                let next = u64::from(which.version) == dataset.versions.len() as u64 + 1;
                if !next || dataset.population != population || dataset.name != name {
                    return Err(InvalidHistory::Unknown("a dataset"));
                }
                dataset.versions.push(version);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// An account begins with nobody exposed.
    fn open_account(&mut self, account: Account) -> Applied {
        let population = self
            .population_of(&account)
            .ok_or(InvalidHistory::Unknown("data"))?;
        let population = self
            .populations
            .get(population)
            .ok_or(InvalidHistory::Unknown("a population"))?;
        let exposures = Arc::new(vec![0; population.capacity as usize]);
        let entry = AccountEntry {
            exposures,
            ..AccountEntry::default()
        };
        match self.accounts.insert(account, entry) {
            Some(_) => Err(InvalidHistory::Twice("an account")),
            None => Ok(()),
        }
    }

    fn limit_set(&mut self, limit: LimitSet) -> Applied {
        if !self.accounts.contains_key(&limit.account) {
            self.open_account(limit.account.clone())?;
        }
        let entry = self.accounts.get_mut(&limit.account);
        let entry = entry.ok_or(InvalidHistory::Unknown("an account"))?;
        entry.guarantee = Some(entry.promised_with(&limit));
        entry.limit = Some(limit);
        Ok(())
    }

    fn apply_study(&mut self, record: Record, at: At) -> Applied {
        let unknown = InvalidHistory::Unknown("a study");
        match record {
            Record::StudySubmitted(study) => self.study_submitted(study, at),
            Record::StudyDecided {
                study,
                decision,
                reason,
                evidence,
                ..
            } => {
                let room = self
                    .studies
                    .get(&study)
                    .map(|study| self.room(study, at.time));
                let (room, study) = room.zip(self.studies.get_mut(&study)).ok_or(unknown)?;
                study.stage = study.stage.decided(decision).ok_or(unknown)?;
                study.held = match study.stage {
                    Stage::Approved => room.min(study.outstanding()),
                    _ => Rho::ZERO,
                };
                study.decided = Some(at.time);
                study.decision = Some((at.index, decision));
                (study.reason, study.decision_evidence) = (reason, evidence);
                Ok(())
            }
            Record::StudyWithdrawn { study, .. } => {
                self.studies.get_mut(&study).ok_or(unknown)?.stage = Stage::Withdrawn;
                Ok(())
            }
            Record::StudySuspended { study, why } => {
                let study = self.studies.get_mut(&study).ok_or(unknown)?;
                if study.stage == Stage::Approved {
                    (study.stage, study.reason) = (Stage::Suspended, why);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn study_submitted(&mut self, study: NewStudy, at: At) -> Applied {
        let unknown = InvalidHistory::Unknown("a dataset");
        let (dataset, _) = self.version(study.dataset).ok_or(unknown)?;
        let (id, population) = (study.id, dataset.population.clone());
        // Studies from before projects have one that no record opened: their scientist's own.
        let project = self.projects.entry(study.project.clone());
        project.or_insert_with(|| ProjectEntry {
            members: [(study.scientist, at.index)].into(),
            ..ProjectEntry::default()
        });
        let entry = StudyEntry {
            runs: vec![Runs::default(); study.releases.len()],
            study,
            index: at.index,
            submitted: at.time,
            population,
            stage: Stage::Submitted,
            decided: None,
            decision: None,
            reason: String::new(),
            decision_evidence: Vec::new(),
            held: Rho::ZERO,
        };
        self.study_order.push(id);
        match self.studies.insert(id, entry) {
            Some(_) => Err(InvalidHistory::Twice("a study")),
            None => Ok(()),
        }
    }

    fn intent_opened(&mut self, intent: Intent, at: At) -> Applied {
        self.count(&intent)?;
        let dataset = self.datasets.get_mut(&intent.dataset.id);
        dataset
            .ok_or(InvalidHistory::Unknown("a dataset"))?
            .released = true;
        let population = self.population_mut(&intent.population)?;
        let last = population.open.last();
        if last.is_some_and(|last| last.checked_add(1) != Some(at.index)) {
            return Err(InvalidHistory::Twice("an open intent"));
        }
        population.open.insert(at.index);
        let request = RequestEntry {
            body_digest: intent.body_digest,
            outcome: Outcome::Open,
        };
        if self.requests.insert(intent.key, request).is_some() {
            return Err(InvalidHistory::Twice("a request"));
        }
        let entry = IntentEntry {
            intent,
            time: at.time,
            restarted: false,
        };
        self.intents.insert(at.index, entry);
        Ok(())
    }

    fn committed(&mut self, index: u64, codes: &[u16], at: At) -> Applied {
        let intent = self.close(index, Outcome::Committed(at.index))?;
        let release = ReleaseEntry {
            key: intent.key,
            offers: 0,
        };
        self.releases.insert(at.index, release);
        if let Authority::Study { study, release } = &intent.authority
            && let Some(study) = self.studies.get_mut(study)
            && let Some(position) = study.release(release)
            && let Some(runs) = study.runs.get_mut(position)
        {
            runs.committed = runs.committed.saturating_add(1);
        }
        if intent.plan != Intent::NO_PLAN {
            let plan = (intent.key.person, intent.plan, intent.dataset);
            self.earlier.insert(plan, intent.key);
        }
        let charges = at
            .charge
            .then(|| Charges::of(intent.price, codes))
            .transpose()?;
        for account in &intent.accounts {
            let entry = self.accounts.get_mut(&account.account);
            let entry = entry.ok_or(InvalidHistory::Unknown("an account"))?;
            entry.releases += 1;
            // Only a release whose charges are counted already can be without their list.
            let dropped = codes.is_empty() && !at.charge;
            if codes.len() != entry.exposures.len() && !dropped {
                return Err(InvalidHistory::Range("the number of charges"));
            }
            if let Some(charges) = &charges {
                charges.add_to(&mut entry.exposures)?;
            }
        }
        Ok(())
    }

    /// Ends an open intent.
    fn close(&mut self, index: u64, outcome: Outcome) -> Result<Intent, InvalidHistory> {
        let entry = self
            .intents
            .remove(&index)
            .ok_or(InvalidHistory::Unknown("an intent"))?;
        let population = self.population_mut(&entry.intent.population)?;
        population.open.remove(&index);
        let request = self.requests.get_mut(&entry.intent.key);
        request.ok_or(InvalidHistory::Unknown("a request"))?.outcome = outcome;
        Ok(entry.intent)
    }
}
