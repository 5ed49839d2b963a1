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
    simulator::{Simulator, sample},
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
        let oz = Simulator::start().await;
        oz.switch(|switches| switches.processing_ms = 50);
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut config = config(&oz, directory.path());
        change(&mut config);
        let (address, shutdown, served) = serve(config.clone()).await;
        let client = connect(&address).await;
        Self { oz, client, directory, config, address, shutdown, served }
    }

    /// Stops the service in order and starts it again on the same journal.
    pub async fn restart(self) -> Self {
        self.shutdown.cancel();
        self.served.await.expect("the service stops in order");
        let (address, shutdown, served) = serve(self.config.clone()).await;
        let client = connect(&address).await;
        Self { client, address, shutdown, served, ..self }
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
async fn serve(config: Config) -> (String, CancellationToken, JoinHandle<()>) {
    let app = App::build(config, Clock::system()).await.expect("the service starts");
    let address = format!("http://{}", app.address().expect("an address"));
    let shutdown = CancellationToken::new();
    let served = tokio::spawn(app.run(shutdown.clone()));
    (address, shutdown, served)
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

/// A key of a match by its own id.
pub fn get(match_id: &str) -> pb::GetMatchRequest {
    let id = pb::get_match_request::Id::MatchId(match_id.to_owned());
    pb::GetMatchRequest { id: Some(id) }
}
