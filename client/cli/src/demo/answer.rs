//! Step 6: the releases are fetched, checked, combined, shown and written down.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use obscura_client::export::{self, shown};
use obscura_client::{Client, CombinedAnswer, NotIncluded, Takes, VerifiedRelease, combine};
use obscura_model::exposure::Rho;
use obscura_model::ids::ReleaseName;
use obscura_model::study::{Study, StudyState};

use super::say::Say;
use crate::output::progress;

/// How wide charts are.
const CHART: usize = 74;

/// What one release of the study came to.
pub(super) struct Fetched {
    /// The signed releases, one of each institution that answered.
    pub(super) releases: Vec<VerifiedRelease>,
    /// Combined.
    pub(super) answer: CombinedAnswer,
}

/// Fetches one release everywhere, checks the signatures and combines what came. Where nothing
/// came because of a decision, the reason is the owner's.
pub(super) async fn fetch(
    client: &Client,
    study: &Study,
    name: &ReleaseName,
) -> anyhow::Result<Fetched> {
    let (mut releases, mut missing) = (Vec::new(), Vec::new());
    for site in client.releases_everywhere(study, name).await {
        match site.outcome {
            Ok(release) => releases.push(release),
            Err(error) => missing.push(NotIncluded {
                name: site.institution.name,
                reason: error.in_full(),
            }),
        }
    }
    if !missing.is_empty() {
        decisions(client, study, &mut missing).await;
    }
    let answer = combine(&releases)?.without(missing);
    Ok(Fetched { releases, answer })
}

/// Puts the owner's reason in the place of the refusal that followed from it.
async fn decisions(client: &Client, study: &Study, missing: &mut [NotIncluded]) {
    for site in client.status(study).await {
        let Ok(status) = &site.outcome else { continue };
        let declined = status.state == StudyState::Declined;
        let found = missing.iter_mut().find(|m| m.name == *site.name());
        if let Some(missing) = found.filter(|_| declined) {
            missing.reason = format!("{}: {}", status.state.in_words(), status.reason);
        }
    }
}

/// Fetches the whole study and shows it.
pub(super) async fn fetch_all(
    say: &Say,
    client: &Client,
    study: &Study,
    folder: &Path,
) -> anyhow::Result<Vec<Fetched>> {
    say.step(6, "The answer")?;
    say.text(
        "Ada fetches each release from the six nodes at once, checks six signatures against the \
         keys in the nodes' certificates, and adds the sums up: sums, never averages of averages, \
         because one site has no 50 % rows.",
    )?;
    say.command("obscura release study.toml --out releases")?;
    say.command("obscura combine releases/*.visits.release")?;
    let mut all = Vec::new();
    for release in study.releases() {
        let what = fetch(client, study, &release.name);
        let fetched = progress("six nodes answer", what).await?;
        let missing = fetched.answer.not_included.first();
        if let Some(NotIncluded { name, reason }) = missing {
            anyhow::bail!("{name} did not answer: {reason}");
        }
        all.push(fetched);
    }
    let whole = whole(&all)?;
    table(say, &whole)?;
    say.text(
        "± is the noise margin: 95 of 100 answers land within it of the answer without noise. \
         Sampling adds its own uncertainty, as in any study.",
    )?;
    say.text(&format!("{}.", whole.who()))?;
    added(say, client, &whole).await?;
    for output in 0..2 {
        say.line("")?;
        say.block(&export::terminal(&whole, output, CHART))?;
    }
    write(say, study, &all, &whole, folder)?;
    Ok(all)
}

/// The three answers side by side: same groups, outputs one after the other.
fn whole(all: &[Fetched]) -> anyhow::Result<CombinedAnswer> {
    let mut answers = all.iter().map(|f| f.answer.clone());
    let mut whole = answers.next().context("nothing was released")?;
    for answer in answers {
        let (to, from) = (&mut whole.combined, answer.combined);
        anyhow::ensure!(to.keys == from.keys, "the releases have different groups");
        to.outputs.extend(from.outputs);
        for (to, from) in to.rows.iter_mut().zip(from.rows) {
            to.estimates.extend(from.estimates);
        }
        for (to, from) in whole.included.iter_mut().zip(answer.included) {
            anyhow::ensure!(
                to.name == from.name,
                "the releases are of different institutions"
            );
            to.added = to
                .added
                .checked_add(from.added)
                .context("too much to add up")?;
        }
    }
    Ok(whole)
}

fn table(say: &Say, whole: &CombinedAnswer) -> anyhow::Result<()> {
    let mut head = vec!["family pays"];
    head.extend(whole.combined.outputs.iter().map(|(name, _)| name.as_str()));
    let rows = whole.combined.rows.iter().map(|row| {
        let estimates = row.estimates.iter().map(|e| shown(*e));
        std::iter::once(row.labels.join(", "))
            .chain(estimates)
            .collect()
    });
    say.table(&head, rows.collect())?;
    Ok(())
}

/// What all three added at each institution.
async fn added(say: &Say, client: &Client, whole: &CombinedAnswer) -> anyhow::Result<()> {
    let mut parts = Vec::new();
    for site in client.exposure().await {
        let name = site.name().clone();
        let exposure = site
            .outcome
            .with_context(|| format!("{name} shows no exposure"))?;
        let included = whole.included.iter().find(|i| i.name == name);
        let added = included.map_or(Rho::ZERO, |i| i.added);
        let takes = Takes::of(added, &exposure.accounts).context("no limit is set")?;
        parts.push((name, takes.percent));
    }
    let percent = parts.first().map(|(_, percent)| *percent);
    let text = match percent {
        Some(percent) if parts.iter().all(|(_, p)| *p == percent) => {
            format!(
                "{percent} % of its limit at each of the {} sites",
                parts.len()
            )
        }
        _ => {
            let parts = parts
                .iter()
                .map(|(name, p)| format!("{name} {p} % of its limit"));
            parts.collect::<Vec<_>>().join(", ")
        }
    };
    say.text(&format!("Added to exposure, for good: {text}."))?;
    let rho = whole
        .included
        .iter()
        .map(|i| format!("{:.4}", i.added.as_f64()));
    say.detail(&format!("rho {}", rho.collect::<Vec<_>>().join(", ")))?;
    Ok(())
}

fn write(
    say: &Say,
    study: &Study,
    all: &[Fetched],
    whole: &CombinedAnswer,
    folder: &Path,
) -> anyhow::Result<()> {
    let signed = folder.join("releases");
    fs::create_dir_all(&signed).with_context(|| format!("cannot make {}", signed.display()))?;
    for release in all.iter().flat_map(|f| &f.releases) {
        release
            .save(&signed)
            .with_context(|| format!("cannot write to {}", signed.display()))?;
    }
    let answers: Vec<_> = all.iter().map(|f| export::json(&f.answer)).collect();
    let json = serde_json::to_string_pretty(&answers)? + "\n";
    let files = [
        ("results.csv", export::csv(whole)),
        ("results.json", json),
        ("results.svg", export::svg(whole, study.title())),
    ];
    for (name, text) in files {
        let path = folder.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    say.line("")?;
    say.text(&format!(
        "The same numbers: results.csv, results.json and results.svg in {}; the signed releases \
         are in releases/ there.",
        folder.display()
    ))?;
    Ok(())
}
