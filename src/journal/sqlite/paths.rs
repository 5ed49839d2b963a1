//! Checks what lies at the paths of the journal's files: only regular files are used, and other
//! users' access to them is taken away.
//!
//! It deliberately opens no database file: closing any descriptor of one would drop the locks that
//! SQLite holds on it.

use std::{
    ffi::OsStr,
    fs::{self, File, Metadata, OpenOptions},
    io,
    path::{Path, PathBuf},
};

use tracing::warn;

/// One path for the file, however it is spelled: two paths would be two locks.
pub(super) fn resolved(database: &Path) -> io::Result<PathBuf> {
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

/// The path with another ending appended, as SQLite names its files.
pub(super) fn beside(database: &Path, ending: impl AsRef<OsStr>) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// The endings of the files that SQLite keeps beside a database file.
const ENDINGS: [&str; 2] = ["-wal", "-shm"];

/// Checks a database file and the files that SQLite keeps beside it, and changes nothing.
/// `database` is a path as [`resolved`] returns it.
pub(super) fn check(database: &Path) -> io::Result<()> {
    if database.is_symlink() {
        return Err(io::Error::other("it is a symbolic link that leads nowhere"));
    }
    if let Some(file) = regular(database)?
        && is_mounted_alone(database, &file)?
    {
        return Err(io::Error::other(
            "it is mounted by itself, and its WAL and lock would lie outside the mount: \
             mount its folder",
        ));
    }
    for ending in ENDINGS {
        let path = beside(database, ending);
        let named = |error| io::Error::other(format!("{}: {error}", path.display()));
        regular(&path).map_err(named)?;
    }
    Ok(())
}

/// Takes away other users' access to a database file and to the files that SQLite keeps beside it.
pub(super) fn restrict_all(database: &Path) {
    let beside = ENDINGS.map(|ending| beside(database, ending));
    for path in std::iter::once(database).chain(beside.iter().map(PathBuf::as_path)) {
        if let Ok(Some(file)) = regular(path) {
            restrict(path, &file);
        }
    }
}

/// Opens the lock file, creating it if there is none, so that only this user can open it.
pub(super) fn open_lock(lock_file: &Path) -> io::Result<File> {
    let found = regular(lock_file)?;
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true);
    only_ours(&mut options);
    let file = options.open(lock_file).map_err(|error| match &found {
        Some(found) => with_owner(error, found),
        None => error,
    })?;
    let metadata = file.metadata()?;
    if let Some(kind) = irregular(&metadata) {
        return Err(io::Error::other(kind));
    }
    refuse_other_users(lock_file, &metadata)?;
    restrict(lock_file, &metadata);
    Ok(file)
}

/// The regular file at a path; `None` if nothing lies there, an error if it is of another kind.
fn regular(path: &Path) -> io::Result<Option<Metadata>> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
        Ok(metadata) => match irregular(&metadata) {
            Some(kind) => Err(io::Error::other(kind)),
            None => Ok(Some(metadata)),
        },
    }
}

/// What kind of file it is, unless it is a regular one.
fn irregular(metadata: &Metadata) -> Option<&'static str> {
    let kind = metadata.file_type();
    match (kind.is_file(), kind.is_symlink(), kind.is_dir()) {
        (true, ..) => None,
        (_, true, _) => Some("it is a symbolic link"),
        (.., true) => Some("it is a directory"),
        _ => Some("it is not a regular file"),
    }
}

#[cfg(unix)]
fn only_ours(options: &mut OpenOptions) {
    use std::os::unix::fs::OpenOptionsExt;

    use rustix::fs::OFlags;
    // Opening a named pipe for writing would block the start until the pipe has a reader.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    options.mode(0o600).custom_flags(flags.bits().cast_signed());
}

/// Takes away all rights of other users, if there are any and this user owns the file.
#[cfg(unix)]
fn restrict(path: &Path, metadata: &Metadata) {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 == 0 {
        return;
    }
    let file = path.display().to_string();
    let narrowed = match metadata.uid() == rustix::process::geteuid().as_raw() {
        true => fs::set_permissions(path, fs::Permissions::from_mode(mode & 0o700)),
        false => Err(io::Error::other(format!("it belongs to user {}", metadata.uid()))),
    };
    match narrowed {
        Ok(()) => warn!(
            file,
            mode = format!("{mode:04o}"),
            "journal file was open to other users: restricted to this user now"
        ),
        Err(error) => {
            warn!(file, mode = format!("{mode:04o}"), %error, "journal file is open to other users")
        }
    }
}

/// Whether the file itself is a mount point, as when a container is given a single file.
#[cfg(unix)]
fn is_mounted_alone(path: &Path, file: &Metadata) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let folder = fs::metadata(path.parent().unwrap_or(Path::new(".")))?;
    Ok(file.dev() != folder.dev())
}

/// Refuses a lock file that belongs to neither this user nor the folder's owner: another user with
/// write access to the folder could hold the lock for ever.
#[cfg(unix)]
fn refuse_other_users(lock_file: &Path, lock: &Metadata) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;
    let folder = fs::metadata(lock_file.parent().unwrap_or(Path::new(".")))?;
    let ours = [rustix::process::geteuid().as_raw(), folder.uid()];
    match ours.contains(&lock.uid()) {
        true => Ok(()),
        false => Err(with_owner(io::ErrorKind::PermissionDenied.into(), lock)),
    }
}

/// The same error, with the file's owner or mode if permission was denied.
#[cfg(unix)]
fn with_owner(error: io::Error, metadata: &Metadata) -> io::Error {
    use std::os::unix::fs::MetadataExt;
    let (owner, us) = (metadata.uid(), rustix::process::geteuid().as_raw());
    match error.kind() {
        io::ErrorKind::PermissionDenied if owner != us => io::Error::other(format!(
            "it belongs to user {owner}, and this process runs as user {us}"
        )),
        io::ErrorKind::PermissionDenied => {
            io::Error::other(format!("{error}: its mode is {:04o}", metadata.mode() & 0o7777))
        }
        _ => error,
    }
}

#[cfg(not(unix))]
fn only_ours(_: &mut OpenOptions) {}

#[cfg(not(unix))]
fn narrow(_: &Path, _: &Metadata) {}

#[cfg(not(unix))]
fn is_mounted_alone(_: &Path, _: &Metadata) -> io::Result<bool> {
    Ok(false)
}

#[cfg(not(unix))]
fn refuse_strangers(_: &Path, _: &Metadata) -> io::Result<()> {
    Ok(())
}

#[cfg(not(unix))]
fn with_owner(error: io::Error, _: &Metadata) -> io::Error {
    error
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::{
        os::unix::fs::{MetadataExt, PermissionsExt, symlink},
        process::Command,
    };

    use super::*;
    use crate::telemetry::captured::{CapturedLine, capture};

    fn folder() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("facematch.db");
        (folder, database)
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    fn make(path: &Path, mode: u32) {
        fs::write(path, "").unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn make_pipe(path: &Path) {
        assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
    }

    #[test]
    fn a_lock_file_is_for_its_owner_alone() {
        let (_folder, database) = folder();
        let lock_file = beside(&database, ".lock");
        open_lock(&lock_file).unwrap();
        assert_eq!(mode(&lock_file), 0o600);
        make(&lock_file, 0o644);
        open_lock(&lock_file).unwrap();
        assert_eq!(mode(&lock_file), 0o600, "a file that an earlier version made is restricted");
    }

    #[test]
    fn files_that_other_users_can_read_are_restricted_and_logged() {
        let (_folder, database) = folder();
        let files = ["", "-wal", "-shm"].map(|ending| beside(&database, ending));
        files.iter().for_each(|file| make(file, 0o664));
        let lines = capture(|| {
            check(&database).unwrap();
            restrict_all(&database);
            restrict_all(&database);
        });
        files.iter().for_each(|file| assert_eq!(mode(file), 0o600));
        let told = |line: &CapturedLine| line.field("file").unwrap().to_owned();
        let told: Vec<String> = lines.all().iter().map(told).collect();
        assert_eq!(told, files.map(|file| file.display().to_string()), "once each");
    }

    #[test]
    fn no_link_is_followed() {
        let (folder, database) = folder();
        let elsewhere = folder.path().join("elsewhere");
        for ending in ["", "-wal", "-shm"] {
            let link = beside(&database, ending);
            symlink(&elsewhere, &link).unwrap();
            let refused = check(&database).unwrap_err().to_string();
            assert!(refused.contains("it is a symbolic link"), "{refused}");
            fs::remove_file(link).unwrap();
        }
        let lock_file = beside(&database, ".lock");
        symlink(&elsewhere, &lock_file).unwrap();
        let refused = open_lock(&lock_file).unwrap_err().to_string();
        assert_eq!(refused, "it is a symbolic link");
        assert!(!elsewhere.exists());
    }

    #[test]
    fn a_pipe_or_a_directory_is_refused_at_once() {
        let (_folder, database) = folder();
        let lock_file = beside(&database, ".lock");
        for path in [&database, &lock_file] {
            let refusal = || match path == &database {
                true => check(path).unwrap_err().to_string(),
                false => open_lock(path).unwrap_err().to_string(),
            };
            make_pipe(path);
            assert_eq!(refusal(), "it is not a regular file");
            fs::remove_file(path).unwrap();
            fs::create_dir(path).unwrap();
            assert_eq!(refusal(), "it is a directory");
            fs::remove_dir(path).unwrap();
        }
    }

    #[test]
    fn a_file_on_another_file_system_than_its_folder_is_mounted_alone() {
        let (_folder, database) = folder();
        make(&database, 0o600);
        let (file, elsewhere) = (fs::metadata(&database).unwrap(), fs::metadata("/proc").unwrap());
        assert!(!is_mounted_alone(&database, &file).unwrap());
        assert!(is_mounted_alone(&database, &elsewhere).unwrap());
    }

    #[test]
    fn a_denied_permission_names_the_mode_of_the_file() {
        let (_folder, database) = folder();
        make(&database, 0o444);
        let denied = || io::Error::from(io::ErrorKind::PermissionDenied);
        let ours = with_owner(denied(), &fs::metadata(&database).unwrap()).to_string();
        assert!(ours.ends_with("its mode is 0444"), "{ours}");
        let missing = io::Error::from(io::ErrorKind::NotFound);
        let told = with_owner(missing, &fs::metadata(&database).unwrap()).kind();
        assert_eq!(told, io::ErrorKind::NotFound);
    }

    #[test]
    fn a_bare_name_is_a_file_of_the_working_directory() {
        let here = Path::new(".").canonicalize().unwrap();
        assert_eq!(resolved(Path::new("absent.db")).unwrap(), here.join("absent.db"));
        assert_eq!(resolved(Path::new("./absent.db")).unwrap(), here.join("absent.db"));
    }

    #[test]
    fn a_link_to_itself_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let looped = folder.path().join("facematch.db");
        symlink(&looped, &looped).unwrap();
        assert!(resolved(&looped).is_err());
    }

    #[test]
    fn a_lock_file_of_another_user_is_refused() {
        let (_folder, database) = folder();
        let lock_file = beside(&database, ".lock");
        make(&lock_file, 0o666);
        // Only root can give a file to another user, and only root owns `/`.
        let is_root = rustix::process::geteuid().is_root();
        let stranger = match is_root {
            true => {
                std::os::unix::fs::chown(&lock_file, Some(65_534), None).unwrap();
                fs::metadata(&lock_file).unwrap()
            }
            false => fs::metadata("/").unwrap(),
        };
        let refused = refuse_other_users(&lock_file, &stranger).unwrap_err().to_string();
        assert!(
            refused.starts_with(&format!("it belongs to user {}", stranger.uid())),
            "{refused}"
        );
        let ours = fs::metadata(database.parent().unwrap()).unwrap();
        refuse_other_users(&lock_file, &ours).unwrap();
    }
}
