//! The log: its output and its form; and, in [`otlp`], the export of traces.
//!
//! The log goes to standard error, so that standard output has only the answers of commands. In JSON,
//! everything that the process writes to standard error is JSON, panics included.

#[cfg(test)]
pub mod captured;
pub mod otlp;
mod panics;

use std::{io::IsTerminal, sync::OnceLock};

use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    fmt::{self, writer::BoxMakeWriter},
    layer::{Layered, SubscriberExt},
    reload,
};

use crate::config::{ALWAYS_LOGGED, LogFormat};

/// How many lines wait for a standard error that is not read: some megabytes. Later lines are
/// dropped.
const WAITING_LINES_MAX: usize = 10_000;

/// The lines of the log, above which the level is.
type Lines = Layered<Box<dyn Layer<Registry> + Send + Sync>, Registry>;

/// The level of this process's log, once it has begun.
static LEVEL: OnceLock<reload::Handle<EnvFilter, Lines>> = OnceLock::new();

/// Why logging can't be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The level can't be parsed.
    #[error("--log-level: {0:?} is not a list of levels such as info or facematch=debug,warn")]
    Level(String),
}

/// Starts logging, panics included. A second call in one process has no effect.
///
/// # Errors
/// [`Error::Level`].
pub fn start(format: LogFormat, level: &str) -> Result<(), Error> {
    start_to(BoxMakeWriter::new(std::io::stderr), format, level)
}

/// The same, but a full pipe at standard error doesn't block the process, as in a test that doesn't
/// read it. A thread of its own writes the lines, until the guard is dropped.
///
/// # Errors
/// [`Error::Level`].
pub fn start_without_waiting(format: LogFormat, level: &str) -> Result<WorkerGuard, Error> {
    let builder = NonBlockingBuilder::default().buffered_lines_limit(WAITING_LINES_MAX);
    let (writer, guard) = builder.lossy(true).finish(std::io::stderr());
    start_to(BoxMakeWriter::new(writer), format, level)?;
    Ok(guard)
}

fn start_to(writer: BoxMakeWriter, format: LogFormat, level: &str) -> Result<(), Error> {
    let (level, handle) = reload::Layer::new(filter(level)?);
    let subscriber = Registry::default().with(lines(writer, format)).with(level);
    // An earlier subscriber stays: a test's, or that of a command that runs several parts.
    if tracing::subscriber::set_global_default(subscriber).is_ok() {
        std::panic::set_hook(Box::new(panics::tell));
        // The first subscriber is the only one, so this is the first handle.
        let _ = LEVEL.set(handle);
    }
    Ok(())
}

/// Logs at another level from now on. Without a log it has no effect.
///
/// # Errors
/// [`Error::Level`]. The level stays as it was then.
pub fn set_level(level: &str) -> Result<(), Error> {
    let filter = filter(level)?;
    if let Some(handle) = LEVEL.get() {
        // Fails only if the subscriber is gone, and the global one never goes.
        let _ = handle.reload(filter);
    }
    Ok(())
}

/// How many panics this process has had: each is a bug.
pub fn panics() -> u64 {
    panics::count()
}

/// Adds the target of panics and of errors that end the process, which is logged at every level.
fn filter(level: &str) -> Result<EnvFilter, Error> {
    EnvFilter::try_new(level).map_err(|_| Error::Level(level.to_owned()))?;
    let level = format!("{level},{ALWAYS_LOGGED}=error");
    EnvFilter::try_new(&level).map_err(|_| Error::Level(level))
}

fn lines(writer: BoxMakeWriter, format: LogFormat) -> Box<dyn Layer<Registry> + Send + Sync> {
    let lines = fmt::layer().with_writer(writer);
    match format {
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
        // With colours on a terminal, unless NO_COLOR is set, which the layer reads.
        LogFormat::Text if std::io::stderr().is_terminal() => lines.boxed(),
        LogFormat::Text => lines.with_ansi(false).boxed(),
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Output};

    use serde_json::Value;

    use super::*;

    /// The variable that makes a process of these tests a child.
    const CHILD: &str = "FACEMATCH_TEST_OF_THE_LOG";

    /// Runs the test named `child` in a process of its own, with this value in its environment.
    fn run_child(told: &str) -> Output {
        let program = std::env::current_exe().unwrap();
        let arguments = ["--exact", "telemetry::tests::child", "--nocapture", "--test-threads=1"];
        let mut command = Command::new(program);
        command.args(arguments).env(CHILD, told).env_remove("RUST_BACKTRACE").output().unwrap()
    }

    fn logged(told: &str) -> Vec<Value> {
        let output = run_child(told);
        let text = String::from_utf8(output.stderr).unwrap();
        text.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
    }

    /// The test that the others run in a process of its own; it does nothing without the variable.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "this is how the child is told what to do")]
    fn child() {
        let Ok(told) = std::env::var(CHILD) else { return };
        let (format, level) = match told.split_once(' ') {
            Some((_, level)) => (LogFormat::Json, level),
            None => (LogFormat::Text, "info"),
        };
        start(format, level).unwrap();
        tracing::info!(user = "a\"b\nc", "two\nlines");
        let panics: fn() = match told.split(' ').next().unwrap() {
            "literal" => || panic!("the core and the journal disagree"),
            "formatted" => || panic!("not this: {}", std::hint::black_box("canary-of-a-panic")),
            "louder" => || {
                set_level("debug,facematch::telemetry=trace").unwrap();
                tracing::debug!("quiet");
            },
            "refused" => || {
                set_level("loud=banana").unwrap_err();
                tracing::debug!("quiet");
            },
            "expect" => || std::hint::black_box(Err("canary-of-a-panic")).expect("it is there"),
            _ => || {},
        };
        let _ = std::thread::Builder::new().name("driver-7".into()).spawn(panics).unwrap().join();
    }

    #[test]
    fn the_level_may_change_while_the_process_runs_and_a_wrong_one_changes_nothing() {
        let told = |how: &str| {
            let lines = logged(&format!("{how} info"));
            lines
                .iter()
                .map(|line| line["message"].as_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(told("nothing"), ["two\nlines"]);
        assert_eq!(told("louder"), ["two\nlines", "quiet"]);
        assert_eq!(told("refused"), ["two\nlines"]);
    }

    #[test]
    fn a_panic_is_a_line_of_json_with_its_place_and_its_thread() {
        let lines = logged("literal info");
        let [_, line] = &lines[..] else { panic!("two lines, not {lines:?}") };
        assert_eq!((&line["message"], &line["level"]), (&"panic".into(), &"ERROR".into()));
        assert_eq!(line["panic.thread"], "driver-7");
        assert_eq!(line["panic.message"], "the core and the journal disagree");
        assert!(
            line["panic.location"].as_str().unwrap().starts_with("src/telemetry/mod.rs:"),
            "{line}"
        );
    }

    #[test]
    fn a_panic_is_logged_at_every_level_and_the_data_it_quotes_at_none() {
        for panic in ["formatted", "expect"] {
            for level in ["off", "trace"] {
                let lines = logged(&format!("{panic} {level}"));
                let line = lines.last().expect("the panic");
                assert_eq!(line["message"], "panic");
                assert!(!format!("{lines:?}").contains("canary"), "{lines:?}");
                assert!(line["panic.location"].is_string());
            }
        }
    }

    #[test]
    fn a_message_stays_on_its_line_in_either_form() {
        let lines = logged("nothing info");
        assert_eq!(
            (&lines[0]["message"], &lines[0]["user"]),
            (&"two\nlines".into(), &"a\"b\nc".into())
        );
        let output = run_child("nothing");
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains(r#"user="a\"b\nc""#), "{text}");
        assert!(!text.contains('\u{1b}'), "colours without a terminal: {text:?}");
    }

    #[test]
    fn a_level_that_cannot_be_parsed_is_refused() {
        assert!(filter("loud=banana").is_err());
        for level in ["off", "info", "warn,facematch=debug"] {
            assert!(filter(level).is_ok(), "{level}");
        }
    }
}
