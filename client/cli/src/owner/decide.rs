//! Reading and deciding. Everything shown is public, so that decisions carry nothing.

use anyhow::bail;
use obscura_client::model::answer::{self, Shape};
use obscura_client::model::exposure::{DeltaCharge, Rho};
use obscura_client::model::ids::StudyId;
use obscura_client::model::odds;
use obscura_client::model::schema::StudyTerm;
use obscura_client::model::study::{StudyState, Verdict};
use obscura_client::{Account, Review, ReviewedRelease, StudyStatus, Takes, export};
use serde_json::{Value, json};

use super::Approve;
use crate::output::answers::heading;
use crate::output::tables::{pairs, table, wrapped};
use crate::output::{Report, confirmed, progress, views, words};
use crate::session::Session;
use crate::study::runs;

pub(super) async fn requests(session: &Session) -> anyhow::Result<Report> {
    let owner = session.owner().await?;
    let requests = progress("asking", owner.requests()).await?;
    let view: Vec<_> = requests.iter().map(views::status).collect();
    let view = json!({ "requests": view });
    if requests.is_empty() {
        return Ok(Report::new(
            "No study was sent to you yet.\n".to_owned(),
            view,
        ));
    }
    let row = |s: &StudyStatus| {
        vec![
            s.id.to_string(),
            s.title.clone(),
            s.scientist.clone(),
            s.state.in_words().to_owned(),
            runs(s),
        ]
    };
    let rows = requests.iter().map(row).collect();
    let header = ["Study", "Title", "Scientist", "State", "Released"];
    let mut text = table(&header, rows, &[]);
    text.push_str("\nRead one with `obscura owner review STUDY`.\n");
    Ok(Report::new(text, view))
}

pub(super) async fn review(session: &Session, study: StudyId) -> anyhow::Result<Report> {
    let owner = session.owner().await?;
    let review = progress("asking", owner.review(study)).await?;
    let mut text = in_words(&review, session.details);
    if review.status.state == StudyState::Submitted {
        text.push_str(&format!(
            "\nThen: obscura owner approve {study}\n  or: obscura owner decline {study} --reason ...\n"
        ));
    }
    Ok(Report::new(text, view(&review)))
}

pub(super) async fn approve(session: &Session, args: Approve) -> anyhow::Result<Report> {
    let owner = session.owner().await?;
    let review = progress("asking", owner.review(args.study)).await?;
    let shown = in_words(&review, session.details);
    if !args.yes && !confirmed(&shown, "Approve this study?")? {
        bail!("nothing was decided");
    }
    let status = owner
        .decide(&review, Verdict::Approve, &args.reason)
        .await?;
    let effect = effect(&review, session.details);
    let text = format!(
        "{}: {}.\n{effect}Reserved. Becomes permanent when the result is released.\n",
        status.title,
        status.state.in_words()
    );
    let view = json!({ "status": views::status(&status), "adds_nano_rho": review.price.nano() });
    Ok(Report::new(text, view))
}

pub(super) async fn decline(
    session: &Session,
    study: StudyId,
    reason: &str,
) -> anyhow::Result<Report> {
    against(session, study, reason, Verdict::Decline).await
}

pub(super) async fn ask_for_changes(
    session: &Session,
    study: StudyId,
    reason: &str,
) -> anyhow::Result<Report> {
    against(session, study, reason, Verdict::AskForChanges).await
}

pub(super) async fn revoke(
    session: &Session,
    study: StudyId,
    reason: &str,
) -> anyhow::Result<Report> {
    against(session, study, reason, Verdict::Revoke).await
}

/// A decision that lets nothing leave, and needs a reason.
async fn against(
    session: &Session,
    study: StudyId,
    reason: &str,
    verdict: Verdict,
) -> anyhow::Result<Report> {
    if reason.trim().is_empty() {
        bail!("say why with --reason; without facts from the data");
    }
    let owner = session.owner().await?;
    let review = progress("asking", owner.review(study)).await?;
    if review.status.state == StudyState::Approved && verdict != Verdict::Revoke {
        bail!(
            "the study is approved: take that back with `obscura owner revoke {study} --reason ...`"
        );
    }
    let status = owner.decide(&review, verdict, reason).await?;
    let released = if status.releases.iter().any(|r| r.runs > 0) {
        "What was released stays released."
    } else {
        "Nothing was released."
    };
    let text = format!(
        "{}: {}. {released}\n",
        status.title,
        status.state.in_words()
    );
    Ok(Report::new(
        text,
        json!({ "status": views::status(&status) }),
    ))
}

/// A review for people: what is asked, why, and what it would do.
pub(crate) fn in_words(review: &Review, details: bool) -> String {
    let study = &review.study;
    let mut text = format!("{}\n\n", study.title());
    let terms = study.terms();
    let mut facts = vec![
        ("Scientist", review.scientist.clone()),
        ("Project", study.project().to_string()),
        ("Why (their words)", study.purpose().to_owned()),
        ("State", review.status.state.in_words().to_owned()),
        (
            "Dataset",
            format!(
                "{}, version {}",
                review.dataset.name, review.dataset.version
            ),
        ),
    ];
    let names = [
        "Controller",
        "Legal basis",
        "Ethics reference",
        "Contract",
        "Until",
    ];
    let stated = StudyTerm::ALL.iter().map(|t| terms.get(*t).to_owned());
    facts.extend(names.into_iter().zip(stated));
    text.push_str(&pairs(&facts));
    for list in &review.code_lists {
        let said = format!(
            "Code list {}: {}, {} codes, signed by {}.",
            list.reference, list.title, list.codes, list.author
        );
        text.push_str(&format!("{}\n", wrapped(&said, 0)));
    }
    text.push_str("\nWhat would leave your node:\n");
    for release in &review.releases {
        text.push_str(&asked(release, review, details));
    }
    text.push('\n');
    match review.status.state {
        StudyState::Submitted | StudyState::ChangesRequested => {
            text.push_str(&effect(review, details));
        }
        settled => text.push_str(&format!("This study is settled: {}.\n", settled.in_words())),
    }
    for warning in &review.warnings {
        text.push_str(&format!("Look twice: {warning}\n"));
    }
    text
}

fn asked(release: &ReviewedRelease, review: &Review, details: bool) -> String {
    let times = words::times(release.times.into());
    let limit = words::tightest(&review.accounts).map(|l| l.rho);
    let added = words::added(release.price, limit, details);
    let options = words::options(&release.options);
    let words = format!(
        "{}, {times}: {} {options}Adds {added}.",
        release.name, release.words
    );
    let mut text = wrapped(&words, 2) + "\n";
    if let Some(said) = words::keys_found(&release.shape, &review.dataset.subject_unit) {
        text.push_str(&(wrapped(&said, 2) + "\n"));
    }
    if let Some(said) = margins(&release.shape) {
        text.push_str(&(wrapped(&said, 4) + "\n"));
    }
    if details {
        text.push_str(&wrapped(&release.canonical_sql, 4));
        text.push('\n');
    }
    text
}

/// "Margins, 95 in 100: years ± 60; coverage (person) ± 60."; only those that depend on no rows.
fn margins(shape: &Shape) -> Option<String> {
    let each = shape.outputs.iter().filter_map(|output| {
        let (margin, needs_rows) = answer::margin(&output.kind, &shape.vectors, 1)?;
        let said = format!(
            "{} ± {}",
            heading(&output.name, &output.unit),
            export::margin(margin)
        );
        (!needs_rows && margin.is_finite()).then_some(said)
    });
    let each: Vec<_> = each.collect();
    (!each.is_empty()).then(|| format!("Margins, 95 in 100: {}.", each.join("; ")))
}

/// What approving would do to each limit: before, after, and the promise.
fn effect(review: &Review, details: bool) -> String {
    let takes = Takes::of(review.price, &review.accounts);
    let mut text = match takes {
        Some(takes) => format!("All of it {}.\n", takes.sentence()),
        None => "No limit is set yet: nothing can be released before you set one.\n".to_owned(),
    };
    let keys = delta_keys(review);
    for account in &review.accounts {
        text.push_str(&change(account, review.price));
        text.push_str(&change_of_keys(account, keys));
    }
    if details {
        text.push_str(&format!("Details: it adds rho {} in all.\n", review.price));
    }
    text
}

/// "population people: now at most 44 → 56 out of 100, with this 38 → 62, the limit is 26 → 74".
pub(super) fn change(account: &Account, price: Rho) -> String {
    let Some(limit) = &account.limit else {
        return String::new();
    };
    // Sums over 64 bits are far over every limit, so the largest number says enough.
    let most = Rho::from_nano(u64::MAX);
    let now = account.meter.checked_add(account.reserved).unwrap_or(most);
    let then = now.checked_add(price).unwrap_or(most);
    let odds = |exposure: Rho| {
        let (_, top) = words::rung(limit, exposure);
        let odds = odds::presence(top.min(limit.guarantee));
        format!("{} → {}", odds.without, odds.with)
    };
    let guarantee = odds::presence(limit.guarantee);
    let text = format!(
        "{}: with everything released or reserved at most {} out of 100, with this {}; the limit \
         is {} → {}.",
        account.name,
        odds(now),
        odds(then),
        guarantee.without,
        guarantee.with
    );
    wrapped(&text, 0) + "\n"
}

/// What all runs take of delta for keys that are not declared; the largest number if that leaves
/// its range.
fn delta_keys(review: &Review) -> DeltaCharge {
    let units = review.releases.iter().map(|release| {
        let each = release.shape.delta_keys().units();
        each.saturating_mul(release.times.into())
    });
    DeltaCharge::from_units(units.fold(0, u64::saturating_add))
}

/// "population people: delta for keys not declared is now 1e-8, with this 2e-8, of 1e-7."
fn change_of_keys(account: &Account, keys: DeltaCharge) -> String {
    if keys == DeltaCharge::ZERO {
        return String::new();
    }
    let Some(limit) = &account.limit else {
        return String::new();
    };
    let (now, allowed) = (account.keys_taken, limit.keys);
    let then = DeltaCharge::from_units(now.units().saturating_add(keys.units()));
    let mut text = format!(
        "{}: delta for keys not declared is now {:e}, with this {:e}, of {:e}.",
        account.name,
        now.get(),
        then.get(),
        allowed.get()
    );
    if then > allowed {
        text.push_str(" What does not fit is refused: raise it with `obscura owner limit`.");
    }
    wrapped(&text, 0) + "\n"
}

fn view(review: &Review) -> Value {
    let releases = review.releases.iter().map(|r| {
        json!({
            "name": r.name.as_str(),
            "words": r.words,
            "query": r.canonical_sql,
            "adds_nano_rho": r.price.nano(),
            "times": r.times,
            "delta_keys": r.shape.delta_keys().get(),
            "fewest_people_shown": r.shape.threshold().map(f64::ceil),
            "require_complete": r.options.require_complete,
            "coverage": r.options.coverage,
            "count_clipped": r.options.count_clipped,
        })
    });
    let terms = review.study.terms();
    let terms: serde_json::Map<_, _> = StudyTerm::ALL
        .iter()
        .map(|t| (t.as_str().to_owned(), Value::from(terms.get(*t))))
        .collect();
    let lists = review.code_lists.iter().map(|list| {
        json!({
            "reference": list.reference,
            "title": list.title,
            "codes": list.codes,
            "author": list.author,
        })
    });
    json!({
        "status": views::status(&review.status),
        "project": review.study.project().as_str(),
        "code_lists": lists.collect::<Vec<_>>(),
        "purpose": review.study.purpose(),
        "terms": terms,
        "scientist": review.scientist,
        "releases": releases.collect::<Vec<_>>(),
        "adds_nano_rho": review.price.nano(),
        "accounts": views::accounts(&review.accounts),
        "warnings": review.warnings,
    })
}
