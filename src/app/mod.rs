//! The composition root: knows every module, and no module knows it.
//!
//! It builds the service from its settings, runs it, and shuts everything down in order.

mod admin;
mod check;
pub mod commands;
#[cfg(all(feature = "cli", feature = "simulator"))]
mod demo;
mod doctor;
mod libraries;
mod load;
mod metrics;
mod notify;
mod parts;
mod process;
mod running;
mod secrets;
mod settings;
#[cfg(feature = "simulator")]
mod sim;
mod store;
#[cfg(all(feature = "cli", feature = "simulator"))]
mod testserver;
mod transport;

use std::{error::Error, io, net::SocketAddr, sync::Arc, time::Duration};

use futures_util::FutureExt;
use tokio_util::sync::CancellationToken;

pub use load::Load;
pub use secrets::Secrets;
pub use settings::Settings;

use crate::{
    access::{
        self, Access, ReloadCount, ReloadCounts,
        audit::{self, Audit},
        tls::Tls,
    },
    admin::AdminPort,
    app::{
        libraries::{TenantLibraries, UnusableLibrary},
        settings::LiveParts,
        store::Journal,
    },
    clock::Clock,
    config::{self, Config, Given},
    grpc, journal,
    metrics::Exposition,
    outage::Outage,
    telemetry::otlp::Export,
    trace::{DroppedSpans, Tracer},
    watch::Watch,
    web::LiveOrigins,
    worker::Worker,
};

/// Why a command failed.
type BoxError = Box<dyn Error + Send + Sync>;

/// Tells how often files were read again with a change.
type ReloadsNow = Arc<dyn Fn() -> Vec<ReloadCounts> + Send + Sync>;

/// The part of the drain timeout that is kept for closing connections, and the least time that each
/// step gets.
const CLOSING_MIN: Duration = Duration::from_millis(500);

/// The whole service, built and bound, its matches claimed; it serves once it runs.
pub struct App {
    door: grpc::Bound,
    web_origins: LiveOrigins,
    worker: Worker,
    watch: Watch,
    journal: Journal,
    audit: Audit,
    secrets: Secrets,
    access: Access,
    reloads: ReloadsNow,
    metrics: Exposition,
    admin: Option<AdminPort>,
    settings_reloads: Arc<ReloadCount>,
    tracer: Tracer,
    export: Export,
    clock: Clock,
    drain_delay: Duration,
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
    /// The address of the admin port can't be bound.
    #[error("--admin-listen: {address}: {source}")]
    AdminListen {
        /// The address that the settings name.
        address: SocketAddr,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The address of the port for browsers can't be bound.
    #[error("--web-listen: {address}: {source}")]
    WebListen {
        /// The address that the settings name.
        address: SocketAddr,
        /// The error of the operating system.
        source: io::Error,
    },
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
        let libraries = TenantLibraries::open_all(&config, &access, &clock)?;
        let (watched, measured) = (libraries.clone(), libraries.clone());
        secrets.also_async(move || watched.clone().look_again().boxed());
        let oz = parts::oz_client(&config, &secrets, &clock)?;
        let oz_metrics = oz.metrics().clone();
        // Before the journal, whose opening and claims may take long.
        let admin = admin::open(&config, &clock).await?;
        let traces = parts::prepare_traces(&config)?;
        libraries.check(&config).await?.iter().for_each(UnusableLibrary::log);
        let journal = Journal::open(&config, secrets.store_password(), &clock).await?;
        begun.journal = Some(journal.clone());
        let handles = journal.handles();
        let store = Outage::new("the store", clock.clone());
        let feed = handles.feed.clone();
        let digest_key = feed.identity.keys.digest;
        let incarnation = feed.identity.origin.incarnation;
        let (tracer, export) = parts::start_traces(traces, incarnation, &clock);
        let watch = Watch::new(parts::watch_config(&config), feed, store.clone(), clock.clone());
        let by =
            parts::WorkerParts { oz, libraries, watch: &watch, access: &access, tracer: &tracer };
        let worker = parts::worker(&config, handles, by, &store, &clock);
        begun.worker = Some(worker.clone());
        let door = parts::door(&config, digest_key);
        let web_origins = parts::web_origins(&config);
        let opened = async {
            let audit = parts::open_audit(&config, incarnation, &clock)?;
            let access = access.clone();
            let door = parts::bind(door, access, &worker, &watch, &store, &clock).await?;
            let door = parts::bind_web(door, &config, &web_origins).await?;
            Ok::<_, StartError>((audit.clone(), door.audited(audit).traced(tracer.clone())))
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
        let settings_reloads = Arc::<ReloadCount>::default();
        let own = [("settings", Arc::clone(&settings_reloads)), ("secrets", secrets.reloads())];
        let reloads = reloads(tls.clone(), access.clone(), own);
        let metrics = metrics::exposition(metrics::Measured {
            door: &door,
            worker: &worker,
            watch: &watch,
            journal: &journal,
            store: &store,
            oz: &oz_metrics,
            libraries: &measured,
            access: &access,
            audit: &audit,
            spans: tracer.dropped(),
            tls,
            reloads: Arc::clone(&reloads),
        });
        if let Some(admin) = &admin {
            admin.expose(metrics::scrapes(metrics.clone()));
        }
        watch.start().await?;
        worker.start().await?;
        // Calls wait at the bound address until it serves, a moment later.
        if let Some(admin) = &admin {
            admin.readiness().serving(admin::checks(&journal, &audit), admin::notes(&worker));
        }
        Ok(Self {
            door,
            web_origins,
            worker,
            watch,
            journal,
            audit,
            secrets,
            access,
            reloads,
            metrics,
            tracer,
            export,
            admin,
            settings_reloads,
            clock,
            drain_delay: config.drain_delay,
            drain_timeout: config.drain_timeout,
        })
    }

    /// The address that the service listens on, with its port.
    ///
    /// # Errors
    /// Those of reading a socket's address.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.door.address()
    }

    /// The base URL of the port for browsers, if there is one.
    pub fn web_url(&self) -> Option<String> {
        let scheme = if self.door.has_tls() { "https" } else { "http" };
        self.door.second_address().map(|address| format!("{scheme}://{address}"))
    }

    /// The address of the admin port, if there is one.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(AdminPort::address)
    }

    /// The files that are read again while the service runs.
    pub fn secrets(&self) -> Secrets {
        self.secrets.clone()
    }

    /// The audit file, to be opened again when it was moved away.
    pub fn audit(&self) -> Audit {
        self.audit.clone()
    }

    /// The settings, to be read again from what the service was started with.
    pub fn settings(&self, given: Given) -> Settings {
        let parts = LiveParts {
            worker: self.worker.clone(),
            access: self.access.clone(),
            reflection: self.door.reflection(),
            web_origins: self.web_origins.clone(),
            reloads: Arc::clone(&self.settings_reloads),
            clock: self.clock.clone(),
        };
        Settings::new(given, parts)
    }

    /// How often files were read again with a change.
    pub fn reloads(&self) -> impl Fn() -> Vec<ReloadCounts> + use<> {
        let reloads = Arc::clone(&self.reloads);
        move || reloads()
    }

    /// The metrics of the service.
    pub fn metrics(&self) -> Exposition {
        self.metrics.clone()
    }

    /// The number of spans that were lost.
    pub fn dropped_spans(&self) -> DroppedSpans {
        self.tracer.dropped()
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
}

fn reloads(
    tls: Option<Arc<Tls>>,
    access: Access,
    own: [(&'static str, Arc<ReloadCount>); 2],
) -> ReloadsNow {
    Arc::new(move || {
        let callers = access.reloads().map(access::Reloads::counts);
        let tls = tls.iter().map(|tls| tls.reloads());
        let own = own.iter().map(|(kind, count)| count.of(kind));
        tls.chain(callers.into_iter().flatten()).chain(own).collect()
    })
}
