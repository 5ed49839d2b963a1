//! The state of a match: the fold of its journal, by the one transition table there is.

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

/// Where a match stands. Each is a durable fact.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum State {
    /// It exists.
    Accepted,
    /// The photo is at Oz.
    Uploaded,
    /// The analysis runs at Oz.
    Processing,
    /// There is a verdict.
    Finished,
    /// There will be none.
    Failed,
    /// The caller ended it.
    Cancelled,
    /// A later version's word. Whether it is the last is told by [`Match::has_ended`].
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

    /// Whether nothing follows any more.
    pub const fn has_ended(self) -> bool {
        match self {
            Self::Accepted | Self::Uploaded | Self::Processing | Self::Unknown => false,
            Self::Finished | Self::Failed | Self::Cancelled => true,
        }
    }

    /// The state's name as logs and the store have it.
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

    /// The state that the store names so.
    pub fn from_name(name: &str) -> Self {
        Self::ALL.into_iter().find(|state| state.name() == name).unwrap_or(Self::Unknown)
    }
}

/// A match as of its last event.
#[derive(Clone, PartialEq, Debug)]
pub struct Match {
    /// Our id of it.
    pub id: MatchId,
    /// What was asked for.
    pub spec: Arc<Spec>,
    /// Where it stands.
    pub state: State,
    /// The sequence of its last event.
    pub sequence: Sequence,
    /// The reference photo at Oz; from UPLOADED on.
    pub photo_media_id: Option<MediaId>,
    /// What the photo is compared with; from UPLOADED on.
    pub liveness_media: Vec<MediaId>,
    /// What liveness said before the analysis was asked for.
    pub liveness: Option<LivenessResult>,
    /// Analyses that are not ours.
    pub earlier_analyses: Vec<AnalysisId>,
    /// The BIOMETRY analysis; from PROCESSING on.
    pub analysis_id: Option<AnalysisId>,
    /// The QUALITY analysis that was started with it.
    pub liveness_analysis_id: Option<AnalysisId>,
    /// The verdict; only when FINISHED.
    pub result: Option<MatchResult>,
    /// Why there is none; only when FAILED.
    pub error: Option<MatchError>,
    /// Oz's words as of the last event that carried any.
    pub oz: Option<OzStatus>,
    /// The trouble that the last event told of, if it told of trouble.
    pub trouble: Option<Box<Trouble>>,
    /// How many events told of trouble.
    pub troubles: u32,
    /// When it was accepted.
    pub create_time: Timestamp,
    /// When its last event became durable.
    pub update_time: Timestamp,
    /// When it ended.
    pub end_time: Option<Timestamp>,
    /// When it is erased.
    pub expire_time: Option<Timestamp>,
    /// Whether its journal has anything that this version doesn't know. It is shown as far as it is
    /// known, and not driven.
    pub is_foreign: bool,
}

/// Trouble at Oz as the journal tells of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trouble {
    /// What kind it is.
    pub cause: Cause,
    /// A sentence for people.
    pub message: String,
    /// When the first of the troubles became durable that follow each other without another fact
    /// between them.
    pub since: Timestamp,
    /// When the next try was due.
    pub next_attempt: Timestamp,
    /// Oz's status, code and message.
    pub metadata: Metadata,
}

/// An event that can't follow the state it came to: a corrupt journal or a bug of ours.
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

/// The state after an event: the only transition table, for living and for reviving.
///
/// # Errors
/// [`IllegalEvent`] if the event doesn't follow: wrong match, a gap, time going back, or a
/// transition that there is not.
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

/// The state that a whole journal, or any prefix of one, folds into.
///
/// # Errors
/// [`IllegalEvent`] as [`apply`]; an empty journal is none.
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

/// The table: which event may follow which state, and what it changes.
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
    /// When it ends as timed out if it hasn't ended before.
    pub fn deadline(&self) -> Timestamp {
        self.create_time.after(self.spec.timeout.duration)
    }

    /// What is compared: the liveness media and the photo, in the order in which Oz is told.
    /// None before UPLOADED.
    pub fn source_media(&self) -> Option<Vec<MediaId>> {
        let photo = self.photo_media_id.clone()?;
        Some(self.liveness_media.iter().cloned().chain([photo]).collect())
    }

    /// What the photo is compared with, as soon as it is known: what was asked for, then what was
    /// found.
    pub fn compared_with(&self) -> &[MediaId] {
        match self.liveness_media.as_slice() {
            [] => &self.spec.liveness_media,
            found => found,
        }
    }

    /// The QUALITY analysis that belongs to the match, as soon as it is known: the one that was
    /// started with it, else the one that was read before.
    pub fn quality_analysis(&self) -> Option<&AnalysisId> {
        let read = self.liveness.as_ref().map(|liveness| &liveness.analysis_id);
        self.liveness_analysis_id.as_ref().or(read)
    }

    /// Whether nothing that the server holds only in memory is needed any more.
    pub fn is_safe(&self) -> bool {
        self.state != State::Accepted || !self.spec.needs_photo()
    }

    /// Whether nothing follows any more.
    pub const fn has_ended(&self) -> bool {
        self.end_time.is_some()
    }

    /// The state that an event comes to. What a later version wrote may have led anywhere, so
    /// that whatever follows it is taken at its word, unless the match has ended.
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

    /// Takes what the store has beside an event that can't be read.
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
