//! Bad input of the calls that look things up: ids, waits, lists and watches.

use facematch::pb::{self, ListMatchesRequest, WaitMatchRequest, WatchMatchesRequest};
use prost_types::{Duration, Timestamp};
use tonic::Code;

use crate::support::{House, Refusal, last, portrait_request};

fn duration(seconds: i64, nanos: i32) -> Duration {
    Duration { seconds, nanos }
}

fn uuid() -> String {
    "7e782ba3-94fa-4b34-94a0-c1e2f8c3b5b1".into()
}

#[tokio::test]
async fn every_call_about_a_match_says_what_is_wrong_with_its_id() {
    let mut house = House::build().await;
    let ids = ["", "..", "7e782ba394fa4b3494a0c1e2f8c3b5b1", "матч"];
    for id in ids {
        for (rpc, status) in calls_by_match_id(&mut house, id).await {
            let refusal = Refusal::of(status);
            assert_eq!(refusal.fields(), ["match_id"], "{rpc} of {id:?}");
            refusal.assert(Code::InvalidArgument, "FIELD_INVALID");
        }
    }
    for id in ["", "\n", "é", &"x".repeat(129)] {
        for (rpc, status) in calls_by_request_id(&mut house, id).await {
            let refusal = Refusal::of(status);
            assert_eq!(refusal.fields(), ["request_id"], "{rpc} of {id:?}");
            refusal.assert(Code::InvalidArgument, "FIELD_INVALID");
        }
    }
    let no_id = house.client.get_match(pb::GetMatchRequest { id: None }).await;
    Refusal::of(no_id.expect_err("which?")).assert_fields("FIELD_INVALID", &["match_id"]);
    let wait = WaitMatchRequest { id: None, timeout: Some(duration(601, 0)) };
    let refusal = Refusal::of(house.client.wait_match(wait).await.expect_err("which?"));
    refusal.assert_fields("FIELD_INVALID", &["match_id", "timeout"]);
}

#[tokio::test]
async fn a_match_that_is_not_there_is_named_by_every_call() {
    let mut house = House::build().await;
    let by_match = calls_by_match_id(&mut house, &uuid()).await.into_iter();
    let by_request = calls_by_request_id(&mut house, "order 17").await;
    let named = by_match.map(|call| (uuid(), call));
    let named = named.chain(by_request.into_iter().map(|call| ("order 17".to_owned(), call)));
    for (id, (rpc, status)) in named {
        let refusal = Refusal::of(status);
        assert_eq!(refusal.reason(), "MATCH_NOT_FOUND", "{rpc}");
        refusal.assert(Code::NotFound, "MATCH_NOT_FOUND");
        let resource = refusal.details.resource_info().expect("which one");
        assert_eq!((resource.resource_type.as_str(), &resource.resource_name), ("match", &id));
    }
    house.assert_untouched("a match that isn't there").await;
}

macro_rules! refusals {
    ($house:expr, $id:expr, $variant:ident: $($rpc:ident $module:ident $request:ident),*) => {
        vec![$({
            let id = Some(pb::$module::Id::$variant($id.to_owned()));
            #[allow(clippy::needless_update, reason = "some requests are nothing but an id")]
            let request = pb::$request { id, ..pb::$request::default() };
            let refused = $house.client.$rpc(request).await;
            (stringify!($rpc), refused.err().unwrap_or_else(|| panic!(stringify!($rpc))))
        }),*]
    };
}

/// What each call says that names a match by our id.
async fn calls_by_match_id(house: &mut House, id: &str) -> Vec<(&'static str, tonic::Status)> {
    let mut all = refusals!(house, id, MatchId:
        get_match get_match_request GetMatchRequest,
        wait_match wait_match_request WaitMatchRequest,
        watch_match watch_match_request WatchMatchRequest,
        cancel_match cancel_match_request CancelMatchRequest);
    let delete = pb::DeleteMatchRequest { match_id: id.to_owned() };
    let deleted = house.client.delete_match(delete).await;
    all.push(("delete_match", deleted.expect_err("it is refused")));
    all
}

/// What each call says that may name a match by the caller's id.
async fn calls_by_request_id(house: &mut House, id: &str) -> Vec<(&'static str, tonic::Status)> {
    refusals!(house, id, RequestId:
        get_match get_match_request GetMatchRequest,
        wait_match wait_match_request WaitMatchRequest,
        watch_match watch_match_request WatchMatchRequest,
        cancel_match cancel_match_request CancelMatchRequest)
}

#[tokio::test]
async fn a_wait_is_from_nothing_to_ten_minutes() {
    let mut house = House::build().await;
    let updates = house.run(portrait_request(&house.folder())).await;
    let wait = |timeout| {
        let id = pb::wait_match_request::Id::MatchId(last(&updates).match_id.clone());
        WaitMatchRequest { id: Some(id), timeout: Some(timeout) }
    };
    for wrong in [(-1, 0), (0, -1), (601, 0), (600, 1), (1, 1_000_000_000), (i64::MAX, 0)] {
        let refused = house.client.wait_match(wait(duration(wrong.0, wrong.1))).await;
        let refusal = Refusal::of(refused.expect_err("it is refused"));
        refusal.assert_fields("FIELD_INVALID", &["timeout"]);
    }
    for (seconds, nanos) in [(0, 0), (0, 1), (600, 0)] {
        house.client.wait_match(wait(duration(seconds, nanos))).await.expect("it is fine");
    }
}

#[tokio::test]
async fn a_list_says_everything_that_is_wrong_with_it() {
    let mut house = House::build().await;
    let time = |seconds, nanos| Some(Timestamp { seconds, nanos });
    let list = ListMatchesRequest {
        page_size: -1,
        folder_id: "%2f".into(),
        labels: [(String::new(), "v".repeat(257))].into(),
        states: vec![1, 0, 6, 7, -1],
        created_after: time(i64::MAX, 0),
        created_before: time(0, -1),
        ..Default::default()
    };
    let refusal = Refusal::of(house.client.list_matches(list).await.expect_err("it is refused"));
    let fields = [
        "labels",
        "labels",
        "folder_id",
        "states[1]",
        "states[3]",
        "states[4]",
        "created_after",
        "created_before",
        "page_size",
    ];
    refusal.assert_fields("FIELD_INVALID", &fields);

    for created_after in [time(i64::MIN, 0), time(253_402_300_800, 0), time(0, 1_000_000_000)] {
        let list = ListMatchesRequest { created_after, ..Default::default() };
        let refused = house.client.list_matches(list).await.expect_err("it is refused");
        Refusal::of(refused).assert_fields("FIELD_INVALID", &["created_after"]);
    }
    let capped = ListMatchesRequest { page_size: i32::MAX, ..Default::default() };
    house.client.list_matches(capped).await.expect("it is capped");
}

#[tokio::test]
async fn a_thousand_mistakes_fit_into_one_error() {
    let mut house = House::build().await;
    let list = ListMatchesRequest { states: vec![-1; 10_000], ..Default::default() };
    let refusal = Refusal::of(house.client.list_matches(list).await.expect_err("it is refused"));
    refusal.assert(Code::InvalidArgument, "FIELD_INVALID");
    assert_eq!(refusal.fields()[..2], ["states[0]", "states[1]"]);
}

#[tokio::test]
async fn a_watch_of_all_says_what_is_wrong_with_its_filter() {
    let mut house = House::build().await;
    let watch = WatchMatchesRequest {
        folder_id: "..".into(),
        labels: [("key".into(), "\n".into())].into(),
        ..Default::default()
    };
    let refusal = Refusal::of(house.client.watch_matches(watch).await.expect_err("it is refused"));
    refusal.assert_fields("FIELD_INVALID", &["labels", "folder_id"]);
}
