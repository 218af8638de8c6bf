use std::net::SocketAddr;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ED25519, date_time_ymd,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_stream::StreamExt as _;

use super::*;

const SERVER: &str = "basel.node.obscura";
const PATIENCE: Duration = Duration::from_secs(20);

struct Ca {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

fn ca() -> Ca {
    let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let pem = params.self_signed(&key).unwrap().pem();
    Ca {
        pem,
        issuer: Issuer::new(params, key),
    }
}

struct Wish {
    name: &'static str,
    years: (i32, i32),
    uses: Vec<ExtendedKeyUsagePurpose>,
}

fn wish(name: &'static str) -> Wish {
    let uses = vec![
        ExtendedKeyUsagePurpose::ClientAuth,
        ExtendedKeyUsagePurpose::ServerAuth,
    ];
    Wish {
        name,
        years: (2000, 4000),
        uses,
    }
}

impl Ca {
    fn make(&self, wish: Wish) -> (String, String) {
        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let mut params = CertificateParams::new(vec![wish.name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(wish.years.0, 1, 1);
        params.not_after = date_time_ymd(wish.years.1, 1, 1);
        params.extended_key_usages = wish.uses;
        (
            params.signed_by(&key, &self.issuer).unwrap().pem(),
            key.serialize_pem(),
        )
    }

    fn issue(&self, wish: Wish) -> Credentials {
        let (certificate, key) = self.make(wish);
        Credentials::from_pem(&self.pem, &certificate, &key).unwrap()
    }

    /// A certificate of this authority for somebody who trusts another one.
    fn issue_to_believer_in(&self, other: &Ca, wish: Wish) -> Credentials {
        let (certificate, key) = self.make(wish);
        Credentials::from_pem(&other.pem, &certificate, &key).unwrap()
    }
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Connects and sends four bytes there and back, which TLS 1.3 needs to be sure of both sides.
async fn meet(server: &Credentials, client: &Credentials, name: &str) -> Result<Vec<u8>, String> {
    let (listener, address) = listen().await;
    let mut accepted = incoming(listener, server);
    let serving = tokio::spawn(async move {
        let mut stream = accepted.next().await.unwrap().unwrap();
        let mut bytes = [0; 4];
        stream.read_exact(&mut bytes).await.unwrap();
        stream.write_all(&bytes).await.unwrap();
        stream.flush().await.unwrap();
        stream.peer().der().to_vec()
    });
    let words = async {
        let mut stream = connect(&address.to_string(), name, client)
            .await
            .map_err(|error| format!("{error:?}"))?;
        stream
            .write_all(b"ping")
            .await
            .map_err(|error| format!("{error:?}"))?;
        let mut bytes = [0; 4];
        stream
            .read_exact(&mut bytes)
            .await
            .map_err(|error| format!("{error:?}"))?;
        Ok(())
    };
    let outcome = tokio::time::timeout(PATIENCE, words).await.unwrap();
    if outcome.is_err() {
        serving.abort();
    }
    match outcome {
        Ok(()) => Ok(serving.await.unwrap()),
        Err(error) => Err(error),
    }
}

#[tokio::test]
async fn two_of_one_consortium_meet_and_the_server_knows_who_called() {
    let ca = ca();
    let (server, client) = (
        ca.issue(wish(SERVER)),
        ca.issue(wish("anna.scientist.obscura")),
    );
    let peer = meet(&server, &client, SERVER).await.unwrap();
    assert_eq!(peer, client.certificate());
}

#[tokio::test]
async fn a_server_under_another_name_is_refused() {
    let ca = ca();
    let (server, client) = (
        ca.issue(wish("bern.node.obscura")),
        ca.issue(wish("a.owner.obscura")),
    );
    let error = meet(&server, &client, SERVER).await.unwrap_err();
    assert!(error.contains("NotValidForName"), "{error}");
}

#[tokio::test]
async fn a_server_of_another_authority_is_refused() {
    let (ours, theirs) = (ca(), ca());
    let client = ours.issue(wish("a.owner.obscura"));
    let server = theirs.issue_to_believer_in(&ours, wish(SERVER));
    let error = meet(&server, &client, SERVER).await.unwrap_err();
    assert!(
        error.contains("UnknownIssuer") || error.contains("BadSignature"),
        "{error}"
    );
}

#[tokio::test]
async fn a_client_of_another_authority_is_refused() {
    let (ours, theirs) = (ca(), ca());
    let server = ours.issue(wish(SERVER));
    let client = theirs.issue_to_believer_in(&ours, wish("a.owner.obscura"));
    let error = meet(&server, &client, SERVER).await.unwrap_err();
    assert!(
        error.contains("AlertReceived") || error.contains("alert"),
        "{error}"
    );
}

#[tokio::test]
async fn certificates_out_of_date_or_for_another_use_are_refused_on_either_side() {
    let ca = ca();
    let bad = || {
        [
            Wish {
                years: (2000, 2020),
                ..wish(SERVER)
            },
            Wish {
                years: (3000, 3001),
                ..wish(SERVER)
            },
            Wish {
                uses: vec![ExtendedKeyUsagePurpose::CodeSigning],
                ..wish(SERVER)
            },
        ]
    };
    let good = ca.issue(wish(SERVER));
    for wish in bad() {
        meet(&ca.issue(wish), &good, SERVER).await.unwrap_err();
    }
    for wish in bad() {
        meet(&good, &ca.issue(wish), SERVER).await.unwrap_err();
    }
    let client_only = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let client_only = ca.issue(Wish {
        uses: client_only,
        ..wish(SERVER)
    });
    meet(&good, &client_only, SERVER).await.unwrap();
    meet(&client_only, &good, SERVER).await.unwrap_err();
}

#[tokio::test]
async fn a_client_without_a_certificate_is_refused() {
    let ca = ca();
    let server = ca.issue(wish(SERVER));
    let mut config = rustls::ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(VERSIONS)
        .unwrap()
        .with_root_certificates(roots(server.ca().to_vec().into()).unwrap())
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_vec()];
    let (listener, address) = listen().await;
    let mut accepted = incoming(listener, &server);
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let stream = TcpStream::connect(address).await.unwrap();
    let mut stream = connector
        .connect(SERVER.try_into().unwrap(), stream)
        .await
        .unwrap();
    let error = stream.read_u8().await.unwrap_err();
    assert!(error.to_string().contains("CertificateRequired"), "{error}");
    let nobody = tokio::time::timeout(Duration::ZERO, accepted.next()).await;
    assert!(nobody.is_err());
}

#[tokio::test]
async fn a_client_that_speaks_tls_1_2_only_is_refused() {
    let (listener, address) = listen().await;
    let _accepted = incoming(listener, &ca().issue(wish(SERVER)));
    let mut stream = TcpStream::connect(address).await.unwrap();
    // A ClientHello of RFC 5246: version 1.2, two ciphers, the extensions a client of that time
    // sent (groups, formats, signatures), and no `supported_versions`.
    let extensions = [
        &[0, 10, 0, 4, 0, 2, 0, 29][..],
        &[0, 11, 0, 2, 1, 0],
        &[0, 13, 0, 6, 0, 4, 4, 3, 8, 7],
    ]
    .concat();
    let mut hello = vec![3, 3];
    hello.extend([7; 32]);
    hello.extend([0, 0, 4, 0xc0, 0x2b, 0xc0, 0x2c, 1, 0]);
    hello.extend(u16::try_from(extensions.len()).unwrap().to_be_bytes());
    hello.extend(extensions);
    let length = u16::try_from(hello.len()).unwrap();
    let mut record = vec![22, 3, 1];
    record.extend((length + 4).to_be_bytes());
    record.extend([1, 0]);
    record.extend(length.to_be_bytes());
    record.extend(hello);
    stream.write_all(&record).await.unwrap();
    let mut alert = [0; 7];
    tokio::time::timeout(PATIENCE, stream.read_exact(&mut alert))
        .await
        .unwrap()
        .unwrap();
    // A fatal (2) alert, protocol_version (70).
    assert_eq!((alert[0], alert[5], alert[6]), (21, 2, 70));
}

#[tokio::test]
async fn connections_that_never_finish_do_not_keep_an_honest_one_waiting() {
    let ca = ca();
    let server = ca.issue(wish(SERVER));
    let (listener, address) = listen().await;
    let mut accepted = incoming(listener, &server);
    let address = address.to_string();
    let meeting = async {
        let mut silent = Vec::new();
        for _ in 0..300 {
            silent.push(TcpStream::connect(&address).await.unwrap());
        }
        let connecting = connect(&address, SERVER, &server);
        let both = tokio::join!(connecting, accepted.next());
        drop(silent);
        both
    };
    // Shorter than the time after which a silent connection is closed.
    let (connected, stream) = tokio::time::timeout(Duration::from_secs(4), meeting)
        .await
        .unwrap();
    assert!(connected.is_ok());
    assert!(stream.unwrap().is_ok());
}

#[tokio::test]
async fn dropping_the_stream_closes_the_listener() {
    let ca = ca();
    let (listener, address) = listen().await;
    drop(incoming(listener, &ca.issue(wish(SERVER))));
    let rebound = async {
        while TcpListener::bind(address).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, rebound).await.unwrap();
}

#[test]
fn a_key_of_somebody_else_is_refused() {
    let ca = ca();
    let ((certificate, _), (_, key)) = (ca.make(wish(SERVER)), ca.make(wish(SERVER)));
    let result = Credentials::from_pem(&ca.pem, &certificate, &key);
    assert!(matches!(result, Err(InvalidCredentials::Pair)));
}

#[test]
fn texts_that_are_not_what_they_should_be_are_named() {
    let ca = ca();
    let (certificate, key) = ca.make(wish(SERVER));
    let make = |ca: &str, certificate: &str, key: &str| {
        Credentials::from_pem(ca, certificate, key)
            .map(drop)
            .unwrap_err()
    };
    assert!(matches!(
        make("", &certificate, &key),
        InvalidCredentials::Ca(_)
    ));
    assert!(matches!(
        make(&ca.pem, &certificate, ""),
        InvalidCredentials::Key(_)
    ));
    let none = make(&ca.pem, "", &key);
    assert!(
        matches!(none, InvalidCredentials::ChainLength { found: 0 }),
        "{none:?}"
    );
    let ten = make(&ca.pem, &certificate.repeat(10), &key);
    assert!(
        matches!(ten, InvalidCredentials::ChainLength { found: 10 }),
        "{ten:?}"
    );
}

#[test]
fn credentials_do_not_show_their_key() {
    assert_eq!(format!("{:?}", ca().issue(wish(SERVER))), "Credentials(..)");
}

#[test]
fn a_certificate_is_checked_at_the_time_given() {
    let ca = ca();
    let ours = ca.issue(Wish {
        years: (2020, 2030),
        ..wish(SERVER)
    });
    let at =
        |year: u64| UnixTime::since_unix_epoch(Duration::from_secs((year - 1970) * 31_557_600));
    for usage in [Usage::Client, Usage::Server] {
        let check = |year| check_chain(ours.ca(), ours.certificate(), at(year), usage);
        assert!(check(2025).is_ok());
        assert!(matches!(check(2015), Err(InvalidChain::Refused(_))));
        assert!(matches!(check(2035), Err(InvalidChain::Refused(_))));
        let other = self::ca().issue(wish(SERVER));
        assert!(check_chain(other.ca(), ours.certificate(), at(2025), usage).is_err());
        assert!(check_chain(ours.ca(), b"nothing", at(2025), usage).is_err());
    }
}
