//! Step 5: a study is drafted, previewed, submitted, reviewed and approved.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use obscura_client::{AtSite, Client, OwnerClient, Preview, Review, StudyPreview, StudyStatus};
use obscura_model::accuracy::{Accuracy, AccuracyRequest};
use obscura_model::exposure::Rho;
use obscura_model::ids::{DatasetName, PartyName, StudyId, UnixMillis};
use obscura_model::study::{Study, StudyFile, StudyState, Verdict};
use obscura_model::text::SqlText;

use super::keys::SITES;
use super::margin::PERSON_YEARS;
use super::say::Say;
use super::{DATASET, all};
use crate::output::progress;
use crate::owner::review_in_words;

/// The study file, with places to fill in.
const TEMPLATE: &str = include_str!("../../../../deploy/demo/study.toml");

/// How long the study may run.
const DAYS: u64 = 90;

/// The margin that each site must have so that all together have `margin`: independent noise of
/// six sites adds up to the square root of six times one site's, while the rows add up to six
/// times one site's.
fn per_site(margin: f64) -> (f64, u64) {
    let sites = SITES as u64;
    (margin * (SITES as f64).sqrt(), PERSON_YEARS / sites)
}

/// The margin that fits: the asked one, or the smallest that the share of one release allows.
async fn fitting(say: &Say, client: &Client, asked: f64) -> anyhow::Result<f64> {
    let mut margin = asked;
    for _ in 0..4 {
        let preview = preview(client, margin).await?;
        let Some(factor) = over_the_share(&preview) else {
            break;
        };
        // Half the margin adds four times as much, so the margin grows with the root.
        margin = (margin * factor.sqrt() * 100.0).ceil() / 100.0;
    }
    if margin > asked {
        say.text(&format!(
            "One release may take at most a quarter of a site's limit. Within {asked} would take \
             more, so the study asks for {margin}, the closest that fits."
        ))?;
    }
    Ok(margin)
}

async fn preview(client: &Client, margin: f64) -> anyhow::Result<Preview> {
    let (within, rows) = per_site(margin);
    let accuracy = Accuracy::Within {
        margin: within,
        rows: Some(rows),
    };
    let file = filled(StudyId::from_parts(0, [0; 10]), margin, "2099-12-31");
    let file = StudyFile::from_toml(&file)?;
    let first = file
        .releases()
        .first()
        .context("the study asks for nothing")?;
    let node = PartyName::new("site-1")?;
    let dataset = DatasetName::new(DATASET)?;
    let sql: &SqlText = &first.sql;
    let accuracy = AccuracyRequest::whole(accuracy)?;
    Ok(client.preview(&node, &dataset, sql, &accuracy).await?)
}

/// By how much a release is over the largest share of the tightest limit; nothing if it fits.
fn over_the_share(preview: &Preview) -> Option<f64> {
    let limits = preview.accounts.iter().filter_map(|a| a.limit);
    let largest = limits.map(|l| l.largest_release).min()?;
    let over = preview.price.as_f64() / largest.as_f64();
    (preview.price > largest).then_some(over)
}

fn filled(id: StudyId, margin: f64, end_date: &str) -> String {
    let (within, rows) = per_site(margin);
    TEMPLATE
        .replace("{id}", &id.to_string())
        .replace("{end_date}", end_date)
        .replace("{within}", &format!("{within:.6}"))
        .replace("{rows}", &rows.to_string())
}

/// What the study is about.
pub(super) fn question(say: &Say) -> anyhow::Result<()> {
    say.step(5, "Ada drafts a study; six owners decide")?;
    say.text("Her question: does cost sharing change how often people see a doctor?")?;
    Ok(())
}

/// Drafts the study with the margin `asked`, shows what it would add, and submits it everywhere.
pub(super) async fn draft(
    say: &Say,
    client: &Client,
    folder: &Path,
    asked: f64,
    now: UnixMillis,
) -> anyhow::Result<Study> {
    let margin = fitting(say, client, asked).await?;
    let end = UnixMillis(now.0.saturating_add(DAYS * 86_400_000)).date();
    let text = filled(client.new_study_id()?, margin, &end);
    let path = folder.join("study.toml");
    fs::write(&path, &text).with_context(|| format!("cannot write {}", path.display()))?;
    let study = client.resolve(StudyFile::from_toml(&text)?, Vec::new())?;
    say.text(
        "The study file names three releases by level of cost sharing: average visits, average \
         outpatient dollars, and the number of people; the terms it runs under; and the \
         institutions. Before anything is asked, each node says what it would add:",
    )?;
    say.command("obscura study check study.toml")?;
    previews(say, client.preview_study(&study).await)?;
    say.command("obscura study submit study.toml")?;
    submitted(client.submit(&study).await)?;
    Ok(study)
}

fn previews(say: &Say, sites: Vec<AtSite<StudyPreview>>) -> anyhow::Result<()> {
    let mut sentences = Vec::<(String, Vec<String>)>::new();
    let mut price = Rho::ZERO;
    for site in sites {
        let name = site.name().to_string();
        let preview = site
            .outcome
            .with_context(|| format!("{name} gives no preview"))?;
        if let Some(refusal) = preview.refusal() {
            anyhow::bail!("{name} would refuse the study: {refusal}");
        }
        let takes = preview
            .takes()
            .with_context(|| format!("{name} has no limit"))?;
        price = preview
            .price
            .context("the study's price cannot be counted")?;
        let sentence = takes.sentence();
        match sentences.iter_mut().find(|(s, _)| *s == sentence) {
            Some((_, names)) => names.push(name),
            None => sentences.push((sentence, vec![name])),
        }
    }
    for (sentence, names) in sentences {
        say.labelled("", &format!("{}: {sentence}", listed(&names)))?;
    }
    say.detail(&format!("rho {:.4} at each site", price.as_f64()))?;
    Ok(())
}

/// "site-1 to site-6" reads better than six names.
fn listed(names: &[String]) -> String {
    match names {
        [first, .., last] if names.len() == SITES => format!("{first} to {last}, each"),
        names => names.join(", "),
    }
}

/// Fails unless every institution took the study in.
pub(super) fn submitted(sites: Vec<AtSite<StudyStatus>>) -> anyhow::Result<()> {
    for site in sites {
        let name = site.name().to_string();
        site.outcome
            .with_context(|| format!("{name} does not take the study"))?;
    }
    Ok(())
}

/// Each owner finds the study, reads the review and approves. One review is shown in full.
pub(super) async fn approve(
    say: &Say,
    owners: &[OwnerClient],
    study: &Study,
) -> anyhow::Result<()> {
    let id = study.id();
    let reviews = owners
        .iter()
        .cloned()
        .map(|owner| async move { review(&owner, id).await });
    let reviews = progress("reading reviews", all(reviews)).await?;
    let first = reviews.first().context("there is no review")?;
    say.title("What owner-1 reads before deciding")?;
    say.command(&format!("obscura owner review {id}"))?;
    say.block(&review_in_words(first, say.details()))?;
    let same = reviews
        .iter()
        .all(|r| r.digest == first.digest && r.price == first.price);
    anyhow::ensure!(same, "the owners did not get the same study");
    let deciding = owners.iter().cloned().zip(reviews);
    let decided = all(deciding.map(|(owner, review)| async move {
        let status = owner.decide(&review, Verdict::Approve, "").await?;
        Ok(status.state)
    }));
    let decided = decided.await?;
    anyhow::ensure!(
        decided.iter().all(|s| *s == StudyState::Approved),
        "not approved"
    );
    say.line("")?;
    say.command(&format!("obscura owner approve {id}"))?;
    say.text(
        "All six owners read the same document and approve exactly that: each decision is signed \
         and pins the document, the data version and what it adds.",
    )?;
    Ok(())
}

/// The review of a study that the owner found among the requests.
pub(super) async fn review(owner: &OwnerClient, id: StudyId) -> anyhow::Result<Review> {
    let requests = owner.requests().await?;
    let node = &owner.node().name;
    anyhow::ensure!(
        requests.iter().any(|r| r.id == id),
        "the study did not arrive at {node}"
    );
    Ok(owner.review(id).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_becomes_a_study_file_with_every_term() {
        let id = StudyId::from_parts(1, [1; 10]);
        let file = StudyFile::from_toml(&filled(id, 0.11, "2099-12-31")).unwrap();
        let names: Vec<_> = file.releases().iter().map(|r| r.name.as_str()).collect();
        assert_eq!(names, ["visits", "dollars", "people"]);
        assert!(!filled(id, 0.11, "2099-12-31").contains("{within}"));
    }

    #[test]
    fn six_sites_with_this_margin_have_the_asked_one_together() {
        let (margin, rows) = per_site(0.11);
        // One site's noise of the sum, six of them, over all rows.
        let one = margin * rows as f64;
        let together = one * 6f64.sqrt() / (6.0 * rows as f64);
        assert!((together - 0.11).abs() < 1e-12, "{together}");
    }
}
