//! The faults of Oz that no match may be harmed by. Each has the name of the keys that cause it in
//! the simulator's script, and says what the service makes of it.
//!
//! The model of the simulation injects them as values, `tests/it` over the wire. It deliberately
//! leaves out what only one of the two can do: an Oz that is down, and answers that take as long as
//! a timeout. The crate's unit tests and `tests/it` mount it, both as `crate::oz_faults`.

#![allow(dead_code, reason = "no crate that mounts this module uses all of it")]

use crate::domain::FailureKind;

/// A fault of one request to Oz.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OzFault {
    /// The name in messages.
    pub name: &'static str,
    /// What a rule of the simulator's script does, as JSON.
    pub then: &'static str,
    /// What the service sees.
    pub kind: FailureKind,
    pub acts: Acts,
}

/// Whether a request takes effect although it fails.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Acts {
    Never,
    AtOnce,
    /// After the service has seen the failure.
    Later,
}

const fn fault(name: &'static str, then: &'static str, kind: FailureKind, acts: Acts) -> OzFault {
    OzFault { name, then, kind, acts }
}

pub const DROP_BEFORE_ACTING: OzFault = fault(
    "drop_before_acting",
    r#"{"drop_before_acting": true}"#,
    FailureKind::Interrupted,
    Acts::Never,
);
pub const DROP_AFTER_ACTING: OzFault = fault(
    "drop_after_acting",
    r#"{"drop_after_acting": true}"#,
    FailureKind::Interrupted,
    Acts::AtOnce,
);
pub const ACT_AFTER_DROP: OzFault =
    fault("act_after_drop", r#"{"act_after_drop_ms": 30}"#, FailureKind::Interrupted, Acts::Later);
pub const TRUNCATE: OzFault =
    fault("truncate", r#"{"truncate_bytes": 9}"#, FailureKind::Interrupted, Acts::AtOnce);
pub const EXPIRE_SESSION: OzFault = fault(
    "expire_session",
    r#"{"expire_session": true}"#,
    FailureKind::SessionRefused,
    Acts::Never,
);
pub const STATUS_429: OzFault =
    fault("429", r#"{"status": 429}"#, FailureKind::RateLimited, Acts::Never);
pub const STATUS_429_WITH_RETRY_AFTER: OzFault = fault(
    "429 with Retry-After",
    r#"{"status": 429, "retry_after": "0"}"#,
    FailureKind::RateLimited,
    Acts::Never,
);
pub const STATUS_500: OzFault =
    fault("500", r#"{"status": 500}"#, FailureKind::ServerError, Acts::Never);
pub const STATUS_500_AFTER_ACTING: OzFault =
    fault("500, act", r#"{"status": 500, "act": true}"#, FailureKind::ServerError, Acts::AtOnce);
pub const STATUS_503_AFTER_ACTING: OzFault = fault(
    "503 with Retry-After, act",
    r#"{"status": 503, "act": true, "retry_after": "0"}"#,
    FailureKind::ServerError,
    Acts::AtOnce,
);
pub const HTML_502: OzFault =
    fault("html 502", r#"{"html": 502}"#, FailureKind::ServerError, Acts::Never);
pub const HTML_502_AFTER_ACTING: OzFault =
    fault("html 502, act", r#"{"html": 502, "act": true}"#, FailureKind::ServerError, Acts::AtOnce);
pub const REDIRECT: OzFault =
    fault("a redirect", r#"{"status": 302}"#, FailureKind::Redirected, Acts::Never);
pub const GATEWAY_404: OzFault = fault(
    "a gateway's 404",
    r#"{"status": 404, "body": "default backend - 404", "content_type": "text/plain"}"#,
    FailureKind::Foreign,
    Acts::Never,
);
pub const GATEWAY_403_AFTER_ACTING: OzFault = fault(
    "a gateway's 403, act",
    r#"{"status": 403, "body": "blocked", "content_type": "text/plain", "act": true}"#,
    FailureKind::Foreign,
    Acts::AtOnce,
);
/// Without an error code that is about the session.
pub const STATUS_401: OzFault = fault(
    "401",
    r#"{"status": 401, "body": {"error_code": 1, "error_message": "no"}}"#,
    FailureKind::Unauthorized,
    Acts::Never,
);
/// Without an error code that is about the session.
pub const STATUS_401_AFTER_ACTING: OzFault = fault(
    "401, act",
    r#"{"status": 401, "body": {"error_code": 1, "error_message": "no"}, "act": true}"#,
    FailureKind::Unauthorized,
    Acts::AtOnce,
);
pub const INVALID_JSON: OzFault =
    fault("invalid_json", r#"{"invalid_json": true}"#, FailureKind::Unreadable, Acts::AtOnce);
/// The answer lacks the id of what was made.
pub const EMPTY_BODY: OzFault =
    fault("an empty object", r#"{"body": {}}"#, FailureKind::Incomplete, Acts::AtOnce);

/// All of these faults.
pub const OZ_FAULTS: &[OzFault] = &[
    DROP_BEFORE_ACTING,
    DROP_AFTER_ACTING,
    ACT_AFTER_DROP,
    TRUNCATE,
    EXPIRE_SESSION,
    STATUS_429,
    STATUS_429_WITH_RETRY_AFTER,
    STATUS_500,
    STATUS_500_AFTER_ACTING,
    STATUS_503_AFTER_ACTING,
    HTML_502,
    HTML_502_AFTER_ACTING,
    REDIRECT,
    GATEWAY_404,
    GATEWAY_403_AFTER_ACTING,
    STATUS_401,
    STATUS_401_AFTER_ACTING,
    INVALID_JSON,
    EMPTY_BODY,
];
