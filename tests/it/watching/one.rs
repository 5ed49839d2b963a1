//! Streams of one match.

use std::time::Duration;

use facematch::pb::MatchUpdate;
use futures_util::future::join_all;
use serde_json::json;
use tonic::{Code, Streaming, transport::Endpoint};

use crate::{
    canary,
    checker::{MatchChecker, check_all_updates, check_updates_after},
    errors::run_sql_on_journal,
    support::{
        Refusal, TestServer, cancel, collect, connect, delete, event_name, last_match,
        portrait_request, read_until, rule, wait, watch, watch_after,
    },
    watching::wait_until_unwatched,
};

/// Runs a match up to its polls, which continue until [`finish`].
async fn polled(house: &mut TestServer) -> (Vec<MatchUpdate>, Streaming<MatchUpdate>) {
    house.oz.switch(|switches| switches.processing_ms = 60_000);
    let request = portrait_request(&house.folder());
    let mut updates = house.client.run_match(request).await.unwrap().into_inner();
    let seen = read_until(&mut updates, "analysis_started").await;
    (seen, updates)
}

fn finish(house: &TestServer) {
    house.oz.skip(Duration::from_secs(60));
}

#[tokio::test]
async fn a_watch_of_an_ended_match_resumes_at_every_sequence() {
    let mut house = TestServer::build().await;
    let all = house.run(portrait_request(&house.folder())).await;
    let id = all[0].match_id.clone();
    for restarted in [false, true] {
        if restarted {
            house = house.restart().await;
        }
        for after in 0..=all.len() {
            let request = watch_after(&id, after as u64);
            let updates = house.client.watch_match(request).await.unwrap().into_inner();
            let rest = collect(updates).await.expect("it ends without an error");
            let seen: Vec<u64> = rest.iter().map(|update| update.sequence).collect();
            let missing: Vec<u64> = (after as u64 + 1..=all.len() as u64).collect();
            assert_eq!(seen, missing, "after {after}");
        }
    }
    wait_until_unwatched(&house).await;
}

#[tokio::test]
async fn a_watch_ahead_of_the_match_is_refused_with_the_sequence_reached() {
    let mut house = TestServer::build().await;
    let (seen, updates) = polled(&mut house).await;
    let id = &seen[0].match_id;
    for after in [4, 5, u64::MAX] {
        let status = house.client.watch_match(watch_after(id, after)).await.unwrap_err();
        let refusal = Refusal::of(status);
        assert_eq!((refusal.code, refusal.reason()), (Code::OutOfRange, "WATCH_AHEAD"));
        assert_eq!(refusal.metadata("reached"), Some("3"));
    }
    finish(&house);
    check_updates_after(3, &collect(updates).await.unwrap());
    let status = house.client.watch_match(watch_after(id, 5)).await.unwrap_err();
    assert_eq!(Refusal::of(status).metadata("reached"), Some("4"));
    let unknown = watch(&uuid::Uuid::nil().to_string());
    let refusal = Refusal::of(house.client.watch_match(unknown).await.unwrap_err());
    assert_eq!((refusal.code, refusal.reason()), (Code::NotFound, "MATCH_NOT_FOUND"));
}

#[tokio::test]
async fn a_watch_of_a_running_match_resumes_at_every_sequence_and_goes_live() {
    let mut house = TestServer::build().await;
    let (seen, updates) = polled(&mut house).await;
    let id = &seen[0].match_id;
    let mut streams = Vec::new();
    for after in 0..=3 {
        let request = watch_after(id, after);
        streams.push((after, house.client.watch_match(request).await.unwrap().into_inner()));
    }
    finish(&house);
    for (after, stream) in streams {
        check_updates_after(after, &collect(stream).await.unwrap());
    }
    check_updates_after(3, &collect(updates).await.unwrap());
}

#[tokio::test]
async fn a_watch_cut_and_resumed_at_every_update_misses_and_repeats_none() {
    let mut house = TestServer::build().await;
    let when = json!({"endpoint": "get_analysis", "to": 2});
    house.oz.script([rule(json!({"match": when, "then": {"status": 500}}))]);
    let request = portrait_request(&house.folder());
    let first = house.client.run_match(request).await.unwrap().into_inner().message().await;
    let id = first.unwrap().expect("an update").match_id;
    let mut checker = MatchChecker::default();
    while !checker.has_closed() {
        let request = watch_after(&id, checker.sequence());
        let mut updates = house.client.watch_match(request).await.unwrap().into_inner();
        checker.check(&updates.message().await.unwrap().expect("an update"));
    }
    assert_eq!(checker.sequence(), 5);
    wait_until_unwatched(&house).await;
}

#[tokio::test]
async fn a_thousand_watchers_see_all_updates_beside_one_that_never_reads() {
    let mut house = TestServer::build().await;
    let (seen, updates) = polled(&mut house).await;
    let id = &seen[0].match_id;
    let never_reads = unread_watch(&house, id).await;
    let mut watchers = Vec::new();
    for _ in 0..10 {
        let client = connect(&house.address).await;
        watchers.extend((0..100).map(|_| {
            let (mut client, request) = (client.clone(), watch(id));
            async move { client.watch_match(request).await.unwrap().into_inner() }
        }));
    }
    let streams = join_all(watchers).await;
    finish(&house);
    for all in join_all(streams.into_iter().map(collect)).await {
        check_all_updates(&all.unwrap());
    }
    check_updates_after(3, &collect(updates).await.unwrap());
    drop(never_reads);
    wait_until_unwatched(&house).await;
}

/// A stream whose window is smaller than one update.
async fn unread_watch(house: &TestServer, id: &str) -> Streaming<MatchUpdate> {
    let endpoint = Endpoint::from_shared(house.address.clone()).unwrap();
    let narrow = endpoint.initial_stream_window_size(16).connect().await.unwrap();
    canary::client(narrow).watch_match(watch(id)).await.unwrap().into_inner()
}

#[tokio::test]
async fn an_erased_match_is_not_found_by_any_watch_or_wait() {
    let mut house = TestServer::build().await;
    let all = house.run(portrait_request(&house.folder())).await;
    let id = &all[0].match_id;
    house.client.delete_match(delete(id)).await.unwrap();
    for after in [0, 2, 4, 5] {
        let status = house.client.watch_match(watch_after(id, after)).await.unwrap_err();
        let refusal = Refusal::of(status);
        assert_eq!((refusal.code, refusal.reason()), (Code::NotFound, "MATCH_NOT_FOUND"));
    }
    let long = wait(id, Duration::from_secs(60));
    assert_eq!(house.client.wait_match(long).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn heartbeats_of_a_silent_stream_are_timely_and_carry_the_last_sequence() {
    const BEAT: Duration = Duration::from_millis(100);
    let mut house = TestServer::build_with(|config| config.heartbeat = BEAT).await;
    let (mut seen, mut updates) = polled(&mut house).await;
    for _ in 0..3 {
        let beat = updates.message().await.unwrap().expect("the stream stays open");
        assert_eq!((event_name(&beat), beat.sequence), ("heartbeat", 3));
        seen.push(beat);
    }
    let times = seen.iter().map(|update| update.time.expect("a time"));
    let millis: Vec<i64> =
        times.map(|t| t.seconds * 1_000 + i64::from(t.nanos) / 1_000_000).collect();
    // On a busy machine there are heartbeats among the events, too.
    for pair in millis[millis.len() - 4..].windows(2) {
        assert!((100..2_000).contains(&(pair[1] - pair[0])), "{millis:?}");
    }
    let mut resumed =
        house.client.watch_match(watch_after(&seen[0].match_id, 3)).await.unwrap().into_inner();
    let beat = resumed.message().await.unwrap().expect("the stream stays open");
    assert_eq!((event_name(&beat), beat.sequence), ("heartbeat", 3));
    assert_eq!(beat.r#match.as_ref().expect("its match"), last_match(&seen));
    finish(&house);
    seen.extend(collect(updates).await.unwrap());
    check_all_updates(&seen);
}

#[tokio::test]
async fn no_progress_follows_the_closing_update() {
    let mut house = TestServer::build().await;
    let mut request = portrait_request(&house.folder());
    request.include_progress = true;
    let mut held = house.client.run_match(request).await.unwrap().into_inner();
    let mut checker = MatchChecker::default();
    let all = read_until(&mut held, "finished").await;
    all.iter().for_each(|update| checker.check(update));
    let mut request = watch_after(&all[0].match_id, checker.sequence());
    request.include_progress = true;
    let again = house.client.watch_match(request).await.unwrap().into_inner();
    assert_eq!(collect(again).await.unwrap(), []);
}

#[tokio::test]
async fn memory_is_released_once_all_watchers_have_gone() {
    let mut house = TestServer::build().await;
    let (seen, updates) = polled(&mut house).await;
    let id = &seen[0].match_id;
    let mut streams = Vec::new();
    for _ in 0..20 {
        let mut stream = house.client.watch_match(watch(id)).await.unwrap().into_inner();
        read_until(&mut stream, "analysis_started").await;
        streams.push(stream);
    }
    assert_eq!(house.load.watched(), 1, "watchers of one match don't share memory");
    house.client.wait_match(wait(id, Duration::from_millis(20))).await.unwrap();
    drop((streams, updates));
    wait_until_unwatched(&house).await;
    house.client.cancel_match(cancel(id)).await.unwrap();
}

#[tokio::test]
async fn further_watchers_of_a_watched_match_need_no_look_up_in_the_store() {
    let mut house = TestServer::build().await;
    let (seen, updates) = polled(&mut house).await;
    let id = &seen[0].match_id;
    // With the store broken, only calls that don't read it succeed.
    run_sql_on_journal(&house, "ALTER TABLE matches RENAME TO mislaid").await;
    let second = house.client.watch_match(watch(id)).await.expect("it is watched already");
    let unwatched = watch(&uuid::Uuid::nil().to_string());
    let refusal = Refusal::of(house.client.watch_match(unwatched).await.unwrap_err());
    assert_eq!((refusal.code, refusal.reason()), (Code::Unavailable, "STORE_UNAVAILABLE"));
    run_sql_on_journal(&house, "ALTER TABLE mislaid RENAME TO matches").await;
    finish(&house);
    check_all_updates(&collect(second.into_inner()).await.unwrap());
    check_updates_after(3, &collect(updates).await.unwrap());
}
