//! Following across broken connections, against a server with scripted answers.

use std::{
    collections::VecDeque,
    fs,
    net::SocketAddr,
    path::PathBuf,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::{self, JoinSet},
};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Code, Request, Response, transport::Server};
use tonic_types::{ErrorDetails, StatusExt};

use super::*;
use crate::cli::call::{
    args::Server as Address,
    pb::{
        self, MatchState, ReferencePhoto, face_match_server::FaceMatchServer, match_update::Event,
        reference_photo::Source,
    },
    render::failure,
    resume::{Backoff, Silence},
};
use crate::{domain::Timestamp, sync::lock};

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
    /// The credentials of the calls that had one.
    tokens: Vec<String>,
}

impl Actor {
    fn new(parts: impl IntoIterator<Item = Part>) -> Self {
        let parts = parts.into_iter().collect();
        let (calls, tokens) = (Vec::new(), Vec::new());
        Self(Arc::new(Mutex::new(Play { parts, found: None, calls, tokens })))
    }

    fn with<T>(&self, act: impl FnOnce(&mut Play) -> T) -> T {
        act(&mut lock(&self.0))
    }

    fn note_token<T>(&self, of: &Request<T>) {
        let token = of.metadata().get("authorization").map(|it| it.to_str().expect("text"));
        self.with(|play| play.tokens.extend(token.map(str::to_owned)));
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
        self.note_token(&of);
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
        self.note_token(&of);
        let of = of.into_inner();
        match of.id {
            Some(watch_match_request::Id::RequestId(id) | watch_match_request::Id::MatchId(id)) => {
                self.answer(format!("watch {id} after {}", of.after_sequence))
            }
            None => absent(),
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
    connection: Connection,
    cut: Arc<Notify>,
    /// How many connections were made.
    connected: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

async fn stage(actor: &Actor) -> Stage {
    stage_with(actor, None).await
}

async fn stage_with(actor: &Actor, token_file: Option<PathBuf>) -> Stage {
    let (listener, behind) = listen().await;
    let serving = Server::builder()
        .add_service(FaceMatchServer::new(actor.clone()))
        .serve_with_incoming(TcpListenerStream::new(listener));
    let mut tasks = JoinSet::new();
    tasks.spawn(async { serving.await.expect("it serves") });
    let (listener, front) = listen().await;
    let (cut, connected) = (Arc::new(Notify::new()), Arc::<AtomicUsize>::default());
    tasks.spawn(wire(listener, behind, cut.clone(), connected.clone()));
    let url = format!("http://{front}").parse().expect("a URL");
    let server = Address { url, ca_file: None, identity: None, token_file };
    let connection = Connection::open(&server, None).await.expect("the server is there");
    Stage { connection, cut, connected, _tasks: tasks }
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    (listener, address)
}

/// Forwards connections. Each time `cut` is notified, it drops all of them at once.
async fn wire(
    listener: TcpListener,
    behind: SocketAddr,
    cut: Arc<Notify>,
    connected: Arc<AtomicUsize>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (mut front, _) = accepted.expect("it listens");
                connected.fetch_add(1, Ordering::Relaxed);
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
    misses: usize,
    cut: Option<(u64, Arc<Notify>)>,
}

impl Audience for Witness {
    async fn update(&mut self, update: &MatchUpdate) -> io::Result<()> {
        self.shown.push(update.sequence);
        if let Some((_, cut)) = self.cut.take_if(|(at, _)| *at == update.sequence) {
            cut.notify_one();
        }
        Ok(())
    }

    fn broken(&mut self, _: &Status, _: Retry) {
        self.breaks += 1;
    }

    fn missed(&mut self, _: &Status) {
        self.misses += 1;
    }
}

const PROMPT: Backoff = Backoff {
    first: Duration::ZERO,
    longest: Duration::ZERO,
    give_up_after: Some(Duration::from_secs(60)),
    give_up_tries: None,
};

/// Terms without pauses.
const TERMS: Terms = Terms { pace: PROMPT, ..Terms::patient(None, None) };

/// Terms without patience.
const IMPATIENT: Terms = Terms { pace: Backoff { give_up_tries: Some(0), ..PROMPT }, ..TERMS };

fn run_request() -> MatchRequest {
    let source = Some(Source::Content(Bytes::from_static(b"jpeg")));
    MatchRequest {
        request_id: "r".to_owned(),
        photo: Some(ReferencePhoto { source, ..Default::default() }),
        ..Default::default()
    }
}

fn running(connection: &Connection) -> FollowMatch {
    let target = Target::Run(run_request());
    FollowMatch {
        connection: connection.clone(),
        target,
        seen: Seen::up_to(0),
        acceptance: Acceptance::No,
        terms: TERMS,
        clock: Clock::system(),
    }
}

fn watching(connection: &Connection, after: u64) -> FollowMatch {
    let id = Some(watch_match_request::Id::RequestId("r".to_owned()));
    let target = Target::Watch(WatchMatchRequest { id, ..Default::default() });
    FollowMatch { target, seen: Seen::up_to(after), ..running(connection) }
}

fn snapshot(sequence: u64, state: MatchState) -> Match {
    let photo = if state == MatchState::Accepted { "" } else { "p" };
    Match {
        match_id: "m".to_owned(),
        sequence,
        state: state.into(),
        photo_media_id: photo.to_owned(),
        ..Default::default()
    }
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
    let ended = running(&stage.connection).until_end(&mut witness).await.expect("it ends");
    assert_eq!(ended.state(), MatchState::Finished);
    assert_eq!(witness.shown, [1, 2, 3, 4]);
    assert_eq!(witness.breaks, 3);
    assert_eq!(
        actor.calls(),
        ["run r with 4 bytes", "watch m after 2", "watch m after 2", "watch m after 3"]
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
    running(&stage.connection).until_end(&mut witness).await.expect("it ends");
    assert_eq!(witness.shown, [1, 2, 3, 4]);
    assert_eq!(actor.calls(), ["run r with 4 bytes"; 3]);
}

/// Erased by its retention or by another caller: to run it again would undo that.
#[tokio::test]
async fn a_match_that_was_erased_is_not_run_again() {
    let actor = Actor::new([
        part([accepted(), uploaded()], draining()),
        part([], refusal(Code::NotFound, "MATCH_NOT_FOUND")),
    ]);
    let stage = stage(&actor).await;
    let error = running(&stage.connection).until_end(&mut Witness::default()).await;
    assert!(matches!(error, Err(Error::Refused(status)) if status.code() == Code::NotFound));
    assert_eq!(actor.calls(), ["run r with 4 bytes", "watch m after 2"]);
}

/// A store that was restored from a backup has lost it, before its photo was at Oz.
#[tokio::test]
async fn a_match_that_was_lost_is_followed_from_its_new_first_update() {
    let again = |update: MatchUpdate| MatchUpdate { match_id: "n".to_owned(), ..update };
    let actor = Actor::new([
        part([accepted()], draining()),
        part([accepted(), uploaded()].map(again), draining()),
        part([started(), finished()].map(again), Then::End),
    ]);
    let stage = stage(&actor).await;
    let mut witness = Witness::default();
    running(&stage.connection).until_end(&mut witness).await.expect("it ends");
    assert_eq!(witness.shown, [1, 1, 2, 3, 4]);
    let run = "run r with 4 bytes";
    assert_eq!(actor.calls(), [run, run, "watch n after 2"]);
}

#[tokio::test]
async fn a_missing_update_is_an_error_and_no_later_one_is_shown() {
    let actor = Actor::new([part([accepted(), started(), finished()], Then::End)]);
    let stage = stage(&actor).await;
    let mut witness = Witness::default();
    let error = running(&stage.connection).until_end(&mut witness).await;
    assert!(matches!(error, Err(Error::Contract(_))), "{error:?}");
    assert_eq!(witness.shown, [1]);
    assert_eq!(actor.calls(), ["run r with 4 bytes"]);
}

#[tokio::test]
async fn a_refusal_is_the_answer_at_once() {
    let actor = Actor::new([part([], refusal(Code::InvalidArgument, "FIELD_INVALID"))]);
    let stage = stage(&actor).await;
    let error = running(&stage.connection).until_end(&mut Witness::default()).await;
    assert!(matches!(error, Err(Error::Refused(status)) if status.code() == Code::InvalidArgument));
}

#[tokio::test]
async fn a_refused_match_is_not_accepted_and_an_interrupted_one_may_be() {
    for (then, updates, expected) in [
        (turned_away(), vec![], Acceptance::No),
        // Its stream had begun: a server that drains may have accepted it.
        (draining(), vec![], Acceptance::Perhaps),
        (refusal(Code::ResourceExhausted, "QUOTA_EXCEEDED"), vec![], Acceptance::No),
        (draining(), vec![accepted()], Acceptance::Yes),
    ] {
        let actor = Actor::new([part(updates, then)]);
        let stage = stage(&actor).await;
        let mut follow = FollowMatch { terms: IMPATIENT, ..running(&stage.connection) };
        let ended = follow.until_end(&mut Witness::default()).await;
        assert!(matches!(ended, Err(Error::Broken(_) | Error::Refused(_))), "{ended:?}");
        assert_eq!(follow.acceptance, expected);
    }
}

#[tokio::test]
async fn a_broken_connection_and_an_unreachable_server_are_named() {
    let actor = Actor::new([part([accepted(), uploaded()], Then::Hang)]);
    let Stage { connection, _tasks: tasks, .. } = stage(&actor).await;
    let mut witness = Causes { tasks: Some(tasks), ..Default::default() };
    let once = Backoff { give_up_tries: Some(1), ..PROMPT };
    let terms = Terms { pace: once, ..TERMS };
    let mut follow = FollowMatch { terms, ..running(&connection) };
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
    async fn update(&mut self, _: &MatchUpdate) -> io::Result<()> {
        self.tasks = None;
        Ok(())
    }

    fn broken(&mut self, status: &Status, _: Retry) {
        self.causes.push(failure::outage(status));
    }

    fn missed(&mut self, _: &Status) {}
}

#[tokio::test]
async fn retries_end_after_their_time() {
    let actor = Actor::new([part([accepted(), uploaded()], draining())]);
    let stage = stage(&actor).await;
    let mut follow = FollowMatch { terms: IMPATIENT, ..running(&stage.connection) };
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
    let mut follow = watching(&stage.connection, 4);
    let ended = follow.until_end(&mut Witness::default()).await.expect("it has ended");
    assert_eq!(ended.state(), MatchState::Cancelled);
    assert_eq!(actor.calls(), ["watch r after 4", "get"]);
}

/// As by a proxy that ends each call with OK.
#[tokio::test]
async fn a_stream_that_ends_early_is_resumed_although_the_match_has_ended() {
    let actor = Actor::new([
        part([accepted(), uploaded()], Then::End),
        part([started(), finished()], Then::End),
    ]);
    actor.with(|play| play.found = Some(snapshot(4, MatchState::Finished)));
    let stage = stage(&actor).await;
    let mut witness = Witness::default();
    watching(&stage.connection, 0).until_end(&mut witness).await.expect("it ends");
    assert_eq!(witness.shown, [1, 2, 3, 4]);
    assert_eq!(actor.calls(), ["watch r after 0", "get", "watch m after 2"]);
}

#[tokio::test]
async fn a_silent_stream_is_resumed_over_a_new_connection() {
    let actor = Actor::new([
        part([accepted(), uploaded()], Then::Hang),
        part([], Then::Hang),
        part([started(), finished()], Then::End),
    ]);
    let stage = stage(&actor).await;
    let (clock, hand) = Clock::manual(Timestamp::from_micros(0));
    let mut follow = FollowMatch { clock, ..running(&stage.connection) };
    let shown = Arc::new(Notify::new());
    let mut witness = Witness { cut: Some((2, shown.clone())), ..Default::default() };
    let silence = async |calls| {
        while actor.calls().len() < calls || hand.next_wake().is_none() {
            task::yield_now().await;
        }
        hand.advance(Silence::DEFAULT.unknown);
    };
    let silences = async {
        shown.notified().await;
        silence(1).await;
        silence(2).await;
    };
    let (ended, ()) = tokio::join!(follow.until_end(&mut witness), silences);
    ended.expect("it ends");
    assert_eq!((witness.shown, witness.breaks), (vec![1, 2, 3, 4], 2));
    assert_eq!(stage.connected.load(Ordering::Relaxed), 3, "each call has its own connection");
}

#[tokio::test]
async fn the_time_for_following_is_not_spent_on_a_pause_that_outlasts_it() {
    let hour = Duration::from_secs(3_600);
    let mut details = ErrorDetails::with_error_info("SERVER_DRAINING", "facematch", []);
    details.set_retry_info(Some(hour / 2));
    let asked = Status::with_error_details(Code::Unavailable, "no", details);
    let actor = Actor::new([part([accepted(), uploaded()], Then::Fail(asked))]);
    let stage = stage(&actor).await;
    let terms = Terms { limit: Some(hour / 2), ..Terms::patient(Some(hour), None) };
    let mut follow = FollowMatch { terms, ..running(&stage.connection) };
    let mut witness = Witness::default();
    let error = follow.until_end(&mut witness).await;
    assert!(matches!(error, Err(Error::Late(Some(_)))), "{error:?}");
    assert_eq!((witness.shown, witness.breaks), (vec![1, 2], 0));
}

#[tokio::test]
async fn an_expired_credential_is_replaced_if_its_file_has_another_one() {
    let expired = || refusal(Code::Unauthenticated, "CREDENTIAL_EXPIRED");
    let actor =
        Actor::new([part([accepted(), uploaded()], expired()), part([started()], expired())]);
    let folder = tempfile::tempdir().expect("a temporary directory");
    let token = folder.path().join("token");
    fs::write(&token, "first").expect("a file");
    let stage = stage_with(&actor, Some(token.clone())).await;
    let mut witness = Replacing { token, until: 2, shown: Vec::new() };
    let error = running(&stage.connection).until_end(&mut witness).await;
    // The second time the file has the same credential as before.
    assert!(
        matches!(&error, Err(Error::Refused(status)) if status.code() == Code::Unauthenticated),
        "{error:?}"
    );
    assert_eq!(witness.shown, [1, 2, 3]);
    assert_eq!(actor.calls(), ["run r with 4 bytes", "watch m after 2"]);
    assert_eq!(actor.with(|play| play.tokens.clone()), ["Bearer first", "Bearer second"]);
}

/// Replaces the token at one update.
struct Replacing {
    token: PathBuf,
    until: u64,
    shown: Vec<u64>,
}

impl Audience for Replacing {
    async fn update(&mut self, update: &MatchUpdate) -> io::Result<()> {
        self.shown.push(update.sequence);
        if update.sequence == self.until {
            fs::write(&self.token, "second")?;
        }
        Ok(())
    }

    fn broken(&mut self, _: &Status, _: Retry) {}

    fn missed(&mut self, _: &Status) {}
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
    let error = following(&stage.connection, None).until_failure(&mut witness).await;
    assert!(matches!(error, Error::Refused(status) if status.code() == Code::OutOfRange));
    assert_eq!((witness.shown, witness.misses), (vec![0, 1, 2, 3], 0));
    assert_eq!(actor.calls(), ["all from \"\"", "all from \"t0\"", "all from \"t2\""]);
}

fn following(connection: &Connection, once_expired: Option<&str>) -> FollowMatches {
    FollowMatches {
        connection: connection.clone(),
        request: WatchMatchesRequest::default(),
        once_expired: once_expired.map(str::to_owned),
        terms: TERMS,
        clock: Clock::system(),
    }
}

#[tokio::test]
async fn a_watch_of_all_matches_begins_anew_once_if_the_caller_has_asked_for_it() {
    let expired = || refusal(Code::OutOfRange, "TOKEN_EXPIRED");
    let actor = Actor::new([
        part([accepted()], expired()),
        part([started()], draining()),
        part([], expired()),
        part([], expired()),
    ]);
    let stage = stage(&actor).await;
    let mut witness = Witness::default();
    let mut follow = following(&stage.connection, Some("earliest"));
    let error = follow.until_failure(&mut witness).await;
    assert!(matches!(error, Error::Refused(status) if status.code() == Code::OutOfRange));
    assert_eq!((witness.shown, witness.misses), (vec![1, 3], 2));
    let tokens = ["", "earliest", "t3", "earliest"];
    assert_eq!(actor.calls(), tokens.map(|token| format!("all from {token:?}")));
}

/// A heartbeat that repeats the known token shows only that the server is there.
#[tokio::test]
async fn a_token_that_is_known_already_is_no_progress() {
    let heartbeat = || MatchUpdate {
        resume_token: "t0".to_owned(),
        event: Some(Event::Heartbeat(pb::Heartbeat::default())),
        ..Default::default()
    };
    let actor = Actor::new((0..2).map(|_| part([heartbeat()], draining())));
    let stage = stage(&actor).await;
    let longest = Duration::from_secs(60);
    let pace = Backoff { longest, give_up_tries: Some(1), ..PROMPT };
    let mut follow = following(&stage.connection, None);
    follow.terms = Terms { pace, ..TERMS };
    let mut witness = Witness::default();
    let error = follow.until_failure(&mut witness).await;
    assert!(matches!(error, Error::Broken(_)), "{error:?}");
    assert_eq!(witness.breaks, 1, "only the first token was new");
}
