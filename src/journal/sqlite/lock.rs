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
pub(super) struct Lock(#[expect(dead_code, reason = "the lock ends when the file is closed")] File);

/// Takes the lock; `None` if another process holds it.
pub(super) fn take(lock_file: &Path) -> io::Result<Option<Lock>> {
    let file = paths::open_lock(lock_file)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(Lock(file))),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}
