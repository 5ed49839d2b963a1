//! Settles trouble at Oz: waits it out, or gives up.

use crate::domain::{
    ask::{Ask, AskKind, Failure, FailureKind},
    event::{AttemptFailed, Event, Failed, MatchError},
    reason::Reason,
    retry::{self, Treatment},
    settle::{Moment, Settled, Settling},
    state::{Match, State},
    time::Timestamp,
    volatile::{
        BACKOFF_MAX, FOLDER_MEDIA_MAX, INCOMPLETE_MAX, LOGIN_REFUSED_MAX, MISSING_MAX, Sending,
        TROUBLES_MAX, VolatileState,
    },
};

impl Settling<'_> {
    pub(super) fn incomplete(&self, drive: VolatileState, ask: &Ask, what: &str) -> Settled {
        let message = format!("Oz answered with {what}");
        self.failure(drive, ask, &Failure::new(FailureKind::Incomplete, message))
    }

    pub(super) fn failure(
        &self,
        mut drive: VolatileState,
        ask: &Ask,
        failure: &Failure,
    ) -> Settled {
        let processing = self.m.state == State::Processing;
        let treatment = retry::treat(failure.kind, ask.kind(), processing);
        match treatment {
            Treatment::Wait => self.wait(drive, ask, failure),
            Treatment::WaitCounted => {
                let line = drive.health_mut(self.is_quality(ask));
                line.incomplete += 1;
                match line.incomplete >= INCOMPLETE_MAX {
                    true => self.give_up(drive, ask, Reason::OzProtocol, failure),
                    false => self.wait(drive, ask, failure),
                }
            }
            Treatment::WaitMissing => {
                let since = drive.missing_since(self.m, ask, self.moment.now);
                match self.moment.now.since(since) >= MISSING_MAX {
                    true => self.give_up(drive, ask, Reason::OzProtocol, failure),
                    false => self.wait(drive, ask, failure),
                }
            }
            Treatment::WaitForLogin => {
                let since = *drive.login_refused_since.get_or_insert(self.moment.now);
                let until = since.after(LOGIN_REFUSED_MAX);
                match self.moment.now >= until {
                    true => self.give_up(drive, ask, Reason::OzLoginRefused, failure),
                    false => self.wait_until(drive, ask, failure, until),
                }
            }
            Treatment::End(reason) => {
                let reason = self.full_or(reason, &drive);
                self.give_up(drive, ask, reason, failure)
            }
        }
    }

    /// If the folder is as full as Oz allows, that is why Oz refused the photo.
    fn full_or(&self, reason: Reason, drive: &VolatileState) -> Reason {
        let full = drive.plan.as_ref().is_some_and(|plan| plan.media_count >= FOLDER_MEDIA_MAX);
        if reason == Reason::OzRejectedPhoto && full { Reason::OzFolderFull } else { reason }
    }

    /// Gives up. A QUALITY analysis that is given up doesn't end the match.
    fn give_up(
        &self,
        mut drive: VolatileState,
        ask: &Ask,
        reason: Reason,
        failure: &Failure,
    ) -> Settled {
        if self.is_quality(ask) {
            drive.quality.over = Some(None);
            drive.quality_health.trouble = None;
            return self.concluded(drive);
        }
        let mut error = MatchError::new(reason, retry::message(reason)).with(failure.metadata());
        // Oz says that the request is wrong: the same request stays wrong.
        error.retryable &= reason != Reason::OzAnalysisFailed;
        self.fail(drive, error)
    }

    fn wait(&self, drive: VolatileState, ask: &Ask, failure: &Failure) -> Settled {
        self.wait_until(drive, ask, failure, self.m.deadline())
    }

    /// Waits before the next attempt, at most until `latest` or the deadline.
    fn wait_until(
        &self,
        mut drive: VolatileState,
        ask: &Ask,
        failure: &Failure,
        latest: Timestamp,
    ) -> Settled {
        let Moment { now, chance, .. } = self.moment;
        let of_quality = self.is_quality(ask);
        let tell = drive.failed(of_quality, ask.kind(), failure);
        let failures = drive.health_mut(of_quality).failures();
        let base = self.policy.poll_interval;
        let delay = retry::delay(failures, base, BACKOFF_MAX, chance, failure);
        // However long a pause Oz asks for, no attempt is made or announced after the deadline.
        let next_try = now.after(delay).min(latest.min(self.m.deadline()).max(now));
        self.postpone(&mut drive, ask, failure, next_try);
        self.tells(drive, tell.then_some(failure), next_try)
    }

    /// Reports trouble that is news to watchers, within limits.
    pub(super) fn tells(
        &self,
        drive: VolatileState,
        news: Option<&Failure>,
        next_try: Timestamp,
    ) -> Settled {
        let may = self.m.troubles < TROUBLES_MAX && self.moment.now < self.m.deadline();
        let news = news.filter(|_| may);
        let event = news.map(|failure| attempt_failed(&drive, failure, next_try));
        Settled { event, drive, doubles: 0 }
    }

    /// Postpones the failed request, or all of the match's requests if Oz asks for a pause.
    /// Otherwise a lost answer is looked for at once, and the other analysis is still polled.
    fn postpone(
        &self,
        drive: &mut VolatileState,
        ask: &Ask,
        failure: &Failure,
        next_try: Timestamp,
    ) {
        let now = self.moment.now;
        let lost = ask.kind().changes_oz() && failure.kind.may_have_acted();
        drive.not_before = now.after(failure.retry_after.unwrap_or_default());
        match ask.kind() {
            AskKind::ReadFolder => drive.not_before = next_try,
            AskKind::ReadAnalysis if self.is_quality(ask) => drive.quality.due = next_try,
            AskKind::ReadAnalysis => drive.biometry.due = next_try,
            AskKind::UploadPhoto if lost => drive.upload = Sending::Unsure(now),
            AskKind::StartAnalyses if lost => drive.start = Sending::Unsure(now),
            AskKind::UploadPhoto | AskKind::StartAnalyses => drive.not_before = next_try,
        }
        if ask.kind().changes_oz() {
            drive.resend_at = next_try;
        }
    }

    fn is_quality(&self, ask: &Ask) -> bool {
        is_quality(self.m, ask)
    }

    pub(super) fn fail(&self, drive: VolatileState, error: MatchError) -> Settled {
        let oz = drive.oz.clone();
        let event = Event::Failed(Failed { error, oz, keep: self.policy.retention });
        Settled { event: Some(event), drive, doubles: 0 }
    }
}

impl VolatileState {
    fn missing_since(&mut self, m: &Match, ask: &Ask, now: Timestamp) -> Timestamp {
        let since = match is_biometry(m, ask) {
            true => &mut self.biometry.missing_since,
            false => &mut self.quality.missing_since,
        };
        *since.get_or_insert(now)
    }
}

/// Whether this is a poll of the match's BIOMETRY analysis.
pub fn is_biometry(m: &Match, ask: &Ask) -> bool {
    match ask {
        Ask::ReadAnalysis { analysis_id } => m.analysis_id.as_ref() == Some(analysis_id),
        Ask::ReadFolder { .. } | Ask::UploadPhoto { .. } | Ask::StartAnalyses { .. } => false,
    }
}

/// Whether this is a poll of the match's QUALITY analysis.
pub(super) fn is_quality(m: &Match, ask: &Ask) -> bool {
    match ask {
        Ask::ReadAnalysis { analysis_id } => m.liveness_analysis_id.as_ref() == Some(analysis_id),
        Ask::ReadFolder { .. } | Ask::UploadPhoto { .. } | Ask::StartAnalyses { .. } => false,
    }
}

fn attempt_failed(drive: &VolatileState, failure: &Failure, next_attempt: Timestamp) -> Event {
    Event::AttemptFailed(AttemptFailed {
        cause: failure.kind.cause(),
        message: failure.message.clone(),
        next_attempt,
        metadata: failure.metadata(),
        oz: drive.oz.clone(),
    })
}
