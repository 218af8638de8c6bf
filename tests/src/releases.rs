//! Releases end to end: what one takes, step by step, and how many a node makes in a second.
//!
//! | module | measures |
//! |---|---|
//! | `world` | nothing: a node in a process of its own, a gateway in this one, people, studies |
//! | `single` | one release at a time, without waits for slots, beside raw flushes |
//! | `steps` | the steps of a release, each called for itself |
//! | `many` | releases of sixteen clients over several populations, slots included |

mod many;
mod single;
mod steps;
mod world;

use std::path::Path;
use std::time::Instant;

use anyhow::Result;

/// How much is measured.
#[derive(Debug, Clone)]
pub struct Size {
    /// Releases behind each median.
    pub runs: u32,
    /// How long many clients ask.
    pub seconds: u64,
    /// Over how many populations, one after the other.
    pub populations: Vec<u32>,
    /// The step of slots, in milliseconds.
    pub step: u64,
}

/// One figure.
#[derive(Debug, Clone)]
pub struct Figure {
    /// For programs.
    pub name: String,
    /// In the unit that `what` begins with.
    pub value: f64,
    /// For people.
    pub what: String,
}

/// Measures everything. `program` is `node-under-test`.
///
/// # Errors
///
/// If a step fails.
pub async fn measure(program: &Path, size: &Size) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    if size.runs > 0 {
        figures.extend(single::measure(program, size.runs).await?);
        figures.extend(steps::measure(size.runs).await?);
    }
    if size.seconds > 0 {
        for populations in &size.populations {
            figures.extend(many::measure(program, size, *populations).await?);
        }
    }
    Ok(figures)
}

#[allow(clippy::disallowed_methods)] // this measures
fn start() -> Instant {
    Instant::now()
}

fn millis(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

/// The value that `share` of the values are below.
fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = ((sorted.len() as f64 - 1.0) * share).round() as usize;
    sorted.get(at).copied().unwrap_or(f64::NAN)
}

fn figure(name: &str, value: f64, what: &str) -> Figure {
    Figure {
        name: name.to_owned(),
        value,
        what: what.to_owned(),
    }
}

/// The median and the 95th percentile of times in milliseconds.
fn times(name: &str, values: &[f64], what: &str) -> [Figure; 2] {
    [(0.5, "p50"), (0.95, "p95")].map(|(share, short)| Figure {
        name: format!("{name}_{short}_ms"),
        value: quantile(values, share),
        what: format!("ms {short}: {what}"),
    })
}
