//! Claims about projects and standing grants.

use obscura_model::exposure::{DeltaCharge, Rho};
use obscura_model::ids::UnixMillis;
use obscura_privacy::Mode;
use obscura_privacy::admission;

use super::disk::Disk;
use super::world::*;
use crate::{
    Admission, AdmitRequest, AfterFailure, Authority, Error, GrantState, Ledger, NewGrant,
    NewStudy, Refusal, StudyState,
};

const EVE: obscura_model::ids::KeyId = obscura_model::ids::KeyId::new([8; 32]);

fn refusal<T: std::fmt::Debug>(result: Result<T, Error>) -> Refusal {
    match result {
        Err(Error::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

pub(super) fn join(ledger: &Ledger, person: obscura_model::ids::KeyId) {
    let project = own_project(ANN);
    ledger
        .ask_to_join(project.clone(), person, b"please".to_vec(), NOW)
        .unwrap();
    ledger
        .confirm_member(project, person, b"yes".to_vec(), NOW)
        .unwrap();
}

#[test]
fn a_member_runs_the_projects_releases_and_nobody_else_learns_of_them() {
    let disk = Disk::default();
    let ledger = ready(&disk, Mode::Protect, 3);
    let asks = |n| ledger.admit(request(1, BOB, n), NOW);
    let (project, unknown) = (own_project(ANN), Refusal::NoStudy(study_id(1)));
    assert_eq!(refusal(asks(1)), unknown);
    let asked = ledger.ask_to_join(project.clone(), BOB, vec![], NOW);
    let asked = asked.unwrap();
    assert_eq!(
        ledger
            .ask_to_join(project.clone(), BOB, vec![], NOW)
            .unwrap(),
        asked
    );
    assert_eq!(ledger.project(&project).unwrap().waiting, [BOB]);
    assert_eq!(refusal(asks(1)), unknown, "asking is not joining");
    ledger
        .confirm_member(project.clone(), BOB, vec![], NOW)
        .unwrap();
    answer(&ledger, request(1, BOB, 1), 1);
    let stolen = ledger.withdraw(study_id(1), BOB, vec![], NOW);
    assert_eq!(refusal(stolen), unknown, "only who submitted it withdraws");
    let reason = "left".to_owned();
    ledger
        .remove_member(project.clone(), BOB, reason, vec![], NOW)
        .unwrap();
    assert_eq!(refusal(ledger.admit(request(1, BOB, 2), NOW)), unknown);
    let view = ledger.project(&project).unwrap();
    assert_eq!((view.members, view.taken), (vec![ANN], PRICE));
    drop(ledger);
    let ledger = open(&disk).unwrap();
    assert_eq!(ledger.project(&project).unwrap().taken, PRICE);
    assert_eq!(ledger.person(&BOB).unwrap().taken, PRICE);
}

#[test]
fn a_new_member_brings_a_project_no_room_and_leaving_takes_nothing_back() {
    let ledger = ready(&Disk::default(), Mode::Protect, 9);
    let project = own_project(ANN);
    let room = Rho::from_nano(2 * PRICE.nano());
    ledger
        .set_project_limit(project.clone(), room, vec![], NOW)
        .unwrap();
    join(&ledger, BOB);
    answer(&ledger, request(1, ANN, 1), 1);
    answer(&ledger, request(1, BOB, 1), 1);
    let over = |person, n| {
        let refused = refusal(ledger.admit(request(1, person, n), NOW));
        matches!(
            refused,
            Refusal::Admission(admission::Refusal::OverProjectLimit {
                room: Rho::ZERO,
                ..
            })
        )
    };
    assert!(over(ANN, 2) && over(BOB, 2));
    ledger
        .remove_member(project.clone(), BOB, String::new(), vec![], NOW)
        .unwrap();
    assert!(over(ANN, 2));
    let view = ledger.project(&project).unwrap();
    assert_eq!((view.taken, view.limit), (room, Some(room)));
    assert_eq!(ledger.person(&ANN).unwrap().taken, PRICE);
}

#[test]
fn without_a_limit_of_its_own_a_project_has_what_every_scientist_has() {
    let ledger = ready(&Disk::default(), Mode::Protect, 9);
    ledger
        .set_scientist_limit(None, PRICE, vec![], NOW)
        .unwrap();
    join(&ledger, BOB);
    answer(&ledger, request(1, ANN, 1), 1);
    assert!(matches!(
        refusal(ledger.admit(request(1, BOB, 1), NOW)),
        Refusal::Admission(admission::Refusal::OverProjectLimit { .. })
    ));
}

#[test]
fn a_project_is_opened_once_and_joined_by_confirmation_only() {
    let ledger = ready(&Disk::default(), Mode::Protect, 1);
    let project = own_project(ANN);
    let intruder = NewStudy {
        project: project.clone(),
        ..new_study(2, BOB, 1)
    };
    let outside = Refusal::NotAMember(project.clone());
    assert_eq!(refusal(ledger.submit_study(intruder, NOW)), outside);
    let grant = NewGrant {
        project: project.clone(),
        ..new_grant(1, BOB)
    };
    assert_eq!(refusal(ledger.give_grant(grant, NOW)), outside);
    let unasked = ledger.confirm_member(project.clone(), BOB, vec![], NOW);
    assert_eq!(refusal(unasked), Refusal::NotWaiting(project.clone()));
    let stranger = ledger.ask_to_join(project.clone(), EVE, vec![], NOW);
    assert_eq!(refusal(stranger), Refusal::NotEnrolled(EVE));
    let nowhere = own_project(EVE);
    let missing = ledger.ask_to_join(nowhere.clone(), BOB, vec![], NOW);
    assert_eq!(refusal(missing), Refusal::NoProject(nowhere));
    ledger
        .remove_member(project.clone(), ANN, String::new(), vec![], NOW)
        .unwrap();
    assert_eq!(refusal(ledger.admit(request(1, ANN, 1), NOW)), outside);
}

fn granted(disk: &Disk, grant: NewGrant) -> Ledger {
    let ledger = ready(disk, Mode::Protect, 3);
    ledger.give_grant(grant, NOW).unwrap();
    ledger
}

#[test]
fn a_grant_answers_at_once_until_its_number_is_used_and_reserves_nothing() {
    let disk = Disk::default();
    let ledger = granted(
        &disk,
        NewGrant {
            releases: 2,
            ..new_grant(1, BOB)
        },
    );
    let account = ledger.population(&people_of(), NOW).unwrap().account;
    let study = 3 * PRICE.nano();
    assert_eq!(account.reserved.nano(), study);
    for n in 0..2 {
        answer(&ledger, granted_request(1, BOB, n), 1);
    }
    let used = Refusal::GrantState {
        grant: grant_id(1),
        state: GrantState::Used,
    };
    let third = || granted_request(1, BOB, 3);
    assert_eq!(refusal(ledger.admit(third(), NOW)), used);
    drop(ledger);
    let ledger = open(&disk).unwrap();
    assert_eq!(refusal(ledger.admit(third(), NOW)), used);
    let view = ledger.grant(grant_id(1), NOW).unwrap();
    assert_eq!((view.begun, view.taken.nano()), (2, 2 * PRICE.nano()));
    assert_eq!(ledger.person(&BOB).unwrap().taken, view.taken);
    assert_eq!(ledger.project(&view.project).unwrap().taken, view.taken);
    assert_eq!(meter(&ledger), view.taken);
}

#[test]
fn the_prices_of_a_grants_releases_stay_within_its_total() {
    let most = Rho::from_nano(2 * PRICE.nano() + 1);
    let ledger = granted(
        &Disk::default(),
        NewGrant {
            most,
            ..new_grant(1, BOB)
        },
    );
    answer(&ledger, granted_request(1, BOB, 1), 1);
    answer(&ledger, granted_request(1, BOB, 2), 1);
    assert!(matches!(
        refusal(ledger.admit(granted_request(1, BOB, 3), NOW)),
        Refusal::Admission(admission::Refusal::OverGrant { .. })
    ));
    let smaller = AdmitRequest {
        shape: shape_with(5_000_000),
        ..granted_request(1, BOB, 3)
    };
    let small = refusal(ledger.admit(smaller, NOW));
    assert!(matches!(
        small,
        Refusal::Admission(admission::Refusal::UnderMinimum { .. })
    ));
}

#[test]
fn a_grant_opens_only_tables_of_which_it_names_a_column() {
    let columns = ["people.day", "visits_old.cost", "notes.person"].map(str::to_owned);
    let grant = NewGrant {
        columns: columns.to_vec(),
        ..new_grant(1, BOB)
    };
    let ledger = granted(&Disk::default(), grant);
    let reading = |n, tables: &[&str]| AdmitRequest {
        columns: vec!["people.day".to_owned()],
        tables: tables.iter().map(|table| (*table).to_owned()).collect(),
        ..granted_request(1, BOB, n)
    };
    let refused = refusal(ledger.admit(reading(1, &["people", "visits"]), NOW));
    let table = "visits".to_owned();
    let grant = grant_id(1);
    assert_eq!(refused, Refusal::GrantTable { grant, table });
    let rows_of_a_single_one = AdmitRequest {
        columns: vec![],
        ..reading(1, &[])
    };
    let refused = refusal(ledger.admit(rows_of_a_single_one, NOW));
    assert_eq!(refused, Refusal::GrantTables(grant));
    let open = ledger.admit(reading(2, &["people", "notes"]), NOW);
    assert!(matches!(open, Ok(Admission::Granted(_))), "{open:?}");
}

#[test]
fn a_grant_is_its_scientists_for_its_columns_dataset_and_time() {
    let ledger = granted(&Disk::default(), new_grant(1, BOB));
    let id = grant_id(1);
    let ask = |change: &dyn Fn(&mut AdmitRequest)| {
        let mut asked = granted_request(1, BOB, 1);
        change(&mut asked);
        refusal(ledger.admit(asked, NOW))
    };
    assert_eq!(
        refusal(ledger.admit(granted_request(1, ANN, 1), NOW)),
        Refusal::NoGrant(id)
    );
    assert_eq!(
        ask(&|r| r.columns.push("name".to_owned())),
        Refusal::GrantColumn {
            grant: id,
            column: "name".to_owned()
        }
    );
    assert_eq!(
        ask(&|r| r.dataset.id = dataset_id(2)),
        Refusal::GrantDataset(id)
    );
    assert_eq!(ask(&|r| r.dataset.version = 2), Refusal::NotNewest);
    let grant = grant_id(9);
    assert_eq!(
        ask(&|r| r.authority = Authority::Grant { grant }),
        Refusal::NoGrant(grant)
    );
    let late = ledger.admit(granted_request(1, BOB, 1), UnixMillis(LATER.0 + 1));
    let state = GrantState::Expired;
    assert_eq!(refusal(late), Refusal::GrantState { grant: id, state });
    let first = ledger.give_grant(new_grant(1, BOB), NOW).unwrap();
    assert_eq!(
        ledger.give_grant(new_grant(1, BOB), NOW).unwrap(),
        first,
        "the same again changes nothing"
    );
    let other = NewGrant {
        releases: 5,
        ..new_grant(1, BOB)
    };
    assert_eq!(
        refusal(ledger.give_grant(other, NOW)),
        Refusal::GrantExists(id)
    );
    let empty = NewGrant {
        columns: vec![],
        ..new_grant(2, BOB)
    };
    assert_eq!(refusal(ledger.give_grant(empty, NOW)), Refusal::GrantTerms);
    ledger
        .revoke_grant(id, "over".to_owned(), vec![], NOW)
        .unwrap();
    let state = GrantState::Revoked;
    assert_eq!(ask(&|_| ()), Refusal::GrantState { grant: id, state });
    assert_eq!(ledger.grants(NOW)[0].ended, "over");
}

#[test]
fn a_second_failure_suspends_the_grant_and_its_price_stands() {
    let disk = Disk::default();
    let ledger = granted(&disk, new_grant(1, BOB));
    let Ok(Admission::Granted(permit)) = ledger.admit(granted_request(1, BOB, 1), NOW) else {
        panic!("not granted")
    };
    let intent = permit.intent();
    assert!(matches!(
        ledger.failed(intent, NOW),
        Ok(AfterFailure::Rerun(_))
    ));
    ledger.rerun(intent, shape(), NOW).unwrap();
    assert_eq!(ledger.failed(intent, NOW).unwrap(), AfterFailure::Poisoned);
    let view = ledger.grant(grant_id(1), NOW).unwrap();
    assert_eq!((view.state, view.taken), (GrantState::Suspended, PRICE));
    assert_eq!(
        ledger.study(study_id(1), NOW).unwrap().state,
        StudyState::Approved
    );
    let state = GrantState::Suspended;
    let grant = grant_id(1);
    assert_eq!(
        refusal(ledger.admit(granted_request(1, BOB, 2), NOW)),
        Refusal::GrantState { grant, state }
    );
}

#[test]
fn a_release_wanted_complete_runs_only_while_the_meters_prove_it() {
    let ledger = create(&Disk::default()).unwrap();
    furnish(&ledger).unwrap();
    let only = limit(population(), PRICE.nano(), Mode::Protect);
    ledger.set_limit(only, NOW).unwrap();
    let wide = Rho::from_nano(u64::MAX);
    ledger.set_scientist_limit(None, wide, vec![], NOW).unwrap();
    let mut study = new_study(1, ANN, 9);
    study.releases[0].require_complete = true;
    approve(&ledger, study).unwrap();
    let complete = |n| AdmitRequest {
        require_complete: true,
        ..request(1, ANN, n)
    };
    let other_terms = refusal(ledger.admit(request(1, ANN, 1), NOW));
    assert_eq!(other_terms, Refusal::TermsDiffer(release_name()));
    let read_anew = AdmitRequest {
        canonical: obscura_model::ids::Digest::of(b"SELECT COUNT(day) AS n FROM visits"),
        ..complete(1)
    };
    let read_anew = refusal(ledger.admit(read_anew, NOW));
    assert_eq!(read_anew, Refusal::QueryDiffers(release_name()));
    answer(&ledger, complete(1), 1);
    let head = ledger.head();
    let refused = refusal(ledger.admit(complete(2), NOW));
    assert_eq!(refused, Refusal::NotComplete);
    let said = refused.to_string();
    assert!(said.contains("coverage") && said.contains("require_complete = false"));
    assert_eq!(ledger.head(), head);
}

#[test]
fn keys_that_are_not_declared_take_delta_from_everybody_in_both_modes() {
    for mode in [Mode::Protect, Mode::Strict] {
        let disk = Disk::default();
        let ledger = granted(
            &disk,
            NewGrant {
                delta_keys: DeltaCharge::from_units(200),
                ..new_grant(1, BOB)
            },
        );
        let keyed = |n, units| AdmitRequest {
            delta_keys: DeltaCharge::from_units(units),
            ..granted_request(1, BOB, n)
        };
        assert_eq!(
            refusal(ledger.admit(keyed(1, 1), NOW)),
            Refusal::NoRoomForKeys
        );
        let mut set = limit(population(), 10_000_000_000, mode);
        set.delta_keys = DeltaCharge::from_units(100);
        ledger.set_limit(set.clone(), NOW).unwrap();
        answer(&ledger, keyed(1, 60), 1);
        assert_eq!(
            refusal(ledger.admit(keyed(2, 41), NOW)),
            Refusal::NoRoomForKeys
        );
        answer(&ledger, keyed(2, 40), 1);
        answer(&ledger, keyed(3, 0), 1);
        drop(ledger);
        let ledger = open(&disk).unwrap();
        let account = ledger.population(&people_of(), NOW).unwrap().account;
        assert_eq!(account.meter_keys.units(), 100);
        // A lower number later is only a stop.
        set.delta_keys = DeltaCharge::ZERO;
        ledger.set_limit(set.clone(), NOW).unwrap();
        let account = ledger.population(&people_of(), NOW).unwrap().account;
        assert_eq!(account.guarantee.unwrap().delta_keys.units(), 100);
        set.delta_keys = DeltaCharge::from_units(u64::MAX);
        assert!(matches!(
            refusal(ledger.set_limit(set, NOW)),
            Refusal::Admission(admission::Refusal::DeltaTooLarge { .. })
        ));
    }
}

#[test]
fn a_grant_takes_delta_for_keys_only_as_its_owner_wrote_and_never_gets_it_back() {
    for (allowed, answers) in [(0, 0), (100, 2)] {
        let disk = Disk::default();
        let new = NewGrant {
            delta_keys: DeltaCharge::from_units(allowed),
            ..new_grant(1, BOB)
        };
        let ledger = granted(&disk, new);
        let mut set = limit(population(), 10_000_000_000, Mode::Protect);
        set.delta_keys = DeltaCharge::from_units(1_000);
        ledger.set_limit(set, NOW).unwrap();
        let keyed = |n| AdmitRequest {
            delta_keys: DeltaCharge::from_units(50),
            ..granted_request(1, BOB, n)
        };
        (0..answers).for_each(|n| drop(answer(&ledger, keyed(n), 1)));
        let head = ledger.head();
        let refused = refusal(ledger.admit(keyed(9), NOW));
        assert_eq!(refused, Refusal::GrantKeys(grant_id(1)));
        assert_eq!(ledger.head(), head);
        drop(ledger);
        let ledger = open(&disk).unwrap();
        let grant = ledger.grant(grant_id(1), NOW).unwrap();
        assert_eq!(grant.delta_keys.units(), allowed);
        assert_eq!(grant.taken_keys.units(), u64::from(answers) * 50);
        // Declared keys are another matter.
        answer(&ledger, granted_request(1, BOB, 10), 1);
    }
}

#[test]
fn the_log_keeps_what_was_asked_under_a_grant_and_names_population_and_dataset() {
    let ledger = granted(&Disk::default(), new_grant(1, BOB));
    answer(&ledger, granted_request(1, BOB, 1), 1);
    let entries = ledger.entries(0, 100).unwrap();
    let begun = entries.iter().rfind(|e| e.kind == "release begun").unwrap();
    let asked = crate::Said::Asked {
        dataset: dataset(),
        evidence: b"signed request".to_vec(),
    };
    assert_eq!(begun.said, Some(asked));
    assert!(
        begun.text.contains("of population people (dataset "),
        "{}",
        begun.text
    );
    let given = entries.iter().find(|e| e.kind == "grant given").unwrap();
    let columns = new_grant(1, BOB).columns.join(", ");
    assert!(
        given
            .text
            .contains(&format!(" about {columns} of dataset ")),
        "{}",
        given.text
    );
    assert!(matches!(given.said, Some(crate::Said::Grant(_))));
}
