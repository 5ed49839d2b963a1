//! The command line: parses arguments, runs the commands and prints their results.
//!
//! The client commands call the service through gRPC, like every other caller. `main` hands in what
//! `serve`, `doctor`, `sim`, `testserver` and `demo` start: this module deliberately knows nothing of
//! the worker, the journal or the simulator.

mod args;
#[cfg(feature = "cli")]
mod audit;
#[cfg(feature = "cli")]
mod call;
mod doctor;
mod exit;
mod health;
#[cfg(feature = "cli")]
mod key;
#[cfg(feature = "cli")]
mod pages;
mod serve;
mod stderr;
mod told;

use std::{error::Error, ffi::OsString, future::Future, pin::Pin};

use clap::error::ErrorKind;
use tracing::warn;

use crate::config::{
    self, Config, DoctorSettings, Environment, Given, Loaded, LogFormat, LogSettings,
};

#[cfg(all(feature = "cli", feature = "simulator"))]
pub use self::{
    args::{DemoArgs, TEST_SETTINGS, TestSetting, TestserverArgs},
    call::{conformance, describe, read_photo},
};
#[cfg(feature = "simulator")]
pub use args::SimArgs;
pub use args::{DoctorArgs, Output};
pub use exit::Exit;

#[cfg(feature = "cli")]
use args::AuditCommand;
use args::{Cli, Command};
use serve::ServeArgs;
use told::Reporter;

/// A part of the program that runs until it is stopped.
pub type CommandFuture =
    Pin<Box<dyn Future<Output = Result<(), Box<dyn Error + Send + Sync>>> + Send>>;

/// The examination of an Oz installation: whether it differs from what FaceMatch assumes.
pub type DoctorFuture =
    Pin<Box<dyn Future<Output = Result<bool, Box<dyn Error + Send + Sync>>> + Send>>;

/// An unusable argument of a part, found before the part did anything. Holds the message.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Misuse(pub String);

/// The parts of the program that this module may not import; `main` hands them in.
#[derive(Debug, Clone, Copy)]
pub struct Parts {
    /// Protects the process; called before any secret is read.
    pub guard: fn(),
    /// Starts the log.
    pub log: fn(&LogSettings) -> Result<(), Box<dyn Error + Send + Sync>>,
    /// Runs the service, which also prints the line that says that it is ready. On SIGHUP it reads
    /// again what was given.
    pub serve: fn(Config, Given) -> CommandFuture,
    /// Checks all that the service needs to start, and prints what a start would do.
    pub check: fn(Config) -> CommandFuture,
    /// Tries an Oz installation, and prints its findings.
    pub doctor: fn(DoctorSettings, DoctorArgs) -> DoctorFuture,
    /// Runs the Oz simulator alone.
    #[cfg(feature = "simulator")]
    pub sim: fn(SimArgs) -> CommandFuture,
    /// Runs the service and the simulator for a test.
    #[cfg(all(feature = "cli", feature = "simulator"))]
    pub testserver: fn(TestserverArgs) -> CommandFuture,
    /// Runs the service, the simulator and some matches together.
    #[cfg(all(feature = "cli", feature = "simulator"))]
    pub demo: fn(DemoArgs) -> CommandFuture,
}

/// Runs the command that the arguments name. They begin with the name of the program.
pub async fn run(
    args: impl IntoIterator<Item = OsString>,
    environment: Environment,
    parts: Parts,
) -> Exit {
    let args: Vec<OsString> = args.into_iter().collect();
    let told = Reporter::guess(&args, &environment);
    match Cli::read(args.clone()) {
        Ok(cli) => command(cli.command, environment, parts).await,
        Err(error) if told.in_json() && error.use_stderr() => {
            start_log(&LogSettings { format: LogFormat::Json, level: "info".to_owned() }, parts);
            told.error(error.to_string().trim_end());
            Exit::Usage
        }
        #[cfg(feature = "cli")]
        Err(error) if error.use_stderr() && call::wants_json(&args) => {
            call::wrong_usage(error.to_string().trim_end())
        }
        Err(error) => misread(&error),
    }
}

async fn command(command: Command, environment: Environment, parts: Parts) -> Exit {
    match command {
        Command::Serve(args) => {
            (parts.guard)();
            serve(args, environment, parts).await
        }
        Command::Doctor(args) => {
            (parts.guard)();
            doctor::run(args, environment, parts).await
        }
        #[cfg(feature = "simulator")]
        Command::Sim(args) => {
            (parts.guard)();
            let told = Reporter::with(args.log.log_format());
            part((parts.sim)(args), told).await
        }
        #[cfg(all(feature = "cli", feature = "simulator"))]
        Command::Testserver(args) => {
            (parts.guard)();
            let told = Reporter::with(args.settings.log_format());
            part((parts.testserver)(args), told).await
        }
        #[cfg(all(feature = "cli", feature = "simulator"))]
        Command::Demo(args) => {
            (parts.guard)();
            part((parts.demo)(args), Reporter::with(LogFormat::Text)).await
        }
        Command::Health(args) => health::health(args, &environment).await,
        #[cfg(feature = "cli")]
        Command::Call(args) => Box::pin(call::run(args, &environment)).await,
        #[cfg(feature = "cli")]
        Command::Audit(AuditCommand::Verify(args)) => audit::verify(&args),
        #[cfg(feature = "cli")]
        Command::Key(args) => key::run(&args),
        #[cfg(feature = "cli")]
        Command::Completions(args) => pages::completions(&args),
        #[cfg(feature = "cli")]
        Command::Man(args) => pages::man(&args),
    }
}

/// Handles arguments that clap didn't parse: help and the version succeed, all else is wrong usage.
fn misread(error: &clap::Error) -> Exit {
    match (error.kind(), error.print()) {
        (ErrorKind::DisplayHelp | ErrorKind::DisplayVersion, Ok(())) => Exit::Success,
        (ErrorKind::DisplayHelp | ErrorKind::DisplayVersion, Err(error)) => {
            stderr::unwritable(&error)
        }
        // Standard error may be closed, and there is no other place for the message.
        _ => Exit::Usage,
    }
}

async fn serve(args: ServeArgs, environment: Environment, parts: Parts) -> Exit {
    let is_check = args.check;
    let Loaded { config, warnings, log, given } = args.load(environment);
    start_log(&log, parts);
    let told = Reporter::with(log.format);
    // Logged even if the settings are wrong: a misspelt variable may be the cause.
    warnings.iter().for_each(|warning| warn!("{}", config::one_line(warning)));
    match config {
        Ok(config) if is_check => part((parts.check)(config), told).await,
        Ok(config) => part((parts.serve)(config, given), told).await,
        Err(error) => {
            told.error(&error.to_string());
            Exit::Usage
        }
    }
}

/// Starts the log. The level was checked together with the other settings.
fn start_log(log: &LogSettings, parts: Parts) {
    if let Err(error) = (parts.log)(log) {
        tell(&error.to_string());
    }
}

async fn part(running: CommandFuture, told: Reporter) -> Exit {
    match running.await {
        Ok(()) => Exit::Success,
        Err(error) => failed(error.as_ref(), told),
    }
}

/// Reports why a part failed.
fn failed(error: &(dyn Error + Send + Sync + 'static), told: Reporter) -> Exit {
    told.error(&error.to_string());
    failure(error)
}

/// Whether a failed part was misused or is broken.
fn failure(error: &(dyn Error + Send + Sync + 'static)) -> Exit {
    match error.is::<config::Error>() || error.is::<Misuse>() {
        true => Exit::Usage,
        false => Exit::Broken,
    }
}

/// Prints a message of `serve`, `sim`, `testserver` or `demo` as one line, since logs are read line by
/// line.
fn tell(text: &str) {
    stderr::people(&config::one_line(text));
}

#[cfg(test)]
mod tests;
