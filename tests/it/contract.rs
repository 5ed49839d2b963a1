//! The contract of every response and of every match, checked on the wire.

use std::collections::BTreeSet;

use bytes::Bytes;
use facematch::pb::{self, LivenessPolicy, MatchState, PhotoKind, match_update::Event};
use futures_util::stream;
use http::{HeaderMap, Response};
use http_body_util::{BodyExt, StreamBody};
use prost::Message;
use serde_json::json;
use tonic::{Code, Status, body::Body, transport::Channel};
use tonic_types::StatusExt;
use tower::Service;

use crate::{
    support::{
        Refusal, TestServer, cancel, collect, delete, folder_media_request, get, last_match,
        portrait_request, read_until, rule, watch, with_request_id,
    },
    transport::{self, announced},
};

const VERSION: &str = "facematch-version";
const PUSHBACK: &str = "grpc-retry-pushback-ms";

/// All methods on the port.
const METHODS: [&str; 13] = [
    "facematch.v1.FaceMatch/RunMatch",
    "facematch.v1.FaceMatch/CreateMatch",
    "facematch.v1.FaceMatch/GetMatch",
    "facematch.v1.FaceMatch/WaitMatch",
    "facematch.v1.FaceMatch/WatchMatch",
    "facematch.v1.FaceMatch/WatchMatches",
    "facematch.v1.FaceMatch/ListMatches",
    "facematch.v1.FaceMatch/CancelMatch",
    "facematch.v1.FaceMatch/DeleteMatch",
    "grpc.health.v1.Health/Check",
    "grpc.health.v1.Health/Watch",
    "grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];

/// The headers and trailers of a response.
struct Answer {
    head: HeaderMap,
    trailers: HeaderMap,
}

impl Answer {
    fn status(&self) -> Status {
        let of = |headers| Status::from_header_map(headers);
        of(&self.head).or_else(|| of(&self.trailers)).expect("the response has a status")
    }

    /// The retry pushback, in milliseconds, from the headers or the trailers.
    fn pushback(&self) -> Option<&str> {
        let value = self.head.get(PUSHBACK).or_else(|| self.trailers.get(PUSHBACK));
        value.map(|value| value.to_str().unwrap())
    }
}

/// Calls a method with a raw body, over a connection of its own.
async fn begin(house: &TestServer, method: &str, body: Vec<Bytes>) -> Response<Body> {
    let mut channel: Channel = transport::channel(&house.address).await;
    let frames =
        stream::iter(body.into_iter().map(|piece| Ok::<_, Status>(http_body::Frame::data(piece))));
    let request = http::Request::post(format!("/{method}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Body::new(StreamBody::new(frames)))
        .unwrap();
    std::future::poll_fn(|context| channel.poll_ready(context)).await.unwrap();
    channel.call(request).await.unwrap()
}

async fn answer(house: &TestServer, method: &str, body: Vec<Bytes>) -> Answer {
    let (parts, body) = begin(house, method, body).await.into_parts();
    let trailers = body.collect().await.unwrap().trailers().cloned().unwrap_or_default();
    Answer { head: parts.headers, trailers }
}

fn framed(message: &impl Message) -> Bytes {
    let message = message.encode_to_vec();
    announced(u32::try_from(message.len()).unwrap(), &message)
}

#[tokio::test]
async fn every_response_carries_the_service_s_version() {
    let house = TestServer::build().await;
    let unknown = ["facematch.v1.FaceMatch/RunMatches", "elsewhere.Service/Call", "nowhere"];
    for method in METHODS.into_iter().chain(unknown) {
        for body in
            [vec![], vec![Bytes::from_static(b"\0\0\0\0\0")], vec![announced(5, &[0xff; 5])]]
        {
            // Streams that stay open send their headers at once.
            let head = begin(&house, method, body).await.headers().clone();
            assert_eq!(head[VERSION], env!("CARGO_PKG_VERSION"), "{method}");
        }
    }
}

#[tokio::test]
async fn a_retry_delay_is_given_in_details_and_pushback_and_has_jitter() {
    let mut house = TestServer::build_with(|config| config.max_unfinished = 1).await;
    house.oz.script([rule(json!({"then": {"never_finish": true}}))]);
    let request = portrait_request(&house.folder());
    house.client.create_match(request.clone()).await.unwrap();
    let mut times = BTreeSet::new();
    for _ in 0..30 {
        let refused = answer(&house, METHODS[0], vec![framed(&request)]).await;
        let details = refused.status().get_error_details();
        let info = details.error_info().unwrap();
        assert_eq!(
            (info.reason.as_str(), info.metadata["limit"].as_str()),
            ("OVERLOADED", "unfinished-matches")
        );
        let delay = details.retry_info().unwrap().retry_delay.unwrap().as_millis();
        assert_eq!(refused.pushback(), Some(delay.to_string().as_str()));
        assert!((1_000..=1_500).contains(&delay), "{delay}");
        times.insert(delay);
    }
    assert!(times.len() > 15, "{times:?}");
    let absent = answer(&house, METHODS[2], vec![framed(&get(sample_id()))]).await;
    assert_eq!(absent.status().code(), Code::NotFound);
    assert_eq!(absent.pushback(), None, "a retry would not help");
}

/// gRPC repeats a stream by itself only until it has response headers of its own.
#[tokio::test]
async fn a_refusal_is_one_block_of_headers_in_every_method() {
    let house = TestServer::build().await;
    // A well-formed request that says nothing is refused by each of these methods.
    let empty = ["RunMatch", "CreateMatch", "GetMatch", "WaitMatch", "WatchMatch", "CancelMatch"];
    let absent = framed(&get(sample_id()));
    let token = pb::WatchMatchesRequest { resume_token: "damaged".into(), ..Default::default() };
    let page = pb::ListMatchesRequest { page_token: "damaged".into(), ..Default::default() };
    let mut refused = vec![("WatchMatches", framed(&token)), ("ListMatches", framed(&page))];
    refused.extend(empty.into_iter().map(|name| (name, Bytes::from_static(b"\0\0\0\0\0"))));
    // The requests for one match have the same first field.
    let by_id = ["GetMatch", "WaitMatch", "WatchMatch", "CancelMatch", "DeleteMatch"];
    refused.extend(by_id.into_iter().map(|name| (name, absent.clone())));
    for (name, body) in refused {
        let method = format!("facematch.v1.FaceMatch/{name}");
        let Answer { head, trailers } = answer(&house, &method, vec![body]).await;
        let status = Status::from_header_map(&head).unwrap_or_else(|| panic!("{name}: {head:?}"));
        assert!(status.get_error_details().error_info().is_some(), "{name}: {status:?}");
        assert!(trailers.is_empty(), "{name}: {trailers:?}");
    }
}

fn sample_id() -> &'static str {
    "7e782ba3-94fa-4b34-94a0-c1e2f8c3b5b1"
}

#[tokio::test]
async fn undecodable_bytes_are_an_invalid_argument_in_every_method() {
    let house = TestServer::build().await;
    let table: [(&str, Vec<Bytes>); 7] = [
        ("no message", vec![]),
        ("half a prefix", vec![Bytes::from_static(b"\0\0")]),
        ("less than announced", vec![announced(100, b"so far")]),
        ("compressed without an encoding", vec![Bytes::from_static(b"\x01\0\0\0\x01a")]),
        ("an unknown flag", vec![Bytes::from_static(b"\x07\0\0\0\x01a")]),
        ("not protobuf", vec![announced(5, &[0xff; 5])]),
        // Field 1 of every request is a string or, in ListMatches, a number.
        ("no UTF-8", vec![announced(6, b"\x0a\x04\xff\xfe\xfd\xfc")]),
    ];
    for method in METHODS {
        let is_stream = method.contains("Reflection");
        // A client stream without a message is valid.
        for (name, body) in table.iter().skip(usize::from(is_stream)) {
            let ended = answer(&house, method, body.clone()).await;
            let status = ended.status();
            assert_eq!(status.code(), Code::InvalidArgument, "{method}, {name}: {status:?}");
            assert_eq!(ended.pushback(), None, "{method}, {name}");
        }
        if !is_stream {
            let twice = vec![Bytes::from_static(b"\0\0\0\0\0"); 2];
            let status = answer(&house, method, twice).await.status();
            assert_eq!(status.code(), Code::InvalidArgument, "{method}, two messages: {status:?}");
        }
    }
}

#[tokio::test]
async fn a_polling_caller_sees_the_same_trouble_and_deadline_as_a_watcher() {
    let mut house = TestServer::build().await;
    let fails = json!({"match": {"endpoint": "get_analysis"}, "then": {"status": 502}});
    house.oz.script([rule(fails)]);
    let request = portrait_request(&house.folder());
    let mut updates = house.client.run_match(request).await.unwrap().into_inner();
    let seen = read_until(&mut updates, "attempt_failed").await;
    let Some(Event::Accepted(accepted)) = &seen[0].event else { panic!("{seen:?}") };
    let before = seen[seen.len() - 2].r#match.as_ref().unwrap();
    assert_eq!((before.deadline, before.trouble.as_ref()), (accepted.deadline, None));

    let update = seen.last().unwrap();
    let Some(Event::AttemptFailed(told)) = &update.event else { panic!("{update:?}") };
    let id = &update.match_id;
    let polled = house.client.get_match(get(id)).await.unwrap().into_inner();
    let trouble = polled.trouble.as_ref().expect("the match has trouble");
    assert_eq!((trouble.cause.as_str(), &trouble.cause), ("OZ_SERVER_ERROR", &told.cause));
    assert_eq!((&trouble.message, &trouble.metadata), (&told.message, &told.metadata));
    assert_eq!(trouble.next_attempt_time, told.next_attempt_time);
    assert_eq!(trouble.since, update.time);
    assert_eq!(polled.deadline, accepted.deadline);
    assert_eq!(Some(&polled), update.r#match.as_ref());
    let listed = house.client.list_matches(pb::ListMatchesRequest::default()).await.unwrap();
    assert_eq!(listed.into_inner().matches, [polled]);

    house.oz.clear_rules();
    let ended = collect(updates).await.unwrap();
    assert_eq!(last_match(&ended).state(), MatchState::Finished);
    assert_eq!((last_match(&ended).deadline, last_match(&ended).trouble.as_ref()), (None, None));
}

#[tokio::test]
async fn a_match_shows_its_policy_its_media_and_its_liveness_analysis() {
    let mut house = TestServer::build().await;
    let folder = house.folder();
    for policy in [LivenessPolicy::Unspecified, LivenessPolicy::Require, LivenessPolicy::Run] {
        let request =
            pb::MatchRequest { liveness_policy: policy.into(), ..portrait_request(&folder) };
        let updates = house.run(request).await;
        let of = |n: usize| updates[n].r#match.as_ref().unwrap();
        let told =
            if policy == LivenessPolicy::Unspecified { LivenessPolicy::Report } else { policy };
        assert!(updates.iter().all(|u| u.r#match.as_ref().unwrap().liveness_policy() == told));
        assert!(
            updates.iter().all(|u| u.r#match.as_ref().unwrap().photo_kind() == PhotoKind::Selfie)
        );

        let Some(Event::PhotoUploaded(uploaded)) = &updates[1].event else { panic!("{updates:?}") };
        assert!(of(0).liveness_media_ids.is_empty(), "the media are not known yet");
        assert!((1..4).all(|n| of(n).liveness_media_ids == uploaded.liveness_media_ids));
        assert!(!uploaded.liveness_media_ids.is_empty());

        let liveness = last_match(&updates).result.as_ref().unwrap().liveness.as_ref().unwrap();
        let known = updates.iter().map(|u| &u.r#match.as_ref().unwrap().liveness_analysis_id);
        let known: Vec<_> = known.map(|id| *id == liveness.analysis_id).collect();
        let expected = [false, policy != LivenessPolicy::Run, true, true];
        assert_eq!(known, expected, "{policy:?}");
    }
}

#[tokio::test]
async fn requested_media_and_kind_are_shown_from_the_first_update() {
    let mut house = TestServer::build().await;
    let folder = house.folder();
    let found = last_match(&house.run(portrait_request(&folder)).await).liveness_media_ids.clone();
    let mut request = portrait_request(&folder);
    request.liveness_media_ids.clone_from(&found);
    request.photo.as_mut().unwrap().kind = PhotoKind::IdFront.into();
    let updates = house.run(request).await;
    for update in &updates {
        let m = update.r#match.as_ref().unwrap();
        assert_eq!((&m.liveness_media_ids, m.photo_kind()), (&found, PhotoKind::IdFront));
    }
}

#[tokio::test]
async fn a_match_is_erased_by_either_id_and_a_repeat_finds_no_match() {
    let mut house = TestServer::build().await;
    let ended = house.run(with_request_id("order 17", portrait_request(&house.folder()))).await;
    let by_request = || pb::DeleteMatchRequest {
        id: Some(pb::delete_match_request::Id::RequestId("order 17".into())),
    };
    let erased = house.client.delete_match(by_request()).await.unwrap().into_inner();
    assert_eq!(erased.match_id, last_match(&ended).match_id);
    assert_eq!(erased.photo_media_id, last_match(&ended).photo_media_id);
    assert!(erased.delete_time.is_some());
    for request in [by_request(), delete(&erased.match_id)] {
        let again = house.client.delete_match(request).await.unwrap_err();
        Refusal::of(again).assert(Code::NotFound, "MATCH_NOT_FOUND");
    }
}

#[tokio::test]
async fn erasing_a_match_without_a_photo_at_oz_names_no_photo() {
    let mut house = TestServer::build().await;
    let absent = folder_media_request(&house.folder(), sample_id());
    let failed = last_match(&house.run(absent).await).clone();
    assert_eq!(failed.state(), MatchState::Failed);
    let erased = house.client.delete_match(delete(&failed.match_id)).await.unwrap().into_inner();
    assert_eq!(erased.photo_media_id, "");
}

#[tokio::test]
async fn a_heartbeat_carries_the_interval() {
    let mut house = TestServer::build_with(|config| {
        config.heartbeat = std::time::Duration::from_millis(1_500);
    })
    .await;
    house.oz.script([rule(json!({"then": {"never_finish": true}}))]);
    let request = portrait_request(&house.folder());
    let created = house.client.create_match(request).await.unwrap().into_inner();
    let mut one = house.client.watch_match(watch(&created.match_id)).await.unwrap().into_inner();
    let mut all = crate::watching::all_after(&house, "").await;
    for stream in [&mut one, &mut all] {
        let seen = read_until(stream, "heartbeat").await;
        let Some(Event::Heartbeat(beat)) = &seen.last().unwrap().event else { panic!() };
        let interval = beat.interval.unwrap();
        assert_eq!((interval.seconds, interval.nanos), (1, 500_000_000));
    }
    house.client.cancel_match(cancel(&created.match_id)).await.unwrap();
}

#[test]
fn generated_code_has_the_documented_packages() {
    let set = prost_types::FileDescriptorSet::decode(pb::FILE_DESCRIPTOR_SET).unwrap();
    let file = set.file.iter().find(|file| file.package() == "facematch.v1").unwrap();
    let options = file.options.as_ref().unwrap();
    assert_eq!(
        options.go_package(),
        "github.com/facematch/facematch/clients/go/facematchv1;facematchv1"
    );
    assert_eq!(options.java_package(), "dev.facematch.v1");
    assert!(options.java_multiple_files());
    assert_eq!(options.java_outer_classname(), "FaceMatchProto");
    assert_eq!(options.csharp_namespace(), "FaceMatch.V1");
}

#[test]
fn every_request_for_one_match_has_the_same_oneof_of_ids() {
    let set = prost_types::FileDescriptorSet::decode(pb::FILE_DESCRIPTOR_SET).unwrap();
    let messages = set.file.iter().flat_map(|file| &file.message_type);
    let named: Vec<_> = messages
        .filter(|message| message.oneof_decl.iter().any(|oneof| oneof.name() == "id"))
        .map(|message| {
            let ids = message.field.iter().filter(|field| field.oneof_index.is_some());
            let ids: Vec<_> = ids.map(|field| (field.name(), field.number())).collect();
            assert_eq!(ids, [("match_id", 1), ("request_id", 2)], "{}", message.name());
            message.name()
        })
        .collect();
    let five = [
        "GetMatchRequest",
        "WaitMatchRequest",
        "WatchMatchRequest",
        "CancelMatchRequest",
        "DeleteMatchRequest",
    ];
    assert_eq!(named, five);
}
