//! Directory, Catalogue and Exposure.

use std::collections::BTreeSet;

use obscura_model::exposure::{Delta, DeltaCharge, Rho};
use obscura_model::ids::{
    DatasetId, DatasetName, Digest, GrantId, ReleaseName, StudyId, UnixMillis,
};
use obscura_model::schema::{Domain, StudyTerm, TextKeys};
use obscura_model::wire::{self, InvalidWire};
use obscura_wire::v1;

use super::{Peer, Rpc, Transport, form};
use crate::catalogue::{
    Account, AccountLimit, Column, Dataset, Exposure, OwnRelease, Share, Source, TableRows,
};
use crate::error::Error;

/// A node as the gateway lists it: nothing is checked yet.
pub(crate) struct ListedNode {
    pub(crate) name: String,
    pub(crate) certificate: Vec<u8>,
    pub(crate) reachable: bool,
}

impl Transport {
    pub(crate) async fn list_nodes(&self, to: &Peer) -> Result<Vec<ListedNode>, Error> {
        let rpc = Rpc::<_, v1::ListNodesResponse>::reading("/obscura.v1.Directory/ListNodes");
        let v1::ListNodesResponse { nodes } = self.call(to, rpc, &v1::ListNodesRequest {}).await?;
        let node = |v1::Node {
                        name,
                        certificate,
                        reachable,
                    }| ListedNode {
            name,
            certificate,
            reachable,
        };
        Ok(nodes.into_iter().map(node).collect())
    }

    pub(crate) async fn list_datasets(&self, to: &Peer) -> Result<Vec<Dataset>, Error> {
        let rpc = Rpc::<_, v1::ListDatasetsResponse>::reading("/obscura.v1.Catalogue/ListDatasets");
        let v1::ListDatasetsResponse { datasets } =
            self.call(to, rpc, &v1::ListDatasetsRequest {}).await?;
        let datasets = datasets.into_iter().map(dataset_from);
        datasets.collect::<Result<_, _>>().map_err(form(to))
    }

    pub(crate) async fn get_dataset(
        &self,
        to: &Peer,
        name: &DatasetName,
    ) -> Result<Dataset, Error> {
        let rpc = Rpc::<_, v1::Dataset>::reading("/obscura.v1.Catalogue/GetDataset");
        let body = v1::GetDatasetRequest {
            name: name.to_string(),
        };
        let dataset = self.call(to, rpc, &body).await?;
        dataset_from(dataset).map_err(form(to))
    }

    pub(crate) async fn get_exposure(&self, to: &Peer) -> Result<Exposure, Error> {
        let rpc = Rpc::<_, v1::GetExposureResponse>::reading("/obscura.v1.Exposure/GetExposure");
        let answer = self.call(to, rpc, &v1::GetExposureRequest {}).await?;
        exposure_from(answer).map_err(form(to))
    }
}

fn exposure_from(answer: v1::GetExposureResponse) -> Result<Exposure, InvalidWire> {
    let v1::GetExposureResponse {
        accounts,
        releases,
        scientist_limit_nano,
        scientist_used_nano,
    } = answer;
    let releases = releases.into_iter().map(own_release_from);
    Ok(Exposure {
        accounts: accounts_from(accounts)?,
        releases: releases.collect::<Result<_, _>>()?,
        share: share_from(scientist_limit_nano, scientist_used_nano),
    })
}

fn own_release_from(release: v1::OwnRelease) -> Result<OwnRelease, InvalidWire> {
    let v1::OwnRelease {
        study_id,
        release,
        price_nano,
        journal_index,
        committed_unix_ms,
        grant_id,
    } = release;
    let source = if grant_id.is_empty() {
        Source::Study {
            study: StudyId::from_bytes(&study_id)?,
            release: ReleaseName::new(&release)?,
        }
    } else {
        Source::Grant(GrantId::from_bytes(&grant_id)?)
    };
    Ok(OwnRelease {
        source,
        price: Rho::from_nano(price_nano),
        journal_index,
        committed: UnixMillis(committed_unix_ms),
    })
}

pub(super) fn share_from(limit: u64, used: u64) -> Share {
    Share {
        limit: (limit > 0).then_some(Rho::from_nano(limit)),
        used: Rho::from_nano(used),
    }
}

pub(super) fn accounts_from(accounts: Vec<v1::Account>) -> Result<Vec<Account>, InvalidWire> {
    accounts.into_iter().map(account_from).collect()
}

pub(super) fn account_from(account: v1::Account) -> Result<Account, InvalidWire> {
    let v1::Account {
        name,
        has_limit,
        mode,
        epsilon,
        delta,
        limit_nano,
        meter_nano,
        reserved_nano,
        largest_release_nano,
        smallest_release_nano,
        guarantee_nano,
        keys_units,
        keys_taken_units,
        keys_guarantee_units,
    } = account;
    let limit = if has_limit {
        Some(AccountLimit {
            mode: wire::mode_from(mode)?,
            epsilon,
            delta: Delta::new(delta).map_err(|_| InvalidWire::Missing("a delta"))?,
            rho: Rho::from_nano(limit_nano),
            largest_release: Rho::from_nano(largest_release_nano),
            smallest_release: Rho::from_nano(smallest_release_nano),
            guarantee: Rho::from_nano(guarantee_nano),
            keys: DeltaCharge::from_units(keys_units),
            keys_guarantee: DeltaCharge::from_units(keys_guarantee_units),
        })
    } else {
        None
    };
    Ok(Account {
        name,
        limit,
        meter: Rho::from_nano(meter_nano),
        reserved: Rho::from_nano(reserved_nano),
        keys_taken: DeltaCharge::from_units(keys_taken_units),
    })
}

pub(super) fn dataset_from(dataset: v1::Dataset) -> Result<Dataset, InvalidWire> {
    let v1::Dataset {
        id,
        name,
        version,
        title,
        about,
        subject_unit,
        subject_column,
        most_rows_per_subject,
        fewest_subjects,
        most_subjects,
        columns,
        required_terms,
        accounts,
        description_digest,
        tables,
    } = dataset;
    let term = |text: String| {
        let mut all = StudyTerm::ALL.into_iter();
        let unknown = InvalidWire::Missing("a known term of a study");
        all.find(|t| t.as_str() == text).ok_or(unknown)
    };
    let required_terms = required_terms.into_iter().map(term);
    let columns = columns.into_iter().map(column_from);
    Ok(Dataset {
        id: DatasetId::from_bytes(&id)?,
        name: DatasetName::new(&name)?,
        version,
        title,
        about,
        subject_unit,
        subject_column,
        most_rows_per_subject,
        fewest_subjects,
        most_subjects,
        columns: columns.collect::<Result<_, _>>()?,
        required_terms: required_terms.collect::<Result<BTreeSet<_>, _>>()?,
        accounts: accounts_from(accounts)?,
        description_digest: Digest::from_bytes(&description_digest)?,
        tables: tables.into_iter().map(table_from).collect(),
    })
}

fn table_from(table: v1::TableRows) -> TableRows {
    let v1::TableRows {
        name,
        most_rows_per_subject,
    } = table;
    TableRows {
        name,
        most_rows_per_subject,
    }
}

fn column_from(column: v1::Column) -> Result<Column, InvalidWire> {
    let v1::Column {
        name,
        r#type,
        lowest,
        highest,
        values,
        unit,
        meaning,
        source,
        may_be_missing,
        constant_per_subject,
        keys,
        typical,
    } = column;
    let bounded = lowest.is_finite() && highest.is_finite() && lowest <= highest;
    let domain = match r#type.as_str() {
        // Declared integers are within 2^53, so they are exact as floating-point numbers.
        "integer" if bounded => Domain::Integer {
            lowest: lowest as i64,
            highest: highest as i64,
        },
        "number" if bounded => Domain::Number { lowest, highest },
        "category" => Domain::Category {
            values,
            other: None,
        },
        "boolean" => Domain::Boolean,
        // Both are whole numbers within 32 bits on the wire; a cast saturates what is not.
        "date" if bounded => Domain::Date {
            first: lowest as i32,
            last: highest as i32,
        },
        "text" if highest >= 1.0 => Domain::Text {
            most_characters: highest as u32,
        },
        _ => return Err(InvalidWire::Missing("a known type of a column")),
    };
    Ok(Column {
        name,
        domain,
        unit,
        meaning,
        source,
        may_be_missing,
        constant_per_subject,
        keys: keys.map(text_keys_from),
        typical: match typical.as_slice() {
            [low, high] => Some((*low, *high)),
            _ => None,
        },
    })
}

fn text_keys_from(keys: v1::TextKeys) -> TextKeys {
    let v1::TextKeys {
        per_person,
        most,
        characters,
        delta_units,
    } = keys;
    TextKeys {
        per_person,
        most,
        characters,
        delta: DeltaCharge::from_units(delta_units),
    }
}
