//! The log of calls: one line for each call that ends, of any service, at either door.
//!
//! It is the outermost layer, so that it sees calls refused before a handler runs, and streams that
//! end because their caller disconnects. Handlers write what only they know, such as the match,
//! into the call's [`CallRecord`]. It deliberately judges nothing and keeps only counts. The text
//! of callers' headers is logged only as far as [`caller_text`] lets it pass.

mod caller_text;
mod method;
mod record;
mod tally;
#[cfg(test)]
mod tests;

use std::{
    convert::Infallible,
    future::Future,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    thread,
    time::Duration,
};

use bytes::Bytes;
use http::{Extensions, HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tonic::{Code, Status, body::Body, transport::server::TcpConnectInfo};
use tonic_types::StatusExt;
use tower::Service;
use tracing::{debug, error, info};

pub use caller_text::trace_state;
pub use method::rpc_of_ours;
pub use record::CallRecord;
pub use tally::{EndedCalls, word};

use crate::{
    access::Grant,
    clock::Clock,
    domain::{Timestamp, TraceContext},
    grpc::{
        call_log::{
            method::{METHODS, OTHER, Sort},
            tally::{EndKind, Tally, WINDOW},
        },
        reason::ErrorReason,
        second_door::CallDoor,
        status,
    },
    metrics::{CallMetrics, EndOfCall},
    outage::{self, Outage},
    trace::{CallOutcome, CallTrace, Tracer},
};

/// The reason of calls that fail because the store is unavailable.
const STORE_UNAVAILABLE: &str = "STORE_UNAVAILABLE";

/// The log of the calls of both doors. Cheap to clone; clones share their counts.
#[derive(Clone)]
pub struct CallLog(Arc<CallLogInner>);

struct CallLogInner {
    tally: Tally,
    metrics: CallMetrics,
    store: Outage,
    clock: Clock,
    /// Measures durations.
    steady: Clock,
    tracer: Tracer,
}

impl CallLog {
    /// Starts with no calls. A call that fails because of the store also counts towards `store`.
    pub fn new(store: Outage, clock: Clock) -> Self {
        Self::made(store, clock, Tracer::off())
    }

    /// A log without calls whose calls have spans, if the tracer makes some.
    #[must_use]
    pub fn traced(self, tracer: Tracer) -> Self {
        let (store, clock) = (self.0.store.clone(), self.0.clock.clone());
        Self::made(store, clock, tracer)
    }

    fn made(store: Outage, clock: Clock, tracer: Tracer) -> Self {
        let (metrics, steady) = (CallMetrics::default(), clock.steady());
        Self(Arc::new(CallLogInner { tally: Tally::new(), metrics, store, clock, steady, tracer }))
    }

    /// The numbers of calls that have ended since the start, by method, code and reason.
    pub fn ended(&self) -> Vec<EndedCalls> {
        self.0.tally.ended()
    }

    /// What the calls of this port count.
    pub fn metrics(&self) -> &CallMetrics {
        &self.0.metrics
    }

    /// Logs, until it is dropped, the number of the refusals that got no line of their own.
    pub async fn log_suppressed_forever(self) {
        loop {
            self.0.clock.sleep(WINDOW).await;
            self.log_suppressed(false);
        }
    }

    /// Logs the number of all refusals that no line has shown yet. Called when the port has closed.
    pub fn close(&self) {
        self.log_suppressed(true);
    }

    fn log_suppressed(&self, all: bool) {
        for untold in self.0.tally.take_suppressed(self.0.clock.now(), all) {
            info!(
                rpc.method = METHODS[untold.kind.method].name,
                rpc.code = tally::word(untold.kind.code),
                reason = untold.kind.reason,
                calls = untold.calls,
                "more calls ended the same way"
            );
        }
    }

    /// Wraps a service, so that this log sees its calls.
    pub fn over<S>(&self, inner: S) -> Logged<S> {
        Logged { inner, log: self.clone() }
    }
}

/// A service whose calls are logged.
#[derive(Clone)]
pub struct Logged<S> {
    inner: S,
    log: CallLog,
}

impl<S> Service<Request<Body>> for Logged<S>
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
        let call = OpenCall::begin(self.log.clone(), &request);
        let record = call.record.clone();
        let (mut parts, body) = request.into_parts();
        parts.extensions.insert(record.clone());
        let body = Body::new(Coming { body, record });
        let called = self.inner.call(Request::from_parts(parts, body));
        Box::pin(async move { Ok(call.answered(called.await?)) })
    }
}

/// An open call. It ends once: with its status, or when it is dropped without a status.
struct OpenCall {
    log: CallLog,
    record: CallRecord,
    door: CallDoor,
    method: usize,
    began: Timestamp,
    /// The same by the steady clock.
    began_steadily: Timestamp,
    caller: Caller,
    bytes_out: u64,
    has_ended: bool,
}

/// What the headers of a request say about its caller.
struct Caller {
    peer: Option<SocketAddr>,
    /// The path, if it names a method that the port doesn't have.
    path: Option<Box<str>>,
    user_agent: Option<HeaderValue>,
    request_id: Option<HeaderValue>,
    /// The caller's own deadline, as a time from the start of the call.
    timeout: Option<Duration>,
}

/// How a call ended.
pub struct CallEnd {
    /// The gRPC code.
    pub code: Code,
    /// The word from `ErrorInfo`; `None` if the status has none.
    pub reason: Option<String>,
    limit: Option<String>,
    /// The error inside the server, with its causes. Never sent to the caller.
    error: Option<String>,
}

impl OpenCall {
    fn begin(log: CallLog, request: &Request<Body>) -> Self {
        let (method, began) = (method::number(request.uri().path()), log.0.clock.now());
        let trace = CallTrace::begin(&log.0.tracer, caller_text::trace_context(request.headers()));
        let (record, caller) = (CallRecord::traced(trace), Caller::of(request, method));
        let began_steadily = log.0.steady.now();
        log.metrics().began(METHODS[method].metric_name());
        Self {
            log,
            record,
            door: CallDoor::of(request.extensions()),
            method,
            began,
            began_steadily,
            caller,
            bytes_out: 0,
            has_ended: false,
        }
    }

    /// Takes the answer. The call ends with the last frame of the body, or now if there is no body.
    fn answered(mut self, response: Response<Body>) -> Response<Body> {
        if let Some(end) = CallEnd::at_once(&response) {
            self.end(end);
            return response;
        }
        response.map(|body| Body::new(Going { body, call: self }))
    }

    fn end(&mut self, end: CallEnd) {
        if std::mem::replace(&mut self.has_ended, true) {
            return;
        }
        let now = self.log.0.clock.now();
        self.end_span(&end, now);
        let sort = METHODS[self.method].sort;
        self.count(&end);
        let kind = EndKind { method: self.method, code: end.code, reason: end.reason.clone() };
        let tally = &self.log.0.tally;
        if end.reason.as_deref() == Some(STORE_UNAVAILABLE) {
            self.log.0.store.failed_because(|| self.error(&end).unwrap_or_default().to_owned());
        }
        match (end.code, sort) {
            (Code::Ok, Sort::Change) => {
                tally.ok(self.method);
                self.info(&end);
            }
            (Code::Ok, Sort::Read | Sort::Probe) => {
                tally.ok(self.method);
                self.debug(&end);
            }
            // A caller that has read enough of a stream cancels it: that is no refusal.
            (Code::Cancelled, Sort::Read) | (_, Sort::Probe) => {
                tally.left(kind, now);
                self.debug(&end);
            }
            (_, Sort::Change | Sort::Read) => match tally.refused(kind, now) {
                true if end.code == Code::Internal => self.failed(&end),
                true => self.info(&end),
                false => self.debug(&end),
            },
        }
    }

    /// How long the call has been open. Steps of the time of day have no effect.
    fn open_for(&self) -> Duration {
        self.log.0.steady.now().since(self.began_steadily)
    }

    fn count(&self, end: &CallEnd) {
        // An exemplar leads to its trace, so only a recorded trace has one.
        let trace = self.trace().filter(TraceContext::is_sampled);
        let trace_id = trace.map(|trace| trace.shown_trace().to_string());
        self.log.metrics().ended(&EndOfCall {
            door: self.door.word(),
            rpc_system: self.door.rpc_system(),
            method: METHODS[self.method].metric_name(),
            code: tally::word(end.code),
            reason: end.reason.as_deref().and_then(ErrorReason::word_of),
            tenant: self.record.grant().map(Grant::tenant),
            trace_id: trace_id.as_deref(),
            duration: self.open_for(),
        });
    }

    /// Ends the span of the call. Only calls of FaceMatch have one.
    fn end_span(&self, end: &CallEnd, now: Timestamp) {
        let method = &METHODS[self.method];
        if !method.is_ours() {
            return;
        }
        self.record.trace().end(self.record.is_authenticated(), || CallOutcome {
            door: self.door.word(),
            rpc_system: self.door.rpc_system(),
            method: method.name,
            began: self.began,
            ended: now,
            code: tally::word(end.code),
            is_ok: end.code == Code::Ok,
            is_fault: is_fault(end.code),
            reason: end.reason.clone(),
            match_id: self.record.match_id(),
        });
    }

    /// The trace of the call: that of its span, or its caller's.
    fn trace(&self) -> Option<TraceContext> {
        match METHODS[self.method].is_ours() {
            true => self.record.trace_context(),
            false => self.record.trace().parent(),
        }
    }

    fn own_span(&self) -> Option<TraceContext> {
        self.trace().filter(|_| self.record.trace().has_span() && METHODS[self.method].is_ours())
    }

    /// The error inside the server: from the status, or from the record if a stream broke off.
    fn error<'a>(&'a self, end: &'a CallEnd) -> Option<&'a str> {
        end.error.as_deref().or_else(|| self.record.error())
    }
}

/// Writes the line of a call at a level. The levels of `tracing` are constants.
macro_rules! line {
    ($level:ident, $call:ident, $end:ident) => {{
        let method = &METHODS[$call.method];
        let grant = $call.record.grant().filter(|_| method.is_ours());
        let caller = &$call.caller;
        $level!(
            door = $call.door.word(),
            rpc.method = method.name,
            rpc.code = tally::word($end.code),
            reason = $end.reason.as_deref(),
            limit = $end.limit.as_deref(),
            error = $call.error($end),
            tenant = grant.map(|grant| grant.tenant().as_str()),
            caller = grant.map(Grant::caller),
            peer = caller.peer.map(tracing::field::display),
            user_agent = caller.user_agent.as_ref().and_then(caller_text::user_agent),
            match.id = $call.record.match_id().map(tracing::field::display),
            request.id = $call.record.request_id().map(|id| id.as_str()),
            duration_ms = millis($call.open_for()),
            bytes_in = $call.record.bytes_in(),
            bytes_out = $call.bytes_out,
            trace_id = $call.trace().map(|trace| tracing::field::display(trace.shown_trace())),
            span_id = $call.own_span().map(|trace| tracing::field::display(trace.shown_span())),
            x_request_id = caller.request_id.as_ref().and_then(caller_text::request_id),
            rpc.path = caller.path.as_deref(),
            "call ended"
        );
    }};
}

impl OpenCall {
    fn info(&self, end: &CallEnd) {
        line!(info, self, end);
    }

    fn debug(&self, end: &CallEnd) {
        line!(debug, self, end);
    }

    /// Logs a call that a bug has ended.
    fn failed(&self, end: &CallEnd) {
        line!(error, self, end);
    }
}

impl Drop for OpenCall {
    /// Logs a call that ends without a status: its caller cancelled it, its connection closed, or
    /// its deadline passed.
    fn drop(&mut self) {
        if self.has_ended {
            return;
        }
        let is_late = self.caller.timeout.is_some_and(|timeout| timeout <= self.open_for());
        self.end(match is_late {
            _ if thread::panicking() => CallEnd::by_code(Code::Internal),
            _ if self.record.has_stalled() => CallEnd::of(&status::updates_unread()),
            true => CallEnd::by_code(Code::DeadlineExceeded),
            false => CallEnd::by_code(Code::Cancelled),
        });
    }
}

impl Caller {
    fn of(request: &Request<Body>, method: usize) -> Self {
        let header = |name: &str| request.headers().get(name).cloned();
        let path = (method == OTHER).then(|| caller_text::path(request.uri().path())).flatten();
        Self {
            peer: peer(request.extensions()),
            path: path.map(Into::into),
            user_agent: request.headers().get(header::USER_AGENT).cloned(),
            request_id: header("x-request-id"),
            timeout: request.headers().get("grpc-timeout").and_then(timeout),
        }
    }
}

/// The other end of the connection of a call, by its request's extensions.
pub fn peer(extensions: &Extensions) -> Option<SocketAddr> {
    extensions.get::<TcpConnectInfo>().and_then(TcpConnectInfo::remote_addr)
}

impl CallEnd {
    /// An end with nothing but a code.
    pub const fn by_code(code: Code) -> Self {
        Self { code, reason: None, limit: None, error: None }
    }

    /// The end of an answer without a body; `None` if there is one.
    pub fn at_once(response: &Response<Body>) -> Option<Self> {
        if !response.body().is_end_stream() {
            return None;
        }
        Some(match response.extensions().get::<Status>() {
            Some(status) => Self::of(status),
            None => Self::by_headers(response.headers())
                .unwrap_or_else(|| Self::by_code(code_of(response.status()))),
        })
    }

    /// The end by the headers or trailers of an answer; `None` if they hold no status.
    pub fn by_headers(headers: &HeaderMap) -> Option<Self> {
        // Fast path: nearly all calls are OK.
        if headers.get(Status::GRPC_STATUS)?.as_bytes() == b"0" {
            return Some(Self::by_code(Code::Ok));
        }
        Status::from_header_map(headers).as_ref().map(Self::of)
    }

    /// The end by a status.
    pub fn of(status: &Status) -> Self {
        let info = status.get_details_error_info();
        let (reason, limit) = match info {
            Some(mut info) => (Some(info.reason), info.metadata.remove("limit")),
            None => (None, None),
        };
        let error = std::error::Error::source(status).map(outage::causes);
        Self { code: status.code(), reason, limit, error }
    }
}

/// Whether a code says that the service is at fault or too slow, and not the caller: the errors of
/// OpenTelemetry's conventions for servers.
const fn is_fault(code: Code) -> bool {
    match code {
        Code::Unknown
        | Code::DeadlineExceeded
        | Code::Unimplemented
        | Code::Internal
        | Code::Unavailable
        | Code::DataLoss => true,
        Code::Ok
        | Code::Cancelled
        | Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::ResourceExhausted
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unauthenticated => false,
    }
}

/// The code that a gRPC client derives from the HTTP status of an answer that isn't gRPC.
fn code_of(status: StatusCode) -> Code {
    match status.as_u16() {
        400 => Code::Internal,
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 => Code::Unimplemented,
        429 | 502 | 503 | 504 => Code::Unavailable,
        _ => Code::Unknown,
    }
}

/// Parses a `grpc-timeout` header: up to eight digits and a unit.
fn timeout(header: &HeaderValue) -> Option<Duration> {
    let (digits, unit) = header.to_str().ok()?.split_at_checked(header.len().checked_sub(1)?)?;
    if digits.len() > 8 {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A request's body, whose bytes are counted as they arrive.
struct Coming {
    body: Body,
    record: CallRecord,
}

impl HttpBody for Coming {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if let Some(Ok(frame)) = &frame {
            self.record.add_bytes_in(frame.data_ref().map_or(0, Bytes::len));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// An answer's body. The call ends with it.
struct Going {
    body: Body,
    call: OpenCall,
}

impl HttpBody for Going {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        match &frame {
            Some(Ok(frame)) => match (frame.data_ref(), frame.trailers_ref()) {
                (Some(bytes), _) => self.call.bytes_out += bytes.len() as u64,
                (None, Some(trailers)) => {
                    let end = CallEnd::by_headers(trailers);
                    self.call.end(end.unwrap_or_else(|| CallEnd::by_code(Code::Unknown)));
                }
                (None, None) => {}
            },
            Some(Err(status)) => self.call.end(CallEnd::of(status)),
            None => self.call.end(CallEnd::by_code(Code::Unknown)),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
