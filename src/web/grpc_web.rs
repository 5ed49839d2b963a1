//! gRPC-Web: gRPC for browsers, which can't read trailers.
//!
//! Messages have gRPC's own framing. The trailers follow in the body, as a last frame whose flag
//! says so. In text mode the body is base64. Requests and answers are translated as they arrive, so
//! nothing is kept here.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Request, Response, header};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tonic::{Status, body::Body};

use crate::grpc::{Answering, CallDoor, CallForm, MakeCall};

/// The flag of the frame that holds the trailers.
const TRAILERS: u8 = 0x80;
/// The content type of the gRPC calls that requests are turned into.
pub const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
/// How many characters of base64 stand for three bytes.
const GROUP: usize = 4;

/// How the bytes of a body are sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WebEncoding {
    /// As they are.
    Binary,
    /// As base64.
    Text,
}

impl WebEncoding {
    /// The encoding of a request; `None` if it isn't gRPC-Web.
    pub fn of_request(headers: &HeaderMap) -> Option<Self> {
        let mut types = headers.get_all(header::CONTENT_TYPE).iter();
        let encoding = Self::of_type(types.next()?);
        encoding.filter(|_| types.next().is_none())
    }

    /// The encoding that the caller accepts: that of its request, unless it says otherwise.
    fn of_answer(self, headers: &HeaderMap) -> Self {
        headers.get(header::ACCEPT).and_then(Self::of_type).unwrap_or(self)
    }

    fn of_type(value: &HeaderValue) -> Option<Self> {
        let text = value.to_str().ok()?;
        let essence = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match essence.as_str() {
            "application/grpc-web" | "application/grpc-web+proto" => Some(Self::Binary),
            "application/grpc-web-text" | "application/grpc-web-text+proto" => Some(Self::Text),
            _ => None,
        }
    }

    const fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Binary => "application/grpc-web+proto",
            Self::Text => "application/grpc-web-text+proto",
        })
    }
}

/// Makes the call of a request, and answers in the form of gRPC-Web.
pub fn answer(
    request: Request<Body>,
    encoding: WebEncoding,
    form: CallForm,
    call: MakeCall,
) -> Answering {
    let answering = encoding.of_answer(request.headers());
    let called = call(to_grpc(request, encoding, answering, form));
    Box::pin(async move { Ok(from_grpc(called.await?, answering)) })
}

fn to_grpc(
    request: Request<Body>,
    encoding: WebEncoding,
    answering: WebEncoding,
    form: CallForm,
) -> Request<Body> {
    let (mut parts, body) = request.into_parts();
    parts.headers.insert(header::CONTENT_TYPE, GRPC);
    for name in [header::CONTENT_LENGTH, header::ACCEPT] {
        parts.headers.remove(name);
    }
    let answer: Option<crate::grpc::AnswerForm> = match answering {
        WebEncoding::Binary => None,
        WebEncoding::Text => Some(Arc::new(|bytes| Ok(STANDARD.encode(bytes).into()))),
    };
    parts.extensions.insert(CallForm { door: CallDoor::Web, answer, ..form });
    let body = match encoding {
        WebEncoding::Binary => body,
        WebEncoding::Text => Body::new(TextBody { body, rest: BytesMut::new() }),
    };
    Request::from_parts(parts, body)
}

fn from_grpc(mut response: Response<Body>, encoding: WebEncoding) -> Response<Body> {
    response.headers_mut().insert(header::CONTENT_TYPE, encoding.content_type());
    // A refusal has its trailers in its headers, where a page can read them.
    if response.body().is_end_stream() {
        return response;
    }
    response.map(|body| Body::new(WebBody { body, encoding, is_over: false }))
}

/// The trailers as the last frame of a body.
fn trailers_frame(trailers: &HeaderMap) -> Bytes {
    let mut text = Vec::new();
    for (name, value) in trailers {
        text.extend_from_slice(name.as_str().as_bytes());
        text.extend_from_slice(b":");
        text.extend_from_slice(value.as_bytes());
        text.extend_from_slice(b"\r\n");
    }
    let mut frame = BytesMut::with_capacity(5 + text.len());
    frame.put_u8(TRAILERS);
    frame.put_u32(u32::try_from(text.len()).expect("trailers are short"));
    frame.extend_from_slice(&text);
    frame.freeze()
}

/// An answer whose trailers follow in the body.
struct WebBody {
    body: Body,
    encoding: WebEncoding,
    is_over: bool,
}

impl WebBody {
    fn last(&mut self, trailers: &HeaderMap) -> Frame<Bytes> {
        self.is_over = true;
        let frame = trailers_frame(trailers);
        Frame::data(match self.encoding {
            WebEncoding::Binary => frame,
            WebEncoding::Text => STANDARD.encode(frame).into(),
        })
    }
}

impl HttpBody for WebBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        Poll::Ready(match ready!(Pin::new(&mut self.body).poll_frame(context)) {
            None => None,
            Some(Ok(frame)) => Some(Ok(match frame.into_trailers() {
                Ok(trailers) => self.last(&trailers),
                // Admission control has encoded it, where it is text.
                Err(data) => data,
            })),
            // HTTP/1.1 has no way to break off an answer with a reason.
            Some(Err(status)) => {
                let mut trailers = HeaderMap::new();
                status.add_header(&mut trailers)?;
                Some(Ok(self.last(&trailers)))
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.is_over
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

/// A request's body in text mode, decoded as it arrives. It may consist of several pieces of base64,
/// each with its own padding.
struct TextBody {
    body: Body,
    /// The beginning of a group that has not arrived completely.
    rest: BytesMut,
}

impl TextBody {
    fn decode(&mut self, text: &[u8]) -> Result<Bytes, Status> {
        self.rest.extend_from_slice(text);
        let whole = self.rest.split_to(self.rest.len() / GROUP * GROUP);
        let mut bytes = Vec::with_capacity(whole.len() / GROUP * 3);
        if STANDARD.decode_vec(&whole, &mut bytes).is_err() {
            bytes.clear();
            for group in whole.chunks(GROUP) {
                STANDARD.decode_vec(group, &mut bytes).map_err(|_| not_base64())?;
            }
        }
        Ok(bytes.into())
    }
}

fn not_base64() -> Status {
    Status::invalid_argument("the request can't be decoded: its body is not base64")
}

impl HttpBody for TextBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        Poll::Ready(match frame {
            None if self.rest.is_empty() => None,
            None => {
                self.rest.clear();
                Some(Err(not_base64()))
            }
            Some(Ok(frame)) => Some(match frame.into_data() {
                Ok(text) => self.decode(&text).map(Frame::data),
                Err(trailers) => Ok(trailers),
            }),
            Some(Err(status)) => Some(Err(status)),
        })
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, stream};
    use http_body_util::{BodyExt, StreamBody};

    use super::*;

    fn body(frames: Vec<Frame<Bytes>>) -> Body {
        Body::new(StreamBody::new(stream::iter(frames.into_iter().map(Ok::<_, Status>))))
    }

    fn all(body: Body) -> Result<Bytes, Status> {
        Ok(body.collect().now_or_never().expect("it is complete")?.to_bytes())
    }

    fn decoded(pieces: &[&str]) -> Result<Bytes, Status> {
        let frames = pieces.iter().map(|text| Frame::data(Bytes::copy_from_slice(text.as_bytes())));
        all(Body::new(TextBody { body: body(frames.collect()), rest: BytesMut::new() }))
    }

    #[test]
    fn text_is_decoded_in_pieces_of_any_size_and_with_padding_inside() {
        let text = STANDARD.encode(b"a frame") + &STANDARD.encode(b"more");
        assert!(text[..text.len() - 4].contains('='));
        for size in 1..=text.len() {
            let pieces: Vec<_> = text.as_bytes().chunks(size).collect();
            let pieces: Vec<_> = pieces.iter().map(|it| std::str::from_utf8(it).unwrap()).collect();
            assert_eq!(decoded(&pieces).unwrap(), "a framemore", "{size}");
        }
    }

    #[test]
    fn what_is_not_base64_is_refused() {
        for pieces in [&["?aaa"][..], &["YQ=="], &["YQ"], &["YWFh", "YWF"], &["YQ=a"]] {
            let refused = decoded(pieces);
            let is_fine = *pieces == ["YQ=="];
            assert_eq!(refused.is_ok(), is_fine, "{pieces:?}");
        }
    }

    #[test]
    fn the_trailers_are_the_last_frame_of_an_answer() {
        let mut trailers = HeaderMap::new();
        Status::not_found("no such match").add_header(&mut trailers).unwrap();
        let frames =
            || vec![Frame::data(Bytes::from_static(b"message")), Frame::trailers(trailers.clone())];
        let web = |encoding| {
            let response = from_grpc(Response::new(body(frames())), encoding);
            assert_eq!(response.headers()[header::CONTENT_TYPE], encoding.content_type());
            all(response.into_body()).unwrap()
        };
        let binary = web(WebEncoding::Binary);
        let (message, frame) = binary.split_at(7);
        assert_eq!(message, b"message");
        assert_eq!((frame[0], usize::from(frame[4])), (TRAILERS, frame.len() - 5));
        let text = std::str::from_utf8(&frame[5..]).unwrap();
        assert!(text.contains("grpc-status:5\r\n"), "{text}");
        let text = web(WebEncoding::Text);
        assert_eq!(STANDARD.decode(&text[7..]).unwrap(), frame);
    }

    #[test]
    fn an_answer_that_breaks_off_ends_with_its_status() {
        let broken = stream::iter([Err::<Frame<Bytes>, _>(Status::internal("broken"))]);
        let response = Response::new(Body::new(StreamBody::new(broken)));
        let bytes = all(from_grpc(response, WebEncoding::Binary).into_body()).unwrap();
        assert!(std::str::from_utf8(&bytes[5..]).unwrap().contains("grpc-status:13\r\n"));
    }

    #[test]
    fn only_the_content_types_of_grpc_web_are_taken() {
        let of = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(text));
            WebEncoding::of_request(&headers)
        };
        for text in
            ["application/grpc-web", "application/grpc-web+proto", "Application/gRPC-Web; a=b"]
        {
            assert_eq!(of(text), Some(WebEncoding::Binary), "{text}");
        }
        assert_eq!(of("application/grpc-web-text"), Some(WebEncoding::Text));
        for text in ["application/grpc", "application/grpc-web+json", "text/plain", ""] {
            assert_eq!(of(text), None, "{text}");
        }
        let mut two = HeaderMap::new();
        two.append(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc-web"));
        two.append(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        assert_eq!(WebEncoding::of_request(&two), None);
    }
}
