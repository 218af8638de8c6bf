//! Claims about a ledger that compacts by itself, beside its releases.

use super::*;

/// Asks for a release and has it open.
fn begun(ledger: &Ledger, n: u16) -> obscura_privacy::Permit {
    match ledger.admit(ask(n), NOW) {
        Ok(Admission::Granted(permit)) => permit,
        other => panic!("{other:?}"),
    }
}

fn end(ledger: &Ledger, permit: obscura_privacy::Permit) -> Result<Committed, Error> {
    let noised = fold(ledger, permit, 3).unwrap();
    commit(ledger, noised)
}

fn bases(disk: &Disk) -> usize {
    let names = disk.names().unwrap().into_iter();
    names.filter(|name| name.starts_with("base-")).count()
}

/// How many records have lost their charges.
fn dropped(disk: &Disk) -> usize {
    let frames = frames(disk).into_iter();
    frames.filter(|frame| frame.dropped.is_some()).count()
}

#[test]
fn a_ledger_compacts_from_a_length_of_old_segments_on_and_not_before() {
    let disk = Disk::default();
    drop(grown(&disk, 9));
    let names = disk.names().unwrap().into_iter();
    let segments: Vec<_> = names.filter(|name| name.starts_with("seg-")).collect();
    let old = &segments[..segments.len() - 1];
    let length = old.iter().map(|name| disk.bytes(name).len() as u64).sum();
    for (compact_from, compacts) in [(length + 1, false), (length, true)] {
        let site = Site {
            compact_from,
            ..site_of(&disk)
        };
        let ledger = Ledger::open_at(site, NODE, entropy(2), NOW).unwrap();
        let before = truth(&ledger, ledger.head().size);
        assert_eq!(ledger.wants_tending(), compacts);
        let written = ledger.tend(NOW).unwrap() as usize;
        assert_eq!(written, if compacts { old.len() } else { 0 });
        assert_eq!(truth(&ledger, before.head.size), before);
        assert!(!ledger.wants_tending());
    }
    assert!(dropped(&disk) > 5);
}

#[test]
fn a_base_is_not_made_for_fewer_old_releases_than_it_is_worth() {
    let disk = Disk::default();
    let ledger = grown(&disk, 0);
    let mut lengths = Vec::new();
    for n in 0..60 {
        answer(&ledger, ask(n), 5);
        if ledger.tend(NOW).unwrap() > 0 {
            lengths.push(n);
        }
    }
    assert!(lengths.len() > 9, "{lengths:?}");
    // Four bases of twelve subjects are less than a segment, so that every old one is worth it.
    assert!(ledger.head().size > 120 + lengths.len() as u64);
    assert_eq!(bases(&disk), 1);
}

#[test]
fn a_mark_waits_for_the_release_that_is_open_and_comes_with_its_end() {
    let disk = Disk::default();
    let ledger = grown(&disk, 7);
    let permit = begun(&ledger, 50);
    let (size, before) = (ledger.head().size, dropped(&disk));
    assert_eq!(ledger.tend(NOW).unwrap(), 0);
    assert!(!ledger.wants_tending(), "nothing to do before its end");
    assert_eq!((ledger.head().size, bases(&disk)), (size, 1));
    let release = end(&ledger, permit).unwrap();
    assert_eq!(release.index(), size);
    assert_eq!(ledger.head().size, size + 2, "the release and the mark");
    assert_eq!(
        dropped(&disk),
        before,
        "nothing is dropped by whoever waits"
    );
    let kept = truth(&ledger, size + 2);
    assert!(ledger.wants_tending() && ledger.tend(NOW).unwrap() > 4);
    assert!(dropped(&disk) > 3);
    assert_eq!(truth(&ledger, size + 2), kept);
    drop(ledger);
    assert_eq!(truth(&open(&disk).unwrap(), size + 2), kept);
}

#[test]
fn who_commits_waits_for_one_sync_and_never_for_a_base_or_an_old_segment() {
    let disk = Disk::default();
    let wide = Site {
        segment_bytes: 1 << 16,
        ..site_of(&disk)
    };
    drop(grown(&disk, 7));
    let ledger = Ledger::open_at(wide, NODE, entropy(2), NOW).unwrap();
    answer(&ledger, ask(40), 1);
    let permit = begun(&ledger, 50);
    ledger.tend(NOW).unwrap();
    let noised = fold(&ledger, permit, 1).unwrap();
    let (before, size) = (disk.syncs(), ledger.head().size);
    commit(&ledger, noised).unwrap();
    assert_eq!(ledger.head().size, size + 2);
    assert_eq!(disk.syncs(), before + 1);
}

#[test]
fn exposures_in_memory_that_no_record_explains_stop_the_ledger_before_anything_is_dropped() {
    let disk = Disk::default();
    let ledger = grown(&disk, 7);
    let (exposures, size) = (ledger.peek_for_tests(), ledger.head().size);
    ledger.expose_for_tests();
    assert!(ledger.tend(NOW).is_err_and(|error| error.is_fatal()));
    assert!(ledger.health().is_err());
    drop(ledger);
    assert_eq!(dropped(&disk), 0);
    let ledger = open(&disk).unwrap();
    assert_eq!(ledger.peek_for_tests(), exposures);
    assert_eq!((ledger.head().size, bases(&disk)), (size, 0));
}

#[test]
fn people_who_were_found_to_be_one_keep_their_exposure_when_charges_go() {
    let disk = Disk::default();
    let ledger = grown(&disk, 6);
    ledger.tend(NOW).unwrap();
    (20..24).for_each(|n| drop(answer(&ledger, ask(n), 5)));
    let one = vec![([3; 16], [103; 16]), ([4; 16], [103; 16])];
    ledger.rekey(&people_of(), one, vec![], NOW).unwrap();
    (30..34).for_each(|n| drop(answer(&ledger, ask(n), 5)));
    let before = truth(&ledger, ledger.head().size);
    assert!(ledger.tend(NOW).unwrap() > 0);
    drop(ledger);
    let ledger = open(&disk).unwrap();
    assert_eq!(truth(&ledger, before.head.size), before);
}

#[test]
fn answers_read_while_the_ledger_tends_itself_are_those_from_before() {
    let disk = Disk::default();
    let ledger = grown(&disk, 12);
    let keys = ledger.answered(&ANN);
    let read = || -> Vec<_> {
        keys.iter()
            .map(|key| ledger.release(key).unwrap())
            .collect()
    };
    let before = read();
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| (0..20).all(|_| read() == before));
        let writer = scope.spawn(|| (60..90).for_each(|n| drop(answer(&ledger, ask(n), 1))));
        while !writer.is_finished() {
            ledger.tend(NOW).unwrap();
        }
        assert!(reader.join().unwrap(), "another answer meanwhile");
        writer.join().unwrap();
    });
    assert_eq!(read(), before);
    ledger.tend(NOW).unwrap();
    let before = truth(&ledger, ledger.head().size);
    assert!(dropped(&disk) > 20);
    drop(ledger);
    assert_eq!(truth(&open(&disk).unwrap(), before.head.size), before);
}

/// A release that ends while a mark waits, and the upkeep after it, with the power going or a
/// call failing at `call`. Says whether all of it came to its end.
fn crash(grown: &Disk, call: u64, fault: Fault, survivors: u64) -> bool {
    let what = format!("call {call} {fault:?} survivors {survivors}");
    let disk = grown.after_power_cut(1);
    let ledger = open(&disk).unwrap();
    let size = ledger.head().size;
    let before = truth(&ledger, size);
    let permit = begun(&ledger, 60);
    disk.set_fault(call, fault);
    let tended = ledger.tend(NOW);
    let ended = tended.and_then(|_| end(&ledger, permit));
    let acknowledged = ended.is_ok();
    let done = ended.and_then(|_| ledger.tend(NOW));
    assert_eq!(ledger.health().is_err(), done.is_err(), "{what}");
    drop(ledger);
    let disk = disk.after_power_cut(survivors);
    let ledger = open(&disk).unwrap_or_else(|error| panic!("{what}: {error}"));
    let found = ledger.release(&ask(60).key).unwrap();
    assert!(found.is_some() || !acknowledged, "{what}");
    for open in ledger.reruns() {
        let permit = ledger.rerun(open.index, shape(), NOW).unwrap();
        end(&ledger, permit).unwrap();
    }
    for round in ["once", "again", "started again"] {
        let expected: Vec<u64> = before.state.accounts[&population()].exposures.to_vec();
        let added = ledger.peek_for_tests().into_iter().zip(expected);
        let top = added.clone().map(|(now, then)| now - then).max();
        assert!(
            top.is_some_and(|top| 0 < top && top <= PRICE.nano()),
            "{what} {round}"
        );
        let now = truth(&ledger, size);
        assert_eq!(
            (&now.leaves, now.head),
            (&before.leaves, before.head),
            "{what} {round}"
        );
        assert_eq!(now.log, before.log, "{what} {round}");
        for (index, answer) in &before.answers {
            assert_eq!(now.answers.get(index), Some(answer), "{what} {round}");
        }
        ledger.tend(NOW).unwrap();
    }
    let exposures = ledger.peek_for_tests();
    drop(ledger);
    let ledger = open(&disk).unwrap();
    assert_eq!(ledger.peek_for_tests(), exposures, "{what}");
    assert_eq!(bases(&disk), 1, "{what}");
    done.is_ok()
}

/// A ledger that compacted itself once, and has grown since.
fn tended() -> Disk {
    let disk = Disk::default();
    let ledger = grown(&disk, 5);
    ledger.tend(NOW).unwrap();
    (20..25).for_each(|n| drop(answer(&ledger, ask(n), 5)));
    disk
}

#[test]
fn a_power_cut_at_any_storage_call_around_a_mark_that_waited_loses_nothing() {
    let disk = tended();
    let ends = |call, seed| crash(&disk, call, Fault::PowerCut, seed);
    let calls = (1..).take_while(|call| (0..6).filter(|seed| !ends(*call, *seed)).count() > 0);
    let calls = calls.count();
    assert!(calls > 25, "only {calls} calls");
}

#[test]
fn a_failing_storage_call_around_a_mark_that_waited_stops_the_ledger_and_loses_nothing() {
    let disk = tended();
    let ends = |call, seed| crash(&disk, call, Fault::Error, seed);
    let calls = (1..).take_while(|call| (0..2).filter(|seed| !ends(*call, *seed)).count() > 0);
    let calls = calls.count();
    assert!(calls > 25, "only {calls} calls");
}
