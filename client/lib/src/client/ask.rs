//! Asking at once, under a standing grant; and the projects that one is in.

use obscura_model::ids::{GrantId, PartyName, ProjectName};
use obscura_model::release::{AskRequest, Authority};

use super::{AtSite, Client};
use crate::error::Error;
use crate::grants::Grant;
use crate::projects::Project;
use crate::question::Question;
use crate::release::VerifiedRelease;

impl Client {
    /// Our own standing grants at every institution, with what they took and still allow.
    pub async fn grants(&self) -> Vec<AtSite<Vec<Grant>>> {
        self.everywhere(self.institutions(), |client, peer, _| async move {
            client.0.transport.own_grants(&peer).await
        })
        .await
    }

    /// Our own standing grants at one institution.
    ///
    /// # Errors
    ///
    /// If the institution is unknown, refuses or cannot be reached.
    pub async fn grants_at(&self, node: &PartyName) -> Result<Vec<Grant>, Error> {
        self.0.transport.own_grants(&self.named(node)?).await
    }

    /// Asks one question under a grant: answered at once and counted like any other release. If we
    /// have the answer to this very question on this version of the data already, it is that answer
    /// (see [`VerifiedRelease::is_earlier`]), unless `again`: then it is a new release.
    ///
    /// # Errors
    ///
    /// As [`Client::release`].
    pub async fn ask(
        &self,
        node: &PartyName,
        grant: GrantId,
        question: &Question,
        again: bool,
    ) -> Result<VerifiedRelease, Error> {
        let mut sites = self.0.sites.iter();
        let site = sites.find(|s| s.institution.name == *node);
        let site = site.ok_or_else(|| Error::UnknownInstitution { name: node.clone() })?;
        let request = AskRequest {
            dataset: question.dataset.clone(),
            grant,
            sql: question.sql.clone(),
            accuracy: question.accuracy.clone(),
            options: question.options,
            code_lists: question.code_lists.clone(),
            again,
        };
        let id = self.0.transport.fresh_id()?;
        let ran = self.0.transport.ask(&self.peer(site), &request, id).await?;
        if ran.earlier {
            return self.earlier(site, ran, again, (question, 0), None).await;
        }
        self.fresh(site, ran, id, &Authority::Grant { grant })
    }

    /// Our projects at every institution, and those that we asked to join.
    pub async fn projects(&self) -> Vec<AtSite<Vec<Project>>> {
        self.everywhere(self.institutions(), |client, peer, _| async move {
            client.0.transport.own_projects(&peer).await
        })
        .await
    }

    /// Asks every institution to let us join a project; each owner confirms once.
    pub async fn join_project(&self, project: &ProjectName) -> Vec<AtSite<Project>> {
        let project = project.clone();
        self.everywhere(self.institutions(), move |client, peer, _| {
            let project = project.clone();
            async move { client.0.transport.join(&peer, &project).await }
        })
        .await
    }
}
