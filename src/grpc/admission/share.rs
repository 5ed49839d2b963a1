//! What each connection holds of the limits that all connections share.
//!
//! A connection's share goes with its last lease, and a lease gives back what it has when it is
//! dropped. How much a connection may hold is decided by [`Pool`].

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::{domain::photo, grpc::admission::pool::Pool};

/// The limits of the process. Cheap to clone; clones share them.
#[derive(Clone)]
pub struct Shares {
    memory: Arc<Mutex<Pool>>,
    calls: Arc<Mutex<Pool>>,
    photos: Arc<Mutex<Pool>>,
}

/// What one connection holds of them. Cheap to clone; clones are of the same connection.
#[derive(Clone)]
pub struct ConnectionShare {
    memory: Arc<Held>,
    calls: Arc<Held>,
    photos: Arc<Held>,
}

/// What one connection holds of one limit.
struct Held {
    pool: Arc<Mutex<Pool>>,
    /// Written under the pool's lock only.
    amount: Mutex<usize>,
}

/// A part of a limit that is held until this is dropped.
pub struct Lease {
    held: Arc<Held>,
    amount: usize,
}

impl Shares {
    /// Shares of this many bytes of requests, calls, and bytes of photos among at most so many
    /// connections.
    pub fn new(
        memory_bytes: usize,
        calls_max: usize,
        photo_bytes: usize,
        connections_max: usize,
    ) -> Self {
        let pool = |limit| Arc::new(Mutex::new(Pool::new(limit, connections_max)));
        // Photo memory itself is the limit, and one photo is the least that is of use.
        let photos = Pool::with_free_floors(photo_bytes, photo::BYTES_MAX);
        let photos = Arc::new(Mutex::new(photos));
        Self { memory: pool(memory_bytes), calls: pool(calls_max), photos }
    }

    /// The share of a new connection.
    pub fn connection(&self) -> ConnectionShare {
        let held = |pool: &Arc<Mutex<Pool>>| {
            Arc::new(Held { pool: Arc::clone(pool), amount: Mutex::default() })
        };
        ConnectionShare {
            memory: held(&self.memory),
            calls: held(&self.calls),
            photos: held(&self.photos),
        }
    }
}

impl ConnectionShare {
    /// One more call, if the connection may have it.
    pub fn call(&self) -> Option<Lease> {
        Self::lease(&self.calls, 1)
    }

    /// So many bytes of request memory, if the connection may have them.
    pub fn memory(&self, bytes: usize) -> Option<Lease> {
        Self::lease(&self.memory, bytes)
    }

    /// A lease of photo memory that holds nothing yet, for a photo while it is received.
    pub fn photo(&self) -> Lease {
        Lease { held: Arc::clone(&self.photos), amount: 0 }
    }

    fn lease(held: &Arc<Held>, amount: usize) -> Option<Lease> {
        let mut lease = Lease { held: Arc::clone(held), amount: 0 };
        lease.grow_to(amount).then_some(lease)
    }
}

impl Lease {
    /// Holds at least so much, if the connection may; otherwise nothing changes.
    pub fn grow_to(&mut self, amount: usize) -> bool {
        let more = amount.saturating_sub(self.amount);
        let (mut pool, mut held) = (lock(&self.held.pool), lock(&self.held.amount));
        let may = more == 0 || pool.take(*held, more);
        if may {
            *held += more;
            self.amount += more;
        }
        may
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let (mut pool, mut held) = (lock(&self.held.pool), lock(&self.held.amount));
        pool.give_back(*held, self.amount);
        *held -= self.amount;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that holds these locks can panic half-way, so a poisoned one is sound.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_returns_what_it_grew_to() {
        let shares = Shares::new(1_000, 10, 0, 1);
        let connection = shares.connection();
        for _ in 0..3 {
            let mut lease = connection.memory(100).unwrap();
            assert!(lease.grow_to(600) && lease.grow_to(50), "it holds more than that");
            assert!(!lease.grow_to(700), "it holds more than is free");
            assert!(connection.memory(100).is_none());
        }
        assert_eq!(*lock(&connection.memory.amount), 0);
    }

    #[test]
    fn one_connection_does_not_take_the_calls_of_another() {
        let shares = Shares::new(0, 100, 0, 25);
        let (hog, other) = (shares.connection(), shares.connection());
        let taken: Vec<_> = std::iter::from_fn(|| hog.call()).collect();
        assert_eq!(taken.len(), 1 + 38, "its floor and half of 75");
        assert!(other.call().is_some());
        drop(taken);
        assert!(hog.call().is_some());
    }
}
