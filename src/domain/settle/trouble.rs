//! Trouble at Oz: waiting it out, and giving up.

use crate::domain::{
    ask::{Ask, AskKind, Failure, FailureKind},
    drive::{
        BACKOFF_MAX, Drive, FOLDER_MEDIA_MAX, INCOMPLETE_MAX, MISSING_MAX, Sending, TROUBLES_MAX,
    },
    event::{AttemptFailed, Event, Failed, MatchError},
    reason::Reason,
    retry::{self, Treatment},
    settle::{Moment, Settled, Settling},
    state::{Match, State},
    time::Timestamp,
};

impl Settling<'_> {
    pub(super) fn incomplete(&self, drive: Drive, ask: &Ask, what: &str) -> Settled {
        let message = format!("Oz answered with {what}");
        self.failure(drive, ask, &Failure::new(FailureKind::Incomplete, message))
    }

    pub(super) fn failure(&self, mut drive: Drive, ask: &Ask, failure: &Failure) -> Settled {
        let processing = self.m.state == State::Processing;
        let treatment = retry::treat(failure.kind, ask.kind(), processing);
        match treatment {
            Treatment::Wait => self.wait(drive, ask, failure),
            Treatment::WaitCounted => {
                drive.incomplete += 1;
                match drive.incomplete >= INCOMPLETE_MAX {
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
            Treatment::End(reason) => {
                let reason = self.full_or(reason, &drive);
                self.give_up(drive, ask, reason, failure)
            }
        }
    }

    /// A photo refused by a folder that is as full as Oz lets folders be: that is why.
    fn full_or(&self, reason: Reason, drive: &Drive) -> Reason {
        let full = drive.plan.as_ref().is_some_and(|plan| plan.media_count >= FOLDER_MEDIA_MAX);
        if reason == Reason::OzRejectedPhoto && full { Reason::OzFolderFull } else { reason }
    }

    /// Nothing helps any more. For the QUALITY analysis that is no end of the match.
    fn give_up(&self, mut drive: Drive, ask: &Ask, reason: Reason, failure: &Failure) -> Settled {
        if self.is_quality(ask) {
            drive.quality.over = Some(None);
            return self.concluded(drive);
        }
        let mut error = MatchError::new(reason, retry::message(reason)).with(failure.metadata());
        if ask.kind() == AskKind::StartAnalyses && failure.kind != FailureKind::Incomplete {
            // Oz says that the request is wrong: the same request stays wrong.
            error.retryable &= reason != Reason::OzAnalysisFailed;
        }
        self.fail(drive, error)
    }

    fn wait(&self, mut drive: Drive, ask: &Ask, failure: &Failure) -> Settled {
        let Moment { now, chance, .. } = self.moment;
        let tell = drive.failed(ask.kind(), failure);
        let base = self.policy.poll_interval;
        let delay = retry::delay(drive.failures(), base, BACKOFF_MAX, chance, failure);
        let next_try = now.after(delay);
        let lost = ask.kind().changes_oz() && failure.kind.may_have_acted();
        match ask.kind() {
            AskKind::UploadPhoto if lost => drive.upload = Sending::Unsure(now),
            AskKind::StartAnalyses if lost => drive.start = Sending::Unsure(now),
            AskKind::UploadPhoto
            | AskKind::StartAnalyses
            | AskKind::ReadFolder
            | AskKind::ReadAnalysis => {}
        }
        // A lost answer is looked for at once; what changes Oz waits.
        drive.not_before = if lost { now } else { next_try };
        if ask.kind().changes_oz() {
            drive.resend_at = next_try;
        }
        let told = tell && self.m.troubles < TROUBLES_MAX && now < self.m.deadline();
        let event = told.then(|| attempt_failed(&drive, failure, next_try));
        Settled { event, drive, doubles: 0 }
    }

    fn is_quality(&self, ask: &Ask) -> bool {
        match ask {
            Ask::ReadAnalysis { analysis_id } => {
                self.m.liveness_analysis_id.as_ref() == Some(analysis_id)
            }
            Ask::ReadFolder { .. } | Ask::UploadPhoto { .. } | Ask::StartAnalyses { .. } => false,
        }
    }

    pub(super) fn fail(&self, drive: Drive, error: MatchError) -> Settled {
        let oz = drive.oz.clone();
        let event = Event::Failed(Failed { error, oz, keep: self.policy.retention });
        Settled { event: Some(event), drive, doubles: 0 }
    }
}

impl Drive {
    fn missing_since(&mut self, m: &Match, ask: &Ask, now: Timestamp) -> Timestamp {
        let is_biometry = match ask {
            Ask::ReadAnalysis { analysis_id } => m.analysis_id.as_ref() == Some(analysis_id),
            Ask::ReadFolder { .. } | Ask::UploadPhoto { .. } | Ask::StartAnalyses { .. } => false,
        };
        let since = match is_biometry {
            true => &mut self.biometry.missing_since,
            false => &mut self.quality.missing_since,
        };
        *since.get_or_insert(now)
    }
}

fn attempt_failed(drive: &Drive, failure: &Failure, next_attempt: Timestamp) -> Event {
    Event::AttemptFailed(AttemptFailed {
        cause: failure.kind.cause(),
        message: failure.message.clone(),
        next_attempt,
        metadata: failure.metadata(),
        oz: drive.oz.clone(),
    })
}
