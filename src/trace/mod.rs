//! Spans: what calls, matches, requests to Oz and reads from the photo library tell about themselves
//! to a trace collector.
//!
//! Spans are plain values here, made by explicit calls and only if an exporter is configured; a span
//! that isn't sampled takes its ids and nothing else. A span has no field for metadata, labels,
//! request ids or photos. The module deliberately doesn't know where spans go, and never logs: so
//! the exporter can't trace itself.

mod call;
mod library_read;
mod of_match;
mod request;
mod sampling;
mod span;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::mpsc;

pub use call::{CallOutcome, CallTrace};
pub use library_read::LibraryReadTrace;
pub use of_match::MatchTrace;
pub use request::{AskTrace, OzServer, RequestOutcome, RequestTrace};
pub use sampling::Sampling;
pub use span::{AttributeValue, Attributes, EndedSpan, ParentSpan, SpanEvent, SpanKind};

use crate::{
    clock::Clock,
    domain::{Timestamp, TraceContext},
};

/// The source of ids: random numbers.
pub type Ids = Arc<dyn Fn() -> u64 + Send + Sync>;

/// Makes spans, or none if no exporter is configured. Cheap to clone; clones share their queue.
#[derive(Clone, Default)]
pub struct Tracer(Option<Arc<TracerInner>>);

struct TracerInner {
    sampling: Sampling,
    clock: Clock,
    ids: Ids,
    ended: mpsc::Sender<EndedSpan>,
    dropped: DroppedSpans,
}

/// The number of spans that were lost: the queue was full, or the collector didn't take them.
/// Clones share it.
#[derive(Clone, Default, Debug)]
pub struct DroppedSpans(Arc<AtomicU64>);

impl DroppedSpans {
    /// The number since the start.
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Adds lost spans.
    pub fn add(&self, spans: usize) {
        self.0.fetch_add(spans as u64, Ordering::Relaxed);
    }
}

impl Tracer {
    /// Makes no spans. Trace contexts of callers are passed on as they are.
    pub const fn off() -> Self {
        Self(None)
    }

    /// Makes spans, and hands those that have ended to the receiver. At most `waiting_max` wait
    /// there; further ones are dropped and counted.
    pub fn new(
        sampling: Sampling,
        clock: Clock,
        ids: Ids,
        waiting_max: usize,
    ) -> (Self, mpsc::Receiver<EndedSpan>) {
        let (ended, waiting) = mpsc::channel(waiting_max.max(1));
        let dropped = DroppedSpans::default();
        let inner = TracerInner { sampling, clock, ids, ended, dropped };
        (Self(Some(Arc::new(inner))), waiting)
    }

    /// Whether spans are made.
    pub const fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// The number of spans that were lost.
    pub fn dropped(&self) -> DroppedSpans {
        self.0.as_ref().map(|inner| inner.dropped.clone()).unwrap_or_default()
    }
}

impl TracerInner {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A new span of the parent's trace, or of a new trace.
    fn context(
        &self,
        parent: Option<&TraceContext>,
        is_sampled: impl Fn([u8; 16]) -> bool,
    ) -> TraceContext {
        let trace_id = parent.map_or_else(|| self.trace_id(), TraceContext::trace_id);
        TraceContext::new(trace_id, self.span_id(), is_sampled(trace_id))
    }

    fn trace_id(&self) -> [u8; 16] {
        let [high, low] = [self.id(), self.id()];
        (u128::from(high) << 64 | u128::from(low)).to_be_bytes()
    }

    fn span_id(&self) -> [u8; 8] {
        self.id().to_be_bytes()
    }

    /// An id is never zero.
    fn id(&self) -> u64 {
        (self.ids)().max(1)
    }

    /// Queues a span that has ended; never waits.
    fn send(&self, span: EndedSpan) {
        if self.ended.try_send(span).is_err() {
            self.dropped.add(1);
        }
    }
}

impl fmt::Debug for Tracer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tracer").field("is_on", &self.is_on()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
