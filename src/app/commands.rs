//! The commands `serve`, `doctor`, `sim`, `testserver` and `demo`, which need the modules of the
//! service.
//!
//! The command line knows none of these modules; `main` hands the commands in.

use std::io::Write;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    app::{App, BoxError, StartError, check, doctor, notify, process},
    cli::{CommandFuture, DoctorFuture, Parts},
    clock::Clock,
    config::{Config, Given},
    telemetry,
};

#[cfg(feature = "simulator")]
use crate::{app::sim, cli::SimArgs};
#[cfg(all(feature = "cli", feature = "simulator"))]
use crate::{
    app::{demo, testserver},
    cli::{DemoArgs, TestserverArgs},
};

/// The exit code of a process that a second signal ends, as shells number it.
const INTERRUPTED: i32 = 130;

/// Descriptors beyond those of callers and of Oz: those of the store, the log and the runtime, with
/// a margin.
const DESCRIPTORS_APART: usize = 64;

/// What the command line can start.
pub const PARTS: Parts = Parts {
    guard: process::guard,
    log: |log| Ok(telemetry::start(log.format, &log.level)?),
    serve: |config, given| -> CommandFuture { Box::pin(serve(config, given)) },
    check: |config| -> CommandFuture { Box::pin(check(config)) },
    doctor: |settings, args| -> DoctorFuture { Box::pin(doctor::run(settings, args)) },
    #[cfg(feature = "simulator")]
    sim: |args| -> CommandFuture { Box::pin(simulate(args)) },
    #[cfg(all(feature = "cli", feature = "simulator"))]
    testserver: |args| -> CommandFuture { Box::pin(test(args)) },
    #[cfg(all(feature = "cli", feature = "simulator"))]
    demo: |args| -> CommandFuture { Box::pin(demonstrate(args)) },
};

/// Serves until a signal comes, then drains. A second signal ends the process at once; a signal
/// before the service is ready ends the start.
async fn serve(config: Config, given: Given) -> Result<(), BoxError> {
    if config.allow_core_dumps {
        process::allow_core_dumps();
    }
    take_descriptors(&config);
    // Logged once the service has started: a start that fails is one line, which names the setting.
    let (store, settings) = (config.store.kind(), config.changed.to_string());
    let (shutdown, clock, hangups) =
        (CancellationToken::new(), Clock::system(), process::hangups()?);
    until_second_signal(shutdown.clone(), async move {
        let built = App::build_unless(&shutdown, config, clock.clone()).await;
        let Some(app) = built.map_err(told)? else {
            info!("stopped by a signal before it was ready");
            return Ok(());
        };
        let address = app.address()?;
        let admin = app.admin_address().map(tracing::field::display);
        let web = app.web_url();
        let version = env!("CARGO_PKG_VERSION");
        info!(
            version,
            %address,
            web.url = web,
            admin.address = admin,
            store,
            settings,
            "facematch started"
        );
        say(&format!("facematch is ready on {address}"));
        let (again, secrets, audit) = (app.settings(given), app.secrets(), app.audit());
        let running = app.run(shutdown.clone());
        tokio::select! {
            outcome = notify::running(running, &shutdown, &clock) => Ok(outcome?),
            never = process::reread_on_hangup(hangups, again, secrets, audit) => match never {},
        }
    })
    .await?
}

/// Checks all that a start needs, and prints what it would do. A signal ends it at once.
async fn check(config: Config) -> Result<(), BoxError> {
    let report = check::report(&config, &Clock::system()).await.map_err(told)?;
    say(&report);
    Ok(())
}

/// Separates an invalid setting from a valid setting that can't be met.
pub(super) fn told(error: StartError) -> BoxError {
    match error {
        StartError::Setting(wrong) => wrong.into(),
        error => error.into(),
    }
}

/// Raises the limit of open files to what the settings may need: shells hand out 1,024 where the
/// system allows far more.
pub(super) fn take_descriptors(config: &Config) {
    let needed = config.max_connections + config.oz.max_requests + DESCRIPTORS_APART;
    match rlimit::increase_nofile_limit(needed as u64) {
        Ok(allowed) if allowed >= needed as u64 => {}
        Ok(allowed) => warn!(
            descriptors.needed = needed,
            descriptors.allowed = allowed,
            "file descriptors: --max-connections and --oz-max-requests may need more than allowed"
        ),
        Err(failure) => {
            warn!(error = failure.to_string(), "file descriptors: limit not raised")
        }
    }
}

/// Serves the simulator until a signal comes.
#[cfg(feature = "simulator")]
async fn simulate(args: SimArgs) -> Result<(), BoxError> {
    let shutdown = CancellationToken::new();
    until_second_signal(shutdown.clone(), sim::run(args, shutdown)).await?
}

/// Serves a test until its end or a signal.
#[cfg(all(feature = "cli", feature = "simulator"))]
async fn test(args: TestserverArgs) -> Result<(), BoxError> {
    let shutdown = CancellationToken::new();
    until_second_signal(shutdown.clone(), testserver::run(args, shutdown)).await?
}

#[cfg(all(feature = "cli", feature = "simulator"))]
async fn demonstrate(args: DemoArgs) -> Result<(), BoxError> {
    let shutdown = CancellationToken::new();
    until_second_signal(shutdown.clone(), demo::run(args, shutdown)).await?
}

/// Runs a future, cancels `shutdown` at the first signal, and ends the process at the second.
/// Signals are caught from before the start: a parent that reads that the service is ready may stop
/// it at once.
async fn until_second_signal<T>(
    shutdown: CancellationToken,
    running: impl Future<Output = T>,
) -> Result<T, BoxError> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut next_signal = async || {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    tokio::pin!(running);
    tokio::select! {
        output = &mut running => return Ok(output),
        () = next_signal() => shutdown.cancel(),
    }
    tokio::select! {
        output = &mut running => Ok(output),
        () = next_signal() => std::process::exit(INTERRUPTED),
    }
}

/// Prints one line for the parent process. A closed standard output is no reason to stop.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
