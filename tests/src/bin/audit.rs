//! `audit [PARTS] [--small] [--json]`: measures what a running node leaks against what it says, as
//! docs/audit.md explains. Fails if anything is beyond its bound. Nodes run in processes of their
//! own (`node-under-test`, beside this program) or in this one.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::{Args, Parser, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use obscura_tests::audit::{Report, bugs, bytes, releases, transcripts, utility, workload};

/// Measures what a running node leaks against what it says.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    part: Part,
    /// As small as the tests run it.
    #[arg(long, global = true)]
    small: bool,
    /// Print figures and lists for other programs.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Part {
    /// What single releases leak.
    Releases {
        /// Releases of a thousand groups.
        #[arg(long)]
        releases: Option<u32>,
    },
    /// What everything together leaks.
    Transcripts(Transcripts),
    /// What bytes, lengths, order, errors and times say.
    Bytes {
        /// Rounds of two releases and an error in both worlds; a third of a second each.
        #[arg(long)]
        rounds: Option<usize>,
    },
    /// How far answers are from the best.
    Utility {
        /// Releases of each question.
        #[arg(long)]
        releases: Option<u32>,
        /// The folder with the four files of heart_disease; without it only rand_hie is asked.
        #[arg(long)]
        heart: Option<PathBuf>,
    },
    /// How many narrow questions are answered under one limit.
    Workload {
        /// The first so many of the list.
        #[arg(long, default_value_t = 200)]
        questions: usize,
    },
    /// Plants bugs in a copy of the tree: the audit must notice each.
    Bugs {
        /// Numbers of the list tests/audit/bugs; all without any.
        numbers: Vec<String>,
    },
}

#[derive(Debug, Args)]
struct Transcripts {
    /// Nodes, side by side; every other one in strict mode.
    #[arg(long)]
    runs: Option<u32>,
    /// People with coins in each run.
    #[arg(long)]
    people: Option<u32>,
    /// Questions of each run.
    #[arg(long)]
    questions: Option<u32>,
    /// Kills in each run.
    #[arg(long)]
    kills: Option<u32>,
}

impl Transcripts {
    fn size(&self, default: transcripts::Size) -> transcripts::Size {
        transcripts::Size {
            runs: self.runs.unwrap_or(default.runs),
            people: self.people.unwrap_or(default.people),
            questions: self.questions.unwrap_or(default.questions),
            kills: self.kills.unwrap_or(default.kills),
            tight: default.tight,
        }
    }
}

fn progress() -> Result<ProgressBar> {
    let style = ProgressStyle::with_template("{bar:40} {pos} of {len}, {eta} to go")?;
    Ok(ProgressBar::new(1).with_style(style))
}

async fn measure(part: &Part, small: bool) -> Result<Option<Report>> {
    let program = std::env::current_exe()?.with_file_name("node-under-test");
    let bar = progress()?;
    let report = match part {
        Part::Releases { releases: asked } => {
            let mut size = if small {
                releases::Size::SMALL
            } else {
                releases::Size::FULL
            };
            size.releases = asked.unwrap_or(size.releases);
            releases::measure(&program, size, &bar).await?
        }
        Part::Transcripts(asked) => {
            let size = if small {
                transcripts::Size::SMALL
            } else {
                transcripts::Size::FULL
            };
            transcripts::measure(&program, asked.size(size), &bar).await?
        }
        Part::Bytes { rounds } => {
            let mut size = if small {
                bytes::Size::SMALL
            } else {
                bytes::Size::FULL
            };
            size.rounds = rounds.unwrap_or(size.rounds);
            bytes::measure(size, &bar).await?
        }
        Part::Utility { releases, heart } => {
            let releases = releases.unwrap_or(if small { 5 } else { 400 });
            utility::measure(releases, heart.as_deref(), &bar).await?
        }
        Part::Workload { questions } => workload::measure(*questions, &bar).await?,
        Part::Bugs { numbers } => {
            bugs::plant(numbers)?;
            return Ok(None);
        }
    };
    bar.finish_and_clear();
    Ok(Some(report))
}

#[tokio::main]
async fn main() -> Result<()> {
    let Arguments { part, small, json } = Arguments::parse();
    let Some(report) = measure(&part, small).await? else {
        return Ok(());
    };
    let mut out = std::io::stdout().lock();
    if json {
        writeln!(out, "{}", serde_json::to_string_pretty(&report.to_json())?)?;
    } else {
        write!(out, "{report}")?;
    }
    let alarms = report.alarms();
    ensure!(alarms.is_empty(), "beyond its bound: {}", alarms.join("; "));
    Ok(())
}
