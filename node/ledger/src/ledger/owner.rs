//! What owners set: people, limits, lifts.

use obscura_model::exposure::Rho;
use obscura_model::ids::{KeyId, PartyName, PopulationName, UnixMillis};
use obscura_privacy::Mode;
use obscura_privacy::admission;

use super::{Inner, Ledger};
use crate::error::{Error, Refusal};
use crate::record::{Account, LimitSet, Record, Role};

impl Ledger {
    /// Enrols a person. Enrolling the same again changes nothing. Gives the record's index.
    ///
    /// # Errors
    /// If the key has the other role, or the storage fails.
    pub fn enrol(
        &self,
        person: KeyId,
        role: Role,
        name: PartyName,
        evidence: Vec<u8>,
        now: UnixMillis,
    ) -> Result<u64, Error> {
        let mut inner = self.lock()?;
        if let Some(entry) = inner.state.people.get(&person) {
            if entry.role != role {
                return Err(Refusal::OtherRole(person).into());
            }
            if entry.enrolled && entry.name == name {
                return Ok(entry.index);
            }
        }
        inner.record(
            now,
            vec![Record::Enrolled {
                person,
                role,
                name,
                evidence,
            }],
        )
    }

    /// Ends a person's enrolment. What the person took stays counted. Gives the record's index.
    ///
    /// # Errors
    /// If the person is not enrolled, or the storage fails.
    pub fn dismiss(&self, person: KeyId, evidence: Vec<u8>, now: UnixMillis) -> Result<u64, Error> {
        let mut inner = self.lock()?;
        match inner.state.people.get(&person) {
            Some(entry) if entry.enrolled => {}
            _ => return Err(Refusal::NotEnrolled(person).into()),
        }
        inner.record(now, vec![Record::Dismissed { person, evidence }])
    }

    /// Sets the limit of a population, or a dataset's own. A higher limit is a new promise, a
    /// lower one only a stop. Gives the record's index.
    ///
    /// # Errors
    /// If a release is open, delta is too large for the declared size (of this limit, or of the
    /// guarantee that it and the ones before make together), strict mode would begin
    /// below the meter, a dataset limit comes after the dataset's first release, or the storage
    /// fails.
    pub fn set_limit(&self, limit: LimitSet, now: UnixMillis) -> Result<u64, Error> {
        let mut inner = self.lock()?;
        inner.may_set(&limit)?;
        inner.record(now, vec![Record::LimitSet(limit)])
    }

    /// Refuses what [`Ledger::set_limit`] would refuse now, and sets nothing.
    ///
    /// # Errors
    /// As [`Ledger::set_limit`].
    pub fn rehearse_limit(&self, limit: &LimitSet) -> Result<(), Error> {
        Ok(self.peek().may_set(limit)?)
    }

    /// Sets how much one scientist, or every scientist without a limit of their own, may take in
    /// public prices. A fair share, not a privacy guarantee. Gives the record's index.
    ///
    /// # Errors
    /// If the person is not enrolled as a scientist, or the storage fails.
    pub fn set_scientist_limit(
        &self,
        person: Option<KeyId>,
        rho: Rho,
        evidence: Vec<u8>,
        now: UnixMillis,
    ) -> Result<u64, Error> {
        let mut inner = self.lock()?;
        if let Some(person) = &person {
            inner.enrolled(person, Role::Scientist)?;
        }
        inner.record(
            now,
            vec![Record::ScientistLimitSet {
                person,
                rho,
                evidence,
            }],
        )
    }

    /// Lifts a population's stop and counts its stops anew. Public, because it lets more
    /// interruptions happen. Afterwards [`Ledger::reruns`] may list its interrupted release.
    ///
    /// # Errors
    /// If there is nothing to lift, or the storage fails.
    pub fn lift(
        &self,
        population: &PopulationName,
        evidence: Vec<u8>,
        now: UnixMillis,
    ) -> Result<u64, Error> {
        let mut inner = self.lock()?;
        let entry = inner.state.populations.get(population);
        let entry = entry.ok_or_else(|| Refusal::NoPopulation(population.clone()))?;
        if entry.stops == 0 && !entry.stopped {
            return Err(Refusal::NothingToLift(population.clone()).into());
        }
        inner.record(
            now,
            vec![Record::Lifted {
                population: population.clone(),
                evidence,
            }],
        )
    }
}

impl Inner {
    pub(super) fn enrolled(&self, person: &KeyId, role: Role) -> Result<(), Refusal> {
        match self.state.people.get(person) {
            Some(entry) if entry.enrolled && entry.role == role => Ok(()),
            _ => Err(Refusal::NotEnrolled(*person)),
        }
    }

    fn may_set(&self, set: &LimitSet) -> Result<(), Refusal> {
        if let Account::Dataset(id) = &set.account {
            let dataset = self.state.datasets.get(id).ok_or(Refusal::NoDataset)?;
            if dataset.released && !self.state.accounts.contains_key(&set.account) {
                return Err(Refusal::LimitTooLate);
            }
        }
        let name = self
            .state
            .population_of(&set.account)
            .ok_or(Refusal::NoDataset)?;
        self.idle(name)?;
        self.sensible(set)?;
        let entry = self.state.accounts.get(&set.account);
        // The guarantee that results may take its deltas from two limits. One that stays as it is
        // keeps nobody from setting a lower stop.
        if let Some(entry) = entry {
            let promised = entry.promised_with(set);
            if entry.guarantee.as_ref() != Some(&promised) {
                self.sensible(&promised)?;
            }
        }
        let meter = entry.map(|entry| entry.meter);
        if set.mode == Mode::Strict {
            admission::entering_strict(set.limit.rho(), meter.unwrap_or_default())?;
        }
        Ok(())
    }

    /// A share in its range, and deltas below one in the declared size.
    pub(super) fn sensible(&self, set: &LimitSet) -> Result<(), Refusal> {
        let name = self.state.population_of(&set.account);
        let name = name.ok_or(Refusal::NoDataset)?;
        let population = self.state.populations.get(name);
        let population = population.ok_or_else(|| Refusal::NoPopulation(name.clone()))?;
        if !(1..=10_000).contains(&set.largest_share) {
            return Err(Refusal::Share);
        }
        admission::deltas_below_one_in(
            population.most_subjects,
            set.limit.delta(),
            set.delta_keys,
        )?;
        Ok(())
    }
}
