//! Counts the commits and lost races of a replica's writer, and logs when races are lost too often.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tracing::warn;

use crate::domain::Timestamp;

/// How often lost races are checked.
const WINDOW: Duration = Duration::from_secs(60);

/// How many lost races in that time are worth a line in the log: fewer cost next to nothing.
const LOST_MIN: u64 = 100;

/// Counts since the journal was opened.
#[derive(Default)]
pub(super) struct Counts {
    /// Statements that have written events.
    commits: AtomicU64,
    /// Statements that wrote nothing, because another replica's commit came first, and were sent
    /// again.
    lost_races: AtomicU64,
}

impl Counts {
    pub(super) fn committed(&self) {
        self.commits.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn lost_a_race(&self) {
        self.lost_races.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    pub(super) fn lost_races(&self) -> u64 {
        self.lost_races.load(Ordering::Relaxed)
    }
}

/// Logs lost races, once a minute at most, if they outnumber the commits.
pub(super) struct Contention {
    since: Timestamp,
    commits: u64,
    lost_races: u64,
}

impl Contention {
    pub(super) fn since(now: Timestamp) -> Self {
        Self { since: now, commits: 0, lost_races: 0 }
    }

    pub(super) fn look(&mut self, now: Timestamp, counts: &Counts) {
        let passed = now.since(self.since);
        if passed < WINDOW {
            return;
        }
        let commits = counts.commits() - self.commits;
        let lost_races = counts.lost_races() - self.lost_races;
        if lost_races >= LOST_MIN && lost_races > commits {
            let duration_ms = u64::try_from(passed.as_millis()).unwrap_or(u64::MAX);
            warn!(
                journal.lost_races = lost_races,
                journal.commits = commits,
                duration_ms,
                "writes are late: other replicas' commits come first"
            );
        }
        *self = Self { since: now, commits: counts.commits(), lost_races: counts.lost_races() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::captured::capture;

    fn count(counts: &Counts, commits: u64, lost_races: u64) {
        (0..commits).for_each(|_| counts.committed());
        (0..lost_races).for_each(|_| counts.lost_a_race());
    }

    #[test]
    fn lost_races_are_logged_once_a_minute_if_they_outnumber_commits() {
        let start = Timestamp::default();
        let minutes = |minutes: u32| start.after(WINDOW * minutes);
        let lines = capture(|| {
            let (counts, mut contention) = (Counts::default(), Contention::since(start));
            count(&counts, 10, 500);
            contention.look(start.after(WINDOW / 2), &counts);
            contention.look(minutes(1), &counts);
            // More commits than lost races, then few of both.
            count(&counts, 600, 500);
            contention.look(minutes(2), &counts);
            count(&counts, 1, 50);
            contention.look(minutes(3), &counts);
        });
        let [line] = &lines.all()[..] else { panic!("one line") };
        assert_eq!(line.message, "writes are late: other replicas' commits come first");
        assert_eq!(line.field("journal.lost_races"), Some("500"));
        assert_eq!(line.field("journal.commits"), Some("10"));
    }
}
