//! Counts the instructions and allocations of one run of a path, by running this program again under
//! callgrind.

use std::{
    collections::HashMap,
    fs, io,
    process::{Command, Stdio},
};

use crate::{Result, baseline::Count, paths::Path};

/// The functions that allocate memory or change its size: jemalloc's, which the Rust code calls, and
/// libc's, which SQLite calls.
const ALLOCATE: [&str; 8] = [
    "_rjem_malloc",
    "_rjem_calloc",
    "_rjem_realloc",
    "_rjem_mallocx",
    "_rjem_rallocx",
    "malloc",
    "calloc",
    "realloc",
];

/// How often a path runs to be counted. What differs between starts, such as the work of the
/// threads that open a journal, is spread over so many runs. A path takes two seconds.
const TIMES: u64 = 1000;

/// Turns off what jemalloc purges by the clock: a loaded machine runs longer, so there would be
/// more of it.
const TIMELESS: (&str, &str) =
    ("_RJEM_MALLOC_CONF", "experimental_tcache_gc:false,dirty_decay_ms:-1,muzzy_decay_ms:-1");

/// What one run of a path takes. The work of the process before and after cancels out.
pub fn count(path: Path) -> Result<Count> {
    let (once, twice) = (process(path, TIMES)?, process(path, 2 * TIMES)?);
    let more = |count: fn(&Count) -> u64| {
        let more = count(&twice).checked_sub(count(&once));
        Ok::<_, &str>(more.ok_or("twice as many runs took less")?.div_ceil(TIMES))
    };
    Ok(Count {
        instructions: more(|count| count.instructions)?,
        allocations: more(|count| count.allocations)?,
    })
}

/// What a process takes that runs a path `times` times.
fn process(path: Path, times: u64) -> Result<Count> {
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
    let counts = fs::read_to_string(&counts)?;
    Ok(Count { instructions: total(&counts)?, allocations: allocations(&counts) })
}

/// The instructions of all threads, which callgrind writes last.
fn total(counts: &str) -> Result<u64> {
    let line = counts.lines().find_map(|line| line.strip_prefix("totals: "));
    Ok(line.ok_or("callgrind has written no total")?.trim().parse()?)
}

/// How often a function of [`ALLOCATE`] was called. A call is a line `cfn=(id) name`, of which only
/// the first with an id has the name, and soon after it a line `calls=count position`.
fn allocations(counts: &str) -> u64 {
    let (mut names, mut callee, mut sum) = (HashMap::new(), None, 0);
    for line in counts.lines() {
        let function = line.strip_prefix("cfn=").or_else(|| line.strip_prefix("fn="));
        if let Some((id, name)) = function.and_then(|function| function.split_once(')')) {
            let name = match name.trim() {
                "" => names.get(id).copied(),
                name => Some(*names.entry(id).or_insert(name)),
            };
            callee = name.filter(|_| line.starts_with("cfn="));
        } else if let Some(calls) = line.strip_prefix("calls=")
            && callee.is_some_and(|name| ALLOCATE.contains(&name))
        {
            let count = calls.split(' ').next().and_then(|count| count.parse::<u64>().ok());
            sum += count.unwrap_or_default();
        }
    }
    sum
}
