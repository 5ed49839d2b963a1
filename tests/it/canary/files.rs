//! Searches the journal's files on disk.

use std::{
    fs::{self, File},
    path::Path,
};

use crate::canary::{
    log::{search_log, search_stored},
    needles::Secret,
};

/// Fails if a file of the journal holds a canary: the database, its WAL, and every other file whose
/// name begins with the database's.
#[track_caller]
pub fn search_journal(journal: &Path) {
    for (name, file) in files_of(journal) {
        if let Some(secret) = search_stored(file).secret {
            panic!("{name}: there is {secret}");
        }
    }
}

/// Whether a file of the journal holds the canary of keys.
pub fn holds_key(journal: &Path) -> bool {
    files_of(journal).any(|(_, file)| search_log(file).secret == Some(Secret::Key))
}

/// The files of a journal, with their names.
fn files_of(journal: &Path) -> impl Iterator<Item = (String, File)> {
    let name = journal.file_name().expect("a file").to_string_lossy().into_owned();
    let directory = journal.parent().expect("a directory");
    // A service that failed before opening the journal has no directory.
    fs::read_dir(directory).into_iter().flatten().filter_map(move |entry| {
        let path = entry.expect("an entry").path();
        let beside = path.file_name().expect("a name").to_string_lossy().into_owned();
        let file = File::open(&path).ok().filter(|_| beside.starts_with(&name));
        file.map(|file| (beside, file))
    })
}

/// Fails if a file in a directory, or below it, holds a canary.
#[track_caller]
#[cfg(feature = "postgres-tests")]
pub fn search_directory(directory: &Path) {
    for entry in fs::read_dir(directory).into_iter().flatten() {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            search_directory(&path);
        } else if let Some(secret) =
            File::open(&path).ok().and_then(|file| search_stored(file).secret)
        {
            panic!("{}: there is {secret}", path.display());
        }
    }
}
