//! The columns of one table, as the description file has them.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::{Column, Domain, InvalidDescription, TextKeys, check};
use crate::calendar;
use crate::exposure::{Delta, DeltaCharge};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileColumn {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    // Of any type, so that what stands here wrongly is refused in words.
    lowest: Option<toml::Value>,
    highest: Option<toml::Value>,
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
    keys: Option<FileKeys>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileKeys {
    per_person: u32,
    most: u32,
    characters: u32,
    delta: f64,
}

const MOST_COLUMNS: usize = 1000;
const EXACT: f64 = 9_007_199_254_740_992.0; // 2^53: whole numbers up to here are exact floats

/// What a name must be.
pub(super) const NAME: &str = "use lower-case letters, digits and '_', starting with a letter";

/// Whether a name can name a column or a table.
pub(super) fn is_name(name: &str) -> bool {
    let part = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    name.starts_with(|c: char| c.is_ascii_lowercase()) && name.len() <= 60 && name.bytes().all(part)
}

/// Checks the columns of a table; `table` is named in errors if there are several.
pub(super) fn columns(
    file: Vec<FileColumn>,
    subject_column: &str,
    table: Option<&str>,
) -> Result<Vec<Column>, InvalidDescription> {
    check((1..=MOST_COLUMNS).contains(&file.len()), "column", || {
        format!("describe 1 to {MOST_COLUMNS} columns")
    })?;
    let mut seen = BTreeSet::from([subject_column.to_owned()]);
    let mut columns = Vec::with_capacity(file.len());
    for column in file {
        let fail = |what: String| InvalidDescription::Column {
            column: match table {
                Some(table) => format!("{table}.{}", column.name),
                None => column.name.clone(),
            },
            what,
        };
        if !seen.insert(column.name.clone()) {
            return Err(fail(
                "the name is used twice, or is the subject column".to_owned(),
            ));
        }
        if !is_name(&column.name) {
            return Err(fail(NAME.to_owned()));
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
        let keys = keys(&column, &domain).map_err(fail)?;
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
            keys,
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
    let bounded = column.lowest.is_some() || column.highest.is_some();
    if column.kind == "date" && bounded {
        return Err("a date has first and last, such as first = \"2010-01-01\", in place of lowest and highest".to_owned());
    }
    if !numeric && bounded {
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
    let day = |name: &str, text: &Option<String>| match text.as_deref() {
        None => Err("give first and last, such as \"2010-01-01\"".to_owned()),
        Some(text) => calendar::parse(text)
            .ok_or_else(|| format!("{name} must be a date such as \"2010-01-01\"")),
    };
    let (first, last) = (day("first", &column.first)?, day("last", &column.last)?);
    if first > last {
        return Err("first must not be after last".to_owned());
    }
    Ok(Domain::Date { first, last })
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

/// How values that nobody declared become group keys.
fn keys(column: &FileColumn, domain: &Domain) -> Result<Option<TextKeys>, String> {
    let Some(keys) = &column.keys else {
        return Ok(None);
    };
    if !matches!(domain, Domain::Text { .. }) {
        return Err("keys is for text columns; other columns declare their values".to_owned());
    }
    let FileKeys {
        per_person,
        most,
        characters,
        delta,
    } = *keys;
    let fits = (1..=10).contains(&per_person)
        && (1..=1000).contains(&most)
        && (1..=200).contains(&characters);
    if !fits {
        return Err(
            "keys needs per_person from 1 to 10, most from 1 to 1000 and characters from 1 to 200"
                .to_owned(),
        );
    }
    let delta = Delta::new(delta).map_err(|error| format!("keys: {error}"))?;
    Ok(Some(TextKeys {
        per_person,
        most,
        characters,
        delta: DeltaCharge::meant(delta),
    }))
}

fn bounds(column: &FileColumn) -> Result<(f64, f64), String> {
    let number = |bound: &Option<toml::Value>| match bound {
        None => Ok(None),
        Some(toml::Value::Integer(whole)) => Ok(Some(*whole as f64)),
        Some(toml::Value::Float(number)) => Ok(Some(*number)),
        Some(_) => Err("lowest and highest must be numbers, without quotes".to_owned()),
    };
    match (number(&column.lowest)?, number(&column.highest)?) {
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
