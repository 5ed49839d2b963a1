//! Unread streams: what they cost, how they end, and that other callers are not affected.

use std::time::Duration;

use facematch::{
    config::Config,
    pb::{MatchUpdate, WatchMatchesRequest},
};
use serde_json::json;
use tonic::{Code, Status, Streaming, transport::Endpoint};

use crate::{
    canary::{self, Client},
    checker::check_updates_after,
    support::{
        Refusal, TestServer, collect, event_name, eventually, last_match, portrait_request,
        read_until, rule, wait, watch,
    },
    watching::{all_after, fail_many, keys, take, wait_until_unwatched},
};

const STALL: Duration = Duration::from_millis(200);

fn impatient(config: &mut Config) {
    config.stream_stall = STALL;
}

/// A client whose stream windows are smaller than one update.
async fn narrow(house: &TestServer) -> Client {
    let endpoint = Endpoint::from_shared(house.address.clone()).unwrap();
    canary::client(endpoint.initial_stream_window_size(16).connect().await.unwrap())
}

/// The durable updates of a stream until it breaks, and its status.
async fn broken(mut updates: Streaming<MatchUpdate>) -> (Vec<MatchUpdate>, Status) {
    let mut facts = Vec::new();
    loop {
        match updates.message().await {
            Ok(update) => facts.extend(update.filter(|update| event_name(update) != "heartbeat")),
            Err(status) => return (facts, status),
        }
    }
}

#[tokio::test]
async fn an_unread_stream_ends_with_few_updates_held_and_resumes_without_a_gap() {
    const MATCHES: usize = 500;
    let house = TestServer::build_with(impatient).await;
    fail_many(&house, MATCHES).await;
    let earliest = WatchMatchesRequest { resume_token: "earliest".into(), ..Default::default() };
    let deaf = narrow(&house).await.watch_matches(earliest).await.unwrap().into_inner();
    let mut reader = all_after(&house, "earliest").await;
    let all = take(&mut reader, 2 * MATCHES).await;
    eventually(|| house.load.streams() == 1, || format!("{} streams", house.load.streams())).await;

    let (seen, status) = broken(deaf).await;
    let refusal = Refusal::of(status);
    refusal.assert(Code::ResourceExhausted, "UPDATES_UNREAD");
    assert!(refusal.has_retry_delay());
    assert!((1..2 * MATCHES / 3).contains(&seen.len()), "{} updates were held", seen.len());
    let (before, after) = all.split_at(seen.len());
    assert_eq!(keys(&seen), keys(before));
    let token = &seen.last().unwrap().resume_token;
    let rest = take(&mut all_after(&house, token).await, after.len()).await;
    assert_eq!(keys(&rest), keys(after));

    fail_many(&house, 1).await;
    assert_eq!(take(&mut reader, 2).await.len(), 2, "a reading watcher stopped getting updates");
}

#[tokio::test]
async fn a_match_with_only_unread_watchers_is_released_and_continues() {
    let mut house = TestServer::build_with(impatient).await;
    let flaps = json!({"match": {"endpoint": "get_analysis", "to": 3}, "then": {"status": 500}});
    house.oz.script([rule(flaps)]);
    let deaf = narrow(&house).await.run_match(portrait_request(&house.folder())).await.unwrap();
    wait_until_unwatched(&house).await;
    house.assert_released("a match with an unread stream").await;
    let (seen, status) = broken(deaf.into_inner()).await;
    Refusal::of(status).assert(Code::ResourceExhausted, "UPDATES_UNREAD");
    let (id, reached) = (&seen[0].match_id, seen.len() as u64);
    let request = crate::support::watch_after(id, reached);
    let rest = house.client.watch_match(request).await.unwrap().into_inner();
    check_updates_after(reached, &collect(rest).await.unwrap());
}

#[tokio::test]
async fn a_silent_stream_that_is_read_outlives_the_stall_limit() {
    let mut house = TestServer::build_with(impatient).await;
    house.oz.switch(|switches| switches.processing_ms = 60_000);
    let request = portrait_request(&house.folder());
    let mut updates = house.client.run_match(request).await.unwrap().into_inner();
    let seen = read_until(&mut updates, "analysis_started").await;
    let id = &last_match(&seen).match_id;
    let mut second = house.client.watch_match(watch(id)).await.unwrap().into_inner();
    read_until(&mut second, "analysis_started").await;
    house.client.wait_match(wait(id, 4 * STALL)).await.unwrap();
    house.oz.skip(Duration::from_secs(60));
    for stream in [updates, second] {
        check_updates_after(3, &collect(stream).await.unwrap());
    }
}
