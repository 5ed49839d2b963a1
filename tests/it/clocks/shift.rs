//! Clocks of a process that a test moves, by `tests/clocks/shift.c`, which the process preloads.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

/// The shifted clocks of one process, or of several, one after the other.
pub struct Shift {
    folder: TempDir,
    file: File,
}

impl Shift {
    /// Clocks that are right.
    pub fn none() -> Self {
        let folder = tempfile::tempdir().unwrap();
        compile(&library(folder.path()));
        let path = offsets(folder.path());
        fs::write(&path, [0; 32]).unwrap();
        let file = File::options().write(true).open(path).unwrap();
        Self { folder, file }
    }

    /// Clocks by which it is so many seconds later.
    pub fn by(seconds: i64) -> Self {
        let shift = Self::none();
        shift.set(seconds);
        shift
    }

    /// Sets the time of day to so many seconds after the right one.
    pub fn set(&self, seconds: i64) {
        self.write(0, &[seconds]);
    }

    /// The machine was suspended for so many seconds. The process is paused meanwhile, as it would
    /// be, or it could see one of its two clocks moved and not yet the other.
    #[cfg(feature = "postgres-tests")]
    pub fn suspend(&self, seconds: i64) {
        self.write(0, &[seconds, seconds]);
    }

    /// The machine is suspended for so many seconds just behind each of the next readings of the
    /// time since boot.
    pub fn suspend_behind_readings(&self, seconds: i64, readings: i64) {
        self.write(2, &[seconds]);
        self.write(3, &[readings]);
    }

    /// For how many seconds the machine was suspended by now.
    pub fn suspended(&self) -> i64 {
        let bytes = fs::read(offsets(self.folder.path())).unwrap();
        i64::from_ne_bytes(bytes[8..16].try_into().unwrap())
    }

    /// What makes a process go by these clocks.
    pub fn environment(&self) -> Vec<(&'static str, PathBuf)> {
        let folder = self.folder.path();
        vec![("LD_PRELOAD", library(folder)), ("SHIFTED_CLOCKS", offsets(folder))]
    }

    /// Writes numbers from the nth one on.
    fn write(&self, nth: u64, numbers: &[i64]) {
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_ne_bytes()).collect();
        self.file.write_all_at(&bytes, nth * 8).unwrap();
    }
}

fn library(folder: &Path) -> PathBuf {
    folder.join("shift.so")
}

fn offsets(folder: &Path) -> PathBuf {
    folder.join("offsets")
}

fn compile(library: &Path) {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clocks/shift.c");
    let mut cc = Command::new("cc");
    cc.args(["-std=c11", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o"]);
    let status = cc.arg(library).arg(source).status().expect("cc, by which Rust links");
    assert!(status.success(), "{source} isn't compiled");
}
