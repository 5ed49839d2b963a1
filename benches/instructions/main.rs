//! The guard against slowdowns: how many instructions a few fixed paths take, each against what
//! it took when somebody last agreed to it.
//!
//! Instructions are counted by callgrind, so that neither the clock nor who else uses the machine
//! changes them, and a slowdown shows in the change that makes it. What they don't tell is time:
//! waiting, memory and the system's calls are for the other benchmark. It decides nothing but
//! whether a count is near its baseline.
//!
//! A count depends on the compiler, which `rust-toolchain.toml` pins, on the crates, which
//! `Cargo.lock` does, and on the allocator, which is the program's own. It depends a little on
//! libc, which isn't pinned, and on the processor: the baseline is that of an x86-64 with AVX2, and
//! one without copies memory by up to a tenth more instructions.
//!
//! ```sh
//! cargo bench --profile counted --bench instructions              # every path against its baseline
//! cargo bench --profile counted --bench instructions -- --bless   # makes what they take now the baseline
//! ```

mod baseline;
mod callgrind;
mod inputs;
mod paths;

use std::process::ExitCode;

use crate::{
    baseline::{Baseline, Counts},
    paths::Path,
};

/// Anything that stops a run.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
/// What a run comes to.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// What is wanted.
enum Wanted {
    /// Every path is counted and judged.
    Judge,
    /// Every path is counted, and that is the baseline.
    Bless,
    /// This process is being counted: nothing but this path, so many times.
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
