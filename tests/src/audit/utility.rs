//! How far answers are from the truth, against the best that Gaussian noise can do at the same
//! exposure.
//!
//! The best for a sum is the noise `C / sqrt(2 rho)` on the exact sum, with C the least that
//! public knowledge of the question allows one person to add. For an average of n values with mean
//! m above the middle of their bounds it is `(Cs + |m| Cc) / (n sqrt(2 rho))`: the best way to
//! share rho between sum and count, which somebody who knew m could choose. Where a node is more
//! than a twentieth above it, the reason stands beside the question.

pub mod data;
mod questions;

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, Result};
use indicatif::ProgressBar;
use obscura_client::combine;
use obscura_client::model::answer::Shape;
use obscura_client::model::exposure::Rho;

use self::questions::{Best, Kind, Question};
use super::{Limit, Report};
use crate::cluster::{Cluster, ask, release_name};
use crate::data::Dataset;

/// The price of every release.
const NANO: u64 = 50_000_000;
/// Room for 7,000 of them.
const EPSILON: f64 = 500.0;
/// How far above the best is not worth a reason.
const CLOSE: f64 = 1.05;

/// The exact answer in one cell.
#[derive(Debug, Clone, Copy, Default)]
struct Exact {
    value: f64,
    /// Values behind it, and their mean above the middle of the bounds: for averages.
    values: f64,
    above: f64,
}

impl<T> Question<T> {
    fn truth(&self, rows: &[T], person: impl Fn(usize, &T) -> String) -> Vec<Exact> {
        let mut people = vec![BTreeSet::new(); self.cells];
        let mut sums = vec![(0.0, 0.0); self.cells];
        for (number, row) in rows.iter().enumerate() {
            if let Some((cell, value)) = (self.of)(row)
                && let (Some(people), Some(sum)) = (people.get_mut(cell), sums.get_mut(cell))
            {
                people.insert(person(number, row));
                *sum = (sum.0 + value, sum.1 + 1.0);
            }
        }
        let exact = |(people, (sum, values)): (BTreeSet<String>, (f64, f64))| {
            let value = match self.kind {
                Kind::People => people.len() as f64,
                Kind::Rows => values,
                Kind::Sum => sum,
                Kind::Mean => sum / values,
            };
            let middle = match self.best {
                Best::Sum(_) => value,
                Best::Mean { middle, .. } => middle,
            };
            Exact {
                value,
                values,
                above: value - middle,
            }
        };
        people.into_iter().zip(sums).map(exact).collect()
    }

    /// The least standard deviation in a cell.
    fn best(&self, exact: &Exact, rho: f64) -> f64 {
        let unit = 1.0 / (2.0 * rho).sqrt();
        match self.best {
            Best::Sum(clip) => clip * unit,
            Best::Mean { sum, count, .. } => {
                (sum + exact.above.abs() * count) * unit / exact.values
            }
        }
    }
}

/// The standard deviation that a release declares in a cell.
fn declared(kind: Kind, shape: &Shape, exact: &Exact) -> Result<f64> {
    let first = shape.vectors.first().context("no vector")?;
    if kind != Kind::Mean {
        return Ok(first.sigma_in_units());
    }
    let (counts, sums): (Vec<_>, Vec<_>) =
        (shape.vectors.iter()).partition(|v| v.what.starts_with("COUNT"));
    let (count, sum) = (
        counts.first().context("no count")?,
        sums.first().context("no sum")?,
    );
    let square = sum.sigma_in_units().powi(2) + (exact.above * count.sigma_in_units()).powi(2);
    Ok(square.sqrt() / exact.values)
}

struct Asked<'a> {
    releases: u32,
    progress: &'a ProgressBar,
}

impl Asked<'_> {
    async fn of<T>(
        &self,
        dataset: Dataset,
        questions: &[Question<T>],
        truth: impl Fn(&Question<T>) -> Vec<Exact>,
        report: &mut Report,
    ) -> Result<()> {
        let cluster = Cluster::builder()
            .site(dataset)
            .limit(EPSILON)
            .build()
            .await?;
        let ada = cluster.client("ada").await?;
        let site = cluster.institutions()?.remove(0).name;
        for question in questions {
            let asks = [ask("n", question.sql, NANO).times(self.releases)];
            let study = cluster.approved(&ada, &asks).await?;
            let exact = truth(question);
            let (mut best, mut said, mut off) = (0.0, 0.0, 0.0);
            for run in 1..=self.releases {
                let release = ada.release(&study, &site, &release_name("n")?, run).await?;
                let rho = release.release().price.as_f64();
                let shape = release.release().answer.shape();
                let combined = combine(std::slice::from_ref(&release))?.combined;
                anyhow::ensure!(combined.rows.len() == exact.len(), "{}", question.name);
                for (row, exact) in combined.rows.iter().zip(&exact) {
                    let value = row.estimates.first().context("no value")?.value;
                    off += (value - exact.value).powi(2);
                    best += question.best(exact, rho).powi(2);
                    said += declared(question.kind, shape, exact)?.powi(2);
                }
                self.progress.inc(1);
            }
            let numbers = f64::from(self.releases) * exact.len() as f64;
            note(report, question, (best, said, off), numbers);
        }
        drop(ada);
        cluster.stop().await;
        Ok(())
    }
}

/// Sums of squares: of the best, the declared and the actual errors.
fn note<T>(report: &mut Report, question: &Question<T>, sums: (f64, f64, f64), numbers: f64) {
    let (best, said, off) = sums;
    let (ratio, measured) = ((said / best).sqrt(), (off / best).sqrt());
    let limit = match question.reason {
        None => Limit::AtMost(CLOSE),
        Some(_) => Limit::None,
    };
    let reason = question
        .reason
        .map(|r| format!(" ({r})"))
        .unwrap_or_default();
    let what = format!("declared error over the best: {}{reason}", question.name);
    report.add(&format!("{}_declared", question.id), ratio, limit, &what);
    let what = format!("measured error over the best: {}", question.name);
    report.add(
        &format!("{}_measured", question.id),
        measured,
        Limit::None,
        &what,
    );
    if question.kind != Kind::Mean {
        // A root mean square of n numbers is off by 1 / sqrt(2n) or so.
        let off = (measured / ratio - 1.0).abs() * (2.0 * numbers).sqrt();
        let what = "standard deviations from measured to declared";
        // Few squares are skewed: the bound is that of 1e-6 for one number, and wider than needed
        // for many.
        let most = if numbers < 50.0 { 8.0 } else { 6.0 };
        report.add(
            &format!("{}_off", question.id),
            off,
            Limit::AtMost(most),
            what,
        );
    }
}

/// Asks ten questions of rand_hie, so many releases each; and ten of heart_disease if there is a
/// folder with its files.
///
/// # Errors
///
/// If a step fails.
pub async fn measure(
    releases: u32,
    heart: Option<&Path>,
    progress: &ProgressBar,
) -> Result<Report> {
    let mut report = Report::new("utility");
    let asked = Asked { releases, progress };
    let sets = 1 + u64::from(heart.is_some());
    progress.set_length(10 * u64::from(releases) * sets);
    let rho = Rho::from_nano(NANO).as_f64();
    report.add("rho", rho, Limit::None, "rho of every release");
    report.add(
        "releases",
        f64::from(releases),
        Limit::None,
        "releases of each question",
    );
    let rows = data::rows()?;
    let truth = |q: &Question<data::Row>| q.truth(&rows, |_, row| row.person.clone());
    let questions = questions::rand_hie();
    asked
        .of(data::rand_hie(&rows), &questions, truth, &mut report)
        .await?;
    if let Some(folder) = heart {
        let patients = data::patients(folder)?;
        let truth =
            |q: &Question<data::Patient>| q.truth(&patients, |number, _| number.to_string());
        let questions = questions::heart();
        asked
            .of(data::heart(&patients), &questions, truth, &mut report)
            .await?;
    }
    Ok(report)
}
