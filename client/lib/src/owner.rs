//! What a data owner does at their own node.

use obscura_model::answer::Shape;
use obscura_model::exposure::{Delta, Mode, Rho};
use obscura_model::identity::Party;
use obscura_model::ids::{
    DatasetName, Digest, GrantId, KeyId, PopulationName, ProjectName, ReleaseName, StudyId,
    UnixMillis,
};
use obscura_model::study::{ReleaseOptions, Study, Verdict, canonical_digest, queries_digest};

use crate::catalogue::{Account, Dataset, Share};
use crate::error::Error;
use crate::grants::{Grant, NewGrant};
use crate::profile::{Profile, Target};
use crate::projects::{Project, ProjectLimit};
use crate::studies::StudyStatus;
use crate::subjects::{Marking, Merging, Rekeying, SubjectIds};
use crate::surroundings::Surroundings;
use crate::transport::{Peer, Pinned, Transport};

/// A dataset to be registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDataset {
    /// The text of its description file; the rows are read from the node's import folder.
    pub description: String,
    /// The owner signs that nobody is both in its population and in another one of the node.
    pub apart: bool,
    /// People who are left out, before the rows are read.
    pub opt_out: SubjectIds,
}

/// A dataset that was added, and what ingest did with its rows. For the owner only: the counts
/// are computed from private rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Added {
    /// Its public face.
    pub dataset: Dataset,
    /// Rows taken.
    pub rows: u64,
    /// Different subjects.
    pub subjects: u64,
    /// Rows left out because they name no subject.
    pub rows_without_subject: u64,
    /// Rows left out because their subject is excluded or erased.
    pub rows_of_excluded: u64,
    /// Rows left out because one subject has many more than count at most.
    pub rows_beyond: u64,
}

/// A limit to be set: a new signed promise.
#[derive(Debug, Clone, PartialEq)]
pub struct NewLimit {
    /// The dataset whose population's limit is set.
    pub dataset: DatasetName,
    /// True: a tighter limit for this dataset's own releases.
    pub dataset_only: bool,
    /// With `delta`: converted to rho, rounding down.
    pub epsilon: f64,
    /// Below one in the upper end of the public size.
    pub delta: Delta,
    /// What releases with keys that are not declared may take of delta altogether, besides
    /// `delta`; nothing: there are no such releases. Both together are below one in the upper end
    /// of the public size.
    pub delta_keys: Option<Delta>,
    /// What happens near it.
    pub mode: Mode,
    /// Why.
    pub reason: String,
}

/// A share to be set.
#[derive(Debug, Clone, PartialEq)]
pub struct ScientistLimit {
    /// Whose; nothing: everybody without a limit of their own.
    pub scientist: Option<KeyId>,
    /// With `delta`: converted to rho, rounding down.
    pub epsilon: f64,
    /// See `epsilon`.
    pub delta: Delta,
    /// Why.
    pub reason: String,
}

/// What an owner reads before deciding: public values only.
#[derive(Debug, Clone, PartialEq)]
pub struct Review {
    /// Where the study is.
    pub status: StudyStatus,
    /// The study.
    pub study: Study,
    /// SHA-256 of the document as it was read here.
    pub digest: Digest,
    /// Its releases, explained.
    pub releases: Vec<ReviewedRelease>,
    /// What everything asked for would add.
    pub price: Rho,
    /// The limits concerned.
    pub accounts: Vec<Account>,
    /// What to look at twice.
    pub warnings: Vec<String>,
    /// The scientist's name.
    pub scientist: String,
    /// The dataset that the decision pins.
    pub dataset: Dataset,
    /// Its code lists.
    pub code_lists: Vec<ReviewedCodeList>,
}

/// A code list of a study under review. Its text is in the study.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReviewedCodeList {
    /// How queries name it.
    pub reference: String,
    /// Its title; may be empty.
    pub title: String,
    /// How many codes it has.
    pub codes: u32,
    /// Who signed it: the name if enrolled there, otherwise the key.
    pub author: String,
}

/// One release of a study under review.
#[derive(Debug, Clone, PartialEq)]
pub struct ReviewedRelease {
    /// Its name.
    pub name: ReleaseName,
    /// In words.
    pub words: String,
    /// The query as it would be run.
    pub canonical_sql: String,
    /// Groups, vectors and outputs.
    pub shape: Shape,
    /// What one run adds.
    pub price: Rho,
    /// How often it may run.
    pub times: u32,
    /// What is added to the question.
    pub options: ReleaseOptions,
}

/// An owner's view of exposure: public values only.
#[derive(Debug, Clone, PartialEq)]
pub struct OwnerExposure {
    /// Every limit of the node.
    pub accounts: Vec<Account>,
    /// What each scientist's releases added.
    pub scientists: Vec<ScientistExposure>,
    /// Stops of the process with begun runs since the last lift.
    pub stops: u32,
    /// The most that are allowed.
    pub most_stops: u32,
    /// Lifts so far.
    pub lifts: u32,
    /// Whether releases are stopped until a lift.
    pub stopped: bool,
    /// Answers that came later than their slot's public end, since the node was started.
    pub overruns: u32,
}

/// One scientist's share at a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScientistExposure {
    /// Who.
    pub person: Party,
    /// The share.
    pub share: Share,
}

/// A part of the journal in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// The records, by index.
    pub entries: Vec<LogEntry>,
    /// How many records the journal has.
    pub head_size: u64,
    /// The Merkle root over them.
    pub head_root: Digest,
}

/// One record of the journal in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// Its position.
    pub index: u64,
    /// When it was written.
    pub time: UnixMillis,
    /// What kind of record.
    pub kind: String,
    /// In words.
    pub text: String,
    /// Of a release under a grant: what was asked.
    pub question: Option<AskedQuestion>,
}

/// A question that was asked under a grant, as its owner reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskedQuestion {
    /// The query as it is run.
    pub sql: String,
    /// In words; may be empty.
    pub words: String,
}

/// A data owner's connection to their own node. Cheap to clone.
#[derive(Clone)]
pub struct OwnerClient {
    transport: Transport,
    node: Peer,
}

impl OwnerClient {
    /// Connects to the node that the profile names.
    ///
    /// # Errors
    ///
    /// If the profile leads to a gateway, or the node cannot be reached or is another.
    pub async fn connect(profile: Profile) -> Result<Self, Error> {
        Self::connect_with(profile, Surroundings::system()).await
    }

    /// As [`OwnerClient::connect`], with another clock, entropy or patience.
    ///
    /// # Errors
    ///
    /// As [`OwnerClient::connect`].
    pub async fn connect_with(profile: Profile, around: Surroundings) -> Result<Self, Error> {
        if let Target::Gateway { .. } = profile.target() {
            return Err(Error::WrongProfile {
                has: "a gateway",
                needs: "your own node",
            });
        }
        let transport = Transport::connect(&profile, around).await?;
        let node = transport.server_peer(profile.target());
        Ok(OwnerClient { transport, node })
    }

    /// Who we are.
    #[must_use]
    pub fn me(&self) -> &Party {
        self.transport.me()
    }

    /// The node.
    #[must_use]
    pub fn node(&self) -> &Party {
        self.transport.server().0
    }

    /// All datasets of the node.
    ///
    /// # Errors
    ///
    /// If the node refuses or cannot be reached; so for every call below.
    pub async fn datasets(&self) -> Result<Vec<Dataset>, Error> {
        self.transport.list_datasets(&self.node).await
    }

    /// One dataset.
    pub async fn dataset(&self, name: &DatasetName) -> Result<Dataset, Error> {
        self.transport.get_dataset(&self.node, name).await
    }

    /// Registers a dataset from the text of its description file; the rows are read from the
    /// node's import folder. Not tried again by itself.
    pub async fn add_dataset(&self, description: &str) -> Result<Added, Error> {
        self.add(&NewDataset {
            description: description.to_owned(),
            apart: false,
            opt_out: SubjectIds::from_lines(""),
        })
        .await
    }

    /// As [`OwnerClient::add_dataset`], with what the owner signs about its people.
    pub async fn add(&self, dataset: &NewDataset) -> Result<Added, Error> {
        self.transport.add_dataset(&self.node, dataset).await
    }

    /// Sets a limit: a new signed promise. Not tried again by itself.
    pub async fn set_limit(&self, limit: &NewLimit) -> Result<Account, Error> {
        self.transport.set_limit(&self.node, limit).await
    }

    /// Whether the node would take a limit now; sets nothing.
    pub async fn rehearse_limit(&self, limit: &NewLimit) -> Result<(), Error> {
        self.transport.rehearse_limit(&self.node, limit).await
    }

    /// Sets a scientist's share. Not a privacy guarantee by itself. Not tried again by itself.
    pub async fn set_scientist_limit(&self, limit: &ScientistLimit) -> Result<(), Error> {
        self.transport.set_scientist_limit(&self.node, limit).await
    }

    /// Lets the node accept a scientist, named by their certificate (DER).
    pub async fn enrol(&self, certificate: &[u8]) -> Result<Party, Error> {
        self.transport.enrol(&self.node, certificate).await
    }

    /// All studies submitted here, newest last.
    pub async fn requests(&self) -> Result<Vec<StudyStatus>, Error> {
        self.transport.list_requests(&self.node).await
    }

    /// What to read before deciding on a study.
    pub async fn review(&self, study: StudyId) -> Result<Review, Error> {
        self.transport.review(&self.node, study).await
    }

    /// Decides on what was reviewed: document digest, dataset version, the queries in canonical form
    /// and the price shown are pinned. To decline, a reason is required. Not tried again by itself.
    pub async fn decide(
        &self,
        review: &Review,
        verdict: Verdict,
        reason: &str,
    ) -> Result<StudyStatus, Error> {
        let pinned = Pinned {
            status: &review.status,
            dataset: &review.dataset,
            verdict,
            reason,
            ceiling: review.price,
            queries: queries_digest(
                review
                    .releases
                    .iter()
                    .map(|release| canonical_digest(&release.canonical_sql)),
            ),
        };
        self.transport.decide(&self.node, pinned).await
    }

    /// Limits, meters and shares.
    pub async fn exposure(&self) -> Result<OwnerExposure, Error> {
        self.transport.owner_exposure(&self.node).await
    }

    /// The journal in words, from an index on; at most `most` records (0: 1,000).
    pub async fn log(&self, from: u64, most: u32) -> Result<Log, Error> {
        self.transport.log(&self.node, from, most).await
    }

    /// Lets a population that was stopped after failed runs answer again. Signed and public. Tells
    /// whether it was stopped: otherwise its interruptions are counted anew. Not tried again by
    /// itself.
    pub async fn lift(&self, population: &PopulationName, reason: &str) -> Result<bool, Error> {
        self.transport.lift(&self.node, population, reason).await
    }

    /// All projects, with who is in them and who asked to be.
    pub async fn projects(&self) -> Result<Vec<Project>, Error> {
        self.transport.all_projects(&self.node).await
    }

    /// Lets somebody join who asked for it: once for each person and project.
    pub async fn confirm_member(
        &self,
        project: &ProjectName,
        person: KeyId,
    ) -> Result<Project, Error> {
        let to = &self.node;
        self.transport.confirm_member(to, project, person).await
    }

    /// Takes somebody out of a project. What was released stays released, and counted.
    pub async fn remove_member(
        &self,
        project: &ProjectName,
        person: KeyId,
        reason: &str,
    ) -> Result<Project, Error> {
        let to = &self.node;
        self.transport
            .remove_member(to, project, person, reason)
            .await
    }

    /// Sets a project's share. Not a privacy guarantee by itself. Not tried again by itself.
    pub async fn set_project_limit(&self, limit: &ProjectLimit) -> Result<Project, Error> {
        self.transport.set_project_limit(&self.node, limit).await
    }

    /// A fresh id for a grant.
    ///
    /// # Errors
    ///
    /// If the system has no random bytes.
    pub fn new_grant_id(&self) -> Result<GrantId, Error> {
        let around = self.transport.around();
        let entropy = around.id_entropy()?;
        Ok(GrantId::from_parts(around.clock.now().0, entropy))
    }

    /// Lets a scientist ask without a study, within the grant. The same grant again changes
    /// nothing.
    pub async fn give_grant(&self, grant: &NewGrant) -> Result<Grant, Error> {
        self.transport.give_grant(&self.node, grant).await
    }

    /// Takes a grant back. What was released stays released.
    pub async fn revoke_grant(&self, grant: GrantId, reason: &str) -> Result<Grant, Error> {
        self.transport.revoke_grant(&self.node, grant, reason).await
    }

    /// All grants.
    pub async fn grants(&self) -> Result<Vec<Grant>, Error> {
        self.transport.all_grants(&self.node).await
    }

    /// Excludes, erases or readmits data subjects; tells how many of the ids the population knows,
    /// which is computed from private rows.
    pub async fn mark_subjects(&self, marking: &Marking) -> Result<u64, Error> {
        self.transport.mark_subjects(&self.node, marking).await
    }

    /// Gives the people of a population new ids: they keep their exposure. Tells how many people
    /// the old ids are of, which is computed from private rows.
    pub async fn rekey(&self, rekeying: &Rekeying) -> Result<u64, Error> {
        self.transport.rekey(&self.node, rekeying).await
    }

    /// Makes two populations one, under a new promise: exposures add.
    pub async fn merge(&self, merging: &Merging) -> Result<Account, Error> {
        self.transport.merge(&self.node, merging).await
    }
}
