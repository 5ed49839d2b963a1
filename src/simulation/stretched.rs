//! Stretched polls: there are more matches than the limits allow to be polled at the usual
//! interval. A verdict that was paid for is read all the same, and a wait for the limiter is never
//! blamed on Oz.

use std::{num::NonZeroU32, time::Duration};

use crate::{
    domain::{Ask, ask::AskKind},
    simulation::{
        History,
        caller::{Caller, Plan},
    },
    worker::OzLimits,
};

const MATCHES: u32 = 200;
/// Requests per second: each match is polled every 10 seconds.
const RATE: u32 = 20;
const TIMEOUT: Duration = Duration::from_secs(300);

/// Runs matches that arrive within 20 seconds, and whose analyses end at a time.
fn stretched(limits: OzLimits, analyses_end: f64) -> History {
    let mut history = History::new(1);
    history.limits = limits;
    for n in 0..MATCHES {
        let arrives = History::at(1.0 + 20.0 * f64::from(n) / f64::from(MATCHES));
        let plan = Plan { timeout: TIMEOUT, arrives, ..Plan::plain(&history.oz, n) };
        history.callers.push(Caller::new(plan));
    }
    history.oz.end_analyses_at(History::at(analyses_end));
    history.run();
    history
}

fn by_rate() -> OzLimits {
    OzLimits { requests_max: 512, rate_max: NonZeroU32::new(RATE) }
}

/// One request at a time, of 30 ms: each match is polled every 6 seconds.
fn by_permits() -> OzLimits {
    OzLimits { requests_max: 1, rate_max: None }
}

#[test]
fn a_verdict_just_before_the_deadline_is_read() {
    for limits in [by_rate(), by_permits()] {
        let history = stretched(limits, 300.0);
        let polls = history.oz.record().into_iter().filter(|(time, ask)| {
            let second = History::at(200.0)..History::at(290.0);
            ask.kind() == AskKind::ReadAnalysis && second.contains(time)
        });
        let interval = 90.0 * f64::from(MATCHES) / polls.count() as f64;
        assert!(interval > 5.0, "polls are stretched: one in {interval} s");
        for seen in history.callers.iter().flat_map(|caller| caller.seen()) {
            assert_eq!(seen.names.last(), Some(&"finished"), "{limits:?}");
        }
    }
}

#[test]
fn a_wait_for_the_limiter_is_never_blamed_on_oz() {
    for limits in [by_rate(), by_permits()] {
        let history = stretched(limits, 10_000.0);
        let is_last_look = |ask: &Ask| ask.kind() == AskKind::ReadAnalysis;
        let record = history.oz.record();
        let looks =
            record.iter().filter(|(time, ask)| *time >= History::at(301.0) && is_last_look(ask));
        assert!(looks.count() >= MATCHES as usize / 2, "last looks were sent");
        for seen in history.callers.iter().flat_map(|caller| caller.seen()) {
            assert_eq!(seen.names.last(), Some(&"failed"));
            assert_eq!(seen.cause, None, "{limits:?}");
        }
    }
}
