//! The one place where errors become statuses, with machine-readable details.
//!
//! What the store or a library says is the source of the status: the call log tells it, and it is
//! never sent.

use std::{collections::HashMap, sync::Arc};

use tonic::Status;
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};

use crate::{
    domain::{Limit, MatchId},
    grpc::reason::ErrorReason,
    watch::{Ended, StoreError},
    worker::Refused,
};

/// Who says so: the `domain` of every `google.rpc.ErrorInfo`.
const DOMAIN: &str = "facematch";
/// The one token that goes with filters.
const PAGE_TOKEN: &str = "page_token";
/// How many violations are told at once: more than a request has fields, and little enough that
/// callers' libraries, which take 8 KiB of metadata, can read them.
const VIOLATIONS_MAX: usize = 20;
/// How many of them the message repeats for people.
const SENTENCES_MAX: usize = 5;

/// What is wrong with a request: everything at once.
#[derive(Debug, Default)]
pub struct Violations {
    fields: Vec<FieldViolation>,
    /// The reason if nothing but the photo is wrong.
    photo: Option<ErrorReason>,
    /// Whether anything but the photo is wrong.
    others: bool,
}

impl Violations {
    /// A field is missing, malformed, too long or unknown.
    pub fn add(&mut self, field: impl Into<String>, description: impl Into<String>) {
        self.others = true;
        // A field that may hold many values can be wrong in each of them.
        if self.fields.len() < VIOLATIONS_MAX {
            self.fields.push(FieldViolation::new(field, description));
        }
    }

    /// The photo can't be read.
    pub fn photo_unreadable(&mut self, description: impl Into<String>) {
        self.photo = Some(ErrorReason::PhotoUnreadable);
        self.fields.push(FieldViolation::new("photo.content", description));
    }

    /// The photo is too large.
    pub fn photo_too_large(&mut self) {
        self.photo = Some(ErrorReason::PhotoTooLarge);
        self.fields.push(FieldViolation::new("photo.content", "is over 10 MiB (10,485,760 bytes)"));
    }

    /// The status, if anything is wrong.
    pub fn check(self) -> Result<(), Status> {
        if self.fields.is_empty() {
            return Ok(());
        }
        let reason = match self.photo {
            Some(reason) if !self.others => reason,
            Some(_) | None => ErrorReason::FieldInvalid,
        };
        let message = self.message();
        let mut details = details(reason, []);
        details.set_bad_request(self.fields);
        Err(of(reason, message, details))
    }

    fn message(&self) -> String {
        let sentence = |v: &FieldViolation| format!("{} {}", v.field, v.description);
        let mut sentences: Vec<_> = self.fields.iter().take(SENTENCES_MAX).map(sentence).collect();
        let more = self.fields.len() - sentences.len();
        if more > 0 {
            sentences.push(format!("and {more} more"));
        }
        sentences.join("; ")
    }
}

/// Only the photo is wrong: it is too large, known before it was read.
pub fn photo_too_large() -> Status {
    let mut violations = Violations::default();
    violations.photo_too_large();
    refusal(violations)
}

/// A request without a photo that is larger than any such request can be.
pub fn request_too_large(limit: usize) -> Status {
    let mut violations = Violations::default();
    violations.add("request", format!("is over {limit} bytes"));
    refusal(violations)
}

/// A request whose photo isn't what makes it large.
pub fn too_much_beside_the_photo(limit: usize) -> Status {
    let mut violations = Violations::default();
    violations.add("request", format!("holds over {limit} bytes beside its photo"));
    refusal(violations)
}

/// More bytes than the one message that was announced.
pub fn request_too_long() -> Status {
    let mut violations = Violations::default();
    violations.add("request", "is followed by more than its own bytes");
    refusal(violations)
}

/// A header of the call that can't be read.
pub fn header_invalid(name: &str, description: &str) -> Status {
    let mut violations = Violations::default();
    violations.add(name, description);
    refusal(violations)
}

/// Bytes that are no message: the transport's own error, without a reason of ours.
pub fn undecodable(what: &str) -> Status {
    Status::invalid_argument(format!("the request can't be decoded: {what}"))
}

/// The call's own deadline passed here, or its request didn't arrive in time. `what` says which,
/// and of what, for people.
pub fn call_timed_out(what: impl Into<String>) -> Status {
    plain(ErrorReason::CallTimedOut, what)
}

/// The connection has reached its age, and the call has to go on over another one.
pub fn connection_ended() -> Status {
    plain(ErrorReason::ServerDraining, "the connection has reached its age: go on over a new one")
}

fn refusal(violations: Violations) -> Status {
    match violations.check() {
        Err(status) => status,
        Ok(()) => internal("a refusal without a violation"),
    }
}

/// A source of photos that this server doesn't have.
pub fn not_available(what: &str) -> Status {
    plain(ErrorReason::NotAvailable, format!("{what} is not available on this server"))
}

/// Why a match was not admitted.
pub fn refused(refused: Refused) -> Status {
    match refused {
        Refused::Draining => draining(),
        Refused::Overloaded(limit) => overloaded(limit),
        Refused::Reused { field, match_id } => {
            let message = format!("the request_id names a match with another {field}");
            let metadata = [("field", field.to_owned()), ("match_id", match_id.to_string())];
            let mut details = details(ErrorReason::RequestIdReused, metadata);
            details.set_resource_info("match", match_id.to_string(), "", "has other content");
            of(ErrorReason::RequestIdReused, message, details)
        }
        Refused::Journal(failure) => store(&failure),
    }
}

/// Why a stream or a look ended.
pub fn ended(ended: Ended, what: &str) -> Status {
    match ended {
        Ended::Absent => not_found(what),
        Ended::Ahead { reached } => {
            let message = format!("after_sequence is ahead: the match has reached {}", reached.0);
            let metadata = [("reached", reached.0.to_string())];
            of(ErrorReason::WatchAhead, message, details(ErrorReason::WatchAhead, metadata))
        }
        Ended::Expired => {
            plain(ErrorReason::TokenExpired, "the resume_token is older than what is retained")
        }
        Ended::InvalidToken => token_invalid(what),
        Ended::Draining => draining(),
        Ended::Journal(failure) => store(&failure),
    }
}

fn token_invalid(field: &str) -> Status {
    let description = match field {
        PAGE_TOKEN => "is damaged, not of this store, or goes with other filters",
        _ => "is damaged, not of this store, or of a time that a restore of the store undid",
    };
    let mut details = details(ErrorReason::TokenInvalid, []);
    details.add_bad_request_violation(field, description);
    of(ErrorReason::TokenInvalid, format!("{field} {description}"), details)
}

/// There is no such match, or it is another caller's.
pub fn not_found(id: &str) -> Status {
    let mut details = details(ErrorReason::MatchNotFound, []);
    details.set_resource_info("match", id, "", "doesn't exist");
    of(ErrorReason::MatchNotFound, "there is no such match", details)
}

/// A match that has ended can't be cancelled.
pub fn match_ended(id: MatchId, state: &str) -> Status {
    let message = format!("the match has ended as {}", state.to_uppercase());
    precondition(ErrorReason::MatchEnded, id, message)
}

/// A match that runs can't be erased.
pub fn match_running(id: MatchId) -> Status {
    precondition(ErrorReason::MatchRunning, id, "the match runs: cancel it first, or wait".into())
}

fn precondition(reason: ErrorReason, id: MatchId, message: String) -> Status {
    let mut details = details(reason, []);
    let (kind, subject) = (reason.as_str(), id.to_string());
    details.add_precondition_failure_violation(kind, subject, message.clone());
    of(reason, message, details)
}

/// The server goes down.
pub fn draining() -> Status {
    plain(ErrorReason::ServerDraining, "the server is shutting down")
}

/// The server is at a limit of its own, and the call had no effect.
pub fn overloaded(limit: Limit) -> Status {
    let details = details(ErrorReason::Overloaded, [("limit", limit.as_str().to_owned())]);
    of(ErrorReason::Overloaded, format!("the server is at its limit of {limit}"), details)
}

/// A stream's updates lay unread for too long.
pub fn updates_unread() -> Status {
    plain(
        ErrorReason::UpdatesUnread,
        "the updates lay unread for too long; nothing is lost: resume",
    )
}

/// The journal can't be used.
pub fn store(failure: &StoreError) -> Status {
    match failure {
        StoreError::Unavailable(_) => {
            let mut status = plain(ErrorReason::StoreUnavailable, "the store is unavailable");
            status.set_source(Arc::new(failure.clone()));
            status
        }
        StoreError::Refused(_) => {
            let mut status = plain(ErrorReason::Internal, "internal error");
            status.set_source(Arc::new(failure.clone()));
            status
        }
        StoreError::Corrupt(what) => internal(what),
    }
}

/// A bug of ours.
pub fn internal(what: &str) -> Status {
    let mut status = plain(ErrorReason::Internal, "internal error");
    status.set_source(Arc::new(Bug(what.to_owned())));
    status
}

/// What is wrong with us, for the log.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Bug(String);

/// A refusal of which there is no more to tell than its reason.
fn plain(reason: ErrorReason, message: impl Into<String>) -> Status {
    of(reason, message, details(reason, []))
}

fn of(reason: ErrorReason, message: impl Into<String>, details: ErrorDetails) -> Status {
    Status::with_error_details(reason.code(), message, details)
}

/// What every refusal has: its reason, and when to come back if that may help.
fn details<const N: usize>(reason: ErrorReason, metadata: [(&str, String); N]) -> ErrorDetails {
    let metadata: HashMap<String, String> =
        metadata.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    let mut details = ErrorDetails::with_error_info(reason.as_str(), DOMAIN, metadata);
    if let Some(delay) = reason.retry_after() {
        // Without a delay there would be a RetryInfo all the same, an empty one.
        details.set_retry_info(Some(delay));
    }
    details
}
