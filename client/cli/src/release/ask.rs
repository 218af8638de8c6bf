//! `obscura release ask`: one question at once, under a standing grant.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::Args;
use obscura_client::model::ids::{GrantId, PartyName};
use obscura_client::model::study::ReleaseOptions;
use obscura_client::model::text::SqlText;
use obscura_client::{Client, Grant, GrantState, Question, combine};
use serde_json::json;

use super::notes::{Limits, Notes};
use crate::accuracy::Wanted;
use crate::codelist;
use crate::output::tables::wrapped;
use crate::output::{Report, answers, progress, words};
use crate::session::{Place, Session};

#[derive(Debug, Args)]
pub(crate) struct Ask {
    /// About which dataset: NODE/DATASET.
    #[arg(long, value_name = "NODE/DATASET")]
    dataset: Place,
    /// The question: one SELECT.
    #[arg(long, required_unless_present = "sql_file")]
    sql: Option<String>,
    /// Read the question from a file instead.
    #[arg(long, value_name = "FILE", conflicts_with = "sql")]
    sql_file: Option<PathBuf>,
    #[command(flatten)]
    wanted: Wanted,
    /// Under which grant: needed if several fit. See `obscura grants`.
    #[arg(long)]
    grant: Option<GrantId>,
    /// Answer only while nobody is left out for having reached a limit.
    #[arg(long)]
    require_complete: bool,
    /// Also tell how many people contributed: adds to exposure.
    #[arg(long)]
    coverage: bool,
    /// Also tell how many people were clipped or truncated: adds to exposure.
    #[arg(long)]
    count_clipped: bool,
    /// A signed code list that the question names.
    #[arg(long, value_name = "FILE")]
    codelist: Vec<PathBuf>,
    /// Make a new release, even if you have the answer to this very question already.
    #[arg(long)]
    again: bool,
    /// The folder for the signed file.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

impl Ask {
    fn question(&self) -> anyhow::Result<Question> {
        let text = match (&self.sql, &self.sql_file) {
            (_, Some(path)) => fs::read_to_string(path)
                .with_context(|| format!("cannot read {}", path.display()))?,
            (Some(sql), None) => sql.clone(),
            (None, None) => bail!("give a question with --sql or --sql-file"),
        };
        let mut wishes = self.wanted.each()?.into_iter();
        let (Some((_, accuracy)), None) = (wishes.next(), wishes.next()) else {
            bail!("name one accuracy: compare several with `obscura preview`");
        };
        let lists = self.codelist.iter().map(|path| codelist::read(path));
        Ok(Question {
            dataset: self.dataset.dataset.clone(),
            sql: SqlText::new(&text)?,
            accuracy,
            options: ReleaseOptions {
                require_complete: self.require_complete,
                coverage: self.coverage,
                count_clipped: self.count_clipped,
            },
            code_lists: lists.collect::<anyhow::Result<_>>()?,
            project: None,
        })
    }
}

pub(super) async fn run(session: &Session, args: Ask) -> anyhow::Result<Report> {
    let question = args.question()?;
    let out = args.out.display().to_string();
    fs::create_dir_all(&args.out).with_context(|| format!("cannot make {out}"))?;
    let client = session.client().await?;
    let node = &args.dataset.node;
    let grant = match args.grant {
        Some(grant) => grant,
        None => fitting(progress("asking", client.grants_at(node)).await?, &question)?,
    };
    let limits = progress("asking for limits", limits(&client, node, &question)).await;
    let asked = client.ask(node, grant, &question, args.again);
    let release = progress("waiting for the release", asked).await?;
    let file = release
        .save(&args.out)
        .with_context(|| format!("cannot keep {}", release.file_name()))?;
    let file = file.display().to_string();
    // So that combining, later and without the network, can say what part of the limit it added.
    Notes::of_answer(&args.out, release.label(), &limits).save(&args.out)?;
    let answer = combine(std::slice::from_ref(&release))?;
    let mut text = answers::whole(&answer, &limits, session.details);
    text.push_str(&format!("\nThe signed file: {file}\n"));
    if release.is_earlier() {
        let said = words::earlier(release.release().committed);
        text.push_str(&format!("{}\n", wrapped(&said, 0)));
    }
    let view = json!({
        "institution": node.as_str(),
        "grant": grant.to_string(),
        "file": file,
        "earlier": release.is_earlier(),
        "added_nano_rho": if release.is_earlier() { 0 } else { release.release().price.nano() },
        "answer": obscura_client::export::json(&answer),
    });
    Ok(Report::new(text, view))
}

/// The one grant in force for the question's dataset.
fn fitting(grants: Vec<Grant>, question: &Question) -> anyhow::Result<GrantId> {
    let fits = |g: &Grant| g.state == GrantState::InForce && g.dataset == question.dataset;
    let fitting: Vec<_> = grants.into_iter().filter(fits).collect();
    match fitting.as_slice() {
        [one] => Ok(one.id),
        [] => bail!(
            "you have no standing grant in force for {} there: write a study, or ask the owner",
            question.dataset
        ),
        several => {
            let named = |g: &Grant| format!("{} ({})", g.id, g.columns.join(", "));
            let named: Vec<_> = several.iter().map(named).collect();
            bail!(
                "several grants fit: name one with --grant: {}",
                named.join("; ")
            )
        }
    }
}

/// The tightest public limit of the dataset, if the institution tells.
async fn limits(client: &Client, node: &PartyName, question: &Question) -> Limits {
    let dataset = client.dataset(node, &question.dataset).await.ok();
    let limit = dataset.and_then(|d| words::tightest(&d.accounts));
    limit.map(|l| (node.clone(), l.rho)).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use obscura_client::model::accuracy::{Accuracy, AccuracyRequest};
    use obscura_client::model::exposure::{DeltaCharge, Rho};
    use obscura_client::model::ids::{DatasetName, KeyId, ProjectName, UnixMillis};

    fn grant(number: u8, dataset: &str, state: GrantState) -> Grant {
        Grant {
            id: GrantId::from_parts(1, [number; 10]),
            project: ProjectName::new("p").unwrap(),
            scientist: KeyId::new([1; 32]),
            scientist_name: "ada".into(),
            dataset: DatasetName::new(dataset).unwrap(),
            columns: vec!["grp".into()],
            most: Rho::from_nano(10),
            taken: Rho::ZERO,
            keys: DeltaCharge::ZERO,
            keys_taken: DeltaCharge::ZERO,
            releases: 2,
            begun: 0,
            expires: UnixMillis(1),
            reason: String::new(),
            state,
        }
    }

    #[test]
    fn the_grant_that_fits_is_found_and_several_are_named() {
        let question = Question::new(
            DatasetName::new("visits").unwrap(),
            SqlText::new("SELECT COUNT(*) FROM visits").unwrap(),
            AccuracyRequest::whole(Accuracy::Sigma(3.0)).unwrap(),
        );
        let fit = |grants: &[Grant]| fitting(grants.to_vec(), &question);
        let good = grant(1, "visits", GrantState::InForce);
        let others = [
            grant(2, "visits", GrantState::Revoked),
            grant(3, "other", GrantState::InForce),
        ];
        let [a, b] = others.clone();
        assert_eq!(fit(&[a, good.clone(), b]).unwrap(), good.id);
        assert!(fit(&others).is_err());
        let second = grant(4, "visits", GrantState::InForce);
        let error = fit(&[good, second.clone()]).unwrap_err().to_string();
        assert!(error.contains(&second.id.to_string()), "{error}");
    }
}
