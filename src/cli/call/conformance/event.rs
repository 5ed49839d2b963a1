//! The driver's lines. Each is printed as a whole, also while other calls print theirs.

use std::{
    collections::BTreeSet,
    io::Write,
    sync::{Arc, Mutex},
};

use serde_json::{Map, Value, json};
use tonic::{Code, Status, transport::Uri};

use crate::{
    cli::call::{
        pb::{
            Match, MatchError, MatchState, MatchUpdate, Resolution, delete_match_request::Id,
            match_update::Event,
        },
        render::failure::{FailureDetails, code_name},
        resume::{self, Retry},
        retry::Error,
        unary::Erased,
    },
    sync::lock,
};

/// The version of the protocol.
const PROTOCOL: u32 = 1;

/// Prints lines. Cheap to clone.
#[derive(Clone)]
pub struct EventLines {
    to: Arc<Mutex<dyn Write + Send>>,
    /// The reasons that clients know.
    reasons: Arc<BTreeSet<String>>,
}

impl EventLines {
    /// Prints them here.
    pub fn to(events: impl Write + Send + 'static, reasons: BTreeSet<String>) -> Self {
        Self { to: Arc::new(Mutex::new(events)), reasons: Arc::new(reasons) }
    }

    /// The driver reads commands from now on.
    pub fn ready(&self) {
        self.say(json!({
            "event": "ready",
            "protocol": PROTOCOL,
            "library": env!("CARGO_PKG_VERSION"),
            "features": [],
        }));
    }

    /// A command can't be obeyed.
    pub fn unsupported(&self, command: &Value, what: &str) {
        let whose = |key: &str| command.get(key).cloned();
        let (call, client) = (whose("call"), whose("client"));
        // A call is named by its own name alone.
        let client = client.filter(|_| call.is_none());
        self.say(json!({ "event": "unsupported", "call": call, "client": client, "what": what }));
    }

    /// A client was made.
    pub fn opened(&self, client: &str, text: &str) {
        self.say(json!({ "event": "opened", "client": client, "text": text }));
    }

    /// A client was closed.
    pub fn closed(&self, client: &str) {
        self.say(json!({ "event": "closed", "client": client }));
    }

    /// A client's settings were refused.
    pub fn failed_to_open(&self, client: &str, failure: &FailureLine) {
        self.fail(json!({ "event": "error", "client": client }), failure);
    }

    /// The id with which a match is run.
    pub fn request_id(&self, call: &str, id: &str) {
        self.say(json!({ "event": "request_id", "call": call, "request_id": id }));
    }

    /// A call takes no more until it is told to go on.
    pub fn paused(&self, call: &str, token: Option<&str>) {
        self.say(json!({ "event": "paused", "call": call, "resume_token": token }));
    }

    /// An update.
    pub fn update(&self, call: &str, update: &MatchUpdate) {
        let found = update.r#match.as_ref();
        let cause = match &update.event {
            Some(Event::AttemptFailed(failed)) => Some(&failed.cause),
            Some(_) | None => None,
        };
        self.say(json!({
            "event": "update",
            "call": call,
            "sequence": update.sequence,
            "match_id": update.match_id,
            "resume_token": update.resume_token,
            "kind": kind(update),
            "state": found.map(|found| state(found.state)),
            "resolution": found.and_then(resolution),
            "cause": cause,
        }));
    }

    /// A match of a list.
    pub fn item(&self, call: &str, found: &Match) {
        self.say(json!({
            "event": "item",
            "call": call,
            "match_id": found.match_id,
            "request_id": found.request_id,
            "state": state(found.state),
        }));
    }

    /// A call broke off, and another one follows.
    pub fn reconnect(&self, call: &str, client: &str, status: &Status, retry: Retry) {
        self.say(json!({
            "event": "reconnect",
            "client": client,
            "call": call,
            "attempt": retry.attempt,
            "code": code_name(status.code()),
            "reason": resume::reason(status),
            "wait_ms": retry.pause.as_millis(),
        }));
    }

    /// A call succeeded.
    pub fn result(&self, call: &str, parts: Value) {
        self.say(merged(json!({ "event": "result", "call": call }), parts));
    }

    /// A call failed.
    pub fn failed(&self, call: &str, failure: &FailureLine) {
        self.fail(json!({ "event": "error", "call": call }), failure);
    }

    fn fail(&self, line: Value, failure: &FailureLine) {
        let is_known = |reason: &&str| self.reasons.contains(*reason);
        let is = json!({ "is": Vec::from_iter(failure.reason().filter(is_known)) });
        self.say(merged(merged(line, failure.parts.clone()), is));
    }

    /// Prints an object without its absent members.
    fn say(&self, line: Value) {
        let Value::Object(line) = line else { return };
        let there = line.into_iter().filter(|(_, value)| !value.is_null());
        let line = Value::Object(there.collect());
        let mut out = lock(&self.to);
        // A runner that has gone reads no line.
        let _ = writeln!(out, "{line}").and_then(|()| out.flush());
    }
}

fn merged(line: Value, more: Value) -> Value {
    match (line, more) {
        (Value::Object(mut line), Value::Object(more)) => {
            line.extend(more);
            Value::Object(line)
        }
        (line, _) => line,
    }
}

/// How a call failed.
#[derive(Debug, Clone)]
pub struct FailureLine {
    parts: Value,
}

impl FailureLine {
    fn reason(&self) -> Option<&str> {
        self.parts["reason"].as_str()
    }

    /// Settings or arguments that were refused before anything was sent.
    pub fn usage(problem: &str) -> Self {
        Self { parts: json!({ "kind": "usage", "message": problem, "text": problem }) }
    }

    /// The runner has cancelled the call.
    pub fn cancelled() -> Self {
        let code = code_name(Code::Cancelled);
        Self { parts: json!({ "kind": "cancelled", "code": code, "text": "cancelled" }) }
    }

    /// A stream, or the state of a match, that says nothing.
    pub fn contract(message: &str) -> Self {
        Self { parts: json!({ "kind": "contract", "message": message, "text": message }) }
    }

    /// A call stopped before its end.
    pub fn of(error: &Error, server: &Uri) -> Self {
        let (kind, status) = match error {
            Error::Refused(status) => ("refused", status),
            Error::Broken(status) => ("gave_up", status),
            Error::Contract(status) => ("contract", status),
            Error::Late(_) => return Self::late(),
            Error::Output(error) => return Self::usage(&error.to_string()),
        };
        Self::of_status(kind, status, &format!("{error:?}\n{error}"), server)
    }

    /// The time for a call has passed.
    fn late() -> Self {
        let code = code_name(Code::DeadlineExceeded);
        let text = Error::Late(None).to_string();
        Self { parts: json!({ "kind": "deadline", "code": code, "text": text }) }
    }

    fn of_status(kind: &str, status: &Status, text: &str, server: &Uri) -> Self {
        let details = FailureDetails::of(status, server);
        let fields: Vec<_> = details.violations.iter().map(|(field, _)| field).collect();
        let text = format!("{text}\n{}", details.text());
        Self {
            parts: json!({
                "kind": kind,
                "code": code_name(details.code),
                "reason": details.reason,
                "message": details.message,
                "metadata": details.metadata,
                "retry_after_ms": details.retry_delay.map(|delay| delay.as_millis()),
                "violations": fields,
                "text": text,
            }),
        }
    }

    /// A match that ended without a verdict; `None` if it has one, or ended in an unknown way.
    pub fn of_match(ended: &Match) -> Option<Self> {
        match ended.state() {
            MatchState::Failed => Some(Self::of_failed(&ended.error.clone().unwrap_or_default())),
            MatchState::Cancelled => {
                let text = "the match was cancelled";
                Some(Self { parts: json!({ "kind": "match_cancelled", "text": text }) })
            }
            MatchState::Unspecified
            | MatchState::Accepted
            | MatchState::Uploaded
            | MatchState::Processing
            | MatchState::Finished => None,
        }
    }

    fn of_failed(error: &MatchError) -> Self {
        Self {
            parts: json!({
                "kind": "failed",
                "code": code_name(Code::from_i32(error.code)),
                "reason": error.reason,
                "message": error.message,
                "metadata": error.metadata,
                "retryable": error.retryable,
                "text": format!("{error:?}"),
            }),
        }
    }

    /// The same failure, with whether its match goes on, and the ids of the match.
    pub fn with_match(mut self, continues: bool, match_id: &str, request_id: Option<&str>) -> Self {
        self.parts["match_continues"] = json!(continues);
        if !match_id.is_empty() {
            self.parts["match_id"] = json!(match_id);
        }
        if let Some(id) = request_id {
            self.parts["request_id"] = json!(id);
        }
        self
    }
}

/// The name of an update's event.
fn kind(update: &MatchUpdate) -> &'static str {
    match &update.event {
        Some(Event::Accepted(_)) => "accepted",
        Some(Event::PhotoUploaded(_)) => "photo_uploaded",
        Some(Event::AnalysisStarted(_)) => "analysis_started",
        Some(Event::AttemptFailed(_)) => "attempt_failed",
        Some(Event::Finished(_)) => "finished",
        Some(Event::Failed(_)) => "failed",
        Some(Event::Cancelled(_)) => "cancelled",
        Some(Event::Progress(_)) => "progress",
        Some(Event::Heartbeat(_)) => "heartbeat",
        None => "unknown",
    }
}

/// The name of a state without its prefix, or its number.
fn state(number: i32) -> String {
    match MatchState::try_from(number) {
        Ok(state) => state.as_str_name().trim_start_matches("MATCH_STATE_").to_owned(),
        Err(_) => number.to_string(),
    }
}

fn resolution(found: &Match) -> Option<String> {
    let number = found.result.as_ref()?.resolution;
    Some(match Resolution::try_from(number) {
        Ok(resolution) => resolution.as_str_name().trim_start_matches("RESOLUTION_").to_owned(),
        Err(_) => number.to_string(),
    })
}

/// What a match is, for the result of a call with one answer.
pub fn of_one(found: &Match) -> Value {
    json!({
        "match_id": found.match_id,
        "request_id": found.request_id,
        "state": state(found.state),
        "sequence": found.sequence,
        "resolution": resolution(found),
        "error_reason": found.error.as_ref().map(|error| &error.reason),
        "folder_id": found.folder_id,
    })
}

/// What was erased.
pub fn of_erased(erased: &Erased) -> Value {
    match erased {
        Erased::Confirmed(answer) => {
            json!({ "match_id": answer.match_id, "photo_media_id": answer.photo_media_id })
        }
        Erased::Unconfirmed(Some(Id::MatchId(id))) => {
            json!({ "match_id": id, "already_gone": true })
        }
        Erased::Unconfirmed(Some(Id::RequestId(_)) | None) => json!({ "already_gone": true }),
    }
}

/// The last state of a match that was followed.
pub fn of_last(found: Option<&Match>) -> Value {
    json!({
        "state": found.map(|found| state(found.state)),
        "resolution": found.and_then(resolution),
    })
}

/// The verdict of a match.
pub fn of_verdict(ended: &Match, request_id: &str, is_same: bool) -> Value {
    json!({
        "resolution": resolution(ended),
        "same_person": is_same,
        "match_id": ended.match_id,
        "request_id": request_id,
        "min_confidence": ended.result.as_ref().and_then(|result| result.min_confidence),
    })
}

/// What a stopped stream was left with.
pub fn stopped(mut parts: Value) -> Value {
    if let Value::Object(parts) = &mut parts {
        parts.insert("stopped".to_owned(), Value::Bool(true));
    }
    parts
}

/// An object with one member.
pub fn of_token(token: &str) -> Value {
    Value::Object(Map::from_iter([("resume_token".to_owned(), json!(token))]))
}
