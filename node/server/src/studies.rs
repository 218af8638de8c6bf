//! Studies at this node: submitting, following, reviewing, deciding.

use obscura_ledger::{Decision, NewStudy, StudyRelease, StudyView};
use obscura_model::answer::Shape;
use obscura_model::envelope::SignedMessage;
use obscura_model::exposure::Rho;
use obscura_model::ids::{DatasetId, Digest, KeyId, StudyId};
use obscura_model::study::{ReleaseOptions, Study, StudyState, UNNAMED_PROJECT, Verdict};
use obscura_model::study::{canonical_digest, queries_digest};
use obscura_model::wire;

use crate::access::Caller;
use crate::error::Error;
use crate::limits;
use crate::node::{DatasetFace, Node};
use crate::question::{Posed, Question};

/// A study's state here with its title, as its scientist and the owner see it.
#[derive(Debug, Clone)]
pub struct StudyFace {
    /// What the ledger knows.
    pub view: StudyView,
    /// The document.
    pub study: Study,
}

/// What an owner reads before deciding. Public values only.
#[derive(Debug, Clone)]
pub struct Review {
    /// State and document.
    pub face: StudyFace,
    /// The scientist's name.
    pub scientist: String,
    /// Each release in words and numbers.
    pub releases: Vec<ReviewedRelease>,
    /// What everything asked for would add.
    pub price: Rho,
    /// The dataset and its accounts.
    pub dataset: DatasetFace,
    /// What to look at twice.
    pub warnings: Vec<String>,
    /// Its code lists.
    pub code_lists: Vec<ReviewedCodeList>,
}

/// One release of a study under review.
#[derive(Debug, Clone)]
pub struct ReviewedRelease {
    /// Its name.
    pub name: String,
    /// The query in words.
    pub words: String,
    /// The canonical query.
    pub canonical_sql: String,
    /// Vectors, sigmas, outputs.
    pub shape: Shape,
    /// What one run adds.
    pub price: Rho,
    /// How many runs.
    pub times: u32,
    /// What is added to the question.
    pub options: ReleaseOptions,
}

/// A code list of a study under review.
#[derive(Debug, Clone)]
pub struct ReviewedCodeList {
    /// How queries name it.
    pub reference: String,
    /// Its title.
    pub title: String,
    /// How many codes it has.
    pub codes: usize,
    /// The author's name if enrolled here, otherwise the key.
    pub author: String,
}

/// What an owner decided, as their message says it.
#[derive(Debug, Clone)]
pub struct Decided {
    /// Which study.
    pub study: StudyId,
    /// Which document.
    pub digest: Digest,
    /// Which dataset.
    pub dataset: DatasetId,
    /// Which version of it.
    pub version: u32,
    /// What.
    pub verdict: Verdict,
    /// Why.
    pub reason: String,
    /// What the review showed as the price of everything.
    pub ceiling: Rho,
    /// The digest of the queries as the review showed them, if it was sent.
    pub queries: Option<Digest>,
}

/// Takes a study in: checks it whole, prices it, and puts it before the owner. The same document
/// again changes nothing.
pub fn submit(node: &Node, caller: &Caller, message: &SignedMessage) -> Result<StudyFace, Error> {
    let study = wire::study_decode(&message.body)?;
    if !study
        .institutions()
        .iter()
        .any(|i| i.key == node.identity.party.key)
    {
        return Err(Error::NotAsked);
    }
    let digest = Digest::of(&message.body);
    if let Some(view) = node.ledger.study(study.id(), node.now()) {
        let same = view.scientist == caller.key() && view.digest == digest;
        return if same {
            own(node, caller, study.id())
        } else {
            Err(Error::Conflict)
        };
    }
    if study.project().as_str() == UNNAMED_PROJECT {
        return Err(Error::NoProject);
    }
    few_undecided(node, caller)?;
    let dataset = node.dataset(study.dataset().as_str())?;
    let missing = study.terms().missing(dataset.description.required_terms());
    if !missing.is_empty() {
        let names: Vec<_> = missing.into_iter().map(|t| t.as_str()).collect();
        return Err(Error::Terms(names.join(", ")));
    }
    let expires = study.expires(node.now());
    if expires <= node.now() {
        return Err(Error::Ended);
    }
    let releases: Vec<_> = planned(&study, &dataset)?
        .into_iter()
        .zip(study.releases())
        .map(|(posed, release)| StudyRelease {
            name: release.name.clone(),
            price: posed.plan.price(),
            times: release.times,
            require_complete: release.options.require_complete,
            delta_keys: posed.plan.shape().delta_keys(),
            canonical: canonical_digest(&posed.query.canonical()),
        })
        .collect();
    priced(releases.iter())?;
    node.ledger.submit_study(
        NewStudy {
            id: study.id(),
            digest,
            scientist: caller.key(),
            project: study.project().clone(),
            dataset: dataset.view.which,
            releases,
            expires,
            evidence: wire::signed_encode(message),
        },
        node.now(),
    )?;
    own(node, caller, study.id())
}

fn planned(study: &Study, dataset: &DatasetFace) -> Result<Vec<Posed>, Error> {
    let named = |release: &obscura_model::study::StudyRelease| {
        let posed = Question::of(study, release).pose(dataset);
        posed.map_err(|error| match error {
            Error::Query(refusal) => Error::StudyQuery {
                release: release.name.to_string(),
                refusal,
            },
            other => other,
        })
    };
    study.releases().iter().map(named).collect()
}

/// Whether the caller may see a study: the owner, its submitter, and the members of its project.
fn may_see(node: &Node, caller: &Caller, view: &StudyView) -> bool {
    caller.is_owner()
        || view.scientist == caller.key()
        || node.is_member(&view.project, &caller.key())
}

/// A study that the caller may see: one of their projects, or any for the owner.
pub fn own(node: &Node, caller: &Caller, id: StudyId) -> Result<StudyFace, Error> {
    let view = node.ledger.study(id, node.now()).ok_or(Error::NoStudy)?;
    if !may_see(node, caller, &view) {
        return Err(Error::NoStudy);
    }
    let study = node.study_document(&view)?;
    let view = node.veil.over(view, node.now());
    Ok(StudyFace { view, study })
}

/// All studies that the caller may see, in the order of submission.
pub fn all(node: &Node, caller: &Caller) -> Result<Vec<StudyFace>, Error> {
    let mine = |v: &StudyView| may_see(node, caller, v);
    let views = node.ledger.studies(node.now()).into_iter().filter(mine);
    views
        .map(|view| {
            Ok(StudyFace {
                study: node.study_document(&view)?,
                view: node.veil.over(view, node.now()),
            })
        })
        .collect()
}

/// Takes a study back.
pub fn withdraw(
    node: &Node,
    caller: &Caller,
    id: StudyId,
    message: &SignedMessage,
) -> Result<StudyFace, Error> {
    let face = own(node, caller, id)?;
    match face.view.state {
        StudyState::Withdrawn => return Ok(face),
        StudyState::Submitted | StudyState::ChangesRequested | StudyState::Approved => {}
        state => {
            return Err(Error::State {
                state,
                what: "there is nothing to withdraw any more",
            });
        }
    }
    node.ledger
        .withdraw(id, caller.key(), wire::signed_encode(message), node.now())?;
    own(node, caller, id)
}

/// What the owner reads: from the structured request and public values, never from rows.
pub fn review(node: &Node, caller: &Caller, id: StudyId) -> Result<Review, Error> {
    let face = own(node, caller, id)?;
    let dataset = node.dataset_version(face.view.dataset)?;
    let releases: Vec<_> = planned(&face.study, &dataset)?
        .into_iter()
        .zip(face.study.releases())
        .map(|(Posed { query, plan }, release)| ReviewedRelease {
            name: release.name.to_string(),
            words: query.in_words(),
            canonical_sql: query.canonical(),
            shape: plan.shape().clone(),
            price: plan.price(),
            times: release.times,
            options: release.options,
        })
        .collect();
    let price = total(&face.view)?;
    let warnings = warnings(node, &face, &dataset, &releases, price);
    Ok(Review {
        scientist: scientist_name(node, &face.view.scientist),
        code_lists: code_lists(node, &face.study),
        face,
        releases,
        price,
        dataset,
        warnings,
    })
}

fn code_lists(node: &Node, study: &Study) -> Vec<ReviewedCodeList> {
    let one = |signed: &obscura_model::codelist::SignedCodeList| {
        let (list, author) = (signed.list(), signed.author());
        let person = node.ledger.person(&author);
        ReviewedCodeList {
            reference: list.reference(),
            title: list.title().to_owned(),
            codes: list.codes().len(),
            author: person.map_or_else(|| author.to_string(), |p| p.name.to_string()),
        }
    };
    study.code_lists().iter().map(one).collect()
}

/// Refuses one more study of a scientist who has many before the owner already.
fn few_undecided(node: &Node, caller: &Caller) -> Result<(), Error> {
    let undecided = |v: &StudyView| {
        v.scientist == caller.key()
            && matches!(
                v.state,
                StudyState::Submitted | StudyState::ChangesRequested
            )
    };
    let studies = node.ledger.studies(node.now());
    if studies.into_iter().filter(undecided).count() < limits::UNDECIDED_STUDIES {
        return Ok(());
    }
    Err(Error::Rule(format!(
        "{} studies of yours wait for a decision here: withdraw some, or wait",
        limits::UNDECIDED_STUDIES
    )))
}

/// What all runs of all releases add together.
fn total(view: &StudyView) -> Result<Rho, Error> {
    priced(view.releases.iter().map(|runs| &runs.release))
}

fn priced<'a>(releases: impl Iterator<Item = &'a StudyRelease>) -> Result<Rho, Error> {
    let mut releases = releases;
    let add = |sum: Rho, release: &StudyRelease| {
        sum.checked_add(release.price.checked_mul(u64::from(release.times))?)
    };
    let sum = releases.try_fold(Rho::ZERO, add);
    sum.ok_or_else(|| Error::Rule("the study asks for more exposure than can be counted".into()))
}

/// What all runs take of delta for keys that are not declared, in units; the largest number if that
/// leaves its range.
fn delta_for_keys(releases: &[ReviewedRelease]) -> u64 {
    let all = |r: &ReviewedRelease| {
        let each = r.shape.delta_keys().units();
        each.saturating_mul(r.times.into())
    };
    releases.iter().map(all).fold(0, u64::saturating_add)
}

fn warnings(
    node: &Node,
    face: &StudyFace,
    dataset: &DatasetFace,
    releases: &[ReviewedRelease],
    price: Rho,
) -> Vec<String> {
    let mut warnings = Vec::new();
    for account in &dataset.accounts {
        let Some(set) = &account.limit else {
            warnings.push("no limit is set: nothing can be released until you set one".to_owned());
            continue;
        };
        let room = set.limit.rho().saturating_sub(account.meter);
        if price > room.saturating_sub(account.reserved) {
            warnings.push("it would go over the limit for the people in most releases".to_owned());
        }
        let keys = set
            .delta_keys
            .units()
            .saturating_sub(account.meter_keys.units());
        if delta_for_keys(releases) > keys {
            warnings.push(
                "it takes more delta for keys that are not declared than a limit leaves: some \
                 runs will be refused"
                    .to_owned(),
            );
        }
        if releases
            .iter()
            .any(|r| r.price > set.limit.largest_release())
        {
            warnings
                .push("a release is above a quarter of the limit and will be refused".to_owned());
        }
    }
    let project = node.ledger.project(face.study.project());
    match project.map(|p| (p.limit, p.taken)) {
        Some((Some(limit), taken)) if price > limit.saturating_sub(taken) => {
            warnings.push("it is over the limit of its project".to_owned());
        }
        Some((None, _)) => warnings.push(
            "no limit is set for its project or for every scientist: nothing can be released \
             until you set one"
                .to_owned(),
        ),
        Some((Some(_), _)) | None => {}
    }
    if let (Some(limit), used) = node.scientist_share(&face.view.scientist)
        && price > limit.saturating_sub(used)
    {
        warnings.push("it is over the scientist limit of this person".to_owned());
    }
    for other in node.ledger.studies(node.now()) {
        let released = || released(node, &other);
        let repeated = |sql: &String| releases.iter().any(|r| r.canonical_sql == *sql);
        if other.id != face.view.id && released().iter().any(repeated) {
            warnings.push(format!(
                "the same question was already released in study {}; that answer can be used again without adding exposure",
                other.id
            ));
        }
    }
    warnings
}

/// The queries of a study that have an answer, in the form in which questions are compared.
fn released(node: &Node, view: &StudyView) -> Vec<String> {
    let mut made = view.releases.iter().filter(|r| r.committed > 0).peekable();
    if made.peek().is_none() {
        return Vec::new();
    }
    let read = node.study_document(view);
    let Ok((study, face)) = read.and_then(|s| Ok((s, node.dataset_version(view.dataset)?))) else {
        return Vec::new();
    };
    let canonical = |runs: &obscura_ledger::ReleaseRuns| {
        let query = Question::of(&study, study.release(&runs.release.name)?).validated(&face);
        Some(query.ok()?.canonical())
    };
    made.filter_map(canonical).collect()
}

/// The digest of the queries of a study as they were read when it was submitted, and are run.
/// Nothing if it was submitted before that was kept.
fn read_as(view: &StudyView) -> Option<Digest> {
    let releases = view.releases.iter().map(|r| r.release.canonical);
    let known = releases.clone().all(|c| c != StudyRelease::NO_CANONICAL);
    known.then(|| queries_digest(releases))
}

/// Decides. Pins the document, the dataset's version, the queries in canonical form and the price
/// that were reviewed.
pub fn decide(
    node: &Node,
    caller: &Caller,
    decided: Decided,
    message: &SignedMessage,
) -> Result<StudyFace, Error> {
    let face = own(node, caller, decided.study)?;
    let same = face.view.digest == decided.digest
        && face.view.dataset.id == decided.dataset
        && face.view.dataset.version == decided.version;
    if !same {
        return Err(Error::OtherDocument);
    }
    let decision = match decided.verdict {
        Verdict::Approve => Decision::Approve,
        Verdict::Decline => Decision::Decline,
        Verdict::AskForChanges => Decision::AskForChanges,
        Verdict::Revoke => Decision::Revoke,
    };
    let approve = decided.verdict == Verdict::Approve;
    let read_as = read_as(&face.view);
    if approve && read_as.is_some() && decided.queries != read_as {
        return Err(Error::OtherDocument);
    }
    if approve && total(&face.view)? > decided.ceiling {
        return Err(Error::OtherDocument);
    }
    if !approve && decided.reason.trim().is_empty() {
        return Err(Error::Rule(
            "a reason is required, so that the scientist can act on it".into(),
        ));
    }
    let open = match decided.verdict {
        Verdict::Revoke => face.view.state == StudyState::Approved,
        Verdict::Approve | Verdict::Decline | Verdict::AskForChanges => {
            matches!(
                face.view.state,
                StudyState::Submitted | StudyState::ChangesRequested
            )
        }
    };
    if !open {
        let state = face.view.state;
        return Err(Error::State {
            state,
            what: "this decision cannot be made any more",
        });
    }
    let evidence = wire::signed_encode(message);
    node.ledger.decide(
        decided.study,
        decided.digest,
        decision,
        decided.reason,
        evidence,
        node.now(),
    )?;
    own(node, caller, decided.study)
}

/// The key of a study's scientist, for names.
#[must_use]
pub fn scientist_name(node: &Node, key: &KeyId) -> String {
    node.ledger
        .person(key)
        .map(|p| p.name.to_string())
        .unwrap_or_default()
}
