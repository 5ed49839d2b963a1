//! How many requests may be under way at once: a number of turns that may change at any time.
//!
//! It deliberately takes no turn away from anybody: where there are too many, those that come
//! back are kept.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit};

/// The turns of this replica: its share of all there are.
pub struct ResizableSemaphore {
    /// How many all replicas have together.
    all: usize,
    free: Semaphore,
    count: Mutex<PermitCount>,
}

/// A permit exists for each turn of the share, and for each that is owed.
struct PermitCount {
    share: usize,
    /// How many are still under way that are kept when they come back.
    owed: usize,
}

/// Leave to have one request under way.
pub struct Permit<'a> {
    turns: &'a ResizableSemaphore,
    permit: Option<SemaphorePermit<'a>>,
}

impl ResizableSemaphore {
    /// So many turns, and one at least, all of them this replica's.
    pub fn new(all: usize) -> Self {
        let all = all.clamp(1, Semaphore::MAX_PERMITS);
        let count = Mutex::new(PermitCount { share: all, owed: 0 });
        Self { all, free: Semaphore::new(all), count }
    }

    /// Waits for a turn, in order of arrival.
    pub async fn take(&self) -> Permit<'_> {
        let permit = self.free.acquire().await.expect("nobody closes the semaphore");
        Permit { turns: self, permit: Some(permit) }
    }

    /// Keeps the share of one of so many replicas, and one turn at least: a replica that may ask
    /// nothing would hold its matches for nothing.
    pub fn share_among(&self, replicas: usize) {
        let share = (self.all / replicas.max(1)).max(1);
        let mut count = self.count();
        match share.checked_sub(count.share) {
            // What is owed needn't be made anew.
            Some(more) => {
                let forgiven = more.min(count.owed);
                count.owed -= forgiven;
                self.free.add_permits(more - forgiven);
            }
            None => {
                let fewer = count.share - share;
                count.owed += fewer - self.free.forget_permits(fewer);
            }
        }
        count.share = share;
    }

    fn count(&self) -> MutexGuard<'_, PermitCount> {
        // Nothing that holds this lock can panic half-way, so a poisoned one is sound.
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit<'_> {
    /// Under the lock, so that a share that shrinks meanwhile finds the turn either free or owed.
    /// One that was handed to a waiter who left before it knew of it comes back without paying:
    /// the next one pays.
    fn drop(&mut self) {
        let Some(permit) = self.permit.take() else { return };
        let mut count = self.turns.count();
        if count.owed > 0 {
            count.owed -= 1;
            permit.forget();
        } else {
            drop(permit);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{future::Future, pin::Pin};

    use futures_util::poll;

    use super::*;

    type Waiter<'a> = Pin<Box<dyn Future<Output = Permit<'a>> + 'a>>;

    async fn taken(turns: &ResizableSemaphore, count: usize) -> Vec<Permit<'_>> {
        let mut taken = Vec::new();
        for _ in 0..count {
            taken.push(turns.take().await);
        }
        taken
    }

    /// So many that wait, in this order.
    async fn waiting(turns: &ResizableSemaphore, count: usize) -> Vec<Waiter<'_>> {
        let mut waiters: Vec<Waiter<'_>> = Vec::new();
        for _ in 0..count {
            let mut waiter: Waiter<'_> = Box::pin(turns.take());
            assert!(poll!(&mut waiter).is_pending(), "there is no turn left");
            waiters.push(waiter);
        }
        waiters
    }

    /// How many turns can be taken.
    async fn free(turns: &ResizableSemaphore) -> usize {
        let mut free = Vec::new();
        loop {
            let mut turn: Waiter<'_> = Box::pin(turns.take());
            match poll!(&mut turn) {
                std::task::Poll::Ready(turn) => free.push(turn),
                std::task::Poll::Pending => return free.len(),
            }
        }
    }

    #[tokio::test]
    async fn each_replica_has_an_even_share_and_one_turn_at_least() {
        let turns = ResizableSemaphore::new(10);
        for (replicas, share) in [(1, 10), (2, 5), (3, 3), (10, 1), (11, 1), (4, 2), (0, 10)] {
            turns.share_among(replicas);
            assert_eq!(free(&turns).await, share, "of {replicas} replicas");
        }
    }

    #[tokio::test]
    async fn a_share_that_shrinks_lets_those_under_way_finish_and_keeps_their_turns() {
        let turns = ResizableSemaphore::new(6);
        let mut under_way = taken(&turns, 5).await;
        turns.share_among(3);
        let mut waiters = waiting(&turns, 1).await;
        for left in [4, 3, 2] {
            under_way.truncate(left);
            assert!(poll!(&mut waiters[0]).is_pending(), "{left} are under way");
        }
        under_way.truncate(1);
        under_way.push(waiters.remove(0).await);
        assert_eq!((under_way.len(), free(&turns).await), (2, 0));
    }

    #[tokio::test]
    async fn a_share_that_grows_lets_in_those_who_wait_in_their_order() {
        let turns = ResizableSemaphore::new(4);
        turns.share_among(4);
        let first = taken(&turns, 1).await;
        let mut waiters = waiting(&turns, 5).await;
        turns.share_among(1);
        let mut turns_of = Vec::new();
        for waiter in waiters.drain(..3) {
            turns_of.push(waiter.await);
        }
        assert!(poll!(&mut waiters[0]).is_pending());
        drop(first);
        turns_of.push(waiters.remove(0).await);
        assert!(poll!(&mut waiters[0]).is_pending());
        drop(turns_of);
        waiters.remove(0).await;
        assert_eq!(free(&turns).await, 4);
    }

    #[tokio::test]
    async fn a_share_that_grows_again_owes_nothing_any_more() {
        let turns = ResizableSemaphore::new(8);
        let under_way = taken(&turns, 8).await;
        turns.share_among(8);
        turns.share_among(2);
        turns.share_among(4);
        turns.share_among(1);
        assert_eq!(free(&turns).await, 0);
        drop(under_way);
        assert_eq!(free(&turns).await, 8);
    }

    #[tokio::test]
    async fn a_turn_that_is_handed_to_somebody_who_leaves_is_not_lost() {
        let turns = ResizableSemaphore::new(4);
        let under_way = taken(&turns, 4).await;
        let mut waiters = waiting(&turns, 2).await;
        drop(under_way);
        turns.share_among(4);
        drop(waiters.remove(0));
        drop(waiters.remove(0).await);
        assert_eq!(free(&turns).await, 1);
        turns.share_among(1);
        assert_eq!(free(&turns).await, 4);
    }
}
