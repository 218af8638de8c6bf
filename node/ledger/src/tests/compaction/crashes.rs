//! Claims about compactions that end half-way, at every single storage call.

use super::*;

type How = fn(&Ledger) -> Result<(), Error>;

/// When asked to, and by itself.
const HOWS: [How; 2] = [
    |ledger| ledger.compact(NOW).map(drop),
    |ledger| ledger.tend(NOW).map(drop),
];

/// Compacts, with the power going or a call failing at `call`, and starts again with what
/// `survivors` lets survive. Says whether the compaction came to its end.
fn crash(
    grown: &Disk,
    before: &Truth,
    how: How,
    (call, fault, survivors): (u64, Fault, u64),
) -> bool {
    let what = format!("call {call} {fault:?} survivors {survivors}");
    let disk = grown.after_power_cut(1);
    let ledger = open(&disk).unwrap();
    disk.set_fault(call, fault);
    let ended = how(&ledger);
    if let Err(error) = &ended {
        assert!(error.is_fatal(), "{what}");
        assert!(
            ledger.health().is_err(),
            "{what}: it serves after a failure"
        );
    }
    drop(ledger);
    let size = before.head.size;
    let disk = disk.after_power_cut(survivors);
    let ledger = open(&disk).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(truth(&ledger, size), *before, "{what}");
    how(&ledger).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(truth(&ledger, size), *before, "{what}: compacted again");
    drop(ledger);
    let unneeded = |name: &String| name.ends_with(".unfinished");
    assert!(!disk.names().unwrap().iter().any(unneeded), "{what}");
    let bases = disk
        .names()
        .unwrap()
        .into_iter()
        .filter(|name| name.starts_with("base-"));
    assert_eq!(bases.count(), 1, "{what}");
    let ledger = open(&disk).unwrap();
    assert_eq!(truth(&ledger, size), *before, "{what}: started again");
    ended.is_ok()
}

/// A ledger that was compacted once and has grown since, and what it says.
fn twice_grown() -> (Disk, Truth) {
    let disk = Disk::default();
    let ledger = grown(&disk, 5);
    ledger.compact(NOW).unwrap();
    (20..25).for_each(|n| drop(answer(&ledger, ask(n), 5)));
    let truth = truth(&ledger, ledger.head().size);
    (disk, truth)
}

#[test]
fn a_power_cut_at_any_storage_call_of_a_compaction_changes_nothing() {
    let (disk, before) = twice_grown();
    for how in HOWS {
        let ends = |call, seed| crash(&disk, &before, how, (call, Fault::PowerCut, seed));
        let calls = (1..).take_while(|call| (0..6).filter(|seed| !ends(*call, *seed)).count() > 0);
        let calls = calls.count();
        assert!(calls > 20, "only {calls} calls");
    }
}

#[test]
fn a_failing_storage_call_of_a_compaction_stops_the_ledger_and_changes_nothing() {
    let (disk, before) = twice_grown();
    for how in HOWS {
        let ends = |call, seed| crash(&disk, &before, how, (call, Fault::Error, seed));
        let calls = (1..).take_while(|call| (0..2).filter(|seed| !ends(*call, *seed)).count() > 0);
        let calls = calls.count();
        assert!(calls > 20, "only {calls} calls");
    }
}
