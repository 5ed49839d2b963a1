//! Counts the open calls of a connection, and ends them once the connection has reached its age.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::{Status, body::Body};
use tower::Service;

use crate::{clock::Clock, domain::Timestamp, grpc::status, sync::lock};

/// Counts the open calls of one connection. Clones share the count.
#[derive(Clone)]
pub(super) struct Calls {
    clock: Clock,
    count: Arc<Mutex<CallCounter>>,
}

struct CallCounter {
    open: usize,
    last_ended: Timestamp,
}

impl Calls {
    pub(super) fn new(clock: Clock) -> Self {
        let count = CallCounter { open: 0, last_ended: clock.now() };
        Self { clock, count: Arc::new(Mutex::new(count)) }
    }

    /// Counts a call until the returned guard is dropped.
    fn begin(&self) -> CountedCall {
        self.lock().open += 1;
        CountedCall(self.clone())
    }

    /// Returns once there has been no call for `within`. It sleeps until the earliest time at which
    /// that can be true, so calls needn't wake it.
    pub(super) async fn idle(&self, within: Duration) {
        loop {
            let now = self.clock.now();
            let due = self.idle_since().unwrap_or(now).after(within);
            if due <= now {
                return;
            }
            self.clock.sleep_until(due).await;
        }
    }

    fn idle_since(&self) -> Option<Timestamp> {
        let count = self.lock();
        (count.open == 0).then_some(count.last_ended)
    }

    fn lock(&self) -> MutexGuard<'_, CallCounter> {
        lock(&self.count)
    }
}

struct CountedCall(Calls);

impl Drop for CountedCall {
    fn drop(&mut self) {
        let now = self.0.clock.now();
        let mut count = self.0.lock();
        count.open -= 1;
        count.last_ended = now;
    }
}

/// A service whose calls are counted from their headers to the last byte of their answer. They end,
/// at the latest, when the connection's age ends its calls.
#[derive(Clone)]
pub(super) struct Counted<S> {
    pub inner: S,
    pub calls: Calls,
    pub calls_ended: CancellationToken,
}

impl<S> Service<Request<Body>> for Counted<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let call = self.calls.begin();
        let called = self.inner.call(request);
        let ended = self.calls_ended.clone();
        Box::pin(async move {
            let response = tokio::select! {
                biased;
                response = called => response?,
                () = ended.cancelled() => return Ok(status::connection_ended().into_http()),
            };
            Ok(response.map(|body| {
                Body::new(CountedBody { body, ended: BodyEnd::No(ended), _call: call })
            }))
        })
    }
}

/// The body of an answer, which keeps its call counted. When the connection's age ends its calls,
/// the body ends between two messages: each frame of an answer holds whole messages.
struct CountedBody {
    body: Body,
    ended: BodyEnd,
    _call: CountedCall,
}

/// Whether an answer was ended early by the age of its connection.
enum BodyEnd {
    No(CancellationToken),
    /// The answer waits both for its next message and for the end by age.
    Awaited(Pin<Box<WaitForCancellationFutureOwned>>),
    Yes,
}

impl BodyEnd {
    /// Polls for the end by age. The future is made on first use: an answer that never waits needs
    /// none.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if let Self::No(token) = self {
            *self = Self::Awaited(Box::pin(token.clone().cancelled_owned()));
        }
        match self {
            Self::Awaited(ended) => ended.as_mut().poll(context),
            Self::No(_) | Self::Yes => Poll::Pending,
        }
    }
}

impl HttpBody for CountedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let answer = &mut *self;
        if matches!(answer.ended, BodyEnd::Yes) {
            return Poll::Ready(None);
        }
        let frame = Pin::new(&mut answer.body).poll_frame(context);
        if frame.is_ready() || answer.ended.poll(context).is_pending() {
            return frame;
        }
        answer.ended = BodyEnd::Yes;
        answer.body = Body::empty();
        let mut trailers = HeaderMap::new();
        let written = status::connection_ended().add_header(&mut trailers);
        Poll::Ready(Some(written.map(|()| Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        match self.ended {
            BodyEnd::Yes => true,
            BodyEnd::No(_) | BodyEnd::Awaited(_) => self.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::FutureExt;

    use super::*;

    const IDLE: Duration = Duration::from_secs(60);
    const MOMENT: Duration = Duration::from_millis(1);

    #[test]
    fn a_connection_is_idle_exactly_after_its_time_without_a_call() {
        let (clock, hand) = Clock::manual(Timestamp::default());
        let calls = Calls::new(clock);
        let mut idle = pin!(calls.idle(IDLE));
        let mut is_idle = || idle.as_mut().now_or_never().is_some();
        assert!(!is_idle());
        hand.advance(IDLE - MOMENT);
        let (first, second) = (calls.begin(), calls.begin());
        drop(first);
        hand.advance(10 * IDLE);
        assert!(!is_idle(), "a call is open");
        drop(second);
        hand.advance(IDLE - MOMENT);
        assert!(!is_idle(), "the last call ended too recently");
        hand.advance(MOMENT);
        assert!(is_idle());
    }
}
