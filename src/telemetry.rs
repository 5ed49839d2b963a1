//! The log: where it goes and in which form.
//!
//! It goes to standard error, so that standard output has nothing but what a command answers.

use std::io::IsTerminal;

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use crate::config::LogFormat;

/// Why logging can't be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The level is none.
    #[error("--log-level: {0:?} is no list of levels such as info or facematch=debug,warn")]
    Level(String),
}

/// Starts logging. A second call in one process changes nothing.
///
/// # Errors
/// [`Error::Level`].
pub fn start(format: LogFormat, level: &str) -> Result<(), Error> {
    let filter = EnvFilter::try_new(level).map_err(|_| Error::Level(level.to_owned()))?;
    let registry = tracing_subscriber::registry().with(filter);
    let colours = std::io::stderr().is_terminal();
    let started = match format {
        LogFormat::Text => {
            let layer = fmt::layer().with_writer(std::io::stderr).with_ansi(colours);
            registry.with(layer).try_init()
        }
        LogFormat::Json => {
            let layer = fmt::layer().json().with_writer(std::io::stderr).flatten_event(true);
            registry.with(layer).try_init()
        }
    };
    // Somebody has set up logging before: a test, or a command that runs several parts.
    let _ = started;
    Ok(())
}

#[cfg(test)]
pub mod captured;
