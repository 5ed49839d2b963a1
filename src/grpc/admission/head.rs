//! Reads the headers of a call, and refuses requests that aren't gRPC calls.
//!
//! It deliberately reads only the headers that admission control needs; others are for the call
//! log.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use tonic::{Status, body::Body};

use crate::grpc::admission::timeout;

/// The value of [`ACCEPT_ENCODING`]: the encodings of requests that the server accepts.
pub const ENCODINGS: HeaderValue = HeaderValue::from_static("gzip,identity");
/// The response header with the encodings that the server accepts.
pub const ACCEPT_ENCODING: &str = "grpc-accept-encoding";
/// The request header with the encoding of its messages.
pub const ENCODING: &str = "grpc-encoding";
/// The content type of gRPC calls.
const GRPC: &str = "application/grpc";
/// The memory of a header besides its bytes: its slot in the map, and its two `Bytes` handles.
const HEADER_BYTES: usize = 160;

/// The encoding of the messages whose compression flag is set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Encoding {
    /// None: no message may set the flag.
    Identity,
    /// gzip.
    Gzip,
}

/// The parsed headers of a call.
#[derive(Debug)]
pub struct Head {
    /// The encoding of compressed messages.
    pub encoding: Encoding,
    /// The time that the caller gives the call; `None` if it sets no deadline.
    pub timeout: Option<Duration>,
}

impl Head {
    /// Reads the headers of a gRPC call.
    ///
    /// # Errors
    /// If the encoding is unknown, or the deadline is malformed.
    pub fn read(headers: &HeaderMap) -> Result<Self, Status> {
        Ok(Self { encoding: encoding(headers)?, timeout: timeout::read(headers)? })
    }
}

/// The HTTP answer to a request that isn't a gRPC call; `None` if it is one. A web page may send a
/// plain POST to any address without a preflight request, so nothing may act on a plain POST.
pub fn refuse_other_than_grpc(method: &Method, headers: &HeaderMap) -> Option<Response<Body>> {
    if method != Method::POST {
        let allow = (header::ALLOW, HeaderValue::from_static("POST"));
        return Some(refusal(StatusCode::METHOD_NOT_ALLOWED, allow));
    }
    if !is_grpc(headers) {
        let accept = (header::ACCEPT, HeaderValue::from_static(GRPC));
        return Some(refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, accept));
    }
    None
}

/// The memory of a call's path and headers, in bytes.
pub fn bytes(request: &Request<Body>) -> usize {
    let one = |(name, value): (&header::HeaderName, &HeaderValue)| {
        name.as_str().len() + value.len() + HEADER_BYTES
    };
    request.uri().path().len() + request.headers().iter().map(one).sum::<usize>()
}

fn is_grpc(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let first = types.next().and_then(|value| value.to_str().ok());
    let essence = first.map(|text| text.split(';').next().unwrap_or_default().trim());
    let is_known = essence.is_some_and(|essence| {
        essence.eq_ignore_ascii_case(GRPC) || essence.eq_ignore_ascii_case("application/grpc+proto")
    });
    is_known && types.next().is_none()
}

fn refusal(status: StatusCode, (name, value): (header::HeaderName, HeaderValue)) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response.headers_mut().insert(name, value);
    response
}

fn encoding(headers: &HeaderMap) -> Result<Encoding, Status> {
    let mut values = headers.get_all(ENCODING).iter();
    let encoding = match values.next().map(HeaderValue::as_bytes) {
        None | Some(b"identity") => Some(Encoding::Identity),
        Some(b"gzip") => Some(Encoding::Gzip),
        Some(_) => None,
    };
    encoding.filter(|_| values.next().is_none()).ok_or_else(|| {
        Status::unimplemented("the request's grpc-encoding is not one of: gzip, identity")
    })
}

#[cfg(test)]
mod tests {
    use http::request::Parts;

    use super::*;

    fn parts(method: Method, types: &[&str]) -> Parts {
        let mut request = http::Request::new(());
        *request.method_mut() = method;
        for text in types {
            request.headers_mut().append(header::CONTENT_TYPE, text.parse().unwrap());
        }
        request.into_parts().0
    }

    fn refused(method: Method, types: &[&str]) -> Option<u16> {
        let parts = parts(method, types);
        refuse_other_than_grpc(&parts.method, &parts.headers)
            .map(|response| response.status().as_u16())
    }

    #[test]
    fn a_request_that_is_not_grpc_is_refused_with_an_http_status() {
        for text in
            [GRPC, "application/grpc+proto", "application/grpc; charset=utf-8", "Application/gRPC"]
        {
            assert_eq!(refused(Method::POST, &[text]), None, "{text}");
        }
        for text in [
            "text/plain",
            "application/grpc+json",
            "application/grpc-web",
            "application/grpcx",
            "application/x-www-form-urlencoded",
            "multipart/form-data",
            "",
        ] {
            assert_eq!(refused(Method::POST, &[text]), Some(415), "{text}");
        }
        assert_eq!(refused(Method::POST, &[]), Some(415));
        assert_eq!(refused(Method::POST, &[GRPC, "text/plain"]), Some(415));
        for method in [Method::GET, Method::PUT, Method::OPTIONS, Method::HEAD] {
            assert_eq!(refused(method, &[GRPC]), Some(405));
        }
    }

    #[test]
    fn an_unknown_encoding_is_refused() {
        let read = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(ENCODING, HeaderValue::from_static(value));
            }
            encoding(&headers).map_err(|status| status.code())
        };
        assert_eq!(read(&[]), Ok(Encoding::Identity));
        assert_eq!(read(&["identity"]), Ok(Encoding::Identity));
        assert_eq!(read(&["gzip"]), Ok(Encoding::Gzip));
        for wrong in [&["deflate"][..], &["zstd"], &["GZIP"], &[""], &["gzip", "gzip"]] {
            assert_eq!(read(wrong), Err(tonic::Code::Unimplemented), "{wrong:?}");
        }
    }
}
