//! Many subjects at once: the same as one after the other.

use std::collections::BTreeMap;

use obscura_model::answer::VectorShape;
use obscura_privacy::{Accumulator, FoldError, Known, Many, Mode, NOWHERE, Sparse, Tally};
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::builders::{limits, permit, shape, vector};

/// A row: its cell, its part and its step; and whether the cell is none of the release.
type Row = (u32, u32, i32, bool);

const CELLS: usize = 4;
const PARTS: u32 = 3;

/// Values of rows, a number of people, values in parts, and one number for the whole release.
fn vectors(clips: [u128; 4], sigma: u64) -> Vec<VectorShape> {
    let [values, people, parts, whole] = clips;
    let mut all = vec![
        vector(values, sigma),
        vector(people, sigma + 1),
        vector(parts, 2 * sigma),
        vector(whole, sigma + 5),
    ];
    all[2].parts = PARTS;
    all[3].grouped = false;
    all
}

fn is_in(row: &Row) -> bool {
    !row.3
}

/// By the published rules, row by row.
fn one_by_one(rows: &[Row]) -> Vec<Sparse> {
    let mut parts = vec![Sparse::new(); 4];
    for (cell, part, step, _) in rows.iter().filter(|row| is_in(row)) {
        parts[0].add(*cell, (*step).into()).unwrap();
        parts[1].set(*cell, 7);
        parts[2].add(cell * PARTS + part, 5).unwrap();
    }
    if !rows.len().is_multiple_of(3) {
        parts[3].set(0, 9);
    }
    parts
}

fn fill(many: &mut Many, people: &[(u32, &Vec<Row>)]) {
    let mut end = 0;
    many.begin(people.iter().map(|(subject, rows)| {
        end += rows.len() as u32;
        (*subject, end)
    }));
    let rows: Vec<&Row> = people.iter().flat_map(|(_, rows)| rows.iter()).collect();
    let place = |place: &dyn Fn(&Row) -> u32| {
        let places = rows
            .iter()
            .map(|row| if is_in(row) { place(row) } else { NOWHERE });
        places.collect::<Vec<u32>>()
    };
    let (mut cells, mut parts) = (place(&|r| r.0), place(&|r| r.0 * PARTS + r.1));
    many.cells(&mut cells).unwrap();
    many.parts(2, &mut parts).unwrap();
    let steps: Vec<i32> = rows.iter().map(|r| r.2).collect();
    many.add(0, &cells, &steps).unwrap();
    many.once(1, 7).unwrap();
    many.count(2, &parts, 5).unwrap();
    many.people(3, 9, |person| !people[person].1.len().is_multiple_of(3))
        .unwrap();
}

fn row() -> impl Strategy<Value = Row> {
    let step = prop_oneof![-5i32..5, Just(1 << 21), Just(-(1 << 30)), any::<i32>()];
    (0..CELLS as u32, 0..PARTS, step, prop::bool::weighted(0.2))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn many_subjects_are_folded_as_each_alone(
        people in prop::collection::btree_map(0u32..1000, prop::collection::vec(row(), 0..9), 0..40),
        clips in prop::array::uniform4(prop_oneof![1u128..200, Just(1 << 70), Just(1 << 44)]),
        sigma in prop_oneof![1u64..50, Just(1 << 40)],
        room in 0.0f64..2.5,
        strict in any::<bool>(),
        batch in 1usize..12,
    ) {
        let shape = shape(vectors(clips, sigma), CELLS);
        let Ok(price) = shape.price() else { return Ok(()) };
        let mode = if strict { Mode::Strict } else { Mode::Protect };
        let room = (price.nano() as f64 * room) as u64;
        let permit = || permit(shape.clone(), mode, limits(&[room, room.saturating_add(1)]));
        let exposures: Vec<u64> = (0..1000u64).map(|i| (room / 7).saturating_mul(i % 9)).collect();
        let barred: Vec<bool> = (0..1000).map(|i| i % 11 == 3).collect();
        let known = Known { accounts: &[&exposures, &exposures], barred: &barred };
        let mut alone = Accumulator::new(&permit(), CELLS);
        for (subject, rows) in &people {
            alone.add(*subject, &one_by_one(rows), known).unwrap();
        }
        let mut together = Accumulator::new(&permit(), CELLS);
        let mut many = Many::new(&shape.vectors, CELLS);
        let all: Vec<(u32, &Vec<Row>)> = people.iter().map(|(s, r)| (*s, r)).collect();
        for some in all.chunks(batch) {
            fill(&mut many, some);
            together.add_many(&mut many, known).unwrap();
        }
        let [alone, together] = [alone, together].map(|folded| {
            let admitted = folded.finish(permit()).unwrap();
            let sums = admitted.exact_sums_for_audit().to_vec();
            let noised = admitted.add_noise(&mut ChaCha20Rng::from_seed([1; 32])).unwrap();
            (sums, noised.into_commit().charges)
        });
        prop_assert_eq!(together, alone);
        let mut tallies = [(); 2].map(|()| Tally::new(&shape.vectors, CELLS));
        for (_, rows) in &all {
            tallies[0].add(&one_by_one(rows)).unwrap();
        }
        fill(&mut many, &all);
        let mut seen = BTreeMap::new();
        many.one_by_one(|subject, parts| {
            seen.insert(subject, parts.len());
            Ok(())
        })
        .unwrap();
        prop_assert!(seen.keys().eq(people.keys()));
        tallies[1].add_many(&mut many).unwrap();
        let [one, other] = tallies.map(Tally::sums);
        prop_assert_eq!(one, other);
    }
}

#[test]
fn subjects_out_of_turn_and_places_beyond_are_refused() {
    let shape = shape(vec![vector(100, 10)], 2);
    let price = shape.price().unwrap();
    let permit = permit(shape.clone(), Mode::Protect, vec![price]);
    let known = Known {
        accounts: &[&[0; 1_000]],
        barred: &[false; 1_000],
    };
    let folded = |subjects: &[u32], known: Known<'_>| {
        let mut many = Many::new(&shape.vectors, 2);
        many.begin(subjects.iter().copied().zip(1..));
        let mut cells = vec![1; subjects.len()];
        many.cells(&mut cells).unwrap();
        many.count(0, &cells, 1).unwrap();
        Accumulator::new(&permit, 2).add_many(&mut many, known)
    };
    assert_eq!(folded(&[3, 4, 9], known), Ok(()));
    assert_eq!(folded(&[3, 3], known), Err(FoldError::Order));
    assert_eq!(folded(&[4, 3], known), Err(FoldError::Order));
    assert_eq!(folded(&[3, 1_000], known), Err(FoldError::Subject));
    let unknown = Known {
        accounts: &[&[0; 4]],
        barred: &[false; 1_000],
    };
    assert_eq!(folded(&[3], unknown), Ok(()));
    assert_eq!(folded(&[3, 4], unknown), Err(FoldError::Subject));
    let mut many = Many::new(&shape.vectors, 2);
    many.begin([(1, 2)]);
    // A cell that the release does not have is nowhere; slots and rows have to fit.
    let mut cells = vec![2, 1];
    many.cells(&mut cells).unwrap();
    assert_eq!(cells, [0, 1]);
    assert_eq!(many.count(0, &[2], 1), Err(FoldError::Cell));
    assert_eq!(many.add(0, &cells, &[1]), Err(FoldError::Vectors));
    assert_eq!(many.cells(&mut [0]), Err(FoldError::Vectors));
    assert_eq!(many.cells(&mut [0; 3]), Err(FoldError::Vectors));
    assert_eq!(many.people(0, 1, |_| true), Err(FoldError::Vectors));
    assert_eq!(many.once(1, 1), Err(FoldError::Vectors));
}
