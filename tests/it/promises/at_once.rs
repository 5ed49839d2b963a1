//! Concurrent requests to Oz, logins included, never exceed `--oz-max-requests`, and their rate
//! never exceeds `--oz-max-rate`.

use facematch::{
    pb::MatchState,
    simulator::{Answered, Endpoint, RecordedRequest},
};
use futures_util::future::join_all;
use serde_json::json;

use crate::support::{TestServer, collect, last_match, portrait_request, rule};

/// The maximum number of concurrent requests.
const REQUESTS_MAX: usize = 3;

/// Concurrent matches, more than the maximum of requests.
const MATCHES: usize = 12;

/// The maximum number of requests per second; a burst may hold 100 ms worth of them.
const RATE: u32 = 50;

fn under_way(all: &[RecordedRequest]) -> usize {
    all.iter().filter(|asked| asked.answered == Answered::Pending).count()
}

/// The maximum number of concurrent requests, from their times in Oz's record.
fn most_at_once(all: &[RecordedRequest]) -> usize {
    let until = |asked: &RecordedRequest| asked.answered_at_ms.unwrap_or(u64::MAX);
    let at_once = |at_ms| all.iter().filter(|it| it.at_ms <= at_ms && at_ms < until(it)).count();
    all.iter().map(|asked| at_once(asked.at_ms)).max().unwrap_or(0)
}

fn is_login(asked: &RecordedRequest) -> bool {
    [Endpoint::Login, Endpoint::Refresh].contains(&asked.endpoint)
}

/// Runs all matches concurrently, each to its verdict.
async fn run_all(house: &TestServer) {
    let runs = (0..MATCHES).map(|_| {
        let (mut client, request) = (house.client.clone(), portrait_request(&house.folder()));
        async move { collect(client.run_match(request).await.unwrap().into_inner()).await.unwrap() }
    });
    let is_finished = |updates: &Vec<_>| last_match(updates).state() == MatchState::Finished;
    assert!(join_all(runs).await.iter().all(is_finished));
}

#[tokio::test]
async fn concurrent_requests_never_exceed_the_limit_even_when_a_session_ends() {
    let house = TestServer::build_with(|config| config.oz.max_requests = REQUESTS_MAX).await;
    house.oz.script([
        // Once: sessions that keep ending are renewed after growing pauses.
        rule(json!({"match": {"endpoint": "get_analysis", "nth": 2},
            "then": {"expire_session": true, "delay_ms": 5}})),
        // Long enough that the maximum number of requests overlaps.
        rule(json!({"then": {"delay_ms": 5}})),
    ]);
    let mut most = 0;
    let watching = house.oz.recorded(|all| {
        most = most.max(under_way(all));
        false
    });
    tokio::select! {
        () = run_all(&house) => {}
        () = watching => unreachable!("the predicate never holds"),
    }
    let record = house.oz.record();
    assert!(record.iter().filter(|asked| is_login(asked)).count() > 1, "no session ended");
    assert_eq!((most, most_at_once(&record)), (REQUESTS_MAX, REQUESTS_MAX));
}

#[tokio::test]
async fn requests_never_exceed_the_rate() {
    let house = TestServer::build_with(|config| config.oz.max_rate = Some(RATE)).await;
    run_all(&house).await;
    let record = house.oz.record();
    let times: Vec<u64> =
        record.iter().filter(|asked| !is_login(asked)).map(|asked| asked.at_ms).collect();
    assert!(times.len() >= 4 * MATCHES, "each match sends at least four requests");
    // By the simulator's clock, which starts before the service: a delayed request only looks late.
    for (before, at_ms) in times.iter().enumerate() {
        let allowed = f64::from(RATE) * (0.1 + (*at_ms + 1) as f64 / 1_000.0);
        assert!((before + 1) as f64 <= allowed, "{} within {at_ms} ms", before + 1);
    }
}
