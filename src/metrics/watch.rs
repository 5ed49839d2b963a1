//! What streams of updates count.

use std::time::Duration;

use prometheus_client::{
    metrics::{family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

use crate::metrics::{Register, labels::KindLabels, seconds, table};

/// The bounds of the lag in seconds: live updates take milliseconds, a replica without
/// notifications polls every second.
const LAG_BOUNDS: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 2.5, 10.0];

/// What a stream follows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StreamKind {
    /// One match.
    One,
    /// All matches of a tenant.
    All,
}

/// Counts streams. Cheap to clone; clones share the counts.
#[derive(Clone, Debug)]
pub struct WatchMetrics {
    open: Family<KindLabels, Gauge>,
    lag: Histogram,
}

/// Counts one stream as open for as long as it is held.
pub struct OpenStream(Gauge);

impl Default for WatchMetrics {
    fn default() -> Self {
        Self { open: Family::default(), lag: Histogram::new(LAG_BOUNDS) }
    }
}

impl WatchMetrics {
    /// Counts a stream.
    pub fn opened(&self, kind: StreamKind) -> OpenStream {
        let gauge = self.open.get_or_create_owned(&labels(kind));
        gauge.inc();
        OpenStream(gauge)
    }

    /// Observes how long after its commit an update is sent.
    pub fn sent(&self, lag: Duration) {
        self.lag.observe(seconds(lag));
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        for kind in [StreamKind::One, StreamKind::All] {
            drop(self.open.get_or_create(&labels(kind)));
        }
        registry.add(&table::WATCHERS, self.open.clone());
        registry.add(&table::WATCH_LAG, self.lag.clone());
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.dec();
    }
}

const fn labels(kind: StreamKind) -> KindLabels {
    KindLabels {
        kind: match kind {
            StreamKind::One => "one",
            StreamKind::All => "all",
        },
    }
}
