//! Bugs that are planted on purpose, and the part of the audit that must notice each.
//!
//! The list is tests/audit/bugs; the bugs are patches of tests/mutants, whose script plants them
//! one at a time in a copy of the tree and runs the audit's test of that part there.

use std::path::Path;

use anyhow::{Result, ensure};

const LIST: &str = include_str!("../../audit/bugs");

/// One planted bug.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bug {
    /// The number of its patch.
    pub number: u32,
    /// The part of the audit that notices it.
    pub part: String,
}

/// The list.
#[must_use]
pub fn list() -> Vec<Bug> {
    let lines = LIST.lines().filter(|l| !l.starts_with('#'));
    let bugs = lines.filter_map(|line| {
        let mut words = line.split_whitespace();
        Some(Bug {
            number: words.next()?.parse().ok()?,
            part: words.next()?.to_owned(),
        })
    });
    bugs.collect()
}

/// Plants all of them, or those of these numbers, one after the other; takes some minutes each.
///
/// # Errors
///
/// If one is not noticed.
pub fn plant(numbers: &[String]) -> Result<()> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("mutants/run");
    let status = std::process::Command::new(script)
        .arg("--audit")
        .args(numbers)
        .status()?;
    ensure!(status.success(), "a planted bug was not noticed: {status}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_bugs_are_listed_and_each_has_a_patch_and_a_part() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("mutants");
        let names: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        let bugs = list();
        assert!(bugs.len() >= 10, "{bugs:?}");
        for bug in bugs {
            let start = format!("{:02}-", bug.number);
            assert!(names.iter().any(|n| n.starts_with(&start)), "{bug:?}");
            assert!(["releases", "transcripts", "bytes"].contains(&bug.part.as_str()));
        }
    }
}
