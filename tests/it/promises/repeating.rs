//! Idempotency: one request id means one match, for any number of repeats at any time.

use std::time::Duration;

use bytes::Bytes;
use facematch::{
    pb::{LivenessPolicy, MatchRequest, MatchUpdate, PhotoKind},
    simulator::sample,
};
use futures_util::future::join_all;
use serde_json::json;
use tonic::Code;

use crate::{
    canary::FILE_NAME,
    checker::{check_all_updates, check_one_photo_and_one_analysis},
    support::{
        TestServer, cancel, collect, delete, event_name, last_match, portrait_request, read_until,
        request, rule, with_request_id,
    },
};

const CALLERS: usize = 50;

/// Updates without their resume tokens, which depend on the run of the service.
fn bare(updates: Vec<MatchUpdate>) -> Vec<MatchUpdate> {
    let bare = |update| MatchUpdate { resume_token: String::new(), ..update };
    updates.into_iter().map(bare).collect()
}

#[tokio::test]
async fn fifty_concurrent_callers_with_one_request_id_share_one_match() {
    let house = TestServer::build().await;
    let request = with_request_id("order 17", portrait_request(&house.folder()));
    let calls = (0..CALLERS).map(|_| {
        let (mut client, request) = (house.client.clone(), request.clone());
        async move { collect(client.run_match(request).await.unwrap().into_inner()).await.unwrap() }
    });
    let all = join_all(calls).await;
    all.iter().for_each(|updates| check_all_updates(updates));
    assert!(all.iter().all(|updates| *updates == all[0]), "callers see different updates");
    assert_eq!(
        (house.requests_to_oz("POST", "/media"), house.requests_to_oz("POST", "/analyses")),
        (1, 1)
    );
    check_one_photo_and_one_analysis(&house.oz, last_match(&all[0]));
}

#[tokio::test]
async fn a_repeat_after_the_end_streams_all_updates_again_even_after_a_restart() {
    let mut house = TestServer::build().await;
    let request = with_request_id("order 17", portrait_request(&house.folder()));
    let first = house.run(request.clone()).await;
    check_all_updates(&first);
    assert_eq!(house.run(request.clone()).await, first);
    let mut house = house.restart().await;
    assert_eq!(bare(house.run(request).await), bare(first));
    assert_eq!(
        (house.requests_to_oz("POST", "/media"), house.requests_to_oz("POST", "/analyses")),
        (1, 1)
    );
}

#[tokio::test]
async fn a_repeat_of_a_running_match_streams_from_its_first_update() {
    let mut house = TestServer::build().await;
    house.oz.script([rule(json!({"then": {"never_finish": true}}))]);
    let request = with_request_id("order 17", portrait_request(&house.folder()));
    let mut first = house.client.run_match(request.clone()).await.unwrap().into_inner();
    let seen = read_until(&mut first, "analysis_started").await;
    let mut again = house.client.run_match(request).await.unwrap().into_inner();
    assert_eq!(read_until(&mut again, "analysis_started").await, seen);
    house.client.cancel_match(cancel(&seen[0].match_id)).await.unwrap();
    let (one, other) = (collect(first).await.unwrap(), collect(again).await.unwrap());
    assert_eq!(one, other);
    assert_eq!(event_name(&one[0]), "cancelled");
}

/// Requests that differ from `first` in one field each, with the name of the field.
fn others(first: &MatchRequest) -> Vec<(&'static str, MatchRequest)> {
    let with = |change: fn(&mut MatchRequest)| {
        let mut other = first.clone();
        change(&mut other);
        other
    };
    let unknown = || uuid::Uuid::nil().to_string();
    let seven_seconds = Duration::from_secs(7).try_into().expect("a duration of the wire");
    let stranger = request(&first.folder_id, Bytes::from_static(sample::stranger_jpeg()));
    vec![
        ("folder_id", MatchRequest { folder_id: unknown(), ..first.clone() }),
        ("photo", with_request_id(&first.request_id, stranger)),
        ("photo.kind", with(|r| r.photo.as_mut().unwrap().set_kind(PhotoKind::IdFront))),
        ("timeout", MatchRequest { timeout: Some(seven_seconds), ..first.clone() }),
        (
            "liveness_media_ids",
            MatchRequest { liveness_media_ids: vec![unknown()], ..first.clone() },
        ),
        ("liveness_policy", with(|r| r.set_liveness_policy(LivenessPolicy::Require))),
        ("labels", with(|r| r.labels = [("branch".to_owned(), "riga".to_owned())].into())),
    ]
}

#[tokio::test]
async fn a_request_id_with_other_content_is_refused_and_the_field_is_named() {
    let mut house = TestServer::build().await;
    let first = with_request_id("order 17", portrait_request(&house.folder()));
    let updates = house.run(first.clone()).await;
    for (field, other) in others(&first) {
        let refusal = house.run_refused(other).await;
        assert_eq!((refusal.code, refusal.reason()), (Code::AlreadyExists, "REQUEST_ID_REUSED"));
        assert_eq!(refusal.metadata("field"), Some(field));
    }
    let mut same = first;
    same.set_liveness_policy(LivenessPolicy::Report);
    let photo = same.photo.as_mut().expect("a photo");
    photo.file_name = format!("other {FILE_NAME}.jpg");
    photo.set_kind(PhotoKind::Selfie);
    assert_eq!(house.run(same).await, updates, "file names and defaults aren't content");
}

#[tokio::test]
async fn a_refused_call_uses_up_no_id_and_an_erased_match_frees_its_id() {
    let mut house = TestServer::build().await;
    let folder = house.folder();
    let unreadable =
        with_request_id("order 17", request(&folder, Bytes::from_static(b"no picture")));
    assert_eq!(house.run_refused(unreadable).await.code, Code::InvalidArgument);
    let good = with_request_id("order 17", portrait_request(&folder));
    let first = house.run(good.clone()).await;
    house.client.delete_match(delete(&first[0].match_id)).await.unwrap();
    let second = house.run(good).await;
    check_all_updates(&second);
    assert_ne!(first[0].match_id, second[0].match_id);
}

#[tokio::test]
async fn a_repeat_is_never_refused_as_overload() {
    let mut house = TestServer::build_with(|config| config.max_unfinished = 1).await;
    house.oz.script([rule(json!({"then": {"never_finish": true}}))]);
    let folder = house.folder();
    let first = with_request_id("order 17", portrait_request(&folder));
    let created = house.client.create_match(first.clone()).await.unwrap().into_inner();
    let refusal = house.run_refused(with_request_id("order 18", portrait_request(&folder))).await;
    assert_eq!((refusal.code, refusal.reason()), (Code::ResourceExhausted, "OVERLOADED"));
    assert!(refusal.details.retry_info().is_some());
    let again = house.client.create_match(first).await.unwrap().into_inner();
    assert_eq!(again.match_id, created.match_id);
    house.client.cancel_match(cancel(&created.match_id)).await.unwrap();
}
