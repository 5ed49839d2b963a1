//! The trace of one request to Oz: the context that goes along, and a span of kind CLIENT.
//!
//! A poll has no span of its own: a match polls up to a thousand times.

use crate::{
    domain::{CreatorTrace, Timestamp, TraceContext},
    trace::{
        EndedSpan, LibraryReadTrace, ParentSpan, SpanKind, of_match::MatchSpan, span::Attributes,
    },
};

/// The trace that a request to Oz, or a read from the photo library, belongs to.
#[derive(Clone, Copy, Default)]
pub struct AskTrace<'a> {
    span: Option<&'a MatchSpan>,
    creator: Option<&'a CreatorTrace>,
    resends: u32,
}

/// The trace of one HTTP request. A request that is given up ends with an error.
pub struct RequestTrace<'a> {
    of: AskTrace<'a>,
    context: Option<TraceContext>,
    open: Option<OpenRequest>,
}

/// The span of a request until its answer comes.
struct OpenRequest {
    began: Timestamp,
    method: &'static str,
    name: &'static str,
    template: &'static str,
    server: String,
    port: Option<u16>,
    resends: u32,
}

/// How a request has ended.
#[derive(Clone, Copy, Default)]
pub struct RequestOutcome {
    /// The HTTP status of the answer, if there was one.
    pub status: Option<u16>,
    /// The kind of failure; `None` if it has worked.
    pub error: Option<&'static str>,
}

impl<'a> AskTrace<'a> {
    pub(super) const fn of_match(
        span: Option<&'a MatchSpan>,
        creator: Option<&'a CreatorTrace>,
        resends: u32,
    ) -> Self {
        Self { span, creator, resends }
    }

    /// Begins a read from a photo library of this kind.
    pub fn library_read(&self, source: &'static str) -> LibraryReadTrace<'a> {
        LibraryReadTrace::begin(self.span, source)
    }

    /// Begins a request that has no span of its own.
    pub fn poll(&self) -> RequestTrace<'a> {
        let context = match self.span {
            Some(span) => Some(span.context),
            None => self.creator.map(|creator| creator.context),
        };
        RequestTrace { of: *self, context, open: None }
    }

    /// Begins a request. Its name is its method and its path without ids, `METHOD TEMPLATE`.
    /// `repeats` counts how often the request was just repeated.
    pub fn request(
        &self,
        name: &'static str,
        server: OzServer<'_>,
        repeats: u32,
    ) -> RequestTrace<'a> {
        let Some((span, tracer)) = self.span.and_then(|span| Some((span, span.tracer()?))) else {
            return self.poll();
        };
        let context = tracer.context(Some(&span.context), |_| span.context.is_sampled());
        let (method, template) = name.split_once(' ').unwrap_or((name, ""));
        let open = context.is_sampled().then(|| OpenRequest {
            began: tracer.now(),
            method,
            name,
            template,
            server: server.host.to_owned(),
            port: server.port,
            resends: self.resends + repeats,
        });
        RequestTrace { of: *self, context: Some(context), open }
    }
}

/// Where a request goes.
#[derive(Clone, Copy)]
pub struct OzServer<'a> {
    /// The host's name or address.
    pub host: &'a str,
    /// Its port.
    pub port: Option<u16>,
}

impl RequestTrace<'_> {
    /// The `traceparent` that goes along.
    pub const fn context(&self) -> Option<TraceContext> {
        self.context
    }

    /// The `tracestate` that goes along: the caller's, with the caller's own context only.
    pub fn state(&self) -> Option<&str> {
        let creator = self.of.creator.filter(|_| self.of.span.is_none())?;
        creator.state.as_ref().map(|state| state.as_str())
    }

    /// Ends the request.
    pub fn end(mut self, outcome: RequestOutcome) {
        self.close(outcome);
    }

    fn close(&mut self, outcome: RequestOutcome) {
        let Some((open, span)) = self.open.take().zip(self.of.span) else { return };
        let Some((context, tracer)) = self.context.zip(span.tracer()) else { return };
        span.send(EndedSpan {
            context,
            parent: Some(ParentSpan { span_id: span.context.span_id(), is_remote: false }),
            kind: SpanKind::Client,
            name: open.name,
            began: open.began,
            ended: tracer.now(),
            attributes: open.attributes(outcome),
            events: Vec::new(),
            events_left_out: 0,
            links: Vec::new(),
            is_error: outcome.error.is_some(),
        });
    }
}

impl Drop for RequestTrace<'_> {
    fn drop(&mut self) {
        self.close(RequestOutcome { status: None, error: Some("given_up") });
    }
}

impl OpenRequest {
    /// The attributes of OpenTelemetry's conventions for HTTP clients. The URL isn't among them: it
    /// has ids.
    fn attributes(self, outcome: RequestOutcome) -> Attributes {
        let mut attributes: Attributes = vec![
            ("http.request.method", self.method.into()),
            ("url.template", self.template.into()),
            ("server.address", self.server.into()),
        ];
        let port = self.port.map(|port| ("server.port", u64::from(port).into()));
        let status =
            outcome.status.map(|code| ("http.response.status_code", u64::from(code).into()));
        let error = outcome.error.map(|kind| ("error.type", kind.into()));
        let resends = (self.resends > 0)
            .then(|| ("http.request.resend_count", u64::from(self.resends).into()));
        attributes.extend([port, status, error, resends].into_iter().flatten());
        attributes
    }
}
