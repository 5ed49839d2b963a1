//! Converts matches and updates to protobuf messages, one to one.
//!
//! It deliberately leaves nothing out and adds nothing. A word that this version doesn't know is
//! shown as unspecified.

use std::collections::HashMap;

use crate::{
    domain::{
        Event, LivenessPolicy, LivenessResult, Match, MatchError, MatchResult, OzStatus, PhotoKind,
        Progress, Recorded, Resolution, State, Timestamp, Trouble, event::Metadata,
    },
    grpc::convert::time::{duration_to_wire, to_wire},
    pb::{self, match_update::Event as Wire},
    watch::{Update, Watch},
};

/// The message of an update.
pub fn update(watch: &Watch, update: &Update) -> pb::MatchUpdate {
    match update {
        Update::Event(entry) => pb::MatchUpdate {
            match_id: entry.recorded.match_id.to_string(),
            sequence: entry.recorded.sequence.0,
            time: Some(to_wire(entry.recorded.time)),
            r#match: Some(snapshot(&entry.snapshot)),
            resume_token: watch.token(&entry.snapshot.spec.tenant, entry.recorded.place()),
            event: event(&entry.recorded, &entry.snapshot),
        },
        Update::Progress { m, progress, time } => {
            let event = Wire::Progress(self::progress(m, *progress, *time));
            passing(Some(m), *time, event)
        }
        Update::Heartbeat { m, cursor, time } => pb::MatchUpdate {
            resume_token: cursor
                .as_ref()
                .map(|(tenant, cursor)| watch.token(tenant, *cursor))
                .unwrap_or_default(),
            ..passing(m.as_deref(), *time, heartbeat(watch))
        },
    }
}

/// A message that isn't durable: it carries the sequence of the last durable update.
fn passing(m: Option<&Match>, time: Timestamp, event: Wire) -> pb::MatchUpdate {
    pb::MatchUpdate {
        match_id: m.map(|m| m.id.to_string()).unwrap_or_default(),
        sequence: m.map_or(0, |m| m.sequence.0),
        time: Some(to_wire(time)),
        r#match: m.map(snapshot),
        resume_token: String::new(),
        event: Some(event),
    }
}

/// A heartbeat carries the stream's interval, so that callers can tell a quiet stream from a dead
/// one.
fn heartbeat(watch: &Watch) -> Wire {
    Wire::Heartbeat(pb::Heartbeat { interval: Some(duration_to_wire(watch.heartbeat())) })
}

/// `None` for an event that this version doesn't know: the update still shows the match after it.
fn event(recorded: &Recorded, after: &Match) -> Option<Wire> {
    Some(match &recorded.event {
        Event::Accepted(_) => Wire::Accepted(pb::Accepted { deadline: deadline(after) }),
        Event::PhotoUploaded(fact) => Wire::PhotoUploaded(pb::PhotoUploaded {
            photo_media_id: fact.photo_media_id.to_string(),
            liveness_media_ids: fact.liveness_media.iter().map(ToString::to_string).collect(),
        }),
        Event::AnalysisStarted(fact) => Wire::AnalysisStarted(pb::AnalysisStarted {
            analysis_id: fact.analysis_id.to_string(),
            liveness_analysis_id: text(fact.liveness_analysis_id.as_ref()),
        }),
        Event::AttemptFailed(fact) => Wire::AttemptFailed(pb::AttemptFailed {
            cause: fact.cause.as_str().into(),
            message: fact.message.clone(),
            next_attempt_time: Some(to_wire(fact.next_attempt)),
            metadata: map(&fact.metadata),
        }),
        Event::Finished(fact) => {
            Wire::Finished(pb::Finished { result: Some(result(&fact.result)) })
        }
        Event::Failed(fact) => Wire::Failed(pb::Failed { error: Some(error(&fact.error)) }),
        Event::Cancelled(_) => Wire::Cancelled(pb::Cancelled {}),
        Event::Unknown(_) => return None,
    })
}

fn progress(m: &Match, progress: Progress, now: Timestamp) -> pb::Progress {
    pb::Progress {
        bytes_sent: progress.bytes_sent,
        bytes_total: progress.bytes_total,
        polls: progress.polls,
        failed_attempts: progress.failed_attempts,
        elapsed: Some(duration_to_wire(now.since(m.create_time))),
    }
}

/// The message of a match.
pub fn snapshot(m: &Match) -> pb::Match {
    pb::Match {
        match_id: m.id.to_string(),
        request_id: text(m.spec.request_id.as_ref()),
        folder_id: m.spec.folder_id.to_string(),
        state: state(m.state).into(),
        sequence: m.sequence.0,
        photo_media_id: text(m.photo_media_id.as_ref()),
        analysis_id: text(m.analysis_id.as_ref()),
        result: m.result.as_ref().map(result),
        error: m.error.as_ref().map(error),
        labels: map(&m.spec.labels),
        create_time: Some(to_wire(m.create_time)),
        update_time: Some(to_wire(m.update_time)),
        end_time: m.end_time.map(to_wire),
        expire_time: m.expire_time.map(to_wire),
        oz: m.oz.as_ref().map(oz_status),
        deadline: deadline(m).filter(|_| !m.has_ended()),
        trouble: m.trouble.as_deref().map(trouble),
        liveness_policy: liveness_policy(m.spec.liveness_policy).into(),
        photo_kind: photo_kind(m.spec.kind).into(),
        liveness_media_ids: m.compared_with().iter().map(ToString::to_string).collect(),
        liveness_analysis_id: text(m.quality_analysis()),
    }
}

/// `None` if this version can't read the request of the match, and so doesn't know its timeout.
fn deadline(m: &Match) -> Option<prost_types::Timestamp> {
    (!m.spec.timeout.duration.is_zero()).then(|| to_wire(m.deadline()))
}

/// The answer to a deletion at `time`.
pub fn deletion(m: &Match, time: Timestamp) -> pb::DeleteMatchResponse {
    pb::DeleteMatchResponse {
        match_id: m.id.to_string(),
        delete_time: Some(to_wire(time)),
        photo_media_id: text(m.photo_media_id.as_ref()),
    }
}

fn trouble(trouble: &Trouble) -> pb::Trouble {
    pb::Trouble {
        cause: trouble.cause.as_str().into(),
        message: trouble.message.clone(),
        since: Some(to_wire(trouble.since)),
        next_attempt_time: Some(to_wire(trouble.next_attempt)),
        metadata: map(&trouble.metadata),
    }
}

const fn liveness_policy(policy: LivenessPolicy) -> pb::LivenessPolicy {
    match policy {
        LivenessPolicy::Report => pb::LivenessPolicy::Report,
        LivenessPolicy::Require => pb::LivenessPolicy::Require,
        LivenessPolicy::Run => pb::LivenessPolicy::Run,
        LivenessPolicy::Unknown => pb::LivenessPolicy::Unspecified,
    }
}

const fn photo_kind(kind: PhotoKind) -> pb::PhotoKind {
    match kind {
        PhotoKind::Selfie => pb::PhotoKind::Selfie,
        PhotoKind::IdFront => pb::PhotoKind::IdFront,
        PhotoKind::Unknown => pb::PhotoKind::Unspecified,
    }
}

/// The protobuf value of a state.
pub const fn state(state: State) -> pb::MatchState {
    match state {
        State::Accepted => pb::MatchState::Accepted,
        State::Uploaded => pb::MatchState::Uploaded,
        State::Processing => pb::MatchState::Processing,
        State::Finished => pb::MatchState::Finished,
        State::Failed => pb::MatchState::Failed,
        State::Cancelled => pb::MatchState::Cancelled,
        State::Unknown => pb::MatchState::Unspecified,
    }
}

fn result(result: &MatchResult) -> pb::MatchResult {
    pb::MatchResult {
        resolution: resolution(Some(result.resolution)).into(),
        min_confidence: Some(result.min_confidence),
        max_confidence: result.max_confidence,
        liveness: result.liveness.as_ref().map(liveness),
    }
}

fn liveness(liveness: &LivenessResult) -> pb::LivenessResult {
    pb::LivenessResult {
        resolution: resolution(liveness.resolution).into(),
        confidence_spoofing: liveness.confidence_spoofing,
        analysis_id: liveness.analysis_id.to_string(),
    }
}

const fn resolution(resolution: Option<Resolution>) -> pb::Resolution {
    match resolution {
        None | Some(Resolution::Unknown) => pb::Resolution::Unspecified,
        Some(Resolution::Success) => pb::Resolution::Success,
        Some(Resolution::Declined) => pb::Resolution::Declined,
        Some(Resolution::OperatorRequired) => pb::Resolution::OperatorRequired,
    }
}

fn error(error: &MatchError) -> pb::MatchError {
    pb::MatchError {
        code: error.reason.code() as i32,
        reason: error.reason.as_str().into(),
        message: error.message.clone(),
        retryable: error.retryable,
        metadata: map(&error.metadata),
    }
}

fn oz_status(oz: &OzStatus) -> pb::OzStatus {
    pb::OzStatus {
        state: oz.state.clone(),
        resolution: oz.resolution.clone(),
        resolution_status: oz.resolution_status.clone(),
        polls: oz.polls,
        last_poll_time: oz.last_poll.map(to_wire),
    }
}

fn text(value: Option<&impl ToString>) -> String {
    value.map(ToString::to_string).unwrap_or_default()
}

fn map(metadata: &Metadata) -> HashMap<String, String> {
    metadata.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
}
