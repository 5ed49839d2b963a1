//! What a match asks of Oz, and what comes back, as plain values.

use std::time::Duration;

use crate::domain::{
    event::Metadata,
    id::{AnalysisId, FolderId, MatchId, MediaId},
    photo::{Format, PhotoKind},
    reason::Cause,
    time::Timestamp,
};

/// One request to Oz.
#[derive(Clone, PartialEq, Debug)]
pub enum Ask {
    /// What does the folder hold: its media and its analyses?
    ReadFolder {
        /// Which folder.
        folder_id: FolderId,
    },
    /// Take this photo. Not safe to repeat blindly.
    UploadPhoto {
        /// Into which folder.
        folder_id: FolderId,
        /// Names the photo, so that it is found if the answer is lost.
        match_id: MatchId,
        /// Decides its tags.
        kind: PhotoKind,
        /// Decides its content type and the ending of its name.
        format: Format,
    },
    /// Compare these media. Not safe to repeat blindly.
    StartAnalyses {
        /// In which folder.
        folder_id: FolderId,
        /// What a BIOMETRY analysis compares: the liveness media and the photo.
        biometry: Vec<MediaId>,
        /// What a QUALITY analysis started with it looks at; none is started without.
        quality: Option<Vec<MediaId>>,
    },
    /// How does the analysis stand?
    ReadAnalysis {
        /// Which analysis.
        analysis_id: AnalysisId,
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
}

impl Ask {
    /// Its kind.
    pub const fn kind(&self) -> AskKind {
        match self {
            Self::ReadFolder { .. } => AskKind::ReadFolder,
            Self::UploadPhoto { .. } => AskKind::UploadPhoto,
            Self::StartAnalyses { .. } => AskKind::StartAnalyses,
            Self::ReadAnalysis { .. } => AskKind::ReadAnalysis,
        }
    }
}

impl AskKind {
    /// Its name, as the log has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ReadFolder => "read_folder",
            Self::UploadPhoto => "upload_photo",
            Self::StartAnalyses => "start_analyses",
            Self::ReadAnalysis => "read_analysis",
        }
    }

    /// Whether it changes something at Oz, so that a lost answer must be looked for.
    pub const fn changes_oz(self) -> bool {
        match self {
            Self::UploadPhoto | Self::StartAnalyses => true,
            Self::ReadFolder | Self::ReadAnalysis => false,
        }
    }
}

/// What Oz answered.
#[derive(Clone, PartialEq, Debug)]
#[expect(clippy::large_enum_variant, reason = "the large one is nearly all there are: polls")]
pub enum Reply {
    /// To [`Ask::ReadFolder`].
    Folder(Folder),
    /// To [`Ask::UploadPhoto`]: the photo's id.
    Photo(MediaId),
    /// To [`Ask::StartAnalyses`]: what was started.
    Started(Vec<Analysis>),
    /// To [`Ask::ReadAnalysis`].
    Analysis(Analysis),
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
    /// What we wrote into its metadata, if Oz gives it back.
    pub match_id: Option<String>,
    /// When Oz got it.
    pub time_created: Option<Timestamp>,
}

/// One analysis, as Oz tells it. Words are raw.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Analysis {
    /// Its id. A single analysis that was asked for by id may come without.
    pub id: Option<AnalysisId>,
    /// Oz's `type` in upper case, for instance `BIOMETRY`.
    pub kind: Option<String>,
    /// Analyses that were asked for in one request share it.
    pub group_id: Option<String>,
    /// What it looks at; none if Oz doesn't say.
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
    /// Why it failed, where Oz says so.
    pub error_code: Option<i64>,
    /// Why it failed, where Oz says so.
    pub error_message: Option<String>,
}

/// Why Oz didn't do what was asked, or why we can't know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// What happened.
    pub kind: FailureKind,
    /// The HTTP status, if there was an answer.
    pub http_status: Option<u16>,
    /// Oz's own `error_code`.
    pub error_code: Option<i64>,
    /// Oz's message, or ours; never holds anything secret.
    pub message: String,
    /// How long Oz asks us to wait.
    pub retry_after: Option<Duration>,
    /// The whole chain of causes, where there is one: for the operator's log alone.
    pub causes: Option<String>,
}

/// The ways in which a request to Oz fails.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum FailureKind {
    /// No connection: the request never left.
    Unreachable,
    /// No answer in time, or an upload that stood still.
    TimedOut,
    /// The connection broke before the answer was whole.
    Interrupted,
    /// 429.
    RateLimited,
    /// 5xx, by Oz or by a proxy.
    ServerError,
    /// 3xx, which is never followed: the token would travel with it.
    Redirected,
    /// A 2xx that can't be read: cut off, or not JSON.
    Unreadable,
    /// A 2xx that can be read but lacks what is needed.
    Incomplete,
    /// 401 with one of Oz's codes for sessions, and again after a renewal; or no session, where one
    /// after the other was refused.
    SessionRefused,
    /// 401 in Oz's words, but with no code for sessions.
    Unauthorized,
    /// The login itself is refused.
    LoginRefused,
    /// A 4xx without an error object of Oz's: the answer of a gateway, an ingress or a WAF, which
    /// says nothing of the folder, the photo or the analysis.
    Foreign,
    /// 403 in Oz's words.
    Forbidden,
    /// 404 in Oz's words.
    NotFound,
    /// 413 in Oz's words, or any 413 to an upload.
    TooLarge,
    /// 400 and every other 4xx in Oz's words.
    Rejected,
}

impl FailureKind {
    /// What watchers are told while the match waits it out.
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
        }
    }

    /// Whether Oz may have acted all the same. What asks for fewer requests may stand behind what
    /// acts as well as before it. A redirect may be the answer to what was done (303), and a
    /// gateway may refuse the answer rather than the request.
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
            | Self::Rejected => false,
        }
    }
}

impl Failure {
    /// A failure of which nothing is known but its kind.
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

    /// There is no session, and for so long none is opened: nothing was sent.
    pub fn without_session(pause: Duration) -> Self {
        let message = "Oz ends the sessions of this server's account one after the other";
        Self { retry_after: Some(pause), ..Self::new(FailureKind::SessionRefused, message) }
    }

    /// For how long the request was withheld for want of a session, if it never left.
    pub fn withheld(&self) -> Option<Duration> {
        let never_left = self.kind == FailureKind::SessionRefused && self.http_status.is_none();
        self.retry_after.filter(|_| never_left)
    }

    /// What operators are told of it.
    pub fn told(&self) -> &str {
        self.causes.as_deref().unwrap_or(&self.message)
    }

    /// What callers are told of it.
    pub fn metadata(&self) -> Metadata {
        let entries = [
            ("oz.http_status", self.http_status.map(|status| status.to_string())),
            ("oz.error_code", self.error_code.map(|code| code.to_string())),
            ("oz.error_message", Some(self.message.clone()).filter(|text| !text.is_empty())),
        ];
        let present = entries.into_iter().filter_map(|(key, value)| Some((key.into(), value?)));
        present.collect()
    }
}
