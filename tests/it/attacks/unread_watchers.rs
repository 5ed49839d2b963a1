//! Unread responses: thousands of streams of all matches, which share their pending updates, and
//! lists, each of which holds bytes of its own.

use std::time::Duration;

use facematch::{
    pb::{ListMatchesRequest, MatchRequest, MatchUpdate, WatchMatchesRequest},
    simulator::{Simulator, sample},
};
use futures_util::{StreamExt, TryStreamExt, stream};
use prost::Message;
use tokio::time::interval;
use tonic::{
    Streaming,
    transport::{Channel, Endpoint},
};

use crate::{
    attacks::{Calls, Target},
    canary::{self, Client},
    process::Process,
    support::{eventually, portrait_request},
    transport::announced,
};

const STREAMS: usize = 2_000;
const MATCHES: usize = 300;
/// The maximum memory of a stream, its HTTP/2 stream included.
const KIB_EACH: u64 = 20;
/// Freed memory that the allocator may keep.
const SLACK_KIB: u64 = 8 * 1024;
/// A window smaller than any update.
const WINDOW_BYTES: u32 = 16;
/// Samples of memory, and their interval. A stream takes its memory within moments.
const LOOKS: usize = 30;
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The maximum number of labels, each of the maximum size, made of one character.
fn largest_labels(character: char) -> impl Iterator<Item = (String, String)> {
    let of = move |count: usize| character.to_string().repeat(count);
    (0..16).map(move |n| (format!("{n:02}{}", of(62)), of(256)))
}

async fn run_matches(client: &Client, oz: &Simulator, character: char) {
    let run = |_| {
        let mut client = client.clone();
        let folder = oz.add_folder(sample::liveness_folder(sample::portrait_jpeg()));
        let labels = largest_labels(character).collect();
        let request = MatchRequest { labels, ..portrait_request(&folder) };
        async move {
            let updates = client.run_match(request).await?.into_inner();
            updates.try_for_each(|_| async { Ok(()) }).await
        }
    };
    let all = stream::iter(0..MATCHES).map(run).buffer_unordered(16).try_collect::<()>();
    all.await.expect("every match is accepted and ends");
}

/// A connection whose streams have tiny windows.
async fn narrow(address: &str) -> Channel {
    let endpoint = Endpoint::from_shared(address.to_owned()).unwrap();
    endpoint.initial_stream_window_size(WINDOW_BYTES).connect().await.unwrap()
}

async fn open(address: &str, count: usize) -> Vec<Streaming<MatchUpdate>> {
    let channel = narrow(address).await;
    let watch = |_| {
        let mut client = canary::client(channel.clone());
        let all = WatchMatchesRequest { resume_token: "earliest".into(), ..Default::default() };
        async move { client.watch_matches(all).await.map(tonic::Response::into_inner) }
    };
    let opened = stream::iter(0..count).map(watch).buffered(64).try_collect().await;
    opened.expect("every stream opens")
}

/// The largest sample of the process's memory.
async fn most_kib(process: &Process) -> u64 {
    let mut ticks = interval(LOOK_EVERY);
    let mut most = 0;
    for _ in 0..LOOKS {
        ticks.tick().await;
        most = most.max(process.resident_kib());
    }
    most
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unread_streams_hold_little_memory_each_and_return_it() {
    for character in ['x', '\u{1f600}'] {
        let target = Target::start(&["--oz-poll-interval", "10ms"]).await;
        let process = &target.process;
        run_matches(&target.client, &target.oz, character).await;
        // The first stream loads everything that streams share.
        let first = open(process.address(), 1).await;
        let before = most_kib(process).await;
        let streams = open(process.address(), STREAMS).await;
        let beside = most_kib(process).await;
        let each = beside.saturating_sub(before) / STREAMS as u64;
        println!(
            "attacked: by unread watchers, {STREAMS} streams hold {each} KiB each, labels of \
             {character:?}"
        );
        assert!(each <= KIB_EACH, "{before} KiB before, {beside} KiB beside {STREAMS} streams");
        target.assert_others_are_served("unread watchers").await;
        drop((first, streams));
        let is_back = || process.resident_kib() <= before + SLACK_KIB;
        let kept = || format!("{} KiB, {before} KiB before", process.resident_kib());
        eventually(is_back, kept).await;
        target.process.stop();
    }
}

/// Lists of all matches, three MiB each: those beyond the share of memory are refused.
const LISTS: usize = 100;
/// The number of lists that fit into one connection's share of `--request-memory`, and the
/// maximum growth of memory.
const LISTS_HELD_MAX: usize = 12;
const LISTS_KIB: u64 = 96 * 1024;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unread_lists_hold_no_more_than_their_share() {
    let target = Target::start(&["--oz-poll-interval", "10ms"]).await;
    run_matches(&target.client, &target.oz, '\u{1f600}').await;
    let before = target.process.resident_kib();
    let mut calls = Calls::default();
    let page = ListMatchesRequest { page_size: 1_000, ..Default::default() }.encode_to_vec();
    let page = announced(u32::try_from(page.len()).unwrap(), &page);
    let channel = narrow(target.process.address()).await;
    for _ in 0..LISTS {
        let path = "/facematch.v1.FaceMatch/ListMatches";
        calls.call(&channel, path, &[], stream::iter([Ok(page.clone())]));
    }
    // A refusal arrives too, a few bytes at a time.
    calls.wait_for(LISTS - LISTS_HELD_MAX).await;
    calls.assert_all_ended_as("OVERLOADED request-memory", "unread lists");
    let grown = target.process.resident_kib().saturating_sub(before);
    println!("attacked: by unread lists, resident memory grows by {} MiB", grown / 1024);
    assert!(grown <= LISTS_KIB, "memory grew by {grown} KiB");
    target.assert_others_are_served("unread lists").await;
    calls.end().await;
    target.process.stop();
}
