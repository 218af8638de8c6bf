//! Claims about racing requests, and about the index on real files.

use std::sync::Barrier;

use obscura_model::exposure::Rho;
use obscura_privacy::Mode;

use super::disk::Disk;
use super::world::*;
use crate::{Account, Admission, Error, Ledger};

const RACERS: u16 = 16;

/// All racers start together; gives how many got an answer and how many were refused.
fn race(ledger: &Ledger, request: impl Fn(u16) -> crate::AdmitRequest + Sync) -> (usize, usize) {
    let barrier = Barrier::new(usize::from(RACERS));
    let (barrier, request) = (&barrier, &request);
    let outcomes: Vec<bool> = std::thread::scope(|scope| {
        let racers = (0..RACERS).map(|n| {
            scope.spawn(move || {
                barrier.wait();
                match run(ledger, request(n), u64::from(n)) {
                    Ok(Admission::Known(_)) => true,
                    Err(Error::Refused(_)) => false,
                    other => panic!("{other:?}"),
                }
            })
        });
        let racers: Vec<_> = racers.collect();
        racers
            .into_iter()
            .map(|racer| racer.join().unwrap())
            .collect()
    });
    let answered = outcomes.iter().filter(|answered| **answered).count();
    (answered, outcomes.len() - answered)
}

#[test]
fn of_many_requests_for_the_last_room_exactly_one_wins() {
    for _ in 0..20 {
        let ledger = create(&Disk::default()).unwrap();
        furnish(&ledger).unwrap();
        ledger
            .set_limit(limit(population(), PRICE.nano(), Mode::Strict), NOW)
            .unwrap();
        ledger
            .set_scientist_limit(None, Rho::from_nano(u64::MAX), vec![], NOW)
            .unwrap();
        approve(&ledger, new_study(1, ANN, 64)).unwrap();
        assert_eq!(
            race(&ledger, |n| request(1, ANN, n)),
            (1, usize::from(RACERS) - 1)
        );
        assert_eq!(meter(&ledger), PRICE);
    }
}

#[test]
fn all_limits_are_checked_together_for_two_scientists() {
    for _ in 0..20 {
        let ledger = create(&Disk::default()).unwrap();
        furnish(&ledger).unwrap();
        let room = 3 * PRICE.nano();
        ledger
            .set_limit(limit(population(), room + 1, Mode::Strict), NOW)
            .unwrap();
        let own = limit(Account::Dataset(dataset_id(1)), room, Mode::Strict);
        ledger.set_limit(own, NOW).unwrap();
        ledger
            .set_scientist_limit(None, Rho::from_nano(2 * PRICE.nano()), vec![], NOW)
            .unwrap();
        approve(&ledger, new_study(1, ANN, 2)).unwrap();
        approve(&ledger, new_study(2, BOB, 2)).unwrap();
        let request = |n| {
            if n % 2 == 0 {
                request(1, ANN, n)
            } else {
                request(2, BOB, n)
            }
        };
        assert_eq!(race(&ledger, request).0, 3);
        assert_eq!(meter(&ledger).nano(), room);
        let taken: u64 = ledger
            .people()
            .iter()
            .map(|person| person.taken.nano())
            .sum();
        assert_eq!(taken, room);
    }
}

#[test]
fn the_same_request_many_times_at_once_runs_once() {
    for _ in 0..20 {
        let ledger = ready(&Disk::default(), Mode::Protect, 64);
        assert_eq!(
            race(&ledger, |_| request(1, ANN, 7)),
            (usize::from(RACERS), 0)
        );
        assert_eq!(meter(&ledger), PRICE);
    }
}

#[test]
fn a_panic_while_a_body_is_made_leaves_the_ledger_as_it_was() {
    let ledger = ready(&Disk::default(), Mode::Protect, 3);
    let Ok(Admission::Granted(permit)) = ledger.admit(request(1, ANN, 1), NOW) else {
        panic!("not granted")
    };
    let (intent, noised) = (permit.intent(), fold(&ledger, permit, 1).unwrap());
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        ledger.commit(noised, NOW, |_, _| panic!("a planted panic"))
    }));
    assert!(panicked.is_err());
    ledger.health().unwrap();
    ledger.failed(intent, NOW).unwrap();
    let permit = ledger.rerun(intent, shape(), NOW).unwrap();
    let noised = fold(&ledger, permit, 1).unwrap();
    commit(&ledger, noised).unwrap();
    assert_eq!(meter(&ledger), PRICE);
}

/// Calls `between` with the index's folder between any two requests, on real files.
fn with_index(between: impl Fn(&std::path::Path), reopen: bool) {
    let folder = tempfile::tempdir().unwrap();
    let (dir, index) = (folder.path(), folder.path().join("index"));
    let mut ledger = Ledger::create(dir, NODE, entropy(1), NOW).unwrap();
    furnish(&ledger).unwrap();
    wide_limits(&ledger, Mode::Protect).unwrap();
    approve(&ledger, new_study(1, ANN, 20)).unwrap();
    let mut answers = Vec::new();
    for n in 0..4 {
        answers.push(answer(&ledger, request(1, ANN, n), u64::from(n)));
        between(&index);
        if reopen {
            drop(ledger);
            between(&index);
            ledger = Ledger::open(dir, NODE, entropy(u64::from(n) + 2), NOW).unwrap();
        }
        for (n, known) in (0u16..).zip(&answers) {
            assert_eq!(answer(&ledger, request(1, ANN, n), 99), *known);
        }
    }
    assert_eq!(meter(&ledger).nano(), 4 * PRICE.nano());
}

#[test]
fn deleting_the_index_between_any_two_requests_changes_no_answer() {
    for reopen in [false, true] {
        with_index(
            |index| {
                let _ = std::fs::remove_dir_all(index);
            },
            reopen,
        );
    }
}

#[test]
fn a_wrong_index_changes_no_answer() {
    with_index(|_| (), true);
    // Between processes only: a folder in use is locked.
    with_index(crate::index::scramble, true);
}

#[test]
fn a_damaged_index_changes_no_answer() {
    let damage = |index: &std::path::Path| {
        let Ok(mut bytes) = std::fs::read(index.join("db")) else {
            return;
        };
        let step = (bytes.len() / 7).max(1);
        bytes
            .iter_mut()
            .step_by(step)
            .for_each(|byte| *byte ^= 0x55);
        std::fs::write(index.join("db"), bytes).unwrap();
    };
    with_index(damage, true);
}
