//! Watching: limits, shares, the journal, and stops.

use obscura_client::model::ids::PopulationName;
use obscura_client::{AskedQuestion, LogEntry, OwnerExposure, ScientistExposure};
use serde_json::json;

use crate::output::tables::table;
use crate::output::{Report, progress, views, words};
use crate::session::Session;

pub(super) async fn exposure(session: &Session) -> anyhow::Result<Report> {
    let owner = session.owner().await?;
    let exposure = progress("asking", owner.exposure()).await?;
    let details = session.details;
    let accounts = exposure.accounts.iter();
    let accounts = accounts.map(|a| words::account(a, details)).collect();
    let mut text = table(&words::ACCOUNT, accounts, &[]);
    text.push_str(&words::legend(&exposure.accounts));
    let scientist =
        |s: &ScientistExposure| vec![s.person.name.to_string(), words::share(&s.share, details)];
    let scientists: Vec<_> = exposure.scientists.iter().map(scientist).collect();
    if !scientists.is_empty() {
        text.push('\n');
        text.push_str(&table(&["Scientist", "Share"], scientists, &[]));
        text.push_str("Totals of scientists add up: the limits above bind them all together.\n");
    }
    text.push_str(&stops(&exposure));
    text.push_str(&overruns(exposure.overruns));
    let people = exposure.scientists.iter().map(|s| {
        json!({
            "name": s.person.name.as_str(),
            "key": s.person.key.to_string(),
            "share": views::share(&s.share),
        })
    });
    let view = json!({
        "accounts": views::accounts(&exposure.accounts),
        "scientists": people.collect::<Vec<_>>(),
        "stops": exposure.stops,
        "most_stops": exposure.most_stops,
        "lifts": exposure.lifts,
        "stopped": exposure.stopped,
        "overruns": exposure.overruns,
    });
    Ok(Report::new(text, view))
}

fn overruns(late: u32) -> String {
    if late == 0 {
        return String::new();
    }
    format!(
        "Since the node was started an answer came later than its public time {}. What its moment \
         tells is outside the limits above: ask the operator for a larger slot_ms or a faster \
         machine.\n",
        words::times(late.into())
    )
}

fn stops(exposure: &OwnerExposure) -> String {
    if exposure.stopped {
        return format!(
            "Stopped: the node went down {} in the middle of a release. Find out why, then \
             `obscura owner lift POPULATION --reason ...`\n",
            words::times(exposure.stops.into())
        );
    }
    match exposure.stops {
        0 => String::new(),
        stops => format!(
            "The node went down {} in the middle of a release; after {} such stops it answers no \
             more until you lift that.\n",
            words::times(stops.into()),
            exposure.most_stops
        ),
    }
}

pub(super) async fn log(session: &Session, from: u64, most: u32) -> anyhow::Result<Report> {
    let owner = session.owner().await?;
    let log = progress("reading the journal", owner.log(from, most)).await?;
    let rows = log.entries.iter().map(|e| {
        vec![
            e.index.to_string(),
            e.time.to_string(),
            e.kind.clone(),
            in_words(e, session.details),
        ]
    });
    let header = ["Record", "Time", "What", "In words"];
    let text = format!(
        "{}The journal has {} records; the root over them is {}.\n",
        table(&header, rows.collect(), &[0]),
        log.head_size,
        log.head_root
    );
    let entries = log.entries.iter().map(|e| {
        json!({
            "index": e.index,
            "time_unix_ms": e.time.0,
            "kind": e.kind,
            "text": e.text,
            "question": e.question.as_ref().map(|q| json!({ "query": q.sql, "words": q.words })),
        })
    });
    let view = json!({
        "entries": entries.collect::<Vec<_>>(),
        "head_size": log.head_size,
        "head_root": log.head_root.to_string(),
    });
    Ok(Report::new(text, view))
}

/// A record; under details with the question that was asked under a grant.
fn in_words(entry: &LogEntry, details: bool) -> String {
    match &entry.question {
        Some(question) if details => {
            let AskedQuestion { sql, words } = question;
            format!("{} {words} Asked: {sql}", entry.text)
        }
        Some(_) | None => entry.text.clone(),
    }
}

pub(super) async fn lift(
    session: &Session,
    population: &PopulationName,
    reason: &str,
) -> anyhow::Result<Report> {
    let owner = session.owner().await?;
    let was_stopped = owner.lift(population, reason).await?;
    let did = if was_stopped {
        "answers again"
    } else {
        "was not stopped; its interrupted releases are counted anew"
    };
    let text = format!("Population {population} {did}. This is signed and public.\n");
    let view = json!({ "lifted": population.as_str(), "was_stopped": was_stopped });
    Ok(Report::new(text, view))
}
