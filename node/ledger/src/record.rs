//! Everything that can happen to a ledger, as typed records.
//!
//! A record has a public part and a private part. The public part may be shown to whom it
//! concerns; lengths and contents of it depend on public facts only. The private part has a
//! length that depends on public facts only. `evidence` is the signed request that led to the
//! record, opaque, kept for years.

use obscura_model::exposure::{DeltaCharge, Limit, Rho};
use obscura_model::ids::{
    DatasetId, DatasetName, Digest, GrantId, KeyId, PartyName, PopulationName, ProjectName,
    ReleaseName, RequestId, StudyId, UnixMillis,
};
use obscura_privacy::Mode;
use std::fmt;

use crate::journal::Compaction;

mod encoding;
mod fields;
mod old;
mod words;

pub(crate) use encoding::{decode, encode, holds_charges};
pub(crate) use words::{Names, describe, said};

/// What a person may do at a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Asks for studies and releases.
    Scientist,
    /// Decides on them.
    Owner,
}

/// One version of one dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct DatasetVersion {
    /// The dataset.
    pub id: DatasetId,
    /// The version, from 1.
    pub version: u32,
}

/// What a limit bounds and a meter counts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Account {
    /// Everything released about a population: the guarantee.
    Population(PopulationName),
    /// One dataset's own releases.
    Dataset(DatasetId),
}

/// A request: who asked, and under which id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestKey {
    /// The enrolled person.
    pub person: KeyId,
    /// The id that the person chose.
    pub request: RequestId,
}

/// A limit as its owner set it.
#[derive(Debug, Clone, PartialEq)]
pub struct LimitSet {
    /// What it bounds.
    pub account: Account,
    /// Epsilon, delta and the rho they became.
    pub limit: Limit,
    /// How it is enforced.
    pub mode: Mode,
    /// The share of the limit that one release may add, in ten-thousandths (1 to 10,000).
    pub largest_share: u16,
    /// What releases with keys that are not declared may take of delta altogether; nothing, and
    /// there are none. It comes on top of the limit's own delta.
    pub delta_keys: DeltaCharge,
    /// The owner's reason.
    pub reason: String,
    /// The signed request.
    pub evidence: Vec<u8>,
}

impl LimitSet {
    /// The default share of one release: a quarter.
    pub const QUARTER: u16 = 2_500;

    /// The most that one release may add.
    #[must_use]
    pub fn largest_release(&self) -> Rho {
        let wide = u128::from(self.limit.rho().nano()) * u128::from(self.largest_share) / 10_000;
        Rho::from_nano(u64::try_from(wide).unwrap_or(u64::MAX))
    }
}

/// One release that a study may make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StudyRelease {
    /// Its name in the study.
    pub name: ReleaseName,
    /// Its public price.
    pub price: Rho,
    /// How many request ids may run it; at least 1.
    pub times: u32,
    /// Whether it runs only while it is publicly known that nobody is left out for lack of room.
    pub require_complete: bool,
    /// What each run takes of delta for keys that are not declared.
    pub delta_keys: DeltaCharge,
    /// The digest of its query in canonical form: what is approved is what is run.
    pub canonical: Digest,
}

impl StudyRelease {
    /// Instead of a canonical form, in studies from before it was kept: any is let through.
    pub const NO_CANONICAL: Digest = Digest::new([0; 32]);
}

/// A study as its scientist submitted it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewStudy {
    /// Its id.
    pub id: StudyId,
    /// The digest of what was submitted.
    pub digest: Digest,
    /// Who submitted it.
    pub scientist: KeyId,
    /// The project that it belongs to: its members may run it.
    pub project: ProjectName,
    /// The dataset version it reads.
    pub dataset: DatasetVersion,
    /// What it releases.
    pub releases: Vec<StudyRelease>,
    /// Until when it runs.
    pub expires: UnixMillis,
    /// The signed request.
    pub evidence: Vec<u8>,
}

/// A standing grant as its owner gave it: releases without a study. All of it is public.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewGrant {
    /// Its id.
    pub id: GrantId,
    /// The project for which it is.
    pub project: ProjectName,
    /// Whose it is.
    pub scientist: KeyId,
    /// The dataset whose newest version it lets be read.
    pub dataset: DatasetId,
    /// The columns that queries may read.
    pub columns: Vec<String>,
    /// The most that all its releases together add, in public prices.
    pub most: Rho,
    /// The most that all its releases together take of delta for keys that are not declared;
    /// nothing, and no query may have such keys.
    pub delta_keys: DeltaCharge,
    /// How many request ids may use it; at least 1.
    pub releases: u32,
    /// Until when it holds.
    pub expires: UnixMillis,
    /// The owner's reason.
    pub reason: String,
    /// The signed request.
    pub evidence: Vec<u8>,
}

/// What allows a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Authority {
    /// An approved study.
    Study {
        /// The study.
        study: StudyId,
        /// The release of the study.
        release: ReleaseName,
    },
    /// A standing grant.
    Grant {
        /// The grant.
        grant: GrantId,
    },
}

impl Authority {
    /// The study, if it is one.
    #[must_use]
    pub const fn study(&self) -> Option<StudyId> {
        match self {
            Authority::Study { study, .. } => Some(*study),
            Authority::Grant { .. } => None,
        }
    }

    /// The release of the study, if it is one.
    #[must_use]
    pub const fn release(&self) -> Option<&ReleaseName> {
        match self {
            Authority::Study { release, .. } => Some(release),
            Authority::Grant { .. } => None,
        }
    }
}

/// Why a subject is left out of everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// The person, or the owner for them, does not want to be in studies.
    Excluded,
    /// The person's rows are erased with the next version of every dataset.
    Erased,
}

/// What an owner says about a study.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It may run.
    Approve,
    /// It may not.
    Decline,
    /// It may not as it is.
    AskForChanges,
    /// It may no longer run.
    Revoke,
    /// It may not run for now.
    Suspend,
}

/// An account of a release, with what was in force when it was admitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountInForce {
    /// The account.
    pub account: Account,
    /// Its limit.
    pub limit: Rho,
    /// How it was enforced.
    pub mode: Mode,
}

/// The public decision that a release may run, as it was made durable before any private row was
/// read. A rerun happens under exactly these terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// Who asked, under which id.
    pub key: RequestKey,
    /// The digest of the request without its envelope.
    pub body_digest: Digest,
    /// What allows it.
    pub authority: Authority,
    /// The digest of the canonical plan; [`Intent::NO_PLAN`] in the first version of records.
    pub plan: Digest,
    /// The dataset version it reads.
    pub dataset: DatasetVersion,
    /// The dataset's population.
    pub population: PopulationName,
    /// The public price.
    pub price: Rho,
    /// What it takes of delta for keys that are not declared, from everybody.
    pub delta_keys: DeltaCharge,
    /// The standard deviation of each vector's noise, in grid steps.
    pub sigmas: Vec<u64>,
    /// The accounts it adds to: the population, then the dataset if it has its own limit.
    pub accounts: Vec<AccountInForce>,
    /// Whether it is publicly known that no subject is left out for lack of room.
    pub nobody_dropped: bool,
    /// The signed request.
    pub evidence: Vec<u8>,
}

impl Intent {
    /// Stands for the plan where none was recorded. No plan has it.
    pub const NO_PLAN: Digest = Digest::new([0; 32]);
}

/// The secrets of a population. They never change, so that a subject keeps its index and its rows
/// their order.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Secrets {
    /// Keys the hash under which subject ids are kept.
    pub subject: [u8; 32],
    /// Keys the hash that orders a subject's rows.
    pub row: [u8; 32],
}

/// Shows nothing.
impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets")
    }
}

/// A keyed hash of a normalised subject id: the only form in which ids are kept.
pub type SubjectHash = [u8; 16];

/// One thing that happened.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Record {
    Genesis {
        journal: KeyId,
        created: UnixMillis,
    },
    /// The charges of releases before the head that it names may be gone; what they added up to
    /// is in the file whose digest it holds.
    Compacted(Compaction),
    PopulationCreated {
        name: PopulationName,
        most_subjects: u64,
        capacity: u32,
        /// The owner's statement that nobody is in another population of the node.
        apart: bool,
        evidence: Vec<u8>,
        secrets: Secrets,
    },
    /// The hashes of new subjects, padded to the capacity when encoded.
    SubjectsAdded {
        population: PopulationName,
        capacity: u32,
        first: u32,
        hashes: Vec<SubjectHash>,
    },
    DatasetAdded {
        which: DatasetVersion,
        name: DatasetName,
        population: PopulationName,
        description: String,
        evidence: Vec<u8>,
        file_sha256: [u8; 32],
        rows: u64,
    },
    LimitSet(LimitSet),
    ScientistLimitSet {
        person: Option<KeyId>,
        rho: Rho,
        evidence: Vec<u8>,
    },
    Enrolled {
        person: KeyId,
        role: Role,
        name: PartyName,
        evidence: Vec<u8>,
    },
    Dismissed {
        person: KeyId,
        evidence: Vec<u8>,
    },
    StudySubmitted(NewStudy),
    StudyDecided {
        study: StudyId,
        digest: Digest,
        decision: Decision,
        reason: String,
        evidence: Vec<u8>,
    },
    StudyWithdrawn {
        study: StudyId,
        evidence: Vec<u8>,
    },
    StudySuspended {
        study: StudyId,
        why: String,
    },
    IntentOpened(Intent),
    FoldRestarted {
        intent: u64,
    },
    /// `codes` has one code for each index of the population's capacity.
    ReleaseCommitted {
        intent: u64,
        body: Vec<u8>,
        codes: Vec<u16>,
    },
    IntentPoisoned {
        intent: u64,
    },
    /// A request that is answered by the release with this record, made for an earlier request
    /// of the same person. It is in nobody's exposure.
    AnsweredEarlier {
        key: RequestKey,
        body_digest: Digest,
        release: u64,
    },
    StopCounted {
        population: PopulationName,
    },
    PopulationStopped {
        population: PopulationName,
    },
    Lifted {
        population: PopulationName,
        evidence: Vec<u8>,
    },
    /// Stands before the study or grant that is the first to name the project.
    ProjectOpened {
        project: ProjectName,
        first: KeyId,
    },
    JoinAsked {
        project: ProjectName,
        person: KeyId,
        evidence: Vec<u8>,
    },
    MemberConfirmed {
        project: ProjectName,
        person: KeyId,
        evidence: Vec<u8>,
    },
    MemberRemoved {
        project: ProjectName,
        person: KeyId,
        reason: String,
        evidence: Vec<u8>,
    },
    ProjectLimitSet {
        project: ProjectName,
        rho: Rho,
        evidence: Vec<u8>,
    },
    GrantGiven(NewGrant),
    GrantRevoked {
        grant: GrantId,
        reason: String,
        evidence: Vec<u8>,
    },
    GrantSuspended {
        grant: GrantId,
        why: String,
    },
    /// `hashes` is padded to a multiple of the capacity when encoded.
    SubjectsMarked {
        population: PopulationName,
        capacity: u32,
        mark: Mark,
        reason: String,
        evidence: Vec<u8>,
        hashes: Vec<SubjectHash>,
    },
    /// Padded likewise.
    SubjectsReadmitted {
        population: PopulationName,
        capacity: u32,
        reason: String,
        evidence: Vec<u8>,
        hashes: Vec<SubjectHash>,
    },
    /// Old ids and the new ids of the same people; padded likewise.
    SubjectsRekeyed {
        population: PopulationName,
        capacity: u32,
        evidence: Vec<u8>,
        pairs: Vec<(SubjectHash, SubjectHash)>,
    },
    /// People of `gone` and who they are in `keep`; padded by the capacity of `gone`.
    PopulationsMerged {
        keep: PopulationName,
        gone: PopulationName,
        capacity: u32,
        limit: LimitSet,
        /// What was promised to whoever is in both, converted when it was merged.
        guarantee: Limit,
        evidence: Vec<u8>,
        pairs: Vec<(SubjectHash, SubjectHash)>,
    },
}
