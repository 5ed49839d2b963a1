//! Raw HTTP/2 frames, for input that no client library sends.

use std::net::SocketAddr;

use tokio::net::{TcpSocket, TcpStream};

/// A connection from the given loopback address.
pub async fn connect_from(host: &str, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(format!("{host}:0").parse().expect("an address")).expect("a loopback address");
    socket.connect(to).await.expect("the system accepts it")
}

/// The connection preface (RFC 9113, section 3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

/// The kinds of frames (RFC 9113, section 6).
#[derive(Clone, Copy)]
pub enum Kind {
    Data = 0,
    Headers = 1,
    RstStream = 3,
    Settings = 4,
    Ping = 6,
    WindowUpdate = 8,
    Continuation = 9,
}

/// Encodes a frame.
pub fn frame(kind: Kind, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a frame").to_be_bytes();
    let head = [&length[1..], &[kind as u8, flags], &stream.to_be_bytes()].concat();
    [&head, payload].concat()
}

/// The connection preface, and a SETTINGS frame with this initial window size per stream.
pub fn begin(window_bytes: u32) -> Vec<u8> {
    const INITIAL_WINDOW_SIZE: [u8; 2] = [0, 4];
    let setting = [&INITIAL_WINDOW_SIZE[..], &window_bytes.to_be_bytes()].concat();
    [PREFACE, &frame(Kind::Settings, 0, 0, &setting)].concat()
}

/// The header block of a gRPC call, without HPACK compression.
pub fn headers(path: &str) -> Vec<u8> {
    let literal = |name: &str, value: &str| {
        let length = |text: &str| u8::try_from(text.len()).expect("a short text");
        [&[0, length(name)], name.as_bytes(), &[length(value)], value.as_bytes()].concat()
    };
    let headers = [
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", "localhost"),
        (":path", path),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ];
    headers.iter().flat_map(|(name, value)| literal(name, value)).collect()
}

/// A complete call with an empty message.
pub fn empty_call(stream: u32, path: &str) -> Vec<u8> {
    let head = frame(Kind::Headers, END_HEADERS, stream, &headers(path));
    [head, frame(Kind::Data, END_STREAM, stream, &[0; 5])].concat()
}
