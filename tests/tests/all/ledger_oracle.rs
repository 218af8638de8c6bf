//! Every charge that the ledger makes and every exact sum, computed again from the public CSV by
//! code that shares nothing with the accountant.

use std::collections::BTreeMap;
use std::path::Path;

use obscura_ledger::{
    Account, Admission, AdmitRequest, Authority, Decision, JournalError, Ledger, LimitSet, NewData,
    NewPopulation, NewStudy, RequestKey, Role, Secrets, StudyRelease,
};
use obscura_model::accuracy::{Accuracy, AccuracyRequest};
use obscura_model::exposure::{Delta, DeltaCharge, Limit, Mode, Rho};
use obscura_model::identity::SigningKey;
use obscura_model::ids::{
    DatasetId, Digest, KeyId, PartyName, ReleaseName, RequestId, StudyId, UnixMillis,
};
use obscura_model::schema::Description;
use obscura_model::text::SqlText;
use obscura_privacy::Permit;
use obscura_query::{
    Contributions, PlanOptions, PrivatePlan, PrivateTable, ValidatedQuery, ingest,
};
use obscura_tests::data::{Dataset, demo_site};
use obscura_tests::oracle::{self, Contribution, Question, Sums, Table};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng as _;

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
const SECRETS: Secrets = Secrets {
    subject: [3; 32],
    row: [4; 32],
};
const LEVELS: [&str; 4] = ["free", "25 %", "50 %", "95 % and over"];

fn level(table: &Table, row: &oracle::Row) -> Option<usize> {
    LEVELS
        .iter()
        .position(|l| *l == table.text(row, "cost_share"))
}

fn everything(_: &Table, _: &oracle::Row) -> bool {
    true
}

fn clipped(column: &'static str, most: f64, middle: f64) -> Sums {
    let value = move |t: &Table, r: &oracle::Row| Some(t.number(r, column)?.min(most));
    Sums::Values {
        value: Box::new(value),
        low: 0.0,
        high: most,
        middle,
    }
}

/// The questions of the test: their SQL, and what they mean.
fn questions() -> Vec<(&'static str, Question)> {
    let by_level = |vectors| Question {
        matches: Box::new(everything),
        cell: Box::new(level),
        cells: 4,
        vectors,
    };
    vec![
        (
            "SELECT cost_share, AVG(LEAST(mdvis, 10)) AS v FROM rand_hie GROUP BY cost_share",
            by_level(vec![clipped("mdvis", 10.0, 5.0), Sums::Rows]),
        ),
        (
            "SELECT cost_share, AVG(LEAST(outpdol, 200)) AS d FROM rand_hie GROUP BY cost_share",
            by_level(vec![clipped("outpdol", 200.0, 100.0), Sums::Rows]),
        ),
        (
            "SELECT cost_share, COUNT(DISTINCT zper) AS p FROM rand_hie GROUP BY cost_share",
            by_level(vec![Sums::Subjects {
                cells_per_subject: 1,
            }]),
        ),
        (
            "SELECT year, COUNT(*) AS n, SUM(LEAST(outpdol, 50)) AS s, COUNT(DISTINCT zper) AS p \
             FROM rand_hie WHERE mdvis >= 3 GROUP BY year",
            Question {
                matches: Box::new(|t, r| t.number(r, "mdvis").unwrap() >= 3.0),
                cell: Box::new(|t, r| Some(t.number(r, "year")? as usize - 1)),
                cells: 5,
                vectors: vec![
                    Sums::Rows,
                    clipped("outpdol", 50.0, 0.0),
                    Sums::Subjects {
                        cells_per_subject: 5,
                    },
                ],
            },
        ),
    ]
}

/// One node's ledger and data, without the node.
struct Bench {
    folder: tempfile::TempDir,
    ledger: Ledger,
    description: Description,
    dataset: obscura_ledger::DatasetVersion,
    index: BTreeMap<[u8; 16], u32>,
    scientist: KeyId,
    limits: Vec<LimitSet>,
}

fn journal() -> KeyId {
    SigningKey::from_seed([1; 32]).key_id()
}

fn entropy() -> obscura_ledger::Entropy {
    obscura_node::entropy::source()
}

/// Sorts and stores rows, and gives the index of every subject.
fn store(
    data: &Dataset,
    folder: &std::path::Path,
    file: &str,
    index: &mut impl FnMut([u8; 16]) -> Result<u32, obscura_ledger::Error>,
) -> (Digest, u64, BTreeMap<[u8; 16], u32>) {
    let description = Description::from_toml(&data.description).unwrap();
    let csv = folder.join(&data.file);
    std::fs::write(&csv, &data.csv).unwrap();
    let raw = ingest::read_rows(&description, &csv).unwrap();
    let rows = raw.rows();
    let keys = ingest::Secrets {
        subject: SECRETS.subject,
        rows: SECRETS.row,
    };
    let mut seen = BTreeMap::new();
    let sorted = ingest::sort(raw, &description, &keys, &mut |hash| {
        let place = index(hash)?;
        seen.insert(hash, place);
        Ok::<u32, obscura_ledger::Error>(place)
    });
    let digest = PrivateTable::write(&sorted.unwrap(), &description, &folder.join(file)).unwrap();
    (digest, rows, seen)
}

impl Bench {
    fn new(data: &Dataset, mode: Mode) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ledger =
            Ledger::create(&folder.path().join("ledger"), journal(), entropy(), NOW).unwrap();
        let description = Description::from_toml(&data.description).unwrap();
        let population = description.population().clone();
        let new = NewPopulation {
            name: population.clone(),
            most_subjects: description.most_subjects(),
            capacity: description.index_capacity().try_into().unwrap(),
            apart: false,
            secrets: SECRETS,
            evidence: vec![],
        };
        ledger.add_population(new, NOW).unwrap();
        let fresh = DatasetId::from_parts(NOW.0, [5; 10]);
        let mut begun = ledger
            .begin_ingest(&population, description.name(), fresh)
            .unwrap();
        let (digest, rows, index) = store(data, folder.path(), "table.parquet", &mut |hash| {
            begun
                .index(hash)
                .map(|indexed| Option::from(indexed).unwrap())
        });
        let stored = NewData {
            description: data.description.clone(),
            file_sha256: *digest.as_bytes(),
            rows,
            evidence: vec![],
        };
        let dataset = ledger.add_dataset(begun, stored, NOW).unwrap();
        // A limit of the population, and a tighter one of the dataset: two accounts.
        let set = |account, epsilon| LimitSet {
            account,
            limit: Limit::new(epsilon, Delta::new(1e-6).unwrap()).unwrap(),
            mode,
            largest_share: LimitSet::QUARTER,
            delta_keys: DeltaCharge::ZERO,
            reason: "test".to_owned(),
            evidence: vec![],
        };
        let limits = vec![
            set(Account::Population(population), 5.0),
            set(Account::Dataset(dataset.id), 4.5),
        ];
        for limit in &limits {
            ledger.set_limit(limit.clone(), NOW).unwrap();
        }
        let scientist = SigningKey::from_seed([2; 32]).key_id();
        let ada = PartyName::new("ada").unwrap();
        ledger
            .enrol(scientist, Role::Scientist, ada, vec![], NOW)
            .unwrap();
        ledger
            .set_scientist_limit(None, Rho::from_nano(100_000_000_000), vec![], NOW)
            .unwrap();
        Self {
            folder,
            ledger,
            description,
            dataset,
            index,
            scientist,
            limits,
        }
    }

    fn plan(&self, sql: &str, nano: u64) -> PrivatePlan {
        let minimum = self.limits.iter().map(|l| l.limit.smallest_release()).min();
        plan(&self.description, sql, nano, minimum)
    }

    /// Admits run `number` of a plan, as a study of its own that is approved.
    fn admit(&self, plan: &PrivatePlan, number: u8) -> Permit {
        let (id, name) = (
            StudyId::from_parts(NOW.0, [number; 10]),
            ReleaseName::new("r").unwrap(),
        );
        let digest = Digest::of(&[number]);
        let study = NewStudy {
            id,
            digest,
            scientist: self.scientist,
            project: "oracle".parse().unwrap(),
            dataset: self.dataset,
            releases: vec![StudyRelease {
                name: name.clone(),
                price: plan.price(),
                times: 1,
                require_complete: false,
                delta_keys: DeltaCharge::ZERO,
                canonical: Digest::of(plan.canonical().as_bytes()),
            }],
            expires: UnixMillis(NOW.0 + 1_000_000),
            evidence: vec![],
        };
        self.ledger.submit_study(study, NOW).unwrap();
        let reason = String::new();
        self.ledger
            .decide(id, digest, Decision::Approve, reason, vec![], NOW)
            .unwrap();
        let request = AdmitRequest {
            key: RequestKey {
                person: self.scientist,
                request: RequestId::from_parts(NOW.0, [number; 10]),
            },
            body_digest: digest,
            authority: Authority::Study {
                study: id,
                release: name,
            },
            dataset: self.dataset,
            shape: plan.shape().clone(),
            plan: plan.digest(),
            canonical: Digest::of(plan.canonical().as_bytes()),
            columns: vec![],
            tables: vec![],
            require_complete: false,
            delta_keys: DeltaCharge::ZERO,
            evidence: vec![],
        };
        match self.ledger.admit(request, NOW).unwrap() {
            Admission::Granted(permit) => permit,
            other => panic!("{other:?}"),
        }
    }

    fn fold(&self, permit: Permit, plan: PrivatePlan) -> obscura_privacy::Admitted {
        let path = self.folder.path().join("table.parquet");
        let rows = PrivateTable::open(&path, &self.description).unwrap().rows();
        let exposures = self.ledger.exposures(&permit).unwrap();
        Contributions::bind(permit, plan, rows)
            .fold(exposures.known(&exposures.slices()), 2)
            .unwrap()
    }

    /// The ledger's exposure of every subject, in the account at `position`.
    fn exposures(&self, permit: &Permit, position: usize) -> BTreeMap<u32, u128> {
        let exposures = self.ledger.exposures(permit).unwrap();
        let slice = exposures.slices()[position];
        (0..).zip(slice).map(|(i, e)| (i, u128::from(*e))).collect()
    }

    /// The oracle's exposures by the subject's place in the ledger's array.
    fn placed(&self, exposures: &BTreeMap<String, u128>) -> BTreeMap<u32, u128> {
        let place = |id: &String| self.index[&ingest::subject_hash(&SECRETS.subject, id)];
        exposures.iter().map(|(id, e)| (place(id), *e)).collect()
    }
}

fn plan(description: &Description, sql: &str, nano: u64, minimum: Option<Rho>) -> PrivatePlan {
    let query = ValidatedQuery::parse(
        &SqlText::new(sql).unwrap(),
        description,
        &obscura_model::codelist::CodeLists::none(),
    )
    .unwrap();
    let accuracy = AccuracyRequest::whole(Accuracy::Price(Rho::from_nano(nano))).unwrap();
    query
        .plan(
            description,
            &accuracy,
            minimum,
            description.delta(),
            &PlanOptions::default(),
        )
        .unwrap()
}

fn wide(sums: &[Vec<i64>]) -> Vec<Vec<i128>> {
    sums.iter()
        .map(|v| v.iter().map(|x| i128::from(*x)).collect())
        .collect()
}

/// The plan's public grid is the one that the rules give.
fn check_grid(plan: &PrivatePlan, question: &Question, most_rows: u128) -> Vec<u128> {
    let shape = plan.shape();
    assert_eq!(
        shape.vectors.len(),
        question.vectors.len(),
        "{:#?}",
        shape.vectors
    );
    assert_eq!(shape.cells(), question.cells);
    for (vector, sums) in shape.vectors.iter().zip(&question.vectors) {
        let grid = sums.grid(most_rows);
        assert_eq!(
            (vector.step_exponent, vector.clip_squared),
            (grid.exponent, grid.clip_squared)
        );
    }
    shape.vectors.iter().map(|v| u128::from(v.sigma)).collect()
}

/// Runs many releases until limits bite, and compares every sum, every charge and the meters.
fn compare(mode: Mode, rounds: u8) -> usize {
    let data = demo_site(3).unwrap();
    let table = Table::parse(&data.csv);
    let mut bench = Bench::new(&data, mode);
    let limits: Vec<u128> = bench
        .limits
        .iter()
        .map(|l| u128::from(l.limit.rho().nano()))
        .collect();
    let questions = questions();
    let known: Vec<BTreeMap<String, Contribution>> = questions
        .iter()
        .map(|(_, q)| oracle::contributions(&table, "zper", q, 5))
        .collect();
    let mut exposures: BTreeMap<String, u128> = BTreeMap::new();
    let (mut meter, mut dropped) = (0u128, 0);
    for round in 0..rounds {
        let which = usize::from(round) % questions.len();
        let (sql, question) = &questions[which];
        let plan = bench.plan(sql, 80_000_000);
        let sigmas = check_grid(&plan, question, 5);
        let permit = bench.admit(&plan, round + 1);
        for account in 0..2 {
            let ledgers = bench.exposures(&permit, account);
            let ours = bench.placed(&exposures);
            for (place, exposure) in &ledgers {
                let expected = ours.get(place).copied().unwrap_or(0);
                assert_eq!(*exposure, expected, "round {round}, account {account}");
            }
        }
        let protect = (mode == Mode::Protect).then_some(limits.as_slice());
        let expected = oracle::release(&known[which], question, &sigmas, 5, &exposures, protect);
        assert_eq!(u128::from(permit.price().nano()), expected.price);
        meter += expected.price;
        let fits = limits.iter().all(|l| meter <= *l);
        assert_eq!(permit.nobody_dropped(), fits, "round {round}");
        assert!(!fits || expected.dropped.is_empty());
        let admitted = bench.fold(permit, plan);
        assert_eq!(
            wide(admitted.exact_sums_for_audit()),
            expected.sums,
            "round {round}"
        );
        let noised = admitted
            .add_noise(&mut ChaCha20Rng::from_seed([round; 32]))
            .unwrap();
        bench
            .ledger
            .commit(noised, NOW, |_, _| b"body".to_vec())
            .unwrap();
        for (id, charge) in expected.charges {
            assert!(charge <= expected.price);
            *exposures.entry(id).or_insert(0) += charge;
        }
        dropped += expected.dropped.len();
        assert!(exposures.values().all(|e| *e <= meter.min(limits[1])));
        if round % 5 == 4 {
            // What is read back from the journal is the same.
            let Bench { folder, ledger, .. } = &mut bench;
            let place = folder.path().join("ledger");
            let elsewhere = tempfile::tempdir().unwrap();
            let spare = elsewhere.path().join("ledger");
            let spare = Ledger::create(&spare, journal(), entropy(), NOW).unwrap();
            drop(std::mem::replace(ledger, spare));
            *ledger = reopened(&place);
        }
    }
    let population = bench.description.population();
    let view = bench.ledger.population(population, NOW).unwrap();
    assert_eq!(u128::from(view.account.meter.nano()), meter);
    dropped
}

/// Opens a ledger that this process has just let go of. A process that another test is starting at
/// this moment holds a copy of the lock between its fork and its exec.
fn reopened(place: &Path) -> Ledger {
    for _ in 0..10_000 {
        match Ledger::open(place, journal(), entropy(), NOW) {
            Err(obscura_ledger::Error::Journal(JournalError::Locked)) => std::thread::yield_now(),
            opened => return opened.unwrap(),
        }
    }
    panic!("the ledger stays locked");
}

#[test]
fn every_charge_and_every_sum_is_what_an_independent_computation_gives() {
    let dropped = compare(Mode::Protect, 16);
    assert!(dropped > 100, "the limit was never in the way: {dropped}");
}

#[test]
fn strict_mode_makes_the_same_charges_and_drops_nobody() {
    assert_eq!(compare(Mode::Strict, 4), 0);
}

/// A permit as the ledger would give it.
fn permit(plan: &PrivatePlan) -> Permit {
    let filter = obscura_privacy::Filter::new(Mode::Protect, vec![Rho::from_nano(500_000_000)]);
    let shape = plan.shape().clone();
    Permit::after_durable_intent(1, filter, shape, true, plan.index_capacity()).unwrap()
}

/// What one fold made: sums by vector and cell, codes of charges by subject.
type SumsAndCharges = (Vec<Vec<i64>>, Vec<(u32, u16)>);

#[test]
fn sums_are_the_same_bits_for_any_order_of_rows_and_any_number_of_threads() {
    // Large enough for several pieces, which is what threads share.
    let people = 60_000;
    let data = obscura_tests::data::visits(people, 10, 4);
    let description = Description::from_toml(&data.description).unwrap();
    let sql = "SELECT grp, AVG(amount) AS a, SUM(amount * day) AS s, COUNT(DISTINCT person) AS p \
               FROM visits WHERE day < 6 GROUP BY grp";
    let exposures = vec![0u64; usize::try_from(description.index_capacity()).unwrap()];
    let mut reference: Option<SumsAndCharges> = None;
    for (round, threads) in [(0usize, 1usize), (1, 2), (2, 3), (3, 8)] {
        let folder = tempfile::tempdir().unwrap();
        // Other orders: as it is, backwards, short lines first, mixed.
        let mut lines: Vec<&str> = data.csv.lines().skip(1).collect();
        match round {
            1 => lines.reverse(),
            2 => lines.sort_by_key(|l| l.len()),
            3 => lines.sort_by_key(|l| Digest::of(l.as_bytes()).as_bytes().to_owned()),
            _ => {}
        }
        let csv = format!("person,grp,day,amount\n{}\n", lines.join("\n"));
        let shuffled = data.clone().with_csv(csv);
        let mut next = 0;
        store(&shuffled, folder.path(), "t.parquet", &mut |_| {
            next += 1;
            Ok(next - 1)
        });
        assert_eq!(next, people);
        let plan = plan(&description, sql, 50_000_000, None);
        let table = PrivateTable::open(&folder.path().join("t.parquet"), &description).unwrap();
        let known = obscura_privacy::Known {
            accounts: &[&exposures],
            barred: &vec![false; exposures.len()],
        };
        let admitted = Contributions::bind(permit(&plan), plan, table.rows())
            .fold(known, threads)
            .unwrap();
        let sums = admitted.exact_sums_for_audit().to_vec();
        let noised = admitted
            .add_noise(&mut ChaCha20Rng::from_seed([9; 32]))
            .unwrap();
        let charges = noised.into_commit().charges;
        match &reference {
            None => reference = Some((sums, charges)),
            Some(first) => assert_eq!(*first, (sums, charges), "round {round}"),
        }
    }
    // And they are what the rows give.
    let table = Table::parse(&data.csv);
    let amount = |t: &Table, r: &oracle::Row| t.number(r, "amount");
    let product = |t: &Table, r: &oracle::Row| Some(t.number(r, "amount")? * t.number(r, "day")?);
    let question = Question {
        matches: Box::new(|t, r| t.number(r, "day").unwrap() < 6.0),
        cell: Box::new(|t, r| Some(t.number(r, "grp")? as usize)),
        cells: 10,
        vectors: vec![
            Sums::Values {
                value: Box::new(amount),
                low: 0.0,
                high: 100.0,
                middle: 50.0,
            },
            Sums::Rows,
            Sums::Values {
                value: Box::new(product),
                low: 0.0,
                high: 700.0,
                middle: 0.0,
            },
            Sums::Subjects {
                cells_per_subject: 1,
            },
        ],
    };
    let sigmas: Vec<u128> = vec![1_000_000_000; 4];
    let known = oracle::contributions(&table, "person", &question, 4);
    let expected = oracle::release(&known, &question, &sigmas, 4, &BTreeMap::new(), None);
    assert_eq!(wide(&reference.unwrap().0), expected.sums);
}
