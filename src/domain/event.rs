//! The facts that a match's journal consists of, and what they carry.
//!
//! They are stored as they stand here: a field may be added with a default, none may change its
//! meaning, since journals outlive the versions that wrote them. What a later version wrote is read as
//! far as it is known, and never written again.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use crate::domain::{
    id::{AnalysisId, MatchId, MediaId, Position, Sequence},
    reason::{Cause, Reason},
    request::{Spec, micros},
    state::State,
    time::Timestamp,
};

/// Variable parts of an error, by dotted name. Never holds anything secret or personal.
pub type Metadata = BTreeMap<String, String>;

/// A durable fact about a match.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The match exists. Always the first.
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
    /// The caller ended it. Closes the match.
    Cancelled(Cancelled),
    /// A fact that this version can't read: a later version's, or a damaged one. It is only read.
    #[serde(skip)]
    Unknown(Unknown),
}

/// What the store has beside an event that can't be read.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Unknown {
    /// What was asked for, as far as the store has it; with the first event only.
    pub spec: Option<Arc<Spec>>,
    /// Where the match stands, if it is its last event.
    pub stands: Option<Stands>,
}

/// Where a match stands, by what the store has beside its events.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Stands {
    /// Its state, which may be unknown itself.
    pub state: State,
    /// When it ended.
    pub end_time: Option<Timestamp>,
    /// When it is erased.
    pub expire_time: Option<Timestamp>,
}

/// What was decided about the media before the analysis was asked for.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct PhotoUploaded {
    /// The reference photo at Oz.
    pub photo_media_id: MediaId,
    /// What it is compared with.
    pub liveness_media: Vec<MediaId>,
    /// What the newest finished QUALITY analysis of these media said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub liveness: Option<LivenessResult>,
    /// Analyses of just these media that were there before we asked for any: never ours.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier_analyses: Vec<AnalysisId>,
    /// Whether an upload whose answer was lost had arrived after all.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub adopted: bool,
}

/// Which analyses run.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct AnalysisStarted {
    /// The BIOMETRY analysis.
    pub analysis_id: AnalysisId,
    /// The QUALITY analysis that was started with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub liveness_analysis_id: Option<AnalysisId>,
    /// Whether a start whose answer was lost had been heard after all.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub adopted: bool,
    /// Oz's words in its answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oz: Option<OzStatus>,
}

/// What went wrong, and when it is tried again.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct AttemptFailed {
    /// What kind of trouble it is.
    pub cause: Cause,
    /// A sentence for people.
    pub message: String,
    /// When the next try is due.
    pub next_attempt: Timestamp,
    /// Oz's status, code and message.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: Metadata,
    /// Oz's words as last polled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oz: Option<OzStatus>,
}

/// The verdict.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Finished {
    /// What Oz decided.
    pub result: MatchResult,
    /// Oz's words, of which the verdict is read.
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
    /// Oz's words as last polled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oz: Option<OzStatus>,
    /// How long the match is kept from here on.
    #[serde(rename = "keep_micros", with = "micros")]
    pub keep: Duration,
}

/// The end by the caller's wish.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Cancelled {
    /// How long the match is kept from here on.
    #[serde(rename = "keep_micros", with = "micros")]
    pub keep: Duration,
}

/// What Oz can decide.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Resolution {
    /// The same person; for liveness, a living one.
    Success,
    /// Another person; for liveness, an attack.
    Declined,
    /// A person has to decide. Only biometry says so.
    OperatorRequired,
    /// A word of a later version.
    #[serde(other, skip_serializing)]
    Unknown,
}

impl Resolution {
    /// Oz's word for it, which is the API's as well.
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
    /// What a QUALITY analysis said of the liveness media.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub liveness: Option<LivenessResult>,
}

/// What a QUALITY analysis said.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct LivenessResult {
    /// Its decision; none if it failed or can't be trusted.
    pub resolution: Option<Resolution>,
    /// Likelihood of an attack, 0..=1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence_spoofing: Option<f64>,
    /// Which analysis said so.
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

/// Oz's own words of an analysis, raw.
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
    /// Whose event it is.
    pub match_id: MatchId,
    /// Its number within the match.
    pub sequence: Sequence,
    /// Its place among all events.
    pub position: Position,
    /// The run of the writer that wrote it, where a store has several; zero where it has one.
    pub incarnation: u64,
    /// When it became durable; never before the one ahead of it in the same match.
    pub time: Timestamp,
    /// What happened.
    pub event: Event,
}

/// A place in the journal, as tokens name it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Cursor {
    /// Where it is.
    pub position: Position,
    /// As [`Recorded::incarnation`].
    pub incarnation: u64,
}

impl Recorded {
    /// Its place, as tokens name it.
    pub const fn place(&self) -> Cursor {
        Cursor { position: self.position, incarnation: self.incarnation }
    }
}

impl MatchError {
    /// An error with the reason's own say on whether a new match may succeed.
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

    /// The event's name as logs and the store have it.
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

    /// Whether this version knows all of its words.
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
