//! The trace of one call: its caller's context, and the span of the call if calls have spans.
//!
//! The span is made when the call ends, in one piece. Its ids are made before, once its caller is
//! known: at the latest when the call's context is needed.

use std::sync::OnceLock;

use crate::{
    domain::{MatchId, Timestamp, TraceContext},
    trace::{AttributeValue, EndedSpan, ParentSpan, SpanKind, Tracer, span::Attributes},
};

/// The trace of one call.
#[derive(Default)]
pub struct CallTrace {
    tracer: Tracer,
    parent: Option<TraceContext>,
    own: OnceLock<TraceContext>,
}

/// What a call's span tells about the call.
pub struct CallOutcome {
    /// The word of the door through which it has come.
    pub door: &'static str,
    /// The system of calls that its caller has used.
    pub rpc_system: &'static str,
    /// The full name of the method.
    pub method: &'static str,
    /// When the call began.
    pub began: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// The word of its gRPC code.
    pub code: &'static str,
    /// Whether the code is OK.
    pub is_ok: bool,
    /// Whether the code says that the service is at fault, or too slow.
    pub is_fault: bool,
    /// The reason from its status.
    pub reason: Option<String>,
    /// The match that it is about.
    pub match_id: Option<MatchId>,
}

impl CallTrace {
    /// The trace of a call with its caller's context.
    pub fn begin(tracer: &Tracer, parent: Option<TraceContext>) -> Self {
        Self { tracer: tracer.clone(), parent, own: OnceLock::new() }
    }

    /// Whether the call has a span, so that what its caller says about the trace ends here.
    pub const fn has_span(&self) -> bool {
        self.tracer.is_on()
    }

    /// The caller's context.
    pub const fn parent(&self) -> Option<TraceContext> {
        self.parent
    }

    /// The context that the effects of the call belong to: its span's, or its caller's where calls
    /// have no spans. The first call decides whether the span is recorded.
    pub fn context(&self, is_authenticated: bool) -> Option<TraceContext> {
        let Some(tracer) = &self.tracer.0 else { return self.parent };
        let parent = self.parent.as_ref();
        let own = self.own.get_or_init(|| {
            let takes = |id| tracer.sampling.takes_call(parent, is_authenticated, id);
            tracer.context(parent, takes)
        });
        Some(*own)
    }

    /// Ends the call's span, if it is recorded.
    pub fn end(&self, is_authenticated: bool, outcome: impl FnOnce() -> CallOutcome) {
        let Some(tracer) = &self.tracer.0 else { return };
        let context = self.context(is_authenticated).filter(TraceContext::is_sampled);
        let Some(context) = context else { return };
        let outcome = outcome();
        tracer.send(EndedSpan {
            context,
            parent: self
                .parent
                .map(|caller| ParentSpan { span_id: caller.span_id(), is_remote: true }),
            kind: SpanKind::Server,
            name: outcome.method,
            began: outcome.began,
            ended: outcome.ended,
            is_error: outcome.is_fault,
            attributes: attributes(outcome),
            events: Vec::new(),
            events_left_out: 0,
            links: Vec::new(),
        });
    }
}

/// The attributes of OpenTelemetry's conventions for RPC, and our own.
fn attributes(outcome: CallOutcome) -> Attributes {
    let mut attributes: Attributes = vec![
        ("rpc.system.name", outcome.rpc_system.into()),
        ("facematch.door", outcome.door.into()),
        ("rpc.method", outcome.method.into()),
        ("rpc.status_code", outcome.code.into()),
    ];
    let error = (!outcome.is_ok).then(|| ("error.type", outcome.code.into()));
    let reason = outcome.reason.map(|reason| ("facematch.reason", AttributeValue::from(reason)));
    let match_id =
        outcome.match_id.map(|id| ("facematch.match_id", AttributeValue::from(id.to_string())));
    attributes.extend([error, reason, match_id].into_iter().flatten());
    attributes
}
