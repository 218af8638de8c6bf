//! Admission: the public decision that a release may run, and its durable intent.

use std::sync::Arc;

use obscura_model::answer::Shape;
use obscura_model::exposure::Rho;
use obscura_model::ids::{Digest, ReleaseName, StudyId, UnixMillis};
use obscura_privacy::Permit;
use obscura_privacy::admission::{self, Account as Terms, Decision, Scope};

use super::{Inner, Ledger};
use crate::error::{Error, Refusal};
use crate::record::{
    Account, AccountInForce, DatasetVersion, Intent, LimitSet, Record, RequestKey, Role,
};
use crate::state::{Outcome, StudyEntry};
use crate::views::{Committed, StudyState};

/// A release that asks to be admitted. The envelope was checked before.
#[derive(Debug, Clone)]
pub struct AdmitRequest {
    /// Who asks, under which id.
    pub key: RequestKey,
    /// The digest of the request without its envelope.
    pub body_digest: Digest,
    /// The study that allows it.
    pub study: StudyId,
    /// The release of the study.
    pub release: ReleaseName,
    /// The dataset version it reads.
    pub dataset: DatasetVersion,
    /// What is released, with its sigmas.
    pub shape: Shape,
    /// The signed request; a rerun starts from it.
    pub evidence: Vec<u8>,
}

/// What became of a request that is not refused.
#[derive(Debug)]
pub enum Admission {
    /// It was answered before: the stored release. Nothing is added to exposure.
    Known(Committed),
    /// The same id was used for another request. Nothing happens.
    Conflict,
    /// The request failed for good.
    Poisoned,
    /// The request is being answered now, or waits for its rerun.
    Running,
    /// Another release of the population is open: ask again when it is done.
    Busy,
    /// It may run now: its intent is durable and its price counted.
    Granted(Permit),
}

/// The exposures that a fold looks up: shared, and not to be held longer than the fold.
#[derive(Clone)]
pub struct Exposures {
    arrays: Vec<Arc<Vec<u64>>>,
}

impl Exposures {
    /// For each account of the permit's filter, in its order, the exposure of every subject
    /// index, in billionths of rho. Private.
    #[must_use]
    pub fn slices(&self) -> Vec<&[u64]> {
        self.arrays.iter().map(|array| array.as_slice()).collect()
    }
}

/// Private: shows nothing.
impl std::fmt::Debug for Exposures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Exposures")
    }
}

impl Ledger {
    /// Decides on a release, looking at public values only. All checks happen under one lock;
    /// the intent is durable when this returns [`Admission::Granted`].
    ///
    /// # Errors
    /// If the rules refuse it (nothing is written then), or the storage fails.
    pub fn admit(&self, request: AdmitRequest, now: UnixMillis) -> Result<Admission, Error> {
        let index = {
            let mut inner = self.lock()?;
            let Some(known) = inner.state.requests.get(&request.key) else {
                return inner.grant(request, now);
            };
            match known.outcome {
                _ if known.body_digest != request.body_digest => return Ok(Admission::Conflict),
                Outcome::Open => return Ok(Admission::Running),
                Outcome::Poisoned => return Ok(Admission::Poisoned),
                Outcome::Committed(index) => index,
            }
        };
        self.answer(&request.key, index).map(Admission::Known)
    }

    /// The exposures for the fold of an open intent. They cannot change while it is open.
    ///
    /// # Errors
    /// If the permit's intent is not open.
    pub fn exposures(&self, permit: &Permit) -> Result<Exposures, Error> {
        let inner = self.lock()?;
        let no_intent = Refusal::NoIntent(permit.intent());
        let entry = inner
            .state
            .intents
            .get(&permit.intent())
            .ok_or(no_intent.clone())?;
        let arrays = entry.intent.accounts.iter().map(|account| {
            inner
                .state
                .accounts
                .get(&account.account)
                .map(|entry| Arc::clone(&entry.exposures))
        });
        let arrays = arrays.collect::<Option<_>>().ok_or(no_intent)?;
        Ok(Exposures { arrays })
    }
}

impl Inner {
    fn grant(&mut self, request: AdmitRequest, now: UnixMillis) -> Result<Admission, Error> {
        let time = self.time(now);
        let study = self.runnable(&request, time)?;
        let name = study.population.clone();
        let population = self.state.populations.get(&name);
        let population = population.ok_or_else(|| Refusal::NoPopulation(name.clone()))?;
        if population.stopped {
            return Err(Refusal::Stopped(name).into());
        }
        if population.open.is_some() {
            return Ok(Admission::Busy);
        }
        let sets = self.limits(&request, study)?;
        let decision = self.decide_price(&request, &sets, time)?;
        same_price(&request, study, decision.price)?;
        let accounts = sets.iter().map(|set| AccountInForce {
            account: set.account.clone(),
            limit: set.limit.rho(),
            mode: set.mode,
        });
        let intent = Intent {
            key: request.key,
            body_digest: request.body_digest,
            study: request.study,
            release: request.release,
            dataset: request.dataset,
            population: name,
            price: decision.price,
            sigmas: request
                .shape
                .vectors
                .iter()
                .map(|vector| vector.sigma)
                .collect(),
            accounts: accounts.collect(),
            nobody_dropped: decision.nobody_dropped,
            evidence: request.evidence,
        };
        let index = self.journal.size();
        let permit = self.permit(index, &intent, request.shape)?;
        self.record(now, vec![Record::IntentOpened(intent)])?;
        self.running.insert(index);
        Ok(Admission::Granted(permit))
    }

    /// The study, if it is this person's and allows this release now.
    fn runnable(&self, request: &AdmitRequest, time: UnixMillis) -> Result<&StudyEntry, Refusal> {
        let (id, person) = (request.study, request.key.person);
        self.enrolled(&person, Role::Scientist)?;
        let study = self
            .state
            .studies
            .get(&id)
            .filter(|study| study.study.scientist == person);
        let study = study.ok_or(Refusal::NoStudy(id))?;
        match study.state(time) {
            StudyState::Approved | StudyState::Completed => {}
            state => return Err(Refusal::StudyState { study: id, state }),
        }
        if study.study.dataset != request.dataset {
            return Err(Refusal::StudyDataset(id));
        }
        let release = request.release.clone();
        let position = study.release(&release);
        let runs = position.and_then(|at| study.runs.get(at).zip(study.study.releases.get(at)));
        match runs {
            None => Err(Refusal::NoRelease { study: id, release }),
            Some((runs, allowed)) if runs.begun >= allowed.times => Err(Refusal::NoRunLeft {
                release,
                times: allowed.times,
            }),
            Some(_) => Ok(study),
        }
    }

    /// The limits in force for a release, the population's first.
    fn limits(&self, request: &AdmitRequest, study: &StudyEntry) -> Result<Vec<LimitSet>, Refusal> {
        let accounts = self
            .state
            .accounts_of(request.dataset.id, &study.population);
        let sets = accounts
            .iter()
            .map(|account| self.state.accounts.get(account)?.limit.clone());
        sets.collect::<Option<Vec<_>>>()
            .ok_or(Refusal::Admission(admission::Refusal::NoLimit))
    }

    fn decide_price(
        &self,
        request: &AdmitRequest,
        sets: &[LimitSet],
        time: UnixMillis,
    ) -> Result<Decision, Refusal> {
        let person = &request.key.person;
        let scientist_limit = self
            .state
            .scientist_limit(person)
            .ok_or(Refusal::NoScientistLimit)?;
        let terms: Vec<Terms> = sets
            .iter()
            .map(|set| self.terms(set, request.study, time))
            .collect();
        let largest = sets.iter().map(LimitSet::largest_release).min();
        let smallest = sets.iter().map(|set| set.limit.smallest_release()).min();
        let asked = admission::Request {
            vectors: &request.shape.vectors,
            largest: largest.unwrap_or(Rho::ZERO),
            smallest: smallest.unwrap_or(Rho::ZERO),
            scientist_used: self.state.taken(person),
            scientist_limit,
            accounts: &terms,
        };
        Ok(admission::admit(&asked)?)
    }

    fn terms(&self, set: &LimitSet, study: StudyId, time: UnixMillis) -> Terms {
        let meter = self
            .state
            .accounts
            .get(&set.account)
            .map(|entry| entry.meter);
        Terms {
            scope: match set.account {
                Account::Population(_) => Scope::Population,
                Account::Dataset(_) => Scope::Dataset,
            },
            mode: set.mode,
            limit: set.limit.rho(),
            meter: meter.unwrap_or_default(),
            reserved_by_others: self.state.reserved(&set.account, Some(study), time),
        }
    }
}

/// The price must be the one that the owner approved.
fn same_price(request: &AdmitRequest, study: &StudyEntry, price: Rho) -> Result<(), Refusal> {
    let approved = study
        .study
        .releases
        .iter()
        .find(|release| release.name == request.release);
    match approved {
        Some(release) if release.price == price => Ok(()),
        Some(release) => Err(Refusal::PriceDiffers {
            price,
            approved: release.price,
        }),
        None => Err(Refusal::NoRelease {
            study: request.study,
            release: request.release.clone(),
        }),
    }
}
