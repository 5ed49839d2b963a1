//! The test server: a simulated Oz, the service over a real journal file, and a real client.

use std::{
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

use bytes::Bytes;
use facematch::{
    access::ReloadCounts,
    app::{self, App, Load},
    clock::Clock,
    config::{Config, OzConfig, OzCredentials},
    pb::{
        self, Match, MatchRequest, MatchUpdate, ReferencePhoto, match_update::Event,
        reference_photo::Source,
    },
    simulator::{Rule, Simulator, sample},
    trace::DroppedSpans,
};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status, Streaming, transport::Endpoint};
use tonic_types::{ErrorDetails, StatusExt};

use crate::{
    canary::{self, Client, Inspection},
    oz_faults::OzFault,
};

/// The interval at which the service under test polls Oz: short, so that no test takes seconds.
pub const POLL: Duration = Duration::from_millis(20);

/// The timeout of every wait: much longer than any awaited event takes.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The file name of a SQLite journal.
pub const JOURNAL: &str = "facematch.db";

/// The service under test, its Oz, and a client.
pub struct TestServer {
    /// Searches the journal for canaries when it is dropped: so it is dropped before the directory.
    _inspection: Inspection,
    pub oz: Simulator,
    pub client: Client,
    pub directory: TempDir,
    pub config: Config,
    pub address: String,
    /// The address of the admin port, if the settings name one.
    pub admin: Option<SocketAddr>,
    /// The base URL of the port for browsers, if the settings name one.
    pub web: Option<String>,
    pub load: Load,
    pub dropped_spans: DroppedSpans,
    secrets: app::Secrets,
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), app::Lost>>,
}

/// A running service.
pub struct Served {
    pub address: String,
    pub admin: Option<SocketAddr>,
    pub web: Option<String>,
    pub load: Load,
    pub dropped_spans: DroppedSpans,
    pub secrets: app::Secrets,
    pub reloads: Box<dyn Fn() -> Vec<ReloadCounts>>,
    shutdown: CancellationToken,
    served: JoinHandle<Result<(), app::Lost>>,
}

impl TestServer {
    /// Starts with fast polls and otherwise default settings.
    pub async fn build() -> Self {
        Self::build_with(|_| {}).await
    }

    /// Starts with changed settings.
    pub async fn build_with(change: impl FnOnce(&mut Config)) -> Self {
        Self::build_with_oz(simulator().await, change).await
    }

    /// Starts with changed settings and a simulator that already runs.
    pub async fn build_with_oz(oz: Simulator, change: impl FnOnce(&mut Config)) -> Self {
        oz.switch(|switches| switches.processing_ms = 50);
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut config = config(&oz, directory.path());
        change(&mut config);
        Self::open(oz, directory, config).await
    }

    async fn open(oz: Simulator, directory: TempDir, config: Config) -> Self {
        canary::check_account(&oz);
        let _inspection = Inspection::begin(directory.path().join(JOURNAL));
        let served = serve(config.clone()).await;
        let client = connect(&served.address).await;
        let Served {
            address,
            admin,
            web,
            load,
            dropped_spans,
            secrets,
            shutdown,
            served: task,
            ..
        } = served;
        Self {
            _inspection,
            oz,
            client,
            directory,
            config,
            address,
            admin,
            web,
            load,
            dropped_spans,
            secrets,
            shutdown,
            task,
        }
    }

    /// Shuts the service down gracefully and starts it again on the same journal.
    pub async fn restart(self) -> Self {
        self.shutdown.cancel();
        self.task.await.expect("nothing panics").expect("the shutdown is graceful");
        Self::open(self.oz, self.directory, self.config).await
    }

    /// Reads the files again that the settings name, as at an interval and on SIGHUP.
    pub async fn reload(&self) {
        self.secrets.reread().await;
    }

    /// Begins a graceful shutdown: the service drains.
    pub fn shut_down(&self) {
        self.shutdown.cancel();
    }

    /// Waits until the service has stopped.
    pub async fn wait_until_stopped(self) {
        self.task.await.expect("nothing panics").expect("the shutdown is graceful");
    }

    /// A folder whose liveness media show the sample portrait.
    pub fn folder(&self) -> String {
        self.oz.add_folder(sample::liveness_folder(sample::portrait_jpeg()))
    }

    /// Runs a match to its end and returns all updates.
    pub async fn run(&mut self, request: MatchRequest) -> Vec<MatchUpdate> {
        let updates = self.client.run_match(request).await.expect("the match is accepted");
        collect(updates.into_inner()).await.expect("the stream ends without an error")
    }

    /// Sends a request that the service must refuse, and returns the error.
    pub async fn run_refused(&mut self, request: MatchRequest) -> Refusal {
        Refusal::of(self.client.run_match(request).await.expect_err("the match is refused"))
    }

    /// Checks that Oz received no request, and that neither the journal nor memory holds a match or
    /// a photo.
    pub async fn assert_untouched(&mut self, after: &str) {
        assert!(self.oz.record().is_empty(), "{after}: Oz got {:?}", self.oz.record());
        let listed = self.client.list_matches(pb::ListMatchesRequest::default()).await;
        let matches = listed.expect("a list").into_inner().matches;
        assert!(matches.is_empty(), "{after}: the journal holds {matches:?}");
        self.assert_released(after).await;
    }

    /// Waits until memory holds no photo and no unfinished match: the service may still have to
    /// notice that callers disconnected.
    pub async fn assert_released(&self, after: &str) {
        let load = &self.load;
        let held = || (load.photo_bytes(), load.photos(), load.unfinished());
        eventually(|| held() == (0, 0, 0), || format!("{after}: {:?} are held", held())).await;
    }

    /// Checks that a valid match still runs to its end.
    pub async fn assert_works(&mut self) {
        let updates = self.run(portrait_request(&self.folder())).await;
        assert_eq!(last_match(&updates).state(), pb::MatchState::Finished);
        self.assert_released("a valid match").await;
    }

    /// How many requests Oz has received with this method and this end of the path.
    pub fn requests_to_oz(&self, method: &str, path_end: &str) -> usize {
        let fits = |path: &str| path.trim_end_matches('/').ends_with(path_end);
        self.oz.record().iter().filter(|r| r.method == method && fits(&r.path)).count()
    }
}

/// Fast polls and otherwise default settings, with a journal in this directory.
pub fn config(oz: &Simulator, directory: &Path) -> Config {
    let (login, password) = oz.login();
    let credentials =
        OzCredentials::Login { login: login.to_owned(), password: password.to_owned().into() };
    let oz_config = OzConfig::new(oz.url(), credentials);
    Config {
        listen: "127.0.0.1:0".parse().expect("an address"),
        poll_interval: POLL,
        // Much longer than the simulator delays any effect, also on a busy machine.
        oz_settle: Duration::from_millis(300),
        // A busy machine receives a thousand photos slowly.
        receive_timeout: PATIENCE,
        ..Config::new(directory.join(JOURNAL), oz_config)
    }
}

/// Starts the service. Its address says `http://` also where it serves over TLS.
#[expect(clippy::disallowed_methods, reason = "the test server joins it when it stops")]
pub async fn serve(config: Config) -> Served {
    let app = App::build(config, Clock::system()).await.expect("the service starts");
    let address = format!("http://{}", app.address().expect("an address"));
    let (admin, web) = (app.admin_address(), app.web_url());
    let (load, shutdown) = (app.load(), CancellationToken::new());
    let (secrets, reloads) = (app.secrets(), Box::new(app.reloads()));
    let dropped_spans = app.dropped_spans();
    let served = tokio::spawn(app.run(shutdown.clone()));
    Served { address, admin, web, load, dropped_spans, secrets, reloads, shutdown, served }
}

impl Served {
    /// Shuts the service down gracefully.
    pub async fn stop(self) {
        self.shutdown.cancel();
        self.served.await.expect("nothing panics").expect("the shutdown is graceful");
    }
}

/// The size of a test: the environment variable `name`, or else a default.
#[expect(clippy::disallowed_methods, reason = "the size of a test is no setting of the service")]
pub fn size_from_env(name: &str, otherwise: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}: {text} is no number")),
        Err(_) => otherwise,
    }
}

/// The current real time, for measuring durations.
#[expect(clippy::disallowed_methods, reason = "published figures measure real time")]
pub fn now() -> Instant {
    Instant::now()
}

/// How often a condition is polled: not in a busy loop, which would delay what it waits for.
const LOOK_INTERVAL: Duration = Duration::from_millis(1);

/// Polls a condition until it holds: for conditions that send no notification.
pub async fn eventually(mut holds: impl FnMut() -> bool, otherwise: impl FnOnce() -> String) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    };
    if tokio::time::timeout(PATIENCE, waiting).await.is_err() {
        panic!("{}", otherwise());
    }
}

/// Starts a simulated Oz with canaries in its data.
pub async fn simulator() -> Simulator {
    Simulator::start_with(canary::config()).await.expect("the loopback has a free port")
}

/// A client of the service at an address.
pub async fn connect(address: &str) -> Client {
    try_connect(address).await.expect("the service listens")
}

/// Like [`connect`], but the service may not be listening.
pub async fn try_connect(address: &str) -> Result<Client, tonic::transport::Error> {
    let endpoint = Endpoint::from_shared(address.to_owned()).expect("an address");
    Ok(canary::client(endpoint.connect().await?))
}

/// All updates of a stream.
pub async fn collect(mut updates: Streaming<MatchUpdate>) -> Result<Vec<MatchUpdate>, Status> {
    let mut all = Vec::new();
    let reading = async {
        while let Some(update) = updates.message().await? {
            all.push(update);
        }
        Ok::<(), Status>(())
    };
    // A stream that never ends fails its test instead of hanging it.
    let read = tokio::time::timeout(PATIENCE, reading).await;
    read.unwrap_or_else(|_| panic!("the stream doesn't end, after {:?}", event_names(&all)))?;
    Ok(all)
}

/// Reads a stream up to and including an event of this name, and returns the updates.
pub async fn read_until(updates: &mut Streaming<MatchUpdate>, event: &str) -> Vec<MatchUpdate> {
    let mut all = Vec::new();
    while let Some(update) = updates.message().await.expect("the stream stays open") {
        let is_it = event_name(&update) == event;
        all.push(update);
        if is_it {
            return all;
        }
    }
    panic!("no {event} but {:?}", event_names(&all));
}

/// A rule of a simulator script, in the JSON form of docs/simulator.md.
pub fn rule(json: serde_json::Value) -> Rule {
    serde_json::from_value(json).expect("a rule")
}

/// What the simulator does for a fault, for the `then` of a rule.
pub fn then(fault: &OzFault) -> serde_json::Value {
    serde_json::from_str(fault.then).expect("JSON")
}

/// A request to compare a photo that the folder already holds with the folder's liveness media.
pub fn folder_media_request(folder_id: &str, media_id: &str) -> MatchRequest {
    let source = Some(Source::FolderMediaId(media_id.to_owned()));
    MatchRequest {
        folder_id: folder_id.to_owned(),
        photo: Some(ReferencePhoto { source, ..Default::default() }),
        ..Default::default()
    }
}

/// The request with a request id, which makes it idempotent.
pub fn with_request_id(request_id: &str, request: MatchRequest) -> MatchRequest {
    MatchRequest { request_id: request_id.to_owned(), ..request }
}

/// A request to match the sample portrait with a folder.
pub fn portrait_request(folder_id: &str) -> MatchRequest {
    request(folder_id, Bytes::from_static(sample::portrait_jpeg()))
}

/// The sample portrait with the canary that requests add to it.
pub fn portrait() -> Bytes {
    canary::marked(Bytes::from_static(sample::portrait_jpeg()))
}

/// A request to match a photo with a folder. The photo and its file name carry canaries.
pub fn request(folder_id: &str, photo: Bytes) -> MatchRequest {
    let source = Some(Source::Content(canary::marked(photo)));
    let photo = ReferencePhoto { source, file_name: canary::FILE_NAME.into(), kind: 0 };
    MatchRequest { folder_id: folder_id.to_owned(), photo: Some(photo), ..Default::default() }
}

/// The names of the events of some updates.
pub fn event_names(updates: &[MatchUpdate]) -> Vec<&'static str> {
    updates.iter().map(event_name).collect()
}

/// The name of an update's event.
pub fn event_name(update: &MatchUpdate) -> &'static str {
    match update.event.as_ref().expect("every update has an event") {
        Event::Accepted(_) => "accepted",
        Event::PhotoUploaded(_) => "photo_uploaded",
        Event::AnalysisStarted(_) => "analysis_started",
        Event::AttemptFailed(_) => "attempt_failed",
        Event::Finished(_) => "finished",
        Event::Failed(_) => "failed",
        Event::Cancelled(_) => "cancelled",
        Event::Progress(_) => "progress",
        Event::Heartbeat(_) => "heartbeat",
    }
}

/// The match as of the last of some updates.
pub fn last_match(updates: &[MatchUpdate]) -> &Match {
    updates.last().and_then(|update| update.r#match.as_ref()).expect("an update with a match")
}

/// The parsed error of a failed call.
#[derive(Debug)]
pub struct Refusal {
    pub code: Code,
    pub message: String,
    pub details: ErrorDetails,
}

impl Refusal {
    pub fn of(status: Status) -> Self {
        assert!(metadata_bytes(&status) < METADATA_BYTES_MAX, "too large for clients: {status:?}");
        canary::check_status(&status);
        let details = status.get_error_details();
        Self { code: status.code(), message: status.message().to_owned(), details }
    }

    /// The reason, after a check of its domain.
    pub fn reason(&self) -> &str {
        let info = self.details.error_info().expect("every refusal has an ErrorInfo");
        assert_eq!(info.domain, "facematch");
        &info.reason
    }

    /// A value of the `ErrorInfo` metadata.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        let info = self.details.error_info().expect("every refusal has an ErrorInfo");
        info.metadata.get(key).map(String::as_str)
    }

    /// The invalid fields, in order.
    pub fn fields(&self) -> Vec<&str> {
        let violations = self.details.bad_request().map(|bad| bad.field_violations.as_slice());
        violations.unwrap_or_default().iter().map(|violation| violation.field.as_str()).collect()
    }

    /// Checks the code and the reason.
    #[track_caller]
    pub fn assert(&self, code: Code, reason: &str) {
        assert_eq!((self.code, self.reason()), (code, reason), "{}", self.message);
    }

    /// Checks the reason and the invalid fields of an `INVALID_ARGUMENT`.
    #[track_caller]
    pub fn assert_fields(&self, reason: &str, fields: &[&str]) {
        self.assert(Code::InvalidArgument, reason);
        assert_eq!(self.fields(), fields, "{}", self.message);
    }

    /// Whether the error has a retry delay.
    pub fn has_retry_delay(&self) -> bool {
        self.details.retry_info().is_some_and(|info| info.retry_delay.is_some())
    }
}

/// The most metadata that clients accept by default: 8 KiB in gRPC's core and in Java.
const METADATA_BYTES_MAX: usize = 8 * 1024;

/// Approximate metadata size of an error: base64 turns 3 bytes into 4, percent-encoding 1 into 3.
fn metadata_bytes(status: &Status) -> usize {
    status.details().len() * 4 / 3 + status.message().len() * 3 / 2
}

/// A request to watch a match from its first update.
pub fn watch(match_id: &str) -> pb::WatchMatchRequest {
    watch_after(match_id, 0)
}

/// A request to watch a match after a sequence.
pub fn watch_after(match_id: &str, after_sequence: u64) -> pb::WatchMatchRequest {
    let id = pb::watch_match_request::Id::MatchId(match_id.to_owned());
    pb::WatchMatchRequest { id: Some(id), after_sequence, include_progress: false }
}

/// A request to wait for the end of a match, with a timeout.
pub fn wait(match_id: &str, timeout: Duration) -> pb::WaitMatchRequest {
    let id = pb::wait_match_request::Id::MatchId(match_id.to_owned());
    let timeout = timeout.try_into().expect("a duration that the wire takes");
    pb::WaitMatchRequest { id: Some(id), timeout: Some(timeout) }
}

/// A request to wait for a match by the caller's request id.
pub fn wait_by_request(request_id: &str, timeout: Duration) -> pb::WaitMatchRequest {
    let id = pb::wait_match_request::Id::RequestId(request_id.to_owned());
    pb::WaitMatchRequest { id: Some(id), ..wait("", timeout) }
}

/// A request to cancel a match.
pub fn cancel(match_id: &str) -> pb::CancelMatchRequest {
    let id = pb::cancel_match_request::Id::MatchId(match_id.to_owned());
    pb::CancelMatchRequest { id: Some(id) }
}

/// A request to erase a match.
pub fn delete(match_id: &str) -> pb::DeleteMatchRequest {
    let id = pb::delete_match_request::Id::MatchId(match_id.to_owned());
    pb::DeleteMatchRequest { id: Some(id) }
}

/// A request to get a match by its id.
pub fn get(match_id: &str) -> pb::GetMatchRequest {
    let id = pb::get_match_request::Id::MatchId(match_id.to_owned());
    pb::GetMatchRequest { id: Some(id) }
}
