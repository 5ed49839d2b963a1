//! Calls with the maximum size of headers, which then stall.

use bytes::Bytes;

use crate::attacks::{ALLOWANCE_KIB, Calls, REQUEST_MEMORY_KIB, Target};

/// Together they would take three times the budget of the settings.
const CALLS: usize = 1_000;
/// Each takes over 200 KiB in the process, and one connection may have three eighths of 64 MiB.
const HELD_MAX: usize = 130;
/// Short headers per call: with HTTP/2's overhead for each they nearly fill the 64 KiB of
/// `--max-header`.
const HEADERS: usize = 1_300;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stalled_calls_with_large_headers_take_no_more_memory_than_others() {
    let target = Target::start(&["--receive-timeout", "10m"]).await;
    let names: Vec<String> = (0..HEADERS).map(|number| format!("x-{number}")).collect();
    let headers: Vec<_> = names.iter().map(|name| (name.as_str(), "yes")).collect();
    // Calls with photos are left out: their minimum rate would end some while others begin.
    for path in ["/facematch.v1.FaceMatch/GetMatch", "/grpc.health.v1.Health/Check"] {
        let channel = target.channel().await;
        let mut calls = Calls::default();
        calls.stall(&channel, path, &headers, &Bytes::new(), CALLS);
        calls.wait_for(CALLS - HELD_MAX).await;
        calls.assert_all_ended_as("OVERLOADED request-memory", path);
        target.assert_grown_at_most(REQUEST_MEMORY_KIB + ALLOWANCE_KIB, path);
        target.assert_others_are_served(path).await;
        calls.end().await;
        target.assert_returned(path).await;
    }
    target.process.stop();
}

/// Connections from one address, and the calls of each: without admission control by headers, all
/// calls would be held at once, with 800 MiB of headers.
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
    calls.assert_all_ended_as("OVERLOADED request-memory", path);
    // HTTP/2 decodes the headers of some calls before the first of them is admitted or refused.
    target.assert_grown_at_most(REQUEST_MEMORY_KIB + 2 * ALLOWANCE_KIB, "large headers");
    target.assert_others_are_served("large headers").await;
    calls.end().await;
    target.assert_returned("large headers").await;
    target.process.stop();
}
