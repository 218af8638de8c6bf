//! `obscura project` and `obscura grants`: with whom one works, and what one may ask at once.

use anyhow::bail;
use clap::Subcommand;
use obscura_client::model::exposure::DeltaCharge;
use obscura_client::model::ids::{GrantId, KeyId, ProjectName};
use obscura_client::{AtSite, Grant, GrantState, Project as There};
use serde_json::{Value, json};

use crate::output::tables::{pairs, table, wrapped};
use crate::output::{Report, progress, views, words};
use crate::session::Session;

#[derive(Debug, Subcommand)]
pub(crate) enum Project {
    /// List your projects at every institution: who is in them, and their share.
    List,
    /// Ask every institution to let you join a project; each owner confirms you once.
    Join {
        /// The project's name.
        name: ProjectName,
    },
}

pub(crate) async fn run(session: &Session, command: Project) -> anyhow::Result<Report> {
    let client = session.client().await?;
    let me = client.me().key;
    match command {
        Project::List => {
            let sites = progress("asking every institution", client.projects()).await;
            let mut rows = Vec::new();
            for site in &sites {
                match &site.outcome {
                    Err(error) => rows.push(vec![site.name().to_string(), error.reason()]),
                    Ok(projects) => rows.extend(projects.iter().map(|project| {
                        let mut row = vec![site.name().to_string()];
                        row.extend(line(project, &me, session.details));
                        row
                    })),
                }
            }
            if sites.is_empty() {
                bail!("there is no institution in the directory: ask the gateway's operator");
            }
            let header = ["Institution", "Project", "You", "Members", "Share of it"];
            let list = |projects: &Vec<There>| projects.iter().map(view).collect();
            let view = json!({ "institutions": views::sites(&sites, "projects", list) });
            Ok(Report::new(table(&header, rows, &[]), view))
        }
        Project::Join { name } => {
            let sites = progress("asking every institution", client.join_project(&name)).await;
            Ok(joined(&name, &me, &sites))
        }
    }
}

fn joined(name: &ProjectName, me: &KeyId, sites: &[AtSite<There>]) -> Report {
    let row = |site: &AtSite<There>| {
        let outcome = match &site.outcome {
            Ok(project) => standing(project, me).to_owned(),
            Err(error) => error.reason(),
        };
        vec![site.name().to_string(), outcome]
    };
    let rows = sites.iter().map(row).collect();
    let text = format!(
        "Project {name}\n{}{}\n",
        table(&["Institution", "You"], rows, &[]),
        wrapped(
            "Each owner confirms you once. From then on you see the project's studies there and \
             may run what was approved for it.",
            0
        )
    );
    let view = json!({
        "project": name.as_str(),
        "institutions": views::sites(sites, "project", view),
    });
    let complete = sites.iter().all(|s| s.outcome.is_ok());
    Report::new(text, view).complete(complete)
}

/// How the person with this key stands in a project.
fn standing(project: &There, me: &KeyId) -> &'static str {
    match project.members.iter().find(|m| m.key == *me) {
        Some(member) if member.confirmed => "member",
        Some(_) => "waiting for the owner",
        None => "not a member",
    }
}

/// Name, own standing, members, share.
fn line(project: &There, me: &KeyId, details: bool) -> Vec<String> {
    let confirmed = project.members.iter().filter(|m| m.confirmed);
    let names: Vec<_> = confirmed.map(|m| m.name.as_str()).collect();
    let share = match standing(project, me) {
        "member" => words::project_share(&project.share, details),
        _ => String::new(),
    };
    vec![
        project.name.to_string(),
        standing(project, me).to_owned(),
        names.join(", "),
        share,
    ]
}

/// A project for programs.
pub(crate) fn view(project: &There) -> Value {
    let member = |m: &obscura_client::Member| {
        json!({
            "key": m.key.to_string(),
            "name": m.name,
            "confirmed": m.confirmed,
        })
    };
    json!({
        "name": project.name.as_str(),
        "members": project.members.iter().map(member).collect::<Vec<_>>(),
        "share": views::share(&project.share),
    })
}

pub(crate) async fn grants(session: &Session) -> anyhow::Result<Report> {
    let client = session.client().await?;
    let sites = progress("asking every institution", client.grants()).await;
    let mut given = Vec::new();
    for site in &sites {
        let name = site.name().as_str();
        match &site.outcome {
            Err(error) => given.push(wrapped(&format!("{name}: {}", error.reason()), 0) + "\n"),
            Ok(grants) => given.extend(grants.iter().map(|g| one_of(name, g, session.details))),
        }
    }
    let view = json!({ "institutions": views::sites(&sites, "grants", |grants| {
        grants.iter().map(grant_view).collect()
    }) });
    if given.is_empty() {
        let text = "No institution gave you a standing grant.\n".to_owned();
        return Ok(Report::new(text, view));
    }
    let ask = "Ask with `obscura release ask`: it is answered at once and adds to exposure like any \
               release.";
    let text = format!("{}\n{}\n", given.join("\n"), wrapped(ask, 0));
    Ok(Report::new(text, view))
}

/// A grant among several, under the name of whoever gave it or has it. No table: names, columns and
/// an id stand in one piece in every terminal.
pub(crate) fn one_of(name: &str, grant: &Grant, details: bool) -> String {
    let facts = pairs(&grant_facts(grant, details));
    let lines = facts.lines().map(|line| format!("  {line}\n"));
    format!("{name}\n{}", lines.collect::<String>())
}

/// What a grant is, by name.
pub(crate) fn grant_facts(grant: &Grant, details: bool) -> Vec<(&'static str, String)> {
    let (releases, rho) = grant.allows();
    let percent = words::percent(grant.taken, grant.most);
    let plural = if grant.begun == 1 { "" } else { "s" };
    let mut made = format!("{} release{plural}, {percent} % of its total", grant.begun);
    let mut allows = match grant.state {
        GrantState::InForce => format!("{releases} more until {}", grant.expires.date()),
        _ => "nothing more".to_owned(),
    };
    if grant.keys != DeltaCharge::ZERO {
        let (taken, most) = (grant.keys_taken.get(), grant.keys.get());
        made.push_str(&format!("; keys not declared: {taken:e} of {most:e}"));
    }
    if details {
        made.push_str(&format!(" (rho {} of {})", grant.taken, grant.most));
        allows.push_str(&format!(" (rho {rho})"));
    }
    vec![
        ("Grant", grant.id.to_string()),
        ("State", grant.state.in_words().to_owned()),
        ("Dataset", grant.dataset.to_string()),
        ("Columns", grant.columns.join(", ")),
        ("Made", made),
        ("Allows", allows),
    ]
}

/// A grant for programs.
pub(crate) fn grant_view(grant: &Grant) -> Value {
    let (releases, rho) = grant.allows();
    let id: GrantId = grant.id;
    json!({
        "grant": id.to_string(),
        "project": grant.project.as_str(),
        "scientist": grant.scientist_name,
        "dataset": grant.dataset.as_str(),
        "columns": grant.columns,
        "state": grant.state.in_words(),
        "reason": grant.reason,
        "most_nano_rho": grant.most.nano(),
        "taken_nano_rho": grant.taken.nano(),
        "allows_nano_rho": rho.nano(),
        "delta_keys": grant.keys.get(),
        "delta_keys_taken": grant.keys_taken.get(),
        "releases": grant.releases,
        "begun": grant.begun,
        "allows_releases": releases,
        "expires_unix_ms": grant.expires.0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use obscura_client::model::exposure::Rho;
    use obscura_client::model::ids::UnixMillis;

    fn grant() -> Grant {
        Grant {
            id: GrantId::from_parts(1, [1; 10]),
            project: ProjectName::new("p").unwrap(),
            scientist: KeyId::new([1; 32]),
            scientist_name: "ada".to_owned(),
            dataset: "visits".parse().unwrap(),
            columns: vec!["age".to_owned()],
            most: Rho::from_nano(100),
            taken: Rho::from_nano(1),
            keys: DeltaCharge::ZERO,
            keys_taken: DeltaCharge::ZERO,
            releases: 500,
            begun: 1,
            expires: UnixMillis(0),
            reason: String::new(),
            state: GrantState::InForce,
        }
    }

    #[test]
    fn names_and_ids_of_grants_stay_whole_and_lines_fit_a_hundred_columns() {
        let mut grant = grant();
        grant.dataset = "national-register-of-hospital-stays".parse().unwrap();
        let column = |i: usize| format!("a_column_with_a_rather_long_name_{i}");
        grant.columns = (0..9).map(column).collect();
        for details in [false, true] {
            let text = one_of("university-hospital-of-the-north", &grant, details);
            assert!(text.lines().all(|l| l.chars().count() <= 100), "{text}");
            let words: Vec<_> = text
                .split_whitespace()
                .map(|w| w.trim_matches(','))
                .collect();
            let named = grant.columns.iter().map(String::as_str);
            let id = grant.id.to_string();
            for whole in named.chain([grant.dataset.as_str(), id.as_str()]) {
                assert!(words.contains(&whole), "{whole}\n{text}");
            }
            assert!(text.starts_with("university-hospital-of-the-north\n  Grant "));
        }
    }

    #[test]
    fn a_grant_that_was_taken_back_allows_nothing_more() {
        let mut grant = grant();
        let allows = |grant: &Grant| grant_facts(grant, false)[5].1.clone();
        assert!(allows(&grant).starts_with("499 more until"));
        grant.state = GrantState::Revoked;
        assert_eq!(allows(&grant), "nothing more");
        assert_eq!(grant.allows(), (0, Rho::ZERO));
        assert_eq!(grant_view(&grant)["allows_releases"], 0);
    }
}
