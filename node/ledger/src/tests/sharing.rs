//! Claims about releases that share a slot, and about callers that share a flush.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use obscura_privacy::{Mode, Permit};

use super::disk::{Disk, Fault};
use super::world::*;
use crate::{Admission, Error, Ledger, OfferRequest, Refusal, StudyState};

fn granted(admission: Result<Admission, Error>) -> Permit {
    match admission {
        Ok(Admission::Granted(permit)) => permit,
        other => panic!("{other:?}"),
    }
}

/// The permits of Ann's requests in this order, who share a slot.
fn together(ledger: &Ledger, requests: impl IntoIterator<Item = u16>) -> Vec<Permit> {
    let requests = requests.into_iter().map(|n| request(1, ANN, n)).collect();
    let admitted = ledger.admit_together(requests, NOW).unwrap();
    admitted.into_iter().map(granted).collect()
}

/// Room for so many thousandths of one price.
fn narrow(disk: &Disk, mode: Mode, thousandths: u64) -> Ledger {
    let ledger = ready(disk, mode, 9);
    let room = PRICE.nano() / 1_000 * thousandths;
    ledger
        .set_limit(limit(population(), room, mode), NOW)
        .unwrap();
    ledger
}

#[test]
fn members_of_a_slot_are_charged_as_if_each_had_one_of_its_own() {
    for room in [1_000, 1_300, 1_700, 2_200, 2_900, 9_000] {
        let shared = narrow(&Disk::default(), Mode::Protect, room);
        for (permit, seed) in together(&shared, 1..4).into_iter().zip(7..) {
            let noised = fold(&shared, permit, seed).unwrap();
            commit(&shared, noised).unwrap();
        }
        let alone = narrow(&Disk::default(), Mode::Protect, room);
        for n in 1..4 {
            answer(&alone, request(1, ANN, n), 6 + u64::from(n));
        }
        assert_eq!(shared.peek_for_tests(), alone.peek_for_tests(), "{room}");
        assert_eq!(meter(&shared), meter(&alone));
        assert_eq!(meter(&shared).nano(), 3 * PRICE.nano());
    }
}

#[test]
fn intents_of_a_slot_take_one_flush_and_each_counts_those_before() {
    let disk = Disk::default();
    let ledger = narrow(&disk, Mode::Strict, 2_000);
    let (before, syncs) = (ledger.head().size, disk.syncs());
    let requests = (1..4).map(|n| request(1, ANN, n)).collect();
    let mut admitted = ledger.admit_together(requests, NOW).unwrap().into_iter();
    assert_eq!(disk.syncs() - syncs, 1);
    assert_eq!(ledger.head().size, before + 2);
    for _ in 0..2 {
        granted(admitted.next().unwrap());
    }
    let third = admitted.next().unwrap();
    assert!(matches!(third, Err(Error::Refused(_))), "{third:?}");
    // Whoever comes later waits for all of them.
    let later = ledger.admit(request(1, ANN, 8), NOW).unwrap();
    assert!(matches!(later, Admission::Busy));
}

#[test]
fn folds_of_a_slot_come_one_after_the_other() {
    let ledger = ready(&Disk::default(), Mode::Protect, 9);
    let mut permits = together(&ledger, 1..3).into_iter();
    let (first, second) = (permits.next().unwrap(), permits.next().unwrap());
    let early = ledger.exposures(&second);
    assert!(matches!(
        early,
        Err(Error::Refused(Refusal::NoIntent(intent))) if intent == second.intent()
    ));
    let noised = fold(&ledger, first, 1).unwrap();
    assert!(ledger.exposures(&second).is_err(), "not committed yet");
    commit(&ledger, noised).unwrap();
    // Still open: no ingest, no other slot.
    assert!(add_version(&ledger, 9).is_err());
    let next = ledger.admit(request(1, ANN, 8), NOW).unwrap();
    assert!(matches!(next, Admission::Busy));
    let noised = fold(&ledger, second, 2).unwrap();
    commit(&ledger, noised).unwrap();
    add_version(&ledger, 9).unwrap();
}

#[test]
fn a_crash_in_a_slot_counts_once_and_what_it_left_runs_again_in_order() {
    for committed in 0..3usize {
        let disk = Disk::default();
        let ledger = ready(&disk, Mode::Protect, 9);
        for (n, permit) in together(&ledger, 1..4).into_iter().enumerate() {
            if n < committed {
                let noised = fold(&ledger, permit, 1).unwrap();
                commit(&ledger, noised).unwrap();
            }
        }
        drop(ledger);
        let ledger = open(&disk.after_power_cut(0)).unwrap();
        assert_eq!(ledger.population(&people_of(), NOW).unwrap().stops, 1);
        let open = ledger.reruns();
        assert_eq!(open.len(), 3 - committed);
        assert!(open.is_sorted_by_key(|intent| intent.index));
        let permits: Vec<_> = open
            .iter()
            .map(|intent| ledger.rerun(intent.index, shape(), NOW).unwrap())
            .collect();
        if let [_, second, ..] = permits.as_slice() {
            assert!(ledger.exposures(second).is_err());
        }
        for permit in permits {
            let noised = fold(&ledger, permit, 5).unwrap();
            commit(&ledger, noised).unwrap();
        }
        assert_eq!(meter(&ledger).nano(), 3 * PRICE.nano());
    }
}

#[test]
fn of_a_slot_that_was_interrupted_twice_nothing_runs_and_every_price_stands() {
    let disk = Disk::default();
    let ledger = ready(&disk, Mode::Protect, 9);
    drop((together(&ledger, 1..4), ledger));
    let ledger = open(&disk).unwrap();
    for open in ledger.reruns() {
        ledger.rerun(open.index, shape(), NOW).unwrap();
    }
    drop(ledger);
    let ledger = open(&disk).unwrap();
    let view = ledger.population(&people_of(), NOW).unwrap();
    assert_eq!((view.stops, view.open_intent), (2, None));
    for n in 1..4 {
        let poisoned = ledger.admit(request(1, ANN, n), NOW).unwrap();
        assert!(matches!(poisoned, Admission::Poisoned));
    }
    assert_eq!(meter(&ledger).nano(), 3 * PRICE.nano());
    let study = ledger.study(study_id(1), NOW).unwrap();
    assert_eq!(study.state, StudyState::Suspended);
}

/// What one of several callers does: whether it was told something.
type Call<'a> = Box<dyn FnOnce() -> bool + Send + 'a>;

/// A commit and other calls, all at once, the commit first: whether each was acknowledged. Whoever
/// panics was not. `prepare` is called with nothing under way but the release.
fn beside_a_commit(ledger: &Ledger, prepare: impl FnOnce(), others: Vec<Call<'_>>) -> Vec<bool> {
    let permit = granted(ledger.admit(request(1, ANN, 9), NOW));
    let noised = fold(ledger, permit, 2).unwrap();
    let (calls, done) = (others.len(), &AtomicBool::new(false));
    let barrier = &Barrier::new(calls + 1);
    let before = ledger.head().size;
    prepare();
    std::thread::scope(|scope| {
        let commits = scope.spawn(move || {
            let committed = ledger.commit(noised, NOW, |context, _| {
                barrier.wait();
                while ledger.coming_for_tests() < calls {
                    std::thread::yield_now();
                }
                context.index.to_le_bytes().to_vec()
            });
            committed.is_ok()
        });
        let others = others.into_iter().map(|call| {
            scope.spawn(move || {
                barrier.wait();
                call()
            })
        });
        let writers: Vec<_> = std::iter::once(commits).chain(others).collect();
        let watch = scope.spawn(move || {
            while !done.load(SeqCst) {
                let size = ledger.head().size;
                assert!(size == before || size > before + 1, "seen half-way");
            }
        });
        let made = writers
            .into_iter()
            .map(|writer| writer.join().unwrap_or(false));
        let made = made.collect();
        done.store(true, SeqCst);
        watch.join().unwrap();
        made
    })
}

/// A commit and three answers from before, which all write at once.
pub(super) fn at_once(ledger: &Ledger, prepare: impl FnOnce()) -> Vec<bool> {
    answer(ledger, request(1, ANN, 8), 1);
    let offers = (10..13).map(|n| -> Call<'_> {
        Box::new(move || {
            let asked = request(1, ANN, n);
            let offer = OfferRequest {
                key: asked.key,
                body_digest: asked.body_digest,
                plan: asked.plan,
                dataset: asked.dataset,
            };
            ledger.offer(offer, NOW).is_ok_and(|found| found.is_some())
        })
    });
    beside_a_commit(ledger, prepare, offers.collect())
}

#[test]
fn who_writes_at_the_same_time_shares_a_flush_and_nobody_sees_it_half_way() {
    let disk = Disk::default();
    let ledger = ready(&disk, Mode::Protect, 9);
    answer(&ledger, request(1, ANN, 0), 1);
    let size = ledger.head().size;
    let mut prepared = 0;
    let made = at_once(&ledger, || prepared = disk.syncs());
    assert_eq!(made, [true; 4]);
    assert_eq!(disk.syncs() - prepared, 1);
    let (head, exposures) = (ledger.head(), ledger.peek_for_tests());
    assert_eq!(head.size, size + 2 + 1 + 4);
    drop(ledger);
    let ledger = open(&disk.after_power_cut(0)).unwrap();
    assert_eq!(ledger.head(), head);
    assert_eq!(ledger.peek_for_tests(), exposures);
    for n in 10..13 {
        assert!(ledger.release(&key(ANN, n)).unwrap().is_some());
    }
}

#[test]
fn a_shared_flush_that_fails_acknowledges_nobody_and_stops_the_ledger() {
    // The write and the sync.
    for call in [1, 2] {
        for survivors in 0..8 {
            let disk = Disk::default();
            let ledger = ready(&disk, Mode::Protect, 9);
            answer(&ledger, request(1, ANN, 0), 1);
            let before = ledger.head().size + 3;
            let fails = || disk.set_fault(call, Fault::Error);
            assert_eq!(at_once(&ledger, fails), [false; 4], "call {call}");
            assert_eq!(ledger.head().size, before, "the head was not acknowledged");
            assert!(ledger.health().is_err());
            drop(ledger);
            let ledger = open(&disk.after_power_cut(survivors)).unwrap();
            let there = (10..13).map(|n| ledger.release(&key(ANN, n)).unwrap().is_some());
            let there: Vec<_> = there.collect();
            assert!(there.iter().all(|one| *one == there[0]), "all or none");
            assert_eq!(ledger.reruns().len(), usize::from(!there[0]));
        }
    }
}

#[test]
fn who_decides_on_what_is_not_durable_yet_waits_for_it_too() {
    // The write and the sync.
    for call in [1, 2] {
        let disk = Disk::default();
        let ledger = ready(&disk, Mode::Protect, 9);
        // The first of them begins a release; what the others hear follows from that alone.
        let asks = |_| -> Call<'_> { Box::new(|| ledger.admit(request(1, ANN, 10), NOW).is_ok()) };
        let fails = || disk.set_fault(call, Fault::Error);
        let told = beside_a_commit(&ledger, fails, (0..4).map(asks).collect());
        assert_eq!(told, [false; 5], "call {call}");
        assert_eq!(ledger.asked(&key(ANN, 10)), None);
        drop(ledger);
        let ledger = open(&disk.after_power_cut(0)).unwrap();
        assert_eq!(ledger.asked(&key(ANN, 10)), None);
    }
}

#[test]
fn a_panic_in_a_shared_flush_acknowledges_nobody_and_nobody_waits_for_ever() {
    // The write, the sync, and the tail.
    for call in [1, 2, 3] {
        let disk = Disk::default();
        let ledger = ready(&disk, Mode::Protect, 9);
        answer(&ledger, request(1, ANN, 0), 1);
        let before = ledger.head().size + 3;
        let made = at_once(&ledger, || disk.set_fault(call, Fault::Panic));
        assert_eq!(made, [false; 4], "call {call}");
        assert_eq!(ledger.head().size, before, "the head was not acknowledged");
        assert!(ledger.health().is_err());
        assert!(ledger.admit(request(1, ANN, 5), NOW).is_err());
        drop(ledger);
        let ledger = open(&disk.after_power_cut(0)).unwrap();
        assert_eq!(ledger.reruns().len(), usize::from(call < 3));
    }
}
