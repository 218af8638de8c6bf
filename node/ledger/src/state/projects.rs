//! Projects and standing grants.

use std::collections::BTreeMap;

use obscura_model::exposure::{DeltaCharge, Rho};
use obscura_model::ids::{KeyId, ProjectName, UnixMillis};

use super::apply::{Applied, At};
use super::{InvalidHistory, State};
use crate::record::{Authority, Intent, NewGrant, Record};
use crate::views::GrantState;

/// The people who work on a question together. Nobody's leaving takes anything back.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct ProjectEntry {
    /// With the record that made them one.
    pub(crate) members: BTreeMap<KeyId, u64>,
    /// With the record that asked.
    pub(crate) waiting: BTreeMap<KeyId, u64>,
    /// The prices of all intents of its studies and grants: it never goes down.
    pub(crate) taken: Rho,
    /// Its own limit, if it has one.
    pub(crate) limit: Option<Rho>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct GrantEntry {
    pub(crate) grant: NewGrant,
    pub(crate) index: u64,
    pub(crate) given: UnixMillis,
    /// Intents, also failed ones.
    pub(crate) begun: u32,
    /// The prices of all its intents: it never goes down.
    pub(crate) taken: Rho,
    /// The same of delta for keys that are not declared.
    pub(crate) taken_keys: DeltaCharge,
    /// Revoked or suspended by this record, and why.
    pub(crate) ended: Option<(GrantState, u64, String)>,
}

impl GrantEntry {
    /// Where it stands at `now`. Expiry follows from the time; there is no timer.
    pub(crate) fn state(&self, now: UnixMillis) -> GrantState {
        match &self.ended {
            Some((state, ..)) => *state,
            None if now > self.grant.expires => GrantState::Expired,
            None if self.begun >= self.grant.releases || self.taken >= self.grant.most => {
                GrantState::Used
            }
            None => GrantState::InForce,
        }
    }
}

impl State {
    /// Whether the person may run what belongs to the project.
    pub(crate) fn is_member(&self, project: &ProjectName, person: &KeyId) -> bool {
        let entry = self.projects.get(project);
        entry.is_some_and(|entry| entry.members.contains_key(person))
    }

    /// The limit of a project: its own, or what every scientist may take.
    pub(crate) fn project_limit(&self, project: &ProjectName) -> Option<Rho> {
        let own = self.projects.get(project).and_then(|entry| entry.limit);
        own.or(self.every_scientist)
    }

    fn project_mut(&mut self, name: &ProjectName) -> Result<&mut ProjectEntry, InvalidHistory> {
        let entry = self.projects.get_mut(name);
        entry.ok_or(InvalidHistory::Unknown("a project"))
    }

    pub(super) fn apply_project(&mut self, record: Record, at: At) -> Applied {
        match record {
            Record::ProjectOpened { project, first } => {
                let mut entry = ProjectEntry::default();
                entry.members.insert(first, at.index);
                match self.projects.insert(project, entry) {
                    Some(_) => Err(InvalidHistory::Twice("a project")),
                    None => Ok(()),
                }
            }
            Record::JoinAsked {
                project, person, ..
            } => {
                let entry = self.project_mut(&project)?;
                entry.waiting.insert(person, at.index);
                Ok(())
            }
            Record::MemberConfirmed {
                project, person, ..
            } => {
                let entry = self.project_mut(&project)?;
                let asked = entry.waiting.remove(&person);
                asked.ok_or(InvalidHistory::Unknown("a request to join"))?;
                entry.members.insert(person, at.index);
                Ok(())
            }
            Record::MemberRemoved {
                project, person, ..
            } => {
                let entry = self.project_mut(&project)?;
                let waited = entry.waiting.remove(&person).is_some();
                if entry.members.remove(&person).is_some() || waited {
                    Ok(())
                } else {
                    Err(InvalidHistory::Unknown("a member"))
                }
            }
            Record::ProjectLimitSet { project, rho, .. } => {
                self.project_mut(&project)?.limit = Some(rho);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    pub(super) fn apply_grant(&mut self, record: Record, at: At) -> Applied {
        let unknown = InvalidHistory::Unknown("a grant");
        match record {
            Record::GrantGiven(grant) => {
                if !self.projects.contains_key(&grant.project) {
                    return Err(InvalidHistory::Unknown("a project"));
                }
                let id = grant.id;
                let entry = GrantEntry {
                    grant,
                    index: at.index,
                    given: at.time,
                    begun: 0,
                    taken: Rho::ZERO,
                    taken_keys: DeltaCharge::ZERO,
                    ended: None,
                };
                self.grant_order.push(id);
                match self.grants.insert(id, entry) {
                    Some(_) => Err(InvalidHistory::Twice("a grant")),
                    None => Ok(()),
                }
            }
            Record::GrantRevoked { grant, reason, .. } => {
                let entry = self.grants.get_mut(&grant).ok_or(unknown)?;
                entry.ended = Some((GrantState::Revoked, at.index, reason));
                Ok(())
            }
            Record::GrantSuspended { grant, why } => {
                let entry = self.grants.get_mut(&grant).ok_or(unknown)?;
                if entry.ended.is_none() {
                    entry.ended = Some((GrantState::Suspended, at.index, why));
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Counts an intent's price where public prices are counted, for ever: meters, person,
    /// project, and the study or grant that allows it. Failing is itself an answer, so nothing
    /// ever takes it off again.
    pub(super) fn count(&mut self, intent: &Intent) -> Applied {
        let range = InvalidHistory::Range("a meter");
        let add = |sum: &mut Rho| -> Applied {
            *sum = sum.checked_add(intent.price).ok_or(range)?;
            Ok(())
        };
        for account in &intent.accounts {
            let entry = self.accounts.get_mut(&account.account);
            let entry = entry.ok_or(InvalidHistory::Unknown("an account"))?;
            add(&mut entry.meter)?;
            let keys: Option<DeltaCharge> = entry.meter_keys.checked_add(intent.delta_keys);
            entry.meter_keys = keys.ok_or(range)?;
        }
        add(self.taken.entry(intent.key.person).or_default())?;
        let project = match &intent.authority {
            Authority::Study { study, release } => {
                let study = self.studies.get_mut(study);
                let study = study.ok_or(InvalidHistory::Unknown("a study"))?;
                let position = study.release(release);
                let runs = position.and_then(|at| study.runs.get_mut(at));
                let runs = runs.ok_or(InvalidHistory::Unknown("a release"))?;
                runs.begun = runs.begun.saturating_add(1);
                study.held = study.held.saturating_sub(intent.price);
                study.study.project.clone()
            }
            Authority::Grant { grant } => {
                let entry = self.grants.get_mut(grant);
                let entry = entry.ok_or(InvalidHistory::Unknown("a grant"))?;
                entry.begun = entry.begun.saturating_add(1);
                add(&mut entry.taken)?;
                let keys = entry.taken_keys.checked_add(intent.delta_keys);
                entry.taken_keys = keys.ok_or(range)?;
                entry.grant.project.clone()
            }
        };
        add(&mut self.project_mut(&project)?.taken)
    }
}
