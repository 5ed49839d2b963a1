//! Call headers: the deadline, and the content type of gRPC.

use std::time::Duration;

use facematch::{
    pb::{self, MatchState},
    simulator::{Action, Endpoint, Rule},
};
use futures_util::{StreamExt, future, stream};
use prost::Message;
use tonic::{Code, Request, Status};

use crate::{
    support::{Refusal, TestServer, get, last_match, portrait_request, read_until, wait, watch},
    transport::{self, Bare, announced},
};

const PATH: &str = "/facematch.v1.FaceMatch/";

/// A test server where uploads hang, and a match that waits for its upload.
async fn with_hanging_uploads() -> (TestServer, pb::Match) {
    let mut house = TestServer::build().await;
    let hangs = Action { delay_ms: Some(600_000), ..Default::default() };
    house.oz.script([Rule::on(Endpoint::AddMedia).then(hangs)]);
    let request = portrait_request(&house.folder());
    let mut updates = house.client.run_match(request).await.unwrap().into_inner();
    let m = last_match(&read_until(&mut updates, "accepted").await).clone();
    (house, m)
}

fn assert_timed_out(status: Status) {
    Refusal::of(status).assert(Code::DeadlineExceeded, "CALL_TIMED_OUT");
}

/// Makes a call with a deadline that the client doesn't enforce.
async fn with_deadline(
    house: &TestServer,
    rpc: &str,
    request: &impl Message,
    text: &str,
) -> Status {
    call_on(&mut Bare::connect(&house.address).await, rpc, request, text).await
}

async fn call_on(caller: &mut Bare, rpc: &str, request: &impl Message, text: &str) -> Status {
    let (path, message) = (format!("{PATH}{rpc}"), request.encode_to_vec());
    let told = caller.call(&path, &message, &[("grpc-timeout", text)]).await;
    told.expect_err("the call ends at its deadline")
}

#[tokio::test]
async fn a_call_times_out_at_its_deadline_and_its_match_continues() {
    let (mut house, m) = with_hanging_uploads().await;
    let all = pb::WatchMatchesRequest::default();
    let long = wait(&m.match_id, Duration::from_secs(60));
    let another = portrait_request(&house.folder());
    let (a, b, c, d, e) = future::join5(
        with_deadline(&house, "WaitMatch", &long, "700m"),
        with_deadline(&house, "WatchMatch", &watch(&m.match_id), "700m"),
        with_deadline(&house, "WatchMatches", &all, "700000u"),
        with_deadline(&house, "RunMatch", &another, "700m"),
        with_deadline(&house, "CreateMatch", &another, "1S"),
    )
    .await;
    [a, b, c, d, e].into_iter().for_each(assert_timed_out);
    let listed = house.client.list_matches(pb::ListMatchesRequest::default()).await.unwrap();
    let matches = listed.into_inner().matches;
    assert_eq!(matches.len(), 3);
    assert!(matches.iter().all(|m| m.state() == MatchState::Accepted), "a match has stopped");
}

#[tokio::test]
async fn a_passed_deadline_is_never_reported_as_cancelled() {
    let (house, m) = with_hanging_uploads().await;
    let long = wait(&m.match_id, Duration::from_secs(60));
    let mut caller = Bare::connect(&house.address).await;
    let waits = stream::iter(0..40).map(|_| {
        let (mut caller, long) = (caller.clone(), long.clone());
        async move { call_on(&mut caller, "WaitMatch", &long, "250m").await }
    });
    waits.buffer_unordered(8).collect::<Vec<_>>().await.into_iter().for_each(assert_timed_out);
    for rpc in ["WaitMatch", "WatchMatch", "WatchMatches", "RunMatch", "CreateMatch", "GetMatch"] {
        assert_timed_out(call_on(&mut caller, rpc, &get(&m.match_id), "0S").await);
    }
}

#[tokio::test]
async fn an_ordinary_client_enforces_its_own_deadline() {
    let (mut house, m) = with_hanging_uploads().await;
    let mut request = Request::new(wait(&m.match_id, Duration::from_secs(60)));
    request.set_timeout(Duration::from_millis(200));
    let told = house.client.wait_match(request).await.unwrap_err();
    assert!(matches!(told.code(), Code::DeadlineExceeded | Code::Cancelled), "{told:?}");
}

#[tokio::test]
async fn an_unparsable_deadline_is_refused() {
    let (house, m) = with_hanging_uploads().await;
    for text in ["2s", "-1S", "1.5S", "123456789S", "", "S", "1", "1 S"] {
        for rpc in ["GetMatch", "WatchMatches", "CreateMatch"] {
            let told = with_deadline(&house, rpc, &get(&m.match_id), text).await;
            Refusal::of(told).assert_fields("FIELD_INVALID", &["grpc-timeout"]);
        }
    }
}

#[tokio::test]
async fn a_request_that_is_not_grpc_has_no_effect() {
    let mut house = TestServer::build().await;
    let request = portrait_request(&house.folder()).encode_to_vec();
    let request = announced(u32::try_from(request.len()).unwrap(), &request);
    let mut channel = transport::channel(&house.address).await;
    for content_type in ["text/plain", "application/json", "application/grpc-web", ""] {
        for path in ["/facematch.v1.FaceMatch/CreateMatch", "/grpc.health.v1.Health/Check"] {
            let body = stream::iter([Ok(request.clone())]);
            let headers = [("content-type", content_type)];
            let answer = transport::answer(&mut channel, path, body, &headers).await.unwrap();
            assert_eq!(answer.status(), 415, "{content_type:?}");
        }
    }
    house.assert_untouched("requests that are not gRPC").await;
}
