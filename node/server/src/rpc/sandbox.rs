//! Sandbox: mock runs and previews.

use obscura_ledger::DatasetVersion;
use obscura_model::envelope::Reality;
use obscura_model::text::SqlText;
use obscura_model::wire;
use obscura_wire::v1;
use obscura_wire::v1::sandbox_server::Sandbox;
use tonic::{Request, Response, Status, async_trait};

use super::{Method, Opened, Services, encode};
use crate::access::For;
use crate::error::Error;
use crate::limits;
use crate::node::{DatasetFace, Node};
use crate::projects;
use crate::question::Question;
use crate::sandbox::{self, Preview};

const RUN: Method = Method {
    path: "/obscura.v1.Sandbox/RunMock",
    whom: For::Everybody,
    reality: Reality::Mock,
    most: limits::STUDY_BYTES,
};
const PREVIEW: Method = Method {
    path: "/obscura.v1.Sandbox/Preview",
    whom: For::Everybody,
    reality: Reality::Mock,
    most: limits::STUDY_BYTES,
};

#[async_trait]
impl Sandbox for Services {
    async fn run_mock(&self, request: Request<v1::Signed>) -> Result<Response<v1::Signed>, Status> {
        let turns = &self.mock_turns;
        self.call_in_turn(
            turns,
            RUN,
            request,
            |node, opened: Opened<v1::RunMockRequest>| {
                let v1::RunMockRequest {
                    dataset,
                    sql,
                    accuracy,
                    seed,
                    options,
                    code_lists,
                } = opened.body;
                let (sql, accuracy) = (text(&sql)?, wire::accuracy_from(accuracy)?);
                let code_lists = wire::code_lists_from(code_lists)?;
                let question = Question {
                    sql: &sql,
                    accuracy: &accuracy,
                    options: wire::options_from(options),
                    code_lists: &code_lists,
                };
                let caller = opened.caller.key();
                let face = node.dataset(&dataset)?;
                let run = sandbox::run_mock(node, &caller, face, question, seed)?;
                Ok(v1::RunMockResponse {
                    preview: Some(preview(&run.preview)),
                    exact: Some(wire::numbers_to(&run.exact)),
                    noisy: Some(wire::numbers_to(&run.noisy)),
                })
            },
        )
        .await
    }

    async fn preview(&self, request: Request<v1::Signed>) -> Result<Response<v1::Signed>, Status> {
        self.call(
            PREVIEW,
            request,
            |node, opened: Opened<v1::PreviewRequest>| {
                let v1::PreviewRequest {
                    dataset,
                    sql,
                    accuracy,
                    options,
                    code_lists,
                    dataset_version,
                    project,
                } = opened.body;
                let (sql, accuracy) = (text(&sql)?, wire::accuracy_from(accuracy)?);
                let code_lists = wire::code_lists_from(code_lists)?;
                let question = Question {
                    sql: &sql,
                    accuracy: &accuracy,
                    options: wire::options_from(options),
                    code_lists: &code_lists,
                };
                let face = version(node, &dataset, dataset_version)?;
                let project = match project.as_str() {
                    "" => None,
                    name => Some(projects::name(name)?),
                };
                let caller = opened.caller.key();
                let seen = sandbox::preview(node, &caller, project.as_ref(), face, question)?;
                Ok(preview(&seen))
            },
        )
        .await
    }
}

/// A version of a dataset; 0 is the newest.
fn version(node: &Node, dataset: &str, version: u32) -> Result<DatasetFace, Error> {
    let newest = node.dataset(dataset)?;
    if version == 0 || version == newest.view.which.version {
        return Ok(newest);
    }
    let id = newest.view.which.id;
    node.dataset_version(DatasetVersion { id, version })
}

fn text(sql: &str) -> Result<SqlText, Error> {
    Ok(SqlText::new(sql).map_err(wire::InvalidWire::from)?)
}

fn preview(preview: &Preview) -> v1::PreviewResponse {
    let (limit, used) = preview.scientist;
    v1::PreviewResponse {
        shape: Some(wire::shape_to(&preview.shape)),
        price_nano: preview.price.nano(),
        epsilon: preview.epsilon,
        canonical_sql: preview.canonical_sql.clone(),
        words: preview.words.clone(),
        slot_ms: preview.slot_ms,
        accounts: encode::accounts(&preview.dataset),
        scientist_limit_nano: limit.map_or(0, |l| l.nano()),
        scientist_used_nano: used.nano(),
        refusal: preview.refusal.clone().unwrap_or_default(),
        warnings: preview.warnings.clone(),
        dataset_version: preview.dataset.view.which.version,
        fewest_subjects: preview.dataset.description.fewest_subjects(),
        most_subjects: preview.dataset.description.most_subjects(),
        most_rows_per_subject: preview.dataset.description.most_rows_per_subject(),
    }
}
