//! The answer of an admitted call, which holds its place among the open calls until it ends.
//!
//! It ends at the caller's deadline, and with the reason for which a stream of requests was
//! refused: handlers drop that.

use std::{
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tonic::{Status, body::Body};

use crate::grpc::{admission::share::Lease, status};

/// Why no more requests of a stream are taken, once that is so.
pub type Refusal = Arc<OnceLock<Status>>;

/// Resolves at the deadline of a call.
pub type Deadline = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The body of an answer.
pub struct Answer {
    body: Body,
    deadline: Option<Deadline>,
    refusal: Option<Refusal>,
    is_over: bool,
    _call: Lease,
}

impl Answer {
    /// An answer that is under way.
    pub fn new(
        body: Body,
        deadline: Option<Deadline>,
        refusal: Option<Refusal>,
        call: Lease,
    ) -> Self {
        Self { body, deadline, refusal, is_over: false, _call: call }
    }

    fn refusal(&self) -> Option<&Status> {
        self.refusal.as_ref()?.get()
    }

    /// Ends it in place of whatever more there is.
    fn end(&mut self, why: &Status) -> Option<Result<Frame<Bytes>, Status>> {
        self.is_over = true;
        self.body = Body::empty();
        let mut trailers = HeaderMap::new();
        Some(why.add_header(&mut trailers).map(|()| Frame::trailers(trailers)))
    }
}

/// The caller's time is up.
pub fn timed_out() -> Status {
    status::call_timed_out("the call's deadline passed; a match that was accepted goes on")
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let frame = match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Pending => {
                let deadline = self.deadline.as_mut();
                let is_late = deadline.is_some_and(|time| time.as_mut().poll(context).is_ready());
                return if is_late { Poll::Ready(self.end(&timed_out())) } else { Poll::Pending };
            }
            Poll::Ready(frame) => frame,
        };
        let goes_on = matches!(&frame, Some(Ok(frame)) if frame.is_data());
        match self.refusal().cloned() {
            Some(refusal) if !goes_on => Poll::Ready(self.end(&refusal)),
            Some(_) | None => Poll::Ready(frame),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.is_over || (self.refusal.is_none() && self.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
