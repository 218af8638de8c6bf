use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use obscura_model::identity::SigningKey;
use obscura_wire::tls::{Credentials, UnixTime, Usage, check_chain};

use super::*;

const NOW: UnixMillis = UnixMillis(1_790_000_000_000);

fn authority() -> Authority {
    Authority::create("Test consortium", [1; 32], NOW).unwrap()
}

fn name(text: &str) -> PartyName {
    PartyName::new(text).unwrap()
}

fn der(pem: &str) -> Vec<u8> {
    CertificateDer::from_pem_slice(pem.as_bytes())
        .unwrap()
        .to_vec()
}

fn at(time: UnixMillis) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_millis(time.0))
}

fn after(time: UnixMillis, duration: Duration) -> UnixMillis {
    UnixMillis(time.0 + u64::try_from(duration.as_millis()).unwrap())
}

#[test]
fn an_issued_certificate_names_its_party_and_is_accepted_for_its_uses() {
    let authority = authority();
    let ca = der(authority.certificate_pem());
    for role in Role::ALL {
        let issued = authority.issue(role, &name("basel"), [2; 32], NOW).unwrap();
        let certificate = der(&issued.certificate_pem);
        let party = Party::from_certificate(&certificate).unwrap();
        let key = SigningKey::from_seed([2; 32]).key_id();
        assert_eq!(
            party,
            Party {
                role,
                name: name("basel"),
                key
            }
        );
        assert!(check_chain(&ca, &certificate, at(NOW), Usage::Client).is_ok());
        let serves = matches!(role, Role::Node | Role::Gateway);
        assert_eq!(
            check_chain(&ca, &certificate, at(NOW), Usage::Server).is_ok(),
            serves
        );
    }
}

#[test]
fn an_issued_key_serves_both_tls_and_documents() {
    let authority = authority();
    let issued = authority
        .issue(Role::Node, &name("basel"), [2; 32], NOW)
        .unwrap();
    let credentials = Credentials::from_pem(
        authority.certificate_pem(),
        &issued.certificate_pem,
        &issued.key_pem,
    )
    .unwrap();
    let key = SigningKey::from_pkcs8_der(credentials.private_key()).unwrap();
    let party = Party::from_certificate(credentials.certificate()).unwrap();
    assert_eq!(key.key_id(), party.key);
}

#[test]
fn a_certificate_ends_after_825_days_and_never_after_its_authority() {
    let authority = authority();
    let ca = der(authority.certificate_pem());
    let late = after(NOW, AUTHORITY_VALIDITY - Duration::from_secs(DAY));
    for (issued_at, lasts) in [
        (NOW, CERTIFICATE_VALIDITY),
        (late, Duration::from_secs(DAY)),
    ] {
        let issued = authority
            .issue(Role::Owner, &name("anna"), [3; 32], issued_at)
            .unwrap();
        let certificate = der(&issued.certificate_pem);
        let valid = |time| check_chain(&ca, &certificate, at(time), Usage::Client).is_ok();
        assert!(valid(issued_at));
        assert!(valid(after(issued_at, lasts)));
        assert!(!valid(after(issued_at, lasts + Duration::from_secs(1))));
        assert!(!valid(UnixMillis(issued_at.0 - 3_601_000)));
    }
}

#[test]
fn an_authority_that_is_out_of_date_issues_nothing() {
    let result = authority().issue(
        Role::Owner,
        &name("anna"),
        [3; 32],
        after(NOW, AUTHORITY_VALIDITY),
    );
    assert!(matches!(result, Err(Error::OutOfDate)));
}

#[test]
fn a_certificate_of_another_authority_is_refused_even_under_the_same_name() {
    let other = Authority::create("Test consortium", [9; 32], NOW).unwrap();
    let ca = der(other.certificate_pem());
    let issued = authority()
        .issue(Role::Node, &name("basel"), [2; 32], NOW)
        .unwrap();
    let certificate = der(&issued.certificate_pem);
    assert!(check_chain(&ca, &certificate, at(NOW), Usage::Server).is_err());
}

#[test]
fn a_request_is_answered_for_its_key_under_the_name_that_the_authority_chose() {
    let pair = key::pair([4; 32]).unwrap();
    let mut params = CertificateParams::new(vec!["evil.gateway.obscura".to_owned()]).unwrap();
    params.is_ca = IsCa::ExplicitNoCa;
    let request = params.serialize_request(&pair).unwrap().pem().unwrap();
    let made = authority()
        .sign_request(&request, Role::Node, &name("basel"), NOW)
        .unwrap();
    let party = Party::from_certificate(&der(&made)).unwrap();
    let key = SigningKey::from_seed([4; 32]).key_id();
    assert_eq!(
        party,
        Party {
            role: Role::Node,
            name: name("basel"),
            key
        }
    );
}

#[test]
fn a_request_that_its_own_key_did_not_sign_is_refused() {
    let pair = key::pair([4; 32]).unwrap();
    let request = CertificateParams::default()
        .serialize_request(&pair)
        .unwrap();
    let own = pair.der_bytes();
    let mut der = request.der().to_vec();
    let position = der.windows(32).position(|window| window == own).unwrap();
    der[position..position + 32]
        .copy_from_slice(SigningKey::from_seed([5; 32]).key_id().as_bytes());
    let text = pem(&der);
    let result = authority().sign_request(&text, Role::Node, &name("basel"), NOW);
    assert!(matches!(result, Err(Error::Request(_))), "{result:?}");
}

#[test]
fn a_request_with_another_kind_of_key_is_refused() {
    let pair = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let request = CertificateParams::default()
        .serialize_request(&pair)
        .unwrap()
        .pem()
        .unwrap();
    let result = authority().sign_request(&request, Role::Node, &name("basel"), NOW);
    assert!(matches!(result, Err(Error::NotEd25519)), "{result:?}");
}

#[test]
fn a_weak_key_gets_no_certificate() {
    let mut identity_point = [0; 32];
    identity_point[0] = 1;
    let key = KeyId::from_bytes(&identity_point).unwrap();
    let result = authority().certify(Role::Node, &name("basel"), key, NOW);
    assert!(
        matches!(result, Err(Error::Unfit(InvalidCertificate::Key))),
        "{result:?}"
    );
}

#[test]
fn a_saved_authority_issues_as_before_and_is_never_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("ca");
    authority().save(&place).unwrap();
    let mode = std::fs::metadata(place.join(KEY_FILE))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let before = std::fs::read(place.join(KEY_FILE)).unwrap();
    let other = Authority::create("Another", [6; 32], NOW).unwrap();
    assert!(matches!(
        other.save(&place),
        Err(Error::File(files::Error::Exists { .. }))
    ));
    assert_eq!(std::fs::read(place.join(KEY_FILE)).unwrap(), before);

    let loaded = Authority::load(&place).unwrap();
    let issued = loaded
        .issue(Role::Node, &name("basel"), [2; 32], NOW)
        .unwrap();
    let ca = der(authority().certificate_pem());
    assert!(check_chain(&ca, &der(&issued.certificate_pem), at(NOW), Usage::Server).is_ok());
}

#[test]
fn an_authority_with_the_key_of_another_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    authority().save(folder.path()).unwrap();
    let other = key::pair([6; 32]).unwrap().serialize_pem();
    std::fs::write(folder.path().join(KEY_FILE), other).unwrap();
    assert!(matches!(Authority::load(folder.path()), Err(Error::Pair)));
}

#[test]
fn serial_numbers_differ_between_keys_and_times() {
    let authority = authority();
    let mut serials = std::collections::BTreeSet::new();
    for (seed, time) in [(2, 0), (3, 0), (2, 1000), (3, 1000)] {
        let time = UnixMillis(NOW.0 + time);
        let issued = authority
            .issue(Role::Node, &name("basel"), [seed; 32], time)
            .unwrap();
        let certificate = der(&issued.certificate_pem);
        let (_, parsed) = x509_parser::parse_x509_certificate(&certificate).unwrap();
        serials.insert(parsed.raw_serial().to_vec());
    }
    assert_eq!(serials.len(), 4);
}

fn pem(der: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in der.chunks(3) {
        let bits = chunk
            .iter()
            .fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (8 * (3 - chunk.len()));
        for position in 0..4 {
            let letter = ALPHABET[(bits >> (18 - 6 * position) & 63) as usize];
            text.push(if position > chunk.len() {
                '='
            } else {
                char::from(letter)
            });
        }
    }
    format!("-----BEGIN CERTIFICATE REQUEST-----\n{text}\n-----END CERTIFICATE REQUEST-----\n")
}
