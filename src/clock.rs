//! The time of day, and waiting for one: the only room that reads a clock.
//!
//! Everybody else is given a [`Clock`]. Tests give one that they move by hand, so that a test of
//! an hour takes none, and a real connection pool doesn't time out meanwhile.

use std::{
    collections::BTreeMap,
    fmt,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use tokio::sync::oneshot;

use crate::domain::Timestamp;

/// Tells the time and waits for it. Cheap to clone; clones share their time.
#[derive(Clone)]
pub struct Clock(Source);

#[derive(Clone)]
enum Source {
    System { start: Timestamp, origin: Instant },
    Manual(Arc<Mutex<Manual>>),
}

/// Moves a manual clock.
#[derive(Clone)]
pub struct Hand(Arc<Mutex<Manual>>);

struct Manual {
    now: Timestamp,
    sleepers_made: u64,
    sleepers: BTreeMap<(Timestamp, u64), oneshot::Sender<()>>,
}

impl Clock {
    /// The machine's time of day as of now, carried on by its monotonic clock: it never goes
    /// back, whatever is done to the time of day while the process runs.
    #[expect(clippy::disallowed_methods, reason = "this is the room that reads the clock")]
    pub fn system() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let start = Timestamp::from_micros(0).after(since_epoch);
        Self(Source::System { start, origin: Instant::now() })
    }

    /// A clock that stands still until its hand is moved.
    pub fn manual(now: Timestamp) -> (Self, Hand) {
        let manual = Manual { now, sleepers_made: 0, sleepers: BTreeMap::new() };
        let shared = Arc::new(Mutex::new(manual));
        (Self(Source::Manual(Arc::clone(&shared))), Hand(shared))
    }

    /// What time it is.
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::System { start, origin } => start.after(origin.elapsed()),
            Source::Manual(manual) => lock(manual).now,
        }
    }

    /// Returns once that time has come; at once if it has passed.
    pub async fn sleep_until(&self, time: Timestamp) {
        match &self.0 {
            Source::System { .. } => tokio::time::sleep(time.since(self.now())).await,
            Source::Manual(manual) => sleeper(manual, time).await,
        }
    }

    /// Returns after that long.
    pub async fn sleep(&self, duration: Duration) {
        self.sleep_until(self.now().after(duration)).await;
    }

    /// What the future returns, or nothing if the time comes first.
    pub async fn before<F: Future>(&self, time: Timestamp, future: F) -> Option<F::Output> {
        tokio::select! {
            biased;
            output = future => Some(output),
            () = self.sleep_until(time) => None,
        }
    }
}

impl Hand {
    /// Moves the time on and wakes everyone whose time has come.
    pub fn advance(&self, duration: Duration) {
        let mut manual = lock(&self.0);
        let now = manual.now.after(duration);
        manual.now = now;
        let later = manual.sleepers.split_off(&(now, u64::MAX));
        for (_, wake) in std::mem::replace(&mut manual.sleepers, later) {
            // A sleeper that was dropped needs no waking.
            let _ = wake.send(());
        }
    }

    /// The earliest time that anyone waits for.
    pub fn next_wake(&self) -> Option<Timestamp> {
        let mut manual = lock(&self.0);
        while let Some(first) = manual.sleepers.first_entry() {
            if !first.get().is_closed() {
                return Some(first.key().0);
            }
            first.remove();
        }
        None
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clock({:?})", self.now())
    }
}

async fn sleeper(manual: &Mutex<Manual>, time: Timestamp) {
    let woken = {
        let mut manual = lock(manual);
        if time <= manual.now {
            return;
        }
        let (wake, woken) = oneshot::channel();
        manual.sleepers_made += 1;
        let key = (time, manual.sleepers_made);
        manual.sleepers.insert(key, wake);
        woken
    };
    // The sender is only dropped with the clock itself: then nothing is waited for any more.
    let _ = woken.await;
}

/// Nothing that holds this lock can panic half-way, so a poisoned one is sound.
fn lock(manual: &Mutex<Manual>) -> std::sync::MutexGuard<'_, Manual> {
    manual.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn sleepers_wake_when_the_hand_passes_their_time() {
        let (clock, hand) = Clock::manual(Timestamp::from_micros(0));
        let due = clock.now().after(Duration::from_secs(2));
        let sleeping = tokio::join!(
            async {
                clock.sleep_until(due).await;
                clock.now()
            },
            async {
                assert_eq!(hand.next_wake(), Some(due));
                hand.advance(Duration::from_secs(1));
                assert_eq!(hand.next_wake(), Some(due));
                hand.advance(Duration::from_secs(5));
            }
        );
        assert_eq!(sleeping.0, due.after(Duration::from_secs(4)));
    }

    #[test]
    fn the_system_clock_does_not_go_back() {
        let clock = Clock::system();
        let earlier = clock.now();
        assert!(clock.now() >= earlier);
    }
}
