//! What was measured, in one run.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use obscura_client::model::exposure::Mode;

use crate::cluster::{Cluster, ask, release_name};
use crate::data::demo_site;
use crate::process::Lone;

/// Medians of one run. Times are in milliseconds and without slots, with real flushes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figures {
    /// A release at six nodes in this process, through a gateway, from the client's call to the
    /// combined and verified answer.
    pub six_nodes_ms: f64,
    /// The slowest in a hundred of them.
    pub six_nodes_99_ms: f64,
    /// The same at one node.
    pub one_node_ms: f64,
    /// The stored answer of six nodes again.
    pub six_nodes_again_ms: f64,
    /// A preview at one node: no private row, no flush.
    pub preview_ms: f64,
    /// The memory of a node's process after it took in a site of the demo, in megabytes.
    pub idle_memory_mb: f64,
    /// The same after 20 releases.
    pub memory_after_releases_mb: f64,
    /// Releases behind each median.
    pub releases: u32,
}

#[allow(clippy::disallowed_methods)] // this measures
fn start() -> Instant {
    Instant::now()
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// The value that `share` of the values are below.
fn quantile(times: &mut [f64], share: f64) -> f64 {
    times.sort_by(f64::total_cmp);
    let at = ((times.len() as f64 - 1.0) * share).round() as usize;
    times.get(at).copied().unwrap_or(f64::NAN)
}

const SQL: &str =
    "SELECT cost_share, AVG(LEAST(mdvis, 10)) AS visits FROM rand_hie GROUP BY cost_share";

/// A release of run `number` everywhere, combined.
async fn everywhere(
    client: &obscura_client::Client,
    study: &obscura_client::model::study::Study,
    number: u32,
) -> Result<()> {
    let name = release_name("n")?;
    let mut calls = tokio::task::JoinSet::new();
    for institution in study.institutions() {
        let (client, study, name) = (client.clone(), study.clone(), name.clone());
        let node = institution.name.clone();
        calls.spawn(async move { client.release(&study, &node, &name, number).await });
    }
    let mut releases = Vec::new();
    while let Some(done) = calls.join_next().await {
        releases.push(done??);
    }
    let combined = obscura_client::combine(&releases)?;
    anyhow::ensure!(
        combined.included.len() == study.institutions().len(),
        "all are in it"
    );
    Ok(())
}

async fn timed(sites: u32, runs: u32) -> Result<(Vec<f64>, Vec<f64>)> {
    let cluster = Cluster::builder()
        .demo_sites(sites)?
        .limit(100.0)
        .build()
        .await?;
    let ada = cluster.client("ada").await?;
    let study = cluster
        .approved(&ada, &[ask("n", SQL, 10_000_000).times(runs + 5)])
        .await?;
    // Connections are opened and caches are warm.
    for number in 1..=5 {
        everywhere(&ada, &study, number).await?;
    }
    let (mut fresh, mut again) = (Vec::new(), Vec::new());
    for number in 6..=runs + 5 {
        let before = start();
        everywhere(&ada, &study, number).await?;
        fresh.push(millis(before.elapsed()));
        let before = start();
        everywhere(&ada, &study, number).await?;
        again.push(millis(before.elapsed()));
    }
    cluster.stop().await;
    Ok((fresh, again))
}

async fn preview(runs: u32) -> Result<f64> {
    let cluster = Cluster::builder().demo_sites(1)?.build().await?;
    let ada = cluster.client("ada").await?;
    let study = cluster.study(&ada, &[ask("n", SQL, 10_000_000)])?;
    let mut times = Vec::new();
    for _ in 0..runs {
        let before = start();
        for site in ada.preview_study(&study).await {
            site.outcome?;
        }
        times.push(millis(before.elapsed()));
    }
    cluster.stop().await;
    Ok(quantile(&mut times, 0.5))
}

/// The resident memory of a process, in megabytes.
fn resident(process: u32) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status
        .lines()
        .find_map(|l| l.strip_prefix("VmRSS:"))
        .context("no VmRSS")?;
    let kilobytes: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kilobytes / 1024.0)
}

async fn memory(program: &Path) -> Result<(f64, f64)> {
    let mut lone = Lone::prepare(program, demo_site(1)?)?;
    lone.configure("slot_ms", 5)?;
    lone.start().await?;
    lone.furnish(100.0, Mode::Protect).await?;
    // As a node is found after a restart.
    lone.stop().await?;
    lone.start().await?;
    let ada = lone.client(3).await?;
    let idle = resident(lone.id().context("it runs")?)?;
    let asks = [ask("n", SQL, 10_000_000).times(20)];
    let institutions = vec![lone.institution()?];
    let study = crate::cluster::study(
        &ada,
        "rand_hie",
        &asks,
        crate::cluster::terms(),
        institutions,
    )?;
    for at in ada.submit(&study).await {
        at.outcome?;
    }
    let owner = lone.owner().await?;
    let review = owner.review(study.id()).await?;
    owner
        .decide(&review, obscura_client::model::study::Verdict::Approve, "")
        .await?;
    for number in 1..=20 {
        everywhere(&ada, &study, number).await?;
    }
    let after = resident(lone.id().context("it runs")?)?;
    lone.stop().await?;
    Ok((idle, after))
}

/// Measures everything, with `runs` releases for each median. `program` is `node-under-test`.
///
/// # Errors
///
/// If a step fails.
pub async fn measure(program: &Path, runs: u32) -> Result<Figures> {
    let (mut six, mut again) = timed(6, runs).await?;
    let (mut one, _) = timed(1, runs).await?;
    let (idle_memory_mb, memory_after_releases_mb) = memory(program).await?;
    Ok(Figures {
        six_nodes_ms: quantile(&mut six, 0.5),
        six_nodes_99_ms: quantile(&mut six, 0.99),
        one_node_ms: quantile(&mut one, 0.5),
        six_nodes_again_ms: quantile(&mut again, 0.5),
        preview_ms: preview(runs).await?,
        idle_memory_mb,
        memory_after_releases_mb,
        releases: runs,
    })
}

impl Figures {
    /// Name, value and unit of each, in order.
    #[must_use]
    pub fn lines(&self) -> Vec<(&'static str, f64, &'static str)> {
        let Figures {
            six_nodes_ms,
            six_nodes_99_ms,
            one_node_ms,
            six_nodes_again_ms,
            preview_ms,
            idle_memory_mb,
            memory_after_releases_mb,
            releases,
        } = *self;
        vec![
            (
                "six_nodes_ms",
                six_nodes_ms,
                "ms: a release at six nodes, call to combined answer",
            ),
            (
                "six_nodes_99_ms",
                six_nodes_99_ms,
                "ms: 99 in 100 of them are faster",
            ),
            ("one_node_ms", one_node_ms, "ms: a release at one node"),
            (
                "six_nodes_again_ms",
                six_nodes_again_ms,
                "ms: six stored answers again",
            ),
            ("preview_ms", preview_ms, "ms: a preview at one node"),
            (
                "idle_memory_mb",
                idle_memory_mb,
                "MB: an idle node with a site of the demo",
            ),
            (
                "memory_after_releases_mb",
                memory_after_releases_mb,
                "MB: after 20 releases",
            ),
            (
                "releases",
                f64::from(releases),
                "releases behind each median",
            ),
        ]
    }
}
