//! The fold: what is added, what is charged, and what is refused.

use crate::builders::{Subject, fold, limits, nobody_barred, permit, shape, sparse, vector};
use obscura_model::exposure::{NANO, Rho};
use obscura_privacy::{
    Accumulator, CodeGrid, Filter, FoldError, InvalidPermit, Known, Mode, Permit, Sparse, Tally,
};
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

/// The charges of a fold, read the only way there is.
fn charges(admitted: obscura_privacy::Admitted) -> Vec<(u32, u16)> {
    let noised = admitted
        .add_noise(&mut ChaCha20Rng::from_seed([1; 32]))
        .unwrap();
    noised.into_commit().charges
}

#[test]
fn a_subject_at_the_norm_is_charged_exactly_the_price() {
    let shape = shape(vec![vector(25, 10), vector(9, 4)], 2);
    let price = shape.price().unwrap();
    let subjects = vec![
        (3, vec![sparse(&[(0, 3), (1, -4)]), sparse(&[(1, 3)])]),
        (4, vec![sparse(&[]); 2]),
    ];
    let admitted = fold(
        permit(shape, Mode::Protect, vec![price]),
        &subjects,
        &[&[0; 10]],
    )
    .unwrap();
    assert_eq!(admitted.exact_sums_for_audit(), [vec![3, -4], vec![0, 3]]);
    assert_eq!(charges(admitted), [(3, CodeGrid::TOP)]);
}

#[test]
fn an_inactive_subject_contributes_nothing_and_is_charged_nothing() {
    let shape = shape(vec![vector(25, 10), vector(9, 4)], 2);
    let price = shape.price().unwrap().nano();
    let part = vec![sparse(&[(0, 3), (1, -4)]), sparse(&[(1, 3)])];
    let subjects: Vec<Subject> = (0..3).map(|subject| (subject, part.clone())).collect();
    // Subject 0 has room in both accounts, 1 and 2 miss one billionth in one of them.
    let (population, dataset) = ([10, 11, 10], [5, 5, 6]);
    let permit = permit(shape, Mode::Protect, limits(&[price + 10, price + 5]));
    let admitted = fold(permit, &subjects, &[&population, &dataset]).unwrap();
    assert_eq!(admitted.exact_sums_for_audit(), [vec![3, -4], vec![0, 3]]);
    assert_eq!(charges(admitted), [(0, CodeGrid::TOP)]);
}

#[test]
fn strict_mode_keeps_everybody_and_charges_them() {
    let shape = shape(vec![vector(25, 10)], 1);
    let subjects = vec![(0, vec![sparse(&[(0, 5)])]), (1, vec![sparse(&[(0, 1)])])];
    let permit = permit(shape, Mode::Strict, limits(&[1]));
    let admitted = fold(permit, &subjects, &[&[0, 0]]).unwrap();
    assert_eq!(admitted.exact_sums_for_audit(), [vec![6]]);
    assert_eq!(charges(admitted).len(), 2);
}

#[test]
fn a_contribution_beyond_the_norm_is_clipped_before_it_is_added_and_charged() {
    let shape = shape(vec![vector(25, 10)], 2);
    let price = shape.price().unwrap();
    let subjects = vec![(0, vec![sparse(&[(0, 6), (1, -8)])])];
    let admitted = fold(
        permit(shape, Mode::Protect, vec![price]),
        &subjects,
        &[&[0]],
    )
    .unwrap();
    assert_eq!(admitted.exact_sums_for_audit(), [vec![3, -4]]);
    assert_eq!(charges(admitted), [(0, CodeGrid::TOP)]);
}

#[test]
fn subjects_come_once_in_order_within_the_index() {
    let (one, exposures) = (vec![sparse(&[(0, 1)])], vec![0; 1_000]);
    let folded = |subjects: &[u32], exposures: &[&[u64]]| {
        let permit = permit(
            shape(vec![vector(25, 10)], 1),
            Mode::Strict,
            limits(&[NANO]),
        );
        let subjects: Vec<Subject> = subjects.iter().map(|&s| (s, one.clone())).collect();
        fold(permit, &subjects, exposures).map(|_| ())
    };
    assert_eq!(folded(&[0, 1, 999], &[&exposures]), Ok(()));
    assert_eq!(folded(&[1, 1], &[&exposures]), Err(FoldError::Order));
    assert_eq!(folded(&[2, 1], &[&exposures]), Err(FoldError::Order));
    assert_eq!(folded(&[1_000], &[&[0; 2_000]]), Err(FoldError::Subject));
    assert_eq!(folded(&[5], &[&[0; 5]]), Err(FoldError::Subject));
    assert_eq!(folded(&[0], &[]), Err(FoldError::Subject));
    assert_eq!(
        folded(&[0], &[&exposures, &exposures]),
        Err(FoldError::Subject)
    );
}

#[test]
fn a_contribution_that_is_not_of_the_plan_is_refused() {
    let permit = permit(
        shape(vec![vector(25, 10)], 2),
        Mode::Strict,
        limits(&[NANO]),
    );
    let exposures: &[&[u64]] = &[&[0; 10]];
    let refused =
        |parts: &[Sparse]| Accumulator::new(&permit, 2).add(0, parts, nobody_barred(exposures));
    assert_eq!(refused(&[sparse(&[(2, 1)])]), Err(FoldError::Cell));
    assert_eq!(refused(&[]), Err(FoldError::Vectors));
    assert_eq!(
        refused(&[sparse(&[(0, 1)]), sparse(&[])]),
        Err(FoldError::Vectors)
    );
    assert_eq!(
        refused(&[sparse(&[(0, i64::MIN), (1, i64::MIN)])]),
        Err(FoldError::Overflow)
    );
    let other_cells = Accumulator::new(&permit, 3).add(0, &[sparse(&[])], nobody_barred(exposures));
    assert_eq!(other_cells, Err(FoldError::Broken));
}

#[test]
fn a_barred_subject_adds_nothing_and_is_charged_nothing_in_either_mode() {
    for mode in [Mode::Strict, Mode::Protect] {
        let permit = permit(shape(vec![vector(25, 10)], 1), mode, limits(&[NANO]));
        let mut accumulator = Accumulator::new(&permit, 1);
        let known = Known {
            accounts: &[&[0; 3]],
            barred: &[false, true, false],
        };
        for subject in 0..3 {
            accumulator
                .add(subject, &[sparse(&[(0, 5)])], known)
                .unwrap();
        }
        let admitted = accumulator.finish(permit).unwrap();
        assert_eq!(admitted.exact_sums_for_audit(), [[10]]);
        let charged: Vec<u32> = charges(admitted).iter().map(|(s, _)| *s).collect();
        assert_eq!(charged, [0, 2]);
    }
}

#[test]
fn a_subject_of_whom_it_is_not_known_whether_it_is_barred_is_refused() {
    let permit = permit(
        shape(vec![vector(25, 10)], 1),
        Mode::Strict,
        limits(&[NANO]),
    );
    let known = Known {
        accounts: &[&[0; 3]],
        barred: &[false],
    };
    let refused = Accumulator::new(&permit, 1).add(1, &[sparse(&[(0, 5)])], known);
    assert_eq!(refused, Err(FoldError::Subject));
}

#[test]
fn a_fold_that_failed_gives_no_result() {
    let permit = permit(
        shape(vec![vector(25, 10)], 1),
        Mode::Strict,
        limits(&[NANO]),
    );
    let mut accumulator = Accumulator::new(&permit, 1);
    assert!(
        accumulator
            .add(0, &[sparse(&[(9, 1)])], nobody_barred(&[&[0; 10]]))
            .is_err()
    );
    assert_eq!(
        accumulator.add(1, &[sparse(&[(0, 1)])], nobody_barred(&[&[0; 10]])),
        Err(FoldError::Broken)
    );
    assert_eq!(
        accumulator.finish(permit).map(|_| ()),
        Err(FoldError::Broken)
    );
}

#[test]
fn parts_of_different_releases_or_the_same_subject_do_not_merge() {
    let make = |intent| {
        let filter = Filter::new(Mode::Strict, limits(&[NANO]));
        Permit::after_durable_intent(intent, filter, shape(vec![vector(25, 10)], 1), true, 1_000)
            .unwrap()
    };
    let (first, second) = (make(1), make(2));
    let part = |permit: &Permit, from: u32, to: u32| {
        let mut accumulator = Accumulator::new(permit, 1);
        for subject in from..to {
            accumulator
                .add(subject, &[sparse(&[(0, 1)])], nobody_barred(&[&[0; 100]]))
                .unwrap();
        }
        accumulator
    };
    let merged = |a: Accumulator, b: Accumulator| a.merge(b).map(|_| ());
    assert_eq!(
        merged(part(&first, 0, 5), part(&second, 5, 9)),
        Err(FoldError::Mismatch)
    );
    assert_eq!(
        merged(part(&first, 0, 5), part(&first, 4, 9)),
        Err(FoldError::Order)
    );
    assert_eq!(
        merged(part(&first, 0, 9), part(&first, 3, 4)),
        Err(FoldError::Order)
    );
    let (low, high, middle) = (part(&first, 0, 3), part(&first, 6, 9), part(&first, 3, 6));
    let whole = high.merge(low).unwrap().merge(middle).unwrap();
    assert_eq!(whole.finish(second).map(|_| ()), Err(FoldError::Mismatch));
}

#[test]
fn permits_that_admission_would_not_give_are_refused() {
    let make = |vectors, cells, limits: &[u64], capacity| {
        let filter = Filter::new(Mode::Protect, crate::builders::limits(limits));
        Permit::after_durable_intent(1, filter, shape(vectors, cells), true, capacity)
    };
    let good = || vec![vector(25, 10)];
    assert!(make(good(), 1, &[1], 1_000).is_ok());
    assert_eq!(make(vec![], 1, &[1], 1_000), Err(InvalidPermit::Empty));
    assert_eq!(make(good(), 0, &[1], 1_000), Err(InvalidPermit::Empty));
    assert_eq!(make(good(), 1, &[], 1_000), Err(InvalidPermit::NoAccount));
    assert_eq!(
        make(good(), 1, &[1], (1 << 32) + 1),
        Err(InvalidPermit::Capacity)
    );
    assert_eq!(
        make(vec![vector(1 << 124, 1 << 56)], 1, &[1], 1_000),
        Err(InvalidPermit::TooLarge)
    );
    assert!(matches!(
        make(vec![vector(25, 0)], 1, &[1], 1),
        Err(InvalidPermit::Price(_))
    ));
    assert!(matches!(
        make(vec![vector(0, 1)], 1, &[1], 1),
        Err(InvalidPermit::Grid(_))
    ));
}

#[test]
fn private_stages_show_nothing_when_printed() {
    let permit = permit(
        shape(vec![vector(25, 10)], 1),
        Mode::Strict,
        limits(&[NANO]),
    );
    let part = sparse(&[(0, 5)]);
    let mut tally = Tally::new(&permit.shape().vectors, 1);
    tally.add(std::slice::from_ref(&part)).unwrap();
    let admitted = fold(permit, &[(0, vec![part.clone()])], &[&[0]]).unwrap();
    let mut shown = format!("{part:?} {tally:?} {admitted:?} ");
    let noised = admitted
        .add_noise(&mut ChaCha20Rng::from_seed([1; 32]))
        .unwrap();
    shown += &format!("{noised:?} ");
    shown += &format!("{:?}", noised.into_commit());
    assert_eq!(shown, "Sparse Tally Admitted Noised CommitParts");
}

#[test]
fn a_sparse_part_keeps_cells_ordered_and_single() {
    let mut part = sparse(&[(4, 1), (2, 10), (4, 5), (0, -3), (2, -10)]);
    part.set(0, 7);
    part.set(3, 8);
    let mut expected = Sparse::new();
    for (cell, value) in [(0, 7), (2, 0), (3, 8), (4, 6)] {
        expected.set(cell, value);
    }
    assert_eq!(part, expected);
    assert_eq!(sparse(&[(0, i64::MAX)]).add(0, 1), Err(FoldError::Overflow));
    part.clear();
    assert!(part.is_empty());
}

const CELLS: u32 = 5;

/// A subject with the entries of each vector.
type Plain = (u32, Vec<Vec<(u32, i64)>>);

/// Subjects with gaps between their numbers; two vectors each, some beyond the norm.
fn subjects() -> impl Strategy<Value = Vec<Plain>> {
    let part = prop::collection::btree_map(0..CELLS, -40i64..40, 0..4)
        .prop_map(|part| part.into_iter().collect::<Vec<_>>());
    prop::collection::btree_map(0u32..60, prop::collection::vec(part, 2), 0..40)
        .prop_map(|subjects| subjects.into_iter().collect())
}

fn sparse_subjects(subjects: &[Plain]) -> Vec<Subject> {
    subjects
        .iter()
        .map(|(s, parts)| (*s, parts.iter().map(|p| sparse(p)).collect()))
        .collect()
}

/// The release that the property tests fold.
fn release() -> Vec<obscura_model::answer::VectorShape> {
    vec![vector(900, 31), vector(400, 11)]
}

/// A second computation of sums and charges, in floating point and dense, from the promise's
/// text. Only the grid of charges is shared.
fn independent(
    subjects: &[Plain],
    exposures: &[u64],
    limit: u64,
) -> (Vec<Vec<i64>>, Vec<(u32, u16)>) {
    let release = release();
    let price = u64::try_from((900 * u128::from(NANO)).div_ceil(2 * 31 * 31)).unwrap()
        + u64::try_from((400 * u128::from(NANO)).div_ceil(2 * 11 * 11)).unwrap();
    let grid = CodeGrid::new(Rho::from_nano(price)).unwrap();
    let mut sums = vec![vec![0; CELLS as usize]; 2];
    let mut charges = Vec::new();
    for (subject, parts) in subjects {
        let mut clipped = parts.clone();
        let mut rho = 0u128;
        for (part, vector) in clipped.iter_mut().zip(&release) {
            let norm: f64 = part.iter().map(|(_, v)| (v * v) as f64).sum();
            if norm > vector.clip_squared as f64 {
                for (_, value) in part.iter_mut() {
                    let exact = *value as f64 * (vector.clip_squared as f64 / norm).sqrt();
                    // A quotient that comes out even may have lost its last bit.
                    *value = (exact + exact.signum() * 1e-9).trunc() as i64;
                }
            }
            let norm: i64 = part.iter().map(|(_, v)| v * v).sum();
            let two_sigma = u128::from(2 * vector.sigma * vector.sigma);
            rho += (norm as u128 * u128::from(NANO)).div_ceil(two_sigma);
        }
        let code = grid.encode(rho);
        let charge = grid.value(code).unwrap().nano();
        if code > 0 && exposures[*subject as usize] + charge <= limit {
            charges.push((*subject, code));
            for (sum, part) in sums.iter_mut().zip(clipped) {
                part.iter()
                    .for_each(|(cell, value)| sum[*cell as usize] += value);
            }
        }
    }
    (sums, charges)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn sums_and_charges_agree_with_an_independent_computation(
        subjects in subjects(), exposures in prop::collection::vec(0u64..3 * NANO, 60),
    ) {
        let limit = 3 * NANO;
        let permit = permit(shape(release(), CELLS as usize), Mode::Protect, limits(&[limit]));
        let admitted = fold(permit, &sparse_subjects(&subjects), &[&exposures]).unwrap();
        let (sums, expected) = independent(&subjects, &exposures, limit);
        prop_assert_eq!(admitted.exact_sums_for_audit(), sums);
        prop_assert_eq!(charges(admitted), expected);
    }

    #[test]
    fn cutting_subjects_into_ranges_changes_nothing(
        subjects in subjects(),
        exposures in prop::collection::vec(0u64..3 * NANO, 60),
        cuts in prop::collection::vec(0usize..40, 0..6),
        backwards in any::<bool>(),
    ) {
        let make = || {
            permit(shape(release(), CELLS as usize), Mode::Protect, limits(&[3 * NANO]))
        };
        let subjects = sparse_subjects(&subjects);
        let one = fold(make(), &subjects, &[&exposures]).unwrap();

        let permit = make();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c.min(subjects.len())).collect();
        cuts.extend([0, subjects.len()]);
        cuts.sort_unstable();
        let mut parts = Vec::new();
        for range in cuts.windows(2) {
            let mut accumulator = Accumulator::new(&permit, CELLS as usize);
            for (subject, contributions) in &subjects[range[0]..range[1]] {
                accumulator.add(*subject, contributions, nobody_barred(&[&exposures])).unwrap();
            }
            parts.push(accumulator);
        }
        if backwards {
            parts.reverse();
        }
        let whole = parts.into_iter().reduce(|a, b| a.merge(b).unwrap()).unwrap();
        let many = whole.finish(permit).unwrap();
        prop_assert_eq!(many.exact_sums_for_audit(), one.exact_sums_for_audit());
        prop_assert_eq!(charges(many), charges(one));
    }

    #[test]
    fn one_subject_changes_sums_by_at_most_the_norm_and_nobody_elses_charge(
        subjects in subjects(), exposures in prop::collection::vec(0u64..3 * NANO, 60),
        which in any::<prop::sample::Index>(),
    ) {
        prop_assume!(!subjects.is_empty());
        let run = |subjects: &[Subject]| {
            let shape = shape(release(), CELLS as usize);
            fold(permit(shape, Mode::Protect, limits(&[3 * NANO])), subjects, &[&exposures])
                .unwrap()
        };
        let with = sparse_subjects(&subjects);
        let mut without = with.clone();
        let (left, _) = without.remove(which.index(with.len()));
        let (with, without) = (run(&with), run(&without));
        for (v, vector) in release().iter().enumerate() {
            let (a, b) = (&with.exact_sums_for_audit()[v], &without.exact_sums_for_audit()[v]);
            let distance: i64 = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum();
            prop_assert!(distance as u128 <= vector.clip_squared);
        }
        let mut expected = charges(with);
        expected.retain(|&(subject, _)| subject != left);
        prop_assert_eq!(charges(without), expected);
    }

    #[test]
    fn mock_and_real_sums_are_the_same_computation(subjects in subjects()) {
        let permit = permit(shape(release(), CELLS as usize), Mode::Strict, limits(&[NANO]));
        let mut tally = Tally::new(&release(), CELLS as usize);
        let subjects = sparse_subjects(&subjects);
        for (_, parts) in &subjects {
            tally.add(parts).unwrap();
        }
        let admitted = fold(permit, &subjects, &[&[0; 60]]).unwrap();
        prop_assert_eq!(admitted.exact_sums_for_audit(), tally.sums());
    }
}
