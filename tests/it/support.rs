//! A house to test in: a simulated Oz, the service over a real journal file, and a real client.

use std::{path::Path, time::Duration};

use bytes::Bytes;
use facematch::{
    app::App,
    clock::Clock,
    config::{Config, Credentials, OzConfig},
    pb::{
        self, Match, MatchRequest, MatchUpdate, ReferencePhoto, face_match_client::FaceMatchClient,
        match_update::Event, reference_photo::Source,
    },
    simulator::{Rule, Simulator, sample},
    watch::Watch,
    worker::Worker,
};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status, Streaming, transport::Channel};
use tonic_types::{ErrorDetails, StatusExt};

/// How often tests poll, so that none takes seconds.
pub const POLL: Duration = Duration::from_millis(20);

/// The service under test, its Oz, and a client.
pub struct House {
    pub oz: Simulator,
    pub client: FaceMatchClient<Channel>,
    pub directory: TempDir,
    pub config: Config,
    pub address: String,
    pub worker: Worker,
    pub watch: Watch,
    shutdown: CancellationToken,
    served: JoinHandle<()>,
}

/// A service that runs.
struct Served {
    address: String,
    worker: Worker,
    watch: Watch,
    shutdown: CancellationToken,
    served: JoinHandle<()>,
}

impl House {
    /// A house with fast polls and everything else as it comes.
    pub async fn build() -> Self {
        Self::build_with(|_| {}).await
    }

    /// A house with other settings.
    pub async fn build_with(change: impl FnOnce(&mut Config)) -> Self {
        Self::build_around(Simulator::start().await, change).await
    }

    /// A house with other settings around an Oz that there is.
    pub async fn build_around(oz: Simulator, change: impl FnOnce(&mut Config)) -> Self {
        oz.switch(|switches| switches.processing_ms = 50);
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut config = config(&oz, directory.path());
        change(&mut config);
        Self::open(oz, directory, config).await
    }

    async fn open(oz: Simulator, directory: TempDir, config: Config) -> Self {
        let Served { address, worker, watch, shutdown, served } = serve(config.clone()).await;
        let client = connect(&address).await;
        Self { oz, client, directory, config, address, worker, watch, shutdown, served }
    }

    /// Stops the service in order and starts it again on the same journal.
    pub async fn restart(self) -> Self {
        self.shutdown.cancel();
        self.served.await.expect("the service stops in order");
        Self::open(self.oz, self.directory, self.config).await
    }

    /// Asks the service to stop; it drains meanwhile.
    pub fn shut_down(&self) {
        self.shutdown.cancel();
    }

    /// Waits until the service has stopped.
    pub async fn stopped(self) {
        self.served.await.expect("the service stops in order");
    }

    /// A folder whose liveness media show the sample portrait.
    pub fn folder(&self) -> String {
        self.oz.add_folder(sample::liveness_folder(sample::portrait_jpeg()))
    }

    /// Runs a match to its end and returns all updates.
    pub async fn run(&mut self, request: MatchRequest) -> Vec<MatchUpdate> {
        let updates = self.client.run_match(request).await.expect("the match is accepted");
        collect(updates.into_inner()).await.expect("the stream ends in order")
    }

    /// The error of a match that is refused.
    pub async fn refused(&mut self, request: MatchRequest) -> Refusal {
        Refusal::of(self.client.run_match(request).await.expect_err("the match is refused"))
    }

    /// How many requests to an endpoint Oz has seen.
    pub fn asked(&self, method: &str, path_end: &str) -> usize {
        let fits = |path: &str| path.trim_end_matches('/').ends_with(path_end);
        self.oz.record().iter().filter(|r| r.method == method && fits(&r.path)).count()
    }
}

fn config(oz: &Simulator, directory: &Path) -> Config {
    let (login, password) = oz.login();
    let credentials =
        Credentials::Login { login: login.to_owned(), password: password.to_owned().into() };
    let oz_config = OzConfig::new(oz.url(), credentials);
    Config {
        listen: "127.0.0.1:0".parse().expect("an address"),
        poll_interval: POLL,
        oz_settle: Duration::from_millis(60),
        ..Config::new(directory.join("facematch.db"), oz_config)
    }
}

#[expect(clippy::disallowed_methods, reason = "the house joins it when it stops")]
async fn serve(config: Config) -> Served {
    let app = App::build(config, Clock::system()).await.expect("the service starts");
    let address = format!("http://{}", app.address().expect("an address"));
    let (worker, watch) = (app.worker().clone(), app.watch().clone());
    let shutdown = CancellationToken::new();
    let served = tokio::spawn(app.run(shutdown.clone()));
    Served { address, worker, watch, shutdown, served }
}

/// A client of the service at an address.
pub async fn connect(address: &str) -> FaceMatchClient<Channel> {
    FaceMatchClient::connect(address.to_owned()).await.expect("the service listens")
}

/// All updates of a stream.
pub async fn collect(mut updates: Streaming<MatchUpdate>) -> Result<Vec<MatchUpdate>, Status> {
    let mut all = Vec::new();
    while let Some(update) = updates.message().await? {
        all.push(update);
    }
    Ok(all)
}

/// Reads a stream until an event of this name, and returns what came up to it.
pub async fn until(updates: &mut Streaming<MatchUpdate>, event: &str) -> Vec<MatchUpdate> {
    let mut all = Vec::new();
    while let Some(update) = updates.message().await.expect("the stream goes on") {
        let is_it = name(&update) == event;
        all.push(update);
        if is_it {
            return all;
        }
    }
    panic!("no {event} came, but {:?}", names(&all));
}

/// A rule of a script, as the simulator's README writes it.
pub fn rule(json: serde_json::Value) -> Rule {
    serde_json::from_value(json).expect("a rule")
}

/// A photo that the folder holds against its liveness.
pub fn folder_media_request(folder_id: &str, media_id: &str) -> MatchRequest {
    let source = Some(Source::FolderMediaId(media_id.to_owned()));
    MatchRequest {
        folder_id: folder_id.to_owned(),
        photo: Some(ReferencePhoto { source, ..Default::default() }),
        ..Default::default()
    }
}

/// A request that is safe to repeat.
pub fn named(request_id: &str, request: MatchRequest) -> MatchRequest {
    MatchRequest { request_id: request_id.to_owned(), ..request }
}

/// The sample portrait against a folder.
pub fn portrait_request(folder_id: &str) -> MatchRequest {
    request(folder_id, Bytes::from_static(sample::portrait_jpeg()))
}

/// A photo against a folder.
pub fn request(folder_id: &str, photo: Bytes) -> MatchRequest {
    MatchRequest {
        folder_id: folder_id.to_owned(),
        photo: Some(ReferencePhoto { source: Some(Source::Content(photo)), ..Default::default() }),
        ..Default::default()
    }
}

/// The names of the events of some updates.
pub fn names(updates: &[MatchUpdate]) -> Vec<&'static str> {
    updates.iter().map(name).collect()
}

/// The name of an update's event.
pub fn name(update: &MatchUpdate) -> &'static str {
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
pub fn last(updates: &[MatchUpdate]) -> &Match {
    updates.last().and_then(|update| update.r#match.as_ref()).expect("an update with a match")
}

/// A call that failed, taken apart.
#[derive(Debug)]
pub struct Refusal {
    pub code: Code,
    pub message: String,
    pub details: ErrorDetails,
}

impl Refusal {
    pub fn of(status: Status) -> Self {
        let details = status.get_error_details();
        Self { code: status.code(), message: status.message().to_owned(), details }
    }

    /// The reason, after checking whose it is.
    pub fn reason(&self) -> &str {
        let info = self.details.error_info().expect("every refusal has an ErrorInfo");
        assert_eq!(info.domain, "facematch");
        &info.reason
    }

    /// A value of the reason's metadata.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        let info = self.details.error_info().expect("every refusal has an ErrorInfo");
        info.metadata.get(key).map(String::as_str)
    }

    /// The fields that are wrong, in order.
    pub fn fields(&self) -> Vec<&str> {
        let violations = self.details.bad_request().map(|bad| bad.field_violations.as_slice());
        violations.unwrap_or_default().iter().map(|violation| violation.field.as_str()).collect()
    }
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

/// A request to wait for a match for so long.
pub fn wait(match_id: &str, timeout: Duration) -> pb::WaitMatchRequest {
    let id = pb::wait_match_request::Id::MatchId(match_id.to_owned());
    let timeout = timeout.try_into().expect("a duration that the wire takes");
    pb::WaitMatchRequest { id: Some(id), timeout: Some(timeout) }
}

/// The same by the caller's own id.
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
    pb::DeleteMatchRequest { match_id: match_id.to_owned() }
}

/// A key of a match by its own id.
pub fn get(match_id: &str) -> pb::GetMatchRequest {
    let id = pb::get_match_request::Id::MatchId(match_id.to_owned());
    pb::GetMatchRequest { id: Some(id) }
}
