//! Locks that a panic doesn't close: a mutex is taken whether or not a former holder has panicked.
//!
//! Critical sections of this crate leave their data whole at every point at which they could panic,
//! so a poisoned mutex is as good as any other. It deliberately has no type of its own: the fields
//! stay `Mutex`es.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Waits for a mutex and takes it, poisoned or not.
pub fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
