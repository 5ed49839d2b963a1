//! The events of a driver: each is written once, however long the store takes, and then applied to
//! the match.

use std::error::Error;

use tracing::{error, info};

use crate::{
    domain::{Event, MatchError, Reason, Recorded, event::Failed, state},
    journal::{self, Appended},
    metrics::{Invariant, Phase},
    worker::driver::{Driver, DriverEnd, Flow, UNWRITABLE},
};

impl Driver {
    /// Writes an event, however long the store takes. The driver ends if the claim is lost or the
    /// match has ended.
    pub(super) async fn record(&mut self, event: Event) -> Flow {
        let mut unsure = false;
        loop {
            let written = self.context.writer.append(self.claim, self.m.sequence, event.clone());
            let failure = match written.await {
                Ok(Appended::Done(recorded)) => return self.apply(&recorded),
                // The write before, whose outcome is unknown, may have written this event.
                Ok(Appended::Lost) if unsure => match self.resolve_doubtful_append(&event).await {
                    Ok(flow) => return flow,
                    Err(failure) => failure,
                },
                Ok(Appended::Lost) => {
                    self.context.metrics.fenced_writes.inc();
                    return self.lost();
                }
                Ok(Appended::Taken) => {
                    info!(match.id = %self.m.id, trace_id = self.trace_id(), "analysis not adopted: another match owns it");
                    self.volatile.analysis_belongs_to_another(&self.m, self.context.clock.now());
                    return Flow::On;
                }
                Err(journal::Error::Refused(source)) => {
                    return self.fail_unwritable(&event, &*source).await;
                }
                Err(failure) => failure,
            };
            self.context.store_failed(&failure, "event not written: will retry");
            unsure = true;
            if self.pause_for_the_store().await == Flow::Over {
                return Flow::Over;
            }
        }
    }

    /// An event that the store refuses for good ends its match, with an error in our own words
    /// only. If the store refuses that as well, the match is left as it is until the next start.
    async fn fail_unwritable(&mut self, event: &Event, source: &(dyn Error + Send + Sync)) -> Flow {
        error!(match.id = %self.m.id, trace_id = self.trace_id(), error = %source, "event refused by the store for good");
        let is_last_resort = matches!(event, Event::Failed(fact) if fact.oz.is_none());
        if is_last_resort {
            self.end = DriverEnd::Kept;
            return Flow::Over;
        }
        let error = MatchError::new(Reason::OzProtocol, UNWRITABLE);
        let keep = self.policy().retention;
        Box::pin(self.record(Event::Failed(Failed { error, oz: None, keep }))).await
    }

    /// Reads whether an append whose outcome is unknown was committed; it is never guessed. Another
    /// replica that has taken the match over may have written the same event: then this claim is
    /// lost, and the next step is that replica's.
    async fn resolve_doubtful_append(&mut self, event: &Event) -> Result<Flow, journal::Error> {
        let (identity, next) = (&self.context.identity, self.m.sequence.next());
        let is_ours = |recorded: &Recorded| {
            recorded.event == *event && identity.origin_of(recorded.incarnation) == identity.origin
        };
        let events = self.context.reader.events(self.m.id).await?;
        Ok(match events.into_iter().find(|recorded| recorded.sequence == next) {
            Some(recorded) if is_ours(&recorded) => self.apply(&recorded),
            Some(_) | None => self.lost(),
        })
    }

    fn apply(&mut self, recorded: &Recorded) -> Flow {
        match state::apply(Some(self.m.clone()), recorded) {
            Ok(m) => self.m = m,
            Err(illegal) => {
                error!(
                    match.id = %self.m.id,
                    trace_id = self.trace_id(),
                    error = illegal.to_string(),
                    "event illegal for the match: the journal contradicts the core"
                );
                self.context.invariants.violated(Invariant::EventOrder);
                return Flow::Over;
            }
        }
        self.count(&recorded.event);
        if self.m.is_safe() {
            self.handle.drop_photo();
        }
        self.log(&recorded.event);
        self.trace_event(&recorded.event);
        if self.m.has_ended() { Flow::Over } else { Flow::On }
    }

    /// Counts the match after an event: its state, the phase that the event ends, its end.
    fn count(&mut self, event: &Event) {
        let (metrics, now) = (&self.context.metrics, self.m.update_time);
        let ends = match event {
            Event::PhotoUploaded(_) => Some(Phase::Uploaded),
            Event::Finished(_) => Some(Phase::Analysed),
            Event::Accepted(_)
            | Event::AnalysisStarted(_)
            | Event::AttemptFailed(_)
            | Event::Failed(_)
            | Event::Cancelled(_)
            | Event::Unknown(_) => None,
        };
        if let Some(phase) = ends {
            if let Some(since) = self.phase_since {
                metrics.phase(phase, now.since(since));
            }
            self.phase_since = Some(now);
        }
        metrics.moved(&mut self.counted, &self.m);
        if self.m.has_ended() {
            metrics.ended(&self.m);
        }
    }
}
