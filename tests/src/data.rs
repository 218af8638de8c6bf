//! Datasets for tests: descriptions and rows.

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// A dataset as an owner has it: what they say about it, and its rows.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// The description file.
    pub description: String,
    /// The CSV file.
    pub csv: String,
    /// Its name in the import folder.
    pub file: String,
    /// Its name in queries.
    pub name: String,
}

/// The folder `deploy/demo` of the repository.
#[must_use]
pub fn demo_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/demo")
}

/// The whole public table of the demo: `site,zper,year,cost_share,mdvis,outpdol`.
///
/// # Errors
///
/// If it is not where it should be.
pub fn demo_table() -> Result<String> {
    let path = demo_folder().join("rand_hie.csv.gz");
    let file = std::fs::File::open(&path).with_context(|| path.display().to_string())?;
    let mut text = String::new();
    flate2::read::GzDecoder::new(file).read_to_string(&mut text)?;
    Ok(text)
}

/// One site (1 to 6) of the demo.
///
/// # Errors
///
/// If the demo's files are not where they should be.
pub fn demo_site(site: u32) -> Result<Dataset> {
    let description = std::fs::read_to_string(demo_folder().join("dataset.toml"))?;
    let table = demo_table()?;
    let mut lines = table.lines();
    let mut csv = String::new();
    let prefix = format!("{site},");
    let header = lines.next().context("the demo's table is empty")?;
    for line in std::iter::once(header).chain(lines.filter(|l| l.starts_with(&prefix))) {
        let (_, rest) = line.split_once(',').context("a line without a comma")?;
        csv.push_str(rest);
        csv.push('\n');
    }
    Ok(Dataset {
        description: description.replace("{title}", &format!("site {site}")),
        csv,
        file: "rand_hie.csv".to_owned(),
        name: "rand_hie".to_owned(),
    })
}

/// A small dataset `visits`: `people` people, each in one of `groups` groups (constant), with
/// `rows` rows each: `person,grp,day,amount`. Group g has `people / groups` people. No terms are
/// mandatory.
#[must_use]
pub fn visits(people: u32, groups: u32, rows: u32) -> Dataset {
    let (highest, most) = (groups.max(2) - 1, people.max(10));
    let description = format!(
        r#"name = "visits"
title = "Visits"
about = "Invented visits."
source = "visits.csv"
subject = "person"
subject_unit = "person"
most_rows_per_subject = {rows}
subjects = [1, {most}]
delta = 1e-6

[[column]]
name = "grp"
type = "integer"
lowest = 0
highest = {highest}
meaning = "the group of the person"
bounds_from = "design"
constant_per_subject = true

[[column]]
name = "day"
type = "integer"
lowest = 1
highest = 7
meaning = "day of the week"
bounds_from = "design"

[[column]]
name = "amount"
type = "number"
lowest = 0
highest = 100
unit = "francs"
meaning = "what was paid"
bounds_from = "design"
"#
    );
    let mut csv = "person,grp,day,amount\n".to_owned();
    for person in 0..people {
        for row in 0..rows {
            let (group, day) = (person % groups, (person + row) % 7 + 1);
            let amount = f64::from((person * 7919 + row * 104_729) % 10_000) / 100.0;
            // Writing to a String cannot fail.
            let _ = writeln!(csv, "p{person},{group},{day},{amount}");
        }
    }
    Dataset {
        description,
        csv,
        file: "visits.csv".to_owned(),
        name: "visits".to_owned(),
    }
}

impl Dataset {
    /// The same with other rows.
    #[must_use]
    pub fn with_csv(mut self, csv: String) -> Self {
        self.csv = csv;
        self
    }

    /// The same with terms that a study must state.
    #[must_use]
    pub fn requiring(mut self, terms: &[&str]) -> Self {
        let list = terms
            .iter()
            .map(|t| format!("\"{t}\""))
            .collect::<Vec<_>>()
            .join(", ");
        let rules = format!("[study]\nrequire = [{list}]\n\n[[column]]");
        self.description = self.description.replacen("[[column]]", &rules, 1);
        self
    }
}
