//! The connections of the admin port, within limits that no client can exhaust.
//!
//! A new connection is never refused: if too many are open, the oldest is closed for it. A probe
//! takes milliseconds, so it is answered however many other connections say nothing.

use std::{collections::VecDeque, pin::pin, time::Duration};

use axum::Router;
use http::Request;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinSet},
};
use tower::Service;
use tracing::debug;

use crate::clock::Clock;

/// How long the listener pauses after it failed to accept a connection: the process may be out of
/// descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// How long the answer that is being sent may go on once a connection is old.
const CLOSING_TIMEOUT: Duration = Duration::from_secs(10);

/// The most bytes of a request's head, and of an answer that waits to be read.
const BUFFER_BYTES_MAX: usize = 16 * 1024;

/// The most headers of a request.
const HEADERS_MAX: usize = 64;

/// The limits of the port's connections.
#[derive(Clone, Copy, Debug)]
pub(super) struct PortLimits {
    /// How many may be open.
    pub connections_max: usize,
    /// How long a request's head may take to arrive, counted from the answer before it.
    pub head_timeout: Duration,
    /// How long a connection may live, scrapes on it included.
    pub age_max: Duration,
}

impl PortLimits {
    /// Far more connections than kubelets, scrapers and people at a terminal open; the times leave
    /// room for a scrape every minute over one connection.
    pub(super) const DEFAULT: Self = Self {
        connections_max: 64,
        head_timeout: Duration::from_secs(75),
        age_max: Duration::from_mins(10),
    };
}

/// Serves connections; never ends.
pub(super) async fn serve(listener: TcpListener, limits: PortLimits, router: Router, clock: Clock) {
    let mut tasks = JoinSet::new();
    let mut oldest_first: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                debug!(%error, "admin port: connection not accepted");
                clock.sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        while tasks.try_join_next().is_some() {}
        oldest_first.retain(|connection| !connection.is_finished());
        if oldest_first.len() >= limits.connections_max
            && let Some(oldest) = oldest_first.pop_front()
        {
            oldest.abort();
        }
        let served = serve_one(stream, limits, router.clone(), clock.clone());
        oldest_first.push_back(tasks.spawn(served));
    }
}

async fn serve_one(stream: TcpStream, limits: PortLimits, router: Router, clock: Clock) {
    let answer = service_fn(move |request: Request<Incoming>| router.clone().call(request));
    let connection = transport(limits).serve_connection(TokioIo::new(stream), answer);
    let mut connection = pin!(connection);
    tokio::select! {
        // An error is the peer's: it has gone, or speaks no HTTP.
        _ = connection.as_mut() => return,
        () = clock.sleep(limits.age_max) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = clock.before(clock.now().after(CLOSING_TIMEOUT), connection).await;
}

fn transport(limits: PortLimits) -> http1::Builder {
    let mut transport = http1::Builder::new();
    transport
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_headers(HEADERS_MAX)
        .max_buf_size(BUFFER_BYTES_MAX);
    transport
}
