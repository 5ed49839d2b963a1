//! Calls of every method of every service that stall in the middle of the request.

use bytes::Bytes;
use futures_util::stream;

use crate::{
    attacks::{ALLOWANCE_KIB, Calls, REQUEST_MEMORY_KIB, Target, all_but_two_bytes, every_call},
    transport::announced,
};

const CALLS: usize = 2_000;
/// The maximum number of calls held: each takes over 64 KiB, and one connection may have three
/// eighths of 64 MiB, and a little.
const HELD_MAX: usize = 400;
/// The maximum for calls without a body: the service's own memory for a call is counted.
const CALLS_HELD_MAX: usize = 11_500;
/// Connections from one address, the calls of each, and how many calls the address may hold: two
/// thirds of `--max-calls`, and as many stalled calls as two thirds of `--request-memory` hold.
const CONNECTIONS: usize = 20;
const CALLS_EACH: usize = 2_000;
const ADDRESS_CALLS: usize = 33_400;
const ADDRESS_STALLED_MAX: usize = 20_000;
/// The memory of an open call or waiting stream.
const CALL_KIB: u64 = 13;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stalled_calls_of_every_method_take_their_share_of_memory_and_no_more() {
    let target = Target::start(&["--receive-timeout", "10m"]).await;
    let begun = all_but_two_bytes();
    for path in every_call() {
        let channel = target.channel().await;
        let mut calls = Calls::default();
        calls.stall(&channel, &path, &[], &begun, CALLS);
        calls.wait_for(CALLS - HELD_MAX).await;
        calls.assert_all_ended_as("OVERLOADED request-memory", &path);
        target.assert_grown_at_most(REQUEST_MEMORY_KIB + ALLOWANCE_KIB, &path);
        target.assert_others_are_served(&path).await;
        calls.end().await;
        target.assert_returned(&path).await;
    }
    target.process.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_thousand_stalled_calls_leave_room_for_others() {
    let target = Target::start(&["--receive-timeout", "10m"]).await;
    let channel = target.channel().await;
    let mut calls = Calls::default();
    let path = "/facematch.v1.FaceMatch/GetMatch";
    calls.stall(&channel, path, &[], &Bytes::new(), 20_000);
    // Calls beyond the connection's share of memory are refused.
    calls.wait_for(20_000 - CALLS_HELD_MAX).await;
    // Eleven thousand are held, each with 8 KiB in the transport and the runtime.
    target.assert_grown_at_most(REQUEST_MEMORY_KIB + 2 * ALLOWANCE_KIB, "20,000 stalled calls");
    target.assert_others_are_served("20,000 stalled calls").await;
    calls.assert_all_ended_as("OVERLOADED request-memory", "20,000 stalled calls");
    calls.end().await;
    target.assert_returned("20,000 stalled calls").await;
    target.process.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_over_many_connections_from_one_address_leave_room_for_others() {
    let target = Target::start(&["--receive-timeout", "10m"]).await;
    // Calls that begin at the same moment take memory until their requests have arrived, possibly
    // more than open calls do.
    for (path, body, held_max, told) in [
        ("/facematch.v1.FaceMatch/GetMatch", None, ADDRESS_STALLED_MAX, &["request-memory"][..]),
        (
            "/grpc.health.v1.Health/Watch",
            Some(announced(0, b"")),
            ADDRESS_CALLS,
            &["calls", "request-memory"],
        ),
    ] {
        let mut calls = Calls::default();
        for channel in &target.channels_of_another(CONNECTIONS).await {
            match &body {
                None => calls.stall(channel, path, &[], &Bytes::new(), CALLS_EACH),
                Some(body) => {
                    for _ in 0..CALLS_EACH {
                        calls.call(channel, path, &[], stream::iter([Ok(body.clone())]));
                    }
                }
            }
        }
        calls.wait_for(CONNECTIONS * CALLS_EACH - held_max).await;
        calls.assert_all_ended_as_one_of(told, path);
        target.assert_grown_at_most(ADDRESS_CALLS as u64 * CALL_KIB + ALLOWANCE_KIB, path);
        target.assert_others_are_served(path).await;
        calls.end().await;
        target.assert_returned(path).await;
    }
    target.process.stop();
}
