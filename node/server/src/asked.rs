//! What a signed request for a release asks for, and what it comes to: all of it public.

use std::time::Duration;

use obscura_ledger::{self as ledger, GrantState, GrantView, StudyView};
use obscura_model::ids::{Digest, KeyId, ProjectName};
use obscura_model::release::{AskRequest, Authority, RunRequest};
use obscura_model::study::{ReleaseOptions, StudyState};
use obscura_model::wire;
use obscura_query::PrivatePlan;

use crate::error::Error;
use crate::node::{DatasetFace, Node};
use crate::question::{Posed, Question};

/// The rpc that runs a release of a study.
pub const RUN: &str = "/obscura.v1.Releases/Run";
/// The rpc that asks under a grant.
pub const ASK: &str = "/obscura.v1.Releases/Ask";

/// A request for a release.
#[derive(Debug)]
pub enum Asked {
    /// One release of an approved study.
    Run(RunRequest),
    /// One question under a standing grant.
    Ask(Box<AskRequest>),
}

impl Asked {
    /// Reads the body of a message to the rpc `method`.
    pub fn decode(method: &str, body: &[u8]) -> Result<Self, Error> {
        match method {
            RUN => Ok(Self::Run(wire::run_request_decode(body)?)),
            ASK => Ok(Self::Ask(Box::new(wire::ask_request_decode(body)?))),
            _ => Err(wire::InvalidWire::Missing("a request for a release").into()),
        }
    }

    /// Whether a new release is wanted even if the same question has an answer already.
    #[must_use]
    pub fn again(&self) -> bool {
        match self {
            Self::Run(run) => run.again,
            Self::Ask(ask) => ask.again,
        }
    }
}

/// What allows a release, as it stood when the request came.
#[derive(Debug)]
pub enum Permission {
    /// A study.
    Study(Box<StudyView>),
    /// A grant.
    Grant(Box<GrantView>),
}

impl Permission {
    fn project(&self) -> &ProjectName {
        match self {
            Self::Study(study) => &study.project,
            Self::Grant(grant) => &grant.project,
        }
    }

    /// Whether it holds, or did until all that it allows was begun.
    fn holds(&self) -> bool {
        match self {
            Self::Study(study) => {
                matches!(study.state, StudyState::Approved | StudyState::Completed)
            }
            Self::Grant(grant) => matches!(grant.state, GrantState::InForce | GrantState::Used),
        }
    }
}

/// The public half of a release: what would run, on what, and what allows it.
#[derive(Debug)]
pub struct Planned {
    /// What allows it, for the body.
    pub authority: Authority,
    /// What allows it, as it stood.
    pub permission: Permission,
    /// The dataset version.
    pub face: DatasetFace,
    /// The query as it is run.
    pub canonical_sql: String,
    /// The columns that it reads.
    pub columns: Vec<String>,
    /// The tables that it reads, if there are several.
    pub tables: Vec<String>,
    /// What is added to the question.
    pub options: ReleaseOptions,
    /// By what the same question is known again.
    pub digest: Digest,
    /// The plan.
    pub plan: PrivatePlan,
}

impl Planned {
    /// Plans what `person` asks for.
    pub fn of(node: &Node, person: &KeyId, asked: &Asked) -> Result<Self, Error> {
        match asked {
            Asked::Run(run) => Self::run(node, person, run),
            Asked::Ask(ask) => Self::ask(node, person, ask),
        }
    }

    fn run(node: &Node, person: &KeyId, request: &RunRequest) -> Result<Self, Error> {
        let view = node.ledger.study(request.study, node.now());
        let view = view.ok_or(Error::NoStudy)?;
        // To who is no member and did not submit it, it does not exist.
        if view.scientist != *person && !node.is_member(&view.project, person) {
            return Err(Error::NoStudy);
        }
        if view.digest != request.study_digest {
            return Err(Error::OtherDocument);
        }
        let study = node.study_document(&view)?;
        let release = study
            .release(&request.release)
            .ok_or_else(|| Error::NoRelease(request.release.to_string()))?;
        let face = node.dataset_version(view.dataset)?;
        let authority = Authority::Study {
            study: view.id,
            digest: view.digest,
            release: release.name.clone(),
        };
        let permission = Permission::Study(Box::new(view));
        Self::make(authority, permission, face, Question::of(&study, release))
    }

    fn ask(node: &Node, person: &KeyId, request: &AskRequest) -> Result<Self, Error> {
        let view = node.ledger.grant(request.grant, node.now());
        let view = view.filter(|grant| grant.scientist == *person);
        let view = view.ok_or(Error::NoGrant)?;
        let face = node.dataset(request.dataset.as_str())?;
        let question = Question {
            sql: &request.sql,
            accuracy: &request.accuracy,
            options: request.options,
            code_lists: &request.code_lists,
        };
        let authority = Authority::Grant {
            grant: request.grant,
        };
        Self::make(authority, Permission::Grant(Box::new(view)), face, question)
    }

    fn make(
        authority: Authority,
        permission: Permission,
        face: DatasetFace,
        question: Question<'_>,
    ) -> Result<Self, Error> {
        let Posed { query, plan } = question.pose(&face)?;
        let columns = query.columns_read(&face.description);
        let tables = plan.tables_read(&face.description);
        Ok(Self {
            canonical_sql: query.canonical(),
            columns,
            tables,
            options: question.options,
            digest: question.digest(&plan),
            authority,
            permission,
            face,
            plan,
        })
    }

    /// What allows it, for the ledger.
    #[must_use]
    pub fn ledger_authority(&self) -> ledger::Authority {
        match &self.authority {
            Authority::Study { study, release, .. } => ledger::Authority::Study {
                study: *study,
                release: release.clone(),
            },
            Authority::Grant { grant } => ledger::Authority::Grant { grant: *grant },
        }
    }

    /// Whether `person` may be offered an earlier answer of theirs here: a member, under a study
    /// or grant that holds or held until it was used up.
    #[must_use]
    pub fn may_repeat(&self, node: &Node, person: &KeyId) -> bool {
        self.permission.holds() && node.is_member(self.permission.project(), person)
    }

    /// The public worst case, of which a shared slot adds up those of its members.
    pub fn worst_case(&self) -> Result<Duration, Error> {
        Ok(Duration::from_millis(self.plan.slot(1)?))
    }

    /// The public length of a slot that it does not share.
    pub fn slot(&self, node: &Node) -> Result<Duration, Error> {
        let step = u64::try_from(node.settings.slot.as_millis()).unwrap_or(u64::MAX);
        Ok(Duration::from_millis(self.plan.slot(step)?))
    }
}
