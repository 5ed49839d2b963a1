//! The trace of one read from the photo library: a span of kind CLIENT.

use crate::{
    domain::{Timestamp, TraceContext},
    trace::{EndedSpan, ParentSpan, SpanKind, of_match::MatchSpan, span::Attributes},
};

/// The trace of a read. A read that is given up ends with an error.
pub struct LibraryReadTrace<'a>(Option<OpenRead<'a>>);

/// The span of a read until it ends.
struct OpenRead<'a> {
    span: &'a MatchSpan,
    context: TraceContext,
    began: Timestamp,
    source: &'static str,
}

impl<'a> LibraryReadTrace<'a> {
    /// Begins a read from a library of this kind.
    pub(super) fn begin(span: Option<&'a MatchSpan>, source: &'static str) -> Self {
        let span = span.filter(|span| span.context.is_sampled());
        Self(span.and_then(|span| {
            let tracer = span.tracer()?;
            let context = tracer.context(Some(&span.context), |_| true);
            Some(OpenRead { span, context, began: tracer.now(), source })
        }))
    }

    /// Ends the read: with the bytes of the photo, or with the kind of failure.
    pub fn end(mut self, outcome: Result<usize, &'static str>) {
        self.close(outcome);
    }

    fn close(&mut self, outcome: Result<usize, &'static str>) {
        let Some(open) = self.0.take() else { return };
        let Some(tracer) = open.span.tracer() else { return };
        open.span.send(EndedSpan {
            context: open.context,
            parent: Some(ParentSpan { span_id: open.span.context.span_id(), is_remote: false }),
            kind: SpanKind::Client,
            name: "library.read",
            began: open.began,
            ended: tracer.now(),
            attributes: attributes(open.source, outcome),
            events: Vec::new(),
            events_left_out: 0,
            links: Vec::new(),
            is_error: outcome.is_err(),
        });
    }
}

impl Drop for LibraryReadTrace<'_> {
    fn drop(&mut self) {
        self.close(Err("given_up"));
    }
}

/// Neither the key nor the library's address is among them.
fn attributes(source: &'static str, outcome: Result<usize, &'static str>) -> Attributes {
    let detail = match outcome {
        Ok(bytes) => ("facematch.photo_bytes", (bytes as u64).into()),
        Err(failure) => ("error.type", failure.into()),
    };
    vec![("facematch.library_source", source.into()), detail]
}
