//! Builders for tests: a consortium's certificates, and releases of a small shape.

use std::sync::Arc;
use std::time::Duration;

use obscura_model::answer::{Answer, Key, Output, OutputKind, Shape, VectorShape};
use obscura_model::exposure::Rho;
use obscura_model::identity::{Role, SigningKey, dns_name};
use obscura_model::ids::{
    DatasetId, DatasetName, Digest, KeyId, PartyName, ReleaseName, RequestId, StudyId, UnixMillis,
};
use obscura_model::release::{self, Completeness, Release, SignedRelease};
use obscura_model::study::ReleaseOptions;
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    PKCS_ED25519, date_time_ymd,
};
use rustls::pki_types::PrivatePkcs8KeyDer;

use crate::release::VerifiedRelease;
use crate::surroundings::{Clock, Entropy, NoEntropy, Patience, Surroundings};

/// The time in tests.
pub(crate) const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

/// A party's certificate and key.
pub(crate) struct Papers {
    pub(crate) certificate_pem: String,
    pub(crate) certificate: Vec<u8>,
    pub(crate) key_pem: String,
    pub(crate) key: SigningKey,
}

/// A consortium's authority.
pub(crate) struct Authority {
    pub(crate) pem: String,
    issuer: Issuer<'static, KeyPair>,
}

fn pair(seed: u8) -> KeyPair {
    let head = [
        0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04,
        0x20,
    ];
    let der = PrivatePkcs8KeyDer::from([&head[..], &[seed; 32]].concat());
    KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_ED25519).unwrap()
}

impl Authority {
    pub(crate) fn new(seed: u8) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let pair = pair(seed);
        let pem = params.self_signed(&pair).unwrap().pem();
        Authority {
            pem,
            issuer: Issuer::new(params, pair),
        }
    }

    /// Papers that are valid for ever.
    pub(crate) fn issue(&self, role: Role, name: &str, seed: u8) -> Papers {
        self.issue_for(role, name, seed, (1975, 4096))
    }

    /// Papers that are valid from the beginning of one year to the beginning of another.
    pub(crate) fn issue_for(
        &self,
        role: Role,
        name: &str,
        seed: u8,
        (first, last): (i32, i32),
    ) -> Papers {
        let dns = dns_name(role, &PartyName::new(name).unwrap());
        let mut params = CertificateParams::new(vec![dns]).unwrap();
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ClientAuth,
            ExtendedKeyUsagePurpose::ServerAuth,
        ];
        params.not_before = date_time_ymd(first, 1, 1);
        params.not_after = date_time_ymd(last, 1, 1);
        let pair = pair(seed);
        let certificate = params.signed_by(&pair, &self.issuer).unwrap();
        Papers {
            certificate_pem: certificate.pem(),
            certificate: certificate.der().to_vec(),
            key_pem: pair.serialize_pem(),
            key: SigningKey::from_seed([seed; 32]),
        }
    }
}

/// A millisecond later at every look.
struct Ticking(std::sync::atomic::AtomicU64);

impl Clock for Ticking {
    fn now(&self) -> UnixMillis {
        UnixMillis(self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
    }
}

struct Counting(std::sync::Mutex<u64>);

impl Entropy for Counting {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoEntropy> {
        let mut count = self.0.lock().unwrap();
        *count += 1;
        let digest = Digest::of(&count.to_le_bytes());
        bytes
            .iter_mut()
            .zip(digest.as_bytes())
            .for_each(|(to, from)| *to = *from);
        Ok(())
    }
}

/// A ticking clock, counted entropy, and no waiting.
pub(crate) fn surroundings() -> Surroundings {
    Surroundings {
        clock: Arc::new(Ticking(NOW.0.into())),
        entropy: Arc::new(Counting(std::sync::Mutex::new(0))),
        patience: Patience {
            attempts: 3,
            first_wait: Duration::ZERO,
            longest_wait: Duration::ZERO,
        },
    }
}

pub(crate) fn study_id() -> StudyId {
    StudyId::from_parts(NOW.0, [7; 10])
}

/// Two groups, a count with this noise and an average; values in whole units.
pub(crate) fn answer(counts: [i64; 2], centred: [i64; 2], sigma: u64) -> Answer {
    let vector = |what: &str| VectorShape {
        what: what.to_owned(),
        step_exponent: -4,
        clip_squared: 256,
        sigma: sigma * 16,
        parts: 1,
        grouped: true,
    };
    let average = OutputKind::Average {
        sum: 1,
        count: 0,
        middle: 5.0,
        lowest: 0.0,
        highest: 10.0,
    };
    let output = |name: &str, unit: &str, kind| Output {
        name: name.to_owned(),
        unit: unit.to_owned(),
        kind,
    };
    let shape = Shape {
        keys: vec![Key {
            column: "arm".to_owned(),
            labels: vec!["free".to_owned(), "25 %, <a>".to_owned()],
            discovered: None,
        }],
        vectors: vec![vector("count"), vector("centred sum")],
        outputs: vec![
            output("n", "", OutputKind::Count { vector: 0 }),
            output("visits", "visits a year", average),
        ],
        arrange: Default::default(),
        disclosure: Default::default(),
    };
    let grid = |values: [i64; 2]| values.map(|v| v * 16).to_vec();
    Answer::new(shape, vec![grid(counts), grid(centred)]).unwrap()
}

/// A release as a node would make it.
pub(crate) fn release(node: &str, key: KeyId, answer: Answer) -> Release {
    Release {
        node: key,
        node_name: PartyName::new(node).unwrap(),
        requester: KeyId::new([9; 32]),
        request_id: RequestId::from_parts(NOW.0, [1; 10]),
        request_digest: Digest::of(b"request"),
        authority: release::Authority::Study {
            study: study_id(),
            digest: Digest::of(b"study"),
            release: ReleaseName::new("visits").unwrap(),
        },
        options: ReleaseOptions::NONE,
        dataset_id: DatasetId::from_parts(NOW.0, [2; 10]),
        dataset: DatasetName::new("people").unwrap(),
        dataset_version: 1,
        canonical_sql: "SELECT arm, COUNT(*) AS n FROM people GROUP BY arm".to_owned(),
        answer,
        price: Rho::from_nano(100_000_000),
        completeness: Completeness::NobodyDropped,
        journal_index: 5,
        head_size: 5,
        head_root: Digest::of(b"root"),
        committed: NOW,
    }
}

/// A release with its file, signed by a node of this authority.
pub(crate) fn verified(
    authority: &Authority,
    node: &str,
    seed: u8,
    answer: Answer,
) -> VerifiedRelease {
    let papers = authority.issue(Role::Node, node, seed);
    let body = obscura_model::wire::encode_release(&release(node, papers.key.key_id(), answer));
    let signed = SignedRelease::sign(&papers.key, body);
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    let file = serde_json::json!({
        "format": "obscura release 1",
        "node_certificate": hex(&papers.certificate),
        "body": hex(&signed.body),
        "signature": hex(&signed.signature),
    });
    VerifiedRelease::from_file(&file.to_string(), &authority.pem).unwrap()
}
