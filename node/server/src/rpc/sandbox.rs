//! Sandbox: mock runs and previews.

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
use crate::sandbox::{self, Preview};

const RUN: Method = Method {
    path: "/obscura.v1.Sandbox/RunMock",
    whom: For::Everybody,
    reality: Reality::Mock,
    most: limits::BODY_BYTES,
};
const PREVIEW: Method = Method {
    path: "/obscura.v1.Sandbox/Preview",
    whom: For::Everybody,
    reality: Reality::Mock,
    most: limits::BODY_BYTES,
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
                } = opened.body;
                let (sql, accuracy) = (text(&sql)?, wire::accuracy_from(accuracy)?);
                let caller = opened.caller.key();
                let run = sandbox::run_mock(node, &caller, &dataset, &sql, &accuracy, seed)?;
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
                } = opened.body;
                let (sql, accuracy) = (text(&sql)?, wire::accuracy_from(accuracy)?);
                let seen = sandbox::preview(node, &opened.caller.key(), &dataset, &sql, &accuracy)?;
                Ok(preview(&seen))
            },
        )
        .await
    }
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
    }
}
