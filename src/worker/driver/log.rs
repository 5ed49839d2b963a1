//! The log lines of a driver: one for each event, and one in detail for each request.

use std::time::Duration;

use tracing::{
    debug,
    field::{self, DisplayValue},
    info, warn,
};

use crate::{
    domain::{
        Ask, AttemptFailed, Cause, Event, Failure, MatchError, Moment, OzResult, RequestId,
        Resolution, trace::Hex,
    },
    worker::driver::Driver,
};

/// Why Oz or the photo library can't be asked, as the log has it.
pub struct Trouble {
    causes: String,
    /// Whether requests of other matches failed, and this match's request was held back.
    held_back: bool,
}

impl Trouble {
    pub fn of(failure: &Failure, held_back: bool) -> Self {
        Self { causes: failure.told().to_owned(), held_back }
    }
}

impl Driver {
    /// The line of a match that this driver is the first to drive.
    pub fn log_accepted(&self) {
        info!(
            match.id = %self.m.id,
            trace_id = self.trace_id(),
            span_id = self.span_id(),
            epoch = self.claim.epoch,
            request.id = self.request_id(),
            oz.folder_id = %self.m.spec.folder_id,
            "match accepted"
        );
    }

    /// The line of a claim that another driver has now.
    pub(super) fn log_lost(&self) {
        info!(
            match.id = %self.m.id,
            trace_id = self.trace_id(),
            epoch = self.claim.epoch,
            "claim lost: the match has ended elsewhere, or another replica drives it"
        );
    }

    /// One line for each event. It has no scores: what a person looks like doesn't belong in a log.
    pub(super) fn log(&mut self, event: &Event) {
        let id = self.m.id;
        if std::mem::take(&mut self.is_resumed) {
            self.log_resumed(event);
        }
        match event {
            Event::Accepted(_) | Event::Cancelled(_) | Event::Unknown(_) => {}
            Event::PhotoUploaded(fact) => {
                info!(
                    match.id = %id,
                    trace_id = self.trace_id(),
                    span_id = self.span_id(),
                    epoch = self.claim.epoch,
                    oz.media_id = %fact.photo_media_id,
                    adopted = fact.adopted,
                    "photo uploaded"
                );
            }
            Event::AnalysisStarted(fact) => {
                info!(
                    match.id = %id,
                    trace_id = self.trace_id(),
                    span_id = self.span_id(),
                    epoch = self.claim.epoch,
                    oz.analysis_id = %fact.analysis_id,
                    adopted = fact.adopted,
                    "analysis started"
                );
            }
            Event::AttemptFailed(fact) => self.log_trouble(fact),
            Event::Finished(fact) => self.log_end(fact.result.resolution),
            Event::Failed(fact) => self.log_failure(&fact.error),
        }
    }

    /// The line of a match that an earlier driver has left, before the first event of this one: so
    /// a restart with many matches that wait writes no line for each of them.
    fn log_resumed(&self, first: &Event) {
        info!(
            match.id = %self.m.id,
            trace_id = self.trace_id(),
            span_id = self.span_id(),
            epoch = self.claim.epoch,
            sequence = self.m.sequence.0.saturating_sub(1),
            first_event = first.name(),
            "match resumed: another driver had it before"
        );
    }

    /// The id of the trace that the lines of this driver belong to.
    pub(super) fn trace_id(&self) -> Option<DisplayValue<Hex<16>>> {
        let context = self.trace.context(self.m.spec.trace.as_ref());
        context.map(|context| field::display(context.shown_trace()))
    }

    /// The id of the match's span, if matches have spans.
    fn span_id(&self) -> Option<DisplayValue<Hex<8>>> {
        self.trace.own().map(|context| field::display(context.shown_span()))
    }

    /// During an outage the circuit breaker warns once for all matches that are held back.
    fn log_trouble(&self, fact: &AttemptFailed) {
        let next = fact.next_attempt.since(self.context.clock.now());
        let held_back = self.trouble.as_ref().is_some_and(|trouble| trouble.held_back);
        let error = self.trouble.as_ref().map_or(&fact.message, |trouble| &trouble.causes);
        macro_rules! trouble {
            ($level:ident, $message:literal) => {
                $level!(
                    match.id = %self.m.id,
                    trace_id = self.trace_id(),
                    span_id = self.span_id(),
                    epoch = self.claim.epoch,
                    cause = fact.cause.as_str(),
                    error,
                    oz.http_status = fact.metadata.get("oz.http_status"),
                    oz.error_code = fact.metadata.get("oz.error_code"),
                    next_attempt_in_ms = millis(next),
                    $message
                )
            };
        }
        match (fact.cause == Cause::LibraryUnreachable, held_back) {
            (false, true) => trouble!(info, "trouble at Oz"),
            (false, false) => trouble!(warn, "trouble at Oz"),
            (true, true) => trouble!(info, "trouble at the photo library"),
            (true, false) => trouble!(warn, "trouble at the photo library"),
        }
    }

    fn log_end(&self, resolution: Resolution) {
        info!(
            match.id = %self.m.id,
            trace_id = self.trace_id(),
            span_id = self.span_id(),
            epoch = self.claim.epoch,
            request.id = self.request_id(),
            oz.folder_id = %self.m.spec.folder_id,
            resolution = resolution.as_str(),
            duration_ms = self.duration_ms(),
            polls = self.volatile.polls,
            "match finished"
        );
    }

    fn log_failure(&self, error: &MatchError) {
        info!(
            match.id = %self.m.id,
            trace_id = self.trace_id(),
            span_id = self.span_id(),
            epoch = self.claim.epoch,
            request.id = self.request_id(),
            oz.folder_id = %self.m.spec.folder_id,
            reason = error.reason.as_str(),
            error = error.message,
            library.error = self.library_error(error),
            oz.http_status = error.metadata.get("oz.http_status"),
            oz.error_code = error.metadata.get("oz.error_code"),
            oz.error_message = error.metadata.get("oz.error_message"),
            retryable = error.retryable,
            duration_ms = self.duration_ms(),
            polls = self.volatile.polls,
            "match failed"
        );
    }

    /// Why the photo library has ended the match, for the operator only.
    fn library_error(&self, error: &MatchError) -> Option<&str> {
        let told = self.trouble.as_ref().filter(|_| error.reason.is_of_library());
        told.map(|trouble| trouble.causes.as_str())
    }

    fn request_id(&self) -> Option<&str> {
        self.m.spec.request_id.as_ref().map(RequestId::as_str)
    }

    /// From the match's acceptance to its last event.
    fn duration_ms(&self) -> u64 {
        millis(self.m.update_time.since(self.m.create_time))
    }

    pub(super) fn note(&self, ask: &Ask, outcome: &OzResult, moment: Moment) {
        let duration_ms = millis(moment.now.since(moment.asked));
        if let Ask::ReadReference { .. } = ask {
            debug!(
                match.id = %self.m.id,
                trace_id = self.trace_id(),
                span_id = self.span_id(),
                epoch = self.claim.epoch,
                duration_ms,
                bytes = self.reference.as_ref().map(|reference| reference.photo().bytes_count()),
                error = outcome.as_ref().err().map(Failure::told),
                "photo library read"
            );
            return;
        }
        match outcome {
            Ok(_) => debug!(
                match.id = %self.m.id,
                trace_id = self.trace_id(),
                span_id = self.span_id(),
                epoch = self.claim.epoch,
                oz.ask = ask.kind().name(),
                duration_ms,
                "request to Oz answered"
            ),
            Err(failure) => debug!(
                match.id = %self.m.id,
                trace_id = self.trace_id(),
                span_id = self.span_id(),
                epoch = self.claim.epoch,
                oz.ask = ask.kind().name(),
                duration_ms,
                oz.failure = failure.kind.cause().as_str(),
                oz.http_status = failure.http_status,
                "request to Oz failed"
            ),
        }
    }
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
