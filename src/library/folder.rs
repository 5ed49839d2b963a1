//! A folder of photos, whose keys are paths below it.
//!
//! A file is read only if it really is below the folder: a link that leads out is as if it weren't
//! there. Accounts that may write into the folder are trusted to decide what is in it.

use std::{
    fs::{self, File},
    io::{self, ErrorKind, Read},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use bytes::Bytes;
use reqwest::Url;
use tokio::sync::Semaphore;

use crate::{
    domain::{LibraryFault, ReferenceKey},
    library::{BadTerm, LibrarySource, PHOTOS_MAX, Room, SourceError, SourceKind, Term, body},
};

/// A folder of photos.
pub struct Folder {
    root: PathBuf,
    /// Held by each thread that reads a file, because a file system that hangs can't be
    /// interrupted.
    threads: Arc<Semaphore>,
}

impl Folder {
    /// The folder that a `file://` URL names.
    pub(super) fn open(url: &Url) -> Result<Self, BadTerm> {
        if url.query().is_some() || url.fragment().is_some() {
            return Err(Term::Url.bad("must have neither a query nor a fragment"));
        }
        match url.to_file_path() {
            Ok(root) => Ok(Self::new(root)),
            Err(()) => Err(Term::Url.bad("must name a folder of this machine: file:///srv/photos")),
        }
    }

    /// The folder at this path.
    pub fn new(root: PathBuf) -> Self {
        Self { root, threads: Arc::new(Semaphore::new(PHOTOS_MAX)) }
    }

    /// Runs a step on a thread that may block.
    async fn blocking<T: Send + 'static>(
        &self,
        step: impl FnOnce() -> Result<T, SourceError> + Send + 'static,
    ) -> Result<T, SourceError> {
        let permit = Arc::clone(&self.threads).acquire_owned().await;
        let done = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            step()
        });
        done.await.unwrap_or_else(|_| {
            Err(SourceError::Fault(LibraryFault::Unreachable, "the reading thread failed".into()))
        })
    }
}

#[async_trait]
impl LibrarySource for Folder {
    fn kind(&self) -> SourceKind {
        SourceKind::Folder
    }

    async fn read(&self, key: &ReferenceKey, room: &mut dyn Room) -> Result<Bytes, SourceError> {
        let (root, path) = (self.root.clone(), key.clone());
        let (file, length) = self.blocking(move || open(&root, path.as_str())).await?;
        let length = body::checked_length(length)?;
        if !room.grow_to(length) {
            return Err(SourceError::NoRoom);
        }
        self.blocking(move || read_whole(file, length)).await
    }

    async fn check(&self) -> Result<(), SourceError> {
        let root = self.root.clone();
        self.blocking(move || list(&canonical_root(&root)?)).await
    }
}

/// Checks that the folder is one, and that it can be listed.
fn list(root: &Path) -> Result<(), SourceError> {
    match fs::metadata(root).map_err(fault)?.is_dir() {
        true => fs::read_dir(root).map(|_| ()).map_err(fault),
        false => {
            let text = format!("{} is not a folder", root.display());
            Err(SourceError::Fault(LibraryFault::Protocol, text))
        }
    }
}

/// Opens the file of a key, and returns its length.
fn open(root: &Path, key: &str) -> Result<(File, u64), SourceError> {
    let root = canonical_root(root)?;
    let path = root.join(key);
    // Opening a pipe would otherwise wait for its writer.
    let file = File::options().read(true).custom_flags(NON_BLOCKING).open(&path).map_err(fault)?;
    let opened = file.metadata().map_err(fault)?;
    let real = path.canonicalize().map_err(fault)?;
    let found = fs::metadata(&real).map_err(fault)?;
    // The file that was opened is compared, so that a link that changes meanwhile opens no door.
    let is_same = (opened.dev(), opened.ino()) == (found.dev(), found.ino());
    match is_same && real.starts_with(&root) && opened.is_file() {
        true => Ok((file, opened.len())),
        false => Err(not_found("what is there is no file of the folder")),
    }
}

const NON_BLOCKING: i32 = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();

fn canonical_root(root: &Path) -> Result<PathBuf, SourceError> {
    root.canonicalize().map_err(|error| {
        let text = format!("the folder {} can't be opened: {error}", root.display());
        match error.kind() {
            ErrorKind::PermissionDenied => SourceError::Fault(LibraryFault::Forbidden, text),
            _ => SourceError::Fault(LibraryFault::Unreachable, text),
        }
    })
}

fn read_whole(file: File, length: usize) -> Result<Bytes, SourceError> {
    let mut bytes = Vec::with_capacity(length);
    // One byte more shows that the file has grown.
    file.take(length as u64 + 1).read_to_end(&mut bytes).map_err(fault)?;
    match bytes.len() == length {
        true => Ok(bytes.into()),
        false => Err(unreachable("the file changed while it was read".into())),
    }
}

fn fault(error: io::Error) -> SourceError {
    match error.kind() {
        ErrorKind::NotFound
        | ErrorKind::NotADirectory
        | ErrorKind::IsADirectory
        | ErrorKind::InvalidFilename
        | ErrorKind::InvalidInput => not_found(&error.to_string()),
        _ if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            not_found(&error.to_string())
        }
        ErrorKind::PermissionDenied => {
            SourceError::Fault(LibraryFault::Forbidden, format!("a file can't be read: {error}"))
        }
        _ => unreachable(format!("a file can't be read: {error}")),
    }
}

fn not_found(why: &str) -> SourceError {
    SourceError::Fault(LibraryFault::NotFound, why.into())
}

fn unreachable(why: String) -> SourceError {
    SourceError::Fault(LibraryFault::Unreachable, why)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use tempfile::TempDir;

    use super::*;
    use crate::{
        domain::{KeyForm, photo},
        library::tests::Memory,
    };

    struct Scene {
        outer: TempDir,
        folder: Folder,
    }

    impl Scene {
        /// A folder with one photo, beside a file that isn't in it.
        fn new() -> Self {
            let outer = TempDir::new().unwrap();
            fs::create_dir_all(outer.path().join("photos/2024")).unwrap();
            fs::write(outer.path().join("photos/2024/17.jpg"), b"a photo").unwrap();
            fs::write(outer.path().join("secret"), b"a secret").unwrap();
            let folder = Folder::new(outer.path().join("photos"));
            Self { outer, folder }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.outer.path().join("photos").join(name)
        }

        async fn read(&self, key: &str) -> Result<Bytes, SourceError> {
            let key = ReferenceKey::parse(key, KeyForm::Path).unwrap();
            self.folder.read(&key, &mut Memory::of(photo::BYTES_MAX)).await
        }

        async fn assert_fault(&self, key: &str, expected: LibraryFault) {
            match self.read(key).await {
                Err(SourceError::Fault(fault, text)) => {
                    assert_eq!(fault, expected, "{key}: {text}");
                    assert!(!text.contains(key), "{text}");
                }
                other => panic!("{key}: {other:?}"),
            }
        }
    }

    #[tokio::test]
    async fn a_photo_is_read_as_it_is_stored() {
        let scene = Scene::new();
        assert_eq!(scene.read("2024/17.jpg").await.unwrap(), &b"a photo"[..]);
        fs::write(scene.path("o'neil %2e ä"), b"another").unwrap();
        assert_eq!(scene.read("o'neil %2e ä").await.unwrap(), &b"another"[..]);
        assert_eq!(scene.folder.check().await, Ok(()));
    }

    #[tokio::test]
    async fn only_files_of_the_folder_are_read() {
        let scene = Scene::new();
        let secret = scene.outer.path().join("secret");
        symlink(&secret, scene.path("absolute")).unwrap();
        symlink("../secret", scene.path("relative")).unwrap();
        symlink(scene.outer.path(), scene.path("outside")).unwrap();
        symlink("nowhere", scene.path("broken")).unwrap();
        symlink("circle", scene.path("circle")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, scene.path("pipe"), rustix::fs::Mode::RUSR).unwrap();
        let long = "k".repeat(300);
        for key in [
            "absolute",
            "relative",
            "outside/secret",
            "broken",
            "circle",
            "pipe",
            "2024",
            "2024/17.jpg/more",
            "none",
            &long,
        ] {
            scene.assert_fault(key, LibraryFault::NotFound).await;
        }
        symlink("2024/17.jpg", scene.path("inside")).unwrap();
        assert_eq!(scene.read("inside").await.unwrap(), &b"a photo"[..]);
    }

    #[tokio::test]
    async fn a_file_over_the_limit_is_not_read() {
        let scene = Scene::new();
        let file = File::create(scene.path("large")).unwrap();
        file.set_len(1 << 40).unwrap();
        scene.assert_fault("large", LibraryFault::TooLarge).await;
        let key = ReferenceKey::parse("2024/17.jpg", KeyForm::Path).unwrap();
        let outcome = scene.folder.read(&key, &mut Memory::of(3)).await;
        assert_eq!(outcome, Err(SourceError::NoRoom));
    }

    #[tokio::test]
    async fn a_folder_that_is_gone_is_out() {
        let scene = Scene::new();
        fs::rename(scene.path(""), scene.outer.path().join("moved")).unwrap();
        scene.assert_fault("2024/17.jpg", LibraryFault::Unreachable).await;
        assert!(scene.folder.check().await.is_err());
    }

    #[tokio::test]
    async fn a_file_in_the_place_of_the_folder_is_a_wrong_setting() {
        let scene = Scene::new();
        let file = Folder::new(scene.path("2024/17.jpg"));
        let checked = file.check().await;
        let is_protocol = matches!(&checked, Err(SourceError::Fault(LibraryFault::Protocol, _)));
        assert!(is_protocol, "{checked:?}");
    }

    #[test]
    fn a_file_that_changes_while_it_is_read_is_read_again_later() {
        let scene = Scene::new();
        let changed = |length| read_whole(File::open(scene.path("2024/17.jpg")).unwrap(), length);
        assert_eq!(changed(7).unwrap().len(), 7);
        for length in [6, 8] {
            let outcome = changed(length);
            assert!(matches!(outcome, Err(SourceError::Fault(LibraryFault::Unreachable, _))));
        }
    }
}
