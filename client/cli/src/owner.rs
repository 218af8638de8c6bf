//! `obscura owner`: describe data, set limits, decide. Directly at one's own node.

mod dataset;
mod decide;
mod grants;
mod limit;
mod projects;
mod subjects;
mod watch;

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use obscura_client::model::exposure::Mode;
use obscura_client::model::ids::{DatasetName, PartyName, PopulationName, StudyId};

pub(crate) use decide::in_words as review_in_words;

use crate::output::Report;
use crate::session::Session;

#[derive(Debug, Subcommand)]
pub(crate) enum Owner {
    /// Register a dataset, or look at one.
    #[command(subcommand)]
    Dataset(Dataset),
    /// Set a limit for a population, a dataset, or a scientist's share of it.
    Limit(Limit),
    /// Let your node accept a scientist.
    Enrol {
        /// The scientist's certificate (PEM).
        certificate: PathBuf,
    },
    /// List the studies that were sent to you.
    Requests,
    /// Read what a study asks for, in words, and what it would add.
    Review {
        /// The study's id.
        study: StudyId,
    },
    /// Approve a study; shows first what it would add.
    Approve(Approve),
    /// Decline a study.
    Decline {
        /// The study's id.
        study: StudyId,
        /// Why; without facts from the data.
        #[arg(long)]
        reason: String,
    },
    /// Ask the scientist for another form of a study.
    AskForChanges {
        /// The study's id.
        study: StudyId,
        /// Which changes; without facts from the data.
        #[arg(long)]
        reason: String,
    },
    /// Take an approval back. What was released stays released.
    Revoke {
        /// The study's id.
        study: StudyId,
        /// Why; without facts from the data.
        #[arg(long)]
        reason: String,
    },
    /// See projects, confirm and remove members, set a project's share.
    #[command(subcommand)]
    Project(projects::Project),
    /// Let scientists ask without a study, within a standing grant.
    #[command(subcommand)]
    Grant(grants::Grant),
    /// Leave people out, erase them, or let them in again.
    #[command(subcommand)]
    Subjects(subjects::Subjects),
    /// Give people new ids, or make two populations one.
    #[command(subcommand)]
    Population(subjects::Population),
    /// See limits, meters and scientists' shares.
    Exposure,
    /// Read the journal in words.
    Log {
        /// Start at this position.
        #[arg(long, default_value_t = 0)]
        from: u64,
        /// At most this many records.
        #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
        most: u32,
    },
    /// Let a population answer again that was stopped after failed runs. Signed and public.
    Lift {
        /// The population.
        population: PopulationName,
        /// Why.
        #[arg(long)]
        reason: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Dataset {
    /// Register the dataset that a description file describes; its files are in the node's
    /// import folder.
    Add {
        /// The description file.
        description: PathBuf,
        /// A file with the ids of people who opted out, one a line: they are left out before the
        /// rows are read.
        #[arg(long, value_name = "FILE")]
        opt_out: Option<PathBuf>,
        /// I sign that nobody is in this dataset's population and in another one of this node.
        #[arg(long)]
        apart: bool,
    },
    /// Look at a dataset.
    Show {
        /// Its name; without one, all.
        name: Option<DatasetName>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Limit {
    /// The dataset whose population's limit is set.
    dataset: DatasetName,
    /// How much: there is no default, try some with --rehearse.
    #[arg(long, allow_negative_numbers = true)]
    epsilon: f64,
    /// The failure probability, below one in the number of people; needed for the first limit.
    #[arg(long)]
    delta: Option<f64>,
    /// The delta that releases with keys that are not declared may take altogether, besides
    /// --delta: both together must be below one in the number of people. Otherwise what is in
    /// force; none for the first limit.
    #[arg(long, conflicts_with_all = ["scientist", "everyone"])]
    delta_keys: Option<f64>,
    /// A tighter limit for this dataset's own releases.
    #[arg(long)]
    dataset_only: bool,
    /// What happens near the limit; otherwise the mode in force, and protect for the first limit.
    #[arg(long, value_enum, conflicts_with_all = ["scientist", "everyone"])]
    mode: Option<ModeWord>,
    /// Set the share of this scientist instead.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["everyone", "dataset_only"])]
    scientist: Option<PartyName>,
    /// Set the share of every scientist who has none of their own instead.
    #[arg(long, conflicts_with = "dataset_only")]
    everyone: bool,
    /// Why: it is signed and kept.
    #[arg(long, required_unless_present = "rehearse")]
    reason: Option<String>,
    /// Only show what the limit would mean; nothing is set.
    #[arg(long)]
    rehearse: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum ModeWord {
    /// Whoever has reached the limit no longer contributes.
    Protect,
    /// A release that does not fit for everybody is refused.
    Strict,
}

impl From<ModeWord> for Mode {
    fn from(word: ModeWord) -> Mode {
        match word {
            ModeWord::Protect => Mode::Protect,
            ModeWord::Strict => Mode::Strict,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Approve {
    /// The study's id.
    study: StudyId,
    /// A remark that is kept with the decision.
    #[arg(long, default_value = "")]
    reason: String,
    /// Do not ask again.
    #[arg(long)]
    yes: bool,
}

pub(crate) async fn run(session: &Session, command: Owner) -> anyhow::Result<Report> {
    match command {
        Owner::Dataset(Dataset::Add {
            description,
            opt_out,
            apart,
        }) => dataset::add(session, &description, opt_out.as_deref(), apart).await,
        Owner::Dataset(Dataset::Show { name }) => dataset::show(session, name).await,
        Owner::Limit(args) => limit::run(session, args).await,
        Owner::Enrol { certificate } => dataset::enrol(session, &certificate).await,
        Owner::Requests => decide::requests(session).await,
        Owner::Review { study } => decide::review(session, study).await,
        Owner::Approve(args) => decide::approve(session, args).await,
        Owner::Decline { study, reason } => decide::decline(session, study, &reason).await,
        Owner::AskForChanges { study, reason } => {
            decide::ask_for_changes(session, study, &reason).await
        }
        Owner::Revoke { study, reason } => decide::revoke(session, study, &reason).await,
        Owner::Project(command) => projects::run(session, command).await,
        Owner::Grant(command) => grants::run(session, command).await,
        Owner::Subjects(command) => subjects::run(session, command).await,
        Owner::Population(command) => subjects::population(session, command).await,
        Owner::Exposure => watch::exposure(session).await,
        Owner::Log { from, most } => watch::log(session, from, most).await,
        Owner::Lift { population, reason } => watch::lift(session, &population, &reason).await,
    }
}
