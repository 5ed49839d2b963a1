//! Settles polls, and concludes the match once its analyses are over.

use crate::domain::{
    ask::{Analysis, Ask},
    event::{Event, Failed, Finished, LivenessResult, MatchError, MatchResult},
    id::AnalysisId,
    liveness::{BIOMETRY, QUALITY},
    reason::Reason,
    request::LivenessPolicy,
    settle::Settling,
    state::Match,
    time::Timestamp,
    verdict::{self, LivenessReading, VerdictReading},
    volatile::{Policy, Poll, VolatileState},
};

/// The end of a match whose deadline has passed: the outcome of the comparison if it is known, else
/// a timeout.
pub fn timed_out(m: &Match, volatile: &VolatileState, policy: &Policy) -> Event {
    if let Some(event) = conclude(m, volatile, policy) {
        return event;
    }
    let mut error = MatchError::new(Reason::MatchTimedOut, "the match's deadline has passed");
    if let Some((cause, metadata)) = &volatile.last_trouble {
        error.metadata.insert("cause".into(), cause.as_str().into());
        error.metadata.extend(metadata.clone());
    }
    Event::Failed(Failed { error, oz: volatile.oz.clone(), keep: policy.retention })
}

impl Settling<'_> {
    pub(super) fn analysis(
        &mut self,
        ask: &Ask,
        id: &AnalysisId,
        answer: &Analysis,
    ) -> Option<Event> {
        let is_biometry = self.m.analysis_id.as_ref() == Some(id);
        let kind = if is_biometry { BIOMETRY } else { QUALITY };
        if answer.id.as_ref().is_some_and(|answered| answered != id) {
            return self.incomplete(ask, "an answer about another analysis");
        }
        if answer.kind.as_deref().is_some_and(|answered| answered != kind) {
            return self.incomplete(ask, "an answer about another type of analysis");
        }
        if is_biometry {
            return self.biometry(ask, answer);
        }
        self.quality(ask, id, answer)
    }

    fn quality(&mut self, ask: &Ask, id: &AnalysisId, answer: &Analysis) -> Option<Event> {
        match verdict::read_liveness(answer, id) {
            LivenessReading::Incomplete(what) => return self.incomplete(ask, what),
            LivenessReading::Pending => self.volatile.quality = Poll::next(self.next_poll()),
            LivenessReading::Over(result) => self.volatile.quality.over = Some(Some(result)),
        }
        self.volatile.quality_health.worked(ask.kind());
        self.concluded()
    }

    fn biometry(&mut self, ask: &Ask, answer: &Analysis) -> Option<Event> {
        self.volatile.polls += 1;
        self.volatile.oz =
            Some(verdict::status(answer, self.volatile.polls, Some(self.moment.now)));
        match verdict::read(answer) {
            VerdictReading::Incomplete(what) => return self.incomplete(ask, what),
            VerdictReading::Pending => self.volatile.biometry = Poll::next(self.next_poll()),
            over @ (VerdictReading::Verdict { .. } | VerdictReading::Failed(_)) => {
                self.volatile.biometry.over = Some(over);
            }
        }
        self.volatile.health.worked(ask.kind());
        self.concluded()
    }

    /// The end of the match, once both analyses are over.
    pub(super) fn concluded(&self) -> Option<Event> {
        let waits = self.m.liveness_analysis_id.is_some() && self.volatile.quality.over.is_none();
        if waits { None } else { conclude(self.m, self.volatile, self.policy) }
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
fn conclude(m: &Match, volatile: &VolatileState, policy: &Policy) -> Option<Event> {
    let (oz, keep) = (volatile.oz.clone(), policy.retention);
    match volatile.biometry.over.clone()? {
        VerdictReading::Verdict { resolution, min_confidence, max_confidence } => {
            let liveness = reported_liveness(m, volatile);
            let result = MatchResult { resolution, min_confidence, max_confidence, liveness };
            Some(Event::Finished(Finished { result, oz, keep }))
        }
        VerdictReading::Failed(error) => Some(Event::Failed(Failed { error, oz, keep })),
        VerdictReading::Pending | VerdictReading::Incomplete(_) => None,
    }
}

/// The liveness result to report: under RUN that of the QUALITY analysis that the match started,
/// else the one read from the folder.
fn reported_liveness(m: &Match, volatile: &VolatileState) -> Option<LivenessResult> {
    match m.spec.liveness_policy {
        LivenessPolicy::Report | LivenessPolicy::Require | LivenessPolicy::Unknown => {
            m.liveness.clone()
        }
        LivenessPolicy::Run => {
            let analysis_id = m.liveness_analysis_id.clone()?;
            let unknown =
                LivenessResult { resolution: None, confidence_spoofing: None, analysis_id };
            Some(volatile.quality.over.clone().flatten().unwrap_or(unknown))
        }
    }
}
