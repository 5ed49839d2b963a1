//! The gate to Oz, which all drivers pass: how many at once, and whether at all.
//!
//! It decides nothing itself: the core's circuit does. It brings the time and the chance, logs
//! when the circuit turns, and sees to it that a leave to send is never lost.

mod turns;

use std::sync::{Mutex, MutexGuard, PoisonError};

use tracing::{info, warn};

use crate::{
    clock::Clock,
    domain::{
        Circuit, Hold, Outcome, Pass,
        circuit::{self, Change},
    },
    worker::{
        Chance,
        gate::turns::{Turn, Turns},
    },
};

/// What all requests to Oz pass.
pub struct Gate {
    circuit: Mutex<Circuit>,
    /// Whoever holds a turn has one request under way, its own or the login that it needs. Who
    /// waits for one is asked last whether anything may be sent, so that whoever has waited through
    /// the beginning of an outage is still held back.
    turns: Turns,
    clock: Clock,
    chance: Chance,
}

/// The leave to send one request now. One that is dropped unreported is given back.
pub struct Leave<'a> {
    gate: &'a Gate,
    pass: Option<Pass>,
    _turn: Turn<'a>,
}

impl Gate {
    /// A gate that lets so many through at once, and one at least, for a replica that is alone.
    pub fn new(requests_max: usize, clock: Clock, chance: Chance) -> Self {
        Self {
            circuit: Mutex::new(Circuit::new(clock.now())),
            turns: Turns::new(requests_max),
            clock,
            chance,
        }
    }

    /// Waits for a turn. `retries`: whether the request repeats what has just failed.
    ///
    /// # Errors
    /// When to come again, if the request must not be sent now.
    pub async fn enter(&self, retries: bool) -> Result<Leave<'_>, Hold> {
        let turn = self.turns.take().await;
        let (now, chance) = (self.clock.now(), (self.chance)());
        let pass = self.circuit().enter(retries, now, chance)?;
        Ok(Leave { gate: self, pass: Some(pass), _turn: turn })
    }

    /// Keeps the share of one of so many replicas, from now on. What is under way goes on.
    pub fn share_among(&self, replicas: usize) {
        self.turns.share_among(replicas);
    }

    fn circuit(&self) -> MutexGuard<'_, Circuit> {
        // Nothing that holds this lock can panic half-way, so a poisoned one is sound.
        self.circuit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Leave<'_> {
    /// Tells what came of the request.
    pub fn report(mut self, outcome: &Outcome) {
        let Some(pass) = self.pass.take() else { return };
        let failure = outcome.as_ref().err();
        let (now, chance) = (self.gate.clock.now(), (self.gate.chance)());
        let change = self.gate.circuit().report(pass, failure, now, chance);
        let cause = failure.map(|failure| failure.kind.cause().as_str());
        match change {
            Some(Change::Opened) => warn!(
                cause,
                failures = circuit::OPENS_AFTER,
                "Oz is out: nothing but single probes is sent"
            ),
            Some(Change::Closed) => info!("Oz answers again: what was held back goes on"),
            None => {}
        }
    }
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        if let Some(pass) = self.pass.take() {
            self.gate.circuit().give_back(pass);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use futures_util::poll;

    use super::*;
    use crate::{
        clock::Hand,
        domain::{Failure, FailureKind, Reply, Timestamp},
    };

    fn gate(requests_max: usize) -> (Gate, Hand) {
        let (clock, hand) = Clock::manual(Timestamp::from_micros(0));
        (Gate::new(requests_max, clock, Arc::new(|| 0.0)), hand)
    }

    fn down() -> Outcome {
        Err(Failure::new(FailureKind::Unreachable, "trouble"))
    }

    async fn open(gate: &Gate) {
        for _ in 0..circuit::OPENS_AFTER {
            gate.enter(false).await.unwrap().report(&down());
        }
        assert!(gate.enter(false).await.is_err());
    }

    #[tokio::test]
    async fn no_more_than_allowed_are_through_and_whoever_leaves_makes_room() {
        let (gate, _hand) = gate(3);
        let mut through = Vec::new();
        for _ in 0..3 {
            through.push(gate.enter(false).await.unwrap());
        }
        let mut fourth = std::pin::pin!(gate.enter(false));
        assert!(poll!(&mut fourth).is_pending());
        // Whether or not anything came of it.
        drop(through.pop());
        let fourth = fourth.await.unwrap();
        let mut fifth = std::pin::pin!(gate.enter(false));
        assert!(poll!(&mut fifth).is_pending());
        fourth.report(&down());
        assert!(fifth.await.is_ok());
    }

    #[tokio::test]
    async fn a_gate_for_nobody_or_for_everybody_lets_one_through() {
        for requests_max in [0, usize::MAX] {
            let (gate, _hand) = gate(requests_max);
            assert!(gate.enter(false).await.is_ok());
        }
    }

    #[tokio::test]
    async fn an_outage_lets_one_probe_through_and_an_answer_lets_all() {
        let (gate, hand) = gate(10);
        open(&gate).await;
        hand.advance(circuit::PAUSE_MIN);
        let probe = gate.enter(false).await.unwrap();
        assert!(gate.enter(false).await.is_err());
        probe.report(&Ok(Reply::Started(Vec::new())));
        let (one, other) = (gate.enter(false).await, gate.enter(false).await);
        assert!(one.is_ok() && other.is_ok());
    }

    #[tokio::test]
    async fn a_probe_whose_driver_goes_away_holds_up_nobody() {
        let (gate, hand) = gate(10);
        open(&gate).await;
        for _ in 0..3 {
            hand.advance(circuit::PAUSE_MIN);
            drop(gate.enter(false).await.unwrap());
        }
        hand.advance(circuit::PAUSE_MIN);
        assert!(gate.enter(false).await.is_ok());
    }

    #[tokio::test]
    async fn who_waits_for_a_turn_as_an_outage_begins_is_held_back() {
        let (gate, _hand) = gate(1);
        for _ in 1..circuit::OPENS_AFTER {
            gate.enter(false).await.unwrap().report(&down());
        }
        let last = gate.enter(false).await.unwrap();
        let (waited, ()) = tokio::join!(gate.enter(false), async { last.report(&down()) });
        let hold = waited.err().expect("it is held back");
        assert_eq!(hold.why.map(|why| why.kind), Some(FailureKind::Unreachable));
        assert_eq!(hold.until.since(Timestamp::from_micros(0)), Duration::from_secs(1));
    }
}
