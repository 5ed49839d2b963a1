//! The limits of the first door hold at the second one.

use std::time::Duration;

use facematch::pb::{MatchUpdate, WatchMatchesRequest};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tonic::Code;

use crate::{
    support::{PATIENCE, Refusal, eventually, request},
    web::{
        self,
        frames::{Client, MODES, Mode},
    },
};

/// What the port says before it closes a connection over which this was sent.
async fn said_until_closed(address: &str, sent: &[u8]) -> String {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(sent).await.unwrap();
    let mut said = Vec::new();
    let read = tokio::time::timeout(PATIENCE, socket.read_to_end(&mut said)).await;
    // A reset is an end too.
    let _ = read.expect("the port closes the connection");
    String::from_utf8_lossy(&said).into_owned()
}

#[tokio::test]
async fn a_head_over_its_limit_is_refused() {
    let mut server = web::server_with(|config| config.max_header = 16 << 10).await;
    let address = web::address(&server);
    let head = format!("GET / HTTP/1.1\r\nhost: {address}\r\nx: {}\r\n\r\n", "x".repeat(1 << 20));
    let said = said_until_closed(&address, head.as_bytes()).await;
    assert!(said.is_empty() || said.starts_with("HTTP/1.1 431 "), "{said}");
    let many = format!("GET / HTTP/1.1\r\nhost: {address}\r\n{}\r\n", "x: y\r\n".repeat(1_000));
    let said = said_until_closed(&address, many.as_bytes()).await;
    assert!(said.is_empty() || said.starts_with("HTTP/1.1 431 "), "{said}");
    server.assert_works().await;
}

#[tokio::test]
async fn garbage_ends_its_connection_alone() {
    let mut server = web::server().await;
    let address = web::address(&server);
    for garbage in [&b"\x16\x03\x01\0\xa5\x01\0\0"[..], b"PRI * HTTP/3.0\r\n\r\n", b"\0\r\n\r\n"] {
        let said = said_until_closed(&address, garbage).await;
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 400 "), "{said}");
    }
    server.assert_works().await;
}

#[tokio::test]
async fn a_photo_over_10_mib_is_refused_and_leaves_nothing() {
    let server = web::server().await;
    for mode in MODES {
        let client = Client::new(&web::address(&server), mode);
        let photo = vec![0; (10 << 20) + 1];
        let request = request(&server.folder(), photo.into());
        let refused = client.all::<MatchUpdate>("RunMatch", &request).await.unwrap_err();
        Refusal::of(refused).assert_fields("PHOTO_TOO_LARGE", &["photo.content"]);
        server.assert_released("a photo that is too large").await;
    }
}

#[tokio::test]
async fn a_sender_that_stalls_is_refused_and_its_memory_is_released() {
    let server = web::server_with(|config| config.receive_timeout = Duration::from_secs(1)).await;
    let address = web::address(&server);
    let head = format!(
        "POST /facematch.v1.FaceMatch/RunMatch HTTP/1.1\r\nhost: {address}\r\n\
         content-type: application/grpc-web\r\ncontent-length: 1000005\r\n\r\n"
    );
    let mut socket = TcpStream::connect(&address).await.unwrap();
    socket.write_all(head.as_bytes()).await.unwrap();
    // A photo that has begun to arrive.
    let begun = [&b"\0\0\x0f\x42\x40\x1a\xba\x84\x3d\x0a\xb0\x84\x3d"[..], &[0; 200_000]].concat();
    socket.write_all(&begun).await.unwrap();
    let load = &server.load;
    eventually(|| load.photo_bytes() > 100_000, || "the photo arrives".to_owned()).await;
    let mut said = Vec::new();
    let read = tokio::time::timeout(PATIENCE, socket.read_to_end(&mut said)).await;
    let _ = read.expect("the port ends the call");
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains("grpc-status: 4\r\n"), "{said}");
    server.assert_released("a stalled sender").await;
}

#[tokio::test]
async fn a_caller_that_disconnects_while_it_sends_leaves_nothing() {
    let server = web::server().await;
    let address = web::address(&server);
    let head = format!(
        "POST /facematch.v1.FaceMatch/RunMatch HTTP/1.1\r\nhost: {address}\r\n\
         content-type: application/grpc-web\r\ncontent-length: 1000005\r\n\r\n"
    );
    let mut socket = TcpStream::connect(&address).await.unwrap();
    let begun = [&b"\0\0\x0f\x42\x40\x1a\xba\x84\x3d\x0a\xb0\x84\x3d"[..], &[0; 200_000]].concat();
    socket.write_all(&[head.as_bytes(), &begun].concat()).await.unwrap();
    let load = &server.load;
    eventually(|| load.photo_bytes() > 100_000, || "the photo arrives".to_owned()).await;
    drop(socket);
    server.assert_released("a caller that is gone").await;
}

#[tokio::test]
async fn the_connections_of_both_doors_count_together() {
    let server = web::server_with(|config| {
        config.max_connections = 3;
        config.max_connections_per_address = Some(3);
    })
    .await;
    let client = Client::new(&web::address(&server), Mode::Binary);
    let mut streams = Vec::new();
    for _ in 0..2 {
        let mut stream = client.begin("WatchMatches", &WatchMatchesRequest::default()).await;
        stream.next::<MatchUpdate>().await.unwrap().unwrap();
        streams.push(stream);
    }
    // The client of the first door is the third.
    assert_eq!(said_until_closed(&client.address, b"GET / HTTP/1.1\r\n\r\n").await, "");
    let first = server.address.strip_prefix("http://").unwrap();
    assert_eq!(said_until_closed(first, b"").await, "");
    drop(streams);
    eventually(|| server.load.streams() == 0, || "streams are open".to_owned()).await;
}

#[tokio::test]
async fn the_open_calls_of_both_doors_count_together() {
    let server = web::server_with(|config| config.max_calls = 8).await;
    let client = Client::new(&web::address(&server), Mode::Http2);
    let (mut streams, mut refused) = (Vec::new(), None);
    while refused.is_none() && streams.len() <= 8 {
        let mut stream = client.begin("WatchMatches", &WatchMatchesRequest::default()).await;
        match stream.next::<MatchUpdate>().await {
            Ok(_) => streams.push(stream),
            Err(status) => refused = Some(Refusal::of(status)),
        }
    }
    let refused = refused.expect("a call over the limit is refused");
    refused.assert(Code::ResourceExhausted, "OVERLOADED");
    assert_eq!(refused.metadata("limit"), Some("calls"));
    assert!(refused.has_retry_delay());
}
