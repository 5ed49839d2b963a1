//! The command line: what is typed, and what the service's callers see of it.
//!
//! The client commands talk to the service through gRPC like anyone. What `serve`, `sim` and `demo`
//! start is handed in by `main`: this room knows none of the engine's.

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

/// Something that runs until it is told to stop.
pub type CommandFuture =
    Pin<Box<dyn Future<Output = Result<(), Box<dyn Error + Send + Sync>>> + Send>>;

/// An argument of a part that can't be used: nothing was done.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Misuse(pub String);

/// What `main` hands in: the parts of the product that this room may not know.
#[derive(Debug, Clone, Copy)]
pub struct Parts {
    /// What the others need done before any secret is read.
    pub guard: fn(),
    /// The log, which `serve` begins with.
    pub log: fn(&LogSettings) -> Result<(), Box<dyn Error + Send + Sync>>,
    /// The service, which also prints the line that says that it is ready.
    pub serve: fn(Config) -> CommandFuture,
    /// The Oz simulator alone.
    pub sim: fn(SimArgs) -> CommandFuture,
    /// Everything at once.
    pub demo: fn(DemoArgs) -> CommandFuture,
}

/// Does what the arguments say. They begin with the name of the program.
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

/// Help and the version are no errors; all else is wrong usage.
fn misread(error: &clap::Error, output: Output) -> Exit {
    match (error.kind(), output) {
        (ErrorKind::DisplayHelp | ErrorKind::DisplayVersion, _) => match error.print() {
            Ok(()) => Exit::Success,
            Err(error) => report::unwritable(Output::Text, &error),
        },
        (_, Output::Json) => report::usage(output, error.to_string().trim_end()),
        (_, Output::Text) => {
            // Standard error may be closed; there is no other place to say so.
            let _ = error.print();
            Exit::Usage
        }
    }
}

/// The output that arguments ask for which can't be read as a whole: programs that ask for JSON
/// get it for wrong usage too.
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
    // Told also where there is an error: a misspelt variable may be its cause.
    warnings.iter().for_each(|warning| warn!("{}", config::one_line(warning)));
    match config {
        Ok(config) => part((parts.serve)(config), told).await,
        Err(error) => {
            told.error(&error.to_string());
            Exit::Usage
        }
    }
}

/// Starts the log. Its level was checked with the other settings.
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

/// Says something of `serve`, `sim` or `demo` in one line, as logs are read.
fn tell(text: &str) {
    report::people(&config::one_line(text));
}

/// What an update says, in one line for people.
pub fn describe(update: &pb::MatchUpdate) -> String {
    render::text::update(update)
}

/// Reads a reference photo from a file.
///
/// # Errors
/// One line that names the file and says why.
pub async fn read_photo(path: &Path) -> Result<Bytes, String> {
    photo::read(path).await.map_err(|error| report::with_causes(&error))
}

#[cfg(test)]
mod tests;
