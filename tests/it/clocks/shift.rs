//! Shifts the clocks of a process by a library that it preloads, made from `tests/clocks/shift.c`.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

/// The shifted clocks of a process, or of several processes one after another.
pub struct Shift {
    folder: TempDir,
    file: File,
}

impl Shift {
    /// Clocks without a shift.
    pub fn none() -> Self {
        let folder = tempfile::tempdir().unwrap();
        compile(&library(folder.path()));
        let path = offsets(folder.path());
        fs::write(&path, [0; 32]).unwrap();
        let file = File::options().write(true).open(path).unwrap();
        Self { folder, file }
    }

    /// Clocks that are `seconds` ahead.
    pub fn by(seconds: i64) -> Self {
        let shift = Self::none();
        shift.set(seconds);
        shift
    }

    /// Sets the time of day to `seconds` ahead of the real one.
    pub fn set(&self, seconds: i64) {
        self.write(0, &[seconds]);
    }

    /// Simulates that the machine was suspended for `seconds`. The process must be paused during
    /// the call, as in a real suspension, or it could see one clock moved and the other not yet.
    #[cfg(feature = "postgres-tests")]
    pub fn suspend(&self, seconds: i64) {
        self.write(0, &[seconds, seconds]);
    }

    /// Simulates a suspension of `seconds` right after each of the next `readings` readings of the
    /// time since boot.
    pub fn suspend_behind_readings(&self, seconds: i64, readings: i64) {
        self.write(2, &[seconds]);
        self.write(3, &[readings]);
    }

    /// For how many seconds the machine has been suspended in total.
    pub fn suspended(&self) -> i64 {
        let bytes = fs::read(offsets(self.folder.path())).unwrap();
        i64::from_ne_bytes(bytes[8..16].try_into().unwrap())
    }

    /// The environment variables that make a process use these clocks.
    pub fn environment(&self) -> Vec<(&'static str, PathBuf)> {
        let folder = self.folder.path();
        vec![("LD_PRELOAD", library(folder)), ("SHIFTED_CLOCKS", offsets(folder))]
    }

    /// Writes numbers to the file of offsets, from index `nth` on.
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
    let status = cc.arg(library).arg(source).status().expect("cc, which Rust links with");
    assert!(status.success(), "{source} doesn't compile");
}
