//! Projects: who works on a question together.
//!
//! Every price is counted for the person who asks and for the project, both for ever. So a new
//! member never multiplies what a project may take, and leaving takes nothing back. Both limits are
//! a fair share and a brake on public values; neither is a privacy guarantee, because scientists
//! adapt to each other's answers. The guarantee is the population limit.

use obscura_model::exposure::Rho;
use obscura_model::ids::{KeyId, ProjectName, UnixMillis};

use super::{Inner, Ledger};
use crate::error::{Error, Refusal};
use crate::record::{Record, Role};
use crate::state::{ProjectEntry, State};
use crate::views::ProjectView;

impl Ledger {
    /// Asks, for an enrolled scientist, to join a project. Asking again changes nothing. Gives the
    /// record's index.
    ///
    /// # Errors
    /// If the person is not enrolled, there is no such project, or the storage fails.
    pub fn ask_to_join(
        &self,
        project: ProjectName,
        person: KeyId,
        evidence: Vec<u8>,
        now: UnixMillis,
    ) -> Result<u64, Error> {
        let mut inner = self.lock()?;
        inner.enrolled(&person, Role::Scientist)?;
        let entry = inner.existing(&project)?;
        let known = entry.members.get(&person).or(entry.waiting.get(&person));
        if let Some(index) = known {
            return Ok(*index);
        }
        let record = Record::JoinAsked {
            project,
            person,
            evidence,
        };
        inner.record(now, vec![record])
    }

    /// Confirms, for the owner, somebody who asked to join. Once is enough for all the project's
    /// studies; confirming a member changes nothing. Gives the record's index.
    ///
    /// # Errors
    /// If there is no such project, the person did not ask or is no longer enrolled, or the
    /// storage fails.
    pub fn confirm_member(
        &self,
        project: ProjectName,
        person: KeyId,
        evidence: Vec<u8>,
        now: UnixMillis,
    ) -> Result<u64, Error> {
        let mut inner = self.lock()?;
        let entry = inner.existing(&project)?;
        if let Some(index) = entry.members.get(&person) {
            return Ok(*index);
        }
        if !entry.waiting.contains_key(&person) {
            return Err(Refusal::NotWaiting(project).into());
        }
        inner.enrolled(&person, Role::Scientist)?;
        let record = Record::MemberConfirmed {
            project,
            person,
            evidence,
        };
        inner.record(now, vec![record])
    }

    /// Removes a member, or turns somebody down who asked to join. What was released stays
    /// released and counted. Gives the record's index.
    ///
    /// # Errors
    /// If there is no such project, the person is not in it and does not wait, or the storage
    /// fails.
    pub fn remove_member(
        &self,
        project: ProjectName,
        person: KeyId,
        reason: String,
        evidence: Vec<u8>,
        now: UnixMillis,
    ) -> Result<u64, Error> {
        let mut inner = self.lock()?;
        let entry = inner.existing(&project)?;
        if !entry.members.contains_key(&person) && !entry.waiting.contains_key(&person) {
            return Err(Refusal::NotAMember(project).into());
        }
        let record = Record::MemberRemoved {
            project,
            person,
            reason,
            evidence,
        };
        inner.record(now, vec![record])
    }

    /// Sets how much a project's members may take together, in public prices; without it, it is
    /// what every scientist may take. A brake, not a guarantee. Gives the record's index.
    ///
    /// # Errors
    /// If there is no such project, or the storage fails.
    pub fn set_project_limit(
        &self,
        project: ProjectName,
        rho: Rho,
        evidence: Vec<u8>,
        now: UnixMillis,
    ) -> Result<u64, Error> {
        let mut inner = self.lock()?;
        inner.existing(&project)?;
        let record = Record::ProjectLimitSet {
            project,
            rho,
            evidence,
        };
        inner.record(now, vec![record])
    }

    /// One project.
    #[must_use]
    pub fn project(&self, name: &ProjectName) -> Option<ProjectView> {
        let inner = self.peek();
        let entry = inner.state.projects.get(name)?;
        Some(inner.state.show_project(name, entry))
    }

    /// What the members of a project may take together: its own limit, or what every scientist
    /// may. Of one that does not exist yet, what it would begin with.
    #[must_use]
    pub fn project_limit(&self, name: &ProjectName) -> Option<Rho> {
        self.peek().state.project_limit(name)
    }

    /// All projects, in the order of their names.
    #[must_use]
    pub fn projects(&self) -> Vec<ProjectView> {
        let inner = self.peek();
        let projects = inner.state.projects.iter();
        projects
            .map(|(name, entry)| inner.state.show_project(name, entry))
            .collect()
    }
}

impl Inner {
    fn existing(&self, project: &ProjectName) -> Result<&ProjectEntry, Refusal> {
        let entry = self.state.projects.get(project);
        entry.ok_or_else(|| Refusal::NoProject(project.clone()))
    }

    /// The record that opens a project for who names it first; nothing for its members; anybody
    /// else is refused.
    pub(super) fn open_project(
        &self,
        project: &ProjectName,
        person: KeyId,
    ) -> Result<Option<Record>, Refusal> {
        if !self.state.projects.contains_key(project) {
            return Ok(Some(Record::ProjectOpened {
                project: project.clone(),
                first: person,
            }));
        }
        if self.state.is_member(project, &person) {
            Ok(None)
        } else {
            Err(Refusal::NotAMember(project.clone()))
        }
    }

    /// Writes a record in one append with the one that has to stand before it, and gives its
    /// index.
    pub(super) fn record_after(
        &mut self,
        now: UnixMillis,
        before: Option<Record>,
        record: Record,
    ) -> Result<u64, Error> {
        let offset = u64::from(before.is_some());
        let records = before.into_iter().chain([record]).collect();
        Ok(self.record(now, records)?.saturating_add(offset))
    }
}

impl State {
    fn show_project(&self, name: &ProjectName, entry: &ProjectEntry) -> ProjectView {
        ProjectView {
            name: name.clone(),
            members: entry.members.keys().copied().collect(),
            waiting: entry.waiting.keys().copied().collect(),
            taken: entry.taken,
            limit: self.project_limit(name),
        }
    }
}
