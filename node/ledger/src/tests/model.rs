//! Any history of the accountant (limits up and down, modes, projects, grants, studies, keys that
//! are not declared, offers, failures, restarts, people who come, go and change their ids, late
//! subjects, populations that become one, compactions, and the power going in the middle) against
//! a model in plain maps, with invariants after every operation. `PROPTEST_CASES` sets how many
//! histories.

use std::collections::{BTreeMap, BTreeSet};

use obscura_model::answer::{Discovered, Key, Shape};
use obscura_model::exposure::{DeltaCharge, Rho};
use obscura_model::ids::{DatasetName, KeyId, PopulationName, ProjectName};
use obscura_privacy::{Accumulator, Mode, Permit, Sparse};
use proptest::prelude::*;
use rand::SeedableRng as _;
use rand_chacha::ChaCha20Rng;

use super::compaction;
use super::disk::{Disk, Fault};
use super::world::*;
use crate::{
    Account, Admission, AdmitRequest, AfterFailure, Authority, Committed, DatasetVersion, Hash,
    Head, Indexed, Ledger, LimitSet, Mark, NewData, NewGrant, NewPopulation, NewStudy, OpenIntent,
    RequestKey, Secrets, StudyRelease,
};

mod crashes;
mod invariants;
mod merging;
mod oracle;
mod proofs;
mod upkeep;

use invariants::{Charged, Seen, SeenBook};
use merging::Merge;
use oracle::{
    Ask, Book, End, GRANT_KEYS, KEYS, Oracle, People, Project, RELEASE_KEYS, RELEASES, Right,
    approved_keys,
};

const WIDE: u64 = 10_000_000_000;
/// Runs of each release of a study.
const TIMES: u32 = 4;
/// Two studies and three grants: which project, person, dataset.
const RIGHTS: [(bool, usize, KeyId, usize); 5] = [
    (false, 0, ANN, 0),
    (false, 1, BOB, 2),
    (true, 1, BOB, 0),
    (true, 0, ANN, 1),
    (true, 0, ANN, 2),
];

#[derive(Debug, Clone)]
struct Asked {
    who: bool,
    request: u16,
    right: usize,
    release: usize,
    complete: bool,
    keys: bool,
    /// Says nothing of the delta that it takes.
    understated: bool,
    old_version: bool,
}

/// What a crash comes in the middle of.
#[derive(Debug, Clone)]
enum Upkeep {
    Compact,
    Merge(Merge),
}

/// At which call of the storage, how, and which part of what was not synced is there afterwards.
#[derive(Debug, Clone, Copy)]
struct Crash {
    call: u64,
    fault: Fault,
    survivors: u64,
}

#[derive(Debug, Clone)]
enum Step {
    Ask(Asked),
    /// The process ends after the intent.
    AskAndDie(Asked, u64),
    /// The fold fails inside the process; reruns follow.
    AskAndFail(Asked, bool),
    /// The ledger is to be compacted between intent and commit.
    AskAndCompact(Asked),
    /// The answer to the same question before, if there was one.
    Offer(Asked),
    /// Of these keys a release may take delta.
    Limit(usize, u64, Mode, u64),
    ScientistLimit(Option<bool>, u64),
    ProjectLimit(usize, u64),
    Join(usize, bool),
    Confirm(usize, bool),
    Remove(usize, bool),
    Revoke(usize),
    Mark(usize, Vec<u8>, bool),
    Readmit(usize, Vec<u8>),
    Rekey(usize, Vec<(u8, u8)>),
    Ingest(usize, BTreeSet<u8>),
    Merge(Merge),
    Compact,
    Crash(Upkeep, Crash),
    Checkpoint,
    Reopen(u64),
    Lift(usize),
}

fn asked() -> impl Strategy<Value = Asked> {
    let seldom = || prop::bool::weighted(0.1);
    let flags = (prop::bool::weighted(0.2), prop::bool::weighted(0.2));
    // A version 7 uuid keeps the lower half of the first byte that it is made from.
    let numbers = (0u16..16, 0usize..RIGHTS.len(), 0usize..3);
    let odd = (seldom(), seldom(), seldom());
    (any::<bool>(), numbers, flags, odd).prop_map(
        |(other, (request, right, release), (complete, keys), (old, untrue, differs))| Asked {
            // Mostly whose right it is.
            who: (RIGHTS[right].2 == ANN) ^ (other && request % 3 == 0),
            request,
            right,
            release,
            complete: complete && RIGHTS[right].0,
            // Of a study mostly what was approved.
            keys: if RIGHTS[right].0 {
                keys
            } else {
                (approved_keys(release) > 0) ^ differs
            },
            understated: untrue && request % 2 == 0,
            old_version: old,
        },
    )
}

/// Mostly everybody is named under the id that they have in the other population.
fn merge() -> impl Strategy<Value = Merge> {
    let shift = prop_oneof![3 => Just(0u8), 1 => 1u8..24];
    let left_out = prop::option::weighted(0.1, 0u8..24);
    let more = prop::collection::vec((0u8..24, 0u8..24), 0..2);
    let limit = prop_oneof![1 => 80_000_000u64..600_000_000, 3 => Just(2 * WIDE)];
    let terms = (
        limit,
        prop_oneof![1 => 0u64..60, 3 => Just(60)],
        any::<bool>(),
    );
    (any::<bool>(), shift, left_out, more, terms).prop_map(
        |(first, shift, left_out, more, (limit, keys, strict))| {
            let same = (0..24).map(|id| (id, (id + shift) % 24));
            let same = same.filter(|(id, _)| Some(*id) != left_out);
            Merge {
                keep: usize::from(first),
                gone: usize::from(!first),
                pairs: same.chain(more).collect(),
                limit,
                keys,
                strict,
            }
        },
    )
}

fn crash() -> impl Strategy<Value = Crash> {
    let fault = prop_oneof![3 => Just(Fault::PowerCut), 1 => Just(Fault::Error)];
    // Few of the bits of a seed matter; 0 and 1 are special.
    let survivors = prop_oneof![0u64..6, any::<u64>()];
    (1u64..40, fault, survivors).prop_map(|(call, fault, survivors)| Crash {
        call,
        fault,
        survivors,
    })
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let mode = || prop_oneof![Just(Mode::Strict), Just(Mode::Protect)];
    let rho = || prop_oneof![3 => 80_000_000u64..600_000_000, 1 => Just(WIDE)];
    let ids = || prop::collection::vec(0u8..16, 0..3);
    let pairs = prop::collection::vec((0u8..16, 0u8..24), 0..4);
    let keys = prop_oneof![Just(0u64), Just(KEYS), Just(60)];
    let some = || prop::collection::btree_set(0u8..16, 0..9);
    let step = prop_oneof![
        12 => asked().prop_map(Step::Ask),
        1 => (asked(), any::<u64>()).prop_map(|(a, seed)| Step::AskAndDie(a, seed)),
        1 => (asked(), any::<bool>()).prop_map(|(a, twice)| Step::AskAndFail(a, twice)),
        1 => asked().prop_map(Step::AskAndCompact),
        3 => asked().prop_map(Step::Offer),
        1 => merge().prop_map(Step::Merge),
        3 => Just(Step::Compact),
        2 => crash().prop_map(|crash| Step::Crash(Upkeep::Compact, crash)),
        1 => (merge(), crash()).prop_map(|(merge, crash)| {
            // A merge is one append: few writes.
            let call = crash.call % 6 + 1;
            Step::Crash(Upkeep::Merge(merge), Crash { call, ..crash })
        }),
        2 => (0usize..3, rho(), mode(), keys)
            .prop_map(|(b, rho, mode, keys)| Step::Limit(b, rho, mode, keys)),
        1 => (any::<Option<bool>>(), rho()).prop_map(|(who, rho)| Step::ScientistLimit(who, rho)),
        1 => (0usize..2, rho()).prop_map(|(project, rho)| Step::ProjectLimit(project, rho)),
        1 => (0usize..2, any::<bool>()).prop_map(|(p, who)| Step::Join(p, who)),
        2 => (0usize..2, any::<bool>()).prop_map(|(p, who)| Step::Confirm(p, who)),
        1 => (0usize..2, any::<bool>()).prop_map(|(p, who)| Step::Remove(p, who)),
        1 => (0usize..9).prop_map(Step::Revoke),
        2 => (0usize..2, ids(), any::<bool>()).prop_map(|(p, i, e)| Step::Mark(p, i, e)),
        1 => (0usize..2, ids()).prop_map(|(p, ids)| Step::Readmit(p, ids)),
        1 => (0usize..2, pairs).prop_map(|(p, pairs)| Step::Rekey(p, pairs)),
        2 => (0usize..3, some()).prop_map(|(d, ids)| Step::Ingest(d, ids)),
        1 => Just(Step::Checkpoint),
        1 => any::<u64>().prop_map(Step::Reopen),
        1 => (0usize..2).prop_map(Step::Lift),
    ];
    prop::collection::vec(step, 1..40)
}

fn person(ann: bool) -> KeyId {
    if ann { ANN } else { BOB }
}

fn population_name(n: usize) -> PopulationName {
    PopulationName::new(["people", "patients"][n]).unwrap()
}

fn account(book: usize) -> Account {
    match book {
        2 => Account::Dataset(dataset_id(1)),
        n => Account::Population(population_name(n)),
    }
}

fn project_name(n: usize) -> ProjectName {
    own_project([ANN, BOB][n])
}

fn limit_set(book: usize, rho: u64, mode: Mode, keys: u64) -> LimitSet {
    LimitSet {
        delta_keys: DeltaCharge::from_units(keys),
        ..limit(account(book), rho, mode)
    }
}

fn study(n: usize) -> NewStudy {
    let (_, project, scientist, dataset) = RIGHTS[n];
    let releases = (0..)
        .zip(RELEASES)
        .map(|(n, (name, _, price))| StudyRelease {
            name: name.parse().unwrap(),
            price: Rho::from_nano(price),
            times: TIMES,
            require_complete: false,
            delta_keys: DeltaCharge::from_units(approved_keys(n)),
            canonical: canonical(),
        });
    NewStudy {
        project: project_name(project),
        dataset: DatasetVersion {
            id: dataset_id(dataset as u8 + 1),
            version: 1,
        },
        releases: releases.collect(),
        ..new_study(n as u8, scientist, TIMES)
    }
}

fn grant(n: usize) -> NewGrant {
    let (_, project, scientist, dataset) = RIGHTS[n];
    NewGrant {
        project: project_name(project),
        dataset: dataset_id(dataset as u8 + 1),
        most: Rho::from_nano(200_000_000),
        delta_keys: DeltaCharge::from_units(GRANT_KEYS),
        releases: 6,
        ..new_grant(n as u8, scientist)
    }
}

/// A shape whose key is not declared.
fn with_keys(shape: Shape) -> Shape {
    let discovered = Discovered {
        gate: 0,
        per_person: 1,
        most: 1,
        characters: 8,
        delta: DeltaCharge::from_units(RELEASE_KEYS),
    };
    let key = Key {
        column: "day".to_owned(),
        labels: vec![String::new()],
        discovered: Some(discovered),
    };
    Shape {
        keys: vec![key],
        ..shape
    }
}

struct Run {
    disk: Disk,
    ledger: Option<Ledger>,
    oracle: Oracle,
    answers: BTreeMap<RequestKey, Committed>,
    before: Option<Seen>,
    /// Every head that somebody was shown, and every leaf.
    heads: Vec<Head>,
    leaves: Vec<Hash>,
}

impl Run {
    fn begin() -> Self {
        let disk = Disk::default();
        let ledger = Ledger::create_at(compaction::site_of(&disk), NODE, entropy(1), NOW).unwrap();
        for (key, name) in [(ANN, "ann"), (BOB, "bob")] {
            let name = name.parse().unwrap();
            ledger
                .enrol(key, crate::Role::Scientist, name, vec![], NOW)
                .unwrap();
        }
        let mut oracle = Oracle {
            every: WIDE,
            ..Oracle::default()
        };
        for n in 0..2 {
            let new = NewPopulation {
                name: population_name(n),
                most_subjects: 10,
                capacity: CAPACITY,
                apart: n > 0,
                secrets: Secrets {
                    subject: [n as u8; 32],
                    row: [5; 32],
                },
                evidence: vec![],
            };
            ledger.add_population(new, NOW).unwrap();
            let most = 10;
            oracle.people.push(People {
                most,
                ..People::default()
            });
        }
        oracle.datasets = vec![(0, vec![]), (0, vec![]), (1, vec![])];
        oracle.usable = vec![1; 3];
        let mut run = Run {
            disk,
            ledger: Some(ledger),
            oracle,
            answers: BTreeMap::new(),
            before: None,
            heads: Vec::new(),
            leaves: Vec::new(),
        };
        run.furnish();
        run
    }

    fn furnish(&mut self) {
        for (dataset, most) in [(0, 6), (1, 4), (2, 5)] {
            self.ingest(dataset, &(0..most).collect());
        }
        for book in 0..3 {
            let set = limit_set(book, WIDE, Mode::Protect, KEYS);
            self.ledger().set_limit(set, NOW).unwrap();
            self.oracle.books.push(Book {
                population: [0, 1, 0][book],
                limit: WIDE,
                highest: WIDE,
                keys_limit: KEYS,
                keys_highest: KEYS,
                exposures: vec![0; CAPACITY as usize],
                ..Book::default()
            });
        }
        let every = Rho::from_nano(WIDE);
        self.ledger()
            .set_scientist_limit(None, every, vec![], NOW)
            .unwrap();
        for (n, (grants, project, holder, dataset)) in RIGHTS.into_iter().enumerate() {
            if grants {
                self.ledger().give_grant(grant(n), NOW).unwrap();
            } else {
                approve(self.ledger(), study(n)).unwrap();
                self.oracle.projects.push(Project {
                    members: [holder].into(),
                    waiting: BTreeSet::new(),
                    limit: None,
                });
            }
            self.oracle.rights.push(Right {
                grant: grants,
                project,
                holder,
                dataset,
                begun: BTreeMap::new(),
                times: if grants { 6 } else { TIMES },
                taken: 0,
                keys: 0,
                most: 200_000_000,
                ended: false,
            });
        }
    }

    fn ledger(&self) -> &Ledger {
        self.ledger.as_ref().unwrap()
    }

    fn request(&self, asked: &Asked) -> (Ask, AdmitRequest) {
        let (grants, _, _, dataset) = RIGHTS[asked.right];
        let newest = self.oracle.datasets[dataset].1.len();
        let version = if grants != asked.old_version {
            newest
        } else {
            1
        };
        let keys = if asked.keys { RELEASE_KEYS } else { 0 };
        let understated = asked.understated && keys == 0;
        let (name, sigma, _) = RELEASES[asked.release];
        let ask = Ask {
            who: person(asked.who),
            request: asked.request,
            right: asked.right,
            release: asked.release,
            complete: asked.complete,
            keys,
            understated,
            version,
            restarted: false,
        };
        let authority = if grants {
            let grant = grant_id(asked.right as u8);
            Authority::Grant { grant }
        } else {
            Authority::Study {
                study: study_id(asked.right as u8),
                release: name.parse().unwrap(),
            }
        };
        let request = AdmitRequest {
            authority,
            dataset: DatasetVersion {
                id: dataset_id(dataset as u8 + 1),
                version: version as u32,
            },
            shape: if understated {
                with_keys(shape_with(sigma))
            } else {
                shape_with(sigma)
            },
            plan: obscura_model::ids::Digest::of(name.as_bytes()),
            require_complete: asked.complete,
            delta_keys: DeltaCharge::from_units(keys),
            body_digest: obscura_model::ids::Digest::of(format!("{ask:?}").as_bytes()),
            ..request(0, ask.who, asked.request)
        };
        (ask, request)
    }

    /// A permit, exactly if the model agrees that there is one.
    fn admit(&mut self, asked: &Asked) -> Option<Permit> {
        let (ask, request) = self.request(asked);
        let key = request.key;
        let used = self.oracle.used.get(&(ask.who, ask.request)).cloned();
        let expected = used.is_none() && self.oracle.grants(&ask);
        let outcome = self.ledger().admit(request, NOW);
        let granted = matches!(outcome, Ok(Admission::Granted(_)));
        assert_eq!(granted, expected, "{ask:?} {outcome:?}");
        if let Some((body, end)) = used {
            let same = body == format!("{ask:?}");
            let as_used = match &outcome {
                Ok(Admission::Conflict) => !same,
                Ok(Admission::Known(_)) => same && end == End::Answered,
                Ok(Admission::Running) => same && end == End::Open,
                Ok(Admission::Poisoned) => same && end == End::Poisoned,
                _ => false,
            };
            assert!(as_used, "{ask:?} {end:?} {outcome:?}");
        }
        match outcome {
            Ok(Admission::Granted(permit)) => {
                assert_eq!(permit.nobody_dropped(), self.oracle.complete(&ask));
                self.oracle.opened(&ask);
                let books = self.oracle.books_of(RIGHTS[ask.right].3);
                let meters: Vec<u64> = books.iter().map(|n| self.oracle.books[*n].meter).collect();
                invariants::strict_meters_stay_within_their_limits(&self.terms(&books), &meters);
                Some(permit)
            }
            Ok(Admission::Known(answer)) => {
                assert_eq!(self.answers.get(&key), Some(&answer));
                None
            }
            Ok(_) => None,
            Err(error) => {
                assert!(!error.is_fatal(), "{error:?}");
                None
            }
        }
    }

    /// Limits cannot change while a release is open, so those of now are those of admission.
    fn terms(&self, books: &[usize]) -> Vec<(u64, Mode)> {
        let terms = books.iter().map(|n| {
            let book = &self.oracle.books[*n];
            let mode = if book.strict {
                Mode::Strict
            } else {
                Mode::Protect
            };
            (book.limit, mode)
        });
        terms.collect()
    }

    fn seen_exposures(&self, books: &[usize]) -> Vec<Vec<u64>> {
        let exposures = |n: &usize| self.ledger().exposures_for_tests(&account(*n));
        books.iter().map(exposures).collect()
    }

    /// Folds and commits the open intent of a population.
    fn finish(&mut self, permit: Permit, population: usize) {
        let ask = self.oracle.people[population].open.clone().unwrap();
        let dataset = RIGHTS[ask.right].3;
        let (books, price) = (self.oracle.books_of(dataset), permit.price().nano());
        let terms = self.terms(&books);
        let before = self.seen_exposures(&books);
        let exposures = self.ledger().exposures(&permit).unwrap();
        let slices = exposures.slices();
        let mut sums = Accumulator::new(&permit, 1);
        for (slot, id) in &self.oracle.datasets[dataset].1[ask.version - 1] {
            let mut sparse = Sparse::new();
            sparse.add(0, contribution(u32::from(*id))).unwrap();
            sums.add(*slot as u32, &[sparse], exposures.known(&slices))
                .unwrap();
        }
        drop(slices);
        let mut rng = ChaCha20Rng::seed_from_u64(permit.intent());
        let noised = sums.finish(permit).unwrap().add_noise(&mut rng).unwrap();
        drop(exposures);
        let answer = commit(self.ledger(), noised).unwrap();
        let people = &self.oracle.people[population];
        let marked = people.marked.iter().filter_map(|id| people.who.get(id));
        let marked: Vec<usize> = marked.copied().collect();
        let charged = Charged {
            price,
            terms: &terms,
            before,
            after: self.seen_exposures(&books),
        };
        invariants::charges_are_at_most_the_price(&charged);
        invariants::who_is_charged_stays_within_the_limits_in_force(&charged);
        invariants::nobody_marked_is_charged(&charged, &marked);
        self.oracle.commit(population, &terms);
        let key = key(ask.who, ask.request);
        assert_eq!(self.answers.insert(key, answer), None, "a second answer");
    }

    fn population_of(&self, open: &OpenIntent) -> usize {
        usize::from(open.intent.population != population_name(0))
    }

    /// Reruns whatever may run again, which is what the model says.
    fn rerun(&mut self) {
        let reruns = self.ledger().reruns();
        let people = self.oracle.people.iter();
        let may = people.filter(|p| !p.stopped && p.open.as_ref().is_some_and(|o| !o.restarted));
        assert_eq!(reruns.len(), may.count());
        for open in reruns {
            let shape = shape_with(open.intent.sigmas[0]);
            let permit = self.ledger().rerun(open.index, shape, NOW).unwrap();
            self.finish(permit, self.population_of(&open));
        }
    }

    fn restart(&mut self) {
        self.ledger = Some(compaction::open(&self.disk).unwrap());
        self.restarted();
    }

    /// A new process counts a stop of every release that was open, and runs it again.
    fn restarted(&mut self) {
        for population in 0..2 {
            if self.oracle.people[population].open.is_some() {
                self.oracle.stop(population);
            }
        }
        self.rerun();
    }

    fn reopen(&mut self, seed: u64) {
        drop(self.ledger.take());
        self.disk = self.disk.after_power_cut(seed);
        self.restart();
    }

    fn fail(&mut self, asked: &Asked, twice: bool) {
        let Some(permit) = self.admit(asked) else {
            return;
        };
        let population = self.oracle.datasets[RIGHTS[asked.right].3].0;
        let after = self.ledger().failed(permit.intent(), NOW).unwrap();
        assert!(!self.oracle.stop(population));
        let waits = self.oracle.people[population].stopped;
        assert_eq!(after == AfterFailure::Waits, waits);
        if let (AfterFailure::Rerun(open), true) = (after, twice) {
            let shape = shape_with(open.intent.sigmas[0]);
            self.ledger().rerun(open.index, shape, NOW).unwrap();
            let again = self.oracle.people[population].open.as_mut();
            again.unwrap().restarted = true;
            let after = self.ledger().failed(open.index, NOW).unwrap();
            assert_eq!(after, AfterFailure::Poisoned);
            assert!(self.oracle.stop(population));
        }
        self.rerun();
    }

    fn ingest(&mut self, dataset: usize, ids: &BTreeSet<u8>) {
        let name = DatasetName::new(["a", "b", "c"][dataset]).unwrap();
        let population = self.oracle.datasets[dataset].0;
        let id = dataset_id(dataset as u8 + 1);
        let begun = self
            .ledger()
            .begin_ingest(&population_name(population), &name, id);
        let open = self.oracle.people[population].open.is_some();
        assert_eq!(begun.is_err(), open);
        let Ok(mut begun) = begun else { return };
        let ids: Vec<u8> = ids.iter().copied().collect();
        let places: Result<Vec<_>, _> = ids.iter().map(|id| begun.index([*id; 16])).collect();
        let expected = self.oracle.ingest(dataset, &ids);
        assert_eq!(places.is_err(), expected.is_none());
        let Ok(places) = places else { return };
        let slots: Vec<Option<usize>> = places
            .into_iter()
            .map(|place| match place {
                Indexed::At(index) => Some(index as usize),
                Indexed::Left => None,
            })
            .collect();
        assert_eq!(Some(slots), expected);
        let data = NewData {
            description: String::new(),
            file_sha256: [6; 32],
            rows: 1,
            evidence: vec![],
        };
        self.ledger().add_dataset(begun, data, NOW).unwrap();
    }

    fn owner_step(&mut self, step: &Step) {
        match step {
            Step::Limit(n, rho, mode, keys) => {
                let wanted = limit_set(*n, *rho, *mode, *keys);
                let set = self.ledger().set_limit(wanted, NOW);
                let book = &mut self.oracle.books[*n];
                let people = &self.oracle.people[book.population];
                let idle = people.open.is_none() && !people.gone;
                let fits = *mode == Mode::Protect || *rho >= book.meter;
                assert_eq!(set.is_ok(), idle && fits);
                if set.is_ok() {
                    (book.limit, book.strict) = (*rho, *mode == Mode::Strict);
                    book.highest = book.highest.max(*rho);
                    book.keys_limit = *keys;
                    book.keys_highest = book.keys_highest.max(*keys);
                }
            }
            Step::ScientistLimit(who, rho) => {
                let (who, limit) = (who.map(person), Rho::from_nano(*rho));
                self.ledger()
                    .set_scientist_limit(who, limit, vec![], NOW)
                    .unwrap();
                match who {
                    Some(who) => drop(self.oracle.own.insert(who, *rho)),
                    None => self.oracle.every = *rho,
                }
            }
            Step::ProjectLimit(n, rho) => {
                let limit = Rho::from_nano(*rho);
                self.ledger()
                    .set_project_limit(project_name(*n), limit, vec![], NOW)
                    .unwrap();
                self.oracle.projects[*n].limit = Some(*rho);
            }
            Step::Revoke(n) if RIGHTS.get(*n).is_some_and(|right| right.0) => {
                self.ledger()
                    .revoke_grant(grant_id(*n as u8), String::new(), vec![], NOW)
                    .unwrap();
                self.oracle.rights[*n].ended = true;
            }
            _ => {}
        }
    }

    fn member_step(&mut self, step: &Step) {
        match step {
            Step::Join(n, who) => {
                let asked = self
                    .ledger()
                    .ask_to_join(project_name(*n), person(*who), vec![], NOW);
                asked.unwrap();
                let project = &mut self.oracle.projects[*n];
                if !project.members.contains(&person(*who)) {
                    project.waiting.insert(person(*who));
                }
            }
            Step::Confirm(n, who) => {
                let confirmed =
                    self.ledger()
                        .confirm_member(project_name(*n), person(*who), vec![], NOW);
                let project = &mut self.oracle.projects[*n];
                let waited = project.waiting.remove(&person(*who));
                let member = project.members.contains(&person(*who));
                assert_eq!(confirmed.is_ok(), waited || member);
                if waited {
                    project.members.insert(person(*who));
                }
            }
            Step::Remove(n, who) => {
                let (name, who) = (project_name(*n), person(*who));
                let removed = self
                    .ledger()
                    .remove_member(name, who, String::new(), vec![], NOW);
                let project = &mut self.oracle.projects[*n];
                let waited = project.waiting.remove(&who);
                assert_eq!(removed.is_ok(), project.members.remove(&who) || waited);
            }
            _ => {}
        }
    }

    fn people_step(&mut self, step: &Step) {
        let (n, reason) = match step {
            Step::Mark(n, ..) | Step::Readmit(n, _) | Step::Rekey(n, _) => (*n, String::new()),
            _ => return,
        };
        let (name, ledger) = (population_name(n), self.ledger());
        let hashes = |ids: &[u8]| ids.iter().map(|id| [*id; 16]).collect();
        let done = match step {
            Step::Mark(_, ids, erased) => {
                let mark = if *erased {
                    Mark::Erased
                } else {
                    Mark::Excluded
                };
                let marked = ledger.mark_subjects(&name, mark, hashes(ids), reason, vec![], NOW);
                marked.map(|marked| marked.index)
            }
            Step::Readmit(_, ids) => {
                let back = ledger.readmit_subjects(&name, hashes(ids), reason, vec![], NOW);
                back.map(|marked| marked.index)
            }
            Step::Rekey(_, pairs) => {
                let pairs = pairs.iter().map(|(a, b)| ([*a; 16], [*b; 16])).collect();
                let changed = ledger.rekey(&name, pairs, vec![], NOW);
                changed.map(|changed| changed.index)
            }
            _ => return,
        };
        let people = &self.oracle.people[n];
        let refused = people.open.is_some() || people.gone;
        assert_eq!(done.is_err(), refused);
        match step {
            _ if refused => {}
            Step::Mark(_, ids, _) => self.oracle.mark(n, ids),
            Step::Readmit(_, ids) => self.oracle.readmit(n, ids),
            Step::Rekey(_, pairs) => self.oracle.rekey(n, pairs),
            _ => {}
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Ask(asked) => {
                if let Some(permit) = self.admit(&asked) {
                    let population = self.oracle.datasets[RIGHTS[asked.right].3].0;
                    self.finish(permit, population);
                }
            }
            Step::AskAndDie(asked, seed) => {
                self.admit(&asked);
                self.reopen(seed);
            }
            Step::AskAndFail(asked, twice) => self.fail(&asked, twice),
            Step::AskAndCompact(asked) => {
                if let Some(permit) = self.admit(&asked) {
                    self.compact();
                    let population = self.oracle.datasets[RIGHTS[asked.right].3].0;
                    self.finish(permit, population);
                }
            }
            Step::Offer(asked) => self.offer(&asked),
            Step::Merge(merge) => self.merge(&merge),
            Step::Compact => self.compact(),
            Step::Crash(upkeep, crash) => drop(self.crash(&upkeep, crash)),
            Step::Ingest(dataset, ids) => self.ingest(dataset, &ids),
            Step::Checkpoint => {
                self.ledger.take().unwrap().close().unwrap();
                self.restart();
            }
            Step::Reopen(seed) => self.reopen(seed),
            Step::Lift(n) => {
                let lifted = self.ledger().lift(&population_name(n), vec![], NOW);
                let people = &mut self.oracle.people[n];
                let stopped = people.stops > 0 || people.stopped;
                assert_eq!(lifted.is_ok(), stopped && !people.gone);
                (people.stops, people.stopped) = (0, false);
                self.rerun();
            }
            owners => {
                self.owner_step(&owners);
                self.member_step(&owners);
                self.people_step(&owners);
            }
        }
    }

    fn see(&self) -> Seen {
        let ledger = self.ledger();
        let books = (0..3).map(|n| {
            let view = match n {
                2 => ledger.datasets(NOW).remove(0).account,
                n => ledger
                    .population(&population_name(n), NOW)
                    .map(|p| p.account),
            }?;
            let guarantee = view.guarantee.unwrap();
            Some(SeenBook {
                meter: view.meter.nano(),
                keys: view.meter_keys.units(),
                guarantee: guarantee.limit.rho().nano(),
                guarantee_keys: guarantee.delta_keys.units(),
                exposures: ledger.exposures_for_tests(&account(n)),
            })
        });
        let project = |n| {
            let view = ledger.project(&project_name(n)).unwrap();
            (view.members, view.waiting, view.taken.nano())
        };
        let studies = ledger.studies(NOW).into_iter();
        let runs = studies.map(|study| study.releases.iter().map(|runs| runs.begun).collect());
        let grants = ledger.grants(NOW).into_iter();
        let people = ledger.people().into_iter();
        Seen {
            books: books.collect(),
            people: people.map(|p| (p.key, p.taken.nano())).collect(),
            projects: (0..2).map(project).collect(),
            grants: grants.map(|g| (g.begun, g.taken.nano())).collect(),
            studies: runs.collect(),
        }
    }

    fn check(&mut self) {
        let seen = self.see();
        let oracle = &self.oracle;
        for (n, (book, seen)) in oracle.books.iter().zip(&seen.books).enumerate() {
            let gone = n < 2 && oracle.people[n].gone;
            assert_eq!(seen.is_none(), gone);
            let Some(seen) = seen else { continue };
            assert_eq!(seen.exposures, book.exposures);
            assert_eq!((seen.meter, seen.keys), (book.meter, book.keys));
            let people = &oracle.people[book.population];
            let waits = |slot| people.joined.contains(&slot) || people.dead.contains(&slot);
            invariants::meter_covers_every_exposure(seen, waits);
            let highest = (book.highest, book.keys_highest);
            invariants::the_guarantee_is_the_highest_limit_ever(seen, highest);
            invariants::keys_stay_within_what_is_promised(seen);
        }
        let people = [ANN, BOB].map(|who| (who, oracle.taken_by(who))).into();
        let projects = [0, 1].map(|n| oracle.taken_for(n));
        let grants = [2, 3, 4].map(|n| oracle.sum(|intent| intent.right == n));
        invariants::totals_are_the_sums_of_the_intents(&seen, &people, &projects, &grants);
        for (project, (members, waiting, _)) in oracle.projects.iter().zip(&seen.projects) {
            assert!(project.members.iter().eq(members) && project.waiting.iter().eq(waiting));
        }
        if let Some(before) = &self.before {
            invariants::nothing_is_taken_back(before, &seen);
        }
        for (key, answer) in &self.answers {
            assert_eq!(self.ledger().release(key).unwrap().as_ref(), Some(answer));
        }
        self.before = Some(seen);
        self.check_proofs();
    }

    /// Reopening changes nothing, with a checkpoint or without.
    fn reopening_changes_nothing(&mut self) {
        for seed in 0..2 {
            self.reopen(seed);
            let seen = self.see();
            self.ledger.take().unwrap().close().unwrap();
            self.restart();
            assert_eq!(self.see(), seen);
        }
    }
}

/// A few histories by default, as many as asked for otherwise.
fn config() -> ProptestConfig {
    let asked = ProptestConfig::default();
    let cases = if asked.cases == 256 { 400 } else { asked.cases };
    ProptestConfig { cases, ..asked }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_history_agrees_with_the_model(steps in steps()) {
        let mut run = Run::begin();
        run.check();
        for step in steps {
            run.step(step);
            run.check();
        }
        run.reopen(0);
        run.check();
        run.compact();
        run.check();
        run.reopening_changes_nothing();
        run.check_all_proofs();
    }
}
