//! What matches count: those under way, their ends and phases, their photos, their requests to Oz.

use std::time::Duration;

use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

use crate::{
    domain::{Cause, Match, Resolution, State, TenantId},
    metrics::{
        HistogramFamily, Register,
        labels::{
            CauseLabels, EndLabels, OutcomeLabels, PhaseLabels, ResultLabels, Tenant, TenantLabels,
            UnfinishedLabels,
        },
        seconds, table,
    },
};

/// The bounds of whole matches in seconds: from a tenth of a second to the default deadline.
const MATCH_BOUNDS: [f64; 13] =
    [0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 90.0, 300.0, 600.0, 1_200.0];
/// The bounds of phases and waits in seconds: a commit takes milliseconds, a queue minutes.
const PHASE_BOUNDS: [f64; 13] =
    [0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 300.0, 1_200.0];

/// How matches end: the verdicts, and the states without one.
const OUTCOMES: [&str; 5] = [
    Resolution::Success.as_str(),
    Resolution::Declined.as_str(),
    Resolution::OperatorRequired.as_str(),
    state_word(State::Failed),
    state_word(State::Cancelled),
];

/// A phase of a match.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// From the call to the acceptance.
    Admitted,
    /// From the acceptance until the photo is at Oz.
    Uploaded,
    /// From then on to the verdict.
    Analysed,
}

impl Phase {
    /// All phases.
    const ALL: [Self; 3] = [Self::Admitted, Self::Uploaded, Self::Analysed];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Admitted => "admitted",
            Self::Uploaded => "uploaded",
            Self::Analysed => "analysed",
        }
    }
}

/// What a poll of an analysis found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PollResult {
    /// The analysis still runs.
    Processing,
    /// The analysis is over, so that the match goes on or ends.
    Over,
    /// Nothing: the poll failed.
    Failed,
}

impl PollResult {
    const ALL: [Self; 3] = [Self::Processing, Self::Over, Self::Failed];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Processing => "processing",
            Self::Over => "over",
            Self::Failed => "failed",
        }
    }
}

/// Counts matches. Cheap to clone; clones share the counts.
#[derive(Clone, Debug)]
pub struct MatchMetrics {
    unfinished: Family<UnfinishedLabels, Gauge>,
    finished: Family<EndLabels, Counter>,
    durations: HistogramFamily<OutcomeLabels>,
    phases: HistogramFamily<PhaseLabels>,
    queue_waits: HistogramFamily<TenantLabels>,
    attempts_failed: Family<CauseLabels, Counter>,
    polls: Family<ResultLabels, Counter>,
    /// Photos and analyses at Oz beyond those of their match.
    pub duplicates: Counter,
    /// Matches that this replica has taken over.
    pub adopted: Counter,
    /// Writes that had no effect.
    pub fenced_writes: Counter,
    /// Matches that were erased.
    pub erased: Counter,
}

/// Counts a match as under way for as long as it is held.
pub struct UnfinishedMatch {
    gauge: Gauge,
    state: State,
}

impl Default for MatchMetrics {
    fn default() -> Self {
        let phases = || Histogram::new(PHASE_BOUNDS);
        Self {
            unfinished: Family::default(),
            finished: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(MATCH_BOUNDS)),
            phases: Family::new_with_constructor(phases),
            queue_waits: Family::new_with_constructor(phases),
            attempts_failed: Family::default(),
            polls: Family::default(),
            duplicates: Counter::default(),
            adopted: Counter::default(),
            fenced_writes: Counter::default(),
            erased: Counter::default(),
        }
    }
}

impl MatchMetrics {
    /// Counts a match as under way.
    pub fn unfinished(&self, m: &Match) -> UnfinishedMatch {
        let gauge = self.gauge_of(m);
        gauge.inc();
        UnfinishedMatch { gauge, state: m.state }
    }

    /// Counts the match in its new state.
    pub fn moved(&self, counted: &mut UnfinishedMatch, m: &Match) {
        if counted.state != m.state && !m.has_ended() {
            *counted = self.unfinished(m);
        }
    }

    /// Counts the end of a match.
    pub fn ended(&self, m: &Match) {
        let labels = end_labels(m);
        let outcome = if labels.resolution.is_empty() { labels.state } else { labels.resolution };
        self.finished.get_or_create(&labels).inc();
        let duration = m.update_time.since(m.create_time);
        self.durations.get_or_create(&OutcomeLabels { outcome }).observe(seconds(duration));
    }

    /// Observes how long a match took for a phase.
    pub fn phase(&self, phase: Phase, took: Duration) {
        let labels = PhaseLabels { phase: phase.as_str() };
        self.phases.get_or_create(&labels).observe(seconds(took));
    }

    /// Observes how long a request of a tenant waited for its permit.
    pub fn queue_wait(&self, tenant: &TenantId, waited: Duration) {
        let labels = TenantLabels { tenant: Tenant::of(tenant) };
        self.queue_waits.get_or_create(&labels).observe(seconds(waited));
    }

    /// Counts a request to Oz that has failed without ending its match.
    pub fn attempt_failed(&self, cause: Cause) {
        self.attempts_failed.get_or_create(&cause_labels(cause)).inc();
    }

    /// Counts a poll of an analysis.
    pub fn polled(&self, found: PollResult) {
        self.polls.get_or_create(&ResultLabels { result: found.as_str() }).inc();
    }

    fn gauge_of(&self, m: &Match) -> Gauge {
        let labels =
            UnfinishedLabels { state: state_word(m.state), tenant: Tenant::of(&m.spec.tenant) };
        self.unfinished.get_or_create_owned(&labels)
    }

    /// The series of closed sets of words begin at zero, so that the first increase is seen.
    pub(super) fn register(&self, registry: &mut Registry) {
        for cause in Cause::ALL {
            drop(self.attempts_failed.get_or_create(&cause_labels(cause)));
        }
        for outcome in OUTCOMES {
            drop(self.durations.get_or_create(&OutcomeLabels { outcome }));
        }
        for phase in Phase::ALL {
            drop(self.phases.get_or_create(&PhaseLabels { phase: phase.as_str() }));
        }
        for result in PollResult::ALL {
            drop(self.polls.get_or_create(&ResultLabels { result: result.as_str() }));
        }
        registry.add(&table::MATCHES_UNFINISHED, self.unfinished.clone());
        registry.add(&table::MATCHES_FINISHED, self.finished.clone());
        registry.add(&table::MATCH_DURATION, self.durations.clone());
        registry.add(&table::MATCH_PHASE, self.phases.clone());
        registry.add(&table::ADOPTED, self.adopted.clone());
        registry.add(&table::FENCED_WRITES, self.fenced_writes.clone());
        registry.add(&table::ERASED, self.erased.clone());
        registry.add(&table::QUEUE_WAIT, self.queue_waits.clone());
        registry.add(&table::OZ_ATTEMPTS_FAILED, self.attempts_failed.clone());
        registry.add(&table::OZ_POLLS, self.polls.clone());
        registry.add(&table::OZ_DUPLICATES, self.duplicates.clone());
    }
}

impl Drop for UnfinishedMatch {
    fn drop(&mut self) {
        self.gauge.dec();
    }
}

fn end_labels(m: &Match) -> EndLabels {
    EndLabels {
        state: state_word(m.state),
        resolution: m.result.as_ref().map_or("", |result| result.resolution.as_str()),
        reason: m.error.as_ref().map_or("", |error| error.reason.as_str()),
        tenant: Tenant::of(&m.spec.tenant),
    }
}

fn cause_labels(cause: Cause) -> CauseLabels {
    CauseLabels { cause: cause.as_str() }
}

/// The API's word of a state, without its prefix.
const fn state_word(state: State) -> &'static str {
    match state {
        State::Accepted => "ACCEPTED",
        State::Uploaded => "UPLOADED",
        State::Processing => "PROCESSING",
        State::Finished => "FINISHED",
        State::Failed => "FAILED",
        State::Cancelled => "CANCELLED",
        State::Unknown => "UNKNOWN",
    }
}
