//! The command line: parses arguments, runs the commands and prints their results.
//!
//! The client commands call the service through gRPC, like every other caller. `main` hands in what
//! `serve`, `sim` and `demo` start: this module deliberately knows nothing of the worker, the
//! journal or the simulator.

mod args;
mod client;
mod exit;
mod follow;
mod lookup;
mod pages;
mod photo;
mod render;
mod report;
mod resume;
mod run;
mod screen;
mod serve;
mod told;
mod watch;

use std::{error::Error, ffi::OsString, future::Future, path::Path, pin::Pin};

use bytes::Bytes;
use clap::error::ErrorKind;
use tracing::warn;

use crate::{
    config::{self, Config, Environment, Loaded, LogFormat, LogSettings},
    pb,
};

pub use args::{DemoArgs, Output, SimArgs};
pub use exit::Exit;

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
    pub sim: fn(SimArgs) -> CommandFuture,
    /// Runs the service, the simulator and some matches together.
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
        Err(error) => misread(&error, wanted_output(&args)),
    }
}

async fn command(command: Command, environment: Environment, parts: Parts) -> Exit {
    if matches!(command, Command::Serve(_) | Command::Sim(_) | Command::Demo(_)) {
        (parts.guard)();
    }
    match command {
        Command::Serve(args) => serve(args, environment, parts).await,
        Command::Sim(args) => {
            let told = Reporter::with(args.log.log_format());
            part((parts.sim)(args), told).await
        }
        Command::Demo(args) => part((parts.demo)(args), Reporter::with(LogFormat::Text)).await,
        Command::Match(args) => run::run(args, &environment).await,
        Command::Watch(args) => watch::watch(args, &environment).await,
        Command::Get(args) => lookup::get(args, &environment).await,
        Command::List(args) => lookup::list(args, &environment).await,
        Command::Cancel(args) => lookup::cancel(args, &environment).await,
        Command::Delete(args) => lookup::delete(args, &environment).await,
        Command::Completions(args) => pages::completions(&args),
        Command::Man(args) => pages::man(&args),
    }
}

/// Handles arguments that clap didn't parse: help and the version succeed, all else is wrong usage.
fn misread(error: &clap::Error, output: Output) -> Exit {
    match (error.kind(), output) {
        (ErrorKind::DisplayHelp | ErrorKind::DisplayVersion, _) => match error.print() {
            Ok(()) => Exit::Success,
            Err(error) => report::unwritable(Output::Text, &error),
        },
        (_, Output::Json) => report::usage(output, error.to_string().trim_end()),
        (_, Output::Text) => {
            // Standard error may be closed, and there is no other place for the message.
            let _ = error.print();
            Exit::Usage
        }
    }
}

/// The output format that unparsable arguments ask for: a program that asks for JSON gets JSON for
/// wrong usage too.
fn wanted_output(args: &[OsString]) -> Output {
    let is_json = |pair: &[OsString]| pair[0] == "--output" && pair[1] == "json";
    match args.windows(2).any(is_json) || args.iter().any(|arg| arg == "--output=json") {
        true => Output::Json,
        false => Output::Text,
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
    report::people(&config::one_line(text));
}

/// Describes an update in one line for people.
pub fn describe(update: &pb::MatchUpdate) -> String {
    render::text::update(update)
}

/// Reads a reference photo from a file.
///
/// # Errors
/// One line that names the file and the cause.
pub async fn read_photo(path: &Path) -> Result<Bytes, String> {
    photo::read(path).await.map_err(|error| report::with_causes(&error))
}

#[cfg(test)]
mod tests;
