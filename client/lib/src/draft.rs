//! Drafting a study in code.

use obscura_model::accuracy::{Accuracy, AccuracyRequest, InvalidAccuracy};
use obscura_model::codelist::SignedCodeList;
use obscura_model::ids::{DatasetName, InvalidId, ProjectName, ReleaseName, StudyId};
use obscura_model::study::{
    Institution, InvalidStudy, ReleaseOptions, Study, StudyContent, StudyRelease, Terms,
};
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
    /// No project.
    #[error("name the draft's project: the people who work on it together")]
    NoProject,
    /// A rule about the whole.
    #[error(transparent)]
    Study(#[from] InvalidStudy),
}

/// A study in the making. Everything is checked in [`Draft::ask`].
#[derive(Debug, Clone)]
pub struct Draft {
    id: StudyId,
    project: String,
    title: String,
    dataset: String,
    purpose: String,
    terms: Terms,
    code_lists: Vec<SignedCodeList>,
    releases: Vec<(String, String, Accuracy, ReleaseOptions)>,
}

impl Draft {
    /// A draft with a title, about one dataset.
    #[must_use]
    pub fn new(id: StudyId, title: &str, dataset: &str) -> Self {
        Draft {
            id,
            project: String::new(),
            title: title.to_owned(),
            dataset: dataset.to_owned(),
            purpose: String::new(),
            terms: Terms::default(),
            code_lists: Vec::new(),
            releases: Vec::new(),
        }
    }

    /// The people who work on it together; the same name at every institution.
    #[must_use]
    pub fn project(self, project: &str) -> Self {
        let project = project.to_owned();
        Draft { project, ..self }
    }

    /// A code list that its queries name.
    #[must_use]
    pub fn code_list(mut self, list: SignedCodeList) -> Self {
        self.code_lists.push(list);
        self
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

    /// Asks for a release, to run once, as a study file that says nothing more means it: only while
    /// nobody is left out.
    #[must_use]
    pub fn release(self, name: &str, sql: &str, accuracy: Accuracy) -> Self {
        self.release_with(name, sql, accuracy, ReleaseOptions::PROPOSED)
    }

    /// Asks for a release, to run once, with options.
    #[must_use]
    pub fn release_with(
        mut self,
        name: &str,
        sql: &str,
        accuracy: Accuracy,
        options: ReleaseOptions,
    ) -> Self {
        let release = (name.to_owned(), sql.to_owned(), accuracy, options);
        self.releases.push(release);
        self
    }

    /// Checks everything: the study for these institutions.
    ///
    /// # Errors
    ///
    /// Says which part breaks a rule.
    pub fn ask(self, institutions: &[Institution]) -> Result<Study, InvalidDraft> {
        if self.project.is_empty() {
            return Err(InvalidDraft::NoProject);
        }
        let release = |(name, sql, accuracy, options): (String, String, _, _)| {
            Ok(StudyRelease {
                name: ReleaseName::new(&name)?,
                sql: SqlText::new(&sql)?,
                accuracy: AccuracyRequest::whole(accuracy)?,
                times: 1,
                options,
            })
        };
        let releases = self.releases.into_iter().map(release);
        Ok(Study::new(StudyContent {
            id: self.id,
            project: ProjectName::new(&self.project)?,
            title: self.title,
            purpose: self.purpose,
            terms: self.terms,
            dataset: DatasetName::new(&self.dataset)?,
            code_lists: self.code_lists,
            releases: releases.collect::<Result<_, InvalidDraft>>()?,
            institutions: institutions.to_vec(),
        })?)
    }
}
