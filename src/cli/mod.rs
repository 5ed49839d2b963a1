//! The command line: parses arguments, runs the commands and prints their results.
//!
//! The client commands call the service through gRPC, like every other caller. `main` hands in what
//! `serve`, `sim` and `demo` start: this module deliberately knows nothing of the worker, the
//! journal or the simulator.

mod args;
#[cfg(feature = "cli")]
mod audit;
#[cfg(feature = "cli")]
mod call;
mod exit;
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

use crate::config::{self, Config, Environment, Loaded, LogFormat, LogSettings};

#[cfg(all(feature = "cli", feature = "simulator"))]
pub use self::{
    args::DemoArgs,
    call::{describe, read_photo},
};
#[cfg(any(feature = "cli", feature = "simulator"))]
pub use args::Output;
#[cfg(feature = "simulator")]
pub use args::SimArgs;
pub use exit::Exit;

#[cfg(feature = "cli")]
use args::AuditCommand;
use args::{Cli, Command};
use serve::ServeArgs;
use told::Reporter;

/// A part of the program that runs until it is stopped.
pub type CommandFuture =
    Pin<Box<dyn Future<Output = Result<(), Box<dyn Error + Send + Sync>>> + Send>>;

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
    /// Runs the service, which also prints the line that says that it is ready.
    pub serve: fn(Config) -> CommandFuture,
    /// Runs the Oz simulator alone.
    #[cfg(feature = "simulator")]
    pub sim: fn(SimArgs) -> CommandFuture,
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
        #[cfg(feature = "simulator")]
        Command::Sim(args) => {
            (parts.guard)();
            let told = Reporter::with(args.log.log_format());
            part((parts.sim)(args), told).await
        }
        #[cfg(all(feature = "cli", feature = "simulator"))]
        Command::Demo(args) => {
            (parts.guard)();
            part((parts.demo)(args), Reporter::with(LogFormat::Text)).await
        }
        #[cfg(feature = "cli")]
        Command::Call(args) => call::run(args, &environment).await,
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
    let Loaded { config, warnings, log } = args.load(environment);
    start_log(&log, parts);
    let told = Reporter::with(log.format);
    // Logged even if the settings are wrong: a misspelt variable may be the cause.
    warnings.iter().for_each(|warning| warn!("{}", config::one_line(warning)));
    match config {
        Ok(config) => part((parts.serve)(config), told).await,
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
        Err(error) => {
            told.error(&error.to_string());
            match error.is::<config::Error>() || error.is::<Misuse>() {
                true => Exit::Usage,
                false => Exit::Broken,
            }
        }
    }
}

/// Prints a message of `serve`, `sim` or `demo` as one line, since logs are read line by line.
fn tell(text: &str) {
    stderr::people(&config::one_line(text));
}

#[cfg(test)]
mod tests;
