//! The Oz client: turns requests into HTTP, and answers into the domain's types.
//!
//! Every text that leaves the module passes through one clean-up. It deliberately repeats nothing
//! but a request that was refused because of its session, once. It deliberately doesn't limit
//! concurrent calls; but one call never has two requests in flight, logins included.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use http::StatusCode;
use serde_json::Value;

use crate::{
    clock::Clock,
    domain::{
        Analysis, AnalysisId, Ask, Failure, FailureKind, Folder, FolderId, Format, MatchId,
        MediaId, PhotoKind, Reply, Timestamp,
    },
    oz::{
        Config, ConfigError, Jitter, Oz, Sent,
        exchange::{OzResponse, Transport},
        failure,
        refusals::RefusedRequest,
        scrub,
        session::{Credential, Remedy, Session},
        upload,
        wire::{self, UnusableAnswer},
    },
};

/// Oz over HTTP. The process has one client, which holds the session and the connections.
pub struct Client {
    transport: Transport,
    session: Session,
}

/// A request without its credential, so that a replay sends the same request.
enum Request<'a> {
    Get { path: String },
    Post { path: String, body: Value },
    Upload { path: String, photo: PhotoUpload<'a> },
}

impl Request<'_> {
    fn path(&self) -> &str {
        match self {
            Self::Get { path } | Self::Post { path, .. } | Self::Upload { path, .. } => path,
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
        })
    }

    async fn ask(&self, ask: &Ask, photo: Option<Bytes>, sent: Sent<'_>) -> Result<Reply, Failure> {
        match ask {
            Ask::ReadFolder { folder_id } => self.read_folder(*folder_id).await.map(Reply::Folder),
            Ask::UploadPhoto { folder_id, match_id, kind, format } => {
                let bytes = photo.expect("an upload comes with its photo");
                let photo =
                    PhotoUpload { bytes, match_id: *match_id, kind: *kind, format: *format, sent };
                self.upload(*folder_id, photo).await.map(Reply::Photo)
            }
            Ask::StartAnalyses { folder_id, biometry, quality } => {
                self.start(*folder_id, biometry, quality.as_deref()).await.map(Reply::Started)
            }
            Ask::ReadAnalysis { analysis_id } => {
                self.read_analysis(analysis_id).await.map(Reply::Analysis)
            }
        }
    }

    /// `GET /api/folders/{id}` (single folder page). Requests the analyses separately if the answer
    /// omits them.
    async fn read_folder(&self, id: FolderId) -> Result<Folder, Failure> {
        let path = format!("/api/folders/{id}?with_analyses=true");
        let answer = self.send(&Request::Get { path }).await?;
        let (folder, with_analyses) = usable(&answer, wire::folder(&answer.body))?;
        if with_analyses {
            return Ok(folder);
        }
        Ok(Folder { analyses: self.list_analyses(id).await?, ..folder })
    }

    /// `GET /api/folders/{id}/analyses/` (list of analyses page).
    async fn list_analyses(&self, id: FolderId) -> Result<Vec<Analysis>, Failure> {
        let path = format!("/api/folders/{id}/analyses/");
        let answer = self.send(&Request::Get { path }).await;
        let answer = answer.map_err(|failure| match failure.kind == FailureKind::NotFound {
            // The folder exists: it was just read.
            true => Failure { kind: FailureKind::Incomplete, ..failure },
            false => failure,
        })?;
        usable(&answer, wire::analyses(&answer.body))
    }

    /// `POST /api/folders/{id}/media/` (uploading-media page).
    async fn upload(&self, id: FolderId, photo: PhotoUpload<'_>) -> Result<MediaId, Failure> {
        let (match_id, kind) = (photo.match_id, photo.kind);
        let path = format!("/api/folders/{id}/media/");
        let answer = self.send(&Request::Upload { path, photo }).await?;
        usable(&answer, wire::uploaded(&answer.body, match_id, kind))
    }

    /// `POST /api/folders/{id}/analyses/` (biometry page).
    async fn start(
        &self,
        id: FolderId,
        biometry: &[MediaId],
        quality: Option<&[MediaId]>,
    ) -> Result<Vec<Analysis>, Failure> {
        let path = format!("/api/folders/{id}/analyses/");
        let body = wire::start_body(biometry, quality);
        let answer = self.send(&Request::Post { path, body }).await?;
        usable(&answer, wire::started(&answer.body))
    }

    /// `GET /api/analyses/{id}` (biometry page).
    async fn read_analysis(&self, id: &AnalysisId) -> Result<Analysis, Failure> {
        let path = format!("/api/analyses/{id}");
        let answer = self.send(&Request::Get { path }).await?;
        read_analysis(answer.status, &answer.body, id)
    }

    /// Sends a request, and once more with a new credential if the session was at fault and Oz
    /// refused the request before acting on it.
    async fn send(&self, request: &Request<'_>) -> Result<OzResponse, Failure> {
        let pass = self.session.credential(&self.transport).await?;
        let sent_at = self.transport.clock.now();
        let failure = match self.send_once(request, &pass, sent_at).await {
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
            Remedy::Pass(renewed) => self.replay(request, &renewed).await,
        }
    }

    async fn replay(
        &self,
        request: &Request<'_>,
        renewed: &Credential,
    ) -> Result<OzResponse, Failure> {
        let sent_at = self.transport.clock.now();
        let outcome = self.send_once(request, renewed, sent_at).await;
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
    ) -> Result<OzResponse, Failure> {
        let answer = match request {
            Request::Get { path } => {
                self.transport.exchange(pass.sign(self.transport.get(path))).await
            }
            Request::Post { path, body } => {
                self.transport.exchange(pass.sign(self.transport.post(path)).json(body)).await
            }
            Request::Upload { path, photo } => self.upload_once(path, photo, pass).await,
        };
        if answer.is_ok() {
            self.session.used(pass, request.path(), sent_at);
        }
        answer
    }

    async fn upload_once(
        &self,
        path: &str,
        photo: &PhotoUpload<'_>,
        pass: &Credential,
    ) -> Result<OzResponse, Failure> {
        let (form, mut progress) =
            upload::form(photo.bytes.clone(), photo.match_id, photo.kind, photo.format);
        let request = pass.sign(self.transport.upload(path)).multipart(form);
        let outcome = tokio::select! {
            biased;
            answer = self.transport.exchange(request) => {
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
    ) -> Result<Reply, Failure> {
        let started = self.transport.clock.now();
        let outcome = self.ask(ask, photo, sent).await;
        let outcome = match outcome {
            Ok(reply) => Ok(self.clean_reply(reply)),
            Err(failure) => Err(self.clean_failure(failure)),
        };
        let duration_ms = self.transport.clock.now().since(started).as_millis() as u64;
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

/// The reading of an answer, or the failure that the answer amounts to.
fn usable<T>(answer: &OzResponse, reading: Result<T, UnusableAnswer>) -> Result<T, Failure> {
    reading.map_err(|unusable| unusable.into_failure(answer.status, &answer.body))
}
