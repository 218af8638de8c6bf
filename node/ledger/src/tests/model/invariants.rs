//! What holds after every operation, each as a function of what is seen.

use std::collections::BTreeMap;

use obscura_model::ids::KeyId;
use obscura_privacy::Mode;

/// What a ledger shows, and its exposures.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Seen {
    /// Two populations, then the dataset with its own limit.
    pub(super) books: Vec<SeenBook>,
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
        let mut pairs = before.exposures.iter().zip(&after.exposures);
        assert!(pairs.all(|(before, after)| before <= after), "exposures");
        assert!(before.meter <= after.meter && before.keys <= after.keys);
        assert!(before.guarantee <= after.guarantee, "the guarantee");
    }
    let mut totals = before.people.iter();
    assert!(totals.all(|(person, taken)| taken <= &after.people[person]));
    let mut projects = before.projects.iter().zip(&after.projects);
    assert!(projects.all(|(before, after)| before.2 <= after.2));
    let mut grants = before.grants.iter().zip(&after.grants);
    assert!(grants.all(|(before, after)| before <= after));
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
pub(super) fn the_guarantee_is_the_highest_limit_ever(book: &SeenBook, highest: u64) {
    assert_eq!(book.guarantee, highest);
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
