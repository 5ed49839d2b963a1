//! The guarantees of calls: a match is durable and runs in the background, and calls are bounded.

use std::time::Duration;

use facematch::{
    pb::{MatchRequest, MatchState},
    simulator::Endpoint,
};
use serde_json::json;
use tonic::{Code, Request};

use crate::{
    checker::{MatchChecker, check_one_photo_and_one_analysis},
    support::{
        TestServer, cancel, folder_media_request, get, last_match, portrait_request, read_until,
        rule, wait, wait_by_request, with_request_id,
    },
};

const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn get_match_is_never_behind_a_seen_update() {
    let house = TestServer::build().await;
    let (mut client, mut looking) = (house.client.clone(), house.client.clone());
    for _ in 0..5 {
        let request = portrait_request(&house.folder());
        let mut updates = client.run_match(request).await.unwrap().into_inner();
        let mut checker = MatchChecker::default();
        while let Some(update) = updates.message().await.unwrap() {
            checker.check(&update);
            let found = looking.get_match(get(&update.match_id)).await.unwrap().into_inner();
            assert!(found.sequence >= update.sequence);
        }
        assert!(checker.has_closed());
    }
}

#[tokio::test]
async fn a_match_runs_to_its_end_after_its_caller_disconnects() {
    let mut house = TestServer::build().await;
    let request = portrait_request(&house.folder());
    let mut updates = house.client.run_match(request).await.unwrap().into_inner();
    let first = read_until(&mut updates, "accepted").await;
    drop(updates);
    let wait = wait(&first[0].match_id, LONG);
    let ended = house.client.wait_match(wait).await.unwrap().into_inner();
    assert_eq!(ended.state(), MatchState::Finished);
    check_one_photo_and_one_analysis(&house.oz, &ended);
}

#[tokio::test]
async fn a_deadline_bounds_its_call_and_not_the_match() {
    let mut house = TestServer::build().await;
    let when = json!({"endpoint": "add_media", "nth": 1});
    house.oz.script([rule(json!({"match": when, "then": {"delay_ms": 600}}))]);
    let request = with_request_id("order 17", portrait_request(&house.folder()));
    let mut hurried = Request::new(request.clone());
    hurried.set_timeout(Duration::from_millis(200));
    let status = house.client.create_match(hurried).await.unwrap_err();
    assert!(matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled), "{status:?}");
    let created = house.client.create_match(request).await.unwrap().into_inner();
    let ended = house.client.wait_match(wait(&created.match_id, LONG)).await.unwrap().into_inner();
    assert_eq!(ended.state(), MatchState::Finished);
    check_one_photo_and_one_analysis(&house.oz, &ended);
}

#[tokio::test]
async fn an_accepted_match_whose_response_was_lost_is_found_by_its_request_id() {
    let mut house = TestServer::build().await;
    let when = json!({"endpoint": "get_folder", "nth": 1});
    house.oz.script([rule(json!({"match": when, "then": {"delay_ms": 300}}))]);
    let request = with_request_id("order 17", portrait_request(&house.folder()));
    let mut client = house.client.clone();
    let created = client.create_match(request);
    let is_asked = house.oz.recorded(|all| all.iter().any(|r| r.endpoint == Endpoint::GetFolder));
    // The call is dropped once the match is being driven.
    tokio::select! {
        biased;
        () = is_asked => {}
        answer = created => panic!("the photo can't be at Oz yet: {answer:?}"),
    }
    let wait = wait_by_request("order 17", LONG);
    let ended = house.client.wait_match(wait).await.unwrap().into_inner();
    assert_eq!(ended.state(), MatchState::Finished);
}

#[tokio::test]
async fn create_match_returns_once_oz_has_the_photo() {
    let mut house = TestServer::build().await;
    let when = json!({"endpoint": "add_media", "nth": 1});
    house.oz.script([rule(json!({"match": when, "then": {"answer_delay_ms": 150}}))]);
    let folder = house.folder();
    let created = house.client.create_match(portrait_request(&folder)).await.unwrap().into_inner();
    assert!(created.sequence >= 2, "{created:?}");
    let held = house.oz.folder(&folder).unwrap();
    assert_eq!(held.media[1].media_id.to_string(), created.photo_media_id);
}

#[tokio::test]
async fn create_match_returns_at_once_without_a_photo_and_when_the_match_has_ended() {
    let mut house = TestServer::build().await;
    let when = json!({"endpoint": "get_folder"});
    house.oz.script([rule(json!({"match": when, "then": {"never_answer": true}}))]);
    let unknown = uuid::Uuid::nil().to_string();
    let request = folder_media_request(&house.folder(), &unknown);
    let created = house.client.create_match(request).await.unwrap().into_inner();
    assert_eq!((created.state(), created.sequence), (MatchState::Accepted, 1));
    house.oz.clear_rules();
    let created = house.client.create_match(portrait_request(&unknown)).await.unwrap().into_inner();
    assert_eq!(created.error.expect("an error").reason, "OZ_FOLDER_NOT_FOUND");
}

#[tokio::test]
async fn wait_match_returns_at_the_end_or_at_its_timeout() {
    let mut house = TestServer::build().await;
    house.oz.switch(|switches| switches.processing_ms = 60_000);
    let request = portrait_request(&house.folder());
    let mut updates = house.client.run_match(request).await.unwrap().into_inner();
    let seen = read_until(&mut updates, "analysis_started").await;
    let id = &seen[0].match_id;
    for timeout in [Duration::ZERO, Duration::from_millis(60)] {
        let m = house.client.wait_match(wait(id, timeout)).await.unwrap().into_inner();
        assert_eq!(&m, last_match(&seen));
    }
    let (mut client, long) = (house.client.clone(), wait(id, LONG));
    let ending = async { client.wait_match(long).await.unwrap().into_inner() };
    let (ended, ()) = tokio::join!(ending, async { house.oz.skip(LONG) });
    assert_eq!(ended.state(), MatchState::Finished);
    let again = house.client.wait_match(wait(id, Duration::ZERO)).await.unwrap().into_inner();
    assert_eq!(again, ended);
    let unset = facematch::pb::WaitMatchRequest { timeout: None, ..wait(id, LONG) };
    assert_eq!(house.client.wait_match(unset).await.unwrap().into_inner(), ended);
    let unknown = wait(&uuid::Uuid::nil().to_string(), LONG);
    assert_eq!(house.client.wait_match(unknown).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn wait_match_returns_on_a_cancellation() {
    let mut house = TestServer::build().await;
    house.oz.script([rule(json!({"then": {"never_finish": true}}))]);
    let request: MatchRequest = portrait_request(&house.folder());
    let created = house.client.create_match(request).await.unwrap().into_inner();
    let (mut client, long) = (house.client.clone(), wait(&created.match_id, LONG));
    let waiting = async { client.wait_match(long).await.unwrap().into_inner() };
    let cancelling = house.client.cancel_match(cancel(&created.match_id));
    let (ended, cancelled) = tokio::join!(waiting, cancelling);
    assert_eq!(ended, cancelled.unwrap().into_inner());
    assert_eq!(ended.state(), MatchState::Cancelled);
}
