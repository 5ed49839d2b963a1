//! What the journal's writer counts.

use std::time::Duration;

use prometheus_client::{metrics::histogram::Histogram, registry::Registry};

use crate::metrics::{Register, seconds, table};

/// The bounds of commits in seconds: a local disk syncs in a millisecond, a database far away and
/// busy takes seconds.
const COMMIT_BOUNDS: [f64; 12] =
    [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// Counts commits. Cheap to clone; clones share the counts.
#[derive(Clone, Debug)]
pub struct JournalMetrics {
    commits: Histogram,
}

impl Default for JournalMetrics {
    fn default() -> Self {
        Self { commits: Histogram::new(COMMIT_BOUNDS) }
    }
}

impl JournalMetrics {
    /// Observes how long a commit took.
    pub fn committed(&self, took: Duration) {
        self.commits.observe(seconds(took));
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        registry.add(&table::JOURNAL_COMMIT, self.commits.clone());
    }
}
