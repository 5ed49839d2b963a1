//! A gateway in front of Oz that answers in Oz's place: its answers fail no match, except for its
//! limit on an upload's size, and no photo or analysis is doubled.

use std::{sync::Arc, time::Duration};

use facematch::{
    pb::MatchUpdate,
    simulator::{Endpoint, Gateway},
};
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::{sync::Semaphore, task::JoinSet};

use crate::{
    checker::{causes, check_all_updates, check_one_photo_and_one_analysis},
    support::{TestServer, collect, eventually, last_match, portrait_request, rule},
};

/// A gateway's bodies: an HTML page, plain text, a JSON object of its own, nothing.
fn bodies() -> [(Value, &'static str); 4] {
    [
        (json!("<html>Not here</html>"), "text/html"),
        (json!("default backend - 404"), "text/plain"),
        (json!({ "message": "no Route matched with those values" }), "application/json"),
        (json!(""), "text/plain"),
    ]
}

const STATUSES: [u16; 9] = [400, 401, 403, 404, 405, 409, 413, 429, 502];

/// The endpoints of Oz that a match calls.
const ENDPOINTS: [&str; 4] = ["get_folder", "add_media", "start_analyses", "get_analysis"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_answer_of_a_gateway_at_any_endpoint_ends_or_doubles_a_match() {
    let house = TestServer::build().await;
    for endpoint in ENDPOINTS {
        for (body, content_type) in bodies() {
            // A 413 to an upload is left out: it fails the match, since a size limit is permanent.
            let said = STATUSES.iter().filter(|it| !(endpoint == "add_media" && **it == 413));
            let runs =
                said.flat_map(|status| [(status, false), (status, true)]).map(|(status, act)| {
                    let then = json!({
                        "status": status, "body": body, "content_type": content_type, "act": act,
                    });
                    run_with_answer(&house, endpoint, then)
                });
            for (then, updates) in join_all(runs).await {
                let said = format!("{endpoint}: {then}");
                check_all_updates(&updates);
                assert!(
                    last_match(&updates).result.is_some(),
                    "{said}: {:?}",
                    last_match(&updates).error
                );
                assert!(causes(&updates).len() <= 1, "{said}: reported more than once");
                check_one_photo_and_one_analysis(&house.oz, last_match(&updates));
            }
        }
    }
}

/// Runs a match whose first request to this endpoint gets this answer.
async fn run_with_answer(
    house: &TestServer,
    endpoint: &str,
    then: Value,
) -> (Value, Vec<MatchUpdate>) {
    let folder = house.folder();
    let when = json!({ "endpoint": endpoint, "folder": folder, "to": 1 });
    house.oz.script([rule(json!({ "match": when, "then": then }))]);
    let mut client = house.client.clone();
    let updates = client.run_match(portrait_request(&folder)).await.unwrap();
    (then, collect(updates.into_inner()).await.unwrap())
}

#[tokio::test]
async fn a_gateway_s_answer_to_a_login_is_not_a_refused_login() {
    let mut house = TestServer::build().await;
    house.oz.expire_sessions();
    let gateway = Gateway::answering(404).before([Endpoint::Login, Endpoint::Refresh]);
    house.oz.switch(|on| on.gateway = Some(Gateway { for_ms: Some(200), ..gateway }));
    let updates = house.run(portrait_request(&house.folder())).await;
    check_all_updates(&updates);
    assert_eq!(causes(&updates), ["OZ_SERVER_ERROR"]);
    check_one_photo_and_one_analysis(&house.oz, last_match(&updates));
}

#[tokio::test]
async fn an_upload_over_a_gateway_s_limit_fails_the_match_and_names_the_gateway() {
    let mut house = TestServer::build().await;
    let gateway = Gateway::answering(413).before([Endpoint::AddMedia]);
    house.oz.switch(|on| on.gateway = Some(gateway));
    let updates = house.run(portrait_request(&house.folder())).await;
    let error = last_match(&updates).error.clone().expect("the match fails");
    assert_eq!(error.reason, "OZ_REJECTED_PHOTO");
    let said = error.metadata.get("oz.error_message").map(String::as_str);
    assert_eq!(said, Some("a gateway in front of Oz refuses requests of this size"));
}

/// Matches that run when the gateway appears.
const MATCHES: usize = 1_000;
/// Photos that are sent at once: of all at once, each would be too slow for the service on a busy
/// machine.
const PHOTOS_AT_ONCE: usize = 100;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_running_matches_survive_a_gateway_with_fewer_requests() {
    let house = TestServer::build_with(|config| {
        config.poll_interval = Duration::from_millis(200);
    })
    .await;
    house.oz.switch(|on| on.processing_ms = 5_000);
    let sending = Arc::new(Semaphore::new(PHOTOS_AT_ONCE));
    let mut runs = JoinSet::new();
    for _ in 0..MATCHES {
        let (mut client, folder) = (house.client.clone(), house.folder());
        let sending = Arc::clone(&sending);
        runs.spawn(async move {
            let turn = sending.acquire().await.unwrap();
            let updates = client.run_match(portrait_request(&folder)).await.unwrap();
            drop(turn);
            collect(updates.into_inner()).await.unwrap()
        });
    }
    let met = || house.oz.record().iter().filter(|it| it.rules == ["gateway"]).count();
    let polled =
        || house.oz.record().iter().filter(|it| it.endpoint == Endpoint::GetAnalysis).count();
    eventually(|| polled() > MATCHES / 2, || "too few matches are polled".to_owned()).await;
    for (status, (body, content_type)) in [404, 401, 403].into_iter().zip(bodies()) {
        let before = met();
        let gateway = Gateway::answering(status);
        let content_type = Some(content_type.to_owned());
        house.oz.switch(|on| {
            on.gateway = Some(Gateway { body: Some(body), content_type, ..gateway });
        });
        eventually(|| met() > before, || format!("no request meets the gateway's {status}")).await;
    }
    let asked = met();
    house.oz.switch(|on| on.gateway = None);
    for updates in runs.join_all().await {
        check_all_updates(&updates);
        assert!(last_match(&updates).result.is_some(), "{:?}", last_match(&updates).error);
        check_one_photo_and_one_analysis(&house.oz, last_match(&updates));
    }
    // The gateway meets the requests until the circuit breaker opens, those in flight at that time,
    // and probes. Without a circuit breaker, it would meet one for each match and status.
    println!("{asked} requests met the gateway of {MATCHES} matches");
    assert!(asked < MATCHES, "{asked}");
}
