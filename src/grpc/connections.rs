//! Accepts connections, and drains those that are idle or old.
//!
//! Each connection is served by itself, so that one can be drained while the others stay. The
//! number of connections is bounded, in all and for each address: each one takes a file descriptor,
//! and the connections to Oz and the store need descriptors too. The transport calls the service as
//! soon as it has read a request's headers, before the call gets a task of its own: a call refused
//! by its headers is gone before the next headers are read. Nothing here looks into a call.

use std::{
    convert::Infallible,
    future::Future,
    io,
    pin::{Pin, pin},
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::{body::Incoming, server::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::watch,
};
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
    access::audit::Audit,
    clock::Clock,
    domain::Timestamp,
    grpc::{
        addresses::{AddressSlot, Addresses},
        admission::Admission,
        answer::ResponseMetadata,
        audit::Audited,
        call_log::CallLog,
        connection_log::{ConnectionLog, ConnectionTrouble, PeerLog},
        handshake::{self, PeerCertificate},
        peer::PeerNames,
        preface::{self, Patience, PrefaceTimeout},
        status,
    },
    outage::{self, Outage},
    sync::lock,
    worker::Jitter,
};

/// How long the listener pauses after it failed to accept a connection: the process may be out of
/// descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// The logged reason for closing a connection as soon as it is accepted.
const ALL_IN_USE: &str = "all connections that --max-connections allows are in use";

/// The longest time that the calls of a connection may continue after it has reached its age: the
/// longest wait that a caller may ask for. A call still open then is a stream, which its caller
/// resumes.
const AGE_GRACE_MAX: Duration = Duration::from_mins(10);
/// By how much the age of a connection differs from the setting, either way. Without it,
/// connections opened together after a restart would all be reopened together.
const AGE_SPREAD: f64 = 0.1;

/// The limits of connections: how many, and how long.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    pub connections_max: usize,
    /// The most connections of one address.
    pub per_address_max: usize,
    /// How long a peer may read nothing of what is written.
    pub unread_max: Duration,
    /// How long a connection may stay open without a call.
    pub idle: Duration,
    /// How long a connection may live, before [`AGE_SPREAD`] is applied.
    pub age: Duration,
}

impl ConnectionLimits {
    /// How long one connection may live. `chance` is between 0 and 1.
    fn age(&self, chance: f64) -> Duration {
        self.age.mul_f64(1.0 - AGE_SPREAD + 2.0 * AGE_SPREAD * chance)
    }

    /// How long calls may continue after the connection has reached its age. After its calls were
    /// ended, the connection may stay open for as long again.
    fn age_grace(&self) -> Duration {
        self.age.min(AGE_GRACE_MAX)
    }
}

/// Serves connections: holds everything that a connection needs. Cheap to clone.
#[derive(Clone)]
pub struct Connections {
    pub transport: http2::Builder<TokioExecutor>,
    pub admission: Arc<Admission<Routes>>,
    pub call_log: CallLog,
    pub connection_log: ConnectionLog,
    pub audit: Audit,
    pub limits: ConnectionLimits,
    /// The TLS configuration of each new connection; `None` means plain text.
    pub tls: Option<watch::Receiver<Arc<ServerConfig>>>,
    pub clock: Clock,
    pub chance: Jitter,
}

impl Connections {
    /// Serves until `closing` is cancelled and the open calls have ended.
    pub async fn serve(self, listener: TcpListener, closing: CancellationToken) {
        let open = TaskTracker::new();
        self.accept_all(listener, &open, &closing).await;
        open.close();
        open.wait().await;
    }

    async fn accept_all(
        &self,
        listener: TcpListener,
        open: &TaskTracker,
        closing: &CancellationToken,
    ) {
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        let listener = Outage::new("the listener", self.clock.clone());
        let failing = listener.clone();
        let mut incoming =
            pin!(incoming.then(move |taken| pause_after_failure(taken, failing.clone())));
        let addresses = Addresses::new(self.limits.per_address_max, self.admission.shares());
        let full = Outage::new("the listener", self.clock.clone());
        while let Some(Some(accepted)) = closing.run_until_cancelled(incoming.next()).await {
            let Ok(socket) = accepted else { continue };
            listener.worked();
            if open.len() >= self.limits.connections_max {
                full.failed_because(|| ALL_IN_USE.to_owned());
                continue;
            }
            // A socket without a peer address has been closed already.
            let Ok(peer) = socket.peer_addr() else { continue };
            full.worked();
            let log = self.connection_log.of(peer.ip());
            match addresses.take(peer.ip()) {
                Some(slot) => {
                    open.spawn(self.clone().serve_one(socket, slot, log, closing.clone()));
                }
                None => log.note(ConnectionTrouble::AddressFull),
            }
        }
    }

    /// Serves one connection, after its TLS handshake if there is one. The handshake runs here and
    /// not in the accept loop, so that a slow one delays no other connection.
    async fn serve_one(
        self,
        socket: TcpStream,
        slot: AddressSlot,
        log: PeerLog,
        closing: CancellationToken,
    ) {
        let peer = socket.connect_info();
        let going = closing.clone().cancelled_owned();
        let mut patience = preface::patience(preface::PREFACE_TIMEOUT, going);
        let Some(config) = self.tls.as_ref().map(|configs| configs.borrow().clone()) else {
            let opened = Opened { stream: socket, peer, certificate: None, patience, log };
            return self.serve_opened(opened, slot, closing).await;
        };
        let shaken = handshake::accept(config, socket, &mut patience, &log).await;
        if let Some((stream, certificate)) = shaken {
            let opened = Opened { stream, peer, certificate, patience, log };
            // Boxed, so that connections in plain text don't take the memory of TLS.
            Box::pin(self.serve_opened(opened, slot, closing)).await;
        }
    }

    /// Serves one connection. It is drained when it has been idle for too long, when it has reached
    /// its age, when its client certificate expires, or when the server shuts down. Its open calls
    /// may still finish within their grace.
    async fn serve_opened<C: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        self,
        opened: Opened<C>,
        slot: AddressSlot,
        closing: CancellationToken,
    ) {
        let Opened { stream, peer, certificate, patience, log } = opened;
        let names = certificate.map(|certificate| PeerNames::of(certificate.der()));
        let (calls, old) = (Calls::new(self.clock.clone()), ConnectionAge::default());
        let counted = Counted {
            inner: self.admission.connection(slot.share()),
            calls: calls.clone(),
            calls_ended: old.calls_ended.clone(),
        };
        let answering = ResponseMetadata::new(counted, self.chance.clone());
        let audited = Audited::new(answering, self.audit.clone(), self.chance.clone());
        let age = self.age_of(names.as_ref());
        let service = Calling { service: self.call_log.over(audited), peer, names };
        let cut = old.cut.clone().cancelled_owned();
        let greeted =
            PrefaceTimeout::new(stream, patience, self.limits.unread_max, cut, log.clone());
        let mut served = pin!(self.transport.serve_connection(TokioIo::new(greeted), service));
        let mut told = pin!(async {
            tokio::select! {
                () = calls.idle(self.limits.idle) => debug!("connection drained: idle too long"),
                () = old.reached.cancelled() => debug!("connection drained: it reached its age"),
                () = closing.cancelled() => {}
            }
        });
        let mut aging = pin!(old.run_out(&self.clock, age, self.limits.age_grace()));
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
            debug!(error = outage::causes(&failure), "connection ended with an error");
        }
    }

    /// How long a connection may live: at most until its client certificate expires, so that its
    /// peer comes back with the next one.
    fn age_of(&self, names: Option<&PeerNames>) -> Duration {
        let age = self.limits.age((self.chance)());
        let expires = names.and_then(PeerNames::expires);
        expires.map_or(age, |expires| age.min(expires.since(self.clock.now())))
    }
}

/// A connection that is ready for its preface.
struct Opened<C> {
    stream: C,
    peer: TcpConnectInfo,
    certificate: Option<PeerCertificate>,
    patience: Patience,
    log: PeerLog,
}

/// Adapts a tower service to hyper, and adds the peer, and the names in its certificate if it has
/// presented one, to each request.
#[derive(Clone)]
struct Calling<S> {
    service: S,
    peer: TcpConnectInfo,
    names: Option<PeerNames>,
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
        if let Some(names) = &self.names {
            request.extensions_mut().insert(names.clone());
        }
        // The inner services are always ready: a call that finds no free slot is refused.
        self.service.clone().call(request)
    }
}

/// The stages of a connection's end by age, in this order.
#[derive(Default)]
struct ConnectionAge {
    /// The connection is drained.
    reached: CancellationToken,
    /// The calls that are still open are ended.
    calls_ended: CancellationToken,
    /// The connection is cut, because its peer reads nothing.
    cut: CancellationToken,
}

impl ConnectionAge {
    async fn run_out(&self, clock: &Clock, age: Duration, grace: Duration) -> Infallible {
        for (after, step) in [(age, &self.reached), (grace, &self.calls_ended), (grace, &self.cut)]
        {
            clock.sleep(after).await;
            step.cancel();
        }
        std::future::pending().await
    }
}

/// Passes the result of an accept on, after a pause if the listener failed. The next accept follows
/// at once, so without the pause a process out of descriptors would loop here.
async fn pause_after_failure<C>(accepted: io::Result<C>, listener: Outage) -> io::Result<C> {
    if let Err(failure) = &accepted
        && !is_of_one_connection(failure)
    {
        listener.failed(failure);
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
    accepted
}

/// Whether a failure concerns only the connection that was being accepted.
fn is_of_one_connection(failure: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(failure.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}

/// Counts the open calls of one connection. Clones share the count.
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

    /// Counts a call until the returned guard is dropped.
    fn begin(&self) -> CountedCall {
        self.lock().open += 1;
        CountedCall(self.clone())
    }

    /// Returns once there has been no call for `within`. It sleeps until the earliest time at which
    /// that can be true, so calls needn't wake it.
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
struct Counted<S> {
    inner: S,
    calls: Calls,
    calls_ended: CancellationToken,
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
    use futures_util::FutureExt;

    use super::*;

    const IDLE: Duration = Duration::from_secs(60);
    const AGE: Duration = Duration::from_hours(1);
    const MOMENT: Duration = Duration::from_millis(1);

    #[tokio::test]
    async fn accepting_pauses_after_a_failure_of_the_listener() {
        // EMFILE: too many open files.
        let exhausted = io::Error::from_raw_os_error(24);
        let listener = Outage::new("the listener", Clock::manual(Timestamp::default()).0);
        assert!(
            pause_after_failure(Err::<(), _>(exhausted), listener.clone()).now_or_never().is_none()
        );
        let gone = io::Error::from(io::ErrorKind::ConnectionAborted);
        assert!(pause_after_failure(Err::<(), _>(gone), listener.clone()).now_or_never().is_some());
        assert!(pause_after_failure(Ok(()), listener.clone()).now_or_never().is_some());
    }

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

    #[test]
    fn an_old_connection_is_drained_then_its_calls_end_then_it_is_cut() {
        let (clock, hand) = Clock::manual(Timestamp::default());
        let old = ConnectionAge::default();
        let mut passing = pin!(old.run_out(&clock, AGE, IDLE));
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
    fn ages_differ_by_up_to_a_tenth_either_way() {
        let limits = ConnectionLimits {
            connections_max: 1,
            per_address_max: 1,
            unread_max: IDLE,
            idle: IDLE,
            age: AGE,
        };
        assert_eq!(limits.age(0.0), AGE.mul_f64(0.9));
        assert_eq!(limits.age(0.5), AGE);
        assert_eq!(limits.age(1.0), AGE.mul_f64(1.1));
    }
}
