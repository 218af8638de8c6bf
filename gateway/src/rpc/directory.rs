//! The service `obscura.v1.Directory`.
//!
//! | rpc       | body             | answer            | for                              |
//! | --------- | ---------------- | ----------------- | -------------------------------- |
//! | ListNodes | ListNodesRequest | ListNodesResponse | anybody with a valid certificate |

#[cfg(test)]
mod tests;

use std::sync::Arc;

use obscura_model::envelope::{Envelope, LONGEST_VALIDITY, SignedMessage};
use obscura_model::identity::{Party, SigningKey};
use obscura_model::ids::UnixMillis;
use obscura_model::wire::{signed_from, signed_to};
use obscura_wire::tls::PeerCertificate;
use obscura_wire::v1;
use prost::Message as _;
use tonic::{Request, Response, Status};

use crate::clock::Clock;
use crate::directory::Directory;
use crate::limits::PROBE_LIMIT;
use crate::rpc::status::Refusal;

/// The full path of ListNodes, as envelopes name it.
pub(crate) const LIST_NODES: &str = "/obscura.v1.Directory/ListNodes";

/// Answers for the directory.
#[derive(Clone)]
pub(crate) struct Service {
    directory: Directory,
    key: Arc<SigningKey>,
    clock: Clock,
}

impl Service {
    /// A service that signs with `key`.
    #[must_use]
    pub(crate) fn new(directory: Directory, key: SigningKey, clock: Clock) -> Self {
        Self {
            directory,
            key: Arc::new(key),
            clock,
        }
    }

    /// Decodes and checks a request: meant for us and for this method, in date, and signed by the
    /// very party at the other end of the connection.
    fn open(&self, request: Request<v1::Signed>) -> Result<(SignedMessage, Envelope), Refusal> {
        let peer = request.extensions().get::<PeerCertificate>().cloned();
        let message = signed_from(request.into_inner());
        let envelope = message
            .open_request(&self.key.key_id(), LIST_NODES, (self.clock)())
            .map_err(|reason| {
                tracing::info!(%reason, "a request to the directory was refused");
                Refusal::NotAuthorised
            })?;
        let peer = peer.and_then(|peer| Party::from_certificate(peer.der()).ok());
        if peer.is_none_or(|peer| peer.key != envelope.sender) {
            tracing::info!("a request to the directory was not signed by its caller");
            return Err(Refusal::NotAuthorised);
        }
        v1::ListNodesRequest::decode(message.body.as_slice()).map_err(|_| Refusal::InvalidBody)?;
        Ok((message, envelope))
    }

    async fn nodes(&self) -> v1::ListNodesResponse {
        let probes: Vec<_> = self
            .directory
            .links()
            .values()
            .map(|link| {
                let link = link.clone();
                tokio::spawn(async move {
                    matches!(
                        tokio::time::timeout(PROBE_LIMIT, link.reach()).await,
                        Ok(Ok(()))
                    )
                })
            })
            .collect();
        let mut nodes = Vec::with_capacity(probes.len());
        // Links and certificates have the same names and both are in the order of names.
        for ((name, certificate), probe) in self.directory.certificates().zip(probes) {
            nodes.push(v1::Node {
                name: name.as_str().to_owned(),
                certificate: certificate.to_vec(),
                reachable: probe.await.unwrap_or(false),
            });
        }
        v1::ListNodesResponse { nodes }
    }

    fn answer(&self, request: &SignedMessage, asked: Envelope, body: Vec<u8>) -> SignedMessage {
        let now = (self.clock)();
        let Envelope {
            method,
            sender,
            body_digest,
            request_id,
            reality,
            ..
        } = asked;
        let envelope = Envelope {
            method,
            audience: sender,
            sender: self.key.key_id(),
            // Filled in when it is signed.
            body_digest,
            request_id,
            issued: now,
            expires: UnixMillis(now.0.saturating_add(LONGEST_VALIDITY)),
            reality,
            answers: Some(request.envelope_digest()),
        };
        SignedMessage::sign(&self.key, envelope, body)
    }
}

#[tonic::async_trait]
impl v1::directory_server::Directory for Service {
    async fn list_nodes(
        &self,
        request: Request<v1::Signed>,
    ) -> Result<Response<v1::Signed>, Status> {
        let (request, envelope) = self.open(request)?;
        let nodes = self.nodes().await;
        let answer = self.answer(&request, envelope, nodes.encode_to_vec());
        Ok(Response::new(signed_to(answer)))
    }
}
