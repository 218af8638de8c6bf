//! A study: what a scientist asks owners for, as a file people write and as a document that is
//! signed, approved by digest, and kept.

mod file;

use std::collections::BTreeSet;

use crate::accuracy::AccuracyRequest;
use crate::codelist::SignedCodeList;
use crate::ids::{
    DatasetName, Digest, KeyId, PartyName, ProjectName, ReleaseName, StudyId, UnixMillis,
};
use crate::schema::StudyTerm;
use crate::text::SqlText;

pub use file::{InvalidStudyFile, StudyFile};

/// Under what terms a study runs. Empty texts are terms that are not stated.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Terms {
    /// The controller.
    pub controller: String,
    /// The legal basis.
    pub legal_basis: String,
    /// The reference of the ethics decision.
    pub ethics_reference: String,
    /// The contract number.
    pub contract_number: String,
    /// The last day, `YYYY-MM-DD` (UTC).
    pub end_date: String,
}

impl Terms {
    /// The text of one term; empty if not stated.
    #[must_use]
    pub fn get(&self, term: StudyTerm) -> &str {
        match term {
            StudyTerm::Controller => &self.controller,
            StudyTerm::LegalBasis => &self.legal_basis,
            StudyTerm::EthicsReference => &self.ethics_reference,
            StudyTerm::ContractNumber => &self.contract_number,
            StudyTerm::EndDate => &self.end_date,
        }
    }

    /// The required terms that are not stated.
    #[must_use]
    pub fn missing(&self, required: &BTreeSet<StudyTerm>) -> Vec<StudyTerm> {
        required
            .iter()
            .copied()
            .filter(|t| self.get(*t).trim().is_empty())
            .collect()
    }
}

/// What a scientist can add to a question. All of it is public, signed and approved with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReleaseOptions {
    /// Run only while the public meters prove that nobody is left out.
    pub require_complete: bool,
    /// One more vector, priced and counted for everybody: how many people of the dataset
    /// contributed.
    pub coverage: bool,
    /// One more vector, priced and counted for everybody: how many people were clipped or
    /// truncated.
    pub count_clipped: bool,
}

impl ReleaseOptions {
    /// Nothing added, and people may be missing: what the first form of documents meant.
    pub const NONE: Self = Self {
        require_complete: false,
        coverage: false,
        count_clipped: false,
    };

    /// What a study file means that says nothing: complete answers, nothing added.
    pub const PROPOSED: Self = Self {
        require_complete: true,
        ..Self::NONE
    };
}

/// One release that a study asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct StudyRelease {
    /// Its name inside the study.
    pub name: ReleaseName,
    /// The query.
    pub sql: SqlText,
    /// How accurate.
    pub accuracy: AccuracyRequest,
    /// How many request ids may run it, each priced in full: 1 to 1,000.
    pub times: u32,
    /// What is added to the question.
    pub options: ReleaseOptions,
}

/// The digest of a query in canonical form, as approved and run.
#[must_use]
pub fn canonical_digest(canonical: &str) -> Digest {
    Digest::of_parts(&[b"obscura query 1", canonical.as_bytes()])
}

/// The digest of all queries of a study, from [`canonical_digest`] of each in order: what an owner
/// signs with an approval.
#[must_use]
pub fn queries_digest(queries: impl IntoIterator<Item = Digest>) -> Digest {
    let queries: Vec<Digest> = queries.into_iter().collect();
    let parts = queries.iter().map(|q| q.as_bytes().as_slice());
    let parts: Vec<&[u8]> = std::iter::once(&b"obscura queries 1"[..])
        .chain(parts)
        .collect();
    Digest::of_parts(&parts)
}

/// One institution that a study asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Institution {
    /// The node's name.
    pub name: PartyName,
    /// The node's public key.
    pub key: KeyId,
}

/// What a study says; [`Study::new`] checks it.
#[derive(Debug, Clone, PartialEq)]
pub struct StudyContent {
    /// Chosen by the scientist; the same at every institution.
    pub id: StudyId,
    /// The people who work on it together; the same name at every institution.
    pub project: ProjectName,
    /// The question: 1 to 2,000 characters.
    pub title: String,
    /// Why it is asked, in the scientist's words: 1 to 2,000 characters.
    pub purpose: String,
    /// Under what terms.
    pub terms: Terms,
    /// The dataset's name at every institution.
    pub dataset: DatasetName,
    /// The code lists that its queries name, each once: at most [`MOST_CODE_LISTS`].
    pub code_lists: Vec<SignedCodeList>,
    /// What is asked for: 1 to 100 releases of different names.
    pub releases: Vec<StudyRelease>,
    /// Who is asked: 1 to 1,000, each once.
    pub institutions: Vec<Institution>,
}

/// A checked study. The same document goes to every institution.
#[derive(Debug, Clone, PartialEq)]
pub struct Study(StudyContent);

/// The most code lists of one study.
pub const MOST_CODE_LISTS: usize = 20;

/// The project of studies from before there were projects. No new study may name it.
pub const UNNAMED_PROJECT: &str = "unnamed";

/// Why a study was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidStudy {
    /// Title or purpose is empty or too long.
    #[error("{0} must have 1 to 2000 characters")]
    Text(&'static str),
    /// No release, or too many.
    #[error("a study has 1 to 100 releases, not {0}")]
    Releases(usize),
    /// A release's name stands twice.
    #[error("the release name '{0}' stands twice")]
    Twice(ReleaseName),
    /// A release is to run never or too often.
    #[error("release '{0}': times must be from 1 to 1000")]
    Times(ReleaseName),
    /// No institution, or one twice.
    #[error("name 1 to 1000 institutions, each once")]
    Institutions,
    /// The end date is no date.
    #[error("end_date must be a date like 2027-12-31, not '{0}'")]
    EndDate(String),
    /// A term is too long.
    #[error("{0} must have at most 500 characters")]
    Term(&'static str),
    /// A code list stands twice, or there are too many.
    #[error("a study has at most 20 code lists, each once")]
    CodeLists,
}

impl Study {
    /// Checks the rules of a study.
    pub fn new(content: StudyContent) -> Result<Self, InvalidStudy> {
        for (what, text) in [("title", &content.title), ("purpose", &content.purpose)] {
            if text.trim().is_empty() || text.chars().count() > 2000 {
                return Err(InvalidStudy::Text(what));
            }
        }
        check_terms(&content.terms)?;
        check_releases(&content.releases)?;
        let institutions = &content.institutions;
        let keys: BTreeSet<_> = institutions.iter().map(|i| i.key).collect();
        if !(1..=1000).contains(&institutions.len()) || keys.len() != institutions.len() {
            return Err(InvalidStudy::Institutions);
        }
        let lists = &content.code_lists;
        let references: BTreeSet<_> = lists.iter().map(|l| l.list().reference()).collect();
        if lists.len() > MOST_CODE_LISTS || references.len() != lists.len() {
            return Err(InvalidStudy::CodeLists);
        }
        Ok(Self(content))
    }

    /// Chosen by the scientist; the same at every institution.
    #[must_use]
    pub fn id(&self) -> StudyId {
        self.0.id
    }

    /// The people who work on it together.
    #[must_use]
    pub fn project(&self) -> &ProjectName {
        &self.0.project
    }

    /// The question.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.0.title
    }

    /// Why it is asked, in the scientist's words.
    #[must_use]
    pub fn purpose(&self) -> &str {
        &self.0.purpose
    }

    /// Under what terms.
    #[must_use]
    pub fn terms(&self) -> &Terms {
        &self.0.terms
    }

    /// The dataset's name at every institution.
    #[must_use]
    pub fn dataset(&self) -> &DatasetName {
        &self.0.dataset
    }

    /// The code lists that its queries name.
    #[must_use]
    pub fn code_lists(&self) -> &[SignedCodeList] {
        &self.0.code_lists
    }

    /// What is asked for.
    #[must_use]
    pub fn releases(&self) -> &[StudyRelease] {
        &self.0.releases
    }

    /// Finds a release by name.
    #[must_use]
    pub fn release(&self, name: &ReleaseName) -> Option<&StudyRelease> {
        self.0.releases.iter().find(|r| r.name == *name)
    }

    /// Who is asked.
    #[must_use]
    pub fn institutions(&self) -> &[Institution] {
        &self.0.institutions
    }

    /// When it expires: at the end of its last day, or a year after `submitted` if it states
    /// none.
    #[must_use]
    pub fn expires(&self, submitted: UnixMillis) -> UnixMillis {
        const YEAR: u64 = 365 * 86_400_000;
        UnixMillis::end_of_day(&self.0.terms.end_date)
            .unwrap_or(UnixMillis(submitted.0.saturating_add(YEAR)))
    }
}

fn check_terms(terms: &Terms) -> Result<(), InvalidStudy> {
    for term in StudyTerm::ALL {
        if terms.get(term).chars().count() > 500 {
            return Err(InvalidStudy::Term(term.as_str()));
        }
    }
    if !terms.end_date.is_empty() && UnixMillis::end_of_day(&terms.end_date).is_none() {
        return Err(InvalidStudy::EndDate(
            terms.end_date.chars().take(20).collect(),
        ));
    }
    Ok(())
}

fn check_releases(releases: &[StudyRelease]) -> Result<(), InvalidStudy> {
    if !(1..=100).contains(&releases.len()) {
        return Err(InvalidStudy::Releases(releases.len()));
    }
    let mut names = BTreeSet::new();
    for release in releases {
        if !names.insert(&release.name) {
            return Err(InvalidStudy::Twice(release.name.clone()));
        }
        if !(1..=1000).contains(&release.times) {
            return Err(InvalidStudy::Times(release.name.clone()));
        }
    }
    Ok(())
}

/// Where a study is at one institution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StudyState {
    /// Waiting for the owner.
    Submitted,
    /// The owner asks for another form of it.
    ChangesRequested,
    /// May run until it expires.
    Approved,
    /// Declined by the owner.
    Declined,
    /// Taken back by the scientist.
    Withdrawn,
    /// Its end date has passed.
    Expired,
    /// Stopped by the node, because a release failed twice.
    Suspended,
    /// Stopped by the owner after approval.
    Revoked,
    /// Everything approved was released.
    Completed,
}

impl StudyState {
    /// The state in words for people.
    #[must_use]
    pub const fn in_words(self) -> &'static str {
        match self {
            StudyState::Submitted => "waiting for the owner",
            StudyState::ChangesRequested => "changes asked",
            StudyState::Approved => "approved",
            StudyState::Declined => "declined",
            StudyState::Withdrawn => "withdrawn",
            StudyState::Expired => "expired",
            StudyState::Suspended => "suspended",
            StudyState::Revoked => "revoked",
            StudyState::Completed => "released",
        }
    }
}

/// An owner's decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It may run.
    Approve,
    /// It may not.
    Decline,
    /// In another form, perhaps.
    AskForChanges,
    /// Stop after approval.
    Revoke,
}
