//! A match's requests to Oz and to the photo library, and their replies, as plain values.

use std::time::Duration;

use crate::domain::{
    event::Metadata,
    id::{AnalysisId, FolderId, MatchId, MediaId},
    photo::{Format, PhotoKind},
    reason::Cause,
    reference::ReferenceKey,
    time::Timestamp,
};

/// One request to Oz, or to the photo library.
#[derive(Clone, PartialEq, Debug)]
pub enum Ask {
    /// Read the folder: its media and its analyses.
    ReadFolder {
        /// Which folder.
        folder_id: FolderId,
    },
    /// Upload the photo. Not idempotent.
    UploadPhoto {
        /// Into which folder.
        folder_id: FolderId,
        /// Identifies the photo, so that a later folder read finds it if the answer is lost.
        match_id: MatchId,
        /// Decides its tags.
        kind: PhotoKind,
        /// Decides its content type and the ending of its name.
        format: Format,
    },
    /// Start the analyses. Not idempotent.
    StartAnalyses {
        /// In which folder.
        folder_id: FolderId,
        /// The media that the BIOMETRY analysis compares: the liveness media and the photo.
        biometry: Vec<MediaId>,
        /// The media of a QUALITY analysis to start together with it; `None` starts none.
        quality: Option<Vec<MediaId>>,
    },
    /// Read the status of an analysis.
    ReadAnalysis {
        /// Which analysis.
        analysis_id: AnalysisId,
    },
    /// Read the reference photo from the photo library of the match's tenant.
    ReadReference {
        /// Which photo.
        key: ReferenceKey,
    },
}

/// The kinds of [`Ask`], for tables.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AskKind {
    /// [`Ask::ReadFolder`]
    ReadFolder,
    /// [`Ask::UploadPhoto`]
    UploadPhoto,
    /// [`Ask::StartAnalyses`]
    StartAnalyses,
    /// [`Ask::ReadAnalysis`]
    ReadAnalysis,
    /// [`Ask::ReadReference`]
    ReadReference,
}

impl Ask {
    /// Its kind.
    pub const fn kind(&self) -> AskKind {
        match self {
            Self::ReadFolder { .. } => AskKind::ReadFolder,
            Self::UploadPhoto { .. } => AskKind::UploadPhoto,
            Self::StartAnalyses { .. } => AskKind::StartAnalyses,
            Self::ReadAnalysis { .. } => AskKind::ReadAnalysis,
            Self::ReadReference { .. } => AskKind::ReadReference,
        }
    }
}

impl AskKind {
    /// Its name in the log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ReadFolder => "read_folder",
            Self::UploadPhoto => "upload_photo",
            Self::StartAnalyses => "start_analyses",
            Self::ReadAnalysis => "read_analysis",
            Self::ReadReference => "read_reference",
        }
    }

    /// Whether it changes something at Oz. If its answer is lost, its effect must be looked for.
    pub const fn changes_oz(self) -> bool {
        match self {
            Self::UploadPhoto | Self::StartAnalyses => true,
            Self::ReadFolder | Self::ReadAnalysis | Self::ReadReference => false,
        }
    }
}

/// What Oz, or the photo library, answered.
#[derive(Clone, PartialEq, Debug)]
#[expect(clippy::large_enum_variant, reason = "the large variant is by far the most common: polls")]
pub enum Reply {
    /// To [`Ask::ReadFolder`].
    Folder(Folder),
    /// To [`Ask::UploadPhoto`]: the photo's id.
    Photo(MediaId),
    /// To [`Ask::StartAnalyses`]: the analyses that were started.
    Started(Vec<Analysis>),
    /// To [`Ask::ReadAnalysis`].
    Analysis(Analysis),
    /// To [`Ask::ReadReference`]: the format of the photo, which the driver holds.
    Reference(Format),
}

/// What a folder holds, in Oz's order.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Folder {
    /// Its media.
    pub media: Vec<Media>,
    /// Its analyses.
    pub analyses: Vec<Analysis>,
}

/// One medium of a folder.
#[derive(Clone, PartialEq, Debug)]
pub struct Media {
    /// Its id.
    pub id: MediaId,
    /// Oz's `media_type` in upper case, for instance `IMAGE_FOLDER`.
    pub media_type: Option<String>,
    /// Its tags.
    pub tags: Vec<String>,
    /// The name it was uploaded under.
    pub original_name: Option<String>,
    /// The match id that the upload wrote into its metadata, if Oz returns it.
    pub match_id: Option<String>,
    /// When Oz received it.
    pub time_created: Option<Timestamp>,
}

/// One analysis, as Oz reports it, in Oz's raw words.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Analysis {
    /// Its id. May be missing if the analysis was read by its id.
    pub id: Option<AnalysisId>,
    /// Oz's `type` in upper case, for instance `BIOMETRY`.
    pub kind: Option<String>,
    /// Oz's id of the group, shared by analyses that were started in one request.
    pub group_id: Option<String>,
    /// The media it examines; `None` if Oz doesn't say.
    pub source_media: Option<Vec<MediaId>>,
    /// Oz's `state`.
    pub state: Option<String>,
    /// Oz's `resolution`.
    pub resolution: Option<String>,
    /// Oz's `resolution_status`.
    pub resolution_status: Option<String>,
    /// BIOMETRY: similarity of the least similar pair.
    pub min_confidence: Option<f64>,
    /// BIOMETRY: similarity of the most similar pair.
    pub max_confidence: Option<f64>,
    /// QUALITY: the highest likelihood of an attack.
    pub confidence_spoofing: Option<f64>,
    /// When Oz created it.
    pub time_created: Option<Timestamp>,
    /// Oz's code for why it failed, if Oz gives one.
    pub error_code: Option<i64>,
    /// Oz's text on why it failed, if Oz gives one.
    pub error_message: Option<String>,
}

/// Why a request to Oz or to the photo library failed, or why its outcome is unknown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// The kind of failure.
    pub kind: FailureKind,
    /// The HTTP status, if there was an answer.
    pub http_status: Option<u16>,
    /// Oz's own `error_code`.
    pub error_code: Option<i64>,
    /// Oz's message, or ours; never holds anything secret.
    pub message: String,
    /// How long Oz asks us to wait.
    pub retry_after: Option<Duration>,
    /// The whole chain of causes, if there is one: only for the operator's log.
    pub causes: Option<String>,
}

/// The ways in which a request to Oz, or to the photo library, fails.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum FailureKind {
    /// No connection: the request never left.
    Unreachable,
    /// No answer in time, or a stalled upload.
    TimedOut,
    /// The connection broke before the answer was whole.
    Interrupted,
    /// 429.
    RateLimited,
    /// 5xx, by Oz or by a proxy.
    ServerError,
    /// 3xx. Redirects are never followed: the access token would be sent along.
    Redirected,
    /// A 2xx that can't be read: cut off, or not JSON.
    Unreadable,
    /// A 2xx that can be read but lacks required data.
    Incomplete,
    /// 401 with one of Oz's session error codes, also after a renewal; or the request was not sent
    /// because several sessions in a row were refused.
    SessionRefused,
    /// 401 with an Oz error object, but without a session error code.
    Unauthorized,
    /// The login itself is refused.
    LoginRefused,
    /// A 4xx without an Oz error object: the answer of a gateway, an ingress or a WAF, which says
    /// nothing about the folder, the photo or the analysis.
    Foreign,
    /// 403 with an Oz error object.
    Forbidden,
    /// 404 with an Oz error object.
    NotFound,
    /// 413 with an Oz error object, or any 413 to an upload.
    TooLarge,
    /// 400 or any other 4xx with an Oz error object.
    Rejected,
    /// The photo library has no usable answer.
    Library(LibraryFault),
}

/// The ways in which the photo library fails to give a photo.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum LibraryFault {
    /// It can't be reached, or doesn't answer in time.
    Unreachable,
    /// It refuses this server.
    Forbidden,
    /// It answers otherwise than agreed: with a redirect, or with a length that lies.
    Protocol,
    /// It has no photo for the key.
    NotFound,
    /// It has several photos for the key.
    Ambiguous,
    /// What it has is no whole JPEG or PNG.
    Unreadable,
    /// The photo is larger than a photo may be.
    TooLarge,
}

impl LibraryFault {
    /// Its word in metrics and traces.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Forbidden => "forbidden",
            Self::Protocol => "protocol",
            Self::NotFound => "not_found",
            Self::Ambiguous => "ambiguous",
            Self::Unreadable => "unreadable",
            Self::TooLarge => "too_large",
        }
    }
}

impl FailureKind {
    /// The cause that watchers are told while the match waits.
    pub const fn cause(self) -> Cause {
        match self {
            Self::Unreachable => Cause::OzUnreachable,
            Self::TimedOut => Cause::OzTimeout,
            Self::Interrupted => Cause::OzInterrupted,
            Self::RateLimited => Cause::OzRateLimited,
            Self::ServerError | Self::Redirected | Self::Foreign => Cause::OzServerError,
            Self::Unreadable => Cause::OzUnreadable,
            Self::Incomplete | Self::TooLarge | Self::Rejected => Cause::OzIncomplete,
            Self::SessionRefused | Self::Unauthorized => Cause::OzSessionRefused,
            Self::LoginRefused => Cause::OzLoginRefused,
            Self::NotFound | Self::Forbidden => Cause::OzAnalysisMissing,
            Self::Library(_) => Cause::LibraryUnreachable,
        }
    }

    /// Whether Oz may have acted on the request despite the failure. A rate limiter may sit behind
    /// the acting component as well as in front of it. A redirect may be the answer to a completed
    /// action (303), and a gateway may refuse the answer rather than the request.
    pub const fn may_have_acted(self) -> bool {
        match self {
            Self::TimedOut
            | Self::RateLimited
            | Self::Interrupted
            | Self::ServerError
            | Self::Redirected
            | Self::Unreadable
            | Self::Incomplete
            | Self::Unauthorized
            | Self::Foreign => true,
            Self::Unreachable
            | Self::SessionRefused
            | Self::LoginRefused
            | Self::Forbidden
            | Self::NotFound
            | Self::TooLarge
            | Self::Rejected
            | Self::Library(_) => false,
        }
    }
}

impl Failure {
    /// A failure with a kind and a message, and no further details.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            http_status: None,
            error_code: None,
            message: message.into(),
            retry_after: None,
            causes: None,
        }
    }

    /// The request was not sent: there is no session, and none is opened during the pause.
    pub fn without_session(pause: Duration) -> Self {
        let message = "Oz ends the sessions of this server's account one after the other";
        Self { retry_after: Some(pause), ..Self::new(FailureKind::SessionRefused, message) }
    }

    /// How long requests are withheld for lack of a session; `None` if this request was sent.
    pub fn withheld(&self) -> Option<Duration> {
        let never_left = self.kind == FailureKind::SessionRefused && self.http_status.is_none();
        self.retry_after.filter(|_| never_left)
    }

    /// The text for operators: the chain of causes if known, else the message.
    pub fn told(&self) -> &str {
        self.causes.as_deref().unwrap_or(&self.message)
    }

    /// The details for callers: Oz's status, code and message, as far as known. Callers aren't told
    /// details of the photo library.
    pub fn metadata(&self) -> Metadata {
        if matches!(self.kind, FailureKind::Library(_)) {
            return Metadata::new();
        }
        let entries = [
            ("oz.http_status", self.http_status.map(|status| status.to_string())),
            ("oz.error_code", self.error_code.map(|code| code.to_string())),
            ("oz.error_message", Some(self.message.clone()).filter(|text| !text.is_empty())),
        ];
        let present = entries.into_iter().filter_map(|(key, value)| Some((key.into(), value?)));
        present.collect()
    }
}
