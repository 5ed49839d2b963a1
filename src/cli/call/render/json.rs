//! Formats messages as JSON: the field names of the proto, enums by name, times in RFC 3339.
//!
//! The format is protobuf's own JSON mapping with two differences that make shell scripts easier:
//! names stay in snake_case, and 64-bit numbers are numbers. Unset and empty fields are left out.

mod told;

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
};

use prost_types::{Duration, Timestamp};
use serde::{Serialize, Serializer};

use crate::cli::call::{
    pb::{self, delete_match_request::Id, match_update::Event},
    unary::Erased,
};

pub use told::{failure, notice};

/// An update, in one line.
pub fn update(update: &pb::MatchUpdate) -> String {
    line(&UpdateJson {
        match_id: &update.match_id,
        sequence: update.sequence,
        time: update.time.as_ref().map(TimeJson),
        snapshot: update.r#match.as_ref().map(MatchJson::from),
        resume_token: &update.resume_token,
        event: update.event.as_ref().map(BodyJson::from),
    })
}

/// A match, in one line.
pub fn snapshot(snapshot: &pb::Match) -> String {
    line(&MatchJson::from(snapshot))
}

/// A deletion, in one line.
pub fn erased(of: &Erased) -> String {
    let mut json = ErasedJson::default();
    match of {
        Erased::Confirmed(answer) => {
            json.match_id = &answer.match_id;
            json.delete_time = answer.delete_time.as_ref().map(TimeJson);
            json.photo_media_id = &answer.photo_media_id;
        }
        Erased::Unconfirmed(id) => {
            json.already_gone = Some(true);
            match id {
                Some(Id::MatchId(id)) => json.match_id = id,
                Some(Id::RequestId(id)) => json.request_id = id,
                None => {}
            }
        }
    }
    line(&json)
}

/// The token of a list's next page, in one line.
pub fn next_page(next_page_token: &str) -> String {
    line(&NextPageJson { next_page_token })
}

fn line(message: &impl Serialize) -> String {
    serde_json::to_string(message).expect("messages have text keys only")
}

#[derive(Serialize)]
struct UpdateJson<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    match_id: &'a str,
    sequence: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<TimeJson<'a>>,
    #[serde(rename = "match", skip_serializing_if = "Option::is_none")]
    snapshot: Option<MatchJson<'a>>,
    #[serde(skip_serializing_if = "str::is_empty")]
    resume_token: &'a str,
    #[serde(flatten)]
    event: Option<BodyJson<'a>>,
}

#[derive(Default, Serialize)]
struct ErasedJson<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    match_id: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    delete_time: Option<TimeJson<'a>>,
    #[serde(skip_serializing_if = "str::is_empty")]
    photo_media_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    already_gone: Option<bool>,
}

#[derive(Serialize)]
struct NextPageJson<'a> {
    next_page_token: &'a str,
}

#[derive(Serialize)]
struct MatchJson<'a> {
    match_id: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    request_id: &'a str,
    folder_id: &'a str,
    state: Cow<'static, str>,
    sequence: u64,
    #[serde(skip_serializing_if = "str::is_empty")]
    photo_media_id: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    analysis_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<OutcomeJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<FailureJson<'a>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<&'a str, &'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    create_time: Option<TimeJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    update_time: Option<TimeJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_time: Option<TimeJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expire_time: Option<TimeJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    oz: Option<OzJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deadline: Option<TimeJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trouble: Option<TroubleJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    liveness_policy: Option<Cow<'static, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    photo_kind: Option<Cow<'static, str>>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    liveness_media_ids: &'a [String],
    #[serde(skip_serializing_if = "str::is_empty")]
    liveness_analysis_id: &'a str,
}

impl<'a> From<&'a pb::Match> for MatchJson<'a> {
    fn from(of: &'a pb::Match) -> Self {
        Self {
            match_id: &of.match_id,
            request_id: &of.request_id,
            folder_id: &of.folder_id,
            state: state(of.state),
            sequence: of.sequence,
            photo_media_id: &of.photo_media_id,
            analysis_id: &of.analysis_id,
            result: of.result.as_ref().map(OutcomeJson::from),
            error: of.error.as_ref().map(FailureJson::from),
            labels: sorted(&of.labels),
            create_time: of.create_time.as_ref().map(TimeJson),
            update_time: of.update_time.as_ref().map(TimeJson),
            end_time: of.end_time.as_ref().map(TimeJson),
            expire_time: of.expire_time.as_ref().map(TimeJson),
            oz: of.oz.as_ref().map(OzJson::from),
            deadline: of.deadline.as_ref().map(TimeJson),
            trouble: of.trouble.as_ref().map(TroubleJson::from),
            liveness_policy: liveness_policy(of.liveness_policy),
            photo_kind: photo_kind(of.photo_kind),
            liveness_media_ids: &of.liveness_media_ids,
            liveness_analysis_id: &of.liveness_analysis_id,
        }
    }
}

#[derive(Serialize)]
struct OutcomeJson<'a> {
    resolution: Cow<'static, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_confidence: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_confidence: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    liveness: Option<LivenessJson<'a>>,
}

impl<'a> From<&'a pb::MatchResult> for OutcomeJson<'a> {
    fn from(of: &'a pb::MatchResult) -> Self {
        Self {
            resolution: resolution(of.resolution),
            min_confidence: of.min_confidence,
            max_confidence: of.max_confidence,
            liveness: of.liveness.as_ref().map(LivenessJson::from),
        }
    }
}

#[derive(Serialize)]
struct LivenessJson<'a> {
    resolution: Cow<'static, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    confidence_spoofing: Option<f64>,
    #[serde(skip_serializing_if = "str::is_empty")]
    analysis_id: &'a str,
}

impl<'a> From<&'a pb::LivenessResult> for LivenessJson<'a> {
    fn from(of: &'a pb::LivenessResult) -> Self {
        Self {
            resolution: resolution(of.resolution),
            confidence_spoofing: of.confidence_spoofing,
            analysis_id: &of.analysis_id,
        }
    }
}

#[derive(Serialize)]
struct FailureJson<'a> {
    code: i32,
    reason: &'a str,
    message: &'a str,
    retryable: bool,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<&'a str, &'a str>,
}

impl<'a> From<&'a pb::MatchError> for FailureJson<'a> {
    fn from(of: &'a pb::MatchError) -> Self {
        Self {
            code: of.code,
            reason: &of.reason,
            message: &of.message,
            retryable: of.retryable,
            metadata: sorted(&of.metadata),
        }
    }
}

#[derive(Serialize)]
struct OzJson<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    state: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    resolution: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    resolution_status: &'a str,
    polls: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_poll_time: Option<TimeJson<'a>>,
}

impl<'a> From<&'a pb::OzStatus> for OzJson<'a> {
    fn from(of: &'a pb::OzStatus) -> Self {
        Self {
            state: &of.state,
            resolution: &of.resolution,
            resolution_status: &of.resolution_status,
            polls: of.polls,
            last_poll_time: of.last_poll_time.as_ref().map(TimeJson),
        }
    }
}

#[derive(Serialize)]
struct TroubleJson<'a> {
    cause: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<TimeJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_attempt_time: Option<TimeJson<'a>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<&'a str, &'a str>,
}

impl<'a> From<&'a pb::Trouble> for TroubleJson<'a> {
    fn from(of: &'a pb::Trouble) -> Self {
        Self {
            cause: &of.cause,
            message: &of.message,
            since: of.since.as_ref().map(TimeJson),
            next_attempt_time: of.next_attempt_time.as_ref().map(TimeJson),
            metadata: sorted(&of.metadata),
        }
    }
}

/// The event of an update, as one more field that has the event's name.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum BodyJson<'a> {
    Accepted {
        #[serde(skip_serializing_if = "Option::is_none")]
        deadline: Option<TimeJson<'a>>,
    },
    PhotoUploaded {
        photo_media_id: &'a str,
        liveness_media_ids: &'a [String],
    },
    AnalysisStarted {
        analysis_id: &'a str,
        #[serde(skip_serializing_if = "str::is_empty")]
        liveness_analysis_id: &'a str,
    },
    AttemptFailed {
        cause: &'a str,
        message: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        next_attempt_time: Option<TimeJson<'a>>,
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        metadata: BTreeMap<&'a str, &'a str>,
    },
    Finished {
        #[serde(skip_serializing_if = "Option::is_none")]
        result: Option<OutcomeJson<'a>>,
    },
    Failed {
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<FailureJson<'a>>,
    },
    Cancelled {},
    Progress {
        bytes_sent: u64,
        bytes_total: u64,
        polls: u64,
        failed_attempts: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        elapsed: Option<DurationJson<'a>>,
    },
    Heartbeat {
        #[serde(skip_serializing_if = "Option::is_none")]
        interval: Option<DurationJson<'a>>,
    },
}

impl<'a> From<&'a Event> for BodyJson<'a> {
    fn from(of: &'a Event) -> Self {
        match of {
            Event::Accepted(of) => Self::Accepted { deadline: of.deadline.as_ref().map(TimeJson) },
            Event::PhotoUploaded(of) => Self::PhotoUploaded {
                photo_media_id: &of.photo_media_id,
                liveness_media_ids: &of.liveness_media_ids,
            },
            Event::AnalysisStarted(of) => Self::AnalysisStarted {
                analysis_id: &of.analysis_id,
                liveness_analysis_id: &of.liveness_analysis_id,
            },
            Event::AttemptFailed(of) => Self::AttemptFailed {
                cause: &of.cause,
                message: &of.message,
                next_attempt_time: of.next_attempt_time.as_ref().map(TimeJson),
                metadata: sorted(&of.metadata),
            },
            Event::Finished(of) => {
                Self::Finished { result: of.result.as_ref().map(OutcomeJson::from) }
            }
            Event::Failed(of) => Self::Failed { error: of.error.as_ref().map(FailureJson::from) },
            Event::Cancelled(pb::Cancelled {}) => Self::Cancelled {},
            Event::Progress(of) => Self::Progress {
                bytes_sent: of.bytes_sent,
                bytes_total: of.bytes_total,
                polls: of.polls,
                failed_attempts: of.failed_attempts,
                elapsed: of.elapsed.as_ref().map(DurationJson),
            },
            Event::Heartbeat(of) => {
                Self::Heartbeat { interval: of.interval.as_ref().map(DurationJson) }
            }
        }
    }
}

struct TimeJson<'a>(&'a Timestamp);

impl Serialize for TimeJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self.0)
    }
}

struct DurationJson<'a>(&'a Duration);

impl Serialize for DurationJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self.0)
    }
}

/// The name of a state, or the number of a state that a later version added.
fn state(number: i32) -> Cow<'static, str> {
    match pb::MatchState::try_from(number) {
        Ok(known) => Cow::Borrowed(known.as_str_name()),
        Err(_) => Cow::Owned(number.to_string()),
    }
}

fn resolution(number: i32) -> Cow<'static, str> {
    match pb::Resolution::try_from(number) {
        Ok(known) => Cow::Borrowed(known.as_str_name()),
        Err(_) => Cow::Owned(number.to_string()),
    }
}

/// `None` from a server that doesn't send the field yet.
fn liveness_policy(number: i32) -> Option<Cow<'static, str>> {
    match pb::LivenessPolicy::try_from(number) {
        Ok(pb::LivenessPolicy::Unspecified) => None,
        Ok(known) => Some(Cow::Borrowed(known.as_str_name())),
        Err(_) => Some(Cow::Owned(number.to_string())),
    }
}

/// `None` from a server that doesn't send the field yet.
fn photo_kind(number: i32) -> Option<Cow<'static, str>> {
    match pb::PhotoKind::try_from(number) {
        Ok(pb::PhotoKind::Unspecified) => None,
        Ok(known) => Some(Cow::Borrowed(known.as_str_name())),
        Err(_) => Some(Cow::Owned(number.to_string())),
    }
}

fn sorted(map: &HashMap<String, String>) -> BTreeMap<&str, &str> {
    map.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect()
}
