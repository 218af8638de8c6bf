//! The ten patterns of docs/cookbook.md: each query of the page is run as a node runs it, and
//! compared with plain loops over the same people.

#[path = "cookbook/people.rs"]
mod people;
#[path = "cookbook/truth.rs"]
mod truth;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::LazyLock;

use obscura_model::accuracy::{Accuracy, AccuracyRequest};
use obscura_model::answer::{Answer, Shape};
use obscura_model::codelist::{CodeList, CodeLists};
use obscura_model::exposure::{Delta, Rho};
use obscura_model::schema::Description;
use obscura_model::text::SqlText;
use obscura_privacy::{Filter, Known, Mode, Permit, mock_noise};
use obscura_query::ingest::{Secrets, read_rows, sort};
use obscura_query::{
    Contributions, PlanOptions, PrivatePlan, PrivateTable, Refusal, ValidatedQuery, mock,
};
use obscura_tests::cluster::{Cluster, ask, release_name};
use obscura_tests::data::visits;
use rand::SeedableRng as _;
use rand_chacha::ChaCha20Rng;
use tempfile::TempDir;

use people::Person;
use truth::Expected;

const DESCRIPTION: &str = include_str!("../../../deploy/cohort/dataset.toml");

/// The page, read when the tests run.
static PAGE: LazyLock<String> = LazyLock::new(|| {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/cookbook.md");
    std::fs::read_to_string(page).unwrap()
});

/// One section of the page with a query.
struct Pattern {
    number: usize,
    sql: String,
    /// The price of the answer on the page.
    accuracy: Accuracy,
    /// The answer on the page.
    answer: String,
}

fn description() -> Description {
    Description::from_toml(DESCRIPTION).unwrap()
}

/// The first block of a section in this language.
fn block(section: &str, language: &str) -> Option<String> {
    let (_, rest) = section.split_once(&format!("```{language}\n"))?;
    Some(rest.split_once("```")?.0.to_owned())
}

fn patterns() -> Vec<Pattern> {
    let mut found = Vec::new();
    for section in PAGE.split("\n## ").skip(1) {
        let number = section.split_once('.').and_then(|(n, _)| n.parse().ok());
        let (Some(number), Some(sql)) = (number, block(section, "sql")) else {
            continue;
        };
        let marked = section.split("Answer at epsilon ").nth(1).unwrap();
        let epsilon = marked.split([',', ':']).next().unwrap().parse().unwrap();
        found.push(Pattern {
            number,
            sql,
            accuracy: Accuracy::Epsilon(epsilon),
            answer: block(section, "text").unwrap(),
        });
    }
    found
}

fn pattern(number: usize) -> Pattern {
    patterns().into_iter().find(|p| p.number == number).unwrap()
}

fn lists() -> CodeLists {
    CodeLists::new([CodeList::from_toml(&block(&PAGE, "toml").unwrap()).unwrap()])
}

/// The people, and their rows as a node stores them.
struct World {
    people: Vec<Person>,
    table: PrivateTable,
    subjects: usize,
    _folder: TempDir,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let people = people::people(12_000, 2024);
    let (table, subjects) = store(&people, folder.path());
    World {
        people,
        table,
        subjects,
        _folder: folder,
    }
});

fn store(people: &[Person], folder: &Path) -> (PrivateTable, usize) {
    for (name, text) in people::files(people) {
        std::fs::write(folder.join(name), text).unwrap();
    }
    let secrets = Secrets {
        subject: [1; 32],
        rows: [2; 32],
    };
    let description = description();
    let mut ids = BTreeMap::new();
    let mut index = |hash: [u8; 16]| {
        let next = u32::try_from(ids.len()).unwrap();
        Ok::<u32, Infallible>(*ids.entry(hash).or_insert(next))
    };
    let raw = read_rows(&description, &folder.join("people.csv")).unwrap();
    let sorted = sort(raw, &description, &secrets, &mut index).unwrap();
    let path = folder.join("cohort.parquet");
    PrivateTable::write(&sorted, &description, &path).unwrap();
    let table = PrivateTable::open(&path, &description).unwrap();
    (table, ids.len())
}

fn plan(sql: &str, accuracy: Accuracy) -> Result<PrivatePlan, Refusal> {
    let description = description();
    let query = ValidatedQuery::parse(&SqlText::new(sql).unwrap(), &description, &lists())?;
    let asked = AccuracyRequest::whole(accuracy).unwrap();
    let delta = Delta::new(1e-6).unwrap();
    query.plan(&description, &asked, None, delta, &PlanOptions::default())
}

/// The exact sums, as they are inside the node before noise.
fn sums(plan: PrivatePlan) -> (Shape, Vec<Vec<i64>>) {
    let shape = plan.shape().clone();
    let filter = Filter::new(Mode::Protect, vec![Rho::from_nano(1_000_000_000)]);
    let capacity = description().index_capacity();
    let permit = Permit::after_durable_intent(1, filter, shape.clone(), false, capacity).unwrap();
    let exposures = vec![0; usize::try_from(capacity).unwrap()];
    assert!(WORLD.subjects <= exposures.len());
    let known = Known {
        accounts: &[&exposures],
        barred: &vec![false; exposures.len()],
    };
    let folded = Contributions::bind(permit, plan, WORLD.table.rows());
    let sums = folded
        .fold(known, 2)
        .unwrap()
        .exact_sums_for_audit()
        .to_vec();
    (shape, sums)
}

fn labels(answer: &Answer, cell: usize) -> Vec<String> {
    let labels = answer.shape().labels(cell);
    labels.into_iter().map(str::to_owned).collect()
}

/// What is wrong with an answer, in words.
fn differences(answer: &Answer, expected: &Expected) -> Vec<String> {
    let shape = answer.shape();
    if (shape.cells(), shape.outputs.len()) != (expected.table.len(), expected.near.len()) {
        return vec![format!(
            "{} groups, {} outputs",
            shape.cells(),
            shape.outputs.len()
        )];
    }
    let mut wrong = Vec::new();
    for cell in 0..shape.cells() {
        let labels = labels(answer, cell);
        let Some(row) = expected.table.get(&labels) else {
            wrong.push(format!("no group {labels:?}"));
            continue;
        };
        assert_eq!(row.len(), expected.near.len());
        for (output, (wanted, near)) in row.iter().zip(&expected.near).enumerate() {
            let found = answer.estimate(output, cell).unwrap().value;
            let same = (found - wanted).abs() <= *near || (found.is_nan() && wanted.is_nan());
            if !same {
                let name = &shape.outputs[output].name;
                wrong.push(format!("{name} of {labels:?}: {found} and not {wanted}"));
            }
        }
    }
    wrong
}

/// The answer of a pattern without noise, and with that of a fixed seed.
fn answers(pattern: &Pattern) -> (Answer, Answer) {
    let plan = plan(&pattern.sql, pattern.accuracy)
        .unwrap_or_else(|refusal| panic!("pattern {}: {refusal}", pattern.number));
    let (shape, sums) = sums(plan);
    let mut rng = ChaCha20Rng::seed_from_u64(pattern.number as u64);
    let noisy = mock_noise(sums.clone(), &shape.vectors, &mut rng).unwrap();
    let exact = Answer::new(shape.clone(), sums).unwrap();
    (exact, Answer::new(shape, noisy).unwrap())
}

/// The answer as the page shows it, with the noise of a fixed seed.
fn shown(answer: &Answer) -> String {
    let shape = answer.shape();
    let mut rows = vec![Vec::new()];
    rows[0].extend(shape.keys.iter().map(|k| k.column.clone()));
    rows[0].extend(shape.outputs.iter().map(|o| o.name.clone()));
    for cell in answer.arranged() {
        let mut row = labels(answer, cell);
        for output in 0..shape.outputs.len() {
            let e = answer.estimate(output, cell).unwrap();
            let digits = usize::from(e.margin < 10.0);
            row.push(format!("{:.digits$} ± {:.digits$}", e.value, e.margin));
        }
        rows.push(row);
    }
    let widths: Vec<usize> = (0..rows[0].len())
        .map(|c| rows.iter().map(|r| r[c].chars().count()).max().unwrap())
        .collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            write!(line, "{cell:<width$}  ").unwrap();
        }
        writeln!(text, "{}", line.trim_end()).unwrap();
    }
    text
}

#[test]
fn the_page_has_all_ten_patterns() {
    let numbers: Vec<usize> = patterns().iter().map(|p| p.number).collect();
    assert_eq!(numbers, (1..=10).collect::<Vec<_>>());
}

#[test]
fn every_pattern_of_the_cookbook_is_in_the_language() {
    let refused = patterns().into_iter().filter_map(|p| {
        let refusal = plan(&p.sql, p.accuracy).err()?;
        Some(format!("pattern {}: {refusal}", p.number))
    });
    let refused: Vec<String> = refused.collect();
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}

#[test]
fn every_pattern_of_the_cookbook_agrees_with_plain_loops_over_people() {
    let mut wrong = String::new();
    for pattern in patterns() {
        let expected = truth::of(pattern.number, &WORLD.people);
        for difference in differences(&answers(&pattern).0, &expected) {
            writeln!(wrong, "pattern {}: {difference}", pattern.number).unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn the_answers_on_the_page_are_what_a_release_would_look_like() {
    let mut other = String::new();
    for pattern in patterns() {
        let found = shown(&answers(&pattern).1);
        if found != pattern.answer {
            writeln!(other, "## {}. should show\n{found}", pattern.number).unwrap();
        }
    }
    assert!(other.is_empty(), "{other}");
}

/// The standard population of pattern 2, by age band.
const STANDARD: [f64; 4] = [0.55, 0.20, 0.17, 0.08];

/// What the page says to do with the answer of pattern 2: rates per 100 with margins, by region.
fn standardised(answer: &Answer) -> Vec<(String, f64, f64)> {
    let mut rates: Vec<(String, f64, f64)> = Vec::new();
    for cell in 0..answer.shape().cells() {
        let [people, cases] = [0, 1].map(|output| answer.estimate(output, cell).unwrap());
        let weight = 100.0 * STANDARD[cell % STANDARD.len()];
        let rate = cases.value / people.value;
        let margin = cases.margin.hypot(rate * people.margin) / people.value;
        if cell % STANDARD.len() == 0 {
            rates.push((labels(answer, cell)[0].clone(), 0.0, 0.0));
        }
        let (_, sum, square) = rates.last_mut().unwrap();
        *sum += weight * rate;
        *square += (weight * margin).powi(2);
    }
    rates
        .into_iter()
        .map(|(r, sum, sq)| (r, sum, sq.sqrt()))
        .collect()
}

#[test]
fn the_standardised_rates_on_the_page_follow_from_the_answer_and_hold_the_truth() {
    let (exact, noisy) = answers(&pattern(2));
    let mut text = String::new();
    for ((region, truth, _), (_, rate, margin)) in
        standardised(&exact).into_iter().zip(standardised(&noisy))
    {
        assert!(
            (rate - truth).abs() <= 1.5 * margin,
            "{region}: {rate}, {truth}"
        );
        writeln!(text, "{region:<6} {rate:.1} ± {margin:.1}").unwrap();
    }
    assert!(PAGE.contains(&format!("```text\n{text}```")), "{text}");
}

/// The page tells strangers how to practise on it.
#[test]
fn every_pattern_runs_on_practice_data_and_the_sample_rows_are_read() {
    let rows = mock::rows(&description(), 1);
    for pattern in patterns() {
        let plan = plan(&pattern.sql, pattern.accuracy).unwrap();
        let mut noise = ChaCha20Rng::seed_from_u64(1);
        let answer = mock::run(&plan, &rows, &mut noise).unwrap().exact;
        let shape = answer.shape();
        let cells = (0..shape.cells()).flat_map(|c| (0..shape.outputs.len()).map(move |o| (o, c)));
        let some = cells.filter(|(o, c)| answer.estimate(*o, *c).unwrap().value > 0.0);
        assert!(some.count() > 0, "pattern {}", pattern.number);
    }
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/cohort");
    let raw = read_rows(&description(), &sample.join("people.csv")).unwrap();
    let mut index = |_: [u8; 16]| Ok::<u32, Infallible>(0);
    let secrets = Secrets {
        subject: [1; 32],
        rows: [2; 32],
    };
    sort(raw, &description(), &secrets, &mut index).unwrap();
}

/// How many times as wide the noise of `sum` becomes if the query is written as `other`.
fn times_the_noise(number: usize, sum: usize, other: &str) -> f64 {
    let Pattern { sql, accuracy, .. } = pattern(number);
    let sigma = |sql: &str| {
        let plan = plan(sql, accuracy).unwrap_or_else(|refusal| panic!("{sql}\n{refusal}"));
        plan.shape().vectors[sum].sigma_in_units()
    };
    sigma(other) / sigma(&sql)
}

#[test]
fn what_the_page_says_about_prices_is_so() {
    let joined = "SELECT one, two, COUNT(DISTINCT a.person) AS people \
        FROM (SELECT person, code AS one FROM diagnoses) AS a \
        JOIN (SELECT person, code AS two FROM diagnoses) AS b USING (person) GROUP BY one, two";
    let pairs = times_the_noise(8, 0, joined);
    assert!((9.9..10.1).contains(&pairs), "{pairs}");
    let nine = pattern(9).sql;
    let clip = times_the_noise(9, 1, &nine.replace("LEAST(before, 20000)", "before"));
    assert!((23.9..24.1).contains(&clip), "{clip}");
    let one = pattern(1).sql;
    let shorter = times_the_noise(1, 1, &one.replace("3653", "1826"));
    assert!((0.49..0.51).contains(&shorter), "{shorter}");
}

/// Two of the patterns through gateway and node, with real noise.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_patterns_over_the_network_are_within_six_margins_of_the_truth() {
    // Datasets of one population are declared with one size, and share its limit.
    let mut beside = visits(50, 2, 1);
    beside.description = beside.description.replace("[1, 50]", "[1, 20000]");
    let mut cluster = Cluster::builder().site(beside).build().await.unwrap();
    let site = &mut cluster.sites[0];
    for (name, text) in people::files(&WORLD.people) {
        std::fs::write(site.folder.join("import").join(name), text).unwrap();
    }
    let owner = site.owner_client().await.unwrap();
    let description = DESCRIPTION.replace("population = \"cohort\"\n", "");
    let added = owner.add_dataset(&description).await.unwrap();
    assert_eq!(added.dataset.version, 1);
    site.dataset.name = "cohort".to_owned();

    let asked = [(2, "standardised"), (5, "readmission")];
    let price = 30_000_000;
    let asks = asked.map(|(number, name)| ask(name, &pattern(number).sql, price));
    let ada = cluster.client("ada").await.unwrap();
    let study = cluster.approved(&ada, &asks).await.unwrap();
    let site = cluster.sites[0].institution().unwrap().name;
    for (number, name) in asked {
        let name = release_name(name).unwrap();
        let released = ada.release(&study, &site, &name, 1).await.unwrap();
        let answer = &released.release().answer;
        let expected = truth::of(number, &WORLD.people);
        assert_eq!(answer.shape().cells(), expected.table.len());
        let mut exact = 0;
        for cell in 0..answer.shape().cells() {
            let row = &expected.table[&labels(answer, cell)];
            for (output, wanted) in row.iter().enumerate() {
                let found = answer.estimate(output, cell).unwrap();
                let away = (found.value - wanted).abs();
                assert!(
                    away <= 6.0 * found.margin,
                    "pattern {number}: {} and not {wanted}",
                    found.value
                );
                // A margin that is as wide as the answer would prove nothing.
                assert!(found.margin < 150.0, "pattern {number}: {}", found.margin);
                exact += usize::from(away < 1e-9);
            }
        }
        assert!(exact < answer.shape().cells(), "there is no noise");
    }
    cluster.stop().await;
}
