//! Searches the journal's files on disk.

use std::{
    fs::{self, File},
    path::Path,
};

use crate::canary::search_log;

/// Fails if a file of the journal holds a canary: the database, its WAL, and every other file whose
/// name begins with the database's.
#[track_caller]
pub fn search_journal(journal: &Path) {
    let name = journal.file_name().expect("a file").to_string_lossy().into_owned();
    let directory = journal.parent().expect("a directory");
    // A service that failed before opening the journal has no directory.
    for entry in fs::read_dir(directory).into_iter().flatten() {
        let path = entry.expect("an entry").path();
        let beside = path.file_name().expect("a name").to_string_lossy().into_owned();
        if let Some(file) = File::open(&path).ok().filter(|_| beside.starts_with(&name))
            && let Some(secret) = search_log(file).secret
        {
            panic!("{beside}: there is {secret}");
        }
    }
}

/// Fails if a file in a directory, or below it, holds a canary.
#[track_caller]
#[cfg(feature = "postgres-tests")]
pub fn search_directory(directory: &Path) {
    for entry in fs::read_dir(directory).into_iter().flatten() {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            search_directory(&path);
        } else if let Some(secret) = File::open(&path).ok().and_then(|file| search_log(file).secret)
        {
            panic!("{}: there is {secret}", path.display());
        }
    }
}
