//! The bodies of update streams: each frame is one encoded update, shared and never copied.
//!
//! tonic copies each message into a buffer of its call, and fills 32 KiB of that buffer before a
//! slow reader has taken the first message. Thousands of stalled streams would each hold that much.
//! So a handler answers with an empty stream and puts the real one into the response's extensions,
//! from which [`UpdateStreams`] makes the body. It deliberately encodes nothing: see `encoded`.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_util::{Stream, stream};
use http::{HeaderMap, Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tonic::{Status, body::Body, server::NamedService};
use tower::Service;

use crate::{grpc::encoded::Encoded, pb, sync::lock};

/// The updates of one stream.
pub type Updates = Pin<Box<dyn Stream<Item = Result<Encoded, Status>> + Send>>;

/// The empty stream that tonic gets instead of the stream that was handed over.
pub type HandedOver = stream::Empty<Result<pb::MatchUpdate, Status>>;

/// The stream of an answer, on its way from the handler to [`UpdateStreams`].
#[derive(Clone)]
struct Handover(Arc<Mutex<Option<Updates>>>);

/// An answer whose body [`UpdateStreams`] makes from a stream.
pub fn hand_over(updates: Updates) -> tonic::Response<HandedOver> {
    let mut response = tonic::Response::new(stream::empty());
    response.extensions_mut().insert(Handover(Arc::new(Mutex::new(Some(updates)))));
    response
}

impl Handover {
    fn take(&self) -> Option<Updates> {
        lock(&self.0).take()
    }
}

/// A service whose handlers hand over their streams.
#[derive(Clone)]
pub struct UpdateStreams<S>(S);

impl<S> UpdateStreams<S> {
    /// Wraps a service, and makes the bodies of its streams.
    pub const fn new(inner: S) -> Self {
        Self(inner)
    }
}

impl<S: NamedService> NamedService for UpdateStreams<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for UpdateStreams<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let called = self.0.call(request);
        Box::pin(async move {
            let mut response = called.await?;
            let handover = response.extensions_mut().remove::<Handover>();
            Ok(match handover.and_then(|handover| handover.take()) {
                Some(updates) => response.map(|_empty| Body::new(UpdateBody::Open(updates))),
                None => response,
            })
        })
    }
}

/// The body of a stream: its updates, then its status as trailers.
enum UpdateBody {
    Open(Updates),
    Ended,
}

impl HttpBody for UpdateBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Self::Open(updates) = &mut *self else {
            return Poll::Ready(None);
        };
        let status = match ready!(updates.as_mut().poll_next(context)) {
            Some(Ok(update)) => return Poll::Ready(Some(Ok(Frame::data(update.bytes())))),
            Some(Err(status)) => status,
            None => Status::ok(""),
        };
        *self = Self::Ended;
        Poll::Ready(Some(trailers(&status)))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Ended)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

/// The trailers that end a stream with a status.
fn trailers(status: &Status) -> Result<Frame<Bytes>, Status> {
    let mut trailers = HeaderMap::new();
    status.add_header(&mut trailers)?;
    Ok(Frame::trailers(trailers))
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, StreamExt};
    use http_body_util::BodyExt;
    use tower::service_fn;

    use super::*;

    fn update(sequence: u64) -> Encoded {
        Encoded::of(&pb::MatchUpdate { sequence, ..pb::MatchUpdate::default() })
    }

    /// The body that a caller gets for a stream that a handler hands over.
    fn sent(updates: Vec<Result<Encoded, Status>>) -> Body {
        let updates = Mutex::new(Some(stream::iter(updates).boxed()));
        let handler = service_fn(move |_request: Request<Body>| {
            let updates = updates.lock().unwrap().take().unwrap();
            let (_metadata, _empty, extensions) = hand_over(updates).into_parts();
            let mut response = Response::new(Body::empty());
            *response.extensions_mut() = extensions;
            std::future::ready(Ok::<_, Infallible>(response))
        });
        let called = UpdateStreams::new(handler).call(Request::new(Body::empty()));
        let Ok(response) = called.now_or_never().unwrap();
        response.into_body()
    }

    fn next(body: &mut Body) -> Option<Frame<Bytes>> {
        body.frame().now_or_never().unwrap().map(Result::unwrap)
    }

    #[test]
    fn each_update_is_one_frame_of_its_encoded_bytes() {
        let first = update(1);
        let mut body = sent(vec![Ok(first.clone()), Ok(update(2))]);
        let frame = next(&mut body).unwrap().into_data().unwrap();
        assert_eq!(frame.as_ptr(), first.bytes().as_ptr(), "no copy");
        assert_eq!(next(&mut body).unwrap().into_data().unwrap(), update(2).bytes());
        let trailers = next(&mut body).unwrap().into_trailers().unwrap();
        assert_eq!(trailers["grpc-status"], "0");
        assert!(body.is_end_stream() && next(&mut body).is_none());
    }

    #[test]
    fn a_stream_that_fails_ends_with_its_status() {
        let mut body = sent(vec![Err(Status::not_found("erased")), Ok(update(1))]);
        let trailers = next(&mut body).unwrap().into_trailers().unwrap();
        assert_eq!(trailers["grpc-status"], "5");
        assert!(next(&mut body).is_none(), "nothing comes after the status");
    }
}
