//! The description file: TOML with unknown keys refused.

mod column;
mod table;

use serde::Deserialize;

use self::column::FileColumn;
use self::table::{FileTable, only_table, tables};
use super::{Column, Description, Domain, MOST_SUBJECTS, StudyTerm, Table, TextKeys};
use crate::disclosure::Rules;
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
    /// A rule about one table is broken.
    #[error("table '{table}': {what}")]
    Table {
        /// The table's name.
        table: String,
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
    source: Option<String>,
    subject: Option<String>,
    subject_unit: String,
    #[serde(default = "default_population")]
    population: String,
    most_rows_per_subject: Option<u32>,
    subjects: [u64; 2],
    delta: f64,
    #[serde(default)]
    study: StudyRules,
    #[serde(default)]
    disclosure: DisclosureRules,
    column: Option<Vec<FileColumn>>,
    #[serde(default)]
    table: Vec<FileTable>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct DisclosureRules {
    minimum_cell: Option<u32>,
    rounding: Option<u32>,
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
        fewest >= 1 && fewest <= most && most <= MOST_SUBJECTS,
        "subjects",
        || {
            format!(
                "the public size must be two numbers, lower and upper, with 1 <= lower <= upper <= {MOST_SUBJECTS}; it is [{fewest}, {most}]"
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
    check(!file.title.trim().is_empty(), "title", || {
        "it must not be empty".to_owned()
    })?;
    check(!file.subject_unit.trim().is_empty(), "subject_unit", || {
        "say who is protected, such as \"person\"".to_owned()
    })?;
    let disclosure = disclosure(&file.disclosure)?;
    let required_terms = file
        .study
        .require
        .iter()
        .map(|t| term(t))
        .collect::<Result<_, _>>()?;
    let tables = match file.table.is_empty() {
        true => vec![only_table(
            &name,
            file.source,
            file.subject,
            file.most_rows_per_subject,
            file.column,
        )?],
        false => {
            let absent = [
                ("source", file.source.is_none()),
                (
                    "most_rows_per_subject",
                    file.most_rows_per_subject.is_none(),
                ),
                ("column", file.column.is_none()),
            ];
            for (field, absent) in absent {
                check(absent, field, || {
                    "a dataset with [[table]] says this in each table: move it there".to_owned()
                })?;
            }
            tables(file.table, file.subject.as_deref())?
        }
    };
    keys_below_one_in(&tables, delta, most)?;
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
        tables,
        required_terms,
        disclosure,
    })
}

/// The deltas of the limit and of one release with keys that are not declared are both what may
/// fail, so together they must be below 1/N.
fn keys_below_one_in(tables: &[Table], delta: Delta, most: u64) -> Result<(), InvalidDescription> {
    for column in tables.iter().flat_map(|t| &t.columns) {
        let fits = |keys: TextKeys| (delta.get() + keys.delta.get()) * (most as f64) < 1.0;
        if !column.keys.is_none_or(fits) {
            return Err(InvalidDescription::Column {
                column: column.name.clone(),
                what: format!(
                    "keys: its delta and the dataset's must together be below 1 in {most}, the \
                     upper end of subjects"
                ),
            });
        }
    }
    Ok(())
}

fn disclosure(file: &DisclosureRules) -> Result<Rules, InvalidDescription> {
    let fields = [
        ("disclosure.minimum_cell", file.minimum_cell),
        ("disclosure.rounding", file.rounding),
    ];
    for (field, value) in fields {
        check(value.is_none_or(|v| (2..=1000).contains(&v)), field, || {
            "it must be from 2 to 1000; leave it out if there is no such rule".to_owned()
        })?;
    }
    Ok(Rules {
        minimum_cell: file.minimum_cell,
        rounding: file.rounding,
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
    fn a_date_with_the_bounds_of_a_number_or_a_wrong_day_is_told_what_it_needs() {
        let says = |old: &str, new: &str| {
            let text = GOOD.replace(old, new);
            assert_ne!(text, GOOD);
            Description::from_toml(&text).unwrap_err().to_string()
        };
        let numeric = "type = \"integer\"\nlowest = 0\nhighest = 77";
        let dated = |bounds: &str| says(numeric, &format!("type = \"date\"\n{bounds}"));
        for lowest in ["\"1920-01-01\"", "1920-01-01", "3"] {
            let said = dated(&format!("lowest = {lowest}"));
            assert!(said.contains("a date has first and last"), "{said}");
        }
        let said = dated("first = \"1920-01-01\"\nlast = \"1920-13-01\"");
        assert!(said.contains("last must be a date"), "{said}");
        let said = dated("first = \"1921-01-01\"\nlast = \"1920-01-01\"");
        assert!(said.contains("first must not be after last"), "{said}");
        let said = says("lowest = 0", "lowest = \"0\"");
        assert!(said.contains("must be numbers"), "{said}");
    }

    const TWO: &str = r#"
name = "clinic"
title = "Clinic"
subject = "person"
subject_unit = "person"
subjects = [500, 2000]
delta = 1e-6

[disclosure]
minimum_cell = 10
rounding = 5

[[table]]
name = "people"
source = "people.csv"
most_rows_per_subject = 1

[[table.column]]
name = "sex"
type = "category"
values = ["F", "M"]
meaning = "sex"
bounds_from = "form"

[[table]]
name = "visits"
source = "visits.csv"
subject = "patient"
most_rows_per_subject = 20

[[table.column]]
name = "cost"
type = "number"
lowest = 0
highest = 100
meaning = "cost"
bounds_from = "price list"
"#;

    #[test]
    fn several_tables_share_the_subject_unless_they_name_their_own() {
        let d = Description::from_toml(TWO).unwrap();
        let tables: Vec<_> = d
            .tables()
            .iter()
            .map(|t| (t.name.as_str(), t.subject_column.as_str()))
            .collect();
        assert_eq!(tables, [("people", "person"), ("visits", "patient")]);
        assert_eq!(d.most_rows_per_subject(), 1, "the first is the main one");
        let rules = d.disclosure();
        assert_eq!((rules.minimum_cell, rules.rounding), (Some(10), Some(5)));
        let one = Description::from_toml(GOOD).unwrap();
        assert_eq!(one.tables().len(), 1);
        assert_eq!(one.tables()[0].name, "visits");
        assert_eq!(one.disclosure(), Rules::default());
    }

    #[test]
    fn every_wrong_table_says_which_and_what() {
        for (from, to, says) in [
            (
                "name = \"visits\"",
                "name = \"people\"",
                "table 'people': the name is used twice",
            ),
            (
                "name = \"visits\"",
                "name = \"join\"",
                "table 'join': this is a word",
            ),
            (
                "name = \"visits\"",
                "name = \"Visits\"",
                "table 'Visits': use lower-case",
            ),
            (
                "visits.csv",
                "people.csv",
                "table 'visits': source: 'people.csv' is another",
            ),
            (
                "visits.csv",
                "../v.csv",
                "table 'visits': source: '../v.csv' must be",
            ),
            (
                "most_rows_per_subject = 20",
                "most_rows_per_subject = 0",
                "from 1 to 1000000",
            ),
            (
                "name = \"cost\"",
                "name = \"patient\"",
                "column 'visits.patient': the name",
            ),
            (
                "highest = 100",
                "highest = nan",
                "column 'visits.cost': lowest and highest",
            ),
            (
                "subject = \"person\"\n",
                "",
                "table 'people': subject: say which",
            ),
            (
                "delta = 1e-6",
                "delta = 1e-6\nsource = \"a.csv\"",
                "source: a dataset with [[table]]",
            ),
            (
                "rounding = 5",
                "rounding = 1",
                "disclosure.rounding: it must be from 2 to 1000",
            ),
        ] {
            let text = TWO.replacen(from, to, 1);
            assert_ne!(text, TWO);
            let error = Description::from_toml(&text).unwrap_err().to_string();
            assert!(error.contains(says), "{to}: {error}");
        }
        let none = GOOD.replace("source = \"visits.csv\"\n", "");
        let error = Description::from_toml(&none).unwrap_err().to_string();
        assert!(
            error.contains("source: it is missing; give it, or describe tables"),
            "{error}"
        );
    }

    #[test]
    fn keys_that_are_not_declared_are_off_unless_the_owner_says_how() {
        const TEXT: &str = r#"
[[column]]
name = "note"
type = "text"
most_characters = 80
meaning = "the reason"
bounds_from = "form"
"#;
        const KEYS: &str = "keys = { per_person = 2, most = 50, characters = 40, delta = 1e-8 }\n";
        let keys = |text: &str| {
            let d = Description::from_toml(text).map_err(|e| e.to_string())?;
            Ok::<_, String>(d.column("note").unwrap().1.keys)
        };
        let off = format!("{GOOD}{TEXT}");
        assert_eq!(keys(&off), Ok(None));
        let on = format!("{off}{KEYS}");
        let TextKeys {
            per_person,
            most,
            characters,
            delta,
        } = keys(&on).unwrap().unwrap();
        assert_eq!((per_person, most, characters), (2, 50, 40));
        assert_eq!(delta.units(), 10_000_000_000);
        for (from, to, says) in [
            ("per_person = 2", "per_person = 11", "per_person from 1"),
            ("most = 50", "most = 0", "most from 1 to 1000"),
            ("characters = 40", "characters = 201", "characters from 1"),
            ("delta = 1e-8", "delta = 0", "keys: delta must be"),
            (
                "delta = 1e-8",
                "delta = 5e-4",
                "together be below 1 in 2000",
            ),
            (
                "type = \"text\"\nmost_characters = 80",
                "type = \"boolean\"",
                "for text columns",
            ),
        ] {
            let text = on.replacen(from, to, 1);
            assert_ne!(text, on);
            let error = keys(&text).unwrap_err();
            assert!(
                error.contains("'note'") && error.contains(says),
                "{to}: {error}"
            );
        }
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
