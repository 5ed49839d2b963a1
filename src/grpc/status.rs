//! The only place where errors become gRPC statuses, with machine-readable details.
//!
//! The text of the store's and of libraries' errors becomes the source of a status: the call log
//! shows it, and it is never sent to a caller.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tonic::Status;
use tonic_types::{ErrorDetails, FieldViolation, QuotaViolation, StatusExt};

use crate::{
    access::{Denied, Permission, audit::AuditFailure},
    domain::{Limit, MatchId, TenantId},
    grpc::reason::ErrorReason,
    watch::{Ended, StoreError},
    worker::Refused,
};

/// The `domain` of every `google.rpc.ErrorInfo`.
const DOMAIN: &str = "facematch";
/// The only token that is bound to filters.
const PAGE_TOKEN: &str = "page_token";
/// The most violations in one status: more than a request has fields, and few enough for client
/// libraries, which accept 8 KiB of metadata.
const VIOLATIONS_MAX: usize = 20;
/// How many violations the message repeats for people.
const SENTENCES_MAX: usize = 5;

/// All violations of a request, collected before it is refused.
#[derive(Debug, Default)]
pub struct Violations {
    fields: Vec<FieldViolation>,
    /// The reason to give if only the photo is wrong.
    photo: Option<ErrorReason>,
    /// Whether anything besides the photo is wrong.
    others: bool,
}

impl Violations {
    /// Adds a field that is missing, malformed, too long or unknown. `description` completes the
    /// sentence that begins with the field's name.
    pub fn add(&mut self, field: impl Into<String>, description: impl Into<String>) {
        self.others = true;
        // A field that may hold many values can be wrong in each of them.
        if self.fields.len() < VIOLATIONS_MAX {
            self.fields.push(FieldViolation::new(field, description));
        }
    }

    /// Adds that the photo can't be read, and why.
    pub fn photo_unreadable(&mut self, description: impl Into<String>) {
        self.photo = Some(ErrorReason::PhotoUnreadable);
        self.fields.push(FieldViolation::new("photo.content", description));
    }

    /// Adds that the photo is over its limit.
    pub fn photo_too_large(&mut self) {
        self.photo = Some(ErrorReason::PhotoTooLarge);
        self.fields.push(FieldViolation::new("photo.content", "is over 10 MiB (10,485,760 bytes)"));
    }

    /// Returns the status as an error if there is any violation.
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

/// A photo over its limit, refused before all of it has arrived.
pub fn photo_too_large() -> Status {
    let mut violations = Violations::default();
    violations.photo_too_large();
    refusal(violations)
}

/// A request without a photo that is larger than any valid request of its method.
pub fn request_too_large(limit: usize) -> Status {
    let mut violations = Violations::default();
    violations.add("request", format!("is over {limit} bytes"));
    refusal(violations)
}

/// A request with too many bytes outside its photo.
pub fn too_much_beside_the_photo(limit: usize) -> Status {
    let mut violations = Violations::default();
    violations.add("request", format!("holds over {limit} bytes besides its photo"));
    refusal(violations)
}

/// A request followed by more bytes than the one message that its prefix announced.
pub fn request_too_long() -> Status {
    let mut violations = Violations::default();
    violations.add("request", "is followed by extra bytes");
    refusal(violations)
}

/// A header of the call that can't be parsed.
pub fn header_invalid(name: &str, description: &str) -> Status {
    field_invalid(name, description)
}

/// A single field that is wrong. `description` completes the sentence that begins with its name.
pub fn field_invalid(name: &str, description: &str) -> Status {
    let mut violations = Violations::default();
    violations.add(name, description);
    refusal(violations)
}

/// A request that isn't a valid protobuf message. It is the transport's error, so it has no reason.
pub fn undecodable(what: &str) -> Status {
    Status::invalid_argument(format!("the request can't be decoded: {what}"))
}

/// The call's own deadline passed, or its request didn't arrive in time. `what` says which, for
/// people.
pub fn call_timed_out(what: impl Into<String>) -> Status {
    plain(ErrorReason::CallTimedOut, what)
}

/// The connection has reached its maximum age; the caller has to resume over a new one.
pub fn connection_ended() -> Status {
    plain(ErrorReason::ServerDraining, "the connection has reached its age: resume over a new one")
}

fn refusal(violations: Violations) -> Status {
    match violations.check() {
        Err(status) => status,
        Ok(()) => internal("a refusal without a violation"),
    }
}

/// A request that names a source of photos that this server doesn't have.
pub fn not_available(what: &str) -> Status {
    plain(ErrorReason::NotAvailable, format!("{what} is not available on this server"))
}

/// The status of a match that was not admitted for a tenant.
pub fn refused(refused: Refused, tenant: &TenantId) -> Status {
    match refused {
        Refused::Draining => draining(),
        Refused::Overloaded(limit) => overloaded(limit),
        Refused::Quota(limit) => quota_exceeded(limit, tenant, None),
        Refused::Reused { field, match_id } => {
            let message = format!("the request_id belongs to a match with another {field}");
            let metadata = [("field", field.to_owned()), ("match_id", match_id.to_string())];
            let mut details = details(ErrorReason::RequestIdReused, metadata);
            details.set_resource_info("match", match_id.to_string(), "", "has different content");
            of(ErrorReason::RequestIdReused, message, details)
        }
        Refused::Journal(failure) => store(&failure),
    }
}

/// The status of a stream or a read that ended early. `what` is the id or the field that it was
/// about.
pub fn ended(ended: Ended, what: &str) -> Status {
    match ended {
        Ended::Absent => not_found(what),
        Ended::Ahead { reached } => {
            let message = format!("after_sequence is ahead: the match has reached {}", reached.0);
            let metadata = [("reached", reached.0.to_string())];
            of(ErrorReason::WatchAhead, message, details(ErrorReason::WatchAhead, metadata))
        }
        Ended::Expired => plain(
            ErrorReason::TokenExpired,
            "the resume_token is older than the oldest retained update",
        ),
        Ended::InvalidToken => token_invalid(what),
        Ended::Draining => draining(),
        Ended::Journal(failure) => store(&failure),
    }
}

fn token_invalid(field: &str) -> Status {
    let description = match field {
        PAGE_TOKEN => "is damaged, from another store, or for other filters",
        _ => "is damaged, from another store, or newer than the backup that was restored",
    };
    let mut details = details(ErrorReason::TokenInvalid, []);
    details.add_bad_request_violation(field, description);
    of(ErrorReason::TokenInvalid, format!("{field} {description}"), details)
}

/// There is no such match, or it belongs to another tenant.
pub fn not_found(id: &str) -> Status {
    let mut details = details(ErrorReason::MatchNotFound, []);
    details.set_resource_info("match", id, "", "doesn't exist");
    of(ErrorReason::MatchNotFound, "there is no such match", details)
}

/// A match that can't be cancelled, because it has ended.
pub fn match_ended(id: MatchId, state: &str) -> Status {
    let message = format!("the match has ended as {}", state.to_uppercase());
    precondition(ErrorReason::MatchEnded, id, message)
}

/// A match that can't be erased, because it is still running.
pub fn match_running(id: MatchId) -> Status {
    precondition(ErrorReason::MatchRunning, id, "the match is running: cancel it or wait".into())
}

fn precondition(reason: ErrorReason, id: MatchId, message: String) -> Status {
    let mut details = details(reason, []);
    let (kind, subject) = (reason.as_str(), id.to_string());
    details.add_precondition_failure_violation(kind, subject, message.clone());
    of(reason, message, details)
}

/// The server is shutting down.
pub fn draining() -> Status {
    plain(ErrorReason::ServerDraining, "the server is shutting down")
}

/// The server is at one of its limits, and the call had no effect.
pub fn overloaded(limit: Limit) -> Status {
    let details = details(ErrorReason::Overloaded, [("limit", limit.as_str().to_owned())]);
    of(ErrorReason::Overloaded, format!("the server is at its limit of {limit}"), details)
}

/// The tenant is at one of its own limits, and the call had no effect. `delay` is how long it takes
/// until the limit allows a call, where that is known.
pub fn quota_exceeded(limit: Limit, tenant: &TenantId, delay: Option<Duration>) -> Status {
    let reason = ErrorReason::QuotaExceeded;
    let mut details = details(reason, [("limit", limit.as_str().to_owned())]);
    let message = format!("the tenant is at its limit of {limit}");
    details.set_quota_failure(vec![QuotaViolation::new(tenant.as_str(), message.clone())]);
    if let Some(delay) = delay {
        details.set_retry_info(Some(delay));
    }
    of(reason, message, details)
}

/// The call's credential is refused, or it ended while a stream ran.
pub fn denied(denied: Denied) -> Status {
    match denied {
        Denied::Missing => plain(
            ErrorReason::CredentialMissing,
            "the call has neither an authorization header nor a client certificate",
        ),
        // One wording for wrong and unknown ones.
        Denied::Invalid => plain(ErrorReason::CredentialInvalid, "the credential is not valid"),
        Denied::Expired => plain(
            ErrorReason::CredentialExpired,
            "the credential has expired or was withdrawn: a stream resumes with a new one",
        ),
    }
}

/// The caller is known, and may not make this call.
pub fn forbidden(permission: Permission) -> Status {
    let word = permission.as_str();
    let details = details(ErrorReason::CallForbidden, [("permission", word.to_owned())]);
    let message = format!("the caller lacks the permission {word}");
    of(ErrorReason::CallForbidden, message, details)
}

/// The port refuses the calls that change matches, of every caller.
pub fn read_only(permission: Permission) -> Status {
    let word = permission.as_str();
    let details = details(ErrorReason::CallForbidden, [("permission", word.to_owned())]);
    of(ErrorReason::CallForbidden, "this port is read-only (--web-read-only)", details)
}

/// A stalled stream: its updates were not read for too long.
pub fn updates_unread() -> Status {
    plain(
        ErrorReason::UpdatesUnread,
        "the updates were not read for too long; nothing is lost: resume the stream",
    )
}

/// A failure of the journal.
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

/// The call's audit record can't be written.
pub fn audit_unavailable(failure: &AuditFailure) -> Status {
    let mut status = plain(ErrorReason::AuditUnavailable, "the audit file is unavailable");
    status.set_source(Arc::new(failure.clone()));
    status
}

/// A bug in the server. `what` reaches the log only.
pub fn internal(what: &str) -> Status {
    let mut status = plain(ErrorReason::Internal, "internal error");
    status.set_source(Arc::new(Bug(what.to_owned())));
    status
}

/// A bug in the server, as the log shows it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Bug(String);

/// A status with no details besides its reason.
fn plain(reason: ErrorReason, message: impl Into<String>) -> Status {
    of(reason, message, details(reason, []))
}

fn of(reason: ErrorReason, message: impl Into<String>, details: ErrorDetails) -> Status {
    Status::with_error_details(reason.code(), message, details)
}

/// The details of every refusal: its reason, and the retry delay if a retry may help.
fn details<const N: usize>(reason: ErrorReason, metadata: [(&str, String); N]) -> ErrorDetails {
    let metadata: HashMap<String, String> =
        metadata.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    let mut details = ErrorDetails::with_error_info(reason.as_str(), DOMAIN, metadata);
    if let Some(delay) = reason.retry_after() {
        // `set_retry_info(None)` would add an empty RetryInfo.
        details.set_retry_info(Some(delay));
    }
    details
}
