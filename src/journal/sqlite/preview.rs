//! Looks at what lies at the journal's path, and says what opening it would do.
//!
//! It deliberately opens no database: SQLite would create files beside it, or move a WAL that a
//! crash has left. It reads the header instead, whose schema version is only behind for a journal
//! that has never been closed.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Read},
    path::Path,
};

use rustix::fs::{Access, access};

use crate::journal::{
    Preview,
    sqlite::{OpenError, paths, schema},
};

/// The first bytes of every SQLite file.
const MAGIC: &[u8] = b"SQLite format 3\0";

/// Where the header has the `user_version` and the `application_id`, as big-endian numbers.
const HEADER_BYTES: usize = 100;
const USER_VERSION_AT: usize = 60;
const APPLICATION_ID_AT: usize = 68;

/// What opening the journal would do, and whether another process has it open now.
///
/// # Errors
/// [`OpenError`] if the file couldn't be used, in use or not.
pub fn preview(path: &Path) -> Result<(Preview, bool), OpenError> {
    let inaccessible = |source| OpenError::Inaccessible { path: path.to_owned(), source };
    let database = paths::resolved(path).map_err(inaccessible)?;
    paths::check(&database).map_err(inaccessible)?;
    let lock_file = paths::beside(&database, ".lock");
    let is_in_use =
        is_locked(&lock_file).map_err(|source| OpenError::Lock { path: lock_file, source })?;
    let found = match header(&database).map_err(inaccessible)? {
        None => {
            let folder = database.parent().unwrap_or(Path::new("."));
            access(folder, Access::WRITE_OK | Access::EXEC_OK)
                .map_err(|error| inaccessible(error.into()))?;
            schema::Found::Ours { version: 0 }
        }
        Some(header) => judge(&header),
    };
    match found {
        schema::Found::Ours { version } => Ok((Preview::of(version, schema::VERSION), is_in_use)),
        schema::Found::Newer { version } => {
            Err(OpenError::Newer { path: path.to_owned(), found: version, known: schema::VERSION })
        }
        schema::Found::Foreign => Err(OpenError::NotAJournal { path: path.to_owned() }),
    }
}

/// Whether a process holds the lock. No lock file is made.
fn is_locked(lock_file: &Path) -> io::Result<bool> {
    if !fs::exists(lock_file)? {
        return Ok(false);
    }
    let file = paths::open_lock(lock_file)?;
    match file.try_lock_shared() {
        Ok(()) => file.unlock().map(|()| false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// The beginning of a file that this user may read and write; `None` if there is none, or an empty
/// one.
fn header(database: &Path) -> io::Result<Option<Vec<u8>>> {
    if !fs::exists(database)? {
        return Ok(None);
    }
    access(database, Access::READ_OK | Access::WRITE_OK)?;
    let mut header = Vec::new();
    File::open(database)?.take(HEADER_BYTES as u64).read_to_end(&mut header)?;
    Ok(Some(header).filter(|header| !header.is_empty()))
}

fn judge(header: &[u8]) -> schema::Found {
    if header.len() < HEADER_BYTES || !header.starts_with(MAGIC) {
        return schema::Found::Foreign;
    }
    let number = |at: usize| {
        let bytes = header[at..at + 4].try_into().expect("four bytes");
        i64::from(u32::from_be_bytes(bytes).cast_signed())
    };
    // Whether there are tables without a version isn't in the header.
    schema::judge(number(APPLICATION_ID_AT), number(USER_VERSION_AT), 0)
}
