//! Parses the values of arguments, as far as they can be checked without a server.

use std::time::Duration;

use http::{Uri, uri::Authority};
#[cfg(feature = "cli")]
use prost_types::Timestamp;

/// Parses `KEY=VALUE`. The value may be empty.
#[cfg(feature = "cli")]
pub fn label(text: &str) -> Result<(String, String), &'static str> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        Some(_) | None => Err("must be KEY=VALUE"),
    }
}

/// Parses a time in RFC 3339. The offset is required, because the server doesn't know the caller's.
#[cfg(feature = "cli")]
pub fn time(text: &str) -> Result<Timestamp, &'static str> {
    const WANTED: &str = "must be a time in RFC 3339 such as 2027-01-15T08:00:00Z";
    let whole = text.contains(['T', 't']) && (text.ends_with(['Z', 'z']) || has_offset(text));
    if whole { text.parse().map_err(|_| WANTED) } else { Err(WANTED) }
}

#[cfg(feature = "cli")]
fn has_offset(text: &str) -> bool {
    let offset = text.len().checked_sub("+00:00".len()).and_then(|at| text.get(at..));
    offset.is_some_and(|offset| offset.starts_with(['+', '-']) && offset.contains(':'))
}

/// Parses a duration with its unit.
pub fn duration(text: &str) -> Result<Duration, &'static str> {
    humantime::parse_duration(text).map_err(|_| "must be a duration such as 90s or 5m")
}

/// Whether the port of a URL, if it has one, is from 1 to 65535. The parser of URLs takes a larger one
/// for an absent one.
pub fn has_valid_port(url: &Uri) -> bool {
    match url.port_u16() {
        Some(port) => port != 0,
        None => url.authority().map(Authority::as_str) == url.host(),
    }
}

/// Parses a time limit, which is a duration of more than 0.
pub fn limit(text: &str) -> Result<Duration, &'static str> {
    match duration(text)? {
        Duration::ZERO => Err("must be more than 0"),
        limit => Ok(limit),
    }
}
