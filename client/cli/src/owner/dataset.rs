//! Datasets and scientists of one's own node.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, bail};
use obscura_client::model::identity::Role;
use obscura_client::model::ids::DatasetName;
use obscura_client::model::schema::Description;
use obscura_client::pem_certificate;
use obscura_client::{Added, Dataset, NewDataset, SubjectIds};
use serde_json::json;

use crate::datasets::describe;
use crate::output::tables::{pairs, wrapped};
use crate::output::{Report, progress, views};
use crate::session::Session;

pub(super) async fn add(
    session: &Session,
    file: &Path,
    opt_out: Option<&Path>,
    apart: bool,
) -> anyhow::Result<Report> {
    let name = file.display().to_string();
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {name}"))?;
    // Checked here first, so that a slip is found without a call.
    Description::from_toml(&text).with_context(|| name.clone())?;
    let new = NewDataset {
        description: text,
        apart,
        opt_out: match opt_out {
            Some(file) => super::subjects::ids(file)?,
            None => SubjectIds::from_lines(""),
        },
    };
    let owner = session.owner().await?;
    let added = progress("reading the data file", owner.add(&new)).await?;
    let Added {
        dataset,
        rows,
        subjects,
        rows_without_subject,
        rows_of_excluded,
        rows_beyond,
    } = &added;
    let text = format!(
        "Dataset {}, version {}, is registered.\n\n{}\nThese numbers come from your data: they \
         are for you only.\n{}",
        dataset.name,
        dataset.version,
        pairs(&[
            ("Rows", rows.to_string()),
            ("Subjects", subjects.to_string()),
            (
                "Rows left out for naming no subject",
                rows_without_subject.to_string()
            ),
            (
                "Rows left out, of excluded or erased people",
                rows_of_excluded.to_string()
            ),
            (
                "Rows left out as far too many of one subject",
                rows_beyond.to_string()
            ),
        ]),
        next(dataset)
    );
    let view = json!({
        "dataset": views::dataset(dataset),
        "rows": rows,
        "subjects": subjects,
        "rows_without_subject": rows_without_subject,
        "rows_of_excluded": rows_of_excluded,
        "rows_beyond": rows_beyond,
    });
    Ok(Report::new(text, view))
}

/// What to do after a version came in.
fn next(dataset: &Dataset) -> String {
    let mut text = String::new();
    if dataset.version > 1 {
        let said = "Exposure and limits carry over. Studies that were approved for an older \
                    version must be sent and approved again.";
        text.push_str(&format!("{}\n", wrapped(said, 0)));
    }
    if dataset.accounts.iter().all(|a| a.limit.is_none()) {
        text.push_str(&format!(
            "Next: set a limit by experiment, obscura owner limit {} --epsilon ... --rehearse\n",
            dataset.name
        ));
    }
    text
}

pub(super) async fn show(session: &Session, name: Option<DatasetName>) -> anyhow::Result<Report> {
    let owner = session.owner().await?;
    let datasets = match name {
        Some(name) => vec![owner.dataset(&name).await?],
        None => owner.datasets().await?,
    };
    if datasets.is_empty() {
        let text = "There is no dataset yet: obscura owner dataset add DESCRIPTION.toml\n";
        return Ok(Report::new(text.to_owned(), json!({ "datasets": [] })));
    }
    let texts: Vec<_> = datasets
        .iter()
        .map(|d| describe(d, session.details))
        .collect();
    let view: Vec<_> = datasets.iter().map(views::dataset).collect();
    Ok(Report::new(texts.join("\n"), json!({ "datasets": view })))
}

pub(super) async fn enrol(session: &Session, file: &Path) -> anyhow::Result<Report> {
    let name = file.display().to_string();
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {name}"))?;
    let Some(certificate) = pem_certificate(&text) else {
        bail!("{name} holds no certificate in PEM form");
    };
    let owner = session.owner().await?;
    let person = owner.enrol(&certificate).await?;
    if person.role != Role::Scientist {
        bail!(
            "{name} is the certificate of a {}, not of a scientist",
            person.role
        );
    }
    let text = format!("Your node now accepts scientist {}.\n", person.name);
    let view = json!({ "name": person.name.as_str(), "key": person.key.to_string() });
    Ok(Report::new(text, view))
}
