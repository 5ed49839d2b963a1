//! The service at its limits and in its shutdown: the errors that callers get, the calls that it
//! still serves, and that it releases everything afterwards.

use bytes::Bytes;
use facematch::{
    pb::{
        self, CancelMatchRequest, MatchRequest, MatchUpdate, WaitMatchRequest, WatchMatchRequest,
        WatchMatchesRequest, cancel_match_request,
    },
    simulator::{Action, Endpoint, Rule, sample},
};
use futures_util::{StreamExt, future, stream};
use tokio::task::JoinSet;
use tonic::{Code, Status, Streaming, transport::Channel};

use crate::{
    support::{Refusal, TestServer, event_name, get, portrait_request},
    transport::{self, announced},
};

/// Longer than any test. Requests that wait for it are ended in another way.
const VERY_LONG_MS: u64 = 600_000;

fn never_finishing() -> Rule {
    Rule::on(Endpoint::StartAnalyses).then(Action { never_finish: true, ..Default::default() })
}

fn uploads_hang() -> Rule {
    let then = Action { delay_ms: Some(VERY_LONG_MS), ..Default::default() };
    Rule::on(Endpoint::AddMedia).then(then)
}

fn with_id(mut request: MatchRequest, id: &str) -> MatchRequest {
    request.request_id = id.to_owned();
    request
}

fn cancel(request_id: &str) -> CancelMatchRequest {
    let id = cancel_match_request::Id::RequestId(request_id.to_owned());
    CancelMatchRequest { id: Some(id) }
}

/// Runs a match up to its first update.
async fn accepted(house: &mut TestServer, request: MatchRequest) -> Streaming<MatchUpdate> {
    let called = house.client.run_match(request).await;
    let mut updates = called.expect("it is accepted").into_inner();
    let first = updates.message().await.expect("an update").expect("an update");
    assert_eq!(event_name(&first), "accepted");
    updates
}

fn assert_overloaded(refusal: &Refusal, limit: &str) {
    refusal.assert(Code::ResourceExhausted, "OVERLOADED");
    assert_eq!(refusal.metadata("limit"), Some(limit));
    assert!(refusal.has_retry_delay());
}

#[tokio::test]
async fn too_many_unfinished_matches_are_refused_and_known_ones_served() {
    let mut house = TestServer::build_with(|config| config.max_unfinished = 2).await;
    house.oz.script([never_finishing()]);
    let folder = house.folder();
    let requests = ["first", "second"].map(|id| with_id(portrait_request(&folder), id));
    let known = house.client.create_match(requests[0].clone()).await.expect("it is accepted");
    let _second = accepted(&mut house, requests[1].clone()).await;

    let third = with_id(portrait_request(&folder), "third");
    for request in [third.clone(), portrait_request(&folder)] {
        assert_overloaded(&house.run_refused(request).await, "unfinished-matches");
    }
    let again = house.client.create_match(requests[0].clone()).await.expect("it is known");
    assert_eq!(again.into_inner().match_id, known.into_inner().match_id);
    let mut other = requests[0].clone();
    other.labels = [("branch".into(), "riga".into())].into();
    house.run_refused(other).await.assert(Code::AlreadyExists, "REQUEST_ID_REUSED");

    house.client.cancel_match(cancel("first")).await.expect("it is cancelled");
    let unfinished = || house.load.unfinished();
    crate::support::eventually(|| unfinished() == 1, || format!("{}", unfinished())).await;
    let _third = accepted(&mut house, third).await;
    for id in ["second", "third"] {
        house.client.cancel_match(cancel(id)).await.expect("it is cancelled");
    }
    house.assert_released("three cancelled matches").await;
    house.oz.clear_rules();
    house.assert_works().await;
}

#[tokio::test]
async fn concurrent_calls_do_not_exceed_a_limit() {
    let mut house = TestServer::build_with(|config| config.max_unfinished = 3).await;
    house.oz.script([never_finishing()]);
    let folder = house.folder();
    let calls = (0..16).map(|_| {
        let mut client = house.client.clone();
        let request = portrait_request(&folder);
        async move { client.run_match(request).await }
    });
    let (accepted, refused): (Vec<_>, Vec<_>) =
        future::join_all(calls).await.into_iter().partition(Result::is_ok);
    assert_eq!((accepted.len(), refused.len()), (3, 13));
    for refusal in refused {
        assert_overloaded(&Refusal::of(refusal.expect_err("it is refused")), "unfinished-matches");
    }
    let listed = house.client.list_matches(pb::ListMatchesRequest::default()).await;
    assert_eq!(listed.expect("a list").into_inner().matches.len(), 3);
}

#[tokio::test]
async fn spent_photo_memory_refuses_new_photos_and_serves_known_ones() {
    let one_and_a_half = sample::portrait_jpeg().len() as u64 * 3 / 2;
    let mut house = TestServer::build_with(|config| config.photo_memory = one_and_a_half).await;
    house.oz.script([uploads_hang()]);
    let folder = house.folder();
    let first = with_id(portrait_request(&folder), "first");
    let _first = accepted(&mut house, first.clone()).await;
    house.oz.recorded(|all| all.iter().any(|asked| asked.endpoint == Endpoint::AddMedia)).await;

    let second = with_id(portrait_request(&folder), "second");
    // More repeats than the overflow has room for: each returns what it took.
    for _ in 0..10 {
        assert_overloaded(&house.run_refused(second.clone()).await, "photo-memory");
        let _again = accepted(&mut house, first.clone()).await;
    }
    assert_eq!(house.requests_to_oz("POST", "/media"), 1);

    house.oz.clear_rules();
    house.client.cancel_match(cancel("first")).await.expect("it is cancelled");
    house.assert_released("a cancelled match").await;
    let updates = house.run(second).await;
    assert_eq!(updates.len(), 4);
    house.assert_works().await;
}

#[tokio::test]
async fn slow_senders_leave_room_for_others() {
    let mut house = TestServer::build().await;
    let channel = transport::channel(&house.address).await;
    let mut senders = JoinSet::new();
    // The photos that they announce would fill the memory twice.
    for _ in 0..100 {
        senders.spawn(call_and_stall(channel.clone(), "RunMatch", &half_a_photo(300_000)));
    }
    let load = house.load.clone();
    let reserved = || load.photo_bytes();
    let all = 100 * 300_000;
    crate::support::eventually(|| reserved() >= all, || format!("{}", reserved())).await;
    assert!(reserved() < all + 100 * 128 * 1024, "reserved more than arrived: {}", reserved());

    let updates = house.run(portrait_request(&house.folder())).await;
    assert_eq!(updates.len(), 4);
    senders.abort_all();
    house.assert_released("aborted senders").await;
}

/// A request that announces a photo of 10 MiB and holds `come` bytes of it.
fn half_a_photo(come: usize) -> Bytes {
    let message = [b"\x1a\x85\x80\x80\x05\x0a\x80\x80\x80\x05", &vec![b'p'; come][..]].concat();
    announced(10 + (10 << 20), &message)
}

/// Sends the beginning of a message and stalls. Returns the status of the call.
fn call_and_stall(
    mut channel: Channel,
    rpc: &'static str,
    begun: &Bytes,
) -> impl Future<Output = Status> + use<> {
    let body = stream::iter([Ok(begun.clone())]).chain(stream::pending());
    async move { transport::call(&mut channel, rpc, body).await.expect_err("the message is cut") }
}

/// A test server with a running match, and a request whose photo upload hangs, which delays a
/// drain.
async fn with_a_hanging_upload() -> (TestServer, pb::Match, MatchRequest) {
    let mut house = TestServer::build().await;
    let (folder, hanging) = (house.folder(), house.folder());
    house.oz.script([never_finishing(), uploads_hang().in_folder(&hanging)]);
    let running = with_id(portrait_request(&folder), "running");
    let m = house.client.create_match(running).await.expect("it is accepted").into_inner();
    (house, m, with_id(portrait_request(&hanging), "hanging"))
}

#[tokio::test]
async fn a_draining_server_refuses_new_matches_and_serves_look_ups() {
    let (mut house, m, hanging) = with_a_hanging_upload().await;
    let _run = accepted(&mut house, hanging.clone()).await;
    let mut sender = JoinSet::new();
    let channel = transport::channel(&house.address).await;
    sender.spawn(call_and_stall(channel, "CreateMatch", &half_a_photo(1_000)));
    let (load, both) = (house.load.clone(), sample::portrait_jpeg().len() + 1_000);
    crate::support::eventually(|| load.photo_bytes() > both, || "no sender".into()).await;

    house.shut_down();
    while house.client.run_match(hanging.clone()).await.is_ok() {}
    assert_draining(&house.run_refused(hanging).await);
    assert_draining(&house.run_refused(portrait_request(&m.folder_id)).await);
    let told = sender.join_next().await.expect("it ends").expect("it doesn't panic");
    assert_draining(&Refusal::of(told));
    let found = house.client.get_match(get(&m.match_id)).await.expect("look-ups are still served");
    assert_eq!(found.into_inner().state(), pb::MatchState::Processing);

    house.client.cancel_match(cancel("hanging")).await.expect("cancels are still served");
    house.wait_until_stopped().await;
}

#[tokio::test]
async fn a_draining_server_ends_every_watch_and_wait_with_an_error() {
    let (mut house, m, hanging) = with_a_hanging_upload().await;
    let id = Some(pb::watch_match_request::Id::MatchId(m.match_id.clone()));
    let watch = WatchMatchRequest { id, ..Default::default() };
    let watch = house.client.watch_match(watch).await.expect("a stream").into_inner();
    let watch_all = house.client.watch_matches(WatchMatchesRequest::default()).await;
    let watch_all = watch_all.expect("a stream").into_inner();
    let mut waiting = house.client.clone();
    let mut wait = JoinSet::new();
    wait.spawn(async move {
        let id = Some(pb::wait_match_request::Id::MatchId(m.match_id));
        waiting.wait_match(WaitMatchRequest { id, timeout: None }).await
    });
    let _run = accepted(&mut house, hanging).await;

    house.shut_down();
    house.client.cancel_match(cancel("hanging")).await.expect("it is cancelled");
    for stream in [watch, watch_all] {
        assert_draining(&ending(stream).await);
    }
    let told = wait.join_next().await.expect("it ends").expect("it doesn't panic");
    assert_draining(&Refusal::of(told.expect_err("it is cut off")));
    house.wait_until_stopped().await;
}

fn assert_draining(refusal: &Refusal) {
    refusal.assert(Code::Unavailable, "SERVER_DRAINING");
    assert!(refusal.has_retry_delay());
}

async fn ending(mut updates: Streaming<MatchUpdate>) -> Refusal {
    loop {
        match updates.message().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the stream ends without an error"),
            Err(status) => return Refusal::of(status),
        }
    }
}

#[tokio::test]
async fn a_photo_in_many_small_pieces_is_accepted() {
    use prost::Message;
    let mut house = TestServer::build().await;
    let request = portrait_request(&house.folder()).encode_to_vec();
    let length = u32::try_from(request.len()).expect("a small request");
    let whole = announced(length, &request);
    let pieces: Vec<_> = whole.chunks(7).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    let mut channel = transport::channel(&house.address).await;
    let called = transport::call(&mut channel, "CreateMatch", stream::iter(pieces)).await;
    called.expect("it is accepted");
    house.assert_works().await;
}
