//! Guards against slowdowns: counts the instructions and the allocations that a few fixed paths
//! take, and compares each count with its agreed baseline.
//!
//! Callgrind counts both, so neither the clock nor other load on the machine changes them, and a
//! slowdown shows in the change that makes it. They say nothing of time: waiting, the size of memory
//! and system calls are for the other benchmark. It deliberately decides nothing but whether
//! a count is near its baseline.
//!
//! A count depends on the compiler, which `rust-toolchain.toml` pins, on the crates, which
//! `Cargo.lock` pins, and on the allocator, which is the program's own. It depends a little on
//! libc, which isn't pinned, and on the processor: the baseline was counted on an x86-64 with AVX2,
//! and without AVX2 copying memory takes up to a tenth more instructions.
//!
//! ```sh
//! cargo bench --profile counted --bench instructions              # every path against its baseline
//! cargo bench --profile counted --bench instructions -- --bless   # makes the new counts the baseline
//! ```

mod baseline;
mod callgrind;
mod inputs;
mod observations;
mod paths;
mod writes;

use std::process::ExitCode;

use crate::{
    baseline::{Baseline, Counts},
    paths::Path,
};

/// Anything that stops a run.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
/// The result of a run, or what stopped it.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// What the arguments ask for.
enum Wanted {
    /// Count every path and judge the counts.
    Judge,
    /// Count every path and make the counts the baseline.
    Bless,
    /// Run nothing but this path, so many times: callgrind counts this process.
    Run { path: Path, times: u64 },
}

const USAGE: &str = "cargo bench --profile counted --bench instructions [-- --bless]";

fn main() -> ExitCode {
    // Cargo adds a flag of its own.
    let arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    match wanted(arguments.collect()).and_then(run) {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("instructions: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn wanted(arguments: Vec<String>) -> Result<Wanted> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        [] => Ok(Wanted::Judge),
        ["--bless"] => Ok(Wanted::Bless),
        ["--run", name, times] => {
            let path = Path::named(name).ok_or_else(|| format!("there is no path {name}"))?;
            Ok(Wanted::Run { path, times: times.parse()? })
        }
        _ => Err(format!("{}?\n{USAGE}", arguments.join(" ")).into()),
    }
}

fn run(wanted: Wanted) -> Result<ExitCode> {
    match wanted {
        Wanted::Run { path, times } => path.run(times)?,
        Wanted::Bless => {
            let path = Baseline::of(count()?).write()?;
            println!("the baseline is written: {}", path.display());
        }
        Wanted::Judge => {
            let judgement = Baseline::read()?.judge(&count()?);
            print!("{}", judgement.text);
            return Ok(if judgement.passed { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn count() -> Result<Counts> {
    Path::ALL.iter().map(|path| Ok((path.name().to_owned(), callgrind::count(*path)?))).collect()
}
