use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use obscura_model::identity::dns_name;
use obscura_wire::tls::{self, Credentials};

use super::*;
use crate::clock;
use crate::testing::{PATIENCE, name};

async fn command(words: &str, folder: &Path) -> Result<String, Error> {
    let words = words.replace("DIR", folder.to_str().unwrap());
    let args = std::iter::once("obscura-gateway").chain(words.split(' '));
    let Args { command, .. } = Args::try_parse_from(args).unwrap();
    let mut out = Vec::new();
    run(command, clock::system(), std::future::pending(), &mut out).await?;
    Ok(String::from_utf8(out).unwrap())
}

#[tokio::test]
async fn an_operator_gets_from_nothing_to_a_running_gateway() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    command("ca init --dir DIR/ca --consortium Test", here)
        .await
        .unwrap();
    let told = command("init --dir DIR/hub --listen 127.0.0.1:0", here)
        .await
        .unwrap();
    assert!(told.contains("gateway.csr"), "{told}");
    let key = std::fs::metadata(here.join("hub/gateway.key")).unwrap();
    assert_eq!(key.permissions().mode() & 0o777, 0o600);
    command(
        "ca sign --ca DIR/ca --csr DIR/hub/gateway.csr --role gateway --name hub \
         --out DIR/hub/gateway.pem",
        here,
    )
    .await
    .unwrap();
    command(
        "ca issue --ca DIR/ca --role node --name basel --out DIR/hub",
        here,
    )
    .await
    .unwrap();
    let config = here.join("hub/gateway.toml");
    let mut text = std::fs::read_to_string(&config).unwrap();
    text.push_str(
        "[[node]]\nname = \"basel\"\naddress = \"127.0.0.1:1\"\ncertificate = \"basel.node.pem\"\n",
    );
    std::fs::write(&config, text).unwrap();

    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let (told, address) = tokio::sync::oneshot::channel();
    let serving = tokio::spawn(async move {
        let stopped = async { drop(stopped.await) };
        serve(&config, clock::system(), stopped, |address| {
            told.send(address).unwrap()
        })
        .await
    });
    let address = tokio::time::timeout(PATIENCE, address)
        .await
        .unwrap()
        .unwrap();
    let read = |file: &str| std::fs::read_to_string(here.join("hub").join(file)).unwrap();
    let credentials = Credentials::from_pem(
        &read("ca.pem"),
        &read("basel.node.pem"),
        &read("basel.node.key"),
    )
    .unwrap();
    let hub = dns_name(Role::Gateway, &name("hub"));
    tls::connect(&address.to_string(), &hub, &credentials)
        .await
        .unwrap();
    drop(stop);
    tokio::time::timeout(Duration::from_secs(20), serving)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn nothing_that_exists_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let twice = [
        "ca init --dir DIR/ca --consortium Test",
        "init --dir DIR/hub",
        "ca issue --ca DIR/ca --role owner --name anna --out DIR/keys",
    ];
    let files = [
        "ca/ca.key",
        "ca/ca.pem",
        "hub/gateway.key",
        "hub/gateway.toml",
    ];
    for words in twice {
        command(words, here).await.unwrap();
    }
    let before = files.map(|file| std::fs::read(here.join(file)).unwrap());
    for words in twice {
        let error = command(words, here).await.unwrap_err();
        assert!(
            error.to_string().contains("exists already"),
            "{words}: {error}"
        );
    }
    assert_eq!(
        files.map(|file| std::fs::read(here.join(file)).unwrap()),
        before
    );
}

#[test]
fn a_role_or_name_that_is_none_is_refused_before_anything_is_done() {
    for words in [
        "ca issue --ca a --role king --name anna --out b",
        "ca issue --ca a --role owner --name Anna --out b",
        "ca issue --ca a --role owner --name ../anna --out b",
    ] {
        let args = std::iter::once("obscura-gateway").chain(words.split(' '));
        assert!(Args::try_parse_from(args).is_err(), "{words}");
    }
}
