//! Carries what only a call's handler knows to the log line of the call's end.
//!
//! It deliberately keeps the first value of each field: later ones are ignored.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use http::Extensions;
use tonic::{Request, Status};

use crate::{
    access::Grant,
    domain::{Match, MatchId, Position, RequestId, TraceContext},
    outage,
    trace::CallTrace,
    watch::Key,
};

/// The record of one call, stored in the extensions of its request. Clones share it.
#[derive(Clone, Default)]
pub struct CallRecord(Arc<CallFacts>);

#[derive(Default)]
struct CallFacts {
    trace: CallTrace,
    match_id: OnceLock<MatchId>,
    request_id: OnceLock<RequestId>,
    error: OnceLock<String>,
    bytes_in: AtomicU64,
    is_unread: AtomicBool,
    grant: OnceLock<Grant>,
    /// The positions of the first and the last update that the call has shown. No update has
    /// position 0.
    first_position: AtomicU64,
    last_position: AtomicU64,
}

impl CallRecord {
    /// The record of a call that belongs to a trace.
    pub fn traced(trace: CallTrace) -> Self {
        Self(Arc::new(CallFacts { trace, ..CallFacts::default() }))
    }

    /// The trace of the call.
    pub fn trace(&self) -> &CallTrace {
        &self.0.trace
    }

    /// The context that the effects of the call belong to. To be asked once its caller is known.
    pub fn trace_context(&self) -> Option<TraceContext> {
        self.0.trace.context(self.is_authenticated())
    }

    /// Whether the caller has shown a good credential, and not only needed none.
    pub fn is_authenticated(&self) -> bool {
        self.grant().is_some_and(|grant| !grant.credential().is_empty())
    }

    /// The record of a call. A request that didn't come through the call log gets a fresh record
    /// that is never read.
    pub fn of<T>(request: &Request<T>) -> Self {
        Self::among(request.extensions())
    }

    /// The record in a request's extensions, or a fresh one as in [`CallRecord::of`].
    pub fn among(extensions: &Extensions) -> Self {
        extensions.get::<Self>().cloned().unwrap_or_default()
    }

    /// Notes who calls.
    pub fn granted(&self, grant: Grant) {
        let _ = self.0.grant.set(grant);
    }

    /// Who calls; `None` for a call without a good credential.
    pub fn grant(&self) -> Option<&Grant> {
        self.0.grant.get()
    }

    /// Notes that the call shows the update at a position. Later updates have later positions.
    pub fn shows(&self, position: Position) {
        // Only the call's own task writes them.
        if self.0.first_position.load(Ordering::Relaxed) == 0 {
            self.0.first_position.store(position.0, Ordering::Relaxed);
        }
        self.0.last_position.store(position.0, Ordering::Relaxed);
    }

    /// The positions of the first and the last update that the call has shown, if it has shown any.
    pub fn positions(&self) -> Option<(Position, Position)> {
        let [first, last] = [&self.0.first_position, &self.0.last_position]
            .map(|position| position.load(Ordering::Relaxed));
        (first != 0).then_some((Position(first), Position(last)))
    }

    /// Notes the match that the call is about.
    pub fn names_match(&self, id: MatchId) {
        // The caller meant the first id.
        let _ = self.0.match_id.set(id);
    }

    /// Notes the request id that the call gives. Text that isn't a valid request id is ignored.
    pub fn names_request(&self, text: &str) {
        if let Ok(id) = text.parse() {
            let _ = self.0.request_id.set(id);
        }
    }

    /// Notes the key by which the call names its match.
    pub fn names(&self, key: &Key) {
        match key {
            Key::Match(id) => self.names_match(*id),
            Key::Request(id) => {
                let _ = self.0.request_id.set(id.clone());
            }
        }
    }

    /// Notes the ids of the match that the call has found.
    pub fn found(&self, m: &Match) {
        self.names_match(m.id);
        if let Some(id) = &m.spec.request_id {
            let _ = self.0.request_id.set(id.clone());
        }
    }

    /// Notes the error behind the status with which a stream breaks off. The call log sees only the
    /// part of that status that is sent.
    pub fn broke_off(&self, status: &Status) {
        if let Some(error) = std::error::Error::source(status) {
            let _ = self.0.error.set(outage::causes(error));
        }
    }

    /// Notes that the call's stream stalled and was ended. Its caller may never read that status.
    pub fn note_stalled(&self) {
        self.0.is_unread.store(true, Ordering::Relaxed);
    }

    /// Whether the call's stream stalled and was ended.
    pub fn has_stalled(&self) -> bool {
        self.0.is_unread.load(Ordering::Relaxed)
    }

    /// The match that the call is about, if known.
    pub fn match_id(&self) -> Option<MatchId> {
        self.0.match_id.get().copied()
    }

    /// The caller's own id of the match, if known.
    pub fn request_id(&self) -> Option<&RequestId> {
        self.0.request_id.get()
    }

    /// The error behind a stream that broke off, with its causes, if noted.
    pub fn error(&self) -> Option<&str> {
        self.0.error.get().map(String::as_str)
    }

    /// Adds bytes of the request's body that have arrived.
    pub fn add_bytes_in(&self, bytes: usize) {
        self.0.bytes_in.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// The bytes of the request's body that have arrived so far.
    pub fn bytes_in(&self) -> u64 {
        self.0.bytes_in.load(Ordering::Relaxed)
    }
}
