//! What allows a release: an approved study, run by a member of its project, or a standing grant,
//! used by its scientist.

use obscura_model::exposure::Rho;
use obscura_model::ids::{GrantId, ReleaseName, StudyId, UnixMillis};
use obscura_privacy::admission;

use super::super::Inner;
use super::{AdmitRequest, Allowed};
use crate::error::Refusal;
use crate::record::{Authority, Role, StudyRelease};
use crate::state::{GrantEntry, StudyEntry};
use crate::views::{GrantState, StudyState};

impl Inner {
    /// The study or grant, if this person may use it for this release now.
    pub(super) fn allowed(
        &self,
        request: &AdmitRequest,
        time: UnixMillis,
    ) -> Result<Allowed, Refusal> {
        self.enrolled(&request.key.person, Role::Scientist)?;
        match &request.authority {
            Authority::Study { study, release } => {
                let entry = self.runnable(request, *study, release, time)?;
                Ok(Allowed {
                    project: entry.study.project.clone(),
                    population: entry.population.clone(),
                })
            }
            Authority::Grant { grant } => {
                let entry = self.granted(request, *grant, time)?;
                let dataset = self.state.datasets.get(&request.dataset.id);
                Ok(Allowed {
                    project: entry.grant.project.clone(),
                    population: dataset.ok_or(Refusal::NoDataset)?.population.clone(),
                })
            }
        }
    }

    /// The price must be the one that the owner approved, or fit what the owner granted.
    pub(super) fn within_authority(
        &self,
        request: &AdmitRequest,
        price: Rho,
    ) -> Result<(), Refusal> {
        match &request.authority {
            Authority::Study { study, release } => {
                let entry = self.state.studies.get(study);
                let entry = entry.ok_or(Refusal::NoStudy(*study))?;
                let approved = approved(entry, *study, release)?.price;
                if approved == price {
                    Ok(())
                } else {
                    Err(Refusal::PriceDiffers { price, approved })
                }
            }
            Authority::Grant { grant } => {
                let entry = self.state.grants.get(grant);
                let entry = entry.ok_or(Refusal::NoGrant(*grant))?;
                admission::within_grant(price, entry.taken, entry.grant.most)?;
                let (asked, most) = (request.delta_keys, entry.grant.delta_keys);
                if admission::keys_fit(asked, entry.taken_keys, most) {
                    Ok(())
                } else {
                    Err(Refusal::GrantKeys(*grant))
                }
            }
        }
    }

    /// The study, if this person may run it and it allows this release now. To who is no member
    /// and did not submit it, it does not exist.
    fn runnable(
        &self,
        request: &AdmitRequest,
        id: StudyId,
        release: &ReleaseName,
        time: UnixMillis,
    ) -> Result<&StudyEntry, Refusal> {
        let person = &request.key.person;
        let study = self.state.studies.get(&id).ok_or(Refusal::NoStudy(id))?;
        if !self.state.is_member(&study.study.project, person) {
            return Err(if study.study.scientist == *person {
                Refusal::NotAMember(study.study.project.clone())
            } else {
                Refusal::NoStudy(id)
            });
        }
        match study.state(time) {
            StudyState::Approved | StudyState::Completed => {}
            state => return Err(Refusal::StudyState { study: id, state }),
        }
        if study.study.dataset != request.dataset {
            return Err(Refusal::StudyDataset(id));
        }
        let approved = approved(study, id, release)?;
        let runs = study.release(release).and_then(|at| study.runs.get(at));
        if runs.is_none_or(|runs| runs.begun >= approved.times) {
            return Err(Refusal::NoRunLeft {
                release: release.clone(),
                times: approved.times,
            });
        }
        let asked = (request.require_complete, request.delta_keys);
        if asked != (approved.require_complete, approved.delta_keys) {
            return Err(Refusal::TermsDiffer(release.clone()));
        }
        if ![request.canonical, StudyRelease::NO_CANONICAL].contains(&approved.canonical) {
            return Err(Refusal::QueryDiffers(release.clone()));
        }
        Ok(study)
    }

    /// The grant, if it is this person's and allows such a release now.
    fn granted(
        &self,
        request: &AdmitRequest,
        id: GrantId,
        time: UnixMillis,
    ) -> Result<&GrantEntry, Refusal> {
        let person = request.key.person;
        let entry = self.state.grants.get(&id);
        let entry = entry.filter(|entry| entry.grant.scientist == person);
        let entry = entry.ok_or(Refusal::NoGrant(id))?;
        if !self.state.is_member(&entry.grant.project, &person) {
            return Err(Refusal::NotAMember(entry.grant.project.clone()));
        }
        match entry.state(time) {
            GrantState::InForce => {}
            state => return Err(Refusal::GrantState { grant: id, state }),
        }
        if entry.grant.dataset != request.dataset.id {
            return Err(Refusal::GrantDataset(id));
        }
        // An owner who grants a dataset grants it as it is, not rows that were since taken out.
        let dataset = self.state.datasets.get(&request.dataset.id);
        let newest = dataset.ok_or(Refusal::NoDataset)?.versions.len() as u64;
        if u64::from(request.dataset.version) != newest {
            return Err(Refusal::NotNewest);
        }
        let missing = |column: &&String| !entry.grant.columns.contains(column);
        if let Some(column) = request.columns.iter().find(missing) {
            return Err(Refusal::GrantColumn {
                grant: id,
                column: column.clone(),
            });
        }
        let of = |column: &String, table: &String| {
            let rest = column.strip_prefix(table.as_str());
            rest.is_some_and(|rest| rest.starts_with('.'))
        };
        let columns = &entry.grant.columns;
        if request.tables.is_empty() && columns.iter().any(|column| column.contains('.')) {
            // Rows alone can be counted without a column, perhaps those of a table that was closed.
            return Err(Refusal::GrantTables(id));
        }
        let closed = |table: &&String| !columns.iter().any(|column| of(column, table));
        match request.tables.iter().find(closed) {
            None => Ok(entry),
            Some(table) => Err(Refusal::GrantTable {
                grant: id,
                table: table.clone(),
            }),
        }
    }
}

/// The release as it was approved.
fn approved<'a>(
    entry: &'a StudyEntry,
    study: StudyId,
    release: &ReleaseName,
) -> Result<&'a StudyRelease, Refusal> {
    let mut releases = entry.study.releases.iter();
    releases
        .find(|approved| approved.name == *release)
        .ok_or_else(|| Refusal::NoRelease {
            study,
            release: release.clone(),
        })
}
