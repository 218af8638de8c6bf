//! What holds after every operation, each as a function of what is seen.

use std::collections::BTreeMap;

use obscura_model::ids::KeyId;
use obscura_privacy::Mode;

/// What a ledger shows, and its exposures.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Seen {
    /// Two populations, then the dataset with its own limit. A population that was merged into
    /// the other has none.
    pub(super) books: Vec<Option<SeenBook>>,
    pub(super) people: BTreeMap<KeyId, u64>,
    /// Members, waiting, taken.
    pub(super) projects: Vec<(Vec<KeyId>, Vec<KeyId>, u64)>,
    /// Begun and taken of every grant.
    pub(super) grants: Vec<(u32, u64)>,
    /// Runs begun of every study.
    pub(super) studies: Vec<Vec<u32>>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct SeenBook {
    pub(super) meter: u64,
    pub(super) keys: u64,
    pub(super) guarantee: u64,
    /// Of delta for keys.
    pub(super) guarantee_keys: u64,
    pub(super) exposures: Vec<u64>,
}

/// One release as it was charged: of each account the terms and the exposures before and after.
pub(super) struct Charged<'a> {
    pub(super) price: u64,
    pub(super) terms: &'a [(u64, Mode)],
    pub(super) before: Vec<Vec<u64>>,
    pub(super) after: Vec<Vec<u64>>,
}

/// Every exposure is at most the meter. Somebody who was two subjects may be above it and waits,
/// and so may an index that such a person left.
pub(super) fn meter_covers_every_exposure(book: &SeenBook, waits: impl Fn(usize) -> bool) {
    for (slot, exposure) in book.exposures.iter().enumerate() {
        assert!(
            *exposure <= book.meter || waits(slot),
            "{exposure} of {slot} is above {}",
            book.meter
        );
    }
}

/// Nothing takes exposure, meters, totals or promises back.
pub(super) fn nothing_is_taken_back(before: &Seen, after: &Seen) {
    for (before, after) in before.books.iter().zip(&after.books) {
        assert_eq!(before.is_some(), after.is_some(), "a population");
        if let (Some(before), Some(after)) = (before, after) {
            let mut pairs = before.exposures.iter().zip(&after.exposures);
            assert!(pairs.all(|(before, after)| before <= after), "exposures");
            a_book_is_not_taken_back(before, after);
        }
    }
    totals_are_not_taken_back(before, after);
}

fn a_book_is_not_taken_back(before: &SeenBook, after: &SeenBook) {
    assert!(before.meter <= after.meter && before.keys <= after.keys);
    assert!(before.guarantee <= after.guarantee, "the guarantee");
    assert!(before.guarantee_keys <= after.guarantee_keys);
}

fn totals_are_not_taken_back(before: &Seen, after: &Seen) {
    let mut totals = before.people.iter();
    assert!(totals.all(|(person, taken)| taken <= &after.people[person]));
    let mut projects = before.projects.iter().zip(&after.projects);
    assert!(projects.all(|(before, after)| before.2 <= after.2));
    let mut grants = before.grants.iter().zip(&after.grants);
    assert!(grants.all(|(before, after)| before <= after));
}

/// A merge: who is in both has both exposures, everybody else what they had; meters and deltas
/// and what was promised are at least those of both; nothing else changes.
pub(super) fn a_merge_adds(before: &Seen, after: &Seen, merged: &Merged) {
    let Merged { keep, gone, places } = merged;
    assert!(after.books[*gone].is_none());
    let [kept, other] = [keep, gone].map(|n| before.books[*n].as_ref().unwrap());
    let joint = after.books[*keep].as_ref().unwrap();
    for (slot, exposure) in joint.exposures.iter().enumerate() {
        let from = places.iter().filter(|(_, to)| *to == slot);
        let more: u64 = from.map(|(from, _)| other.exposures[*from]).sum();
        assert_eq!(*exposure, kept.exposures[slot] + more, "subject {slot}");
    }
    assert_eq!(joint.meter, kept.meter + other.meter);
    assert_eq!(joint.keys, kept.keys + other.keys);
    assert!(joint.guarantee >= kept.guarantee + other.guarantee);
    assert!(joint.guarantee_keys >= kept.guarantee_keys + other.guarantee_keys);
    let [old, new] = [before, after].map(|seen| seen.books[2].as_ref().unwrap());
    a_book_is_not_taken_back(old, new);
    if *gone == 0 {
        for (from, to) in places {
            assert_eq!(old.exposures[*from], new.exposures[*to]);
        }
    } else {
        assert_eq!(old.exposures, new.exposures);
    }
    assert_eq!(before.people, after.people);
    totals_are_not_taken_back(before, after);
}

/// Where the subjects of a population that is gone came to lie.
#[derive(Debug, Clone)]
pub(super) struct Merged {
    pub(super) keep: usize,
    pub(super) gone: usize,
    /// There and here.
    pub(super) places: Vec<(usize, usize)>,
}

/// Nobody is charged more than the price.
pub(super) fn charges_are_at_most_the_price(charged: &Charged<'_>) {
    for (before, after) in charged.before.iter().zip(&charged.after) {
        let mut charges = before
            .iter()
            .zip(after)
            .map(|(before, after)| after - before);
        assert!(charges.all(|charge| charge <= charged.price));
    }
}

/// Whoever is charged is within every limit in force when the release was admitted, in protect
/// mode by the filter and in strict mode by the meter.
pub(super) fn who_is_charged_stays_within_the_limits_in_force(charged: &Charged<'_>) {
    let both = charged.before.iter().zip(&charged.after);
    for ((before, after), (limit, _)) in both.zip(charged.terms) {
        let mut pairs = before.iter().zip(after);
        assert!(pairs.all(|(before, after)| before == after || after <= limit));
    }
}

/// Strict mode: the meter, this release included, is within the limit.
pub(super) fn strict_meters_stay_within_their_limits(terms: &[(u64, Mode)], meters: &[u64]) {
    let mut both = terms.iter().zip(meters);
    assert!(both.all(|((limit, mode), meter)| *mode == Mode::Protect || meter <= limit));
}

/// Whoever is marked is not charged.
pub(super) fn nobody_marked_is_charged(charged: &Charged<'_>, marked: &[usize]) {
    for (before, after) in charged.before.iter().zip(&charged.after) {
        assert!(marked.iter().all(|slot| before[*slot] == after[*slot]));
    }
}

/// The guarantee is the highest limit that was ever in force.
pub(super) fn the_guarantee_is_the_highest_limit_ever(book: &SeenBook, highest: (u64, u64)) {
    assert_eq!((book.guarantee, book.guarantee_keys), highest);
}

/// Delta for keys: what was taken is within what is promised, in both modes.
pub(super) fn keys_stay_within_what_is_promised(book: &SeenBook) {
    assert!(book.keys <= book.guarantee_keys);
}

/// Every counted price is in one person's total, one project's, and one right's.
pub(super) fn totals_are_the_sums_of_the_intents(
    seen: &Seen,
    people: &BTreeMap<KeyId, u64>,
    projects: &[u64],
    grants: &[u64],
) {
    assert_eq!(seen.people, *people);
    let seen_projects: Vec<u64> = seen.projects.iter().map(|project| project.2).collect();
    assert_eq!(seen_projects, projects);
    let seen_grants: Vec<u64> = seen.grants.iter().map(|grant| grant.1).collect();
    assert_eq!(seen_grants, grants);
}
