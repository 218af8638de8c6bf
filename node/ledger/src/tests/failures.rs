//! Claims about releases that were begun and not made.

use obscura_model::exposure::Rho;
use obscura_privacy::Mode;

use super::disk::Disk;
use super::world::*;
use crate::{Admission, AfterFailure, Error, Refusal, StudyState};

#[test]
fn a_fold_that_fails_twice_is_poisoned_and_its_price_stands() {
    let disk = Disk::default();
    let ledger = ready(&disk, Mode::Protect, 3);
    let Ok(Admission::Granted(permit)) = ledger.admit(request(1, ANN, 1), NOW) else {
        panic!("not granted")
    };
    let intent = permit.intent();
    assert_eq!(ledger.reruns(), vec![]);
    let AfterFailure::Rerun(open) = ledger.failed(intent, NOW).unwrap() else {
        panic!("no rerun")
    };
    assert_eq!(ledger.reruns(), vec![*open]);
    let wrong = ledger.rerun(intent, shape_with(251), NOW);
    assert!(matches!(
        wrong,
        Err(Error::Refused(Refusal::IntentDiffers(_)))
    ));
    let again = ledger.rerun(intent, shape(), NOW).unwrap();
    assert!(
        ledger.rerun(intent, shape(), NOW).is_err(),
        "a second permit for one intent"
    );
    drop((permit, again));
    let asked = request(1, ANN, 1);
    assert_eq!(ledger.given_up(&asked.key), None);
    assert_eq!(ledger.failed(intent, NOW).unwrap(), AfterFailure::Poisoned);
    assert_eq!(ledger.given_up(&asked.key), Some(asked.body_digest));
    assert!(matches!(
        ledger.admit(request(1, ANN, 1), NOW),
        Ok(Admission::Poisoned)
    ));
    let study = ledger.study(study_id(1), NOW).unwrap();
    assert_eq!(
        (study.state, study.releases[0].begun),
        (StudyState::Suspended, 1)
    );
    assert_eq!(meter(&ledger), PRICE);
    assert_eq!(ledger.person(&ANN).unwrap().taken, PRICE);
}

#[test]
fn the_third_stop_stops_the_population_until_its_owner_lifts_it() {
    let disk = Disk::default();
    let mut ledger = ready(&disk, Mode::Protect, 9);
    for n in 0..3 {
        let granted = ledger.admit(request(1, ANN, n), NOW).unwrap();
        assert!(matches!(granted, Admission::Granted(_)));
        drop(ledger);
        ledger = open(&disk).unwrap();
        let view = ledger.population(&people_of(), NOW).unwrap();
        assert_eq!((view.stops, view.stopped), (u32::from(n) + 1, n == 2));
        if n < 2 {
            let intent = ledger.reruns()[0].index;
            let permit = ledger.rerun(intent, shape(), NOW).unwrap();
            let noised = fold(&ledger, permit, 1).unwrap();
            commit(&ledger, noised).unwrap();
        }
    }
    assert_eq!(ledger.reruns(), vec![]);
    let stopped = ledger.admit(request(1, ANN, 8), NOW);
    assert!(matches!(stopped, Err(Error::Refused(Refusal::Stopped(_)))));
    let lifted = ledger
        .lift(&people_of(), b"signed lift".to_vec(), NOW)
        .unwrap();
    let line = ledger.entries(lifted, 1).unwrap().remove(0);
    assert_eq!(line.kind, "stop lifted");
    assert_eq!(line.said, Some(crate::Said::Lift(b"signed lift".to_vec())));
    let intent = ledger.reruns()[0].index;
    let permit = ledger.rerun(intent, shape(), NOW).unwrap();
    let noised = fold(&ledger, permit, 1).unwrap();
    commit(&ledger, noised).unwrap();
    assert_eq!(meter(&ledger).nano(), 3 * PRICE.nano());
    assert!(matches!(
        ledger.lift(&people_of(), vec![], NOW),
        Err(Error::Refused(Refusal::NothingToLift(_)))
    ));
}

#[test]
fn a_lift_before_any_stop_says_that_nothing_was_stopped() {
    let disk = Disk::default();
    let ledger = ready(&disk, Mode::Protect, 2);
    ledger.admit(request(1, ANN, 1), NOW).unwrap();
    drop(ledger);
    let ledger = open(&disk).unwrap();
    let intent = ledger.reruns()[0].index;
    let permit = ledger.rerun(intent, shape(), NOW).unwrap();
    let noised = fold(&ledger, permit, 1).unwrap();
    commit(&ledger, noised).unwrap();
    let lifted = ledger.lift(&people_of(), vec![], NOW).unwrap();
    let line = ledger.entries(lifted, 1).unwrap().remove(0);
    assert_eq!(line.kind, "count begun anew");
    assert!(line.text.ends_with("it was not stopped."), "{}", line.text);
    // What is said follows from the records, so that a restart changes nothing.
    drop(ledger);
    assert_eq!(open(&disk).unwrap().entries(lifted, 1).unwrap(), [line]);
}

#[test]
fn a_rerun_that_is_interrupted_is_poisoned_at_the_next_start() {
    let disk = Disk::default();
    let ledger = ready(&disk, Mode::Protect, 2);
    ledger.admit(request(1, ANN, 1), NOW).unwrap();
    drop(ledger);
    let ledger = open(&disk).unwrap();
    let intent = ledger.reruns()[0].index;
    let _lost = ledger.rerun(intent, shape(), NOW).unwrap();
    drop(ledger);
    let ledger = open(&disk).unwrap();
    assert_eq!(ledger.reruns(), vec![]);
    assert!(matches!(
        ledger.admit(request(1, ANN, 1), NOW),
        Ok(Admission::Poisoned)
    ));
    assert_eq!(
        ledger.study(study_id(1), NOW).unwrap().state,
        StudyState::Suspended
    );
    assert_eq!(meter(&ledger), PRICE);
}

#[test]
fn a_fold_that_ignores_exposures_is_not_committed() {
    let ledger = create(&Disk::default()).unwrap();
    furnish(&ledger).unwrap();
    let only = limit(population(), PRICE.nano(), Mode::Protect);
    ledger.set_limit(only, NOW).unwrap();
    let wide = Rho::from_nano(u64::MAX);
    ledger.set_scientist_limit(None, wide, vec![], NOW).unwrap();
    approve(&ledger, new_study(1, ANN, 9)).unwrap();
    answer(&ledger, request(1, ANN, 1), 1);
    answer(&ledger, request(1, ANN, 2), 1);
    let Ok(Admission::Granted(permit)) = ledger.admit(request(1, ANN, 3), NOW) else {
        panic!("not granted")
    };
    let (intent, nobody) = (permit.intent(), vec![0; CAPACITY as usize]);
    let known = obscura_privacy::Known {
        accounts: &[&nobody],
        barred: &[false; CAPACITY as usize],
    };
    let noised = fold_over(permit, known, 1);
    let before = (ledger.head(), ledger.peek_for_tests());
    assert!(matches!(commit(&ledger, noised), Err(Error::Commit)));
    assert_eq!((ledger.head(), ledger.peek_for_tests()), before);
    assert!(matches!(
        ledger.failed(intent, NOW),
        Ok(AfterFailure::Rerun(_))
    ));
}
