//! What the span of a match tells: its durable events, its polls, and how it has ended. Durable
//! events are those of the log; the span has no more of their details.

use crate::{
    domain::{Ask, Event, Moment, OzResult},
    trace::{AskTrace, Attributes},
    worker::driver::{Driver, log::millis},
};

impl Driver {
    /// The trace that a request to Oz belongs to.
    pub(super) fn ask_trace(&self, ask: &Ask) -> AskTrace<'_> {
        self.trace.ask(self.m.spec.trace.as_ref(), self.volatile.failures_of(ask.kind()))
    }

    /// Adds an event to the span, and the end of the match if it is one.
    pub(super) fn trace_event(&mut self, event: &Event) {
        self.trace.event(event.name(), || attributes(event));
        let state = self.m.state.name();
        match event {
            Event::Finished(fact) => {
                let resolution = fact.result.resolution.as_str();
                self.trace.conclude(false, || {
                    vec![
                        ("facematch.state", state.into()),
                        ("facematch.resolution", resolution.into()),
                    ]
                });
            }
            Event::Failed(fact) => {
                let reason = fact.error.reason.as_str();
                self.trace.conclude(true, || {
                    vec![("facematch.state", state.into()), ("error.type", reason.into())]
                });
            }
            Event::Accepted(_)
            | Event::PhotoUploaded(_)
            | Event::AnalysisStarted(_)
            | Event::AttemptFailed(_)
            | Event::Cancelled(_)
            | Event::Unknown(_) => {}
        }
    }

    /// Adds a poll to the span.
    pub(super) fn trace_poll(&mut self, ask: &Ask, outcome: &OzResult, moment: Moment) {
        if !matches!(ask, Ask::ReadAnalysis { .. }) {
            return;
        }
        self.trace.poll(|| {
            let duration_ms = millis(moment.now.since(moment.asked));
            let mut attributes: Attributes = vec![("duration_ms", duration_ms.into())];
            if let Err(failure) = outcome {
                attributes.push(("error.type", failure.kind.cause().as_str().into()));
                let status = failure.http_status.map(u64::from);
                attributes.extend(status.map(|code| ("http.response.status_code", code.into())));
            }
            attributes
        });
    }
}

fn attributes(event: &Event) -> Attributes {
    match event {
        Event::PhotoUploaded(fact) => vec![("adopted", fact.adopted.into())],
        Event::AnalysisStarted(fact) => vec![("adopted", fact.adopted.into())],
        Event::AttemptFailed(fact) => vec![("cause", fact.cause.as_str().into())],
        Event::Accepted(_)
        | Event::Finished(_)
        | Event::Failed(_)
        | Event::Cancelled(_)
        | Event::Unknown(_) => Vec::new(),
    }
}
