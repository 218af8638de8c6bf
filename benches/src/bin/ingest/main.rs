//! From an owner's file to the stored table: rows a second and the most memory, on made rows.

#[path = "../fold/clock.rs"]
mod clock;
mod rows;

use std::convert::Infallible;
use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use clap::{Parser, ValueEnum};
use obscura_query::PrivateTable;
use obscura_query::ingest::{MEMORY_BYTES, Room, Secrets, read_rows_within, sort};

use rows::{description, written};

/// Measures ingest. One run for each process, since memory is told as the most that it ever had.
#[derive(Parser)]
struct Arguments {
    /// Where the file is kept between runs, and rows are set aside.
    #[arg(long)]
    folder: PathBuf,
    /// What is read.
    #[arg(long, value_enum, default_value_t = Kind::Parquet)]
    kind: Kind,
    /// Rows, each of a person at random.
    #[arg(long, default_value_t = 10_000_000)]
    rows: u64,
    /// People.
    #[arg(long, default_value_t = 1_000_000)]
    subjects: u32,
    /// Bytes of rows in memory; otherwise as a node has it.
    #[arg(long, default_value_t = MEMORY_BYTES)]
    memory: usize,
    /// Only makes the file.
    #[arg(long)]
    make: bool,
    /// One line of JSON.
    #[arg(long)]
    json: bool,
}

/// Kinds of files.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// Comma separated.
    Csv,
    /// Parquet.
    Parquet,
}

impl Kind {
    pub(crate) fn end(self) -> &'static str {
        match self {
            Kind::Csv => "csv",
            Kind::Parquet => "parquet",
        }
    }
}

const SECRETS: Secrets = Secrets {
    subject: [1; 32],
    rows: [2; 32],
};

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let Arguments {
        folder,
        kind,
        rows,
        subjects,
        memory,
        make,
        json,
    } = arguments;
    let path = written(&folder, kind, rows, subjects)?;
    if make {
        return Ok(());
    }
    let description = description(kind, rows, subjects)?;
    let room = Room::beside(&folder, memory);
    let (read, raw) = clock::millis(|| read_rows_within(&description, &path, &room));
    let raw = raw?;
    let mut next = 0;
    let mut index = |_hash: [u8; 16]| {
        next += 1;
        Ok::<u32, Infallible>(next - 1)
    };
    let (ordered, sorted) = clock::millis(|| sort(raw, &description, &SECRETS, &mut index));
    let sorted = sorted?;
    let target = folder.join("ingest.table");
    let (stored, digest) = clock::millis(|| PrivateTable::write(&sorted, &description, &target));
    digest?;
    let kept = sorted.rows();
    let all = read + ordered + stored;
    let second = rows as f64 / all * 1e3;
    let (bytes, size) = (most_memory()?, std::fs::metadata(&path)?.len());
    let work = clock::on_processors().unwrap_or(f64::NAN);
    let mut out = std::io::stdout().lock();
    if json {
        let line = serde_json::json!({
            "kind": kind.end(), "rows": rows, "kept": kept, "subjects": subjects,
            "memory": memory, "file": size, "read_ms": read, "sort_ms": ordered,
            "write_ms": stored, "rows_per_second": second, "most_memory": bytes,
            "processors_ms": work,
        });
        writeln!(out, "{line}")?;
    } else {
        writeln!(
            out,
            "{}: {rows} rows of {subjects} people, {} MB: {:.0} rows a second (read {read:.0} ms, \
             sort {ordered:.0} ms, write {stored:.0} ms; on processors {work:.0} ms), \
             at most {} MB of memory",
            kind.end(),
            size / 1_000_000,
            second,
            bytes / 1_000_000,
        )?;
    }
    Ok(())
}

/// The most memory that this process ever had, in bytes.
fn most_memory() -> anyhow::Result<u64> {
    let text = std::fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    let number = line.and_then(|l| l.split_whitespace().next());
    let kilobytes: u64 = number.context("the system tells no VmHWM")?.parse()?;
    Ok(kilobytes * 1024)
}
