//! A journal with events of a later version: its matches are shown as far as this version knows
//! their events, and all other matches are unaffected.

use std::time::Duration;

use facematch::pb::{
    CancelMatchRequest, DeleteMatchRequest, GetMatchRequest, ListMatchesRequest, Match, MatchState,
    MatchUpdate, WatchMatchesRequest, cancel_match_request, delete_match_request,
    get_match_request, match_update::Event,
};
use sqlx::{AssertSqlSafe, Connection, SqliteConnection, query, sqlite::SqliteConnectOptions};
use uuid::Uuid;

use crate::support::{
    JOURNAL, TestServer, collect, eventually, last_match, portrait_request, read_until, wait, watch,
};

/// Replaces a match's last event by an event that this version doesn't know.
async fn write_odd(house: &TestServer, match_id: &str) {
    let id = match_id.parse::<Uuid>().unwrap().simple();
    let update = format!(
        "UPDATE events SET body = '{{\"reviewed\":{{\"by\":1}}}}' WHERE position =
             (SELECT max(position) FROM events WHERE match_id = x'{id}')"
    );
    let options = SqliteConnectOptions::new().filename(house.directory.path().join(JOURNAL));
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    query(AssertSqlSafe(update)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

async fn get(house: &mut TestServer, match_id: &str) -> Match {
    let id = Some(get_match_request::Id::MatchId(match_id.to_owned()));
    house.client.get_match(GetMatchRequest { id }).await.unwrap().into_inner()
}

fn check_dense(updates: &[MatchUpdate]) {
    let sequences: Vec<u64> = updates.iter().map(|update| update.sequence).collect();
    assert_eq!(sequences, (1..=updates.len() as u64).collect::<Vec<_>>());
}

/// A test server and two matches with an unknown last event, one ended and one running, between
/// regular matches.
async fn house() -> (TestServer, String, String) {
    let mut house = TestServer::build().await;
    let folder = house.folder();
    house.run(portrait_request(&folder)).await;
    let ended = last_match(&house.run(portrait_request(&folder)).await).match_id.clone();
    house.run(portrait_request(&folder)).await;
    house.oz.switch(|switches| switches.processing_ms = 3_600_000);
    let mut running = house.client.run_match(portrait_request(&folder)).await.unwrap().into_inner();
    let started = read_until(&mut running, "analysis_started").await;
    let running = started[0].match_id.clone();
    house.oz.switch(|switches| switches.processing_ms = 50);
    write_odd(&house, &ended).await;
    write_odd(&house, &running).await;
    // The service has its own events in memory; after a restart it reads the journal.
    (house.restart().await, ended, running)
}

#[tokio::test]
async fn an_ended_match_with_an_unknown_event_is_shown_and_its_streams_end() {
    let (mut house, ended, _) = house().await;
    let m = get(&mut house, &ended).await;
    assert_eq!((m.state(), m.result), (MatchState::Finished, None));
    assert!(m.end_time.is_some() && m.expire_time.is_some());
    let updates = house.client.watch_match(watch(&ended)).await.unwrap().into_inner();
    let updates = collect(updates).await.unwrap();
    check_dense(&updates);
    assert_eq!(last_match(&updates).state(), MatchState::Finished);
    assert_eq!(updates[updates.len() - 1].event, None);
    let waited = house.client.wait_match(wait(&ended, Duration::from_secs(60))).await.unwrap();
    assert_eq!(waited.into_inner().state(), MatchState::Finished);
    let id = Some(delete_match_request::Id::MatchId(ended));
    house.client.delete_match(DeleteMatchRequest { id }).await.unwrap();
}

#[tokio::test]
async fn a_running_match_with_an_unknown_event_is_not_driven_and_can_be_cancelled() {
    let (mut house, _, running) = house().await;
    assert_eq!(get(&mut house, &running).await.state(), MatchState::Processing);
    let asked = house.oz.record().len();
    let waited = house.client.wait_match(wait(&running, Duration::ZERO)).await.unwrap();
    assert_eq!(waited.into_inner().state(), MatchState::Processing);
    let updates = house.client.watch_match(watch(&running)).await.unwrap().into_inner();
    let id = Some(cancel_match_request::Id::MatchId(running));
    house.client.cancel_match(CancelMatchRequest { id }).await.unwrap();
    let updates = collect(updates).await.unwrap();
    check_dense(&updates);
    let events: Vec<_> = updates.iter().map(|update| update.event.is_some()).collect();
    assert_eq!(events, [true, true, false, true]);
    assert!(matches!(updates[3].event, Some(Event::Cancelled(_))));
    assert_eq!(house.oz.record().len(), asked, "Oz gets requests for it");
}

#[tokio::test]
async fn an_unknown_event_stops_no_other_match() {
    let (mut house, ended, running) = house().await;
    let request = WatchMatchesRequest { resume_token: "earliest".to_owned(), ..Default::default() };
    let mut all = house.client.watch_matches(request).await.unwrap().into_inner();
    let folder = house.folder();
    let new = last_match(&house.run(portrait_request(&folder)).await).clone();
    assert_eq!(new.state(), MatchState::Finished);
    let mut seen = Vec::new();
    while seen.last() != Some(&(new.match_id.clone(), new.sequence)) {
        let update = all.message().await.unwrap().expect("the stream stays open");
        if !matches!(update.event, Some(Event::Heartbeat(_))) {
            seen.push((update.match_id, update.sequence));
        }
    }
    let of = |id: &str| seen.iter().filter(|(seen, _)| seen == id).count();
    assert_eq!((of(&ended), of(&running), seen.len()), (4, 3, 4 * 4 + 3));
    let (mut listed, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = ListMatchesRequest { page_size: 1, page_token, ..Default::default() };
        let page = house.client.list_matches(request).await.unwrap().into_inner();
        listed.extend(page.matches);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(listed.len(), 5);
    let is_driven = || house.load.unfinished() > 0;
    eventually(|| !is_driven(), || "the running match is driven".to_owned()).await;
}
