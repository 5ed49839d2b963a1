//! A folder of photos, as a library of a service.

use std::{fs, path::PathBuf};

use facematch::simulator::sample;
use tempfile::TempDir;

use crate::{canary, support::portrait};

/// A folder of photos that tests may take away for a while.
#[derive(Debug)]
pub struct Photos(TempDir);

/// The key of the sample portrait.
pub fn key() -> String {
    format!("{}/17.jpg", canary::KEY)
}

/// The key of the photo of another person.
pub fn strangers_key() -> String {
    format!("{}/18.jpg", canary::KEY)
}

impl Photos {
    /// A folder with the two photos.
    pub fn new() -> Self {
        let photos = Self(tempfile::tempdir().expect("a temporary directory"));
        fs::create_dir_all(photos.path().join(canary::KEY)).unwrap();
        fs::write(photos.path().join(key()), portrait()).unwrap();
        let stranger = canary::marked(sample::stranger_jpeg().into());
        fs::write(photos.path().join(strangers_key()), stranger).unwrap();
        photos
    }

    /// The path of the folder.
    pub fn path(&self) -> PathBuf {
        self.0.path().join("photos")
    }

    /// A path beside the folder.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The `--library` of a service.
    pub fn url(&self) -> String {
        format!("file://{}", self.path().display())
    }

    /// Takes the folder away, so that the library can't be reached.
    pub fn take_away(&self) {
        fs::rename(self.path(), self.beside("away")).expect("it is there");
    }

    /// Brings the folder back.
    pub fn bring_back(&self) {
        fs::rename(self.beside("away"), self.path()).expect("it is away");
    }
}
