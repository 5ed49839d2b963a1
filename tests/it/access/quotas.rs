//! The limits of a tenant, and what they leave to others.

use facematch::pb;
use tonic::Code;

use super::*;
use crate::support::{Refusal, portrait_request, read_until, with_request_id};

const ALL: &[&str] = &["match", "read", "erase"];

fn callers(limits: &str) -> Callers {
    let tenants = format!("[tenant.bank.limits]\n{limits}\n[tenant.shop]\n");
    Callers::new(&tenants).with("anna", "bank", ALL).with("ben", "shop", ALL)
}

#[track_caller]
fn assert_quota(status: tonic::Status, limit: &str) {
    let refusal = Refusal::of(status);
    refusal.assert(Code::ResourceExhausted, "QUOTA_EXCEEDED");
    assert_eq!(refusal.metadata("limit"), Some(limit));
    assert!(refusal.has_retry_delay());
    assert!(refusal.details.quota_failure().is_some());
}

#[tokio::test]
async fn a_tenant_has_its_streams_and_no_more() {
    let callers = callers("streams = 2");
    let server = callers.serve(|_| {}).await;
    let mut anna = caller(&server, callers.key("anna")).await;
    let mut ben = caller(&server, callers.key("ben")).await;
    let all = pb::WatchMatchesRequest::default;
    let one = anna.watch_matches(all()).await.unwrap();
    let _other = anna.watch_matches(all()).await.unwrap();
    assert_quota(anna.watch_matches(all()).await.unwrap_err(), "streams");
    let refused = anna.run_match(portrait_request(&server.folder())).await.unwrap_err();
    assert_quota(refused, "streams");
    anna.list_matches(pb::ListMatchesRequest::default()).await.unwrap();
    ben.watch_matches(all()).await.unwrap();
    drop(one);
    // The server notices the end of a stream a moment later.
    while let Err(status) = anna.watch_matches(all()).await {
        assert_quota(status, "streams");
    }
}

#[tokio::test]
async fn a_tenant_has_its_rate_and_no_more() {
    let callers = callers("rate = 3");
    let server = callers.serve(|_| {}).await;
    let mut anna = caller(&server, callers.key("anna")).await;
    let mut ben = caller(&server, callers.key("ben")).await;
    let list = pb::ListMatchesRequest::default;
    let mut refused = 0;
    for _ in 0..50 {
        if let Err(status) = anna.list_matches(list()).await {
            assert_quota(status, "rate");
            refused += 1;
        }
        ben.list_matches(list()).await.unwrap();
    }
    assert!(refused > 0, "fifty calls in a row are more than three a second");
}

#[tokio::test]
async fn a_tenant_has_its_unfinished_matches_and_a_repeat_is_never_refused() {
    let callers = callers("unfinished = 2");
    let server = callers.serve(|_| {}).await;
    server.oz.switch(|switches| switches.processing_ms = 3_600_000);
    let mut anna = caller(&server, callers.key("anna")).await;
    let mut ben = caller(&server, callers.key("ben")).await;
    let request = |id: &str| with_request_id(id, portrait_request(&server.folder()));
    let known = request("one");
    anna.create_match(known.clone()).await.unwrap();
    anna.create_match(request("two")).await.unwrap();
    assert_quota(anna.create_match(request("three")).await.unwrap_err(), "unfinished-matches");
    anna.create_match(known).await.unwrap();
    ben.create_match(request("three")).await.unwrap();
}

#[tokio::test]
async fn a_tenant_has_its_photo_memory_and_a_repeat_is_never_refused() {
    let callers = callers("photo-memory = \"1KiB\"");
    let server = callers.serve(|_| {}).await;
    let mut anna = caller(&server, callers.key("anna")).await;
    let mut ben = caller(&server, callers.key("ben")).await;
    let request = || portrait_request(&server.folder());
    assert_quota(anna.run_match(request()).await.unwrap_err(), "photo-memory");
    let mut updates = ben.run_match(request()).await.unwrap().into_inner();
    read_until(&mut updates, "finished").await;
}
