//! The gRPC services. Every method is three steps: decode, call, encode.
//!
//! | service | module | for |
//! | --- | --- | --- |
//! | Catalogue | `catalogue` | enrolled scientists, owners |
//! | Sandbox | `sandbox` | enrolled scientists, owners |
//! | Studies | `studies` | enrolled scientists, owners |
//! | Projects | `projects` | enrolled scientists |
//! | Releases | `releases` | the members whose study was approved, the scientist of a grant |
//! | Exposure | `exposure` | enrolled scientists, owners |
//! | Owner | `owner` | owners |

mod catalogue;
mod encode;
mod exposure;
mod journal;
mod owner;
mod projects;
mod releases;
mod sandbox;
mod status;
mod studies;

use std::sync::Arc;

use obscura_model::envelope::{Envelope, Reality, SignedMessage};
use obscura_model::ids::{Digest, UnixMillis};
use obscura_model::wire;
use obscura_wire::v1;
use prost::Message;
use tonic::{Request, Response, Status};

use crate::access::{Caller, For};
use crate::error::Error;
use crate::limits;
use crate::node::Node;
use crate::turns::Turns;

/// The services of one node.
#[derive(Debug, Clone)]
pub struct Services {
    node: Arc<Node>,
    turns: Turns,
    mock_turns: Turns,
}

/// What a method is: its full path, whom it is for, what rows it is about, and how many bytes its
/// body may have.
#[derive(Debug, Clone, Copy)]
struct Method {
    path: &'static str,
    whom: For,
    reality: Reality,
    most: usize,
}

/// A request whose envelope and caller were checked.
struct Opened<B> {
    caller: Caller,
    message: SignedMessage,
    body: B,
}

impl Services {
    /// The services of `node`.
    #[must_use]
    pub fn new(node: Arc<Node>) -> Self {
        Self {
            node,
            turns: Turns::new(limits::WORKING_CALLS, limits::CALLS_OF_A_CALLER),
            mock_turns: Turns::new(limits::MOCK_RUNS, limits::MOCK_RUNS_OF_A_CALLER),
        }
    }

    /// Checks the envelope before anything else; the body is not read yet.
    fn open(
        &self,
        method: Method,
        request: Request<v1::Signed>,
    ) -> Result<(Caller, SignedMessage), Status> {
        let message = wire::signed_from(request.into_inner());
        let Method {
            path,
            whom,
            reality,
            most,
        } = method;
        let (node, now) = (&self.node, self.node.now());
        node.door
            .open(&message, path, whom, reality, &node.ledger, now)
            .and_then(|caller| {
                node.ledger.health()?;
                if message.body.len() > most {
                    return Err(Error::TooLarge { most });
                }
                Ok((caller, message))
            })
            .map_err(|error| status::refuse(path, &error))
    }

    /// Signs an answer, or refuses.
    fn seal<B: Message>(
        &self,
        method: Method,
        asked: (&Caller, Digest),
        answer: Result<B, Error>,
    ) -> Result<Response<v1::Signed>, Status> {
        let answer = answer.map_err(|error| status::refuse(method.path, &error))?;
        let (caller, request) = asked;
        let now = self.node.now();
        let validity = u64::try_from(limits::ANSWER_VALIDITY.as_millis()).unwrap_or(0);
        let envelope = Envelope {
            method: method.path.to_owned(),
            audience: caller.key(),
            sender: self.node.identity.party.key,
            body_digest: Digest::of(b""),
            request_id: caller.envelope().request_id,
            issued: now,
            expires: UnixMillis(now.0.saturating_add(validity)),
            reality: method.reality,
            answers: Some(request),
        };
        let signed = SignedMessage::sign(&self.node.identity.key, envelope, answer.encode_to_vec());
        Ok(Response::new(wire::signed_to(signed)))
    }

    /// A method that answers without waiting: decode, call on a thread that may block, encode.
    async fn call<B, A>(
        &self,
        method: Method,
        request: Request<v1::Signed>,
        call: impl FnOnce(&Arc<Node>, Opened<B>) -> Result<A, Error> + Send + 'static,
    ) -> Result<Response<v1::Signed>, Status>
    where
        B: Message + Default + 'static,
        A: Message + 'static,
    {
        self.call_in_turn(&self.turns, method, request, call).await
    }

    /// The same with turns of its own. The turn goes with the work, which goes on when the caller
    /// hangs up.
    async fn call_in_turn<B, A>(
        &self,
        turns: &Turns,
        method: Method,
        request: Request<v1::Signed>,
        call: impl FnOnce(&Arc<Node>, Opened<B>) -> Result<A, Error> + Send + 'static,
    ) -> Result<Response<v1::Signed>, Status>
    where
        B: Message + Default + 'static,
        A: Message + 'static,
    {
        let (caller, message) = self.open(method, request)?;
        let refuse = |error| status::refuse(method.path, &error);
        let turn = turns.turn(caller.key()).await.map_err(refuse)?;
        let asked = (caller.clone(), message.envelope_digest());
        let node = self.node.clone();
        let answer = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let body = B::decode(message.body.as_slice());
            let body = body.map_err(|_| Error::Message(wire::InvalidWire::Form))?;
            call(
                &node,
                Opened {
                    caller,
                    message,
                    body,
                },
            )
        });
        let answer = answer
            .await
            .unwrap_or_else(|panic| Err(Error::inside(panic)));
        self.seal(method, (&asked.0, asked.1), answer)
    }
}

/// The answer to a path that is none of ours.
#[must_use]
pub fn unknown_method() -> http::Response<tonic::body::Body> {
    status::unknown_method()
}
