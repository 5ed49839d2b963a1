//! The admin port: tells machines and operators over plain HTTP whether the process lives, whether
//! it should get calls, what it counts and which version it is.
//!
//! It opens before the journal does, so that a long start can be told from a dead process. It
//! deliberately knows no other part of the service: the composition root hands in the checks and
//! the metrics. Nothing that it tells is secret, and nothing can be changed through it.

mod connections;
mod pulse;
mod readiness;
mod routes;
#[cfg(test)]
mod tests;
mod version;

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use http::{HeaderMap, Response};
use tokio::{net::TcpListener, task::JoinSet};

pub use readiness::{Readiness, ReadinessCheck, ReadinessNote};

use crate::{
    admin::{connections::PortLimits, pulse::Pulse, routes::Routes},
    clock::Clock,
};

/// Answers `/metrics`: given the request's headers, the whole response. It is called for each
/// scrape and must not block.
pub type Metrics = Arc<dyn Fn(&HeaderMap) -> Response<Bytes> + Send + Sync>;

/// The open admin port. It answers until it is closed or dropped.
pub struct AdminPort {
    address: SocketAddr,
    readiness: Readiness,
    metrics: Arc<OnceLock<Metrics>>,
    tasks: JoinSet<()>,
}

impl AdminPort {
    /// Binds the address and begins to answer: `/livez` says that the process lives, and `/readyz`
    /// that it is starting.
    ///
    /// # Errors
    /// If the socket can't be bound.
    pub async fn open(listen: SocketAddr, clock: &Clock) -> io::Result<Self> {
        Self::open_within(PortLimits::DEFAULT, listen, clock).await
    }

    async fn open_within(
        limits: PortLimits,
        listen: SocketAddr,
        clock: &Clock,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        let clock = clock.steady();
        let (readiness, metrics) = (Readiness::new(clock.clone()), Arc::default());
        let pulse = Pulse::new(clock.clone());
        let routes = Routes {
            pulse: pulse.clone(),
            readiness: readiness.clone(),
            metrics: Arc::clone(&metrics),
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { pulse.beat().await });
        tasks.spawn(connections::serve(listener, limits, routes.router(), clock));
        Ok(Self { address, readiness, metrics, tasks })
    }

    /// The bound address, with the port that the system chose if 0 was asked for.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The handle that says what `/readyz` answers.
    pub fn readiness(&self) -> Readiness {
        self.readiness.clone()
    }

    /// Has `/metrics` answered by this from now on; until then it is 404. A second call has no
    /// effect.
    pub fn expose(&self, metrics: Metrics) {
        // Only the first one is kept.
        let _ = self.metrics.set(metrics);
    }

    /// Closes the port and its connections.
    pub async fn close(mut self) {
        self.tasks.shutdown().await;
    }
}
