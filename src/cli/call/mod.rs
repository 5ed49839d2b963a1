//! The commands that call the service, through gRPC, like every other caller.

mod client;
#[cfg(feature = "simulator")]
pub mod conformance;
mod follow;
mod health;
mod lookup;
mod photo;
mod render;
mod report;
mod resume;
mod retry;
mod run;
mod screen;
mod unary;
mod watch;

use std::ffi::OsString;

pub use health::{health, tell_unhealthy};

use crate::{
    cli::{
        Exit,
        args::{self, CallCommand, Output},
        stderr,
    },
    config::Environment,
    pb,
};

/// Runs a command.
pub async fn run(command: CallCommand, environment: &Environment) -> Exit {
    match command {
        CallCommand::Match(args) => run::run(args, environment).await,
        CallCommand::Watch(args) => watch::watch(args, environment).await,
        CallCommand::Get(args) => lookup::get(args, environment).await,
        CallCommand::List(args) => lookup::list(args, environment).await,
        CallCommand::Cancel(args) => lookup::cancel(args, environment).await,
        CallCommand::Delete(args) => lookup::delete(args, environment).await,
    }
}

/// Whether unparsable arguments ask for JSON: a program that asks for it gets JSON for wrong usage
/// too.
pub fn wants_json(args: &[OsString]) -> bool {
    let is_json = |pair: &[OsString]| pair[0] == "--output" && pair[1] == "json";
    args.windows(2).any(is_json) || args.iter().any(|arg| arg == "--output=json")
}

/// Prints wrong usage as JSON.
pub fn wrong_usage(message: &str) -> Exit {
    report::usage(Output::Json, message)
}

/// Describes an update in one line for people.
#[cfg(feature = "simulator")]
pub fn describe(update: &pb::MatchUpdate) -> String {
    render::text::update(update)
}

/// Reads a reference photo from a file.
///
/// # Errors
/// One line that names the file and the cause.
#[cfg(feature = "simulator")]
pub async fn read_photo(path: &std::path::Path) -> Result<bytes::Bytes, String> {
    photo::read(path).await.map_err(|error| report::with_causes(&error))
}
