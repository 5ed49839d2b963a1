//! Formats a failed call for people: code, reason, message, wrong fields, and what to try. `json`
//! shows the same to programs.
//!
//! It deliberately doesn't decide whether to call again: `resume` does.

use std::{collections::BTreeMap, error::Error, time::Duration};

use tonic::{Code, Status, transport::Uri};
use tonic_types::StatusExt;

use crate::cli::call::{
    args::shown,
    client::{Foreign, TlsProblem},
    render::text::plain,
    resume::{self, CallOutcome},
};

/// All details of a failure.
#[derive(Debug, Clone, PartialEq)]
pub struct FailureDetails {
    /// The gRPC code.
    pub code: Code,
    /// The server's reason, such as `MATCH_NOT_FOUND`. `None` if the error isn't the server's.
    pub reason: Option<String>,
    /// One sentence. It names the server if the error isn't the server's.
    pub message: String,
    /// The names of the wrong fields, each with a description of the error.
    pub violations: Vec<(String, String)>,
    /// The variable parts of the error, sorted by name.
    pub metadata: BTreeMap<String, String>,
    /// How long to wait before the call is repeated, if a server or a gateway asks to wait.
    pub retry_delay: Option<Duration>,
    /// What to try.
    pub hint: Option<String>,
    /// Whether the error came from a server. Otherwise the client made it.
    pub is_answer: bool,
}

impl FailureDetails {
    /// The details of a failed call.
    pub fn of(status: &Status, server: &Uri) -> Self {
        let reason = resume::reason(status);
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
            retry_delay: resume::requested_delay(status),
            hint: own_hint.or_else(|| hint(status.code(), reason.as_deref(), server)),
            reason: reason.map(|reason| plain(&reason)),
            is_answer,
        };
        if failure.hint.is_none() {
            failure.hint = failure.retry_delay.map(again_in);
        }
        failure
    }

    /// An error on the client's side. No server was called.
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

    /// One or more lines, the first of which is the error. Each wrong field appears once: in the
    /// message if it is the only one, else in a line of its own.
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

/// The cause of an outage, in a few words for a person at a terminal.
pub fn outage(status: &Status) -> String {
    let words = match (resume::reason(status), Foreign::behind(status)) {
        (Some(reason), _) => format!("{} ({reason})", status.message()),
        (None, Some(met)) => format!("the server answered {met}"),
        (None, None) if resume::was_never_sent(status) => {
            format!("can't reach the server: {}", cause(status))
        }
        (None, None) if status.source().is_some() => BROKEN.to_owned(),
        (None, None) => status.message().to_owned(),
    };
    plain(&words)
}

/// The name of a code as the gRPC specification spells it.
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

/// One phrase for all errors of the transport that mean a broken connection.
const BROKEN: &str = "the connection broke";

/// The message and the hint for a call that the service didn't answer. `None` if it did. The gRPC
/// code of such a call comes from the client.
fn lost(status: &Status, server: &Uri) -> Option<(String, String)> {
    let at = shown(server);
    if resume::reason(status).is_some() {
        return None;
    }
    if let Some(met) = Foreign::behind(status) {
        return Some((format!("{at} answered {met}"), met.hint().to_owned()));
    }
    if let Some(problem) = TlsProblem::behind(status) {
        return Some((format!("can't connect to {at}: {problem}"), problem.hint().to_owned()));
    }
    let broke = resume::outcome_of(status) == CallOutcome::Broken && status.source().is_some();
    if broke && server.scheme_str() == Some("https") {
        // With TLS 1.3 a refused certificate may look like this: the alert comes after the
        // handshake, and is lost if no call waits on the connection yet.
        let hint = "if it asks for client certificates, does it accept the one of --cert-file? its \
                    log says why it breaks connections off";
        return Some((format!("{BROKEN}: {}", cause(status)), hint.to_owned()));
    }
    let message = match resume::was_never_sent(status) {
        true => format!("can't reach {at}: {}", cause(status)),
        false if broke => format!("{BROKEN}: {}", cause(status)),
        false if status.code() == Code::DeadlineExceeded => {
            return Some((status.message().to_owned(), "--timeout waits longer".to_owned()));
        }
        false => return None,
    };
    Some((message, is_it_running(server)))
}

/// The message of an error, with its root cause if the message doesn't hold it.
fn message(status: &Status) -> String {
    let (message, cause) = (status.message(), cause(status));
    if message.contains(&cause) { message.to_owned() } else { format!("{message}: {cause}") }
}

/// The root cause of an error of the client's own; empty for an error that a peer sent.
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
