//! What reads from photo libraries count.

use std::time::Duration;

use prometheus_client::{
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::Registry,
};

use crate::{
    domain::LibraryFault,
    metrics::{
        HistogramFamily, Register,
        labels::{ReadLabels, SourceLabels},
        seconds, table,
    },
};

/// The bounds of reads in seconds: from a file in the page cache to the longest time that a read may
/// take.
const READ_BOUNDS: [f64; 12] =
    [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0];

/// How a read from a photo library has ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ReadResult {
    /// With a photo.
    Done,
    /// There was no memory for the photo at present.
    NoRoom,
    /// The reader left: its match has ended, or the server drains.
    GivenUp,
    /// The library has no usable answer.
    Failed(LibraryFault),
}

impl ReadResult {
    /// All results.
    const ALL: [Self; 10] = [
        Self::Done,
        Self::NoRoom,
        Self::GivenUp,
        Self::Failed(LibraryFault::Unreachable),
        Self::Failed(LibraryFault::Forbidden),
        Self::Failed(LibraryFault::Protocol),
        Self::Failed(LibraryFault::NotFound),
        Self::Failed(LibraryFault::Ambiguous),
        Self::Failed(LibraryFault::Unreadable),
        Self::Failed(LibraryFault::TooLarge),
    ];

    /// Its word in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "ok",
            Self::NoRoom => "no_room",
            Self::GivenUp => "given_up",
            Self::Failed(fault) => fault.as_str(),
        }
    }
}

/// Counts reads from photo libraries. Cheap to clone; clones share the counts.
#[derive(Clone, Debug)]
pub struct LibraryMetrics {
    reads: Family<ReadLabels, Counter>,
    durations: HistogramFamily<SourceLabels>,
}

impl Default for LibraryMetrics {
    fn default() -> Self {
        Self {
            reads: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(READ_BOUNDS)),
        }
    }
}

impl LibraryMetrics {
    /// Begins the series of a kind of library at zero: Prometheus sees no increase where a series
    /// begins with its first event.
    pub fn opened(&self, source: &'static str) {
        for result in ReadResult::ALL {
            drop(self.reads.get_or_create(&ReadLabels { source, result: result.as_str() }));
        }
        drop(self.durations.get_or_create(&SourceLabels { source }));
    }

    /// Observes a read that has ended.
    pub fn ended(&self, source: &'static str, result: ReadResult, took: Duration) {
        self.reads.get_or_create(&ReadLabels { source, result: result.as_str() }).inc();
        self.durations.get_or_create(&SourceLabels { source }).observe(seconds(took));
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        registry.add(&table::LIBRARY_READS, self.reads.clone());
        registry.add(&table::LIBRARY_READ_SECONDS, self.durations.clone());
    }
}
