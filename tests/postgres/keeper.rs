//! Cleans up after a cluster: a shell kills it and removes its directory once the process that
//! started it dismisses the shell, or has ended in any way. Even a killed test leaves nothing
//! behind.

use std::{
    env,
    fs::{self, File},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Once,
};

/// The prefix of all directories' names, which tells them from others in the same place.
const PREFIX: &str = "facematch-postgres-";

/// The file that a process keeps locked for as long as it needs the directory.
const LOCK: &str = "needed";

/// A directory and the shell that keeps it.
pub struct Keeper {
    directory: PathBuf,
    process: Child,
    _needed: File,
}

impl Keeper {
    /// Makes a directory. Once it is no longer needed, the processes that work in it are killed and
    /// the directory is removed.
    pub fn engage() -> Self {
        static SWEPT: Once = Once::new();
        SWEPT.call_once(sweep);
        let directory = tempfile::Builder::new().prefix(PREFIX).tempdir();
        let directory = directory.expect("a temporary directory").keep();
        let needed = need(&directory);
        let process = keep(&directory, Stdio::piped());
        Self { directory, process, _needed: needed }
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Kills the processes that work in the directory, and removes it.
    pub fn dismiss(&mut self) {
        drop(self.process.stdin.take());
        // A failure isn't worth a second panic in a test that fails already.
        let _ = self.process.wait();
    }
}

/// Removes the directories of earlier processes whose keeper was killed as well.
fn sweep() {
    let entries = fs::read_dir(env::temp_dir()).expect("the temporary directory").flatten();
    let ours = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX));
    for directory in ours.map(|entry| entry.path()).filter(|directory| is_left(directory)) {
        let _ = keep(&directory, Stdio::null()).wait();
    }
}

/// Locks a directory for as long as this process lives. The file is locked before it gets its name,
/// so that no other process takes the directory for an abandoned one.
fn need(directory: &Path) -> File {
    let fresh = directory.join("needed.new");
    let file = File::create(&fresh).expect("a file in a new directory");
    file.lock().expect("a new file can be locked");
    fs::rename(fresh, directory.join(LOCK)).expect("a file can be renamed");
    file
}

/// Whether a directory is abandoned. A directory without the file is being made or removed right
/// now, and one of another user is left to that user.
fn is_left(directory: &Path) -> bool {
    File::open(directory.join(LOCK)).is_ok_and(|file| file.try_lock().is_ok())
}

/// Starts a keeper that waits for the end of its standard input. It has a process group of its own,
/// so that a signal from a terminal or a timeout to the tests' group doesn't end it as well.
fn keep(directory: &Path, until: Stdio) -> Child {
    let mut keeper = Command::new("sh");
    keeper.args(["-c", include_str!("keeper.sh")]).env("DIRECTORY", directory).current_dir("/");
    keeper.stdin(until).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    keeper.spawn().expect("a shell runs")
}
