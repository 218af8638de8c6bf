//! `ledger-figures [--json] [--subjects N] [--releases N] [--opens N]`: what a ledger of many
//! subjects takes, when every release touches everybody: a real folder, real flushes to the
//! temporary folder's disk (`TMPDIR` chooses another), medians. Made for a release build.

use std::hint::black_box;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use obscura_ledger::{
    Account, Admission, AdmitRequest, Authority, DatasetVersion, Decision, Entropy, Ledger,
    LimitSet, NewData, NewPopulation, NewStudy, RequestKey, Role, Secrets, StudyRelease,
};
use obscura_model::answer::{Output, OutputKind, Shape, VectorShape};
use obscura_model::exposure::{Delta, DeltaCharge, Limit, Mode, Rho};
use obscura_model::ids::{
    DatasetId, DatasetName, Digest, KeyId, PartyName, PopulationName, ProjectName, ReleaseName,
    RequestId, StudyId, UnixMillis,
};
use obscura_model::schema::index_capacity;
use obscura_privacy::{Accumulator, Noised, Permit, Sparse};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha20Rng;

const NODE: KeyId = KeyId::new([7; 32]);
const ANN: KeyId = KeyId::new([1; 32]);
const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
const LATER: UnixMillis = UnixMillis(1_900_000_000_000);
/// The price of a release, 100^2 / (2 * 1000^2), and a limit that has room for all of them.
const PRICE: Rho = Rho::from_nano(5_000_000);
const WIDE: Rho = Rho::from_nano(10_000_000_000);

/// Name, value, unit and what was measured.
type Figure = (&'static str, f64, &'static str);

struct Asked {
    json: bool,
    subjects: u32,
    releases: u16,
    opens: u16,
}

fn asked() -> Result<Asked> {
    let mut asked = Asked {
        json: false,
        subjects: 10_000_000,
        releases: 9,
        opens: 3,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || arguments.next().context("a number is missing");
        match argument.as_str() {
            "--json" => asked.json = true,
            "--subjects" => asked.subjects = number()?.parse()?,
            "--releases" => asked.releases = number()?.parse()?,
            "--opens" => asked.opens = number()?.parse()?,
            other => bail!("unknown argument {other}"),
        }
    }
    Ok(asked)
}

fn main() -> Result<()> {
    let asked = asked()?;
    let figures = measure(&asked)?;
    let mut out = std::io::stdout().lock();
    if asked.json {
        let figures = figures.iter();
        let map: serde_json::Map<_, _> = figures
            .map(|(name, value, _)| ((*name).into(), (*value).into()))
            .collect();
        writeln!(out, "{}", serde_json::to_string_pretty(&map)?)?;
    } else {
        for (_, value, what) in figures {
            writeln!(out, "{value:10.2} {what}")?;
        }
    }
    Ok(())
}

#[allow(clippy::disallowed_methods)] // What is measured is time.
fn millis<T>(run: impl FnOnce() -> T) -> (f64, T) {
    let start = Instant::now();
    let given = run();
    (start.elapsed().as_secs_f64() * 1e3, given)
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Times of one release.
struct Release {
    raw: f64,
    intent: f64,
    filter: f64,
    fold: f64,
    commit: f64,
}

fn measure(asked: &Asked) -> Result<Vec<Figure>> {
    let folder = tempfile::tempdir()?;
    let dir = folder.path().join("ledger");
    let ledger = Ledger::create(&dir, NODE, entropy(1), NOW)?;
    furnish(&ledger, asked)?;
    drop(ledger);
    let (open_before, ledger) = opened(&dir, asked.opens)?;
    let before = stored(&dir.join("journal"))?;
    let mut releases = Vec::new();
    let mut tended = Vec::new();
    for number in 0..asked.releases {
        releases.push(release(&ledger, folder.path(), asked.subjects, number)?);
        let (tend, segments) = millis(|| ledger.tend(NOW));
        if segments? > 0 {
            tended.push(tend);
        }
    }
    let (length, blocks) = stored(&dir.join("journal"))?;
    let touched = f64::from(asked.subjects) * f64::from(asked.releases);
    drop(ledger);
    let (open_killed, ledger) = opened(&dir, asked.opens)?;
    let (close, closed) = millis(|| ledger.close());
    closed?;
    let (open_closed, ledger) = opened(&dir, asked.opens)?;
    let (compact, compacted) = millis(|| ledger.compact(NOW));
    let compacted = compacted?;
    drop(ledger);
    let (open_compacted, _) = opened(&dir, asked.opens)?;
    let of = |time: fn(&Release) -> f64| median(&mut releases.iter().map(time).collect::<Vec<_>>());
    let each = (open_closed - open_before) / f64::from(asked.releases);
    Ok(vec![
        (
            "subjects",
            asked.subjects.into(),
            "subjects, all touched by every release",
        ),
        ("releases", asked.releases.into(), "releases"),
        (
            "raw_ms",
            of(|r| r.raw),
            "ms: as many bytes as a release has, written and synced",
        ),
        ("intent_ms", of(|r| r.intent), "ms: intent"),
        (
            "filter_ms",
            of(|r| r.filter),
            "ms: the filter alone, on the exposures of all",
        ),
        (
            "fold_ms",
            of(|r| r.fold),
            "ms: clip, charge, filter and add, subject by subject",
        ),
        ("commit_ms", of(|r| r.commit), "ms: commit"),
        (
            "commit_beyond_ms",
            of(|r| r.commit - r.raw),
            "ms: commit without the raw write and sync before it",
        ),
        (
            "length_bytes",
            (length - before.0) / touched,
            "bytes for each touched subject, by lengths of files",
        ),
        (
            "blocks_bytes",
            (blocks - before.1) / touched,
            "bytes for each touched subject, by blocks on disk",
        ),
        (
            "tended",
            tended.len() as f64,
            "times the ledger compacted by itself (lengths above are those afterwards)",
        ),
        (
            "tend_ms",
            median(&mut tended),
            "ms: that, beside releases in a node",
        ),
        (
            "open_before_ms",
            open_before,
            "ms: opening before the first release",
        ),
        (
            "open_killed_ms",
            open_killed,
            "ms: opening after them, without a checkpoint of the end",
        ),
        ("close_ms", close, "ms: ending, with a checkpoint"),
        (
            "open_closed_ms",
            open_closed,
            "ms: opening after them, with it",
        ),
        ("open_each_ms", each, "ms of that for each release"),
        ("compact_ms", compact, "ms: compaction"),
        (
            "compacted_records",
            compacted.records as f64,
            "releases were compacted",
        ),
        (
            "open_compacted_ms",
            open_compacted,
            "ms: opening when compacted",
        ),
    ])
}

/// Opens a ledger some times, as after a kill, and gives the median time and the last.
fn opened(dir: &Path, times: u16) -> Result<(f64, Ledger)> {
    let mut measured = Vec::new();
    let mut last = None;
    for _ in 0..times.max(1) {
        drop(last.take());
        let (time, ledger) = millis(|| Ledger::open(dir, NODE, entropy(2), NOW));
        measured.push(time);
        last = Some(ledger?);
    }
    Ok((median(&mut measured), last.context("it was opened")?))
}

/// Lengths and blocks of a folder's files, in bytes.
fn stored(dir: &Path) -> Result<(f64, f64)> {
    let (mut length, mut blocks) = (0, 0);
    for entry in std::fs::read_dir(dir)? {
        let file = entry?.metadata()?;
        length += file.len();
        blocks += file.blocks() * 512;
    }
    Ok((length as f64, blocks as f64))
}

fn entropy(seed: u64) -> Entropy {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    Box::new(move |bytes| {
        rng.fill_bytes(bytes);
        Ok(())
    })
}

fn release(ledger: &Ledger, folder: &Path, subjects: u32, number: u16) -> Result<Release> {
    let bytes = vec![0x5a_u8; 2 * subjects as usize];
    let raw_path = folder.join("raw");
    let (raw, written) = millis(|| -> std::io::Result<()> {
        let mut file = std::fs::File::create(&raw_path)?;
        file.write_all(&bytes)?;
        file.sync_data()
    });
    written?;
    std::fs::remove_file(&raw_path)?;
    let request = request(number)?;
    let (intent, admitted) = millis(|| ledger.admit(request, NOW));
    let Admission::Granted(permit) = admitted? else {
        bail!("the release was not admitted")
    };
    let filter = filter(ledger, &permit)?;
    let (fold, noised) = millis(|| fold(ledger, permit, subjects, u64::from(number)));
    let (commit, committed) = millis(|| {
        ledger
            .commit(noised?, NOW, |_, values| format!("{values:?}").into_bytes())
            .map_err(anyhow::Error::from)
    });
    committed?;
    Ok(Release {
        raw,
        intent,
        filter,
        fold,
        commit,
    })
}

/// How long it takes to decide for everybody.
fn filter(ledger: &Ledger, permit: &Permit) -> Result<f64> {
    let exposures = ledger.exposures(permit)?;
    let slices = exposures.slices();
    let account = slices.first().context("there is an account")?;
    let (filter, price) = (permit.filter(), permit.price());
    let (time, active) = millis(|| {
        let decided = account.iter().zip(exposures.barred());
        let active =
            decided.filter(|(e, barred)| filter.active(&[**e], black_box(price)) & !**barred);
        active.count()
    });
    if black_box(active) != account.len() {
        bail!("somebody was left out");
    }
    Ok(time)
}

fn fold(ledger: &Ledger, permit: Permit, subjects: u32, seed: u64) -> Result<Noised> {
    let exposures = ledger.exposures(&permit)?;
    let slices = exposures.slices();
    let known = exposures.known(&slices);
    let mut sums = Accumulator::new(&permit, 1);
    let mut sparse = Sparse::new();
    for subject in 0..subjects {
        sparse.clear();
        sparse.add(0, i64::from(1 + subject % 100))?;
        sums.add(subject, std::slice::from_ref(&sparse), known)?;
    }
    let admitted = sums.finish(permit)?;
    Ok(admitted.add_noise(&mut ChaCha20Rng::seed_from_u64(seed))?)
}

fn furnish(ledger: &Ledger, asked: &Asked) -> Result<()> {
    let people = PopulationName::new("people")?;
    let most_subjects = u64::from(asked.subjects);
    ledger.enrol(ANN, Role::Scientist, PartyName::new("ann")?, vec![9], NOW)?;
    let population = NewPopulation {
        name: people.clone(),
        most_subjects,
        capacity: u32::try_from(index_capacity(most_subjects))?,
        apart: false,
        secrets: Secrets {
            subject: [4; 32],
            row: [5; 32],
        },
        evidence: vec![1],
    };
    ledger.add_population(population, NOW)?;
    let mut ingest = ledger.begin_ingest(&people, &DatasetName::new("visits")?, dataset().id)?;
    let mut ids = ChaCha20Rng::seed_from_u64(3);
    for _ in 0..asked.subjects {
        let mut hash = [0; 16];
        ids.fill_bytes(&mut hash);
        ingest.index(hash)?;
    }
    let data = NewData {
        description: "visits of people".to_owned(),
        file_sha256: [6; 32],
        rows: most_subjects,
        evidence: vec![2],
    };
    ledger.add_dataset(ingest, data, NOW)?;
    let limit = LimitSet {
        account: Account::Population(people),
        limit: Limit::as_stored(5.0, Delta::new(1e-9)?, WIDE),
        mode: Mode::Protect,
        largest_share: 10_000,
        delta_keys: DeltaCharge::ZERO,
        reason: "figures".to_owned(),
        evidence: vec![3],
    };
    ledger.set_limit(limit, NOW)?;
    ledger.set_scientist_limit(None, WIDE, vec![], NOW)?;
    let study = NewStudy {
        id: study(),
        digest: Digest::of(b"a study"),
        scientist: ANN,
        project: ProjectName::new("figures")?,
        dataset: dataset(),
        releases: vec![StudyRelease {
            name: ReleaseName::new("visits")?,
            price: PRICE,
            times: asked.releases.into(),
            require_complete: false,
            delta_keys: DeltaCharge::ZERO,
            canonical: Digest::of(b"canonical"),
        }],
        expires: LATER,
        evidence: vec![4],
    };
    ledger.submit_study(study, NOW)?;
    let (approve, signed) = (Decision::Approve, vec![5]);
    ledger.decide(
        self::study(),
        Digest::of(b"a study"),
        approve,
        String::new(),
        signed,
        NOW,
    )?;
    Ok(())
}

fn dataset() -> DatasetVersion {
    DatasetVersion {
        id: DatasetId::from_parts(NOW.0, [1; 10]),
        version: 1,
    }
}

fn study() -> StudyId {
    StudyId::from_parts(NOW.0, [1; 10])
}

/// One sum of values up to 100.
fn shape() -> Shape {
    Shape {
        keys: Vec::new(),
        vectors: vec![VectorShape {
            what: "visits".to_owned(),
            step_exponent: 0,
            clip_squared: 10_000,
            sigma: 1_000,
            parts: 1,
            grouped: true,
        }],
        outputs: vec![Output {
            name: "visits".to_owned(),
            unit: String::new(),
            kind: OutputKind::Sum { vector: 0 },
        }],
        arrange: Default::default(),
        disclosure: Default::default(),
    }
}

fn request(number: u16) -> Result<AdmitRequest> {
    let mut entropy = [0; 10];
    // An id keeps all bits of these bytes.
    entropy[4..6].copy_from_slice(&number.to_le_bytes());
    Ok(AdmitRequest {
        key: RequestKey {
            person: ANN,
            request: RequestId::from_parts(NOW.0, entropy),
        },
        body_digest: Digest::of(&number.to_le_bytes()),
        authority: Authority::Study {
            study: study(),
            release: ReleaseName::new("visits")?,
        },
        dataset: dataset(),
        shape: shape(),
        plan: Digest::of(&number.to_be_bytes()),
        canonical: Digest::of(b"canonical"),
        columns: vec!["cost".to_owned()],
        tables: vec![],
        require_complete: false,
        delta_keys: DeltaCharge::ZERO,
        evidence: vec![6; 500],
    })
}
