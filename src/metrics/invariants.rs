//! Counts broken promises: each count must stay zero.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// A promise that is checked while the service runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Invariant {
    /// The events of a match are numbered densely, and its closing event is the last.
    EventOrder,
    /// A stream shows each update of a match once and in order.
    UpdateOrder,
    /// A stream of many matches never goes back in the journal's order.
    PositionOrder,
}

impl Invariant {
    /// All invariants.
    pub const ALL: [Self; 3] = [Self::EventOrder, Self::UpdateOrder, Self::PositionOrder];

    /// The word of the invariant.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EventOrder => "event_order",
            Self::UpdateOrder => "update_order",
            Self::PositionOrder => "position_order",
        }
    }
}

/// Counts violations. Cheap to clone; clones share the counts.
#[derive(Clone, Default, Debug)]
pub struct Invariants(Arc<[AtomicU64; Invariant::ALL.len()]>);

impl Invariants {
    /// Counts and logs a violation unless the condition holds.
    pub fn check(&self, invariant: Invariant, holds: bool) {
        if !holds {
            self.violated(invariant);
        }
    }

    /// Counts and logs a violation.
    pub fn violated(&self, invariant: Invariant) {
        tracing::error!(invariant = invariant.as_str(), "invariant violated");
        self.0[invariant as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How often an invariant was violated.
    pub fn count(&self, invariant: Invariant) -> u64 {
        self.0[invariant as usize].load(Ordering::Relaxed)
    }
}
