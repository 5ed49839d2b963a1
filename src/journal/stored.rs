//! How engines store events: as JSON, beside columns for finding and fencing matches.
//!
//! An event that this version can't read, because it is a later version's or damaged, is no error:
//! it is completed from the columns of its match, so that it stops no reader.

use std::{collections::HashMap, sync::Arc, time::Duration};

use uuid::Uuid;

use crate::{
    domain::{
        AnalysisId, Event, FolderId, IllegalEvent, LivenessPolicy, Match, MatchId, PhotoKind,
        PhotoSource, Position, Recorded, Sequence, Spec, State, TenantId, Timeout, Timestamp,
        apply,
        event::{Stands, Unknown},
        state::fold,
    },
    journal::Error,
};

/// The columns that a store keeps of a match beside its events.
pub(super) struct MatchColumns {
    pub match_id: MatchId,
    pub tenant: String,
    pub request_id: Option<String>,
    pub folder_id: Uuid,
    /// As a JSON object.
    pub labels: String,
    pub state: String,
    pub sequence: Sequence,
    pub create_time: Timestamp,
    pub update_time: Timestamp,
    pub end_time: Option<Timestamp>,
    pub expire_time: Option<Timestamp>,
}

/// The columns of several matches.
pub(super) type ColumnsByMatch = HashMap<MatchId, MatchColumns>;

/// The incarnation of all events in a store with one writer at a time.
pub(super) const ONE_WRITER: u64 = 0;

/// An event as the journal stores it.
pub(super) fn body(event: &Event) -> String {
    serde_json::to_string(event)
        .expect("an event that is written is known: text, numbers, and maps with text as keys")
}

/// The state that an event leads to; `None` if it leaves the state as it is.
pub(super) fn state_after(event: &Event) -> Option<State> {
    match event {
        Event::Accepted(_) => Some(State::Accepted),
        Event::PhotoUploaded(_) => Some(State::Uploaded),
        Event::AnalysisStarted(_) => Some(State::Processing),
        Event::AttemptFailed(_) => None,
        Event::Finished(_) => Some(State::Finished),
        Event::Failed(_) => Some(State::Failed),
        Event::Cancelled(_) => Some(State::Cancelled),
        // An unknown event is only read, never written.
        Event::Unknown(_) => None,
    }
}

/// The analyses that an event makes its match's own.
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
        | Event::Cancelled(_)
        | Event::Unknown(_) => None,
    }
}

/// A duration in microseconds, the unit of all stores; capped at what a column can hold.
pub(super) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// Events in the journal's order.
pub(super) fn in_order(mut events: Vec<Recorded>) -> Vec<Recorded> {
    events.sort_unstable_by_key(|recorded| recorded.position);
    events
}

/// The event of a stored body; [`Event::Unknown`] if this version can't read it.
pub(super) fn event(body: &str) -> Event {
    serde_json::from_str(body).unwrap_or_else(|_| Event::Unknown(Unknown::default()))
}

/// The match after an event that the journal holds.
pub(super) fn next(state: Option<Match>, recorded: &Recorded) -> Result<Match, Error> {
    let id = recorded.match_id;
    apply(state, recorded).map_err(|illegal| Error::Corrupt(format!("match {id}, {illegal}")))
}

/// The matches with events that this version can't read, to be completed from their columns.
pub(super) fn incomplete(events: &[Recorded]) -> Vec<MatchId> {
    let unknown = events.iter().filter(|recorded| is_unknown(recorded));
    let mut ids: Vec<MatchId> = unknown.map(|recorded| recorded.match_id).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

fn is_unknown(recorded: &Recorded) -> bool {
    matches!(recorded.event, Event::Unknown(_))
}

/// Completes events that can't be read: the first event of a match with the request, the last one
/// with the state of the match.
pub(super) fn complete(events: &mut [Recorded], besides: &ColumnsByMatch) {
    for recorded in events.iter_mut().filter(|recorded| is_unknown(recorded)) {
        let Some(beside) = besides.get(&recorded.match_id) else { continue };
        recorded.event = Event::Unknown(Unknown {
            spec: (recorded.sequence == Sequence::FIRST).then(|| beside.spec()),
            stands: (recorded.sequence == beside.sequence).then(|| beside.stands()),
        });
    }
}

/// Folds the events of one match.
///
/// # Errors
/// The match's id if its columns are needed as well: see [`folded_beside`].
pub(super) fn folded(events: &[Recorded]) -> Result<Option<Match>, MatchId> {
    match (events.first(), fold(events)) {
        (Some(first), _) if events.iter().any(is_unknown) => Err(first.match_id),
        (Some(first), Err(IllegalEvent { .. })) => Err(first.match_id),
        (None, _) | (Some(_), Ok(None)) => Ok(None),
        (Some(_), Ok(Some(m))) => Ok(Some(m)),
    }
}

/// Folds the events of one match with the help of its columns. A match whose events don't fold is
/// shown by its columns alone. `None` if the match is gone.
pub(super) fn folded_beside(events: &[Recorded], besides: &ColumnsByMatch) -> Option<Match> {
    let beside = besides.get(&events.first()?.match_id)?;
    let mut events = events.to_vec();
    complete(&mut events, besides);
    fold(&events).unwrap_or_else(|_| Some(beside.shown()))
}

impl MatchColumns {
    /// The request, as far as it is known without the first event.
    fn spec(&self) -> Arc<Spec> {
        Arc::new(Spec {
            tenant: TenantId::from_stored(&self.tenant),
            request_id: self.request_id.as_ref().and_then(|id| id.parse().ok()),
            folder_id: FolderId::from_uuid(self.folder_id),
            photo: PhotoSource::Unknown,
            kind: PhotoKind::Unknown,
            timeout: Timeout { duration: Duration::ZERO, named: false },
            liveness_media: Vec::new(),
            liveness_policy: LivenessPolicy::Unknown,
            labels: serde_json::from_str(&self.labels).unwrap_or_default(),
            trace: None,
        })
    }

    fn stands(&self) -> Stands {
        let (end_time, expire_time) = (self.end_time, self.expire_time);
        Stands { state: State::from_name(&self.state), end_time, expire_time }
    }

    /// The match by its columns alone.
    fn shown(&self) -> Match {
        let event = Unknown { spec: Some(self.spec()), stands: Some(self.stands()) };
        let first = Recorded {
            match_id: self.match_id,
            sequence: Sequence::FIRST,
            position: Position(0),
            incarnation: ONE_WRITER,
            time: self.create_time,
            event: Event::Unknown(event),
        };
        let m = apply(None, &first).expect("it has every field that a first event needs");
        Match { sequence: self.sequence, update_time: self.update_time, ..m }
    }
}
