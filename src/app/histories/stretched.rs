//! Polls that are stretched, since Oz may be asked less often than there are matches to be polled:
//! a verdict that was paid for is read all the same, and the wait for a turn is never blamed on Oz.

use std::{num::NonZeroU32, time::Duration};

use crate::{
    app::histories::{
        History,
        caller::{Caller, Plan},
    },
    domain::{Ask, ask::AskKind},
    worker::OzLimits,
};

const MATCHES: u32 = 200;
/// Requests a second: each match is polled every 10 seconds.
const RATE: u32 = 20;
const TIMEOUT: Duration = Duration::from_secs(300);

/// Matches that arrive in 20 seconds, whose analyses end at a time.
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

/// An Oz that takes 30 ms for each of one request at a time: a poll of each match every 6 seconds.
fn by_turns() -> OzLimits {
    OzLimits { requests_max: 1, rate_max: None }
}

#[test]
fn a_verdict_that_comes_just_before_the_deadlines_is_read() {
    for limits in [by_rate(), by_turns()] {
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
fn a_wait_for_a_turn_is_never_blamed_on_oz() {
    for limits in [by_rate(), by_turns()] {
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
