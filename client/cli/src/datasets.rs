//! `obscura datasets` and `obscura dataset show`.

use clap::Subcommand;
use obscura_client::model::calendar;
use obscura_client::model::ids::{DatasetName, PartyName};
use obscura_client::model::schema::Domain;
use obscura_client::{AtSite, Column, Dataset as Described, TableRows};
use serde_json::json;

use crate::output::tables::{pairs, table, wrapped};
use crate::output::{Report, progress, views, words};
use crate::session::{Place, Session};

#[derive(Debug, Subcommand)]
pub(crate) enum Dataset {
    /// Columns, bounds, limits and what a study must state.
    Show {
        /// NODE/DATASET, or DATASET with --node.
        place: String,
        /// The institution.
        #[arg(long)]
        node: Option<String>,
    },
}

pub(crate) async fn run(session: &Session, command: Dataset) -> anyhow::Result<Report> {
    let Dataset::Show { place, node } = command;
    let place = match node {
        Some(node) => Place {
            node: PartyName::new(&node)?,
            dataset: DatasetName::new(&place)?,
        },
        None => place.parse().map_err(anyhow::Error::msg)?,
    };
    let client = session.client().await?;
    let dataset = progress("asking", client.dataset(&place.node, &place.dataset)).await?;
    let text = describe(&dataset, session.details);
    Ok(Report::new(text, views::dataset(&dataset)))
}

pub(crate) async fn list(session: &Session) -> anyhow::Result<Report> {
    let client = session.client().await?;
    let sites = progress("asking every institution", client.datasets()).await;
    let mut rows = Vec::new();
    for site in &sites {
        rows.extend(site_rows(site));
    }
    for refused in client.refused() {
        let why = format!("not accepted: {}", refused.reason);
        rows.push(row([refused.name.as_str(), "", &why, "", ""]));
    }
    let header = ["Institution", "Dataset", "Title", "People", "Limit"];
    let mut text = table(&header, rows, &[]);
    text.push_str("\nLook at one with `obscura dataset show NODE/DATASET`.\n");
    let refused = client.refused().iter();
    let refused: Vec<_> = refused
        .map(|r| json!({ "institution": r.name.as_str(), "reason": r.reason }))
        .collect();
    let list = |datasets: &Vec<Described>| datasets.iter().map(views::dataset).collect();
    let view = json!({
        "institutions": views::sites(&sites, "datasets", list),
        "not_accepted": refused,
    });
    let any = sites.iter().any(|s| s.outcome.is_ok());
    Ok(Report::new(text, view).complete(any))
}

fn site_rows(site: &AtSite<Vec<Described>>) -> Vec<Vec<String>> {
    let node = site.name().as_str();
    match &site.outcome {
        Err(error) => vec![row([node, "", &error.reason(), "", ""])],
        Ok(datasets) if datasets.is_empty() => vec![row([node, "", "no dataset yet", "", ""])],
        Ok(datasets) => datasets
            .iter()
            .map(|d| {
                let people = format!("{} to {}", d.fewest_subjects, d.most_subjects);
                row([node, d.name.as_str(), &d.title, &people, limit_status(d)])
            })
            .collect(),
    }
}

fn row(cells: [&str; 5]) -> Vec<String> {
    cells.map(str::to_owned).to_vec()
}

/// Open, nearly at its limit, or closed: public numbers.
fn limit_status(dataset: &Described) -> &'static str {
    let mut worst = 0;
    for account in &dataset.accounts {
        match account.limit {
            None => return "no limit yet: closed",
            Some(limit) => worst = worst.max(words::percent(account.meter, limit.rho)),
        }
    }
    match worst {
        0..=74 => "open",
        75..=99 => "nearly at its limit",
        _ => "at its limit",
    }
}

/// A dataset for people.
pub(crate) fn describe(dataset: &Described, details: bool) -> String {
    let unit = &dataset.subject_unit;
    let terms: Vec<_> = dataset.required_terms.iter().map(|t| t.as_str()).collect();
    let mut text = format!("{}\n", dataset.title);
    if !dataset.about.is_empty() {
        text.push_str(&format!("{}\n", wrapped(&dataset.about, 0)));
    }
    text.push('\n');
    text.push_str(&pairs(&[
        (
            "Name",
            format!("{}, version {}", dataset.name, dataset.version),
        ),
        (
            "Who is protected",
            format!("one {unit}; all rows of one {unit} together"),
        ),
        (
            "Rows",
            rows(&dataset.tables, dataset.most_rows_per_subject, unit),
        ),
        (
            "Size",
            format!("{} to {}", dataset.fewest_subjects, dataset.most_subjects),
        ),
        (
            "Counting",
            format!(
                "COUNT(DISTINCT {}) counts by {unit}",
                dataset.subject_column
            ),
        ),
        ("A study must state", terms.join(", ")),
    ]));
    text.push('\n');
    let rows = dataset.columns.iter().map(column).collect();
    text.push_str(&table(&["Column", "Values", "Unit", "Meaning"], rows, &[]));
    text.push('\n');
    let accounts = dataset.accounts.iter();
    let accounts = accounts.map(|a| words::account(a, details)).collect();
    text.push_str(&table(&words::ACCOUNT, accounts, &[]));
    text.push_str(&words::legend(&dataset.accounts));
    text
}

/// How many rows of one person count, of each table if there are several.
fn rows(tables: &[TableRows], most: u32, unit: &str) -> String {
    if tables.len() < 2 {
        return format!("at most {most} of one {unit} count");
    }
    let each = tables
        .iter()
        .map(|t| format!("{} of {}", t.most_rows_per_subject, t.name));
    let each: Vec<_> = each.collect();
    format!("at most {} of one {unit} count", each.join(", "))
}

fn column(column: &Column) -> Vec<String> {
    let mut values = match &column.domain {
        Domain::Integer { lowest, highest } => format!("whole numbers {lowest} to {highest}"),
        Domain::Number { lowest, highest } => format!("numbers {lowest} to {highest}"),
        Domain::Category { values, .. } => values.join(", "),
        Domain::Boolean => "true or false".to_owned(),
        Domain::Date { first, last } => {
            format!(
                "days {} to {}",
                calendar::label(*first),
                calendar::label(*last)
            )
        }
        Domain::Text { most_characters } => {
            format!("text of at most {most_characters} characters")
        }
    };
    if let Some((low, high)) = column.typical {
        values.push_str(&format!("; mostly {low} to {high}"));
    }
    if column.may_be_missing {
        values.push_str("; may be missing");
    }
    if column.constant_per_subject {
        values.push_str("; never changes for one subject");
    }
    if let Some(keys) = &column.keys {
        values.push_str(&format!(
            "; as keys: what enough people have, at most {} of {} characters, {} for one person",
            keys.most, keys.characters, keys.per_person
        ));
    }
    vec![
        column.name.clone(),
        values,
        column.unit.clone(),
        column.meaning.clone(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rows_of_each_table_are_named_if_there_are_several() {
        let table = |name: &str, most_rows_per_subject| TableRows {
            name: name.to_owned(),
            most_rows_per_subject,
        };
        let both = [table("people", 1), table("visits", 8)];
        let said = rows(&both, 1, "patient");
        assert_eq!(
            said,
            "at most 1 of people, 8 of visits of one patient count"
        );
        assert_eq!(
            rows(&both[1..], 8, "patient"),
            "at most 8 of one patient count"
        );
    }
}
