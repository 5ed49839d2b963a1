//! The requests of a driver to Oz: when each may be sent, how long its answer is awaited, and what
//! the core settles from it.

use std::time::Duration;

use tracing::{debug, warn};

use crate::{
    domain::{
        Ask, Cause, Deferred, Event, Failure, FailureKind, Moment, OzResult, Progress, Reply,
        Settled, Timestamp, adoptable_analyses, fair_queue, held_back, is_biometry_poll,
        request_traits, settle,
        volatile::{LAST_LOOK_MAX, LAST_LOOK_WAIT_MAX},
    },
    journal::{self, ClaimStatus},
    metrics::PollResult,
    worker::{
        driver::{Driver, Flow, STORE_PAUSE, log::Trouble},
        limiter::SendPermit,
        photo_memory::Photo,
    },
};

/// The failure message of a last look that Oz doesn't answer.
const NO_LAST_ANSWER: &str = "no answer to the last look after the match's deadline";

/// How often the claim is checked during an upload: so much longer than its lease may an upload
/// last. A replica that takes the match over looks for the photo before it sends it.
const CLAIM_CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// The outcome of a request to Oz, or to the photo library.
pub(super) enum Answered {
    /// It was answered, or failed.
    Settled(OzResult),
    /// It was held back, and not sent.
    HeldBack(Deferred),
    /// It was not sent, because the upload that would follow it would be held back.
    UploadHeldBack(Deferred),
    /// It was not sent: the claim doesn't allow it at present.
    NotEntitled,
    /// It was given up in flight, because the claim allows it no more.
    NoLongerEntitled,
    /// The match's deadline came first. How long the request was in flight; zero if it was not
    /// sent.
    CutShort(Duration),
    /// The driver must leave.
    Abandoned,
}

impl Driver {
    pub(super) async fn ask(&mut self, ask: Ask, asked: Timestamp) -> Flow {
        self.credentials_version = self.context.oz.credentials_version();
        let answered = match &ask {
            Ask::ReadReference { key } => self.read_reference(key, &ask, asked).await,
            Ask::ReadFolder { .. }
            | Ask::UploadPhoto { .. }
            | Ask::StartAnalyses { .. }
            | Ask::ReadAnalysis { .. } => self.perform(&ask, asked).await,
        };
        let outcome = match answered {
            Answered::Settled(outcome) => outcome,
            Answered::HeldBack(hold) => return self.held_back(&ask, &hold).await,
            Answered::UploadHeldBack(hold) => {
                return self.held_back(&self.next_upload(), &hold).await;
            }
            Answered::NotEntitled => return Flow::On,
            Answered::NoLongerEntitled => {
                self.volatile.upload_given_up(self.context.clock.now());
                self.drop_unneeded_reference();
                return Flow::On;
            }
            Answered::CutShort(unanswered) => {
                self.volatile.cut_short(unanswered, &self.context.policy.now());
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

    /// Sends a request once the limiter grants a permit. A drain doesn't interrupt a request in
    /// flight that changes Oz, since its answer would be lost; a request that still waits for its
    /// permit is given up.
    async fn perform(&self, ask: &Ask, asked: Timestamp) -> Answered {
        let (clock, changes_oz) = (&self.context.clock, ask.kind().changes_oz());
        let traits = request_traits(&self.m, &self.volatile, ask, asked);
        let (cost, steady) = (self.cost(ask), clock.steady());
        let queued = steady.now();
        let permit = tokio::select! {
            biased;
            () = self.leaving() => return Answered::Abandoned,
            acquired = self.context.limiter.acquire(self.tenant(), cost, traits) => match acquired {
                Ok(permit) => permit,
                Err(deferred) => return Answered::HeldBack(deferred),
            },
            () = clock.sleep_until(self.sent_by(asked)) => return self.unsent(asked),
        };
        // After the wait for the permit: the lease may have expired meanwhile.
        if !self.is_entitled(ask) {
            return Answered::NotEntitled;
        }
        let sent = clock.now();
        self.context.metrics.queue_wait(self.tenant(), steady.now().since(queued));
        tokio::select! {
            biased;
            () = self.handle.stop.cancelled() => Answered::Abandoned,
            outcome = self.send(ask, permit) => outcome,
            () = clock.sleep_until(self.answered_by(ask, sent)) => self.unanswered(asked, sent),
            () = self.leaving(), if !changes_oz => Answered::Abandoned,
            () = self.loses_entitlement(ask), if matches!(ask, Ask::UploadPhoto { .. }) => {
                Answered::NoLongerEntitled
            }
        }
    }

    /// What the request costs the tenant while requests wait.
    fn cost(&self, ask: &Ask) -> u32 {
        fair_queue::cost(self.photo_for(ask).map_or(0, |photo| photo.bytes_count()))
    }

    /// The photo that goes with the request.
    fn photo_for(&self, ask: &Ask) -> Option<Photo> {
        match ask {
            Ask::UploadPhoto { .. } => match &self.reference {
                Some(reference) => Some(reference.photo().clone()),
                None => self.handle.photo(),
            },
            Ask::ReadFolder { .. }
            | Ask::StartAnalyses { .. }
            | Ask::ReadAnalysis { .. }
            | Ask::ReadReference { .. } => None,
        }
    }

    /// Resolves once the claim doesn't allow a request any more. Only an upload may last longer
    /// than a lease: another replica may send the photo then.
    async fn loses_entitlement(&self, ask: &Ask) {
        while self.is_entitled(ask) {
            self.context.clock.sleep(CLAIM_CHECK_INTERVAL).await;
        }
    }

    /// Until when a request may wait to be sent: until the deadline; a last look some time longer.
    pub(super) fn sent_by(&self, asked: Timestamp) -> Timestamp {
        let deadline = self.m.deadline();
        if asked < deadline { deadline } else { asked.after(LAST_LOOK_WAIT_MAX) }
    }

    /// The outcome of a request that was not sent in time. It says nothing about Oz.
    pub(super) fn unsent(&self, asked: Timestamp) -> Answered {
        let until = self.context.clock.now();
        match asked < self.m.deadline() {
            true => Answered::CutShort(Duration::ZERO),
            false => Answered::HeldBack(Deferred { until, why: None, look_first: false }),
        }
    }

    /// Until when the answer to a request is awaited: until the deadline; to a poll of the BIOMETRY
    /// analysis `LAST_LOOK_MAX` longer, since a verdict in it was paid for.
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
        let photo = self.photo_for(ask).map(|photo| photo.bytes());
        let bytes_total = photo.as_ref().map_or(0, |photo| photo.len() as u64);
        let sent = |bytes_sent| self.report_progress(bytes_sent, bytes_total);
        let trace = self.ask_trace(ask);
        let outcome = self.context.oz.perform(ask, photo, &sent, trace).await;
        if let Some(deferred) = self.withheld(&outcome) {
            // Nothing was sent, so it says nothing about Oz: the permit is dropped unreported.
            return Answered::HeldBack(deferred);
        }
        permit.report(&outcome);
        Answered::Settled(outcome)
    }

    /// Whether the claim allows a request. A lent claim allows no upload.
    pub(super) fn is_entitled(&self, ask: &Ask) -> bool {
        match self.context.writer.claim_status(self.claim) {
            ClaimStatus::Held => true,
            ClaimStatus::Lent => !matches!(ask, Ask::UploadPhoto { .. }),
            ClaimStatus::Unsure | ClaimStatus::Lost => false,
        }
    }

    /// When a request may be tried again that was not sent for lack of a session; not all matches
    /// at once.
    fn withheld(&self, outcome: &OzResult) -> Option<Deferred> {
        let why = outcome.as_ref().err()?;
        let spread = self.context.spread();
        let until = self.context.clock.now().after(why.withheld()?).after(spread);
        Some(Deferred { until, why: Some(why.clone()), look_first: false })
    }

    /// Removes from a folder the analyses that other matches own: they must not be adopted.
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
        debug!(match.id = %self.m.id, trace_id = self.trace_id(), oz.ask = ask.kind().name(), "request held back");
        self.trouble = hold.why.as_ref().map(|failure| Trouble::of(failure, true));
        let (now, policy) = (self.context.clock.now(), self.policy());
        let settled = held_back(&self.m, &mut self.volatile, ask, hold, now, &policy);
        self.drop_unneeded_reference();
        self.follow(settled).await
    }

    async fn settle(&mut self, ask: &Ask, outcome: OzResult, asked: Timestamp) -> Flow {
        let chance = (self.context.chance)();
        let moment = Moment { asked, now: self.context.clock.now(), chance };
        self.note(ask, &outcome, moment);
        let cause = outcome.as_ref().err().map(|failure| failure.kind.cause());
        self.trace_poll(ask, &outcome, moment);
        self.trouble = outcome.as_ref().err().map(|failure| Trouble::of(failure, false));
        let policy = self.policy();
        let settled = settle(&self.m, &mut self.volatile, ask, outcome, moment, &policy);
        self.drop_unneeded_reference();
        self.count_request(ask, cause, &settled);
        self.follow(settled).await
    }

    fn count_request(&self, ask: &Ask, cause: Option<Cause>, settled: &Settled) {
        let metrics = &self.context.metrics;
        // The reason of a match that has failed says more than the cause of its last request.
        let ends = matches!(settled.event, Some(Event::Failed(_)));
        if let Some(cause) = cause
            && !ends
        {
            metrics.attempt_failed(cause);
        }
        if matches!(ask, Ask::ReadAnalysis { .. }) {
            metrics.polled(match (cause, &settled.event) {
                (Some(_), _) => PollResult::Failed,
                (None, Some(_)) => PollResult::Over,
                (None, None) => PollResult::Processing,
            });
        }
    }

    /// Reports what the core has settled, and writes its event if there is one.
    async fn follow(&mut self, Settled { event, duplicates }: Settled) -> Flow {
        if duplicates > 0 {
            self.context.metrics.duplicates.inc_by(duplicates as u64);
            warn!(
                match.id = %self.m.id,
                trace_id = self.trace_id(),
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
}
