//! Subjects that come, go, change their ids, and move from one population to another.
//!
//! # Why joining two ids adds more than their sum
//!
//! A person whose rows lay under two ids was two subjects. In a release that charged them `a` and
//! `b`, the person moved the sum by the sum of two vectors, so the person's own loss is at most
//! `(sqrt a + sqrt b)^2`, and over all releases, by Cauchy and Schwarz, at most
//! `(sqrt A + sqrt B)^2 = A + B + 2 sqrt(A B)` for the exposures `A` and `B` (group privacy of
//! zero-concentrated differential privacy, Bun and Steinke 2016, proposition 27, for two). That is
//! what the joined subject begins with. It can be more than the public meter, and then neither
//! strict mode nor "nobody was left out" would hold for it: so it waits, silently like somebody who
//! is marked, until the meter has passed it (see [`State::barred`]).
//!
//! # Why merging adds
//!
//! A person in two populations took part in two sets of releases with noise of their own each. Rho
//! of independent releases adds, and so does the delta of keys that are not declared: the person's
//! exposure is the sum of both, and at most the sum of both meters, which is the meter from then
//! on. So every exposure stays at most its meter, and strict mode and "nobody was left out" go on
//! to mean what they say. What was promised to such a person is at most the sum of both guarantees
//! or the new limit, whichever is higher. Datasets keep their own accounts, whose exposures move
//! with their people: they count the dataset's own releases, which the merge does not change. Rows
//! lie under the indexes of the population that is gone, so nothing is released from them again.

use std::sync::Arc;

use obscura_model::exposure::{DeltaCharge, Limit, Rho};
use obscura_model::ids::PopulationName;

use super::apply::Applied;
use super::subjects::Moves;
use super::{AccountEntry, InvalidHistory, MOST_STOPS, State};
use crate::record::{Account, Intent, LimitSet, Record, SubjectHash};

impl State {
    pub(super) fn apply_subjects(&mut self, record: Record) -> Applied {
        match record {
            Record::SubjectsAdded {
                population,
                first,
                hashes,
                ..
            } => {
                let entry = self.population_mut(&population)?;
                entry.subjects.add(first, &hashes)
            }
            Record::SubjectsMarked {
                population,
                mark,
                hashes,
                ..
            } => {
                let entry = self.population_mut(&population)?;
                entry.subjects.mark(mark, &hashes);
                Ok(())
            }
            Record::SubjectsReadmitted {
                population, hashes, ..
            } => {
                let entry = self.population_mut(&population)?;
                entry.subjects.readmit(&hashes);
                Ok(())
            }
            Record::SubjectsRekeyed {
                population, pairs, ..
            } => self.rekeyed(&population, &pairs),
            Record::PopulationsMerged {
                keep,
                gone,
                limit,
                guarantee,
                pairs,
                ..
            } => self.merged(&keep, &gone, limit, guarantee, &pairs),
            _ => Ok(()),
        }
    }

    /// By index: who contributes nothing to this release and is charged nothing. Beside those who
    /// are marked, somebody who was found to be two subjects, until every meter concerned has
    /// passed what they are exposed to: from then on the meter covers them like everybody. It
    /// depends on public numbers and on the subject's own exposure.
    pub(crate) fn barred(&self, intent: &Intent) -> Option<Arc<Vec<bool>>> {
        let subjects = &self.populations.get(&intent.population)?.subjects;
        let mut barred = Arc::clone(&subjects.barred);
        for index in &subjects.joined {
            let mut accounts = intent.accounts.iter();
            let waits = accounts.any(|account| match self.accounts.get(&account.account) {
                // The meter has this release's price already.
                Some(entry) => {
                    let exposure = entry.exposures.get(*index as usize).copied();
                    let before = entry.meter.saturating_sub(intent.price).nano();
                    exposure.is_none_or(|exposure| exposure > before)
                }
                None => true,
            });
            if waits && let Some(bar) = Arc::make_mut(&mut barred).get_mut(*index as usize) {
                *bar = true;
            }
        }
        Some(barred)
    }

    /// The accounts that count the subjects of a population.
    fn accounts_over(&self, population: &PopulationName) -> Vec<Account> {
        let accounts = self.accounts.keys();
        let own = accounts.filter(|account| self.population_of(account) == Some(population));
        own.cloned().collect()
    }

    fn rekeyed(
        &mut self,
        population: &PopulationName,
        pairs: &[(SubjectHash, SubjectHash)],
    ) -> Applied {
        let joins = self.population_mut(population)?.subjects.rekey(pairs);
        for account in self.accounts_over(population) {
            let entry = self.accounts.get_mut(&account);
            let entry = entry.ok_or(InvalidHistory::Unknown("an account"))?;
            let exposures = Arc::make_mut(&mut entry.exposures);
            for join in &joins {
                let gone = exposures.get(join.gone as usize).copied();
                let keep = exposures.get_mut(join.keep as usize);
                let (keep, gone) = keep.zip(gone).ok_or(InvalidHistory::Unknown("a subject"))?;
                *keep = of_one_person(*keep, gone);
            }
        }
        Ok(())
    }

    fn merged(
        &mut self,
        keep: &PopulationName,
        gone: &PopulationName,
        limit: LimitSet,
        guarantee: Limit,
        pairs: &[(SubjectHash, SubjectHash)],
    ) -> Applied {
        let unknown = InvalidHistory::Unknown("a population");
        let datasets = self.accounts_over(gone);
        let before = self.populations.remove(gone).ok_or(unknown)?;
        let entry = self.population_mut(keep)?;
        let moves = entry.subjects.moves(&before.subjects, pairs, u64::MAX);
        let moves = moves.map_err(|_| InvalidHistory::Range("the subject index"))?;
        entry.subjects.take_in(&before.subjects, &moves)?;
        entry.stops = entry.stops.saturating_add(before.stops);
        entry.stopped |= before.stopped || entry.stops >= MOST_STOPS;
        entry.lifts = entry.lifts.saturating_add(before.lifts);
        entry.ended.extend(before.ended);
        let capacity = entry.capacity as usize;
        for account in datasets {
            if let Account::Dataset(_) = account
                && let Some(entry) = self.accounts.get_mut(&account)
            {
                let mut exposures = vec![0; capacity];
                move_into(&mut exposures, &entry.exposures, &moves)?;
                entry.exposures = Arc::new(exposures);
            }
        }
        let other = self.accounts.remove(&Account::Population(gone.clone()));
        let other = other.ok_or(InvalidHistory::Unknown("an account"))?;
        let account = self.accounts.get_mut(&Account::Population(keep.clone()));
        let account = account.ok_or(InvalidHistory::Unknown("an account"))?;
        account.take_in(&other, limit, guarantee, &moves)?;
        self.follow(keep, gone);
        self.merged.insert(gone.clone());
        Ok(())
    }

    /// Datasets and studies of `gone` are `keep`'s from now on. Their rows are not, so no study of
    /// them runs again, and none holds room.
    fn follow(&mut self, keep: &PopulationName, gone: &PopulationName) {
        for dataset in self.datasets.values_mut() {
            if dataset.population == *gone {
                dataset.population = keep.clone();
                dataset.usable_from = dataset.versions.len() + 1;
            }
        }
        for study in self.studies.values_mut() {
            if study.population == *gone {
                study.population = keep.clone();
                study.held = Rho::ZERO;
            }
        }
    }
}

impl AccountEntry {
    /// What is promised and counted after a merge.
    fn take_in(
        &mut self,
        other: &AccountEntry,
        limit: LimitSet,
        guarantee: Limit,
        moves: &Moves,
    ) -> Applied {
        let range = InvalidHistory::Range("a meter");
        self.meter = self.meter.checked_add(other.meter).ok_or(range)?;
        let keys = self.meter_keys.checked_add(other.meter_keys);
        self.meter_keys = keys.ok_or(range)?;
        self.releases += other.releases;
        let exposures = Arc::make_mut(&mut self.exposures);
        move_into(exposures, &other.exposures, moves)?;
        let promised = |entry: &AccountEntry| {
            let guarantee = entry.guarantee.as_ref();
            guarantee.map_or(DeltaCharge::ZERO, |set| set.delta_keys)
        };
        let keys = promised(self).checked_add(promised(other)).ok_or(range)?;
        self.guarantee = Some(LimitSet {
            limit: guarantee,
            delta_keys: keys.max(limit.delta_keys),
            ..limit.clone()
        });
        self.limit = Some(limit);
        Ok(())
    }
}

/// Adds the exposures of people to those that they have where they come to lie.
fn move_into(to: &mut [u64], from: &[u64], moves: &Moves) -> Applied {
    for (there, here) in &moves.places {
        let exposure = from.get(*there as usize).copied();
        let place = to.get_mut(*here as usize);
        let (place, exposure) = place
            .zip(exposure)
            .ok_or(InvalidHistory::Unknown("a subject"))?;
        // The largest number fits no limit.
        *place = place.saturating_add(exposure);
    }
    Ok(())
}

/// The exposure of a person who was two subjects of one population: `(sqrt a + sqrt b)^2`,
/// rounded up; the largest number, which fits no limit, if that leaves its range.
pub(crate) fn of_one_person(a: u64, b: u64) -> u64 {
    let (a, b) = (u128::from(a), u128::from(b));
    // Without a square root in range, twice the root alone is above 64 bits.
    let Some(square) = (a * b).checked_mul(4) else {
        return u64::MAX;
    };
    let root = square.isqrt();
    let root = if root * root < square { root + 1 } else { root };
    u64::try_from(a + b + root).unwrap_or(u64::MAX)
}
