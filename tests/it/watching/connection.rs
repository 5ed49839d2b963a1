//! Many streams on one connection: all get their updates, and streams over the limit affect no
//! other caller.

use std::time::Duration;

use facematch::{config::Config, pb::WatchMatchesRequest};
use futures_util::future::{join_all, try_join_all};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::{
    checker::check_updates_after,
    support::{
        PATIENCE, TestServer, collect, connect, eventually, last_match, portrait_request,
        read_until, watch_after,
    },
};

/// Streams that a busy caller may well have on one connection.
const STREAMS: usize = 10_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_streams_on_one_connection_all_get_the_closing_update() {
    let mut house = TestServer::build().await;
    let defaults = Config::new("facematch.db".into(), house.config.oz.clone());
    assert!(STREAMS < defaults.max_streams as usize, "the default limit is lower");
    house.oz.switch(|switches| switches.processing_ms = 600_000);
    let mut run = house.client.run_match(portrait_request(&house.folder())).await.unwrap();
    let seen = read_until(run.get_mut(), "analysis_started").await;
    let id = &last_match(&seen).match_id;
    let after = u64::try_from(seen.len()).unwrap() - 1;

    let caller = connect(&house.address).await;
    let opened = (0..STREAMS).map(|_| {
        let mut caller = caller.clone();
        async move { caller.watch_match(watch_after(id, after)).await }
    });
    let streams = try_join_all(opened).await.expect("each stream opens");
    eventually(|| house.load.streams() == STREAMS + 1, || format!("{}", house.load.streams()))
        .await;
    house.oz.skip(Duration::from_secs(600));
    let ends = streams.into_iter().map(|stream| collect(stream.into_inner()));
    for updates in join_all(ends).await {
        check_updates_after(after, &updates.expect("the stream ends without an error"));
    }
    collect(run.into_inner()).await.expect("the run's stream ends without an error");
    house.oz.switch(|switches| switches.processing_ms = 0);
    house.assert_works().await;
}

#[tokio::test]
async fn streams_over_the_limit_of_a_connection_wait_and_affect_no_other_caller() {
    const STREAMS: usize = 1_000;
    let mut house = TestServer::build_with(|config| config.max_streams = STREAMS as u32).await;
    let mut greedy = connect(&house.address).await;
    let all = WatchMatchesRequest::default();
    let mut streams = Vec::new();
    for _ in 0..STREAMS {
        streams.push(greedy.watch_matches(all.clone()).await.unwrap().into_inner());
    }
    assert_eq!(house.load.streams(), STREAMS);
    let mut one_more = Box::pin(greedy.watch_matches(all));
    tokio::select! {
        biased;
        _ = &mut one_more => panic!("a stream over the limit opens"),
        () = house.assert_works() => {}
    }
    streams.pop();
    one_more.await.expect("there is room now");
    drop(streams);
    eventually(|| house.load.streams() == 0, || format!("{} streams", house.load.streams())).await;
}

/// A `WatchMatches` call in HTTP/2 frames: uncompressed headers, and an empty message that ends
/// the request.
fn watch_all_in_frames(stream: u32) -> Vec<u8> {
    const HEADERS: [(&str, &str); 6] = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/facematch.v1.FaceMatch/WatchMatches"),
        (":authority", "facematch"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ];
    let text = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    let headers = HEADERS.map(|(name, value)| [vec![0], text(name), text(value)].concat()).concat();
    [frame(0x1, 0x4, stream, &headers), frame(0x0, 0x1, stream, &[0; 5])].concat()
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Reads the next frame: its kind, its stream, and its payload.
async fn next_frame(connection: &mut TcpStream) -> (u8, u32, Vec<u8>) {
    let mut head = [0; 9];
    connection.read_exact(&mut head).await.expect("the connection stays open");
    let [a, b, c, kind, _flags, stream @ ..] = head;
    let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
    connection.read_exact(&mut payload).await.expect("a whole frame");
    (kind, u32::from_be_bytes(stream), payload)
}

#[tokio::test]
async fn a_caller_that_ignores_the_limit_is_refused_stream_by_stream() {
    const RST_STREAM: u8 = 0x3;
    const GOAWAY: u8 = 0x7;
    const REFUSED_STREAM: u32 = 0x7;
    let mut house = TestServer::build_with(|config| config.max_streams = 2).await;
    let address = house.address.trim_start_matches("http://");
    let mut rude = TcpStream::connect(address).await.unwrap();
    let preface = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame(0x4, 0, 0, &[])].concat();
    rude.write_all(&preface).await.unwrap();
    for stream in [1, 3, 5, 7] {
        rude.write_all(&watch_all_in_frames(stream)).await.unwrap();
    }
    let mut refused = Vec::new();
    while refused.len() < 2 {
        let (kind, stream, payload) = timeout(PATIENCE, next_frame(&mut rude)).await.unwrap();
        assert_ne!(kind, GOAWAY, "{payload:?}");
        if kind == RST_STREAM {
            refused.push((stream, payload));
        }
    }
    let why = REFUSED_STREAM.to_be_bytes().to_vec();
    assert_eq!(refused, [(5, why.clone()), (7, why)]);
    eventually(|| house.load.streams() == 2, || format!("{} streams", house.load.streams())).await;
    house.assert_works().await;
}
