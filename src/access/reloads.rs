//! Counts how often files and key sets were read again, and how it went.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use crate::domain::Timestamp;

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

/// How often one kind was read again: with a change that is in use, and with an unusable change.
#[derive(Default, Debug)]
pub struct ReloadCount {
    ok: AtomicU64,
    failed: AtomicU64,
    /// When a change was last put to use, in microseconds since 1970; 0 before.
    last_success: AtomicI64,
}

impl ReloadCount {
    /// Counts a change that is in use from now on.
    pub fn succeeded(&self, now: Timestamp) {
        self.ok.fetch_add(1, Ordering::Relaxed);
        self.last_success.store(now.as_micros(), Ordering::Relaxed);
    }

    /// Counts a change that can't be used.
    pub fn failed(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    /// The counts, under the word of the kind in metrics.
    pub fn of(&self, kind: &'static str) -> ReloadCounts {
        ReloadCounts {
            kind,
            ok: self.ok.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            last_success: Timestamp::from_micros(self.last_success.load(Ordering::Relaxed)),
        }
    }
}

/// The counts of the callers file and of key sets. A file counts when it has changed, and once for
/// each new fault; a key set counts each time that it is fetched.
#[derive(Default, Debug)]
pub struct Reloads([ReloadCount; 2]);

/// How often files were read again with a change.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct ReloadCounts {
    /// What the files are for, as a metric names it.
    pub kind: &'static str,
    /// Changes that are in use.
    pub ok: u64,
    /// Changes that could not be used.
    pub failed: u64,
    /// When a change was last put to use; 1970 before the first time.
    pub last_success: Timestamp,
}

impl Reloads {
    /// How often a kind was read again: successfully, and in vain.
    pub fn of(&self, kind: ReloadKind) -> (u64, u64) {
        let ReloadCounts { ok, failed, .. } = self.count(kind).of(kind.as_str());
        (ok, failed)
    }

    /// The counts of all kinds.
    pub fn counts(&self) -> [ReloadCounts; 2] {
        ReloadKind::ALL.map(|kind| self.count(kind).of(kind.as_str()))
    }

    /// The count of a kind.
    pub(super) const fn count(&self, kind: ReloadKind) -> &ReloadCount {
        &self.0[kind as usize]
    }
}
