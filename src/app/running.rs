//! Runs the service until it is told to stop, and shuts its parts down in order.

use std::time::Duration;

use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{error, info, warn};

use crate::{
    admin::{AdminPort, Readiness},
    app::{App, CLOSING_MIN, Lost},
    clock::Clock,
    domain::Timestamp,
    grpc, outage,
    watch::Watch,
};

/// How often health checks ask whether the store answers.
const PING_INTERVAL: Duration = Duration::from_secs(2);

/// The answers to health checks, as the log has them.
const SERVING: &str = "SERVING";
const NOT_SERVING: &str = "NOT_SERVING";

impl App {
    /// Serves until `shutdown` is cancelled, and for the drain delay after that, then drains: new
    /// matches are refused, photos in memory go to Oz as far as the time allows, streams are told,
    /// and the other matches stay in the journal for the next start. All within the drain timeout.
    ///
    /// # Errors
    /// [`Lost`], after draining.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Lost> {
        let Self {
            door,
            web_origins: _,
            worker,
            watch,
            journal,
            audit,
            secrets,
            access,
            reloads: _,
            metrics: _,
            admin,
            settings_reloads: _,
            tracer: _,
            export,
            clock,
            drain_delay,
            drain_timeout,
        } = self;
        let (tasks, closing) = (TaskTracker::new(), CancellationToken::new());
        let (health, calls, connections) = (door.health(), door.calls(), door.connections());
        health.set(true).await;
        let readiness = admin.as_ref().map(AdminPort::readiness);
        info!(health = SERVING, "health changed: the server serves");
        if let Some(replica) = audit.replica() {
            info!(replica, "audit file open: its records have this name of the replica");
        }
        let served = tasks.spawn(door.serve(closing.clone()));
        tasks.spawn(check_health(watch.clone(), health.clone(), clock.clone(), shutdown.clone()));
        tasks.spawn(secrets.poll(clock.clone(), closing.clone()));
        let fetching = closing.clone();
        tasks.spawn(async move {
            fetching.run_until_cancelled(access.keep_key_sets_fresh()).await;
        });
        let (mut outcome, mut delay) = (Ok(()), Duration::ZERO);
        tokio::select! {
            () = shutdown.cancelled() => delay = drain_delay,
            () = journal.lost() => {
                error!(error = %Lost, "server stopping: the store has lost committed events");
                outcome = Err(Lost);
            }
            served = served => {
                if let Err(failure) = served {
                    // A panic has been logged as it happened.
                    error!(panicked = failure.is_panic(), "server task failed");
                }
            }
        }
        shutdown.cancel();

        announce_drain(&health, readiness.as_ref()).await;
        // Calls are served on: balancers learn only now that they should go elsewhere.
        tokio::select! {
            () = clock.sleep(delay) => {}
            () = journal.lost(), if outcome.is_ok() => outcome = Err(Lost),
        }
        let for_photos = drain_timeout.saturating_sub(CLOSING_MIN);
        let (photos_until, until) =
            (clock.now().after(for_photos), clock.now().after(drain_timeout));
        before_deadline(&clock, photos_until, worker.drain(for_photos)).await;
        before_deadline(&clock, until, watch.drain()).await;
        health.close().await;
        closing.cancel();
        tasks.close();
        if clock.before(until, tasks.wait()).await.is_none() {
            warn!("drain: connections cut, their calls did not end in time");
        }
        calls.close();
        connections.log_counts();
        let (commits, lost_races) = (journal.commits(), journal.lost_races());
        before_deadline(&clock, until, journal.close()).await;
        before_deadline(&clock, until, audit.close()).await;
        export.close(&clock, until.max(clock.now().after(CLOSING_MIN))).await;
        if let Some(admin) = admin {
            admin.close().await;
        }
        info!(journal.commits = commits, journal.lost_races = lost_races, "stopped");
        outcome
    }
}

/// Tells probes and balancers that no new calls should come.
async fn announce_drain(health: &grpc::Health, readiness: Option<&Readiness>) {
    info!(health = NOT_SERVING, reason = "SERVER_DRAINING", "health changed: the server drains");
    health.set(false).await;
    if let Some(readiness) = readiness {
        readiness.draining();
    }
}

/// Waits for a step that needs the store or the audit file, which may hang: until a time, or a
/// moment longer if that has passed. The outcome of an abandoned step is that of a crash: nothing
/// is lost that a caller was told of.
async fn before_deadline(clock: &Clock, until: Timestamp, step: impl Future<Output = ()>) {
    let until = until.max(clock.now().after(CLOSING_MIN));
    if clock.before(until, step).await.is_none() {
        warn!("drain: step abandoned, the store or the audit file did not respond in time");
    }
}

/// Tells health checks whether the store answers.
async fn check_health(
    watch: Watch,
    health: grpc::Health,
    clock: Clock,
    shutdown: CancellationToken,
) {
    let mut serving = true;
    loop {
        tokio::select! {
            () = clock.sleep(PING_INTERVAL) => {}
            () = shutdown.cancelled() => return,
        }
        let answered = watch.ping().await;
        let answers = answered.is_ok();
        if answers != serving && !shutdown.is_cancelled() {
            serving = answers;
            health.set(serving).await;
            match answered {
                Ok(()) => info!(health = SERVING, "health changed: the store answers again"),
                Err(failure) => warn!(
                    health = NOT_SERVING,
                    reason = "STORE_UNAVAILABLE",
                    error = outage::causes(&failure),
                    "health changed: the store doesn't answer"
                ),
            }
        }
    }
}
