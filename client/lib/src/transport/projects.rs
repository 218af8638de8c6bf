//! Projects, and the owner's words about them.

use obscura_model::envelope::Reality;
use obscura_model::ids::{KeyId, ProjectName};
use obscura_model::wire::InvalidWire;
use obscura_wire::v1;

use super::catalogue::share_from;
use super::owner::deciding;
use super::{Peer, Repeat, Rpc, SHORT, Transport, form};
use crate::error::Error;
use crate::projects::{Member, Project, ProjectLimit};

impl Transport {
    pub(crate) async fn join(&self, to: &Peer, project: &ProjectName) -> Result<Project, Error> {
        let path = "/obscura.v1.Projects/Join";
        let rpc = Rpc::<_, v1::Project>::new(path, Reality::Real, Repeat::Safe, SHORT);
        let body = v1::ProjectRequest {
            project: project.to_string(),
        };
        project_from(self.call(to, rpc, &body).await?).map_err(form(to))
    }

    pub(crate) async fn own_projects(&self, to: &Peer) -> Result<Vec<Project>, Error> {
        self.projects(to, "/obscura.v1.Projects/List").await
    }

    pub(crate) async fn all_projects(&self, to: &Peer) -> Result<Vec<Project>, Error> {
        self.projects(to, "/obscura.v1.Owner/ListProjects").await
    }

    async fn projects(&self, to: &Peer, path: &'static str) -> Result<Vec<Project>, Error> {
        let rpc = Rpc::<_, v1::ListProjectsResponse>::reading(path);
        let v1::ListProjectsResponse { projects } =
            self.call(to, rpc, &v1::ListProjectsRequest {}).await?;
        let projects = projects.into_iter().map(project_from);
        projects.collect::<Result<_, _>>().map_err(form(to))
    }

    pub(crate) async fn confirm_member(
        &self,
        to: &Peer,
        project: &ProjectName,
        person: KeyId,
    ) -> Result<Project, Error> {
        let rpc = deciding::<_, v1::Project>("/obscura.v1.Owner/ConfirmMember");
        let body = member_request(project, person, "");
        project_from(self.call(to, rpc, &body).await?).map_err(form(to))
    }

    pub(crate) async fn remove_member(
        &self,
        to: &Peer,
        project: &ProjectName,
        person: KeyId,
        reason: &str,
    ) -> Result<Project, Error> {
        let rpc = deciding::<_, v1::Project>("/obscura.v1.Owner/RemoveMember");
        let body = member_request(project, person, reason);
        project_from(self.call(to, rpc, &body).await?).map_err(form(to))
    }

    pub(crate) async fn set_project_limit(
        &self,
        to: &Peer,
        limit: &ProjectLimit,
    ) -> Result<Project, Error> {
        let rpc = deciding::<_, v1::Project>("/obscura.v1.Owner/SetProjectLimit");
        let ProjectLimit {
            project,
            epsilon,
            delta,
            reason,
        } = limit;
        let body = v1::SetProjectLimitRequest {
            project: project.to_string(),
            epsilon: *epsilon,
            delta: delta.get(),
            reason: reason.clone(),
        };
        project_from(self.call(to, rpc, &body).await?).map_err(form(to))
    }
}

fn member_request(project: &ProjectName, person: KeyId, reason: &str) -> v1::MemberRequest {
    v1::MemberRequest {
        project: project.to_string(),
        person: person.as_bytes().to_vec(),
        reason: reason.to_owned(),
    }
}

fn project_from(project: v1::Project) -> Result<Project, InvalidWire> {
    let v1::Project {
        name,
        members,
        limit_nano,
        taken_nano,
    } = project;
    let member = |v1::Member {
                      key,
                      name,
                      confirmed,
                  }: v1::Member| {
        Ok(Member {
            key: KeyId::from_bytes(&key)?,
            name,
            confirmed,
        })
    };
    let members = members.into_iter().map(member);
    Ok(Project {
        name: ProjectName::new(&name)?,
        members: members.collect::<Result<_, InvalidWire>>()?,
        share: share_from(limit_nano, taken_nano),
    })
}
