//! Calls with as many headers as may be, which then stall.

use bytes::Bytes;

use crate::attacks::{ALLOWANCE_KIB, Calls, REQUEST_MEMORY_KIB, Target};

/// Together they would take three times what the settings give.
const CALLS: usize = 1_000;
/// Each takes over 200 KiB in the process, and one connection may have three eighths of 64 MiB.
const HELD_MAX: usize = 130;
/// How many headers there are, each of a few letters: with what HTTP/2 adds for each, the 64 KiB
/// of `--max-header` are nearly full.
const HEADERS: usize = 1_300;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stalled_calls_with_large_headers_take_no_more_memory_than_others() {
    let target = Target::start(&["--receive-timeout", "10m"]).await;
    let names: Vec<String> = (0..HEADERS).map(|number| format!("x-{number}")).collect();
    let headers: Vec<_> = names.iter().map(|name| (name.as_str(), "yes")).collect();
    // Photos have a minimum rate besides, which would end calls while the rest are begun.
    for path in ["/facematch.v1.FaceMatch/GetMatch", "/grpc.health.v1.Health/Check"] {
        let channel = target.channel().await;
        let mut calls = Calls::default();
        calls.stall(&channel, path, &headers, &Bytes::new(), CALLS);
        calls.wait_for(CALLS - HELD_MAX).await;
        calls.assert_all_told("OVERLOADED request-memory", path);
        target.assert_grown_at_most(REQUEST_MEMORY_KIB + ALLOWANCE_KIB, path);
        target.assert_others_are_served(path).await;
        calls.end().await;
        target.assert_returned(path).await;
    }
    target.process.stop();
}

/// Connections of one address, and the calls of each: if a call were decided on only when its turn
/// comes, all of them would be there at once, with 800 MiB of headers.
const CONNECTIONS: usize = 40;
const CALLS_EACH: usize = 100;
/// An address may have two thirds of 64 MiB.
const ADDRESS_HELD_MAX: usize = 230;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_headers_over_many_connections_take_no_more_memory_than_over_one() {
    let target = Target::start(&["--receive-timeout", "10m"]).await;
    let names: Vec<String> = (0..HEADERS).map(|number| format!("x-{number}")).collect();
    let headers: Vec<_> = names.iter().map(|name| (name.as_str(), "yes")).collect();
    let (path, mut calls) = ("/facematch.v1.FaceMatch/GetMatch", Calls::default());
    for channel in target.channels_of_another(CONNECTIONS).await {
        calls.stall(&channel, path, &headers, &Bytes::new(), CALLS_EACH);
    }
    calls.wait_for(CONNECTIONS * CALLS_EACH - ADDRESS_HELD_MAX).await;
    calls.assert_all_told("OVERLOADED request-memory", path);
    // HTTP/2 decodes some of a connection's calls before the first of them is decided on.
    target.assert_grown_at_most(REQUEST_MEMORY_KIB + 2 * ALLOWANCE_KIB, "large headers");
    target.assert_others_are_served("large headers").await;
    calls.end().await;
    target.assert_returned("large headers").await;
    target.process.stop();
}
