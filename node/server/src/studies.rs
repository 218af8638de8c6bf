//! Studies at this node: submitting, following, reviewing, deciding.

use obscura_ledger::{Decision, NewStudy, StudyRelease, StudyView};
use obscura_model::answer::Shape;
use obscura_model::codelist::CodeLists;
use obscura_model::envelope::SignedMessage;
use obscura_model::exposure::{DeltaCharge, Rho};
use obscura_model::ids::{DatasetId, Digest, KeyId, ProjectName, StudyId};
use obscura_model::study::{Study, StudyState, Verdict};
use obscura_model::wire;
use obscura_query::{PrivatePlan, ValidatedQuery};

use crate::access::Caller;
use crate::error::Error;
use crate::limits;
use crate::node::{DatasetFace, Node};

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
        .map(|((_, plan), release)| StudyRelease {
            name: release.name.clone(),
            price: plan.price(),
            times: release.times,
            require_complete: false,
            delta_keys: DeltaCharge::ZERO,
        })
        .collect();
    priced(releases.iter())?;
    node.ledger.submit_study(
        NewStudy {
            id: study.id(),
            digest,
            scientist: caller.key(),
            project: own_project(&caller.key())?,
            dataset: dataset.view.which,
            releases,
            expires,
            evidence: wire::signed_encode(message),
        },
        node.now(),
    )?;
    own(node, caller, study.id())
}

/// The project of a study that names none: its scientist's own.
fn own_project(scientist: &KeyId) -> Result<ProjectName, Error> {
    let name = format!("unnamed-{:.32}", scientist.to_string());
    ProjectName::new(&name).map_err(Error::inside)
}

fn planned(
    study: &Study,
    dataset: &DatasetFace,
) -> Result<Vec<(ValidatedQuery, PrivatePlan)>, Error> {
    let plan = |release: &obscura_model::study::StudyRelease| {
        let query = ValidatedQuery::parse(&release.sql, &dataset.description, &CodeLists::none())?;
        let plan = dataset.plan(&query, &release.accuracy)?;
        Ok((query, plan))
    };
    let named = |release: &obscura_model::study::StudyRelease| {
        plan(release).map_err(|refusal| Error::StudyQuery {
            release: release.name.to_string(),
            refusal,
        })
    };
    study.releases().iter().map(named).collect()
}

/// A study that the caller may see: their own, or any for the owner.
pub fn own(node: &Node, caller: &Caller, id: StudyId) -> Result<StudyFace, Error> {
    let view = node.ledger.study(id, node.now()).ok_or(Error::NoStudy)?;
    if !caller.is_owner() && view.scientist != caller.key() {
        return Err(Error::NoStudy);
    }
    let study = node.study_document(&view)?;
    let view = node.veil.over(view, node.now());
    Ok(StudyFace { view, study })
}

/// All studies that the caller may see, in the order of submission.
pub fn all(node: &Node, caller: &Caller) -> Result<Vec<StudyFace>, Error> {
    let mine = |v: &StudyView| caller.is_owner() || v.scientist == caller.key();
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
        .map(|((query, plan), release)| ReviewedRelease {
            name: release.name.to_string(),
            words: query.in_words(),
            canonical_sql: query.canonical(),
            shape: plan.shape().clone(),
            price: plan.price(),
            times: release.times,
        })
        .collect();
    let price = total(&face.view)?;
    let warnings = warnings(node, &face, &dataset, &releases, price);
    Ok(Review {
        scientist: scientist_name(node, &face.view.scientist),
        face,
        releases,
        price,
        dataset,
        warnings,
    })
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
        if releases
            .iter()
            .any(|r| r.price > set.limit.largest_release())
        {
            warnings
                .push("a release is above a quarter of the limit and will be refused".to_owned());
        }
    }
    if let (Some(limit), used) = node.scientist_share(&face.view.scientist)
        && price > limit.saturating_sub(used)
    {
        warnings.push("it is over the scientist limit of this person".to_owned());
    }
    for other in node.ledger.studies(node.now()) {
        let repeated = other.id != face.view.id
            && other.releases.iter().any(|r| r.committed > 0)
            && node.study_document(&other).is_ok_and(|s| {
                s.releases()
                    .iter()
                    .any(|a| face.study.releases().iter().any(|b| a.sql == b.sql))
            });
        if repeated {
            warnings.push(format!(
                "the same question was already released in study {}; that answer can be used again without adding exposure",
                other.id
            ));
        }
    }
    warnings
}

/// Decides. Pins the document, the dataset's version and the price that were reviewed.
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
