//! Many releases in a row: limits hold, meters cover exposures, decisions are public.

use crate::builders::{Subject, fold, limits, permit, shape, sparse, vector};
use obscura_model::answer::VectorShape;
use obscura_model::exposure::{Delta, Limit, NANO, Rho};
use obscura_privacy::admission::{self, Account, Refusal, Request, Scope};
use obscura_privacy::{CodeGrid, Mode, Permit, price};
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

fn rho(nano: u64) -> Rho {
    Rho::from_nano(nano)
}

fn account(mode: Mode, limit: u64, meter: u64) -> Account {
    Account {
        scope: Scope::Population,
        mode,
        limit: rho(limit),
        meter: rho(meter),
        reserved_by_others: Rho::ZERO,
    }
}

/// A request with room everywhere but in its accounts.
fn request<'a>(vectors: &'a [VectorShape], accounts: &'a [Account]) -> Request<'a> {
    Request {
        vectors,
        largest: rho(u64::MAX),
        smallest: rho(1),
        scientist_used: Rho::ZERO,
        scientist_limit: rho(u64::MAX),
        accounts,
    }
}

/// A vector of price 0.1 exactly: 20 / (2 * 10^2).
fn a_tenth() -> Vec<VectorShape> {
    vec![vector(20, 10)]
}

#[test]
fn ten_tenths_fit_a_limit_of_one_and_the_eleventh_is_refused() {
    let vectors = a_tenth();
    let mut meter = 0;
    for _ in 0..10 {
        let accounts = [account(Mode::Strict, NANO, meter)];
        let decision = admission::admit(&request(&vectors, &accounts)).unwrap();
        assert!(decision.nobody_dropped);
        meter += decision.price.nano();
    }
    assert_eq!(meter, NANO);
    let accounts = [account(Mode::Strict, NANO, meter)];
    assert_eq!(
        admission::admit(&request(&vectors, &accounts)),
        Err(Refusal::OverLimit {
            scope: Scope::Population,
            limit: rho(NANO),
            price: rho(NANO / 10),
            room: Rho::ZERO
        })
    );
}

#[test]
fn a_subject_at_the_norm_is_in_ten_tenths_and_not_in_the_eleventh() {
    let mut exposure = 0;
    for turn in 0..12 {
        let permit = permit(shape(a_tenth(), 2), Mode::Protect, limits(&[NANO]));
        let everything: Vec<Subject> = vec![(0, vec![sparse(&[(0, 4), (1, 2)])])];
        let (sums, added) = committed(permit, &everything, &[&[exposure]]);
        let (expected_sums, expected) = if turn < 10 {
            (vec![vec![4, 2]], NANO / 10)
        } else {
            (vec![vec![0, 0]], 0)
        };
        assert_eq!(sums, expected_sums);
        assert_eq!(
            added.iter().map(|(_, charge)| charge).sum::<u64>(),
            expected
        );
        exposure += expected;
    }
}

/// Exact sums and charges in billionths of one release.
fn committed(
    permit: Permit,
    subjects: &[Subject],
    exposures: &[&[u64]],
) -> (Vec<Vec<i64>>, Vec<(u32, u64)>) {
    let grid = permit.grid();
    let admitted = fold(permit, subjects, exposures).unwrap();
    let sums = admitted.exact_sums_for_audit().to_vec();
    let noised = admitted
        .add_noise(&mut ChaCha20Rng::from_seed([8; 32]))
        .unwrap();
    let charges = noised.into_commit().charges;
    let charge = |code| grid.value(code).unwrap().nano();
    (
        sums,
        charges
            .into_iter()
            .map(|(subject, code)| (subject, charge(code)))
            .collect(),
    )
}

#[test]
fn every_refusal_says_what_stands_in_the_way() {
    let vectors = a_tenth();
    let room = [account(Mode::Strict, NANO, 0)];
    let open = request(&vectors, &room);
    let refusal = |request: &Request<'_>| admission::admit(request).unwrap_err().to_string();
    assert_eq!(
        refusal(&Request {
            largest: rho(NANO / 10 - 1),
            ..open
        }),
        "the release would add 1.1 times what one release may add: ask for a margin about 1.1 \
         times as wide, or for fewer outputs"
    );
    assert_eq!(
        refusal(&Request {
            scientist_limit: rho(NANO),
            scientist_used: rho(NANO),
            ..open
        }),
        "the release would add 10 % of the limit, and your scientist limit has room for \
         nothing: ask the data owner"
    );
    let mut tight = account(Mode::Strict, NANO, NANO / 2);
    tight.scope = Scope::Dataset;
    tight.reserved_by_others = rho(NANO / 2 - 1);
    assert_eq!(
        refusal(&Request {
            accounts: &[room[0], tight],
            ..open
        }),
        "the release would add 10 % of the limit, and the dataset limit has room for less than \
         0.1 %: ask for a margin about 10000 times as wide, or ask the data owner"
    );
    assert_eq!(
        refusal(&Request {
            accounts: &[],
            ..open
        }),
        "no limit is set for these data; their owner has to set one first"
    );
    assert_eq!(
        refusal(&Request {
            smallest: rho(NANO),
            ..open
        }),
        "the release is below the least that such a release adds: preview it again to get the \
         noise that the least gives"
    );
}

#[test]
fn sums_that_do_not_fit_64_bits_fit_no_limit() {
    let vectors = a_tenth();
    let full = [account(Mode::Strict, u64::MAX, u64::MAX)];
    assert!(matches!(
        admission::admit(&request(&vectors, &full)),
        Err(Refusal::OverLimit { .. })
    ));
    let protect = [account(Mode::Protect, u64::MAX, u64::MAX)];
    assert!(
        !admission::admit(&request(&vectors, &protect))
            .unwrap()
            .nobody_dropped
    );
}

#[test]
fn sums_are_looked_at_with_every_row_of_every_subject() {
    let fits = obscura_privacy::capacity::fits;
    // Twice 2^61 is the end; each factor alone brings it there.
    assert!(fits(1 << 31, 1, 1 << 30));
    assert!(!fits(1 << 32, 1, 1 << 30));
    assert!(!fits(1 << 31, 2, 1 << 30));
    assert!(!fits(1 << 31, 1, 1 << 31));
}

#[test]
fn a_release_at_the_sigmas_of_the_minimum_is_admitted() {
    let limit = Limit::new(5.0, Delta::new(1e-6).unwrap()).unwrap();
    let clips = [5_120u128 * 5_120, 1 << 44, 1 << 20];
    let sigmas = price::at_least_minimum(vec![1 << 50; 3], &clips, limit.smallest_release());
    let vectors: Vec<_> = clips
        .iter()
        .zip(sigmas.unwrap())
        .map(|(&clip, sigma)| vector(clip, sigma))
        .collect();
    let largest = limit.largest_release();
    let price = admission::fair_price(&vectors, largest, limit.smallest_release()).unwrap();
    assert!(price > Rho::ZERO && price <= limit.smallest_release());
    let noisier: Vec<_> = clips.iter().map(|&clip| vector(clip, 1 << 50)).collect();
    assert!(matches!(
        admission::fair_price(&noisier, largest, limit.smallest_release()),
        Err(Refusal::UnderMinimum { .. })
    ));
}

#[test]
fn nothing_is_free() {
    let zero = vec![vector(0, 1)];
    let accounts = [account(Mode::Protect, NANO, 0)];
    assert!(matches!(
        admission::admit(&request(&zero, &accounts)),
        Err(Refusal::NoPrice(_))
    ));
}

#[test]
fn strict_mode_is_entered_and_lowered_only_down_to_the_meter() {
    assert_eq!(admission::entering_strict(rho(10), rho(10)), Ok(()));
    let refusal = Refusal::LimitBelowMeter {
        limit: rho(9),
        meter: rho(10),
    };
    assert_eq!(admission::entering_strict(rho(9), rho(10)), Err(refusal));
    assert_eq!(admission::lowering(Mode::Strict, rho(10), rho(10)), Ok(()));
    assert_eq!(
        admission::lowering(Mode::Strict, rho(9), rho(10)),
        Err(refusal)
    );
    assert_eq!(admission::lowering(Mode::Protect, rho(9), rho(10)), Ok(()));
}

#[test]
fn delta_is_below_one_in_the_declared_size() {
    let delta = |value| Delta::new(value).unwrap();
    assert_eq!(admission::delta_below_one_in(5_912, delta(1e-6)), Ok(()));
    assert_eq!(
        admission::delta_below_one_in(1 << 20, delta(1.0 / 1_048_576.0)),
        Err(Refusal::DeltaTooLarge {
            most_subjects: 1 << 20
        })
    );
}

#[test]
fn one_account_in_protect_mode_makes_the_filter_protect_all() {
    let vectors = a_tenth();
    let accounts = [
        account(Mode::Strict, NANO, 0),
        account(Mode::Protect, NANO / 2, NANO / 2),
    ];
    let decision = admission::admit(&request(&vectors, &accounts)).unwrap();
    assert_eq!(decision.filter.mode(), Mode::Protect);
    assert_eq!(decision.filter.accounts(), limits(&[NANO, NANO / 2]));
    assert!(!decision.nobody_dropped);
}

const SUBJECTS: usize = 12;

/// One step of a node's life.
#[derive(Debug, Clone)]
struct Step {
    strict: bool,
    clip: i64,
    sigma: u64,
    values: Vec<i64>,
    fails: bool,
}

fn step() -> impl Strategy<Value = Step> {
    let values = prop::collection::vec(-30i64..30, SUBJECTS);
    (
        any::<bool>(),
        1i64..25,
        10u64..200,
        values,
        prop::bool::weighted(0.1),
    )
        .prop_map(|(strict, clip, sigma, values, fails)| Step {
            strict,
            clip,
            sigma,
            values,
            fails,
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Modes change, folds fail and keep their price; population and dataset have limits.
    #[test]
    fn meters_cover_exposures_and_no_exposure_passes_a_limit(
        steps in prop::collection::vec(step(), 1..60),
        population in NANO / 10..NANO, dataset in NANO / 10..NANO,
    ) {
        let limits = [population, dataset];
        let mut meters = [0u64; 2];
        let mut exposures = vec![vec![0u64; SUBJECTS]; 2];
        for step in steps {
            let vectors = vec![vector((step.clip * step.clip) as u128, step.sigma)];
            let mode = if step.strict { Mode::Strict } else { Mode::Protect };
            let covered = (0..2).all(|a| admission::entering_strict(
                rho(limits[a]), rho(meters[a])).is_ok());
            if step.strict && !covered {
                continue;
            }
            let accounts = [0, 1].map(|a| account(mode, limits[a], meters[a]));
            let decision = match admission::admit(&request(&vectors, &accounts)) {
                Ok(decision) => decision,
                Err(refusal) => {
                    let over_limit = matches!(refusal, Refusal::OverLimit { .. });
                    prop_assert!(step.strict && over_limit);
                    continue;
                }
            };
            meters.iter_mut().for_each(|meter| *meter += decision.price.nano());
            if step.fails {
                continue;
            }
            let permit = Permit::after_durable_intent(
                1, decision.filter, shape(vectors, 1), decision.nobody_dropped, SUBJECTS as u64,
            ).unwrap();
            prop_assert_eq!(permit.price(), decision.price);
            let subjects: Vec<Subject> = step.values.iter().enumerate()
                .map(|(subject, &value)| (subject as u32, vec![sparse(&[(0, value)])]))
                .collect();
            let views: Vec<&[u64]> = exposures.iter().map(Vec::as_slice).collect();
            let (sums, charges) = committed(permit, &subjects, &views);
            if decision.nobody_dropped {
                let clipped = step.values.iter().map(|v| (*v).clamp(-step.clip, step.clip));
                prop_assert_eq!(sums, vec![vec![clipped.sum::<i64>()]]);
            }
            for (subject, charge) in charges {
                prop_assert!(charge > 0 && charge <= decision.price.nano());
                exposures.iter_mut().for_each(|account| account[subject as usize] += charge);
            }
            for account in 0..2 {
                let most = exposures[account].iter().max().unwrap();
                prop_assert!(*most <= limits[account] && *most <= meters[account]);
            }
        }
    }

    #[test]
    fn a_stored_charge_covers_what_the_integers_add(
        values in prop::collection::vec(-1_000i64..1_000, 1..4), sigma in 1u64..5_000,
    ) {
        let norm: i64 = values.iter().map(|v| v * v).sum();
        prop_assume!(norm > 0);
        let vectors = vec![vector(3_000_000, sigma)];
        let grid = CodeGrid::new(vectors[0].price().unwrap()).unwrap();
        let cells: Vec<(u32, i64)> = (0u32..).zip(values).collect();
        let permit = permit(shape(vectors, 3), Mode::Strict, limits(&[NANO]));
        let (_, charges) = committed(permit, &[(0, vec![sparse(&cells)])], &[&[0]]);
        let exact = norm as f64 * NANO as f64 / (2.0 * (sigma * sigma) as f64);
        let charge = charges[0].1 as f64;
        prop_assert!(charge >= exact * (1.0 - 1e-12));
        prop_assert!(charge <= (exact + 1.0) * 1.01 && charge <= grid.price().nano() as f64);
    }
}

#[test]
fn refusals_speak_of_shares_and_remedies_and_never_of_rho() {
    let over_share = Refusal::OverShare {
        price: rho(8_337_832_902),
        largest: rho(115_766_247),
    };
    assert_eq!(
        over_share.to_string(),
        "the release would add 73 times what one release may add: ask for a margin about 8.5 times \
         as wide, or for fewer outputs"
    );
    let over_limit = |room| Refusal::OverLimit {
        scope: Scope::Dataset,
        limit: rho(1_000),
        price: rho(121),
        room: rho(room),
    };
    assert_eq!(
        over_limit(35).to_string(),
        "the release would add 13 % of the limit, and the dataset limit has room for 3.5 %: ask \
         for a margin about 1.9 times as wide, or ask the data owner"
    );
    assert_eq!(
        over_limit(0).to_string(),
        "the release would add 13 % of the limit, and the dataset limit has room for nothing: ask \
         the data owner"
    );
    let scientist = Refusal::OverScientistLimit {
        limit: rho(1_000),
        price: rho(121),
        room: Rho::ZERO,
    };
    let below = Refusal::LimitBelowMeter {
        limit: rho(3),
        meter: rho(5),
    };
    let under = Refusal::UnderMinimum {
        price: rho(1),
        least: rho(2),
    };
    for refusal in [over_share, over_limit(35), scientist, below, under] {
        assert!(!refusal.to_string().contains("rho"), "{refusal}");
    }
}
