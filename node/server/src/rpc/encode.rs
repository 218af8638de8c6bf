//! Conversions from the node's faces to the wire. Every field is named.

use obscura_ledger::{AccountView, GrantState, Person, Role};
use obscura_model::exposure::{DeltaCharge, Rho};
use obscura_model::ids::KeyId;
use obscura_model::release::Authority;
use obscura_model::schema::{Column, Description, Domain, Table, TextKeys};
use obscura_model::wire;
use obscura_wire::v1;

use crate::access::Caller;
use crate::error::Error;
use crate::grants::GrantFace;
use crate::node::{DatasetFace, Node};
use crate::projects::ProjectFace;
use crate::studies::{self, Review, ReviewedCodeList, ReviewedRelease, StudyFace};

pub(super) fn dataset(face: &DatasetFace) -> v1::Dataset {
    let d = &face.description;
    v1::Dataset {
        id: face.view.which.id.as_bytes().to_vec(),
        name: d.name().to_string(),
        version: face.view.which.version,
        title: d.title().to_owned(),
        about: d.about().to_owned(),
        subject_unit: d.subject_unit().to_owned(),
        subject_column: d.subject_column().to_owned(),
        most_rows_per_subject: d.most_rows_per_subject(),
        fewest_subjects: d.fewest_subjects(),
        most_subjects: d.most_subjects(),
        columns: columns(d),
        required_terms: d
            .required_terms()
            .iter()
            .map(|t| t.as_str().to_owned())
            .collect(),
        accounts: accounts(face),
        description_digest: d.digest().as_bytes().to_vec(),
        tables: d.tables().iter().map(table_rows).collect(),
    }
}

fn table_rows(table: &Table) -> v1::TableRows {
    v1::TableRows {
        name: table.name.clone(),
        most_rows_per_subject: table.most_rows_per_subject,
    }
}

/// All columns, with their tables' names before theirs if there are several tables.
fn columns(description: &Description) -> Vec<v1::Column> {
    let tables = description.tables();
    let of = |table: &Table| {
        let mut columns: Vec<v1::Column> = table.columns.iter().map(column).collect();
        if tables.len() > 1 {
            for column in &mut columns {
                column.name = format!("{}.{}", table.name, column.name);
            }
        }
        columns
    };
    tables.iter().flat_map(of).collect()
}

fn column(column: &Column) -> v1::Column {
    let Column {
        name,
        domain,
        unit,
        meaning,
        source,
        may_be_missing,
        missing_share: _, // for mock rows only
        constant_per_subject,
        typical,
        keys,
    } = column;
    let (kind, lowest, highest, values) = match domain {
        Domain::Integer { lowest, highest } => {
            ("integer", *lowest as f64, *highest as f64, Vec::new())
        }
        Domain::Number { lowest, highest } => ("number", *lowest, *highest, Vec::new()),
        Domain::Category { values, other: _ } => ("category", 0.0, 0.0, values.clone()),
        Domain::Boolean => ("boolean", 0.0, 1.0, Vec::new()),
        Domain::Date { first, last } => ("date", f64::from(*first), f64::from(*last), Vec::new()),
        Domain::Text { most_characters } => ("text", 0.0, f64::from(*most_characters), Vec::new()),
    };
    v1::Column {
        name: name.clone(),
        r#type: kind.to_owned(),
        lowest,
        highest,
        values,
        unit: unit.clone(),
        meaning: meaning.clone(),
        source: source.clone(),
        may_be_missing: *may_be_missing,
        constant_per_subject: *constant_per_subject,
        keys: keys.as_ref().map(text_keys),
        typical: typical.map_or_else(Vec::new, |(low, high)| vec![low, high]),
    }
}

fn text_keys(keys: &TextKeys) -> v1::TextKeys {
    let TextKeys {
        per_person,
        most,
        characters,
        delta,
    } = *keys;
    v1::TextKeys {
        per_person,
        most,
        characters,
        delta_units: delta.units(),
    }
}

pub(super) fn accounts(face: &DatasetFace) -> Vec<v1::Account> {
    face.accounts.iter().map(|a| account(face, a)).collect()
}

/// One account under the name that people know it by: a population with a single dataset is named
/// with it, because people know the dataset.
fn account(face: &DatasetFace, view: &AccountView) -> v1::Account {
    let name = match &view.account {
        obscura_ledger::Account::Population(_) if face.sole => {
            let population = &face.view.population;
            format!("population {population} (dataset {})", face.view.name)
        }
        obscura_ledger::Account::Population(name) => format!("population {name}"),
        obscura_ledger::Account::Dataset(_) => format!("dataset {} alone", face.view.name),
    };
    let limit = view.limit.as_ref();
    let nano = |rho: Option<Rho>| rho.map_or(0, Rho::nano);
    let units = |delta: Option<DeltaCharge>| delta.unwrap_or_default().units();
    v1::Account {
        name,
        has_limit: limit.is_some(),
        mode: limit
            .map_or(v1::Mode::Unspecified, |l| wire::mode_to(l.mode))
            .into(),
        epsilon: limit.map_or(0.0, |l| l.limit.epsilon()),
        delta: limit.map_or(0.0, |l| l.limit.delta().get()),
        limit_nano: nano(limit.map(|l| l.limit.rho())),
        meter_nano: view.meter.nano(),
        reserved_nano: view.reserved.nano(),
        largest_release_nano: nano(limit.map(|l| l.limit.largest_release())),
        smallest_release_nano: nano(limit.map(|l| l.limit.smallest_release())),
        guarantee_nano: nano(view.guarantee.as_ref().map(|l| l.limit.rho())),
        keys_units: units(limit.map(|l| l.delta_keys)),
        keys_taken_units: view.meter_keys.units(),
        keys_guarantee_units: units(view.guarantee.as_ref().map(|l| l.delta_keys)),
    }
}

pub(super) fn person(person: &Person) -> v1::Person {
    v1::Person {
        key: person.key.as_bytes().to_vec(),
        name: person.name.to_string(),
        role: match person.role {
            Role::Scientist => "scientist",
            Role::Owner => "owner",
        }
        .to_owned(),
    }
}

pub(super) fn study(node: &Node, face: &StudyFace) -> v1::StudyStatus {
    let StudyFace { view, study } = face;
    let release = |runs: &obscura_ledger::ReleaseRuns| v1::ReleaseStatus {
        name: runs.release.name.to_string(),
        price_nano: runs.release.price.nano(),
        times: runs.release.times,
        runs: runs.committed,
    };
    v1::StudyStatus {
        study_id: view.id.as_bytes().to_vec(),
        digest: view.digest.as_bytes().to_vec(),
        title: study.title().to_owned(),
        state: wire::state_to(view.state).into(),
        reason: view.reason.clone(),
        releases: view.releases.iter().map(release).collect(),
        expires_unix_ms: view.expires.0,
        changed_unix_ms: view.decided.unwrap_or(view.submitted).0,
        dataset: study.dataset().to_string(),
        dataset_version: view.dataset.version,
        scientist: studies::scientist_name(node, &view.scientist),
        project: view.project.to_string(),
    }
}

/// All studies that the caller may see, in the order of submission.
pub(super) fn studies(node: &Node, caller: &Caller) -> Result<v1::ListStudiesResponse, Error> {
    let faces = studies::all(node, caller)?;
    let studies = faces.iter().map(|face| study(node, face)).collect();
    Ok(v1::ListStudiesResponse { studies })
}

pub(super) fn review(node: &Node, review: &Review) -> v1::Review {
    let release = |r: &ReviewedRelease| v1::ReviewedRelease {
        name: r.name.clone(),
        words: r.words.clone(),
        canonical_sql: r.canonical_sql.clone(),
        shape: Some(wire::shape_to(&r.shape)),
        price_nano: r.price.nano(),
        times: r.times,
        options: wire::options_to(&r.options),
    };
    v1::Review {
        status: Some(study(node, &review.face)),
        document: Some(wire::study_to(&review.face.study)),
        releases: review.releases.iter().map(release).collect(),
        price_nano: review.price.nano(),
        accounts: accounts(&review.dataset),
        warnings: review.warnings.clone(),
        scientist_name: review.scientist.clone(),
        code_lists: review.code_lists.iter().map(code_list).collect(),
    }
}

fn code_list(list: &ReviewedCodeList) -> v1::ReviewedCodeList {
    v1::ReviewedCodeList {
        reference: list.reference.clone(),
        title: list.title.clone(),
        codes: u32::try_from(list.codes).unwrap_or(u32::MAX),
        author: list.author.clone(),
    }
}

pub(super) fn project(node: &Node, face: &ProjectFace) -> v1::Project {
    let ProjectFace {
        name,
        members,
        waiting,
        share: (limit, taken),
    } = face;
    let member = |confirmed| {
        move |key: &KeyId| v1::Member {
            key: key.as_bytes().to_vec(),
            name: studies::scientist_name(node, key),
            confirmed,
        }
    };
    let members = members.iter().map(member(true));
    v1::Project {
        name: name.to_string(),
        members: members.chain(waiting.iter().map(member(false))).collect(),
        limit_nano: limit.map_or(0, Rho::nano),
        taken_nano: taken.nano(),
    }
}

pub(super) fn projects(node: &Node, faces: &[ProjectFace]) -> v1::ListProjectsResponse {
    let projects = faces.iter().map(|face| project(node, face)).collect();
    v1::ListProjectsResponse { projects }
}

pub(super) fn grant(node: &Node, face: &GrantFace) -> v1::Grant {
    let GrantFace { view, dataset } = face;
    let state = match view.state {
        GrantState::InForce => v1::GrantState::InForce,
        GrantState::Used => v1::GrantState::Used,
        GrantState::Expired => v1::GrantState::Expired,
        GrantState::Revoked => v1::GrantState::Revoked,
        GrantState::Suspended => v1::GrantState::Suspended,
    };
    v1::Grant {
        grant_id: view.id.as_bytes().to_vec(),
        project: view.project.to_string(),
        scientist: Some(v1::Person {
            key: view.scientist.as_bytes().to_vec(),
            name: studies::scientist_name(node, &view.scientist),
            role: "scientist".to_owned(),
        }),
        dataset: dataset.clone(),
        columns: view.columns.clone(),
        most_nano: view.most.nano(),
        taken_nano: view.taken.nano(),
        releases: view.releases,
        begun: view.begun,
        expires_unix_ms: view.expires.0,
        reason: view.reason.clone(),
        state: state.into(),
        keys_units: view.delta_keys.units(),
        keys_taken_units: view.taken_keys.units(),
    }
}

pub(super) fn grants(node: &Node, faces: &[GrantFace]) -> v1::ListGrantsResponse {
    let grants = faces.iter().map(|face| grant(node, face)).collect();
    v1::ListGrantsResponse { grants }
}

/// Every account of the node once: populations, then datasets with a limit of their own.
pub(super) fn all_accounts(faces: &[DatasetFace]) -> Vec<v1::Account> {
    let mut seen = std::collections::BTreeSet::new();
    let mut all: Vec<_> = faces.iter().flat_map(accounts).collect();
    all.retain(|account| seen.insert(account.name.clone()));
    all
}

/// What a scientist's own releases added, oldest first.
pub(super) fn own_releases(node: &Node, person: &KeyId) -> Result<Vec<v1::OwnRelease>, Error> {
    let mut releases = Vec::new();
    for key in node.ledger.answered(person) {
        let found = node.ledger.release(&key)?;
        let Some(committed) = found.filter(|_| !node.veil.hides(&key)) else {
            continue;
        };
        let Some(release) = wire::decode_release(committed.body()) else {
            continue;
        };
        let (study_id, name, grant_id) = match &release.authority {
            Authority::Study { study, release, .. } => {
                let study = study.as_bytes().to_vec();
                (study, release.to_string(), Vec::new())
            }
            Authority::Grant { grant } => (Vec::new(), String::new(), grant.as_bytes().to_vec()),
        };
        releases.push(v1::OwnRelease {
            study_id,
            release: name,
            grant_id,
            price_nano: release.price.nano(),
            journal_index: committed.index(),
            committed_unix_ms: committed.time().0,
        });
    }
    releases.sort_by_key(|r| r.journal_index);
    Ok(releases)
}

/// Public exposure for the owner: accounts, scientists, stops.
pub(super) fn owner_exposure(node: &Node) -> Result<v1::OwnerExposureResponse, Error> {
    let scientists = node
        .ledger
        .people()
        .into_iter()
        .map(|p| v1::ScientistExposure {
            person: Some(person(&p)),
            limit_nano: p.limit.map_or(0, Rho::nano),
            used_nano: p.taken.nano(),
        });
    let populations = node.ledger.populations(node.now());
    let stops = populations.iter().map(|p| p.stops).max().unwrap_or(0);
    Ok(v1::OwnerExposureResponse {
        accounts: all_accounts(&node.datasets()?),
        scientists: scientists.collect(),
        stops,
        most_stops: obscura_ledger::MOST_STOPS,
        lifts: populations.iter().map(|p| p.lifts).sum(),
        stopped: populations.iter().any(|p| p.stopped),
        overruns: node.overruns(),
    })
}
