//! What only the handler of a call knows, for the line that tells of the call's end.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use http::Extensions;
use tonic::{Request, Status};

use crate::{
    domain::{Match, MatchId, RequestId},
    outage,
    watch::Key,
};

/// A call's record: in the extensions of its request. Clones write the same one.
#[derive(Clone, Default)]
pub struct CallRecord(Arc<CallFacts>);

#[derive(Default)]
struct CallFacts {
    match_id: OnceLock<MatchId>,
    request_id: OnceLock<RequestId>,
    error: OnceLock<String>,
    bytes_in: AtomicU64,
    is_unread: AtomicBool,
}

impl CallRecord {
    /// The record of a call; of a request that came by no port, one that nothing reads.
    pub fn of<T>(request: &Request<T>) -> Self {
        Self::among(request.extensions())
    }

    /// The record among a request's extensions, likewise.
    pub fn among(extensions: &Extensions) -> Self {
        extensions.get::<Self>().cloned().unwrap_or_default()
    }

    /// The call is about this match.
    pub fn names_match(&self, id: MatchId) {
        // The first is the one that the caller meant.
        let _ = self.0.match_id.set(id);
    }

    /// The call has named its match so, whether it is a match's name or not.
    pub fn names_request(&self, text: &str) {
        if let Ok(id) = text.parse() {
            let _ = self.0.request_id.set(id);
        }
    }

    /// The call has named its match by this key.
    pub fn names(&self, key: &Key) {
        match key {
            Key::Match(id) => self.names_match(*id),
            Key::Request(id) => {
                let _ = self.0.request_id.set(id.clone());
            }
        }
    }

    /// The call has found its match.
    pub fn found(&self, m: &Match) {
        self.names_match(m.id);
        if let Some(id) = &m.spec.request_id {
            let _ = self.0.request_id.set(id.clone());
        }
    }

    /// A stream has broken off so: of its status only what is sent reaches the log.
    pub fn broke_off(&self, status: &Status) {
        if let Some(error) = std::error::Error::source(status) {
            let _ = self.0.error.set(outage::causes(error));
        }
    }

    /// Its answer has lain unread for too long, and is let go: its caller may never hear of it.
    pub fn lies_unread(&self) {
        self.0.is_unread.store(true, Ordering::Relaxed);
    }

    /// Whether its answer was let go unread.
    pub fn is_unread(&self) -> bool {
        self.0.is_unread.load(Ordering::Relaxed)
    }

    /// Which match, if it is known.
    pub fn match_id(&self) -> Option<MatchId> {
        self.0.match_id.get().copied()
    }

    /// The caller's own id of it, if it is known.
    pub fn request_id(&self) -> Option<&RequestId> {
        self.0.request_id.get()
    }

    /// Why the call broke off, if that was written.
    pub fn error(&self) -> Option<&str> {
        self.0.error.get().map(String::as_str)
    }

    /// So many more bytes of its request have come.
    pub fn came(&self, bytes: usize) {
        self.0.bytes_in.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// How many bytes of its request have come.
    pub fn bytes_in(&self) -> u64 {
        self.0.bytes_in.load(Ordering::Relaxed)
    }
}
