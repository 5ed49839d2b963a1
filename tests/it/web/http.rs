//! Requests over HTTP/1.1 and HTTP/2, below every form of a call.

use bytes::Bytes;
use http::{HeaderMap, Request, Response, Version};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use crate::support::PATIENCE;

/// A complete answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    /// A header's text; empty if there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// The body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("UTF-8")
    }
}

/// A request of an address, with the headers that every request has.
pub fn request(method: &str, address: &str, path: &str) -> http::request::Builder {
    Request::builder().method(method).uri(path).header("host", address)
}

/// Sends a request over a new connection of HTTP/1.1, and returns the answer when its head is there.
#[expect(clippy::disallowed_methods, reason = "the connection ends with its answer")]
pub async fn begin(address: &str, request: Request<Full<Bytes>>) -> Response<Incoming> {
    let socket = TcpStream::connect(address).await.expect("the port is open");
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(socket)).await.expect("it speaks HTTP");
    tokio::spawn(connection);
    let sent = tokio::time::timeout(PATIENCE, sender.send_request(request)).await;
    sent.expect("the port answers").expect("an answer")
}

/// The same over HTTP/2 without TLS.
#[expect(clippy::disallowed_methods, reason = "the connection ends with its answer")]
pub async fn begin_http2(address: &str, request: Request<Full<Bytes>>) -> Response<Incoming> {
    let socket = TcpStream::connect(address).await.expect("the port is open");
    let (mut sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(socket)).await.expect("HTTP/2");
    tokio::spawn(connection);
    let (mut parts, body) = request.into_parts();
    parts.headers.remove("host");
    parts.version = Version::HTTP_2;
    parts.uri = format!("http://{address}{}", parts.uri).parse().expect("a URL");
    let request = Request::from_parts(parts, body);
    let sent = tokio::time::timeout(PATIENCE, sender.send_request(request)).await;
    sent.expect("the port answers").expect("an answer")
}

/// Reads an answer to its end.
pub async fn read(answer: Response<Incoming>) -> Answer {
    let (parts, body) = answer.into_parts();
    let read = tokio::time::timeout(PATIENCE, body.collect()).await;
    let body = read.expect("the answer ends").expect("it isn't cut").to_bytes();
    Answer { status: parts.status.as_u16(), headers: parts.headers, body }
}

/// The path of a method.
pub fn path(method: &str) -> String {
    format!("/facematch.v1.FaceMatch/{method}")
}

/// A call of a method by JSON.
pub fn json_call(address: &str, method: &str, json: &serde_json::Value) -> Request<Full<Bytes>> {
    let request =
        request("POST", address, &path(method)).header("content-type", "application/json");
    request.body(Full::new(json.to_string().into())).expect("a request")
}

/// Sends a request over HTTP/1.1 and reads the whole answer.
pub async fn send(address: &str, request: Request<Full<Bytes>>) -> Answer {
    read(begin(address, request).await).await
}
