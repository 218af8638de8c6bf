//! The description file: TOML with unknown keys refused.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::{Column, Description, Domain, StudyTerm, Table};
use crate::calendar;
use crate::exposure::{Delta, InvalidExposure};
use crate::ids::{DatasetName, InvalidId, PopulationName};

/// Why a description file was refused. The text says what, where, and what to do.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum InvalidDescription {
    /// Not TOML of the expected form.
    #[error("line {line}, column {column}: {what}")]
    Form {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What is wrong.
        what: String,
    },
    /// A name that is no name.
    #[error("{field}: {source}")]
    Name {
        /// The key in the file.
        field: &'static str,
        /// Why.
        #[source]
        source: InvalidId,
    },
    /// A delta out of range.
    #[error("delta: {0}")]
    Delta(#[source] InvalidExposure),
    /// delta is not below 1/N.
    #[error(
        "delta {delta} must be below 1 in {most} (the upper end of subjects); try {suggestion:e}"
    )]
    DeltaTooLarge {
        /// As given.
        delta: f64,
        /// N.
        most: u64,
        /// A delta that fits.
        suggestion: f64,
    },
    /// A rule about one column is broken.
    #[error("column '{column}': {what}")]
    Column {
        /// The column's name.
        column: String,
        /// What is wrong and what to do.
        what: String,
    },
    /// A rule about the whole is broken.
    #[error("{field}: {what}")]
    Field {
        /// The key in the file.
        field: &'static str,
        /// What is wrong and what to do.
        what: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    title: String,
    #[serde(default)]
    about: String,
    source: String,
    subject: String,
    subject_unit: String,
    #[serde(default = "default_population")]
    population: String,
    most_rows_per_subject: u32,
    subjects: [u64; 2],
    delta: f64,
    #[serde(default)]
    study: StudyRules,
    column: Vec<FileColumn>,
}

fn default_population() -> String {
    "people".to_owned()
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct StudyRules {
    #[serde(default)]
    require: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileColumn {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    lowest: Option<f64>,
    highest: Option<f64>,
    values: Option<Vec<String>>,
    other: Option<String>,
    #[serde(default)]
    unit: String,
    meaning: String,
    bounds_from: String,
    #[serde(default)]
    may_be_missing: bool,
    #[serde(default)]
    missing_share: f64,
    #[serde(default)]
    constant_per_subject: bool,
    first: Option<String>,
    last: Option<String>,
    most_characters: Option<u32>,
    typical: Option<[f64; 2]>,
}

const MOST_COLUMNS: usize = 1000;
const EXACT: f64 = 9_007_199_254_740_992.0; // 2^53: whole numbers up to here are exact floats

pub(super) fn read(text: &str) -> Result<Description, InvalidDescription> {
    let file: File = toml::from_str(text).map_err(|error| {
        let (line, column) = place(text, error.span().map_or(0, |s| s.start));
        InvalidDescription::Form {
            line,
            column,
            what: error.message().trim().to_owned(),
        }
    })?;
    let name = DatasetName::new(&file.name).map_err(|source| InvalidDescription::Name {
        field: "name",
        source,
    })?;
    let population =
        PopulationName::new(&file.population).map_err(|source| InvalidDescription::Name {
            field: "population",
            source,
        })?;
    let [fewest, most] = file.subjects;
    check(
        fewest >= 1 && fewest <= most && most <= 1 << 31,
        "subjects",
        || {
            format!(
                "the public size must be two numbers, lower and upper, with 1 <= lower <= upper <= 2147483648; it is [{fewest}, {most}]"
            )
        },
    )?;
    let delta = Delta::new(file.delta).map_err(InvalidDescription::Delta)?;
    if delta.get() * most as f64 >= 1.0 {
        let suggestion = 10f64.powf(-(most as f64).log10().floor() - 2.0);
        return Err(InvalidDescription::DeltaTooLarge {
            delta: file.delta,
            most,
            suggestion,
        });
    }
    check(
        (1..=1_000_000).contains(&file.most_rows_per_subject),
        "most_rows_per_subject",
        || "it must be from 1 to 1000000".to_owned(),
    )?;
    let plain = !file.source.contains(['/', '\\', '\0']) && !file.source.starts_with('.');
    let known = file.source.ends_with(".csv") || file.source.ends_with(".parquet");
    check(plain && known, "source", || {
        format!(
            "'{}' must be the name of a .csv or .parquet file in the node's import folder, without a path",
            file.source
        )
    })?;
    check(!file.title.trim().is_empty(), "title", || {
        "it must not be empty".to_owned()
    })?;
    check(!file.subject_unit.trim().is_empty(), "subject_unit", || {
        "say who is protected, such as \"person\"".to_owned()
    })?;
    let columns = columns(file.column, &file.subject)?;
    let required_terms = file
        .study
        .require
        .iter()
        .map(|t| term(t))
        .collect::<Result<_, _>>()?;
    let table = Table {
        name: name.to_string(),
        source_file: file.source,
        subject_column: file.subject,
        most_rows_per_subject: file.most_rows_per_subject,
        columns,
    };
    Ok(Description {
        text: text.to_owned(),
        name,
        title: file.title,
        about: file.about,
        subject_unit: file.subject_unit,
        population,
        fewest_subjects: fewest,
        most_subjects: most,
        delta,
        tables: vec![table],
        required_terms,
    })
}

fn check(
    holds: bool,
    field: &'static str,
    what: impl FnOnce() -> String,
) -> Result<(), InvalidDescription> {
    if holds {
        Ok(())
    } else {
        Err(InvalidDescription::Field {
            field,
            what: what(),
        })
    }
}

fn term(text: &str) -> Result<StudyTerm, InvalidDescription> {
    StudyTerm::ALL
        .into_iter()
        .find(|t| t.as_str() == text)
        .ok_or_else(|| {
            let known = StudyTerm::ALL.map(StudyTerm::as_str).join(", ");
            let what = format!("'{text}' is not a term of a study; known are {known}");
            InvalidDescription::Field {
                field: "study.require",
                what,
            }
        })
}

fn columns(file: Vec<FileColumn>, subject_column: &str) -> Result<Vec<Column>, InvalidDescription> {
    check((1..=MOST_COLUMNS).contains(&file.len()), "column", || {
        format!("describe 1 to {MOST_COLUMNS} columns")
    })?;
    let mut seen = BTreeSet::from([subject_column.to_owned()]);
    let mut columns = Vec::with_capacity(file.len());
    for column in file {
        let fail = |what: String| InvalidDescription::Column {
            column: column.name.clone(),
            what,
        };
        if !seen.insert(column.name.clone()) {
            return Err(fail(
                "the name is used twice, or is the subject column".to_owned(),
            ));
        }
        let proper = column.name.starts_with(|c: char| c.is_ascii_lowercase())
            && column.name.len() <= 60
            && column
                .name
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if !proper {
            return Err(fail(
                "use lower-case letters, digits and '_', starting with a letter".to_owned(),
            ));
        }
        if !(0.0..=1.0).contains(&column.missing_share) {
            return Err(fail("missing_share must be from 0 to 1".to_owned()));
        }
        if column.missing_share > 0.0 && !column.may_be_missing {
            return Err(fail("missing_share needs may_be_missing = true".to_owned()));
        }
        if column.bounds_from.trim().is_empty() {
            return Err(fail(
                "bounds_from must say where the bounds come from (a form, a guideline, an instrument), never the data"
                    .to_owned(),
            ));
        }
        let domain = domain(&column).map_err(fail)?;
        let typical = typical(&column, &domain).map_err(fail)?;
        columns.push(Column {
            name: column.name,
            domain,
            unit: column.unit,
            meaning: column.meaning,
            source: column.bounds_from,
            may_be_missing: column.may_be_missing,
            missing_share: column.missing_share,
            constant_per_subject: column.constant_per_subject,
            typical,
        });
    }
    Ok(columns)
}

fn domain(column: &FileColumn) -> Result<Domain, String> {
    if !matches!(
        column.kind.as_str(),
        "integer" | "number" | "category" | "boolean" | "date" | "text"
    ) {
        let kind = &column.kind;
        return Err(format!(
            "type '{kind}' is not known; use integer, number, category, boolean, date or text"
        ));
    }
    let numeric = matches!(column.kind.as_str(), "integer" | "number");
    if !numeric && (column.lowest.is_some() || column.highest.is_some()) {
        return Err("lowest and highest are for integer and number columns".to_owned());
    }
    if column.kind != "category" && (column.values.is_some() || column.other.is_some()) {
        return Err("values and other are for category columns".to_owned());
    }
    if column.kind != "date" && (column.first.is_some() || column.last.is_some()) {
        return Err("first and last are for date columns".to_owned());
    }
    if column.kind != "text" && column.most_characters.is_some() {
        return Err("most_characters is for text columns".to_owned());
    }
    match column.kind.as_str() {
        "date" => dates(column),
        "text" => match column.most_characters {
            Some(most_characters @ 1..=10_000) => Ok(Domain::Text { most_characters }),
            _ => Err("give most_characters, from 1 to 10000".to_owned()),
        },
        "integer" => {
            let (lowest, highest) = bounds(column)?;
            let whole = |v: f64| v.fract() == 0.0 && v.abs() <= EXACT;
            if !whole(lowest) || !whole(highest) {
                return Err("bounds of an integer must be whole and within 2^53".to_owned());
            }
            Ok(Domain::Integer {
                lowest: lowest as i64,
                highest: highest as i64,
            })
        }
        "number" => {
            let (lowest, highest) = bounds(column)?;
            Ok(Domain::Number { lowest, highest })
        }
        "category" => category(column),
        _ => Ok(Domain::Boolean),
    }
}

fn dates(column: &FileColumn) -> Result<Domain, String> {
    let day = |text: &Option<String>| text.as_deref().and_then(calendar::parse);
    match (day(&column.first), day(&column.last)) {
        (Some(first), Some(last)) if first <= last => Ok(Domain::Date { first, last }),
        _ => Err("give first and last, such as \"2010-01-01\", first not after last".to_owned()),
    }
}

/// A hint must lie within the bounds that it is a hint for.
fn typical(column: &FileColumn, domain: &Domain) -> Result<Option<(f64, f64)>, String> {
    let Some([low, high]) = column.typical else {
        return Ok(None);
    };
    let (lowest, highest) = match domain {
        Domain::Integer { lowest, highest } => (*lowest as f64, *highest as f64),
        Domain::Number { lowest, highest } => (*lowest, *highest),
        Domain::Category { .. } | Domain::Boolean | Domain::Date { .. } | Domain::Text { .. } => {
            return Err("typical is for integer and number columns".to_owned());
        }
    };
    if lowest <= low && low <= high && high <= highest {
        Ok(Some((low, high)))
    } else {
        Err("typical must be two numbers within lowest and highest, in order".to_owned())
    }
}

fn bounds(column: &FileColumn) -> Result<(f64, f64), String> {
    match (column.lowest, column.highest) {
        (Some(low), Some(high)) if low.is_finite() && high.is_finite() && low <= high => {
            Ok((low + 0.0, high + 0.0))
        }
        (Some(_), Some(_)) => {
            Err("lowest and highest must be finite, lowest not above highest".to_owned())
        }
        _ => Err("give lowest and highest: the smallest and largest sensible value".to_owned()),
    }
}

fn category(column: &FileColumn) -> Result<Domain, String> {
    let mut values = column.values.clone().unwrap_or_default();
    if let Some(other) = &column.other
        && !values.contains(other)
    {
        values.push(other.clone());
    }
    if values.is_empty() || values.len() > 10_000 {
        return Err("list every value that could occur in values (1 to 10000)".to_owned());
    }
    if values.iter().collect::<BTreeSet<_>>().len() != values.len() {
        return Err("a value stands twice in values".to_owned());
    }
    if values
        .iter()
        .any(|v| v.is_empty() || v.len() > 200 || v.chars().any(char::is_control))
    {
        return Err("values must have 1 to 200 bytes and no control characters".to_owned());
    }
    let other = column
        .other
        .as_ref()
        .and_then(|o| values.iter().position(|v| v == o));
    Ok(Domain::Category { values, other })
}

/// Line and column, from 1, of a byte offset in a text: where an error in a file is.
#[must_use]
pub fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    (line, column)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
name = "visits"
title = "Visits"
source = "visits.csv"
subject = "person"
subject_unit = "person"
most_rows_per_subject = 5
subjects = [500, 2000]
delta = 1e-6

[[column]]
name = "n"
type = "integer"
lowest = 0
highest = 77
unit = "visits"
meaning = "visits in the year"
bounds_from = "form"

[[column]]
name = "plan"
type = "category"
values = ["free", "25 %"]
other = "other"
meaning = "plan"
bounds_from = "protocol"
constant_per_subject = true
"#;

    #[test]
    fn a_good_file_is_read() {
        let d = Description::from_toml(GOOD).unwrap();
        assert_eq!(d.index_capacity(), 2048);
        assert_eq!(d.columns().len(), 2);
        assert_eq!(d.column("plan").unwrap().1.domain.key_count(), Some(3));
        assert_eq!(
            d.column("plan").unwrap().1.domain.key_label(2).as_deref(),
            Some("other")
        );
        assert_eq!(d.population().as_str(), "people");
    }

    #[test]
    fn every_wrong_file_says_what_and_where() {
        for (from, to, says) in [
            ("delta = 1e-6", "delta = 1e-3", "below 1 in 2000"),
            ("delta = 1e-6", "delta = nan", "delta"),
            ("lowest = 0", "lowest = 80", "lowest not above highest"),
            ("lowest = 0", "lowest = nan", "finite"),
            ("highest = 77", "highest = inf", "finite"),
            ("highest = 77", "highest = 7.5", "whole"),
            ("\"visits.csv\"", "\"../visits.csv\"", "import folder"),
            (
                "\"integer\"",
                "\"int\"",
                "integer, number, category, boolean, date or text",
            ),
            (
                "title = \"Visits\"",
                "titel = \"Visits\"",
                "line 3, column 1",
            ),
            (
                "bounds_from = \"form\"",
                "bounds_from = \"\"",
                "never the data",
            ),
            ("name = \"plan\"", "name = \"n\"", "used twice"),
            (
                "subjects = [500, 2000]",
                "subjects = [500, 20]",
                "lower and upper",
            ),
        ] {
            let text = GOOD.replacen(from, to, 1);
            assert_ne!(text, GOOD);
            let error = Description::from_toml(&text).unwrap_err().to_string();
            assert!(error.contains(says), "{to}: {error}");
        }
    }
}
