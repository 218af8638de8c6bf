//! `releases [--json] [--runs N] [--seconds N] [--populations N,N]`: what a release takes end to
//! end, and how many a node makes in a second, as docs/performance.md tells. A node in a process of
//! its own (`node-under-test`, beside this program), real TLS and flushes (`TMPDIR` chooses the
//! disk). Made for a release build.

use std::io::Write as _;

use anyhow::Result;
use clap::Parser;
use obscura_tests::releases::{Figure, Size, measure};

/// Measures releases end to end.
#[derive(Debug, Parser)]
struct Arguments {
    /// Releases behind each median.
    #[arg(long, default_value_t = 200)]
    runs: u32,
    /// How long sixteen clients ask.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Over how many populations, one after the other.
    #[arg(long, value_delimiter = ',', default_values_t = [4, 8, 16])]
    populations: Vec<u32>,
    /// The step of slots in milliseconds.
    #[arg(long, default_value_t = 20)]
    step: u64,
    /// Prints figures for other programs.
    #[arg(long)]
    json: bool,
}

#[tokio::main]
async fn main() -> Result<()> {
    let Arguments {
        runs,
        seconds,
        populations,
        step,
        json,
    } = Arguments::parse();
    let program = std::env::current_exe()?.with_file_name("node-under-test");
    let size = Size {
        runs,
        seconds,
        populations,
        step,
    };
    let figures = measure(&program, &size).await?;
    let mut out = std::io::stdout().lock();
    if json {
        let entry = |figure: &Figure| (figure.name.clone(), figure.value.into());
        let map: serde_json::Map<_, _> = figures.iter().map(entry).collect();
        writeln!(out, "{}", serde_json::to_string_pretty(&map)?)?;
    } else {
        for Figure { value, what, .. } in figures {
            writeln!(out, "{value:9.3} {what}")?;
        }
    }
    Ok(())
}
