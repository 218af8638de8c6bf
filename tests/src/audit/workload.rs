//! What individual accounting buys: a published list of two hundred narrow questions under one
//! limit, and how many are answered within a stated error.
//!
//! The list is tests/audit/workload.json, for rand_hie.csv.gz beside it; other systems can be
//! asked the same. Each question asks for the number of people to within the stated error, 95
//! times in 100, which gives its price. In strict mode questions are answered until the limit is
//! reached; in protect mode each adds to the people whom it matches and to nobody else.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use indicatif::ProgressBar;
use obscura_client::model::accuracy::Accuracy;
use obscura_client::model::exposure::Mode;
use obscura_client::model::release::Completeness;
use obscura_client::{Error, combine};
use serde_json::{Value, json};

use super::utility::data::{self, Row};
use super::{Limit, Report};
use crate::cluster::{Ask, Cluster, ask, release_name};

const LIST: &str = include_str!("../../audit/workload.json");

/// One question of the list.
#[derive(Debug, Clone)]
pub struct Question {
    /// Its number.
    pub id: u64,
    /// What a node is asked.
    pub sql: String,
    conditions: Value,
}

/// The list with what is stated for all of it.
#[derive(Debug, Clone)]
pub struct Workload {
    /// The limit.
    pub epsilon: f64,
    /// The stated error: at most this, 95 times in 100.
    pub within: f64,
    /// In the order in which they are asked.
    pub questions: Vec<Question>,
}

impl Workload {
    /// Reads the list.
    ///
    /// # Errors
    ///
    /// If it is not what it should be.
    pub fn published() -> Result<Self> {
        let list: Value = serde_json::from_str(LIST)?;
        let number = |name: &str| list.get(name).and_then(Value::as_f64).context("a number");
        let questions = list.get("questions").and_then(Value::as_array);
        let one = |q: &Value| {
            let sql = q.get("sql").and_then(Value::as_str).context("a text")?;
            Ok(Question {
                id: q.get("id").and_then(Value::as_u64).context("a number")?,
                sql: sql.to_owned(),
                conditions: q.clone(),
            })
        };
        let questions = questions.context("a list")?.iter().map(one);
        Ok(Self {
            epsilon: number("epsilon")?,
            within: number("within")?,
            questions: questions.collect::<Result<_>>()?,
        })
    }
}

impl Question {
    /// Whether a row is in the cell.
    fn has(&self, row: &Row) -> bool {
        let number = |name: &str| self.conditions.get(name).and_then(Value::as_i64);
        let text = |name: &str| self.conditions.get(name).and_then(Value::as_str);
        let age = |at: usize| self.conditions.get("age")?.get(at)?.as_i64();
        number("site").is_none_or(|site| row.site == site)
            && number("year").is_none_or(|year| row.year == year)
            && age(0).is_none_or(|low| row.age >= low)
            && age(1).is_none_or(|high| row.age <= high)
            && text("cost_share").is_none_or(|plan| row.cost_share == plan)
            && number("least_mdvis").is_none_or(|least| row.mdvis >= least as f64)
    }

    fn truth(&self, rows: &[Row]) -> f64 {
        let people: BTreeSet<&str> = rows
            .iter()
            .filter(|row| self.has(row))
            .map(|row| row.person.as_str())
            .collect();
        people.len() as f64
    }
}

/// What one mode made of the list.
struct Tried {
    answered: u32,
    within: u32,
    complete: u32,
    list: Vec<Value>,
}

async fn tried(
    mode: Mode,
    workload: &Workload,
    rows: &[Row],
    progress: &ProgressBar,
) -> Result<Tried> {
    let cluster = Cluster::builder()
        .site(data::rand_hie(rows))
        .mode(mode)
        .limit(workload.epsilon)
        .build()
        .await?;
    let ada = cluster.client("ada").await?;
    let site = &cluster.institutions()?.remove(0).name;
    let mut tried = Tried {
        answered: 0,
        within: 0,
        complete: 0,
        list: Vec::new(),
    };
    for question in &workload.questions {
        let accuracy = Accuracy::Within {
            margin: workload.within,
            rows: None,
        };
        let asks = [Ask {
            accuracy,
            ..ask("n", &question.sql, 0)
        }];
        let study = cluster.approved(&ada, &asks).await?;
        let name = release_name("n")?;
        let truth = question.truth(rows);
        let told = match ada.release(&study, site, &name, 1).await {
            Ok(release) => {
                let combined = combine(std::slice::from_ref(&release))?.combined;
                let row = combined.rows.first().context("no row")?;
                let value = row.estimates.first().context("no value")?.value;
                let good = (value - truth).abs() <= workload.within;
                let release = release.release();
                let complete = release.completeness == Completeness::NobodyDropped;
                tried.answered += 1;
                tried.within += u32::from(good);
                tried.complete += u32::from(complete);
                json!({
                    "id": question.id, "answered": true, "truth": truth, "value": value,
                    "within": good, "complete": complete, "price": release.price.as_f64(),
                })
            }
            Err(Error::Answered { .. }) => {
                json!({ "id": question.id, "answered": false, "truth": truth })
            }
            Err(other) => return Err(other.into()),
        };
        tried.list.push(told);
        progress.inc(1);
    }
    drop(ada);
    cluster.stop().await;
    Ok(tried)
}

/// Asks the first `most` questions of the list in both modes.
///
/// # Errors
///
/// If a step fails.
pub async fn measure(most: usize, progress: &ProgressBar) -> Result<Report> {
    let mut workload = Workload::published()?;
    workload.questions.truncate(most);
    progress.set_length(2 * workload.questions.len() as u64);
    let rows = data::rows()?;
    let mut report = Report::new("workload");
    let asked = workload.questions.len() as f64;
    report.add("asked", asked, Limit::None, "questions");
    report.add(
        "epsilon",
        workload.epsilon,
        Limit::None,
        "the limit, at delta 1e-6",
    );
    report.add(
        "within",
        workload.within,
        Limit::None,
        "people: the stated error",
    );
    let mut within = Vec::new();
    for (mode, name) in [(Mode::Strict, "strict"), (Mode::Protect, "protect")] {
        let tried = tried(mode, &workload, &rows, progress).await?;
        for (figure, value, what) in [
            ("answered", tried.answered, "answered"),
            ("within", tried.within, "answered within the stated error"),
            (
                "complete",
                tried.complete,
                "answered, and nobody can be missing",
            ),
        ] {
            let what = format!("{name}: {what}");
            report.add(
                &format!("{name}_{figure}"),
                f64::from(value),
                Limit::None,
                &what,
            );
        }
        within.push(f64::from(tried.within));
        report.lists.insert(name.to_owned(), tried.list.into());
    }
    if let [strict, protect] = within.as_slice() {
        let what = "times as many within the error with protect as with strict";
        report.add("times", protect / strict, Limit::AtLeast(1.0), what);
    }
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_has_two_hundred_different_questions_that_match_somebody() {
        let workload = Workload::published().unwrap();
        let texts: BTreeSet<_> = workload.questions.iter().map(|q| &q.sql).collect();
        assert_eq!(texts.len(), 200);
        let rows = data::rows().unwrap();
        let truths: Vec<f64> = workload.questions.iter().map(|q| q.truth(&rows)).collect();
        let some = truths.iter().filter(|t| **t > 0.0).count();
        assert!(some > 150, "only {some} match somebody");
    }
}
