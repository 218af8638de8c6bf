//! Measured privacy: what a running node leaks, as far as attacks can tell, against what it says.
//!
//! | part | question |
//! |---|---|
//! | [`releases`] | does one release leak no more than its price, and its sums what people add |
//! | [`transcripts`] | does everything together leak no more than the limit |
//! | [`bytes`] | do bytes, lengths, order, errors and times say more than the numbers |
//! | [`utility`] | how far is the error from the best that Gaussian noise can do |
//! | [`workload`] | how many narrow questions are answered under one limit |
//! | [`bugs`] | does the audit notice bugs that are planted on purpose |
//!
//! Every part gives a [`Report`]. Its alarms are set to come by chance once in a million runs. A
//! small size runs with the tests; `audit` runs the full ones. docs/audit.md explains the method.

pub mod bounds;
pub mod bugs;
pub mod bytes;
pub mod releases;
mod report;
pub mod transcripts;
pub mod utility;
pub mod workload;

use anyhow::Result;
use obscura_client::Client;
use obscura_client::model::release::Release;
use obscura_client::model::study::{Study, Verdict};

use crate::cluster::Ask;
use crate::process::Lone;

pub use report::{Limit, Line, Report};

/// How often a part's alarm comes by chance.
pub const ALARM: f64 = 1e-6;

/// Coins from the operating system, printed so that a run can be told from another.
///
/// # Errors
///
/// If the operating system gives none.
pub fn seed() -> Result<[u8; 32]> {
    use std::io::Read as _;
    let mut seed = [0; 32];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut seed)?;
    Ok(seed)
}

/// A seed in hexadecimal digits.
#[must_use]
pub fn shown(seed: &[u8; 32]) -> String {
    seed.iter().map(|b| format!("{b:02x}")).collect()
}

/// Whether what a release says it added covers what its numbers can tell of one person: the sum
/// over its vectors of C^2 / (2 sigma^2), worked out again from what was published.
pub(crate) fn covered(release: &Release) -> bool {
    let vectors = &release.answer.shape().vectors;
    let parts = vectors.iter().map(|vector| {
        let twice = 2 * u128::from(vector.sigma) * u128::from(vector.sigma);
        let nano = vector.clip_squared.checked_mul(1_000_000_000)?;
        // Rounded up by hand: the same slip is not made twice.
        let (whole, rest) = (nano.checked_div(twice)?, nano.checked_rem(twice)?);
        Some(whole + u128::from(rest > 0))
    });
    let least = parts.into_iter().sum::<Option<u128>>();
    least.is_some_and(|least| u128::from(release.price.nano()) >= least)
}

/// Submits a study to a node and has its owner approve it.
pub(crate) async fn approved(lone: &Lone, ada: &Client, asks: &[Ask]) -> Result<Study> {
    let dataset = &lone.site.dataset.name;
    let at = vec![lone.institution()?];
    let new = crate::cluster::study(ada, dataset, asks, crate::cluster::terms(), at)?;
    for taken in ada.submit(&new).await {
        taken.outcome?;
    }
    let owner = lone.owner().await?;
    let review = owner.review(new.id()).await?;
    owner.decide(&review, Verdict::Approve, "").await?;
    Ok(new)
}
