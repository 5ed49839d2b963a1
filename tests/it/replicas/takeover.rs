//! Takeover of the matches of a replica that is killed, or paused for longer than its lease.

use facematch::{
    pb::{Match, MatchState},
    simulator::{Endpoint, RecordedRequest},
};
use serde_json::json;
use tokio::task::JoinSet;

use crate::{
    checker::check_one_photo_and_one_analysis,
    library::{by_key, key},
    replicas::fleet::{Fleet, LEASE, NEVER_MS, Plan, beyond_lease},
    support::{collect, last_match, portrait_request, read_until, rule},
};

/// Matches of the replica that is killed.
const MATCHES: usize = 250;

/// Requests sent before a kill reach Oz within this time, and no takeover is as fast.
const IN_FLIGHT_MS: u64 = 100;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn matches_of_a_dead_replica_are_polled_again_soon_after_its_lease() {
    let settings = vec![("--oz-poll-interval", "1s")];
    let mut fleet = Fleet::start_by_plan(Plan { settings, ..Plan::default() }).await;
    let matches = fleet.create(0, MATCHES).await;
    fleet.oz().clear_record();
    fleet.kill(0);
    let died_ms = fleet.clock_ms();
    fleet.wait_until_polled(&matches, died_ms + IN_FLIGHT_MS, 1).await;
    let polls = fleet.polls(died_ms + IN_FLIGHT_MS);
    let mut took: Vec<u64> = matches.iter().map(|m| polls[&m.folder_id][0] - died_ms).collect();
    took.sort_unstable();
    let [p50, p99, max] = [took.len() / 2, took.len() * 99 / 100, took.len() - 1].map(|n| took[n]);
    println!(
        "takeover: {} matches polled again after a death, lease {} ms, p50 {p50} ms, p99 {p99} ms, \
         max {max} ms",
        took.len(),
        LEASE.as_millis(),
    );
    assert!(u128::from(p99) <= (LEASE + beyond_lease()).as_millis());
    fleet.end_all_analyses();
    fleet.check_finished(&matches).await;
    fleet.shut_down_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_paused_past_its_lease_writes_nothing_and_rejoins() {
    let mut fleet = Fleet::start_default().await;
    let matches = fleet.create(0, 20).await;
    // The replica is paused during polls whose responses would be events.
    let slow = json!({"match": {"endpoint": "get_analysis"}, "then": {"delay_ms": 300}});
    fleet.oz().script([rule(slow)]);
    fleet.wait_until_polled_again(&matches, 1).await;
    fleet.process(0).pause().await;
    fleet.end_all_analyses();
    fleet.oz().clear_rules();
    for m in &matches {
        assert_eq!(fleet.wait_until_ended(1, &m.match_id).await.state(), MatchState::Finished);
    }
    fleet.process(0).resume();
    fleet.wait_for_leases(3).await;
    fleet.check_finished(&matches).await;

    fleet.oz().switch(|switches| switches.processing_ms = NEVER_MS);
    let matches = [fleet.create(1, 5).await, fleet.create(2, 5).await].concat();
    fleet.kill(1);
    fleet.kill(2);
    fleet.wait_until_polled_again(&matches, 2).await;
    fleet.end_all_analyses();
    fleet.check_finished(&matches).await;
    fleet.shut_down_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_paused_past_its_lease_uploads_its_photos_once_resumed() {
    const PHOTOS: usize = 8;
    let fleet = Fleet::start_default().await;
    fleet.oz().switch(|switches| switches.processing_ms = 0);
    let slow = json!({"match": {"endpoint": "get_folder"}, "then": {"delay_ms": 1_000}});
    fleet.oz().script([rule(slow)]);
    let mut runs = JoinSet::new();
    for _ in 0..PHOTOS {
        let (mut client, request) = (fleet.client(0).await, portrait_request(&fleet.folder()));
        let mut updates = client.run_match(request).await.unwrap().into_inner();
        read_until(&mut updates, "accepted").await;
        runs.spawn(async move { last_match(&collect(updates).await.unwrap()).clone() });
    }
    fleet.process(0).pause().await;
    // The other replicas take the matches over but lack the photos: they only look for them at Oz.
    fleet.wait_for_sql("SELECT count(*) FROM match_states WHERE lent", &PHOTOS.to_string()).await;
    fleet.process(0).resume();
    let matches: Vec<Match> = runs.join_all().await;
    fleet.check_finished(&matches).await;
    assert_eq!(uploads(&fleet), PHOTOS);
    fleet.shut_down_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_paused_during_an_upload_causes_no_second_one() {
    let fleet = Fleet::start_default().await;
    fleet.oz().switch(|switches| switches.processing_ms = 0);
    let (mut client, folder) = (fleet.client(0).await, fleet.folder());
    let slow = json!({"match": {"endpoint": "add_media"}, "then": {"answer_delay_ms": 500}});
    fleet.oz().script([rule(slow)]);
    let mut updates = client.run_match(portrait_request(&folder)).await.unwrap().into_inner();
    fleet.oz().recorded(|all| all.iter().any(|r| r.endpoint == Endpoint::AddMedia)).await;
    fleet.process(0).pause().await;
    let accepted = read_until(&mut updates, "accepted").await;
    // The photo is at Oz, so the replica that takes over finds it.
    let ended = fleet.wait_until_ended(1, &last_match(&accepted).match_id).await;
    assert_eq!(ended.state(), MatchState::Finished);
    fleet.process(0).resume();
    collect(updates).await.unwrap();
    check_one_photo_and_one_analysis(fleet.oz(), &ended);
    assert_eq!(uploads(&fleet), 1);
    fleet.shut_down_all().await;
}

/// Creates matches by key at a replica.
async fn create_by_key(fleet: &Fleet, number: usize, count: usize) -> Vec<Match> {
    let mut client = fleet.client(number).await;
    let mut created = Vec::new();
    for _ in 0..count {
        let request = by_key(&fleet.folder(), &key());
        created.push(client.create_match(request).await.expect("it is accepted").into_inner());
    }
    created
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn matches_by_key_of_a_dead_replica_go_on_at_the_others_without_their_callers() {
    const PHOTOS: usize = 8;
    let settings = vec![("--photo-grace", "1s")];
    let mut fleet = Fleet::start_by_plan(Plan { settings, ..Plan::default() }).await;
    fleet.oz().switch(|switches| switches.processing_ms = 0);
    let mut matches = Vec::new();
    // Right before the photos are read; while they are uploaded.
    for (endpoint, name) in [(Endpoint::GetFolder, "get_folder"), (Endpoint::AddMedia, "add_media")]
    {
        let slow = json!({"match": {"endpoint": name}, "then": {"answer_delay_ms": 500}});
        fleet.oz().script([rule(slow)]);
        fleet.oz().clear_record();
        matches.extend(create_by_key(&fleet, 0, PHOTOS).await);
        let asked = |all: &[RecordedRequest]| all.iter().filter(|r| r.endpoint == endpoint).count();
        fleet.oz().recorded(|all| asked(all) >= PHOTOS).await;
        fleet.kill(0);
        fleet.oz().clear_rules();
        fleet.start(0);
    }
    for m in &matches {
        fleet.wait_until_ended(1, &m.match_id).await;
    }
    // While the library is away.
    fleet.storm.photos.take_away();
    matches.extend(create_by_key(&fleet, 0, PHOTOS).await);
    let waiting = "SELECT count(*) FROM match_states WHERE state = 'accepted' AND sequence > 1";
    fleet.wait_for_sql(waiting, &PHOTOS.to_string()).await;
    fleet.kill(0);
    fleet.wait_for_leases(2).await;
    fleet.storm.photos.bring_back();
    assert_eq!(fleet.sql("SELECT count(*) FROM match_states WHERE needs_photo OR lent"), "0");
    fleet.check_finished(&matches).await;
    fleet.shut_down_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_paused_while_it_uploads_a_photo_by_key_causes_no_second_one() {
    let fleet = Fleet::start_default().await;
    fleet.oz().switch(|switches| switches.processing_ms = 0);
    let slow = json!({"match": {"endpoint": "add_media"}, "then": {"answer_delay_ms": 500}});
    fleet.oz().script([rule(slow)]);
    let matches = create_by_key(&fleet, 0, 1).await;
    fleet.oz().recorded(|all| all.iter().any(|r| r.endpoint == Endpoint::AddMedia)).await;
    fleet.process(0).pause().await;
    let ended = fleet.wait_until_ended(1, &matches[0].match_id).await;
    assert_eq!(ended.state(), MatchState::Finished);
    fleet.process(0).resume();
    fleet.wait_for_leases(3).await;
    fleet.check_finished(&matches).await;
    assert_eq!(uploads(&fleet), 1);
    fleet.shut_down_all().await;
}

fn uploads(fleet: &Fleet) -> usize {
    fleet.oz().record().iter().filter(|r| r.endpoint == Endpoint::AddMedia).count()
}
