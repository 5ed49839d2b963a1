//! Floods of frames, the smallest windows, and more connections than the limit.

use std::{io, net::SocketAddr};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::timeout,
};

use crate::{
    attacks::{ALLOWANCE_KIB, Target},
    http2::{self, END_HEADERS, Kind, empty_call, frame, headers},
    process::assert_may_open,
    support::PATIENCE,
};

/// The maximum number of frames on each connection of a flood: the server may close it sooner. A
/// program that isn't optimised takes several times as long for each.
const FRAMES: u32 = if cfg!(debug_assertions) { 50_000 } else { 200_000 };
/// The same for frames that each begin a call, which costs most.
const CALLS: u32 = if cfg!(debug_assertions) { 6_000 } else { 200_000 };
/// Frames per write.
const FRAMES_AT_ONCE: u32 = 1_000;
/// Connections per flood.
const CONNECTIONS: usize = 4;
/// `--max-calls`, at its default, and the maximum memory per call that the operating guide states.
const MAX_CALLS: u64 = 50_000;
const CALL_KIB: u64 = 13;
/// Streams per connection whose client reads one byte at a time.
const SLOW_STREAMS: u32 = 500;
/// The maximum memory of each of these streams, its HTTP/2 stream included.
const SLOW_STREAM_KIB: u64 = 20;

const GET_MATCH: &str = "/facematch.v1.FaceMatch/GetMatch";
const RUN_MATCH: &str = "/facematch.v1.FaceMatch/RunMatch";
const WATCH_MATCHES: &str = "/facematch.v1.FaceMatch/WatchMatches";

/// A flood: the first frames of its connection, and its n-th frames.
#[derive(Clone, Copy)]
struct Flood {
    name: &'static str,
    begin: fn() -> Vec<u8>,
    frames: fn(u32) -> Vec<u8>,
    /// The maximum number of frames on each connection.
    frames_max: u32,
    /// The maximum growth of memory.
    kib: u64,
}

/// The id of the n-th client stream: client streams have odd ids.
const fn stream(n: u32) -> u32 {
    2 * n + 1
}

const FLOODS: [Flood; 6] = [
    Flood {
        name: "RST_STREAM",
        begin: Vec::new,
        frames: |n| {
            let head = frame(Kind::Headers, END_HEADERS, stream(n), &headers(GET_MATCH));
            [head, frame(Kind::RstStream, 0, stream(n), &[0, 0, 0, 8])].concat()
        },
        frames_max: FRAMES,
        kib: ALLOWANCE_KIB,
    },
    Flood {
        name: "calls without a body",
        begin: Vec::new,
        frames: |n| frame(Kind::Headers, END_HEADERS, stream(n), &headers(GET_MATCH)),
        frames_max: CALLS,
        kib: MAX_CALLS * CALL_KIB + ALLOWANCE_KIB,
    },
    Flood {
        name: "SETTINGS",
        begin: Vec::new,
        frames: |_| frame(Kind::Settings, 0, 0, &[]),
        frames_max: FRAMES,
        kib: ALLOWANCE_KIB,
    },
    Flood {
        name: "PING",
        begin: Vec::new,
        frames: |n| frame(Kind::Ping, 0, 0, &u64::from(n).to_be_bytes()),
        frames_max: FRAMES,
        kib: ALLOWANCE_KIB,
    },
    Flood {
        name: "CONTINUATION",
        begin: || frame(Kind::Headers, 0, 1, &headers(GET_MATCH)),
        frames: |n| {
            let header = format!("\0\x08x{n:07}\x10{n:016}");
            frame(Kind::Continuation, 0, 1, header.as_bytes())
        },
        frames_max: FRAMES,
        kib: ALLOWANCE_KIB,
    },
    Flood {
        name: "empty DATA",
        begin: || frame(Kind::Headers, END_HEADERS, 1, &headers(RUN_MATCH)),
        frames: |_| frame(Kind::Data, 0, 1, &[]),
        frames_max: FRAMES,
        kib: ALLOWANCE_KIB,
    },
];

/// Sends the frames without reading, until all are sent or the connection is closed.
async fn send(flood: Flood, address: SocketAddr) {
    let sending = async {
        let mut socket = TcpStream::connect(address).await?;
        socket.write_all(&[http2::begin(65_535), (flood.begin)()].concat()).await?;
        for first in (0..flood.frames_max).step_by(FRAMES_AT_ONCE as usize) {
            let batch: Vec<u8> = (first..first + FRAMES_AT_ONCE).flat_map(flood.frames).collect();
            socket.write_all(&batch).await?;
        }
        // The responses stay unread until the test ends this task.
        std::future::pending::<io::Result<()>>().await
    };
    // The flood has had its effect, however the connection ended.
    let _ = sending.await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_of_frames_harm_no_other_caller() {
    let target = Target::start(&[]).await;
    for flood in FLOODS {
        let mut floods = JoinSet::new();
        for _ in 0..CONNECTIONS {
            floods.spawn(send(flood, target.address()));
        }
        for _ in 0..3 {
            target.assert_others_are_served(flood.name).await;
            target.assert_grown_at_most(flood.kib, flood.name);
        }
        floods.shutdown().await;
        target.assert_returned(flood.name).await;
    }
    target.process.stop();
}

/// Opens streams of all matches, and widens each stream's window by one byte at a time.
async fn read_byte_by_byte(address: SocketAddr) {
    let reading = async {
        let mut socket = TcpStream::connect(address).await?;
        let calls = (0..SLOW_STREAMS).flat_map(|n| empty_call(stream(n), WATCH_MATCHES));
        socket.write_all(&[http2::begin(1), calls.collect()].concat()).await?;
        let (mut answers, mut room) = socket.into_split();
        let more: Vec<u8> = (0..SLOW_STREAMS)
            .flat_map(|n| frame(Kind::WindowUpdate, 0, stream(n), &[0, 0, 0, 1]))
            .collect();
        let mut came = vec![0; 64 * 1024];
        while answers.read(&mut came).await? > 0 {
            room.write_all(&more).await?;
        }
        io::Result::Ok(())
    };
    let _ = reading.await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_of_single_bytes_harm_no_other_caller() {
    let target = Target::start(&[]).await;
    let mut readers = JoinSet::new();
    for _ in 0..CONNECTIONS {
        readers.spawn(read_byte_by_byte(target.address()));
    }
    for _ in 0..5 {
        target.assert_others_are_served("readers of single bytes").await;
        let streams = u64::from(SLOW_STREAMS) * CONNECTIONS as u64;
        target.assert_grown_at_most(streams * SLOW_STREAM_KIB, "readers of single bytes");
    }
    readers.shutdown().await;
    target.assert_returned("readers of single bytes").await;
    target.process.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_connections_from_one_address_leave_room_for_others() {
    const TRIED: usize = 10_000;
    // Half of --max-connections, less the regular caller's connection.
    const SERVED: usize = 4_999;
    assert_may_open(TRIED + 1_000);
    let target = Target::start(&[]).await;
    let (mut served, mut refused) = (Vec::new(), 0);
    for _ in 0..TRIED {
        let mut socket = TcpStream::connect(target.address()).await.expect("the system accepts it");
        // The service may close it before or after the connection preface arrives.
        let _ = socket.write_all(&http2::begin(65_535)).await;
        let answered = timeout(PATIENCE, socket.read_u8()).await.expect("it is served or closed");
        if answered.is_ok() {
            served.push(socket);
        } else {
            refused += 1;
        }
    }
    assert_eq!((served.len(), refused), (SERVED, TRIED - SERVED));
    target.assert_others_are_served("10,000 connections").await;
    let mut other = http2::connect_from("127.0.0.2", target.address()).await;
    other.write_all(&http2::begin(65_535)).await.unwrap();
    let answered = timeout(PATIENCE, other.read_u8()).await.expect("it is served");
    answered.expect("another address has room");
    drop(served);
    target.assert_returned("10,000 connections").await;
    target.process.stop();
}
