//! The audit file on the disk: opened for appending, locked, with room ahead of its end.
//!
//! It deliberately knows neither records nor hashes, only bytes and where lines end.

use std::{
    fs::{self, File, Metadata, OpenOptions},
    io::{self, Write},
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{Access, OFlags, access},
    io::Errno,
};

/// The most bytes that are read for the last line: far more than a line has.
const TAIL_BYTES_MAX: u64 = 1 << 20;
/// How many bytes are read at first for the last line: most tails are shorter.
const TAIL_BYTES: u64 = 8 << 10;
/// How the file of a later start must begin: with a record, or with the line breaks by which a file
/// is tried.
const BEGINNINGS: [u8; 2] = *b"{\n";
/// Why a symbolic link is refused.
const LINK: &str = "it is a symbolic link";

/// Where lines are appended. Its methods may block.
pub(super) trait Storage: Send {
    /// Opens what the path names now, in place of the file that is open. `None` if it is the same.
    fn reopen(&mut self) -> io::Result<Option<FileTail>>;

    /// Whether the path names another file than the open one, or none.
    fn is_moved(&mut self) -> bool;

    /// Appends a part of the bytes, and returns how many.
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Cuts off what was appended last, in bytes.
    fn cut(&mut self, bytes: usize) -> io::Result<()>;

    /// Secures room for this many bytes, so that they can be appended although the disk becomes
    /// full. Returns the room; `None` if this kind of file has none to secure.
    fn secure(&mut self, bytes: u64) -> io::Result<Option<u64>>;

    /// The room that is secured beyond the end.
    fn room(&self) -> u64;

    /// Gives up the room that isn't used, and syncs.
    fn settle(&mut self) -> io::Result<()>;
}

/// The end of a file that was opened.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct FileTail {
    /// The last line without its line break, if there is a line.
    pub(super) last_line: Option<Vec<u8>>,
    /// Whether the last line has no line break.
    pub(super) is_torn: bool,
}

/// An open audit file.
#[derive(Debug)]
pub(super) struct AuditFile {
    path: PathBuf,
    file: File,
    /// The device and the number of the open file.
    id: (u64, u64),
    is_regular: bool,
    /// The length of the file.
    end: u64,
    /// Up to where room is secured.
    secured_to: u64,
}

impl AuditFile {
    /// Opens the file, creating it if there is none, and locks it. A pipe or a device is not
    /// locked.
    pub(super) fn open(path: &Path) -> io::Result<(Self, FileTail)> {
        let file = open(path)?;
        let metadata = file.metadata()?;
        let is_regular = metadata.is_file();
        let tail = match is_regular {
            true => {
                lock(&file)?;
                // The length may have changed until the file was locked.
                tail(&file, file.metadata()?.len())?
            }
            false => FileTail::default(),
        };
        let end = match is_regular {
            true => file.metadata()?.len(),
            false => 0,
        };
        let (path, id) = (path.to_owned(), id(&metadata));
        Ok((Self { path, file, id, is_regular, end, secured_to: end }, tail))
    }
}

impl Drop for AuditFile {
    /// Gives the lock up at once: closing the file alone would leave it to a child process that is
    /// being started and still has a copy of the descriptor.
    fn drop(&mut self) {
        // A lock that can't be given up ends when the file is closed.
        let _ = self.file.unlock();
    }
}

impl Storage for AuditFile {
    fn reopen(&mut self) -> io::Result<Option<FileTail>> {
        // Its own lock would refuse a second descriptor of the same file.
        if !self.is_moved() {
            return Ok(None);
        }
        let (new, tail) = Self::open(&self.path)?;
        let mut old = std::mem::replace(self, new);
        if let Err(error) = old.settle() {
            tracing::warn!(%error, "rotated audit file not synced");
        }
        Ok(Some(tail))
    }

    fn is_moved(&mut self) -> bool {
        let Ok(found) = fs::symlink_metadata(&self.path) else { return true };
        if id(&found) != self.id {
            return true;
        }
        if self.is_regular && found.len() != self.end {
            // The file was cut or written by another program.
            (self.end, self.secured_to) = (found.len(), found.len());
        }
        false
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.end += written as u64;
        Ok(written)
    }

    fn cut(&mut self, bytes: usize) -> io::Result<()> {
        if !self.is_regular {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let end = self.end.saturating_sub(bytes as u64);
        self.file.set_len(end)?;
        // Room beyond the end is given up by that.
        (self.end, self.secured_to) = (end, end);
        Ok(())
    }

    fn secure(&mut self, bytes: u64) -> io::Result<Option<u64>> {
        if !self.is_regular {
            return Ok(None);
        }
        let to = self.end.saturating_add(bytes);
        if size_limit().is_some_and(|limit| to > limit) {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        match allocate(&self.file, self.end, bytes) {
            Ok(()) => {
                self.secured_to = self.secured_to.max(to);
                Ok(Some(self.room()))
            }
            Err(error) if is_unsupported(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn room(&self) -> u64 {
        self.secured_to.saturating_sub(self.end)
    }

    fn settle(&mut self) -> io::Result<()> {
        if !self.is_regular {
            return Ok(());
        }
        if self.room() > 0 {
            // Frees the blocks beyond the end.
            self.file.set_len(self.end)?;
            self.secured_to = self.end;
        }
        self.file.sync_data()
    }
}

/// Opens what lies at a path for appending. A symbolic link is refused.
fn open(path: &Path) -> io::Result<File> {
    let found = fs::symlink_metadata(path);
    let is_regular = found.as_ref().map_or(true, Metadata::is_file);
    let mut options = OpenOptions::new();
    // Opening a named pipe for writing would block the start until the pipe has a reader.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    options.append(true).mode(0o600).custom_flags(flags.bits().cast_signed());
    if is_regular {
        // Only a regular file has lines to read.
        options.read(true).create(true);
    }
    let file = options.open(path).map_err(|error| match error.raw_os_error() {
        Some(code) if code == Errno::LOOP.raw_os_error() => io::Error::other(LINK),
        Some(code) if code == Errno::NXIO.raw_os_error() => {
            io::Error::other("it is a pipe that no process reads")
        }
        _ => error,
    })?;
    if file.metadata()?.is_file() != is_regular {
        return Err(io::Error::other("it was replaced while it was opened"));
    }
    let flags = rustix::fs::fcntl_getfl(&file)?;
    rustix::fs::fcntl_setfl(&file, flags - OFlags::NONBLOCK)?;
    Ok(file)
}

/// Whether there is a file, after the checks by which [`open`] would refuse it. A regular file is read
/// and not locked; nothing else is opened, since the reader of a pipe would notice.
pub(super) fn exists(path: &Path) -> io::Result<bool> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let folder = path.parent().filter(|folder| *folder != Path::new(""));
            access(folder.unwrap_or(Path::new(".")), Access::WRITE_OK | Access::EXEC_OK)?;
            return Ok(false);
        }
        Err(error) => return Err(error),
    };
    if found.is_symlink() {
        return Err(io::Error::other(LINK));
    }
    if found.is_dir() {
        return Err(Errno::ISDIR.into());
    }
    access(path, Access::WRITE_OK)?;
    if found.is_file() {
        tail(&File::open(path)?, found.len())?;
    }
    Ok(true)
}

/// Locks the file against other processes, until it is closed.
fn lock(file: &File) -> io::Result<()> {
    use std::fs::TryLockError;
    file.try_lock().map_err(|refused| match refused {
        TryLockError::WouldBlock => io::Error::other("another process writes it"),
        TryLockError::Error(error) => error,
    })
}

fn id(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// The last line of a file of this length, read from its end.
fn tail(file: &File, length: u64) -> io::Result<FileTail> {
    let mut first = [0];
    if length > 0 {
        file.read_exact_at(&mut first, 0)?;
        if !BEGINNINGS.contains(&first[0]) {
            return Err(io::Error::other("it holds something else than audit records"));
        }
    }
    let mut bytes = TAIL_BYTES;
    loop {
        let read = bytes.min(length);
        let mut text = vec![0; usize::try_from(read).expect("a tail is small")];
        file.read_exact_at(&mut text, length - read)?;
        let is_torn = text.last().is_some_and(|byte| *byte != b'\n');
        let end = text.iter().rposition(|byte| *byte != b'\n').map_or(0, |last| last + 1);
        let start = text[..end].iter().rposition(|byte| *byte == b'\n').map(|at| at + 1);
        match start {
            Some(start) if start < end => {
                return Ok(FileTail { last_line: Some(text[start..end].to_vec()), is_torn });
            }
            _ if read == length => {
                let last_line = (end > 0).then(|| text[..end].to_vec());
                return Ok(FileTail { last_line, is_torn });
            }
            _ if bytes >= TAIL_BYTES_MAX => {
                return Err(io::Error::other("its last line is over 1 MiB: no audit record is"));
            }
            _ => bytes *= 4,
        }
    }
}

/// The largest size that the process may give a file, if there is a limit.
fn size_limit() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Fsize).current
}

/// Allocates blocks after the end of a file, whose length stays as it is.
#[cfg(target_os = "linux")]
fn allocate(file: &File, from: u64, bytes: u64) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    Ok(fallocate(file, FallocateFlags::KEEP_SIZE, from, bytes)?)
}

/// Other systems can't allocate blocks without changing the length.
#[cfg(not(target_os = "linux"))]
fn allocate(_: &File, _: u64, _: u64) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Whether the file system can't allocate blocks ahead.
fn is_unsupported(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Unsupported | io::ErrorKind::InvalidInput)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn folder() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        (folder, path)
    }

    fn opened(path: &Path, content: &[u8]) -> io::Result<FileTail> {
        fs::write(path, content).unwrap();
        AuditFile::open(path).map(|(_, tail)| tail)
    }

    #[test]
    fn the_tail_is_the_last_line_whole_or_torn() {
        let (_folder, path) = folder();
        let long = format!("{{{}", "x".repeat(100_000));
        for (content, last_line, is_torn) in [
            ("", None, false),
            ("\n\n", None, false),
            ("{1}\n", Some("{1}"), false),
            ("{1}\n{2}\n\n\n", Some("{2}"), false),
            ("{1}\n{2}\n{3", Some("{3"), true),
            ("{1", Some("{1"), true),
            (&format!("{{1}}\n{long}"), Some(&long), true),
            (&format!("{long}\n"), Some(&long), false),
        ] {
            let last_line = last_line.map(|line: &str| line.as_bytes().to_vec());
            assert_eq!(opened(&path, content.as_bytes()).unwrap(), FileTail { last_line, is_torn });
        }
    }

    #[test]
    fn a_file_that_holds_something_else_is_refused() {
        let (_folder, path) = folder();
        opened(&path, b"SQLite format 3\0").unwrap_err();
        opened(&path, format!("{{1}}\n{}", "x".repeat(2 << 20)).as_bytes()).unwrap_err();
    }

    #[test]
    fn the_file_is_created_for_its_owner_alone_and_locked() {
        let (_folder, path) = folder();
        let (file, _) = AuditFile::open(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let refused = AuditFile::open(&path).unwrap_err();
        assert_eq!(refused.to_string(), "another process writes it");
        // What a child process has of the file until it runs its own program.
        let copy = file.file.try_clone().unwrap();
        drop(file);
        AuditFile::open(&path).unwrap();
        drop(copy);
    }

    #[test]
    fn a_link_and_a_pipe_without_a_reader_are_refused() {
        let (folder, path) = folder();
        symlink(folder.path().join("elsewhere"), &path).unwrap();
        assert_eq!(AuditFile::open(&path).unwrap_err().to_string(), "it is a symbolic link");
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        let refused = AuditFile::open(&pipe).unwrap_err().to_string();
        assert_eq!(refused, "it is a pipe that no process reads");
    }

    #[test]
    fn secured_room_is_used_by_what_is_appended_and_given_up_in_the_end() {
        let (_folder, path) = folder();
        let (mut file, _) = AuditFile::open(&path).unwrap();
        let Some(room) = file.secure(1 << 20).unwrap() else { return };
        assert_eq!((room, fs::metadata(&path).unwrap().len()), (1 << 20, 0));
        assert!(fs::metadata(&path).unwrap().blocks() >= 2048);
        assert_eq!(file.append(b"{1}\n").unwrap(), 4);
        assert_eq!(file.room(), (1 << 20) - 4);
        file.settle().unwrap();
        let settled = fs::metadata(&path).unwrap();
        assert_eq!((file.room(), settled.len()), (0, 4));
        assert!(settled.blocks() <= 16, "{} blocks", settled.blocks());
    }

    #[test]
    fn what_was_appended_last_can_be_cut_off() {
        let (_folder, path) = folder();
        let (mut file, _) = AuditFile::open(&path).unwrap();
        file.append(b"{1}\n{2").unwrap();
        file.cut(2).unwrap();
        file.append(b"{3}\n").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"{1}\n{3}\n");
    }

    #[test]
    fn a_device_has_no_room_to_secure() {
        let (mut file, tail) = AuditFile::open(Path::new("/dev/full")).unwrap();
        assert_eq!((file.secure(1).unwrap(), tail), (None, FileTail::default()));
        file.append(b"\n").unwrap_err();
        AuditFile::open(Path::new("/dev/full")).unwrap();
    }
}
