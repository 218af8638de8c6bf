//! Any history of operations, failures and restarts, against an oracle that adds up exposures by
//! itself.

use std::collections::BTreeMap;

use obscura_model::exposure::Rho;
use obscura_model::ids::ReleaseName;
use obscura_privacy::{Accumulator, Mode, Permit, Sparse};
use proptest::prelude::*;
use rand::SeedableRng as _;
use rand_chacha::ChaCha20Rng;

use super::disk::Disk;
use super::world::*;
use crate::{
    Admission, AdmitRequest, AfterFailure, Committed, Ledger, NewStudy, RequestKey, StudyRelease,
};

/// Sigmas of the study's three releases, and their prices.
const RELEASES: [(&str, u64, u64); 3] = [
    ("a", 250, 80_000_000),
    ("b", 500, 20_000_000),
    ("c", 1_000, 5_000_000),
];
const SUBJECTS: u32 = 8;

#[derive(Debug, Clone)]
enum Step {
    Ask {
        request: u16,
        release: usize,
    },
    /// The process ends after the intent.
    AskAndDie {
        request: u16,
        release: usize,
        seed: u64,
    },
    /// The fold fails inside the process; reruns follow.
    AskAndFail {
        request: u16,
        release: usize,
        twice: bool,
    },
    Limit {
        rho: u64,
        mode: Mode,
    },
    Checkpoint,
    Reopen {
        seed: u64,
    },
    Lift,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let ask = || (0u16..8, 0usize..3);
    let mode = prop_oneof![Just(Mode::Strict), Just(Mode::Protect)];
    let step = prop_oneof![
        6 => ask().prop_map(|(request, release)| Step::Ask { request, release }),
        1 => (ask(), any::<u64>()).prop_map(|((request, release), seed)| Step::AskAndDie {
            request, release, seed
        }),
        1 => (ask(), any::<bool>()).prop_map(|((request, release), twice)| Step::AskAndFail {
            request, release, twice
        }),
        1 => (1_000_000u64..300_000_000, mode).prop_map(|(rho, mode)| Step::Limit { rho, mode }),
        1 => Just(Step::Checkpoint),
        1 => any::<u64>().prop_map(|seed| Step::Reopen { seed }),
        1 => Just(Step::Lift),
    ];
    prop::collection::vec(step, 1..40)
}

/// What must be true, computed from what was asked and granted and nothing else.
struct Oracle {
    exposures: Vec<u64>,
    meter: u64,
    limit: (u64, Mode),
    highest: u64,
    answers: BTreeMap<RequestKey, Committed>,
    granted: BTreeMap<RequestKey, u64>,
}

impl Oracle {
    /// The charge of a subject, from the definition of the code grid.
    fn charge(subject: u32, sigma: u64, price: u64) -> u64 {
        let q = contribution(subject) as u128;
        let rho = (q * q * 1_000_000_000).div_ceil(2 * u128::from(sigma).pow(2));
        if rho == 0 {
            return 0;
        }
        let grid = (0..64u32).flat_map(|e| (0..256u128).map(move |r| (e, r)));
        let values = grid.map(|(e, r)| (u128::from(price) * (512 - r)).div_ceil(512u128 << e));
        values
            .take_while(|value| *value >= rho)
            .last()
            .unwrap_or(u128::from(price)) as u64
    }

    fn commit(&mut self, sigma: u64, price: u64, limit: u64) {
        for subject in 0..SUBJECTS {
            let charge = Self::charge(subject, sigma, price);
            let exposure = &mut self.exposures[subject as usize];
            if *exposure + charge <= limit {
                *exposure += charge;
            }
        }
    }
}

struct Run {
    disk: Disk,
    ledger: Option<Ledger>,
    oracle: Oracle,
}

fn study() -> NewStudy {
    let releases = RELEASES.iter().map(|(name, _, price)| StudyRelease {
        name: name.parse::<ReleaseName>().unwrap(),
        price: Rho::from_nano(*price),
        times: 100,
        ..new_study(1, ANN, 1).releases.remove(0)
    });
    NewStudy {
        releases: releases.collect(),
        ..new_study(1, ANN, 1)
    }
}

fn ask(request: u16, release: usize) -> AdmitRequest {
    let (name, sigma, _) = RELEASES[release];
    let digest = obscura_model::ids::Digest::of(name.as_bytes());
    AdmitRequest {
        authority: crate::Authority::Study {
            study: study_id(1),
            release: name.parse().unwrap(),
        },
        shape: shape_with(sigma),
        body_digest: digest,
        ..self::request(1, ANN, request)
    }
}

impl Run {
    fn begin() -> Self {
        let disk = Disk::default();
        let ledger = create(&disk).unwrap();
        furnish(&ledger).unwrap();
        wide_limits(&ledger, Mode::Protect).unwrap();
        approve(&ledger, study()).unwrap();
        let wide = 10_000_000_000;
        let oracle = Oracle {
            exposures: vec![0; CAPACITY as usize],
            meter: 0,
            limit: (wide, Mode::Protect),
            highest: wide,
            answers: BTreeMap::new(),
            granted: BTreeMap::new(),
        };
        Run {
            disk,
            ledger: Some(ledger),
            oracle,
        }
    }

    fn ledger(&self) -> &Ledger {
        self.ledger.as_ref().unwrap()
    }

    /// A permit, if the oracle agrees that there may be one.
    fn admit(&mut self, asked: &AdmitRequest) -> Option<Permit> {
        let (key, price) = (asked.key, asked.shape.price().unwrap().nano());
        match self.ledger().admit(asked.clone(), NOW) {
            Ok(Admission::Granted(permit)) => {
                assert_eq!(self.oracle.granted.insert(key, permit.intent()), None);
                self.oracle.meter += price;
                let fits = self.oracle.meter <= self.oracle.limit.0;
                assert_eq!(permit.nobody_dropped(), fits);
                assert!(
                    fits || self.oracle.limit.1 == Mode::Protect,
                    "strict and over"
                );
                Some(permit)
            }
            Ok(Admission::Known(answer)) => {
                assert_eq!(self.oracle.answers.get(&key), Some(&answer));
                None
            }
            Ok(Admission::Conflict | Admission::Poisoned | Admission::Busy) => None,
            Ok(Admission::Running) => None,
            Err(error) => {
                assert!(!error.is_fatal(), "{error:?}");
                None
            }
        }
    }

    fn finish(&mut self, permit: Permit, key: RequestKey) {
        let (sigma, price) = (permit.shape().vectors[0].sigma, permit.price().nano());
        let limit = permit.filter().accounts()[0].nano();
        let exposures = self.ledger().exposures(&permit).unwrap();
        let mut sums = Accumulator::new(&permit, 1);
        for subject in 0..SUBJECTS {
            let mut sparse = Sparse::new();
            sparse.add(0, contribution(subject)).unwrap();
            let slices = exposures.slices();
            sums.add(subject, &[sparse], exposures.known(&slices))
                .unwrap();
        }
        let mut rng = ChaCha20Rng::seed_from_u64(permit.intent());
        let noised = sums.finish(permit).unwrap().add_noise(&mut rng).unwrap();
        let answer = commit(self.ledger(), noised).unwrap();
        self.oracle.commit(sigma, price, limit);
        assert_eq!(
            self.oracle.answers.insert(key, answer),
            None,
            "a second answer"
        );
    }

    fn reopen(&mut self, seed: u64) {
        drop(self.ledger.take());
        self.disk = self.disk.after_power_cut(seed);
        self.ledger = Some(open(&self.disk).unwrap());
        self.rerun();
    }

    fn rerun(&mut self) {
        for open in self.ledger().reruns() {
            let sigma = open.intent.sigmas[0];
            let permit = self
                .ledger()
                .rerun(open.index, shape_with(sigma), NOW)
                .unwrap();
            self.finish(permit, open.intent.key);
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Ask { request, release } => {
                let asked = ask(request, release);
                if let Some(permit) = self.admit(&asked) {
                    self.finish(permit, asked.key);
                }
            }
            Step::AskAndDie {
                request,
                release,
                seed,
            } => {
                self.admit(&ask(request, release));
                self.reopen(seed);
            }
            Step::AskAndFail {
                request,
                release,
                twice,
            } => {
                let Some(permit) = self.admit(&ask(request, release)) else {
                    return;
                };
                let after = self.ledger().failed(permit.intent(), NOW).unwrap();
                if let (AfterFailure::Rerun(open), true) = (after, twice) {
                    let sigma = open.intent.sigmas[0];
                    self.ledger()
                        .rerun(open.index, shape_with(sigma), NOW)
                        .unwrap();
                    self.ledger().failed(open.index, NOW).unwrap();
                }
                self.rerun();
            }
            Step::Limit { rho, mode } => {
                if self
                    .ledger()
                    .set_limit(limit(population(), rho, mode), NOW)
                    .is_ok()
                {
                    self.oracle.limit = (rho, mode);
                    self.oracle.highest = self.oracle.highest.max(rho);
                }
            }
            Step::Checkpoint => {
                self.ledger.take().unwrap().close().unwrap();
                self.ledger = Some(open(&self.disk).unwrap());
                self.rerun();
            }
            Step::Reopen { seed } => self.reopen(seed),
            Step::Lift => {
                let _ = self.ledger().lift(&people_of(), vec![], NOW);
                self.rerun();
            }
        }
    }

    fn check(&self) {
        let exposures = self.ledger().peek_for_tests();
        assert_eq!(exposures, self.oracle.exposures);
        assert_eq!(meter(self.ledger()).nano(), self.oracle.meter);
        let most = exposures.iter().max().unwrap();
        assert!(*most <= self.oracle.meter && *most <= self.oracle.highest);
        for (key, answer) in &self.oracle.answers {
            assert_eq!(self.ledger().release(key).unwrap().as_ref(), Some(answer));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_history_agrees_with_the_oracle(steps in steps()) {
        let mut run = Run::begin();
        for step in steps {
            run.step(step);
            run.check();
        }
        run.reopen(0);
        run.check();
    }
}
