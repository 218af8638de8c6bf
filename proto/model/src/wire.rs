//! Conversions between the vocabulary and generated protocol types: the only place in this crate
//! that names them. Every field is named, so that a new one stops the build until it is handled.

mod answer;
mod document;
mod question;
mod release;

use obscura_wire::v1;
use prost::Message as _;

use crate::envelope::{Envelope, Reality, SignedMessage};
use crate::ids::{Digest, KeyId, RequestId, UnixMillis};

pub use answer::{
    InvalidWire, accuracy_from, accuracy_to, answer_from, mode_from, mode_to, numbers_to,
    shape_from, shape_to,
};
pub use document::{
    state_from, state_to, study_decode, study_encode, study_from, study_to, verdict_from,
    verdict_to,
};
pub use question::{code_lists_from, code_lists_to, options_from, options_to};
pub use release::{
    ask_request_decode, ask_request_encode, decode_release, encode_release, run_request_decode,
    run_request_encode, signed_release_from, signed_release_to,
};

/// The version of the form of envelopes.
const VERSION: u32 = 1;

pub(crate) fn encode_envelope(envelope: &Envelope) -> Vec<u8> {
    let Envelope {
        method,
        audience,
        sender,
        body_digest,
        request_id,
        issued,
        expires,
        reality,
        answers,
    } = envelope;
    v1::Envelope {
        version: VERSION,
        method: method.clone(),
        audience: audience.as_bytes().to_vec(),
        sender: sender.as_bytes().to_vec(),
        body_digest: body_digest.as_bytes().to_vec(),
        request_id: request_id.as_bytes().to_vec(),
        issued_unix_ms: issued.0,
        expires_unix_ms: expires.0,
        reality: match reality {
            Reality::Mock => v1::Reality::Mock,
            Reality::Real => v1::Reality::Real,
        }
        .into(),
        answers: answers.map(|d| d.as_bytes().to_vec()).unwrap_or_default(),
    }
    .encode_to_vec()
}

pub(crate) fn decode_envelope(bytes: &[u8]) -> Option<Envelope> {
    let v1::Envelope {
        version,
        method,
        audience,
        sender,
        body_digest,
        request_id,
        issued_unix_ms,
        expires_unix_ms,
        reality,
        answers,
    } = v1::Envelope::decode(bytes).ok()?;
    if version != VERSION {
        return None;
    }
    let reality = match v1::Reality::try_from(reality).ok()? {
        v1::Reality::Unspecified => return None,
        v1::Reality::Mock => Reality::Mock,
        v1::Reality::Real => Reality::Real,
    };
    let answers = if answers.is_empty() {
        None
    } else {
        Some(Digest::from_bytes(&answers).ok()?)
    };
    Some(Envelope {
        method,
        audience: KeyId::from_bytes(&audience).ok()?,
        sender: KeyId::from_bytes(&sender).ok()?,
        body_digest: Digest::from_bytes(&body_digest).ok()?,
        request_id: RequestId::from_bytes(&request_id).ok()?,
        issued: UnixMillis(issued_unix_ms),
        expires: UnixMillis(expires_unix_ms),
        reality,
        answers,
    })
}

/// To the wire.
#[must_use]
pub fn signed_to(message: SignedMessage) -> v1::Signed {
    let SignedMessage {
        envelope,
        signature,
        body,
    } = message;
    v1::Signed {
        envelope,
        signature,
        body,
    }
}

/// From the wire; nothing is checked yet.
#[must_use]
pub fn signed_from(message: v1::Signed) -> SignedMessage {
    let v1::Signed {
        envelope,
        signature,
        body,
    } = message;
    SignedMessage {
        envelope,
        signature,
        body,
    }
}

/// A signed message as one run of bytes, as it is kept for years.
#[must_use]
pub fn signed_encode(message: &SignedMessage) -> Vec<u8> {
    signed_to(message.clone()).encode_to_vec()
}

/// Reads bytes made by [`signed_encode`]; nothing is checked yet.
#[must_use]
pub fn signed_decode(bytes: &[u8]) -> Option<SignedMessage> {
    v1::Signed::decode(bytes).ok().map(signed_from)
}
