//! Below the service: what HTTP/2 and gRPC refuse themselves, and that it harms nobody else.

use bytes::Bytes;
use futures_util::{Stream, stream};
use http_body_util::{BodyExt, StreamBody};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tonic::{Code, Status, body::Body, transport::Channel};
use tower::Service;

use crate::support::{House, PATIENCE, Refusal};

/// A connection of its own.
pub async fn channel(address: &str) -> Channel {
    let endpoint = Channel::from_shared(address.to_owned()).expect("an address");
    endpoint.connect().await.expect("the service listens")
}

/// The beginning of a gRPC message: that many bytes are announced, these come.
pub fn announced(bytes: u32, come: &[u8]) -> Bytes {
    [&[0], &bytes.to_be_bytes()[..], come].concat().into()
}

/// Calls with a body as it is, and returns how the call ends.
pub async fn call(
    channel: &mut Channel,
    rpc: &str,
    body: impl Stream<Item = Result<Bytes, Status>> + Send + 'static,
) -> Result<(), Status> {
    call_with(channel, rpc, body, &[]).await
}

async fn call_with(
    channel: &mut Channel,
    rpc: &str,
    body: impl Stream<Item = Result<Bytes, Status>> + Send + 'static,
    headers: &[(&str, &str)],
) -> Result<(), Status> {
    use futures_util::TryStreamExt;
    let frames = body.map_ok(http_body::Frame::data);
    let mut request = http::Request::post(format!("/facematch.v1.FaceMatch/{rpc}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::new(StreamBody::new(frames))).expect("a request");
    std::future::poll_fn(|context| channel.poll_ready(context)).await.map_err(broken)?;
    let response = channel.call(request).await.map_err(broken)?;
    ending(response).await
}

async fn ending(response: http::Response<Body>) -> Result<(), Status> {
    if response.status() != http::StatusCode::OK {
        return Err(Status::unknown(response.status().to_string()));
    }
    let status = match Status::from_header_map(response.headers()) {
        Some(status) => status,
        None => {
            let body = response.into_body().collect().await?;
            let trailers = body.trailers().cloned().unwrap_or_default();
            Status::from_header_map(&trailers).unwrap_or_else(|| Status::unknown("no status"))
        }
    };
    crate::canary::check_status(&status);
    if status.code() == Code::Ok { Ok(()) } else { Err(status) }
}

fn broken(error: impl std::error::Error) -> Status {
    Status::unknown(error.to_string())
}

/// A body of these pieces, whole.
fn pieces(pieces: Vec<Bytes>) -> impl Stream<Item = Result<Bytes, Status>> + Send {
    stream::iter(pieces.into_iter().map(Ok))
}

#[tokio::test]
async fn a_message_that_is_none_has_the_transports_own_error() {
    let mut house = House::build().await;
    let mut channel = channel(&house.address).await;
    let table: [(&str, Vec<Bytes>); 7] = [
        ("no message", vec![]),
        ("half a prefix", vec![Bytes::from_static(b"\0\0")]),
        ("not protobuf", vec![announced(5, &[0xff; 5])]),
        ("request_id that isn't UTF-8", vec![announced(4, b"\x0a\x02\xff\xfe")]),
        ("a field longer than its message", vec![announced(2, b"\x0a\x7f")]),
        ("less than announced", vec![announced(100, b"so far")]),
        ("compressed", vec![Bytes::from_static(b"\x01\0\0\0\x01a")]),
    ];
    for (what, body) in table {
        for rpc in ["RunMatch", "CreateMatch", "GetMatch", "ListMatches"] {
            let failed = call(&mut channel, rpc, pieces(body.clone())).await;
            let status = failed.expect_err(what);
            assert!(
                matches!(status.code(), Code::Internal | Code::Unimplemented),
                "{what}: {status:?}"
            );
        }
        house.assert_untouched(what).await;
    }
    house.assert_works().await;
}

#[tokio::test]
async fn a_message_that_is_announced_too_long_is_refused_before_it_comes() {
    use futures_util::StreamExt;
    let mut house = House::build().await;
    let mut channel = channel(&house.address).await;
    let table = [
        ("RunMatch", 11 << 20, "PHOTO_TOO_LARGE", "photo.content"),
        ("CreateMatch", u32::MAX, "PHOTO_TOO_LARGE", "photo.content"),
        ("GetMatch", 1 << 20, "FIELD_INVALID", "request"),
        ("WatchMatches", u32::MAX, "FIELD_INVALID", "request"),
    ];
    for (rpc, bytes, reason, field) in table {
        let body = pieces(vec![announced(bytes, b"so far")]).chain(stream::pending());
        let refused = call(&mut channel, rpc, body).await.expect_err("it is refused");
        Refusal::of(refused).assert_fields(reason, &[field]);
        house.assert_untouched(rpc).await;
    }
    house.assert_works().await;
}

#[tokio::test]
async fn a_second_message_is_refused_and_never_kept() {
    use prost::Message;
    let mut house = House::build().await;
    let mut channel = channel(&house.address).await;
    let request = crate::support::portrait_request(&house.folder()).encode_to_vec();
    let message = announced(u32::try_from(request.len()).expect("it is short"), &request);
    let twice = pieces(vec![message.clone(), message]);
    let refused = call(&mut channel, "RunMatch", twice).await.expect_err("it is refused");
    Refusal::of(refused).assert_fields("FIELD_INVALID", &["request"]);
    house.assert_untouched("two messages").await;
    house.assert_works().await;
}

#[tokio::test]
async fn a_body_that_breaks_off_leaves_nothing_behind() {
    use futures_util::StreamExt;
    let mut house = House::build().await;
    for rpc in ["RunMatch", "CreateMatch", "GetMatch"] {
        let mut channel = channel(&house.address).await;
        let begun = pieces(vec![announced(9 << 10, b"so far")]);
        let breaks = stream::iter([Err(Status::cancelled("the caller fell over"))]);
        call(&mut channel, rpc, begun.chain(breaks)).await.expect_err("it broke");
        house.assert_untouched(rpc).await;
    }
    house.assert_works().await;
}

#[tokio::test]
async fn a_header_of_a_megabyte_is_refused_and_the_next_connection_is_fine() {
    let mut house = House::build().await;
    let mut channel = channel(&house.address).await;
    let header = "x".repeat(1024 * 1024);
    let body = pieces(vec![announced(0, b"")]);
    let called = call_with(&mut channel, "ListMatches", body, &[("x-large", &header)]).await;
    called.expect_err("it is refused");
    house.assert_untouched("a large header").await;
    house.assert_works().await;
}

#[tokio::test]
async fn an_unknown_call_is_unimplemented() {
    let mut house = House::build().await;
    let mut channel = channel(&house.address).await;
    let called = call(&mut channel, "RunMatches", pieces(vec![announced(0, b"")])).await;
    assert_eq!(called.expect_err("there is no such call").code(), Code::Unimplemented);
    house.assert_works().await;
}

#[tokio::test]
async fn what_is_no_http2_is_closed_at_once() {
    let mut house = House::build().await;
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let table: [(&str, Vec<u8>); 5] = [
        ("HTTP/1", b"GET / HTTP/1.1\r\nHost: facematch\r\n\r\n".to_vec()),
        (
            "a gRPC call over HTTP/1",
            b"POST /facematch.v1.FaceMatch/GetMatch HTTP/1.1\r\n\r\n".to_vec(),
        ),
        ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 and so on, and so on".to_vec()),
        ("noise", (0..4096).map(|n: u32| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect()),
        ("noise behind the preface", [&preface[..], &[0xaa; 4096]].concat()),
    ];
    for (what, bytes) in table {
        let mut connection = connect(&house.address).await;
        // It may be closed before all is written.
        let _ = connection.write_all(&bytes).await;
        let mut answer = Vec::new();
        let closed = tokio::time::timeout(PATIENCE, connection.read_to_end(&mut answer)).await;
        assert!(closed.is_ok(), "{what}: the connection stays open");
        house.assert_untouched(what).await;
    }
    house.assert_works().await;
}

async fn connect(address: &str) -> TcpStream {
    TcpStream::connect(address.trim_start_matches("http://")).await.expect("the service listens")
}

/// An empty call with a header of so many bytes.
async fn with_header(channel: &mut Channel, bytes: usize) -> Result<(), Status> {
    let header = "x".repeat(bytes);
    let body = pieces(vec![announced(0, b"")]);
    call_with(channel, "ListMatches", body, &[("x-large", &header)]).await
}

#[tokio::test]
async fn headers_are_taken_up_to_their_limit_and_refused_beyond() {
    const LIMIT: u32 = 8 * 1024;
    let mut house = House::build_with(|config| config.max_header = LIMIT.into()).await;
    let mut channel = channel(&house.address).await;
    // The call's own headers take some, but less than a kilobyte.
    with_header(&mut channel, LIMIT as usize - 1024).await.expect("it is taken");
    with_header(&mut channel, LIMIT as usize).await.expect_err("it is refused");
    with_header(&mut channel, 16).await.expect("the connection goes on");
    house.assert_works().await;
}

#[tokio::test]
async fn a_connection_that_answers_nothing_is_closed_and_one_that_does_lives() {
    use facematch::pb::WatchMatchesRequest;
    const KEEPALIVE: std::time::Duration = std::time::Duration::from_secs(1);
    let house = House::build_with(|config| config.keepalive = KEEPALIVE).await;
    let channel = channel(&house.address).await;
    let mut client = crate::canary::client(channel);
    let mut silent = client
        .watch_matches(WatchMatchesRequest::default())
        .await
        .expect("the stream opens")
        .into_inner();
    let mut deaf = connect(&house.address).await;
    let greeting = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    deaf.write_all(greeting).await.expect("it listens");
    let mut heard = Vec::new();
    let closed = tokio::time::timeout(PATIENCE, deaf.read_to_end(&mut heard)).await;
    assert!(closed.is_ok(), "it stays open");
    let request = crate::support::portrait_request(&house.folder());
    let _run = client.run_match(request).await.expect("it is accepted");
    loop {
        let update = silent.message().await.expect("the stream lives").expect("it goes on");
        if crate::support::name(&update) == "finished" {
            break;
        }
    }
}
