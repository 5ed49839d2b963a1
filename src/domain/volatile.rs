//! What the driver of a match knows beyond the journal. Deliberately never stored: a driver that
//! takes over starts without it.
//!
//! A driver that takes over starts with [`VolatileState::revived`], which assumes the worst: that
//! an answer from Oz was lost.

use std::time::Duration;

use crate::domain::{
    ask::{AskKind, Failure},
    event::{LivenessResult, Metadata, OzStatus},
    id::{AnalysisId, MediaId},
    photo::Format,
    reason::Cause,
    state::{self, Match, State},
    time::Timestamp,
    verdict::VerdictReading,
};

/// The settings that the domain needs to drive matches.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Policy {
    /// From the start of one poll to the start of the next.
    pub poll_interval: Duration,
    /// How long Oz may still act on a request whose answer was lost.
    pub oz_settle: Duration,
    /// How long a match waits for its photo to be sent again.
    pub photo_grace: Duration,
    /// How long a match is kept after its end.
    pub retention: Duration,
}

/// The longest pause between two attempts. With a longer pause, the end of an outage would be
/// noticed late.
pub const BACKOFF_MAX: Duration = Duration::from_secs(30);
/// How long Oz may not know, or not show, an analysis that it started. An installation that is
/// redeployed, or whose database fails over, has recovered by then.
pub const MISSING_MAX: Duration = Duration::from_secs(300);
/// How long our login may be refused. A secret that is being replaced is read again within this
/// time; with a longer time callers would wait in vain for an account that stays wrong.
pub const LOGIN_REFUSED_MAX: Duration = Duration::from_secs(60);
/// The number of answers lacking required data at which a match, or its QUALITY analysis, is given
/// up.
pub const INCOMPLETE_MAX: u32 = 5;
/// How many trouble events one match may record: a flapping Oz must not fill the journal.
pub const TROUBLES_MAX: u32 = 50;
/// How many files a folder at Oz may hold by default (`OZ_ATTACHMENT_MAX_COUNT`, configuration
/// page).
pub const FOLDER_MEDIA_MAX: usize = 10;
/// How long the last look, a poll at the deadline before a timeout is recorded, may take once it is
/// sent.
pub const LAST_LOOK_MAX: Duration = Duration::from_secs(5);
/// How long the last look may wait to be sent. Only other last looks are ahead of it, so it waits
/// long only if Oz itself is slow; its caller waits as well.
pub const LAST_LOOK_WAIT_MAX: Duration = Duration::from_secs(60);

/// What a folder read found, and the decisions that follow from it.
#[derive(Clone, PartialEq, Debug)]
pub struct MatchPlan {
    /// The media to compare the photo with.
    pub liveness_media: Vec<MediaId>,
    /// The result of the newest finished QUALITY analysis of these media; `None` if there is none.
    pub liveness: Option<LivenessResult>,
    /// Analyses of the match's media that exist already: never adopted.
    pub earlier_analyses: Vec<AnalysisId>,
    /// How many media the folder held.
    pub media_count: usize,
}

/// Whether a request may have reached Oz although its answer was lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sending {
    /// No: the request may be sent.
    Clear,
    /// Perhaps, at this time: its effect is looked for in the folder first.
    Unsure(Timestamp),
}

/// One analysis that is polled.
#[derive(Clone, PartialEq, Debug)]
pub struct Poll<T> {
    /// When the next poll is due.
    pub due: Timestamp,
    /// Its outcome, once it is over.
    pub over: Option<T>,
    /// Since when Oz says that it doesn't know the analysis.
    pub missing_since: Option<Timestamp>,
}

/// The ongoing trouble of one [`RequestHealth`].
#[derive(Clone, PartialEq, Debug)]
pub struct OngoingTrouble {
    /// The kind of request that is in trouble: only its success ends the trouble.
    pub ask: AskKind,
    /// The cause that watchers are told.
    pub cause: Cause,
    /// Failures in a row; 0 if requests were only held back, or if the trouble was met by an
    /// earlier driver.
    pub failures: u32,
}

/// The health of a group of requests. The QUALITY analysis has its own, so that its failures
/// neither slow nor end the match.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct RequestHealth {
    /// The ongoing trouble, if any.
    pub trouble: Option<OngoingTrouble>,
    /// How many answers lacked required data.
    pub incomplete: u32,
}

/// Everything that the domain knows of a match in progress beyond its [`Match`].
#[derive(Clone, PartialEq, Debug)]
pub struct VolatileState {
    /// What the folder says; `None` until a folder read yields it.
    pub plan: Option<MatchPlan>,
    /// Whether an upload may have reached Oz unanswered.
    pub upload: Sending,
    /// Whether a start of analyses may have reached Oz unanswered.
    pub start: Sending,
    /// No request is sent to Oz before this time.
    pub not_before: Timestamp,
    /// No request that changes Oz is sent before this time.
    pub resend_at: Timestamp,
    /// The format of the photo that was read from the photo library; `None` if the driver holds
    /// none. It is read once for each attempt to upload it.
    pub reference: Option<Format>,
    /// When a folder read first found that the photo is not at Oz.
    pub photo_missed: Option<Timestamp>,
    /// The BIOMETRY analysis.
    pub biometry: Poll<VerdictReading>,
    /// The QUALITY analysis, if one was started.
    pub quality: Poll<Option<LivenessResult>>,
    /// How often the BIOMETRY analysis was polled.
    pub polls: u64,
    /// Oz's raw status as of the last poll.
    pub oz: Option<OzStatus>,
    /// When our login was first refused, if no other outcome has come since.
    pub login_refused_since: Option<Timestamp>,
    /// The health of the requests that the match depends on.
    pub health: RequestHealth,
    /// The health of the polls of the QUALITY analysis.
    pub quality_health: RequestHealth,
    /// Cause and details of the last trouble, for the error of a timeout.
    pub last_trouble: Option<(Cause, Metadata)>,
    /// Whether the last look was taken: the poll at the deadline before a timeout is recorded.
    pub last_look: bool,
    /// Whether the folder is read before any request that changes Oz: the circuit breaker needs a
    /// probe, and only a read can be one.
    pub look_first: bool,
}

impl<T> Poll<T> {
    const fn due(due: Timestamp) -> Self {
        Self { due, over: None, missing_since: None }
    }
}

impl VolatileState {
    /// The state for a match that this replica has just accepted.
    pub const fn fresh(now: Timestamp) -> Self {
        Self {
            plan: None,
            upload: Sending::Clear,
            start: Sending::Clear,
            not_before: now,
            resend_at: now,
            reference: None,
            photo_missed: None,
            biometry: Poll::due(now),
            quality: Poll::due(now),
            polls: 0,
            oz: None,
            login_refused_since: None,
            health: RequestHealth::NEW,
            quality_health: RequestHealth::NEW,
            last_trouble: None,
            last_look: false,
            look_first: false,
        }
    }

    /// The state for a match that an earlier driver drove. `chance` (0..1) spreads the first polls
    /// evenly, so that a restart with many matches causes no stampede.
    pub fn revived(m: &Match, now: Timestamp, policy: &Policy, chance: f64) -> Self {
        let first_poll = now.after(policy.poll_interval.mul_f64(chance.clamp(0.0, 1.0)));
        Self {
            upload: Sending::Unsure(now),
            start: Sending::Unsure(now),
            biometry: Poll::due(first_poll),
            quality: Poll::due(first_poll),
            polls: m.oz.as_ref().map_or(0, |oz| oz.polls),
            oz: m.oz.clone(),
            health: RequestHealth::revived(m),
            last_trouble: m.trouble.as_ref().map(|told| (told.cause, told.metadata.clone())),
            ..Self::fresh(now)
        }
    }

    /// Notes that a request was abandoned at the match's deadline. If it had been unanswered for
    /// longer than a poll interval, it is the reported cause of the timeout; otherwise it says
    /// nothing about Oz.
    pub fn cut_short(&mut self, unanswered: Duration, policy: &Policy) {
        if unanswered > policy.poll_interval {
            self.last_trouble = Some((Cause::OzTimeout, Metadata::new()));
        }
    }

    /// Notes that the analysis found in the folder belongs to another match: the folder is searched
    /// again for our own, and what Oz said of the other one is forgotten.
    pub fn analysis_belongs_to_another(&mut self, m: &Match, now: Timestamp) {
        self.start = Sending::Unsure(now);
        self.oz.clone_from(&m.oz);
    }

    /// Notes that an upload was given up while it was being sent: Oz may have the photo.
    pub fn upload_given_up(&mut self, now: Timestamp) {
        self.upload = Sending::Unsure(now);
        self.reference = None;
    }

    /// How many requests have failed in a row.
    pub fn failures(&self) -> u32 {
        self.health.failures().max(self.quality_health.failures())
    }

    /// How many requests of this kind have failed in a row.
    pub fn failures_of(&self, ask: AskKind) -> u32 {
        self.health.failures_of(ask).max(self.quality_health.failures_of(ask))
    }

    /// Counts a failure. Returns whether watchers are to be told: trouble has begun, or its cause
    /// has changed.
    pub fn failed(&mut self, of_quality: bool, ask: AskKind, failure: &Failure) -> bool {
        let cause = failure.kind.cause();
        let known = self.health.suffers(cause) || self.quality_health.suffers(cause);
        self.health_mut(of_quality).failed(ask, cause);
        self.last_trouble = Some((cause, failure.metadata()));
        !known
    }

    /// Notes why a request is held back. Returns whether watchers are to be told. Nothing was sent,
    /// so nothing counts as failed. The match's own trouble takes precedence over trouble that
    /// other matches met, whose cause may be older.
    pub fn held_back(&mut self, of_quality: bool, ask: AskKind, failure: &Failure) -> bool {
        if self.failures() > 0 {
            return false;
        }
        let cause = failure.kind.cause();
        let known = self.health.suffers(cause) || self.quality_health.suffers(cause);
        self.health_mut(of_quality).held_back(ask, cause);
        self.last_trouble = Some((cause, failure.metadata()));
        !known
    }

    /// Whether Oz refuses this server's login or session, so that new credentials may help.
    pub fn lacks_credentials(&self) -> bool {
        [Cause::OzLoginRefused, Cause::OzSessionRefused]
            .into_iter()
            .any(|cause| self.health.suffers(cause) || self.quality_health.suffers(cause))
    }

    /// Ends every wait by this time at the latest: there are new credentials.
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

    /// The health of the QUALITY analysis's polls, or of all other requests.
    pub const fn health(&self, of_quality: bool) -> &RequestHealth {
        if of_quality { &self.quality_health } else { &self.health }
    }

    /// Mutable access to [`Self::health`].
    pub const fn health_mut(&mut self, of_quality: bool) -> &mut RequestHealth {
        if of_quality { &mut self.quality_health } else { &mut self.health }
    }
}

impl RequestHealth {
    const NEW: Self = Self { trouble: None, incomplete: 0 };

    /// Starts with the trouble that watchers were told last, so that the same trouble is not
    /// reported again.
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

    /// How many requests have failed in a row, if those of this kind have.
    fn failures_of(&self, ask: AskKind) -> u32 {
        let trouble = self.trouble.as_ref().filter(|trouble| trouble.ask == ask);
        trouble.map_or(0, |trouble| trouble.failures)
    }

    /// Notes a success. The trouble ends if this kind of request had it.
    pub fn worked(&mut self, ask: AskKind) {
        if self.trouble.as_ref().is_some_and(|trouble| trouble.ask == ask) {
            self.trouble = None;
        }
    }

    /// Counts a failure. If a folder read fails while a request waits to be sent again, the trouble
    /// stays with that request.
    fn failed(&mut self, ask: AskKind, cause: Cause) {
        let failures = self.failures().saturating_add(1);
        let sending = self.trouble.take().map(|trouble| trouble.ask).filter(|ask| ask.changes_oz());
        let ask = sending.filter(|_| !ask.changes_oz()).unwrap_or(ask);
        self.trouble = Some(OngoingTrouble { ask, cause, failures });
    }

    /// Notes trouble without counting a failure. The kind of request whose success ends it stays
    /// the same.
    fn held_back(&mut self, ask: AskKind, cause: Cause) {
        let ask = self.trouble.as_ref().map_or(ask, |trouble| trouble.ask);
        self.trouble = Some(OngoingTrouble { ask, cause, failures: 0 });
    }

    fn suffers(&self, cause: Cause) -> bool {
        self.trouble.as_ref().is_some_and(|trouble| trouble.cause == cause)
    }
}

/// The request whose success ends trouble met by an earlier driver: the request that advances the
/// match, not the folder read before it.
fn main_ask(m: &Match) -> AskKind {
    match m.state {
        State::Accepted if is_library_in_trouble(m) => AskKind::ReadReference,
        State::Accepted if m.spec.uploads_photo() => AskKind::UploadPhoto,
        State::Accepted => AskKind::ReadFolder,
        State::Uploaded => AskKind::StartAnalyses,
        State::Processing | State::Finished | State::Failed | State::Cancelled | State::Unknown => {
            AskKind::ReadAnalysis
        }
    }
}

fn is_library_in_trouble(m: &Match) -> bool {
    m.trouble.as_ref().is_some_and(|told| told.cause == Cause::LibraryUnreachable)
}
