//! Reads a reference photo from a file.
//!
//! What is in it is for the server to judge; only its size is, since it would travel in vain.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use tokio::{
    fs::File,
    io::{self, AsyncReadExt},
};

/// The largest photo that a server takes, in bytes.
const PHOTO_BYTES_MAX: u64 = 10 << 20;

/// A photo that can't be sent.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file can't be read.
    #[error("can't read the photo {}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    /// The path is that of a directory.
    #[error("the photo {} is a directory", .0.display())]
    Directory(PathBuf),
    /// The file is larger than a server takes.
    #[error("the photo {} is larger than 10 MiB", .0.display())]
    TooLarge(PathBuf),
}

/// Reads a photo, from a pipe too.
pub async fn read(path: &Path) -> Result<Bytes, Error> {
    let unreadable = |source| Error::Unreadable { path: path.to_owned(), source };
    let file = File::open(path).await.map_err(unreadable)?;
    if file.metadata().await.map_err(unreadable)?.is_dir() {
        return Err(Error::Directory(path.to_owned()));
    }
    let mut content = Vec::new();
    file.take(PHOTO_BYTES_MAX + 1).read_to_end(&mut content).await.map_err(unreadable)?;
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

    #[tokio::test]
    async fn what_is_no_file_is_told_by_its_name() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let error = read(folder.path()).await.expect_err("a directory");
        assert!(matches!(error, Error::Directory(_)));
        let error = read(Path::new("/nowhere/p.jpg")).await.expect_err("nothing there");
        assert_eq!(error.to_string(), "can't read the photo /nowhere/p.jpg");
    }
}
