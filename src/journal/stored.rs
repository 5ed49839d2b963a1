//! How engines hold events: as JSON, with what is kept beside it for finding and fencing matches.

use std::time::Duration;

use crate::{
    domain::{AnalysisId, Event, Match, MatchId, Recorded, Sequence, State, apply},
    journal::Error,
};

/// The incarnation that events bear in a store with one writer at a time.
pub(super) const ONE_WRITER: u64 = 0;

/// An event as the journal holds it.
pub(super) fn body(event: &Event) -> String {
    serde_json::to_string(event).expect("an event is text, numbers and maps by text")
}

/// The state that an event leads to; none if it leaves the state as it is.
pub(super) fn state_after(event: &Event) -> Option<State> {
    match event {
        Event::Accepted(_) => Some(State::Accepted),
        Event::PhotoUploaded(_) => Some(State::Uploaded),
        Event::AnalysisStarted(_) => Some(State::Processing),
        Event::AttemptFailed(_) => None,
        Event::Finished(_) => Some(State::Finished),
        Event::Failed(_) => Some(State::Failed),
        Event::Cancelled(_) => Some(State::Cancelled),
    }
}

/// The analyses that belong to a match by an event.
pub(super) fn analyses(event: &Event) -> Option<(&AnalysisId, Option<&AnalysisId>)> {
    match event {
        Event::AnalysisStarted(fact) => {
            Some((&fact.analysis_id, fact.liveness_analysis_id.as_ref()))
        }
        Event::Accepted(_)
        | Event::PhotoUploaded(_)
        | Event::AttemptFailed(_)
        | Event::Finished(_)
        | Event::Failed(_)
        | Event::Cancelled(_) => None,
    }
}

/// A duration in the unit that stores count in.
pub(super) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// Events in the journal's order.
pub(super) fn in_order(mut events: Vec<Recorded>) -> Vec<Recorded> {
    events.sort_unstable_by_key(|recorded| recorded.position);
    events
}

/// The event that a body holds. The error names the place and quotes nothing.
pub(super) fn event(body: &str, match_id: MatchId, sequence: Sequence) -> Result<Event, Error> {
    serde_json::from_str(body).map_err(|error| {
        let column = error.column();
        let place = format!("match {match_id}, event {}, at byte {column}", sequence.0);
        Error::Corrupt(place)
    })
}

/// The state after an event that the journal holds.
pub(super) fn next(state: Option<Match>, recorded: &Recorded) -> Result<Match, Error> {
    let id = recorded.match_id;
    apply(state, recorded).map_err(|illegal| Error::Corrupt(format!("match {id}, {illegal}")))
}
