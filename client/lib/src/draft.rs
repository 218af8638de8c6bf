//! Drafting a study in code.

use obscura_model::accuracy::{Accuracy, AccuracyRequest, InvalidAccuracy};
use obscura_model::ids::{DatasetName, InvalidId, ReleaseName, StudyId};
use obscura_model::study::{Institution, InvalidStudy, Study, StudyRelease, Terms};
use obscura_model::text::{InvalidText, SqlText};

/// Why a draft is no study.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum InvalidDraft {
    /// A name.
    #[error(transparent)]
    Name(#[from] InvalidId),
    /// A query text.
    #[error(transparent)]
    Text(#[from] InvalidText),
    /// An accuracy.
    #[error(transparent)]
    Accuracy(#[from] InvalidAccuracy),
    /// A rule about the whole.
    #[error(transparent)]
    Study(#[from] InvalidStudy),
}

/// A study in the making. Everything is checked in [`Draft::ask`].
#[derive(Debug, Clone)]
pub struct Draft {
    id: StudyId,
    title: String,
    dataset: String,
    purpose: String,
    terms: Terms,
    releases: Vec<(String, String, Accuracy)>,
}

impl Draft {
    /// A draft with a title, about one dataset.
    #[must_use]
    pub fn new(id: StudyId, title: &str, dataset: &str) -> Self {
        Draft {
            id,
            title: title.to_owned(),
            dataset: dataset.to_owned(),
            purpose: String::new(),
            terms: Terms::default(),
            releases: Vec::new(),
        }
    }

    /// Why it is asked.
    #[must_use]
    pub fn purpose(self, purpose: &str) -> Self {
        let purpose = purpose.to_owned();
        Draft { purpose, ..self }
    }

    /// Under what terms.
    #[must_use]
    pub fn terms(self, terms: Terms) -> Self {
        Draft { terms, ..self }
    }

    /// Asks for a release, to run once.
    #[must_use]
    pub fn release(mut self, name: &str, sql: &str, accuracy: Accuracy) -> Self {
        let release = (name.to_owned(), sql.to_owned(), accuracy);
        self.releases.push(release);
        self
    }

    /// Checks everything: the study for these institutions.
    ///
    /// # Errors
    ///
    /// Says which part breaks a rule.
    pub fn ask(self, institutions: &[Institution]) -> Result<Study, InvalidDraft> {
        let release = |(name, sql, accuracy): (String, String, Accuracy)| {
            Ok(StudyRelease {
                name: ReleaseName::new(&name)?,
                sql: SqlText::new(&sql)?,
                accuracy: AccuracyRequest::whole(accuracy)?,
                times: 1,
            })
        };
        let releases = self.releases.into_iter().map(release);
        Ok(Study::new(
            self.id,
            self.title,
            self.purpose,
            self.terms,
            DatasetName::new(&self.dataset)?,
            releases.collect::<Result<_, InvalidDraft>>()?,
            institutions.to_vec(),
        )?)
    }
}
