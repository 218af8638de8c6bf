//! The fold column by column gives what the walk row by row gives: sums, who takes part, charges.

use obscura_model::accuracy::AccuracyRequest;
use obscura_model::exposure::Rho;
use obscura_model::schema::Description;
use obscura_privacy::{Accumulator, CommitParts, Filter, Known, Many, Mode, Permit, Sparse, Tally};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;

use super::relations::clinic;
use super::subjects::{people, random_query, store};
use super::{delta, parse_with, price, visits};
use crate::fold::{Columns, FoldError, Sink, Walk, pieces, walk_with};
use crate::source::Source;
use crate::{PlanOptions, PrivatePlan, mock};

/// What a whole fold adds, under a permit.
struct Folded<'a> {
    accumulator: Accumulator,
    known: Known<'a>,
}

impl Sink for Folded<'_> {
    fn take(&mut self, subject: u32, keys: &[&str], parts: &[Sparse]) -> Result<(), FoldError> {
        let added = self.accumulator.add_keyed(subject, keys, parts, self.known);
        added.map_err(FoldError::Sums)
    }

    fn take_many(&mut self, many: &mut Many) -> Result<(), FoldError> {
        let added = self.accumulator.add_many(many, self.known);
        added.map_err(FoldError::Sums)
    }
}

/// Exposures of everybody in two accounts, and who is barred.
struct Before {
    accounts: [Vec<u64>; 2],
    barred: Vec<bool>,
    mode: Mode,
}

/// About half have no room left for the whole price.
fn before(plan: &PrivatePlan, seed: u64) -> Before {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let room = plan.index_capacity() as usize;
    let most = 2 * plan.price().nano();
    let mut account = || (0..room).map(|_| rng.random_range(0..=most)).collect();
    let accounts = [account(), account()];
    Before {
        accounts,
        barred: (0..room).map(|_| rng.random_range(0..10) == 0).collect(),
        mode: if seed.is_multiple_of(4) {
            Mode::Strict
        } else {
            Mode::Protect
        },
    }
}

/// The whole source in so many parts.
fn released(
    plan: &PrivatePlan,
    rows: &impl Source,
    parts: usize,
    before: &Before,
    batch_rows: usize,
    by_columns: bool,
) -> CommitParts {
    let room = Rho::from_nano(2 * plan.price().nano());
    let filter = Filter::new(before.mode, vec![room, room]);
    let shape = plan.shape().clone();
    let permit = Permit::after_durable_intent(1, filter, shape, true, plan.index_capacity());
    let permit = permit.unwrap();
    let accounts: Vec<&[u64]> = before.accounts.iter().map(Vec::as_slice).collect();
    let known = Known {
        accounts: &accounts,
        barred: &before.barred,
    };
    let all = pieces(rows, plan);
    let part = |part: usize| {
        let pieces = all * part / parts..all * (part + 1) / parts;
        let accumulator = Accumulator::new(&permit, plan.shape().cells());
        let mut folded = Folded { accumulator, known };
        let sink = &mut folded;
        if by_columns {
            let mut fold = Columns::new(plan, batch_rows);
            walk_with(rows, pieces, plan, batch_rows, &mut fold, sink).unwrap();
        } else {
            let mut fold = Walk::new(plan, batch_rows);
            walk_with(rows, pieces, plan, batch_rows, &mut fold, sink).unwrap();
        }
        folded.accumulator
    };
    // In any order.
    let mut all = (0..parts).rev().map(part);
    let first = all.next().unwrap();
    let merged = all.try_fold(first, Accumulator::merge).unwrap();
    let mut rng = ChaCha20Rng::from_seed([4; 32]);
    let noised = merged.finish(permit).unwrap().add_noise(&mut rng).unwrap();
    noised.into_commit()
}

fn made(sql: &str, description: &Description, request: &AccuracyRequest, all: bool) -> PrivatePlan {
    let options = PlanOptions {
        coverage: all,
        count_clipped: all,
        minimum_cell: all.then_some(3),
    };
    let query = parse_with(sql, description).unwrap_or_else(|r| panic!("{sql}: {r}"));
    query
        .plan(description, request, None, delta(), &options)
        .unwrap_or_else(|r| panic!("{sql}: {r}"))
}

/// Both ways are the same, whatever the batches and parts.
fn same(plan: &PrivatePlan, rows: &impl Source, seed: u64, batch_rows: usize, parts: usize) {
    let before = before(plan, seed);
    let by_rows = released(plan, rows, 1, &before, 8192, false);
    let by_columns = released(plan, rows, parts, &before, batch_rows, true);
    assert_eq!(by_columns.values, by_rows.values, "{}", plan.canonical());
    assert_eq!(by_columns.charges, by_rows.charges, "{}", plan.canonical());
    // Also of mock rows, where nobody is charged.
    let mut tallies = [(); 2].map(|()| Tally::new(&plan.shape().vectors, plan.shape().cells()));
    let [one, other] = &mut tallies;
    let all = || 0..pieces(rows, plan);
    let mut columns = Columns::new(plan, batch_rows);
    walk_with(rows, all(), plan, batch_rows, &mut columns, one).unwrap();
    walk_with(rows, all(), plan, 8192, &mut Walk::new(plan, 8192), other).unwrap();
    let [one, other] = tallies.map(Tally::sums);
    assert_eq!(one, other);
}

const KEYS: [&str; 6] = [
    "",
    "sex",
    "region, year",
    "smoker, sex",
    "age",
    "ward, region",
];

const OUTPUTS: [&str; 6] = [
    "COUNT(*), SUM(income) AS s, AVG(bmi) AS a",
    "COUNT(DISTINCT subject_id), COUNT(bmi) AS b, COUNT(smoker) AS c",
    "MEDIAN(age) AS m, QUANTILE(bmi, 0.9) AS q, COUNT(DISTINCT sex) AS k",
    "CORR(age, bmi) AS r, STDDEV(income) AS d",
    "SUM(LEAST(bmi, 30) * 2) AS l, SUM(CASE WHEN age > 30 THEN LEAST(GREATEST(income / (age - 60), 0), 9) END) AS f",
    "COUNT(*), COUNT(DISTINCT ward) AS w, AVG(age) AS a, SUM(age) AS b",
];

const WHERES: [&str; 4] = ["", "age < 40 OR smoker", "bmi IS NULL", "income > 1e9"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn columns_and_rows_agree_on_one_table(
        seed in any::<u64>(), key in 0usize..6, output in 0usize..6, place in 0usize..4,
        all in any::<bool>(), most in 1u32..12, batch_rows in 1usize..400,
    ) {
        let mut text = super::PATIENTS.replace("\"patients\"", "\"visits\"");
        text = text.replace("subjects = [1000, 4000]", "subjects = [20, 80]");
        text = text.replace("most_rows_per_subject = 1", &format!("most_rows_per_subject = {most}"));
        let description = Description::from_toml(&text).unwrap();
        // Rows of a description that allows more of them.
        let more = text.replace(&format!("subject = {most}\n"), "subject = 20\n");
        let more = Description::from_toml(&more).unwrap();
        let mut sql = format!("SELECT {} FROM visits", OUTPUTS[output]);
        if !WHERES[place].is_empty() {
            sql = format!("{sql} WHERE {}", WHERES[place]);
        }
        if !KEYS[key].is_empty() {
            sql = format!("{sql} GROUP BY {}", KEYS[key]);
        }
        let plan = made(&sql, &description, &price(0.1), all);
        let rows = mock::rows(&more, seed);
        same(&plan, &rows, seed, batch_rows, 1);
    }

    #[test]
    fn columns_and_rows_agree_on_joined_tables(
        seed in any::<u64>(), all in any::<bool>(), batch_rows in 1usize..40, parts in 1usize..4,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let table = store(&people(seed), seed, folder.path());
        let plan = made(&random_query(seed), &clinic(), &price(0.1), all);
        same(&plan, &table.rows(), seed, batch_rows, parts);
    }
}

#[test]
fn one_subject_may_fill_many_slices_and_batches() {
    let text = super::PATIENTS
        .replace("\"patients\"", "\"visits\"")
        .replace("subjects = [1000, 4000]", "subjects = [1, 3]")
        .replace(
            "most_rows_per_subject = 1",
            "most_rows_per_subject = 100000",
        );
    let description = Description::from_toml(&text).unwrap();
    let rows = mock::rows(&description, 3);
    for (key, output) in [("sex", 0), ("region, year", 2), ("ward", 1)] {
        let sql = format!(
            "SELECT {} FROM visits WHERE age < 40 OR smoker GROUP BY {key}",
            OUTPUTS[output]
        );
        let plan = made(&sql, &description, &price(0.1), true);
        for batch_rows in [1, 8192, 1 << 20] {
            same(&plan, &rows, 1, batch_rows, 1);
        }
    }
}

#[test]
fn everything_of_the_visits_agrees() {
    let description = visits();
    let rows = mock::rows(&description, 8);
    for output in OUTPUTS {
        let sql = format!("SELECT {output} FROM visits WHERE age < 90 GROUP BY region");
        let plan = made(&sql, &description, &price(0.1), true);
        same(&plan, &rows, 5, 8192, 1);
    }
}
