//! `obscura study`: write, check, send, follow, take back.

mod check;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Subcommand;
use obscura_client::model::codelist::SignedCodeList;
use obscura_client::model::ids::{ProjectName, StudyId};
use obscura_client::model::study::{Study as Document, StudyFile, StudyState};
use obscura_client::{AtSite, Client, Clock as _, Entropy as _, StudyStatus, System};
use serde_json::json;

use crate::codelist;
use crate::output::tables::{table, wrapped};
use crate::output::{Report, progress, views};
use crate::session::Session;

#[derive(Debug, Subcommand)]
pub(crate) enum Study {
    /// Write a study file to fill in, with a fresh id.
    New {
        /// The file to write; an existing one is never overwritten.
        file: PathBuf,
        /// The dataset that it is about: see `obscura datasets`.
        #[arg(long, value_name = "DATASET")]
        dataset: String,
        /// The project: the people who work on it together, the same name at every institution.
        #[arg(long, value_name = "PROJECT")]
        project: String,
    },
    /// Check a study file and preview it at every institution.
    Check {
        /// The study file.
        file: PathBuf,
    },
    /// Send a study to every institution; each owner decides alone.
    Submit {
        /// The study file.
        file: PathBuf,
    },
    /// See where a study is; without a file, where all of yours are.
    Status {
        /// The study file.
        file: Option<PathBuf>,
    },
    /// Take a study back. What was released stays released.
    Withdraw {
        /// The study file.
        file: PathBuf,
    },
}

pub(crate) async fn run(session: &Session, command: Study) -> anyhow::Result<Report> {
    match command {
        Study::New {
            file,
            dataset,
            project,
        } => new(&file, &dataset, &project),
        Study::Check { file } => check::run(session, &file).await,
        Study::Submit { file } => {
            let (client, study) = open(session, &file).await?;
            let sites = progress("sending to every institution", client.submit(&study)).await;
            let next = "Each owner decides alone. Follow it with `obscura study status`.\n";
            Ok(statuses(&study, &sites, next, StudyStatus::is_sent))
        }
        Study::Status { file: Some(file) } => {
            let (client, study) = open(session, &file).await?;
            let sites = progress("asking every institution", client.status(&study)).await;
            Ok(statuses(&study, &sites, "", |_| true))
        }
        Study::Status { file: None } => all(session).await,
        Study::Withdraw { file } => {
            let (client, study) = open(session, &file).await?;
            let sites = progress("asking every institution", client.withdraw(&study)).await;
            let next = "What was released stays released.\n";
            Ok(statuses(&study, &sites, next, StudyStatus::is_withdrawn))
        }
    }
}

/// Whether a call did what it was for.
trait Reached {
    fn is_sent(&self) -> bool;
    fn is_withdrawn(&self) -> bool;
}

impl Reached for StudyStatus {
    fn is_sent(&self) -> bool {
        !matches!(self.state, StudyState::Withdrawn | StudyState::Expired)
    }

    fn is_withdrawn(&self) -> bool {
        self.state == StudyState::Withdrawn
    }
}

/// Reads a study file and looks its institutions up.
pub(crate) async fn open(session: &Session, file: &Path) -> anyhow::Result<(Client, Document)> {
    let parsed = read(file)?;
    let lists = code_lists(file, &parsed)?;
    let client = session.client().await?;
    let study = client
        .resolve(parsed, lists)
        .with_context(|| file.display().to_string())?;
    Ok((client, study))
}

fn read(file: &Path) -> anyhow::Result<StudyFile> {
    let text =
        fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    StudyFile::from_toml(&text).with_context(|| file.display().to_string())
}

/// The signed code lists that a study file names, from beside it.
fn code_lists(file: &Path, study: &StudyFile) -> anyhow::Result<Vec<SignedCodeList>> {
    let folder = file.parent().unwrap_or(Path::new(""));
    let lists = study.code_lists().iter();
    lists
        .map(|path| codelist::read(&folder.join(path)))
        .collect()
}

fn new(file: &Path, dataset: &str, project: &str) -> anyhow::Result<Report> {
    let dataset = obscura_client::model::ids::DatasetName::new(dataset)?;
    let mut entropy = [0; 10];
    System.fill(&mut entropy)?;
    let id = StudyId::from_parts(System.now().0, entropy);
    let project = ProjectName::new(project)?;
    let text = template(&id, dataset.as_str(), project.as_str());
    let mut options = fs::OpenOptions::new();
    let mut open = options
        .write(true)
        .create_new(true)
        .open(file)
        .with_context(|| format!("cannot make {}; it may be there already", file.display()))?;
    std::io::Write::write_all(&mut open, text.as_bytes())?;
    let file = file.display().to_string();
    let said = format!("{file} is ready to be filled in. Then: obscura study check {file}\n");
    let view = json!({ "file": file, "study": id.to_string() });
    Ok(Report::new(said, view))
}

/// A study file with every key explained.
fn template(id: &StudyId, dataset: &str, project: &str) -> String {
    format!(
        r#"# A study: what you ask data owners for. Each owner reads it and decides alone.

# Made for you. The same id is the same study; a changed study needs a new one.
id = "{id}"
# The people who work on it together. Each owner confirms each of them once; the share counts for
# all of them.
project = "{project}"
# The question, and why you ask it.
title = "What do you want to know?"
purpose = "Why you ask, and how the results will be used."
# The dataset, and where: names from `obscura datasets`, or "all".
dataset = "{dataset}"
where = ["all"]
# Signed code lists that queries name, from beside this file: see `obscura codelist sign`.
# codelists = ["lists/diabetes.codes.toml"]

# Owners can make any of these mandatory.
[terms]
controller = ""
legal_basis = ""
ethics_reference = ""
contract_number = ""
# The last day on which it may run, such as "2027-12-31".
end_date = ""

# One section for each release. Ask only for what you need, as precisely as you need it:
# half the margin adds four times as much to exposure.
[[release]]
name = "rows"
sql = "SELECT COUNT(*) AS n FROM {dataset}"
# One of: {{ within = 25 }} (95 times in 100), {{ within = 0.3, rows = 800 }} (averages: if at
# least 800 rows match), {{ sigma = 10 }}, {{ epsilon = 0.5 }}, {{ rho = 0.02 }}.
accuracy = {{ within = 25 }}
# How often it may run; every run is a new release.
# times = 1
# Run only while nobody is left out for having reached a limit.
# require_complete = true
# Also tell how many people contributed, or were clipped: each adds to exposure.
# coverage = false
# count_clipped = false
"#
    )
}

fn statuses(
    study: &Document,
    sites: &[AtSite<StudyStatus>],
    next: &str,
    reached: impl Fn(&StudyStatus) -> bool,
) -> Report {
    let rows = sites.iter().map(status_row).collect();
    let header = ["Institution", "State", "Reason", "Released", "Until"];
    let any = sites.iter().any(|s| s.outcome.is_ok());
    let next = if any { next } else { "" };
    let mut text = format!("{}\n{}", study.title(), table(&header, rows, &[]));
    let changed = changed(study, sites);
    if !changed.is_empty() {
        let names = changed.join(", ");
        text.push_str(&wrapped(
            &format!(
                "The file is not what was sent to {names}: a changed study needs a new id, which \
                 `obscura study new` makes."
            ),
            0,
        ));
        text.push('\n');
    }
    text.push_str(next);
    let done = |s: &AtSite<StudyStatus>| s.outcome.as_ref().is_ok_and(&reached);
    let complete = sites.iter().all(done);
    let view = json!({
        "study": study.id().to_string(),
        "digest": Client::study_digest(study).to_string(),
        "file_differs_at": changed,
        "institutions": views::sites(sites, "status", views::status),
    });
    Report::new(text, view).complete(complete)
}

/// The institutions that have another document under this id.
fn changed<'a>(study: &Document, sites: &'a [AtSite<StudyStatus>]) -> Vec<&'a str> {
    let digest = Client::study_digest(study);
    let other = |s: &&AtSite<StudyStatus>| s.outcome.as_ref().is_ok_and(|s| s.digest != digest);
    let sites = sites.iter().filter(other);
    sites.map(|s| s.name().as_str()).collect()
}

fn status_row(site: &AtSite<StudyStatus>) -> Vec<String> {
    let name = site.name().to_string();
    match &site.outcome {
        Err(error) => {
            let state = if error.is_refusal() {
                "refused"
            } else {
                "no answer"
            };
            vec![name, state.to_owned(), error.reason()]
        }
        Ok(status) => vec![
            name,
            status.state.in_words().to_owned(),
            status.reason.clone(),
            runs(status),
            status.expires.date(),
        ],
    }
}

/// "visits 1 of 1, people 0 of 1".
pub(crate) fn runs(status: &StudyStatus) -> String {
    let releases = status.releases.iter();
    let runs: Vec<_> = releases
        .map(|r| format!("{} {} of {}", r.name, r.runs, r.times))
        .collect();
    runs.join(", ")
}

async fn all(session: &Session) -> anyhow::Result<Report> {
    let client = session.client().await?;
    let sites = progress("asking every institution", client.studies()).await;
    let mut rows = Vec::new();
    for site in &sites {
        match &site.outcome {
            Err(error) => rows.push(vec![site.name().to_string(), error.reason()]),
            Ok(studies) => rows.extend(studies.iter().map(|s| {
                vec![
                    site.name().to_string(),
                    s.title.clone(),
                    s.id.to_string(),
                    s.state.in_words().to_owned(),
                    runs(s),
                ]
            })),
        }
    }
    if sites.is_empty() {
        bail!("there is no institution in the directory: ask the gateway's operator");
    }
    let header = ["Institution", "Study", "Id", "State", "Released"];
    let list = |studies: &Vec<StudyStatus>| studies.iter().map(views::status).collect();
    let view = json!({ "institutions": views::sites(&sites, "studies", list) });
    Ok(Report::new(table(&header, rows, &[]), view))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_a_study_file_with_a_fresh_id() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.toml");
        new(&file, "visits", "p").unwrap();
        let study = read(&file).unwrap();
        assert_eq!(study.dataset().as_str(), "visits");
        assert_eq!(study.project().as_str(), "p");
        assert!(
            new(&file, "visits", "p").is_err(),
            "an existing file is kept"
        );
        let other = folder.path().join("b.toml");
        new(&other, "visits", "p").unwrap();
        assert_ne!(read(&other).unwrap().id(), study.id());
    }
}
