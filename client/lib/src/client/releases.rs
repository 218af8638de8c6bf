//! Fetching releases: what was approved, checked and combined.

use std::sync::Arc;

use obscura_model::ids::{KeyId, PartyName, ReleaseName, RequestId};
use obscura_model::release::{Authority, InvalidRelease, RunRequest};
use obscura_model::study::{Study, StudyState};

use super::{AtSite, Client, Site};
use crate::combined::{CombinedAnswer, NotIncluded, combine};
use crate::error::Error;
use crate::question::Question;
use crate::release::{Expected, ExpectedEarlier, VerifiedRelease, again_label, run_label};
use crate::release::{request_id, request_id_again};
use crate::transport::{Peer, Ran, study_digest};

impl Client {
    /// Run number `run` (from 1) of a release at one institution, fetched and checked. The same
    /// run is the same request for ever: asking again gives the same bytes and adds nothing. If we
    /// have the answer to this very question on this version of the data already, the first run is
    /// that answer (see [`VerifiedRelease::is_earlier`]); later runs are new releases.
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
        let id = |node: &_| request_id(&study.id(), node, release, run);
        let made = self.run(study, node, release, (run > 1, &id)).await?;
        Ok(match run {
            0 | 1 => made,
            run => made.called(run_label(release, run)),
        })
    }

    /// As run 1 of [`Client::release`], but always a new release, with its own addition to
    /// exposure, and counted as one more of the runs that were approved. Saying it twice is the
    /// same request.
    ///
    /// # Errors
    ///
    /// As [`Client::release`].
    pub async fn release_again(
        &self,
        study: &Study,
        node: &PartyName,
        release: &ReleaseName,
    ) -> Result<VerifiedRelease, Error> {
        let id = |node: &_| request_id_again(&study.id(), node, release);
        let made = self.run(study, node, release, (true, &id)).await?;
        Ok(made.called(again_label(release)))
    }

    /// Runs a release: whether a new one is wanted, and under which id.
    async fn run(
        &self,
        study: &Study,
        node: &PartyName,
        name: &ReleaseName,
        (again, id): (bool, &(dyn Fn(&KeyId) -> RequestId + Sync)),
    ) -> Result<VerifiedRelease, Error> {
        let release = study.release(name);
        let release = release.ok_or_else(|| Error::UnknownRelease(name.clone()))?;
        let mut asked = study.institutions().iter();
        let institution = asked.find(|i| i.name == *node);
        let institution =
            institution.ok_or_else(|| Error::UnknownInstitution { name: node.clone() })?;
        let site = self.site(institution)?;
        let peer = self.peer(site);
        let id = id(&institution.key);
        let request = RunRequest {
            study: study.id(),
            study_digest: study_digest(study),
            release: name.clone(),
            again,
        };
        let ran = self.0.transport.run(&peer, &request, id).await?;
        if ran.earlier {
            // Which version the study is about, and what its question comes to there.
            let status = self.0.transport.study_status(&peer, study.id()).await?;
            let question = (&Question::of(study, release), status.dataset_version);
            return self
                .earlier(site, ran, again, question, Some(name.clone()))
                .await;
        }
        let authority = Authority::Study {
            study: study.id(),
            digest: request.study_digest,
            release: name.clone(),
        };
        self.fresh(site, ran, id, &authority)
    }

    /// Checks a release that a node made for this request.
    pub(super) fn fresh(
        &self,
        site: &Site,
        ran: Ran,
        request_id: RequestId,
        authority: &Authority,
    ) -> Result<VerifiedRelease, Error> {
        let expected = Expected {
            node: &site.institution,
            requester: self.me().key,
            request_id,
            request_digest: ran.asked,
            authority,
        };
        let checked = VerifiedRelease::check(ran.signed, site.certificate.clone(), &expected);
        self.accepted(site, checked)
    }

    /// Checks an earlier release that a node offered: ours, and of the question as it would be run
    /// on this version of the data.
    pub(super) async fn earlier(
        &self,
        site: &Site,
        ran: Ran,
        again: bool,
        (question, version): (&Question, u32),
        label: Option<ReleaseName>,
    ) -> Result<VerifiedRelease, Error> {
        if again {
            return self.accepted(site, Err(InvalidRelease::Other));
        }
        let peer = self.peer(site);
        let preview = self.0.transport.preview(&peer, question, version).await?;
        let expected = ExpectedEarlier {
            node: &site.institution,
            requester: self.me().key,
            dataset: &question.dataset,
            dataset_version: preview.dataset_version,
            canonical_sql: &preview.canonical_sql,
            shape: &preview.shape,
        };
        let certificate = site.certificate.clone();
        let checked = VerifiedRelease::check_earlier(ran.signed, certificate, &expected, label);
        self.accepted(site, checked)
    }

    fn accepted(
        &self,
        site: &Site,
        checked: Result<VerifiedRelease, InvalidRelease>,
    ) -> Result<VerifiedRelease, Error> {
        let peer = self.peer(site);
        let verified = checked.map_err(|source| Error::Release {
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
        self.run_everywhere(study, release, 1).await
    }

    /// Run number `run` (from 1) of a release at every institution of the study, eight at a time;
    /// see [`Client::release`].
    pub async fn run_everywhere(
        &self,
        study: &Study,
        release: &ReleaseName,
        run: u32,
    ) -> Vec<AtSite<VerifiedRelease>> {
        self.each(
            study,
            release,
            move |client, study, node, release| async move {
                client.release(&study, &node, &release, run).await
            },
        )
        .await
    }

    /// As [`Client::releases_everywhere`] with [`Client::release_again`].
    pub async fn releases_again(
        &self,
        study: &Study,
        release: &ReleaseName,
    ) -> Vec<AtSite<VerifiedRelease>> {
        self.each(study, release, |client, study, node, release| async move {
            client.release_again(&study, &node, &release).await
        })
        .await
    }

    async fn each<F, R>(
        &self,
        study: &Study,
        release: &ReleaseName,
        fetch: F,
    ) -> Vec<AtSite<VerifiedRelease>>
    where
        F: Fn(Client, Arc<Study>, PartyName, ReleaseName) -> R,
        R: Future<Output = Result<VerifiedRelease, Error>> + Send + 'static,
    {
        let shared = Arc::new(study.clone());
        self.everywhere(study.institutions().to_vec(), |client, _, name| {
            fetch(client, shared.clone(), name, release.clone())
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
