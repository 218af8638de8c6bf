//! Data subjects who leave, come back or get new ids, at one's own node. Ids come from files and
//! are never printed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use obscura_client::model::exposure::{Delta, Mode};
use obscura_client::model::ids::{DatasetName, PopulationName};
use obscura_client::{Marking, Merging, Rekeying, SubjectIds, SubjectMark};
use serde_json::json;

use super::ModeWord;
use crate::output::tables::wrapped;
use crate::output::{Report, progress, views};
use crate::session::Session;

#[derive(Debug, Subcommand)]
pub(crate) enum Subjects {
    /// Leave people out of every release from now on, until they are readmitted.
    Exclude(Who),
    /// Leave people out until they are readmitted; their rows go with the next version.
    Erase(Who),
    /// Let people in again who were excluded or erased, with the exposure of before.
    Readmit(Who),
}

#[derive(Debug, Args)]
pub(crate) struct Who {
    /// A dataset of the population that is meant; need not be said if the node has one population.
    #[arg(long)]
    dataset: Option<DatasetName>,
    /// A file with their ids as they stand in the data, one a line.
    #[arg(long, value_name = "FILE")]
    ids: PathBuf,
    /// Why, such as "requests of March"; without facts about single people.
    #[arg(long)]
    reason: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Population {
    /// Give the people of a population new ids: they keep their exposure.
    Rekey {
        /// The population.
        population: PopulationName,
        /// A file with two columns, old and new id, separated by a comma; no heading.
        #[arg(long, value_name = "FILE")]
        map: PathBuf,
        /// Why: it is signed and kept.
        #[arg(long)]
        reason: String,
    },
    /// Make two populations one, under a new promise: exposures add.
    Merge {
        /// The population that stays.
        #[arg(long, value_name = "POPULATION")]
        keep: PopulationName,
        /// The population that goes into it.
        #[arg(long, value_name = "POPULATION")]
        gone: PopulationName,
        /// A file with the ids of everybody in the one that goes, one a line.
        #[arg(long, value_name = "FILE")]
        ids: PathBuf,
        /// The limit of both together: at least each of theirs.
        #[arg(long)]
        epsilon: f64,
        /// The failure probability: at least each of theirs.
        #[arg(long)]
        delta: f64,
        /// What happens near the limit.
        #[arg(long, value_enum, default_value = "protect")]
        mode: ModeWord,
        /// Why: it is signed and kept.
        #[arg(long)]
        reason: String,
    },
}

/// Reads ids, one a line.
pub(super) fn ids(file: &Path) -> anyhow::Result<SubjectIds> {
    let name = file.display().to_string();
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {name}"))?;
    let ids = SubjectIds::from_lines(&text);
    if ids.is_empty() {
        bail!("{name} has no id: write one on each line");
    }
    Ok(ids)
}

/// Some dataset of the only population, among datasets with the names of theirs.
fn only_population(datasets: &[(&DatasetName, &str)]) -> anyhow::Result<DatasetName> {
    let populations: BTreeSet<&str> = datasets.iter().map(|(_, p)| *p).collect();
    match (datasets, populations.len()) {
        ([(dataset, _), ..], 1) => Ok((*dataset).clone()),
        ([], _) => bail!("this node has no dataset yet: nobody can be left out of anything"),
        _ => {
            let names: Vec<&str> = datasets.iter().map(|(d, _)| d.as_str()).collect();
            bail!(
                "this node has several populations: say whose people these are with --dataset, \
                 one of {}",
                names.join(", ")
            )
        }
    }
}

pub(super) async fn run(session: &Session, command: Subjects) -> anyhow::Result<Report> {
    let (mark, who, then) = match command {
        Subjects::Exclude(who) => (
            SubjectMark::Exclude,
            who,
            "They are in no release from now on, in any mode, and no answer shows it. They can be \
             readmitted.",
        ),
        Subjects::Erase(who) => (
            SubjectMark::Erase,
            who,
            "They are in no release from now on, in any mode, and no answer shows it. Their rows \
             go with the next version: register the dataset again on its schedule.",
        ),
        Subjects::Readmit(who) => (
            SubjectMark::Readmit,
            who,
            "They are in releases again, with the exposure they had. Rows that have gone come \
             back with the next version that has them.",
        ),
    };
    let ids = ids(&who.ids)?;
    let owner = session.owner().await?;
    let marking = Marking {
        dataset: match who.dataset {
            Some(dataset) => dataset,
            None => {
                let all = owner.datasets().await?;
                let named = all
                    .iter()
                    .filter_map(|d| Some((&d.name, d.accounts.first()?)));
                let named: Vec<_> = named.map(|(d, a)| (d, a.name.as_str())).collect();
                only_population(&named)?
            }
        },
        mark,
        ids,
        reason: who.reason,
    };
    let asked = marking.ids.len();
    let matched = progress("telling the node", owner.mark_subjects(&marking)).await?;
    let stays = "Stored answers stay: they are noisy and already released. Their exposure and a \
                 keyed hash of their ids stay for as long as the population does.";
    let text = format!(
        "{matched} of {asked} ids are known here. This number comes from your data: it is for you \
         only.\n{}\n{}\n",
        wrapped(then, 0),
        wrapped(stays, 0)
    );
    Ok(Report::new(
        text,
        json!({ "ids": asked, "matched": matched }),
    ))
}

pub(super) async fn population(session: &Session, command: Population) -> anyhow::Result<Report> {
    match command {
        Population::Rekey {
            population,
            map,
            reason,
        } => {
            let pairs = pairs(&map)?;
            let count = pairs.len();
            let rekeying = Rekeying {
                population,
                pairs,
                reason,
            };
            let owner = session.owner().await?;
            let matched = progress("telling the node", owner.rekey(&rekeying)).await?;
            let text = rekeyed(matched, count, rekeying.population.as_str());
            Ok(Report::new(
                wrapped(&text, 0) + "\n",
                json!({ "pairs": count, "matched": matched }),
            ))
        }
        Population::Merge {
            keep,
            gone,
            ids: file,
            epsilon,
            delta,
            mode,
            reason,
        } => {
            let merging = Merging {
                keep,
                gone,
                ids: ids(&file)?,
                epsilon,
                delta: Delta::new(delta)?,
                mode: Mode::from(mode),
                reason,
            };
            let owner = session.owner().await?;
            let account = progress("telling the node", owner.merge(&merging)).await?;
            let text = format!(
                "Population {} has gone into {}. Exposures were added. Register its datasets \
                 again: until then nothing is released from them.\n",
                merging.gone, merging.keep
            );
            let view = json!({ "account": views::account(&account) });
            Ok(Report::new(wrapped(&text, 0) + "\n", view))
        }
    }
}

/// What a map of ids did; how many it met is the owner's alone, and the journal holds the same
/// whatever it is.
fn rekeyed(matched: u64, pairs: usize, population: &str) -> String {
    let then = match matched {
        0 => {
            "nobody has a new id. Each line is the old id, a comma and the new id; are they of \
              this population?"
        }
        _ => "they have the new ids too, and the exposure of before.",
    };
    format!(
        "{matched} of {pairs} old ids are known in population {population}: {then} This number \
         comes from your data: it is for you only."
    )
}

/// Old and new ids; a slip is named by its line, never by its ids.
fn pairs(file: &Path) -> anyhow::Result<Vec<(String, String)>> {
    let name = file.display().to_string();
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {name}"))?;
    let pair = |(number, line): (usize, &str)| {
        let cells = line
            .split_once(',')
            .map(|(old, new)| (old.trim(), new.trim()));
        match cells.filter(|(old, new)| {
            !(old.is_empty() || new.is_empty() || new.contains(',') || line.contains('"'))
        }) {
            Some((old, new)) => Ok((old.to_owned(), new.to_owned())),
            None => bail!("{name}, line {number}: write the old id, a comma and the new id"),
        }
    };
    let lines = (1..).zip(text.lines());
    let pairs: Vec<_> = lines
        .filter(|(_, line)| !line.trim().is_empty())
        .map(pair)
        .collect::<anyhow::Result<_>>()?;
    if pairs.is_empty() {
        bail!("{name} has no pair of ids");
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_of_unknown_ids_is_not_said_to_have_renamed_anybody() {
        let said = rekeyed(0, 1, "people");
        assert!(said.starts_with("0 of 1 old ids are known in population people: nobody has"));
        assert!(rekeyed(1, 1, "people").contains("the exposure of before"));
    }

    #[test]
    fn a_map_is_read_and_a_slip_is_named_by_its_line_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("map.csv");
        fs::write(&path, "p1, q1\n\np2,q2\n").unwrap();
        let read = pairs(&path).unwrap();
        assert_eq!(read[1], ("p2".to_owned(), "q2".to_owned()));
        fs::write(&path, "p1,q1\np2\n").unwrap();
        let error = pairs(&path).unwrap_err().to_string();
        assert!(error.contains("line 2") && !error.contains("p2"), "{error}");
        fs::write(&path, "\n").unwrap();
        assert!(pairs(&path).is_err() && ids(&path).is_err());
    }

    #[test]
    fn a_dataset_has_to_be_named_only_where_there_are_several_populations() {
        let [visits, drugs] = ["visits", "drugs"].map(|name| DatasetName::new(name).unwrap());
        let one = [
            (&visits, "population people"),
            (&drugs, "population people"),
        ];
        assert_eq!(only_population(&one).unwrap(), visits);
        let two = [(&visits, "population people"), (&drugs, "population staff")];
        let said = only_population(&two).unwrap_err().to_string();
        assert!(said.contains("--dataset, one of visits, drugs"), "{said}");
        assert!(only_population(&[]).is_err());
    }
}
