//! A small world to make claims about: one population of a few subjects, one dataset, two
//! scientists, one owner.

use std::sync::Arc;

use obscura_model::answer::{Output, OutputKind, Shape, VectorShape};
use obscura_model::exposure::{Delta, DeltaCharge, Limit, Rho};
use obscura_model::ids::{
    DatasetId, DatasetName, Digest, GrantId, KeyId, PartyName, PopulationName, ProjectName,
    ReleaseName, RequestId, StudyId, UnixMillis,
};
use obscura_privacy::{Accumulator, Known, Mode, Noised, Permit, Sparse};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha20Rng;

use super::disk::Disk;
use crate::ledger::Site;
use crate::{
    Account, Admission, AdmitRequest, Authority, Committed, DatasetVersion, Decision, Entropy,
    Error, Indexed, Ledger, LimitSet, NewData, NewGrant, NewPopulation, NewStudy, RequestKey, Role,
    Secrets, StudyRelease,
};

pub(super) const NODE: KeyId = KeyId::new([7; 32]);
pub(super) const ANN: KeyId = KeyId::new([1; 32]);
pub(super) const BOB: KeyId = KeyId::new([2; 32]);
pub(super) const OWNER: KeyId = KeyId::new([3; 32]);
pub(super) const CAPACITY: u32 = 12;
pub(super) const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
pub(super) const LATER: UnixMillis = UnixMillis(1_900_000_000_000);
/// The price of [`shape`]: 100^2 / (2 * 250^2) = 0.08.
pub(super) const PRICE: Rho = Rho::from_nano(80_000_000);

pub(super) fn entropy(seed: u64) -> Entropy {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    Box::new(move |bytes| {
        rng.fill_bytes(bytes);
        Ok(())
    })
}

pub(super) fn site(disk: &Disk) -> Site {
    Site {
        storage: Arc::new(disk.clone()),
        index: None,
        segment_bytes: 4_096,
        compact_from: u64::MAX,
    }
}

pub(super) fn create(disk: &Disk) -> Result<Ledger, Error> {
    Ledger::create_at(site(disk), NODE, entropy(1), NOW)
}

pub(super) fn open(disk: &Disk) -> Result<Ledger, Error> {
    Ledger::open_at(site(disk), NODE, entropy(2), NOW)
}

pub(super) fn people_of() -> PopulationName {
    PopulationName::new("people").unwrap()
}

pub(super) fn population() -> Account {
    Account::Population(people_of())
}

pub(super) fn release_name() -> ReleaseName {
    ReleaseName::new("visits").unwrap()
}

pub(super) fn dataset_id(n: u8) -> DatasetId {
    DatasetId::from_parts(NOW.0, [n; 10])
}

pub(super) fn dataset() -> DatasetVersion {
    DatasetVersion {
        id: dataset_id(1),
        version: 1,
    }
}

pub(super) fn study_id(n: u8) -> StudyId {
    StudyId::from_parts(NOW.0, [n; 10])
}

pub(super) fn key(person: KeyId, n: u16) -> RequestKey {
    let mut entropy = [0; 10];
    entropy[..2].copy_from_slice(&n.to_le_bytes());
    RequestKey {
        person,
        request: RequestId::from_parts(NOW.0, entropy),
    }
}

/// One vector with one cell.
pub(super) fn shape_with(sigma: u64) -> Shape {
    let vector = VectorShape {
        what: "visits".to_owned(),
        step_exponent: 0,
        clip_squared: 10_000,
        sigma,
        parts: 1,
        grouped: true,
    };
    let kind = OutputKind::Sum { vector: 0 };
    let output = Output {
        name: "visits".to_owned(),
        unit: String::new(),
        kind,
    };
    Shape {
        keys: Vec::new(),
        vectors: vec![vector],
        outputs: vec![output],
        arrange: Default::default(),
        disclosure: Default::default(),
    }
}

pub(super) fn shape() -> Shape {
    shape_with(250)
}

pub(super) fn limit(account: Account, rho: u64, mode: Mode) -> LimitSet {
    let delta = Delta::new(1e-6).unwrap();
    LimitSet {
        account,
        limit: Limit::as_stored(5.0, delta, Rho::from_nano(rho)),
        mode,
        largest_share: 10_000,
        delta_keys: DeltaCharge::ZERO,
        reason: "a test".to_owned(),
        evidence: b"signed limit".to_vec(),
    }
}

/// A project of the person's own.
pub(super) fn own_project(person: KeyId) -> ProjectName {
    ProjectName::new(&format!("of-{:.8}", person.to_string())).unwrap()
}

pub(super) fn grant_id(n: u8) -> GrantId {
    GrantId::from_parts(NOW.0, [n; 10])
}

/// A grant of four releases with room for them all.
pub(super) fn new_grant(n: u8, scientist: KeyId) -> NewGrant {
    NewGrant {
        id: grant_id(n),
        project: own_project(scientist),
        scientist,
        dataset: dataset_id(1),
        columns: vec!["day".to_owned(), "cost".to_owned()],
        most: Rho::from_nano(4 * PRICE.nano()),
        delta_keys: DeltaCharge::ZERO,
        releases: 4,
        expires: LATER,
        reason: "a pilot".to_owned(),
        evidence: vec![n; 30],
    }
}

/// How the query of every release is read.
pub(super) fn canonical() -> Digest {
    Digest::of(b"SELECT COUNT(*) AS n FROM visits")
}

pub(super) fn new_study(n: u8, scientist: KeyId, times: u32) -> NewStudy {
    NewStudy {
        id: study_id(n),
        digest: Digest::of(&[n]),
        scientist,
        project: own_project(scientist),
        dataset: dataset(),
        releases: vec![StudyRelease {
            name: release_name(),
            price: PRICE,
            times,
            require_complete: false,
            delta_keys: DeltaCharge::ZERO,
            canonical: canonical(),
        }],
        expires: LATER,
        evidence: vec![n; 40],
    }
}

pub(super) fn request(study: u8, person: KeyId, n: u16) -> AdmitRequest {
    AdmitRequest {
        key: key(person, n),
        body_digest: Digest::of(&n.to_le_bytes()),
        authority: Authority::Study {
            study: study_id(study),
            release: release_name(),
        },
        dataset: dataset(),
        shape: shape(),
        plan: Digest::of(b"how many visits"),
        canonical: canonical(),
        columns: vec!["day".to_owned()],
        tables: vec![],
        require_complete: false,
        delta_keys: DeltaCharge::ZERO,
        evidence: b"signed request".to_vec(),
    }
}

/// As [`request`], under a grant.
pub(super) fn granted_request(grant: u8, person: KeyId, n: u16) -> AdmitRequest {
    AdmitRequest {
        authority: Authority::Grant {
            grant: grant_id(grant),
        },
        ..request(0, person, n)
    }
}

/// Everything up to the dataset, without limits. Every step that was made before is skipped.
pub(super) fn furnish(ledger: &Ledger) -> Result<(), Error> {
    for (person, role, name) in [
        (ANN, Role::Scientist, "ann"),
        (BOB, Role::Scientist, "bob"),
        (OWNER, Role::Owner, "owner"),
    ] {
        ledger.enrol(person, role, PartyName::new(name).unwrap(), vec![9], NOW)?;
    }
    if ledger.population(&people_of(), NOW).is_none() {
        let new = NewPopulation {
            name: people_of(),
            most_subjects: 10,
            capacity: CAPACITY,
            apart: false,
            secrets: Secrets {
                subject: [4; 32],
                row: [5; 32],
            },
            evidence: vec![1],
        };
        ledger.add_population(new, NOW)?;
    }
    if ledger.datasets(NOW).is_empty() {
        add_version(ledger, 8)?;
    }
    Ok(())
}

/// A new version with subjects 0 to `subjects`.
pub(super) fn add_version(ledger: &Ledger, subjects: u8) -> Result<DatasetVersion, Error> {
    let name = DatasetName::new("visits").unwrap();
    let mut ingest = ledger.begin_ingest(&people_of(), &name, dataset_id(1))?;
    for subject in 0..subjects {
        let indexed = ingest.index([subject; 16])?;
        assert_eq!(indexed, Indexed::At(u32::from(subject)));
    }
    let description = "visits of people".to_owned();
    let data = NewData {
        description,
        file_sha256: [6; 32],
        rows: 20,
        evidence: vec![2],
    };
    ledger.add_dataset(ingest, data, NOW)
}

/// Limits that are out of the way of whatever is tested.
pub(super) fn wide_limits(ledger: &Ledger, mode: Mode) -> Result<(), Error> {
    ledger.set_limit(limit(population(), 10_000_000_000, mode), NOW)?;
    ledger.set_scientist_limit(None, Rho::from_nano(10_000_000_000), vec![], NOW)?;
    Ok(())
}

pub(super) fn approve(ledger: &Ledger, study: NewStudy) -> Result<(), Error> {
    let (id, digest) = (study.id, study.digest);
    ledger.submit_study(study, NOW)?;
    ledger.decide(
        id,
        digest,
        Decision::Approve,
        String::new(),
        b"signed".to_vec(),
        NOW,
    )?;
    Ok(())
}

/// A furnished ledger with wide limits and an approved study 1 of Ann with `times` runs.
pub(super) fn ready(disk: &Disk, mode: Mode, times: u32) -> Ledger {
    let ledger = create(disk).unwrap();
    furnish(&ledger).unwrap();
    wide_limits(&ledger, mode).unwrap();
    approve(&ledger, new_study(1, ANN, times)).unwrap();
    ledger
}

/// What subject number `subject` adds.
pub(super) fn contribution(subject: u32) -> i64 {
    i64::from(subject * 17 % 101)
}

/// Runs the fold over subjects 0 to 8 and adds noise.
pub(super) fn fold(ledger: &Ledger, permit: Permit, seed: u64) -> Result<Noised, Error> {
    let exposures = ledger.exposures(&permit)?;
    let slices = exposures.slices();
    Ok(fold_over(permit, exposures.known(&slices), seed))
}

/// As [`fold`], over these exposures.
pub(super) fn fold_over(permit: Permit, known: Known<'_>, seed: u64) -> Noised {
    let mut sums = Accumulator::new(&permit, 1);
    for subject in 0..8 {
        let mut sparse = Sparse::new();
        sparse.add(0, contribution(subject)).unwrap();
        sums.add(subject, &[sparse], known).unwrap();
    }
    let admitted = sums.finish(permit).unwrap();
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    admitted.add_noise(&mut rng).unwrap()
}

pub(super) fn commit(ledger: &Ledger, noised: Noised) -> Result<Committed, Error> {
    ledger.commit(noised, NOW, |context, values| {
        format!(
            "{} {:?} {:?}",
            context.index, context.intent.intent.key, values
        )
        .into_bytes()
    })
}

/// Answers a request to its end; with another noise at every call.
pub(super) fn run(ledger: &Ledger, request: AdmitRequest, seed: u64) -> Result<Admission, Error> {
    loop {
        match ledger.admit(request.clone(), NOW)? {
            Admission::Granted(permit) => {
                let noised = fold(ledger, permit, seed)?;
                commit(ledger, noised)?;
            }
            Admission::Busy | Admission::Running => std::thread::yield_now(),
            ended => return Ok(ended),
        }
    }
}

/// The answer of a request that must have one.
pub(super) fn answer(ledger: &Ledger, request: AdmitRequest, seed: u64) -> Committed {
    match run(ledger, request, seed).unwrap() {
        Admission::Known(committed) => committed,
        other => panic!("{other:?}"),
    }
}

pub(super) fn meter(ledger: &Ledger) -> Rho {
    ledger.population(&people_of(), NOW).unwrap().account.meter
}
