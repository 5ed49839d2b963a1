//! Watching and resuming, of one match and of all matches in one stream. Many of these tests cover
//! faults known from the watch APIs of other systems.

pub mod checked;
mod connection;
mod many;
mod one;
mod unread;

use std::collections::HashMap;

use facematch::pb::{MatchRequest, MatchUpdate, WatchMatchesRequest};
use futures_util::future::join_all;
use tonic::Streaming;

use crate::{
    checker::MatchChecker,
    support::{PATIENCE, TestServer, collect, event_name, eventually, portrait_request},
};

/// A stream of all matches after a token.
pub async fn all_after(house: &TestServer, token: &str) -> Streaming<MatchUpdate> {
    filtered(house, WatchMatchesRequest { resume_token: token.to_owned(), ..Default::default() })
        .await
}

/// A stream of matches; reads the heartbeat that is its first message.
async fn filtered(house: &TestServer, request: WatchMatchesRequest) -> Streaming<MatchUpdate> {
    let mut client = house.client.clone();
    let mut updates = client.watch_matches(request).await.expect("the stream opens").into_inner();
    let first = updates.message().await.expect("a message").expect("the stream stays open");
    check_heartbeat_of_all(&first);
    updates
}

fn check_heartbeat_of_all(update: &MatchUpdate) {
    assert_eq!(event_name(update), "heartbeat");
    assert_eq!((update.match_id.as_str(), update.sequence), ("", 0));
    assert!(!update.resume_token.is_empty() && update.r#match.is_none());
}

/// The next `count` durable updates.
pub async fn take(updates: &mut Streaming<MatchUpdate>, count: usize) -> Vec<MatchUpdate> {
    let mut all = Vec::new();
    while all.len() < count {
        let message = tokio::time::timeout(PATIENCE, updates.message()).await;
        let message = message.unwrap_or_else(|_| panic!("no update after {}", all.len()));
        let update = message.expect("a message").expect("the stream stays open");
        match event_name(&update) {
            "heartbeat" => check_heartbeat_of_all(&update),
            _ => all.push(update),
        }
    }
    all
}

/// Waits until no match is watched, and so none is held in memory for watchers.
async fn wait_until_unwatched(house: &TestServer) {
    eventually(|| house.load.watched() == 0, || "a match is still watched".into()).await;
}

/// Runs a match for each request, concurrently.
async fn run_all(house: &TestServer, requests: Vec<MatchRequest>) -> Vec<Vec<MatchUpdate>> {
    let runs = requests.into_iter().map(|request| {
        let mut client = house.client.clone();
        async move { collect(client.run_match(request).await.unwrap().into_inner()).await.unwrap() }
    });
    join_all(runs).await
}

/// Runs matches that fail at once because their folder doesn't exist: two updates each.
async fn fail_many(house: &TestServer, count: usize) {
    let unknown = uuid::Uuid::nil().to_string();
    let requests = (0..count).map(|_| portrait_request(&unknown)).collect();
    for updates in run_all(house, requests).await {
        assert_eq!(updates.len(), 2);
    }
}

/// Checks the updates of each match.
fn check_each(all: &[MatchUpdate]) {
    let mut checkers: HashMap<&str, MatchChecker> = HashMap::new();
    for update in all {
        checkers.entry(&update.match_id).or_default().check(update);
    }
    assert!(checkers.values().all(MatchChecker::has_closed));
}

fn keys(all: &[MatchUpdate]) -> Vec<(&str, u64)> {
    all.iter().map(|update| (update.match_id.as_str(), update.sequence)).collect()
}
