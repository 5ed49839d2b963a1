//! Regression tests for the findings of a review. Each of them failed before its fix.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use facematch::pb::{ListMatchesRequest, MatchRequest, MatchState};
use futures_util::future::join_all;
use serde_json::json;
use tokio::{net::TcpStream, time::timeout};
use tonic::transport::Channel;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use crate::support::{
    TestServer, collect, folder_media_request, last_match, portrait_request, read_until, rule,
};

#[tokio::test]
async fn a_list_may_repeat_a_state_any_number_of_times() {
    let mut house = TestServer::build().await;
    let run = house.run(portrait_request(&house.folder())).await;
    // More values than SQLite accepts in one statement.
    let states = vec![MatchState::Finished.into(); 40_000];
    let request = ListMatchesRequest { states, ..Default::default() };
    let listed = house.client.list_matches(request).await.unwrap().into_inner();
    assert_eq!(listed.matches, [last_match(&run).clone()]);
}

/// The maximum number of labels, each of the maximum length.
fn largest_labels() -> HashMap<String, String> {
    let key = |index: usize| format!("{index:02}{}", "k".repeat(62));
    (0..16).map(|index| (key(index), "\u{1d11e}".repeat(256))).collect()
}

#[tokio::test]
async fn a_page_of_large_matches_fits_into_a_client_s_message_limit() {
    const MATCHES: usize = 260;
    let mut house = TestServer::build().await;
    let unknown = uuid::Uuid::nil().to_string();
    let request =
        MatchRequest { labels: largest_labels(), ..folder_media_request(&unknown, &unknown) };
    let runs = (0..MATCHES).map(|_| {
        let (mut client, request) = (house.client.clone(), request.clone());
        async move { collect(client.run_match(request).await.unwrap().into_inner()).await.unwrap() }
    });
    join_all(runs).await;
    let (mut seen, mut page_token) = (HashSet::new(), String::new());
    loop {
        let request = ListMatchesRequest { page_size: 1_000, page_token, ..Default::default() };
        let page = house.client.list_matches(request).await.unwrap().into_inner();
        let all_new = page.matches.into_iter().all(|m| seen.insert(m.match_id));
        assert!(all_new, "a match is listed twice");
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(seen.len(), MATCHES);
}

/// Checks that the service stops in far less than the drain timeout of 30 s.
async fn stops_promptly(house: TestServer) {
    house.shut_down();
    timeout(Duration::from_secs(8), house.wait_until_stopped())
        .await
        .expect("the drain is not delayed");
}

#[tokio::test]
async fn a_silent_connection_delays_no_drain() {
    let mut house = TestServer::build().await;
    let address = house.address.trim_start_matches("http://");
    let _silent = TcpStream::connect(address).await.unwrap();
    // Connections are accepted in order: once this one is served, the silent one is accepted.
    let _second = crate::support::connect(&house.address).await;
    house.assert_works().await;
    stops_promptly(house).await;
}

#[tokio::test]
async fn health_watchers_are_notified_and_delay_no_drain() {
    let house = TestServer::build().await;
    let channel = Channel::from_shared(house.address.clone()).unwrap().connect().await.unwrap();
    let mut client = HealthClient::new(channel);
    let service = String::from("facematch.v1.FaceMatch");
    let mut health = client.watch(HealthCheckRequest { service }).await.unwrap().into_inner();
    let mut told = async || health.message().await.unwrap().map(|told| told.status());
    assert_eq!(told().await, Some(ServingStatus::Serving));
    stops_promptly(house).await;
    assert_eq!(told().await, Some(ServingStatus::NotServing));
    assert_eq!(told().await, None);
}

#[tokio::test]
async fn a_blocked_store_delays_no_drain() {
    let house = TestServer::build_with(|c| c.drain_timeout = Duration::from_secs(1)).await;
    let delayed = json!({"match": {"endpoint": "start_analyses"}, "then": {"delay_ms": 200}});
    house.oz.script([rule(delayed)]);
    let mut client = house.client.clone();
    let request = portrait_request(&house.folder());
    let mut updates = client.run_match(request).await.unwrap().into_inner();
    read_until(&mut updates, "photo_uploaded").await;
    // Like an operator's sqlite3 with an open transaction.
    let path = house.directory.path().join("facematch.db");
    let store = sqlx::SqlitePool::connect(&format!("sqlite:{}", path.display())).await.unwrap();
    let mut operator = store.acquire().await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut *operator).await.unwrap();
    // By now the event of the started analysis waits to be written.
    timeout(Duration::from_millis(500), updates.message()).await.unwrap_err();
    house.shut_down();
    let stopped = timeout(Duration::from_secs(3), house.wait_until_stopped()).await;
    stopped.expect("SQLite would wait for 5 s");
}
