//! Translates failures into the domain's types: the only place where HTTP becomes a
//! [`FailureKind`].
//!
//! It deliberately decides nothing: whether a failure is transient is the domain's decision. Its
//! messages still hold Oz's raw text; [`scrub`](crate::oz::scrub) cleans them before they leave the
//! module.

use std::{error::Error, time::Duration};

use http::{HeaderMap, HeaderName, StatusCode, header};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    domain::{Failure, FailureKind, Timestamp},
    outage,
    oz::lenient_json,
};

/// Oz's codes for a session that it refuses before it acts on the request: no token, an unknown
/// one, an expired one (its page on return codes, `AUTH NOT PROVIDED`, `AUTH INVALID`, `AUTH
/// EXPIRED`).
const SESSION_CODES: [i64; 3] = [6, 7, 8];

/// The stage at which a request failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// Before the answer began.
    Sending,
    /// While the answer was read.
    Reading,
}

/// The failure for an answer that isn't a 2xx.
pub fn from_answer(
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
    now: Timestamp,
) -> Failure {
    let told = told(body);
    let redirected = "answered with a redirect".to_owned();
    Failure {
        kind: kind_of(status, &told),
        http_status: Some(status.as_u16()),
        error_code: told.error_code,
        message: if status.is_redirection() { redirected } else { told.message },
        retry_after: retry_after(headers, now),
        causes: None,
    }
}

/// The failure for a request that got no answer, or no complete one.
pub fn from_transport(error: &reqwest::Error, stage: Stage) -> Failure {
    let (kind, what) = match (Break::of(error), stage) {
        (Break::Connect, Stage::Sending | Stage::Reading) => {
            (FailureKind::Unreachable, "could not connect")
        }
        (Break::Timeout, Stage::Sending) => (FailureKind::TimedOut, "no answer in time"),
        (Break::Timeout, Stage::Reading) => (FailureKind::TimedOut, "the answer took too long"),
        (Break::Other, Stage::Sending) => {
            (FailureKind::Interrupted, "the connection broke before the answer")
        }
        (Break::Other, Stage::Reading) => {
            (FailureKind::Interrupted, "the connection broke within the answer")
        }
    };
    let causes = format!("{what}: {}", chain(error));
    Failure { causes: Some(causes), ..Failure::new(kind, format!("{what}: {}", root_cause(error))) }
}

/// The failure for a 2xx answer that lacks required data. If the answer is an Oz error object, the
/// failure takes its code and message.
pub fn incomplete(status: StatusCode, body: &[u8], what: &str) -> Failure {
    let error = lenient_json::read(body).ok().and_then(error_of);
    let told = error.unwrap_or_else(|| FailureText::foreign(what));
    Failure {
        http_status: Some(status.as_u16()),
        error_code: told.error_code,
        ..Failure::new(FailureKind::Incomplete, told.message)
    }
}

/// The failure for a 2xx answer that isn't JSON.
pub fn unreadable(status: StatusCode, body: &[u8]) -> Failure {
    let message = not_json(body);
    Failure { http_status: Some(status.as_u16()), ..Failure::new(FailureKind::Unreadable, message) }
}

/// Turns a gateway's 413 into [`FailureKind::TooLarge`]: unlike a gateway's other refusals, a size
/// limit is known not to pass.
pub fn too_large_for_a_gateway(failure: Failure) -> Failure {
    let is_its = failure.kind == FailureKind::Foreign && failure.http_status == Some(413);
    if !is_its {
        return failure;
    }
    let message = "a gateway in front of Oz refuses requests of this size".to_owned();
    Failure { kind: FailureKind::TooLarge, message, ..failure }
}

/// The kind of failure for a status other than 2xx. For a 4xx it depends on whether Oz or a gateway
/// answered.
fn kind_of(status: StatusCode, told: &FailureText) -> FailureKind {
    match status.as_u16() {
        300..=399 => FailureKind::Redirected,
        // The connection led to the wrong server, or the request came too early. In both cases Oz
        // didn't act on the request.
        421 | 425 => FailureKind::Foreign,
        // The proxy on the way refuses this server. Over TLS the same refusal is a failed
        // connection.
        407 => FailureKind::Unreachable,
        // A server's status for a stalled upload.
        408 => FailureKind::TimedOut,
        429 => FailureKind::RateLimited,
        400..=499 if !told.by_oz => FailureKind::Foreign,
        401 if told.is_about_the_session() => FailureKind::SessionRefused,
        401 => FailureKind::Unauthorized,
        403 => FailureKind::Forbidden,
        404 => FailureKind::NotFound,
        413 => FailureKind::TooLarge,
        400..=499 => FailureKind::Rejected,
        // 5xx, and statuses that HTTP doesn't define.
        _ => FailureKind::ServerError,
    }
}

/// The ways in which a connection fails.
enum Break {
    Connect,
    Timeout,
    Other,
}

impl Break {
    /// Classifies reqwest's error. reqwest nests the reason several errors deep, and both of its
    /// predicates examine the whole chain. A connect timeout is a failed connection: nothing was
    /// sent.
    fn of(error: &reqwest::Error) -> Self {
        if error.is_connect() {
            Self::Connect
        } else if error.is_timeout() {
            Self::Timeout
        } else {
            Self::Other
        }
    }
}

/// The innermost reason, which names neither a URL nor a header.
fn root_cause(error: &reqwest::Error) -> String {
    let Some(mut cause) = error.source() else { return "no reason given".to_owned() };
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

/// All reasons, outermost first, so that the stage of connecting that failed is named as well.
/// reqwest's own sentence, which names the URL, is left out.
pub fn chain(error: &reqwest::Error) -> String {
    error.source().map_or_else(|| "no reason given".to_owned(), outage::causes)
}

/// The text of a failure, and whether it is Oz's.
struct FailureText {
    /// Whether the body is an Oz error object: it has a code or a message under Oz's names.
    by_oz: bool,
    error_code: Option<i64>,
    message: String,
}

impl FailureText {
    /// A body that isn't Oz's is only described.
    fn foreign(what: &str) -> Self {
        Self { by_oz: false, error_code: None, message: what.to_owned() }
    }

    fn is_about_the_session(&self) -> bool {
        self.error_code.is_some_and(|code| SESSION_CODES.contains(&code))
    }
}

/// Oz's error body (its page on return codes). The third member is called `details` there, and
/// `error_details` by the framework that Oz is built on; either may have any type.
#[derive(Deserialize, Default)]
#[serde(default)]
struct ErrorBody {
    error_code: Value,
    error_message: Value,
    details: Value,
    error_details: Value,
}

fn told(body: &[u8]) -> FailureText {
    match lenient_json::read(body) {
        Ok(value) => error_of(value)
            .unwrap_or_else(|| FailureText::foreign("answered with JSON that is not an Oz error")),
        Err(_) => FailureText::foreign(&not_json(body)),
    }
}

/// Reads an Oz error object; `None` if it isn't one.
fn error_of(value: Value) -> Option<FailureText> {
    if !value.is_object() {
        return None;
    }
    let body: ErrorBody = serde_json::from_value(value).ok()?;
    let error_code = integer(&body.error_code);
    // Details alone don't identify Oz: many frameworks use that name.
    let by_oz = error_code.is_some() || body.error_message.is_string();
    if !by_oz {
        return None;
    }
    let texts = [body.error_message, body.details, body.error_details];
    let message = texts.iter().find_map(|text| text.as_str().filter(|text| !text.is_empty()));
    Some(FailureText { by_oz, error_code, message: message.unwrap_or("gave no reason").to_owned() })
}

/// A whole number, also if it is quoted.
pub fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Describes a body that isn't JSON. Never quotes it: a proxy's page is not a message for callers.
fn not_json(body: &[u8]) -> String {
    let text = body.trim_ascii_start();
    let what = match text.first() {
        None => "answered without a body",
        Some(b'<') => "answered with HTML",
        Some(b'{' | b'[') => "answered with JSON that is cut off or broken",
        Some(_) => "answered with something that is not JSON",
    };
    what.to_owned()
}

/// The Retry-After of an answer, in seconds or until a date. A date is compared with the answer's
/// own Date, if it has one, so that a wrong clock on either side does no harm.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = date(text)?;
    Some(until.since(date_header(headers, header::DATE).unwrap_or(now)))
}

pub fn date_header(headers: &HeaderMap, name: HeaderName) -> Option<Timestamp> {
    date(headers.get(name)?.to_str().ok()?)
}

fn date(text: &str) -> Option<Timestamp> {
    let since_epoch =
        httpdate::parse_http_date(text).ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(Timestamp::from_micros(0).after(since_epoch))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);

    fn headers(entries: &[(HeaderName, &str)]) -> HeaderMap {
        entries.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_wait_is_read_from_seconds_and_from_dates() {
        let wait = |entries: &[(HeaderName, &str)]| retry_after(&headers(entries), NOW);
        assert_eq!(wait(&[(header::RETRY_AFTER, "7")]), Some(Duration::from_secs(7)));
        // 1,700,000,000 is 22:13:20 on that day.
        let date = "Tue, 14 Nov 2023 22:13:50 GMT";
        assert_eq!(wait(&[(header::RETRY_AFTER, date)]), Some(Duration::from_secs(30)));
        let theirs = (header::DATE, "Tue, 14 Nov 2023 22:13:45 GMT");
        assert_eq!(wait(&[(header::RETRY_AFTER, date), theirs]), Some(Duration::from_secs(5)));
        let past = "Tue, 14 Nov 2000 22:13:50 GMT";
        assert_eq!(wait(&[(header::RETRY_AFTER, past)]), Some(Duration::ZERO));
    }

    #[test]
    fn an_invalid_wait_is_ignored() {
        for text in ["", "-1", "soon", "1.5", "99999999999999999999999"] {
            assert_eq!(retry_after(&headers(&[(header::RETRY_AFTER, text)]), NOW), None, "{text}");
        }
    }

    #[test]
    fn details_are_read_under_both_names_and_in_any_type() {
        for (body, code, message) in [
            (r#"{"error_code":3,"error_message":"m","details":null}"#, Some(3), "m"),
            (r#"{"error_code":"3","error_message":"m","error_details":[1]}"#, Some(3), "m"),
            (r#"{"error_code":4,"error_message":"","details":"d"}"#, Some(4), "d"),
            (r#"{"error_code":4,"error_details":"d"}"#, Some(4), "d"),
            (r#"{"error_code":4,"error_message":5,"details":{}}"#, Some(4), "gave no reason"),
            (
                r#"{"detail":"of another server"}"#,
                None,
                "answered with JSON that is not an Oz error",
            ),
            ("<html>secret page</html>", None, "answered with HTML"),
            ("  ", None, "answered without a body"),
            ("upstream error", None, "answered with something that is not JSON"),
            (r#"{"error_code":"#, None, "answered with JSON that is cut off or broken"),
        ] {
            let told = told(body.as_bytes());
            assert_eq!((told.error_code, told.message.as_str()), (code, message), "{body}");
        }
    }
}
