//! Streams of all matches.

use std::{collections::HashMap, time::Duration};

use facematch::pb::{MatchRequest, MatchUpdate, WatchMatchesRequest};
use serde_json::json;
use tonic::Code;

use crate::{
    support::{Refusal, TestServer, collect, delete, get, last_match, portrait_request, rule},
    watching::{
        all_after, check_each, check_heartbeat_of_all, fail_many, filtered, keys, run_all, take,
    },
};

#[tokio::test]
async fn updates_of_concurrent_matches_have_one_order_and_resume_after_each() {
    const MATCHES: usize = 12;
    let house = TestServer::build().await;
    let mut live = all_after(&house, "").await;
    let requests = (0..MATCHES).map(|_| portrait_request(&house.folder())).collect();
    let runs = run_all(&house, requests).await;
    let count = runs.iter().map(Vec::len).sum();
    let all = take(&mut live, count).await;
    check_each(&all);
    for run in &runs {
        let of_run = all.iter().filter(|update| update.match_id == run[0].match_id);
        assert!(of_run.eq(run), "a stream of all and a stream of one match differ");
    }
    let again = take(&mut all_after(&house, "earliest").await, count).await;
    assert_eq!(again, all, "the order differs");
    for (index, update) in all.iter().enumerate() {
        let mut resumed = all_after(&house, &update.resume_token).await;
        let rest = take(&mut resumed, count - index - 1).await;
        assert_eq!(keys(&rest), keys(&all[index + 1..]));
    }
}

#[tokio::test]
async fn a_stream_shows_what_its_filter_selects_and_may_resume_with_another_filter() {
    let mut house = TestServer::build().await;
    let (one, other) = (house.folder(), house.folder());
    let labelled = |folder: &str, branch: &str| MatchRequest {
        labels: [("branch", branch), ("kind", "test")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
        ..portrait_request(folder)
    };
    let requests = [(&one, "riga"), (&other, "riga"), (&one, "brno"), (&other, "brno")];
    let requests = requests.map(|(folder, branch)| labelled(folder, branch)).to_vec();
    let runs = run_all(&house, requests).await;
    let labels = |branch: &str| [("branch".to_owned(), branch.to_owned())].into();
    let request = |folder_id: &str, branch: &str| WatchMatchesRequest {
        resume_token: "earliest".into(),
        folder_id: folder_id.to_owned(),
        labels: labels(branch),
    };
    let mut riga = filtered(&house, request(&one, "riga")).await;
    let seen = take(&mut riga, 4).await;
    assert_eq!(keys(&seen), keys(&runs[0]));
    let last_match = house.run(portrait_request(&one)).await;
    let changed = WatchMatchesRequest {
        resume_token: seen[3].resume_token.clone(),
        folder_id: one.clone(),
        labels: HashMap::new(),
    };
    let mut whole = filtered(&house, changed).await;
    let rest = collect_until(&mut whole, &last_match).await;
    assert!(rest.len() >= 4, "the last match is incomplete");
    assert!(rest.iter().all(|update| update.r#match.as_ref().unwrap().folder_id == one));
    assert!(rest.iter().all(|update| update.match_id != runs[0][0].match_id));
}

/// Reads up to and including the closing update of a run.
async fn collect_until(
    updates: &mut tonic::Streaming<MatchUpdate>,
    run: &[MatchUpdate],
) -> Vec<MatchUpdate> {
    let mut all = Vec::new();
    while all.last() != run.last() {
        all.extend(take(updates, 1).await);
    }
    all
}

#[tokio::test]
async fn an_empty_token_starts_now_and_earliest_at_the_oldest_update() {
    let mut house = TestServer::build().await;
    let before = house.run(portrait_request(&house.folder())).await;
    let mut now = all_after(&house, "").await;
    let after = house.run(portrait_request(&house.folder())).await;
    assert_eq!(take(&mut now, 4).await, after);
    let whole = take(&mut all_after(&house, "earliest").await, 8).await;
    assert_eq!(whole, [before, after].concat());
}

#[tokio::test]
async fn a_journal_longer_than_any_page_resumes_without_a_gap() {
    const MATCHES: usize = 330;
    let house = TestServer::build().await;
    fail_many(&house, MATCHES).await;
    let all = take(&mut all_after(&house, "earliest").await, 2 * MATCHES).await;
    check_each(&all);
    let near_page_ends =
        [0, 1, 15, 16, 17, 79, 80, 81, 255, 256, 335, 336, 337, 512, 591, 592, 659];
    for index in near_page_ends {
        let mut resumed = all_after(&house, &all[index].resume_token).await;
        let rest = take(&mut resumed, 2 * MATCHES - index - 1).await;
        assert_eq!(keys(&rest), keys(&all[index + 1..]), "after {index}");
    }
    let house = house.restart().await;
    let mut resumed = all_after(&house, &all[300].resume_token).await;
    let rest = take(&mut resumed, 2 * MATCHES - 301).await;
    assert_eq!(keys(&rest), keys(&all[301..]), "the restarted service resumes after the token");
}

#[tokio::test]
async fn the_heartbeat_of_a_silent_stream_carries_the_latest_token() {
    const BEAT: Duration = Duration::from_millis(50);
    let mut house = TestServer::build_with(|config| config.heartbeat = BEAT).await;
    let elsewhere =
        WatchMatchesRequest { folder_id: uuid::Uuid::nil().to_string(), ..Default::default() };
    let mut updates = filtered(&house, elsewhere).await;
    let run = house.run(portrait_request(&house.folder())).await;
    let passed = &run.last().expect("a closing update").resume_token;
    loop {
        let beat = updates.message().await.unwrap().expect("the stream stays open");
        check_heartbeat_of_all(&beat);
        if beat.resume_token == *passed {
            break;
        }
    }
    let next = house.run(portrait_request(&house.folder())).await;
    let seen = take(&mut all_after(&house, passed).await, 4).await;
    check_each(&seen);
    assert!(seen.iter().all(|update| update.match_id == next[0].match_id));
}

#[tokio::test]
async fn erased_matches_are_skipped_and_open_streams_continue() {
    let mut house = TestServer::build().await;
    let folder = house.folder();
    let first = house.run(portrait_request(&folder)).await;
    let second = house.run(portrait_request(&folder)).await;
    let mut open = all_after(&house, "earliest").await;
    assert_eq!(take(&mut open, 8).await.len(), 8);
    house.client.delete_match(delete(&first[0].match_id)).await.unwrap();
    assert_eq!(take(&mut all_after(&house, "earliest").await, 4).await, second);
    let token = &first[1].resume_token;
    assert_eq!(take(&mut all_after(&house, token).await, 4).await, second);
    let third = house.run(portrait_request(&folder)).await;
    assert_eq!(take(&mut open, 4).await, third);
}

#[tokio::test]
async fn a_token_older_than_the_retained_events_has_expired() {
    let mut house =
        TestServer::build_with(|config| config.retention = Duration::from_millis(1)).await;
    let run = house.run(portrait_request(&house.folder())).await;
    // A start erases expired matches at once.
    let mut house = house.restart().await;
    while house.client.get_match(get(&last_match(&run).match_id)).await.is_ok() {
        tokio::task::yield_now().await;
    }
    let request =
        WatchMatchesRequest { resume_token: run[0].resume_token.clone(), ..Default::default() };
    let refusal = Refusal::of(house.client.watch_matches(request).await.unwrap_err());
    assert_eq!((refusal.code, refusal.reason()), (Code::OutOfRange, "TOKEN_EXPIRED"));
    let at_the_floor = all_after(&house, &run[3].resume_token).await;
    let earliest = all_after(&house, "earliest").await;
    let next = house.run(portrait_request(&house.folder())).await;
    for mut updates in [at_the_floor, earliest] {
        assert_eq!(take(&mut updates, 4).await, next);
    }
}

#[tokio::test]
async fn a_stream_of_all_ends_as_draining_at_a_shutdown() {
    let house = TestServer::build().await;
    let updates = all_after(&house, "").await;
    house.shut_down();
    let refusal = Refusal::of(collect(updates).await.unwrap_err());
    assert_eq!((refusal.code, refusal.reason()), (Code::Unavailable, "SERVER_DRAINING"));
    assert!(refusal.details.retry_info().is_some());
    house.wait_until_stopped().await;
}

#[tokio::test]
async fn earliest_starts_at_the_oldest_retained_update() {
    let mut house =
        TestServer::build_with(|config| config.retention = Duration::from_millis(1)).await;
    let endless = json!({"match": {"endpoint": "start_analyses"}, "then": {"never_finish": true}});
    house.oz.script([rule(endless)]);
    let running = portrait_request(&house.folder());
    let running = house.client.create_match(running).await.unwrap().into_inner();
    // A match that began later, and ends, is erased first.
    let ended = house.run(portrait_request(&uuid::Uuid::nil().to_string())).await;
    let mut house = house.restart().await;
    while house.client.get_match(get(&last_match(&ended).match_id)).await.is_ok() {
        tokio::task::yield_now().await;
    }
    let first = take(&mut all_after(&house, "earliest").await, 1).await.remove(0);
    assert_eq!((first.match_id, first.sequence), (running.match_id, 1));
}
