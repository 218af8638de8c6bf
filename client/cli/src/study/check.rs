//! `obscura study check`: what every institution would say, before anything is sent.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use obscura_client::model::accuracy::Accuracy;
use obscura_client::model::ids::UnixMillis;
use obscura_client::model::study::{Study, StudyRelease};
use obscura_client::{
    AtSite, Client, Clock as _, Dataset, Preview, StudyPreview, System, combined_margins,
};
use serde_json::{Value, json};

use crate::output::tables::{table, wrapped};
use crate::output::{Report, progress, views, words};
use crate::session::Session;

/// How many rows the margin of an average supposes where the study does not say it.
const SUPPOSED_ROWS: u64 = 1000;

pub(super) async fn run(session: &Session, file: &Path) -> anyhow::Result<Report> {
    let (client, study) = super::open(session, file).await?;
    let asked = async { tokio::join!(client.preview_study(&study), client.datasets()) };
    let (sites, datasets) = progress("asking every institution", asked).await;
    let over = over(&study, System.now());
    let missing: Vec<_> = sites
        .iter()
        .map(|site| missing(&study, site, &datasets))
        .collect();
    let rows = sites.iter().map(|site| row(site, session.details));
    let mut header = vec!["Institution", "The whole study"];
    if session.details {
        header.push("Details");
    }
    let mut text = format!(
        "{}\n{}\n\n{}\n{}",
        words::ESTIMATE,
        study.title(),
        releases(&study, &sites),
        table(&header, rows.collect(), &[])
    );
    text.push_str(&required(&sites, &missing));
    text.push_str(&notes(&sites));
    if let Some(over) = &over {
        text.push_str(&format!("{over}\n"));
    }
    let fits = |s: &AtSite<StudyPreview>| s.outcome.as_ref().is_ok_and(|p| p.refusal().is_none());
    let stated = missing.iter().all(Vec::is_empty) && over.is_none();
    let complete = sites.iter().all(fits) && stated;
    let mut views = views::sites(&sites, "preview", view);
    for (view, missing) in views.as_array_mut().into_iter().flatten().zip(&missing) {
        view["missing_terms"] = json!(missing);
    }
    let view = json!({
        "study": study.id().to_string(),
        "digest": Client::study_digest(&study).to_string(),
        "end_date_has_passed": over.is_some(),
        "institutions": views,
    });
    Ok(Report::new(text, view).complete(complete))
}

/// What to look at twice, and whether to ask for coverage: each sentence once.
fn notes(sites: &[AtSite<StudyPreview>]) -> String {
    let answered = sites.iter().filter_map(|s| s.outcome.as_ref().ok());
    let previews = answered.flat_map(|study| study.releases.iter().map(|(_, _, preview)| preview));
    let notes: BTreeSet<_> = previews.flat_map(words::preview_notes).collect();
    let lines = notes.iter().map(|note| wrapped(note, 0) + "\n");
    lines.collect()
}

/// What to say if the last day has passed.
fn over(study: &Study, now: UnixMillis) -> Option<String> {
    let end = &study.terms().end_date;
    (study.expires(now) <= now).then(|| {
        format!("The end_date {end} has passed: no institution takes the study. Set a later one.")
    })
}

/// The terms that the owner requires and the study does not state.
fn missing(
    study: &Study,
    site: &AtSite<StudyPreview>,
    datasets: &[AtSite<Vec<Dataset>>],
) -> Vec<&'static str> {
    let there = datasets.iter().find(|d| d.institution == site.institution);
    let datasets = there.and_then(|d| d.outcome.as_ref().ok());
    let dataset = datasets.and_then(|d| d.iter().find(|d| d.name == *study.dataset()));
    let missing = dataset.map(|d| study.terms().missing(&d.required_terms));
    let missing = missing.unwrap_or_default();
    missing.into_iter().map(|term| term.as_str()).collect()
}

/// One sentence for all institutions that require the same terms.
fn required(sites: &[AtSite<StudyPreview>], missing: &[Vec<&str>]) -> String {
    let mut groups = BTreeMap::<&[&str], Vec<&str>>::new();
    for (site, missing) in sites.iter().zip(missing).filter(|(_, m)| !m.is_empty()) {
        groups
            .entry(missing)
            .or_default()
            .push(site.name().as_str());
    }
    let sentence = |(missing, names): (&[&str], Vec<&str>)| {
        let (missing, names) = (missing.join(", "), names.join(", "));
        let text = format!(
            "Fill in under [terms] of the study file: {missing}. The owners of {names} require it."
        );
        wrapped(&text, 0) + "\n"
    };
    groups.into_iter().map(sentence).collect()
}

/// What is asked for, in words, and how precise the combined answer would be.
fn releases(study: &Study, sites: &[AtSite<StudyPreview>]) -> String {
    let mut text = String::new();
    for release in study.releases() {
        let previews: Vec<_> = sites.iter().filter_map(|s| preview(s, release)).collect();
        let Some(first) = previews.first() else {
            continue;
        };
        let times = words::times(u64::from(release.times));
        let options = words::options(&release.options);
        let said = format!("{}, {times}: {} {options}", release.name, first.words);
        text.push_str(&wrapped(&said, 2));
        text.push('\n');
        let margins = combined_margins(&previews, rows(release));
        let margins: Vec<_> = margins.iter().map(words::margin).collect();
        if !margins.is_empty() {
            let whose = match previews.len() {
                1 => "Margins, 95 in 100".to_owned(),
                sites => format!("All {sites} together"),
            };
            let said = format!("{whose}: {}.", margins.join("; "));
            text.push_str(&wrapped(&said, 4));
            text.push('\n');
        }
    }
    text
}

fn preview<'a>(site: &'a AtSite<StudyPreview>, release: &StudyRelease) -> Option<&'a Preview> {
    let study = site.outcome.as_ref().ok()?;
    let mut releases = study.releases.iter();
    let found = releases.find(|(name, _, _)| *name == release.name);
    found.map(|(_, _, preview)| preview)
}

/// How many rows at one institution the margins of averages suppose.
fn rows(release: &StudyRelease) -> u64 {
    match release.accuracy.for_whole() {
        Some(Accuracy::Within {
            rows: Some(rows), ..
        }) => rows,
        Some(_) | None => SUPPOSED_ROWS,
    }
}

fn row(site: &AtSite<StudyPreview>, details: bool) -> Vec<String> {
    let mut row = vec![site.name().to_string()];
    match &site.outcome {
        Err(error) => row.push(error.reason()),
        Ok(preview) => {
            let takes = preview.takes().map(|t| t.sentence());
            let mut text = takes.unwrap_or_else(|| "no limit is set yet".to_owned());
            if let Some(refusal) = preview.refusal() {
                let name = preview.refused_release().map_or("", |name| name.as_str());
                text.push_str(&format!("; release {name} would be refused now: {refusal}"));
            }
            row.push(text);
            if details {
                let price = preview.price.map(|p| format!("rho {p}"));
                row.push(price.unwrap_or_default());
            }
        }
    }
    row
}

fn view(preview: &StudyPreview) -> Value {
    let takes = preview
        .takes()
        .map(|t| json!({ "percent_of_limit": t.percent, "fit": t.fit }));
    let releases = preview.releases.iter().map(|(name, times, p)| {
        json!({ "name": name.as_str(), "times": times, "preview": views::preview(p, SUPPOSED_ROWS) })
    });
    json!({
        "adds_nano_rho": preview.price.map(|p| p.nano()),
        "takes": takes,
        "refusal": preview.refusal(),
        "releases": releases.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use obscura_client::model::answer::{Output, OutputKind, Shape, VectorShape};
    use obscura_client::model::exposure::Rho;
    use obscura_client::model::ids::{KeyId, PartyName, StudyId};
    use obscura_client::model::study::{Institution, Terms};
    use obscura_client::{Draft, Share};

    fn vector(grouped: bool) -> VectorShape {
        VectorShape {
            what: "people".to_owned(),
            step_exponent: 0,
            clip_squared: 1,
            sigma: 30,
            parts: 1,
            grouped,
        }
    }

    fn preview(refusal: Option<&str>) -> Preview {
        let output = |name: &str, kind| Output {
            name: name.to_owned(),
            unit: "person".to_owned(),
            kind,
        };
        Preview {
            shape: Shape {
                keys: Vec::new(),
                vectors: vec![vector(true), vector(false)],
                outputs: vec![
                    output("n", OutputKind::Subjects { vector: 0 }),
                    output("coverage", OutputKind::Subjects { vector: 1 }),
                ],
                arrange: Default::default(),
                disclosure: Default::default(),
            },
            price: Rho::from_nano(10),
            epsilon: None,
            canonical_sql: String::new(),
            words: "Counts people.".to_owned(),
            slot: Default::default(),
            accounts: Vec::new(),
            share: Share {
                limit: None,
                used: Rho::ZERO,
            },
            refusal: refusal.map(str::to_owned),
            warnings: Vec::new(),
            dataset_version: 1,
            size: Default::default(),
        }
    }

    #[test]
    fn one_institution_alone_has_margins_too_and_a_refusal_names_its_release() {
        let basel = Institution {
            name: PartyName::new("basel").unwrap(),
            key: KeyId::new([1; 32]),
        };
        let within = Accuracy::Within {
            margin: 60.0,
            rows: None,
        };
        let sql = "SELECT COUNT(DISTINCT person) AS n FROM visits";
        let study = Draft::new(StudyId::from_parts(1, [1; 10]), "What?", "visits")
            .project("p")
            .purpose("Why.")
            .release("one", sql, within)
            .release("two", sql, within)
            .ask(std::slice::from_ref(&basel))
            .unwrap();
        let names = [("one", None), ("two", Some("no room"))];
        let previews = names.map(|(name, refusal)| {
            let name = obscura_client::model::ids::ReleaseName::new(name).unwrap();
            (name, 1, preview(refusal))
        });
        let site = AtSite {
            institution: basel,
            outcome: Ok(StudyPreview::new(previews.to_vec())),
        };
        let said = releases(&study, std::slice::from_ref(&site));
        // Words go on in the next line.
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        let margins = "Margins, 95 in 100: n (person) ± 59 (standard error 30); \
                       coverage (person) ± 59 (standard error 30).";
        assert_eq!(said.matches(margins).count(), 2, "{said}");
        assert!(said.contains("one, once: Counts people."), "{said}");
        let row = row(&site, false).join(" ");
        assert!(
            row.ends_with("release two would be refused now: no room"),
            "{row}"
        );
    }

    #[test]
    fn a_study_whose_last_day_has_passed_is_called_that() {
        let basel = Institution {
            name: PartyName::new("basel").unwrap(),
            key: KeyId::new([1; 32]),
        };
        let terms = Terms {
            end_date: "2027-01-31".to_owned(),
            ..Terms::default()
        };
        let within = Accuracy::Within {
            margin: 25.0,
            rows: None,
        };
        let study = Draft::new(StudyId::from_parts(1, [1; 10]), "What?", "visits")
            .project("p")
            .purpose("Why.")
            .terms(terms)
            .release("rows", "SELECT COUNT(*) AS n FROM visits", within)
            .ask(&[basel])
            .unwrap();
        let end = UnixMillis::end_of_day("2027-01-31").unwrap();
        assert!(over(&study, UnixMillis(end.0 - 1)).is_none());
        assert!(over(&study, end).unwrap().contains("2027-01-31"));
    }
}
