//! What is known of a call by its headers alone, and whether it is a gRPC call at all.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use tonic::{Status, body::Body};

use crate::grpc::admission::timeout;

/// The encodings of requests that are taken, as callers are told.
pub const ENCODINGS: HeaderValue = HeaderValue::from_static("gzip,identity");
/// The header that tells them.
pub const ACCEPT_ENCODING: &str = "grpc-accept-encoding";
/// How the messages of a request are encoded.
pub const ENCODING: &str = "grpc-encoding";
/// What a call is, whatever its messages are.
const GRPC: &str = "application/grpc";
/// What a header takes in memory beside its bytes: its place in the map, and its two handles.
const HEADER_BYTES: usize = 160;

/// How the messages of a request are encoded where they say that they are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Encoding {
    /// Not at all.
    Identity,
    /// By gzip.
    Gzip,
}

/// What the headers say.
#[derive(Debug)]
pub struct Head {
    /// How messages are encoded.
    pub encoding: Encoding,
    /// How long the caller gives the call.
    pub timeout: Option<Duration>,
}

impl Head {
    /// Reads the headers of a gRPC call.
    ///
    /// # Errors
    /// An encoding that is not known, a deadline that can't be read.
    pub fn read(headers: &HeaderMap) -> Result<Self, Status> {
        Ok(Self { encoding: encoding(headers)?, timeout: timeout::read(headers)? })
    }
}

/// The answer to what is no gRPC call, in HTTP's words. A web page may send a plain POST to any
/// address without asking first, so that nothing may act on one.
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

/// What the headers of a call take in memory.
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
    fn what_is_no_grpc_call_is_refused_in_the_words_of_http() {
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
    fn an_encoding_is_known_or_refused() {
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
