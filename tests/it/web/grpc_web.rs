//! All calls by gRPC-Web, in both modes and over both versions of HTTP.

use std::time::Duration;

use facematch::pb::{
    DeleteMatchResponse, ListMatchesRequest, ListMatchesResponse, Match, MatchState, MatchUpdate,
    WatchMatchesRequest,
};
use serde_json::Value;
use tonic::Code;

use crate::{
    support::{
        Refusal, TestServer, cancel, delete, event_name, event_names, eventually, get, last_match,
        portrait_request, request, wait, watch, watch_after, with_request_id,
    },
    web::{
        self,
        frames::{Client, MODES, Mode},
    },
};

/// Makes each of the nine calls by one client.
async fn all_nine(server: &TestServer, client: &Client) {
    let mut all = client.begin("WatchMatches", &WatchMatchesRequest::default()).await;
    let first: MatchUpdate = all.next().await.unwrap().unwrap();
    assert_eq!(event_name(&first), "heartbeat");

    let updates: Vec<MatchUpdate> =
        client.all("RunMatch", &portrait_request(&server.folder())).await.unwrap();
    let ended = last_match(&updates).clone();
    assert_eq!(ended.state(), MatchState::Finished, "{:?}", event_names(&updates));
    let id = ended.match_id.as_str();

    let got: Match = client.call("GetMatch", &get(id)).await.unwrap();
    assert_eq!(got, ended);
    let waited: Match = client.call("WaitMatch", &wait(id, Duration::ZERO)).await.unwrap();
    assert_eq!(waited, ended);
    let watched: Vec<MatchUpdate> = client.all("WatchMatch", &watch(id)).await.unwrap();
    assert_eq!(event_names(&watched), event_names(&updates));
    let rest: Vec<MatchUpdate> = client.all("WatchMatch", &watch_after(id, 2)).await.unwrap();
    assert_eq!(rest, watched[2..]);
    let seen: MatchUpdate = all.next().await.unwrap().unwrap();
    assert_eq!((seen.match_id.as_str(), seen.sequence), (id, 1));
    let list: ListMatchesResponse =
        client.call("ListMatches", &ListMatchesRequest::default()).await.unwrap();
    assert_eq!(list.matches, std::slice::from_ref(&ended));

    let created = with_request_id("order 17", portrait_request(&server.folder()));
    let created: Match = client.call("CreateMatch", &created).await.unwrap();
    let refused = client.call::<Match>("CancelMatch", &cancel(id)).await.unwrap_err();
    Refusal::of(refused).assert(Code::FailedPrecondition, "MATCH_ENDED");
    for id in [id, &created.match_id] {
        let _: Match = client.call("WaitMatch", &wait(id, Duration::from_secs(30))).await.unwrap();
        let gone: DeleteMatchResponse = client.call("DeleteMatch", &delete(id)).await.unwrap();
        assert_eq!(gone.match_id, id);
    }
}

#[tokio::test]
async fn all_nine_calls_are_made_by_grpc_web() {
    let server = web::server().await;
    for mode in MODES {
        all_nine(&server, &Client::new(&web::address(&server), mode)).await;
    }
    server.assert_released("all calls").await;
}

#[tokio::test]
async fn a_large_photo_arrives_in_every_mode() {
    let server = web::server().await;
    let mut photo = facematch::simulator::sample::portrait_jpeg().to_vec();
    photo.resize(5 << 20, 0);
    for mode in MODES {
        let client = Client::new(&web::address(&server), mode);
        let request = request(&server.folder(), photo.clone().into());
        let updates: Vec<MatchUpdate> = client.all("RunMatch", &request).await.unwrap();
        assert_eq!(last_match(&updates).state(), MatchState::Finished, "{mode:?}");
    }
}

#[tokio::test]
async fn errors_keep_their_code_reason_and_details() {
    let server = web::server().await;
    for mode in MODES {
        let client = Client::new(&web::address(&server), mode);
        let refused = client.call::<Match>("GetMatch", &get("x")).await.unwrap_err();
        Refusal::of(refused).assert_fields("FIELD_INVALID", &["match_id"]);
        let mut request = portrait_request("no folder");
        request.labels = (0..17).map(|n| (n.to_string(), String::new())).collect();
        let refused = client.all::<MatchUpdate>("RunMatch", &request).await.unwrap_err();
        Refusal::of(refused).assert_fields("FIELD_INVALID", &["folder_id", "labels"]);
        let late = client.clone().with("grpc-timeout", "1n");
        let refused = late.call::<Match>("GetMatch", &get("x")).await.unwrap_err();
        Refusal::of(refused).assert(Code::DeadlineExceeded, "CALL_TIMED_OUT");
        let unknown = client.call::<Match>("NoMethod", &get("x")).await.unwrap_err();
        assert_eq!(unknown.code(), Code::Unimplemented);
    }
}

#[tokio::test]
async fn calls_are_counted_and_recorded_as_those_of_the_first_door() {
    let server = web::server_with(|config| {
        let facematch::config::StoreLocation::Sqlite(journal) = &config.store else { panic!() };
        config.audit_file = Some(journal.with_file_name("audit.log"));
    })
    .await;
    let client = Client::new(&web::address(&server), Mode::Binary);
    let no_match = "01890a5d-ac96-774b-bcce-b302099a8057";
    client.call::<Match>("GetMatch", &get(no_match)).await.unwrap_err();
    let counted = || {
        let ended = server.load.ended_calls();
        ended.iter().any(|call| {
            (call.method, call.code, call.reason.as_str(), call.calls)
                == ("facematch.v1.FaceMatch/GetMatch", "NOT_FOUND", "MATCH_NOT_FOUND", 1)
        })
    };
    eventually(counted, || format!("{:?}", server.load.ended_calls())).await;
    let audit = std::fs::read_to_string(server.directory.path().join("audit.log")).unwrap();
    let line: Value = serde_json::from_str(audit.lines().next().unwrap()).unwrap();
    assert_eq!((&line["rpc"], &line["code"]), (&"GetMatch".into(), &"NOT_FOUND".into()));
    assert!(line["peer"].as_str().unwrap().starts_with("127.0.0.1:"), "{line}");
}

#[tokio::test]
async fn streams_are_told_when_the_server_drains() {
    let server = web::server().await;
    let mut streams = Vec::new();
    for mode in MODES {
        let client = Client::new(&web::address(&server), mode);
        let mut stream = client.begin("WatchMatches", &WatchMatchesRequest::default()).await;
        stream.next::<MatchUpdate>().await.unwrap().unwrap();
        streams.push(stream);
    }
    server.shut_down();
    for mut stream in streams {
        let told = stream.next::<MatchUpdate>().await.unwrap_err();
        let told = Refusal::of(told);
        told.assert(Code::Unavailable, "SERVER_DRAINING");
        assert!(told.has_retry_delay());
    }
    server.wait_until_stopped().await;
}
