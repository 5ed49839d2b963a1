//! Writes the audit record of each call of FaceMatch before its answer goes out.
//!
//! Room for the record is reserved before the call goes on, so that a call that can't be recorded
//! has no effect. A stream of all matches gets a second record at its end, which tells what it has
//! shown. The layer is outside of admission control, so that refusals are recorded too. It
//! deliberately doesn't know what a record looks like in the file.

use std::{
    convert::Infallible,
    future::Future,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, ready},
    thread,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tonic::{Code, Status, body::Body};
use tower::Service;

use crate::{
    access::audit::{Audit, AuditFailure, AuditRecord, AuditSlot},
    grpc::{
        answer,
        call_log::{self, CallEnd, CallRecord},
        second_door::{Answering, CallDoor},
        status,
    },
    worker::Jitter,
};

/// The method whose streams get a record at their end.
const WATCH_MATCHES: &str = "WatchMatches";

/// A service whose calls are recorded.
#[derive(Clone)]
pub struct Audited<S> {
    inner: S,
    audit: Audit,
    chance: Jitter,
}

impl<S> Audited<S> {
    /// Wraps a service. `chance` jitters the retry delays of the calls that can't be recorded.
    pub const fn new(inner: S, audit: Audit, chance: Jitter) -> Self {
        Self { inner, audit, chance }
    }
}

impl<S> Service<Request<Body>> for Audited<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future = Answering>
        + Clone
        + Send
        + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Answering {
        let rpc =
            if self.audit.is_on() { call_log::rpc_of_ours(request.uri().path()) } else { None };
        let Some(rpc) = rpc else { return self.inner.call(request) };
        let call = AuditedCall::begin(self.audit.clone(), self.chance.clone(), rpc, &request);
        if let Some(slots) = call.try_reserve() {
            // The call goes on at once, so that it is refused by its headers before the next
            // headers are read.
            let called = self.inner.call(request);
            return Box::pin(call.recorded(slots, called));
        }
        let mut inner = self.inner.clone();
        Box::pin(async move {
            match call.reserve().await {
                Ok(slots) => {
                    // The inner services are always ready.
                    let called = inner.call(request);
                    call.recorded(slots, called).await
                }
                Err(failure) => Ok(call.unrecorded(&failure)),
            }
        })
    }
}

/// A call whose records are to be written.
struct AuditedCall {
    audit: Audit,
    chance: Jitter,
    rpc: &'static str,
    peer: Option<SocketAddr>,
    door: CallDoor,
    record: CallRecord,
}

/// The room for the records of a call.
struct CallSlots {
    answer: AuditSlot,
    /// For the end of a stream that gets a record.
    end: Option<AuditSlot>,
}

impl AuditedCall {
    fn begin(audit: Audit, chance: Jitter, rpc: &'static str, request: &Request<Body>) -> Self {
        let peer = call_log::peer(request.extensions());
        let record = CallRecord::among(request.extensions());
        let door = CallDoor::of(request.extensions());
        Self { audit, chance, rpc, peer, door, record }
    }

    fn try_reserve(&self) -> Option<CallSlots> {
        let answer = self.audit.try_reserve()?;
        let end = match self.rpc == WATCH_MATCHES {
            true => Some(self.audit.try_reserve()?),
            false => None,
        };
        Some(CallSlots { answer, end })
    }

    async fn reserve(&self) -> Result<CallSlots, AuditFailure> {
        let answer = self.audit.reserve().await?;
        let end = match self.rpc == WATCH_MATCHES {
            true => Some(self.audit.reserve().await?),
            false => None,
        };
        Ok(CallSlots { answer, end })
    }

    /// Writes the record once the head of the answer is known, and returns the answer then.
    async fn recorded(
        self,
        slots: CallSlots,
        called: Answering,
    ) -> Result<Response<Body>, Infallible> {
        let mut unanswered = Unanswered(Some((self, slots)));
        let response = called.await?;
        let Some((call, slots)) = unanswered.0.take() else { return Ok(response) };
        let end = CallEnd::at_once(&response).unwrap_or_else(|| CallEnd::by_code(Code::Ok));
        let (audit, chance, told) = (call.audit.clone(), call.chance.clone(), call.told(end));
        let response = match slots.end {
            Some(end) if !response.body().is_end_stream() => {
                response.map(|body| Body::new(RecordedBody::new(body, call, end)))
            }
            Some(_) | None => response,
        };
        match audit.write(slots.answer, told).await {
            Ok(()) => Ok(response),
            Err(failure) => Ok(unrecorded(&failure, chance)),
        }
    }

    fn unrecorded(&self, failure: &AuditFailure) -> Response<Body> {
        unrecorded(failure, self.chance.clone())
    }

    fn told(&self, end: CallEnd) -> AuditRecord {
        AuditRecord {
            grant: self.record.grant().cloned(),
            peer: self.peer,
            door: self.door.word(),
            rpc: self.rpc,
            match_id: self.record.match_id(),
            code: call_log::word(end.code),
            reason: end.reason,
            trace_id: self.record.trace_context().map(|trace| trace.shown_trace().to_string()),
            positions: None,
        }
    }

    /// How a call ends that its caller, or its connection, has given up.
    fn given_up(&self) -> CallEnd {
        match self.record.has_stalled() {
            _ if thread::panicking() => CallEnd::by_code(Code::Internal),
            true => CallEnd::of(&status::updates_unread()),
            false => CallEnd::by_code(Code::Cancelled),
        }
    }
}

/// The answer to a call that can't be recorded, in place of its own.
fn unrecorded(failure: &AuditFailure, chance: Jitter) -> Response<Body> {
    answer::complete(status::audit_unavailable(failure).into_http(), chance)
}

/// A call that has no answer yet. If it is dropped, its record says that it was given up.
struct Unanswered(Option<(AuditedCall, CallSlots)>);

impl Drop for Unanswered {
    fn drop(&mut self) {
        if let Some((call, slots)) = self.0.take() {
            call.audit.write_later(slots.answer, call.told(call.given_up()));
        }
    }
}

/// The body of a stream whose end is recorded.
struct RecordedBody {
    body: Body,
    /// The call, and the room for its record, until it is written.
    open: Option<(AuditedCall, AuditSlot)>,
    /// The record that is being written, and the frame that waits for it.
    closing: Option<StreamEnd>,
}

struct StreamEnd {
    written: Pin<Box<dyn Future<Output = ()> + Send>>,
    frame: Option<Result<Frame<Bytes>, Status>>,
}

impl RecordedBody {
    fn new(body: Body, call: AuditedCall, slot: AuditSlot) -> Self {
        Self { body, open: Some((call, slot)), closing: None }
    }
}

/// The record of a stream's end, with what it has shown.
fn last_record(call: &AuditedCall, end: CallEnd) -> AuditRecord {
    AuditRecord { positions: call.record.positions(), ..call.told(end) }
}

/// How a stream ends with a frame; `None` if it goes on.
fn end_of(frame: Option<&Result<Frame<Bytes>, Status>>) -> Option<CallEnd> {
    let unknown = || CallEnd::by_code(Code::Unknown);
    match frame {
        Some(Ok(frame)) => {
            let trailers = frame.trailers_ref()?;
            Some(CallEnd::by_headers(trailers).unwrap_or_else(unknown))
        }
        Some(Err(status)) => Some(CallEnd::of(status)),
        None => Some(unknown()),
    }
}

impl HttpBody for RecordedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        if this.closing.is_none() {
            let frame = ready!(Pin::new(&mut this.body).poll_frame(context));
            let Some(end) = end_of(frame.as_ref()) else { return Poll::Ready(frame) };
            let Some((call, slot)) = this.open.take() else { return Poll::Ready(frame) };
            let record = last_record(&call, end);
            // A failure is logged. It changes nothing: the caller has what the stream has shown.
            let written = async move { drop(call.audit.write(slot, record).await) };
            this.closing = Some(StreamEnd { written: Box::pin(written), frame });
        }
        if let Some(closing) = &mut this.closing {
            ready!(closing.written.as_mut().poll(context));
        }
        Poll::Ready(this.closing.take().and_then(|closing| closing.frame))
    }

    fn is_end_stream(&self) -> bool {
        self.closing.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for RecordedBody {
    fn drop(&mut self) {
        if let Some((call, slot)) = self.open.take() {
            call.audit.write_later(slot, last_record(&call, call.given_up()));
        }
    }
}

#[cfg(test)]
mod tests;
