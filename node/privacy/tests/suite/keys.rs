//! Keys that nobody declared: one person alone makes none, and nothing else about them tells.

use crate::builders::{limits, nobody_barred, permit, sparse, vector};
use obscura_model::answer::{Discovered, Key, Shape, VectorShape};
use obscura_model::exposure::{Delta, DeltaCharge};
use obscura_privacy::{Accumulator, Admitted, FoldError, KeyTally, Known, Mode, Permit, Sparse};
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

/// One person in the gate's steps.
const PERSON: i64 = 1024;

/// Keys of one column: the gate, and one more vector.
fn release(per_person: u32, most: u32, delta: f64, sigma: u64) -> Shape {
    let rule = Discovered {
        gate: 0,
        per_person,
        most,
        characters: 6,
        delta: DeltaCharge::meant(Delta::new(delta).unwrap()),
    };
    let clip = u128::from(per_person) * (PERSON * PERSON) as u128;
    let gate = VectorShape {
        step_exponent: -10,
        ..vector(clip, sigma)
    };
    Shape {
        keys: vec![Key {
            column: "k".into(),
            labels: vec![String::new(); most as usize],
            discovered: Some(rule),
        }],
        vectors: vec![gate, vector(10_000, 3)],
        outputs: vec![],
        arrange: Default::default(),
        disclosure: Default::default(),
    }
}

/// A subject with these keys, which adds `amount` to the other vector under each.
fn parts(keys: usize, amount: i64) -> Vec<Sparse> {
    let cells = 0..u32::try_from(keys).unwrap();
    let each = |value: i64| cells.clone().map(|c| (c, value)).collect::<Vec<_>>();
    vec![sparse(&each(PERSON)), sparse(&each(amount))]
}

fn admitted(permit: Permit, people: &[Vec<&str>], known: Known<'_>) -> Admitted {
    let mut sums = Accumulator::new(&permit, permit.shape().cells());
    for (subject, names) in people.iter().enumerate() {
        let subject = u32::try_from(subject).unwrap();
        sums.add_keyed(subject, names, &parts(names.len(), 5), known)
            .unwrap();
    }
    sums.finish(permit).unwrap()
}

fn found(tally: &KeyTally, shape: &Shape, seed: u64) -> Vec<String> {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    tally.mock_noise(&shape.vectors, &mut rng).unwrap().1
}

#[test]
fn a_key_of_one_person_alone_passes_no_more_often_than_delta_says() {
    // Sigma is a quarter of a person, so that one person too few in the threshold shows; delta is large so that the bound can be seen to hold and to matter.
    const RUNS: u64 = 10_000;
    for (per_person, names) in [(1, vec!["zz"]), (3, vec!["xx", "yy", "zz"])] {
        let delta = 1e-2;
        let shape = release(per_person, 9, delta, 256);
        let mut tally = KeyTally::new(&shape).unwrap();
        tally.add(&names, &parts(names.len(), 1)).unwrap();
        let shown = (0..RUNS).filter(|seed| !found(&tally, &shape, *seed).is_empty());
        let shown = shown.count() as f64;
        // At most delta RUNS on average: five standard deviations more are rarer than 1e-6.
        let mean = delta * RUNS as f64;
        assert!(shown <= mean + 5.0 * mean.sqrt(), "{shown} of {mean}");
        assert!(shown > 0.0, "the test sees what it counts");
    }
}

#[test]
fn keys_that_many_have_are_shown_in_the_order_of_their_texts_with_all_their_numbers() {
    let shape = release(2, 4, 1e-6, 1024);
    let mut tally = KeyTally::new(&shape).unwrap();
    for _ in 0..60 {
        tally.add(&["pear", "apple"], &parts(2, 7)).unwrap();
        tally.add(&["fig"], &parts(1, -7)).unwrap();
    }
    tally.add(&["rare"], &parts(1, 7)).unwrap();
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let (values, found) = tally.mock_noise(&shape.vectors, &mut rng).unwrap();
    assert_eq!(found, ["apple", "fig", "pear"]);
    assert_eq!(tally.sums_of(&found)[1], [420, -420, 420, 0]);
    assert!(values.iter().all(|v| v.len() == 4 && v[3] == 0), "padded");
    for (place, sum) in [420, -420, 420].into_iter().enumerate() {
        assert!((values[1][place] - sum).abs() < 30);
        assert!((values[0][place] - 60 * PERSON).abs() < 10 * PERSON);
    }
}

#[test]
fn of_more_keys_than_places_those_with_most_people_are_shown() {
    let shape = release(1, 2, 1e-6, 1024);
    let mut tally = KeyTally::new(&shape).unwrap();
    for (name, people) in [("a", 40), ("b", 90), ("c", 65), ("d", 30)] {
        for _ in 0..people {
            tally.add(&[name], &parts(1, 1)).unwrap();
        }
    }
    assert_eq!(found(&tally, &shape, 3), ["b", "c"]);
}

#[test]
fn who_is_inactive_or_barred_makes_no_key() {
    let shape = release(1, 4, 1e-6, 1024);
    let price = shape.price().unwrap().nano();
    let people = vec![vec!["a"], vec!["b"], vec!["c"]];
    let exposures = [0, price, 0];
    let known = Known {
        accounts: &[&exposures],
        barred: &[false, false, true],
    };
    let permit = permit(shape, Mode::Protect, limits(&[price]));
    let admitted = admitted(permit, &people, known);
    let keys = admitted.exact_sums_for_audit_by_key();
    assert_eq!(keys, [("a", [PERSON, 5].as_slice())]);
}

#[test]
fn a_subject_that_breaks_the_rule_stops_the_fold() {
    let shape = release(2, 4, 1e-6, 1024);
    let add = |names: &[&str], gate: &[(u32, i64)], other: &[(u32, i64)]| {
        let mut tally = KeyTally::new(&shape).unwrap();
        tally.add(names, &[sparse(gate), sparse(other)])
    };
    let one = [(0, PERSON)];
    let two = [(0, PERSON), (1, PERSON)];
    assert_eq!(add(&["a", "b"], &two, &[(1, 3)]), Ok(()));
    let wrong = Err(FoldError::Cell);
    assert_eq!(
        add(&["a", "b", "c"], &[(0, PERSON), (1, PERSON), (2, 1)], &[]),
        wrong
    );
    assert_eq!(add(&["a", "a"], &two, &[]), wrong, "a key twice");
    assert_eq!(
        add(&["a"], &[(0, PERSON + 1)], &[]),
        wrong,
        "more than one person"
    );
    assert_eq!(add(&["a"], &[(0, -1)], &[]), wrong);
    assert_eq!(add(&["a"], &[], &one), wrong, "a key without support");
    assert_eq!(add(&["a"], &one, &[(1, 1)]), wrong, "numbers under no key");
    assert_eq!(add(&["toolong"], &one, &[]), wrong);
    assert_eq!(add(&[""], &one, &[]), wrong);
}

proptest! {
    /// Any cutting into ranges gives the same table, and so the same noise on the same keys.
    #[test]
    fn tables_merge_to_the_same_whole(
        people in prop::collection::vec(prop::collection::btree_set(0u8..6, 0..3), 0..40),
        cut in 0usize..40, seed in any::<u64>(),
    ) {
        const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
        let shape = release(2, 4, 1e-2, 1024);
        let price = shape.price().unwrap().nano();
        let permit = || permit(shape.clone(), Mode::Strict, limits(&[price]));
        let exposures: &[&[u64]] = &[&[0; 1_000]];
        let run = |from: usize, to: usize| {
            let permit = permit();
            let mut sums = Accumulator::new(&permit, permit.shape().cells());
            for (subject, keys) in people.iter().enumerate().take(to).skip(from) {
                let names: Vec<&str> = keys.iter().map(|k| NAMES[*k as usize]).collect();
                let parts = parts(names.len(), 5);
                sums.add_keyed(subject as u32, &names, &parts, nobody_barred(exposures)).unwrap();
            }
            sums
        };
        let cut = cut.min(people.len());
        let whole = run(0, people.len()).finish(permit()).unwrap();
        let parts = run(cut, people.len()).merge(run(0, cut)).unwrap();
        let parts = parts.finish(permit()).unwrap();
        prop_assert_eq!(
            whole.exact_sums_for_audit_by_key(), parts.exact_sums_for_audit_by_key()
        );
        let shown = |admitted: Admitted| {
            let noised = admitted.add_noise(&mut ChaCha20Rng::seed_from_u64(seed)).unwrap();
            let parts = noised.into_commit();
            (parts.found, parts.values)
        };
        prop_assert_eq!(shown(whole), shown(parts));
    }
}
