//! The benchmark: the service beside a bound that it can't beat, each figure with its limit.
//!
//! The simulator, the service and the load generators are separate processes, so that what the
//! system counts for the service is the service's alone. It deliberately sets no limits: each row
//! in `rows` has its own, and the result says whether the row keeps to it.
//!
//! ```sh
//! cargo bench                         # everything, some sixteen minutes
//! cargo bench -- --quick              # the same with smaller numbers, in four
//! cargo bench -- --only in-flight     # only the named rows
//! cargo bench -- compare OLD NEW      # compares two results: what got worse
//! cargo bench -- table RESULT         # a result as a table
//! cargo bench -- plot RESULT SVG      # the growth curves of a result, as a picture
//! ```

#![expect(clippy::disallowed_methods, reason = "time is what a benchmark measures")]

mod credentials;
#[path = "../../tests/crowd/mod.rs"]
mod crowd;
#[path = "../instructions/inputs.rs"]
#[allow(dead_code, reason = "only the match itself is needed here")]
mod inputs;
mod lean;
#[path = "../instructions/observations.rs"]
mod observations;
mod oz;
mod plot;
#[path = "../../tests/postgres/mod.rs"]
mod postgres;
mod process;
mod report;
mod roles;
mod rows;

use std::{path::PathBuf, process::ExitCode};

use crate::{report::Report, rows::Size};

/// Anything that stops a run.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
/// The result of a run, or what stopped it.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

/// What the arguments ask for.
#[derive(Debug, PartialEq)]
enum Wanted {
    Run { size: Size, only: Vec<String>, json: PathBuf },
    Role(String),
    Compare { old: PathBuf, new: PathBuf },
    Table { result: PathBuf },
    Plot { result: PathBuf, picture: PathBuf },
}

const USAGE: &str = "cargo bench [-- [--quick] [--only ROW]... [--json FILE]]\n       \
                     cargo bench -- compare OLD NEW\n       \
                     cargo bench -- table RESULT\n       \
                     cargo bench -- plot RESULT SVG";

fn main() -> ExitCode {
    // Cargo adds a flag of its own.
    let arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    match wanted(arguments.collect()).and_then(run) {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("speed: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn wanted(arguments: Vec<String>) -> Result<Wanted> {
    let mut arguments = arguments.into_iter();
    let mut next = |what| arguments.next().ok_or(format!("{what} is missing\n{USAGE}"));
    let (mut size, mut only) = (Size::Full, Vec::new());
    let mut json = PathBuf::from("target/speed.json");
    while let Ok(argument) = next("") {
        match argument.as_str() {
            "--quick" => size = Size::Quick,
            "--only" => only.push(next("a row")?),
            "--json" => json = next("a file")?.into(),
            "--role" => return Ok(Wanted::Role(next("a role")?)),
            "compare" => {
                let (old, new) = (next("the old result")?, next("the new result")?);
                return Ok(Wanted::Compare { old: old.into(), new: new.into() });
            }
            "table" => return Ok(Wanted::Table { result: next("the result")?.into() }),
            "plot" => {
                let (result, picture) = (next("the result")?, next("the picture")?);
                return Ok(Wanted::Plot { result: result.into(), picture: picture.into() });
            }
            odd => return Err(format!("{odd}?\n{USAGE}").into()),
        }
    }
    Ok(Wanted::Run { size, only, json })
}

fn run(wanted: Wanted) -> Result<ExitCode> {
    match wanted {
        Wanted::Run { size, only, json } => {
            let report = rows::measure(size, &only)?;
            print!("{}", report.table());
            report.write(&json)?;
            println!("\nas JSON: {}", json.display());
            return Ok(if report.failures.is_empty() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            });
        }
        Wanted::Role(role) => roles::play(&role)?,
        Wanted::Compare { old, new } => {
            let (old, new) = (Report::read(&old)?, Report::read(&new)?);
            let comparison = report::compare(&old, &new);
            print!("{}", comparison.text);
            return Ok(if comparison.is_worse { ExitCode::FAILURE } else { ExitCode::SUCCESS });
        }
        Wanted::Table { result } => print!("{}", Report::read(&result)?.table()),
        Wanted::Plot { result, picture } => plot::draw(&Report::read(&result)?, &picture)?,
    }
    Ok(ExitCode::SUCCESS)
}
