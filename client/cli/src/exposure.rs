//! `obscura exposure`: public limits and meters, and what one's own releases added.

use obscura_client::{Exposure, Source};
use serde_json::{Value, json};

use crate::output::tables::{table, wrapped};
use crate::output::{Report, progress, views, words};
use crate::session::Session;

pub(crate) async fn run(session: &Session) -> anyhow::Result<Report> {
    let client = session.client().await?;
    let sites = progress("asking every institution", client.exposure()).await;
    let mut text = String::new();
    for site in &sites {
        text.push_str(&format!("{}\n", site.name()));
        match &site.outcome {
            Err(error) => text.push_str(&format!("{}\n\n", error.reason())),
            Ok(exposure) => text.push_str(&one(exposure, session.details)),
        }
    }
    let answered = sites.iter().filter_map(|s| s.outcome.as_ref().ok());
    text.push_str(&words::legend(answered.flat_map(|e| &e.accounts)));
    text.push_str(&format!("{}\n", wrapped(words::PERMANENT, 0)));
    let view = json!({ "institutions": views::sites(&sites, "exposure", view) });
    let any = sites.iter().any(|s| s.outcome.is_ok());
    Ok(Report::new(text, view).complete(any))
}

fn one(exposure: &Exposure, details: bool) -> String {
    let accounts = exposure.accounts.iter();
    let accounts = accounts.map(|a| words::account(a, details)).collect();
    let mut text = table(&words::ACCOUNT, accounts, &[]);
    let limit = words::tightest(&exposure.accounts).map(|l| l.rho);
    let rows: Vec<_> = exposure
        .releases
        .iter()
        .map(|r| {
            vec![
                r.committed.to_string(),
                source(&r.source).0,
                source(&r.source).1,
                words::added(r.price, limit, details),
            ]
        })
        .collect();
    if rows.is_empty() {
        text.push_str("You have released nothing here.\n\n");
    } else {
        let header = ["Released", "Study or grant", "Release", "Added"];
        text.push_str(&table(&header, rows, &[]));
        let share = words::share(&exposure.share, details);
        text.push_str(&format!("You, all together: {share}.\n\n"));
    }
    text
}

/// The id of study or grant, and what was released.
fn source(source: &Source) -> (String, String) {
    match source {
        Source::Study { study, release } => (study.to_string(), release.to_string()),
        Source::Grant(grant) => (grant.to_string(), "asked at once".to_owned()),
    }
}

fn view(exposure: &Exposure) -> Value {
    let releases = exposure.releases.iter().map(|r| {
        let (study, grant, name) = match &r.source {
            Source::Study { study, release } => {
                (Some(study.to_string()), None, Some(release.as_str()))
            }
            Source::Grant(grant) => (None, Some(grant.to_string()), None),
        };
        json!({
            "study": study,
            "grant": grant,
            "release": name,
            "added_nano_rho": r.price.nano(),
            "journal_index": r.journal_index,
            "committed_unix_ms": r.committed.0,
        })
    });
    json!({
        "accounts": views::accounts(&exposure.accounts),
        "releases": releases.collect::<Vec<_>>(),
        "scientist": views::share(&exposure.share),
    })
}
