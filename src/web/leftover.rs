//! What is left of a request over HTTP/1.1 once its answer is known.
//!
//! A client of HTTP/1.1 may send its whole request before it reads. If the connection were closed
//! with a part of the request unread, the client's system would discard the answer. So the rest of a
//! refused request is read and dropped, within bounds, before the answer ends. HTTP/2 needs nothing
//! like it.

use std::{
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, Version, header};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::Sleep;
use tonic::{Status, body::Body};

use crate::sync::lock;

/// The most bytes that are read and dropped: the base64 of a photo of the largest size, and more.
const REST_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How long they may take.
const REST_TIMEOUT: Duration = Duration::from_secs(5);
/// After how much silence the rest is given up: curl sends no more once it has seen an error, and
/// then waits for the end of the answer.
const SILENCE_MAX: Duration = Duration::from_millis(500);

/// The body of a request, which its call reads and may give up.
pub struct Leftover {
    body: Arc<Mutex<IncomingBody>>,
    /// Whether the client asks before it sends its body.
    asks_before: bool,
}

/// A body, and whether any of it was asked for.
struct IncomingBody {
    body: Body,
    is_begun: bool,
}

impl Leftover {
    /// Keeps a handle of the body of a request over HTTP/1.1. `None` over HTTP/2.
    pub fn of(request: Request<Body>) -> (Request<Body>, Option<Self>) {
        if request.version() > Version::HTTP_11 {
            return (request, None);
        }
        let asks_before = request.headers().contains_key(header::EXPECT);
        let (parts, body) = request.into_parts();
        let shared = Arc::new(Mutex::new(IncomingBody { body, is_begun: false }));
        let body = Body::new(SharedBody(Arc::clone(&shared)));
        (Request::from_parts(parts, body), Some(Self { body: shared, asks_before }))
    }

    /// Has an answer end only after the rest was read, if there is a rest.
    pub fn behind(self, answer: Response<Body>) -> Response<Body> {
        let has_rest = {
            let incoming = lock(&self.body);
            // A client that wasn't told to go on sends nothing.
            !incoming.body.is_end_stream() && (incoming.is_begun || !self.asks_before)
        };
        match has_rest {
            true => answer.map(|body| Body::new(RestBody { body, rest: Rest::new(self.body) })),
            false => answer,
        }
    }
}

/// A body that is shared with its handle.
struct SharedBody(Arc<Mutex<IncomingBody>>);

impl HttpBody for SharedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let mut incoming = lock(&self.0);
        incoming.is_begun = true;
        Pin::new(&mut incoming.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        lock(&self.0).body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        lock(&self.0).body.size_hint()
    }
}

/// The rest of a request that is being dropped.
struct Rest {
    body: Arc<Mutex<IncomingBody>>,
    bytes: usize,
    /// When all of it is given up, and when it is because nothing comes. Set with the first poll.
    timers: Option<[Pin<Box<Sleep>>; 2]>,
}

impl Rest {
    const fn new(body: Arc<Mutex<IncomingBody>>) -> Self {
        Self { body, bytes: 0, timers: None }
    }

    /// Reads on; ready once nothing more is to be read.
    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let timers = self.timers.get_or_insert_with(|| {
            [REST_TIMEOUT, SILENCE_MAX].map(|within| Box::pin(tokio::time::sleep(within)))
        });
        loop {
            if timers.iter_mut().any(|timer| timer.as_mut().poll(context).is_ready()) {
                return Poll::Ready(());
            }
            let frame = Pin::new(&mut lock(&self.body).body).poll_frame(context);
            let Some(Ok(frame)) = ready!(frame) else { return Poll::Ready(()) };
            self.bytes += frame.data_ref().map_or(0, Bytes::len);
            if self.bytes > REST_BYTES_MAX {
                return Poll::Ready(());
            }
            timers[1] = Box::pin(tokio::time::sleep(SILENCE_MAX));
        }
    }
}

/// An answer, and the rest of its request.
struct RestBody {
    body: Body,
    rest: Rest,
}

impl HttpBody for RestBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if frame.is_some() {
            return Poll::Ready(frame);
        }
        self.rest.poll_end(context).map(|()| None)
    }

    fn size_hint(&self) -> SizeHint {
        // Unknown: an answer of known length would end with its last byte.
        SizeHint::default()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, StreamExt, stream};
    use http_body_util::{BodyExt, Full, StreamBody};

    use super::*;

    fn request(version: Version, frames: usize) -> Request<Body> {
        let frame = || Ok::<_, Status>(Frame::data(Bytes::from_static(&[0; 1024])));
        let frames = stream::repeat_with(frame).take(frames);
        let mut request = Request::new(Body::new(StreamBody::new(frames)));
        *request.version_mut() = version;
        request
    }

    fn answer() -> Response<Body> {
        Response::new(Body::new(Full::new(Bytes::from_static(b"refused"))))
    }

    #[tokio::test]
    async fn an_answer_ends_after_the_rest_of_its_request() {
        let (mut request, leftover) = Leftover::of(request(Version::HTTP_11, 3));
        assert!(request.body_mut().frame().await.is_some());
        drop(request);
        let leftover = leftover.unwrap();
        let rest = Arc::clone(&leftover.body);
        let answered = leftover.behind(answer()).into_body().collect().now_or_never();
        assert_eq!(answered.unwrap().unwrap().to_bytes(), "refused");
        assert!(lock(&rest).body.frame().now_or_never().unwrap().is_none(), "all was read");
    }

    #[tokio::test]
    async fn an_endless_request_is_read_within_bounds() {
        let (_request, leftover) = Leftover::of(request(Version::HTTP_11, usize::MAX));
        let answered = leftover.unwrap().behind(answer()).into_body().collect().now_or_never();
        assert_eq!(answered.unwrap().unwrap().to_bytes(), "refused");
    }

    #[tokio::test]
    async fn a_request_that_stalls_is_given_up() {
        let silent = stream::pending::<Result<Frame<Bytes>, Status>>();
        let request = Request::new(Body::new(StreamBody::new(silent.boxed())));
        let (_request, leftover) = Leftover::of(request);
        let answered = leftover.unwrap().behind(answer()).into_body().collect().await;
        assert_eq!(answered.unwrap().to_bytes(), "refused");
    }

    #[tokio::test]
    async fn a_client_that_asks_before_it_sends_isnt_waited_for() {
        let mut request = request(Version::HTTP_11, 3);
        request.headers_mut().insert(header::EXPECT, "100-continue".parse().unwrap());
        let (mut request, leftover) = Leftover::of(request);
        let leftover = leftover.unwrap();
        let rest = Arc::clone(&leftover.body);
        assert!(leftover.behind(answer()).size_hint().exact().is_some(), "it is left as it is");
        assert!(request.body_mut().frame().await.is_some());
        let asked = Leftover { body: rest, asks_before: true };
        assert!(asked.behind(answer()).size_hint().exact().is_none(), "a part was read");
    }

    #[test]
    fn http_2_needs_nothing() {
        assert!(Leftover::of(request(Version::HTTP_2, 1)).1.is_none());
    }
}
