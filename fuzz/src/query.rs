//! The query front door: text to canonical text to plan to mock rows.

use std::sync::OnceLock;

use obscura_model::accuracy::{Accuracy, AccuracyRequest};
use obscura_model::codelist::{CodeList, CodeLists};
use obscura_model::exposure::{Delta, Rho};
use obscura_model::schema::Description;
use obscura_model::text::SqlText;
use obscura_query::{MockRows, PlanOptions, PrivatePlan, Refusal, ValidatedQuery, mock};
use rand::SeedableRng as _;
use rand_chacha::ChaCha20Rng;

/// A dataset of one table for a few subjects, with a column of every kind.
pub const PATIENTS: &str = include_str!("../seeds/descriptions/patients.toml");

/// A dataset of several tables, with texts whose keys are found in the rows.
pub const COHORT: &str = include_str!("../seeds/descriptions/cohort.toml");

const CODES: &str = "name = \"angina\"\ncodes = [\"plain\", \"I20\", \"a\\\"b\"]\n";

/// The longest refusal, in bytes: an error is no channel for long texts.
const LONGEST_REFUSAL: usize = 1_000;

/// The most sums that are drawn noise for.
const MOST_SUMS: usize = 24;

struct World {
    description: Description,
    lists: CodeLists,
    rows: MockRows,
}

impl World {
    fn of(description: &str) -> World {
        let description = Description::from_toml(description).unwrap();
        World {
            rows: mock::rows(&description, 1),
            lists: CodeLists::new([CodeList::from_toml(CODES).unwrap()]),
            description,
        }
    }
}

fn world(several: bool) -> &'static World {
    static ONE: OnceLock<World> = OnceLock::new();
    static SEVERAL: OnceLock<World> = OnceLock::new();
    if several {
        SEVERAL.get_or_init(|| World::of(COHORT))
    } else {
        ONE.get_or_init(|| World::of(PATIENTS))
    }
}

/// The first byte chooses the accuracy (2 bits), the dataset (1) and what else is released (2),
/// the rest is the text.
pub fn check(bytes: &[u8]) {
    let Some((way, text)) = bytes.split_first() else {
        return;
    };
    let Ok(text) = std::str::from_utf8(text) else {
        return;
    };
    let Ok(sql) = SqlText::new(text) else { return };
    let World {
        description,
        lists,
        rows,
    } = world(way & 4 != 0);
    let query = match ValidatedQuery::parse(&sql, description, lists) {
        Ok(query) => query,
        Err(refusal) => return placed(&refusal, text),
    };
    let canonical = SqlText::new(&query.canonical()).expect("a canonical text is a text");
    let again = ValidatedQuery::parse(&canonical, description, lists)
        .expect("a canonical text is in the language");
    assert_eq!(again, query, "a canonical text means what it came from");
    assert!(query.output_sentences().len() == query.output_names().count());
    let asked = accuracy(*way);
    let options = PlanOptions {
        coverage: way & 8 != 0,
        count_clipped: way & 64 != 0,
        minimum_cell: (way & 128 != 0).then_some(10),
    };
    let plan = |query: &ValidatedQuery| {
        let share = Some(Rho::from_nano(1_000_000));
        query.plan(description, &asked, share, Delta::new(1e-6).unwrap(), &options)
    };
    let (planned, again) = (plan(&query), plan(&again));
    assert_eq!(planned, again, "equal queries have equal plans");
    match planned {
        Ok(plan) => run(&plan, rows),
        Err(refusal) => placed(&refusal, text),
    }
}

fn accuracy(way: u8) -> AccuracyRequest {
    let accuracy = match way % 4 {
        0 => Accuracy::Price(Rho::from_nano(100_000_000)),
        1 => Accuracy::Epsilon(0.5),
        2 => Accuracy::Sigma(3.0),
        _ => Accuracy::Within {
            margin: 40.0,
            rows: Some(500),
        },
    };
    AccuracyRequest::whole(accuracy).unwrap()
}

/// Every vector is priced, and whatever the rows hold, the fold ends in numbers.
fn run(plan: &PrivatePlan, rows: &MockRows) {
    let shape = plan.shape();
    assert!(
        shape
            .vectors
            .iter()
            .all(|v| v.sigma > 0 && v.clip_squared > 0)
    );
    assert_eq!(shape.price().expect("a plan has a price"), plan.price());
    let sum: u64 = shape
        .vectors
        .iter()
        .map(|v| v.price().unwrap().nano())
        .sum();
    assert_eq!(
        sum,
        plan.price().nano(),
        "the price is the sum of all vectors' prices"
    );
    assert_eq!(plan.slot(20).expect("a plan has a slot") % 20, 0);
    // Noise takes most of the time; a few sums say as much as many.
    if shape.cells() * shape.vectors.len() > MOST_SUMS {
        return;
    }
    let mut rng = ChaCha20Rng::seed_from_u64(7);
    let answer = mock::run(plan, rows, &mut rng).expect("no row makes an error");
    for output in 0..shape.outputs.len() {
        for cell in 0..shape.cells() {
            let estimate = answer
                .noisy
                .estimate(output, cell)
                .expect("every cell is answered");
            assert!(!estimate.value.is_infinite(), "{estimate:?}");
        }
    }
}

/// A refusal's place, if it has one, lies in the text or just after its end.
fn placed(refusal: &Refusal, text: &str) {
    let said = refusal.to_string();
    assert!(
        said.len() <= LONGEST_REFUSAL,
        "{} bytes: {said}",
        said.len()
    );
    assert_eq!(refusal.line.is_some(), refusal.column.is_some());
    let (Some(line), Some(column)) = (refusal.line, refusal.column) else {
        return;
    };
    assert!(line >= 1 && column >= 1, "{said}");
    let found = text.split('\n').nth(line as usize - 1);
    let length = found.map(|l| l.chars().count());
    assert!(length.is_some_and(|l| column as usize <= l + 1), "{said}");
}
