//! Fetching releases: what was approved, checked and combined.

use std::sync::Arc;

use obscura_model::ids::{PartyName, ReleaseName};
use obscura_model::study::{Study, StudyState};

use super::{AtSite, Client};
use crate::combined::{CombinedAnswer, NotIncluded, combine};
use crate::error::Error;
use crate::release::{Expected, VerifiedRelease, request_id};
use crate::transport::{Peer, study_digest};

impl Client {
    /// Run number `run` (from 1) of a release at one institution, fetched and checked. The same
    /// run is the same request for ever: asking again gives the same bytes and adds nothing.
    ///
    /// # Errors
    ///
    /// If the institution refuses, its answer does not verify, or its journal head contradicts one
    /// seen before.
    pub async fn release(
        &self,
        study: &Study,
        node: &PartyName,
        release: &ReleaseName,
        run: u32,
    ) -> Result<VerifiedRelease, Error> {
        if study.release(release).is_none() {
            return Err(Error::UnknownRelease(release.clone()));
        }
        let mut asked = study.institutions().iter();
        let institution = asked.find(|i| i.name == *node);
        let institution =
            institution.ok_or_else(|| Error::UnknownInstitution { name: node.clone() })?;
        let site = self.site(institution)?;
        let peer = self.peer(site);
        let id = request_id(&study.id(), &institution.key, release, run);
        let (signed, request_digest) = self.0.transport.run(&peer, study, release, id).await?;
        let expected = Expected {
            node: institution,
            requester: self.me().key,
            request_id: id,
            request_digest,
            study: study.id(),
            study_digest: study_digest(study),
            release,
        };
        let verified = VerifiedRelease::check(signed, site.certificate.clone(), &expected)
            .map_err(|source| Error::Release {
                who: peer.who.clone(),
                source,
            })?;
        self.remember(&peer, &verified)?;
        Ok(verified)
    }

    fn remember(&self, peer: &Peer, verified: &VerifiedRelease) -> Result<(), Error> {
        let heads = &self.0.heads;
        let seen = heads
            .see(verified.release())
            .map_err(|source| Error::State {
                path: heads.path().unwrap_or("".as_ref()).to_path_buf(),
                source,
            })?;
        seen.map_err(|source| Error::Head {
            who: peer.who.clone(),
            source,
        })
    }

    /// Run 1 of a release at every institution of the study, eight at a time.
    pub async fn releases_everywhere(
        &self,
        study: &Study,
        release: &ReleaseName,
    ) -> Vec<AtSite<VerifiedRelease>> {
        let (shared, release) = (Arc::new(study.clone()), release.clone());
        self.everywhere(study.institutions().to_vec(), move |client, _, name| {
            let (study, release) = (shared.clone(), release.clone());
            async move { client.release(&study, &name, &release, 1).await }
        })
        .await
    }

    /// Fetches a release everywhere and combines what came; who is not in it stands in the answer.
    ///
    /// # Errors
    ///
    /// If nobody answered, or the answers do not belong together.
    pub async fn answer(
        &self,
        study: &Study,
        release: &ReleaseName,
    ) -> Result<CombinedAnswer, Error> {
        let mut releases = Vec::new();
        let mut missing = Vec::new();
        for site in self.releases_everywhere(study, release).await {
            match site.outcome {
                Ok(release) => releases.push(release),
                Err(error) => {
                    let name = &site.institution.name;
                    missing.push(self.not_included(study, name, &error).await);
                }
            }
        }
        Ok(combine(&releases)?.without(missing))
    }

    /// Why an institution is not in an answer: if it refused because its owner has not approved
    /// the study, where the study is there and the owner's reason, otherwise the error.
    pub async fn not_included(
        &self,
        study: &Study,
        node: &PartyName,
        error: &Error,
    ) -> NotIncluded {
        let (name, mut reason) = (node.clone(), error.reason());
        if error.is_refusal()
            && let Ok(peer) = self.named(node)
            && let Ok(status) = self.0.transport.study_status(&peer, study.id()).await
            && !matches!(status.state, StudyState::Approved | StudyState::Completed)
        {
            reason = status.state.in_words().to_owned();
            if !status.reason.is_empty() {
                reason.push_str(": ");
                reason.push_str(&status.reason);
            }
        }
        NotIncluded { name, reason }
    }
}
