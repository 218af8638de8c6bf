//! One question, as it is previewed, tried out and asked.

use obscura_model::accuracy::AccuracyRequest;
use obscura_model::codelist::SignedCodeList;
use obscura_model::ids::{DatasetName, ProjectName};
use obscura_model::study::{ReleaseOptions, Study, StudyRelease};
use obscura_model::text::SqlText;

/// One question about one dataset.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// The dataset's name at the institution.
    pub dataset: DatasetName,
    /// The query.
    pub sql: SqlText,
    /// How accurate.
    pub accuracy: AccuracyRequest,
    /// What is added to it.
    pub options: ReleaseOptions,
    /// The code lists that it names.
    pub code_lists: Vec<SignedCodeList>,
    /// For which project, in a preview; nothing: for any of one's own.
    pub project: Option<ProjectName>,
}

impl Question {
    /// A question with nothing added to it.
    #[must_use]
    pub fn new(dataset: DatasetName, sql: SqlText, accuracy: AccuracyRequest) -> Self {
        Question {
            dataset,
            sql,
            accuracy,
            options: ReleaseOptions::NONE,
            code_lists: Vec::new(),
            project: None,
        }
    }

    /// The question of one release of a study.
    #[must_use]
    pub fn of(study: &Study, release: &StudyRelease) -> Self {
        Question {
            dataset: study.dataset().clone(),
            sql: release.sql.clone(),
            accuracy: release.accuracy.clone(),
            options: release.options,
            code_lists: study.code_lists().to_vec(),
            project: Some(study.project().clone()),
        }
    }
}
