//! Signed documents and messages: any bytes are a document that means one thing, or refused.

use obscura_model::envelope::SignedMessage;
use obscura_model::identity::{Party, SigningKey, verify};
use obscura_model::ids::{KeyId, UnixMillis};
use obscura_model::release::SignedRelease;
use obscura_model::wire;
use obscura_wire::v1;
use prost::Message;

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
const METHOD: &str = "/obscura.v1.Releases/Run";
const ENVELOPE: &str = "obscura.v1 envelope";

/// The key whose signatures the harness can make, so that signed bytes are read at all.
#[must_use]
pub fn key() -> SigningKey {
    SigningKey::from_seed([5; 32])
}

/// The first byte chooses the reader.
pub fn check(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else {
        return;
    };
    match kind % 8 {
        0 => signed(bytes),
        1 => envelope(bytes),
        2 => study(bytes),
        3 => release(bytes),
        4 => run_request(bytes),
        5 => certificate(bytes),
        6 => ask_request(bytes),
        _ => messages(bytes),
    }
}

/// A message as it comes from the network. Nobody here has signed anything.
fn signed(bytes: &[u8]) {
    let Some(message) = wire::signed_decode(bytes) else {
        return;
    };
    let encoded = wire::signed_encode(&message);
    assert_eq!(wire::signed_decode(&encoded).as_ref(), Some(&message));
    let nobody = KeyId::new([0; 32]);
    if let Ok(envelope) = message.open_document(&key().key_id()) {
        // Seeds are signed; a mutation must keep envelope, signature and body as they were.
        assert_eq!(envelope.sender, key().key_id());
    }
    assert!(message.open_document(&nobody).is_err());
    let _ = message.open_request(&nobody, METHOD, NOW);
    let _ = message.open_answer(&message, &nobody, &nobody, NOW);
    for (signature, body) in [
        (&message.signature, &message.body),
        (&message.body, &message.signature),
    ] {
        assert!(
            verify(&nobody, ENVELOPE, body, signature).is_err(),
            "a small-order key"
        );
    }
}

/// The envelope's bytes under a valid signature; the body is empty.
fn envelope(bytes: &[u8]) {
    let signature = key().sign(ENVELOPE, bytes).to_vec();
    let message = SignedMessage {
        envelope: bytes.to_vec(),
        signature,
        body: Vec::new(),
    };
    let Ok(envelope) = message.open_document(&key().key_id()) else {
        return;
    };
    assert_eq!(envelope.sender, key().key_id());
    if let Ok(request) = message.open_request(&envelope.audience, &envelope.method, NOW) {
        assert!(request.expires > NOW && request.answers.is_none());
    }
    let answer = message.open_answer(&message, &envelope.sender, &envelope.audience, NOW);
    assert!(answer.is_err(), "nothing answers itself");
}

fn study(bytes: &[u8]) {
    let Ok(study) = wire::study_decode(bytes) else {
        return;
    };
    let encoded = wire::study_encode(&study);
    assert_eq!(wire::study_decode(&encoded).as_ref(), Ok(&study));
    assert!(!study.releases().is_empty());
}

/// A release under a valid signature.
fn release(bytes: &[u8]) {
    let signed = SignedRelease::sign(&key(), bytes.to_vec());
    let _ = signed.open(&key().key_id());
    let Some(release) = wire::decode_release(bytes) else {
        return;
    };
    let encoded = wire::encode_release(&release);
    let again = wire::decode_release(&encoded).expect("what was encoded can be read");
    // Compared by bytes: a NaN among public numbers would not equal itself.
    assert_eq!(wire::encode_release(&again), encoded);
    let shape = release.answer.shape();
    for output in 0..shape.outputs.len() {
        for cell in 0..shape.cells().min(64) {
            let _ = release.answer.estimate(output, cell);
        }
    }
    let _ = shape.price();
}

fn run_request(bytes: &[u8]) {
    let Ok(request) = wire::run_request_decode(bytes) else {
        return;
    };
    let encoded = wire::run_request_encode(&request);
    assert_eq!(wire::run_request_decode(&encoded).as_ref(), Ok(&request));
}

fn ask_request(bytes: &[u8]) {
    let Ok(request) = wire::ask_request_decode(bytes) else {
        return;
    };
    let encoded = wire::ask_request_encode(&request);
    assert_eq!(wire::ask_request_decode(&encoded).as_ref(), Ok(&request));
}

fn certificate(bytes: &[u8]) {
    let _ = Party::from_certificate(bytes);
    if let Ok(key) = SigningKey::from_pkcs8_der(bytes) {
        let signature = key.sign("fuzz", bytes);
        assert!(verify(&key.key_id(), "fuzz", bytes, &signature).is_ok());
    }
}

/// Every message of the protocol, by the second byte, and what the model makes of its parts.
fn messages(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else {
        return;
    };
    macro_rules! one_of {
        ($($name:ident)*) => {{
            let readers: &[fn(&[u8])] = &[$(|bytes| {
                if let Ok(message) = v1::$name::decode(bytes) {
                    let encoded = message.encode_to_vec();
                    let again = v1::$name::decode(encoded.as_slice()).expect("encoded here");
                    assert_eq!(again.encode_to_vec(), encoded);
                }
            }),*];
            readers[usize::from(*kind) % readers.len()](bytes);
        }};
    }
    one_of!(
        ListDatasetsRequest ListDatasetsResponse GetDatasetRequest Dataset ListNodesRequest
        ListNodesResponse Signed Envelope GetExposureRequest GetExposureResponse Grant
        GiveGrantRequest RevokeGrantRequest ListGrantsRequest ListGrantsResponse AddDatasetRequest
        AddDatasetResponse SetLimitRequest SetScientistLimitRequest EnrolRequest
        ListRequestsRequest LogRequest LogResponse Review Decision OwnerExposureRequest
        OwnerExposureResponse LiftRequest ProjectRequest ListProjectsRequest ListProjectsResponse
        MemberRequest SetProjectLimitRequest SignedCodeList RunRequest AskRequest RunResponse
        SignedRelease ReleaseBody RunMockRequest RunMockResponse PreviewRequest PreviewResponse
        StudyDocument StudyRequest ListStudiesRequest ListStudiesResponse StudyStatus
        MarkSubjectsRequest MarkSubjectsResponse RekeyRequest MergeRequest
    );
    let _ = wire::shape_from(v1::Shape::decode(bytes).ok());
    let _ = wire::accuracy_from(v1::AccuracyRequest::decode(bytes).ok());
}
