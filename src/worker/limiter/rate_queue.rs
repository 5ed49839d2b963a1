//! The queue of requests that wait for the rate limit, in order of arrival.
//!
//! Only the head of the queue waits until the core's token bucket has a token. No request reserves
//! a slot in time: if the head is cancelled, or may not send after all, the next request gets the
//! slot, so none is left unused.

use std::sync::{Mutex, MutexGuard};

use tokio::sync::{self, Notify};

use crate::{
    clock::Clock,
    domain::{Timestamp, TokenBucket},
    sync::lock,
};

/// The queue and its token bucket.
pub struct RateQueue {
    /// Held by the head of the queue; tokio's lock keeps the order.
    head: sync::Mutex<()>,
    bucket: Mutex<TokenBucket>,
    /// Signals that the rate has changed, so that the head asks again when it may send.
    changed: Notify,
}

/// The head of the queue.
pub struct QueueHead<'a> {
    queue: &'a RateQueue,
    _head: sync::MutexGuard<'a, ()>,
}

impl RateQueue {
    /// An empty queue.
    pub fn new(bucket: TokenBucket) -> Self {
        Self { head: sync::Mutex::default(), bucket: Mutex::new(bucket), changed: Notify::new() }
    }

    /// Waits to become the head of the queue, in order of arrival.
    pub async fn head(&self) -> QueueHead<'_> {
        QueueHead { queue: self, _head: self.head.lock().await }
    }

    /// Keeps to the share of one among `replicas` replicas. It applies to the present head as well.
    pub fn share_among(&self, replicas: usize, now: Timestamp) {
        self.bucket().share_among(replicas, now);
        self.changed.notify_one();
    }

    fn bucket(&self) -> MutexGuard<'_, TokenBucket> {
        lock(&self.bucket)
    }
}

impl QueueHead<'_> {
    /// Waits until the bucket has a token.
    pub async fn wait(&self, clock: &Clock) {
        loop {
            let now = clock.now();
            let due = self.queue.bucket().due(now);
            if due <= now {
                return;
            }
            tokio::select! {
                biased;
                () = self.queue.changed.notified() => {}
                () = clock.sleep_until(due) => {}
            }
        }
    }

    /// Takes the token of a request that is sent now. The next request becomes the head.
    pub fn take_token(self, now: Timestamp) {
        self.queue.bucket().take(now);
    }
}
