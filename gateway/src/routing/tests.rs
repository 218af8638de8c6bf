use bytes::Bytes;
use http::HeaderValue;
use http_body_util::BodyExt as _;
use hyper::body::Frame;
use obscura_model::identity::Role;

use crate::limits::{MOST_CALLS_OF_CALLER, STREAM_WINDOW};
use crate::testing::{Caller, EchoNode, PATIENCE, World, listen, noise, request, streaming, whole};

async fn world() -> (World, EchoNode, Caller) {
    let world = World::new();
    let node = EchoNode::start(&world, "basel", listen().await).await;
    let gateway = world.gateway(vec![world.node("basel", node.address)]).await;
    let caller = world.caller(gateway, Role::Scientist, "anna").await;
    (world, node, caller)
}

#[tokio::test]
async fn random_bytes_to_an_unknown_method_pass_both_ways_unchanged() {
    let (_world, _node, mut caller) = world().await;
    // Longer than any window, so that flow control has to work in both directions.
    for (seed, length) in [
        (1, 0),
        (2, 1),
        (3, 5000),
        (4, 3 * STREAM_WINDOW as usize + 17),
    ] {
        let bytes = noise(seed, length);
        let path = "/no.such.Service/NoSuchMethod";
        let answer = caller
            .call(request(path, Some("basel"), whole(bytes.clone())))
            .await;
        assert_eq!(answer.body, bytes, "{length} bytes");
        assert_eq!(answer.headers["seen-path"], path);
        assert_eq!(answer.headers["seen-content-type"], "application/grpc");
    }
}

#[tokio::test]
async fn metadata_and_the_deadline_pass_and_what_was_for_the_gateway_does_not() {
    let (_world, _node, mut caller) = world().await;
    let mut asked = request("/a.B/C", Some("basel"), whole(""));
    let headers = asked.headers_mut();
    headers.insert("grpc-timeout", HeaderValue::from_static("15S"));
    headers.insert("some-bin", HeaderValue::from_static("AAEC/w"));
    headers.append("twice", HeaderValue::from_static("one"));
    headers.append("twice", HeaderValue::from_static("two"));
    let answer = caller.call(asked).await;
    assert_eq!(answer.headers["seen-grpc-timeout"], "15S");
    assert_eq!(answer.headers["seen-some-bin"], "AAEC/w");
    assert_eq!(answer.headers["seen-te"], "trailers");
    let twice: Vec<_> = answer.headers.get_all("seen-twice").iter().collect();
    assert_eq!(twice, ["one", "two"]);
    assert!(!answer.headers.contains_key("seen-obscura-node"));
}

#[tokio::test]
async fn both_directions_stream_and_trailers_arrive_last() {
    let (_world, _node, mut caller) = world().await;
    let (frames, body) = streaming();
    let response = caller
        .begin(request("/a.B/Stream", Some("basel"), body))
        .await;
    let mut answer = response.into_body();
    for round in 0..5 {
        let bytes = Bytes::from(noise(round, 1000));
        frames.send(Ok(Frame::data(bytes.clone()))).await.unwrap();
        // The answer comes while the request is still open: nothing waits for its end.
        let mut got = Vec::new();
        while got.len() < bytes.len() {
            let frame = tokio::time::timeout(PATIENCE, answer.frame())
                .await
                .unwrap();
            got.extend_from_slice(&frame.unwrap().unwrap().into_data().unwrap());
        }
        assert_eq!(got, bytes);
    }
    let mut trailers = http::HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("7"));
    trailers.insert("details-bin", HeaderValue::from_static("AAEC"));
    frames
        .send(Ok(Frame::trailers(trailers.clone())))
        .await
        .unwrap();
    drop(frames);
    let collected = tokio::time::timeout(PATIENCE, answer.collect())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(collected.trailers(), Some(&trailers));
}

#[tokio::test]
async fn a_call_to_an_unknown_node_is_answered_not_found() {
    let (_world, _node, mut caller) = world().await;
    let answer = caller
        .call(request("/a.B/C", Some("bern"), whole("x")))
        .await;
    let (code, words) = answer.status().unwrap();
    assert_eq!(code, "5");
    assert!(words.contains("bern"), "{words}");
    assert_eq!(answer.headers["content-type"], "application/grpc");
}

#[tokio::test]
async fn a_node_name_that_is_none_or_given_twice_is_refused() {
    let (_world, _node, mut caller) = world().await;
    for bad in ["", "Basel", "basel.node", "../basel", "basel basel"] {
        let answer = caller.call(request("/a.B/C", Some(bad), whole("x"))).await;
        assert_eq!(answer.status().unwrap().0, "3", "{bad:?}");
    }
    let mut twice = request("/a.B/C", Some("basel"), whole("x"));
    twice
        .headers_mut()
        .append("obscura-node", HeaderValue::from_static("basel"));
    assert_eq!(caller.call(twice).await.status().unwrap().0, "3");
}

#[tokio::test]
async fn without_a_node_only_the_gateways_own_methods_exist() {
    let (_world, _node, mut caller) = world().await;
    for path in [
        "/a.B/C",
        "/",
        "/obscura.v1.Studies/Submit",
        "/obscura.v1.Directory/Nothing",
    ] {
        let answer = caller.call(request(path, None, whole("x"))).await;
        assert_eq!(answer.status().unwrap().0, "12", "{path}");
    }
    // An empty message, framed: is the whole server healthy?
    let answer = caller
        .call(request(
            "/grpc.health.v1.Health/Check",
            None,
            whole(&[0; 5][..]),
        ))
        .await;
    assert_eq!(answer.status().unwrap().0, "0");
    assert_eq!(&answer.body[..], [0, 0, 0, 0, 2, 8, 1], "SERVING");
}

#[tokio::test]
async fn a_node_that_is_not_there_is_unavailable_and_is_found_when_it_comes() {
    let world = World::new();
    let listener = listen().await;
    let address = listener.local_addr().unwrap();
    drop(listener);
    let gateway = world.gateway(vec![world.node("basel", address)]).await;
    let mut caller = world.caller(gateway, Role::Scientist, "anna").await;
    let answer = caller
        .call(request("/a.B/C", Some("basel"), whole("x")))
        .await;
    let (code, words) = answer.status().unwrap();
    assert_eq!(code, "14");
    assert!(words.contains("basel"), "{words}");

    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    let _node = EchoNode::start(&world, "basel", listener).await;
    let answer = caller
        .call(request("/a.B/C", Some("basel"), whole("x")))
        .await;
    assert_eq!(answer.body, "x");
}

#[tokio::test]
async fn a_node_restarted_on_the_same_port_is_used_again() {
    let (world, node, mut caller) = world().await;
    for round in 0..3 {
        let asked = noise(round, 100);
        let answer = caller
            .call(request("/a.B/C", Some("basel"), whole(asked.clone())))
            .await;
        assert_eq!(answer.body, asked);
    }
    let address = node.address;
    node.stop().await;
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    let _node = EchoNode::start(&world, "basel", listener).await;
    // At most the one call that was under way fails; the caller repeats it.
    let wanted = noise(9, 100);
    let call = async {
        loop {
            let answer = caller
                .call(request("/a.B/C", Some("basel"), whole(wanted.clone())))
                .await;
            match answer.status() {
                None => return answer,
                Some((code, words)) => assert_eq!(code, "14", "{words}"),
            }
        }
    };
    let answer = tokio::time::timeout(PATIENCE, call).await.unwrap();
    assert_eq!(answer.body, wanted);
}

#[tokio::test]
async fn a_server_with_another_nodes_certificate_gets_no_call() {
    let world = World::new();
    let other = EchoNode::start(&world, "bern", listen().await).await;
    let gateway = world
        .gateway(vec![world.node("basel", other.address)])
        .await;
    let mut caller = world.caller(gateway, Role::Scientist, "anna").await;
    let answer = caller
        .call(request("/a.B/C", Some("basel"), whole("x")))
        .await;
    assert_eq!(answer.status().unwrap().0, "14");
}

#[tokio::test]
async fn an_answer_cut_off_in_the_middle_never_looks_complete() {
    let (_world, node, mut caller) = world().await;
    let response = caller
        .begin(request("/test.Test/Hang", Some("basel"), whole("x")))
        .await;
    let mut body = response.into_body();
    let first = tokio::time::timeout(PATIENCE, body.frame())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert_eq!(first.into_data().unwrap(), "first");
    node.stop().await;
    let rest = tokio::time::timeout(PATIENCE, body.collect())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(rest.trailers().unwrap()["grpc-status"], "14");
}

#[tokio::test]
async fn a_caller_with_too_many_calls_is_refused_and_another_is_not() {
    let world = World::new();
    let node = EchoNode::start(&world, "basel", listen().await).await;
    let gateway = world.gateway(vec![world.node("basel", node.address)]).await;
    let mut greedy = world.caller(gateway, Role::Scientist, "anna").await;
    let mut held = Vec::new();
    for _ in 0..MOST_CALLS_OF_CALLER {
        held.push(
            greedy
                .begin(request("/test.Test/Hang", Some("basel"), whole("x")))
                .await,
        );
    }
    let mut second = world.caller(gateway, Role::Scientist, "anna").await;
    let answer = second
        .call(request("/a.B/C", Some("basel"), whole("x")))
        .await;
    assert_eq!(answer.status().unwrap().0, "8");

    let mut other = world.caller(gateway, Role::Scientist, "berta").await;
    let answer = other
        .call(request("/a.B/C", Some("basel"), whole("x")))
        .await;
    assert_eq!(answer.body, "x");

    // Calls that were given up count no longer.
    drop(held);
    let call = async {
        while second
            .call(request("/a.B/C", Some("basel"), whole("x")))
            .await
            .body
            != "x"
        {}
    };
    tokio::time::timeout(PATIENCE, call).await.unwrap();
}

#[tokio::test]
async fn answers_that_nobody_reads_hold_up_no_other_caller() {
    let (world, node, _caller) = world().await;
    let gateway = world.gateway(vec![world.node("basel", node.address)]).await;
    let lazy = world.caller(gateway, Role::Scientist, "anna").await;
    let unread = noise(1, 4 * STREAM_WINDOW as usize);
    let mut held = Vec::new();
    for _ in 0..20 {
        let body = whole(unread.clone());
        let answer = lazy
            .sender()
            .send_request(request("/a.B/C", Some("basel"), body))
            .await;
        held.push(answer.unwrap());
    }
    let mut other = world.caller(gateway, Role::Scientist, "berta").await;
    let answer = other
        .call(request("/a.B/C", Some("basel"), whole("x")))
        .await;
    assert_eq!(answer.body, "x");
}

#[tokio::test]
async fn a_call_that_its_caller_gives_up_ends_at_the_node_too() {
    let (_world, _node, caller) = world().await;
    let (frames, body) = streaming();
    let mut sender = caller.sender();
    let call = tokio::spawn(async move {
        sender
            .send_request(request("/test.Test/Silence", Some("basel"), body))
            .await
            .map(drop)
    });
    frames
        .send(Ok(Frame::data(Bytes::from_static(b"x"))))
        .await
        .unwrap();
    call.abort();
    // The request's body is dropped with its stream.
    tokio::time::timeout(PATIENCE, frames.closed())
        .await
        .unwrap();
}

#[test]
fn headers_of_one_connection_are_left_out() {
    let mut headers = http::HeaderMap::new();
    for (key, value) in [
        ("connection", "close, x-own"),
        ("x-own", "1"),
        ("keep-alive", "timeout=5"),
        ("transfer-encoding", "chunked"),
        ("te", "gzip"),
        ("upgrade", "h2c"),
        ("host", "hub"),
        ("obscura-node", "basel"),
        ("grpc-timeout", "1S"),
        ("x-other", "2"),
    ] {
        headers.insert(key, HeaderValue::from_static(value));
    }
    super::leave_out(&mut headers);
    let mut left: Vec<_> = headers.keys().map(|key| key.as_str()).collect();
    left.sort_unstable();
    assert_eq!(left, ["grpc-timeout", "x-other"]);
}
