//! The driver of one match: asks the core for the next step, performs it and writes the resulting
//! event, until the match ends.

use std::{error::Error, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt;
use tracing::{debug, error, info, warn};

use crate::{
    domain::{
        Ask, AttemptFailed, Deferred, Event, Failure, FailureKind, Match, MatchError, Moment,
        OzResult, Progress, Reason, Recorded, Reply, RequestId, Resolution, Settled, Step,
        Timestamp, VolatileState, adoptable_analyses,
        event::Failed,
        held_back, is_biometry_poll, next_step, request_traits, settle, state,
        volatile::{LAST_LOOK_MAX, LAST_LOOK_WAIT_MAX},
    },
    journal::{self, Appended, Claim, ClaimStatus},
    worker::{
        context::Context,
        limiter::SendPermit,
        registry::{DriverHandle, Registration},
    },
};

/// The pause before the store is asked again after a failure.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// The failure message of a last look (the poll at the match's deadline) that Oz doesn't answer.
const NO_LAST_ANSWER: &str = "no answer to the last look after the match's deadline";

/// The error message of a match that ends because its store can't hold what Oz answered.
pub const UNWRITABLE: &str = "the server's store can't hold what Oz answered";

/// A match, the claim on it, and its volatile state.
pub struct Driver {
    context: Arc<Context>,
    m: Match,
    claim: Claim,
    volatile: VolatileState,
    handle: Arc<DriverHandle>,
    registration: Registration,
    end: DriverEnd,
    /// Why Oz last failed, for this match or for others. The log line of the event that reports the
    /// trouble shows it.
    trouble: Option<OzTrouble>,
}

/// Why Oz can't be asked, as the log has it.
struct OzTrouble {
    causes: String,
    /// Whether this match's request was held back because requests of other matches failed.
    held_back: bool,
}

impl OzTrouble {
    fn of(failure: &Failure, held_back: bool) -> Self {
        Self { causes: failure.told().to_owned(), held_back }
    }
}

/// How a driver ends, and what is left to do.
pub enum Exit {
    /// The match has ended, or is left as it is: nothing is left to do.
    Ended,
    /// The match goes on without this driver: the claim is to be released.
    Released(Claim),
    /// The driver has panicked: the claim is to be released after a pause, as the match must not
    /// stay with a replica that doesn't drive it any more.
    Panicked(Claim),
    /// The claim is lost while the photo is here and not at Oz yet: a standby is to keep it.
    Standby(Registration),
}

/// Why a driver stops.
#[derive(Clone, Copy, PartialEq, Eq)]
enum DriverEnd {
    /// The match has ended, or the driver was stopped.
    Over,
    /// The claim is lost, or is kept on purpose: there is nothing to release.
    Lost,
    /// The server drains, and the match resumes elsewhere.
    Left,
}

/// The outcome of a request to Oz.
enum Answered {
    /// It was sent, and was answered or failed.
    Settled(OzResult),
    /// It was not sent: the circuit breaker, the retry budget or the session held it back.
    HeldBack(Deferred),
    /// It was not sent: the claim doesn't allow it at present.
    NotEntitled,
    /// The match's deadline came first, after the request had been in flight for this time: zero if
    /// it was not sent.
    CutShort(Duration),
    /// It was given up: the driver must leave.
    Abandoned,
}

/// Whether the driver continues.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    On,
    Over,
}

impl Driver {
    /// A driver that doesn't run yet.
    pub fn new(
        context: Arc<Context>,
        m: Match,
        claim: Claim,
        volatile: VolatileState,
        registration: Registration,
    ) -> Self {
        let handle = Arc::clone(registration.handle());
        let (end, trouble) = (DriverEnd::Over, None);
        Self { context, m, claim, volatile, handle, registration, end, trouble }
    }

    /// Drives the match until it ends, another replica takes it over, or the server drains.
    pub async fn run(mut self) -> Exit {
        // After a panic nothing but the claim is used.
        match AssertUnwindSafe(self.drive()).catch_unwind().await {
            Ok(()) => self.exit(),
            Err(_) => Exit::Panicked(self.claim),
        }
    }

    async fn drive(&mut self) {
        while self.advance().await == Flow::On {}
    }

    fn exit(self) -> Exit {
        let keeps_photo = !self.m.is_safe() && self.handle.photo().is_some();
        match self.end {
            DriverEnd::Over if self.m.has_ended() => Exit::Ended,
            // Also after a stop by a later claim of this replica: this release has no effect then.
            DriverEnd::Over | DriverEnd::Left => Exit::Released(self.claim),
            DriverEnd::Lost if keeps_photo => Exit::Standby(self.registration),
            DriverEnd::Lost => Exit::Ended,
        }
    }

    async fn advance(&mut self) -> Flow {
        if self.should_leave() {
            return self.leave();
        }
        match self.context.writer.claim_status(self.claim) {
            ClaimStatus::Held => {}
            ClaimStatus::Lent if self.handle.photo().is_none() || self.m.is_safe() => {}
            ClaimStatus::Lent => return Box::pin(self.confirm_claim()).await,
            ClaimStatus::Unsure => return self.pause_for_the_store().await,
            ClaimStatus::Lost => return self.lost(),
        }
        let now = self.context.clock.now();
        let photo_here = self.handle.photo().is_some();
        match next_step(&self.m, &self.volatile, photo_here, now, &self.context.policy) {
            Step::Rest => Flow::Over,
            Step::Wait(until) => self.wait(until).await,
            // Boxed, so that the many waiting drivers reserve no memory for steps that few drivers
            // perform at a time.
            Step::Record(event) => Box::pin(self.record(event)).await,
            Step::Ask(ask) => Box::pin(self.ask(ask, now)).await,
        }
    }

    /// Whether the driver was stopped, or this replica drains. During a drain a driver stays while
    /// it holds a photo that isn't at Oz yet.
    fn should_leave(&self) -> bool {
        let draining = self.context.draining.is_cancelled();
        self.handle.stop.is_cancelled()
            || (draining && (self.m.is_safe() || self.handle.photo().is_none()))
    }

    /// Confirms a lent claim, now that the photo is here, so that no other replica that has the
    /// photo can take the match.
    async fn confirm_claim(&mut self) -> Flow {
        match self.context.writer.confirm(self.claim).await {
            Ok(Some(claim)) => {
                self.claim = claim;
                Flow::On
            }
            Ok(None) => self.lost(),
            Err(failure) => {
                self.context.store_failed(&failure, "lent claim not confirmed: will retry");
                self.pause_for_the_store().await
            }
        }
    }

    /// Leaves the match unfinished. If this replica drains, other replicas resume it.
    fn leave(&mut self) -> Flow {
        if !self.handle.stop.is_cancelled() {
            self.end = DriverEnd::Left;
        }
        Flow::Over
    }

    /// Waits for a time, a photo, a stop, or new credentials if Oz refuses the present ones.
    async fn wait(&mut self, until: Timestamp) -> Flow {
        let lacks_credentials = self.volatile.lacks_credentials();
        tokio::select! {
            biased;
            () = self.leaving() => self.leave(),
            // In an async block, so that no future is made for the many drivers that don't wait for
            // credentials.
            () = async { self.context.oz.credentials_replaced().await }, if lacks_credentials => {
                self.try_soon()
            }
            () = self.handle.wake.notified() => Flow::On,
            () = self.context.clock.sleep_until(until) => Flow::On,
        }
    }

    /// Tries again soon after the credentials were replaced: within a poll interval, at a random
    /// time, so that not all matches try at once.
    fn try_soon(&mut self) -> Flow {
        let spread = self.context.spread();
        self.volatile.try_by(self.context.clock.now().after(spread));
        Flow::On
    }

    /// Resolves once the driver must leave: it is stopped, or the server drains and the driver
    /// holds no photo that isn't at Oz yet.
    async fn leaving(&self) {
        let leave_when_draining = self.m.is_safe() || self.handle.photo().is_none();
        tokio::select! {
            () = self.handle.stop.cancelled() => {}
            () = self.context.draining.cancelled(), if leave_when_draining => {}
        }
    }

    // Requests to Oz.

    async fn ask(&mut self, ask: Ask, asked: Timestamp) -> Flow {
        let outcome = match self.perform(&ask, asked).await {
            Answered::Settled(outcome) => outcome,
            Answered::HeldBack(hold) => return self.held_back(&ask, &hold).await,
            Answered::NotEntitled => return Flow::On,
            Answered::CutShort(unanswered) => {
                self.volatile.cut_short(unanswered, &self.context.policy);
                return Flow::On;
            }
            Answered::Abandoned => return self.leave(),
        };
        let outcome = match self.without_foreign_analyses(outcome).await {
            Ok(outcome) => outcome,
            Err(failure) => {
                self.context.store_failed(&failure, "owners of analyses not read: will retry");
                return self.wait(asked.after(STORE_PAUSE)).await;
            }
        };
        self.settle(&ask, outcome, asked).await
    }

    /// Sends a request once the limiter grants a permit. A request that changes Oz is not abandoned
    /// for a drain: its answer would be lost.
    async fn perform(&self, ask: &Ask, asked: Timestamp) -> Answered {
        let (clock, changes_oz) = (&self.context.clock, ask.kind().changes_oz());
        let entry = request_traits(&self.m, &self.volatile, ask, asked);
        let permit = tokio::select! {
            biased;
            () = self.handle.stop.cancelled() => return Answered::Abandoned,
            entered = self.context.limiter.acquire(entry) => match entered {
                Ok(permit) => permit,
                Err(deferred) => return Answered::HeldBack(deferred),
            },
            () = clock.sleep_until(self.sent_by(asked)) => return self.unsent(asked),
            () = self.leaving(), if !changes_oz => return Answered::Abandoned,
        };
        // After the wait for the permit: the lease may have expired meanwhile.
        if !self.is_entitled(ask) {
            return Answered::NotEntitled;
        }
        let sent = clock.now();
        tokio::select! {
            biased;
            () = self.handle.stop.cancelled() => Answered::Abandoned,
            outcome = self.send(ask, permit) => outcome,
            () = clock.sleep_until(self.answered_by(ask, sent)) => self.unanswered(asked, sent),
            () = self.leaving(), if !changes_oz => Answered::Abandoned,
        }
    }

    /// Until when a request may wait to be sent: until the match's deadline, or, for a last look,
    /// `LAST_LOOK_WAIT_MAX` after `asked`.
    fn sent_by(&self, asked: Timestamp) -> Timestamp {
        let deadline = self.m.deadline();
        if asked < deadline { deadline } else { asked.after(LAST_LOOK_WAIT_MAX) }
    }

    /// The outcome of a request that was not sent in time. It says nothing about Oz.
    fn unsent(&self, asked: Timestamp) -> Answered {
        let until = self.context.clock.now();
        match asked < self.m.deadline() {
            true => Answered::CutShort(Duration::ZERO),
            false => Answered::HeldBack(Deferred { until, why: None, look_first: false }),
        }
    }

    /// Until when the driver waits for an answer: until the match's deadline, or, for a poll of the
    /// BIOMETRY analysis, `LAST_LOOK_MAX` longer, since a verdict in that answer was paid for.
    fn answered_by(&self, ask: &Ask, sent: Timestamp) -> Timestamp {
        let deadline = self.m.deadline();
        match is_biometry_poll(&self.m, ask) {
            true => sent.max(deadline).after(LAST_LOOK_MAX),
            false => deadline,
        }
    }

    /// The outcome of a request that was not answered in time.
    fn unanswered(&self, asked: Timestamp, sent: Timestamp) -> Answered {
        match asked < self.m.deadline() {
            true => Answered::CutShort(self.context.clock.now().since(sent)),
            false => Answered::Settled(Err(Failure::new(FailureKind::TimedOut, NO_LAST_ANSWER))),
        }
    }

    /// Sends the request, and reports its outcome to the circuit breaker.
    async fn send(&self, ask: &Ask, permit: SendPermit<'_>) -> Answered {
        let photo = match ask {
            Ask::UploadPhoto { .. } => self.handle.photo().map(|photo| photo.bytes()),
            Ask::ReadFolder { .. } | Ask::StartAnalyses { .. } | Ask::ReadAnalysis { .. } => None,
        };
        let bytes_total = photo.as_ref().map_or(0, |photo| photo.len() as u64);
        let sent = |bytes_sent| self.report_progress(bytes_sent, bytes_total);
        let outcome = self.context.oz.perform(ask, photo, &sent).await;
        if let Some(deferred) = self.withheld(&outcome) {
            // Nothing was sent, so the outcome says nothing about Oz: the permit is dropped
            // unreported.
            return Answered::HeldBack(deferred);
        }
        permit.report(&outcome);
        Answered::Settled(outcome)
    }

    /// Whether the claim allows a request. A lent claim allows no upload.
    fn is_entitled(&self, ask: &Ask) -> bool {
        match self.context.writer.claim_status(self.claim) {
            ClaimStatus::Held => true,
            ClaimStatus::Lent => !matches!(ask, Ask::UploadPhoto { .. }),
            ClaimStatus::Unsure | ClaimStatus::Lost => false,
        }
    }

    /// If the request was not sent for lack of a session: when to try again, at a random time, so
    /// that not all matches try at once. `None` if it was sent.
    fn withheld(&self, outcome: &OzResult) -> Option<Deferred> {
        let why = outcome.as_ref().err()?;
        let spread = self.context.spread();
        let until = self.context.clock.now().after(why.withheld()?).after(spread);
        Some(Deferred { until, why: Some(why.clone()), look_first: false })
    }

    /// Removes the analyses that other matches own from a folder that was read: this match must not
    /// adopt them.
    async fn without_foreign_analyses(
        &self,
        outcome: OzResult,
    ) -> Result<OzResult, journal::Error> {
        let Ok(Reply::Folder(mut folder)) = outcome else {
            return Ok(outcome);
        };
        let candidates = adoptable_analyses(&self.m, &folder);
        if !candidates.is_empty() {
            let writer = &self.context.writer;
            let others = writer.owned_by_others(self.m.id, &candidates).await?;
            folder.analyses.retain(|a| a.id.as_ref().is_none_or(|id| !others.contains(id)));
        }
        Ok(Ok(Reply::Folder(folder)))
    }

    async fn held_back(&mut self, ask: &Ask, hold: &Deferred) -> Flow {
        debug!(match.id = %self.m.id, oz.ask = ask.kind().name(), "request to Oz held back");
        self.trouble = hold.why.as_ref().map(|failure| OzTrouble::of(failure, true));
        let (now, policy) = (self.context.clock.now(), &self.context.policy);
        let settled = held_back(&self.m, &mut self.volatile, ask, hold, now, policy);
        self.follow(settled).await
    }

    async fn settle(&mut self, ask: &Ask, outcome: OzResult, asked: Timestamp) -> Flow {
        let chance = (self.context.chance)();
        let moment = Moment { asked, now: self.context.clock.now(), chance };
        self.note(ask, &outcome, moment);
        self.trouble = outcome.as_ref().err().map(|failure| OzTrouble::of(failure, false));
        let policy = &self.context.policy;
        let settled = settle(&self.m, &mut self.volatile, ask, outcome, moment, policy);
        self.follow(settled).await
    }

    /// Reports what the core has settled, and writes its event if there is one.
    async fn follow(&mut self, Settled { event, duplicates }: Settled) -> Flow {
        if duplicates > 0 {
            warn!(
                match.id = %self.m.id,
                duplicates,
                "duplicates at Oz ignored: photos or analyses beyond the adopted ones"
            );
        }
        self.report_progress(0, 0);
        match event {
            Some(event) => self.record(event).await,
            None => Flow::On,
        }
    }

    fn report_progress(&self, bytes_sent: u64, bytes_total: u64) {
        let progress = Progress {
            bytes_sent,
            bytes_total,
            polls: self.volatile.polls,
            failed_attempts: self.volatile.failures().into(),
        };
        (self.context.progress)(self.m.id, progress);
    }

    fn note(&self, ask: &Ask, outcome: &OzResult, moment: Moment) {
        let duration_ms = millis(moment.now.since(moment.asked));
        match outcome {
            Ok(_) => debug!(
                match.id = %self.m.id,
                oz.ask = ask.kind().name(),
                duration_ms,
                "request to Oz answered"
            ),
            Err(failure) => debug!(
                match.id = %self.m.id,
                oz.ask = ask.kind().name(),
                duration_ms,
                oz.failure = failure.kind.cause().as_str(),
                oz.http_status = failure.http_status,
                "request to Oz failed"
            ),
        }
    }

    // Events.

    /// Writes an event, however long the store takes. The driver ends if the claim is lost or the
    /// match has ended.
    async fn record(&mut self, event: Event) -> Flow {
        let mut unsure = false;
        loop {
            let written = self.context.writer.append(self.claim, self.m.sequence, event.clone());
            let failure = match written.await {
                Ok(Appended::Done(recorded)) => return self.apply(&recorded),
                // An earlier attempt, whose outcome is unknown, may have written this event.
                Ok(Appended::Lost) if unsure => match self.resolve_doubtful_append(&event).await {
                    Ok(turn) => return turn,
                    Err(failure) => failure,
                },
                Ok(Appended::Lost) => return self.lost(),
                Ok(Appended::Taken) => {
                    info!(match.id = %self.m.id, "analysis not adopted: another match owns it");
                    self.volatile.analysis_belongs_to_another(self.context.clock.now());
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

    /// Ends the match as FAILED, since the store refuses an event for good. The error has none of
    /// Oz's words. If the store refuses that as well, the match is left as it is until the next
    /// start.
    async fn fail_unwritable(&mut self, event: &Event, source: &(dyn Error + Send + Sync)) -> Flow {
        error!(match.id = %self.m.id, error = %source, "event refused by the store for good");
        let is_last_resort = matches!(event, Event::Failed(fact) if fact.oz.is_none());
        if is_last_resort {
            // The claim is kept: the next driver would fail in the same way.
            self.end = DriverEnd::Lost;
            return Flow::Over;
        }
        let error = MatchError::new(Reason::OzProtocol, UNWRITABLE);
        let keep = self.context.policy.retention;
        Box::pin(self.record(Event::Failed(Failed { error, oz: None, keep }))).await
    }

    /// Reads whether an append whose outcome is unknown was committed. If another replica has taken
    /// the match over and written the same event, this claim is lost: the next step is that
    /// replica's.
    async fn resolve_doubtful_append(&mut self, event: &Event) -> Result<Flow, journal::Error> {
        let (reader, next) = (&self.context.reader, self.m.sequence.next());
        let is_ours = |recorded: &Recorded| {
            recorded.event == *event && reader.origin_of(recorded.incarnation) == reader.origin()
        };
        let events = reader.events(self.m.id).await?;
        Ok(match events.into_iter().find(|recorded| recorded.sequence == next) {
            Some(recorded) if is_ours(&recorded) => self.apply(&recorded),
            Some(_) | None => self.lost(),
        })
    }

    async fn pause_for_the_store(&self) -> Flow {
        tokio::select! {
            biased;
            () = self.handle.stop.cancelled() => Flow::Over,
            () = self.context.clock.sleep(STORE_PAUSE) => Flow::On,
        }
    }

    fn lost(&mut self) -> Flow {
        info!(match.id = %self.m.id, "claim lost: the match has ended elsewhere, or another replica drives it");
        self.end = DriverEnd::Lost;
        Flow::Over
    }

    fn apply(&mut self, recorded: &Recorded) -> Flow {
        match state::apply(Some(self.m.clone()), recorded) {
            Ok(m) => self.m = m,
            Err(illegal) => {
                error!(
                    match.id = %self.m.id,
                    error = illegal.to_string(),
                    "event illegal for the match: the journal contradicts the core"
                );
                return Flow::Over;
            }
        }
        if self.m.is_safe() {
            self.handle.drop_photo();
        }
        self.log(&recorded.event);
        if self.m.has_ended() { Flow::Over } else { Flow::On }
    }

    /// Logs one line for each event, without scores: facts about a person's face don't belong in a
    /// log.
    fn log(&self, event: &Event) {
        let id = self.m.id;
        match event {
            Event::Accepted(_) | Event::Cancelled(_) | Event::Unknown(_) => {}
            Event::PhotoUploaded(fact) => {
                info!(match.id = %id, oz.media_id = %fact.photo_media_id, adopted = fact.adopted, "photo uploaded");
            }
            Event::AnalysisStarted(fact) => {
                info!(match.id = %id, oz.analysis_id = %fact.analysis_id, adopted = fact.adopted, "analysis started");
            }
            Event::AttemptFailed(fact) => self.log_trouble(fact),
            Event::Finished(fact) => self.log_end(fact.result.resolution),
            Event::Failed(fact) => self.log_failure(&fact.error),
        }
    }

    /// Trouble of a match that is held back is logged as `info`: the circuit breaker has warned
    /// once for all of them.
    fn log_trouble(&self, fact: &AttemptFailed) {
        let next = fact.next_attempt.since(self.context.clock.now());
        let held_back = self.trouble.as_ref().is_some_and(|trouble| trouble.held_back);
        let error = self.trouble.as_ref().map_or(&fact.message, |trouble| &trouble.causes);
        macro_rules! trouble {
            ($level:ident) => {
                $level!(
                    match.id = %self.m.id,
                    cause = fact.cause.as_str(),
                    error,
                    oz.http_status = fact.metadata.get("oz.http_status"),
                    oz.error_code = fact.metadata.get("oz.error_code"),
                    next_attempt_in_ms = millis(next),
                    "trouble at Oz"
                )
            };
        }
        if held_back { trouble!(info) } else { trouble!(warn) }
    }

    fn log_end(&self, resolution: Resolution) {
        info!(
            match.id = %self.m.id,
            request.id = self.request_id(),
            oz.folder_id = %self.m.spec.folder_id,
            resolution = resolution.as_str(),
            duration_ms = self.duration_ms(),
            polls = self.volatile.polls,
            "match finished"
        );
    }

    fn log_failure(&self, error: &MatchError) {
        info!(
            match.id = %self.m.id,
            request.id = self.request_id(),
            oz.folder_id = %self.m.spec.folder_id,
            reason = error.reason.as_str(),
            error = error.message,
            oz.http_status = error.metadata.get("oz.http_status"),
            oz.error_code = error.metadata.get("oz.error_code"),
            oz.error_message = error.metadata.get("oz.error_message"),
            retryable = error.retryable,
            duration_ms = self.duration_ms(),
            polls = self.volatile.polls,
            "match failed"
        );
    }

    fn request_id(&self) -> Option<&str> {
        self.m.spec.request_id.as_ref().map(RequestId::as_str)
    }

    /// From the match's acceptance to its last event.
    fn duration_ms(&self) -> u64 {
        millis(self.m.update_time.since(self.m.create_time))
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
