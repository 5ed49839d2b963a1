//! Those who wait for their time to send, where Oz is asked at a limited rate: one behind the
//! other.
//!
//! Only the first waits for the time; the core's pace says when it comes. So nobody has a place
//! in time that it could leave unused: whoever goes away, or may not send after all, leaves the
//! same time to the next.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{self, Notify};

use crate::{
    clock::Clock,
    domain::{Timestamp, TokenBucket},
};

/// The line before the gate.
pub struct RateQueue {
    /// Held by whoever is first; tokio's lock keeps the order.
    first: sync::Mutex<()>,
    pace: Mutex<TokenBucket>,
    /// The first has to look again when its time comes.
    changed: Notify,
}

/// The first place in the line.
pub struct QueueHead<'a> {
    line: &'a RateQueue,
    _first: sync::MutexGuard<'a, ()>,
}

impl RateQueue {
    /// A line in which nobody waits.
    pub fn new(pace: TokenBucket) -> Self {
        Self { first: sync::Mutex::default(), pace: Mutex::new(pace), changed: Notify::new() }
    }

    /// Waits until nobody is before, in order of arrival.
    pub async fn first(&self) -> QueueHead<'_> {
        QueueHead { line: self, _first: self.first.lock().await }
    }

    /// Goes on at the share of one of so many replicas, whoever is first included.
    pub fn share_among(&self, replicas: usize, now: Timestamp) {
        self.pace().share_among(replicas, now);
        self.changed.notify_one();
    }

    fn pace(&self) -> MutexGuard<'_, TokenBucket> {
        // Nothing that holds this lock can panic half-way, so a poisoned one is sound.
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl QueueHead<'_> {
    /// Waits until something may be sent.
    pub async fn wait(&self, clock: &Clock) {
        loop {
            let now = clock.now();
            let due = self.line.pace().due(now);
            if due <= now {
                return;
            }
            tokio::select! {
                biased;
                () = self.line.changed.notified() => {}
                () = clock.sleep_until(due) => {}
            }
        }
    }

    /// Sends now, and makes way for the next.
    pub fn go(self, now: Timestamp) {
        self.line.pace().take(now);
    }
}
