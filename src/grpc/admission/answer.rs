//! The answer of an admitted call, which holds its place among the open calls until it ends.
//!
//! It ends at the caller's deadline, and with the reason for which a stream of requests was
//! refused: handlers drop that.

use std::{
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tonic::{Status, body::Body};

use crate::{
    domain::Limit,
    grpc::{
        admission::share::{ConnectionShare, Lease},
        status,
    },
};

/// The largest piece of an answer that isn't counted: an open call takes more in the transport.
const FREE_BYTES: usize = 1024;

/// Why no more requests of a stream are taken, once that is so.
pub type StreamRefusal = Arc<OnceLock<Status>>;

/// Resolves at the deadline of a call.
pub type Deadline = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The body of an answer.
pub struct ResponseBody {
    body: Body,
    deadline: Option<Deadline>,
    refusal: Option<StreamRefusal>,
    is_over: bool,
    /// Whose share holds what of it waits to be read; none if others share that.
    share: Option<ConnectionShare>,
    _places: Places,
}

/// The places of a call, among the open calls and, if it is one, among the lists.
pub struct Places {
    pub _call: Lease,
    pub _list: Option<Lease>,
}

/// A piece of an answer. The transport may keep it for as long as its reader likes, and longer than
/// the answer that it is of.
struct Leased {
    bytes: Bytes,
    _lease: Lease,
}

impl AsRef<[u8]> for Leased {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl ResponseBody {
    /// An answer that is under way.
    pub fn new(
        body: Body,
        deadline: Option<Deadline>,
        refusal: Option<StreamRefusal>,
        share: Option<ConnectionShare>,
        places: Places,
    ) -> Self {
        Self { body, deadline, refusal, is_over: false, share, _places: places }
    }

    /// The frame with room for it; nothing if there is none.
    fn leased(&self, frame: Frame<Bytes>) -> Option<Frame<Bytes>> {
        let Some(share) = &self.share else { return Some(frame) };
        match frame.into_data() {
            Ok(bytes) if bytes.len() > FREE_BYTES => {
                let lease = share.answer(bytes.len())?;
                Some(Frame::data(Bytes::from_owner(Leased { bytes, _lease: lease })))
            }
            Ok(bytes) => Some(Frame::data(bytes)),
            Err(frame) => Some(frame),
        }
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

impl HttpBody for ResponseBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        // Before anything is shown: there may always be more.
        let deadline = self.deadline.as_mut();
        if deadline.is_some_and(|time| time.as_mut().poll(context).is_ready()) {
            return Poll::Ready(self.end(&timed_out()));
        }
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        let goes_on = matches!(&frame, Some(Ok(frame)) if frame.is_data());
        match self.refusal().cloned() {
            Some(refusal) if !goes_on => return Poll::Ready(self.end(&refusal)),
            Some(_) | None => {}
        }
        let Some(Ok(frame)) = frame else { return Poll::Ready(frame) };
        match self.leased(frame) {
            Some(frame) => Poll::Ready(Some(Ok(frame))),
            None => Poll::Ready(self.end(&status::overloaded(Limit::RequestMemory))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.is_over || (self.refusal.is_none() && self.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
