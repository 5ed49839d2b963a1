//! Reads a reference photo from a file or from standard input.
//!
//! It deliberately checks only the size, since sending too large a photo is pointless. The server
//! judges the content.

use std::{
    fs::File,
    io::{self, IsTerminal, Read},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use tokio::task;

use crate::config;

/// The largest photo that a server accepts, in bytes.
const PHOTO_BYTES_MAX: u64 = 10 << 20;

/// The path that stands for standard input.
const STANDARD_INPUT: &str = "-";

/// A photo that can't be sent.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file can't be read.
    #[error("can't read the photo {}", named(path))]
    Unreadable { path: PathBuf, source: io::Error },
    /// The path is that of a directory.
    #[error("the photo {} is a directory", named(.0))]
    Directory(PathBuf),
    /// The photo is larger than a server accepts.
    #[error("the photo {} is larger than 10 MiB", named(.0))]
    TooLarge(PathBuf),
}

fn named(path: &Path) -> String {
    match is_standard_input(path) {
        true => "from standard input".to_owned(),
        false => config::one_line(&path.display().to_string()),
    }
}

/// Whether the photo would be read from a terminal, which is hardly intended.
pub fn is_typed(path: &Path) -> bool {
    is_standard_input(path) && io::stdin().is_terminal()
}

fn is_standard_input(path: &Path) -> bool {
    path.as_os_str() == STANDARD_INPUT
}

/// Reads a photo from a file or a pipe. A pipe may block for long, so the read runs on a thread of
/// its own.
pub async fn read(path: &Path) -> Result<Bytes, Error> {
    let path = path.to_owned();
    task::spawn_blocking(move || read_now(&path)).await.expect("reading doesn't panic")
}

fn read_now(path: &Path) -> Result<Bytes, Error> {
    if is_standard_input(path) {
        return bounded(path, io::stdin());
    }
    let unreadable = |source| Error::Unreadable { path: path.to_owned(), source };
    let file = File::open(path).map_err(unreadable)?;
    if file.metadata().map_err(unreadable)?.is_dir() {
        return Err(Error::Directory(path.to_owned()));
    }
    bounded(path, file)
}

fn bounded(path: &Path, from: impl Read) -> Result<Bytes, Error> {
    let mut content = Vec::new();
    let read = from.take(PHOTO_BYTES_MAX + 1).read_to_end(&mut content);
    read.map_err(|source| Error::Unreadable { path: path.to_owned(), source })?;
    if content.len() as u64 > PHOTO_BYTES_MAX {
        return Err(Error::TooLarge(path.to_owned()));
    }
    Ok(content.into())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[tokio::test]
    async fn a_photo_of_10_mib_is_read_and_one_byte_more_is_not() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let path = folder.path().join("p.jpg");
        fs::write(&path, vec![7; 10 << 20]).expect("a temporary file");
        assert_eq!(read(&path).await.expect("just small enough").len(), 10 << 20);
        fs::write(&path, vec![7; (10 << 20) + 1]).expect("a temporary file");
        let error = read(&path).await.expect_err("too large");
        assert_eq!(
            error.to_string(),
            format!("the photo {} is larger than 10 MiB", path.display())
        );
    }

    #[test]
    fn standard_input_is_read_only_up_to_the_largest_photo() {
        let endless = io::repeat(7);
        let error = bounded(Path::new("-"), endless).expect_err("an endless input");
        assert_eq!(error.to_string(), "the photo from standard input is larger than 10 MiB");
    }

    #[tokio::test]
    async fn an_unreadable_photo_is_named_in_the_error() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let error = read(folder.path()).await.expect_err("a directory");
        assert!(matches!(error, Error::Directory(_)));
        let error = read(Path::new("/nowhere/p\n.jpg")).await.expect_err("nothing there");
        assert_eq!(error.to_string(), r"can't read the photo /nowhere/p\n.jpg");
    }
}
