//! One process per database file: a lock beside it, held for life.
//!
//! Not on the database file itself: closing any descriptor of that file would drop the locks that
//! SQLite holds on it. A lock dies with its process, so a file that a crash left behind hinders
//! nobody.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
};

/// Held for as long as this lives.
#[derive(Debug)]
pub(super) struct Lock(#[expect(dead_code, reason = "the lock ends when the file is closed")] File);

/// The file that stands for the lock of a database file.
pub(super) fn file_of(database: &Path) -> io::Result<PathBuf> {
    resolved(database).map(|database| beside(&database))
}

/// Takes a lock; none if another process has it.
pub(super) fn take(lock_file: &Path) -> io::Result<Option<Lock>> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(lock_file)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(Lock(file))),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// One name for the file, however it was spelled: two names would be two locks.
fn resolved(database: &Path) -> io::Result<PathBuf> {
    match database.canonicalize() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        known => return known,
    }
    let folder = match database.parent() {
        Some(folder) if folder != Path::new("") => folder,
        Some(_) | None => Path::new("."),
    };
    let name = database.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    Ok(folder.canonicalize()?.join(name))
}

fn beside(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_name_is_a_file_of_the_working_directory() {
        let here = Path::new(".").canonicalize().unwrap();
        assert_eq!(resolved(Path::new("absent.db")).unwrap(), here.join("absent.db"));
        assert_eq!(resolved(Path::new("./absent.db")).unwrap(), here.join("absent.db"));
    }

    #[cfg(unix)]
    #[test]
    fn a_name_that_leads_nowhere_is_no_name() {
        let folder = tempfile::tempdir().unwrap();
        let looped = folder.path().join("facematch.db");
        std::os::unix::fs::symlink(&looped, &looped).unwrap();
        assert!(resolved(&looped).is_err());
    }
}
