//! Who ends a cluster and removes its directory: a shell that waits until the process that started
//! it lets go of it, or has ended in whatever way. A test that is killed leaves nothing behind.

use std::{
    env,
    fs::{self, File},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Once,
};

/// What the names of all directories begin with, beside which others may lie.
const PREFIX: &str = "facematch-postgres-";

/// The file that is locked for as long as somebody needs the directory.
const LOCK: &str = "needed";

/// A directory and who keeps it.
pub struct Keeper {
    directory: PathBuf,
    process: Child,
    _needed: File,
}

impl Keeper {
    /// Makes a directory, and has it removed when it is no longer needed, with the processes that
    /// work in it.
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

    /// Ends what runs in the directory, and removes it.
    pub fn dismiss(&mut self) {
        drop(self.process.stdin.take());
        // Not worth a second panic in a test that fails.
        let _ = self.process.wait();
    }
}

/// Sees to what was left by those whose keeper was killed as well.
fn sweep() {
    let entries = fs::read_dir(env::temp_dir()).expect("the temporary directory").flatten();
    let ours = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX));
    for directory in ours.map(|entry| entry.path()).filter(|directory| is_left(directory)) {
        let _ = keep(&directory, Stdio::null()).wait();
    }
}

/// Locks a directory for as long as this process lives. The lock is there before its file has its
/// name, so that nobody takes the directory for one that was left.
fn need(directory: &Path) -> File {
    let fresh = directory.join("needed.new");
    let file = File::create(&fresh).expect("a file in a new directory");
    file.lock().expect("a new file can be locked");
    fs::rename(fresh, directory.join(LOCK)).expect("a file can be renamed");
    file
}

/// Whether nobody needs a directory any more. One without the file is on its way to be made or to be
/// removed, and another user's isn't ours to remove.
fn is_left(directory: &Path) -> bool {
    File::open(directory.join(LOCK)).is_ok_and(|file| file.try_lock().is_ok())
}

/// Starts a keeper that waits for the end of its standard input. It is in a group of its own, so
/// that what a terminal or a timeout sends to the tests' group doesn't end it as well.
fn keep(directory: &Path, until: Stdio) -> Child {
    let mut keeper = Command::new("sh");
    keeper.args(["-c", include_str!("keeper.sh")]).env("DIRECTORY", directory).current_dir("/");
    keeper.stdin(until).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    keeper.spawn().expect("a shell runs")
}
