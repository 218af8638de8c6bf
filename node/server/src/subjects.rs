//! Data subjects who leave, come back or get new ids. Ids are hashed at once and dropped; of the
//! owner's message only envelope and signature are kept, whose digest of the body, salted by the
//! owner, tells nothing about the ids.

use obscura_ledger::{Account, LimitSet, Mark, SubjectHash};
use obscura_model::envelope::SignedMessage;
use obscura_model::exposure::{Delta, DeltaCharge, Limit, Mode};
use obscura_model::ids::PopulationName;
use obscura_model::wire;
use obscura_query::ingest;

use crate::error::Error;
use crate::node::{DatasetFace, Node};

/// The shortest salt, in bytes.
const SALT: usize = 32;

/// What becomes of data subjects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// They contribute no more, until they are readmitted.
    Exclude,
    /// They contribute no more, and their rows go with the next version.
    Erase,
    /// They contribute again, with the exposure of before.
    Readmit,
}

/// Excludes, erases or readmits people. How many of them the population knows is private: for the
/// owner only.
pub fn mark(
    node: &Node,
    dataset: &str,
    wish: Wish,
    (ids, salt): (&[String], &[u8]),
    reason: &str,
    message: &SignedMessage,
) -> Result<u64, Error> {
    reasoned(reason)?;
    let evidence = evidence(message, salt)?;
    let population = node.dataset(dataset)?.view.population;
    let hashes = hashed(node, &population, ids)?;
    let (ledger, now, reason) = (&node.ledger, node.now(), reason.to_owned());
    let marked = match wish {
        Wish::Exclude => {
            ledger.mark_subjects(&population, Mark::Excluded, hashes, reason, evidence, now)
        }
        Wish::Erase => {
            ledger.mark_subjects(&population, Mark::Erased, hashes, reason, evidence, now)
        }
        Wish::Readmit => ledger.readmit_subjects(&population, hashes, reason, evidence, now),
    };
    Ok(marked?.matched)
}

/// Excludes the people of an opt-out list, before their rows are read.
pub(crate) fn opt_out(
    node: &Node,
    population: &PopulationName,
    ids: &[String],
    evidence: Vec<u8>,
) -> Result<(), Error> {
    if ids.is_empty() {
        return Ok(());
    }
    let hashes = hashed(node, population, ids)?;
    let reason = "opt-out list at ingest".to_owned();
    let now = node.now();
    node.ledger
        .mark_subjects(population, Mark::Excluded, hashes, reason, evidence, now)?;
    Ok(())
}

/// Gives the people of a population new ids. How many of the old ones it knows is private: for the
/// owner only.
pub fn rekey(
    node: &Node,
    population: &str,
    pairs: &[(String, String)],
    (reason, salt): (&str, &[u8]),
    message: &SignedMessage,
) -> Result<u64, Error> {
    reasoned(reason)?;
    let population = named(population)?;
    let secret = node.ledger.secrets(&population)?.subject;
    let pairs = pairs.iter().map(|(old, new)| {
        let both = (hash(&secret, old), hash(&secret, new));
        Ok((both.0?, both.1?))
    });
    let pairs = pairs.collect::<Result<_, Error>>()?;
    let evidence = evidence(message, salt)?;
    let ledger = &node.ledger;
    Ok(ledger
        .rekey(&population, pairs, evidence, node.now())?
        .matched)
}

/// Two populations that become one, as the owner's message says it.
#[derive(Debug, Clone)]
pub struct Merge {
    /// The one that stays.
    pub keep: String,
    /// The one that goes into it.
    pub gone: String,
    /// The limit of both together.
    pub epsilon: f64,
    /// See `epsilon`.
    pub delta: f64,
    /// What happens near it.
    pub mode: Mode,
    /// Why.
    pub reason: String,
}

/// Makes two populations one; `ids` are those of everybody in the one that goes. Gives a dataset
/// of the population that stays, whose first account is the merged one's.
pub fn merge(
    node: &Node,
    wanted: &Merge,
    (ids, salt): (&[String], &[u8]),
    message: &SignedMessage,
) -> Result<DatasetFace, Error> {
    reasoned(&wanted.reason)?;
    let (keep, gone) = (named(&wanted.keep)?, named(&wanted.gone)?);
    let (kept, going) = (node.ledger.secrets(&keep)?, node.ledger.secrets(&gone)?);
    let pairs = ids.iter().map(|id| {
        let both = (hash(&going.subject, id), hash(&kept.subject, id));
        Ok((both.0?, both.1?))
    });
    let pairs = pairs.collect::<Result<_, Error>>()?;
    let rule = |error: obscura_model::exposure::InvalidExposure| Error::Rule(error.to_string());
    let delta = Delta::new(wanted.delta).map_err(rule)?;
    let evidence = evidence(message, salt)?;
    let account = |name: &PopulationName| {
        let view = node.ledger.population(name, node.now());
        view.and_then(|view| view.account.limit)
    };
    let in_force = [account(&keep), account(&gone)];
    let keys = in_force.iter().flatten().map(|set| set.delta_keys).max();
    let share = in_force.iter().flatten().map(|set| set.largest_share).min();
    let limit = LimitSet {
        account: Account::Population(keep.clone()),
        limit: Limit::new(wanted.epsilon, delta).map_err(rule)?,
        mode: wanted.mode,
        largest_share: share.unwrap_or(LimitSet::QUARTER),
        delta_keys: keys.unwrap_or(DeltaCharge::ZERO),
        reason: wanted.reason.clone(),
        evidence: evidence.clone(),
    };
    node.ledger
        .merge_populations(&keep, &gone, pairs, limit, evidence, node.now())?;
    let mut datasets = node.datasets()?.into_iter();
    let of_keep = datasets.find(|face| face.view.population == keep);
    of_keep.ok_or_else(|| Error::Rule(format!("population {keep} has no dataset")))
}

/// The message as it may be kept: envelope and signature, without the ids.
pub(crate) fn evidence(message: &SignedMessage, salt: &[u8]) -> Result<Vec<u8>, Error> {
    if salt.len() < SALT {
        return Err(Error::Rule(
            "the message lacks the random bytes that keep its digest from telling about the ids"
                .into(),
        ));
    }
    Ok(wire::signed_encode(&SignedMessage {
        body: Vec::new(),
        ..message.clone()
    }))
}

fn hashed(
    node: &Node,
    population: &PopulationName,
    ids: &[String],
) -> Result<Vec<SubjectHash>, Error> {
    let secret = node.ledger.secrets(population)?.subject;
    ids.iter().map(|id| hash(&secret, id)).collect()
}

/// An id that is none would be everybody's without one.
fn hash(secret: &[u8; 32], id: &str) -> Result<SubjectHash, Error> {
    if id.trim().is_empty() {
        return Err(Error::Rule("an id is empty: write one on each line".into()));
    }
    Ok(ingest::subject_hash(secret, id))
}

fn named(population: &str) -> Result<PopulationName, Error> {
    Ok(PopulationName::new(population).map_err(wire::InvalidWire::from)?)
}

fn reasoned(reason: &str) -> Result<(), Error> {
    if reason.trim().is_empty() {
        return Err(Error::Rule(
            "a reason is required: it is signed and kept".into(),
        ));
    }
    Ok(())
}
