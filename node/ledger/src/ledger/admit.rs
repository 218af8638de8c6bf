//! Admission: the public decision that a release may run, and its durable intent.

use std::collections::BTreeSet;
use std::sync::Arc;

use obscura_model::answer::Shape;
use obscura_model::exposure::{DeltaCharge, Rho};
use obscura_model::ids::{Digest, PopulationName, ProjectName, StudyId, UnixMillis};
use obscura_privacy::admission::{self, Account as Terms, Decision, Scope};
use obscura_privacy::{Known, Permit};

use super::{Inner, Ledger};
use crate::error::{Error, Refusal};
use crate::record::{
    Account, AccountInForce, Authority, DatasetVersion, Intent, LimitSet, Record, RequestKey,
};
use crate::state::Outcome;
use crate::views::Committed;

mod authority;

/// A release that asks to be admitted. The envelope was checked before.
#[derive(Debug, Clone)]
pub struct AdmitRequest {
    /// Who asks, under which id.
    pub key: RequestKey,
    /// The digest of the request without its envelope.
    pub body_digest: Digest,
    /// What allows it.
    pub authority: Authority,
    /// The dataset version it reads.
    pub dataset: DatasetVersion,
    /// What is released, with its sigmas.
    pub shape: Shape,
    /// The digest of the canonical plan, by which the same question is known again.
    pub plan: Digest,
    /// The digest of the query's canonical form: a study must have been approved with it.
    pub canonical: Digest,
    /// The columns that the query reads. A grant must have them all.
    pub columns: Vec<String>,
    /// The tables that the query reads, if the dataset has several: columns are named
    /// `table.column` then. A grant must have a column of each, also of one that is joined only for
    /// whether or how often somebody is in it.
    pub tables: Vec<String>,
    /// Whether it runs only while it is publicly known that nobody is left out for lack of room.
    pub require_complete: bool,
    /// What it takes of delta for keys that are not declared, from everybody.
    pub delta_keys: DeltaCharge,
    /// The signed request; a rerun starts from it.
    pub evidence: Vec<u8>,
}

/// What became of a request that is not refused.
// Made once for each request: a box for the permit would save nothing.
#[allow(clippy::large_enum_variant)]
#[derive(Debug)]
pub enum Admission {
    /// It was answered before: the stored release, which may have been made for an earlier request
    /// of this person. Nothing is added to exposure.
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

/// The exposures that a fold looks up, and who is barred: shared, and not to be held longer than the fold.
#[derive(Clone)]
pub struct Exposures {
    arrays: Vec<Arc<Vec<u64>>>,
    barred: Arc<Vec<bool>>,
}

impl Exposures {
    /// For each account of the permit's filter, in its order, the exposure of every subject
    /// index, in billionths of rho. Private.
    #[must_use]
    pub fn slices(&self) -> Vec<&[u64]> {
        self.arrays.iter().map(|array| array.as_slice()).collect()
    }

    /// By subject index: who contributes nothing to this release and is charged nothing. Private.
    #[must_use]
    pub fn barred(&self) -> &[bool] {
        &self.barred
    }

    /// What the fold needs; `slices` are [`Exposures::slices`].
    #[must_use]
    pub fn known<'a>(&'a self, slices: &'a [&'a [u64]]) -> Known<'a> {
        Known {
            accounts: slices,
            barred: self.barred(),
        }
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
        let decided = self.admit_together(vec![request], now)?.pop();
        decided.unwrap_or(Err(Error::Interrupted))
    }

    /// Decides on releases of one population that share a slot, in their order: each counts what
    /// those before it take. The intents of all that are granted are durable, by one flush, when this returns;
    /// their folds come in the same order (see [`Ledger::exposures`]).
    ///
    /// # Errors
    /// If the storage fails. Whoever the rules refuse is told so in their own place.
    pub fn admit_together(
        &self,
        requests: Vec<AdmitRequest>,
        now: UnixMillis,
    ) -> Result<Vec<Result<Admission, Error>>, Error> {
        let decided = self.share_several(requests.len() > 1, |inner| {
            let mut opened = BTreeSet::new();
            let decided = requests.into_iter().map(|request| {
                let decided = inner.decide(request, now, &opened);
                if let Ok(Decided::Now(Admission::Granted(permit))) = &decided {
                    opened.insert(permit.intent());
                }
                decided
            });
            Ok(decided.collect::<Vec<_>>())
        })?;
        let answer = |decided| match decided? {
            Decided::Now(admission) => Ok(admission),
            Decided::Before(made_for, index) => self.answer(&made_for, index).map(Admission::Known),
        };
        Ok(decided.into_iter().map(answer).collect())
    }

    /// The exposures for the fold of an open intent. They cannot change before it is closed, because
    /// folds of a population come one after the other: of its open intents only the first has any.
    ///
    /// # Errors
    /// If the permit's intent is not open, or one of its population before it still is.
    pub fn exposures(&self, permit: &Permit) -> Result<Exposures, Error> {
        let inner = self.lock()?;
        let no_intent = Refusal::NoIntent(permit.intent());
        let entry = inner
            .state
            .intents
            .get(&permit.intent())
            .ok_or(no_intent.clone())?;
        let population = inner.state.populations.get(&entry.intent.population);
        if population.is_none_or(|p| p.open.first() != Some(&permit.intent())) {
            return Err(no_intent.into());
        }
        let arrays = entry.intent.accounts.iter().map(|account| {
            inner
                .state
                .accounts
                .get(&account.account)
                .map(|entry| Arc::clone(&entry.exposures))
        });
        let arrays = arrays.collect::<Option<_>>().ok_or(no_intent.clone())?;
        let barred = inner.state.barred(&entry.intent).ok_or(no_intent)?;
        Ok(Exposures { arrays, barred })
    }
}

/// What allows a release, in what is checked for every release.
pub(super) struct Allowed {
    /// Whose members share what they take.
    pub(super) project: ProjectName,
    /// The dataset's population.
    pub(super) population: PopulationName,
}

/// What became of a request, or where its answer is.
#[allow(clippy::large_enum_variant)] // as `Admission`
enum Decided {
    Now(Admission),
    Before(RequestKey, u64),
}

impl Inner {
    /// Decides on one request. `opened` are the intents of those who were granted just before and
    /// share its slot.
    fn decide(
        &mut self,
        request: AdmitRequest,
        now: UnixMillis,
        opened: &BTreeSet<u64>,
    ) -> Result<Decided, Error> {
        let Some(known) = self.state.requests.get(&request.key) else {
            return self.grant(request, now, opened).map(Decided::Now);
        };
        Ok(Decided::Now(match known.outcome {
            _ if known.body_digest != request.body_digest => Admission::Conflict,
            Outcome::Open => Admission::Running,
            Outcome::Poisoned => Admission::Poisoned,
            Outcome::Committed(_) | Outcome::Earlier(_) => {
                let answered = self.state.answered_by(&request.key);
                let (made_for, index) = answered.ok_or(Error::Interrupted)?;
                return Ok(Decided::Before(made_for, index));
            }
        }))
    }

    fn grant(
        &mut self,
        request: AdmitRequest,
        now: UnixMillis,
        opened: &BTreeSet<u64>,
    ) -> Result<Admission, Error> {
        let time = self.time(now);
        let allowed = self.allowed(&request, time)?;
        if !self.state.usable(request.dataset) {
            let dataset = self.state.datasets.get(&request.dataset.id);
            let dataset = dataset.ok_or(Refusal::NoDataset)?;
            return Err(Refusal::NeedsIngest(dataset.name.clone()).into());
        }
        let name = allowed.population.clone();
        let population = self.state.populations.get(&name);
        let population = population.ok_or_else(|| Refusal::NoPopulation(name.clone()))?;
        if population.stopped {
            return Err(Refusal::Stopped(name).into());
        }
        if population.open != *opened {
            return Ok(Admission::Busy);
        }
        let sets = self.limits(&request, &name)?;
        let decision = self.decide_price(&request, &sets, &allowed, time)?;
        if request.require_complete && !decision.nobody_dropped {
            return Err(Refusal::NotComplete.into());
        }
        self.keys_fit(&request, &sets)?;
        let (intent, shape) = intent(request, name, &sets, &decision);
        let index = self.journal.size();
        let permit = self.permit(index, &intent, shape)?;
        self.record(now, vec![Record::IntentOpened(intent)])?;
        self.running.insert(index);
        Ok(Admission::Granted(permit))
    }

    /// The limits in force for a release, the population's first.
    fn limits(
        &self,
        request: &AdmitRequest,
        population: &PopulationName,
    ) -> Result<Vec<LimitSet>, Refusal> {
        let accounts = self.state.accounts_of(request.dataset.id, population);
        let sets = accounts
            .iter()
            .map(|account| self.state.accounts.get(account)?.limit.clone());
        sets.collect::<Option<Vec<_>>>()
            .ok_or(Refusal::Admission(admission::Refusal::NoLimit))
    }

    /// Every public number that the price has to fit: share and minimum, the person's limit, the
    /// project's, in strict mode the accounts', and what was approved or granted. The price counts
    /// for the person and for the project, for ever: a new member of a project brings no room for
    /// it, and leaving one takes nothing along.
    fn decide_price(
        &self,
        request: &AdmitRequest,
        sets: &[LimitSet],
        allowed: &Allowed,
        time: UnixMillis,
    ) -> Result<Decision, Refusal> {
        let person = &request.key.person;
        let scientist_limit = self
            .state
            .scientist_limit(person)
            .ok_or(Refusal::NoScientistLimit)?;
        let study = request.authority.study();
        let terms: Vec<Terms> = sets
            .iter()
            .map(|set| self.terms(set, study, time))
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
        let decision = admission::admit(&asked)?;
        self.within_project(decision.price, &allowed.project)?;
        self.within_authority(request, decision.price)?;
        Ok(decision)
    }

    fn within_project(&self, price: Rho, project: &ProjectName) -> Result<(), Refusal> {
        let entry = self.state.projects.get(project);
        let entry = entry.ok_or_else(|| Refusal::NoProject(project.clone()))?;
        let limit = self.state.project_limit(project);
        let limit = limit.ok_or_else(|| Refusal::NoProjectLimit(project.clone()))?;
        Ok(admission::within_project_limit(price, entry.taken, limit)?)
    }

    /// Room of delta in every account, in both modes.
    fn keys_fit(&self, request: &AdmitRequest, sets: &[LimitSet]) -> Result<(), Refusal> {
        // What the shape takes is charged, whatever the request says.
        let charged = request.shape.delta_keys() <= request.delta_keys;
        let fit = charged
            && sets.iter().all(|set| {
                let account = self.state.accounts.get(&set.account);
                let taken = account.map(|entry| entry.meter_keys).unwrap_or_default();
                admission::keys_fit(request.delta_keys, taken, set.delta_keys)
            });
        if fit {
            Ok(())
        } else {
            Err(Refusal::NoRoomForKeys)
        }
    }

    fn terms(&self, set: &LimitSet, study: Option<StudyId>, time: UnixMillis) -> Terms {
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
            reserved_by_others: self.state.reserved(&set.account, study, time),
        }
    }
}

/// The decision as it is made durable.
fn intent(
    request: AdmitRequest,
    population: PopulationName,
    sets: &[LimitSet],
    decision: &Decision,
) -> (Intent, Shape) {
    let accounts = sets.iter().map(|set| AccountInForce {
        account: set.account.clone(),
        limit: set.limit.rho(),
        mode: set.mode,
    });
    let vectors = request.shape.vectors.iter();
    let intent = Intent {
        key: request.key,
        body_digest: request.body_digest,
        authority: request.authority,
        plan: request.plan,
        dataset: request.dataset,
        population,
        price: decision.price,
        delta_keys: request.delta_keys,
        sigmas: vectors.map(|vector| vector.sigma).collect(),
        accounts: accounts.collect(),
        nobody_dropped: decision.nobody_dropped,
        evidence: request.evidence,
    };
    (intent, request.shape)
}
