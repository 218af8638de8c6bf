//! Claims about a mark that becomes durable in one append with what several callers recorded.

use super::*;
use crate::tests::sharing::at_once;

/// Several callers write while a mark waits for the first of them, with the power going, a call
/// failing or panicking at `call`. Says whether all was acknowledged.
fn crash(grown: &Disk, exposures: &[u64], (call, fault, survivors): (u64, Fault, u64)) -> bool {
    let what = format!("call {call} {fault:?} survivors {survivors}");
    let disk = grown.after_power_cut(1);
    let ledger = open(&disk).unwrap();
    let mut before = 0;
    let made = at_once(&ledger, || {
        assert_eq!(ledger.tend(NOW).unwrap(), 0, "a release is open");
        before = ledger.head().size;
        disk.set_fault(call, fault);
    });
    let acknowledged = made[0];
    assert!(made.iter().all(|one| *one == acknowledged), "{what}");
    assert_eq!(ledger.health().is_ok(), acknowledged, "{what}");
    let size = before + if acknowledged { 5 } else { 0 };
    assert_eq!(ledger.head().size, size, "{what}");
    drop(ledger);
    let disk = disk.after_power_cut(survivors);
    let ledger = open(&disk).unwrap_or_else(|error| panic!("{what}: {error}"));
    let there = ledger.release(&key(ANN, 9)).unwrap().is_some();
    assert!(there || !acknowledged, "{what}");
    for n in 10..13 {
        let offered = ledger.release(&key(ANN, n)).unwrap().is_some();
        assert_eq!(offered, there, "{what}: all or none");
    }
    let marks = frames(&disk).into_iter().filter(|f| f.entry.kind == 60);
    assert_eq!(marks.count(), usize::from(there), "{what}: all or none");
    for open in ledger.reruns() {
        let permit = ledger.rerun(open.index, shape(), NOW).unwrap();
        let noised = fold(&ledger, permit, 3).unwrap();
        commit(&ledger, noised).unwrap();
    }
    assert_eq!(ledger.peek_for_tests(), exposures, "{what}");
    let kept = truth(&ledger, before);
    assert!(ledger.tend(NOW).unwrap() > 0, "{what}");
    assert_eq!(truth(&ledger, before), kept, "{what}");
    drop(ledger);
    let ledger = open(&disk).unwrap();
    assert_eq!(truth(&ledger, before), kept, "{what}");
    acknowledged
}

#[test]
fn a_mark_among_the_records_of_several_callers_is_there_with_all_of_them_or_not_at_all() {
    let mut most = 0;
    for (releases, fault) in [(6, Fault::PowerCut), (7, Fault::Error), (7, Fault::Panic)] {
        let disk = Disk::default();
        let ledger = grown(&disk, releases);
        for n in [8, 9] {
            answer(&ledger, request(1, ANN, n), 1);
        }
        let exposures = ledger.peek_for_tests();
        drop(ledger);
        let disk = Disk::default();
        drop(grown(&disk, releases));
        let ends = |call, seed| crash(&disk, &exposures, (call, fault, seed));
        let calls = (1..).take_while(|call| (0..6).filter(|seed| !ends(*call, *seed)).count() > 0);
        most = most.max(calls.count());
    }
    assert!(
        most >= 7,
        "a segment begins with such an append: {most} calls"
    );
}
