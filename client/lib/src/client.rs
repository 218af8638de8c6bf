//! A scientist's connection to every institution.

mod ask;
mod directory;
mod fan;
mod releases;

use std::sync::Arc;
use std::time::Duration;

use obscura_model::accuracy::AccuracyRequest;
use obscura_model::codelist::SignedCodeList;
use obscura_model::identity::Party;
use obscura_model::ids::{DatasetName, Digest, PartyName, StudyId};
use obscura_model::study::{Institution, Study, StudyFile};
use obscura_model::text::SqlText;

use crate::catalogue::{Dataset, Exposure};
use crate::combined::NotIncluded;
use crate::draft::Draft;
use crate::error::Error;
use crate::heads::Heads;
use crate::profile::{Profile, Target};
use crate::question::Question;
use crate::sandbox::{MockRun, Preview, StudyPreview};
use crate::studies::StudyStatus;
use crate::surroundings::Surroundings;
use crate::transport::{Transport, study_digest};

/// How long to wait between two looks at whether owners have decided.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// An institution whose certificate was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// Its name and key: the key comes from the certificate, never from the gateway's word.
    pub institution: Institution,
    /// Its certificate (DER).
    pub certificate: Vec<u8>,
    /// Whether the gateway reached it when it last tried.
    pub reachable: bool,
}

/// What one institution answered, or why it did not.
#[derive(Debug)]
pub struct AtSite<T> {
    /// The institution.
    pub institution: Institution,
    /// Its answer.
    pub outcome: Result<T, Error>,
}

impl<T> AtSite<T> {
    /// The institution's name.
    #[must_use]
    pub fn name(&self) -> &PartyName {
        &self.institution.name
    }
}

/// A connection to every institution. Cheap to clone; clones share it.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    transport: Transport,
    sites: Vec<Site>,
    refused: Vec<NotIncluded>,
    heads: Heads,
    direct: bool,
}

impl Client {
    /// Connects, reads the directory and checks every institution's certificate.
    ///
    /// # Errors
    ///
    /// If the profile cannot be used or the gateway cannot be reached. An institution whose
    /// certificate is not accepted is no error: see [`Client::refused`].
    pub async fn connect(profile: Profile) -> Result<Self, Error> {
        Self::connect_with(profile, Surroundings::system()).await
    }

    /// As [`Client::connect`], with another clock, entropy or patience.
    ///
    /// # Errors
    ///
    /// As [`Client::connect`].
    pub async fn connect_with(profile: Profile, around: Surroundings) -> Result<Self, Error> {
        let heads = match profile.heads() {
            None => Heads::in_memory(),
            Some(path) => Heads::in_file(path).map_err(|source| Error::State {
                path: path.to_path_buf(),
                source,
            })?,
        };
        let transport = Transport::connect(&profile, around).await?;
        let (sites, refused) = match profile.target() {
            Target::Gateway { .. } => {
                let gateway = transport.server_peer(profile.target());
                directory::checked(&transport, transport.list_nodes(&gateway).await?)
            }
            Target::Node { .. } => {
                let (party, certificate) = transport.server();
                let site = Site {
                    institution: Institution {
                        name: party.name.clone(),
                        key: party.key,
                    },
                    certificate: certificate.to_vec(),
                    reachable: true,
                };
                (vec![site], Vec::new())
            }
        };
        Ok(Client(Arc::new(Inner {
            transport,
            sites,
            refused,
            heads,
            direct: matches!(profile.target(), Target::Node { .. }),
        })))
    }

    /// Who we are.
    #[must_use]
    pub fn me(&self) -> &Party {
        self.0.transport.me()
    }

    /// Every institution whose certificate was accepted, by name.
    #[must_use]
    pub fn sites(&self) -> &[Site] {
        &self.0.sites
    }

    /// Their names and keys.
    #[must_use]
    pub fn institutions(&self) -> Vec<Institution> {
        self.0.sites.iter().map(|s| s.institution.clone()).collect()
    }

    /// Entries of the directory that were not accepted, and why.
    #[must_use]
    pub fn refused(&self) -> &[NotIncluded] {
        &self.0.refused
    }

    /// The journal heads seen so far.
    #[must_use]
    pub fn heads(&self) -> &Heads {
        &self.0.heads
    }

    /// The datasets of every institution.
    pub async fn datasets(&self) -> Vec<AtSite<Vec<Dataset>>> {
        self.everywhere(self.institutions(), |client, peer, _| async move {
            client.0.transport.list_datasets(&peer).await
        })
        .await
    }

    /// One dataset.
    ///
    /// # Errors
    ///
    /// If the institution is unknown, refuses or cannot be reached; so for every call below.
    pub async fn dataset(&self, node: &PartyName, name: &DatasetName) -> Result<Dataset, Error> {
        self.0.transport.get_dataset(&self.named(node)?, name).await
    }

    /// One question on invented rows: the same seed gives the same rows.
    pub async fn sandbox(
        &self,
        node: &PartyName,
        dataset: &DatasetName,
        sql: &SqlText,
        accuracy: &AccuracyRequest,
        seed: u64,
    ) -> Result<MockRun, Error> {
        let question = Question::new(dataset.clone(), sql.clone(), accuracy.clone());
        self.sandbox_of(node, &question, seed).await
    }

    /// As [`Client::sandbox`], with what is added to the question.
    pub async fn sandbox_of(
        &self,
        node: &PartyName,
        question: &Question,
        seed: u64,
    ) -> Result<MockRun, Error> {
        let peer = self.named(node)?;
        self.0.transport.run_mock(&peer, question, seed).await
    }

    /// What a release would be like, without reading a row.
    pub async fn preview(
        &self,
        node: &PartyName,
        dataset: &DatasetName,
        sql: &SqlText,
        accuracy: &AccuracyRequest,
    ) -> Result<Preview, Error> {
        let question = Question::new(dataset.clone(), sql.clone(), accuracy.clone());
        self.preview_of(node, &question).await
    }

    /// As [`Client::preview`], with what is added to the question.
    pub async fn preview_of(
        &self,
        node: &PartyName,
        question: &Question,
    ) -> Result<Preview, Error> {
        let peer = self.named(node)?;
        self.0.transport.preview(&peer, question, 0).await
    }

    /// What a study would be like at each of its institutions.
    pub async fn preview_study(&self, study: &Study) -> Vec<AtSite<StudyPreview>> {
        let shared = Arc::new(study.clone());
        self.everywhere(study.institutions().to_vec(), move |client, peer, _| {
            let study = shared.clone();
            async move {
                let mut previews = Vec::new();
                for release in study.releases() {
                    let question = Question::of(&study, release);
                    let preview = client.0.transport.preview(&peer, &question, 0).await;
                    let preview = preview.map_err(|e| e.about_release(&release.name))?;
                    previews.push((release.name.clone(), release.times, preview));
                }
                Ok(StudyPreview::new(previews))
            }
        })
        .await
    }

    /// A fresh id for a study.
    ///
    /// # Errors
    ///
    /// If the system has no random bytes.
    pub fn new_study_id(&self) -> Result<StudyId, Error> {
        let around = self.0.transport.around();
        let entropy = around.id_entropy()?;
        Ok(StudyId::from_parts(around.clock.now().0, entropy))
    }

    /// A new draft about one dataset; see [`Draft::ask`].
    ///
    /// # Errors
    ///
    /// If the system has no random bytes for its id.
    pub fn draft(&self, title: &str, dataset: &str) -> Result<Draft, Error> {
        Ok(Draft::new(self.new_study_id()?, title, dataset))
    }

    /// Looks the institutions of a study file up in the directory; `code_lists` are those that it
    /// names.
    ///
    /// # Errors
    ///
    /// Names the institution that is not there.
    pub fn resolve(
        &self,
        file: StudyFile,
        code_lists: Vec<SignedCodeList>,
    ) -> Result<Study, obscura_model::study::InvalidStudyFile> {
        file.resolve(&self.institutions(), code_lists)
    }

    /// Sends a study to each of its institutions; each decides alone.
    pub async fn submit(&self, study: &Study) -> Vec<AtSite<StudyStatus>> {
        let shared = Arc::new(study.clone());
        self.everywhere(study.institutions().to_vec(), move |client, peer, _| {
            let study = shared.clone();
            async move { client.0.transport.submit(&peer, &study).await }
        })
        .await
    }

    /// Where a study is at each of its institutions.
    pub async fn status(&self, study: &Study) -> Vec<AtSite<StudyStatus>> {
        let id = study.id();
        self.everywhere(
            study.institutions().to_vec(),
            move |client, peer, _| async move { client.0.transport.study_status(&peer, id).await },
        )
        .await
    }

    /// The studies of our projects at every institution, newest last.
    pub async fn studies(&self) -> Vec<AtSite<Vec<StudyStatus>>> {
        self.everywhere(self.institutions(), |client, peer, _| async move {
            client.0.transport.list_studies(&peer).await
        })
        .await
    }

    /// Takes a study back everywhere. What was released stays released.
    pub async fn withdraw(&self, study: &Study) -> Vec<AtSite<StudyStatus>> {
        let id = study.id();
        self.everywhere(
            study.institutions().to_vec(),
            move |client, peer, _| async move { client.0.transport.withdraw(&peer, id).await },
        )
        .await
    }

    /// Waits until every institution that can be reached has decided.
    ///
    /// # Errors
    ///
    /// [`Error::Undecided`] if that takes longer than `longest`.
    pub async fn decided(
        &self,
        study: &Study,
        longest: Duration,
    ) -> Result<Vec<AtSite<StudyStatus>>, Error> {
        let wait = async {
            loop {
                let status = self.status(study).await;
                let open = |s: &AtSite<StudyStatus>| {
                    s.outcome.as_ref().is_ok_and(|status| !status.is_decided())
                };
                if !status.iter().any(open) {
                    return status;
                }
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        let waited = tokio::time::timeout(longest, wait).await;
        waited.map_err(|_| Error::Undecided)
    }

    /// Public limits and meters of every institution, and what our own releases added.
    pub async fn exposure(&self) -> Vec<AtSite<Exposure>> {
        self.everywhere(self.institutions(), |client, peer, _| async move {
            client.0.transport.get_exposure(&peer).await
        })
        .await
    }

    /// The digest of a study's document: what owners approve.
    #[must_use]
    pub fn study_digest(study: &Study) -> Digest {
        study_digest(study)
    }
}
