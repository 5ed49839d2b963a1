//! Decides which call the client makes after a stream has ended, and how long it pauses before: the
//! algorithm that all client libraries share (clients/conformance/README.md).
//!
//! Pure: it makes no call, doesn't sleep and reads no clock; `retry` and its users do all that.
//!
//! It differs from the libraries in two points, since a person waits at the terminal: it gives up
//! earlier on a peer that answers again and again without a reason, and at once if a certificate
//! isn't accepted.

use std::{error::Error, time::Duration};

use tonic::{Code, ConnectError, Status};
use tonic_types::StatusExt;

use crate::cli::call::{
    client::{Foreign, TlsProblem},
    pb::{Match, MatchState, MatchUpdate, match_update::Event},
};

/// How many errors in a row without a reason are treated as broken connections. Gateways answer
/// with such errors both for trouble that passes, such as a restart behind them, and for trouble
/// that doesn't, such as a photo over their limit. This many calls take some seconds.
const UNEXPLAINED_MAX: u32 = 5;

/// A stream counts as dead after this many heartbeat intervals of silence, since one heartbeat may
/// be late. A stream that is wrongly taken for dead is only reopened.
const SILENT_INTERVALS_MAX: u32 = 3;

/// The domain of the service's own reasons. A gateway's have another.
const DOMAIN: &str = "facematch";

/// The reason for which a call may be repeated with another credential.
const CREDENTIAL_EXPIRED: &str = "CREDENTIAL_EXPIRED";
/// The reason for which a stream may begin with another token.
const TOKEN_EXPIRED: &str = "TOKEN_EXPIRED";
/// The reason of a call about a match that isn't there.
const MATCH_NOT_FOUND: &str = "MATCH_NOT_FOUND";

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
    /// Whether the match has its photo at Oz, so that it isn't needed any more.
    pub photo_at_oz: bool,
}

/// What an update is to a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// It is new, or no durable update.
    New,
    /// It was received before.
    Known,
    /// Updates before it are missing, which breaks the contract. Holds the sequence that was due.
    Gap(u64),
}

impl Seen {
    /// The state of a client that has received the updates up to a sequence; 0 if it has none.
    pub fn up_to(sequence: u64) -> Self {
        Self { match_id: String::new(), sequence, photo_at_oz: false }
    }

    /// Notes an update. Progress and heartbeats are always new.
    ///
    /// If the match id changes (the server has lost the match and has accepted the request again),
    /// the count restarts.
    pub fn take(&mut self, update: &MatchUpdate) -> News {
        if !is_durable(update) {
            return News::New;
        }
        if !self.match_id.is_empty() && self.match_id != update.match_id {
            (self.sequence, self.photo_at_oz) = (0, false);
        }
        self.match_id.clone_from(&update.match_id);
        let due = self.sequence + 1;
        if update.sequence < due {
            return News::Known;
        }
        if update.sequence > due {
            return News::Gap(due);
        }
        self.sequence = update.sequence;
        let found = update.r#match.as_ref();
        self.photo_at_oz |= found.is_some_and(|found| !found.photo_media_id.is_empty());
        News::New
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
    /// The server refused the call, and would refuse it again.
    Refused,
}

/// The call after a broken one. `has_request` says whether the client can send the request again.
///
/// A match that may still need its photo is run again, which its request id makes safe. A match
/// whose photo is at Oz is only watched, so that no photo is sent twice.
pub fn next_call(has_request: bool, seen: &Seen) -> ResumeCall {
    match has_request && !seen.photo_at_oz {
        true => ResumeCall::Run,
        false => ResumeCall::Watch { after: seen.sequence },
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
    match reason(status) {
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
    code && status.source().is_none() && reason(status).is_none()
}

/// Whether a call was refused because its credential has expired: another credential may help.
pub fn needs_new_credential(status: &Status) -> bool {
    reason(status).as_deref() == Some(CREDENTIAL_EXPIRED)
}

/// Whether a stream was refused because the updates after its token are not kept any more.
pub fn is_expired_token(status: &Status) -> bool {
    reason(status).as_deref() == Some(TOKEN_EXPIRED)
}

/// Whether a call was refused because there is no such match.
pub fn is_no_match(status: &Status) -> bool {
    reason(status).as_deref() == Some(MATCH_NOT_FOUND)
}

/// Whether the server refused a call by a reason that means that the call had no effect, whenever it
/// comes.
pub fn says_no_effect(status: &Status) -> bool {
    let reason = reason(status);
    matches!(reason.as_deref(), Some("OVERLOADED" | "QUOTA_EXCEEDED" | "AUDIT_UNAVAILABLE"))
}

/// Whether a call that failed before its stream began, or that has no stream, has certainly had no
/// effect: the server refused it, or it was never sent. Other errors don't say what the server had
/// done before.
pub fn had_no_effect(status: &Status) -> bool {
    match reason(status).as_deref() {
        Some("SERVER_DRAINING") => true,
        Some(_) if says_no_effect(status) => true,
        Some(_) => {
            let says_nothing = matches!(status.code(), Code::Internal | Code::DeadlineExceeded);
            outcome_of(status) == CallOutcome::Refused && !says_nothing
        }
        None => {
            let met = Foreign::behind(status);
            was_never_sent(status)
                || TlsProblem::behind(status).is_some()
                || met.is_some_and(Foreign::stands_before_the_service)
        }
    }
}

/// Whether a call failed because no connection could be made.
pub fn was_never_sent(status: &Status) -> bool {
    let first = status.source();
    let mut causes = std::iter::successors(first, |&error| error.source());
    causes.any(|error| error.is::<ConnectError>())
}

/// The service's reason for an error. `None` if the error isn't the service's.
pub fn reason(status: &Status) -> Option<String> {
    let info = status.get_details_error_info()?;
    (info.domain == DOMAIN && !info.reason.is_empty()).then_some(info.reason)
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

/// How long a stream may be silent before it counts as dead.
#[derive(Debug, Clone, Copy)]
pub struct Silence {
    /// At least this long: a busy machine may pause.
    pub least: Duration,
    /// As long as no heartbeat has told its interval, and while a photo may be on its way.
    pub unknown: Duration,
}

impl Silence {
    /// The limits of every client. The second is from the server's default interval.
    pub const DEFAULT: Self =
        Self { least: Duration::from_secs(15), unknown: Duration::from_secs(60) };

    /// The limit between two messages, by the interval of heartbeats if that is known.
    pub fn between(&self, heartbeat: Option<Duration>) -> Duration {
        let told =
            |interval: Duration| interval.saturating_mul(SILENT_INTERVALS_MAX).max(self.least);
        heartbeat.map_or(self.unknown, told)
    }

    /// The limit until the first message of a call. A photo may be on its way before that: a server
    /// that gives up receiving it, after a minute by default, must have time to say so.
    pub fn before(&self, call: ResumeCall, heartbeat: Option<Duration>) -> Duration {
        let between = self.between(heartbeat);
        match call {
            ResumeCall::Run => between.max(self.unknown.saturating_add(self.unknown / 2)),
            ResumeCall::Watch { .. } => between,
        }
    }
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
    /// The longest pause before the first retry.
    pub first: Duration,
    /// The longest pause before any retry that no server has asked to delay.
    pub longest: Duration,
    /// How long an outage may last before the client gives up; `None` for ever.
    pub give_up_after: Option<Duration>,
    /// The most retries of one outage; `None` for any number.
    pub give_up_tries: Option<u32>,
}

impl Backoff {
    /// The pauses of every client.
    pub const fn patient(give_up_after: Option<Duration>) -> Self {
        let (first, longest) = (Duration::from_millis(200), Duration::from_secs(5));
        Self { first, longest, give_up_after, give_up_tries: None }
    }

    /// The pause before retry number `tries` (from 0). `jitter` (0 to 1) chooses it from the whole
    /// range, so that clients whose connections broke together don't return together. If the server
    /// has asked for a delay, the pause is that long, and `jitter` adds up to half.
    fn pause(&self, tries: u32, jitter: f64, asked: Option<Duration>) -> Duration {
        let jitter = jitter.clamp(0.0, 1.0);
        match asked.filter(|asked| !asked.is_zero()) {
            Some(asked) => asked.saturating_add((asked / 2).mul_f64(jitter)),
            None => {
                let whole = self.first.saturating_mul(1 << tries.min(16)).min(self.longest);
                whole.mul_f64(jitter)
            }
        }
    }
}

/// The next retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// How long to wait before it.
    pub pause: Duration,
    /// Its number in the outage, from 1.
    pub attempt: u32,
}

/// The state of an outage: when it began, and how many retries were made.
///
/// All times are measured from one moment before the first call.
#[derive(Debug, Default)]
pub struct OngoingOutage {
    since: Option<Duration>,
    tries: u32,
    first_message: Option<Duration>,
    unexplained: u32,
}

impl OngoingOutage {
    /// Notes that a call begins.
    pub fn note_call(&mut self) {
        self.first_message = None;
    }

    /// Notes a message of the call.
    pub fn note_message(&mut self, now: Duration) {
        self.first_message.get_or_insert(now);
    }

    /// Notes a new update, which ends the outage.
    pub fn note_progress(&mut self) {
        (self.since, self.tries, self.unexplained) = (None, 0, 0);
    }

    /// Whether the trouble behind this error may still pass, given the errors before it.
    pub fn may_retry(&mut self, status: &Status) -> bool {
        self.unexplained = if is_unexplained(status) { self.unexplained + 1 } else { 0 };
        self.unexplained <= UNEXPLAINED_MAX
    }

    /// The retry after a broken call; `None` if it is time to give up. A stream that breaks at
    /// least the longest pause after its first message begins a new outage: a proxy that ends each
    /// call after a minute is no outage.
    pub fn retry(
        &mut self,
        pace: &Backoff,
        now: Duration,
        jitter: f64,
        asked: Option<Duration>,
    ) -> Option<Retry> {
        let lasted = self.first_message.take().map(|first| now.saturating_sub(first));
        if lasted.is_some_and(|lasted| lasted >= pace.longest) {
            self.note_progress();
        }
        let since = *self.since.get_or_insert(now);
        let pause = pace.pause(self.tries, jitter, asked);
        self.tries = self.tries.saturating_add(1);
        let lasts = now.saturating_sub(since).saturating_add(pause);
        let is_late = pace.give_up_after.is_some_and(|limit| lasts > limit);
        let is_spent = pace.give_up_tries.is_some_and(|limit| self.tries > limit);
        (!is_late && !is_spent).then_some(Retry { pause, attempt: self.tries })
    }
}

#[cfg(test)]
mod tests;
