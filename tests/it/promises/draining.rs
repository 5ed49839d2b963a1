//! Graceful shutdown: photos are uploaded first, then streams end; the next start resumes matches.

use std::time::Duration;

use facematch::{
    pb::{MatchRequest, MatchState, MatchUpdate},
    simulator::{Endpoint, RecordedRequest, Simulator, sample},
};
use futures_util::{StreamExt, TryStreamExt, future::join_all, stream};
use serde_json::json;
use tonic::{Code, Streaming};

use crate::{
    checker::{
        MatchChecker, check_all_updates, check_one_photo_and_one_analysis, check_updates_after,
    },
    process::Process,
    support::{
        Refusal, TestServer, cancel, collect, event_name, last_match, portrait_request, read_until,
        rule, simulator, wait, wait_by_request, watch, watch_after, with_request_id,
    },
};

fn is_upload(asked: &RecordedRequest) -> bool {
    asked.endpoint == Endpoint::AddMedia
}

#[tokio::test]
async fn photos_in_memory_are_uploaded_before_the_service_exits() {
    let mut house = TestServer::build().await;
    house.oz.script([rule(
        json!({"match": {"endpoint": "add_media", "nth": 1}, "then": {"delay_ms": 200}}),
    )]);
    let folder = house.folder();
    let request = with_request_id("order 17", portrait_request(&folder));
    let mut updates = house.client.run_match(request.clone()).await.unwrap().into_inner();
    let mut checker = MatchChecker::default();
    read_until(&mut updates, "accepted").await.iter().for_each(|update| checker.check(update));
    house.oz.recorded(|all| all.iter().any(is_upload)).await;
    house.shut_down();
    let refusal = loop {
        match updates.message().await {
            Ok(Some(update)) => checker.check(&update),
            Ok(None) => panic!("the match can't have ended"),
            Err(status) => break Refusal::of(status),
        }
    };
    assert_eq!((refusal.code, refusal.reason()), (Code::Unavailable, "SERVER_DRAINING"));
    assert!(refusal.details.retry_info().is_some());
    assert_eq!(house.oz.folder(&folder).unwrap().media.len(), 2, "the photo isn't at Oz");
    assert_eq!(
        house.requests_to_oz("POST", "/analyses"),
        0,
        "an analysis is started during the drain"
    );
    assert_eq!(checker.sequence(), 2, "a durable update isn't delivered");

    let mut house = house.restart().await;
    let all = house.run(request).await;
    check_all_updates(&all);
    assert_eq!(event_name(all.last().unwrap()), "finished");
    check_one_photo_and_one_analysis(&house.oz, last_match(&all));
}

#[tokio::test]
async fn a_draining_service_refuses_new_matches_and_answers_look_ups() {
    let house = TestServer::build().await;
    house.oz.script([rule(
        json!({"match": {"endpoint": "add_media", "nth": 1}, "then": {"delay_ms": 400}}),
    )]);
    let request = with_request_id("order 17", portrait_request(&house.folder()));
    let (mut client, mut creating) = (house.client.clone(), house.client.clone());
    let created = async { creating.create_match(request).await };
    let draining = async {
        house.oz.recorded(|all| all.iter().any(is_upload)).await;
        house.shut_down();
        let found = client.wait_match(wait_by_request("order 17", Duration::ZERO)).await;
        assert_eq!(found.unwrap().into_inner().sequence, 1);
        loop {
            // The request may arrive before the shutdown begins.
            match client.run_match(portrait_request(&house.folder())).await {
                Ok(_) => tokio::task::yield_now().await,
                Err(status) => break Refusal::of(status),
            }
        }
    };
    let (created, refusal) = tokio::join!(created, draining);
    assert_eq!((refusal.code, refusal.reason()), (Code::Unavailable, "SERVER_DRAINING"));
    assert!(refusal.details.retry_info().is_some());
    let created = created.expect("its photo is uploaded during the drain").into_inner();
    assert_eq!(created.sequence, 2);
    house.wait_until_stopped().await;
}

#[tokio::test]
async fn a_photo_not_uploaded_within_the_drain_is_dropped_and_sent_again_by_the_caller() {
    let mut house = TestServer::build_with(|c| c.drain_timeout = Duration::from_millis(900)).await;
    house.oz.script([rule(
        json!({"match": {"endpoint": "add_media"}, "then": {"drop_before_acting": true}}),
    )]);
    let request = with_request_id("order 17", portrait_request(&house.folder()));
    let mut updates = house.client.run_match(request.clone()).await.unwrap().into_inner();
    let seen = read_until(&mut updates, "attempt_failed").await;
    let mut house = house.restart().await;
    let refusal = Refusal::of(collect(updates).await.unwrap_err());
    assert_eq!(refusal.reason(), "SERVER_DRAINING");
    house.oz.clear_rules();
    let all = house.run(request).await;
    check_all_updates(&all);
    assert_eq!(all[0].match_id, seen[0].match_id);
    check_one_photo_and_one_analysis(&house.oz, last_match(&all));
}

#[tokio::test]
async fn two_hundred_open_streams_end_well_within_the_drain_timeout() {
    let mut house = TestServer::build().await;
    house.oz.script([rule(json!({"then": {"never_finish": true}}))]);
    let request = portrait_request(&house.folder());
    let created = house.client.create_match(request).await.unwrap().into_inner();
    let mut streams = Vec::new();
    for _ in 0..200 {
        let mut updates =
            house.client.watch_match(watch(&created.match_id)).await.unwrap().into_inner();
        read_until(&mut updates, "accepted").await;
        streams.push(updates);
    }
    house.shut_down();
    for updates in streams {
        let refusal = Refusal::of(collect(updates).await.unwrap_err());
        assert_eq!((refusal.code, refusal.reason()), (Code::Unavailable, "SERVER_DRAINING"));
        assert!(refusal.details.retry_info().is_some());
    }
    // If this took the whole drain timeout of 30 s, it would be noticed.
    let mut house = house.restart().await;
    assert_eq!(house.load.watched(), 0);
    let m = house.client.wait_match(wait(&created.match_id, Duration::ZERO)).await.unwrap();
    assert!(m.into_inner().sequence >= 2);
    house.client.cancel_match(cancel(&created.match_id)).await.unwrap();
}

/// Running matches, each with a stream of its own.
const STREAMS: usize = 1_000;

/// Connections of callers. Together with those to Oz they are all the descriptors that are needed.
const CONNECTIONS: usize = 4;

/// Concurrent calls that wait for acceptance, each of which holds its photo.
const CALLS_AT_ONCE: usize = 32;

/// The processing time of an analysis, on the simulator's clock, which the test moves.
const LONG: Duration = Duration::from_secs(600);

/// Settings with far fewer sockets and polls than the defaults.
const QUIET: [&str; 6] =
    ["--oz-poll-interval", "5s", "--oz-max-requests", "32", "--drain-timeout", "20s"];

/// Begins `STREAMS` matches over few connections, and waits until all are being analysed.
async fn many_under_way(oz: &Simulator, process: &Process) -> Vec<Streaming<MatchUpdate>> {
    let clients = join_all((0..CONNECTIONS).map(|_| process.client())).await;
    let calls = (0..STREAMS).map(|n| {
        let mut client = clients[n % CONNECTIONS].clone();
        let folder = oz.add_folder(sample::liveness_folder(sample::portrait_jpeg()));
        async move { client.run_match(portrait_request(&folder)).await.map(|it| it.into_inner()) }
    });
    let calls = stream::iter(calls).buffered(CALLS_AT_ONCE);
    let mut streams: Vec<_> = calls.try_collect().await.expect("all are accepted");
    for updates in &mut streams {
        check_seen(&read_until(updates, "analysis_started").await);
    }
    streams
}

fn check_seen(updates: &[MatchUpdate]) {
    let mut checker = MatchChecker::default();
    updates.iter().for_each(|update| checker.check(update));
    assert_eq!(checker.sequence(), 3);
}

#[tokio::test]
async fn a_thousand_open_streams_end_and_their_matches_resume_at_the_next_start() {
    let (oz, directory) = (simulator().await, tempfile::tempdir().unwrap());
    oz.switch(|switches| switches.processing_ms = LONG.as_millis().try_into().unwrap());
    let mut process = Process::start(&oz, directory.path(), &QUIET);
    let streams = many_under_way(&oz, &process).await;
    process.terminate();
    for updates in streams {
        let refusal = Refusal::of(collect(updates).await.unwrap_err());
        refusal.assert(Code::Unavailable, "SERVER_DRAINING");
        assert!(refusal.has_retry_delay());
    }
    assert_eq!(process.end().await.code(), Some(0), "the shutdown is not graceful");

    oz.skip(LONG);
    let process = Process::start(&oz, directory.path(), &QUIET);
    let mut client = process.client().await;
    let folders = oz.folders();
    assert_eq!(folders.len(), STREAMS);
    for folder in &folders {
        let match_id = folder.media[1].meta_data["facematch_match_id"].as_str().unwrap();
        let rest = client.watch_match(watch_after(match_id, 3)).await.unwrap().into_inner();
        let rest = collect(rest).await.unwrap();
        check_updates_after(3, &rest);
        assert_eq!(last_match(&rest).state(), MatchState::Finished);
        check_one_photo_and_one_analysis(&oz, last_match(&rest));
    }
}

/// Requests matches until the process answers that it drains.
async fn draining(process: &Process, request: &MatchRequest) {
    let mut client = process.client().await;
    loop {
        match client.run_match(request.clone()).await {
            // The request arrived before the signal.
            Ok(_) => tokio::task::yield_now().await,
            Err(status) => break Refusal::of(status).assert(Code::Unavailable, "SERVER_DRAINING"),
        }
    }
}

#[tokio::test]
async fn a_second_signal_ends_a_drain_that_waits_for_oz() {
    let (oz, directory) = (simulator().await, tempfile::tempdir().unwrap());
    oz.script([rule(json!({"match": {"endpoint": "add_media"}, "then": {"never_answer": true}}))]);
    let folder = oz.add_folder(sample::liveness_folder(sample::portrait_jpeg()));
    let request = with_request_id("order 17", portrait_request(&folder));
    let mut process = Process::start(&oz, directory.path(), &["--drain-timeout", "60s"]);
    let mut client = process.client().await;
    let mut updates = client.run_match(request.clone()).await.unwrap().into_inner();
    read_until(&mut updates, "accepted").await;
    oz.recorded(|all| all.iter().any(is_upload)).await;
    process.terminate();
    draining(&process, &request).await;
    assert_eq!(process.ended(), None, "it doesn't wait for the upload");
    process.terminate();
    assert_eq!(process.end().await.code(), Some(130), "the shell's code for an interruption");
}
