//! Accepts connections, and ends those that are idle or old.
//!
//! Each is served by itself, so that one can be told to go while the others stay. How many there
//! may be is bounded, in all and for each address: each takes a descriptor, and Oz and the store
//! need theirs. The transport calls our services as soon as a request's headers are read, before it
//! gives the call a task of its own: what is refused by its headers is gone before the next are read.

use std::{
    convert::Infallible,
    future::Future,
    io,
    pin::{Pin, pin},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::{body::Incoming, server::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};
use tokio_stream::StreamExt;
use tokio_util::{
    sync::{CancellationToken, WaitForCancellationFutureOwned},
    task::TaskTracker,
};
use tonic::{
    Status,
    body::Body,
    service::Routes,
    transport::server::{Connected, TcpConnectInfo, TcpIncoming},
};
use tower::Service;
use tracing::debug;

use crate::{
    clock::Clock,
    domain::Timestamp,
    grpc::{
        addresses::{AddressSlot, Addresses},
        admission::Admission,
        answer::ResponseMetadata,
        call_log::CallLog,
        connection_log::{ConnectionLog, ConnectionTrouble, PeerLog},
        preface::{self, PrefaceLimits, PrefaceTimeout},
        status,
    },
    outage::{self, Outage},
    worker::Jitter,
};

/// How long no connection is taken after none could be: the process may be out of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// Why a connection is closed as soon as it is made.
const ALL_IN_USE: &str = "all connections that --max-connections allows are in use";

/// How long the calls of a connection that has reached its age may go on, at most: the longest wait
/// that a caller may ask for. What is open then is a stream, and its caller resumes it.
const AGE_GRACE_MAX: Duration = Duration::from_mins(10);
/// By how much the ages of connections differ, either way: connections that were opened together,
/// after a restart, would be opened together again.
const AGE_SPREAD: f64 = 0.1;

/// How many connections there may be, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    pub connections_max: usize,
    /// Of one address.
    pub per_address_max: usize,
    /// Without taking anything of what is written.
    pub taking: Duration,
    /// Without a call.
    pub idle: Duration,
    /// In all.
    pub age: Duration,
}

impl ConnectionLimits {
    /// How long a connection may live; `chance` is from 0 to 1.
    fn age(&self, chance: f64) -> Duration {
        self.age.mul_f64(1.0 - AGE_SPREAD + 2.0 * AGE_SPREAD * chance)
    }

    /// How long its calls may go on after that, and, when they have been ended, the connection.
    fn age_grace(&self) -> Duration {
        self.age.min(AGE_GRACE_MAX)
    }
}

/// What a connection gets. Cheap to clone.
#[derive(Clone)]
pub struct Connections {
    pub transport: http2::Builder<TokioExecutor>,
    pub admission: Arc<Admission<Routes>>,
    pub call_log: CallLog,
    pub connection_log: ConnectionLog,
    pub limits: ConnectionLimits,
    pub clock: Clock,
    pub chance: Jitter,
}

impl Connections {
    /// Serves until `closing` is cancelled and the calls that are open have ended.
    pub async fn serve(self, listener: TcpListener, closing: CancellationToken) {
        let open = TaskTracker::new();
        self.take(listener, &open, &closing).await;
        open.close();
        open.wait().await;
    }

    async fn take(&self, listener: TcpListener, open: &TaskTracker, closing: &CancellationToken) {
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        let listener = Outage::new("the listener", self.clock.clone());
        let failing = listener.clone();
        let mut incoming = pin!(incoming.then(move |taken| paced(taken, failing.clone())));
        let addresses = Addresses::new(self.limits.per_address_max, self.admission.shares());
        let full = Outage::new("the listener", self.clock.clone());
        while let Some(Some(accepted)) = closing.run_until_cancelled(incoming.next()).await {
            let Ok(socket) = accepted else { continue };
            listener.worked();
            if open.len() >= self.limits.connections_max {
                full.failed_because(|| ALL_IN_USE.to_owned());
                continue;
            }
            // A connection whose peer can't be told has gone already.
            let Ok(peer) = socket.peer_addr() else { continue };
            full.worked();
            let log = self.connection_log.of(peer.ip());
            match addresses.take(peer.ip()) {
                Some(slot) => {
                    open.spawn(self.clone().keep(socket, slot, log, closing.clone()));
                }
                None => log.note(ConnectionTrouble::AddressFull),
            }
        }
    }

    /// Serves one connection. It is told to go when it has been idle for long, when it has reached
    /// its age, or when all are; the calls that are open by then still end as they would, within
    /// their grace.
    async fn keep(
        self,
        socket: TcpStream,
        slot: AddressSlot,
        log: PeerLog,
        closing: CancellationToken,
    ) {
        let (calls, old) = (Calls::new(self.clock.clone()), ConnectionAge::default());
        let counted = Counted {
            inner: self.admission.connection(slot.share()),
            calls: calls.clone(),
            ended: old.calls_ended.clone(),
        };
        let service = Calling {
            service: self.call_log.over(ResponseMetadata::new(counted, self.chance.clone())),
            peer: socket.connect_info(),
        };
        let patience =
            PrefaceLimits { greeting: preface::PREFACE_TIMEOUT, taking: self.limits.taking };
        let cut = old.cut.clone().cancelled_owned();
        let going = closing.clone().cancelled_owned();
        let greeted = PrefaceTimeout::new(socket, patience, going, cut, log.clone());
        let mut served = pin!(self.transport.serve_connection(TokioIo::new(greeted), service));
        let mut told = pin!(async {
            tokio::select! {
                () = calls.idle(self.limits.idle) => debug!("connection ended: idle for too long"),
                () = old.reached.cancelled() => debug!("connection ended: it has reached its age"),
                () = closing.cancelled() => {}
            }
        });
        let age = self.limits.age((self.chance)());
        let mut aging = pin!(old.pass(&self.clock, age, self.limits.age_grace()));
        let mut is_told = false;
        let served = loop {
            tokio::select! {
                served = &mut served => break served,
                () = &mut told, if !is_told => {
                    is_told = true;
                    served.as_mut().graceful_shutdown();
                }
                never = &mut aging => match never {},
            }
        };
        if let Err(failure) = served {
            log.note_if_broken(&failure);
            debug!(error = outage::causes(&failure), "a connection could not be served");
        }
    }
}

/// Services as the transport calls them.
#[derive(Clone)]
struct Calling<S> {
    service: S,
    peer: TcpConnectInfo,
}

impl<S> hyper::service::Service<Request<Incoming>> for Calling<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = S::Future;

    fn call(&self, request: Request<Incoming>) -> S::Future {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(self.peer.clone());
        // Ours are always ready: who finds no place is refused.
        self.service.clone().call(request)
    }
}

/// What happens to a connection by its age, in this order.
#[derive(Default)]
struct ConnectionAge {
    /// It is told to go.
    reached: CancellationToken,
    /// The calls that are still open end.
    calls_ended: CancellationToken,
    /// It is cut: its caller reads nothing.
    cut: CancellationToken,
}

impl ConnectionAge {
    async fn pass(&self, clock: &Clock, age: Duration, grace: Duration) -> Infallible {
        for (after, step) in [(age, &self.reached), (grace, &self.calls_ended), (grace, &self.cut)]
        {
            clock.sleep(after).await;
            step.cancel();
        }
        std::future::pending().await
    }
}

/// Passes a connection on, or says why there is none. The listener is asked for the next one at
/// once: without a pause, a process out of descriptors would do nothing else.
async fn paced<C>(accepted: io::Result<C>, listener: Outage) -> io::Result<C> {
    if let Err(failure) = &accepted
        && !is_of_one_connection(failure)
    {
        listener.failed(failure);
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
    accepted
}

/// Whether a failure says nothing of the next connection.
fn is_of_one_connection(failure: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(failure.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}

/// The calls of one connection. Clones count the same ones.
#[derive(Clone)]
struct Calls {
    clock: Clock,
    count: Arc<Mutex<CallCounter>>,
}

struct CallCounter {
    open: usize,
    last_ended: Timestamp,
}

impl Calls {
    fn new(clock: Clock) -> Self {
        let count = CallCounter { open: 0, last_ended: clock.now() };
        Self { clock, count: Arc::new(Mutex::new(count)) }
    }

    /// A call begins; it ends when that is dropped.
    fn begin(&self) -> CountedCall {
        self.lock().open += 1;
        CountedCall(self.clone())
    }

    /// Returns once there was no call for so long. It looks when the time may have come, so that
    /// calls need not wake it.
    async fn idle(&self, within: Duration) {
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
        // Nothing that holds this lock can panic half-way, so a poisoned one is sound.
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
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

/// A service whose calls are counted, from their first byte to the last of their answer, and end
/// at the latest when those of their connection have to.
#[derive(Clone)]
struct Counted<S> {
    inner: S,
    calls: Calls,
    ended: CancellationToken,
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
        let ended = self.ended.clone();
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

/// An answer that keeps its call open. When the calls of its connection have to end, it ends
/// between two messages: each frame of an answer holds whole ones.
struct CountedBody {
    body: Body,
    ended: BodyEnd,
    _call: CountedCall,
}

/// Whether an answer was ended before its end.
enum BodyEnd {
    No(CancellationToken),
    /// It waits for its next message, and for that.
    Awaited(Pin<Box<WaitForCancellationFutureOwned>>),
    Yes,
}

impl BodyEnd {
    /// Registers to be woken. An answer that never waits needs no waker.
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
    use futures_util::FutureExt;

    use super::*;

    const IDLE: Duration = Duration::from_secs(60);
    const AGE: Duration = Duration::from_hours(1);
    const MOMENT: Duration = Duration::from_millis(1);

    #[tokio::test]
    async fn no_connection_is_asked_for_at_once_where_none_can_be_taken() {
        // Too many open files, as POSIX counts it.
        let exhausted = io::Error::from_raw_os_error(24);
        let listener = Outage::new("the listener", Clock::manual(Timestamp::default()).0);
        assert!(paced(Err::<(), _>(exhausted), listener.clone()).now_or_never().is_none());
        let gone = io::Error::from(io::ErrorKind::ConnectionAborted);
        assert!(paced(Err::<(), _>(gone), listener.clone()).now_or_never().is_some());
        assert!(paced(Ok(()), listener.clone()).now_or_never().is_some());
    }

    #[test]
    fn a_connection_is_idle_after_just_so_long_without_a_call() {
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
        assert!(!is_idle(), "the last call ended a moment too late");
        hand.advance(MOMENT);
        assert!(is_idle());
    }

    #[test]
    fn a_connection_is_told_to_go_then_its_calls_end_then_it_is_cut() {
        let (clock, hand) = Clock::manual(Timestamp::default());
        let old = ConnectionAge::default();
        let mut passing = pin!(old.pass(&clock, AGE, IDLE));
        let mut at = |after: Duration| {
            hand.advance(after);
            assert!(passing.as_mut().now_or_never().is_none());
            let tokens = [&old.reached, &old.calls_ended, &old.cut];
            tokens.map(CancellationToken::is_cancelled)
        };
        assert_eq!(at(Duration::ZERO), [false; 3]);
        assert_eq!(at(AGE - MOMENT), [false; 3]);
        assert_eq!(at(MOMENT), [true, false, false]);
        assert_eq!(at(IDLE), [true, true, false]);
        assert_eq!(at(IDLE), [true; 3]);
    }

    #[test]
    fn ages_differ_by_a_tenth_either_way() {
        let limits = ConnectionLimits {
            connections_max: 1,
            per_address_max: 1,
            taking: IDLE,
            idle: IDLE,
            age: AGE,
        };
        assert_eq!(limits.age(0.0), AGE.mul_f64(0.9));
        assert_eq!(limits.age(0.5), AGE);
        assert_eq!(limits.age(1.0), AGE.mul_f64(1.1));
    }
}
