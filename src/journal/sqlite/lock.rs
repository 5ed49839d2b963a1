//! Allows one process per database file: a lock beside it is held until the journal is closed.
//!
//! The lock is deliberately not on the database file itself: closing any descriptor of that file
//! would drop the locks that SQLite holds on it. A lock ends with its process, so a lock file that
//! a crash left behind blocks no start.

use std::{
    fs::{File, TryLockError},
    io,
    path::Path,
};

use crate::journal::sqlite::paths;

/// The lock, held until this is dropped.
#[derive(Debug)]
pub(super) struct Lock(File);

impl Drop for Lock {
    /// Gives the lock up at once: closing the file alone would leave it to a child process that is
    /// being started and still has a copy of the descriptor.
    fn drop(&mut self) {
        // A lock that can't be given up ends when the file is closed.
        let _ = self.0.unlock();
    }
}

/// Takes the lock; `None` if another process holds it.
pub(super) fn take(lock_file: &Path) -> io::Result<Option<Lock>> {
    let file = paths::open_lock(lock_file)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(Lock(file))),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_lock_is_free_while_a_child_process_is_being_started() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("facematch.db.lock");
        let lock = take(&path).unwrap().expect("no other process holds it");
        assert!(take(&path).unwrap().is_none());
        // What a child process has of the file until it runs its own program.
        let copy = lock.0.try_clone().unwrap();
        drop(lock);
        assert!(take(&path).unwrap().is_some());
        drop(copy);
    }
}
