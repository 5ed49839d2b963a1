//! Oz is never asked more at once than `--oz-max-requests` says, logins included, nor faster than
//! `--oz-max-rate` says.

use facematch::{
    pb::MatchState,
    simulator::{Answered, Endpoint, RecordedRequest},
};
use futures_util::future::join_all;
use serde_json::json;

use crate::support::{House, collect, last, portrait_request, rule};

/// So many may be under way.
const REQUESTS_MAX: usize = 3;

/// So many matches would like to be.
const MATCHES: usize = 12;

/// So many requests may be sent in a second, and what fits into 100 ms at once.
const RATE: u32 = 50;

fn under_way(all: &[RecordedRequest]) -> usize {
    all.iter().filter(|asked| asked.answered == Answered::Pending).count()
}

/// Of these requests, the most that were under way when one of them came.
fn most_at_once(all: &[RecordedRequest]) -> usize {
    let until = |asked: &RecordedRequest| asked.answered_at_ms.unwrap_or(u64::MAX);
    let at_once = |at_ms| all.iter().filter(|it| it.at_ms <= at_ms && at_ms < until(it)).count();
    all.iter().map(|asked| at_once(asked.at_ms)).max().unwrap_or(0)
}

fn is_login(asked: &RecordedRequest) -> bool {
    [Endpoint::Login, Endpoint::Refresh].contains(&asked.endpoint)
}

/// As many matches as there are, each to its verdict.
async fn run_all(house: &House) {
    let runs = (0..MATCHES).map(|_| {
        let (mut client, request) = (house.client.clone(), portrait_request(&house.folder()));
        async move { collect(client.run_match(request).await.unwrap().into_inner()).await.unwrap() }
    });
    let is_finished = |updates: &Vec<_>| last(updates).state() == MatchState::Finished;
    assert!(join_all(runs).await.iter().all(is_finished));
}

#[tokio::test]
async fn no_more_requests_than_allowed_are_under_way_though_a_session_ends() {
    let house = House::build_with(|config| config.oz.max_requests = REQUESTS_MAX).await;
    house.oz.script([
        // Once: sessions that end one after the other are renewed after growing pauses.
        rule(json!({"match": {"endpoint": "get_analysis", "nth": 2},
            "then": {"expire_session": true, "delay_ms": 5}})),
        // Long enough that all who may be under way are so together.
        rule(json!({"then": {"delay_ms": 5}})),
    ]);
    let mut most = 0;
    let watching = house.oz.recorded(|all| {
        most = most.max(under_way(all));
        false
    });
    tokio::select! {
        () = run_all(&house) => {}
        () = watching => unreachable!("it watches to the end"),
    }
    let record = house.oz.record();
    assert!(record.iter().filter(|asked| is_login(asked)).count() > 1, "a session ended");
    assert_eq!((most, most_at_once(&record)), (REQUESTS_MAX, REQUESTS_MAX));
}

#[tokio::test]
async fn requests_follow_each_other_no_faster_than_allowed() {
    let house = House::build_with(|config| config.oz.max_rate = Some(RATE)).await;
    run_all(&house).await;
    let record = house.oz.record();
    let times: Vec<u64> =
        record.iter().filter(|asked| !is_login(asked)).map(|asked| asked.at_ms).collect();
    assert!(times.len() >= 4 * MATCHES, "each match asks four times at least");
    // By Oz's own clock, which began before ours: what is late on its way can't look early.
    for (before, at_ms) in times.iter().enumerate() {
        let allowed = f64::from(RATE) * (0.1 + (*at_ms + 1) as f64 / 1_000.0);
        assert!((before + 1) as f64 <= allowed, "{} within {at_ms} ms", before + 1);
    }
}
