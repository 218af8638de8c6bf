//! Claims about people who come and go, ids that change, and populations that become one.

use obscura_model::exposure::{Delta, DeltaCharge, Limit, Rho};
use obscura_model::ids::{DatasetId, DatasetName, PopulationName};
use obscura_privacy::{Accumulator, Mode, Permit, Sparse, admission};
use rand::SeedableRng as _;

use super::disk::Disk;
use super::world::*;
use crate::{
    Account, Admission, AdmitRequest, DatasetVersion, Error, Indexed, Ledger, LimitSet, Mark,
    Marked, NewData, NewGrant, NewPopulation, Refusal, Secrets, SubjectHash,
};

fn refusal<T: std::fmt::Debug>(result: Result<T, Error>) -> Refusal {
    match result {
        Err(Error::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

const fn hash(n: u8) -> SubjectHash {
    [n; 16]
}

fn mark(ledger: &Ledger, mark: Mark, who: &[u8]) -> Marked {
    let hashes = who.iter().map(|n| hash(*n)).collect();
    ledger
        .mark_subjects(&people_of(), mark, hashes, "asked".into(), vec![], NOW)
        .unwrap()
}

fn readmit(ledger: &Ledger, who: &[u8]) -> Marked {
    let hashes = who.iter().map(|n| hash(*n)).collect();
    ledger
        .readmit_subjects(&people_of(), hashes, "back".into(), vec![], NOW)
        .unwrap()
}

fn exposures(ledger: &Ledger) -> Vec<u64> {
    ledger.peek_for_tests()
}

#[test]
fn a_marked_person_is_in_no_release_and_is_charged_nothing_in_either_mode() {
    for (mode, kind) in [
        (Mode::Strict, Mark::Erased),
        (Mode::Protect, Mark::Excluded),
    ] {
        let disk = Disk::default();
        let ledger = ready(&disk, mode, 9);
        answer(&ledger, request(1, ANN, 1), 1);
        let before = exposures(&ledger);
        assert_eq!(mark(&ledger, kind, &[3, 77]).matched, 1);
        let Ok(Admission::Granted(permit)) = ledger.admit(request(1, ANN, 2), NOW) else {
            panic!("not granted")
        };
        assert!(permit.nobody_dropped(), "what is said does not change");
        let noised = fold(&ledger, permit, 1).unwrap();
        commit(&ledger, noised).unwrap();
        drop(ledger);
        let ledger = open(&disk).unwrap();
        let after = exposures(&ledger);
        assert_eq!(after[3], before[3], "an exposure stays, and does not grow");
        assert!(before[3] > 0 && after[4] > before[4]);
        assert_eq!(meter(&ledger).nano(), 2 * PRICE.nano());
        assert_eq!(readmit(&ledger, &[3]).matched, 1);
        answer(&ledger, request(1, ANN, 3), 1);
        assert!(exposures(&ledger)[3] > before[3]);
    }
}

#[test]
fn a_fold_that_charges_somebody_who_is_marked_is_not_committed() {
    let ledger = ready(&Disk::default(), Mode::Strict, 9);
    mark(&ledger, Mark::Excluded, &[3]);
    let Ok(Admission::Granted(permit)) = ledger.admit(request(1, ANN, 2), NOW) else {
        panic!("not granted")
    };
    let nobody = vec![0; CAPACITY as usize];
    let known = obscura_privacy::Known {
        accounts: &[&nobody],
        barred: &[false; CAPACITY as usize],
    };
    let noised = fold_over(permit, known, 1);
    assert!(matches!(commit(&ledger, noised), Err(Error::Commit)));
}

fn ingest(ledger: &Ledger, who: &[u8]) -> (Vec<Indexed>, u64) {
    let name = DatasetName::new("visits").unwrap();
    let mut ingest = ledger
        .begin_ingest(&people_of(), &name, dataset_id(1))
        .unwrap();
    let indexed = who.iter().map(|n| ingest.index(hash(*n)).unwrap());
    let indexed = indexed.collect();
    let left = ingest.left_out();
    let data = NewData {
        description: String::new(),
        file_sha256: [6; 32],
        rows: 1,
        evidence: vec![],
    };
    ledger.add_dataset(ingest, data, NOW).unwrap();
    (indexed, left)
}

#[test]
fn rows_of_the_marked_go_with_the_next_version_and_a_returning_id_has_its_old_place() {
    let disk = Disk::default();
    let ledger = ready(&disk, Mode::Protect, 9);
    answer(&ledger, request(1, ANN, 1), 1);
    let before = exposures(&ledger);
    mark(&ledger, Mark::Erased, &[3, 90]);
    let (indexed, left) = ingest(&ledger, &[2, 3, 90, 91]);
    let at = Indexed::At;
    assert_eq!(indexed, [at(2), Indexed::Left, Indexed::Left, at(8)]);
    assert_eq!(left, 2);
    drop(ledger);
    let ledger = open(&disk).unwrap();
    readmit(&ledger, &[3, 90]);
    let (indexed, left) = ingest(&ledger, &[3, 90]);
    assert_eq!((indexed, left), (vec![at(3), at(9)], 0));
    let after = exposures(&ledger);
    assert_eq!(after, before, "old ones are kept, and who is late has none");
    assert_eq!(after[9], 0);
}

#[test]
fn an_ingest_that_began_before_somebody_was_marked_does_not_end() {
    let ledger = ready(&Disk::default(), Mode::Protect, 9);
    let name = DatasetName::new("visits").unwrap();
    let begun = ledger
        .begin_ingest(&people_of(), &name, dataset_id(1))
        .unwrap();
    mark(&ledger, Mark::Excluded, &[99]);
    let data = NewData {
        description: String::new(),
        file_sha256: [6; 32],
        rows: 1,
        evidence: vec![],
    };
    let refused = refusal(ledger.add_dataset(begun, data, NOW));
    assert_eq!(refused, Refusal::IngestOverlap(people_of()));
}

#[test]
fn nothing_about_people_changes_while_a_release_is_open() {
    let ledger = ready(&Disk::default(), Mode::Protect, 9);
    let Ok(Admission::Granted(_permit)) = ledger.admit(request(1, ANN, 1), NOW) else {
        panic!("not granted")
    };
    let (name, open) = (people_of(), Refusal::IntentOpen(people_of()));
    let marked = ledger.mark_subjects(&name, Mark::Erased, vec![], "".into(), vec![], NOW);
    assert_eq!(refusal(marked), open);
    let back = ledger.readmit_subjects(&name, vec![], "".into(), vec![], NOW);
    assert_eq!(refusal(back), open);
    assert_eq!(refusal(ledger.rekey(&name, vec![], vec![], NOW)), open);
}

#[test]
fn the_journals_shape_does_not_tell_how_many_were_marked_or_whether_they_are_known() {
    let length = |who: &[u8]| {
        let disk = Disk::default();
        let ledger = ready(&disk, Mode::Protect, 1);
        let record = mark(&ledger, Mark::Excluded, who).index;
        let size = ledger.head().size;
        assert_eq!(record + 1, size);
        let texts = ledger.entries(record, 1).unwrap().remove(0).text;
        let bytes = disk.bytes("seg-00000001.journal");
        let used = bytes.iter().rposition(|byte| *byte != 0);
        (size, texts, bytes.len(), used.is_some())
    };
    let none = length(&[]);
    assert_eq!(length(&[1]), none);
    assert_eq!(length(&[1, 2, 3, 200, 201]), none);
}

#[test]
fn a_map_of_unknown_ids_is_said_to_know_nobody_and_is_written_all_the_same() {
    let ledger = ready(&Disk::default(), Mode::Protect, 3);
    let change = |old: u8| {
        let pairs = vec![([old; 16], [old + 100; 16])];
        ledger.rekey(&people_of(), pairs, vec![], NOW).unwrap()
    };
    let (known, unknown) = (change(3), change(90));
    assert_eq!((known.matched, unknown.matched), (1, 0));
    assert_eq!(
        unknown.index,
        known.index + 1,
        "nobody sees how many matched"
    );
}

fn rekey(ledger: &Ledger, pairs: &[(u8, u8)]) {
    let pairs = pairs.iter().map(|(a, b)| (hash(*a), hash(*b))).collect();
    ledger.rekey(&people_of(), pairs, vec![], NOW).unwrap();
}

#[test]
fn a_new_id_has_the_old_ids_place_exposure_and_mark() {
    let disk = Disk::default();
    let ledger = ready(&disk, Mode::Protect, 9);
    answer(&ledger, request(1, ANN, 1), 1);
    let before = exposures(&ledger);
    mark(&ledger, Mark::Erased, &[5, 60]);
    rekey(&ledger, &[(3, 103), (5, 105), (60, 160), (61, 161)]);
    let (indexed, _) = ingest(&ledger, &[103, 3, 105, 5, 160, 161]);
    let (at, left) = (Indexed::At, Indexed::Left);
    assert_eq!(indexed, [at(3), at(3), left, left, left, at(8)]);
    assert_eq!(exposures(&ledger), before);
    drop(ledger);
    let ledger = open(&disk).unwrap();
    readmit(&ledger, &[5]);
    let (indexed, _) = ingest(&ledger, &[105, 5]);
    assert_eq!(indexed, [at(5), at(5)], "every id of theirs is back");
}

#[test]
fn a_chain_of_ids_carries_the_exposure_in_any_order_of_its_pairs() {
    for pairs in [[(3, 103), (103, 203)], [(103, 203), (3, 103)]] {
        let disk = Disk::default();
        let ledger = ready(&disk, Mode::Protect, 9);
        answer(&ledger, request(1, ANN, 1), 1);
        rekey(&ledger, &pairs);
        let (indexed, _) = ingest(&ledger, &[3, 103, 203]);
        assert_eq!(indexed, [Indexed::At(3); 3], "{pairs:?}");
    }
}

#[test]
fn ids_that_are_renamed_before_they_are_known_are_one_person() {
    let disk = Disk::default();
    let ledger = ready(&disk, Mode::Protect, 20);
    rekey(&ledger, &[(161, 171), (61, 161), (62, 162)]);
    rekey(&ledger, &[(171, 181)]);
    let check = |ledger: &Ledger| {
        let (indexed, _) = ingest(ledger, &[161, 61]);
        assert_eq!(indexed, [Indexed::At(8); 2], "in one file");
        let (indexed, _) = ingest(ledger, &[181, 171, 61]);
        assert_eq!(indexed, [Indexed::At(8); 3], "and in the next");
    };
    check(&ledger);
    drop(ledger);
    let ledger = open(&disk).unwrap();
    check(&ledger);
    mark(&ledger, Mark::Erased, &[162]);
    let (indexed, _) = ingest(&ledger, &[62, 162]);
    assert_eq!(indexed, [Indexed::Left; 2], "a mark holds for every id");
    rekey(&ledger, &[(62, 181)]);
    let (indexed, _) = ingest(&ledger, &[61, 161]);
    assert_eq!(indexed, [Indexed::Left; 2]);
}

#[test]
fn two_ids_that_become_one_are_exposed_to_what_both_together_were() {
    let disk = Disk::default();
    let ledger = ready(&disk, Mode::Protect, 9);
    answer(&ledger, request(1, ANN, 1), 1);
    let before = exposures(&ledger);
    rekey(&ledger, &[(3, 100), (4, 100), (6, 100)]);
    let after = exposures(&ledger);
    // Three vectors of one person: the norm of their sum is at most the sum of the norms.
    let root: f64 = [3, 4, 6].map(|i| (before[i] as f64).sqrt()).iter().sum();
    assert!(after[3] as f64 >= root * root - 1.0);
    assert!(after[3] as f64 <= root * root + 10.0);
    assert!(after[3] >= before[3] + before[4] + before[6]);
    assert_eq!(
        (after[4], after[6]),
        (before[4], before[6]),
        "nothing falls"
    );
    let (indexed, _) = ingest(&ledger, &[100, 3, 4, 6]);
    assert_eq!(indexed, [Indexed::At(3); 4]);
}

#[test]
fn somebody_who_was_two_waits_until_the_meter_covers_them() {
    for mode in [Mode::Strict, Mode::Protect] {
        let disk = Disk::default();
        let ledger = ready(&disk, mode, 99);
        answer(&ledger, request(1, ANN, 1), 1);
        // 85 and 68 of 100: both together are above the meter.
        rekey(&ledger, &[(5, 100), (4, 100)]);
        let joined = exposures(&ledger)[4];
        assert!(joined > meter(&ledger).nano());
        let mut waited = 0;
        while exposures(&ledger)[4] == joined {
            assert!(joined > waited * PRICE.nano(), "it waits too long");
            waited += 1;
            let before = meter(&ledger).nano();
            answer(&ledger, request(1, ANN, waited as u16 + 1), 1);
            let active = exposures(&ledger)[4] > joined;
            assert_eq!(active, joined <= before, "{mode:?}");
            let dead = exposures(&ledger)[5];
            assert!(dead < joined);
        }
        let most = exposures(&ledger)[4];
        assert!(most <= meter(&ledger).nano() && waited > 1);
        drop(ledger);
        assert_eq!(exposures(&open(&disk).unwrap())[4], most);
    }
}

// Populations.

fn patients() -> PopulationName {
    PopulationName::new("patients").unwrap()
}

const CLINIC: u8 = 2;

/// A further population of at most so many people, none of whom is in another.
fn apart(name: PopulationName, most: u32) -> NewPopulation {
    NewPopulation {
        name,
        most_subjects: most.into(),
        capacity: most,
        apart: true,
        secrets: Secrets {
            subject: [14; 32],
            row: [15; 32],
        },
        evidence: vec![1],
    }
}

/// Adds a population `patients` with a dataset `clinic` of subjects 0 to 6 and wide limits.
fn second(ledger: &Ledger) -> Result<DatasetVersion, Error> {
    ledger.add_population(apart(patients(), 9), NOW)?;
    let which = clinic(ledger, &patients(), 6)?;
    let account = Account::Population(patients());
    ledger.set_limit(limit(account, 5_000_000_000, Mode::Protect), NOW)?;
    Ok(which)
}

fn clinic(ledger: &Ledger, population: &PopulationName, most: u8) -> Result<DatasetVersion, Error> {
    let name = DatasetName::new("clinic").unwrap();
    let id: DatasetId = dataset_id(CLINIC);
    let mut ingest = ledger.begin_ingest(population, &name, id)?;
    for subject in 0..most {
        ingest.index(hash(subject))?;
    }
    let data = NewData {
        description: "clinic".to_owned(),
        file_sha256: [6; 32],
        rows: 1,
        evidence: vec![],
    };
    ledger.add_dataset(ingest, data, NOW)
}

/// A release of the clinic, under a grant of Bob's.
fn of_clinic(n: u16, which: DatasetVersion) -> AdmitRequest {
    AdmitRequest {
        dataset: which,
        columns: vec![],
        ..granted_request(7, BOB, n)
    }
}

fn grant_clinic(ledger: &Ledger) {
    let grant = NewGrant {
        dataset: dataset_id(CLINIC),
        ..new_grant(7, BOB)
    };
    ledger.give_grant(grant, NOW).unwrap();
}

/// As the world's `fold`, over subjects 0 to 6.
fn fold_six(ledger: &Ledger, permit: Permit) {
    let exposures = ledger.exposures(&permit).unwrap();
    let slices = exposures.slices();
    let mut sums = Accumulator::new(&permit, 1);
    for subject in 0..6 {
        let mut sparse = Sparse::new();
        sparse.add(0, contribution(subject)).unwrap();
        sums.add(subject, &[sparse], exposures.known(&slices))
            .unwrap();
    }
    let mut rng = rand_chacha::ChaCha20Rng::seed_from_u64(1);
    let noised = sums.finish(permit).unwrap().add_noise(&mut rng).unwrap();
    commit(ledger, noised).unwrap();
}

fn run_clinic(ledger: &Ledger, n: u16, which: DatasetVersion) {
    match ledger.admit(of_clinic(n, which), NOW).unwrap() {
        Admission::Granted(permit) => fold_six(ledger, permit),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_second_population_needs_the_statement_that_nobody_is_in_both() {
    let ledger = ready(&Disk::default(), Mode::Protect, 1);
    let new = |stated| NewPopulation {
        apart: stated,
        ..apart(patients(), 9)
    };
    let head = ledger.head();
    assert_eq!(
        refusal(ledger.add_population(new(false), NOW)),
        Refusal::NotApart
    );
    assert_eq!(ledger.head(), head);
    ledger.add_population(new(true), NOW).unwrap();
    assert!(ledger.population(&patients(), NOW).unwrap().apart);
}

/// Pairs of people of `patients` with themselves in `people`, shifted by `by`.
fn shifted(people: u8, by: u8) -> Vec<(SubjectHash, SubjectHash)> {
    (0..people).map(|n| (hash(n), hash(n + by))).collect()
}

fn merge(
    ledger: &Ledger,
    pairs: Vec<(SubjectHash, SubjectHash)>,
    rho: u64,
    mode: Mode,
) -> Result<u64, Error> {
    let mut set = limit(population(), rho, mode);
    set.delta_keys = DeltaCharge::from_units(5);
    ledger.merge_populations(&people_of(), &patients(), pairs, set, vec![], NOW)
}

const WIDE: u64 = 10_000_000_000;

#[test]
fn a_merge_adds_exposures_meters_and_promises_and_keeps_who_took_what() {
    let disk = Disk::default();
    let ledger = ready(&disk, Mode::Protect, 9);
    let which = second(&ledger).unwrap();
    let own = limit(Account::Dataset(which.id), WIDE, Mode::Protect);
    ledger.set_limit(own, NOW).unwrap();
    grant_clinic(&ledger);
    answer(&ledger, request(1, ANN, 1), 1);
    run_clinic(&ledger, 1, which);
    run_clinic(&ledger, 2, which);
    mark(&ledger, Mark::Excluded, &[4]);
    let gone = vec![hash(5), hash(70)];
    ledger
        .mark_subjects(&patients(), Mark::Erased, gone, "".into(), vec![], NOW)
        .unwrap();
    let before = exposures_of(&ledger, &population());
    let there = exposures_of(&ledger, &Account::Population(patients()));
    let alone = exposures_of(&ledger, &Account::Dataset(which.id));
    // 0 to 5 there are 4 to 9 here, so that 8 and 9 are new.
    let mut pairs = shifted(6, 4);
    assert_eq!(
        refusal(merge(&ledger, pairs.clone(), WIDE, Mode::Protect)),
        Refusal::MergeIncomplete(patients()),
        "a tombstone without an index must come along"
    );
    pairs.push((hash(70), hash(71)));
    merge(&ledger, pairs, WIDE, Mode::Protect).unwrap();
    let check = |ledger: &Ledger| {
        let after = exposures_of(ledger, &population());
        for index in 0..10usize {
            let more = index.checked_sub(4).map_or(0, |from| there[from]);
            assert_eq!(after[index], before[index] + more, "{index}");
        }
        let moved = exposures_of(ledger, &Account::Dataset(which.id));
        assert_eq!((&moved[4..10], moved.len()), (&alone[..6], 12));
        assert_eq!(meter(ledger).nano(), 3 * PRICE.nano());
        let account = ledger.population(&people_of(), NOW).unwrap().account;
        assert_eq!(account.releases, 3);
        let promised = account.guarantee.unwrap();
        assert_eq!(promised.limit.rho().nano(), WIDE + 5_000_000_000);
        assert!(promised.limit.epsilon() >= account.limit.unwrap().limit.epsilon());
        assert_eq!(ledger.person(&BOB).unwrap().taken.nano(), 2 * PRICE.nano());
        assert!(ledger.population(&patients(), NOW).is_none());
    };
    check(&ledger);
    drop(ledger);
    check(&open(&disk).unwrap());
}

/// The exposures of one account.
fn exposures_of(ledger: &Ledger, account: &Account) -> Vec<u64> {
    ledger.exposures_for_tests(account)
}

#[test]
fn merged_datasets_release_nothing_until_they_are_ingested_again() {
    let disk = Disk::default();
    let ledger = ready(&disk, Mode::Protect, 9);
    let which = second(&ledger).unwrap();
    grant_clinic(&ledger);
    run_clinic(&ledger, 1, which);
    merge(&ledger, shifted(6, 4), WIDE, Mode::Protect).unwrap();
    drop(ledger);
    let ledger = open(&disk).unwrap();
    let clinic_name = DatasetName::new("clinic").unwrap();
    let old = Refusal::NeedsIngest(clinic_name.clone());
    assert_eq!(refusal(ledger.admit(of_clinic(2, which), NOW)), old);
    assert!(ledger.dataset(&clinic_name, NOW).unwrap().needs_ingest);
    let next = clinic(&ledger, &people_of(), 6).unwrap();
    assert_eq!(next.version, 2);
    run_clinic(&ledger, 2, next);
    let name = patients();
    let again = refusal(ledger.add_population(apart(name.clone(), 9), NOW));
    assert_eq!(again, Refusal::PopulationExists(name));
}

#[test]
fn a_merge_that_loses_joins_or_promises_less_is_refused_without_a_trace() {
    let ledger = ready(&Disk::default(), Mode::Protect, 9);
    second(&ledger).unwrap();
    let head = ledger.head();
    let refused = |pairs, rho, mode| refusal(merge(&ledger, pairs, rho, mode));
    let protect = Mode::Protect;
    assert_eq!(
        refused(shifted(5, 4), WIDE, protect),
        Refusal::MergeIncomplete(patients())
    );
    let mut joining = shifted(6, 4);
    joining[1].1 = joining[0].1;
    assert_eq!(
        refused(joining, WIDE, protect),
        Refusal::MergeJoins(patients())
    );
    assert_eq!(
        refused(shifted(6, 4), WIDE - 1, protect),
        Refusal::MergeLimit
    );
    assert_eq!(
        refused(shifted(6, 50), WIDE, protect),
        Refusal::Full(people_of())
    );
    assert_eq!(ledger.head(), head);
    // Each delta for keys alone is below one in ten, both together are not.
    for account in [population(), Account::Population(patients())] {
        let tenth = DeltaCharge::from_units(60_000_000_000_000_000);
        let set = |delta_keys| LimitSet {
            delta_keys,
            ..limit(account.clone(), WIDE, protect)
        };
        ledger.set_limit(set(tenth), NOW).unwrap();
        ledger.set_limit(set(DeltaCharge::ZERO), NOW).unwrap();
    }
    let head = ledger.head();
    assert!(matches!(
        refused(shifted(6, 4), WIDE, protect),
        Refusal::Admission(admission::Refusal::DeltaTooLarge { .. })
    ));
    let wide = limit(population(), WIDE, protect);
    let itself = ledger.merge_populations(&people_of(), &people_of(), vec![], wide, vec![], NOW);
    assert_eq!(refusal(itself), Refusal::MergeSelf);
    assert_eq!(ledger.head(), head);
}

#[test]
fn strict_mode_after_a_merge_needs_a_limit_of_both_meters() {
    let ledger = create(&Disk::default()).unwrap();
    furnish(&ledger).unwrap();
    let wide = Rho::from_nano(WIDE);
    ledger.set_scientist_limit(None, wide, vec![], NOW).unwrap();
    let narrow = limit(population(), PRICE.nano(), Mode::Protect);
    ledger.set_limit(narrow, NOW).unwrap();
    approve(&ledger, new_study(1, ANN, 9)).unwrap();
    let which = second(&ledger).unwrap();
    let low = limit(Account::Population(patients()), PRICE.nano(), Mode::Protect);
    ledger.set_limit(low, NOW).unwrap();
    grant_clinic(&ledger);
    answer(&ledger, request(1, ANN, 1), 1);
    run_clinic(&ledger, 1, which);
    let both = 2 * PRICE.nano();
    let refused = refusal(merge(&ledger, shifted(6, 4), both - 1, Mode::Strict));
    assert!(matches!(refused, Refusal::Admission(_)));
    merge(&ledger, shifted(6, 4), both, Mode::Strict).unwrap();
    let most = exposures(&ledger).into_iter().max().unwrap();
    assert!(most <= meter(&ledger).nano() && meter(&ledger).nano() == both);
}

#[test]
fn a_merge_needs_every_id_of_a_person_who_was_given_another() {
    let ledger = ready(&Disk::default(), Mode::Protect, 20);
    let which = second(&ledger).unwrap();
    grant_clinic(&ledger);
    run_clinic(&ledger, 1, which);
    // Person 5, the most exposed, is 250 since; nobody has had rows as 60 or 61 yet.
    let (own, others) = ((hash(5), hash(250)), (hash(60), hash(61)));
    ledger
        .rekey(&patients(), vec![own, others], vec![], NOW)
        .unwrap();
    let mut pairs = shifted(6, 4);
    pairs.extend([
        (hash(250), hash(150)),
        (hash(60), hash(160)),
        (hash(61), hash(161)),
    ]);
    let head = ledger.head();
    for left_out in 5..9 {
        let mut pairs = pairs.clone();
        pairs.remove(left_out);
        let refused = refusal(merge(&ledger, pairs, WIDE, Mode::Protect));
        assert_eq!(refused, Refusal::MergeIncomplete(patients()), "{left_out}");
    }
    assert_eq!(ledger.head(), head);
    // Two who waited for rows as one cannot be two people here.
    let mut joining = pairs.clone();
    (joining[7].1, joining[8].1) = (hash(1), hash(2));
    let refused = refusal(merge(&ledger, joining, WIDE, Mode::Protect));
    assert_eq!(refused, Refusal::MergeJoins(patients()));
    let there = exposures_of(&ledger, &Account::Population(patients()))[5];
    merge(&ledger, pairs, WIDE, Mode::Protect).unwrap();
    let (indexed, _) = ingest(&ledger, &[9, 150]);
    assert_eq!(indexed, [Indexed::At(9); 2], "one person with every id");
    assert_eq!(exposures(&ledger)[9], there);
    mark(&ledger, Mark::Erased, &[160]);
    let (indexed, _) = ingest(&ledger, &[161]);
    let one = "and those who wait go on to wait as one";
    assert_eq!(indexed, [Indexed::Left], "{one}");
}

#[test]
fn the_guarantee_that_results_keeps_both_deltas_below_one_in_the_size() {
    let ledger = ready(&Disk::default(), Mode::Protect, 9);
    for wide_first in [false, true] {
        let name = PopulationName::new(if wide_first { "wide" } else { "keys" }).unwrap();
        let new = apart(name.clone(), 1_000);
        ledger.add_population(new, NOW).unwrap();
        let account = Account::Population(name.clone());
        // Each alone is below one in a thousand: a delta for keys, and a delta.
        let keys = LimitSet {
            delta_keys: DeltaCharge::from_units(900_000_000_000_000),
            ..limit(account.clone(), 200_000_000, Mode::Protect)
        };
        let rho = Rho::from_nano(900_000_000_000);
        let wide = LimitSet {
            limit: Limit::as_stored(5.0, Delta::new(0.0009).unwrap(), rho),
            ..limit(account.clone(), 1, Mode::Protect)
        };
        let (first, second) = if wide_first {
            (wide, keys)
        } else {
            (keys, wide)
        };
        ledger.set_limit(first, NOW).unwrap();
        let refused = refusal(ledger.set_limit(second, NOW));
        let too_large = |refusal: &Refusal| {
            let large = admission::Refusal::DeltaTooLarge {
                most_subjects: 1_000,
            };
            *refusal == Refusal::Admission(large)
        };
        assert!(too_large(&refused), "{refused:?}");
        let promised = ledger.population(&name, NOW).unwrap().account.guarantee;
        let promised = promised.unwrap();
        let both = promised.limit.delta().get() + promised.delta_keys.get();
        assert!(both * 1_000.0 < 1.0);
        // A lower one is only a stop, and allowed.
        let lower = limit(account, 100_000_000, Mode::Protect);
        ledger.set_limit(lower, NOW).unwrap();
    }
}

#[test]
fn a_mark_waits_for_the_open_releases_of_every_population() {
    let disk = Disk::default();
    let ledger = ready(&disk, Mode::Protect, 99);
    let which = second(&ledger).unwrap();
    grant_clinic(&ledger);
    (1..9).for_each(|n| drop(answer(&ledger, request(1, ANN, n), 1)));
    drop(ledger);
    let ledger = super::compaction::open(&disk).unwrap();
    let Ok(Admission::Granted(clinic)) = ledger.admit(of_clinic(1, which), NOW) else {
        panic!("not granted")
    };
    assert_eq!(ledger.tend(NOW).unwrap(), 0);
    let size = ledger.head().size;
    answer(&ledger, request(1, ANN, 9), 1);
    assert_eq!(
        ledger.head().size,
        size + 2,
        "an intent, a release, no mark"
    );
    assert_eq!(ledger.tend(NOW).unwrap(), 0);
    fold_six(&ledger, clinic);
    assert_eq!(ledger.head().size, size + 4, "a release and the mark");
    assert!(ledger.tend(NOW).unwrap() > 0);
}
