//! Accepts connections, and drains those that are idle or old.
//!
//! Each connection is served by itself, so that one can be drained while the others stay. The
//! number of connections is bounded, in all and for each address: each one takes a file descriptor,
//! and the connections to Oz and the store need descriptors too. The transport calls the service as
//! soon as it has read a request's headers, before the call gets a task of its own: a call refused
//! by its headers is gone before the next headers are read. Nothing here looks into a call.

mod counted;

use std::{
    convert::Infallible,
    io,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use http::{Request, Response};
use hyper::{body::Incoming, server::conn::http2};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::{conn::auto, graceful::GracefulConnection},
};
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tokio_stream::StreamExt;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{
    body::Body,
    service::Routes,
    transport::server::{Connected, TcpConnectInfo, TcpIncoming},
};
use tower::Service;
use tracing::debug;

use crate::{
    access::audit::Audit,
    clock::Clock,
    grpc::{
        addresses::{AddressSlot, Addresses},
        admission::{AccessAnswers, Admission, ConnectionAdmission, HasLibrary},
        answer::ResponseMetadata,
        audit::Audited,
        call_log::{CallLog, Logged},
        connection_log::{ConnectionLog, ConnectionTrouble, PeerLog},
        connections::counted::{Calls, Counted},
        handshake::{self, PeerCertificate},
        peer::PeerNames,
        preface::{self, Patience, PrefaceTimeout, Protocols},
        second_door::{ACCESS_PATH, Answering, DoorArrival, MakeCall, SecondDoor},
    },
    outage::{self, Outage},
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

/// A port, and how its connections are served.
#[derive(Clone)]
pub enum Door {
    /// The first door: gRPC over HTTP/2 alone.
    First(http2::Builder<TokioExecutor>),
    /// The second door: other forms of the same calls, over HTTP/1.1 or HTTP/2.
    Second(Arc<auto::Builder<TokioExecutor>>, Arc<dyn SecondDoor>),
}

impl Door {
    const fn protocols(&self) -> Protocols {
        match self {
            Self::First(_) => Protocols::Http2,
            Self::Second(..) => Protocols::Any,
        }
    }
}

/// Serves connections: holds everything that a connection needs. Cheap to clone.
#[derive(Clone)]
pub struct Connections {
    pub admission: Arc<Admission<Routes>>,
    /// Tells the page of the second door whether its caller has a photo library.
    pub has_library: HasLibrary,
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
    /// Serves the doors until `closing` is cancelled and the open calls have ended. All limits are
    /// those of both doors together.
    pub async fn serve(
        self,
        doors: impl IntoIterator<Item = (TcpListener, Door)>,
        closing: CancellationToken,
    ) {
        let open = TaskTracker::new();
        let addresses = Addresses::new(self.limits.per_address_max, self.admission.shares());
        let accepting = doors.into_iter().map(|(listener, door)| {
            let (held, closing) = ((open.clone(), addresses.clone()), closing.clone());
            self.accept_all(listener, door, held, closing)
        });
        futures_util::future::join_all(accepting).await;
        open.close();
        open.wait().await;
    }

    async fn accept_all(
        &self,
        listener: TcpListener,
        door: Door,
        (open, addresses): (TaskTracker, Addresses),
        closing: CancellationToken,
    ) {
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        let listener = Outage::new("the listener", self.clock.clone());
        let failing = listener.clone();
        let mut incoming =
            pin!(incoming.then(move |taken| pause_after_failure(taken, failing.clone())));
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
                    let (serving, door) = (self.clone(), door.clone());
                    open.spawn(serving.serve_one(door, socket, slot, log, closing.clone()));
                }
                None => log.note(ConnectionTrouble::AddressFull),
            }
        }
    }

    /// Serves one connection, after its TLS handshake if there is one. The handshake runs here and
    /// not in the accept loop, so that a slow one delays no other connection.
    async fn serve_one(
        self,
        door: Door,
        socket: TcpStream,
        slot: AddressSlot,
        log: PeerLog,
        closing: CancellationToken,
    ) {
        let _open = self.connection_log.metrics().opened();
        let peer = socket.connect_info();
        let going = closing.clone().cancelled_owned();
        let mut patience = preface::patience(preface::PREFACE_TIMEOUT, going);
        let Some(config) = self.tls.as_ref().map(|configs| configs.borrow().clone()) else {
            let opened = Opened { stream: socket, peer, certificate: None, patience, log };
            return self.serve_opened(door, opened, slot, closing).await;
        };
        let protocols = door.protocols();
        let config = handshake::config_for(config, protocols);
        let shaken = handshake::accept(config, socket, protocols, &mut patience, &log).await;
        if let Some((stream, certificate)) = shaken {
            let opened = Opened { stream, peer, certificate, patience, log };
            // Boxed, so that connections in plain text don't take the memory of TLS.
            Box::pin(self.serve_opened(door, opened, slot, closing)).await;
        }
    }

    /// Serves one connection. It is drained when it has been idle for too long, when it has reached
    /// its age, when its client certificate expires, or when the server shuts down. Its open calls
    /// may still finish within their grace.
    async fn serve_opened<C: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        self,
        door: Door,
        opened: Opened<C>,
        slot: AddressSlot,
        closing: CancellationToken,
    ) {
        let Opened { stream, peer, certificate, patience, log } = opened;
        let names = certificate.map(|certificate| PeerNames::of(certificate.der()));
        let (calls, old) = (Calls::new(self.clock.clone()), ConnectionAge::default());
        let admission = self.admission.connection(slot.share());
        let counted = Counted {
            inner: admission.clone(),
            calls: calls.clone(),
            calls_ended: old.calls_ended.clone(),
        };
        let answering = ResponseMetadata::new(counted, self.chance.clone());
        let audited = Audited::new(answering, self.audit.clone(), self.chance.clone());
        let age = self.age_of(names.as_ref());
        let service = Calling { service: self.call_log.over(audited), peer, names };
        let cut = old.cut.clone().cancelled_owned();
        let protocols = door.protocols();
        let greeted = PrefaceTimeout::new(
            stream,
            protocols,
            patience,
            self.limits.unread_max,
            cut,
            log.clone(),
        );
        let greeted = TokioIo::new(greeted);
        let plan = DrainPlan { calls, old, age, closing };
        match door {
            Door::First(transport) => {
                let served = pin!(transport.serve_connection(greeted, service));
                if let Err(failure) = self.until_end(served, &plan).await {
                    log.note_if_broken(&failure);
                    debug!(error = outage::causes(&failure), "connection ended with an error");
                }
            }
            Door::Second(transport, door) => {
                let arrival = DoorArrival { is_tls: self.tls.is_some() };
                let access = self.access_answers(admission, &service);
                let service = Translated { door, calling: service, access, arrival };
                // Boxed, so that connections of the first door don't take its memory.
                let mut served = Box::pin(transport.serve_connection(greeted, service));
                if let Err(failure) = self.until_end(served.as_mut(), &plan).await {
                    if let Some(failure) = failure.downcast_ref() {
                        log.note_if_broken(failure);
                    }
                    let error = outage::causes(&*failure);
                    debug!(error, "connection ended with an error");
                }
            }
        }
    }

    /// Answers what the callers of a connection may do, with the log and the limits of their calls.
    fn access_answers<S>(
        &self,
        admission: ConnectionAdmission<Routes>,
        calling: &Calling<S>,
    ) -> Calling<Logged<ResponseMetadata<AccessAnswers<Routes>>>> {
        let answers = AccessAnswers::new(admission, Arc::clone(&self.has_library));
        let answers = ResponseMetadata::new(answers, self.chance.clone());
        let (peer, names) = (calling.peer.clone(), calling.names.clone());
        Calling { service: self.call_log.over(answers), peer, names }
    }

    /// Runs a connection to its end, and drains it when it is time. Taken by reference: by value, a
    /// connection would take its size several times.
    async fn until_end<S: GracefulConnection>(
        &self,
        mut served: Pin<&mut S>,
        plan: &DrainPlan,
    ) -> Result<(), S::Error> {
        let DrainPlan { calls, old, age, closing } = plan;
        let mut told = pin!(async {
            tokio::select! {
                () = calls.idle(self.limits.idle) => debug!("connection drained: idle too long"),
                () = old.reached.cancelled() => debug!("connection drained: it reached its age"),
                () = closing.cancelled() => {}
            }
        });
        let mut aging = pin!(old.run_out(&self.clock, *age, self.limits.age_grace()));
        let mut is_told = false;
        loop {
            tokio::select! {
                served = &mut served => return served,
                () = &mut told, if !is_told => {
                    is_told = true;
                    served.as_mut().graceful_shutdown();
                }
                never = &mut aging => match never {},
            }
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

/// What ends a connection in order.
struct DrainPlan {
    calls: Calls,
    old: ConnectionAge,
    age: Duration,
    closing: CancellationToken,
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
        self.begin(request.map(Body::new))
    }
}

impl<S> Calling<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone,
{
    fn begin(&self, mut request: Request<Body>) -> S::Future {
        request.extensions_mut().insert(self.peer.clone());
        if let Some(names) = &self.names {
            request.extensions_mut().insert(names.clone());
        }
        // The inner services are always ready: a call that finds no free slot is refused.
        self.service.clone().call(request)
    }
}

/// A service whose requests and answers pass through the second door.
struct Translated<S, A> {
    door: Arc<dyn SecondDoor>,
    calling: Calling<S>,
    /// Answers what the caller of a request may do.
    access: Calling<A>,
    arrival: DoorArrival,
}

impl<S, A> hyper::service::Service<Request<Incoming>> for Translated<S, A>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send + 'static,
    A: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    A: Clone + Send + 'static,
    A::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answering;

    fn call(&self, request: Request<Incoming>) -> Answering {
        let call: MakeCall = match request.uri().path() {
            ACCESS_PATH => {
                let access = self.access.clone();
                Box::new(move |request| Box::pin(access.begin(request)))
            }
            _ => {
                let calling = self.calling.clone();
                Box::new(move |request| Box::pin(calling.begin(request)))
            }
        };
        self.door.answer(request.map(Body::new), self.arrival, call)
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

#[cfg(test)]
mod slow_peers;

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::domain::Timestamp;

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
