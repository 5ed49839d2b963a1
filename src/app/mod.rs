//! The composition root: knows every room, and no room knows it.
//!
//! It builds the house from its settings, opens the door, and closes everything in order.

pub mod commands;
mod demo;
#[cfg(test)]
mod histories;
mod process;
mod secrets;
mod sim;
mod store;

use std::{io, net::SocketAddr, num::NonZeroU32, sync::Arc, time::Duration};

use secrecy::ExposeSecret;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{error, info, warn};

use crate::{
    app::{secrets::Secrets, store::Journal},
    clock::Clock,
    config::{self, Config},
    domain::{Policy, Timestamp},
    grpc, journal,
    journal::{Reader, Writer},
    outage::{self, Outage},
    oz,
    watch::{self, Watch},
    worker::{self, Worker},
};

/// How often the store is asked whether it answers, for health checks.
const PING_INTERVAL: Duration = Duration::from_secs(2);
/// What is left of the drain time for closing connections, at least; and what each step gets that
/// comes too late for any.
const GOODBYE_MIN: Duration = Duration::from_millis(500);

/// What health checks are answered, as the log has it.
const SERVING: &str = "SERVING";
const NOT_SERVING: &str = "NOT_SERVING";

/// The whole service, built and bound, its matches claimed; it serves once it runs.
pub struct App {
    door: grpc::Bound,
    worker: Worker,
    watch: Watch,
    journal: Journal,
    secrets: Secrets,
    clock: Clock,
    drain_timeout: Duration,
}

/// What a start has begun that has to be ended if it is given up.
#[derive(Default)]
struct Begun {
    journal: Option<Journal>,
    worker: Option<Worker>,
}

impl Begun {
    async fn end(self) {
        if let Some(worker) = self.worker {
            worker.drain(Duration::ZERO).await;
        }
        if let Some(journal) = self.journal {
            journal.close().await;
        }
    }
}

/// Tells how much the service holds at this moment. Cheap to clone.
#[derive(Clone)]
pub struct Load {
    worker: Worker,
    watch: Watch,
    readers: grpc::StallGuard,
    calls: grpc::CallLog,
}

impl Load {
    /// Bytes of memory taken for photos, those still being received included.
    pub fn photo_bytes(&self) -> usize {
        self.worker.photo_memory().bytes()
    }

    /// Photos that wait to be at Oz.
    pub fn photos(&self) -> usize {
        self.worker.photo_memory().photos()
    }

    /// Matches that are under way.
    pub fn unfinished(&self) -> usize {
        self.worker.unfinished()
    }

    /// Matches that somebody watches: each of them has its updates in memory.
    pub fn watched(&self) -> usize {
        self.watch.watched()
    }

    /// Answers that are under way and read: streams, nearly all of them.
    pub fn streams(&self) -> usize {
        self.readers.open()
    }

    /// Calls that have ended, by method, code and reason.
    pub fn ended_calls(&self) -> Vec<grpc::EndedCalls> {
        self.calls.ended()
    }
}

/// Why the service can't start. One line that names the setting.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting is wrong.
    #[error(transparent)]
    Setting(#[from] config::Error),
    /// The journal can't be opened.
    #[error("--store: {0}")]
    Sqlite(#[from] journal::sqlite::OpenError),
    /// The journal can't be opened.
    #[error("--store: {0}")]
    Postgres(#[from] journal::postgres::OpenError),
    /// The journal can't be read.
    #[error("--store: {0}")]
    Journal(#[from] journal::Error),
    /// The address can't be taken.
    #[error("--listen: {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
}

/// The store has lost what was committed, by a failover or a restore: what callers were told
/// hasn't happened there, so that this process can't go on with it. The next one can.
#[derive(Debug, thiserror::Error)]
#[error("the database has lost what was committed: was it restored, or has it failed over?")]
pub struct Lost;

impl App {
    /// Builds the service: connects what belongs together, opens the journal, takes the address,
    /// and goes on with the matches that were under way.
    ///
    /// # Errors
    /// [`StartError`], before anything is served.
    pub async fn build(config: Config, clock: Clock) -> Result<Self, StartError> {
        Self::begin(config, clock, &mut Begun::default()).await
    }

    /// The same, unless `shutdown` is cancelled before it is done: none then, at once. What was
    /// claimed until then is let go of, as far as the store answers in a moment.
    ///
    /// # Errors
    /// [`StartError`], before anything is served.
    pub async fn build_unless(
        shutdown: &CancellationToken,
        config: Config,
        clock: Clock,
    ) -> Result<Option<Self>, StartError> {
        let mut begun = Begun::default();
        let building = Self::begin(config, clock.clone(), &mut begun);
        match shutdown.run_until_cancelled(building).await {
            Some(built) => built.map(Some),
            None => {
                // Late or not, there is nothing left to do.
                let _ = clock.before(clock.now().after(GOODBYE_MIN), begun.end()).await;
                Ok(None)
            }
        }
    }

    async fn begin(config: Config, clock: Clock, begun: &mut Begun) -> Result<Self, StartError> {
        let secrets = Secrets::open(&config, &clock)?;
        let oz = oz::Client::new(oz_config(&config.oz, &secrets), clock.clone(), chance())
            .map_err(|refused| config.origins.refused(refused.setting(), refused.why()))?;
        let journal = Journal::open(&config, secrets.store_password(), &clock).await?;
        begun.journal = Some(journal.clone());
        let (reader, writer) = (journal.reader(), journal.writer());
        let store = Outage::new("the store", clock.clone());
        let watch =
            Watch::new(watch_config(&config), Arc::clone(&reader), store.clone(), clock.clone());
        let worker = worker(&config, writer, reader, oz, &watch, &store, &clock);
        begun.worker = Some(worker.clone());
        let door = match bind(&config, &worker, &watch, &store, &clock).await {
            Ok(door) => door,
            Err(failure) => {
                // Whoever fails to start leaves the file as it was found.
                journal.close().await;
                return Err(failure);
            }
        };
        watch.start().await?;
        worker.start().await?;
        let drain_timeout = config.drain_timeout;
        Ok(Self { door, worker, watch, journal, secrets, clock, drain_timeout })
    }

    /// Where it listens, its port known.
    ///
    /// # Errors
    /// Those of asking a socket for its address.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.door.address()
    }

    /// The secrets that lie in files.
    fn secrets(&self) -> Secrets {
        self.secrets.clone()
    }

    /// Tells how much it holds, also while it runs.
    pub fn load(&self) -> Load {
        Load {
            worker: self.worker.clone(),
            watch: self.watch.clone(),
            readers: self.door.readers(),
            calls: self.door.calls(),
        }
    }

    /// Serves until `shutdown` is cancelled, then drains: new matches are refused, photos in
    /// memory go to Oz as far as the time allows, streams are told, and the rest stays in the
    /// journal for the next start. All within the drain timeout.
    ///
    /// # Errors
    /// [`Lost`], after draining.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Lost> {
        let Self { door, worker, watch, journal, secrets, clock, drain_timeout } = self;
        let (tasks, closing) = (TaskTracker::new(), CancellationToken::new());
        let (health, calls, connections) = (door.health(), door.calls(), door.connections());
        health.set(true).await;
        info!(health = SERVING, "health changed: the server serves");
        let served = tasks.spawn(door.serve(closing.clone()));
        tasks.spawn(check_health(watch.clone(), health.clone(), clock.clone(), shutdown.clone()));
        tasks.spawn(secrets.poll(clock.clone(), closing.clone()));
        let mut outcome = Ok(());
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = journal.lost() => {
                error!(error = %Lost, "the server stops: it can't go on with this store");
                outcome = Err(Lost);
            }
            served = served => {
                if let Err(failure) = served {
                    // What a panic says was told as it happened.
                    error!(panicked = failure.is_panic(), "the server failed");
                }
            }
        }
        shutdown.cancel();

        info!(
            health = NOT_SERVING,
            reason = "SERVER_DRAINING",
            "health changed: the server drains"
        );
        let for_photos = drain_timeout.saturating_sub(GOODBYE_MIN);
        let (photos_until, until) =
            (clock.now().after(for_photos), clock.now().after(drain_timeout));
        health.set(false).await;
        in_time(&clock, photos_until, worker.drain(for_photos)).await;
        in_time(&clock, until, watch.drain()).await;
        health.close().await;
        closing.cancel();
        tasks.close();
        if clock.before(until, tasks.wait()).await.is_none() {
            warn!("drain: connections are cut, their calls didn't end in time");
        }
        calls.close();
        connections.tell();
        let (commits, lost_races) = (journal.commits(), journal.lost_races());
        in_time(&clock, until, journal.close()).await;
        info!(journal.commits = commits, journal.lost_races = lost_races, "stopped");
        outcome
    }
}

/// Waits for a step that needs the store, which may stand still: until a time, and a moment longer
/// if that has come. What isn't written by then is as if the process had died: nothing is lost
/// that anybody was told of.
async fn in_time(clock: &Clock, until: Timestamp, step: impl Future<Output = ()>) {
    let until = until.max(clock.now().after(GOODBYE_MIN));
    if clock.before(until, step).await.is_none() {
        warn!("drain: the store stands still and is not waited for any longer");
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

fn worker(
    config: &Config,
    writer: Arc<dyn Writer>,
    reader: Arc<dyn Reader>,
    oz: oz::Client,
    watch: &Watch,
    store: &Outage,
    clock: &Clock,
) -> Worker {
    let watch = watch.clone();
    let with = worker::Collaborators {
        writer,
        reader,
        oz: Arc::new(oz),
        clock: clock.clone(),
        progress: Arc::new(move |id, progress| watch.progress(id, progress)),
        chance: chance(),
        store: store.clone(),
    };
    Worker::new(worker_config(config), with)
}

/// Where all jitter comes from.
fn chance() -> Arc<dyn Fn() -> f64 + Send + Sync> {
    Arc::new(rand::random::<f64>)
}

async fn bind(
    config: &Config,
    worker: &Worker,
    watch: &Watch,
    store: &Outage,
    clock: &Clock,
) -> Result<grpc::Bound, StartError> {
    let (worker, watch) = (worker.clone(), watch.clone());
    let (door, store, clock) = (door(config), store.clone(), clock.clone());
    let bound = grpc::Bound::bind(config.listen, door, worker, watch, store, clock, chance()).await;
    bound.map_err(|source| StartError::Listen { address: config.listen, source })
}

fn door(config: &Config) -> grpc::Config {
    grpc::Config {
        match_timeout: config.match_timeout,
        connections_max: config.max_connections,
        connections_per_address_max: config.max_connections_per_address(),
        idle: config.idle_timeout,
        connection_age: config.max_connection_age,
        streams_max: config.max_streams,
        header_bytes_max: u32::try_from(config.max_header).unwrap_or(u32::MAX),
        keepalive: config.keepalive,
        request_bytes_max: usize::try_from(config.request_memory).unwrap_or(usize::MAX),
        calls_max: config.max_calls,
        receive_timeout: config.receive_timeout,
        stream_stall: config.stream_stall,
    }
}

const fn watch_config(config: &Config) -> watch::Config {
    watch::Config { heartbeat: config.heartbeat }
}

fn worker_config(config: &Config) -> worker::Config {
    worker::Config {
        policy: Policy {
            poll_interval: config.poll_interval,
            oz_settle: config.oz_settle,
            photo_grace: config.photo_grace,
            retention: config.retention,
        },
        unfinished_max: usize::try_from(config.max_unfinished).unwrap_or(usize::MAX),
        oz: worker::OzLimits {
            requests_max: config.oz.max_requests,
            rate_max: config.oz.max_rate.and_then(NonZeroU32::new),
        },
        photo_bytes_max: usize::try_from(config.photo_memory).unwrap_or(usize::MAX),
    }
}

fn oz_config(config: &config::OzConfig, secrets: &Secrets) -> oz::Config {
    let credentials = match &config.credentials {
        config::OzCredentials::Login { login, password } => {
            oz::Credentials::Login { email: login.clone(), password: password.clone() }
        }
        config::OzCredentials::Token(token) => oz::Credentials::Token(token.clone()),
    };
    oz::Config {
        keychain: secrets.keychain(),
        ca_file: config.ca_file.clone(),
        proxy: config.proxy.as_ref().map(|url| url.expose_secret().to_owned()),
        timeout: config.timeout,
        connect_timeout: config.connect_timeout,
        ..oz::Config::new(config.url.clone(), credentials)
    }
}
