//! Calls below the client: bytes that a client would never send.

use anyhow::{Context as _, Result};
use obscura_client::model::envelope::{Envelope, Reality, SignedMessage};
use obscura_model::identity::{Role, SigningKey, dns_name};
use obscura_model::ids::{Digest, KeyId, PartyName, RequestId, UnixMillis};
use obscura_model::release::SignedRelease;
use obscura_model::wire;
use obscura_wire::tls;
use obscura_wire::v1;
use prost::Message as _;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;

use crate::people::Person;

/// The rpc that runs a release.
pub const RUN: &str = "/obscura.v1.Releases/Run";
/// The rpc that asks under a grant.
pub const ASK: &str = "/obscura.v1.Releases/Ask";

/// What came back: a message, or a gRPC code with its text.
pub type Answer = std::result::Result<SignedMessage, (tonic::Code, String)>;

/// Somebody's channel to a server.
#[derive(Clone)]
pub struct Caller {
    channel: Channel,
    key: SigningKey,
    route: Option<String>,
}

/// What an envelope says; the rest follows from the caller.
#[derive(Debug, Clone)]
pub struct Said {
    /// The rpc.
    pub method: &'static str,
    /// The receiver.
    pub audience: KeyId,
    /// The request.
    pub request_id: RequestId,
    /// When.
    pub now: UnixMillis,
    /// Mock or real.
    pub reality: Reality,
}

/// The signed release in the answer to a run.
///
/// # Errors
///
/// If there is none in it.
pub fn released(answer: &SignedMessage) -> Result<SignedRelease> {
    let answer = v1::RunResponse::decode(answer.body.as_slice())?;
    let v1::SignedRelease { body, signature } = answer.release.context("no release")?;
    Ok(SignedRelease { body, signature })
}

impl Caller {
    /// To a server of this role and name; `route` names the node behind a gateway.
    ///
    /// # Errors
    ///
    /// If the name is none.
    pub fn new(
        person: &Person,
        address: &str,
        (role, who): (Role, &PartyName),
        route: Option<&str>,
    ) -> Result<Self> {
        let credentials = person.credentials()?;
        let channel = tls::channel(address, &dns_name(role, who), &credentials)?;
        Ok(Self {
            channel,
            key: person.signing_key()?,
            route: route.map(str::to_owned),
        })
    }

    /// Signs a message, valid for a minute.
    #[must_use]
    pub fn sign(&self, said: &Said, body: Vec<u8>) -> SignedMessage {
        let Said {
            method,
            audience,
            request_id,
            now,
            reality,
        } = said.clone();
        let envelope = Envelope {
            method: method.to_owned(),
            audience,
            sender: self.key.key_id(),
            body_digest: Digest::of(&body),
            request_id,
            issued: now,
            expires: UnixMillis(now.0 + 60_000),
            reality,
            answers: None,
        };
        SignedMessage::sign(&self.key, envelope, body)
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    ///
    /// If the connection breaks.
    pub async fn send(&self, method: &'static str, message: SignedMessage) -> Result<Answer> {
        let mut grpc = tonic::client::Grpc::new(self.channel.clone())
            .max_decoding_message_size(tls::MAX_ANSWER_BYTES);
        grpc.ready().await?;
        let mut request = tonic::Request::new(wire::signed_to(message));
        if let Some(route) = &self.route {
            request
                .metadata_mut()
                .insert("obscura-node", route.parse().context("a name")?);
        }
        let codec = tonic_prost::ProstCodec::<v1::Signed, v1::Signed>::default();
        let answer = grpc
            .unary(request, PathAndQuery::from_static(method), codec)
            .await;
        Ok(match answer {
            Ok(answer) => Ok(wire::signed_from(answer.into_inner())),
            Err(status) => Err((status.code(), status.message().to_owned())),
        })
    }
}
