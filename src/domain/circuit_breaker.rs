//! Whether a request may go to Oz at all: one circuit breaker and one retry budget for all matches.
//!
//! Each match waits out its own trouble (`retry`). The breaker is shared by all matches: in an
//! outage it reduces their requests to single probes, and after it spreads their return over time.
//! It deliberately keeps no queue: a request that is held back gets a random time at which it asks
//! again.

use std::time::Duration;

use crate::domain::{
    ask::{Failure, FailureKind, LibraryFault},
    retry,
    time::Timestamp,
    volatile::BACKOFF_MAX,
};

/// How many failures in a row, over all matches, open the circuit. A few matches with a fault of
/// their own don't reach this number; thousands of matches in an outage do within milliseconds.
pub const OPENS_AFTER: u32 = 32;
/// The shortest pause before a probe, and the shortest time for which any other request is held
/// back: a short disturbance is over by then.
pub const PAUSE_MIN: Duration = Duration::from_secs(1);
/// The longest of these times. A probe's pause and the hold of another request together take no
/// longer than the longest pause between two attempts of one match.
pub const PAUSE_MAX: Duration = Duration::from_secs(BACKOFF_MAX.as_secs() / 2);
/// How long a single `Retry-After` may delay the probes of all matches: an odd value must not stop
/// the service for a day. The match that received it waits as long as it says.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(600);
/// How many retries an answer adds to the budget: one for every five answers.
pub const BUDGET_SHARE: f64 = 0.2;
/// How many retries each second adds to the budget, so that a few matches are never starved.
pub const BUDGET_FLOOR: f64 = 10.0;
/// How many retries the budget holds: the largest burst after a quiet time.
pub const BUDGET_MAX: f64 = 100.0;
/// The longest time for which a retry that finds the budget empty is held back.
pub const BUDGET_PAUSE_MAX: Duration = Duration::from_secs(10);

/// The message for matches whose requests are held back. They must not show Oz's message about
/// another match's request.
const HELD_BACK: &str = "held back: requests of other matches failed";

/// The state that all matches of one Oz account, or of one photo library, share.
#[derive(Clone, PartialEq, Debug)]
pub struct CircuitBreaker {
    state: BreakerState,
    /// Grows with every change of state. A failure of a request that was sent under an earlier
    /// generation says nothing about the present.
    generation: u64,
    /// How many probes have failed since the circuit opened.
    failed_probes: u32,
    budget: RetryBudget,
}

#[derive(Clone, PartialEq, Debug)]
enum BreakerState {
    /// Requests may be sent. `failures` counts the failures in a row.
    Closed { failures: u32 },
    /// No request may be sent before `until`; then a read-only request may be sent, as a probe.
    Open { until: Timestamp, why: Failure },
    /// A probe is in flight; its outcome decides. If its ticket is given back, another probe may be
    /// sent at `again`.
    Probing { again: Timestamp, why: Failure },
}

/// A token bucket: each token pays for one retry.
#[derive(Clone, PartialEq, Debug)]
struct RetryBudget {
    retries: f64,
    as_of: Timestamp,
}

/// What the limiter of requests to Oz, of which this breaker is a part, needs to know about a
/// request.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RequestTraits {
    /// It repeats a request that has just failed, so it is charged to the retry budget.
    pub retries: bool,
    /// It changes something at Oz. Such a request is never the probe: it may take minutes, and is
    /// the costliest to lose.
    pub changes_oz: bool,
    /// It is the last look at an analysis, after the match's deadline.
    pub is_last_look: bool,
}

/// Permission to send one request. It must be reported or given back.
#[derive(PartialEq, Eq, Debug)]
#[must_use = "a probe that is neither reported nor given back blocks all requests"]
pub struct Ticket(u64);

/// A request that must not be sent now.
#[derive(Clone, PartialEq, Debug)]
pub struct Deferred {
    /// When to ask again.
    pub until: Timestamp,
    /// The trouble, if Oz is down or there is no session; `None` if only the retry budget is empty.
    pub why: Option<Failure>,
    /// Whether a probe is due that this request can't be: its match may read its folder instead.
    pub look_first: bool,
}

/// A change of state that is worth a line in the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BreakerChange {
    /// Only probes are sent from now on.
    Opened,
    /// Oz answers again.
    Closed,
}

impl CircuitBreaker {
    /// A closed circuit with a full budget.
    pub const fn new(now: Timestamp) -> Self {
        let budget = RetryBudget { retries: BUDGET_MAX, as_of: now };
        Self {
            state: BreakerState::Closed { failures: 0 },
            generation: 0,
            failed_probes: 0,
            budget,
        }
    }

    /// Whether requests are held back but for single probes.
    pub const fn is_open(&self) -> bool {
        match self.state {
            BreakerState::Closed { .. } => false,
            BreakerState::Open { .. } | BreakerState::Probing { .. } => true,
        }
    }

    /// How many retries the budget holds now.
    pub fn repeat_budget(&self, now: Timestamp) -> f64 {
        self.budget.at(now)
    }

    /// Asks whether a request may be sent now. A probe is not charged to the retry budget.
    ///
    /// # Errors
    /// [`Deferred`] says when to ask again, spread by `chance` (0..1).
    pub fn enter(
        &mut self,
        traits: RequestTraits,
        now: Timestamp,
        chance: f64,
    ) -> Result<Ticket, Deferred> {
        if let Some(deferred) = self.foresee(traits, now, chance) {
            return Err(deferred);
        }
        match &self.state {
            BreakerState::Closed { .. } if traits.retries => self.budget.charge(now),
            BreakerState::Closed { .. } => {}
            BreakerState::Open { why, .. } | BreakerState::Probing { why, .. } => {
                let (again, why) = (now.after(PAUSE_MIN), why.clone());
                self.enters(BreakerState::Probing { again, why });
            }
        }
        Ok(Ticket(self.generation))
    }

    /// Whether a request would be held back if it were to be sent now. Changes nothing, and promises
    /// nothing for a later moment.
    pub fn foresee(&self, traits: RequestTraits, now: Timestamp, chance: f64) -> Option<Deferred> {
        let why = match &self.state {
            BreakerState::Closed { .. } if !traits.retries || self.budget.pays(now) => return None,
            BreakerState::Closed { .. } => {
                let pause = retry::spread(u32::MAX, PAUSE_MIN, BUDGET_PAUSE_MAX, chance);
                return Some(Deferred { until: now.after(pause), why: None, look_first: false });
            }
            BreakerState::Open { until, why } if now >= *until && traits.changes_oz => {
                return Some(Deferred { until: now, why: Some(why.clone()), look_first: true });
            }
            BreakerState::Open { until, .. } if now >= *until => return None,
            BreakerState::Open { why, .. } | BreakerState::Probing { why, .. } => why.clone(),
        };
        Some(Deferred { until: now.after(self.pause(chance)), why: Some(why), look_first: false })
    }

    /// Reports the outcome of a request: its failure, if it failed. Any outcome that shows that Oz
    /// is up closes the circuit, even that of a request that isn't the probe or was sent long ago.
    pub fn report(
        &mut self,
        ticket: Ticket,
        failure: Option<&Failure>,
        now: Timestamp,
        chance: f64,
    ) -> Option<BreakerChange> {
        match failure.filter(|failure| is_outage(failure.kind)) {
            None => self.answered(),
            Some(failure) => self.failed(ticket, failure, now, chance),
        }
    }

    /// Takes back the ticket of a request whose outcome will not be known. If it was the probe,
    /// another may be sent, no sooner than [`PAUSE_MIN`] after it.
    pub fn give_back(&mut self, ticket: Ticket) {
        match &self.state {
            BreakerState::Probing { again, why } if ticket.0 == self.generation => {
                let (until, why) = (*again, why.clone());
                self.enters(BreakerState::Open { until, why });
            }
            BreakerState::Closed { .. }
            | BreakerState::Open { .. }
            | BreakerState::Probing { .. } => {}
        }
    }

    fn answered(&mut self) -> Option<BreakerChange> {
        self.budget.earns();
        match &mut self.state {
            BreakerState::Closed { failures } => {
                *failures = 0;
                None
            }
            BreakerState::Open { .. } | BreakerState::Probing { .. } => {
                self.enters(BreakerState::Closed { failures: 0 });
                self.failed_probes = 0;
                Some(BreakerChange::Closed)
            }
        }
    }

    fn failed(
        &mut self,
        ticket: Ticket,
        failure: &Failure,
        now: Timestamp,
        chance: f64,
    ) -> Option<BreakerChange> {
        if ticket.0 != self.generation {
            return None;
        }
        match &mut self.state {
            BreakerState::Closed { failures } => {
                *failures += 1;
                let opens = *failures >= OPENS_AFTER;
                opens.then(|| self.open(failure, now, chance)).map(|()| BreakerChange::Opened)
            }
            BreakerState::Probing { .. } => {
                self.failed_probes = self.failed_probes.saturating_add(1);
                self.open(failure, now, chance);
                None
            }
            BreakerState::Open { .. } => None,
        }
    }

    fn open(&mut self, failure: &Failure, now: Timestamp, chance: f64) {
        let asked_for = failure.retry_after.unwrap_or_default().min(RETRY_AFTER_MAX);
        let until = now.after(self.pause(chance).max(asked_for));
        let http_status = failure.http_status;
        let why = Failure { http_status, ..Failure::new(failure.kind, HELD_BACK) };
        self.enters(BreakerState::Open { until, why });
    }

    fn enters(&mut self, state: BreakerState) {
        self.state = state;
        self.generation += 1;
    }

    /// A pause before a probe, or a hold, with jitter. It grows with every probe that fails.
    fn pause(&self, chance: f64) -> Duration {
        retry::spread(self.failed_probes.saturating_add(1), PAUSE_MIN, PAUSE_MAX, chance)
    }
}

impl RetryBudget {
    /// Whether the budget covers a retry.
    fn pays(&self, now: Timestamp) -> bool {
        self.at(now) >= 1.0
    }

    /// Charges one retry, which the budget covers.
    fn charge(&mut self, now: Timestamp) {
        self.retries = self.at(now) - 1.0;
        self.as_of = now.max(self.as_of);
    }

    fn at(&self, now: Timestamp) -> f64 {
        let earned = now.since(self.as_of).as_secs_f64() * BUDGET_FLOOR;
        (self.retries + earned).min(BUDGET_MAX)
    }

    fn earns(&mut self) {
        self.retries = (self.retries + BUDGET_SHARE).min(BUDGET_MAX);
    }
}

/// Whether a failure of this kind means that Oz, or the network path to it, is down. All other
/// failures count as answers.
const fn is_outage(kind: FailureKind) -> bool {
    match kind {
        FailureKind::Unreachable
        | FailureKind::TimedOut
        | FailureKind::Interrupted
        | FailureKind::RateLimited
        | FailureKind::ServerError
        | FailureKind::Redirected
        | FailureKind::Unreadable
        | FailureKind::Foreign
        | FailureKind::Library(LibraryFault::Unreachable) => true,
        FailureKind::Incomplete
        | FailureKind::SessionRefused
        | FailureKind::Unauthorized
        | FailureKind::LoginRefused
        | FailureKind::Forbidden
        | FailureKind::NotFound
        | FailureKind::TooLarge
        | FailureKind::Rejected
        | FailureKind::Library(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const RETRY: RequestTraits =
        RequestTraits { retries: true, changes_oz: false, is_last_look: false };
    const SENDING: RequestTraits =
        RequestTraits { retries: false, changes_oz: true, is_last_look: false };

    fn second(second: i64) -> Timestamp {
        Timestamp::from_micros(second * 1_000_000)
    }

    fn closed() -> CircuitBreaker {
        CircuitBreaker::new(second(0))
    }

    fn failure(kind: FailureKind) -> Failure {
        Failure::new(kind, "trouble")
    }

    /// Sends a request with this outcome, without jitter.
    fn send(
        circuit: &mut CircuitBreaker,
        now: Timestamp,
        outcome: Result<(), FailureKind>,
    ) -> Option<BreakerChange> {
        let ticket = circuit.enter(RequestTraits::default(), now, 0.0).unwrap();
        circuit.report(ticket, outcome.map_err(failure).as_ref().err(), now, 0.0)
    }

    /// A circuit that opened just now, at second 0: the first probe is due at second 1.
    fn open() -> CircuitBreaker {
        let mut circuit = closed();
        for _ in 1..OPENS_AFTER {
            assert_eq!(send(&mut circuit, second(0), Err(FailureKind::TimedOut)), None);
        }
        let change = send(&mut circuit, second(0), Err(FailureKind::Unreachable));
        assert_eq!(change, Some(BreakerChange::Opened));
        circuit
    }

    #[test]
    fn failures_in_a_row_open_the_circuit_and_a_hold_gives_the_cause() {
        let mut circuit = open();
        let hold = circuit.enter(RequestTraits::default(), second(0), 1.0).unwrap_err();
        assert_eq!(hold.until, second(2));
        let why = hold.why.unwrap();
        assert_eq!((why.kind, &*why.message), (FailureKind::Unreachable, HELD_BACK));
    }

    #[test]
    fn what_is_foreseen_is_what_happens_then_and_takes_nothing() {
        let mut spent = closed();
        while spent.enter(RETRY, second(0), 0.0).is_ok() {}
        for circuit in [closed(), spent, open()] {
            for traits in [RequestTraits::default(), RETRY, SENDING] {
                for time in [second(0), second(1), second(60)] {
                    let foreseen = circuit.foresee(traits, time, 0.5);
                    let entered = circuit.clone().enter(traits, time, 0.5);
                    assert_eq!(foreseen, entered.err(), "{traits:?} at {time:?}");
                }
            }
        }
        let mut circuit = closed();
        for _ in 0..1_000 {
            assert_eq!(circuit.foresee(RETRY, second(0), 0.0), None);
        }
        assert!(circuit.enter(RETRY, second(0), 0.0).is_ok());
    }

    #[test]
    fn one_answer_between_failures_keeps_the_circuit_closed() {
        let mut circuit = closed();
        for nth in 0..OPENS_AFTER * 10 {
            let outcome =
                if nth % (OPENS_AFTER - 1) == 0 { Ok(()) } else { Err(FailureKind::TimedOut) };
            assert_eq!(send(&mut circuit, second(0), outcome), None);
        }
    }

    #[test]
    fn only_outages_open_the_circuit() {
        use FailureKind::{
            Forbidden, Foreign, Incomplete, Interrupted, LoginRefused, NotFound, RateLimited,
            Redirected, Rejected, ServerError, SessionRefused, TimedOut, TooLarge, Unauthorized,
            Unreachable, Unreadable,
        };
        let opens = |kind| {
            let mut circuit = closed();
            (0..OPENS_AFTER).any(|_| send(&mut circuit, second(0), Err(kind)).is_some())
        };
        for kind in [
            Unreachable,
            TimedOut,
            Interrupted,
            RateLimited,
            ServerError,
            Redirected,
            Unreadable,
            Foreign,
        ] {
            assert!(opens(kind), "{kind:?}");
        }
        for kind in [
            Incomplete,
            SessionRefused,
            Unauthorized,
            LoginRefused,
            Forbidden,
            NotFound,
            TooLarge,
            Rejected,
        ] {
            assert!(!opens(kind), "{kind:?}");
            assert_eq!(
                send(&mut open(), second(1), Err(kind)),
                Some(BreakerChange::Closed),
                "{kind:?}"
            );
        }
    }

    #[test]
    fn a_request_that_changes_oz_is_never_the_probe_and_its_match_may_read_instead() {
        let mut circuit = open();
        let early = circuit.enter(SENDING, second(0), 0.0).unwrap_err();
        assert_eq!((early.until, early.look_first), (second(1), false));
        let hold = circuit.enter(SENDING, second(1), 0.0).unwrap_err();
        assert_eq!((hold.until, hold.look_first), (second(1), true));
        let look = circuit.enter(RequestTraits::default(), second(1), 0.0).unwrap();
        let beside = circuit.enter(SENDING, second(1), 0.0).unwrap_err();
        assert!(!beside.look_first, "another request is the probe");
        assert_eq!(circuit.report(look, None, second(2), 0.0), Some(BreakerChange::Closed));
        assert!(circuit.enter(SENDING, second(2), 0.0).is_ok());
    }

    #[test]
    fn one_probe_at_a_time_is_sent() {
        let mut circuit = open();
        assert!(circuit.enter(RequestTraits::default(), second(0), 0.0).is_err());
        let probe = circuit.enter(RETRY, second(1), 0.0).unwrap();
        for now in [1, 2, 600] {
            assert!(circuit.enter(RequestTraits::default(), second(now), 0.0).is_err());
        }
        assert_eq!(circuit.report(probe, None, second(600), 0.0), Some(BreakerChange::Closed));
        for _ in 0..10_000 {
            circuit.give_back(
                circuit.clone().enter(RequestTraits::default(), second(600), 0.0).unwrap(),
            );
        }
    }

    #[test]
    fn the_pauses_between_probes_grow_and_are_capped() {
        let mut circuit = open();
        let mut now = second(2);
        let mut pauses = Vec::new();
        for _ in 0..6 {
            let probe = circuit.enter(RequestTraits::default(), now, 1.0).unwrap();
            circuit.report(probe, Some(&failure(FailureKind::TimedOut)), now, 1.0);
            let BreakerState::Open { until, .. } = circuit.state else { panic!() };
            pauses.push(until.since(now).as_secs());
            now = until;
        }
        assert_eq!(pauses, [4, 8, 15, 15, 15, 15]);
    }

    #[test]
    fn the_last_failed_probe_gives_the_cause() {
        let mut circuit = open();
        let why = |circuit: &mut CircuitBreaker| {
            circuit.enter(RequestTraits::default(), second(1), 0.0).unwrap_err().why.unwrap()
        };
        let probe = circuit.enter(RequestTraits::default(), second(1), 0.0).unwrap();
        assert_eq!(why(&mut circuit).kind, FailureKind::Unreachable);
        let down = Failure { http_status: Some(503), ..failure(FailureKind::ServerError) };
        circuit.report(probe, Some(&down), second(1), 0.0);
        assert_eq!(why(&mut circuit), Failure { message: HELD_BACK.into(), ..down });
    }

    #[test]
    fn a_probe_waits_as_long_as_oz_asks_but_not_for_ever() {
        for (asked_for, waited) in [(90, 90), (0, 1), (u64::MAX, 600)] {
            let mut circuit = open();
            let probe = circuit.enter(RequestTraits::default(), second(1), 0.0).unwrap();
            let retry_after = Some(Duration::from_secs(asked_for));
            let busy = Failure { retry_after, ..failure(FailureKind::RateLimited) };
            circuit.report(probe, Some(&busy), second(1), 0.0);
            assert!(circuit.enter(RequestTraits::default(), second(waited), 0.0).is_err());
            assert!(circuit.enter(RequestTraits::default(), second(waited + 1), 0.0).is_ok());
        }
    }

    #[test]
    fn a_probe_that_is_given_back_makes_way_for_another() {
        let mut circuit = open();
        let probe = circuit.enter(RequestTraits::default(), second(1), 0.0).unwrap();
        circuit.give_back(probe);
        assert!(circuit.enter(RequestTraits::default(), second(1), 0.0).is_err(), "not at once");
        let next = circuit.enter(RequestTraits::default(), second(2), 0.0).unwrap();
        assert_eq!(circuit.report(next, None, second(2), 0.0), Some(BreakerChange::Closed));
    }

    #[test]
    fn failures_of_requests_sent_before_a_change_of_state_are_ignored() {
        let mut circuit = closed();
        let mut early: Vec<Ticket> = (0..4 * OPENS_AFTER)
            .map(|_| circuit.enter(RequestTraits::default(), second(0), 0.0).unwrap())
            .collect();
        let down = failure(FailureKind::TimedOut);
        for ticket in early.drain(..OPENS_AFTER as usize) {
            circuit.report(ticket, Some(&down), second(0), 0.0);
        }
        let as_opened = circuit.clone();
        for ticket in early.drain(..OPENS_AFTER as usize) {
            assert_eq!(circuit.report(ticket, Some(&down), second(0), 0.0), None);
        }
        assert_eq!(circuit, as_opened, "the pause doesn't grow");
        assert_eq!(send(&mut circuit, second(1), Ok(())), Some(BreakerChange::Closed));
        for ticket in early {
            assert_eq!(
                circuit.report(ticket, Some(&down), second(1), 0.0),
                None,
                "it stays closed"
            );
        }
    }

    #[test]
    fn a_ticket_from_before_a_change_of_state_makes_way_for_no_probe() {
        let mut circuit = closed();
        let early = circuit.enter(RequestTraits::default(), second(0), 0.0).unwrap();
        for _ in 0..OPENS_AFTER {
            send(&mut circuit, second(0), Err(FailureKind::TimedOut));
        }
        let probe = circuit.enter(RequestTraits::default(), second(1), 0.0).unwrap();
        circuit.give_back(early);
        assert!(
            circuit.enter(RequestTraits::default(), second(2), 0.0).is_err(),
            "the probe is in flight"
        );
        assert_eq!(circuit.report(probe, None, second(2), 0.0), Some(BreakerChange::Closed));
    }

    #[test]
    fn a_late_answer_closes_the_circuit_and_the_failing_probe_leaves_it_closed() {
        let mut circuit = closed();
        let early = circuit.enter(RequestTraits::default(), second(0), 0.0).unwrap();
        for _ in 0..OPENS_AFTER {
            send(&mut circuit, second(0), Err(FailureKind::TimedOut));
        }
        let probe = circuit.enter(RequestTraits::default(), second(1), 0.0).unwrap();
        assert_eq!(circuit.report(early, None, second(1), 0.0), Some(BreakerChange::Closed));
        let down = failure(FailureKind::TimedOut);
        assert_eq!(circuit.report(probe, Some(&down), second(2), 0.0), None);
        assert!(circuit.enter(RequestTraits::default(), second(2), 0.0).is_ok());
    }

    #[test]
    fn held_back_requests_return_spread_over_an_interval() {
        let mut circuit = open();
        let mut until =
            |chance| circuit.enter(RequestTraits::default(), second(0), chance).unwrap_err().until;
        assert_eq!([0.0, 1.0].map(&mut until), [second(1), second(2)]);
        assert_eq!(until(0.5).since(second(0)), SECOND.mul_f64(1.5));
    }

    // The retry budget.

    /// How many retries are let through at once.
    fn retries(circuit: &mut CircuitBreaker, now: Timestamp) -> usize {
        (0..1_000).take_while(|_| circuit.enter(RETRY, now, 0.0).is_ok()).count()
    }

    #[test]
    fn retries_are_paid_for_and_first_tries_are_free() {
        let mut circuit = closed();
        assert_eq!(retries(&mut circuit, second(0)), BUDGET_MAX as usize);
        let hold = circuit.enter(RETRY, second(0), 1.0).unwrap_err();
        assert_eq!((hold.until, hold.why), (second(10), None));
        assert!(circuit.enter(RequestTraits::default(), second(0), 0.0).is_ok());
    }

    #[test]
    fn one_retry_is_earned_by_every_five_answers() {
        let mut circuit = closed();
        retries(&mut circuit, second(0));
        for _ in 0..51 {
            send(&mut circuit, second(0), Ok(()));
        }
        assert_eq!(retries(&mut circuit, second(0)), 10);
    }

    #[test]
    fn time_alone_pays_for_a_few_retries_and_saves_up_no_more_than_a_full_budget() {
        let mut circuit = closed();
        retries(&mut circuit, second(0));
        assert_eq!(retries(&mut circuit, second(2)), 20);
        assert_eq!(retries(&mut circuit, second(10_000)), 100);
    }
}
