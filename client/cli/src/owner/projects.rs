//! Projects at one's own node.

use anyhow::Context as _;
use clap::Subcommand;
use obscura_client::model::exposure::Delta;
use obscura_client::model::ids::{KeyId, PartyName, ProjectName};
use obscura_client::{OwnerClient, Project as There, ProjectLimit};
use serde_json::json;

use crate::output::tables::{table, wrapped};
use crate::output::{Report, progress, words};
use crate::project::view;
use crate::session::Session;

#[derive(Debug, Subcommand)]
pub(crate) enum Project {
    /// List all projects: who is in them, who asked to be, and their share.
    List,
    /// Let somebody join who asked for it: once for each person.
    Confirm {
        /// The project.
        name: ProjectName,
        /// The person's name.
        person: PartyName,
    },
    /// Take somebody out of a project. What was released stays released, and counted.
    Remove {
        /// The project.
        name: ProjectName,
        /// The person's name.
        person: PartyName,
        /// Why; without facts from the data.
        #[arg(long)]
        reason: String,
    },
    /// Set a project's share: what all its releases together may add.
    Limit {
        /// The project.
        name: ProjectName,
        /// How much.
        #[arg(long)]
        epsilon: f64,
        /// The failure probability; otherwise that of the first limit of the node.
        #[arg(long)]
        delta: Option<f64>,
        /// Why: it is signed and kept.
        #[arg(long)]
        reason: String,
    },
}

pub(super) async fn run(session: &Session, command: Project) -> anyhow::Result<Report> {
    let owner = session.owner().await?;
    match command {
        Project::List => list(session, &owner).await,
        Project::Confirm { name, person } => {
            let key = key_of(&owner, &person).await?;
            let project = owner.confirm_member(&name, key).await?;
            let said = format!("{person} is a member of {name}.\n");
            Ok(Report::new(said, view(&project)))
        }
        Project::Remove {
            name,
            person,
            reason,
        } => {
            let key = key_of(&owner, &person).await?;
            let project = owner.remove_member(&name, key, &reason).await?;
            let said = format!(
                "{person} is no member of {name} any more. What was released stays released, and \
                 counted.\n"
            );
            Ok(Report::new(wrapped(&said, 0) + "\n", view(&project)))
        }
        Project::Limit {
            name,
            epsilon,
            delta,
            reason,
        } => {
            let delta = match delta {
                Some(delta) => Delta::new(delta)?,
                None => usual_delta(&owner).await?,
            };
            let limit = ProjectLimit {
                project: name.clone(),
                epsilon,
                delta,
                reason,
            };
            let project = owner.set_project_limit(&limit).await?;
            let note = "A project's limit is a fair share and a brake. It is no privacy guarantee \
                        by itself; the guarantee is the population's limit.";
            let share = words::project_share(&project.share, session.details);
            let said = format!("Project {name}: {share}.\n{}\n", wrapped(note, 0));
            Ok(Report::new(said, view(&project)))
        }
    }
}

async fn list(session: &Session, owner: &OwnerClient) -> anyhow::Result<Report> {
    let projects = progress("asking", owner.projects()).await?;
    let json = json!({ "projects": projects.iter().map(view).collect::<Vec<_>>() });
    if projects.is_empty() {
        let text = "There is no project yet: the first study that names one opens it.\n";
        return Ok(Report::new(text.to_owned(), json));
    }
    let names = |project: &There, confirmed| {
        let members = project.members.iter().filter(|m| m.confirmed == confirmed);
        let names: Vec<_> = members.map(|m| m.name.as_str()).collect();
        names.join(", ")
    };
    let row = |project: &There| {
        vec![
            project.name.to_string(),
            names(project, true),
            names(project, false),
            words::project_share(&project.share, session.details),
        ]
    };
    let header = ["Project", "Members", "Asked to join", "Share"];
    let mut text = table(&header, projects.iter().map(row).collect(), &[]);
    if projects
        .iter()
        .any(|p| p.members.iter().any(|m| !m.confirmed))
    {
        text.push_str("\nLet somebody join with `obscura owner project confirm`.\n");
    }
    Ok(Report::new(text, json))
}

/// The delta of the first limit of the node.
async fn usual_delta(owner: &OwnerClient) -> anyhow::Result<Delta> {
    let accounts = owner.exposure().await?.accounts;
    let delta = accounts.iter().find_map(|a| a.limit.map(|l| l.delta));
    delta.context("no limit is set yet whose delta could be used: name --delta")
}

/// The key of an enrolled scientist.
pub(super) async fn key_of(owner: &OwnerClient, name: &PartyName) -> anyhow::Result<KeyId> {
    let known = owner.exposure().await?.scientists;
    let found = known.into_iter().find(|s| s.person.name == *name);
    let found = found.with_context(|| {
        format!("no scientist called {name} is enrolled: obscura owner enrol CERTIFICATE")
    })?;
    Ok(found.person.key)
}
