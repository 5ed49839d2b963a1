//! Admission control: wraps every service of the port and bounds the resources of each call.
//!
//! Before a handler sees a call, admission control decides who makes it, counts it as open, starts
//! its timeouts, and takes request memory and photo memory for what arrives. A call over a limit is
//! refused by an ordinary answer with one of the contract's reasons. Admission control deliberately
//! knows no handler and doesn't judge what a request says.

mod access;
mod answer;
mod caller;
mod content;
mod head;
mod json;
mod message;
mod methods;
mod min_rate;
mod overhead;
mod pool;
mod receive;
mod share;
mod timeout;

use std::{
    convert::Infallible,
    future::Future,
    pin::{Pin, pin},
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::stream;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::StreamBody;
use prost::Message as _;
use tonic::{Status, body::Body};
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tower::Service;

pub use access::{AccessAnswers, HasLibrary};
pub use caller::{CallerCheck, LiveReflection, Reflection};
pub use receive::ReceiveLimits;
pub use share::{AddressShare, CallLimits as ShareLimits, Shares};

use crate::{
    access::{Denied, Grant},
    domain::{Limit, TenantId, Timestamp},
    grpc::{
        admission::{
            answer::{Deadline, Ends, FormedBody, Places, ResponseBody, StreamRefusal, timed_out},
            caller::{Caller, KeyFetch},
            head::{Encoding, Head},
            message::Whole,
            methods::{Demand, MethodLimits, Methods, RequestKind},
            receive::{MessageForm, PREFIX_BYTES, Receiver},
            share::{ConnectionShare, Lease},
        },
        call_log::CallRecord,
        second_door::CallForm,
        stall::StallGuard,
        status,
    },
    sync::lock,
    worker::photo_memory::Reservation,
};

/// The properties of requests that hold for any bytes.
#[cfg(any(test, fuzzing))]
pub mod fuzzing {
    pub use super::{json::fuzzing::received, overhead::fuzzing::request};
}

/// The request memory that a call takes while its request is received, besides the request's bytes.
/// In fact a call takes 8 to 13 KiB in the transport and the runtime, which `--max-calls` bounds
/// for the whole process. This smaller number bounds what one connection may have, and still lets a
/// client begin ten thousand calls at once.
const CALL_BYTES: usize = 1792;
/// How long before its deadline a call is ended. The caller has a timer of its own, and receives no
/// reason once that timer has fired. Timers are precise to a millisecond.
const DEADLINE_MARGIN: Duration = Duration::from_millis(2);

/// Admission to services, for all connections.
pub struct Admission<S> {
    shared: Arc<AdmissionShared<S>>,
}

struct AdmissionShared<S> {
    inner: S,
    methods: Methods,
    callers: CallerCheck,
    shares: Shares,
    receive_limits: ReceiveLimits,
    stall_guard: StallGuard,
}

/// Admission to services, for the calls of one connection. Cheap to clone.
pub struct ConnectionAdmission<S> {
    shared: Arc<AdmissionShared<S>>,
    share: ConnectionShare,
}

/// A received request that may hold a photo. Its handler takes it from the request's extensions,
/// because tonic would copy a body once more.
#[derive(Clone)]
pub struct ReceivedWithPhoto(Arc<Mutex<Option<(Bytes, Reservation)>>>);

/// The decision about a call by its headers.
enum Decided {
    /// The request isn't a gRPC call.
    OtherThanGrpc(Response<Body>),
    /// The port doesn't have the method, a limit is reached, or the headers are invalid.
    Refused(Status),
    /// The call is counted as open, and its request is received next.
    Admitted(Box<AdmittedCall>),
    /// The call is counted as open, and its caller's key is fetched first.
    Awaited(KeyFetch, Box<AdmittedCall>),
}

/// A call that is counted as open. Boxed, because a future takes the size of what it is given
/// several times, and thousands of calls may wait for their requests.
struct AdmittedCall {
    method: MethodLimits,
    deadline: Option<Timestamp>,
    grant: Option<Grant>,
    share: ConnectionShare,
    open_call: Lease,
    arriving: Box<Arriving>,
}

/// A request that has not been received yet, and the memory that it holds so far.
struct Arriving {
    request: Request<Body>,
    kind: RequestKind,
    encoding: Encoding,
    memory: Lease,
    memory_bytes: usize,
}

impl ReceivedWithPhoto {
    fn new(bytes: Bytes, reservation: Reservation) -> Self {
        Self(Arc::new(Mutex::new(Some((bytes, reservation)))))
    }

    /// Takes the message and the reservation of its photo. `None` if they were taken before.
    pub fn take(&self) -> Option<(Bytes, Reservation)> {
        lock(&self.0).take()
    }
}

impl<S> Admission<S> {
    /// Wraps services.
    pub fn new(
        inner: S,
        callers: CallerCheck,
        shares: Shares,
        terms: ReceiveLimits,
        readers: StallGuard,
    ) -> Self {
        let methods = Methods::of_all_services();
        Self {
            shared: Arc::new(AdmissionShared {
                inner,
                methods,
                callers,
                shares,
                receive_limits: terms,
                stall_guard: readers,
            }),
        }
    }

    /// The limits that all calls share.
    pub fn shares(&self) -> Shares {
        self.shared.shares.clone()
    }

    /// Admission for the calls of a new connection from an address.
    pub fn connection(&self, address: &AddressShare) -> ConnectionAdmission<S> {
        let share = self.shared.shares.connection(address);
        ConnectionAdmission { shared: Arc::clone(&self.shared), share }
    }
}

impl<S> Clone for ConnectionAdmission<S> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), share: self.share.clone() }
    }
}

impl<S> Service<Request<Body>> for ConnectionAdmission<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let shared = Arc::clone(&self.shared);
        // Decided before the call gets a task, so that a refused call's headers are dropped at
        // once.
        let decided = shared.decide(&self.share, request);
        Box::pin(async move { Ok(shared.answer(decided).await) })
    }
}

impl<S> AdmissionShared<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone,
{
    /// Decides about a call by its headers alone.
    fn decide(&self, share: &ConnectionShare, request: Request<Body>) -> Decided {
        if let Some(answer) = head::refuse_other_than_grpc(request.method(), request.headers()) {
            return Decided::OtherThanGrpc(answer);
        }
        let Some(method) = self.find(request.uri().path()) else {
            return Decided::Refused(Status::unimplemented(""));
        };
        let (grant, fetch) = match self.callers.decide(method.demand, &request) {
            Caller::Admitted(grant) => (grant, None),
            Caller::Awaited(fetch) => (None, Some(fetch)),
            Caller::Refused(refusal) => return Decided::Refused(refusal),
        };
        let share = self.share_of(share, grant.as_ref());
        match (self.open_call(share, method, grant, request), fetch) {
            (Ok(call), None) => Decided::Admitted(call),
            (Ok(call), Some(fetch)) => Decided::Awaited(fetch, call),
            (Err(refusal), _) => Decided::Refused(refusal),
        }
    }

    /// The share from which a call takes: the connection's and, beside other tenants, its tenant's.
    fn share_of(&self, share: &ConnectionShare, grant: Option<&Grant>) -> ConnectionShare {
        match grant {
            Some(grant) if self.callers.access.tenants().count() > 1 => {
                self.shares.of_tenant(share, grant.tenant())
            }
            Some(_) | None => share.clone(),
        }
    }

    /// The method at a path; `None` if the port doesn't have it.
    fn find(&self, path: &str) -> Option<MethodLimits> {
        let method = self.methods.find(path)?;
        let is_off =
            method.demand == Demand::Reflection && self.callers.reflection.now() == Reflection::Off;
        (!is_off).then_some(method)
    }

    async fn answer(&self, decided: Decided) -> Response<Body> {
        let mut response = match decided {
            Decided::OtherThanGrpc(answer) => return answer,
            Decided::Refused(refusal) => refusal.into_http(),
            Decided::Admitted(call) => {
                self.serve_admitted(call).await.unwrap_or_else(Status::into_http)
            }
            Decided::Awaited(fetch, call) => {
                let served = Box::pin(self.serve_awaited(fetch, call));
                served.await.unwrap_or_else(Status::into_http)
            }
        };
        response.headers_mut().insert(head::ACCEPT_ENCODING, head::ENCODINGS);
        response
    }

    /// Serves a call once its caller's key is fetched, if the caller may make it.
    async fn serve_awaited(
        &self,
        fetch: KeyFetch,
        mut call: Box<AdmittedCall>,
    ) -> Result<Response<Body>, Status> {
        fetch.await;
        call.grant = self.callers.decide_finally(call.method.demand, &call.arriving.request)?;
        // From here on, the photo and the answer count for the tenant, too.
        call.share = self.share_of(&call.share, call.grant.as_ref());
        self.serve_admitted(call).await
    }

    async fn serve_admitted(&self, call: Box<AdmittedCall>) -> Result<Response<Body>, Status> {
        let AdmittedCall { method, deadline, grant, share, open_call: place, mut arriving } = *call;
        let record = CallRecord::among(arriving.request.extensions());
        let form = arriving.request.extensions().get::<CallForm>();
        let form = form.and_then(|form| form.answer.clone());
        if let Some(grant) = &grant {
            arriving.request.extensions_mut().insert(grant.clone());
        }
        let stream = match &grant {
            Some(grant) if method.streams_updates => {
                Some(self.callers.open_stream(grant.tenant())?)
            }
            Some(_) | None => None,
        };
        let refusal = StreamRefusal::default();
        let handled = async {
            let request = self.receive(&share, arriving, &refusal).await?;
            let list =
                method.is_list.then(|| share.list().ok_or_else(too_many_calls)).transpose()?;
            Ok((self.call(request).await, list))
        };
        // Pinned here: a future passed by value would take its size several times.
        let (response, list) = self.in_time(deadline, grant.as_ref(), pin!(handled)).await?;
        let places = Places { _call: place, _list: list, _stream: stream };
        let ends = Ends {
            deadline: deadline.map(|time| self.deadline_at(time)),
            grant: grant.and_then(|grant| self.end_of(&grant)),
        };
        let refusal = (method.kind == RequestKind::Stream).then_some(refusal);
        // An update in another form isn't shared with other streams.
        let share = (method.owns_answer || form.is_some()).then(|| share.clone());
        let answer = |body| {
            let body = FormedBody::over(body, form);
            Body::new(ResponseBody::new(body, ends, refusal, share, places))
        };
        Ok(response.map(|body| self.stall_guard.guard(answer(body), record)))
    }

    /// Counts a call as open and takes the memory of its headers.
    fn open_call(
        &self,
        share: ConnectionShare,
        method: MethodLimits,
        grant: Option<Grant>,
        request: Request<Body>,
    ) -> Result<Box<AdmittedCall>, Status> {
        let place = share.call().ok_or_else(too_many_calls)?;
        let memory_bytes = CALL_BYTES + head::bytes(&request);
        let memory = share.memory(memory_bytes);
        let memory = memory.ok_or_else(|| status::overloaded(Limit::RequestMemory))?;
        let Head { timeout, encoding } = Head::read(request.headers())?;
        let ends = |timeout: Duration| {
            self.receive_limits.clock.now().after(timeout.saturating_sub(DEADLINE_MARGIN))
        };
        let arriving = Arriving { request, kind: method.kind, encoding, memory, memory_bytes };
        let arriving = Box::new(arriving);
        let deadline = timeout.map(ends);
        let open_call = place;
        Ok(Box::new(AdmittedCall { method, deadline, grant, share, open_call, arriving }))
    }

    /// Receives the request and returns it in the form that its handler expects.
    async fn receive(
        &self,
        share: &ConnectionShare,
        arriving: Box<Arriving>,
        refusal: &StreamRefusal,
    ) -> Result<Request<Body>, Status> {
        let Arriving { request, kind, encoding, memory, memory_bytes } = *arriving;
        let (mut parts, body) = request.into_parts();
        // The handler gets inflated messages.
        parts.headers.remove(head::ENCODING);
        let form = MessageForm { encoding, may_have_photo: kind == RequestKind::Photo };
        // Only calls of FaceMatch have a tenant, and only their requests may hold a photo.
        let tenant = parts.extensions.get::<Grant>().map(|grant| grant.tenant().clone());
        let tenant = tenant.unwrap_or_else(TenantId::default_tenant);
        let limits = self.receive_limits.clone();
        let receiver = Box::new(Receiver::new(limits, share.clone(), tenant, form, body));
        if kind == RequestKind::Stream {
            let messages =
                RequestStream { receiver: *receiver, share: share.clone(), _call: memory };
            return Ok(Request::from_parts(parts, messages.body(Arc::clone(refusal))));
        }
        let form = parts.extensions.get::<CallForm>();
        let received = match form.and_then(|form| form.request.clone()) {
            None => receiver.single(memory, memory_bytes).await,
            Some(decoder) => receiver.json(decoder, memory, memory_bytes).await,
        };
        let Whole { bytes, lease, reservation } = received?;
        let bytes = match reservation {
            None => bytes,
            Some(reservation) => {
                parts.extensions.insert(ReceivedWithPhoto::new(bytes, reservation));
                Bytes::new()
            }
        };
        Ok(Request::from_parts(parts, whole_body(bytes, lease)))
    }

    async fn call(&self, request: Request<Body>) -> Response<Body> {
        match self.inner.clone().call(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }

    /// The result of a call, or its refusal once its deadline has passed or its credential has
    /// ended.
    async fn in_time<T>(
        &self,
        deadline: Option<Timestamp>,
        grant: Option<&Grant>,
        call: Pin<&mut impl Future<Output = Result<T, Status>>>,
    ) -> Result<T, Status> {
        let clock = &self.receive_limits.clock;
        let answered = async {
            match deadline {
                None => call.await,
                Some(time) if time <= clock.now() => Err(timed_out()),
                Some(time) => clock.before(time, call).await.unwrap_or_else(|| Err(timed_out())),
            }
        };
        match grant.and_then(|grant| self.end_of(grant)) {
            None => answered.await,
            Some(ended) => tokio::select! {
                biased;
                answered = answered => answered,
                () = ended => Err(status::denied(Denied::Expired)),
            },
        }
    }

    /// Ends when a grant does; `None` if it can't end.
    fn end_of(&self, grant: &Grant) -> Option<Deadline> {
        let clock = self.receive_limits.clock.clone();
        grant.can_end().then(|| -> Deadline { Box::pin(grant.clone().ended(clock)) })
    }

    fn deadline_at(&self, time: Timestamp) -> Deadline {
        let clock = self.receive_limits.clock.clone();
        Box::pin(async move { clock.sleep_until(time).await })
    }
}

/// The requests of a stream, each received when its handler asks for it. The only request streams
/// of the port are those of reflection, whose two versions have equal messages.
struct RequestStream {
    receiver: Receiver,
    share: ConnectionShare,
    _call: Lease,
}

impl RequestStream {
    /// The body that the handler reads. If it ends early, `refusal` holds the reason for the
    /// answer.
    fn body(self, refusal: StreamRefusal) -> Body {
        let messages = stream::unfold(Some((self, None)), move |state| {
            let refusal = Arc::clone(&refusal);
            async move {
                let (mut messages, last): (Self, Option<Lease>) = state?;
                // The handler asks for the next message, so it has decoded the previous one.
                drop(last);
                match messages.next().await {
                    Ok(None) => None,
                    Ok(Some(Whole { bytes, lease, .. })) => {
                        let message = [prefix(&bytes), bytes].concat().into();
                        Some((Ok(Frame::data(message)), Some((messages, Some(lease)))))
                    }
                    Err(status) => {
                        // The cell is still empty, because a stream ends with its first error.
                        let _ = refusal.set(status.clone());
                        Some((Err(status), None))
                    }
                }
            }
        });
        Body::new(StreamBody::new(messages))
    }

    async fn next(&mut self) -> Result<Option<Whole>, Status> {
        let lease = self.share.memory(0);
        let lease = lease.ok_or_else(|| status::overloaded(Limit::RequestMemory))?;
        let next = self.receiver.next(lease, 0).await?;
        // Decoded here as well: the handler would drop a message that it can't decode, and end the
        // call as OK.
        if let Some(whole) = &next {
            ServerReflectionRequest::decode(whole.bytes.clone())
                .map_err(|error| status::undecodable(&error.to_string()))?;
        }
        Ok(next)
    }
}

/// The refusal of a call when too many calls are open.
fn too_many_calls() -> Status {
    status::overloaded(Limit::Calls)
}

/// The body of a request of one message. Dropping it releases the memory.
fn whole_body(message: Bytes, lease: Lease) -> Body {
    let frames = [prefix(&message), message];
    let frames = stream::iter(frames.into_iter().map(move |bytes| {
        let _held = &lease;
        Ok::<_, Status>(Frame::data(bytes))
    }));
    Body::new(StreamBody::new(frames))
}

/// gRPC's prefix of an uncompressed message.
fn prefix(message: &Bytes) -> Bytes {
    let mut prefix = BytesMut::with_capacity(PREFIX_BYTES);
    prefix.put_u8(0);
    prefix.put_u32(u32::try_from(message.len()).expect("a message within its limit"));
    prefix.freeze()
}

#[cfg(test)]
mod tests;
