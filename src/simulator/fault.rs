//! HTTP answers, and what a rule makes of them: another status or body, truncated, or slow.

use std::io;
use std::time::{Duration, UNIX_EPOCH};

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, DATE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use serde_json::Value;

use crate::simulator::answer::{OzReply, Refusal, body_for, proxy_page};
use crate::simulator::clock::Millis;
use crate::simulator::dialect;
use crate::simulator::script::{Action, Switches};

const JSON: &str = "application/json";
const HTML: &str = "text/html";
const TEXT: &str = "text/plain";
/// Pieces that a slow body is sent in.
const PIECES: usize = 10;
/// Time for the sent part of a truncated body to leave the socket before the connection breaks.
const FLUSH_TIME: Duration = Duration::from_millis(20);

/// An HTTP answer, with the faults that a rule adds to its body.
#[derive(Debug)]
pub struct HttpAnswer {
    pub status: u16,
    content_type: String,
    body: Bytes,
    headers: Vec<(HeaderName, HeaderValue)>,
    truncate_bytes: Option<usize>,
    slow_body: Option<Duration>,
}

impl HttpAnswer {
    fn new(status: u16, content_type: &str, body: impl Into<Bytes>) -> HttpAnswer {
        HttpAnswer {
            status,
            content_type: content_type.to_owned(),
            body: body.into(),
            headers: Vec::new(),
            truncate_bytes: None,
            slow_body: None,
        }
    }

    /// A status without a body.
    pub fn empty(status: u16) -> HttpAnswer {
        HttpAnswer::new(status, "", Bytes::new())
    }

    /// A JSON document.
    pub fn json(status: u16, document: &Value) -> HttpAnswer {
        HttpAnswer::new(status, JSON, document.to_string())
    }

    /// A file, with status 200.
    pub fn file(content_type: &str, bytes: impl Into<Bytes>) -> HttpAnswer {
        HttpAnswer::new(200, content_type, bytes)
    }

    /// The HTML page of a proxy.
    pub fn page(status: u16) -> HttpAnswer {
        HttpAnswer::new(status, HTML, proxy_page(status))
    }

    /// Oz's reply, in the dialect that the switches set.
    pub fn replied(reply: OzReply, on: &Switches) -> HttpAnswer {
        match reply {
            OzReply::Json(status, document) => {
                HttpAnswer::json(status, &dialect::translate(document, on))
            }
            OzReply::Empty(status) => HttpAnswer::empty(status),
            OzReply::File { content_type, bytes } => HttpAnswer::file(&content_type, bytes),
        }
    }

    /// Oz's refusal, in the dialect that the switches set.
    pub fn refused(refusal: &Refusal, on: &Switches) -> HttpAnswer {
        HttpAnswer::json(refusal.status, &dialect::translate(refusal.body(), on))
    }

    /// The same, with `Connection: close`.
    pub fn closing(mut self) -> HttpAnswer {
        self.headers.push((CONNECTION, HeaderValue::from_static("close")));
        self
    }

    /// The same, with the time by Oz's clock as `Date`: `now` is the simulator's, with the time that
    /// a tester skipped.
    pub fn dated(mut self, now: Millis, on: &Switches) -> HttpAnswer {
        let offset = Duration::from_secs(on.clock_offset_seconds.unsigned_abs());
        let now = UNIX_EPOCH + Duration::from_millis(now);
        let there = match on.clock_offset_seconds {
            0.. => now.checked_add(offset),
            ..0 => now.checked_sub(offset),
        };
        let date = there.map(|there| HeaderValue::from_str(&httpdate::fmt_http_date(there)));
        self.headers.extend(date.and_then(Result::ok).map(|date| (DATE, date)));
        self
    }

    /// The HTTP response. `Content-Length` is that of the whole body, also for a truncated one.
    pub fn into_response(self) -> Response<Body> {
        let length = self.body.len();
        let body = match (self.truncate_bytes, self.slow_body) {
            (Some(bytes), _) if bytes < length => truncated(self.body.slice(..bytes)),
            (_, Some(duration)) => slow(self.body, duration),
            _ => Body::from(self.body),
        };
        let mut response = Response::new(body);
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        if self.status != 204 {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        if let Ok(content_type) = HeaderValue::from_str(&self.content_type)
            && !content_type.is_empty()
        {
            headers.insert(CONTENT_TYPE, content_type);
        }
        headers.extend(self.headers);
        response
    }
}

/// Applies a rule's action to an answer.
pub fn shaped(mut answer: HttpAnswer, action: &Action, on: &Switches) -> HttpAnswer {
    if let Some(status) = action.html {
        answer = HttpAnswer::page(status);
    } else if let Some(status) = action.status {
        answer = HttpAnswer::json(status, &dialect::translate(body_for(status), on));
    }
    match &action.body {
        Some(Value::String(text)) => {
            answer = HttpAnswer::new(answer.status, TEXT, text.clone());
        }
        Some(document) => answer = HttpAnswer::json(answer.status, document),
        None => {}
    }
    if action.as_array {
        answer.body = [b"[", &*answer.body, b"]"].concat().into();
    }
    if action.invalid_json {
        answer.body = [b"{\"", &*answer.body].concat().into();
    }
    if let Some(content_type) = &action.content_type {
        answer.content_type.clone_from(content_type);
    }
    answer.headers.extend(headers(action));
    answer.truncate_bytes = action.truncate_bytes;
    answer.slow_body = action.slow_body_ms.map(Duration::from_millis);
    answer
}

fn headers(action: &Action) -> Vec<(HeaderName, HeaderValue)> {
    let own = action.headers.iter().filter_map(|(name, value)| {
        Some((HeaderName::try_from(name).ok()?, HeaderValue::from_str(value).ok()?))
    });
    let retry_after = action.retry_after.as_deref().map(HeaderValue::from_str);
    let retry_after = retry_after.and_then(Result::ok).map(|value| (RETRY_AFTER, value));
    own.chain(retry_after).collect()
}

/// Sends these bytes, then breaks the connection short of the announced length.
fn truncated(sent: Bytes) -> Body {
    let parts = stream::unfold(Some(sent), |sent| async {
        match sent {
            Some(sent) if !sent.is_empty() => Some((Ok(sent), Some(Bytes::new()))),
            Some(_) => {
                tokio::time::sleep(FLUSH_TIME).await;
                Some((Err(io::Error::from(io::ErrorKind::ConnectionReset)), None))
            }
            None => None,
        }
    });
    Body::from_stream(parts)
}

fn slow(body: Bytes, duration: Duration) -> Body {
    let pause = duration / PIECES as u32;
    let piece = body.len().div_ceil(PIECES).max(1);
    let pieces = stream::unfold(body, move |mut rest| async move {
        if rest.is_empty() {
            return None;
        }
        tokio::time::sleep(pause).await;
        let sent = rest.split_to(piece.min(rest.len()));
        Some((Ok::<_, io::Error>(sent), rest))
    });
    Body::from_stream(pieces)
}
