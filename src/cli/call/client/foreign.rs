//! Recognises answers that don't come from the service: from a gateway, a web server, or another
//! protocol.
//!
//! It says what answered, and whether that may pass. It deliberately doesn't decide whether to call
//! again: `resume` does.

use std::{error::Error, time::Duration};

use http::{HeaderMap, Response, StatusCode, header};
use tonic::{Code, Status};

/// The longest text of a foreign answer that is shown, in characters.
const SHOWN_CHARACTERS_MAX: usize = 120;

/// An answer that is not the service's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Foreign {
    /// An HTTP answer that isn't gRPC.
    #[error("HTTP {status}{}, not gRPC", Leading(.leads_to))]
    Http {
        /// The HTTP status.
        status: StatusCode,
        /// The target of a redirect; `None` for other answers.
        leads_to: Option<String>,
        /// The `retry-after` of the answer, if it is a number of seconds.
        retry_after: Option<Duration>,
    },
    /// An HTTP/1 server. Holds the first line that it sent.
    #[error("{0:?}: it speaks HTTP/1.1 only, and gRPC needs HTTP/2")]
    Http1(String),
    /// A TLS server that was called in plain text.
    #[error("TLS, but was called in plain text")]
    Tls,
    /// Another protocol. Holds the first line that the peer sent.
    #[error("{0:?}, which is not HTTP/2")]
    Unknown(String),
}

struct Leading<'a>(&'a Option<String>);

impl std::fmt::Display for Leading<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(location) => write!(f, " to {location}"),
            None => Ok(()),
        }
    }
}

impl Foreign {
    /// Inspects an HTTP answer. `None` if it is gRPC.
    pub fn of_answer<B>(answer: &Response<B>) -> Option<Self> {
        let (status, headers) = (answer.status(), answer.headers());
        let content_type = headers.get(header::CONTENT_TYPE).map(|value| value.as_bytes());
        let is_grpc = content_type.is_some_and(|value| value.starts_with(b"application/grpc"))
            && status == StatusCode::OK;
        if is_grpc || headers.contains_key("grpc-status") {
            return None;
        }
        let leads_to = text(headers, header::LOCATION).filter(|_| status.is_redirection());
        let seconds = text(headers, header::RETRY_AFTER).and_then(|text| text.parse().ok());
        Some(Self::Http { status, leads_to, retry_after: seconds.map(Duration::from_secs) })
    }

    /// Inspects the first bytes of a connection. `None` if they can begin HTTP/2.
    ///
    /// An HTTP/2 server begins with a SETTINGS frame: three bytes of a length that is far below
    /// 65,536, then the frame's type, 4.
    pub fn of_first_bytes(bytes: &[u8]) -> Option<Self> {
        let is_settings = bytes.first().is_none_or(|length| *length == 0)
            && bytes.get(3).is_none_or(|kind| *kind == 4);
        if is_settings {
            return None;
        }
        // A TLS record begins with its type (an alert or a handshake) and its major version.
        if let [0x15 | 0x16, 3, ..] = bytes {
            return Some(Self::Tls);
        }
        let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or(bytes);
        let line = cut(String::from_utf8_lossy(line).trim_end());
        Some(if bytes.starts_with(b"HTTP/1.") { Self::Http1(line) } else { Self::Unknown(line) })
    }

    /// The foreign answer behind the error of a call, if there is one.
    pub fn behind(status: &Status) -> Option<&Self> {
        let mut causes = std::iter::successors(status.source(), |&error| error.source());
        causes.find_map(|error| error.downcast_ref())
    }

    /// Whether the service may answer the same call a little later.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Http { status, .. } => match *status {
                StatusCode::REQUEST_TIMEOUT
                | StatusCode::MISDIRECTED_REQUEST
                | StatusCode::TOO_EARLY
                | StatusCode::TOO_MANY_REQUESTS => true,
                StatusCode::NOT_IMPLEMENTED | StatusCode::HTTP_VERSION_NOT_SUPPORTED => false,
                status => status.is_server_error(),
            },
            Self::Http1(_) | Self::Tls | Self::Unknown(_) => false,
        }
    }

    /// Whether the call can't have reached the service.
    pub fn stands_before_the_service(&self) -> bool {
        match self {
            Self::Http { status, .. } => !status.is_server_error(),
            Self::Http1(_) | Self::Tls | Self::Unknown(_) => true,
        }
    }

    /// How long the answer asks to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Http { retry_after, .. } => *retry_after,
            Self::Http1(_) | Self::Tls | Self::Unknown(_) => None,
        }
    }

    /// What the user can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Http { status, .. } => match *status {
                StatusCode::UNAUTHORIZED
                | StatusCode::FORBIDDEN
                | StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
                    "something in front of the service refuses the call: ask its operator for access"
                }
                StatusCode::PAYLOAD_TOO_LARGE => {
                    "something in front of the service limits the size of requests: it must allow \
                     11 MiB (in nginx: client_max_body_size 11m)"
                }
                StatusCode::TOO_MANY_REQUESTS => {
                    "something in front of the service limits the rate of calls"
                }
                status if status.is_redirection() => {
                    "calls don't follow redirects: give the address that it leads to with --server"
                }
                status if status.is_server_error() => {
                    "something in front of the service can't reach it"
                }
                _ => "does --server name FaceMatch, or a web server?",
            },
            Self::Http1(_) => {
                "does --server name FaceMatch? A gateway in front of it must speak HTTP/2 (in \
                 nginx: grpc_pass, and http2 on)"
            }
            Self::Tls => "give the address with https:// instead of http://",
            Self::Unknown(_) => "does --server name FaceMatch?",
        }
    }

    /// The status of the call that got this answer, with the code that gRPC gives to its HTTP
    /// status.
    pub fn into_status(self) -> Status {
        let code = match &self {
            Self::Http { status, .. } => match status.as_u16() {
                400 => Code::Internal,
                401 => Code::Unauthenticated,
                403 => Code::PermissionDenied,
                404 => Code::Unimplemented,
                429 | 502 | 503 | 504 => Code::Unavailable,
                _ => Code::Unknown,
            },
            Self::Http1(_) | Self::Tls | Self::Unknown(_) => Code::Unavailable,
        };
        let mut status = Status::new(code, format!("the server answered {self}"));
        status.set_source(std::sync::Arc::new(self));
        status
    }
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(cut)
}

fn cut(text: &str) -> String {
    text.chars().take(SHOWN_CHARACTERS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, headers: &[(&str, &str)]) -> Response<()> {
        let builder = Response::builder().status(status);
        let whole = headers.iter().fold(builder, |all, (name, value)| all.header(*name, *value));
        whole.body(()).expect("a response")
    }

    #[test]
    fn answers_of_grpc_are_not_foreign() {
        for (status, headers) in [
            (200, vec![("content-type", "application/grpc")]),
            (200, vec![("content-type", "application/grpc+proto")]),
            // A trailers-only refusal, even with other headers that aren't gRPC's.
            (200, vec![("grpc-status", "5")]),
            (503, vec![("grpc-status", "14"), ("content-type", "text/html")]),
        ] {
            assert_eq!(Foreign::of_answer(&answer(status, &headers)), None, "{status} {headers:?}");
        }
    }

    #[test]
    fn other_answers_are_foreign_and_some_may_pass() {
        let html = [("content-type", "text/html"), ("location", "/login"), ("retry-after", "7")];
        for (status, passes, code) in [
            (200, false, Code::Unknown),
            (302, false, Code::Unknown),
            (400, false, Code::Internal),
            (401, false, Code::Unauthenticated),
            (403, false, Code::PermissionDenied),
            (404, false, Code::Unimplemented),
            (405, false, Code::Unknown),
            (408, true, Code::Unknown),
            (413, false, Code::Unknown),
            (415, false, Code::Unknown),
            (429, true, Code::Unavailable),
            (500, true, Code::Unknown),
            (501, false, Code::Unknown),
            (502, true, Code::Unavailable),
            (503, true, Code::Unavailable),
            (504, true, Code::Unavailable),
        ] {
            let foreign = Foreign::of_answer(&answer(status, &html)).expect("foreign");
            assert_eq!(foreign.may_pass(), passes, "{status}");
            assert_eq!(foreign.retry_after(), Some(Duration::from_secs(7)));
            let status = foreign.clone().into_status();
            assert_eq!(status.code(), code, "{foreign}");
            assert_eq!(Foreign::behind(&status), Some(&foreign));
        }
        let found = Foreign::of_answer(&answer(302, &html)).expect("foreign");
        assert_eq!(found.to_string(), "HTTP 302 Found to /login, not gRPC");
    }

    #[test]
    fn the_first_bytes_distinguish_http2_from_other_protocols() {
        let unknown = |line: &str| Some(Foreign::Unknown(line.to_owned()));
        for (bytes, expected) in [
            (&b""[..], None),
            (b"\0", None),
            (b"\0\0\x12\x04\0\0\0\0\0\0", None),
            (b"HTTP/1.1 400 Bad Request\r\nServer: x\r\n", {
                Some(Foreign::Http1("HTTP/1.1 400 Bad Request".to_owned()))
            }),
            (b"\x15\x03\x03\0\x02\x02\x32", Some(Foreign::Tls)),
            (b"SSH-2.0-OpenSSH_9.2\r\n", unknown("SSH-2.0-OpenSSH_9.2")),
            (b"<!doctype html>\n<title>", unknown("<!doctype html>")),
            // A frame, but not the SETTINGS frame with which HTTP/2 begins.
            (b"\0\0\0\x07", unknown("\0\0\0\u{7}")),
        ] {
            assert_eq!(Foreign::of_first_bytes(bytes), expected, "{bytes:?}");
        }
    }
}
