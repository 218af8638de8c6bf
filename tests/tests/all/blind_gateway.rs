//! The gateway carries what it cannot read.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use obscura_gateway::{Parts, build};
use obscura_model::identity::{Role, dns_name};
use obscura_tests::clock::TestClock;
use obscura_tests::people::{Consortium, name};
use obscura_wire::tls;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use tokio::net::TcpListener;
use tokio_stream::StreamExt as _;

/// Sends everything back, with its bytes reversed, so that an echo made on the way shows.
async fn reversed(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut bytes = request
        .into_body()
        .collect()
        .await
        .unwrap()
        .to_bytes()
        .to_vec();
    bytes.reverse();
    Ok(Response::new(Full::new(Bytes::from(bytes))))
}

async fn server(credentials: tls::Credentials) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut incoming = tls::incoming(listener, &credentials);
    tokio::spawn(async move {
        while let Some(Ok(stream)) = incoming.next().await {
            let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            tokio::spawn(server.serve_connection(TokioIo::new(stream), service_fn(reversed)));
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_bytes_to_an_unknown_method_pass_unchanged_in_both_directions() {
    let clock = std::sync::Arc::new(TestClock::without_waits());
    let consortium = Consortium::new("Test", clock.today()).unwrap();
    let node = consortium.issue(Role::Node, "basel").unwrap();
    let hub = consortium.issue(Role::Gateway, "hub").unwrap();
    let address = server(node.credentials().unwrap()).await;
    let nodes = vec![obscura_gateway::Node {
        name: name("basel").unwrap(),
        address: address.to_string(),
        certificate: node.der().unwrap(),
    }];
    let credentials = hub.credentials().unwrap();
    let gateway = build(Parts {
        credentials,
        nodes,
        clock: std::sync::Arc::new(move || clock.today()),
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap().to_string();
    tokio::spawn(gateway.unwrap().run(listener, std::future::pending()));

    let ada = consortium.issue(Role::Scientist, "ada").unwrap();
    let server_name = dns_name(Role::Gateway, &name("hub").unwrap());
    let stream = tls::connect(&at, &server_name, &ada.credentials().unwrap())
        .await
        .unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    let mut rng = ChaCha20Rng::from_seed([42; 32]);
    for length in [0usize, 1, 4, 5, 6, 100, 16_384, 16_385, 300_000, 3_000_000] {
        let mut bytes = vec![0; length];
        rng.fill_bytes(&mut bytes);
        let request = Request::post(format!("https://{server_name}/obscura.v9.Unknown/Method"))
            .header("obscura-node", "basel")
            .header("content-type", "application/grpc")
            .body(Full::new(Bytes::from(bytes.clone())))
            .unwrap();
        sender.ready().await.unwrap();
        let answer = sender.send_request(request).await.unwrap();
        assert_eq!(answer.status(), 200);
        let mut back = answer
            .into_body()
            .collect()
            .await
            .unwrap()
            .to_bytes()
            .to_vec();
        back.reverse();
        assert!(back == bytes, "{length} bytes came back as {}", back.len());
    }
}
