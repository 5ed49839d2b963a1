//! The composition root: knows every module, and no module knows it.
//!
//! It builds the service from its settings, runs it, and shuts everything down in order.

pub mod commands;
#[cfg(all(feature = "cli", feature = "simulator"))]
mod demo;
mod process;
mod secrets;
#[cfg(feature = "simulator")]
mod sim;
mod store;
mod transport;

use std::{error::Error, io, net::SocketAddr, num::NonZeroU32, sync::Arc, time::Duration};

use secrecy::ExposeSecret;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{error, info, warn};

pub use secrets::Secrets;

use crate::{
    access::{
        self, Access, ReloadCounts,
        audit::{self, Audit},
        tls::Tls,
    },
    app::store::Journal,
    clock::Clock,
    config::{self, Config},
    domain::{DigestKey, Policy, TenantsNow, Timestamp},
    grpc, journal,
    journal::Handles,
    outage::{self, Outage},
    oz,
    watch::{self, Watch},
    worker::{self, Worker},
};

/// Why a command failed.
type BoxError = Box<dyn Error + Send + Sync>;

/// How often health checks ask whether the store answers.
const PING_INTERVAL: Duration = Duration::from_secs(2);
/// The part of the drain timeout that is kept for closing connections, and the least time that each
/// step gets.
const CLOSING_MIN: Duration = Duration::from_millis(500);

/// The answers to health checks, as the log has them.
const SERVING: &str = "SERVING";
const NOT_SERVING: &str = "NOT_SERVING";

/// The whole service, built and bound, its matches claimed; it serves once it runs.
pub struct App {
    door: grpc::Bound,
    worker: Worker,
    watch: Watch,
    journal: Journal,
    audit: Audit,
    secrets: Secrets,
    tls: Option<Arc<Tls>>,
    access: Access,
    clock: Clock,
    drain_timeout: Duration,
}

/// Parts of a start that must be ended if the start is given up.
#[derive(Default)]
struct PartialStart {
    journal: Option<Journal>,
    worker: Option<Worker>,
}

impl PartialStart {
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

    /// Photos in memory that aren't at Oz yet.
    pub fn photos(&self) -> usize {
        self.worker.photo_memory().photos()
    }

    /// Matches that are under way.
    pub fn unfinished(&self) -> usize {
        self.worker.unfinished()
    }

    /// Matches that have a watcher: the updates of each are in memory.
    pub fn watched(&self) -> usize {
        self.watch.watched()
    }

    /// Responses that are being sent: streams, nearly all of them.
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
    /// The SQLite journal can't be opened.
    #[error("--store: {0}")]
    Sqlite(#[from] journal::sqlite::OpenError),
    /// The PostgreSQL journal can't be opened.
    #[error("--store: {0}")]
    Postgres(#[from] journal::postgres::OpenError),
    /// The journal can't be read at the start.
    #[error("--store: {0}")]
    Journal(#[from] journal::Error),
    /// The audit file can't be opened.
    #[error("--audit-file: {0}")]
    Audit(#[from] audit::OpenError),
    /// The address can't be bound.
    #[error("--listen: {address}: {source}")]
    Listen {
        /// The address that the settings name.
        address: SocketAddr,
        /// The error of the operating system.
        source: io::Error,
    },
}

/// The store has lost commits, by a failover or a restore: what callers were told hasn't happened
/// there, so that this process can't go on with it. The next process can.
#[derive(Debug, thiserror::Error)]
#[error("the database has lost committed events: was it restored, or has it failed over?")]
pub struct Lost;

impl App {
    /// Builds the service: connects its parts, opens the journal, binds the address, and resumes
    /// the unfinished matches.
    ///
    /// # Errors
    /// [`StartError`], before anything is served.
    pub async fn build(config: Config, clock: Clock) -> Result<Self, StartError> {
        Self::begin(config, clock, &mut PartialStart::default()).await
    }

    /// The same, unless `shutdown` is cancelled before it is done: `None` then, at once. Claims
    /// that were made until then are released, as far as the store answers in a moment.
    ///
    /// # Errors
    /// [`StartError`], before anything is served.
    pub async fn build_unless(
        shutdown: &CancellationToken,
        config: Config,
        clock: Clock,
    ) -> Result<Option<Self>, StartError> {
        let mut begun = PartialStart::default();
        let building = Self::begin(config, clock.clone(), &mut begun);
        match shutdown.run_until_cancelled(building).await {
            Some(built) => built.map(Some),
            None => {
                // In time or not, there is nothing left to do.
                let _ = clock.before(clock.now().after(CLOSING_MIN), begun.end()).await;
                Ok(None)
            }
        }
    }

    async fn begin(
        config: Config,
        clock: Clock,
        begun: &mut PartialStart,
    ) -> Result<Self, StartError> {
        let mut secrets = Secrets::open(&config, &clock)?;
        let tls = transport::open_tls(&config, &clock)?;
        if let Some(tls) = tls.clone() {
            secrets.also(move || tls.look_again());
        }
        let access = transport::open_access(&config, &clock)?;
        let watched = access.clone();
        secrets.also(move || watched.look_again());
        let oz = oz::Client::new(oz_config(&config.oz, &secrets), clock.clone(), chance())
            .map_err(|refused| config.origins.refused(refused.setting(), refused.why()))?;
        let journal = Journal::open(&config, secrets.store_password(), &clock).await?;
        begun.journal = Some(journal.clone());
        let handles = journal.handles();
        let store = Outage::new("the store", clock.clone());
        let feed = handles.feed.clone();
        let digest_key = feed.identity.keys.digest;
        let incarnation = feed.identity.origin.incarnation;
        let watch = Watch::new(watch_config(&config), feed, store.clone(), clock.clone());
        let worker = worker(&config, handles, oz, &watch, &access, &store, &clock);
        begun.worker = Some(worker.clone());
        let door = door(&config, digest_key);
        let opened = async {
            let audit = open_audit(&config, incarnation, &clock)?;
            let access = access.clone();
            let door = bind(door, access, &worker, &watch, &store, &clock).await?;
            Ok::<_, StartError>((audit.clone(), door.audited(audit)))
        };
        let (audit, door) = match opened.await {
            Ok(opened) => opened,
            Err(failure) => {
                // A start that fails leaves the file as it was found.
                journal.close().await;
                return Err(failure);
            }
        };
        let door = door.with_tls(tls.as_ref().map(|tls| tls.configs()));
        watch.start().await?;
        worker.start().await?;
        let drain_timeout = config.drain_timeout;
        Ok(Self { door, worker, watch, journal, audit, secrets, tls, access, clock, drain_timeout })
    }

    /// The address that the service listens on, with its port.
    ///
    /// # Errors
    /// Those of reading a socket's address.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.door.address()
    }

    /// The files that are read again while the service runs.
    pub fn secrets(&self) -> Secrets {
        self.secrets.clone()
    }

    /// The audit file, to be opened again when it was moved away.
    pub fn audit(&self) -> Audit {
        self.audit.clone()
    }

    /// How often files were read again with a change.
    pub fn reloads(&self) -> impl Fn() -> Vec<ReloadCounts> + use<> {
        let (tls, access) = (self.tls.clone(), self.access.clone());
        move || {
            let callers = access.reloads().map(access::Reloads::counts);
            let tls = tls.iter().map(|tls| tls.reloads());
            tls.chain(callers.into_iter().flatten()).collect()
        }
    }

    /// A handle that tells how much the service holds, also while it runs.
    pub fn load(&self) -> Load {
        Load {
            worker: self.worker.clone(),
            watch: self.watch.clone(),
            readers: self.door.readers(),
            calls: self.door.calls(),
        }
    }

    /// Serves until `shutdown` is cancelled, then drains: new matches are refused, photos in memory
    /// go to Oz as far as the time allows, streams are told, and the other matches stay in the
    /// journal for the next start. All within the drain timeout.
    ///
    /// # Errors
    /// [`Lost`], after draining.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Lost> {
        let Self {
            door,
            worker,
            watch,
            journal,
            audit,
            secrets,
            tls: _,
            access,
            clock,
            drain_timeout,
        } = self;
        let (tasks, closing) = (TaskTracker::new(), CancellationToken::new());
        let (health, calls, connections) = (door.health(), door.calls(), door.connections());
        health.set(true).await;
        info!(health = SERVING, "health changed: the server serves");
        if let Some(replica) = audit.replica() {
            info!(replica, "audit file open: its records name this replica so");
        }
        let served = tasks.spawn(door.serve(closing.clone()));
        tasks.spawn(check_health(watch.clone(), health.clone(), clock.clone(), shutdown.clone()));
        tasks.spawn(secrets.poll(clock.clone(), closing.clone()));
        let fetching = closing.clone();
        tasks.spawn(async move {
            fetching.run_until_cancelled(access.keep_key_sets_fresh()).await;
        });
        let mut outcome = Ok(());
        tokio::select! {
            () = shutdown.cancelled() => {}
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

        info!(
            health = NOT_SERVING,
            reason = "SERVER_DRAINING",
            "health changed: the server drains"
        );
        let for_photos = drain_timeout.saturating_sub(CLOSING_MIN);
        let (photos_until, until) =
            (clock.now().after(for_photos), clock.now().after(drain_timeout));
        health.set(false).await;
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
        info!(journal.commits = commits, journal.lost_races = lost_races, "stopped");
        outcome
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

fn worker(
    config: &Config,
    journal: Handles,
    oz: oz::Client,
    watch: &Watch,
    access: &Access,
    store: &Outage,
    clock: &Clock,
) -> Worker {
    let watch = watch.clone();
    let with = worker::Collaborators {
        journal,
        oz: Arc::new(oz),
        clock: clock.clone(),
        progress: Arc::new(move |id, progress| watch.progress(id, progress)),
        chance: chance(),
        store: store.clone(),
        tenants: tenants_now(access),
    };
    Worker::new(worker_config(config), with)
}

/// Tells the tenants of the moment.
fn tenants_now(access: &Access) -> TenantsNow {
    let access = access.clone();
    Arc::new(move || access.tenants())
}

/// The source of all jitter.
fn chance() -> Arc<dyn Fn() -> f64 + Send + Sync> {
    Arc::new(rand::random::<f64>)
}

/// Opens the audit file, if there is one. `incarnation` names this run of this replica in its
/// records, as it does in the journal.
fn open_audit(config: &Config, incarnation: u64, clock: &Clock) -> Result<Audit, StartError> {
    let Some(path) = &config.audit_file else { return Ok(Audit::off()) };
    let mode = match config.audit_failure {
        config::AuditFailureMode::Refuse => audit::FailureMode::Refuse,
        config::AuditFailureMode::Log => audit::FailureMode::Log,
    };
    let replica = format!("{incarnation:016x}");
    Ok(Audit::open(path, mode, replica, clock.clone())?)
}

async fn bind(
    door: grpc::Config,
    access: Access,
    worker: &Worker,
    watch: &Watch,
    store: &Outage,
    clock: &Clock,
) -> Result<grpc::Bound, StartError> {
    let (worker, watch) = (worker.clone(), watch.clone());
    let (store, clock) = (store.clone(), clock.clone());
    let bound = grpc::Bound::bind(door, access, worker, watch, store, clock, chance()).await;
    bound.map_err(|source| StartError::Listen { address: door.listen, source })
}

fn door(config: &Config, digest_key: DigestKey) -> grpc::Config {
    grpc::Config {
        listen: config.listen,
        digest_key,
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
        reflection: match config.reflection {
            config::Reflection::Open => grpc::Reflection::Open,
            config::Reflection::Callers => grpc::Reflection::Callers,
            config::Reflection::Off => grpc::Reflection::Off,
        },
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
