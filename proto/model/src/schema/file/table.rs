//! The tables of a dataset, as the description file has them.

use serde::Deserialize;

use super::column::{FileColumn, NAME, columns, is_name};
use super::{InvalidDescription, Table, check};
use crate::ids::DatasetName;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileTable {
    name: String,
    source: String,
    subject: Option<String>,
    most_rows_per_subject: u32,
    column: Vec<FileColumn>,
}

/// The one table of a description without `[[table]]`.
pub(super) fn only_table(
    name: &DatasetName,
    source: Option<String>,
    subject: Option<String>,
    most_rows: Option<u32>,
    column: Option<Vec<FileColumn>>,
) -> Result<Table, InvalidDescription> {
    let missing = |field: &'static str| InvalidDescription::Field {
        field,
        what: "it is missing; give it, or describe tables with [[table]]".to_owned(),
    };
    let source = source.ok_or_else(|| missing("source"))?;
    let subject = subject.ok_or_else(|| missing("subject"))?;
    let most_rows = most_rows.ok_or_else(|| missing("most_rows_per_subject"))?;
    let column = column.ok_or_else(|| missing("column"))?;
    check(rows_in_range(most_rows), "most_rows_per_subject", || {
        ROWS.to_owned()
    })?;
    check(is_source(&source), "source", || not_source(&source))?;
    Ok(Table {
        name: name.to_string(),
        columns: columns(column, &subject, None)?,
        source_file: source,
        subject_column: subject,
        most_rows_per_subject: most_rows,
    })
}

/// Words of the query language that would have to be quoted as the name of a table.
const WORDS: [&str; 24] = [
    "all", "and", "as", "by", "case", "distinct", "else", "end", "from", "full", "group", "having",
    "in", "inner", "join", "left", "not", "on", "or", "order", "right", "select", "using", "where",
];

/// The most tables of one dataset.
const MOST_TABLES: usize = 32;

/// The tables of a description with `[[table]]`.
pub(super) fn tables(
    file: Vec<FileTable>,
    subject: Option<&str>,
) -> Result<Vec<Table>, InvalidDescription> {
    check(file.len() <= MOST_TABLES, "table", || {
        format!("a dataset has at most {MOST_TABLES} tables")
    })?;
    let mut tables: Vec<Table> = Vec::with_capacity(file.len());
    for table in file {
        let name = table.name;
        let rule = |holds: bool, what: &dyn Fn() -> String| match holds {
            true => Ok(()),
            false => Err(InvalidDescription::Table {
                table: name.clone(),
                what: what(),
            }),
        };
        rule(is_name(&name), &|| NAME.to_owned())?;
        rule(!WORDS.contains(&name.as_str()), &|| {
            "this is a word of the query language; choose another name".to_owned()
        })?;
        rule(!tables.iter().any(|t| t.name == name), &|| {
            "the name is used twice".to_owned()
        })?;
        rule(rows_in_range(table.most_rows_per_subject), &|| {
            format!("most_rows_per_subject: {ROWS}")
        })?;
        rule(is_source(&table.source), &|| {
            format!("source: {}", not_source(&table.source))
        })?;
        let same_file = tables.iter().any(|t| t.source_file == table.source);
        rule(!same_file, &|| {
            format!("source: '{}' is another table's file", table.source)
        })?;
        let subject = table.subject.as_deref().or(subject);
        rule(subject.is_some(), &|| {
            "subject: say which column tells whose row it is, here or for the whole dataset"
                .to_owned()
        })?;
        let subject = subject.unwrap_or_default().to_owned();
        tables.push(Table {
            columns: columns(table.column, &subject, Some(&name))?,
            source_file: table.source,
            subject_column: subject,
            most_rows_per_subject: table.most_rows_per_subject,
            name,
        });
    }
    Ok(tables)
}

const ROWS: &str = "it must be from 1 to 1000000";

fn rows_in_range(most_rows: u32) -> bool {
    (1..=1_000_000).contains(&most_rows)
}

fn is_source(source: &str) -> bool {
    let plain = !source.contains(['/', '\\', '\0']) && !source.starts_with('.');
    plain && (source.ends_with(".csv") || source.ends_with(".parquet"))
}

fn not_source(source: &str) -> String {
    format!(
        "'{source}' must be the name of a .csv or .parquet file in the node's import folder, \
        without a path"
    )
}
