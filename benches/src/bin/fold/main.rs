//! From a validated query to the admitted sums, on made rows: medians of several runs.

mod clock;
mod world;

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use clap::Parser;
use obscura_model::accuracy::{Accuracy, AccuracyRequest};
use obscura_model::codelist::CodeLists;
use obscura_model::exposure::{Delta, Rho};
use obscura_model::text::SqlText;
use obscura_privacy::{Filter, Known, Mode, Permit};
use obscura_query::{Contributions, PlanOptions, PrivatePlan, PrivateTable, ValidatedQuery};

use world::{Size, description, stored};

/// Measures the fold.
#[derive(Parser)]
struct Arguments {
    /// Where the rows are kept between runs.
    #[arg(long)]
    folder: PathBuf,
    /// People.
    #[arg(long, default_value_t = 1_000_000)]
    subjects: u32,
    /// Rows of each.
    #[arg(long, default_value_t = 10)]
    rows: u32,
    /// Threads of the fold.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Runs of each query, of which the median is told.
    #[arg(long, default_value_t = 11)]
    runs: usize,
    /// Only the query of this name, or else those whose name has this.
    #[arg(long, default_value = "")]
    only: String,
    /// Makes so many folds of each query ready, runs as many of them as `--runs` says, and tells
    /// nothing: two calls that differ in `--runs` differ only by whole folds, which can be counted.
    #[arg(long)]
    ready: Option<usize>,
    /// One line of JSON for each query.
    #[arg(long)]
    json: bool,
}

/// What is asked.
const QUERIES: [(&str, &str); 7] = [
    (
        "by region",
        "SELECT region, COUNT(*), SUM(cost), AVG(cost) FROM visits GROUP BY region",
    ),
    (
        "by region, where",
        "SELECT region, COUNT(*), SUM(cost), AVG(cost) FROM visits WHERE age < 40 GROUP BY region",
    ),
    (
        "people by region",
        "SELECT region, COUNT(DISTINCT person) FROM visits GROUP BY region",
    ),
    ("rows", "SELECT COUNT(*) FROM visits"),
    ("by day", "SELECT day, COUNT(*) FROM visits GROUP BY day"),
    (
        "median by region",
        "SELECT region, MEDIAN(cost) AS m FROM visits GROUP BY region",
    ),
    (
        "join with totals",
        "SELECT home, COUNT(*), AVG(total) FROM people JOIN (SELECT person, SUM(cost) AS total \
         FROM visits GROUP BY person) AS t ON people.person = t.person GROUP BY home",
    ),
];

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let size = Size {
        subjects: arguments.subjects,
        rows_each: arguments.rows,
    };
    let (millis, table) = clock::millis(|| stored(&arguments.folder, size));
    let table = table?;
    let mut out = std::io::stdout().lock();
    if !arguments.json && arguments.ready.is_none() {
        writeln!(out, "opened in {millis:.1} ms")?;
    }
    let exact = QUERIES.iter().any(|(name, _)| *name == arguments.only);
    let chosen = QUERIES.iter().filter(|(name, _)| match exact {
        true => *name == arguments.only,
        false => name.contains(&arguments.only),
    });
    for (name, sql) in chosen {
        if let Some(ready) = arguments.ready {
            let folds = (0..ready).map(|_| Ready::new(sql, size));
            let folds = folds.collect::<anyhow::Result<Vec<Ready>>>()?;
            for fold in folds.into_iter().take(arguments.runs) {
                fold.run(&table, arguments.threads)?;
            }
            continue;
        }
        let mut runs = Vec::with_capacity(arguments.runs);
        let before = clock::on_processors();
        for _ in 0..arguments.runs.max(1) {
            let fold = Ready::new(sql, size).with_context(|| (*sql).to_owned())?;
            runs.push(fold.run(&table, arguments.threads)?);
        }
        let worked = clock::on_processors().zip(before);
        let worked = worked.map_or(0.0, |(after, before)| after - before) / runs.len() as f64;
        runs.sort_by(f64::total_cmp);
        let at = |share: usize| {
            runs.get((runs.len() - 1) * share / 100)
                .copied()
                .unwrap_or(0.0)
        };
        if arguments.json {
            let line = serde_json::json!({
                "name": name, "sql": sql, "millis": at(50), "least": at(0), "most": at(100),
                "on_processors": worked,
                "runs": runs.len(), "threads": arguments.threads,
                "subjects": size.subjects, "rows": u64::from(size.subjects) * u64::from(size.rows_each),
            });
            writeln!(out, "{line}")?;
        } else {
            writeln!(
                out,
                "{name:<20} {:8.1} ms ({:.1} to {:.1}), {worked:.0} on processors",
                at(50),
                at(0),
                at(100)
            )?;
        }
    }
    Ok(())
}

/// One fold of everybody, who all have room, before it begins.
struct Ready {
    plan: PrivatePlan,
    capacity: u64,
    exposures: Vec<u64>,
    barred: Vec<bool>,
}

impl Ready {
    fn new(sql: &str, size: Size) -> anyhow::Result<Self> {
        let description = description(size)?;
        let query = ValidatedQuery::parse(&SqlText::new(sql)?, &description, &CodeLists::none())?;
        let accuracy = AccuracyRequest::whole(Accuracy::Price(Rho::asked(0.1)?))?;
        let options = PlanOptions::default();
        let plan = query.plan(&description, &accuracy, None, Delta::new(1e-9)?, &options)?;
        let capacity = plan.index_capacity();
        Ok(Self {
            plan,
            capacity,
            exposures: vec![0; capacity as usize],
            barred: vec![false; capacity as usize],
        })
    }

    /// Its milliseconds.
    fn run(self, table: &PrivateTable, threads: usize) -> anyhow::Result<f64> {
        let Ready {
            plan,
            capacity,
            exposures,
            barred,
        } = self;
        let filter = Filter::new(Mode::Protect, vec![plan.price(), plan.price()]);
        let known = Known {
            accounts: &[&exposures, &exposures],
            barred: &barred,
        };
        let (millis, admitted) = clock::millis(|| {
            let shape = plan.shape().clone();
            let permit = Permit::after_durable_intent(1, filter, shape, true, capacity)?;
            let contributions = Contributions::bind(permit, plan, table.rows());
            anyhow::Ok(contributions.fold(known, threads)?)
        });
        drop(admitted?);
        Ok(millis)
    }
}
