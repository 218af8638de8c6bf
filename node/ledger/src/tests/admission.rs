//! Claims about what is admitted, priced and answered.

use obscura_model::exposure::Rho;
use obscura_model::ids::{Digest, ReleaseName, UnixMillis};
use obscura_privacy::Mode;
use obscura_privacy::admission;

use super::disk::Disk;
use super::world::*;
use crate::{Account, Admission, Authority, Decision, Error, Refusal, StudyState};

fn refusal<T: std::fmt::Debug>(result: Result<T, Error>) -> Refusal {
    match result {
        Err(Error::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_same_request_again_is_the_same_release_and_adds_nothing() {
    let disk = Disk::default();
    let ledger = ready(&disk, Mode::Protect, 1);
    let first = answer(&ledger, request(1, ANN, 1), 5);
    let head = ledger.head();
    for seed in 6..20 {
        assert_eq!(answer(&ledger, request(1, ANN, 1), seed), first);
    }
    assert_eq!((ledger.head(), meter(&ledger)), (head, PRICE));
    drop(ledger);
    let ledger = open(&disk).unwrap();
    assert_eq!(answer(&ledger, request(1, ANN, 1), 30), first);
    assert_eq!(ledger.release(&key(ANN, 1)).unwrap(), Some(first));
    assert_eq!(ledger.release(&key(BOB, 1)).unwrap(), None);
}

#[test]
fn the_same_id_with_another_body_is_a_conflict() {
    let ledger = ready(&Disk::default(), Mode::Protect, 3);
    answer(&ledger, request(1, ANN, 1), 5);
    let mut other = request(1, ANN, 1);
    other.body_digest = Digest::of(b"another body");
    let head = ledger.head();
    assert!(matches!(ledger.admit(other, NOW), Ok(Admission::Conflict)));
    assert_eq!(ledger.head(), head);
}

#[test]
fn a_request_of_somebody_else_under_the_same_id_is_another_request() {
    let ledger = ready(&Disk::default(), Mode::Protect, 3);
    answer(&ledger, request(1, ANN, 1), 5);
    let stolen = ledger.admit(request(1, BOB, 1), NOW);
    assert_eq!(refusal(stolen), Refusal::NoStudy(study_id(1)));
}

fn of_study(n: u8, release: ReleaseName) -> Authority {
    let study = study_id(n);
    Authority::Study { study, release }
}

#[test]
fn only_what_was_approved_runs_and_only_as_often() {
    let ledger = ready(&Disk::default(), Mode::Protect, 2);
    let ask = |change: &dyn Fn(&mut crate::AdmitRequest)| {
        let mut asked = request(1, ANN, 9);
        change(&mut asked);
        refusal(ledger.admit(asked, NOW))
    };
    let release = "other".parse::<obscura_model::ids::ReleaseName>().unwrap();
    assert_eq!(
        ask(&|r| r.authority = of_study(1, release.clone())),
        Refusal::NoRelease {
            study: study_id(1),
            release: release.clone()
        }
    );
    assert_eq!(
        ask(&|r| r.dataset.version = 2),
        Refusal::StudyDataset(study_id(1))
    );
    assert_eq!(
        ask(&|r| r.authority = of_study(2, release_name())),
        Refusal::NoStudy(study_id(2))
    );
    assert!(matches!(
        ask(&|r| r.shape = shape_with(251)),
        Refusal::PriceDiffers { .. }
    ));
    answer(&ledger, request(1, ANN, 1), 1);
    answer(&ledger, request(1, ANN, 2), 1);
    assert_eq!(
        ask(&|_| ()),
        Refusal::NoRunLeft {
            release: release_name(),
            times: 2
        }
    );
    assert_eq!(
        ledger.study(study_id(1), NOW).unwrap().state,
        StudyState::Completed
    );
}

#[test]
fn an_expired_study_stays_expired_when_the_clock_goes_back() {
    let ledger = ready(&Disk::default(), Mode::Protect, 2);
    let after = UnixMillis(LATER.0 + 1);
    let expired = Refusal::StudyState {
        study: study_id(1),
        state: StudyState::Expired,
    };
    assert_eq!(refusal(ledger.admit(request(1, ANN, 1), after)), expired);
    ledger
        .set_scientist_limit(None, Rho::from_nano(1), vec![], after)
        .unwrap();
    assert_eq!(refusal(ledger.admit(request(1, ANN, 1), NOW)), expired);
}

#[test]
fn strict_limits_fit_exactly_ten_releases_of_a_tenth() {
    let ledger = create(&Disk::default()).unwrap();
    furnish(&ledger).unwrap();
    ledger
        .set_limit(limit(population(), 10 * PRICE.nano(), Mode::Strict), NOW)
        .unwrap();
    ledger
        .set_scientist_limit(None, Rho::from_nano(u64::MAX), vec![], NOW)
        .unwrap();
    approve(&ledger, new_study(1, ANN, 11)).unwrap();
    for n in 0..10 {
        answer(&ledger, request(1, ANN, n), 1);
    }
    let eleventh = refusal(ledger.admit(request(1, ANN, 11), NOW));
    assert!(matches!(
        eleventh,
        Refusal::Admission(admission::Refusal::OverLimit { .. })
    ));
    assert_eq!(meter(&ledger).nano(), 10 * PRICE.nano());
}

#[test]
fn scientist_limits_and_dataset_limits_refuse_without_a_trace() {
    let ledger = create(&Disk::default()).unwrap();
    furnish(&ledger).unwrap();
    wide_limits(&ledger, Mode::Strict).unwrap();
    ledger
        .set_limit(
            limit(
                Account::Dataset(dataset_id(1)),
                2 * PRICE.nano(),
                Mode::Strict,
            ),
            NOW,
        )
        .unwrap();
    ledger
        .set_scientist_limit(Some(ANN), PRICE, vec![], NOW)
        .unwrap();
    approve(&ledger, new_study(1, ANN, 5)).unwrap();
    answer(&ledger, request(1, ANN, 1), 1);
    let head = ledger.head();
    let again = refusal(ledger.admit(request(1, ANN, 2), NOW));
    assert!(matches!(
        again,
        Refusal::Admission(admission::Refusal::OverScientistLimit { .. })
    ));
    ledger
        .set_scientist_limit(Some(ANN), Rho::from_nano(u64::MAX), vec![], NOW)
        .unwrap();
    answer(&ledger, request(1, ANN, 2), 1);
    let third = refusal(ledger.admit(request(1, ANN, 3), NOW));
    assert!(
        matches!(
            third,
            Refusal::Admission(admission::Refusal::OverLimit { .. })
        ),
        "{third}"
    );
    assert_eq!(ledger.head().size, head.size + 3);
    let account = ledger.datasets(NOW)[0].account.clone().unwrap();
    assert_eq!(
        (account.meter.nano(), account.releases),
        (2 * PRICE.nano(), 2)
    );
}

#[test]
fn an_approved_study_keeps_its_room_until_it_expires() {
    let ledger = create(&Disk::default()).unwrap();
    furnish(&ledger).unwrap();
    ledger
        .set_limit(limit(population(), 3 * PRICE.nano(), Mode::Strict), NOW)
        .unwrap();
    ledger
        .set_scientist_limit(None, Rho::from_nano(u64::MAX), vec![], NOW)
        .unwrap();
    approve(&ledger, new_study(1, ANN, 2)).unwrap();
    let longer = crate::NewStudy {
        expires: UnixMillis(LATER.0 + 9),
        ..new_study(2, BOB, 5)
    };
    approve(&ledger, longer).unwrap();
    answer(&ledger, request(2, BOB, 1), 1);
    assert!(matches!(
        refusal(ledger.admit(request(2, BOB, 2), NOW)),
        Refusal::Admission(admission::Refusal::OverLimit {
            room: Rho::ZERO,
            ..
        })
    ));
    answer(&ledger, request(1, ANN, 1), 1);
    let after = UnixMillis(LATER.0 + 1);
    assert!(matches!(
        ledger.admit(request(2, BOB, 2), after),
        Ok(Admission::Granted(_))
    ));
}

#[test]
fn protect_mode_drops_whom_the_limit_does_not_fit_and_says_when_nobody_was() {
    let disk = Disk::default();
    let ledger = create(&disk).unwrap();
    furnish(&ledger).unwrap();
    ledger
        .set_limit(limit(population(), PRICE.nano(), Mode::Protect), NOW)
        .unwrap();
    ledger
        .set_scientist_limit(None, Rho::from_nano(u64::MAX), vec![], NOW)
        .unwrap();
    approve(&ledger, new_study(1, ANN, 9)).unwrap();
    for n in 0..9 {
        let Ok(Admission::Granted(permit)) = ledger.admit(request(1, ANN, n), NOW) else {
            panic!("not granted")
        };
        assert_eq!(permit.nobody_dropped(), n == 0);
        let noised = fold(&ledger, permit, 1).unwrap();
        commit(&ledger, noised).unwrap();
    }
    let inner = ledger.peek_for_tests();
    assert!(
        inner.iter().all(|exposure| *exposure <= PRICE.nano()),
        "{inner:?}"
    );
    assert!(inner.iter().any(|exposure| *exposure > PRICE.nano() / 2));
    assert_eq!(meter(&ledger).nano(), 9 * PRICE.nano());
}

#[test]
fn an_open_release_blocks_ingest_limits_and_other_releases() {
    let ledger = ready(&Disk::default(), Mode::Protect, 3);
    let Ok(Admission::Granted(permit)) = ledger.admit(request(1, ANN, 1), NOW) else {
        panic!("not granted")
    };
    assert!(matches!(
        ledger.admit(request(1, ANN, 2), NOW),
        Ok(Admission::Busy)
    ));
    assert!(matches!(
        ledger.admit(request(1, ANN, 1), NOW),
        Ok(Admission::Running)
    ));
    let blocked = |result: Result<(), Error>| {
        assert!(
            matches!(result, Err(Error::Refused(Refusal::IntentOpen(_)))),
            "{result:?}"
        );
    };
    blocked(add_version(&ledger, 9).map(|_| ()));
    blocked(wide_limits(&ledger, Mode::Strict));
    let noised = fold(&ledger, permit, 1).unwrap();
    commit(&ledger, noised).unwrap();
    add_version(&ledger, 9).unwrap();
    wide_limits(&ledger, Mode::Strict).unwrap();
}

#[test]
fn a_limit_below_the_meter_is_refused_in_strict_mode_and_the_guarantee_stays() {
    let ledger = ready(&Disk::default(), Mode::Strict, 3);
    answer(&ledger, request(1, ANN, 1), 1);
    let low = |mode| ledger.set_limit(limit(population(), PRICE.nano() / 2, mode), NOW);
    assert!(matches!(
        low(Mode::Strict),
        Err(Error::Refused(Refusal::Admission(
            admission::Refusal::LimitBelowMeter { .. }
        )))
    ));
    low(Mode::Protect).unwrap();
    let account = ledger.population(&people_of(), NOW).unwrap().account;
    assert_eq!(account.limit.unwrap().limit.rho().nano(), PRICE.nano() / 2);
    assert_eq!(
        account.guarantee.unwrap().limit.rho().nano(),
        10_000_000_000
    );
    let late = limit(
        Account::Dataset(dataset_id(1)),
        1_000_000_000,
        Mode::Protect,
    );
    assert!(matches!(
        ledger.set_limit(late, NOW),
        Err(Error::Refused(Refusal::LimitTooLate))
    ));
}

#[test]
fn decisions_hold_for_what_was_looked_at_and_repeat_without_effect() {
    let ledger = create(&Disk::default()).unwrap();
    furnish(&ledger).unwrap();
    wide_limits(&ledger, Mode::Protect).unwrap();
    let study = new_study(1, ANN, 1);
    let first = ledger.submit_study(study.clone(), NOW).unwrap();
    assert_eq!(ledger.submit_study(study.clone(), NOW).unwrap(), first);
    let edited = crate::NewStudy {
        digest: Digest::of(b"edited"),
        ..study.clone()
    };
    assert!(ledger.submit_study(edited.clone(), NOW).is_err());
    let decide =
        |digest, decision| ledger.decide(study_id(1), digest, decision, String::new(), vec![], NOW);
    assert!(decide(edited.digest, Decision::Approve).is_err());
    let approved = decide(study.digest, Decision::Approve).unwrap();
    assert_eq!(decide(study.digest, Decision::Approve).unwrap(), approved);
    assert_eq!(
        refusal(decide(study.digest, Decision::Decline)),
        Refusal::StudyMoved {
            study: study_id(1),
            state: StudyState::Approved
        }
    );
    ledger.withdraw(study_id(1), ANN, vec![], NOW).unwrap();
    assert!(ledger.withdraw(study_id(1), BOB, vec![], NOW).is_err());
    let state = StudyState::Withdrawn;
    let refused = refusal(ledger.admit(request(1, ANN, 1), NOW));
    assert_eq!(
        refused,
        Refusal::StudyState {
            study: study_id(1),
            state
        }
    );
}

#[test]
fn a_study_that_cannot_run_says_what_to_do() {
    let ledger = create(&Disk::default()).unwrap();
    furnish(&ledger).unwrap();
    wide_limits(&ledger, Mode::Protect).unwrap();
    let study = new_study(1, ANN, 2);
    ledger.submit_study(study.clone(), NOW).unwrap();
    let waiting = refusal(ledger.admit(request(1, ANN, 1), NOW)).to_string();
    assert!(
        waiting.ends_with(
            "is waiting for the owner: it can be released once the owner has approved it"
        ),
        "{waiting}"
    );
    let declined = Decision::Decline;
    ledger
        .decide(
            study_id(1),
            study.digest,
            declined,
            "why".into(),
            vec![],
            NOW,
        )
        .unwrap();
    let declined = refusal(ledger.admit(request(1, ANN, 1), NOW)).to_string();
    assert!(
        declined.contains("is declined: its status says why"),
        "{declined}"
    );
}

#[test]
fn one_key_has_one_role_and_a_dismissed_scientist_asks_for_nothing() {
    let ledger = ready(&Disk::default(), Mode::Protect, 2);
    let name = "ann".parse().unwrap();
    let twice = ledger.enrol(ANN, crate::Role::Owner, name, vec![], NOW);
    assert!(matches!(twice, Err(Error::Refused(Refusal::OtherRole(_)))));
    ledger.dismiss(ANN, vec![], NOW).unwrap();
    assert_eq!(
        refusal(ledger.admit(request(1, ANN, 1), NOW)),
        Refusal::NotEnrolled(ANN)
    );
}

#[test]
fn the_log_tells_what_happened_in_public_words() {
    let ledger = ready(&Disk::default(), Mode::Protect, 2);
    answer(&ledger, request(1, ANN, 1), 1);
    let entries = ledger.entries(0, 100).unwrap();
    assert_eq!(entries.len() as u64, ledger.head().size);
    let kinds: Vec<_> = entries
        .iter()
        .rev()
        .take(4)
        .map(|entry| entry.kind)
        .collect();
    assert_eq!(
        kinds,
        [
            "release made",
            "release begun",
            "study approved",
            "study submitted",
        ]
    );
    for entry in &entries {
        assert!(entry.text.ends_with('.'), "{}", entry.text);
        assert!(!entry.text.contains("rho"), "{}", entry.text);
        // A key stands where it was enrolled, and names everywhere else.
        let keys = [ANN, BOB].map(|key| entry.text.contains(&key.to_string()));
        assert!(
            !keys.contains(&true) || entry.kind == "person enrolled",
            "{}",
            entry.text
        );
    }
    let begun = entries.iter().rfind(|e| e.kind == "release begun").unwrap();
    assert!(
        begun.text.contains("was begun for ann (request "),
        "{}",
        begun.text
    );
    assert!(
        begun.text.contains("% of the limit of population people"),
        "{}",
        begun.text
    );
    let limits: Vec<_> = entries
        .iter()
        .filter_map(|entry| entry.said.as_ref())
        .collect();
    assert!(matches!(
        limits.as_slice(),
        [crate::Said::ScientistLimit(_), ..]
    ));
}

#[test]
fn every_record_is_proved_by_its_path_to_the_head() {
    let ledger = ready(&Disk::default(), Mode::Protect, 2);
    answer(&ledger, request(1, ANN, 1), 1);
    let head = ledger.head();
    for index in 0..head.size {
        let path = ledger.inclusion(index, head.size).unwrap();
        let leaf = ledger.leaf_for_tests(index);
        assert!(crate::includes(&head, index, &leaf, &path));
    }
    assert_eq!(ledger.inclusion(head.size, head.size), None);
}
