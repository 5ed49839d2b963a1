//! HTTP/2 and gRPC below the service: helpers for raw calls, and errors that the transport handles
//! without an effect on other callers.

use bytes::Bytes;
use futures_util::{Stream, stream};
use http_body_util::{BodyExt, StreamBody};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tonic::{Code, Status, body::Body, transport::Channel};
use tower::Service;

use crate::support::{PATIENCE, TestServer};

/// A new connection.
pub async fn channel(address: &str) -> Channel {
    let endpoint = Channel::from_shared(address.to_owned()).expect("an address");
    endpoint.connect().await.expect("the service listens")
}

/// The beginning of a gRPC message: a prefix that announces `bytes` bytes, and the bytes `come`.
pub fn announced(bytes: u32, come: &[u8]) -> Bytes {
    [&[0], &bytes.to_be_bytes()[..], come].concat().into()
}

/// Calls a method of `FaceMatch` with a raw body, and returns the call's status.
pub async fn call(
    channel: &mut Channel,
    rpc: &str,
    body: impl Stream<Item = Result<Bytes, Status>> + Send + 'static,
) -> Result<(), Status> {
    call_with(channel, rpc, body, &[]).await
}

/// Like [`call`], with more headers.
pub async fn call_with(
    channel: &mut Channel,
    rpc: &str,
    body: impl Stream<Item = Result<Bytes, Status>> + Send + 'static,
    headers: &[(&str, &str)],
) -> Result<(), Status> {
    call_at(channel, &format!("/facematch.v1.FaceMatch/{rpc}"), body, headers).await
}

/// Like [`call_with`], for a method of any service.
pub async fn call_at(
    channel: &mut Channel,
    path: &str,
    body: impl Stream<Item = Result<Bytes, Status>> + Send + 'static,
    headers: &[(&str, &str)],
) -> Result<(), Status> {
    ending(answer(channel, path, body, headers).await?).await
}

/// The HTTP response to a call. `headers` may replace the default ones.
pub async fn answer(
    channel: &mut Channel,
    path: &str,
    body: impl Stream<Item = Result<Bytes, Status>> + Send + 'static,
    headers: &[(&str, &str)],
) -> Result<http::Response<Body>, Status> {
    std::future::poll_fn(|context| channel.poll_ready(context)).await.map_err(broken)?;
    channel.call(request(path, body, headers)).await.map_err(broken)
}

fn request(
    path: &str,
    body: impl Stream<Item = Result<Bytes, Status>> + Send + 'static,
    headers: &[(&str, &str)],
) -> http::Request<Body> {
    use futures_util::TryStreamExt;
    let frames = body.map_ok(http_body::Frame::data);
    let request = http::Request::post(path).body(Body::new(StreamBody::new(frames)));
    let mut request = request.expect("a request");
    let of_all = [("content-type", "application/grpc"), ("te", "trailers")];
    for (name, value) in of_all.iter().chain(headers) {
        let name: http::HeaderName = name.parse().expect("a name");
        request.headers_mut().insert(name, value.parse().expect("a value"));
    }
    request
}

/// A bare HTTP/2 connection: a gRPC client would end calls by timers of its own.
#[derive(Clone)]
pub struct Bare {
    authority: String,
    sender: hyper::client::conn::http2::SendRequest<Body>,
}

impl Bare {
    /// Connects, and starts the task that drives the connection.
    #[expect(clippy::disallowed_methods, reason = "the connection ends with its last sender")]
    pub async fn connect(address: &str) -> Self {
        let socket = hyper_util::rt::TokioIo::new(connect(address).await);
        let executor = hyper_util::rt::TokioExecutor::new();
        let (sender, connection) =
            hyper::client::conn::http2::handshake(executor, socket).await.expect("HTTP/2");
        tokio::spawn(connection);
        Self { authority: address.to_owned(), sender }
    }

    /// Calls with one message, and returns the call's status.
    pub async fn call(
        &mut self,
        path: &str,
        message: &[u8],
        headers: &[(&str, &str)],
    ) -> Result<(), Status> {
        let length = u32::try_from(message.len()).expect("a small message");
        let body = pieces(vec![announced(length, message)]);
        let url = format!("{}{path}", self.authority);
        let answer = self.sender.send_request(request(&url, body, headers)).await;
        ending(answer.map_err(broken)?.map(Body::new)).await
    }
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
    let mut why = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        why = format!("{why}: {cause}");
        source = cause.source();
    }
    Status::unknown(why)
}

/// A complete body in these pieces.
fn pieces(pieces: Vec<Bytes>) -> impl Stream<Item = Result<Bytes, Status>> + Send {
    stream::iter(pieces.into_iter().map(Ok))
}

#[tokio::test]
async fn an_aborted_body_leaves_nothing_in_memory() {
    use futures_util::StreamExt;
    let mut house = TestServer::build().await;
    for rpc in ["RunMatch", "CreateMatch", "GetMatch"] {
        let mut channel = channel(&house.address).await;
        let begun = pieces(vec![announced(9 << 10, b"so far")]);
        let breaks = stream::iter([Err(Status::cancelled("the caller failed"))]);
        call(&mut channel, rpc, begun.chain(breaks)).await.expect_err("it broke");
        house.assert_untouched(rpc).await;
    }
    house.assert_works().await;
}

async fn connect(address: &str) -> TcpStream {
    TcpStream::connect(address.trim_start_matches("http://")).await.expect("the service listens")
}

/// Makes an empty call with a header of `bytes` bytes.
async fn with_header(channel: &mut Channel, bytes: usize) -> Result<(), Status> {
    let header = "x".repeat(bytes);
    let body = pieces(vec![announced(0, b"")]);
    call_with(channel, "ListMatches", body, &[("x-large", &header)]).await
}

#[tokio::test]
async fn headers_are_accepted_up_to_the_limit_and_refused_beyond() {
    // The minimum, a common value, and the maximum of the setting.
    for limit in [4 << 10, 8 << 10, 16 << 20] {
        let mut house = TestServer::build_with(|config| config.max_header = limit).await;
        let limit = usize::try_from(limit).expect("it fits");
        let mut channel = channel(&house.address).await;
        // The call's other headers take less than a kilobyte.
        with_header(&mut channel, limit - 1024).await.expect("it is accepted");
        with_header(&mut channel, limit).await.expect_err("it is refused");
        with_header(&mut channel, 16).await.expect("the connection stays open");
        house.assert_works().await;
    }
}

#[tokio::test]
async fn a_connection_that_answers_no_ping_is_closed_and_others_stay_open() {
    use facematch::pb::WatchMatchesRequest;
    const KEEPALIVE: std::time::Duration = std::time::Duration::from_secs(1);
    let house = TestServer::build_with(|config| config.keepalive = KEEPALIVE).await;
    let channel = channel(&house.address).await;
    let mut client = crate::canary::client(channel);
    let mut silent = client
        .watch_matches(WatchMatchesRequest::default())
        .await
        .expect("the stream opens")
        .into_inner();
    let mut deaf = connect(&house.address).await;
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    deaf.write_all(preface).await.expect("it listens");
    let mut heard = Vec::new();
    let closed = tokio::time::timeout(PATIENCE, deaf.read_to_end(&mut heard)).await;
    assert!(closed.is_ok(), "the connection stays open");
    let request = crate::support::portrait_request(&house.folder());
    let _run = client.run_match(request).await.expect("it is accepted");
    loop {
        let update = silent.message().await.expect("the stream is alive").expect("it is open");
        if crate::support::event_name(&update) == "finished" {
            break;
        }
    }
}
