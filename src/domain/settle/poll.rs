//! Settles polls, and concludes the match once its analyses are over.

use crate::domain::{
    ask::{Analysis, Ask},
    event::{Event, Failed, Finished, LivenessResult, MatchError, MatchResult},
    id::AnalysisId,
    liveness::{BIOMETRY, QUALITY},
    reason::Reason,
    request::LivenessPolicy,
    settle::{Settled, Settling},
    state::Match,
    time::Timestamp,
    verdict::{self, LivenessReading, VerdictReading},
    volatile::{Policy, Poll, VolatileState},
};

/// The end of a match whose deadline has passed: the outcome of the comparison if it is known, else
/// a timeout.
pub fn timed_out(m: &Match, drive: &VolatileState, policy: &Policy) -> Event {
    if let Some(event) = conclude(m, drive, policy) {
        return event;
    }
    let mut error = MatchError::new(Reason::MatchTimedOut, "the match's deadline has passed");
    if let Some((cause, metadata)) = &drive.last_trouble {
        error.metadata.insert("cause".into(), cause.as_str().into());
        error.metadata.extend(metadata.clone());
    }
    Event::Failed(Failed { error, oz: drive.oz.clone(), keep: policy.retention })
}

impl Settling<'_> {
    pub(super) fn analysis(
        &self,
        drive: VolatileState,
        ask: &Ask,
        id: &AnalysisId,
        answer: &Analysis,
    ) -> Settled {
        let is_biometry = self.m.analysis_id.as_ref() == Some(id);
        let kind = if is_biometry { BIOMETRY } else { QUALITY };
        if answer.id.as_ref().is_some_and(|answered| answered != id) {
            return self.incomplete(drive, ask, "an answer about another analysis");
        }
        if answer.kind.as_deref().is_some_and(|answered| answered != kind) {
            return self.incomplete(drive, ask, "an answer about another type of analysis");
        }
        if is_biometry {
            return self.biometry(drive, ask, answer);
        }
        self.quality(drive, ask, id, answer)
    }

    fn quality(
        &self,
        mut drive: VolatileState,
        ask: &Ask,
        id: &AnalysisId,
        answer: &Analysis,
    ) -> Settled {
        match verdict::read_liveness(answer, id) {
            LivenessReading::Incomplete(what) => return self.incomplete(drive, ask, what),
            LivenessReading::Pending => drive.quality = Poll::next(self.next_poll()),
            LivenessReading::Over(result) => drive.quality.over = Some(Some(result)),
        }
        drive.quality_health.worked(ask.kind());
        self.concluded(drive)
    }

    fn biometry(&self, mut drive: VolatileState, ask: &Ask, answer: &Analysis) -> Settled {
        drive.polls += 1;
        drive.oz = Some(verdict::status(answer, drive.polls, Some(self.moment.now)));
        match verdict::read(answer) {
            VerdictReading::Incomplete(what) => return self.incomplete(drive, ask, what),
            VerdictReading::Pending => drive.biometry = Poll::next(self.next_poll()),
            over @ (VerdictReading::Verdict { .. } | VerdictReading::Failed(_)) => {
                drive.biometry.over = Some(over);
            }
        }
        drive.health.worked(ask.kind());
        self.concluded(drive)
    }

    pub(super) fn concluded(&self, drive: VolatileState) -> Settled {
        let waits = self.m.liveness_analysis_id.is_some() && drive.quality.over.is_none();
        let event = if waits { None } else { conclude(self.m, &drive, self.policy) };
        Settled { event, drive, doubles: 0 }
    }

    /// Polls start an interval apart and never overlap.
    pub(super) fn next_poll(&self) -> Timestamp {
        self.moment.asked.after(self.policy.poll_interval).max(self.moment.now)
    }
}

impl<T> Poll<T> {
    const fn next(due: Timestamp) -> Self {
        Self { due, over: None, missing_since: None }
    }
}

/// The end of a match; `None` while its BIOMETRY analysis isn't over.
fn conclude(m: &Match, drive: &VolatileState, policy: &Policy) -> Option<Event> {
    let (oz, keep) = (drive.oz.clone(), policy.retention);
    match drive.biometry.over.clone()? {
        VerdictReading::Verdict { resolution, min_confidence, max_confidence } => {
            let liveness = reported_liveness(m, drive);
            let result = MatchResult { resolution, min_confidence, max_confidence, liveness };
            Some(Event::Finished(Finished { result, oz, keep }))
        }
        VerdictReading::Failed(error) => Some(Event::Failed(Failed { error, oz, keep })),
        VerdictReading::Pending | VerdictReading::Incomplete(_) => None,
    }
}

/// The liveness result to report: under RUN that of the QUALITY analysis that the match started,
/// else the one read from the folder.
fn reported_liveness(m: &Match, drive: &VolatileState) -> Option<LivenessResult> {
    match m.spec.liveness_policy {
        LivenessPolicy::Report | LivenessPolicy::Require | LivenessPolicy::Unknown => {
            m.liveness.clone()
        }
        LivenessPolicy::Run => {
            let analysis_id = m.liveness_analysis_id.clone()?;
            let unknown =
                LivenessResult { resolution: None, confidence_spoofing: None, analysis_id };
            Some(drive.quality.over.clone().flatten().unwrap_or(unknown))
        }
    }
}
