//! Logs an outage as one line when it begins, one when it ends, and a count of failures in between.
//!
//! An unavailable store fails every operation, thousands a second. The log needs to say when that
//! began, why, when it was over, and how many operations failed. This module deliberately decides
//! nothing and keeps only the count: each failure is handled where it happens.

use std::{
    error::Error,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tracing::{info, warn};

use crate::{clock::Clock, domain::Timestamp, sync::lock};

/// How long after the last failure an outage is over: as long as the store's readers may wait, so
/// that late failures of one outage don't begin another.
const CALM: Duration = Duration::from_secs(5);
/// How often an outage that continues is logged again.
const REMINDER: Duration = Duration::from_secs(60);
/// The longest logged chain of causes, in characters: some causes quote whole statements.
const CAUSES_CHARACTERS_MAX: usize = 500;

/// The outages of one dependency, such as the store. Cheap to clone; clones share their state.
#[derive(Clone)]
pub struct Outage(Arc<OutageInner>);

struct OutageInner {
    /// The name of the dependency in the log.
    what: &'static str,
    clock: Clock,
    /// Whether there is an outage: an operation that works checks nothing else.
    lasts: AtomicBool,
    current: Mutex<Option<Spell>>,
}

/// The current outage.
struct Spell {
    began: Timestamp,
    last_failure: Timestamp,
    last_told: Timestamp,
    failures: u64,
}

impl Outage {
    /// Starts without an outage. Each line names `what`, such as "the store".
    pub fn new(what: &'static str, clock: Clock) -> Self {
        let (lasts, spell) = (AtomicBool::new(false), Mutex::default());
        Self(Arc::new(OutageInner { what, clock, lasts, current: spell }))
    }

    /// Records that an operation has failed. Its error is logged when an outage begins, and once a
    /// minute.
    pub fn failed(&self, error: &(dyn Error + 'static)) {
        self.failed_because(|| causes(error));
    }

    /// Records a failure whose causes are text already.
    pub fn failed_because(&self, causes: impl FnOnce() -> String) {
        let (now, what) = (self.0.clock.now(), self.0.what);
        let mut spell = self.spell();
        let Some(spell) = &mut *spell else {
            *spell = Some(Spell { began: now, last_failure: now, last_told: now, failures: 1 });
            self.0.lasts.store(true, Ordering::Relaxed);
            warn!(error = causes().as_str(), "{what} fails");
            return;
        };
        spell.failures += 1;
        spell.last_failure = now;
        if now.since(spell.last_told) >= REMINDER {
            spell.last_told = now;
            let (failures, duration_ms) = (spell.failures, millis(now.since(spell.began)));
            let error = causes();
            let error = error.as_str();
            warn!(failures, duration_ms, error, "{what} still fails");
        }
    }

    /// Records that an operation has worked. The outage is over once no operation has failed for
    /// some seconds.
    pub fn worked(&self) {
        if !self.lasts() {
            return;
        }
        let (now, what) = (self.0.clock.now(), self.0.what);
        let mut spell = self.spell();
        let Some(over) = spell.take_if(|spell| now.since(spell.last_failure) >= CALM) else {
            return;
        };
        self.0.lasts.store(false, Ordering::Relaxed);
        drop(spell);
        let (failures, duration_ms) = (over.failures, millis(now.since(over.began)));
        info!(failures, duration_ms, "{what} works again");
    }

    /// Whether there is an outage.
    pub fn lasts(&self) -> bool {
        self.0.lasts.load(Ordering::Relaxed)
    }

    fn spell(&self) -> MutexGuard<'_, Option<Spell>> {
        lock(&self.0.current)
    }
}

impl fmt::Debug for Outage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outage").field("what", &self.0.what).finish_non_exhaustive()
    }
}

/// An error and its causes, outermost first. A cause that the text so far ends with is left out.
pub fn causes(error: &(dyn Error + 'static)) -> String {
    let mut chain = error.to_string();
    for cause in std::iter::successors(error.source(), |&cause| cause.source()) {
        let cause = cause.to_string();
        if !chain.ends_with(&cause) {
            chain.push_str(": ");
            chain.push_str(&cause);
        }
    }
    match chain.char_indices().nth(CAUSES_CHARACTERS_MAX) {
        Some((end, _)) => format!("{}…", &chain[..end]),
        None => chain,
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::telemetry::captured::{Lines, capture};

    #[derive(Debug, thiserror::Error)]
    #[error("the store is unavailable")]
    struct Unavailable(#[source] io::Error);

    fn failure() -> Unavailable {
        Unavailable(io::Error::other("connection refused"))
    }

    fn messages(lines: &Lines) -> Vec<String> {
        lines.all().iter().map(|line| line.message.clone()).collect()
    }

    #[test]
    fn a_thousand_failures_are_logged_as_two_lines_and_a_count() {
        let (clock, hand) = Clock::manual(Timestamp::default());
        let store = Outage::new("the store", clock);
        let lines = capture(|| {
            store.worked();
            for _ in 0..1000 {
                store.failed(&failure());
            }
            store.worked();
            assert!(store.lasts(), "the last failure was a moment ago");
            hand.advance(CALM);
            store.worked();
            store.worked();
        });
        assert_eq!(messages(&lines), ["the store fails", "the store works again"]);
        let [began, over] = &lines.all()[..] else { panic!("two lines") };
        assert_eq!(began.field("error"), Some("the store is unavailable: connection refused"));
        assert_eq!(
            (over.field("failures"), over.field("duration_ms")),
            (Some("1000"), Some("5000"))
        );
    }

    #[test]
    fn an_outage_that_continues_is_logged_once_a_minute() {
        let (clock, hand) = Clock::manual(Timestamp::default());
        let store = Outage::new("the store", clock);
        let lines = capture(|| {
            for _ in 0..125 {
                store.failed(&failure());
                hand.advance(Duration::from_secs(1));
            }
        });
        let goes_on = "the store still fails";
        assert_eq!(messages(&lines), ["the store fails", goes_on, goes_on]);
        assert_eq!(lines.all()[2].field("failures"), Some("121"));
    }

    #[test]
    fn a_late_failure_belongs_to_the_same_outage() {
        let (clock, hand) = Clock::manual(Timestamp::default());
        let store = Outage::new("the store", clock);
        let lines = capture(|| {
            for _ in 0..10 {
                store.failed(&failure());
                hand.advance(CALM - Duration::from_millis(1));
                store.worked();
            }
        });
        assert_eq!(messages(&lines), ["the store fails"]);
    }

    #[test]
    fn a_chain_names_each_cause_once_and_is_cut() {
        assert_eq!(causes(&failure()), "the store is unavailable: connection refused");
        #[derive(Debug, thiserror::Error)]
        #[error("request failed: {0}")]
        struct Told(#[source] io::Error);
        assert_eq!(causes(&Told(io::Error::other("reset"))), "request failed: reset");
        let long = causes(&io::Error::other("é".repeat(900)));
        assert_eq!(long.chars().count(), CAUSES_CHARACTERS_MAX + 1);
    }
}
