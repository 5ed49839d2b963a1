//! Counts how often identity files and key sets were read again, and how it went.

use std::sync::atomic::{AtomicU64, Ordering};

/// What was read again, by its word in metrics.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReloadKind {
    /// The callers file.
    Callers,
    /// The key set of an issuer.
    Jwks,
}

impl ReloadKind {
    /// All kinds.
    pub const ALL: [Self; 2] = [Self::Callers, Self::Jwks];

    /// The word of the kind.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Callers => "callers",
            Self::Jwks => "jwks",
        }
    }
}

/// How often each kind was read again. A file counts when it has changed, and once for each new
/// fault; a key set counts each time that it is fetched.
#[derive(Default, Debug)]
pub struct Reloads {
    ok: [AtomicU64; 2],
    failed: [AtomicU64; 2],
}

/// How often files were read again with a change.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct ReloadCounts {
    /// What the files are for, as a metric names it.
    pub kind: &'static str,
    /// Changes that are in use.
    pub ok: u64,
    /// Changes that could not be used.
    pub failed: u64,
}

impl Reloads {
    /// How often a kind was read again: successfully, and in vain.
    pub fn of(&self, kind: ReloadKind) -> (u64, u64) {
        let count = |counts: &[AtomicU64; 2]| counts[kind as usize].load(Ordering::Relaxed);
        (count(&self.ok), count(&self.failed))
    }

    /// The counts of all kinds.
    pub fn counts(&self) -> [ReloadCounts; 2] {
        ReloadKind::ALL.map(|kind| {
            let (ok, failed) = self.of(kind);
            ReloadCounts { kind: kind.as_str(), ok, failed }
        })
    }

    pub(super) fn count(&self, kind: ReloadKind, ok: bool) {
        let counts = if ok { &self.ok } else { &self.failed };
        counts[kind as usize].fetch_add(1, Ordering::Relaxed);
    }
}
