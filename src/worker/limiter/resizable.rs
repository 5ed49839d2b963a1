//! A semaphore for requests in flight. Its number of permits may change at any time.
//!
//! It deliberately revokes no permit: when the number shrinks, surplus permits are withdrawn as
//! they are returned.

use std::sync::{Mutex, MutexGuard};

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::sync::lock;

/// The permits of this replica: its share of the permits of all replicas.
pub struct ResizableSemaphore {
    /// The permits of all replicas together.
    all: usize,
    free: Semaphore,
    count: Mutex<PermitCount>,
}

/// The inner semaphore has `share` plus `debt` permits, those in use included.
struct PermitCount {
    share: usize,
    /// The debt: permits in use that are withdrawn when they are returned.
    debt: usize,
}

/// Permission to have one request in flight.
pub struct Permit<'a> {
    semaphore: &'a ResizableSemaphore,
    permit: Option<SemaphorePermit<'a>>,
}

impl ResizableSemaphore {
    /// A semaphore of `all` permits, and at least one, for the only replica.
    pub fn new(all: usize) -> Self {
        let all = all.clamp(1, Semaphore::MAX_PERMITS);
        let count = Mutex::new(PermitCount { share: all, debt: 0 });
        Self { all, free: Semaphore::new(all), count }
    }

    /// Waits for a permit, in order of arrival.
    pub async fn acquire(&self) -> Permit<'_> {
        let permit = self.free.acquire().await.expect("the semaphore is never closed");
        Permit { semaphore: self, permit: Some(permit) }
    }

    /// Keeps to the share of one among `replicas` replicas, and to at least one permit: a replica
    /// without a permit would hold its matches in vain.
    pub fn share_among(&self, replicas: usize) {
        let share = (self.all / replicas.max(1)).max(1);
        let mut count = self.count();
        match share.checked_sub(count.share) {
            // The debt is cancelled before permits are added.
            Some(more) => {
                let forgiven = more.min(count.debt);
                count.debt -= forgiven;
                self.free.add_permits(more - forgiven);
            }
            None => {
                let fewer = count.share - share;
                count.debt += fewer - self.free.forget_permits(fewer);
            }
        }
        count.share = share;
    }

    fn count(&self) -> MutexGuard<'_, PermitCount> {
        lock(&self.count)
    }
}

impl Drop for Permit<'_> {
    /// Holds the lock, so that a share that shrinks meanwhile finds the permit either free or in
    /// use. A permit that was granted to a cancelled waiter returns to the inner semaphore without
    /// this code; the debt is then settled by the next permit.
    fn drop(&mut self) {
        let Some(permit) = self.permit.take() else { return };
        let mut count = self.semaphore.count();
        if count.debt > 0 {
            count.debt -= 1;
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

    async fn taken(semaphore: &ResizableSemaphore, count: usize) -> Vec<Permit<'_>> {
        let mut taken = Vec::new();
        for _ in 0..count {
            taken.push(semaphore.acquire().await);
        }
        taken
    }

    /// So many waiters, in this order.
    async fn waiting(semaphore: &ResizableSemaphore, count: usize) -> Vec<Waiter<'_>> {
        let mut waiters: Vec<Waiter<'_>> = Vec::new();
        for _ in 0..count {
            let mut waiter: Waiter<'_> = Box::pin(semaphore.acquire());
            assert!(poll!(&mut waiter).is_pending(), "there is no permit left");
            waiters.push(waiter);
        }
        waiters
    }

    /// How many permits can be taken.
    async fn free(semaphore: &ResizableSemaphore) -> usize {
        let mut free = Vec::new();
        loop {
            let mut permit: Waiter<'_> = Box::pin(semaphore.acquire());
            match poll!(&mut permit) {
                std::task::Poll::Ready(permit) => free.push(permit),
                std::task::Poll::Pending => return free.len(),
            }
        }
    }

    #[tokio::test]
    async fn each_replica_has_an_even_share_and_at_least_one_permit() {
        let semaphore = ResizableSemaphore::new(10);
        for (replicas, share) in [(1, 10), (2, 5), (3, 3), (10, 1), (11, 1), (4, 2), (0, 10)] {
            semaphore.share_among(replicas);
            assert_eq!(free(&semaphore).await, share, "of {replicas} replicas");
        }
    }

    #[tokio::test]
    async fn a_share_that_shrinks_lets_requests_finish_and_withdraws_their_permits() {
        let semaphore = ResizableSemaphore::new(6);
        let mut under_way = taken(&semaphore, 5).await;
        semaphore.share_among(3);
        let mut waiters = waiting(&semaphore, 1).await;
        for left in [4, 3, 2] {
            under_way.truncate(left);
            assert!(poll!(&mut waiters[0]).is_pending(), "{left} are under way");
        }
        under_way.truncate(1);
        under_way.push(waiters.remove(0).await);
        assert_eq!((under_way.len(), free(&semaphore).await), (2, 0));
    }

    #[tokio::test]
    async fn a_share_that_grows_admits_waiters_in_order() {
        let semaphore = ResizableSemaphore::new(4);
        semaphore.share_among(4);
        let first = taken(&semaphore, 1).await;
        let mut waiters = waiting(&semaphore, 5).await;
        semaphore.share_among(1);
        let mut permits_of = Vec::new();
        for waiter in waiters.drain(..3) {
            permits_of.push(waiter.await);
        }
        assert!(poll!(&mut waiters[0]).is_pending());
        drop(first);
        permits_of.push(waiters.remove(0).await);
        assert!(poll!(&mut waiters[0]).is_pending());
        drop(permits_of);
        waiters.remove(0).await;
        assert_eq!(free(&semaphore).await, 4);
    }

    #[tokio::test]
    async fn a_share_that_grows_again_has_no_debt() {
        let semaphore = ResizableSemaphore::new(8);
        let under_way = taken(&semaphore, 8).await;
        semaphore.share_among(8);
        semaphore.share_among(2);
        semaphore.share_among(4);
        semaphore.share_among(1);
        assert_eq!(free(&semaphore).await, 0);
        drop(under_way);
        assert_eq!(free(&semaphore).await, 8);
    }

    #[tokio::test]
    async fn a_permit_granted_to_a_cancelled_waiter_is_not_lost() {
        let semaphore = ResizableSemaphore::new(4);
        let under_way = taken(&semaphore, 4).await;
        let mut waiters = waiting(&semaphore, 2).await;
        drop(under_way);
        semaphore.share_among(4);
        drop(waiters.remove(0));
        drop(waiters.remove(0).await);
        assert_eq!(free(&semaphore).await, 1);
        semaphore.share_among(1);
        assert_eq!(free(&semaphore).await, 4);
    }
}
