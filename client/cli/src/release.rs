//! `obscura release` and `obscura combine`.

mod ask;
mod notes;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use obscura_client::model::exposure::Rho;
use obscura_client::model::ids::{PartyName, ReleaseName};
use obscura_client::model::study::{Study, StudyRelease};
use obscura_client::{
    AtSite, Client, CombinedAnswer, NotIncluded, VerifiedRelease, again_label, combine as add_up,
    export, run_label,
};
use serde_json::{Value, json};

use crate::output::tables::{table, wrapped};
use crate::output::{Report, answers, progress, words};
use crate::session::Session;
use crate::study;
use notes::Notes;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Release {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    fetch: Option<Fetch>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Ask one question at once, under a standing grant.
    Ask(ask::Ask),
}

#[derive(Debug, Args)]
pub(crate) struct Fetch {
    /// The study file.
    study: PathBuf,
    /// Only this release; otherwise all of the study.
    #[arg(long, value_name = "NAME")]
    release: Option<ReleaseName>,
    /// The folder for the signed files.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Which of the runs that the study asks for (`times`): the same run again is the same answer.
    /// Without it, the first.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    run: Option<u32>,
    /// Make new releases, even if you have the answers to these very questions already; each is one
    /// of the runs that were approved.
    #[arg(long, conflicts_with = "run")]
    again: bool,
}

impl Fetch {
    fn run(&self) -> u32 {
        self.run.unwrap_or(1)
    }

    /// What the files and the answer of a release are called: no other run has its name.
    fn label(&self, name: &ReleaseName) -> ReleaseName {
        if self.again {
            again_label(name)
        } else {
            run_label(name, self.run())
        }
    }

    /// The releases that are wanted.
    fn wanted(&self, study: &Study) -> anyhow::Result<Vec<ReleaseName>> {
        let named = |r: &&StudyRelease| self.release.as_ref().is_none_or(|name| r.name == *name);
        let releases: Vec<_> = study.releases().iter().filter(named).collect();
        if releases.is_empty() {
            let names: Vec<_> = study.releases().iter().map(|r| r.name.as_str()).collect();
            let name = self.release.as_ref().map(ReleaseName::as_str);
            bail!(
                "the study asks for no release called '{}'; it asks for {}",
                name.unwrap_or_default(),
                names.join(", ")
            );
        }
        let most = releases.iter().map(|r| r.times).max().unwrap_or_default();
        if self.run() > most {
            bail!(
                "the study asks for this {} only (`times`), so there is no run {}",
                words::times(most.into()),
                self.run()
            );
        }
        let so_often = releases.into_iter().filter(|r| r.times >= self.run());
        Ok(so_often.map(|r| r.name.clone()).collect())
    }

    /// How to go on: the next run of what may run more often, or combine.
    fn next(&self, study: &Study, wanted: &[ReleaseName]) -> String {
        let times = wanted.iter().filter_map(|n| Some(study.release(n)?.times));
        let most = times.max().unwrap_or(1);
        let out = self.out.display();
        let mut text = format!("Next: obscura combine {out}\n");
        if self.run() < most && !self.again {
            text.push_str(&format!(
                "The study asks for up to {most} runs; the next adds again: \
                 obscura release {} --run {} --out {out}\n",
                self.study.display(),
                self.run() + 1
            ));
        }
        text
    }
}

pub(crate) async fn run(session: &Session, args: Release) -> anyhow::Result<Report> {
    match (args.command, args.fetch) {
        (Some(Command::Ask(ask)), _) => ask::run(session, ask).await,
        (None, Some(fetch)) => self::fetch(session, fetch).await,
        (None, None) => bail!("name a study file, or ask: see `obscura release --help`"),
    }
}

#[derive(Debug, Args)]
pub(crate) struct Combine {
    /// The folder that `obscura release` wrote, or single .release files.
    #[arg(required = true)]
    from: Vec<PathBuf>,
    /// Only this release.
    #[arg(long, value_name = "NAME")]
    release: Option<ReleaseName>,
    /// The folder for CSV, JSON and SVG; otherwise beside the release files.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The certificate of the consortium's authority (PEM); otherwise the profile's.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

async fn fetch(session: &Session, args: Fetch) -> anyhow::Result<Report> {
    let (client, study) = study::open(session, &args.study).await?;
    let wanted = args.wanted(&study)?;
    fs::create_dir_all(&args.out).with_context(|| format!("cannot make {}", args.out.display()))?;
    let limits = progress("asking for limits", notes::limits(&client, &study)).await;
    let (mut rows, mut documents) = (Vec::new(), Vec::new());
    let (mut all, mut files, mut added) = (true, 0, false);
    for name in &wanted {
        let fetched = async {
            if args.again {
                client.releases_again(&study, name).await
            } else {
                client.run_everywhere(&study, name, args.run()).await
            }
        };
        let sites = progress("waiting for releases", fetched).await;
        let name = args.label(name);
        let mut notes = Notes::new(&study, &name, &limits);
        for site in sites {
            let (name, out) = (&name, args.out.as_path());
            let site = explained(&client, &study, site).await;
            let (row, document) = keep(site, name, out, &limits, &mut notes)?;
            match document.get("file") {
                Some(_) => files += 1,
                None => all = false,
            }
            added |= document["added_nano_rho"]
                .as_u64()
                .is_some_and(|nano| nano > 0);
            rows.push(row);
            documents.push(document);
        }
        notes.save(&args.out)?;
    }
    let out = args.out.display();
    let header = ["Release", "Institution", "Outcome", "Added"];
    let table = table(&header, rows, &[]);
    let text = if files > 0 {
        let said = if added {
            words::PERMANENT
        } else {
            words::NOTHING_ADDED
        };
        let said = wrapped(said, 0);
        let next = args.next(&study, &wanted);
        let kept = match files {
            1 => "1 signed file is".to_owned(),
            n => format!("{n} signed files are"),
        };
        format!(
            "{}\n{table}{kept} in {out}.\n{said}\n{next}",
            words::RELEASED,
        )
    } else {
        format!("{table}Nothing was released.\n")
    };
    let view = json!({ "study": study.id().to_string(), "releases": documents });
    Ok(Report::new(text, view).complete(all))
}

/// A site's release, or why there is none, with the error's code.
type Explained = (
    PartyName,
    Result<VerifiedRelease, (NotIncluded, &'static str)>,
);

async fn explained(client: &Client, study: &Study, site: AtSite<VerifiedRelease>) -> Explained {
    let name = site.institution.name;
    let outcome = match site.outcome {
        Ok(release) => Ok(release),
        Err(error) => Err((
            client.not_included(study, &name, &error).await,
            error.code(),
        )),
    };
    (name, outcome)
}

/// Stores one site's release, or notes why there is none.
fn keep(
    site: Explained,
    name: &ReleaseName,
    folder: &Path,
    limits: &notes::Limits,
    notes: &mut Notes,
) -> anyhow::Result<(Vec<String>, Value)> {
    let (node, outcome) = site;
    let mut row = vec![name.to_string(), node.to_string()];
    let document = match outcome {
        Ok(release) => {
            let kept = release.is_kept_in(folder);
            let file = release
                .save(folder)
                .with_context(|| format!("cannot keep {}", release.file_name()))?;
            let mut added = release.release().price;
            if kept {
                added = Rho::ZERO;
                row.push("the same answer as is there already".to_owned());
                row.push("nothing".to_owned());
            } else if release.is_earlier() {
                added = Rho::ZERO;
                row.push(words::earlier(release.release().committed));
                row.push("nothing".to_owned());
            } else {
                row.push("released; its signature holds".to_owned());
                row.push(words::added(added, limits.get(&node).copied(), false));
            }
            json!({ "release": name.as_str(), "institution": node.as_str(), "file": file,
                    "earlier": release.is_earlier(), "kept_before": kept,
                    "added_nano_rho": added.nano() })
        }
        Err((missing, code)) => {
            row.push(missing.reason.clone());
            notes.missing(&missing);
            json!({ "release": name.as_str(), "institution": node.as_str(),
                    "error": { "code": code, "message": missing.reason } })
        }
    };
    Ok((row, document))
}

pub(crate) fn combine(session: &Session, args: &Combine) -> anyhow::Result<Report> {
    let ca = match &args.ca {
        Some(path) => {
            fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?
        }
        None => {
            let needed = "combining needs the authority's certificate: name it with --ca, or \
                          choose a profile";
            session.profile().context(needed)?.ca().to_owned()
        }
    };
    let mut groups: BTreeMap<ReleaseName, Vec<VerifiedRelease>> = BTreeMap::new();
    for path in files(&args.from)? {
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let release =
            VerifiedRelease::from_file(&text, &ca).with_context(|| path.display().to_string())?;
        let name = release.label().clone();
        if args.release.as_ref().is_none_or(|wanted| *wanted == name) {
            groups.entry(name).or_default().push(release);
        }
    }
    if groups.is_empty() {
        bail!("there is no release file to combine: fetch some with `obscura release`");
    }
    let beside = notes::folders(&args.from);
    let first = || beside.first().cloned().unwrap_or_default();
    let out = args.out.clone().unwrap_or_else(first);
    fs::create_dir_all(&out).with_context(|| format!("cannot make {}", out.display()))?;
    let (mut text, mut documents) = (String::new(), Vec::new());
    for (name, releases) in groups {
        let notes = Notes::of(&beside, &name)?;
        let answer = add_up(&releases).with_context(|| format!("release {name}"))?;
        let answer = match &notes {
            Some(notes) if notes.is_about(&answer) => answer.without(notes.not_included()),
            Some(_) | None => answer,
        };
        let limits = notes.as_ref().map(Notes::limits).unwrap_or_default();
        let written = write(&answer, &title(notes.as_ref(), &answer), &out)?;
        text.push_str(&answers::whole(&answer, &limits, session.details));
        text.push_str(&format!("\nThe same numbers: {}\n\n", written.join(", ")));
        documents.push(json!({ "answer": export::json(&answer), "files": written }));
    }
    text.truncate(text.trim_end().len());
    Ok(Report::new(text, json!({ "combined": documents })))
}

fn title(notes: Option<&Notes>, answer: &CombinedAnswer) -> String {
    match notes.and_then(Notes::title) {
        Some(title) => format!("{title}: {}", answer.release),
        None => answer.release.to_string(),
    }
}

/// Writes CSV, JSON and SVG of one answer; gives their names.
fn write(answer: &CombinedAnswer, title: &str, folder: &Path) -> anyhow::Result<Vec<String>> {
    let json = format!("{:#}\n", export::json(answer));
    let texts = [
        ("csv", export::csv(answer)),
        ("json", json),
        ("svg", export::svg(answer, title)),
    ];
    let mut written = Vec::new();
    for (kind, text) in texts {
        let path = folder.join(format!("{}.{kind}", answer.release));
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        written.push(path.display().to_string());
    }
    Ok(written)
}

/// The release files among the paths and in the folders among them, by name.
fn files(from: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in from {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let entries =
            fs::read_dir(path).with_context(|| format!("cannot read {}", path.display()))?;
        for entry in entries {
            let path = entry?.path();
            if path.extension().is_some_and(|e| e == "release") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}
