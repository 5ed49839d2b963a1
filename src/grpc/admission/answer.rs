//! The answer of an admitted call, which counts as an open call until it ends.
//!
//! It ends at the caller's deadline, and when the caller's credential ends. It also ends with the status for which a stream of requests
//! was refused, because handlers drop that status.

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
    access::{Denied, StreamSlot},
    domain::Limit,
    grpc::{
        admission::share::{ConnectionShare, Lease},
        second_door::AnswerForm,
        status,
    },
};

/// The largest frame of an answer that isn't counted: an open call takes more in the transport.
const FREE_BYTES: usize = 1024;

/// The status with which a stream of requests was refused, once it is.
pub type StreamRefusal = Arc<OnceLock<Status>>;

/// Ends at a time of its own: at the deadline of a call, or when its credential ends.
pub type Deadline = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What ends an answer early.
#[derive(Default)]
pub struct Ends {
    /// The caller's deadline.
    pub deadline: Option<Deadline>,
    /// The end of the caller's credential.
    pub grant: Option<Deadline>,
}

/// The body of an answer, with what ends it early, and its leases.
pub struct ResponseBody {
    body: Body,
    ends: Ends,
    refusal: Option<StreamRefusal>,
    is_over: bool,
    /// The connection whose share holds the frames that wait to be read. `None` if all streams
    /// share the frames.
    share: Option<ConnectionShare>,
    _places: Places,
}

/// The leases of a call: as an open call, as a list if it is ListMatches, and as a stream of its
/// tenant if it streams updates.
pub struct Places {
    pub _call: Lease,
    pub _list: Option<Lease>,
    pub _stream: Option<StreamSlot>,
}

/// A frame of an answer and its lease. The transport keeps a frame until the caller reads it, which
/// may be after the answer itself is dropped.
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
    /// Wraps the body of a handler's answer.
    pub fn new(
        body: Body,
        ends: Ends,
        refusal: Option<StreamRefusal>,
        share: Option<ConnectionShare>,
        places: Places,
    ) -> Self {
        Self { body, ends, refusal, is_over: false, share, _places: places }
    }

    /// The frame with a lease of its bytes; `None` if there is no memory for them.
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

    /// Ends the answer with a status and drops the rest of the body.
    fn end(&mut self, why: &Status) -> Option<Result<Frame<Bytes>, Status>> {
        self.is_over = true;
        self.body = Body::empty();
        let mut trailers = HeaderMap::new();
        Some(why.add_header(&mut trailers).map(|()| Frame::trailers(trailers)))
    }
}

/// A handler's answer in another form. It is changed before its frames are counted.
pub struct FormedBody {
    body: Body,
    form: AnswerForm,
    is_over: bool,
}

impl FormedBody {
    /// Changes the form of each frame of an answer, if there is a form. An answer without a body
    /// stays so.
    pub fn over(body: Body, form: Option<AnswerForm>) -> Body {
        match form {
            Some(form) if !body.is_end_stream() => Body::new(Self { body, form, is_over: false }),
            Some(_) | None => body,
        }
    }
}

impl HttpBody for FormedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        let Some(Ok(frame)) = frame else { return Poll::Ready(frame) };
        Poll::Ready(Some(match frame.into_data().map(|bytes| (self.form)(bytes)) {
            Ok(Ok(formed)) => Ok(Frame::data(formed)),
            Ok(Err(status)) => {
                self.is_over = true;
                let mut trailers = HeaderMap::new();
                status.add_header(&mut trailers).map(|()| Frame::trailers(trailers))
            }
            Err(trailers) => Ok(trailers),
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.is_over || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

/// The status of a call whose deadline has passed.
pub fn timed_out() -> Status {
    status::call_timed_out("the call's deadline passed; an accepted match continues")
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
        // Checked first: an endless body may always have a frame ready.
        let mut is_over = |end: &mut Option<Deadline>| {
            end.as_mut().is_some_and(|end| end.as_mut().poll(context).is_ready())
        };
        if is_over(&mut self.ends.deadline) {
            return Poll::Ready(self.end(&timed_out()));
        }
        if is_over(&mut self.ends.grant) {
            return Poll::Ready(self.end(&status::denied(Denied::Expired)));
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
