//! The log lines of a driver: one for each event, and one in detail for each request.

use std::time::Duration;

use tracing::{debug, info, warn};

use crate::{
    domain::{
        Ask, AttemptFailed, Event, Failure, MatchError, Moment, OzResult, RequestId, Resolution,
    },
    worker::driver::Driver,
};

/// Why Oz can't be asked, as the log has it.
pub struct OzTrouble {
    causes: String,
    /// Whether requests of other matches failed, and this match's request was held back.
    held_back: bool,
}

impl OzTrouble {
    pub fn of(failure: &Failure, held_back: bool) -> Self {
        Self { causes: failure.told().to_owned(), held_back }
    }
}

impl Driver {
    /// One line for each event. It has no scores: what a person looks like doesn't belong in a log.
    pub(super) fn log(&self, event: &Event) {
        let id = self.m.id;
        match event {
            Event::Accepted(_) | Event::Cancelled(_) | Event::Unknown(_) => {}
            Event::PhotoUploaded(fact) => {
                info!(match.id = %id, oz.media_id = %fact.photo_media_id, adopted = fact.adopted, "photo uploaded");
            }
            Event::AnalysisStarted(fact) => {
                info!(match.id = %id, oz.analysis_id = %fact.analysis_id, adopted = fact.adopted, "analysis started");
            }
            Event::AttemptFailed(fact) => self.log_trouble(fact),
            Event::Finished(fact) => self.log_end(fact.result.resolution),
            Event::Failed(fact) => self.log_failure(&fact.error),
        }
    }

    /// During an outage the circuit breaker warns once for all matches that are held back.
    fn log_trouble(&self, fact: &AttemptFailed) {
        let next = fact.next_attempt.since(self.context.clock.now());
        let held_back = self.trouble.as_ref().is_some_and(|trouble| trouble.held_back);
        let error = self.trouble.as_ref().map_or(&fact.message, |trouble| &trouble.causes);
        macro_rules! trouble {
            ($level:ident) => {
                $level!(
                    match.id = %self.m.id,
                    cause = fact.cause.as_str(),
                    error,
                    oz.http_status = fact.metadata.get("oz.http_status"),
                    oz.error_code = fact.metadata.get("oz.error_code"),
                    next_attempt_in_ms = millis(next),
                    "trouble at Oz"
                )
            };
        }
        if held_back { trouble!(info) } else { trouble!(warn) }
    }

    fn log_end(&self, resolution: Resolution) {
        info!(
            match.id = %self.m.id,
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
            request.id = self.request_id(),
            oz.folder_id = %self.m.spec.folder_id,
            reason = error.reason.as_str(),
            error = error.message,
            oz.http_status = error.metadata.get("oz.http_status"),
            oz.error_code = error.metadata.get("oz.error_code"),
            oz.error_message = error.metadata.get("oz.error_message"),
            retryable = error.retryable,
            duration_ms = self.duration_ms(),
            polls = self.volatile.polls,
            "match failed"
        );
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
        match outcome {
            Ok(_) => debug!(
                match.id = %self.m.id,
                oz.ask = ask.kind().name(),
                duration_ms,
                "request to Oz answered"
            ),
            Err(failure) => debug!(
                match.id = %self.m.id,
                oz.ask = ask.kind().name(),
                duration_ms,
                oz.failure = failure.kind.cause().as_str(),
                oz.http_status = failure.http_status,
                "request to Oz failed"
            ),
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
