//! Oz is never asked more at once than `--oz-max-requests` says, logins included.

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

fn under_way(all: &[RecordedRequest]) -> usize {
    all.iter().filter(|asked| asked.answered == Answered::Pending).count()
}

/// Of these requests, the most that were under way when one of them came.
fn most_at_once(all: &[RecordedRequest]) -> usize {
    let until = |asked: &RecordedRequest| asked.answered_at_ms.unwrap_or(u64::MAX);
    let at_once = |at_ms| all.iter().filter(|it| it.at_ms <= at_ms && at_ms < until(it)).count();
    all.iter().map(|asked| at_once(asked.at_ms)).max().unwrap_or(0)
}

#[tokio::test]
async fn no_more_requests_than_allowed_are_under_way_though_sessions_end_all_the_time() {
    let house = House::build_with(|config| config.oz.max_requests = REQUESTS_MAX).await;
    house.oz.script([
        rule(json!({"match": {"endpoint": "get_analysis", "probability": 0.3},
            "then": {"expire_session": true, "delay_ms": 5}})),
        // Long enough that all who may be under way are so together.
        rule(json!({"then": {"delay_ms": 5}})),
    ]);
    let runs = (0..MATCHES).map(|_| {
        let (mut client, request) = (house.client.clone(), portrait_request(&house.folder()));
        async move { collect(client.run_match(request).await.unwrap().into_inner()).await.unwrap() }
    });
    let mut most = 0;
    let watching = house.oz.recorded(|all| {
        most = most.max(under_way(all));
        false
    });
    tokio::select! {
        ended = join_all(runs) => {
            let is_finished = |updates: &Vec<_>| last(updates).state() == MatchState::Finished;
            assert!(ended.iter().all(is_finished));
        }
        () = watching => unreachable!("it watches to the end"),
    }
    let record = house.oz.record();
    let is_login =
        |asked: &&RecordedRequest| [Endpoint::Login, Endpoint::Refresh].contains(&asked.endpoint);
    assert!(record.iter().filter(is_login).count() > 1, "sessions ended");
    assert_eq!((most, most_at_once(&record)), (REQUESTS_MAX, REQUESTS_MAX));
}
