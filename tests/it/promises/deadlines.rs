//! A match that reaches its deadline fails without a verdict, unless the final poll finds one.

use std::time::Duration;

use facematch::pb::{MatchRequest, MatchState, Resolution};
use serde_json::json;

use crate::{
    checker::check_all_updates,
    support::{TestServer, event_names, last_match, portrait_request, rule},
};

fn within(limit: Duration, request: MatchRequest) -> MatchRequest {
    MatchRequest { timeout: Some(limit.try_into().expect("a duration of the wire")), ..request }
}

#[tokio::test]
async fn a_match_whose_analysis_never_ends_times_out_and_is_not_declined() {
    let mut house = TestServer::build().await;
    house.oz.script([rule(json!({"then": {"never_finish": true}}))]);
    let limit = Duration::from_millis(400);
    let updates = house.run(within(limit, portrait_request(&house.folder()))).await;
    check_all_updates(&updates);
    assert_eq!(event_names(&updates), ["accepted", "photo_uploaded", "analysis_started", "failed"]);
    let m = last_match(&updates);
    assert_eq!(m.state(), MatchState::Failed);
    let error = m.error.as_ref().expect("an error");
    assert_eq!((error.reason.as_str(), error.code), ("MATCH_TIMED_OUT", 4));
    assert!(m.result.is_none());
    assert_eq!(m.oz.as_ref().expect("Oz's words").state, "PROCESSING");
}

#[tokio::test]
async fn a_match_that_never_reached_oz_fails_with_the_cause() {
    let mut house = TestServer::build().await;
    house.oz.script([rule(json!({"match": {"endpoint": "get_folder"}, "then": {"html": 502}}))]);
    let limit = Duration::from_millis(300);
    let updates = house.run(within(limit, portrait_request(&house.folder()))).await;
    check_all_updates(&updates);
    assert_eq!(event_names(&updates), ["accepted", "attempt_failed", "failed"]);
    let error = last_match(&updates).error.clone().expect("an error");
    assert_eq!((error.reason.as_str(), error.code), ("MATCH_TIMED_OUT", 4));
    assert_eq!(error.metadata["cause"], "OZ_SERVER_ERROR");
    assert_eq!(error.metadata["oz.http_status"], "502");
}

#[tokio::test]
async fn a_hanging_request_does_not_delay_the_deadline() {
    let mut house = TestServer::build().await;
    for endpoint in ["get_folder", "add_media", "start_analyses"] {
        house.oz.clear_rules();
        let when = json!({"endpoint": endpoint});
        house.oz.script([rule(json!({"match": when, "then": {"never_answer": true}}))]);
        let limit = Duration::from_millis(300);
        let updates = house.run(within(limit, portrait_request(&house.folder()))).await;
        check_all_updates(&updates);
        let error = last_match(&updates).error.clone().expect("an error");
        assert_eq!(error.reason, "MATCH_TIMED_OUT", "{endpoint}");
    }
}

#[tokio::test]
async fn a_verdict_at_the_final_poll_wins() {
    // The first regular poll would come long after the deadline: only the final one sees the
    // verdict.
    let mut house =
        TestServer::build_with(|config| config.poll_interval = Duration::from_secs(60)).await;
    let limit = Duration::from_millis(800);
    let updates = house.run(within(limit, portrait_request(&house.folder()))).await;
    check_all_updates(&updates);
    let result = last_match(&updates).result.as_ref().expect("a verdict");
    assert_eq!(result.resolution(), Resolution::Success);
    assert_eq!(
        house
            .oz
            .record()
            .iter()
            .filter(|r| r.path.contains("/analyses/") && r.method == "GET")
            .count(),
        1
    );
}

#[tokio::test]
async fn a_deadline_that_passes_while_the_service_is_down_ends_the_match() {
    let mut house = TestServer::build().await;
    house.oz.script([rule(json!({"then": {"never_finish": true}}))]);
    let request = within(Duration::from_millis(500), portrait_request(&house.folder()));
    let created = house.client.create_match(request).await.unwrap().into_inner();
    let mut house = house.restart().await;
    let wait = crate::support::wait(&created.match_id, Duration::from_secs(30));
    let ended = house.client.wait_match(wait).await.unwrap().into_inner();
    assert_eq!(ended.error.expect("an error").reason, "MATCH_TIMED_OUT");
}
