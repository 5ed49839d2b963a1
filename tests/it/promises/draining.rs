//! Going down in order: photos first, then the goodbyes; the next start goes on.

use std::time::Duration;

use facematch::simulator::{Endpoint, RecordedRequest};
use serde_json::json;
use tonic::Code;

use crate::{
    checker::{Checker, check_one_of_each, check_whole},
    support::{
        House, Refusal, cancel, collect, name, named, portrait_request, rule, until, wait,
        wait_by_request, watch,
    },
};

fn is_upload(asked: &RecordedRequest) -> bool {
    asked.endpoint == Endpoint::AddMedia
}

#[tokio::test]
async fn photos_on_the_shelf_are_uploaded_before_the_server_goes() {
    let mut house = House::build().await;
    house.oz.script([rule(
        json!({"match": {"endpoint": "add_media", "nth": 1}, "then": {"delay_ms": 200}}),
    )]);
    let folder = house.folder();
    let request = named("order 17", portrait_request(&folder));
    let mut updates = house.client.run_match(request.clone()).await.unwrap().into_inner();
    let mut checker = Checker::default();
    until(&mut updates, "accepted").await.iter().for_each(|update| checker.see(update));
    house.oz.recorded(|all| all.iter().any(is_upload)).await;
    house.shut_down();
    let refusal = loop {
        match updates.message().await {
            Ok(Some(update)) => checker.see(&update),
            Ok(None) => panic!("the match can't have ended"),
            Err(status) => break Refusal::of(status),
        }
    };
    assert_eq!((refusal.code, refusal.reason()), (Code::Unavailable, "SERVER_DRAINING"));
    assert!(refusal.details.retry_info().is_some());
    assert_eq!(house.oz.folder(&folder).unwrap().media.len(), 2, "the photo is at Oz");
    assert_eq!(house.asked("POST", "/analyses"), 0, "the rest is left for the next start");
    assert_eq!(checker.sequence(), 2, "what became durable is still told");

    let mut house = house.restart().await;
    let all = house.run(request).await;
    check_whole(&all);
    assert_eq!(name(all.last().unwrap()), "finished");
    check_one_of_each(&house.oz, crate::support::last(&all));
}

#[tokio::test]
async fn a_draining_server_takes_no_new_match_and_still_answers_looks() {
    let house = House::build().await;
    house.oz.script([rule(
        json!({"match": {"endpoint": "add_media", "nth": 1}, "then": {"delay_ms": 400}}),
    )]);
    let request = named("order 17", portrait_request(&house.folder()));
    let (mut client, mut creating) = (house.client.clone(), house.client.clone());
    let created = async { creating.create_match(request).await };
    let draining = async {
        house.oz.recorded(|all| all.iter().any(is_upload)).await;
        house.shut_down();
        let found = client.wait_match(wait_by_request("order 17", Duration::ZERO)).await;
        assert_eq!(found.unwrap().into_inner().sequence, 1);
        loop {
            // The request may be faster than the signal.
            match client.run_match(portrait_request(&house.folder())).await {
                Ok(_) => tokio::task::yield_now().await,
                Err(status) => break Refusal::of(status),
            }
        }
    };
    let (created, refusal) = tokio::join!(created, draining);
    assert_eq!((refusal.code, refusal.reason()), (Code::Unavailable, "SERVER_DRAINING"));
    assert!(refusal.details.retry_info().is_some());
    let created = created.expect("its photo went to Oz within the drain").into_inner();
    assert_eq!(created.sequence, 2);
    house.stopped().await;
}

#[tokio::test]
async fn a_photo_that_oz_does_not_take_in_time_is_given_up_and_brought_again() {
    let mut house = House::build_with(|c| c.drain_timeout = Duration::from_millis(900)).await;
    house.oz.script([rule(
        json!({"match": {"endpoint": "add_media"}, "then": {"drop_before_acting": true}}),
    )]);
    let request = named("order 17", portrait_request(&house.folder()));
    let mut updates = house.client.run_match(request.clone()).await.unwrap().into_inner();
    let seen = until(&mut updates, "attempt_failed").await;
    let mut house = house.restart().await;
    let refusal = Refusal::of(collect(updates).await.unwrap_err());
    assert_eq!(refusal.reason(), "SERVER_DRAINING");
    house.oz.clear_rules();
    let all = house.run(request).await;
    check_whole(&all);
    assert_eq!(all[0].match_id, seen[0].match_id);
    check_one_of_each(&house.oz, crate::support::last(&all));
}

#[tokio::test]
async fn two_hundred_open_streams_are_told_well_within_the_drain_timeout() {
    let mut house = House::build().await;
    house.oz.script([rule(json!({"then": {"never_finish": true}}))]);
    let request = portrait_request(&house.folder());
    let created = house.client.create_match(request).await.unwrap().into_inner();
    let mut streams = Vec::new();
    for _ in 0..200 {
        let mut updates =
            house.client.watch_match(watch(&created.match_id)).await.unwrap().into_inner();
        until(&mut updates, "accepted").await;
        streams.push(updates);
    }
    house.shut_down();
    for updates in streams {
        let refusal = Refusal::of(collect(updates).await.unwrap_err());
        assert_eq!((refusal.code, refusal.reason()), (Code::Unavailable, "SERVER_DRAINING"));
        assert!(refusal.details.retry_info().is_some());
    }
    // Before the drain timeout of 30 s, or this takes too long to be overlooked.
    let mut house = house.restart().await;
    assert_eq!(house.load.watched(), 0);
    let m = house.client.wait_match(wait(&created.match_id, Duration::ZERO)).await.unwrap();
    assert!(m.into_inner().sequence >= 2);
    house.client.cancel_match(cancel(&created.match_id)).await.unwrap();
}
