//! What to call after a stream has ended: the rule by which the client goes on, and how long it
//! waits before it does.
//!
//! Pure: it calls nothing, sleeps nowhere and reads no clock; `follow` does.

use std::{error::Error, time::Duration};

use tonic::{Code, ConnectError, Status};
use tonic_types::StatusExt;

use crate::cli::{
    client::{Foreign, TlsProblem},
    pb::{Match, MatchState, MatchUpdate, match_update::Event},
    render::failure,
};

/// The longest pause that a server may ask for.
const ASKED_MAX: Duration = Duration::from_secs(60);

/// How many answers in a row without a reason are taken for a connection that breaks. Gateways
/// answer so for what passes, such as a restart behind them, and for what doesn't, such as a photo
/// that is too large for them: this many calls take some 6 s.
const UNEXPLAINED_MAX: u32 = 5;

/// Silence after which a stream is taken for dead: so many intervals between heartbeats, since one
/// may be late, and never less than a busy machine may be still; while the interval is not known,
/// that of the server's default. A stream that is taken for dead wrongly is only opened again.
const SILENT_INTERVALS_MAX: u32 = 3;
const SILENCE_LEAST: Duration = Duration::from_secs(15);
const SILENCE_UNKNOWN: Duration = Duration::from_secs(60);

/// The trailer by which gRPC asks a client to wait, in milliseconds; what is no such number asks it
/// not to call again.
const PUSHBACK: &str = "grpc-retry-pushback-ms";

/// What the client has of a match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Which match; empty before the first update.
    pub match_id: String,
    /// The number of the last durable update; those up to it are not shown again.
    pub sequence: u64,
    /// Where the match stood then.
    pub state: MatchState,
}

impl Seen {
    /// A client that has the updates up to a number, 0 for none.
    pub fn up_to(sequence: u64) -> Self {
        Self { match_id: String::new(), sequence, state: MatchState::Unspecified }
    }

    /// Whether an update is news, which is noted. Progress and heartbeats always are.
    ///
    /// Another match under the same request id (the first one was erased) starts anew.
    pub fn take(&mut self, update: &MatchUpdate) -> bool {
        if !is_durable(update) {
            return true;
        }
        if !self.match_id.is_empty() && self.match_id != update.match_id {
            self.sequence = 0;
        }
        self.match_id.clone_from(&update.match_id);
        let news = update.sequence > self.sequence;
        if news {
            self.sequence = update.sequence;
            self.state = update.r#match.as_ref().map_or(MatchState::Unspecified, Match::state);
        }
        news
    }
}

/// Whether the server has taken a match over, as far as the client can know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Acceptance {
    /// It has not.
    No,
    /// The request was sent, and what became of it was never heard.
    Perhaps,
    /// It said so.
    Yes,
}

/// Which call gives the updates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResumeCall {
    /// `RunMatch`, with the photo.
    Run,
    /// `WatchMatch`, after a number.
    Watch { after: u64 },
}

/// How a call ended before the match did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallOutcome {
    /// The connection is gone, or the server asks to come back.
    Broken,
    /// The server knows no such match.
    Unknown,
    /// The server refused, and would again.
    Refused,
}

/// What to do then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextMove {
    /// Call, after a pause.
    Call(ResumeCall),
    /// Nothing; the error is the answer.
    Fail,
}

/// Says how to go on. `has_photo` is whether the client could send the request again.
///
/// A match that may still need its photo is run again, which is safe by its request id; one that
/// has it is only watched, so that no photo travels twice.
pub fn next_call(has_photo: bool, call: ResumeCall, seen: &Seen, outcome: CallOutcome) -> NextMove {
    match outcome {
        CallOutcome::Refused => NextMove::Fail,
        CallOutcome::Broken if has_photo && may_need_photo(seen.state) => {
            NextMove::Call(ResumeCall::Run)
        }
        CallOutcome::Broken => NextMove::Call(ResumeCall::Watch { after: seen.sequence }),
        CallOutcome::Unknown => match call {
            ResumeCall::Watch { .. } if has_photo => NextMove::Call(ResumeCall::Run),
            ResumeCall::Watch { .. } | ResumeCall::Run => NextMove::Fail,
        },
    }
}

fn may_need_photo(state: MatchState) -> bool {
    match state {
        MatchState::Unspecified | MatchState::Accepted => true,
        MatchState::Uploaded
        | MatchState::Processing
        | MatchState::Finished
        | MatchState::Failed
        | MatchState::Cancelled => false,
    }
}

/// What an error means for going on.
///
/// The server's own errors carry a reason. Without one, these codes are what a connection that
/// breaks looks like from inside the transport. A peer that is not the service goes on being
/// another, unless its answer is one of those that pass.
pub fn outcome_of(status: &Status) -> CallOutcome {
    if let Some(met) = Foreign::behind(status) {
        return if met.may_pass() { CallOutcome::Broken } else { CallOutcome::Refused };
    }
    if TlsProblem::behind(status).is_some() || pushback(status) == Some(None) {
        return CallOutcome::Refused;
    }
    let transports = matches!(
        status.code(),
        Code::Unknown | Code::Internal | Code::Cancelled | Code::Aborted | Code::Unavailable
    );
    match failure::reason(status).as_deref() {
        Some("MATCH_NOT_FOUND") => CallOutcome::Unknown,
        Some(_) if status.code() == Code::Unavailable || asked(status).is_some() => {
            CallOutcome::Broken
        }
        None if transports => CallOutcome::Broken,
        Some(_) | None => CallOutcome::Refused,
    }
}

/// Whether something answered that the call failed, and not why. What breaks within this side's own
/// transport has a cause.
pub fn is_unexplained(status: &Status) -> bool {
    let code =
        matches!(status.code(), Code::Unknown | Code::Internal | Code::Cancelled | Code::Aborted);
    code && status.source().is_none() && failure::reason(status).is_none()
}

/// Whether a call that was not taken leaves nothing behind: the server refused it, or it never
/// left. Its other answers don't say what the server had done before.
pub fn left_nothing(status: &Status) -> bool {
    match failure::reason(status).as_deref() {
        Some("SERVER_DRAINING" | "OVERLOADED") => true,
        Some(_) => outcome_of(status) == CallOutcome::Refused && status.code() != Code::Internal,
        None => {
            let met = Foreign::behind(status);
            never_left(status) || met.is_some_and(Foreign::stands_before_the_service)
        }
    }
}

/// Whether there was no connection to send a call over.
pub fn never_left(status: &Status) -> bool {
    let first = status.source();
    let mut causes = std::iter::successors(first, |&error| error.source());
    causes.any(|error| error.is::<ConnectError>())
}

/// How long the server, or what stands in front of it, asks to wait.
pub fn asked(status: &Status) -> Option<Duration> {
    let told = status.get_details_retry_info().and_then(|info| info.retry_delay);
    let met = Foreign::behind(status).and_then(Foreign::retry_after);
    told.or_else(|| pushback(status).flatten()).or(met)
}

/// What the trailer for it says, if it is there.
fn pushback(status: &Status) -> Option<Option<Duration>> {
    let text = status.metadata().get(PUSHBACK)?.to_str().unwrap_or_default();
    Some(text.parse().ok().map(Duration::from_millis))
}

/// Whether an update is one of the journal's. One whose event a later version added is taken for
/// that: its number tells whether it is news.
pub fn is_durable(update: &MatchUpdate) -> bool {
    match update.event {
        Some(Event::Progress(_) | Event::Heartbeat(_)) => false,
        None => true,
        Some(
            Event::Accepted(_)
            | Event::PhotoUploaded(_)
            | Event::AnalysisStarted(_)
            | Event::AttemptFailed(_)
            | Event::Finished(_)
            | Event::Failed(_)
            | Event::Cancelled(_),
        ) => true,
    }
}

/// How long a stream may be silent that said how often it sends heartbeats.
pub fn silence_max(heartbeat: Option<Duration>) -> Duration {
    let told =
        |interval: Duration| interval.saturating_mul(SILENT_INTERVALS_MAX).max(SILENCE_LEAST);
    heartbeat.map_or(SILENCE_UNKNOWN, told)
}

/// How often a stream sends heartbeats, if an update says so.
pub fn heartbeat(update: &MatchUpdate) -> Option<Duration> {
    match &update.event {
        Some(Event::Heartbeat(heartbeat)) => heartbeat.interval?.try_into().ok(),
        Some(_) | None => None,
    }
}

/// Whether a match is in a state that a later version added. After a stream that ended in order,
/// such a state ends a match.
pub fn is_unknown_state(snapshot: &Match) -> bool {
    MatchState::try_from(snapshot.state).is_err()
}

/// Whether a match has ended.
pub fn has_ended(snapshot: &Match) -> bool {
    match snapshot.state() {
        MatchState::Finished | MatchState::Failed | MatchState::Cancelled => true,
        MatchState::Unspecified
        | MatchState::Accepted
        | MatchState::Uploaded
        | MatchState::Processing => false,
    }
}

/// How the pauses between calls grow, and when to stop trying.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    /// The first pause.
    pub first: Duration,
    /// The longest one.
    pub most: Duration,
    /// How long an outage may last.
    pub give_up_after: Duration,
}

impl Backoff {
    /// The pace for people who wait: quick at first, never a storm.
    pub fn patient(give_up_after: Duration) -> Self {
        Self { first: Duration::from_millis(200), most: Duration::from_secs(10), give_up_after }
    }

    /// The pause before try number `tries` (from 0): half of it fixed, half by `jitter` (0 to 1),
    /// and never less than the server asked for. Half as much is added to that by `jitter`, so that
    /// callers who were refused together don't return together.
    fn pause(&self, tries: u32, jitter: f64, asked: Option<Duration>) -> Duration {
        let whole = self.first.saturating_mul(1 << tries.min(16)).min(self.most);
        let pause = whole / 2 + (whole / 2).mul_f64(jitter.clamp(0.0, 1.0));
        let asked = asked.unwrap_or_default().min(ASKED_MAX);
        pause.max(asked + (asked / 2).mul_f64(jitter.clamp(0.0, 1.0)))
    }
}

/// The next try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// How long to wait before it.
    pub pause: Duration,
    /// Whether the outage has only begun.
    pub first: bool,
}

/// An outage as it goes on: since when, and how often was tried.
///
/// All times count from the same moment, any before the first call.
#[derive(Debug, Default)]
pub struct OngoingOutage {
    since: Option<Duration>,
    tries: u32,
    taken: Option<Duration>,
    unexplained: u32,
}

impl OngoingOutage {
    /// The server took a call.
    pub fn taken(&mut self, now: Duration) {
        self.taken = Some(now);
    }

    /// There was news: patience begins anew. Pauses don't, since a server that says a word and dies
    /// must not be called the faster for it.
    pub fn news(&mut self) {
        self.since = None;
        self.unexplained = 0;
    }

    /// Whether the trouble behind this error may pass, after the errors before it.
    pub fn may_pass(&mut self, status: &Status) -> bool {
        self.unexplained = if is_unexplained(status) { self.unexplained + 1 } else { 0 };
        self.unexplained <= UNEXPLAINED_MAX
    }

    /// A call broke: when to try again, or nothing if it is time to give up. What broke after it
    /// had held for as long as the longest pause is another outage.
    pub fn retry(
        &mut self,
        pace: &Backoff,
        now: Duration,
        jitter: f64,
        asked: Option<Duration>,
    ) -> Option<Retry> {
        if self.taken.take().is_some_and(|taken| now.saturating_sub(taken) >= pace.most) {
            *self = Self::default();
        }
        let first = self.since.is_none();
        let since = *self.since.get_or_insert(now);
        let pause = pace.pause(self.tries, jitter, asked);
        self.tries = self.tries.saturating_add(1);
        let patient = now.saturating_sub(since) + pause <= pace.give_up_after;
        patient.then_some(Retry { pause, first })
    }
}

#[cfg(test)]
mod tests;
