//! Following across broken connections, against a server with scripted answers.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::JoinSet,
};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Code, Request, Response, transport::Server};
use tonic_types::{ErrorDetails, StatusExt};

use super::*;
use crate::cli::call::{
    args::Server as Address,
    client,
    pb::{
        self, MatchState, ReferencePhoto, face_match_server::FaceMatchServer, match_update::Event,
        reference_photo::Source,
    },
    render::failure,
};
use crate::sync::lock;

/// The scripted answer to one call: updates, and what the stream does after them.
struct Part {
    updates: Vec<MatchUpdate>,
    then: Then,
}

enum Then {
    Refuse(Status),
    End,
    Fail(Status),
    Hang,
}

/// A server that answers its calls by its parts, in order, and records the calls.
#[derive(Clone)]
struct Actor(Arc<Mutex<Play>>);

struct Play {
    parts: VecDeque<Part>,
    found: Option<Match>,
    calls: Vec<String>,
}

impl Actor {
    fn new(parts: impl IntoIterator<Item = Part>) -> Self {
        let parts = parts.into_iter().collect();
        Self(Arc::new(Mutex::new(Play { parts, found: None, calls: Vec::new() })))
    }

    fn with<T>(&self, act: impl FnOnce(&mut Play) -> T) -> T {
        act(&mut lock(&self.0))
    }

    fn calls(&self) -> Vec<String> {
        self.with(|play| play.calls.clone())
    }

    fn answer(&self, call: String) -> Result<Response<Updates>, Status> {
        let part = self.with(|play| {
            play.calls.push(call);
            play.parts.pop_front()
        });
        let Part { updates, then } = part.expect("a part for each call");
        let updates = stream::iter(updates.into_iter().map(Ok));
        let whole: Updates = match then {
            Then::Refuse(status) => return Err(status),
            Then::End => Box::pin(updates),
            Then::Fail(status) => Box::pin(updates.chain(stream::iter([Err(status)]))),
            Then::Hang => Box::pin(updates.chain(stream::pending())),
        };
        Ok(Response::new(whole))
    }
}

type Updates = Pin<Box<dyn Stream<Item = Result<MatchUpdate, Status>> + Send>>;

fn absent<T>() -> Result<T, Status> {
    Err(Status::unimplemented("not scripted"))
}

#[tonic::async_trait]
impl pb::face_match_server::FaceMatch for Actor {
    type RunMatchStream = Updates;
    type WatchMatchStream = Updates;
    type WatchMatchesStream = Updates;

    async fn run_match(&self, of: Request<MatchRequest>) -> Result<Response<Updates>, Status> {
        let of = of.into_inner();
        let Some(Source::Content(photo)) = of.photo.and_then(|photo| photo.source) else {
            return absent();
        };
        self.answer(format!("run {} with {} bytes", of.request_id, photo.len()))
    }

    async fn watch_match(
        &self,
        of: Request<WatchMatchRequest>,
    ) -> Result<Response<Updates>, Status> {
        let of = of.into_inner();
        match of.id {
            Some(watch_match_request::Id::RequestId(id)) => {
                self.answer(format!("watch {id} after {}", of.after_sequence))
            }
            Some(watch_match_request::Id::MatchId(_)) | None => absent(),
        }
    }

    async fn watch_matches(
        &self,
        of: Request<WatchMatchesRequest>,
    ) -> Result<Response<Updates>, Status> {
        self.answer(format!("all from {:?}", of.into_inner().resume_token))
    }

    async fn get_match(&self, _: Request<GetMatchRequest>) -> Result<Response<Match>, Status> {
        self.with(|play| play.calls.push("get".to_owned()));
        self.with(|play| play.found.clone()).map(Response::new).map_or_else(absent, Ok)
    }

    async fn create_match(&self, _: Request<MatchRequest>) -> Result<Response<Match>, Status> {
        absent()
    }

    async fn wait_match(
        &self,
        _: Request<pb::WaitMatchRequest>,
    ) -> Result<Response<Match>, Status> {
        absent()
    }

    async fn list_matches(
        &self,
        _: Request<pb::ListMatchesRequest>,
    ) -> Result<Response<pb::ListMatchesResponse>, Status> {
        absent()
    }

    async fn cancel_match(
        &self,
        _: Request<pb::CancelMatchRequest>,
    ) -> Result<Response<Match>, Status> {
        absent()
    }

    async fn delete_match(
        &self,
        _: Request<pb::DeleteMatchRequest>,
    ) -> Result<Response<pb::DeleteMatchResponse>, Status> {
        absent()
    }
}

/// The server behind a connection that can be cut.
struct Stage {
    client: ServiceClient,
    cut: Arc<Notify>,
    _tasks: JoinSet<()>,
}

async fn stage(actor: &Actor) -> Stage {
    let (listener, behind) = listen().await;
    let serving = Server::builder()
        .add_service(FaceMatchServer::new(actor.clone()))
        .serve_with_incoming(TcpListenerStream::new(listener));
    let mut tasks = JoinSet::new();
    tasks.spawn(async { serving.await.expect("it serves") });
    let (listener, front) = listen().await;
    let cut = Arc::new(Notify::new());
    tasks.spawn(wire(listener, behind, cut.clone()));
    let url = format!("http://{front}").parse().expect("a URL");
    let server = Address { url, ca_file: None, identity: None, token_file: None };
    let client = client::connect(&server, None).await.expect("the server is there");
    Stage { client, cut, _tasks: tasks }
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    (listener, address)
}

/// Forwards connections. Each time `cut` is notified, it drops all of them at once.
async fn wire(listener: TcpListener, behind: SocketAddr, cut: Arc<Notify>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (mut front, _) = accepted.expect("it listens");
                let mut back = TcpStream::connect(behind).await.expect("the server is there");
                connections.spawn(async move { copy_bidirectional(&mut front, &mut back).await });
            }
            () = cut.notified() => connections.shutdown().await,
        }
    }
}

/// Records the updates that it is shown, and cuts the connection at one of them.
#[derive(Default)]
struct Witness {
    shown: Vec<u64>,
    breaks: usize,
    cut: Option<(u64, Arc<Notify>)>,
}

impl Audience for Witness {
    fn update(&mut self, update: &MatchUpdate) -> io::Result<()> {
        self.shown.push(update.sequence);
        if let Some((_, cut)) = self.cut.take_if(|(at, _)| *at == update.sequence) {
            cut.notify_one();
        }
        Ok(())
    }

    fn broken(&mut self, _: &Status, _: Retry) {
        self.breaks += 1;
    }
}

const PROMPT: Backoff = Backoff {
    first: Duration::ZERO,
    longest: Duration::ZERO,
    give_up_after: Duration::from_secs(60),
};

fn run_request() -> MatchRequest {
    let source = Some(Source::Content(Bytes::from_static(b"jpeg")));
    MatchRequest {
        request_id: "r".to_owned(),
        photo: Some(ReferencePhoto { source, ..Default::default() }),
        ..Default::default()
    }
}

fn running(client: &ServiceClient) -> FollowMatch {
    let target = Target::Run(run_request());
    FollowMatch {
        client: client.clone(),
        target,
        seen: Seen::up_to(0),
        acceptance: Acceptance::No,
        pace: PROMPT,
        clock: Clock::system(),
    }
}

fn snapshot(sequence: u64, state: MatchState) -> Match {
    Match { match_id: "m".to_owned(), sequence, state: state.into(), ..Default::default() }
}

fn update(sequence: u64, state: MatchState, event: Event) -> MatchUpdate {
    MatchUpdate {
        match_id: "m".to_owned(),
        sequence,
        r#match: Some(snapshot(sequence, state)),
        resume_token: format!("t{sequence}"),
        event: Some(event),
        ..Default::default()
    }
}

fn accepted() -> MatchUpdate {
    update(1, MatchState::Accepted, Event::Accepted(pb::Accepted::default()))
}

fn uploaded() -> MatchUpdate {
    update(2, MatchState::Uploaded, Event::PhotoUploaded(pb::PhotoUploaded::default()))
}

fn started() -> MatchUpdate {
    update(3, MatchState::Processing, Event::AnalysisStarted(pb::AnalysisStarted::default()))
}

fn finished() -> MatchUpdate {
    update(4, MatchState::Finished, Event::Finished(pb::Finished::default()))
}

fn part(updates: impl IntoIterator<Item = MatchUpdate>, then: Then) -> Part {
    Part { updates: updates.into_iter().collect(), then }
}

fn refusal(code: Code, reason: &str) -> Then {
    let details = ErrorDetails::with_error_info(reason, "facematch", []);
    Then::Fail(Status::with_error_details(code, "no", details))
}

fn draining() -> Then {
    refusal(Code::Unavailable, "SERVER_DRAINING")
}

fn turned_away() -> Then {
    match draining() {
        Then::Fail(status) => Then::Refuse(status),
        then @ (Then::Refuse(_) | Then::End | Then::Hang) => then,
    }
}

#[tokio::test]
async fn a_match_is_followed_across_a_cut_connection_and_a_draining_server() {
    let actor = Actor::new([
        part([accepted(), uploaded()], Then::Hang),
        part([], draining()),
        part([started()], Then::Fail(Status::unavailable("reset by peer"))),
        part([finished()], Then::End),
    ]);
    let stage = stage(&actor).await;
    let mut witness = Witness { cut: Some((2, stage.cut.clone())), ..Default::default() };
    let ended = running(&stage.client).until_end(&mut witness).await.expect("it ends");
    assert_eq!(ended.state(), MatchState::Finished);
    assert_eq!(witness.shown, [1, 2, 3, 4]);
    assert_eq!(witness.breaks, 3);
    assert_eq!(
        actor.calls(),
        ["run r with 4 bytes", "watch r after 2", "watch r after 2", "watch r after 3"]
    );
}

#[tokio::test]
async fn a_photo_that_may_be_needed_is_sent_again_and_no_update_is_shown_twice() {
    let actor = Actor::new([
        part([], draining()),
        part([accepted()], Then::Hang),
        part([accepted(), uploaded(), started(), finished()], Then::End),
    ]);
    let stage = stage(&actor).await;
    let mut witness = Witness { cut: Some((1, stage.cut.clone())), ..Default::default() };
    running(&stage.client).until_end(&mut witness).await.expect("it ends");
    assert_eq!(witness.shown, [1, 2, 3, 4]);
    assert_eq!(actor.calls(), ["run r with 4 bytes"; 3]);
}

#[tokio::test]
async fn a_match_that_the_server_lost_is_run_again() {
    let again = |update: MatchUpdate| MatchUpdate { match_id: "n".to_owned(), ..update };
    let actor = Actor::new([
        part([accepted(), uploaded()], draining()),
        part([], refusal(Code::NotFound, "MATCH_NOT_FOUND")),
        part([accepted(), uploaded(), started(), finished()].map(again), Then::End),
    ]);
    let stage = stage(&actor).await;
    let mut witness = Witness::default();
    running(&stage.client).until_end(&mut witness).await.expect("it ends");
    assert_eq!(witness.shown, [1, 2, 1, 2, 3, 4]);
    assert_eq!(actor.calls(), ["run r with 4 bytes", "watch r after 2", "run r with 4 bytes"]);
}

#[tokio::test]
async fn a_refusal_is_the_answer_at_once() {
    let actor = Actor::new([part([], refusal(Code::InvalidArgument, "FIELD_INVALID"))]);
    let stage = stage(&actor).await;
    let error = running(&stage.client).until_end(&mut Witness::default()).await;
    assert!(matches!(error, Err(Error::Refused(status)) if status.code() == Code::InvalidArgument));
}

#[tokio::test]
async fn a_refused_match_is_not_accepted_and_an_interrupted_one_may_be() {
    let impatient =
        Backoff { give_up_after: Duration::ZERO, first: Duration::from_secs(2), ..PROMPT };
    let impatient = Backoff { longest: Duration::from_secs(2), ..impatient };
    for (then, updates, expected) in [
        (turned_away(), vec![], Acceptance::No),
        (draining(), vec![], Acceptance::Perhaps),
        (draining(), vec![accepted()], Acceptance::Yes),
    ] {
        let actor = Actor::new([part(updates, then)]);
        let stage = stage(&actor).await;
        let mut follow = FollowMatch { pace: impatient, ..running(&stage.client) };
        let ended = follow.until_end(&mut Witness::default()).await;
        assert!(matches!(ended, Err(Error::Broken(_))));
        assert_eq!(follow.acceptance, expected);
    }
}

#[tokio::test]
async fn a_broken_connection_and_an_unreachable_server_are_named() {
    let actor = Actor::new([part([accepted(), uploaded()], Then::Hang)]);
    let Stage { client, _tasks: tasks, .. } = stage(&actor).await;
    let mut witness = Causes { tasks: Some(tasks), ..Default::default() };
    let pace = Backoff { give_up_after: Duration::ZERO, ..PROMPT };
    let mut follow = FollowMatch { pace, ..running(&client) };
    let error = follow.until_end(&mut witness).await.expect_err("the server is gone");
    let Error::Broken(last) = error else { panic!("{error:?}") };
    assert_eq!(witness.causes, ["the connection broke"]);
    assert!(failure::outage(&last).starts_with("can't reach the server: "), "{last:?}");
}

/// Stops the server at the first update, and records the causes of interruptions.
#[derive(Default)]
struct Causes {
    tasks: Option<JoinSet<()>>,
    causes: Vec<String>,
}

impl Audience for Causes {
    fn update(&mut self, _: &MatchUpdate) -> io::Result<()> {
        self.tasks = None;
        Ok(())
    }

    fn broken(&mut self, status: &Status, _: Retry) {
        self.causes.push(failure::outage(status));
    }
}

#[tokio::test]
async fn retries_end_after_their_time() {
    let actor = Actor::new([part([accepted(), uploaded()], draining())]);
    let stage = stage(&actor).await;
    let pace = Backoff {
        first: Duration::from_secs(2),
        longest: Duration::from_secs(2),
        give_up_after: Duration::ZERO,
    };
    let mut follow = FollowMatch { pace, ..running(&stage.client) };
    let mut witness = Witness::default();
    let error = follow.until_end(&mut witness).await;
    assert!(matches!(error, Err(Error::Broken(status)) if status.code() == Code::Unavailable));
    assert_eq!((witness.shown, witness.breaks), (vec![1, 2], 0));
}

#[tokio::test]
async fn a_watch_after_the_last_update_returns_the_ended_match() {
    let actor = Actor::new([part([], Then::End)]);
    actor.with(|play| play.found = Some(snapshot(4, MatchState::Cancelled)));
    let stage = stage(&actor).await;
    let id = Some(watch_match_request::Id::RequestId("r".to_owned()));
    let target = Target::Watch(WatchMatchRequest { id, ..Default::default() });
    let mut follow = FollowMatch { target, seen: Seen::up_to(4), ..running(&stage.client) };
    let ended = follow.until_end(&mut Witness::default()).await.expect("it has ended");
    assert_eq!(ended.state(), MatchState::Cancelled);
    assert_eq!(actor.calls(), ["watch r after 4", "get"]);
}

#[tokio::test]
async fn a_watch_of_all_matches_resumes_from_the_last_token() {
    let heartbeat = MatchUpdate {
        resume_token: "t0".to_owned(),
        event: Some(Event::Heartbeat(pb::Heartbeat::default())),
        ..Default::default()
    };
    let actor = Actor::new([
        part([heartbeat], draining()),
        part([accepted(), uploaded()], Then::Hang),
        part([started()], refusal(Code::OutOfRange, "TOKEN_EXPIRED")),
    ]);
    let stage = stage(&actor).await;
    let mut witness = Witness { cut: Some((2, stage.cut.clone())), ..Default::default() };
    let request = WatchMatchesRequest::default();
    let follow = FollowMatches {
        client: stage.client.clone(),
        request,
        pace: PROMPT,
        clock: Clock::system(),
    };
    let error = follow.until_failure(&mut witness).await;
    assert!(matches!(error, Error::Refused(status) if status.code() == Code::OutOfRange));
    assert_eq!(witness.shown, [0, 1, 2, 3]);
    assert_eq!(actor.calls(), ["all from \"\"", "all from \"t0\"", "all from \"t2\""]);
}
