//! What owners administer: datasets, limits, people, stops.

use obscura_ledger::{
    Account, DatasetVersion, LimitSet, NewData, NewPopulation, Person, Role as Enrolled, Secrets,
};
use obscura_model::envelope::SignedMessage;
use obscura_model::exposure::{Delta, DeltaCharge, Limit, Mode, Rho, rho_within};
use obscura_model::identity::{Party, Role};
use obscura_model::ids::{DatasetId, KeyId, PopulationName};
use obscura_model::schema::Description;
use obscura_model::wire;
use obscura_query::PrivateTable;
use obscura_query::ingest::{self, IngestError, Room, SortError};

use crate::entropy;
use crate::error::Error;
use crate::limits;
use crate::node::{DatasetFace, Node};
use crate::pipeline;
use crate::subjects;

/// What ingest did, for the owner only.
#[derive(Debug, Clone)]
pub struct Ingested {
    /// The dataset as it now is.
    pub face: DatasetFace,
    /// What was read.
    pub report: Report,
}

/// What was read, computed from private rows: for the owner only.
#[derive(Debug, Clone, Copy)]
pub struct Report {
    /// Rows ingested.
    pub rows: u64,
    /// Data subjects of the population so far.
    pub subjects: u64,
    /// Rows left out because they have no subject id.
    pub rows_without_subject: u64,
    /// Rows left out because their subject is excluded or erased.
    pub rows_of_excluded: u64,
    /// Rows left out because one subject has many more than count at most.
    pub rows_beyond: u64,
}

/// A dataset as the owner's message describes it.
#[derive(Clone)]
pub struct WantedDataset {
    /// The text of the description file.
    pub description: String,
    /// The owner's statement that nobody is both in its population and in another one of the node.
    pub apart: bool,
    /// Ids of people who are left out. Private.
    pub opt_out: Vec<String>,
    /// Random bytes that hide the ids behind the message's digest.
    pub salt: Vec<u8>,
}

/// Private: shows nothing.
impl std::fmt::Debug for WantedDataset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WantedDataset")
    }
}

/// Registers a dataset, or a new version of one, from a description and a file in the import
/// folder.
pub fn add_dataset(
    node: &Node,
    wanted: &WantedDataset,
    message: &SignedMessage,
) -> Result<Ingested, Error> {
    let description = Description::from_toml(&wanted.description)?;
    let _alone = node.ingesting.lock().unwrap_or_else(|e| e.into_inner());
    answerable(&description)?;
    let path = node.settings.import.join(description.source_file());
    let room = Room::beside(&node.settings.datasets, ingest::MEMORY_BYTES);
    let raw = ingest::read_rows_within(&description, &path, &room).map_err(unread)?;
    declared(&description, raw.subjects())?;
    let evidence = if wanted.opt_out.is_empty() {
        wire::signed_encode(message)
    } else {
        subjects::evidence(message, &wanted.salt)?
    };
    ensure_population(node, &description, wanted.apart, evidence.clone())?;
    let population = description.population();
    subjects::opt_out(node, population, &wanted.opt_out, evidence.clone())?;
    let secrets = node.ledger.secrets(population)?;
    let fresh = DatasetId::from_parts(node.now().0, entropy::bytes().map_err(Error::inside)?);
    let mut begun = node
        .ledger
        .begin_ingest(population, description.name(), fresh)?;
    let keys = ingest::Secrets {
        subject: secrets.subject,
        rows: secrets.row,
    };
    let (read, rows_without_subject) = (raw.rows(), raw.rows_without_id());
    let sorted =
        ingest::sort(raw, &description, &keys, &mut |hash| begun.index(hash)).map_err(unsorted)?;
    let (rows, rows_beyond) = (sorted.rows(), sorted.rows_beyond());
    let report = Report {
        rows,
        subjects: begun.subjects(),
        rows_without_subject,
        rows_of_excluded: read.saturating_sub(rows).saturating_sub(rows_beyond),
        rows_beyond,
    };
    std::fs::create_dir_all(&node.settings.datasets).map_err(Error::inside)?;
    let file = node
        .settings
        .datasets
        .join(pipeline::data_file(begun.dataset()));
    let digest = PrivateTable::write(&sorted, &description, &file).map_err(Error::inside)?;
    let data = NewData {
        description: description.text().to_owned(),
        file_sha256: *digest.as_bytes(),
        rows,
        evidence,
    };
    let which: DatasetVersion = node.ledger.add_dataset(begun, data, node.now())?;
    Ok(Ingested {
        face: node.dataset_version(which)?,
        report,
    })
}

/// Refuses a size with which no query could ever be answered, before the population has it for
/// good.
fn answerable(description: &Description) -> Result<(), Error> {
    let tables = description.tables().iter();
    let rows: u64 = tables.map(|t| u64::from(t.most_rows_per_subject)).sum();
    // Beside everybody's there is room for one person with many.
    let subjects = description.most_subjects().checked_add(ingest::KEPT_TIMES);
    let rows = subjects.and_then(|subjects| subjects.checked_mul(rows));
    if rows.is_some_and(|rows| rows <= limits::DECLARED_ROWS) {
        return Ok(());
    }
    Err(Error::Rule(format!(
        "the upper size times most_rows_per_subject is more than {} rows, for which no query could be answered in time: declare less",
        limits::DECLARED_ROWS
    )))
}

/// Refuses a file with more subjects than its description declares, before anything is kept: delta
/// rests on the declared size. For the owner only.
fn declared(description: &Description, subjects: u64) -> Result<(), Error> {
    let most = description.most_subjects();
    if subjects <= most {
        return Ok(());
    }
    Err(Error::Rule(format!(
        "the file has {subjects} subjects, but the description declares at most {most}: raise the upper end of subjects"
    )))
}

fn unread(error: IngestError) -> Error {
    match error {
        IngestError::Spill(disk) => Error::inside(disk),
        wrong => wrong.into(),
    }
}

fn unsorted(error: SortError<obscura_ledger::Error>) -> Error {
    match error {
        SortError::Index(ledger) => ledger.into(),
        rule @ (SortError::Full | SortError::Rows { .. } | SortError::Constant { .. }) => {
            Error::Rule(rule.to_string())
        }
        other @ (SortError::OtherDescription | SortError::Spill(_)) => Error::inside(other),
    }
}

/// Creates the population with the first dataset that names it.
fn ensure_population(
    node: &Node,
    description: &Description,
    apart: bool,
    evidence: Vec<u8>,
) -> Result<(), Error> {
    let name = description.population();
    if let Some(known) = node.ledger.population(name, node.now()) {
        if known.most_subjects != description.most_subjects() {
            return Err(Error::Rule(format!(
                "population '{name}' was declared with at most {} subjects: the description must say the same upper size",
                known.most_subjects
            )));
        }
        return Ok(());
    }
    let (subject, row) = (
        entropy::bytes().map_err(Error::inside)?,
        entropy::bytes().map_err(Error::inside)?,
    );
    node.ledger.add_population(
        NewPopulation {
            name: name.clone(),
            most_subjects: description.most_subjects(),
            // At most 2^31, checked by the description.
            capacity: u32::try_from(description.index_capacity()).unwrap_or(u32::MAX),
            apart,
            secrets: Secrets { subject, row },
            evidence,
        },
        node.now(),
    )?;
    Ok(())
}

/// A limit as the owner's message asks for it.
#[derive(Debug, Clone)]
pub struct WantedLimit {
    /// The dataset whose population, or whose own account, is meant.
    pub dataset: String,
    /// The dataset's own account.
    pub dataset_only: bool,
    /// Epsilon.
    pub epsilon: f64,
    /// Delta; at most what the description declares.
    pub delta: f64,
    /// What releases with keys that are not declared may take of delta, besides `delta`; 0: none.
    pub delta_keys: f64,
    /// Protect or strict.
    pub mode: Mode,
    /// Why.
    pub reason: String,
}

fn rule(error: impl std::fmt::Display) -> Error {
    Error::Rule(error.to_string())
}

/// Sets a limit: a new signed promise.
pub fn set_limit(
    node: &Node,
    wanted: WantedLimit,
    message: &SignedMessage,
) -> Result<DatasetFace, Error> {
    let dataset = wanted.dataset.clone();
    let set = limit_set(node, wanted, wire::signed_encode(message))?;
    node.ledger.set_limit(set, node.now())?;
    node.dataset(&dataset)
}

/// Refuses what [`set_limit`] would refuse now, and sets nothing.
pub fn rehearse_limit(node: &Node, wanted: WantedLimit) -> Result<(), Error> {
    let set = limit_set(node, wanted, Vec::new())?;
    Ok(node.ledger.rehearse_limit(&set)?)
}

fn limit_set(node: &Node, wanted: WantedLimit, evidence: Vec<u8>) -> Result<LimitSet, Error> {
    let face = node.dataset(&wanted.dataset)?;
    let delta = Delta::new(wanted.delta).map_err(rule)?;
    if delta > face.description.delta() {
        return Err(Error::Rule(format!(
            "delta must be at most {:e}, as the description declares",
            face.description.delta().get()
        )));
    }
    let limit = Limit::new(wanted.epsilon, delta).map_err(rule)?;
    let delta_keys = delta_for_keys(wanted.delta_keys)?;
    let account = if wanted.dataset_only {
        Account::Dataset(face.view.which.id)
    } else {
        Account::Population(face.view.population.clone())
    };
    Ok(LimitSet {
        account,
        limit,
        mode: wanted.mode,
        largest_share: LimitSet::QUARTER,
        delta_keys,
        reason: wanted.reason,
        evidence,
    })
}

/// What releases with keys that are not declared may take of delta, as an owner writes it; 0: none.
pub(crate) fn delta_for_keys(written: f64) -> Result<DeltaCharge, Error> {
    if written == 0.0 {
        return Ok(DeltaCharge::ZERO);
    }
    let keys = Delta::new(written).map_err(|e| Error::Rule(format!("delta-keys: {e}")))?;
    Ok(DeltaCharge::meant(keys))
}

/// Sets the share of one scientist, or of everybody without one of their own.
pub fn set_scientist_limit(
    node: &Node,
    person: Option<KeyId>,
    epsilon: f64,
    delta: f64,
    message: &SignedMessage,
) -> Result<Rho, Error> {
    let delta = Delta::new(delta).map_err(rule)?;
    let rho = rho_within(epsilon, delta).map_err(rule)?;
    node.ledger
        .set_scientist_limit(person, rho, wire::signed_encode(message), node.now())?;
    Ok(rho)
}

/// Enrols a scientist by certificate: issued by the consortium's authority, in date, and for a
/// scientist. A key that is an owner's here is refused.
pub fn enrol(
    node: &Node,
    certificate: &[u8],
    chain_holds: bool,
    message: &SignedMessage,
) -> Result<Person, Error> {
    if !chain_holds {
        return Err(Error::Rule(
            "the certificate is not issued by this consortium's authority, or not in date".into(),
        ));
    }
    let party = Party::from_certificate(certificate).map_err(rule)?;
    if party.role != Role::Scientist || node.door.owner(&party.key).is_some() {
        return Err(Error::Rule(format!(
            "the certificate is for the {} '{}': only scientists are enrolled",
            party.role, party.name
        )));
    }
    let evidence = wire::signed_encode(message);
    node.ledger.enrol(
        party.key,
        Enrolled::Scientist,
        party.name,
        evidence,
        node.now(),
    )?;
    node.ledger.person(&party.key).ok_or(Error::NotAuthorised)
}

/// Lifts a stop; what was interrupted runs again first. Tells whether there was one: otherwise
/// interruptions are counted anew.
pub fn lift(
    node: &std::sync::Arc<Node>,
    population: &str,
    message: &SignedMessage,
) -> Result<bool, Error> {
    let name = PopulationName::new(population).map_err(rule)?;
    let before = node.ledger.population(&name, node.now());
    node.ledger
        .lift(&name, wire::signed_encode(message), node.now())?;
    pipeline::rerun_interrupted(node)?;
    Ok(before.is_some_and(|population| population.stopped))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_declared_size_leaves_room_for_one_person_with_many_rows() {
        let declared = |most: u64| {
            let text = format!(
                "name = \"visits\"\ntitle = \"Visits\"\nsource = \"v.csv\"\nsubject = \"id\"\n\
                 subject_unit = \"person\"\nmost_rows_per_subject = 10\nsubjects = [1, {most}]\n\
                 delta = 1e-9\n[[column]]\nname = \"paid\"\ntype = \"boolean\"\n\
                 meaning = \"paid\"\nbounds_from = \"form\"\n"
            );
            answerable(&Description::from_toml(&text).expect("a description"))
        };
        let most = limits::DECLARED_ROWS / 10;
        assert!(declared(most - ingest::KEPT_TIMES).is_ok());
        assert!(declared(most - ingest::KEPT_TIMES + 1).is_err());
    }
}
