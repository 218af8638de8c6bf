//! Two stores that differ in one subject, and one release of either.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt::Write as _;

use anyhow::{Context as _, Result};
use obscura_model::answer::Answer;
use obscura_model::codelist::{CodeList, CodeLists};
use obscura_model::exposure::Rho;
use obscura_model::ids::{
    DatasetId, DatasetName, Digest, KeyId, PartyName, ReleaseName, RequestId, StudyId, UnixMillis,
};
use obscura_model::release::{Authority, Completeness, Release};
use obscura_model::schema::Description;
use obscura_model::study::ReleaseOptions;
use obscura_model::wire;
use obscura_privacy::{CodeGrid, Filter, Known, Mode, Permit};
use obscura_query::ingest::{Secrets, read_rows, sort, subject_hash};
use obscura_query::{Contributions, PrivatePlan, PrivateTable};
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha20Rng;
use tempfile::TempDir;

/// Subjects, all of them in the index of both sides.
const SUBJECTS: u32 = 30;
/// The declared most rows of a subject; some have more.
const MOST_ROWS: u32 = 3;

const SECRETS: Secrets = Secrets {
    subject: [3; 32],
    rows: [4; 32],
};

/// A dataset with a column of every kind, for [`super::grammar`].
const DESCRIPTION: &str = r#"
name = "cases"
title = "Cases"
source = "cases.csv"
subject = "person"
subject_unit = "person"
most_rows_per_subject = 3
subjects = [10, 1000]
delta = 1e-6

[[column]]
name = "age"
type = "integer"
lowest = 0
highest = 120
meaning = "age"
bounds_from = "form"

[[column]]
name = "sex"
type = "category"
values = ["F", "M", "X"]
meaning = "sex"
bounds_from = "form"

[[column]]
name = "region"
type = "category"
values = ["N", "S", "E", "W"]
meaning = "region"
bounds_from = "form"
constant_per_subject = true

[[column]]
name = "bmi"
type = "number"
lowest = 10
highest = 60
meaning = "body mass index"
bounds_from = "form"
may_be_missing = true

[[column]]
name = "income"
type = "number"
lowest = -1000
highest = 1000000
meaning = "income"
bounds_from = "form"
may_be_missing = true

[[column]]
name = "smoker"
type = "boolean"
meaning = "smokes"
bounds_from = "form"
may_be_missing = true

[[column]]
name = "year"
type = "integer"
lowest = 1990
highest = 1999
meaning = "year"
bounds_from = "form"

[[column]]
name = "ward"
type = "category"
values = ["it's", "plain"]
other = "rest"
meaning = "ward"
bounds_from = "form"

[[column]]
name = "day"
type = "date"
first = "2020-01-01"
last = "2020-12-31"
meaning = "day"
bounds_from = "form"
may_be_missing = true

[[column]]
name = "note"
type = "text"
most_characters = 20
meaning = "note"
bounds_from = "form"
may_be_missing = true
"#;

/// A list of codes, of which some are nobody's.
const LIST: &str = r#"
name = "wards"
title = "Wards"
source = "invented"
codes = ["plain", "elsewhere", "(", "a_b", "gone"]
"#;

/// One of the two stores.
pub(super) struct Side {
    pub(super) description: Description,
    table: PrivateTable,
    _folder: TempDir,
}

/// The two stores, and what everybody was exposed to before.
pub(super) struct World {
    pub(super) with: Side,
    pub(super) without: Side,
    /// The index of the subject who is on one side only.
    pub(super) subject: u32,
    /// By subject index, in billionths.
    pub(super) exposures: Vec<u64>,
    /// Whose rows are left out, by subject index.
    barred: Vec<bool>,
    pub(super) limit: Rho,
    pub(super) lists: CodeLists,
    /// How a question names the list.
    pub(super) list: String,
}

/// What one release gives, to everybody and to this test.
pub(super) struct Released {
    /// The encoded release, as the requester gets it.
    pub(super) message: Vec<u8>,
    pub(super) exact: Vec<Vec<i64>>,
    /// The charged subjects, with their charges in billionths.
    pub(super) charges: Vec<(u32, u64)>,
}

impl World {
    pub(super) fn random(rng: &mut ChaCha20Rng) -> Result<Self> {
        let chosen = rng.random_range(0..SUBJECTS);
        let mut rows: Vec<(u32, String)> = Vec::new();
        for subject in 0..SUBJECTS {
            let region = *["N", "S", "E", "W", "ZZ"].choose(rng).context("a region")?;
            let count = match rng.random_range(0..10) {
                0 => 8 * MOST_ROWS,
                1..3 if subject != chosen => 0,
                _ => rng.random_range(1..=MOST_ROWS + 2),
            };
            for _ in 0..count {
                rows.push((subject, row(subject, region, rng)?));
            }
        }
        let barred = (0..1024).map(|_| rng.random_ratio(1, 12)).collect();
        let limit = Rho::from_nano(400_000_000);
        let exposures = (0..SUBJECTS).map(|_| match rng.random_range(0..4) {
            0 => rng.random_range(0..=limit.nano()),
            _ => 0,
        });
        let list = CodeList::from_toml(LIST)?;
        Ok(Self {
            list: list.reference(),
            lists: CodeLists::new([list]),
            barred,
            exposures: exposures.chain(std::iter::repeat(0)).take(1024).collect(),
            with: Side::store(rows.iter().map(|(_, row)| row))?,
            without: Side::store(
                rows.iter()
                    .filter(|(s, _)| *s != chosen)
                    .map(|(_, row)| row),
            )?,
            subject: chosen,
            limit,
        })
    }

    /// Folds, adds noise and encodes, as a node does.
    pub(super) fn release(
        &self,
        side: &Side,
        plan: PrivatePlan,
        seed: [u8; 32],
    ) -> Result<Released> {
        let (shape, price) = (plan.shape().clone(), plan.price());
        let canonical = plan.canonical().to_owned();
        let filter = Filter::new(Mode::Protect, vec![self.limit]);
        let permit = Permit::after_durable_intent(1, filter, shape.clone(), false, 1024)?;
        let rows = side.table.rows();
        let known = Known {
            accounts: &[&self.exposures],
            barred: &self.barred,
        };
        let admitted = Contributions::bind(permit, plan, rows).fold(known, 2)?;
        let exact = admitted.exact_sums_for_audit().to_vec();
        let parts = admitted
            .add_noise(&mut ChaCha20Rng::from_seed(seed))?
            .into_commit();
        let grid = CodeGrid::new(price)?;
        let charge = |(subject, code): &(u32, u16)| Ok((*subject, grid.value(*code)?.nano()));
        Ok(Released {
            charges: parts.charges.iter().map(charge).collect::<Result<_>>()?,
            message: wire::encode_release(&message(
                canonical,
                price,
                Answer::new(shape, parts.values)?,
            )?),
            exact,
        })
    }
}

fn message(canonical_sql: String, price: Rho, answer: Answer) -> Result<Release> {
    Ok(Release {
        node: KeyId::new([1; 32]),
        node_name: PartyName::new("site")?,
        requester: KeyId::new([2; 32]),
        request_id: RequestId::from_parts(1, [1; 10]),
        request_digest: Digest::of(b"request"),
        authority: Authority::Study {
            study: StudyId::from_parts(1, [2; 10]),
            digest: Digest::of(b"study"),
            release: ReleaseName::new("r")?,
        },
        options: ReleaseOptions::NONE,
        dataset_id: DatasetId::from_parts(1, [3; 10]),
        dataset: DatasetName::new("cases")?,
        dataset_version: 1,
        canonical_sql,
        answer,
        price,
        completeness: Completeness::SubjectsMayBeMissing,
        journal_index: 9,
        head_size: 9,
        head_root: Digest::of(b"head"),
        committed: UnixMillis(1_800_000_000_000),
    })
}

impl Side {
    fn store<'a>(rows: impl Iterator<Item = &'a String>) -> Result<Self> {
        let (folder, description) = (tempfile::tempdir()?, Description::from_toml(DESCRIPTION)?);
        let mut csv = "person,age,sex,region,bmi,income,smoker,year,ward,day,note\n".to_owned();
        rows.for_each(|row| csv.push_str(row));
        let path = folder.path().join("cases.csv");
        std::fs::write(&path, csv)?;
        // Everybody has the same index on both sides, as in two histories of one node.
        let ids = (0..SUBJECTS).map(|s| (subject_hash(&SECRETS.subject, &format!("p{s}")), s));
        let ids: BTreeMap<_, _> = ids.collect();
        let mut index = |hash| Ok::<u32, Infallible>(ids.get(&hash).copied().unwrap_or(SUBJECTS));
        let sorted = sort(
            read_rows(&description, &path)?,
            &description,
            &SECRETS,
            &mut index,
        )?;
        let path = folder.path().join("table.parquet");
        PrivateTable::write(&sorted, &description, &path)?;
        let table = PrivateTable::open(&path, &description)?;
        Ok(Self {
            description,
            table,
            _folder: folder,
        })
    }
}

/// A line of the file, sometimes with what no form should have let through.
fn row(subject: u32, region: &str, rng: &mut ChaCha20Rng) -> Result<String> {
    let (common, hidden) = (rng.random_range(18..90), rng.random_range(-50..200));
    let odd = [
        "NaN",
        "inf",
        "-inf",
        "-0.0",
        "0",
        "1e308",
        "5e-324",
        "9223372036854775807",
    ];
    let mut number = |usual: f64| -> Result<String> {
        Ok(match rng.random_range(0..12) {
            0 => (*odd.choose(rng).context("a number")?).to_owned(),
            1 => String::new(),
            _ => format!("{:.3}", usual * rng.random_range(0.0..1.5)),
        })
    };
    let (bmi, income) = (number(40.0)?, number(80_000.0)?);
    let mut line = format!(
        "p{subject},{}",
        if rng.random_ratio(1, 9) {
            hidden
        } else {
            common
        }
    );
    let sex = ["F", "M", "X", "Q"].choose(rng).context("a sex")?;
    let smoker = ["true", "false", ""].choose(rng).context("a truth")?;
    let ward = ["it's", "plain", "elsewhere", "rest"]
        .choose(rng)
        .context("a ward")?;
    let day = ["2020-02-29", "2020-06-01", "1999-01-01", "2024-12-31", ""];
    let day = day.choose(rng).context("a day")?;
    let note = ["(", "%", "a_b", "", "O''Neil", "ſ"]
        .choose(rng)
        .context("a note")?;
    let year = rng.random_range(1988..2002);
    writeln!(
        line,
        ",{sex},{region},{bmi},{income},{smoker},{year},{ward},{day},{note}"
    )?;
    Ok(line)
}
