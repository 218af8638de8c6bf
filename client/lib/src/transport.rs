//! The one place that knows the wire and tonic: sign, call, check the answer, decode.
//!
//! | module | rpcs |
//! |---|---|
//! | `catalogue` | Directory.ListNodes, Catalogue.*, Exposure.GetExposure |
//! | `studies` | Sandbox.*, Studies.*, Releases.Run |
//! | `grants` | Releases.Ask, Releases.ListGrants, Owner.*Grant* |
//! | `projects` | Projects.*, Owner.*Project*, Owner.*Member |
//! | `subjects` | Owner.MarkSubjects, Owner.Rekey, Owner.Merge |
//! | `owner` | the rest of Owner.* |
//! | `peer` | none: reads a server's certificate from its TLS handshake |
//! | `status` | none: what a refusal means |

mod catalogue;
mod grants;
mod owner;
mod peer;
mod projects;
mod status;
mod studies;
mod subjects;
#[cfg(test)]
mod tests;

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use obscura_model::envelope::{Envelope, Reality, SignedMessage};
use obscura_model::identity::{Party, SigningKey};
use obscura_model::ids::{Digest, KeyId, PartyName, RequestId, UnixMillis};
use obscura_model::wire::{self, InvalidWire};
use obscura_wire::tls::{self, Credentials};
use obscura_wire::v1;
use prost::Message;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;

use crate::error::Error;
use crate::profile::{Profile, Target};
use crate::surroundings::Surroundings;

pub(crate) use catalogue::ListedNode;
pub(crate) use owner::Pinned;
pub(crate) use studies::{Ran, study_digest};

/// How long a request's envelope is valid.
const VALIDITY: u64 = 60 * 1000;

/// The metadata key that a gateway routes by.
const ROUTE: &str = "obscura-node";

/// How long most answers may take.
const SHORT: Duration = Duration::from_secs(30);

/// How long an answer may take that waits for a slot or reads a data file.
const LONG: Duration = Duration::from_secs(300);

/// Whether a call may be made again when nobody answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Repeat {
    /// The same request id and body again changes nothing.
    Safe,
    /// Its caller decides.
    Never,
}

/// One rpc: what it takes and what it answers with.
struct Rpc<Q, A> {
    path: &'static str,
    reality: Reality,
    repeat: Repeat,
    limit: Duration,
    types: PhantomData<fn(Q) -> A>,
}

impl<Q, A> Rpc<Q, A> {
    /// Reads public things or invented rows.
    const fn reading(path: &'static str) -> Self {
        Self::new(path, Reality::Mock, Repeat::Safe, SHORT)
    }

    const fn new(path: &'static str, reality: Reality, repeat: Repeat, limit: Duration) -> Self {
        Rpc {
            path,
            reality,
            repeat,
            limit,
            types: PhantomData,
        }
    }
}

/// Who is called: over the transport's channel, and on from there to a node.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    /// For people.
    pub(crate) who: String,
    /// Whose signature is expected.
    pub(crate) key: KeyId,
    /// The node that a gateway routes to.
    pub(crate) route: Option<PartyName>,
}

/// A channel, our key, and the surroundings. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Transport(Arc<Inner>);

struct Inner {
    credentials: Credentials,
    key: SigningKey,
    me: Party,
    server: Party,
    server_certificate: Vec<u8>,
    channel: Channel,
    around: Surroundings,
}

impl Transport {
    /// Opens a channel to the profile's target and learns its key from its TLS certificate.
    pub(crate) async fn connect(profile: &Profile, around: Surroundings) -> Result<Self, Error> {
        let (credentials, me) = (profile.credentials()?, profile.party()?);
        let key = SigningKey::from_pkcs8_der(credentials.private_key())
            .map_err(|_| Error::OwnCertificate(obscura_model::identity::InvalidCertificate::Key))?;
        let target = profile.target();
        let server_certificate = peer::certificate(target, &credentials, around.patience).await?;
        let wrong = || Error::WrongParty {
            who: target.in_words(),
        };
        let server = Party::from_certificate(&server_certificate).map_err(|_| wrong())?;
        if server.role != target.role() || server.name != *target.name() {
            return Err(wrong());
        }
        let channel = tls::channel(target.address(), &target.dns_name(), &credentials)?;
        Ok(Transport(Arc::new(Inner {
            credentials,
            key,
            me,
            server,
            server_certificate,
            channel,
            around,
        })))
    }

    pub(crate) fn me(&self) -> &Party {
        &self.0.me
    }

    pub(crate) fn ca(&self) -> &[u8] {
        self.0.credentials.ca()
    }

    pub(crate) fn now(&self) -> UnixMillis {
        self.0.around.clock.now()
    }

    /// The server at the other end of the channel, with its certificate (DER).
    pub(crate) fn server(&self) -> (&Party, &[u8]) {
        (&self.0.server, &self.0.server_certificate)
    }

    /// The server itself as the one who is called.
    pub(crate) fn server_peer(&self, target: &Target) -> Peer {
        Peer {
            who: target.in_words(),
            key: self.0.server.key,
            route: None,
        }
    }

    pub(crate) fn around(&self) -> &Surroundings {
        &self.0.around
    }

    pub(crate) fn fresh_id(&self) -> Result<RequestId, Error> {
        let entropy = self.0.around.id_entropy()?;
        Ok(RequestId::from_parts(self.now().0, entropy))
    }

    /// A call under a fresh request id.
    async fn call<Q, A>(&self, to: &Peer, rpc: Rpc<Q, A>, body: &Q) -> Result<A, Error>
    where
        Q: Message,
        A: Message + Default,
    {
        let id = self.fresh_id()?;
        let (answer, _) = self.call_as(to, rpc, body, id).await?;
        Ok(answer)
    }

    /// A call under this request id; also gives the digest of the request's body.
    async fn call_as<Q, A>(
        &self,
        to: &Peer,
        rpc: Rpc<Q, A>,
        body: &Q,
        id: RequestId,
    ) -> Result<(A, Digest), Error>
    where
        Q: Message,
        A: Message + Default,
    {
        let body = body.encode_to_vec();
        let digest = Digest::of(&body);
        let mut tries = self.0.around.patience.tries();
        let bytes = loop {
            let error = match self.once(to, &rpc, body.clone(), id).await {
                Ok(bytes) => break bytes,
                Err(error) => error,
            };
            let again = rpc.repeat == Repeat::Safe && error.is_passing();
            if !(again && tries.next().await) {
                return Err(error);
            }
        };
        let answer = A::decode(bytes.as_slice()).map_err(|_| form(to)(InvalidWire::Form))?;
        Ok((answer, digest))
    }

    /// Signs, sends, and checks the answer's envelope.
    async fn once<Q, A>(
        &self,
        to: &Peer,
        rpc: &Rpc<Q, A>,
        body: Vec<u8>,
        id: RequestId,
    ) -> Result<Vec<u8>, Error> {
        let (inner, issued) = (&self.0, self.now());
        let me = inner.me.key;
        let envelope = Envelope {
            method: rpc.path.to_owned(),
            audience: to.key,
            sender: me,
            body_digest: Digest::of(&body),
            request_id: id,
            issued,
            expires: UnixMillis(issued.0.saturating_add(VALIDITY)),
            reality: rpc.reality,
            answers: None,
        };
        let message = SignedMessage::sign(&inner.key, envelope, body);
        let mut request = tonic::Request::new(wire::signed_to(message.clone()));
        if let Some(route) = &to.route
            && let Ok(value) = route.as_str().parse()
        {
            request.metadata_mut().insert(ROUTE, value);
        }
        let answer =
            tokio::time::timeout(rpc.limit, send(inner.channel.clone(), rpc.path, request))
                .await
                .map_err(|_| Error::TooSlow {
                    who: to.who.clone(),
                })?
                .map_err(|status| status::error(&to.who, inner.me.role, &status))?;
        let answer = wire::signed_from(answer);
        answer
            .open_answer(&message, &to.key, &me, self.now())
            .map_err(|source| Error::Answer {
                who: to.who.clone(),
                source,
            })?;
        Ok(answer.body)
    }
}

async fn send(
    channel: Channel,
    path: &'static str,
    request: tonic::Request<v1::Signed>,
) -> Result<v1::Signed, tonic::Status> {
    let mut grpc =
        tonic::client::Grpc::new(channel).max_decoding_message_size(tls::MAX_ANSWER_BYTES);
    grpc.ready().await.map_err(status::not_ready)?;
    let codec = tonic_prost::ProstCodec::<v1::Signed, v1::Signed>::default();
    let answer = grpc
        .unary(request, PathAndQuery::from_static(path), codec)
        .await?;
    Ok(answer.into_inner())
}

/// An answer whose content breaks a rule.
fn form(who: &Peer) -> impl Fn(InvalidWire) -> Error + '_ {
    |source| Error::Form {
        who: who.who.clone(),
        source,
    }
}
