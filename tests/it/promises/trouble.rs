//! Transient trouble at Oz never fails a match, and is reported once per cause.

use facematch::{
    pb::MatchState,
    simulator::{Config, Endpoint, Simulator, sample},
};
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::{
    canary,
    checker::{causes, check_all_updates, check_one_photo_and_one_analysis},
    domain::FailureKind,
    oz_faults::OZ_FAULTS,
    support::{
        TestServer, cancel, collect, event_names, last_match, portrait_request, read_until, rule,
        simulator, then,
    },
};

/// Each kind of trouble, and the cause that watchers see. A session that ends is renewed without an
/// update, and incomplete answers are counted.
fn troubles() -> Vec<(Value, &'static str)> {
    let left_out = [FailureKind::SessionRefused, FailureKind::Incomplete];
    let waited_out = OZ_FAULTS.iter().filter(|fault| !left_out.contains(&fault.kind));
    waited_out.map(|fault| (then(fault), fault.kind.cause().as_str())).collect()
}

async fn pass_through(house: &TestServer, endpoint: &str) {
    let troubles = troubles();
    let runs = troubles.iter().map(|(then, _)| {
        let folder = house.folder();
        let when = json!({"endpoint": endpoint, "folder": folder, "to": 3});
        house.oz.script([rule(json!({"match": when, "then": then}))]);
        let mut client = house.client.clone();
        async move {
            let updates = client.run_match(portrait_request(&folder)).await.unwrap();
            collect(updates.into_inner()).await.unwrap()
        }
    });
    for (updates, (then, cause)) in join_all(runs).await.iter().zip(&troubles) {
        check_all_updates(updates);
        assert!(last_match(updates).result.is_some(), "{then}: {:?}", last_match(updates));
        assert_eq!(causes(updates), [*cause], "{then}: not reported exactly once");
        check_one_photo_and_one_analysis(&house.oz, last_match(updates));
    }
}

#[tokio::test]
async fn a_match_survives_trouble_with_reading_the_folder() {
    pass_through(&TestServer::build().await, "get_folder").await;
}

#[tokio::test]
async fn a_match_survives_trouble_with_polling() {
    pass_through(&TestServer::build().await, "get_analysis").await;
}

#[tokio::test]
async fn a_change_of_cause_is_reported_and_a_repetition_is_not() {
    let mut house = TestServer::build().await;
    let (first, then) = (json!({"endpoint": "get_folder", "to": 3}), json!({"status": 500}));
    let second = json!({"endpoint": "get_folder", "from": 4, "to": 6});
    house.oz.script([
        rule(json!({"match": first, "then": then})),
        rule(json!({"match": second, "then": {"status": 429}})),
    ]);
    let updates = house.run(portrait_request(&house.folder())).await;
    check_all_updates(&updates);
    assert_eq!(causes(&updates), ["OZ_SERVER_ERROR", "OZ_RATE_LIMITED"]);
}

#[tokio::test]
async fn retry_after_is_respected() {
    let mut house = TestServer::build().await;
    let when = json!({"endpoint": "get_folder", "nth": 1});
    let then = json!({"status": 429, "retry_after": "1"});
    house.oz.script([rule(json!({"match": when, "then": then}))]);
    let updates = house.run(portrait_request(&house.folder())).await;
    check_all_updates(&updates);
    let record = house.oz.record();
    let looks: Vec<_> = record.iter().filter(|r| r.endpoint == Endpoint::GetFolder).collect();
    let pause_ms = looks[1].at_ms - looks[0].answered_at_ms.expect("an answer");
    assert!(pause_ms >= 990, "{pause_ms}");
}

#[tokio::test]
async fn a_match_waits_for_an_oz_that_is_down() {
    // With the same seed, the folder has the same id at both simulators.
    let seeded = Config { seed: Some(7), ..canary::config() };
    let seed = || sample::liveness_folder(sample::portrait_jpeg());
    let oz = Simulator::start_with(seeded.clone()).await.unwrap();
    let (address, folder) = (oz.address(), oz.add_folder(seed()));
    let mut house = TestServer::build_with_oz(oz, |_| {}).await;
    std::mem::replace(&mut house.oz, simulator().await).stop().await;

    let mut updates = house.client.run_match(portrait_request(&folder)).await.unwrap().into_inner();
    let mut seen = read_until(&mut updates, "attempt_failed").await;
    let oz = Simulator::start_with(Config { listen: address, ..seeded }).await.unwrap();
    assert_eq!(oz.add_folder(seed()), folder);
    seen.extend(collect(updates).await.unwrap());
    check_all_updates(&seen);
    assert_eq!(causes(&seen), ["OZ_UNREACHABLE"]);
    check_one_photo_and_one_analysis(&oz, last_match(&seen));
}

#[tokio::test]
async fn an_ended_session_is_renewed_without_an_update() {
    for endpoint in ["get_folder", "add_media", "start_analyses", "get_analysis"] {
        let mut house = TestServer::build().await;
        let when = json!({"endpoint": endpoint, "nth": 1});
        house.oz.script([rule(json!({"match": when, "then": {"expire_session": true}}))]);
        let updates = house.run(portrait_request(&house.folder())).await;
        check_all_updates(&updates);
        assert_eq!(updates.len(), 4, "{endpoint}: {:?}", event_names(&updates));
        check_one_photo_and_one_analysis(&house.oz, last_match(&updates));
    }
}

#[tokio::test]
async fn a_session_refused_twice_is_transient_trouble() {
    for endpoint in ["get_folder", "add_media", "start_analyses", "get_analysis"] {
        let mut house = TestServer::build().await;
        let when = json!({"endpoint": endpoint, "to": 2});
        house.oz.script([rule(json!({"match": when, "then": {"expire_session": true}}))]);
        let updates = house.run(portrait_request(&house.folder())).await;
        check_all_updates(&updates);
        assert_eq!(causes(&updates), ["OZ_SESSION_REFUSED"], "{endpoint}");
        check_one_photo_and_one_analysis(&house.oz, last_match(&updates));
    }
}

#[tokio::test]
async fn a_match_without_an_analysis_waits_out_a_refused_login() {
    let mut house = TestServer::build().await;
    house.oz.switch(|switches| switches.login_refused = true);
    let request = portrait_request(&house.folder());
    let mut updates = house.client.run_match(request).await.unwrap().into_inner();
    let mut seen = read_until(&mut updates, "attempt_failed").await;
    assert_eq!(causes(&seen), ["OZ_LOGIN_REFUSED"]);
    house.oz.switch(|switches| switches.login_refused = false);
    seen.extend(collect(updates).await.unwrap());
    check_all_updates(&seen);
    assert_eq!(last_match(&seen).state(), MatchState::Finished);
}

#[tokio::test]
async fn a_refused_login_does_not_end_a_match_with_an_analysis() {
    let mut house = TestServer::build().await;
    house.oz.script([rule(json!({"then": {"never_finish": true}}))]);
    let request = portrait_request(&house.folder());
    let mut updates = house.client.run_match(request).await.unwrap().into_inner();
    let mut seen = read_until(&mut updates, "analysis_started").await;
    house.oz.switch(|switches| switches.login_refused = true);
    house.oz.expire_sessions();
    seen.extend(read_until(&mut updates, "attempt_failed").await);
    let m = last_match(&seen);
    assert_eq!(m.state(), MatchState::Processing);
    assert_eq!(causes(&seen), ["OZ_LOGIN_REFUSED"]);
    house.client.cancel_match(cancel(&m.match_id)).await.unwrap();
    seen.extend(collect(updates).await.unwrap());
    check_all_updates(&seen);
}
