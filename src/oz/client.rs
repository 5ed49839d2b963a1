//! The Oz client: turns requests into HTTP, and answers into the domain's types.
//!
//! Every text that leaves the module passes through one clean-up. It deliberately repeats nothing
//! but a request that was refused because of its session, once. It deliberately doesn't limit
//! concurrent calls; but one call never has two requests in flight, logins included.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use http::StatusCode;
use reqwest::RequestBuilder;
use serde_json::Value;

use crate::{
    clock::Clock,
    domain::{
        Analysis, AnalysisId, Ask, Failure, FailureKind, Folder, FolderId, Format, MatchId,
        MediaId, PhotoKind, Reply, Timestamp,
    },
    metrics::{Endpoint, OzMetrics},
    oz::{
        Config, ConfigError, Jitter, Oz, Sent,
        exchange::{OzResponse, Transport},
        failure,
        refusals::RefusedRequest,
        route, scrub,
        session::{Credential, Remedy, Session},
        upload,
        wire::{self, UnusableAnswer},
    },
    trace::{AskTrace, RequestTrace},
};

/// Oz over HTTP. The process has one client, which holds the session and the connections.
pub struct Client {
    transport: Transport,
    session: Session,
    trace_headers: bool,
}

/// A request without its credential, so that a replay sends the same request.
enum Request<'a> {
    Get { endpoint: Endpoint, path: String },
    Post { endpoint: Endpoint, path: String, body: Value },
    Upload { path: String, photo: PhotoUpload<'a> },
}

const READ_FOLDER: Endpoint = Endpoint { method: "GET", template: "/api/folders/{folder_id}" };
const LIST_ANALYSES: Endpoint =
    Endpoint { method: "GET", template: "/api/folders/{folder_id}/analyses/" };
const START_ANALYSES: Endpoint =
    Endpoint { method: "POST", template: "/api/folders/{folder_id}/analyses/" };
const UPLOAD: Endpoint = Endpoint { method: "POST", template: "/api/folders/{folder_id}/media/" };
const READ_ANALYSIS: Endpoint = Endpoint { method: "GET", template: "/api/analyses/{analysis_id}" };

impl Request<'_> {
    fn path(&self) -> &str {
        match self {
            Self::Get { path, .. } | Self::Post { path, .. } | Self::Upload { path, .. } => path,
        }
    }

    /// Whether the request may be sent again at once after this refusal: a GET always, a request
    /// that changes Oz only if Oz refused it before acting on it.
    fn may_be_replayed(&self, refusal: &Failure) -> bool {
        match self {
            Self::Get { .. } => true,
            Self::Post { .. } | Self::Upload { .. } => !refusal.kind.may_have_acted(),
        }
    }
}

/// A photo to upload.
struct PhotoUpload<'a> {
    bytes: Bytes,
    match_id: MatchId,
    kind: PhotoKind,
    format: Format,
    sent: Sent<'a>,
}

impl Client {
    /// A client with these settings. Nothing is sent to Oz before the first request.
    pub fn new(config: Config, clock: Clock, chance: Jitter) -> Result<Self, ConfigError> {
        let line = Transport::new(&config, clock)?;
        Ok(Self {
            transport: line,
            session: Session::new(config.credentials, config.keychain, chance),
            trace_headers: config.trace_headers,
        })
    }

    /// What requests to Oz count.
    pub fn metrics(&self) -> &OzMetrics {
        &self.transport.metrics
    }

    async fn ask(
        &self,
        ask: &Ask,
        photo: Option<Bytes>,
        sent: Sent<'_>,
        trace: AskTrace<'_>,
    ) -> Result<Reply, Failure> {
        match ask {
            Ask::ReadFolder { folder_id } => {
                self.read_folder(*folder_id, trace).await.map(Reply::Folder)
            }
            Ask::UploadPhoto { folder_id, match_id, kind, format } => {
                let bytes = photo.expect("an upload comes with its photo");
                let photo =
                    PhotoUpload { bytes, match_id: *match_id, kind: *kind, format: *format, sent };
                self.upload(*folder_id, photo, trace).await.map(Reply::Photo)
            }
            Ask::StartAnalyses { folder_id, biometry, quality } => {
                let started = self.start(*folder_id, biometry, quality.as_deref(), trace).await;
                started.map(Reply::Started)
            }
            Ask::ReadAnalysis { analysis_id } => {
                self.read_analysis(analysis_id, trace).await.map(Reply::Analysis)
            }
            Ask::ReadReference { .. } => Err(not_of_oz()),
        }
    }

    /// `GET /api/folders/{id}` (single folder page). Requests the analyses separately if the answer
    /// omits them.
    async fn read_folder(&self, id: FolderId, trace: AskTrace<'_>) -> Result<Folder, Failure> {
        let path = format!("/api/folders/{id}?with_analyses=true");
        let answer = self.send(&Request::Get { endpoint: READ_FOLDER, path }, trace).await?;
        let (folder, with_analyses) = usable(&answer, wire::folder(&answer.body))?;
        if with_analyses {
            return Ok(folder);
        }
        Ok(Folder { analyses: self.list_analyses(id, trace).await?, ..folder })
    }

    /// `GET /api/folders/{id}/analyses/` (list of analyses page).
    async fn list_analyses(
        &self,
        id: FolderId,
        trace: AskTrace<'_>,
    ) -> Result<Vec<Analysis>, Failure> {
        let path = format!("/api/folders/{id}/analyses/");
        let answer = self.send(&Request::Get { endpoint: LIST_ANALYSES, path }, trace).await;
        let answer = answer.map_err(|failure| match failure.kind == FailureKind::NotFound {
            // The folder exists: it was just read.
            true => Failure { kind: FailureKind::Incomplete, ..failure },
            false => failure,
        })?;
        usable(&answer, wire::analyses(&answer.body))
    }

    /// `POST /api/folders/{id}/media/` (uploading-media page).
    async fn upload(
        &self,
        id: FolderId,
        photo: PhotoUpload<'_>,
        trace: AskTrace<'_>,
    ) -> Result<MediaId, Failure> {
        let (match_id, kind) = (photo.match_id, photo.kind);
        let path = format!("/api/folders/{id}/media/");
        let answer = self.send(&Request::Upload { path, photo }, trace).await?;
        usable(&answer, wire::uploaded(&answer.body, match_id, kind))
    }

    /// `POST /api/folders/{id}/analyses/` (biometry page).
    async fn start(
        &self,
        id: FolderId,
        biometry: &[MediaId],
        quality: Option<&[MediaId]>,
        trace: AskTrace<'_>,
    ) -> Result<Vec<Analysis>, Failure> {
        let path = format!("/api/folders/{id}/analyses/");
        let body = wire::start_body(biometry, quality);
        let answer =
            self.send(&Request::Post { endpoint: START_ANALYSES, path, body }, trace).await?;
        usable(&answer, wire::started(&answer.body))
    }

    /// `GET /api/analyses/{id}` (biometry page).
    async fn read_analysis(
        &self,
        id: &AnalysisId,
        trace: AskTrace<'_>,
    ) -> Result<Analysis, Failure> {
        let path = format!("/api/analyses/{id}");
        let answer = self.send(&Request::Get { endpoint: READ_ANALYSIS, path }, trace).await?;
        read_analysis(answer.status, &answer.body, id)
    }

    /// Sends a request, and once more with a new credential if the session was at fault and Oz
    /// refused the request before acting on it.
    async fn send(
        &self,
        request: &Request<'_>,
        trace: AskTrace<'_>,
    ) -> Result<OzResponse, Failure> {
        let pass = self.session.credential(&self.transport).await?;
        let sent_at = self.transport.clock.now();
        let failure =
            match self.send_once(request, &pass, sent_at, self.begin(request, trace, 0)).await {
                Err(failure) if failure.http_status == Some(401) => failure,
                outcome => return outcome,
            };
        let refusal = RefusedRequest { path: request.path(), sent_at, kind: failure.kind };
        match self.session.remedy(&self.transport, &pass, &refusal).await {
            Remedy::None => Err(failure),
            Remedy::TokenRefused => Err(Failure { kind: FailureKind::LoginRefused, ..failure }),
            // This request was sent, so it isn't reported as withheld, unlike the requests that
            // follow.
            Remedy::Failed(renewal) if renewal.withheld().is_some() => Err(failure),
            Remedy::Failed(renewal) => Err(renewal),
            Remedy::Pass(_) if !request.may_be_replayed(&failure) => Err(failure),
            Remedy::Pass(renewed) => self.replay(request, &renewed, trace).await,
        }
    }

    async fn replay(
        &self,
        request: &Request<'_>,
        renewed: &Credential,
        trace: AskTrace<'_>,
    ) -> Result<OzResponse, Failure> {
        let sent_at = self.transport.clock.now();
        let outcome =
            self.send_once(request, renewed, sent_at, self.begin(request, trace, 1)).await;
        match &outcome {
            Err(failure) if failure.http_status == Some(401) => {
                self.session.refused_again(request.path(), sent_at);
            }
            Ok(_) => self.session.renewal_helped(self.transport.clock.now()),
            Err(_) => {}
        }
        outcome
    }

    async fn send_once(
        &self,
        request: &Request<'_>,
        pass: &Credential,
        sent_at: Timestamp,
        trace: RequestTrace<'_>,
    ) -> Result<OzResponse, Failure> {
        let sign = |request| self.traced(pass.sign(request), &trace);
        let answer = match request {
            Request::Get { endpoint, path } => {
                self.transport.exchange(*endpoint, sign(self.transport.get(path))).await
            }
            Request::Post { endpoint, path, body } => {
                let request = sign(self.transport.post(path)).json(body);
                self.transport.exchange(*endpoint, request).await
            }
            Request::Upload { path, photo } => {
                self.upload_once(sign(self.transport.upload(path)), photo).await
            }
        };
        trace.end(route::outcome(&answer));
        if answer.is_ok() {
            self.session.used(pass, request.path(), sent_at);
        }
        answer
    }

    /// Begins the trace of a request, which was just repeated so often.
    fn begin<'a>(
        &self,
        request: &Request<'_>,
        trace: AskTrace<'a>,
        repeats: u32,
    ) -> RequestTrace<'a> {
        let is_get = matches!(request, Request::Get { .. });
        route::begin(&trace, route::of(is_get, request.path()), &self.transport, repeats)
    }

    fn traced(&self, request: RequestBuilder, trace: &RequestTrace<'_>) -> RequestBuilder {
        if self.trace_headers { route::with_headers(request, trace) } else { request }
    }

    async fn upload_once(
        &self,
        request: RequestBuilder,
        photo: &PhotoUpload<'_>,
    ) -> Result<OzResponse, Failure> {
        let (form, mut progress) =
            upload::form(photo.bytes.clone(), photo.match_id, photo.kind, photo.format);
        let request = request.multipart(form);
        let outcome = tokio::select! {
            biased;
            answer = self.transport.exchange(UPLOAD, request) => {
                answer.map_err(failure::too_large_for_a_gateway)
            }
            missing = progress.watch(photo.sent, self.transport.upload_stall, self.transport.timeout) => {
                Err(Failure::new(FailureKind::TimedOut, missing))
            }
        };
        progress.report(photo.sent);
        outcome
    }

    /// Removes from a reply what must not leave the module.
    fn clean_reply(&self, reply: Reply) -> Reply {
        let clean = |analysis: Analysis| Analysis {
            error_message: analysis.error_message.map(|text| self.clean(&text)),
            ..analysis
        };
        match reply {
            Reply::Folder(Folder { media, analyses }) => {
                Reply::Folder(Folder { media, analyses: analyses.into_iter().map(clean).collect() })
            }
            Reply::Started(analyses) => Reply::Started(analyses.into_iter().map(clean).collect()),
            Reply::Analysis(analysis) => Reply::Analysis(clean(analysis)),
            Reply::Photo(id) => Reply::Photo(id),
            Reply::Reference(format) => Reply::Reference(format),
        }
    }

    fn clean_failure(&self, failure: Failure) -> Failure {
        let causes = failure.causes.as_deref().map(|causes| self.clean(causes));
        Failure { message: self.clean(&failure.message), causes, ..failure }
    }

    fn clean(&self, text: &str) -> String {
        scrub::clean(text, &self.session.secrets())
    }
}

#[async_trait]
impl Oz for Client {
    async fn perform(
        &self,
        ask: &Ask,
        photo: Option<Bytes>,
        sent: Sent<'_>,
        trace: AskTrace<'_>,
    ) -> Result<Reply, Failure> {
        let steady = self.transport.clock.steady();
        let started = steady.now();
        let outcome = self.ask(ask, photo, sent, trace).await;
        let outcome = match outcome {
            Ok(reply) => Ok(self.clean_reply(reply)),
            Err(failure) => Err(self.clean_failure(failure)),
        };
        let duration_ms = steady.now().since(started).as_millis() as u64;
        let failed = outcome.as_ref().err();
        tracing::debug!(
            oz.ask = ask.kind().name(),
            oz.failure = failed.map(|failure| failure.kind.cause().as_str()),
            oz.http_status = failed.and_then(|failure| failure.http_status),
            oz.error_code = failed.and_then(|failure| failure.error_code),
            error = failed.map(Failure::told),
            duration_ms,
            "asked Oz"
        );
        outcome
    }

    fn credentials_version(&self) -> u64 {
        self.session.credentials_version()
    }

    async fn credentials_replaced(&self, version: u64) {
        self.session.credentials_replaced(version).await;
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

/// Reads the successful answer to a poll of the analysis `asked`. Nearly all of Oz's answers are to
/// polls, so this is separate from sending, and its cost can be measured alone.
///
/// # Errors
/// A failure if the answer can't be read or lacks required data.
pub fn read_analysis(
    status: StatusCode,
    body: &[u8],
    asked: &AnalysisId,
) -> Result<Analysis, Failure> {
    wire::analysis(body, asked).map_err(|unusable| unusable.into_failure(status, body))
}

/// The failure of a request that isn't for Oz.
fn not_of_oz() -> Failure {
    Failure::new(FailureKind::Incomplete, "the request is not for Oz")
}

/// The reading of an answer, or the failure that the answer amounts to.
fn usable<T>(answer: &OzResponse, reading: Result<T, UnusableAnswer>) -> Result<T, Failure> {
    reading.map_err(|unusable| unusable.into_failure(answer.status, &answer.body))
}
