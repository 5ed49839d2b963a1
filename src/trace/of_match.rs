//! The trace of a match while one driver drives it: a root span of its own, because a match may
//! outlive the call that has created it, and move to another replica.
//!
//! The span is linked to the creating call and to its repeats. It ends with its driver; the next
//! driver, here or on another replica, begins another one with a link to the same call.

use crate::{
    domain::{CreatorTrace, MatchId, Timestamp, TraceContext},
    trace::{AskTrace, EndedSpan, SpanEvent, SpanKind, Tracer, TracerInner, span::Attributes},
};

/// The most events of a span. Polls leave room for the durable ones.
const EVENTS_MAX: usize = 128;
/// The most polls among them.
const POLLS_MAX: usize = 96;
/// The most links: the creating call, and its first repeats.
const LINKS_MAX: usize = 16;

/// The trace of a match, as its driver holds it. Without an exporter it is empty.
pub struct MatchTrace(Option<Box<MatchSpan>>);

/// The span of a match.
pub(super) struct MatchSpan {
    tracer: Tracer,
    pub(super) context: TraceContext,
    began: Timestamp,
    match_id: MatchId,
    epoch: u64,
    events: Vec<SpanEvent>,
    events_left_out: u32,
    links: Vec<TraceContext>,
    attributes: Attributes,
    is_error: bool,
}

impl MatchTrace {
    /// Begins the span of a match that is driven from now on, under a claim of this epoch.
    pub fn begin(
        tracer: &Tracer,
        match_id: MatchId,
        epoch: u64,
        creator: Option<&CreatorTrace>,
    ) -> Self {
        let Some(inner) = &tracer.0 else { return Self(None) };
        let creator = creator.map(|trace| trace.context);
        let takes = |id| inner.sampling.takes_match(creator.as_ref(), id);
        Self(Some(Box::new(MatchSpan {
            tracer: tracer.clone(),
            context: inner.context(None, takes),
            began: inner.now(),
            match_id,
            epoch,
            events: Vec::new(),
            events_left_out: 0,
            links: creator.into_iter().collect(),
            attributes: Vec::new(),
            is_error: false,
        })))
    }

    /// The context that log lines name: that of the span, or of the creating call where matches
    /// have no spans.
    pub fn context(&self, creator: Option<&CreatorTrace>) -> Option<TraceContext> {
        match &self.0 {
            Some(span) => Some(span.context),
            None => creator.map(|trace| trace.context),
        }
    }

    /// The context of the span, if there is one.
    pub fn own(&self) -> Option<TraceContext> {
        self.0.as_ref().map(|span| span.context)
    }

    /// The trace of a request to Oz that is sent next. `resends` counts how often it was sent
    /// before.
    pub fn ask<'a>(&'a self, creator: Option<&'a CreatorTrace>, resends: u32) -> AskTrace<'a> {
        AskTrace::of_match(self.0.as_deref(), creator, resends)
    }

    /// Notes something durable that has happened.
    pub fn event(&mut self, name: &'static str, attributes: impl FnOnce() -> Attributes) {
        if let Some((span, tracer)) = self.recorded() {
            let time = tracer.now();
            span.push(EVENTS_MAX, |attributes| SpanEvent { name, time, attributes }, attributes);
        }
    }

    /// Notes a poll. After the first ones they are only counted.
    pub fn poll(&mut self, attributes: impl FnOnce() -> Attributes) {
        if let Some((span, tracer)) = self.recorded() {
            let time = tracer.now();
            let event = |attributes| SpanEvent { name: "poll", time, attributes };
            span.push(POLLS_MAX, event, attributes);
        }
    }

    /// Sets attributes of the span, and whether it ends with an error.
    pub fn conclude(&mut self, is_error: bool, attributes: impl FnOnce() -> Attributes) {
        if let Some((span, _)) = self.recorded() {
            span.is_error = is_error;
            span.attributes.extend(attributes());
        }
    }

    /// Ends the span, with links to the calls that have repeated the creating call.
    pub fn end(&mut self, repeats: Vec<TraceContext>) {
        let Some(mut span) = self.0.take().filter(|span| span.context.is_sampled()) else { return };
        span.links.extend(repeats);
        span.links.truncate(LINKS_MAX);
        let tracer = span.tracer.clone();
        if let Some(tracer) = &tracer.0 {
            tracer.send(span.ended(tracer.now()));
        }
    }

    fn recorded(&mut self) -> Option<(&mut MatchSpan, std::sync::Arc<TracerInner>)> {
        let span = self.0.as_mut().filter(|span| span.context.is_sampled())?;
        let tracer = span.tracer.0.clone()?;
        Some((span, tracer))
    }
}

impl MatchSpan {
    fn push(
        &mut self,
        max: usize,
        event: impl FnOnce(Attributes) -> SpanEvent,
        attributes: impl FnOnce() -> Attributes,
    ) {
        match self.events.len() < max {
            true => self.events.push(event(attributes())),
            false => self.events_left_out += 1,
        }
    }

    pub(super) fn tracer(&self) -> Option<&TracerInner> {
        self.tracer.0.as_deref()
    }

    pub(super) fn send(&self, span: EndedSpan) {
        if let Some(tracer) = self.tracer() {
            tracer.send(span);
        }
    }

    fn ended(self, ended: Timestamp) -> EndedSpan {
        let mut attributes: Attributes = vec![
            ("facematch.match_id", self.match_id.to_string().into()),
            ("facematch.epoch", self.epoch.into()),
        ];
        attributes.extend(self.attributes);
        EndedSpan {
            context: self.context,
            parent: None,
            kind: SpanKind::Internal,
            name: "match",
            began: self.began,
            ended,
            attributes,
            events: self.events,
            events_left_out: self.events_left_out,
            links: self.links,
            is_error: self.is_error,
        }
    }
}
