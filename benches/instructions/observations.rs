//! All that the metrics of one match observe, as the service does it: a call, its events with their
//! commits and updates, and its requests to Oz with three polls.

use std::{sync::Arc, time::Duration};

use facematch::{
    domain::{Event, Match, Position, Recorded, Sequence, State, TenantId, apply},
    metrics::{
        CallMetrics, EndOfCall, Endpoint, JournalMetrics, MatchMetrics, OzMetrics, Phase,
        PollResult, StreamKind, WatchMetrics,
    },
};
use http::StatusCode;

use crate::{
    Result,
    inputs::{self, LATENCY, START},
};

const METHOD: &str = "facematch.v1.FaceMatch/RunMatch";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const ENDPOINT: Endpoint = Endpoint { method: "GET", template: "/api/analyses/{analysis_id}" };
const REQUESTS: usize = 6;
const EVENTS: usize = 4;
const POLLS: usize = 3;

/// The metrics of a service, and the match that they observe.
pub struct Observations {
    calls: CallMetrics,
    matches: MatchMetrics,
    oz: OzMetrics,
    journal: JournalMetrics,
    watch: WatchMetrics,
    tenant: TenantId,
    states: Vec<Match>,
}

impl Observations {
    pub fn new() -> Result<Self> {
        let spec = Arc::new(inputs::spec()?);
        let accepted = apply(
            None,
            &Recorded {
                match_id: inputs::match_id()?,
                sequence: Sequence::FIRST,
                position: Position(1),
                incarnation: 0,
                time: START,
                event: Event::Accepted(Arc::clone(&spec)),
            },
        )?;
        let states = [State::Accepted, State::Uploaded, State::Processing, State::Finished];
        Ok(Self {
            calls: CallMetrics::default(),
            matches: MatchMetrics::default(),
            oz: OzMetrics::new("oz.example"),
            journal: JournalMetrics::default(),
            watch: WatchMetrics::default(),
            tenant: spec.tenant.clone(),
            states: states.map(|state| Match { state, ..accepted.clone() }).into(),
        })
    }

    /// Observes one match.
    pub fn of_a_match(&self) {
        self.calls.began(METHOD);
        let stream = self.watch.opened(StreamKind::One);
        let mut unfinished = self.matches.unfinished(&self.states[0]);
        for phase in [Phase::Admitted, Phase::Uploaded, Phase::Analysed] {
            self.matches.phase(phase, LATENCY);
        }
        for _ in 0..REQUESTS {
            self.matches.queue_wait(&self.tenant, Duration::ZERO);
            self.oz.answered(ENDPOINT, Ok(StatusCode::OK), LATENCY);
        }
        (0..POLLS).for_each(|_| self.matches.polled(PollResult::Processing));
        for event in 0..EVENTS {
            self.journal.committed(LATENCY);
            self.watch.sent(LATENCY);
            self.matches.moved(&mut unfinished, &self.states[event]);
        }
        self.matches.ended(&self.states[EVENTS - 1]);
        drop((stream, unfinished));
        self.calls.ended(&EndOfCall {
            door: "grpc",
            rpc_system: "grpc",
            method: METHOD,
            code: "OK",
            reason: None,
            tenant: Some(&self.tenant),
            trace_id: Some(TRACE),
            duration: LATENCY,
        });
    }
}
