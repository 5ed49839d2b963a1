//! One process per database file: a lock beside it, held for life.
//!
//! Not on the database file itself: closing any descriptor of that file would drop the locks that
//! SQLite holds on it. A lock dies with its process, so a file that a crash left behind hinders
//! nobody.

use std::{
    fs::{File, TryLockError},
    io,
    path::Path,
};

use crate::journal::sqlite::paths;

/// Held for as long as this lives.
#[derive(Debug)]
pub(super) struct Lock(#[expect(dead_code, reason = "the lock ends when the file is closed")] File);

/// Takes a lock; none if another process has it.
pub(super) fn take(lock_file: &Path) -> io::Result<Option<Lock>> {
    let file = paths::open_lock(lock_file)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(Lock(file))),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}
