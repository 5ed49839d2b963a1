//! The events that a match's journal consists of, and their payloads.
//!
//! These types are the stored form. A field may be added with a default; no field may change its
//! meaning, because journals outlive the versions that wrote them. Events from a later version are
//! read as far as this version knows them, and deliberately never written back.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use crate::domain::{
    id::{AnalysisId, MatchId, MediaId, Position, Sequence},
    reason::{Cause, Reason},
    request::{Spec, micros},
    state::State,
    time::Timestamp,
};

/// Variable parts of an error, by dotted name. Never holds secret or personal data.
pub type Metadata = BTreeMap<String, String>;

/// A durable fact about a match.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The match exists. Always the first event.
    Accepted(Arc<Spec>),
    /// The photo is at Oz, or was found there.
    PhotoUploaded(PhotoUploaded),
    /// The analysis runs at Oz.
    AnalysisStarted(AnalysisStarted),
    /// Trouble at Oz began, or its cause changed.
    AttemptFailed(AttemptFailed),
    /// There is a verdict. Closes the match.
    Finished(Finished),
    /// There will be no verdict. Closes the match.
    Failed(Failed),
    /// The caller cancelled the match. Closes the match.
    Cancelled(Cancelled),
    /// An event that this version can't read: from a later version, or damaged. Never written.
    #[serde(skip)]
    Unknown(Unknown),
}

/// What the store keeps beside an event that this version can't read.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Unknown {
    /// The request, as far as the store has it; only with the first event.
    pub spec: Option<Arc<Spec>>,
    /// The match's state and times; only if this is the match's last event.
    pub stands: Option<Stands>,
}

/// The state and times that the store keeps beside a match's events.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Stands {
    /// Its state, which may be unknown itself.
    pub state: State,
    /// When the match ended; `None` before.
    pub end_time: Option<Timestamp>,
    /// When the match is erased; `None` until it has ended.
    pub expire_time: Option<Timestamp>,
}

/// The decisions about the media, made before the analysis is started.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct PhotoUploaded {
    /// The reference photo at Oz.
    pub photo_media_id: MediaId,
    /// The liveness media that it is compared with.
    pub liveness_media: Vec<MediaId>,
    /// The result of the newest finished QUALITY analysis of these media; `None` if there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub liveness: Option<LivenessResult>,
    /// Analyses of the match's media that existed before the match started its own: never adopted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier_analyses: Vec<AnalysisId>,
    /// Whether the photo was found at Oz after the answer to its upload had been lost.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub adopted: bool,
}

/// Which analyses run.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct AnalysisStarted {
    /// The BIOMETRY analysis.
    pub analysis_id: AnalysisId,
    /// The QUALITY analysis that was started together with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub liveness_analysis_id: Option<AnalysisId>,
    /// Whether the analysis was found at Oz after the answer to its start had been lost.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub adopted: bool,
    /// Oz's raw status in its answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oz: Option<OzStatus>,
}

/// What went wrong, and when the next attempt is due.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct AttemptFailed {
    /// The kind of trouble.
    pub cause: Cause,
    /// A sentence for people.
    pub message: String,
    /// When the next attempt is due.
    pub next_attempt: Timestamp,
    /// Oz's status, code and message.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: Metadata,
    /// Oz's raw status as of the last poll.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oz: Option<OzStatus>,
}

/// The verdict.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Finished {
    /// What Oz decided.
    pub result: MatchResult,
    /// Oz's raw status, from which the verdict is read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oz: Option<OzStatus>,
    /// How long the match is kept from here on.
    #[serde(rename = "keep_micros", with = "micros")]
    pub keep: Duration,
}

/// The end without a verdict.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Failed {
    /// Why.
    pub error: MatchError,
    /// Oz's raw status as of the last poll.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oz: Option<OzStatus>,
    /// How long the match is kept from here on.
    #[serde(rename = "keep_micros", with = "micros")]
    pub keep: Duration,
}

/// The end at the caller's request.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Cancelled {
    /// How long the match is kept from here on.
    #[serde(rename = "keep_micros", with = "micros")]
    pub keep: Duration,
}

/// The decisions that Oz can make.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Resolution {
    /// The same person; for liveness, a living one.
    Success,
    /// Another person; for liveness, an attack.
    Declined,
    /// A person has to decide. Only BIOMETRY analyses say so.
    OperatorRequired,
    /// A decision from a later version.
    #[serde(other, skip_serializing)]
    Unknown,
}

impl Resolution {
    /// The word for it, the same at Oz and in this service's API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "SUCCESS",
            Self::Declined => "DECLINED",
            Self::OperatorRequired => "OPERATOR_REQUIRED",
            Self::Unknown => "UNKNOWN",
        }
    }
}

/// The verdict of a finished match.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct MatchResult {
    /// What Oz decided.
    pub resolution: Resolution,
    /// Similarity of the least similar pair, 0..=1: the deciding number.
    pub min_confidence: f64,
    /// Similarity of the most similar pair, 0..=1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_confidence: Option<f64>,
    /// The result of a QUALITY analysis of the liveness media; `None` if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub liveness: Option<LivenessResult>,
}

/// The result of a QUALITY analysis.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct LivenessResult {
    /// Its decision; `None` if the analysis failed or can't be trusted.
    pub resolution: Option<Resolution>,
    /// Likelihood of an attack, 0..=1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence_spoofing: Option<f64>,
    /// The analysis that has this result.
    pub analysis_id: AnalysisId,
}

/// Why there is no verdict.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct MatchError {
    /// The stable word.
    pub reason: Reason,
    /// A sentence for people.
    pub message: String,
    /// Whether a new match may succeed.
    pub retryable: bool,
    /// Variable parts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: Metadata,
}

/// The raw status of an analysis, in Oz's own words.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct OzStatus {
    /// Its `state`, empty if it has none.
    #[serde(default)]
    pub state: String,
    /// Its `resolution`, empty if it has none.
    #[serde(default)]
    pub resolution: String,
    /// Its `resolution_status`, empty if it has none.
    #[serde(default)]
    pub resolution_status: String,
    /// How often it had been polled.
    #[serde(default)]
    pub polls: u64,
    /// When it was last polled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_poll: Option<Timestamp>,
}

/// An event with its place in the journal.
#[derive(Clone, PartialEq, Debug)]
pub struct Recorded {
    /// The match that the event belongs to.
    pub match_id: MatchId,
    /// Its number within the match.
    pub sequence: Sequence,
    /// Its position among the events of all matches.
    pub position: Position,
    /// The run of the writer that wrote it, in stores with several writers; zero in stores with
    /// one.
    pub incarnation: u64,
    /// When it became durable; never earlier than the event before it in the same match.
    pub time: Timestamp,
    /// What happened.
    pub event: Event,
}

/// A place in the journal, as tokens carry it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Cursor {
    /// The position of the event at this place.
    pub position: Position,
    /// As [`Recorded::incarnation`].
    pub incarnation: u64,
}

impl Recorded {
    /// Its place in the journal, as tokens carry it.
    pub const fn place(&self) -> Cursor {
        Cursor { position: self.position, incarnation: self.incarnation }
    }
}

impl MatchError {
    /// An error that is retryable if its reason is.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
            retryable: reason.retryable(),
            metadata: Metadata::new(),
        }
    }

    /// The same error with variable parts added.
    #[must_use]
    pub fn with(mut self, metadata: Metadata) -> Self {
        self.metadata.extend(metadata);
        self
    }
}

impl Event {
    /// How long a match is kept after this event, if the event closes it.
    pub fn keep(&self) -> Option<Duration> {
        match self {
            Self::Finished(Finished { keep, .. })
            | Self::Failed(Failed { keep, .. })
            | Self::Cancelled(Cancelled { keep }) => Some(*keep),
            Self::Accepted(_)
            | Self::PhotoUploaded(_)
            | Self::AnalysisStarted(_)
            | Self::AttemptFailed(_)
            | Self::Unknown(_) => None,
        }
    }

    /// The event's name in logs and in the store.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Accepted(_) => "accepted",
            Self::PhotoUploaded(_) => "photo_uploaded",
            Self::AnalysisStarted(_) => "analysis_started",
            Self::AttemptFailed(_) => "attempt_failed",
            Self::Finished(_) => "finished",
            Self::Failed(_) => "failed",
            Self::Cancelled(_) => "cancelled",
            Self::Unknown(_) => "unknown",
        }
    }

    /// Whether this version knows every value in the event.
    pub fn is_known(&self) -> bool {
        let is_known =
            |said: &LivenessResult| said.resolution.is_none_or(|word| word != Resolution::Unknown);
        match self {
            Self::Accepted(spec) => spec.is_known(),
            Self::PhotoUploaded(fact) => fact.liveness.as_ref().is_none_or(is_known),
            Self::AttemptFailed(fact) => fact.cause != Cause::Unknown,
            Self::Finished(fact) => {
                let result = &fact.result;
                result.resolution != Resolution::Unknown
                    && result.liveness.as_ref().is_none_or(is_known)
            }
            Self::Failed(fact) => fact.error.reason != Reason::Unknown,
            Self::AnalysisStarted(_) | Self::Cancelled(_) => true,
            Self::Unknown(_) => false,
        }
    }
}
