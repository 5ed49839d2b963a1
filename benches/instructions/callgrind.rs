//! Counts the instructions of one run of a path, by running this program again under callgrind.

use std::{
    fs, io,
    process::{Command, Stdio},
};

use crate::{Result, paths::Path};

/// How often a path runs to be counted. What differs between starts, such as the work of the
/// threads that open a journal, is spread over so many runs. A path takes two seconds.
const TIMES: u64 = 1000;

/// Turns off what jemalloc purges by the clock: a loaded machine runs longer, so there would be
/// more of it.
const TIMELESS: (&str, &str) =
    ("_RJEM_MALLOC_CONF", "experimental_tcache_gc:false,dirty_decay_ms:-1,muzzy_decay_ms:-1");

/// The instructions that one run of a path takes. The work of the process before and after cancels
/// out.
pub fn count(path: Path) -> Result<u64> {
    let (once, twice) = (process(path, TIMES)?, process(path, 2 * TIMES)?);
    let more = twice.checked_sub(once).ok_or("twice as many runs took fewer instructions")?;
    Ok(more.div_ceil(TIMES))
}

/// The instructions of a process that runs a path `times` times.
fn process(path: Path, times: u64) -> Result<u64> {
    let directory = tempfile::tempdir()?;
    let counts = directory.path().join("counts");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--quiet", "--error-exitcode=1"])
        .arg(format!("--callgrind-out-file={}", counts.display()))
        .arg(std::env::current_exe()?)
        .args(["--run", path.name(), &times.to_string()])
        .env(TIMELESS.0, TIMELESS.1)
        .stdin(Stdio::null())
        .output()
        .map_err(|failure| match failure.kind() {
            io::ErrorKind::NotFound => "valgrind is missing: install it first".to_owned(),
            _ => format!("valgrind can't be started: {failure}"),
        })?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{} under valgrind: {}\n{said}", path.name(), output.status).into());
    }
    total(&fs::read_to_string(&counts)?)
}

/// The instructions of all threads, which callgrind writes last.
fn total(counts: &str) -> Result<u64> {
    let line = counts.lines().find_map(|line| line.strip_prefix("totals: "));
    Ok(line.ok_or("callgrind has written no total")?.trim().parse()?)
}
