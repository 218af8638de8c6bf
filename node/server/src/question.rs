//! One question on its way to a plan: the one place where this node meets the language.

use obscura_model::accuracy::AccuracyRequest;
use obscura_model::codelist::{CodeLists, SignedCodeList};
use obscura_model::ids::Digest;
use obscura_model::study::{ReleaseOptions, Study, StudyRelease};
use obscura_model::text::SqlText;
use obscura_query::{PrivatePlan, ValidatedQuery};

use crate::error::Error;
use crate::node::DatasetFace;

/// A question as it was signed. Public.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The query.
    pub sql: &'a SqlText,
    /// How accurate.
    pub accuracy: &'a AccuracyRequest,
    /// What is added to it.
    pub options: ReleaseOptions,
    /// The code lists that it names, their signatures checked.
    pub code_lists: &'a [SignedCodeList],
}

/// A question that the language accepts, with its plan. Public.
#[derive(Debug)]
pub struct Posed {
    /// The query.
    pub query: ValidatedQuery,
    /// What would run.
    pub plan: PrivatePlan,
}

impl<'a> Question<'a> {
    /// The question of one release of a study.
    #[must_use]
    pub fn of(study: &'a Study, release: &'a StudyRelease) -> Self {
        Self {
            sql: &release.sql,
            accuracy: &release.accuracy,
            options: release.options,
            code_lists: study.code_lists(),
        }
    }

    /// Checks and plans it on a dataset: from description, text, accuracy and limits only.
    ///
    /// # Errors
    /// If it is outside the language.
    pub fn pose(&self, face: &DatasetFace) -> Result<Posed, Error> {
        let query = self.validated(face)?;
        let plan = face.plan(&query, self.accuracy, self.options)?;
        Ok(Posed { query, plan })
    }

    /// Checks it on a dataset without planning it.
    ///
    /// # Errors
    /// If it is outside the language.
    pub fn validated(&self, face: &DatasetFace) -> Result<ValidatedQuery, Error> {
        Ok(ValidatedQuery::parse(
            self.sql,
            &face.description,
            &self.lists(),
        )?)
    }

    fn lists(&self) -> CodeLists {
        CodeLists::new(self.code_lists.iter().map(|signed| signed.list().clone()))
    }

    /// By what the same question is known again: all that decides what is run, and the options.
    #[must_use]
    pub fn digest(&self, plan: &PrivatePlan) -> Digest {
        let ReleaseOptions {
            require_complete,
            coverage,
            count_clipped,
        } = self.options;
        let options = [require_complete, coverage, count_clipped].map(u8::from);
        Digest::of_parts(&[b"obscura question 1", plan.digest().as_bytes(), &options])
    }
}
