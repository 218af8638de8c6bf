//! Subjects that come, go and change their ids; populations that become one.
//!
//! Nothing here ever lowers an exposure. All of it waits while a release is open, which may have to
//! run again for the people it was admitted for. A record is written whatever the hashes match, and
//! as long whatever their number, so that the journal's public shape tells neither.

use obscura_model::exposure::{Limit, Rho, epsilon};
use obscura_model::ids::{PopulationName, UnixMillis};
use obscura_privacy::Mode;
use obscura_privacy::admission;

use super::{Inner, Ledger};
use crate::error::{Error, Refusal};
use crate::record::{Account, LimitSet, Mark, Record, SubjectHash};
use crate::state::{AccountEntry, CannotMove, PopulationEntry};
use crate::views::Marked;

impl Ledger {
    /// Excludes or erases people: from now on they contribute to no release, in either mode, and
    /// are charged nothing, and nothing that a scientist sees says so. Their rows are left out of
    /// every version ingested from now on. Index, exposure and mark stay for the population's
    /// life, and ids that have no index yet are remembered too.
    ///
    /// # Errors
    /// If there is no such population, a release of it is open, or the storage fails.
    pub fn mark_subjects(
        &self,
        population: &PopulationName,
        mark: Mark,
        hashes: Vec<SubjectHash>,
        reason: String,
        evidence: Vec<u8>,
        now: UnixMillis,
    ) -> Result<Marked, Error> {
        let mut inner = self.lock()?;
        let entry = inner.quiet(population)?;
        let matched = entry.subjects.people_among(&hashes).len() as u64;
        let record = Record::SubjectsMarked {
            population: population.clone(),
            capacity: entry.capacity,
            mark,
            reason,
            evidence,
            hashes,
        };
        let index = inner.record(now, vec![record])?;
        Ok(Marked { matched, index })
    }

    /// Lets people who were excluded or erased come back: under their old index and with their old
    /// exposure. Rows that were erased come back with a version that has them. Who never had an
    /// index begins with no exposure.
    ///
    /// # Errors
    /// As [`Ledger::mark_subjects`].
    pub fn readmit_subjects(
        &self,
        population: &PopulationName,
        hashes: Vec<SubjectHash>,
        reason: String,
        evidence: Vec<u8>,
        now: UnixMillis,
    ) -> Result<Marked, Error> {
        let mut inner = self.lock()?;
        let entry = inner.quiet(population)?;
        let marked = hashes
            .iter()
            .filter(|hash| entry.subjects.marks.contains_key(*hash));
        let marked: Vec<SubjectHash> = marked.copied().collect();
        let matched = entry.subjects.people_among(&marked).len() as u64;
        let record = Record::SubjectsReadmitted {
            population: population.clone(),
            capacity: entry.capacity,
            reason,
            evidence,
            hashes,
        };
        let index = inner.record(now, vec![record])?;
        Ok(Marked { matched, index })
    }

    /// Changes ids: in each pair an old and a new id of one person. The order of the pairs does not
    /// matter: all ids that they connect are one person's. New ids get the old ids' index, exposure
    /// and mark; old ids stay known, and ids without an index are remembered as one person's. Two ids that become one are one person from
    /// now on, whose exposure is at least the sum of both (see the state's `populations`); rows of
    /// one of them contribute again with the next version. A new id that is in use already joins
    /// its person, so new ids should be fresh. Tells how many people the old ids are of, which is
    /// private; the record is the same whatever they are.
    ///
    /// # Errors
    /// If there is no such population, a release of it is open, or the storage fails.
    pub fn rekey(
        &self,
        population: &PopulationName,
        pairs: Vec<(SubjectHash, SubjectHash)>,
        evidence: Vec<u8>,
        now: UnixMillis,
    ) -> Result<Marked, Error> {
        let mut inner = self.lock()?;
        let entry = inner.quiet(population)?;
        let old: Vec<SubjectHash> = pairs.iter().map(|(old, _)| *old).collect();
        let matched = entry.subjects.people_among(&old).len() as u64;
        let record = Record::SubjectsRekeyed {
            population: population.clone(),
            capacity: entry.capacity,
            evidence,
            pairs,
        };
        let index = inner.record(now, vec![record])?;
        Ok(Marked { matched, index })
    }

    /// Makes two populations one, because somebody may be in both: in each pair the id of a person
    /// of `gone`, under its secret, and the id of the same person under the secret of `keep`.
    /// Exposures, meters and deltas add, `limit` is a new promise, and the datasets of `gone` have
    /// to be ingested again. Scientists' and projects' totals stay as they are. There is no way to
    /// split. Gives the record's index.
    ///
    /// # Errors
    /// If a population is missing or has an open release, somebody of `gone` is not mapped with
    /// every id that they ever had, two
    /// would become one, there is no room, the limit is lower than one before or than strict mode
    /// needs, or the storage fails.
    pub fn merge_populations(
        &self,
        keep: &PopulationName,
        gone: &PopulationName,
        pairs: Vec<(SubjectHash, SubjectHash)>,
        limit: LimitSet,
        evidence: Vec<u8>,
        now: UnixMillis,
    ) -> Result<u64, Error> {
        let mut inner = self.lock()?;
        if keep == gone {
            return Err(Refusal::MergeSelf.into());
        }
        let (kept, other) = (inner.quiet(keep)?, inner.quiet(gone)?);
        let moves = kept
            .subjects
            .moves(&other.subjects, &pairs, kept.most_subjects);
        moves.map_err(|problem| match problem {
            CannotMove::Incomplete => Refusal::MergeIncomplete(gone.clone()),
            CannotMove::Joins => Refusal::MergeJoins(gone.clone()),
            CannotMove::Full => Refusal::Full(keep.clone()),
        })?;
        let guarantee = inner.merged_promise(keep, gone, &limit)?;
        let record = Record::PopulationsMerged {
            keep: keep.clone(),
            gone: gone.clone(),
            capacity: other.capacity,
            limit,
            guarantee,
            evidence,
            pairs,
        };
        inner.record(now, vec![record])
    }
}

impl Inner {
    /// A population without an open release.
    fn quiet(&self, name: &PopulationName) -> Result<&PopulationEntry, Refusal> {
        self.idle(name)?;
        let entry = self.state.populations.get(name);
        entry.ok_or_else(|| Refusal::NoPopulation(name.clone()))
    }

    /// What is promised to whoever is in both populations: the sum of both guarantees, or the new
    /// limit if that is higher. Refuses a new limit that is lower than one of the two in force, or
    /// that strict mode or the declared size do not allow.
    fn merged_promise(
        &self,
        keep: &PopulationName,
        gone: &PopulationName,
        limit: &LimitSet,
    ) -> Result<Limit, Refusal> {
        if limit.account != Account::Population(keep.clone()) {
            return Err(Refusal::MergeLimit);
        }
        self.sensible(limit)?;
        let account = |name: &PopulationName| {
            let account = self.state.accounts.get(&Account::Population(name.clone()));
            account.ok_or_else(|| Refusal::NoPopulation(name.clone()))
        };
        let both = [account(keep)?, account(gone)?];
        let as_high = both.iter().all(|entry| {
            entry.limit.as_ref().is_none_or(|before| {
                limit.limit.rho() >= before.limit.rho()
                    && limit.limit.delta() >= before.limit.delta()
                    && limit.delta_keys >= before.delta_keys
            })
        });
        if !as_high {
            return Err(Refusal::MergeLimit);
        }
        let sum = |part: fn(&AccountEntry) -> Rho| {
            let [a, b] = both.map(part);
            a.checked_add(b).ok_or(Refusal::MergeLimit)
        };
        if limit.mode == Mode::Strict {
            admission::entering_strict(limit.limit.rho(), sum(|entry| entry.meter)?)?;
        }
        let promised = |entry: &AccountEntry| {
            let guarantee = entry.guarantee.as_ref();
            guarantee.map(|set| set.limit.rho()).unwrap_or_default()
        };
        let rho = sum(promised)?.max(limit.limit.rho());
        let delta = limit.limit.delta();
        // Who is in both was promised the deltas of both: they too are below one in the size.
        let keys = both.map(|entry| entry.guarantee.as_ref().map(|set| set.delta_keys));
        let [a, b] = keys.map(Option::unwrap_or_default);
        let keys = a.checked_add(b).ok_or(Refusal::MergeLimit)?;
        let most = self.state.populations.get(keep);
        let most = most.ok_or_else(|| Refusal::NoPopulation(keep.clone()))?;
        admission::deltas_below_one_in(most.most_subjects, delta, keys)?;
        let shown = epsilon(rho, delta).max(limit.limit.epsilon());
        Ok(Limit::as_stored(shown, delta, rho))
    }
}
