//! The metrics of the process, in the formats of Prometheus and OpenMetrics.
//!
//! Each module counts with a type from here that it makes itself, and [`app`](crate::app) brings
//! them together in one [`Exposition`]. So a process may hold several services, whose counts don't
//! mix. What a module counts for its own purposes is read at each scrape instead. This module
//! deliberately serves nothing: the admin port does.

mod calls;
mod format;
mod invariants;
mod journal;
pub mod labels;
mod library;
mod matches;
mod oz;
pub mod process;
mod samples;
pub mod table;
#[cfg(test)]
mod tests;
mod watch;

use std::{fmt, sync::Arc, time::Duration};

use prometheus_client::{
    encoding::{prometheus_text, text},
    metrics::{family::Family, histogram::Histogram},
    registry::{self, Registry},
};

pub use calls::{CallMetrics, ConnectionMetrics, EndOfCall, OpenConnection};
pub use format::Format;
pub use invariants::{Invariant, Invariants};
pub use journal::JournalMetrics;
pub use library::{LibraryMetrics, ReadResult};
pub use matches::{MatchMetrics, Phase, PollResult, UnfinishedMatch};
pub use oz::{Endpoint, OzMetrics};
pub use samples::{Sampler, Samples};
pub use table::metrics_markdown;
pub use watch::{OpenStream, StreamKind, WatchMetrics};

use crate::metrics::{samples::Sampled, table::Metric};

/// A family of histograms with the same bounds.
type HistogramFamily<L> = Family<L, Histogram, fn() -> Histogram>;

/// The metrics that modules count with, to be shown together.
pub struct Sources<'a> {
    /// Of the gRPC server.
    pub calls: &'a CallMetrics,
    /// Of its connections.
    pub connections: &'a ConnectionMetrics,
    /// Of the worker.
    pub matches: &'a MatchMetrics,
    /// Of the Oz client.
    pub oz: &'a OzMetrics,
    /// Of the photo libraries.
    pub library: &'a LibraryMetrics,
    /// Of the journal.
    pub journal: &'a JournalMetrics,
    /// Of the watch.
    pub watch: &'a WatchMetrics,
    /// What is read at each scrape.
    pub samplers: Vec<Sampler>,
}

/// All metrics of a service. Cheap to clone.
#[derive(Clone)]
pub struct Exposition(Arc<Registry>);

impl Exposition {
    /// Brings the metrics of a service together.
    pub fn new(sources: Sources<'_>) -> Self {
        let mut registry = Registry::default();
        sources.calls.register(&mut registry);
        sources.connections.register(&mut registry);
        sources.matches.register(&mut registry);
        sources.oz.register(&mut registry);
        sources.library.register(&mut registry);
        sources.journal.register(&mut registry);
        sources.watch.register(&mut registry);
        registry.register_collector(Box::new(Sampled(sources.samplers)));
        Self(Arc::new(registry))
    }

    /// All metrics of this moment.
    ///
    /// # Errors
    /// None that is known: writing into memory succeeds.
    pub fn encode(&self, format: Format) -> Result<String, fmt::Error> {
        let mut text = String::new();
        match format {
            Format::Prometheus => prometheus_text::encode(&mut text, &self.0)?,
            Format::OpenMetrics => text::encode(&mut text, &self.0)?,
        }
        Ok(text)
    }
}

/// Adds metrics to a registry by their entries in the table.
trait Register {
    fn add(&mut self, metric: &'static Metric, counted: impl registry::Metric);
}

impl Register for Registry {
    fn add(&mut self, metric: &'static Metric, counted: impl registry::Metric) {
        self.register(base_name(metric), metric.help, counted);
    }
}

/// The name by which the library knows a metric: it adds `_total` to counters itself.
fn base_name(metric: &Metric) -> &'static str {
    metric.name.strip_suffix("_total").unwrap_or(metric.name)
}

fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}
