//! Settles trouble at Oz or at the photo library: waits it out, or gives up.

use crate::domain::{
    ask::{Ask, AskKind, Failure, FailureKind, LibraryFault},
    event::{AttemptFailed, Event, Failed, MatchError},
    reason::Reason,
    retry::{self, Treatment},
    settle::{Moment, Settling},
    state::{Match, State},
    time::Timestamp,
    volatile::{
        BACKOFF_MAX, FOLDER_MEDIA_MAX, INCOMPLETE_MAX, LOGIN_REFUSED_MAX, MISSING_MAX, Sending,
        TROUBLES_MAX, VolatileState,
    },
};

impl Settling<'_> {
    pub(super) fn incomplete(&mut self, ask: &Ask, what: &str) -> Option<Event> {
        let message = format!("Oz answered with {what}");
        self.failure(ask, &Failure::new(FailureKind::Incomplete, message))
    }

    pub(super) fn failure(&mut self, ask: &Ask, failure: &Failure) -> Option<Event> {
        let processing = self.m.state == State::Processing;
        let treatment = retry::treat(failure.kind, ask.kind(), processing);
        match treatment {
            Treatment::Wait => self.wait(ask, failure),
            Treatment::WaitCounted => {
                let health = self.volatile.health_mut(is_quality_poll(self.m, ask));
                health.incomplete += 1;
                match health.incomplete >= INCOMPLETE_MAX {
                    true => self.give_up(ask, Reason::OzProtocol, failure),
                    false => self.wait(ask, failure),
                }
            }
            Treatment::WaitMissing => {
                let since = self.volatile.missing_since(self.m, ask, self.moment.now);
                match self.moment.now.since(since) >= MISSING_MAX {
                    true => self.give_up(ask, Reason::OzProtocol, failure),
                    false => self.wait(ask, failure),
                }
            }
            Treatment::WaitForLogin => {
                let since = *self.volatile.login_refused_since.get_or_insert(self.moment.now);
                let until = since.after(LOGIN_REFUSED_MAX);
                match self.moment.now >= until {
                    true => self.give_up(ask, Reason::OzLoginRefused, failure),
                    false => self.wait_until(ask, failure, until),
                }
            }
            Treatment::End(reason) => self.give_up(ask, self.full_or(reason), failure),
        }
    }

    /// If the folder is as full as Oz allows, that is why Oz refused the photo.
    fn full_or(&self, reason: Reason) -> Reason {
        let plan = self.volatile.plan.as_ref();
        let full = plan.is_some_and(|plan| plan.media_count >= FOLDER_MEDIA_MAX);
        if reason == Reason::OzRejectedPhoto && full { Reason::OzFolderFull } else { reason }
    }

    /// Gives up. A QUALITY analysis that is given up doesn't end the match.
    fn give_up(&mut self, ask: &Ask, reason: Reason, failure: &Failure) -> Option<Event> {
        if is_quality_poll(self.m, ask) {
            self.volatile.quality.over = Some(None);
            self.volatile.quality_health.trouble = None;
            return self.concluded();
        }
        let message = match failure.kind {
            FailureKind::Library(LibraryFault::Unreadable) => failure.message.clone(),
            _ => retry::message(reason).into(),
        };
        let mut error = MatchError::new(reason, message).with(failure.metadata());
        // Oz says that the request is wrong: the same request stays wrong.
        error.retryable &= reason != Reason::OzAnalysisFailed;
        self.fail(error)
    }

    fn wait(&mut self, ask: &Ask, failure: &Failure) -> Option<Event> {
        self.wait_until(ask, failure, self.m.deadline())
    }

    /// Waits before the next attempt, at most until `latest` or the deadline.
    fn wait_until(&mut self, ask: &Ask, failure: &Failure, latest: Timestamp) -> Option<Event> {
        let Moment { now, chance, .. } = self.moment;
        let of_quality = is_quality_poll(self.m, ask);
        let is_news = self.volatile.failed(of_quality, ask.kind(), failure);
        let failures = self.volatile.health(of_quality).failures();
        let base = self.policy.poll_interval;
        let delay = retry::delay(failures, base, BACKOFF_MAX, chance, failure);
        // However long a pause Oz asks for, no attempt is made or announced after the deadline.
        let next_try = now.after(delay).min(latest.min(self.m.deadline()).max(now));
        self.postpone(ask, failure, next_try);
        self.trouble_event(is_news.then_some(failure), next_try)
    }

    /// The event that reports trouble that is news to watchers, within limits.
    pub(super) fn trouble_event(
        &self,
        news: Option<&Failure>,
        next_try: Timestamp,
    ) -> Option<Event> {
        let may = self.m.troubles < TROUBLES_MAX && self.moment.now < self.m.deadline();
        let news = news.filter(|_| may);
        news.map(|failure| attempt_failed(self.volatile, failure, next_try))
    }

    /// Postpones the failed request, or all of the match's requests if Oz asks for a pause.
    /// Otherwise a lost answer is looked for at once, and the other analysis is still polled.
    fn postpone(&mut self, ask: &Ask, failure: &Failure, next_try: Timestamp) {
        let now = self.moment.now;
        let kind = ask.kind();
        let lost = kind.changes_oz() && failure.kind.may_have_acted();
        let is_quality = is_quality_poll(self.m, ask);
        let volatile = &mut *self.volatile;
        volatile.not_before = now.after(failure.retry_after.unwrap_or_default());
        match kind {
            AskKind::ReadFolder => volatile.not_before = next_try,
            AskKind::ReadAnalysis if is_quality => volatile.quality.due = next_try,
            AskKind::ReadAnalysis => volatile.biometry.due = next_try,
            AskKind::UploadPhoto if lost => volatile.upload = Sending::Unsure(now),
            AskKind::StartAnalyses if lost => volatile.start = Sending::Unsure(now),
            AskKind::UploadPhoto | AskKind::StartAnalyses => volatile.not_before = next_try,
            // The upload, for which the photo is read, is postponed with it.
            AskKind::ReadReference => volatile.resend_at = next_try,
        }
        if kind.changes_oz() {
            volatile.resend_at = next_try;
        }
        if kind == AskKind::UploadPhoto {
            volatile.reference = None;
        }
    }

    /// The event that ends the match with an error.
    pub(super) fn fail(&self, error: MatchError) -> Option<Event> {
        let oz = self.volatile.oz.clone();
        Some(Event::Failed(Failed { error, oz, keep: self.policy.retention }))
    }
}

impl VolatileState {
    fn missing_since(&mut self, m: &Match, ask: &Ask, now: Timestamp) -> Timestamp {
        let since = match is_biometry_poll(m, ask) {
            true => &mut self.biometry.missing_since,
            false => &mut self.quality.missing_since,
        };
        *since.get_or_insert(now)
    }
}

/// Whether this is a poll of the match's BIOMETRY analysis.
pub fn is_biometry_poll(m: &Match, ask: &Ask) -> bool {
    match ask {
        Ask::ReadAnalysis { analysis_id } => m.analysis_id.as_ref() == Some(analysis_id),
        Ask::ReadFolder { .. }
        | Ask::UploadPhoto { .. }
        | Ask::StartAnalyses { .. }
        | Ask::ReadReference { .. } => false,
    }
}

/// Whether this is a poll of the match's QUALITY analysis.
pub(super) fn is_quality_poll(m: &Match, ask: &Ask) -> bool {
    match ask {
        Ask::ReadAnalysis { analysis_id } => m.liveness_analysis_id.as_ref() == Some(analysis_id),
        Ask::ReadFolder { .. }
        | Ask::UploadPhoto { .. }
        | Ask::StartAnalyses { .. }
        | Ask::ReadReference { .. } => false,
    }
}

fn attempt_failed(volatile: &VolatileState, failure: &Failure, next_attempt: Timestamp) -> Event {
    Event::AttemptFailed(AttemptFailed {
        cause: failure.kind.cause(),
        message: failure.message.clone(),
        next_attempt,
        metadata: failure.metadata(),
        oz: volatile.oz.clone(),
    })
}
