//! The state of a match: its journal, folded by the only transition table.

use std::sync::Arc;

use crate::domain::{
    event::{
        Event, LivenessResult, MatchError, MatchResult, Metadata, OzStatus, Recorded, Stands,
        Unknown,
    },
    id::{AnalysisId, MatchId, MediaId, Sequence},
    reason::Cause,
    request::Spec,
    time::Timestamp,
};

/// The state of a match. Every change of state is a durable event.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum State {
    /// The match exists; its photo is not known to be at Oz yet.
    Accepted,
    /// The photo is at Oz.
    Uploaded,
    /// The analysis runs at Oz.
    Processing,
    /// There is a verdict.
    Finished,
    /// There will be no verdict.
    Failed,
    /// The caller cancelled the match.
    Cancelled,
    /// A state from a later version. [`Match::has_ended`] tells whether it is final.
    Unknown,
}

impl State {
    /// All states that this version knows, in the order of a match's life.
    pub const ALL: [Self; 6] = [
        Self::Accepted,
        Self::Uploaded,
        Self::Processing,
        Self::Finished,
        Self::Failed,
        Self::Cancelled,
    ];

    /// Whether the state is final. `Unknown` never counts as final: see [`Match::has_ended`].
    pub const fn has_ended(self) -> bool {
        match self {
            Self::Accepted | Self::Uploaded | Self::Processing | Self::Unknown => false,
            Self::Finished | Self::Failed | Self::Cancelled => true,
        }
    }

    /// The state's name in logs and in the store.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Uploaded => "uploaded",
            Self::Processing => "processing",
            Self::Finished => "finished",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Unknown => "unknown",
        }
    }

    /// The state with this name in the store; `Unknown` if this version doesn't know the name.
    pub fn from_name(name: &str) -> Self {
        Self::ALL.into_iter().find(|state| state.name() == name).unwrap_or(Self::Unknown)
    }
}

/// A match as of its last event.
#[derive(Clone, PartialEq, Debug)]
pub struct Match {
    /// Our id of the match.
    pub id: MatchId,
    /// What the caller asked for.
    pub spec: Arc<Spec>,
    /// Its state as of the last event.
    pub state: State,
    /// The sequence of its last event.
    pub sequence: Sequence,
    /// The reference photo at Oz; from UPLOADED on.
    pub photo_media_id: Option<MediaId>,
    /// The media that the photo is compared with; from UPLOADED on.
    pub liveness_media: Vec<MediaId>,
    /// The newest finished liveness result before the analysis was started; `None` if there was
    /// none.
    pub liveness: Option<LivenessResult>,
    /// Analyses of the same media that existed before the match started its own: never adopted.
    pub earlier_analyses: Vec<AnalysisId>,
    /// The BIOMETRY analysis; from PROCESSING on.
    pub analysis_id: Option<AnalysisId>,
    /// The QUALITY analysis that was started together with it.
    pub liveness_analysis_id: Option<AnalysisId>,
    /// The verdict; only when FINISHED.
    pub result: Option<MatchResult>,
    /// Why there is no verdict; only when FAILED.
    pub error: Option<MatchError>,
    /// Oz's raw status as of the last event that carried one.
    pub oz: Option<OzStatus>,
    /// The trouble that the last event reports; `None` if it reports none.
    pub trouble: Option<Box<Trouble>>,
    /// How many events have reported trouble.
    pub troubles: u32,
    /// When it was accepted.
    pub create_time: Timestamp,
    /// When its last event became durable.
    pub update_time: Timestamp,
    /// When it ended; `None` before.
    pub end_time: Option<Timestamp>,
    /// When it is erased; `None` until it has ended.
    pub expire_time: Option<Timestamp>,
    /// Whether the journal has an event or a value that this version doesn't know. Such a match is
    /// shown as far as this version can read it, and is not driven.
    pub is_foreign: bool,
}

/// Trouble at Oz, as recorded in the journal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trouble {
    /// The kind of trouble.
    pub cause: Cause,
    /// A sentence for people.
    pub message: String,
    /// When the first event of the present run of trouble became durable. Any other event ends a
    /// run.
    pub since: Timestamp,
    /// When the next attempt was due.
    pub next_attempt: Timestamp,
    /// Oz's status, code and message.
    pub metadata: Metadata,
}

/// An event that can't follow the match's state: the journal is corrupt, or this service has a bug.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("event {sequence} ({event}) can't follow a match that is {state}")]
pub struct IllegalEvent {
    /// The event's name.
    pub event: &'static str,
    /// The event's sequence.
    pub sequence: u64,
    /// The state's name, or `absent`.
    pub state: &'static str,
}

/// Applies an event to a match. Driving a match and reading it from the journal both use this one
/// transition table.
///
/// # Errors
/// [`IllegalEvent`] if the event doesn't follow: another match, a gap in the sequence, time going
/// backwards, or a transition that the table lacks.
pub fn apply(state: Option<Match>, recorded: &Recorded) -> Result<Match, IllegalEvent> {
    let illegal = |state: &'static str| IllegalEvent {
        event: recorded.event.name(),
        sequence: recorded.sequence.0,
        state,
    };
    let Some(current) = state else {
        return accept(recorded).ok_or_else(|| illegal("absent"));
    };
    let follows = current.id == recorded.match_id
        && current.sequence.next() == recorded.sequence
        && current.update_time <= recorded.time;
    let name = current.state.name();
    if !follows {
        return Err(illegal(name));
    }
    transit(current, recorded).ok_or_else(|| illegal(name))
}

/// Folds a match's journal, or any prefix of it, into the match. `None` for an empty journal.
///
/// # Errors
/// [`IllegalEvent`], as [`apply`]. An empty journal is not an error.
pub fn fold<'a>(
    journal: impl IntoIterator<Item = &'a Recorded>,
) -> Result<Option<Match>, IllegalEvent> {
    journal.into_iter().try_fold(None, |state, recorded| apply(state, recorded).map(Some))
}

fn accept(recorded: &Recorded) -> Option<Match> {
    let (spec, stands) = match &recorded.event {
        Event::Accepted(spec) => (spec, None),
        Event::Unknown(Unknown { spec: Some(spec), stands }) => (spec, *stands),
        Event::PhotoUploaded(_)
        | Event::AnalysisStarted(_)
        | Event::AttemptFailed(_)
        | Event::Finished(_)
        | Event::Failed(_)
        | Event::Cancelled(_)
        | Event::Unknown(_) => return None,
    };
    if recorded.sequence != Sequence(1) {
        return None;
    }
    let mut m = Match {
        id: recorded.match_id,
        spec: Arc::clone(spec),
        state: State::Accepted,
        sequence: recorded.sequence,
        photo_media_id: None,
        liveness_media: Vec::new(),
        liveness: None,
        earlier_analyses: Vec::new(),
        analysis_id: None,
        liveness_analysis_id: None,
        result: None,
        error: None,
        oz: None,
        trouble: None,
        troubles: 0,
        create_time: recorded.time,
        update_time: recorded.time,
        end_time: None,
        expire_time: None,
        is_foreign: !recorded.event.is_known(),
    };
    m.stand(stands);
    Some(m)
}

/// The transition table: which event may follow which state, and what it changes.
fn transit(mut m: Match, recorded: &Recorded) -> Option<Match> {
    m.sequence = recorded.sequence;
    m.update_time = recorded.time;
    let earlier = m.trouble.take();
    let state = m.state_before(&recorded.event);
    m.is_foreign |= !recorded.event.is_known();
    match (state, recorded.event.clone()) {
        (State::Accepted | State::Uploaded | State::Processing, Event::Unknown(fact)) => {
            m.stand(fact.stands);
        }
        (State::Accepted, Event::PhotoUploaded(fact)) => {
            m.state = State::Uploaded;
            m.photo_media_id = Some(fact.photo_media_id);
            m.liveness_media = fact.liveness_media;
            m.liveness = fact.liveness;
            m.earlier_analyses = fact.earlier_analyses;
        }
        (State::Uploaded, Event::AnalysisStarted(fact)) => {
            m.state = State::Processing;
            m.analysis_id = Some(fact.analysis_id);
            m.liveness_analysis_id = fact.liveness_analysis_id;
            m.oz = fact.oz;
        }
        (State::Accepted | State::Uploaded | State::Processing, Event::AttemptFailed(fact)) => {
            m.trouble = Some(Box::new(Trouble {
                cause: fact.cause,
                message: fact.message,
                since: earlier.map_or(recorded.time, |trouble| trouble.since),
                next_attempt: fact.next_attempt,
                metadata: fact.metadata,
            }));
            m.troubles += 1;
            m.oz = fact.oz.or(m.oz);
        }
        (State::Processing, Event::Finished(fact)) => {
            m.end(State::Finished, recorded);
            m.result = Some(fact.result);
            m.oz = fact.oz.or(m.oz);
        }
        (State::Accepted | State::Uploaded | State::Processing, Event::Failed(fact)) => {
            m.end(State::Failed, recorded);
            m.error = Some(fact.error);
            m.oz = fact.oz.or(m.oz);
        }
        (State::Accepted | State::Uploaded | State::Processing, Event::Cancelled(_)) => {
            m.end(State::Cancelled, recorded);
        }
        (
            State::Accepted
            | State::Uploaded
            | State::Processing
            | State::Finished
            | State::Failed
            | State::Cancelled
            | State::Unknown,
            Event::Accepted(_)
            | Event::PhotoUploaded(_)
            | Event::AnalysisStarted(_)
            | Event::AttemptFailed(_)
            | Event::Finished(_)
            | Event::Failed(_)
            | Event::Cancelled(_)
            | Event::Unknown(_),
        ) => return None,
    }
    Some(m)
}

impl Match {
    /// When the match times out, if it hasn't ended by then.
    pub fn deadline(&self) -> Timestamp {
        self.create_time.after(self.spec.timeout.duration)
    }

    /// The media that Oz compares: the liveness media, then the photo, in the order of the request
    /// to Oz. `None` before UPLOADED.
    pub fn source_media(&self) -> Option<Vec<MediaId>> {
        let photo = self.photo_media_id.clone()?;
        Some(self.liveness_media.iter().cloned().chain([photo]).collect())
    }

    /// The liveness media that the photo is compared with: the media found in the folder, or,
    /// before UPLOADED, the media that the caller named, if any.
    pub fn compared_with(&self) -> &[MediaId] {
        match self.liveness_media.as_slice() {
            [] => &self.spec.liveness_media,
            found => found,
        }
    }

    /// The QUALITY analysis of the match, once known: the analysis started together with BIOMETRY,
    /// else the analysis whose result the folder read found.
    pub fn quality_analysis(&self) -> Option<&AnalysisId> {
        let read = self.liveness.as_ref().map(|liveness| &liveness.analysis_id);
        self.liveness_analysis_id.as_ref().or(read)
    }

    /// Whether the match no longer needs its photo, which only this server's memory holds.
    pub fn is_safe(&self) -> bool {
        self.state != State::Accepted || !self.spec.needs_photo()
    }

    /// Whether the match has ended: no event can follow.
    pub const fn has_ended(&self) -> bool {
        self.end_time.is_some()
    }

    /// The state that an event is applied to. An event from a later version may have led to any
    /// state, so an event that comes after it is assumed to be legal, unless the match has ended.
    fn state_before(&self, event: &Event) -> State {
        if !self.is_foreign || self.has_ended() {
            return self.state;
        }
        match event {
            Event::PhotoUploaded(_) => State::Accepted,
            Event::AnalysisStarted(_) => State::Uploaded,
            Event::AttemptFailed(_)
            | Event::Finished(_)
            | Event::Failed(_)
            | Event::Cancelled(_)
            | Event::Unknown(_) => State::Processing,
            Event::Accepted(_) => self.state,
        }
    }

    /// Takes over the state and the times that the store keeps beside an unreadable event.
    fn stand(&mut self, stands: Option<Stands>) {
        if let Some(Stands { state, end_time, expire_time }) = stands {
            (self.state, self.end_time, self.expire_time) = (state, end_time, expire_time);
        }
    }

    fn end(&mut self, state: State, recorded: &Recorded) {
        self.state = state;
        self.end_time = Some(recorded.time);
        self.expire_time = recorded.event.keep().map(|keep| recorded.time.after(keep));
    }
}
