//! Takes connections, and lets go of those that nobody calls on.
//!
//! Each is served by itself, so that one can be told to go while the others stay. How many there
//! may be is bounded: each takes a descriptor, and Oz and the store need theirs.

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
use futures_util::stream;
use http::{Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::net::{TcpListener, TcpStream};
use tokio_stream::StreamExt;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{
    Status,
    body::Body,
    service::Routes,
    transport::{Server, server::TcpIncoming},
};
use tower::Service;
use tracing::{debug, warn};

use crate::{
    clock::Clock,
    domain::Timestamp,
    grpc::{
        answer::Answering,
        call_log::CallLog,
        greeting::{self, Greeted},
    },
};

/// How long no connection is taken after none could be: the process may be out of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// How many connections there may be, and for how long without a call.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub connections_max: usize,
    pub idle: Duration,
}

/// What a connection gets. Cheap to clone.
#[derive(Clone)]
pub struct Connections {
    pub transport: Server,
    pub routes: Answering<Routes>,
    pub call_log: CallLog,
    pub limits: Limits,
    pub clock: Clock,
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
        let mut incoming = pin!(incoming.then(paced));
        let mut was_full = false;
        while let Some(Some(accepted)) = closing.run_until_cancelled(incoming.next()).await {
            let Ok(socket) = accepted else { continue };
            let is_full = open.len() >= self.limits.connections_max;
            if is_full && !was_full {
                warn!(connections.max = self.limits.connections_max, "connections are turned away");
            }
            was_full = is_full;
            if !is_full {
                open.spawn(self.clone().keep(socket, closing.clone()));
            }
        }
    }

    /// Serves one connection. It is told to go when nobody called on it for long, or when all are;
    /// the calls that are open by then still end as they would.
    async fn keep(self, socket: TcpStream, closing: CancellationToken) {
        let calls = Calls::new(self.clock);
        let gone = CancellationToken::new();
        let ending = {
            let (calls, gone, closing) = (calls.clone(), gone.clone(), closing.clone());
            async move {
                tokio::select! {
                    () = calls.idle(self.limits.idle) => debug!("a connection was idle for too long"),
                    () = gone.cancelled() => {}
                    () = closing.cancelled() => {}
                }
            }
        };
        let greeted =
            Greeted::new(socket, greeting::WITHIN, closing.cancelled_owned(), gone.drop_guard());
        let one = stream::iter([io::Result::Ok(greeted)]).chain(stream::pending());
        let service = Counted { inner: self.call_log.over(self.routes), calls };
        if let Err(failure) =
            self.transport.serve_with_incoming_shutdown(service, one, ending).await
        {
            warn!(error = %failure, "a connection could not be served");
        }
    }
}

/// Passes a connection on, or says why there is none. The listener is asked for the next one at
/// once: without a pause, a process out of descriptors would do nothing else.
async fn paced<C>(accepted: io::Result<C>) -> io::Result<C> {
    if let Err(failure) = &accepted
        && !is_of_one_connection(failure)
    {
        warn!(error = %failure, "no connection can be taken");
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
    count: Arc<Mutex<Count>>,
}

struct Count {
    open: usize,
    last_ended: Timestamp,
}

impl Calls {
    fn new(clock: Clock) -> Self {
        let count = Count { open: 0, last_ended: clock.now() };
        Self { clock, count: Arc::new(Mutex::new(count)) }
    }

    /// A call begins; it ends when that is dropped.
    fn begin(&self) -> Call {
        self.lock().open += 1;
        Call(self.clone())
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

    fn lock(&self) -> MutexGuard<'_, Count> {
        // Nothing that holds this lock can panic half-way, so a poisoned one is sound.
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Call(Calls);

impl Drop for Call {
    fn drop(&mut self) {
        let now = self.0.clock.now();
        let mut count = self.0.lock();
        count.open -= 1;
        count.last_ended = now;
    }
}

/// A service whose calls are counted, from their first byte to the last of their answer.
#[derive(Clone)]
struct Counted<S> {
    inner: S,
    calls: Calls,
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
        Box::pin(
            async move { Ok(called.await?.map(|body| Body::new(Answer { body, _call: call }))) },
        )
    }
}

/// An answer that keeps its call open.
struct Answer {
    body: Body,
    _call: Call,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
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
    const MOMENT: Duration = Duration::from_millis(1);

    #[tokio::test]
    async fn no_connection_is_asked_for_at_once_where_none_can_be_taken() {
        // Too many open files, as POSIX counts it.
        let exhausted = io::Error::from_raw_os_error(24);
        assert!(paced(Err::<(), _>(exhausted)).now_or_never().is_none());
        let gone = io::Error::from(io::ErrorKind::ConnectionAborted);
        assert!(paced(Err::<(), _>(gone)).now_or_never().is_some());
        assert!(paced(Ok(())).now_or_never().is_some());
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
}
