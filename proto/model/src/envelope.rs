//! The envelope: who says what to whom, until when. It authorises every call, so that no relay
//! needs trust.
//!
//! Sealing to a key happens outside, on bytes; this module signs and checks.

use crate::identity::{self, SigningKey};
use crate::ids::{Digest, KeyId, RequestId, UnixMillis};

/// Whether invented or private rows are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reality {
    /// Invented rows, or none.
    Mock,
    /// Private rows, or decisions about them.
    Real,
}

/// How long a request may be valid, in milliseconds: five minutes.
pub const LONGEST_VALIDITY: u64 = 5 * 60 * 1000;

/// How far ahead of the receiver the sender's clock may be, in milliseconds.
pub const CLOCK_TOLERANCE: u64 = 60 * 1000;

const DOMAIN: &str = "obscura.v1 envelope";

/// The fields of an envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// The full path of the rpc.
    pub method: String,
    /// The receiver.
    pub audience: KeyId,
    /// The signer.
    pub sender: KeyId,
    /// Digest of the exact bytes of the body.
    pub body_digest: Digest,
    /// Chosen by the requester; an answer carries its request's.
    pub request_id: RequestId,
    /// When it was signed.
    pub issued: UnixMillis,
    /// Until when it may be accepted.
    pub expires: UnixMillis,
    /// Mock or real.
    pub reality: Reality,
    /// In an answer: the digest of the request's envelope bytes.
    pub answers: Option<Digest>,
}

/// Why an envelope was not accepted. Callers learn only that it was not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Not an envelope.
    #[error("the envelope cannot be read")]
    Form,
    /// The signature does not hold.
    #[error("the envelope's signature does not hold")]
    Signature,
    /// Meant for somebody else.
    #[error("the envelope is for another receiver")]
    Audience,
    /// Meant for another rpc.
    #[error("the envelope is for another method")]
    Method,
    /// The body is not what was signed.
    #[error("the body is not what was signed")]
    Body,
    /// Too old, too far ahead, or valid for too long.
    #[error("the envelope is not valid at this time")]
    Time,
    /// An answer where a request was wanted, or the reverse, or an answer to something else.
    #[error("the envelope answers something else")]
    Answers,
    /// Signed by somebody other than expected.
    #[error("the envelope is signed by somebody else")]
    Sender,
}

/// A message with its envelope, as bytes: what travels, and what is kept as a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedMessage {
    /// The encoded envelope.
    pub envelope: Vec<u8>,
    /// The signature over it.
    pub signature: Vec<u8>,
    /// The body.
    pub body: Vec<u8>,
}

impl SignedMessage {
    /// Signs `body` with `key`. The envelope's sender and body digest are filled in.
    #[must_use]
    pub fn sign(key: &SigningKey, mut envelope: Envelope, body: Vec<u8>) -> Self {
        envelope.sender = key.key_id();
        envelope.body_digest = Digest::of(&body);
        let bytes = crate::wire::encode_envelope(&envelope);
        let signature = key.sign(DOMAIN, &bytes).to_vec();
        SignedMessage {
            envelope: bytes,
            signature,
            body,
        }
    }

    /// The digest that an answer to this message carries.
    #[must_use]
    pub fn envelope_digest(&self) -> Digest {
        Digest::of(&self.envelope)
    }

    /// Reads the envelope and checks signature and body, whoever signed it.
    fn opened(&self) -> Result<Envelope, Refused> {
        let envelope = crate::wire::decode_envelope(&self.envelope).ok_or(Refused::Form)?;
        identity::verify(&envelope.sender, DOMAIN, &self.envelope, &self.signature)
            .map_err(|_| Refused::Signature)?;
        if Digest::of(&self.body) != envelope.body_digest {
            return Err(Refused::Body);
        }
        Ok(envelope)
    }

    /// Checks everything about a request but whether its sender may make it.
    pub fn open_request(
        &self,
        audience: &KeyId,
        method: &str,
        now: UnixMillis,
    ) -> Result<Envelope, Refused> {
        let envelope = self.opened()?;
        if envelope.audience != *audience {
            return Err(Refused::Audience);
        }
        if envelope.method != method {
            return Err(Refused::Method);
        }
        if envelope.answers.is_some() {
            return Err(Refused::Answers);
        }
        check_time(&envelope, now)?;
        Ok(envelope)
    }

    /// Checks an answer to `request` by `sender`.
    pub fn open_answer(
        &self,
        request: &SignedMessage,
        sender: &KeyId,
        recipient: &KeyId,
        now: UnixMillis,
    ) -> Result<Envelope, Refused> {
        let envelope = self.opened()?;
        let asked = crate::wire::decode_envelope(&request.envelope).ok_or(Refused::Form)?;
        if envelope.sender != *sender {
            return Err(Refused::Sender);
        }
        if envelope.audience != *recipient {
            return Err(Refused::Audience);
        }
        if envelope.method != asked.method {
            return Err(Refused::Method);
        }
        let same = envelope.answers == Some(request.envelope_digest())
            && envelope.request_id == asked.request_id
            && envelope.reality == asked.reality;
        if !same {
            return Err(Refused::Answers);
        }
        check_time(&envelope, now)?;
        Ok(envelope)
    }

    /// Checks a document years later: signature, body and expected sender, not the time.
    pub fn open_document(&self, sender: &KeyId) -> Result<Envelope, Refused> {
        let envelope = self.opened()?;
        if envelope.sender == *sender {
            Ok(envelope)
        } else {
            Err(Refused::Sender)
        }
    }
}

fn check_time(envelope: &Envelope, now: UnixMillis) -> Result<(), Refused> {
    let (issued, expires) = (envelope.issued.0, envelope.expires.0);
    let fits = issued <= now.0.saturating_add(CLOCK_TOLERANCE)
        && now.0 < expires
        && issued < expires
        && expires - issued <= LONGEST_VALIDITY;
    if fits { Ok(()) } else { Err(Refused::Time) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const METHOD: &str = "/obscura.v1.Releases/Run";

    fn envelope(audience: KeyId) -> Envelope {
        Envelope {
            method: METHOD.to_owned(),
            audience,
            sender: audience,
            body_digest: Digest::of(b""),
            request_id: RequestId::from_parts(1_700_000_000_000, [3; 10]),
            issued: UnixMillis(1_000_000),
            expires: UnixMillis(1_060_000),
            reality: Reality::Real,
            answers: None,
        }
    }

    #[test]
    fn every_byte_of_a_message_matters() {
        let (me, node) = (
            SigningKey::from_seed([1; 32]),
            SigningKey::from_seed([2; 32]),
        );
        let sent = SignedMessage::sign(&me, envelope(node.key_id()), b"body".to_vec());
        let now = UnixMillis(1_000_100);
        assert!(sent.open_request(&node.key_id(), METHOD, now).is_ok());
        let flips = [sent.envelope.len(), sent.signature.len(), sent.body.len()];
        for (part, length) in flips.into_iter().enumerate() {
            for index in 0..length {
                for bit in 0..8 {
                    let mut bad = sent.clone();
                    let field = [&mut bad.envelope, &mut bad.signature, &mut bad.body]
                        .into_iter()
                        .nth(part);
                    field.unwrap()[index] ^= 1 << bit;
                    assert!(bad.open_request(&node.key_id(), METHOD, now).is_err());
                }
            }
        }
    }

    #[test]
    fn other_receivers_methods_and_times_are_refused() {
        let (me, node) = (
            SigningKey::from_seed([1; 32]),
            SigningKey::from_seed([2; 32]),
        );
        let sent = SignedMessage::sign(&me, envelope(node.key_id()), b"body".to_vec());
        let open = |to: &KeyId, method: &str, now| sent.open_request(to, method, UnixMillis(now));
        let node = node.key_id();
        assert_eq!(
            open(&me.key_id(), METHOD, 1_000_100),
            Err(Refused::Audience)
        );
        assert_eq!(
            open(&node, "/obscura.v1.Studies/Submit", 1_000_100),
            Err(Refused::Method)
        );
        assert_eq!(open(&node, METHOD, 1_060_000), Err(Refused::Time));
        assert_eq!(open(&node, METHOD, 0), Err(Refused::Time));
        let mut long = envelope(node);
        long.expires = UnixMillis(1_000_000 + LONGEST_VALIDITY + 1);
        let long = SignedMessage::sign(&me, long, Vec::new());
        assert_eq!(
            long.open_request(&node, METHOD, UnixMillis(1_000_001)),
            Err(Refused::Time)
        );
    }

    #[test]
    fn an_answer_answers_one_request() {
        let (me, node) = (
            SigningKey::from_seed([1; 32]),
            SigningKey::from_seed([2; 32]),
        );
        let request = SignedMessage::sign(&me, envelope(node.key_id()), b"one".to_vec());
        let other = SignedMessage::sign(&me, envelope(node.key_id()), b"two".to_vec());
        let mut reply = envelope(me.key_id());
        reply.answers = Some(request.envelope_digest());
        let reply = SignedMessage::sign(&node, reply, b"answer".to_vec());
        let now = UnixMillis(1_000_100);
        let (me, node) = (me.key_id(), node.key_id());
        assert!(reply.open_answer(&request, &node, &me, now).is_ok());
        assert_eq!(
            reply.open_answer(&other, &node, &me, now),
            Err(Refused::Answers)
        );
        assert_eq!(
            reply.open_answer(&request, &me, &me, now),
            Err(Refused::Sender)
        );
        assert_eq!(reply.open_request(&me, METHOD, now), Err(Refused::Answers));
    }
}
