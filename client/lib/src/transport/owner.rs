//! Owner: the administration of one's own node.

use obscura_model::envelope::Reality;
use obscura_model::exposure::{Delta, Rho};
use obscura_model::identity::Party;
use obscura_model::ids::ReleaseName;
use obscura_model::ids::{
    DatasetName, Digest, KeyId, PartyName, PopulationName, StudyId, UnixMillis,
};
use obscura_model::study::Verdict;
use obscura_model::wire::{self, InvalidWire};
use obscura_wire::v1;

use super::catalogue::{account_from, accounts_from, dataset_from, share_from};
use super::studies::{status_from, statuses_from, study_request};
use super::{LONG, Peer, Repeat, Rpc, SHORT, Transport, form};
use crate::catalogue::{Account, Dataset};
use crate::error::Error;
use crate::owner::{
    Added, AskedQuestion, Log, LogEntry, NewDataset, NewLimit, OwnerExposure, Review,
    ReviewedCodeList, ReviewedRelease, ScientistExposure, ScientistLimit,
};
use crate::studies::StudyStatus;

/// A decision with everything that it pins.
pub(crate) struct Pinned<'a> {
    pub(crate) status: &'a StudyStatus,
    pub(crate) dataset: &'a Dataset,
    pub(crate) verdict: Verdict,
    pub(crate) reason: &'a str,
    pub(crate) ceiling: Rho,
    pub(crate) queries: Digest,
}

pub(super) const fn deciding<Q, A>(path: &'static str) -> Rpc<Q, A> {
    Rpc::new(path, Reality::Real, Repeat::Never, SHORT)
}

impl Transport {
    pub(crate) async fn add_dataset(&self, to: &Peer, new: &NewDataset) -> Result<Added, Error> {
        let NewDataset {
            description,
            apart,
            opt_out,
        } = new;
        let path = "/obscura.v1.Owner/AddDataset";
        let rpc = Rpc::<_, v1::AddDatasetResponse>::new(path, Reality::Real, Repeat::Never, LONG);
        let body = v1::AddDatasetRequest {
            description: description.clone(),
            apart: *apart,
            opt_out: opt_out.ids().to_vec(),
            salt: if opt_out.is_empty() {
                Vec::new()
            } else {
                self.salt()?
            },
        };
        let answer = self.call(to, rpc, &body).await?;
        added_from(answer).map_err(form(to))
    }

    pub(crate) async fn set_limit(&self, to: &Peer, limit: &NewLimit) -> Result<Account, Error> {
        let rpc = deciding::<_, v1::Account>("/obscura.v1.Owner/SetLimit");
        let account = self.call(to, rpc, &limit_to(limit)).await?;
        account_from(account).map_err(form(to))
    }

    pub(crate) async fn rehearse_limit(&self, to: &Peer, limit: &NewLimit) -> Result<(), Error> {
        let rpc = Rpc::<_, v1::Done>::reading("/obscura.v1.Owner/RehearseLimit");
        let v1::Done {} = self.call(to, rpc, &limit_to(limit)).await?;
        Ok(())
    }

    pub(crate) async fn set_scientist_limit(
        &self,
        to: &Peer,
        limit: &ScientistLimit,
    ) -> Result<(), Error> {
        let rpc = deciding::<_, v1::Done>("/obscura.v1.Owner/SetScientistLimit");
        let ScientistLimit {
            scientist,
            epsilon,
            delta,
            reason,
        } = limit;
        let body = v1::SetScientistLimitRequest {
            scientist: scientist.map(|k| k.as_bytes().to_vec()).unwrap_or_default(),
            epsilon: *epsilon,
            delta: delta.get(),
            reason: reason.clone(),
        };
        let v1::Done {} = self.call(to, rpc, &body).await?;
        Ok(())
    }

    pub(crate) async fn enrol(&self, to: &Peer, certificate: &[u8]) -> Result<Party, Error> {
        let rpc = deciding::<_, v1::Person>("/obscura.v1.Owner/Enrol");
        let body = v1::EnrolRequest {
            certificate: certificate.to_vec(),
        };
        let person = self.call(to, rpc, &body).await?;
        person_from(person).map_err(form(to))
    }

    pub(crate) async fn list_requests(&self, to: &Peer) -> Result<Vec<StudyStatus>, Error> {
        let rpc = Rpc::<_, v1::ListStudiesResponse>::reading("/obscura.v1.Owner/ListRequests");
        let answer = self.call(to, rpc, &v1::ListRequestsRequest {}).await?;
        statuses_from(answer).map_err(form(to))
    }

    /// The review; the dataset is read separately, because a decision pins its id.
    pub(crate) async fn review(&self, to: &Peer, study: StudyId) -> Result<Review, Error> {
        let rpc = Rpc::<_, v1::Review>::reading("/obscura.v1.Owner/Review");
        let review = self.call(to, rpc, &study_request(study)).await?;
        let dataset = review.status.as_ref().map(|s| s.dataset.clone());
        let dataset = DatasetName::new(&dataset.unwrap_or_default())
            .map_err(|e| form(to)(InvalidWire::Id(e)))?;
        let dataset = self.get_dataset(to, &dataset).await?;
        review_from(review, dataset).map_err(form(to))
    }

    pub(crate) async fn decide(&self, to: &Peer, pinned: Pinned<'_>) -> Result<StudyStatus, Error> {
        let rpc = deciding::<_, v1::StudyStatus>("/obscura.v1.Owner/Decide");
        let Pinned {
            status,
            dataset,
            verdict,
            reason,
            ceiling,
            queries,
        } = pinned;
        let body = v1::Decision {
            study_id: status.id.as_bytes().to_vec(),
            study_digest: status.digest.as_bytes().to_vec(),
            dataset_id: dataset.id.as_bytes().to_vec(),
            dataset_version: dataset.version,
            verdict: wire::verdict_to(verdict).into(),
            reason: reason.to_owned(),
            price_ceiling_nano: ceiling.nano(),
            queries_digest: queries.as_bytes().to_vec(),
        };
        let status = self.call(to, rpc, &body).await?;
        status_from(status).map_err(form(to))
    }

    pub(crate) async fn owner_exposure(&self, to: &Peer) -> Result<OwnerExposure, Error> {
        let rpc =
            Rpc::<_, v1::OwnerExposureResponse>::reading("/obscura.v1.Owner/GetOwnerExposure");
        let answer = self.call(to, rpc, &v1::OwnerExposureRequest {}).await?;
        owner_exposure_from(answer).map_err(form(to))
    }

    pub(crate) async fn log(&self, to: &Peer, from: u64, most: u32) -> Result<Log, Error> {
        let rpc = Rpc::<_, v1::LogResponse>::reading("/obscura.v1.Owner/GetLog");
        let answer = self.call(to, rpc, &v1::LogRequest { from, most }).await?;
        log_from(answer).map_err(form(to))
    }

    pub(crate) async fn lift(
        &self,
        to: &Peer,
        population: &PopulationName,
        reason: &str,
    ) -> Result<bool, Error> {
        let rpc = deciding::<_, v1::LiftResponse>("/obscura.v1.Owner/Lift");
        let body = v1::LiftRequest {
            population: population.to_string(),
            reason: reason.to_owned(),
        };
        let v1::LiftResponse { was_stopped } = self.call(to, rpc, &body).await?;
        Ok(was_stopped)
    }
}

fn limit_to(limit: &NewLimit) -> v1::SetLimitRequest {
    let NewLimit {
        dataset,
        dataset_only,
        epsilon,
        delta,
        delta_keys,
        mode,
        reason,
    } = limit;
    v1::SetLimitRequest {
        dataset: dataset.to_string(),
        dataset_only: *dataset_only,
        epsilon: *epsilon,
        delta: delta.get(),
        mode: wire::mode_to(*mode).into(),
        reason: reason.clone(),
        delta_keys: delta_keys.map_or(0.0, Delta::get),
    }
}

fn added_from(answer: v1::AddDatasetResponse) -> Result<Added, InvalidWire> {
    let v1::AddDatasetResponse {
        dataset,
        rows,
        subjects,
        rows_without_subject,
        rows_of_excluded,
        rows_beyond,
    } = answer;
    Ok(Added {
        dataset: dataset_from(dataset.ok_or(InvalidWire::Missing("a dataset"))?)?,
        rows,
        subjects,
        rows_without_subject,
        rows_of_excluded,
        rows_beyond,
    })
}

fn code_list_from(list: v1::ReviewedCodeList) -> ReviewedCodeList {
    let v1::ReviewedCodeList {
        reference,
        title,
        codes,
        author,
    } = list;
    ReviewedCodeList {
        reference,
        title,
        codes,
        author,
    }
}

fn person_from(person: v1::Person) -> Result<Party, InvalidWire> {
    let v1::Person { key, name, role } = person;
    let role = role.parse();
    Ok(Party {
        role: role.map_err(|_| InvalidWire::Missing("a known role"))?,
        name: PartyName::new(&name)?,
        key: KeyId::from_bytes(&key)?,
    })
}

fn review_from(review: v1::Review, dataset: Dataset) -> Result<Review, InvalidWire> {
    let v1::Review {
        status,
        document,
        releases,
        price_nano,
        accounts,
        warnings,
        scientist_name,
        code_lists,
    } = review;
    let release = |v1::ReviewedRelease {
                       name,
                       words,
                       canonical_sql,
                       shape,
                       price_nano,
                       times,
                       options,
                   }: v1::ReviewedRelease| {
        Ok(ReviewedRelease {
            name: ReleaseName::new(&name)?,
            words,
            canonical_sql,
            shape: wire::shape_from(shape)?,
            price: Rho::from_nano(price_nano),
            times,
            options: wire::options_from(options),
        })
    };
    let study = wire::study_from(document.ok_or(InvalidWire::Missing("a document"))?)?;
    let releases = releases.into_iter().map(release);
    Ok(Review {
        status: status_from(status.ok_or(InvalidWire::Missing("a status"))?)?,
        digest: Digest::of(&wire::study_encode(&study)),
        study,
        releases: releases.collect::<Result<_, InvalidWire>>()?,
        price: Rho::from_nano(price_nano),
        accounts: accounts_from(accounts)?,
        warnings,
        scientist: scientist_name,
        code_lists: code_lists.into_iter().map(code_list_from).collect(),
        dataset,
    })
}

fn owner_exposure_from(answer: v1::OwnerExposureResponse) -> Result<OwnerExposure, InvalidWire> {
    let v1::OwnerExposureResponse {
        accounts,
        scientists,
        stops,
        most_stops,
        lifts,
        stopped,
        overruns,
    } = answer;
    let scientist = |v1::ScientistExposure {
                         person,
                         limit_nano,
                         used_nano,
                     }: v1::ScientistExposure| {
        Ok(ScientistExposure {
            person: person_from(person.ok_or(InvalidWire::Missing("a person"))?)?,
            share: share_from(limit_nano, used_nano),
        })
    };
    let scientists = scientists.into_iter().map(scientist);
    Ok(OwnerExposure {
        accounts: accounts_from(accounts)?,
        scientists: scientists.collect::<Result<_, InvalidWire>>()?,
        stops,
        most_stops,
        lifts,
        stopped,
        overruns,
    })
}

fn log_from(answer: v1::LogResponse) -> Result<Log, InvalidWire> {
    let v1::LogResponse {
        entries,
        head_size,
        head_root,
    } = answer;
    let entry = |v1::LogEntry {
                     index,
                     time_unix_ms,
                     kind,
                     text,
                     question_sql,
                     question_words,
                 }| LogEntry {
        index,
        time: UnixMillis(time_unix_ms),
        kind,
        text,
        question: (!question_sql.is_empty()).then_some(AskedQuestion {
            sql: question_sql,
            words: question_words,
        }),
    };
    Ok(Log {
        entries: entries.into_iter().map(entry).collect(),
        head_size,
        head_root: Digest::from_bytes(&head_root)?,
    })
}
