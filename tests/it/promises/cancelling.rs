//! A match can be cancelled at every stage, and sends no request to Oz afterwards.

use facematch::{
    pb::{MatchState, MatchUpdate},
    simulator::{Answered, Endpoint},
};
use futures_util::future::join_all;
use serde_json::json;
use tonic::Code;

use crate::{
    checker::check_all_updates,
    support::{
        Refusal, TestServer, cancel, collect, get, last_match, portrait_request, read_until, rule,
    },
};

/// Cancels a match during its request to `endpoint`, and returns all its updates.
async fn cancel_during(house: &mut TestServer, endpoint: Endpoint) -> Vec<MatchUpdate> {
    let request = portrait_request(&house.folder());
    let mut updates = house.client.run_match(request).await.unwrap().into_inner();
    let mut seen = read_until(&mut updates, "accepted").await;
    house.oz.recorded(|all| all.iter().any(|asked| asked.endpoint == endpoint)).await;
    let id = seen[0].match_id.clone();
    let cancelled = house.client.cancel_match(cancel(&id)).await.unwrap().into_inner();
    seen.extend(collect(updates).await.unwrap());
    check_all_updates(&seen);
    assert_eq!(last_match(&seen), &cancelled);
    assert_eq!(cancelled.state(), MatchState::Cancelled);
    seen
}

#[tokio::test]
async fn cancelling_during_any_request_aborts_it_and_releases_the_photo() {
    let endpoints = [
        ("get_folder", Endpoint::GetFolder),
        ("add_media", Endpoint::AddMedia),
        ("start_analyses", Endpoint::StartAnalyses),
        ("get_analysis", Endpoint::GetAnalysis),
    ];
    for (name, endpoint) in endpoints {
        let mut house = TestServer::build().await;
        let then = json!({"never_answer": true});
        house.oz.script([rule(json!({"match": {"endpoint": name}, "then": then}))]);
        cancel_during(&mut house, endpoint).await;
        // The driver has stopped when the connection of its request is closed.
        let is_left = |all: &[facematch::simulator::RecordedRequest]| {
            let abandoned = |asked: &&_| is_abandoned(asked, endpoint);
            all.iter().find(abandoned).is_some()
        };
        house.oz.recorded(is_left).await;
        let asked = house.oz.record().len();
        assert_eq!((house.load.photos(), house.load.photo_bytes()), (0, 0), "{name}");
        house.restart().await.oz.recorded(|all| all.len() == asked).await;
    }
}

fn is_abandoned(asked: &facematch::simulator::RecordedRequest, endpoint: Endpoint) -> bool {
    asked.endpoint == endpoint && asked.answered == Answered::Abandoned
}

#[tokio::test]
async fn a_cancel_at_the_moment_of_the_verdict_has_one_outcome() {
    let house = TestServer::build().await;
    house.oz.switch(|switches| switches.processing_ms = 60_000);
    let runs = (0..20).map(|_| run_to_the_brink(&house));
    let brinks = join_all(runs).await;
    house.oz.skip(std::time::Duration::from_secs(60));
    let endings = brinks.into_iter().map(|(seen, updates)| async {
        let (mut client, id) = (house.client.clone(), seen[0].match_id.clone());
        let (cancelled, rest) = tokio::join!(client.cancel_match(cancel(&id)), collect(updates));
        let seen = [seen, rest.unwrap()].concat();
        check_all_updates(&seen);
        let found = house.client.clone().get_match(get(&id)).await.unwrap().into_inner();
        assert_eq!(last_match(&seen), &found);
        match cancelled {
            Ok(m) => assert_eq!(m.into_inner(), found),
            Err(status) => {
                let refusal = Refusal::of(status);
                assert_eq!(refusal.code, Code::FailedPrecondition);
                assert_eq!(refusal.reason(), "MATCH_ENDED");
                assert_eq!(found.state(), MatchState::Finished);
            }
        }
    });
    join_all(endings).await;
}

/// Runs a match until it is polled.
async fn run_to_the_brink(house: &TestServer) -> (Vec<MatchUpdate>, tonic::Streaming<MatchUpdate>) {
    let mut client = house.client.clone();
    let request = portrait_request(&house.folder());
    let mut updates = client.run_match(request).await.unwrap().into_inner();
    let seen = read_until(&mut updates, "analysis_started").await;
    (seen, updates)
}

#[tokio::test]
async fn cancelling_an_ended_match_is_refused_and_changes_nothing() {
    let mut house = TestServer::build().await;
    let updates = house.run(portrait_request(&house.folder())).await;
    let id = &last_match(&updates).match_id;
    let refusal = Refusal::of(house.client.cancel_match(cancel(id)).await.unwrap_err());
    assert_eq!((refusal.code, refusal.reason()), (Code::FailedPrecondition, "MATCH_ENDED"));
    assert_eq!(&house.client.get_match(get(id)).await.unwrap().into_inner(), last_match(&updates));
    let unknown = cancel(&uuid::Uuid::nil().to_string());
    assert_eq!(house.client.cancel_match(unknown).await.unwrap_err().code(), Code::NotFound);
}
