//! `figures [--json] [RUNS]`: measures what the documentation states, in one run on this machine:
//! six nodes and a gateway in this process over TLS on loopback, real flushes to the temporary
//! folder's disk (`TMPDIR` chooses another), slots skipped.

use std::io::Write as _;

use anyhow::{Context as _, Result};

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let json = arguments.iter().any(|a| a == "--json");
    let runs = arguments.iter().find(|a| *a != "--json");
    let runs = runs
        .map_or(Ok(200), |r| r.parse())
        .context("RUNS is a number")?;
    let program = std::env::current_exe()?.with_file_name("node-under-test");
    let figures = obscura_tests::figures::measure(&program, runs).await?;
    let mut out = std::io::stdout().lock();
    if json {
        let map: serde_json::Map<_, _> = figures
            .lines()
            .iter()
            .map(|(name, value, _)| ((*name).into(), (*value).into()))
            .collect();
        writeln!(out, "{}", serde_json::to_string_pretty(&map)?)?;
    } else {
        for (_, value, what) in figures.lines() {
            writeln!(out, "{value:8.2} {what}")?;
        }
    }
    Ok(())
}
