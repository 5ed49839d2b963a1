//! A call that failed, as people read it: code, reason, message, what is wrong with which field,
//! and what to try. `json` shows the same to programs.
//!
//! It judges nothing: whether to call again is `resume`'s to say.

use std::{collections::BTreeMap, error::Error, time::Duration};

use tonic::{Code, Status, transport::Uri};
use tonic_types::StatusExt;

use crate::cli::{
    args::shown,
    client::{Foreign, TlsProblem},
    render::text::plain,
    resume::{self, CallOutcome},
};

/// What is known of a failure.
#[derive(Debug, Clone, PartialEq)]
pub struct FailureDetails {
    /// Its gRPC code.
    pub code: Code,
    /// The server's word for it; unset if the error is not the server's.
    pub reason: Option<String>,
    /// A sentence. It names the server where the failure isn't the server's word.
    pub message: String,
    /// Which fields are wrong, and how.
    pub violations: Vec<(String, String)>,
    /// The variable parts, in the order of their names.
    pub metadata: BTreeMap<String, String>,
    /// How long to wait before the call is repeated.
    pub retry_delay: Option<Duration>,
    /// What to try.
    pub hint: Option<String>,
    /// Whether it is the word of a server, rather than what this side made of it.
    pub is_answer: bool,
}

impl FailureDetails {
    /// What an error of a call says.
    pub fn of(status: &Status, server: &Uri) -> Self {
        let reason = reason(status);
        let lost = lost(status, server);
        let is_answer = lost.is_none();
        let (message, own_hint) = match lost {
            Some((message, hint)) => (message, Some(hint)),
            None => (message(status), None),
        };
        let info = status.get_details_error_info();
        let mut failure = Self {
            code: status.code(),
            message: plain(&message),
            violations: violations(status),
            metadata: info
                .into_iter()
                .flat_map(|info| info.metadata)
                .map(|(key, value)| (plain(&key), plain(&value)))
                .collect(),
            retry_delay: resume::asked(status),
            hint: own_hint.or_else(|| hint(status.code(), reason.as_deref(), server)),
            reason: reason.map(|reason| plain(&reason)),
            is_answer,
        };
        if failure.hint.is_none() {
            failure.hint = failure.retry_delay.map(again_in);
        }
        failure
    }

    /// Something that is wrong on this side; nothing was called.
    pub fn own(message: impl Into<String>) -> Self {
        Self {
            code: Code::InvalidArgument,
            reason: None,
            message: message.into(),
            violations: Vec::new(),
            metadata: BTreeMap::new(),
            retry_delay: None,
            hint: None,
            is_answer: false,
        }
    }

    /// Several lines, the first of which tells the error. Each wrong field is told once: in the
    /// message where it is the only one, else in a line of its own.
    pub fn text(&self) -> String {
        let sentences = || self.violations.iter().map(|(field, what)| format!("{field} {what}"));
        let repeats = sentences().all(|sentence| self.message.contains(&sentence));
        let (message, wrong) = match self.violations.len() {
            1 if repeats => (self.message.clone(), Vec::new()),
            fields @ 2.. if repeats => {
                (format!("{fields} fields are wrong"), sentences().collect())
            }
            _ => (self.message.clone(), sentences().collect()),
        };
        let mut lines = vec![self.first_line(&message)];
        lines.extend(wrong);
        let more = self.metadata.iter().filter(|(_, value)| !message.contains(*value));
        lines.extend(more.map(|(key, value)| format!("{key}: {value}")));
        lines.extend(self.hint.clone());
        lines.join("\n  ")
    }

    fn first_line(&self, message: &str) -> String {
        match (self.is_answer, &self.reason) {
            (true, Some(reason)) => format!("{} {reason}: {message}", code_name(self.code)),
            (true, None) => format!("{}: {message}", code_name(self.code)),
            (false, _) => message.to_owned(),
        }
    }
}

/// What keeps a call from going on, in a few words for a person who waits for it to pass.
pub fn outage(status: &Status) -> String {
    let words = match (reason(status), Foreign::behind(status)) {
        (Some(reason), _) => format!("{} ({reason})", status.message()),
        (None, Some(met)) => format!("the server answered {met}"),
        (None, None) if resume::never_left(status) => {
            format!("can't reach the server: {}", cause(status))
        }
        (None, None) if status.source().is_some() => BROKEN.to_owned(),
        (None, None) => status.message().to_owned(),
    };
    plain(&words)
}

/// The word that the server gave for the error; unset if the error is not the server's.
pub fn reason(status: &Status) -> Option<String> {
    status.get_details_error_info().map(|info| info.reason).filter(|reason| !reason.is_empty())
}

/// The name of a code, as in the specification of gRPC.
pub fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

/// How people call what the transport has many words for.
const BROKEN: &str = "the connection broke";

/// What became of a call that the service did not answer, and what to try. The code that it has
/// then was made up on this side.
fn lost(status: &Status, server: &Uri) -> Option<(String, String)> {
    let at = shown(server);
    if reason(status).is_some() {
        return None;
    }
    if let Some(met) = Foreign::behind(status) {
        return Some((format!("{at} answered {met}"), met.hint().to_owned()));
    }
    if let Some(problem) = TlsProblem::behind(status) {
        return Some((format!("can't connect to {at}: {problem}"), problem.hint().to_owned()));
    }
    let broke = resume::outcome_of(status) == CallOutcome::Broken && status.source().is_some();
    let message = match resume::never_left(status) {
        true => format!("can't reach {at}: {}", cause(status)),
        false if broke => format!("{BROKEN}: {}", cause(status)),
        false if status.code() == Code::DeadlineExceeded => {
            return Some((status.message().to_owned(), "--timeout waits longer".to_owned()));
        }
        false => return None,
    };
    Some((message, is_it_running(server)))
}

/// The message, and below "transport error" the cause of it.
fn message(status: &Status) -> String {
    let (message, cause) = (status.message(), cause(status));
    if message.contains(&cause) { message.to_owned() } else { format!("{message}: {cause}") }
}

/// What lies below an error of this side; empty for one that came from the other.
fn cause(status: &Status) -> String {
    status.source().map_or(String::new(), |source| root(source).to_string())
}

fn root<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    std::iter::successors(Some(error), |&error| error.source()).last().unwrap_or(error)
}

fn violations(status: &Status) -> Vec<(String, String)> {
    let wrong = status.get_details_bad_request().map(|request| request.field_violations);
    let pair = |violation: tonic_types::FieldViolation| {
        (plain(&violation.field), plain(&violation.description))
    };
    wrong.into_iter().flatten().map(pair).collect()
}

fn hint(code: Code, reason: Option<&str>, server: &Uri) -> Option<String> {
    let words = match (code, reason) {
        (Code::Unavailable, None) => return Some(is_it_running(server)),
        (Code::Unimplemented, None) => {
            return Some(format!("is {} a FaceMatch of this version?", shown(server)));
        }
        (_, Some("MATCH_NOT_FOUND")) => {
            "the id is wrong, or the match was erased; `facematch list` shows all matches"
        }
        (_, Some("REQUEST_ID_REUSED")) => "give the new match a --request-id of its own",
        (_, Some("MATCH_RUNNING")) => "`facematch cancel` ends it first",
        (_, Some("TOKEN_EXPIRED")) => {
            "--resume-token earliest starts at the oldest update that is kept"
        }
        _ => return None,
    };
    Some(words.to_owned())
}

fn again_in(delay: Duration) -> String {
    format!("a repeat may succeed in {:.1} s", delay.as_secs_f64())
}

fn is_it_running(server: &Uri) -> String {
    format!(
        "is a server running at {}? `facematch serve` starts one, --server names another",
        shown(server)
    )
}

#[cfg(test)]
mod tests;
