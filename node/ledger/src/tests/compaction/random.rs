//! Random histories, compacted at random points, beside a twin that never is.

use obscura_model::exposure::Rho;

use super::*;

/// A second dataset of the population, with a limit of its own, and study 250 on it.
fn second_dataset(ledger: &Ledger) -> DatasetVersion {
    let name = "other".parse().unwrap();
    let mut ingest = ledger
        .begin_ingest(&people_of(), &name, dataset_id(2))
        .unwrap();
    ingest.index([3; 16]).unwrap();
    let data = NewData {
        description: String::new(),
        file_sha256: [8; 32],
        rows: 1,
        evidence: vec![],
    };
    let dataset = ledger.add_dataset(ingest, data, NOW).unwrap();
    let own = limit(Account::Dataset(dataset.id), 400_000_000, Mode::Protect);
    ledger.set_limit(own, NOW).unwrap();
    let study = NewStudy {
        dataset,
        ..new_study(250, ANN, 100)
    };
    approve(ledger, study).unwrap();
    dataset
}

#[derive(Debug, Clone)]
enum Step {
    Answer,
    /// From the second dataset.
    Other,
    /// The release fails twice.
    GiveUp,
    Limit(u64, Mode),
    Study,
    Compact,
    Tend,
    /// An answer, and upkeep while it is made.
    TendMeanwhile,
    Checkpoint,
    Reopen(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let mode = prop_oneof![Just(Mode::Strict), Just(Mode::Protect)];
    let step = prop_oneof![
        6 => Just(Step::Answer),
        3 => Just(Step::Other),
        1 => Just(Step::GiveUp),
        1 => (100_000_000u64..900_000_000, mode).prop_map(|(rho, mode)| Step::Limit(rho, mode)),
        1 => Just(Step::Study),
        2 => Just(Step::Compact),
        2 => Just(Step::Tend),
        2 => Just(Step::TendMeanwhile),
        1 => Just(Step::Checkpoint),
        1 => any::<u64>().prop_map(Step::Reopen),
    ];
    prop::collection::vec(step, 1..40)
}

/// Does one step; one that the rules refuse changes nothing. Both ledgers of a run get the same.
fn step(ledger: &Ledger, n: u16, step: &Step, other: DatasetVersion) {
    let asked = match step {
        Step::Other => crate::AdmitRequest {
            dataset: other,
            ..ask_of(250, n)
        },
        _ => ask(n),
    };
    match step {
        Step::Answer | Step::Other | Step::TendMeanwhile => match ledger.admit(asked, NOW) {
            Ok(Admission::Granted(permit)) => {
                if matches!(step, Step::TendMeanwhile) {
                    ledger.tend(NOW).unwrap();
                }
                let noised = fold(ledger, permit, u64::from(n)).unwrap();
                ledger
                    .commit(noised, NOW, |_, values| format!("{values:?}").into())
                    .unwrap();
            }
            other => assert!(matches!(other, Err(Error::Refused(_))), "{other:?}"),
        },
        Step::GiveUp => {
            if let Ok(Admission::Granted(permit)) = ledger.admit(ask(n), NOW) {
                ledger.poison(permit.intent(), NOW).unwrap();
                let (id, digest) = (study_id(1), new_study(1, ANN, 100).digest);
                let approve = crate::Decision::Approve;
                ledger
                    .decide(id, digest, approve, String::new(), vec![], NOW)
                    .unwrap();
            }
        }
        Step::Limit(rho, mode) => {
            let _ = ledger.set_limit(limit(population(), *rho, *mode), NOW);
        }
        Step::Study => approve(ledger, new_study((n + 2) as u8, BOB, 1)).unwrap(),
        Step::Compact | Step::Tend | Step::Checkpoint | Step::Reopen(_) => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_ledger_that_compacts_at_any_points_stays_the_one_that_never_does(steps in steps()) {
        let (disk, twin) = (Disk::default(), Disk::default());
        let (mut disk, mut ledger, twin) = (disk.clone(), grown(&disk, 0), grown_from(&twin, 0, u64::MAX));
        let other = second_dataset(&ledger);
        prop_assert_eq!(second_dataset(&twin), other);
        let mut heads = Vec::new();
        for (n, each) in (0..).zip(&steps) {
            step(&ledger, n, each, other);
            // Nobody looks after the twin: its threshold is out of reach.
            step(&twin, n, each, other);
            match each {
                Step::Compact => {
                    let size = ledger.head().size;
                    let before = truth(&ledger, size);
                    ledger.compact(NOW).unwrap();
                    prop_assert_eq!(truth(&ledger, size), before);
                }
                Step::Tend => {
                    let size = ledger.head().size;
                    let before = truth(&ledger, size);
                    ledger.tend(NOW).unwrap();
                    prop_assert_eq!(truth(&ledger, size), before);
                }
                Step::Checkpoint => {
                    ledger.close().unwrap();
                    ledger = open(&disk).unwrap();
                }
                Step::Reopen(seed) => {
                    let size = ledger.head().size;
                    let before = truth(&ledger, size);
                    drop(ledger);
                    disk = disk.after_power_cut(*seed);
                    ledger = open(&disk).unwrap();
                    prop_assert_eq!(truth(&ledger, size), before);
                }
                _ => {}
            }
            while twin.head().size < ledger.head().size {
                // A record that changes nothing, where the other has its mark.
                let same = Rho::from_nano(10_000_000_000);
                twin.set_scientist_limit(None, same, vec![], NOW).unwrap();
            }
            heads.push(ledger.head());
        }
        let size = ledger.head().size;
        let before = truth(&ledger, size);
        drop(ledger);
        let ledger = open(&disk.after_power_cut(0)).unwrap();
        prop_assert_eq!(truth(&ledger, size), before);
        check_proofs(&ledger, &heads);
        prop_assert!(ledger.state_for_tests() == twin.state_for_tests());
        for key in twin.answered(&ANN) {
            let (ours, theirs) = (ledger.release(&key).unwrap(), twin.release(&key).unwrap());
            prop_assert_eq!(ours.unwrap().into_body(), theirs.unwrap().into_body());
        }
    }
}
