//! Claims about power cuts and killed processes at every single storage call.

use std::collections::BTreeMap;

use obscura_model::exposure::Rho;
use obscura_privacy::Mode;

use super::disk::{Disk, Fault};
use super::world::*;
use crate::ledger::Site;
use crate::{Admission, Committed, Error, Ledger, RequestKey};

const REQUESTS: u16 = 4;

/// The answers that somebody has received.
type Received = BTreeMap<RequestKey, Committed>;

/// Does whatever is not done yet, rerunning first; notes every answer at once. Noise differs at
/// every attempt, so that a second answer could not look like the first.
fn drive(ledger: &Ledger, received: &mut Received, seed: u64) -> Result<(), Error> {
    furnish(ledger)?;
    if ledger
        .population(&people_of(), NOW)
        .is_none_or(|p| p.account.limit.is_none())
    {
        wide_limits(ledger, Mode::Protect)?;
    }
    ledger.set_scientist_limit(None, Rho::from_nano(10_000_000_000), vec![], NOW)?;
    approve(ledger, new_study(1, ANN, u32::from(REQUESTS)))?;
    for open in ledger.reruns() {
        let permit = ledger.rerun(open.index, shape(), NOW)?;
        let noised = fold(ledger, permit, seed)?;
        commit(ledger, noised)?;
    }
    for n in 0..REQUESTS {
        match run(ledger, request(1, ANN, n), seed + u64::from(n))? {
            Admission::Known(answer) => {
                let before = received.insert(key(ANN, n), answer.clone());
                assert!(
                    before.is_none_or(|before| before == answer),
                    "two answers for one id"
                );
            }
            other => panic!("{other:?}"),
        }
    }
    Ok(())
}

fn begin(disk: &Disk) -> Result<Ledger, Error> {
    open(disk).or_else(|_| create(disk))
}

/// After one crash at `call`, with what `seed` lets survive, everything ends as it should.
fn survives(call: u64, fault: Fault, survivors: u64) -> bool {
    let (disk, mut received) = (Disk::default(), Received::new());
    disk.set_fault(call, fault);
    let crashed = begin(&disk).and_then(|ledger| {
        drive(&ledger, &mut received, 100)?;
        ledger.close()
    });
    let acknowledged = received.clone();
    let disk = disk.after_power_cut(survivors);
    let ledger = begin(&disk).unwrap_or_else(|error| panic!("call {call}: {error}"));
    for (key, answer) in &acknowledged {
        assert_eq!(
            ledger.release(key).unwrap().as_ref(),
            Some(answer),
            "call {call}"
        );
    }
    drive(&ledger, &mut received, 200).unwrap_or_else(|error| panic!("call {call}: {error}"));
    assert_eq!(received.len(), usize::from(REQUESTS));
    assert_eq!(
        meter(&ledger).nano(),
        u64::from(REQUESTS) * PRICE.nano(),
        "call {call}"
    );
    assert_eq!(ledger.person(&ANN).unwrap().taken, meter(&ledger));
    crashed.is_err()
}

#[test]
fn a_power_cut_at_any_storage_call_loses_nothing_and_prices_nothing_twice() {
    let mut call = 1;
    while (0..6)
        .filter(|seed| survives(call, Fault::PowerCut, *seed))
        .count()
        > 0
    {
        call += 1;
    }
    assert!(call > 60, "only {call} calls");
}

#[test]
fn a_failing_storage_call_stops_the_ledger_and_a_new_start_finds_the_truth() {
    let mut call = 1;
    while survives(call, Fault::Error, 1) | survives(call, Fault::Error, 0) {
        call += 1;
    }
    assert!(call > 60, "only {call} calls");
}

#[test]
fn after_a_failed_sync_no_call_is_served() {
    let disk = Disk::default();
    let ledger = ready(&disk, Mode::Protect, 3);
    answer(&ledger, request(1, ANN, 1), 1);
    disk.set_fault(2, Fault::Error);
    assert!(ledger.admit(request(1, ANN, 2), NOW).is_err());
    let known = ledger.admit(request(1, ANN, 1), NOW);
    assert!(known.is_err_and(|error| error.is_fatal()));
    assert!(ledger.health().is_err() && ledger.entries(0, 9).is_err());
}

#[test]
fn a_release_costs_one_sync_for_its_intent_and_one_for_its_commit() {
    let disk = Disk::default();
    // One segment for all of it: a new one has syncs of its own.
    let wide = Site {
        segment_bytes: 1 << 16,
        ..site(&disk)
    };
    let ledger = Ledger::create_at(wide, NODE, entropy(1), NOW).unwrap();
    furnish(&ledger).unwrap();
    wide_limits(&ledger, Mode::Protect).unwrap();
    approve(&ledger, new_study(1, ANN, 3)).unwrap();
    answer(&ledger, request(1, ANN, 1), 1);
    let before = disk.syncs();
    let Ok(Admission::Granted(permit)) = ledger.admit(request(1, ANN, 2), NOW) else {
        panic!("not granted")
    };
    assert_eq!(disk.syncs(), before + 1);
    let noised = fold(&ledger, permit, 1).unwrap();
    commit(&ledger, noised).unwrap();
    assert_eq!(disk.syncs(), before + 2);
    answer(&ledger, request(1, ANN, 2), 1);
    assert_eq!(disk.syncs(), before + 2);
}
