//! Invalid look-ups: ids, waits, lists and watches.

use facematch::pb::{self, ListMatchesRequest, WaitMatchRequest, WatchMatchesRequest};
use prost_types::{Duration, Timestamp};
use tonic::Code;

use super::{
    Case, Expected,
    fields::{NO_UUIDS, no_utf8_where},
    uuid,
};

/// All rows of this file.
pub fn cases() -> Vec<Case> {
    let mut all = ids();
    all.extend(waits());
    all.extend(lists());
    all.extend(watches());
    all
}

/// A row for each method that names a match, with this id.
macro_rules! each_call {
    ($name:expr, $id:expr, $variant:ident, $expected:expr) => {
        each_call!($name, $id, $variant, $expected =>
            "GetMatch" get_match_request GetMatchRequest,
            "WaitMatch" wait_match_request WaitMatchRequest,
            "WatchMatch" watch_match_request WatchMatchRequest,
            "CancelMatch" cancel_match_request CancelMatchRequest,
            "DeleteMatch" delete_match_request DeleteMatchRequest)
    };
    ($name:expr, $id:expr, $variant:ident, $expected:expr =>
        $($rpc:literal $module:ident $request:ident),*) => {
        vec![$({
            let id = Some(pb::$module::Id::$variant($id));
            #[allow(clippy::needless_update, reason = "some requests are nothing but an id")]
            let request = pb::$request { id, ..pb::$request::default() };
            Case::request($name, $rpc, &request, $expected)
        }),*]
    };
}

fn by_match_id(id: &str, expected: fn() -> Expected) -> Vec<Case> {
    each_call!(format!("match_id {id:?}"), id.to_owned(), MatchId, expected())
}

fn by_request_id(id: &str, expected: fn() -> Expected) -> Vec<Case> {
    each_call!(format!("request_id {id:?}"), id.to_owned(), RequestId, expected())
}

fn ids() -> Vec<Case> {
    let wrong_match = || Expected::field("match_id");
    let wrong_request = || Expected::field("request_id");
    let absent = || Expected::Told(Code::NotFound, "MATCH_NOT_FOUND");
    let match_ids = NO_UUIDS.into_iter().chain([""]);
    let mut all: Vec<_> = match_ids.flat_map(|id| by_match_id(id, wrong_match)).collect();
    for id in ["", "\n", "\0", "é", "заказ", &"x".repeat(129)] {
        all.extend(by_request_id(id, wrong_request));
    }
    all.extend(by_match_id(&uuid(), absent));
    all.extend(by_request_id("order 17", absent));
    for rpc in ["GetMatch", "WatchMatch", "CancelMatch", "DeleteMatch"] {
        all.push(Case::request("no id", rpc, &pb::GetMatchRequest { id: None }, wrong_match()));
    }
    let get = |id| pb::GetMatchRequest { id: Some(id) };
    let by_match = |text| get(pb::get_match_request::Id::MatchId(text));
    let by_request = |text| get(pb::get_match_request::Id::RequestId(text));
    for rpc in ["GetMatch", "WaitMatch", "WatchMatch", "CancelMatch", "DeleteMatch"] {
        all.extend(no_utf8_where("match_id", rpc, by_match));
    }
    for rpc in ["GetMatch", "WaitMatch", "WatchMatch", "CancelMatch"] {
        all.extend(no_utf8_where("request_id", rpc, by_request));
    }
    all
}

fn waits() -> Vec<Case> {
    let wait = |id, (seconds, nanos): (i64, i32), fields: &[&str]| {
        let request = WaitMatchRequest { id, timeout: Some(Duration { seconds, nanos }) };
        let name = format!("a timeout of {seconds} s and {nanos} ns");
        Case::request(name, "WaitMatch", &request, Expected::fields(fields))
    };
    let of_a_match = || Some(pb::wait_match_request::Id::MatchId(uuid()));
    let mut all: Vec<_> = [
        (-1, 0),
        (0, -1),
        (1, -1),
        (-1, 1),
        (601, 0),
        (600, 1),
        (1, 1_000_000_000),
        (i64::MAX, 0),
        (i64::MIN, i32::MIN),
    ]
    .map(|timeout| wait(of_a_match(), timeout, &["timeout"]))
    .into();
    all.push(wait(None, (601, 0), &["match_id", "timeout"]));
    all
}

fn lists() -> Vec<Case> {
    let list = |name: &str, request: ListMatchesRequest, fields: &[&str]| {
        Case::request(name, "ListMatches", &request, Expected::fields(fields))
    };
    let base = ListMatchesRequest::default;
    let mut all = vec![
        list("all fields", list_with_everything_wrong(), &EVERYTHING_WRONG),
        list("a negative size", ListMatchesRequest { page_size: -1, ..base() }, &["page_size"]),
        list(
            "the smallest size",
            ListMatchesRequest { page_size: i32::MIN, ..base() },
            &["page_size"],
        ),
        list("17 labels", ListMatchesRequest { labels: labels(17), ..base() }, &["labels"]),
        list("an unknown state", ListMatchesRequest { states: vec![7], ..base() }, &["states[0]"]),
    ];
    // An error lists at most 20 violations.
    let told: Vec<String> = (0..20).map(|index| format!("states[{index}]")).collect();
    let told: Vec<&str> = told.iter().map(String::as_str).collect();
    let states = ListMatchesRequest { states: vec![-1; 6_000], ..base() };
    all.push(list("six thousand violations", states, &told));
    all.extend(NO_UUIDS.map(|folder_id| {
        let request = ListMatchesRequest { folder_id: folder_id.into(), ..base() };
        list(&format!("folder_id {folder_id:?}"), request, &["folder_id"])
    }));
    for (seconds, nanos) in
        [(i64::MIN, 0), (i64::MAX, 0), (253_402_300_800, 0), (0, 1_000_000_000), (0, -1)]
    {
        let time = Some(Timestamp { seconds, nanos });
        let name = format!("a time of {seconds} s and {nanos} ns");
        let after = ListMatchesRequest { created_after: time, ..base() };
        let before = ListMatchesRequest { created_before: time, ..base() };
        all.push(list(&name, after, &["created_after"]));
        all.push(list(&name, before, &["created_before"]));
    }
    let with_folder = |folder_id| ListMatchesRequest { folder_id, ..base() };
    all.extend(no_utf8_where("folder_id", "ListMatches", with_folder));
    let with_token = |page_token| ListMatchesRequest { page_token, ..base() };
    all.extend(no_utf8_where("page_token", "ListMatches", with_token));
    all
}

const EVERYTHING_WRONG: [&str; 9] = [
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

fn list_with_everything_wrong() -> ListMatchesRequest {
    ListMatchesRequest {
        page_size: -1,
        folder_id: "%2f".into(),
        labels: [(String::new(), "v".repeat(257))].into(),
        states: vec![1, 0, 6, 7, -1],
        created_after: Some(Timestamp { seconds: i64::MAX, nanos: 0 }),
        created_before: Some(Timestamp { seconds: 0, nanos: -1 }),
        ..Default::default()
    }
}

fn labels(count: u32) -> std::collections::HashMap<String, String> {
    (0..count).map(|n| (n.to_string(), String::new())).collect()
}

fn watches() -> Vec<Case> {
    let watch = |name: &str, request: WatchMatchesRequest, fields: &[&str]| {
        Case::request(name, "WatchMatches", &request, Expected::fields(fields))
    };
    let base = WatchMatchesRequest::default;
    let odd = [("key".into(), "\n".into())].into();
    let mut all = vec![
        watch("17 labels", WatchMatchesRequest { labels: labels(17), ..base() }, &["labels"]),
        watch(
            "an odd label and folder",
            WatchMatchesRequest { folder_id: "..".into(), labels: odd, ..base() },
            &["labels", "folder_id"],
        ),
    ];
    all.extend(NO_UUIDS.map(|folder_id| {
        let request = WatchMatchesRequest { folder_id: folder_id.into(), ..base() };
        watch(&format!("folder_id {folder_id:?}"), request, &["folder_id"])
    }));
    let with_folder = |folder_id| WatchMatchesRequest { folder_id, ..base() };
    all.extend(no_utf8_where("folder_id", "WatchMatches", with_folder));
    let with_token = |resume_token| WatchMatchesRequest { resume_token, ..base() };
    all.extend(no_utf8_where("resume_token", "WatchMatches", with_token));
    all
}
