//! Claims about questions that were answered before: their ids are used up like any other, and
//! nothing is added.

use obscura_model::ids::Digest;
use obscura_privacy::Mode;

use super::compaction::{self, ask, grown};
use super::disk::Disk;
use super::projects::join;
use super::world::*;
use crate::{
    Admission, AdmitRequest, Committed, DatasetVersion, Error, Ledger, MOST_OFFERS, OfferRequest,
    Refusal, consistent,
};

/// The offer that comes before an admission.
fn offered(ledger: &Ledger, request: &AdmitRequest) -> Result<Option<Committed>, Error> {
    let offer = OfferRequest {
        key: request.key,
        body_digest: request.body_digest,
        plan: request.plan,
        dataset: request.dataset,
    };
    ledger.offer(offer, NOW)
}

fn known(ledger: &Ledger, request: AdmitRequest) -> Committed {
    match ledger.admit(request, NOW).unwrap() {
        Admission::Known(committed) => committed,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_same_question_on_the_same_version_is_offered_to_who_asked_it() {
    let disk = Disk::default();
    let ledger = ready(&disk, Mode::Protect, 3);
    join(&ledger, BOB);
    assert_eq!(offered(&ledger, &request(1, ANN, 1)).unwrap(), None);
    let first = answer(&ledger, request(1, ANN, 1), 1);
    let found = offered(&ledger, &request(1, ANN, 3)).unwrap();
    assert_eq!(found, Some(first));
    let newest = answer(&ledger, request(1, ANN, 2), 1);
    let found = offered(&ledger, &request(1, ANN, 4)).unwrap();
    assert_eq!(found, Some(newest));
    assert_eq!(offered(&ledger, &request(1, BOB, 3)).unwrap(), None);
    let version = 2;
    let second = DatasetVersion {
        version,
        ..dataset()
    };
    let later = AdmitRequest {
        dataset: second,
        ..request(1, ANN, 5)
    };
    assert_eq!(offered(&ledger, &later).unwrap(), None);
    let other = AdmitRequest {
        plan: Digest::of(b"another question"),
        ..request(1, ANN, 5)
    };
    assert_eq!(offered(&ledger, &other).unwrap(), None);
}

#[test]
fn a_request_answered_earlier_is_answered_so_for_ever_and_another_body_is_a_conflict() {
    let disk = Disk::default();
    let ledger = ready(&disk, Mode::Protect, 3);
    let made = answer(&ledger, request(1, ANN, 1), 1);
    let (before, exposures) = (meter(&ledger), ledger.peek_for_tests());
    let repeat = request(1, ANN, 7);
    assert_eq!(offered(&ledger, &repeat).unwrap(), Some(made.clone()));
    let head = ledger.head();
    assert_eq!(offered(&ledger, &repeat).unwrap(), None, "it is used up");
    let newer = answer(&ledger, request(1, ANN, 2), 1);
    assert_ne!(newer, made);
    add_version(&ledger, 4).unwrap();
    let mut ledger = Some(ledger);
    for _ in 0..2 {
        let ledger = ledger.take().unwrap_or_else(|| open(&disk).unwrap());
        // Its id is known by itself, whatever is the newest answer now.
        assert_eq!(known(&ledger, repeat.clone()), made);
        assert_eq!(ledger.release(&repeat.key).unwrap(), Some(made.clone()));
        assert_eq!(ledger.asked(&repeat.key), Some(repeat.body_digest));
        let other = AdmitRequest {
            body_digest: Digest::of(b"another body"),
            ..repeat.clone()
        };
        let conflict = ledger.admit(other, NOW).unwrap();
        assert!(matches!(conflict, Admission::Conflict), "{conflict:?}");
        assert_eq!(ledger.answered(&ANN), [key(ANN, 1), key(ANN, 2)]);
        let proof = ledger.consistency(head.size, ledger.head().size).unwrap();
        assert!(consistent(&head, &ledger.head(), &proof));
        assert_eq!(meter(&ledger), before.checked_add(PRICE).unwrap());
        let added = ledger.peek_for_tests();
        let twice = exposures.iter().map(|exposure| 2 * exposure);
        assert!(added.into_iter().eq(twice), "one more release, and no more");
    }
}

#[test]
fn compaction_keeps_which_request_an_earlier_release_answers() {
    let disk = Disk::default();
    let ledger = grown(&disk, 1);
    let made = known(&ledger, ask(0));
    offered(&ledger, &ask(900)).unwrap();
    for n in 1..12 {
        answer(&ledger, ask(n), 1);
    }
    let compacted = ledger.compact(NOW).unwrap();
    assert!(compacted.records > 3, "{compacted:?}");
    assert_eq!(known(&ledger, ask(900)), made);
    drop(ledger);
    let ledger = compaction::open(&disk).unwrap();
    assert_eq!(known(&ledger, ask(900)), made);
}

#[test]
fn one_release_answers_a_bounded_number_of_other_requests() {
    let disk = Disk::default();
    let ledger = ready(&disk, Mode::Protect, 3);
    let made = answer(&ledger, ask(0), 1);
    let most = u16::try_from(MOST_OFFERS).unwrap();
    for n in 1..=most {
        let found = offered(&ledger, &ask(n)).unwrap();
        assert_eq!(found.unwrap().index(), made.index());
    }
    let size = ledger.head().size;
    let refused = offered(&ledger, &ask(most + 1));
    assert!(matches!(
        refused,
        Err(Error::Refused(Refusal::OfferedOften))
    ));
    assert_eq!(ledger.head().size, size, "nothing was written");
    assert_eq!(known(&ledger, ask(most)), made);
}
