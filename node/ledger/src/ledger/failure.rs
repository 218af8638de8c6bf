//! Releases that were begun and not made: one rerun, then never again.
//!
//! Failing is itself an answer, so nothing here takes a price back, and how often it can happen
//! is bounded: after [`MOST_STOPS`] stops a population makes no release until its owner, publicly,
//! lifts that. A failure inside a running process counts like a stop of the process, which is the
//! conservative reading.

use obscura_model::answer::Shape;
use obscura_model::ids::UnixMillis;
use obscura_privacy::{Filter, Mode, Permit};

use super::{Inner, Ledger};
use crate::error::{Error, Refusal};
use crate::record::{AccountInForce, Authority, Intent, Record};
use crate::state::{IntentEntry, MOST_STOPS};
use crate::views::OpenIntent;

/// What happens to a release whose fold failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AfterFailure {
    /// It runs once more, before anything else of its population: see [`Ledger::rerun`].
    Rerun(Box<OpenIntent>),
    /// The population stopped; it runs once more when its owner has lifted that.
    Waits,
    /// It failed for good: its request has a fixed error for ever, its study or grant is
    /// suspended.
    Poisoned,
}

impl Ledger {
    /// Intents that may run once more and must do so before anything else of their populations:
    /// those that were open when the ledger was opened, and those that failed since. To be asked
    /// after opening, after a failure and after a lift.
    #[must_use]
    pub fn reruns(&self) -> Vec<OpenIntent> {
        let inner = self.peek();
        let open = inner.state.intents.iter().filter(|(index, entry)| {
            !entry.restarted && !inner.running.contains(index) && !inner.is_stopped(entry)
        });
        open.map(|(index, entry)| open_intent(*index, entry))
            .collect()
    }

    /// Begins the one rerun of an intent, under its own terms. `shape` is the plan made again
    /// from the request; it must have the price and the sigmas of the intent.
    ///
    /// # Errors
    /// If the intent may not run again, or the shape is another one (then [`Ledger::poison`] it).
    pub fn rerun(&self, intent: u64, shape: Shape, now: UnixMillis) -> Result<Permit, Error> {
        let mut inner = self.lock()?;
        let running = inner.running.contains(&intent);
        let entry = inner
            .state
            .intents
            .get(&intent)
            .filter(|entry| !entry.restarted && !running);
        let entry = entry.ok_or(Refusal::NoIntent(intent))?;
        if inner.is_stopped(entry) {
            return Err(Refusal::Stopped(entry.intent.population.clone()).into());
        }
        let permit = inner.permit(intent, &entry.intent, shape)?;
        if !same_terms(&entry.intent, &permit) {
            return Err(Refusal::IntentDiffers(intent).into());
        }
        inner.record(now, vec![Record::FoldRestarted { intent }])?;
        inner.running.insert(intent);
        Ok(permit)
    }

    /// Notes that the fold of an intent failed inside this process.
    ///
    /// # Errors
    /// If the intent is not open, or the storage fails.
    pub fn failed(&self, intent: u64, now: UnixMillis) -> Result<AfterFailure, Error> {
        let mut inner = self.lock()?;
        let records = inner
            .stop_records(intent)
            .ok_or(Refusal::NoIntent(intent))?;
        inner.record(now, records)?;
        inner.running.remove(&intent);
        Ok(match inner.state.intents.get(&intent) {
            None => AfterFailure::Poisoned,
            Some(entry) if inner.is_stopped(entry) => AfterFailure::Waits,
            Some(entry) => AfterFailure::Rerun(Box::new(open_intent(intent, entry))),
        })
    }

    /// Gives an open intent up for good, because it cannot even be planned again.
    ///
    /// # Errors
    /// If the intent is not open, or the storage fails.
    pub fn poison(&self, intent: u64, now: UnixMillis) -> Result<(), Error> {
        let mut inner = self.lock()?;
        let entry = inner
            .state
            .intents
            .get(&intent)
            .ok_or(Refusal::NoIntent(intent))?;
        let records = poison_records(intent, entry);
        inner.record(now, records)?;
        inner.running.remove(&intent);
        Ok(())
    }
}

impl Inner {
    /// At opening: every population with open intents was stopped while releases were begun. One
    /// stop counts once, however many there were.
    pub(super) fn count_stops(&mut self, now: UnixMillis) -> Result<(), Error> {
        let mut records = Vec::new();
        for population in self.state.populations.values() {
            let mut open = population.open.iter();
            let first = open.next().and_then(|intent| self.stop_records(*intent));
            records.extend(first.into_iter().flatten());
            let others = open.filter_map(|intent| Some((*intent, self.state.intents.get(intent)?)));
            for (intent, entry) in others.filter(|(_, entry)| entry.restarted) {
                records.extend(poison_records(intent, entry));
            }
        }
        if !records.is_empty() {
            self.record(now, records)?;
        }
        Ok(())
    }

    /// One stop of an open intent's population; with the third the population stops, and with
    /// the second run of the intent the intent ends.
    fn stop_records(&self, intent: u64) -> Option<Vec<Record>> {
        let entry = self.state.intents.get(&intent)?;
        let name = &entry.intent.population;
        let population = self.state.populations.get(name)?;
        let mut records = vec![Record::StopCounted {
            population: name.clone(),
        }];
        if population.stops.saturating_add(1) >= MOST_STOPS && !population.stopped {
            records.push(Record::PopulationStopped {
                population: name.clone(),
            });
        }
        if entry.restarted {
            records.extend(poison_records(intent, entry));
        }
        Some(records)
    }

    pub(super) fn is_stopped(&self, entry: &IntentEntry) -> bool {
        self.state
            .populations
            .get(&entry.intent.population)
            .is_some_and(|p| p.stopped)
    }

    /// The permit of an intent. All that can be wrong with it is found out here, before anything
    /// is written; it is handed out only once the intent is durable.
    pub(super) fn permit(
        &self,
        index: u64,
        intent: &Intent,
        shape: Shape,
    ) -> Result<Permit, Error> {
        let capacity = self
            .state
            .populations
            .get(&intent.population)
            .map(|p| p.capacity);
        let capacity = capacity.ok_or_else(|| Refusal::NoPopulation(intent.population.clone()))?;
        let filter = filter(&intent.accounts);
        Permit::after_durable_intent(
            index,
            filter,
            shape,
            intent.nobody_dropped,
            u64::from(capacity),
        )
        .map_err(Error::Permit)
    }
}

/// Every account is filtered as soon as one is in protect mode; for a strict one that changes
/// nothing, because its meter has room for everybody.
fn filter(accounts: &[AccountInForce]) -> Filter {
    let strict = accounts.iter().all(|account| account.mode == Mode::Strict);
    let mode = if strict { Mode::Strict } else { Mode::Protect };
    Filter::new(mode, accounts.iter().map(|account| account.limit).collect())
}

fn same_terms(intent: &Intent, permit: &Permit) -> bool {
    let sigmas = permit.shape().vectors.iter().map(|vector| vector.sigma);
    intent.price == permit.price()
        && permit.shape().delta_keys() <= intent.delta_keys
        && sigmas.eq(intent.sigmas.iter().copied())
}

fn poison_records(intent: u64, entry: &IntentEntry) -> Vec<Record> {
    let why = "a release of it failed twice".to_owned();
    let suspended = match &entry.intent.authority {
        Authority::Study { study, .. } => Record::StudySuspended { study: *study, why },
        Authority::Grant { grant } => Record::GrantSuspended { grant: *grant, why },
    };
    vec![Record::IntentPoisoned { intent }, suspended]
}

pub(super) fn open_intent(index: u64, entry: &IntentEntry) -> OpenIntent {
    OpenIntent {
        index,
        time: entry.time,
        intent: entry.intent.clone(),
    }
}
