//! Callers that move from one replica to another, while a third may drive their match.

use facematch::{
    pb::{ListMatchesRequest, MatchState},
    simulator::Endpoint,
};
use serde_json::json;
use tonic::Code;

use crate::{
    checker::{check_all_updates, check_one_photo_and_one_analysis},
    replicas::fleet::{Fleet, LEASE, Plan, beyond_lease},
    support::{
        Refusal, cancel, collect, delete, get, last_match, portrait_request, read_until, rule,
        watch, with_request_id,
    },
};

/// A driver learns of a cancel elsewhere within about a second; the rest is for a busy machine.
const STOPS_WITHIN_MS: u64 = 5_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_photo_sent_to_two_replicas_is_uploaded_once() {
    let fleet = Fleet::start_default().await;
    fleet.oz().switch(|switches| switches.processing_ms = 0);
    let slow = json!({"match": {"endpoint": "add_media"}, "then": {"delay_ms": 1_500}});
    fleet.oz().script([rule(slow)]);
    let request = with_request_id("moved", portrait_request(&fleet.folder()));
    let (mut here, mut there) = (fleet.client(0).await, fleet.client(1).await);
    let first = here.run_match(request.clone()).await.unwrap().into_inner();
    fleet.oz().recorded(|all| all.iter().any(|r| r.endpoint == Endpoint::AddMedia)).await;
    let second = there.run_match(request).await.unwrap().into_inner();
    let (first, second) = tokio::join!(collect(first), collect(second));
    let (first, second) = (first.unwrap(), second.unwrap());
    check_all_updates(&first);
    check_all_updates(&second);
    assert_eq!(last_match(&first), last_match(&second));
    assert_eq!(last_match(&first).state(), MatchState::Finished);
    check_one_photo_and_one_analysis(fleet.oz(), last_match(&first));
    assert_eq!(uploads(&fleet).len(), 1);
    fleet.shut_down_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_photo_sent_to_a_second_replica_is_uploaded_after_the_first_is_killed() {
    let mut fleet = Fleet::start_default().await;
    fleet.oz().switch(|switches| switches.processing_ms = 0);
    let stuck =
        json!({"match": {"endpoint": "get_folder", "nth": 1}, "then": {"delay_ms": 60_000}});
    fleet.oz().script([rule(stuck)]);
    let request = with_request_id("moved", portrait_request(&fleet.folder()));
    let mut here = fleet.client(0).await;
    let mut first = here.run_match(request.clone()).await.unwrap().into_inner();
    read_until(&mut first, "accepted").await;
    fleet.wait_for_request(Endpoint::GetFolder).await;
    let mut there = fleet.client(1).await;
    let mut second = there.run_match(request).await.unwrap().into_inner();
    let accepted = read_until(&mut second, "accepted").await;
    fleet.kill(0);
    let died_ms = fleet.clock_ms();
    let rest = collect(second).await.unwrap();
    check_all_updates(&[accepted, rest.clone()].concat());
    assert_eq!(last_match(&rest).state(), MatchState::Finished);
    check_one_photo_and_one_analysis(fleet.oz(), last_match(&rest));
    let [uploaded_ms] = uploads(&fleet)[..] else { panic!("one upload") };
    let took_ms = uploaded_ms - died_ms;
    println!("moved: uploaded {took_ms} ms after the death, lease {} ms", LEASE.as_millis());
    assert!(u128::from(took_ms) <= (LEASE + beyond_lease()).as_millis());
    fleet.shut_down_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_photo_that_is_not_sent_again_is_lost_with_its_replica() {
    let settings = vec![("--photo-grace", "500ms")];
    let mut fleet = Fleet::start_by_plan(Plan { settings, ..Plan::default() }).await;
    let stuck =
        json!({"match": {"endpoint": "get_folder", "nth": 1}, "then": {"delay_ms": 60_000}});
    fleet.oz().script([rule(stuck)]);
    let mut here = fleet.client(0).await;
    let mut first = here.run_match(portrait_request(&fleet.folder())).await.unwrap().into_inner();
    let accepted = read_until(&mut first, "accepted").await;
    fleet.wait_for_request(Endpoint::GetFolder).await;
    fleet.kill(0);
    let ended = fleet.wait_until_ended(1, &last_match(&accepted).match_id).await;
    assert_eq!(ended.state(), MatchState::Failed);
    let error = ended.error.expect("it failed");
    assert_eq!((&*error.reason, error.retryable), ("PHOTO_LOST", true));
    assert!(uploads(&fleet).is_empty());
    fleet.check_dense();
    fleet.shut_down_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancel_at_another_replica_shows_at_once_and_soon_stops_the_driver() {
    let fleet = Fleet::start_default().await;
    let matches = fleet.create(0, 2).await;
    let (unwanted, wanted) = (&matches[0], &matches[1..]);
    let mut elsewhere = fleet.client(1).await;
    let cancelled = elsewhere.cancel_match(cancel(&unwanted.match_id)).await.unwrap().into_inner();
    let cancelled_ms = fleet.clock_ms();
    assert_eq!(cancelled.state(), MatchState::Cancelled);
    for number in 0..fleet.len() {
        let told = fleet.client(number).await.get_match(get(&unwanted.match_id)).await.unwrap();
        assert_eq!(told.into_inner(), cancelled, "replica {number} is behind");
    }
    // For longer than the driver may take to learn of the cancel.
    fleet.wait_until_polled(wanted, cancelled_ms + STOPS_WITHIN_MS, 10).await;
    let polls = fleet.polls(0);
    let last_ms = polls[&unwanted.folder_id].last().expect("it was polled");
    let went_on_ms = last_ms.saturating_sub(cancelled_ms);
    println!("cancelled elsewhere: its driver stopped after {went_on_ms} ms");
    assert!(went_on_ms <= STOPS_WITHIN_MS);
    fleet.end_all_analyses();
    fleet.check_finished(wanted).await;
    fleet.shut_down_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_match_erased_at_one_replica_is_gone_at_all() {
    let fleet = Fleet::start_default().await;
    let matches = fleet.create(0, 1).await;
    let id = &matches[0].match_id;
    let mut elsewhere = fleet.client(1).await;
    let refused = elsewhere.delete_match(delete(id)).await.unwrap_err();
    Refusal::of(refused).assert(Code::FailedPrecondition, "MATCH_RUNNING");
    fleet.end_all_analyses();
    for number in 0..fleet.len() {
        // Loads the match into the memory of each replica.
        let updates = fleet.client(number).await.watch_match(watch(id)).await.unwrap();
        check_all_updates(&collect(updates.into_inner()).await.unwrap());
    }
    elsewhere.delete_match(delete(id)).await.unwrap();
    for number in 0..fleet.len() {
        let mut client = fleet.client(number).await;
        let found = client.get_match(get(id)).await.unwrap_err();
        Refusal::of(found).assert(Code::NotFound, "MATCH_NOT_FOUND");
        let listed = client.list_matches(ListMatchesRequest::default()).await.unwrap();
        assert_eq!(listed.into_inner().matches, []);
        let watched = match client.watch_match(watch(id)).await {
            Ok(updates) => collect(updates.into_inner()).await.unwrap_err(),
            Err(refused) => refused,
        };
        Refusal::of(watched).assert(Code::NotFound, "MATCH_NOT_FOUND");
    }
    fleet.shut_down_all().await;
}

/// The times of uploads on Oz's clock.
fn uploads(fleet: &Fleet) -> Vec<u64> {
    let record = fleet.oz().record();
    record.iter().filter(|r| r.endpoint == Endpoint::AddMedia).map(|r| r.at_ms).collect()
}
