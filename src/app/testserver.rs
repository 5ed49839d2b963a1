//! `facematch testserver`: a simulated Oz and the service in one process, for one test or one suite.
//!
//! It ends with the process that has started it: nothing of it is left over after a killed test. It
//! proves nothing about faces, since the simulator compares pictures.

use std::{
    fs,
    io::{self, Write},
    path::Path,
    thread,
};

use serde_json::json;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::{
    access::NewKey,
    app::{App, BoxError, commands},
    cli::TestserverArgs,
    clock::Clock,
    config::{self, Config, Environment, Flags, Loaded},
    simulator::{self, Script, Simulator, Switches},
    telemetry,
};

/// How long an analysis of the simulator takes, in milliseconds: a test that watches sees the state
/// PROCESSING and some polls, and waits for no more.
const PROCESSING_MS: u64 = 50;

/// Serves until standard input is closed or `shutdown` is cancelled, then drains and removes its
/// temporary directory.
pub async fn run(args: TestserverArgs, shutdown: CancellationToken) -> Result<(), BoxError> {
    end_with_input(shutdown.clone())?;
    let directory = tempfile::Builder::new().prefix("facematch-testserver-").tempdir()?;
    let key = match args.callers {
        true => Some(NewKey::make()?),
        false => None,
    };
    let oz = Simulator::start_with(oz_config()).await?;
    let flags = flags(args.settings.flags, &oz, directory.path(), key.as_ref())?;
    let Loaded { config, log, .. } = config::load(flags, Environment::default());
    // A test that doesn't read the log must not block the service.
    let _log = telemetry::start_without_waiting(log.format, &log.level)?;
    serve(config?, &oz, key.as_ref(), &shutdown).await?;
    remove(directory);
    Ok(())
}

/// Cancels `shutdown` once standard input is closed: the process that started this one has ended, by
/// whatever signal, or wants it to end. What arrives until then means nothing.
fn end_with_input(shutdown: CancellationToken) -> io::Result<()> {
    // A thread, not a task: at its end the runtime would wait for the read, which may never return.
    let reader = thread::Builder::new().name("standard-input".to_owned());
    reader.spawn(move || {
        // An input that can't be read has no process behind it either.
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        shutdown.cancel();
    })?;
    Ok(())
}

fn oz_config() -> simulator::Config {
    let switches = Switches { processing_ms: PROCESSING_MS, ..Switches::default() };
    let script = Script { switches, ..Script::default() };
    simulator::Config { script, ..simulator::Config::default() }
}

/// The given settings, and those that the test server decides itself.
fn flags(
    given: Flags,
    oz: &Simulator,
    directory: &Path,
    key: Option<&NewKey>,
) -> io::Result<Flags> {
    let mut flags = given;
    flags.push(("oz-url", oz.url()));
    flags.push(("oz-token", oz.service_token().to_owned()));
    if !flags.iter().any(|(name, _)| *name == "store") {
        let file = directory.join("facematch.db");
        flags.push(("store", format!("sqlite:{}", file.display())));
    }
    if let Some(key) = key {
        let file = directory.join("callers.toml");
        fs::write(&file, callers(key))?;
        flags.push(("callers-file", file.display().to_string()));
    }
    Ok(flags)
}

/// A callers file with one tenant, and one caller who may make every call.
fn callers(key: &NewKey) -> String {
    format!(
        "[tenant.test]\n\n\
         [caller.test]\n\
         tenant = \"test\"\n\
         allow = [\"match\", \"read\", \"erase\"]\n\
         keys = [{{ id = \"{}\", sha256 = \"{}\" }}]\n",
        key.id(),
        key.sha256()
    )
}

async fn serve(
    config: Config,
    oz: &Simulator,
    key: Option<&NewKey>,
    shutdown: &CancellationToken,
) -> Result<(), BoxError> {
    commands::take_descriptors(&config);
    let built = App::build_unless(shutdown, config, Clock::system()).await;
    let Some(app) = built.map_err(commands::told)? else {
        warn!("stopped before it was ready: its standard input was closed, or a signal came");
        return Ok(());
    };
    say(&ready(&app, oz, key)?);
    Ok(app.run(shutdown.clone()).await?)
}

/// The line that tells a test where everything is.
fn ready(app: &App, oz: &Simulator, key: Option<&NewKey>) -> io::Result<String> {
    let ready = json!({
        "grpc": app.address()?.to_string(),
        "web": app.web_url(),
        "admin": app.admin_address().map(|address| format!("http://{address}")),
        "simulator": oz.url(),
        "token": key.map(NewKey::text),
        "pid": std::process::id(),
    });
    Ok(ready.to_string())
}

/// Prints the line. If the test has closed its end, standard input will say so.
fn say(line: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Removes the temporary directory. What can't be removed is left to the machine.
fn remove(directory: TempDir) {
    let path = directory.path().display().to_string();
    if let Err(error) = directory.close() {
        warn!(path, %error, "temporary directory not removed");
    }
}
