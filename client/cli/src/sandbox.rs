//! `obscura sandbox` and `obscura preview`.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use obscura_client::Preview;
use obscura_client::model::ids::ProjectName;
use obscura_client::model::text::SqlText;
use serde_json::json;

use crate::accuracy::Wanted;
use crate::output::answers::side_by_side;
use crate::output::supposed::shown_from;
use crate::output::tables::{table, wrapped};
use crate::output::{Report, progress, views, words};
use crate::session::{Place, Session};

#[derive(Debug, Args)]
pub(crate) struct Question {
    /// Where: NODE/DATASET.
    place: Place,
    /// The question: one SELECT.
    #[arg(required_unless_present = "sql_file")]
    sql: Option<String>,
    /// Read the question from a file instead.
    #[arg(long, value_name = "FILE", conflicts_with = "sql")]
    sql_file: Option<PathBuf>,
    #[command(flatten)]
    wanted: Wanted,
}

#[derive(Debug, Args)]
pub(crate) struct Sandbox {
    #[command(flatten)]
    question: Question,
    /// Which invented rows: the same seed gives the same rows.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[derive(Debug, Args)]
pub(crate) struct Previewed {
    #[command(flatten)]
    question: Question,
    /// For which project: its limit counts too. Without it, any project of yours there.
    #[arg(long, value_name = "PROJECT")]
    project: Option<ProjectName>,
}

impl Question {
    fn sql(&self) -> anyhow::Result<SqlText> {
        let text = match (&self.sql, &self.sql_file) {
            (_, Some(path)) => std::fs::read_to_string(path)
                .with_context(|| format!("cannot read {}", path.display()))?,
            (Some(sql), None) => sql.clone(),
            (None, None) => anyhow::bail!("give a question or --sql-file"),
        };
        Ok(SqlText::new(&text)?)
    }
}

pub(crate) async fn run(session: &Session, args: Sandbox) -> anyhow::Result<Report> {
    let Sandbox { question, seed } = args;
    let (sql, wishes) = (question.sql()?, question.wanted.each()?);
    let Place { node, dataset } = &question.place;
    let client = session.client().await?;
    let rows = question.wanted.rows().unwrap_or(1);
    let (mut runs, mut documents) = (Vec::new(), Vec::new());
    for (words, wish) in wishes {
        let run = client.sandbox(node, dataset, &sql, &wish, seed);
        let run = progress("running on invented rows", run).await?;
        documents.push(views::mock(&wish, &run, rows));
        runs.push((words, run));
    }
    let mut text = side_by_side(&runs, session.details);
    if let Some((_, run)) = runs.first() {
        text.push_str(&format!("\n{}\n", wrapped(&run.preview.words, 0)));
    }
    if runs.len() > 1 {
        text.push_str("Half the margin adds four times as much to exposure.\n");
    }
    let view = json!({ "practice_data": true, "seed": seed, "runs": documents });
    Ok(Report::new(text, view))
}

pub(crate) async fn preview(session: &Session, args: Previewed) -> anyhow::Result<Report> {
    let Previewed { question, project } = args;
    let (sql, wishes) = (question.sql()?, question.wanted.each()?);
    let Place { node, dataset } = &question.place;
    let client = session.client().await?;
    let rows = question.wanted.rows();
    let (mut lines, mut documents) = (Vec::new(), Vec::new());
    let mut words = String::new();
    let mut notes = BTreeSet::new();
    for (wish_words, wish) in wishes {
        let asked = obscura_client::Question {
            project: project.clone(),
            ..obscura_client::Question::new(dataset.clone(), sql.clone(), wish)
        };
        let preview = client.preview_of(node, &asked);
        let preview = progress("asking", preview).await?;
        let supposed = rows.unwrap_or(1000);
        documents.push(views::preview(&preview, supposed));
        lines.push(line(wish_words, &preview, supposed, session.details));
        words.clone_from(&preview.words);
        notes.extend(words::preview_notes(&preview));
        if preview
            .margins(1)
            .iter()
            .any(|m| m.like_a_study_of.is_some())
        {
            notes.insert(words::LIKE_A_STUDY.to_owned());
        }
    }
    let mut header = vec!["Asked", "Margins, 95 in 100", "Exposure"];
    if session.details {
        header.push("Details");
    }
    let mut text = format!(
        "{}\n{}\n\n{}",
        words::ESTIMATE,
        wrapped(&words, 0),
        table(&header, lines, &[])
    );
    for note in notes {
        text.push_str(&format!("\n{}\n", wrapped(&note, 0)));
    }
    Ok(Report::new(text, json!({ "previews": documents })))
}

/// "delta for groups that nobody declared 1e-8, sigma of count 3.2, ".
fn keys_and_sigmas(preview: &Preview) -> String {
    let vectors = preview.shape.vectors.iter();
    let sigmas = vectors.map(|v| format!("sigma of {} {:.4}, ", v.what, v.sigma_in_units()));
    let delta = preview.shape.discovered().map(|found| found.delta.get());
    let keys = delta.map(|delta| format!("delta for groups that nobody declared {delta:e}, "));
    keys.into_iter().chain(sigmas).collect()
}

fn line(asked: String, preview: &Preview, rows: u64, details: bool) -> Vec<String> {
    let margins = preview.margins(rows);
    let mut margins: Vec<_> = margins.iter().map(words::margin).collect();
    if let Some(people) = shown_from(&preview.shape) {
        margins.push(format!("groups that {people} have are shown"));
    }
    let takes = preview.takes().map(|t| t.sentence());
    let mut exposure = takes.unwrap_or_else(|| "no limit is set yet".to_owned());
    if let Some(refusal) = &preview.refusal {
        exposure.push_str(&format!("; it would be refused now: {refusal}"));
    }
    let mut line = vec![asked, margins.join("; "), exposure];
    if details {
        let epsilon = preview
            .epsilon
            .map(|e| format!("epsilon {}, ", words::up(e)));
        line.push(format!(
            "{}rho {}, {}slot {} ms",
            epsilon.unwrap_or_default(),
            preview.price,
            keys_and_sigmas(preview),
            preview.slot.as_millis()
        ));
    }
    line
}
