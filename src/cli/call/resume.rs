//! Decides which call the client makes after a stream has ended, and how long it pauses before.
//!
//! Pure: it makes no call, doesn't sleep and reads no clock; `follow` does all that.

use std::{error::Error, time::Duration};

use tonic::{Code, ConnectError, Status};
use tonic_types::StatusExt;

use crate::cli::call::{
    client::{Foreign, TlsProblem},
    pb::{Match, MatchState, MatchUpdate, match_update::Event},
    render::failure,
};

/// The longest pause that the client makes because a server asks for it.
const ASKED_MAX: Duration = Duration::from_secs(60);

/// How many errors in a row without a reason are treated as broken connections. Gateways answer
/// with such errors both for trouble that passes, such as a restart behind them, and for trouble
/// that doesn't, such as a photo over their limit. This many calls take about 6 s.
const UNEXPLAINED_MAX: u32 = 5;

/// A stream counts as dead after this many heartbeat intervals of silence, since one heartbeat may
/// be late. A stream that is wrongly taken for dead is only reopened.
const SILENT_INTERVALS_MAX: u32 = 3;
/// The least silence after which a stream counts as dead: a busy machine may pause that long.
const SILENCE_LEAST: Duration = Duration::from_secs(15);
/// The limit of silence before the first heartbeat, from the server's default interval.
const SILENCE_UNKNOWN: Duration = Duration::from_secs(60);

/// The trailer with which a server asks a client to wait, in milliseconds. Any value but a number
/// asks the client not to repeat the call.
const PUSHBACK: &str = "grpc-retry-pushback-ms";

/// The last durable update of a match that the client has received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The match's id; empty before the first update.
    pub match_id: String,
    /// The sequence of that update. Updates up to it are not shown again.
    pub sequence: u64,
    /// The state of the match after that update.
    pub state: MatchState,
}

impl Seen {
    /// The state of a client that has received the updates up to a sequence; 0 if it has none.
    pub fn up_to(sequence: u64) -> Self {
        Self { match_id: String::new(), sequence, state: MatchState::Unspecified }
    }

    /// Notes an update, and returns whether it is new. Progress and heartbeats are always new.
    ///
    /// If the match id changes (the match was erased and its request id used again), the count
    /// restarts.
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

/// Whether the server has accepted a match, as far as the client can know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Acceptance {
    /// The server has not accepted the match.
    No,
    /// The request was sent, and no answer arrived.
    Perhaps,
    /// The server has confirmed that it accepted the match.
    Yes,
}

/// The call that streams the updates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResumeCall {
    /// `RunMatch`, with the photo.
    Run,
    /// `WatchMatch`, after a sequence.
    Watch { after: u64 },
}

/// How a call ended before its match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallOutcome {
    /// The connection broke, or the server asks the client to retry.
    Broken,
    /// The server doesn't know the match.
    MatchNotFound,
    /// The server refused the call, and would refuse it again.
    Refused,
}

/// What the client does after a call has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextMove {
    /// It makes this call after a pause.
    Call(ResumeCall),
    /// It stops, and the error is the result.
    Fail,
}

/// Decides what to do next. `has_photo` says whether the client can send the request again.
///
/// A match that may still need its photo is run again, which its request id makes safe. A match
/// whose photo is at Oz is only watched, so that no photo is sent twice.
pub fn next_call(has_photo: bool, call: ResumeCall, seen: &Seen, outcome: CallOutcome) -> NextMove {
    match outcome {
        CallOutcome::Refused => NextMove::Fail,
        CallOutcome::Broken if has_photo && may_need_photo(seen.state) => {
            NextMove::Call(ResumeCall::Run)
        }
        CallOutcome::Broken => NextMove::Call(ResumeCall::Watch { after: seen.sequence }),
        CallOutcome::MatchNotFound => match call {
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

/// Classifies the error of a call.
///
/// The server's own errors carry a reason. Without a reason, the codes below are those that the
/// transport gives to a broken connection. An answer from another peer than the service is final,
/// unless it is an HTTP status for trouble that passes.
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
        Some("MATCH_NOT_FOUND") => CallOutcome::MatchNotFound,
        Some(_) if status.code() == Code::Unavailable || requested_delay(status).is_some() => {
            CallOutcome::Broken
        }
        None if transports => CallOutcome::Broken,
        Some(_) | None => CallOutcome::Refused,
    }
}

/// Whether a peer answered with an error and gave no reason. An error of the client's own transport
/// has a source, and doesn't count.
pub fn is_unexplained(status: &Status) -> bool {
    let code =
        matches!(status.code(), Code::Unknown | Code::Internal | Code::Cancelled | Code::Aborted);
    code && status.source().is_none() && failure::reason(status).is_none()
}

/// Whether a failed call has certainly had no effect: the server refused it, or it was never sent.
/// Other errors don't say what the server had done before.
pub fn had_no_effect(status: &Status) -> bool {
    match failure::reason(status).as_deref() {
        Some("SERVER_DRAINING" | "OVERLOADED") => true,
        Some(_) => outcome_of(status) == CallOutcome::Refused && status.code() != Code::Internal,
        None => {
            let met = Foreign::behind(status);
            was_never_sent(status) || met.is_some_and(Foreign::stands_before_the_service)
        }
    }
}

/// Whether a call failed because no connection could be made.
pub fn was_never_sent(status: &Status) -> bool {
    let first = status.source();
    let mut causes = std::iter::successors(first, |&error| error.source());
    causes.any(|error| error.is::<ConnectError>())
}

/// How long the server, or a gateway in front of it, asks the client to wait.
pub fn requested_delay(status: &Status) -> Option<Duration> {
    let told = status.get_details_retry_info().and_then(|info| info.retry_delay);
    let met = Foreign::behind(status).and_then(Foreign::retry_after);
    told.or_else(|| pushback(status).flatten()).or(met)
}

/// The value of the pushback trailer, if it is there. `Some(None)` asks for no retry.
fn pushback(status: &Status) -> Option<Option<Duration>> {
    let text = status.metadata().get(PUSHBACK)?.to_str().unwrap_or_default();
    Some(text.parse().ok().map(Duration::from_millis))
}

/// Whether an update is durable. An update with an event of a later version counts as durable: its
/// sequence shows whether it is new.
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

/// How long a stream may be silent, by its heartbeat interval if that is known.
pub fn silence_max(heartbeat: Option<Duration>) -> Duration {
    let told =
        |interval: Duration| interval.saturating_mul(SILENT_INTERVALS_MAX).max(SILENCE_LEAST);
    heartbeat.map_or(SILENCE_UNKNOWN, told)
}

/// The interval of heartbeats, if the update is a heartbeat that carries it.
pub fn heartbeat(update: &MatchUpdate) -> Option<Duration> {
    match &update.event {
        Some(Event::Heartbeat(heartbeat)) => heartbeat.interval?.try_into().ok(),
        Some(_) | None => None,
    }
}

/// Whether a match is in a state that a later version added. If its stream ended with OK, such a
/// state is final.
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

/// How the pauses between retries grow, and when retries stop.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    /// The first pause.
    pub first: Duration,
    /// The longest pause.
    pub longest: Duration,
    /// How long an outage may last before the client gives up.
    pub give_up_after: Duration,
}

impl Backoff {
    /// The pauses for a person at a terminal: short at first, and 10 s at most.
    pub fn patient(give_up_after: Duration) -> Self {
        Self { first: Duration::from_millis(200), longest: Duration::from_secs(10), give_up_after }
    }

    /// The pause before retry number `tries` (from 0). Half of it is fixed and half is multiplied
    /// by `jitter` (0 to 1). It is never shorter than the server asked for; to that, `jitter` adds
    /// up to half, so that clients that were refused together don't return together.
    fn pause(&self, tries: u32, jitter: f64, requested: Option<Duration>) -> Duration {
        let whole = self.first.saturating_mul(1 << tries.min(16)).min(self.longest);
        let pause = whole / 2 + (whole / 2).mul_f64(jitter.clamp(0.0, 1.0));
        let requested = requested.unwrap_or_default().min(ASKED_MAX);
        pause.max(requested + (requested / 2).mul_f64(jitter.clamp(0.0, 1.0)))
    }
}

/// The next retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// How long to wait before it.
    pub pause: Duration,
    /// Whether it is the first retry of an outage.
    pub first: bool,
}

/// The state of an outage: when it began, and how many retries were made.
///
/// All times are measured from one moment before the first call.
#[derive(Debug, Default)]
pub struct OngoingOutage {
    since: Option<Duration>,
    tries: u32,
    taken: Option<Duration>,
    unexplained: u32,
}

impl OngoingOutage {
    /// Notes that the server has accepted a call.
    pub fn note_accepted(&mut self, now: Duration) {
        self.taken = Some(now);
    }

    /// Notes a new update: the time until the client gives up starts again. The pauses don't become
    /// short again, since a server that keeps crashing after one update must not be called faster.
    pub fn note_progress(&mut self) {
        self.since = None;
        self.unexplained = 0;
    }

    /// Whether the trouble behind this error may still pass, given the errors before it.
    pub fn may_retry(&mut self, status: &Status) -> bool {
        self.unexplained = if is_unexplained(status) { self.unexplained + 1 } else { 0 };
        self.unexplained <= UNEXPLAINED_MAX
    }

    /// The retry after a broken call; `None` if it is time to give up. A call that had lasted at
    /// least as long as the longest pause begins a new outage.
    pub fn retry(
        &mut self,
        pace: &Backoff,
        now: Duration,
        jitter: f64,
        requested: Option<Duration>,
    ) -> Option<Retry> {
        if self.taken.take().is_some_and(|taken| now.saturating_sub(taken) >= pace.longest) {
            *self = Self::default();
        }
        let first = self.since.is_none();
        let since = *self.since.get_or_insert(now);
        let pause = pace.pause(self.tries, jitter, requested);
        self.tries = self.tries.saturating_add(1);
        let patient = now.saturating_sub(since) + pause <= pace.give_up_after;
        patient.then_some(Retry { pause, first })
    }
}

#[cfg(test)]
mod tests;
