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

impl Reloads {
    /// How often a kind was read again: successfully, and in vain.
    pub fn of(&self, kind: ReloadKind) -> (u64, u64) {
        let count = |counts: &[AtomicU64; 2]| counts[kind as usize].load(Ordering::Relaxed);
        (count(&self.ok), count(&self.failed))
    }

    pub(super) fn count(&self, kind: ReloadKind, ok: bool) {
        let counts = if ok { &self.ok } else { &self.failed };
        counts[kind as usize].fetch_add(1, Ordering::Relaxed);
    }
}
