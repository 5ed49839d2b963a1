//! What the replica that drives a match knows beside its journal: never stored, lost with it.
//!
//! Whoever takes a match over starts with [`VolatileState::revived`], which assumes the worst: that an
//! answer of Oz's was lost.

use std::time::Duration;

use crate::domain::{
    ask::{AskKind, Failure},
    event::{LivenessResult, Metadata, OzStatus},
    id::{AnalysisId, MediaId},
    reason::Cause,
    state::{self, Match, State},
    time::Timestamp,
    verdict::VerdictReading,
};

/// How matches are driven: the settings that the core needs.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Policy {
    /// From the start of one poll to the start of the next.
    pub poll_interval: Duration,
    /// For how long Oz may still act on a request whose answer was lost.
    pub oz_settle: Duration,
    /// How long a match waits for its photo to be sent again.
    pub photo_grace: Duration,
    /// How long a match is kept after its end.
    pub retention: Duration,
}

/// The longest pause between two tries. Longer, and the end of an outage is noticed late.
pub const BACKOFF_MAX: Duration = Duration::from_secs(30);
/// For how long Oz may not know, or not show, an analysis that it started: an installation that is
/// deployed anew, or whose database fails over, is whole again by then.
pub const MISSING_MAX: Duration = Duration::from_secs(300);
/// For how long our login may be refused: a secret that is being replaced is read again meanwhile.
/// Longer, and callers wait in vain for an account that stays wrong.
pub const LOGIN_REFUSED_MAX: Duration = Duration::from_secs(60);
/// How many answers of one match may lack what is needed.
pub const INCOMPLETE_MAX: u32 = 5;
/// How many troubles of one match are told: an Oz that flaps must not fill the journal.
pub const TROUBLES_MAX: u32 = 50;
/// How many files a folder holds at Oz by default (`OZ_ATTACHMENT_MAX_COUNT`, configuration page).
pub const FOLDER_MEDIA_MAX: usize = 10;
/// How long the last look before a deadline's verdict may take once it is sent.
pub const LAST_LOOK_MAX: Duration = Duration::from_secs(5);
/// How long the last look may wait to be sent. Only other last looks are before it, so that it
/// waits for long only where Oz itself is slow; its caller waits as well.
pub const LAST_LOOK_WAIT_MAX: Duration = Duration::from_secs(60);

/// What was found in the folder, and decided from it.
#[derive(Clone, PartialEq, Debug)]
pub struct MatchPlan {
    /// What to compare with.
    pub liveness_media: Vec<MediaId>,
    /// What the newest finished QUALITY analysis says of them.
    pub liveness: Option<LivenessResult>,
    /// QUALITY analyses of just these media: never ours.
    pub earlier_analyses: Vec<AnalysisId>,
    /// How many media the folder held.
    pub media_count: usize,
}

/// Whether a request of ours may have reached Oz unanswered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sending {
    /// No: it may be sent.
    Clear,
    /// Perhaps, at this time: it is looked for first.
    Unsure(Timestamp),
}

/// One analysis that is polled.
#[derive(Clone, PartialEq, Debug)]
pub struct Poll<T> {
    /// When it is asked for next.
    pub due: Timestamp,
    /// What came of it, once it is over.
    pub over: Option<T>,
    /// Since when Oz says that it doesn't know the analysis.
    pub missing_since: Option<Timestamp>,
}

/// The present trouble of a line of requests.
#[derive(Clone, PartialEq, Debug)]
pub struct OngoingTrouble {
    /// Which kind of request has it: only that one's success ends it.
    pub ask: AskKind,
    /// What kind it is.
    pub cause: Cause,
    /// How many failures in a row.
    pub failures: u32,
}

/// How a line of requests fares. The QUALITY analysis has one of its own, so that what befalls it
/// neither slows nor ends the match.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct RequestHealth {
    /// The present trouble.
    pub trouble: Option<OngoingTrouble>,
    /// How many answers lacked what is needed.
    pub incomplete: u32,
}

/// Everything the core knows of a match under way, beside its state.
#[derive(Clone, PartialEq, Debug)]
pub struct VolatileState {
    /// What the folder says; none before it was read.
    pub plan: Option<MatchPlan>,
    /// Whether a photo may be on its way.
    pub upload: Sending,
    /// Whether a start of analyses may be on its way.
    pub start: Sending,
    /// Nothing is asked of Oz before this time.
    pub not_before: Timestamp,
    /// Nothing that changes Oz is sent before this time.
    pub resend_at: Timestamp,
    /// When it was first found that the photo is nowhere.
    pub photo_missed: Option<Timestamp>,
    /// The BIOMETRY analysis.
    pub biometry: Poll<VerdictReading>,
    /// The QUALITY analysis, if one was started.
    pub quality: Poll<Option<LivenessResult>>,
    /// How often the BIOMETRY analysis was polled.
    pub polls: u64,
    /// Oz's words as last polled.
    pub oz: Option<OzStatus>,
    /// Since when our login has been refused, without anything else in between.
    pub login_refused_since: Option<Timestamp>,
    /// How the requests fare that the match can't do without.
    pub line: RequestHealth,
    /// How the polls of the QUALITY analysis fare.
    pub quality_line: RequestHealth,
    /// The last trouble's cause and details, for the message of a deadline.
    pub last_trouble: Option<(Cause, Metadata)>,
    /// Whether the last look before the deadline's verdict was taken.
    pub last_look: bool,
    /// The folder is read before anything that changes Oz is sent: the circuit breaker needs a
    /// probe.
    pub look_first: bool,
}

impl<T> Poll<T> {
    const fn due(due: Timestamp) -> Self {
        Self { due, over: None, missing_since: None }
    }
}

impl VolatileState {
    /// For a match that was accepted just now by this replica.
    pub const fn fresh(now: Timestamp) -> Self {
        Self {
            plan: None,
            upload: Sending::Clear,
            start: Sending::Clear,
            not_before: now,
            resend_at: now,
            photo_missed: None,
            biometry: Poll::due(now),
            quality: Poll::due(now),
            polls: 0,
            oz: None,
            login_refused_since: None,
            line: RequestHealth::NEW,
            quality_line: RequestHealth::NEW,
            last_trouble: None,
            last_look: false,
            look_first: false,
        }
    }

    /// For a match that somebody else drove. `chance` (0..1) spreads the first polls evenly, so
    /// that a restart with many matches is no stampede.
    pub fn revived(m: &Match, now: Timestamp, policy: &Policy, chance: f64) -> Self {
        let first_poll = now.after(policy.poll_interval.mul_f64(chance.clamp(0.0, 1.0)));
        Self {
            upload: Sending::Unsure(now),
            start: Sending::Unsure(now),
            biometry: Poll::due(first_poll),
            quality: Poll::due(first_poll),
            polls: m.oz.as_ref().map_or(0, |oz| oz.polls),
            oz: m.oz.clone(),
            line: RequestHealth::revived(m),
            last_trouble: m.trouble.as_ref().map(|told| (told.cause, told.metadata.clone())),
            ..Self::fresh(now)
        }
    }

    /// A request was given up at the match's deadline. If it was unanswered for longer than a
    /// poll's interval since it was sent, that is why the match ends; otherwise it says nothing of
    /// Oz.
    pub fn cut_short(&mut self, unanswered: Duration, policy: &Policy) {
        if unanswered > policy.poll_interval {
            self.last_trouble = Some((Cause::OzTimeout, Metadata::new()));
        }
    }

    /// The analysis that a look found turned out to be another match's: ours is looked for again.
    pub fn start_was_anothers(&mut self, now: Timestamp) {
        self.start = Sending::Unsure(now);
    }

    /// How many requests have failed in a row.
    pub fn failures(&self) -> u32 {
        self.line.failures().max(self.quality_line.failures())
    }

    /// Counts a failure, and tells whether watchers are to be told: trouble began, or changed.
    pub fn failed(&mut self, of_quality: bool, ask: AskKind, failure: &Failure) -> bool {
        let cause = failure.kind.cause();
        let known = self.line.suffers(cause) || self.quality_line.suffers(cause);
        self.line_mut(of_quality).failed(ask, cause);
        self.last_trouble = Some((cause, failure.metadata()));
        !known
    }

    /// Notes what holds a request back, and tells whether watchers are to be told. Nothing was
    /// sent, so nothing has failed. What the match has met itself is closer than what others met,
    /// and their cause may be older.
    pub fn held_back(&mut self, of_quality: bool, ask: AskKind, failure: &Failure) -> bool {
        if self.failures() > 0 {
            return false;
        }
        let cause = failure.kind.cause();
        let known = self.line.suffers(cause) || self.quality_line.suffers(cause);
        self.line_mut(of_quality).held_back(ask, cause);
        self.last_trouble = Some((cause, failure.metadata()));
        !known
    }

    /// Whether Oz refuses what this server shows it of itself, so that new credentials may help.
    pub fn lacks_credentials(&self) -> bool {
        [Cause::OzLoginRefused, Cause::OzSessionRefused]
            .into_iter()
            .any(|cause| self.line.suffers(cause) || self.quality_line.suffers(cause))
    }

    /// There are new credentials: what waits is tried by this time, however long it would wait.
    pub fn try_by(&mut self, time: Timestamp) {
        for due in [
            &mut self.not_before,
            &mut self.resend_at,
            &mut self.biometry.due,
            &mut self.quality.due,
        ] {
            *due = time.min(*due);
        }
    }

    /// The line of the QUALITY analysis, or of everything else.
    pub const fn line(&self, of_quality: bool) -> &RequestHealth {
        if of_quality { &self.quality_line } else { &self.line }
    }

    /// The same, to be changed.
    pub const fn line_mut(&mut self, of_quality: bool) -> &mut RequestHealth {
        if of_quality { &mut self.quality_line } else { &mut self.line }
    }
}

impl RequestHealth {
    const NEW: Self = Self { trouble: None, incomplete: 0 };

    /// What watchers were told last is no news if it is met again.
    fn revived(m: &Match) -> Self {
        let ask = main_ask(m);
        let trouble =
            |told: &state::Trouble| OngoingTrouble { ask, cause: told.cause, failures: 0 };
        let trouble = m.trouble.as_deref().map(trouble);
        Self { trouble, incomplete: 0 }
    }

    /// How many requests have failed in a row.
    pub fn failures(&self) -> u32 {
        self.trouble.as_ref().map_or(0, |trouble| trouble.failures)
    }

    /// The trouble ends if this kind of request had it.
    pub fn worked(&mut self, ask: AskKind) {
        if self.trouble.as_ref().is_some_and(|trouble| trouble.ask == ask) {
            self.trouble = None;
        }
    }

    /// A look that fails while a request waits to be sent again is trouble with that request.
    fn failed(&mut self, ask: AskKind, cause: Cause) {
        let failures = self.failures().saturating_add(1);
        let sending = self.trouble.take().map(|trouble| trouble.ask).filter(|ask| ask.changes_oz());
        let ask = sending.filter(|_| !ask.changes_oz()).unwrap_or(ask);
        self.trouble = Some(OngoingTrouble { ask, cause, failures });
    }

    /// Whose success ends the trouble stays as it was.
    fn held_back(&mut self, ask: AskKind, cause: Cause) {
        let ask = self.trouble.as_ref().map_or(ask, |trouble| trouble.ask);
        self.trouble = Some(OngoingTrouble { ask, cause, failures: 0 });
    }

    fn suffers(&self, cause: Cause) -> bool {
        self.trouble.as_ref().is_some_and(|trouble| trouble.cause == cause)
    }
}

/// The request whose success ends a trouble that somebody else met: not the look before it.
fn main_ask(m: &Match) -> AskKind {
    match m.state {
        State::Accepted if m.spec.needs_photo() => AskKind::UploadPhoto,
        State::Accepted => AskKind::ReadFolder,
        State::Uploaded => AskKind::StartAnalyses,
        State::Processing | State::Finished | State::Failed | State::Cancelled | State::Unknown => {
            AskKind::ReadAnalysis
        }
    }
}
