//! Makes the parts of the service, each with its own settings.

use std::{num::NonZeroU32, sync::Arc};

use secrecy::ExposeSecret;

use crate::{
    access::{
        Access,
        audit::{self, Audit},
    },
    app::{StartError, libraries::TenantLibraries, secrets::Secrets, settings},
    clock::Clock,
    config::{self, Config},
    domain::{DigestKey, Policy, TenantsNow},
    grpc,
    journal::Handles,
    outage::Outage,
    oz::{self, Keychain},
    telemetry::otlp::{self, Export},
    trace::Tracer,
    watch::{self, Watch},
    web::{LiveOrigins, Web, WebRules},
    worker::{self, Worker},
};

/// What a worker is built from, beside the journal.
pub struct WorkerParts<'a> {
    pub oz: oz::Client,
    pub libraries: TenantLibraries,
    pub watch: &'a Watch,
    pub access: &'a Access,
    pub tracer: &'a Tracer,
}

/// Prepares the export of traces, if there is one.
pub fn prepare_traces(config: &Config) -> Result<Option<otlp::Prepared>, config::Error> {
    let prepared = config.traces.clone().map(otlp::prepare).transpose();
    prepared.map_err(|refused| config.origins.refused("otlp-endpoint", refused.to_string()))
}

/// Starts the export of traces, if there is one. The incarnation names this run of this replica, as
/// it does in the journal and in the audit file.
pub fn start_traces(
    prepared: Option<otlp::Prepared>,
    incarnation: u64,
    clock: &Clock,
) -> (Tracer, Export) {
    match prepared {
        Some(prepared) => prepared.start(&format!("{incarnation:016x}"), clock, otlp::random_ids()),
        None => (Tracer::off(), Export::default()),
    }
}

pub fn worker(
    config: &Config,
    journal: Handles,
    WorkerParts { oz, libraries, watch, access, tracer }: WorkerParts<'_>,
    store: &Outage,
    clock: &Clock,
) -> Worker {
    let watch = watch.clone();
    let with = worker::Collaborators {
        journal,
        oz: Arc::new(oz),
        libraries: Arc::new(libraries),
        clock: clock.clone(),
        progress: Arc::new(move |id, progress| watch.progress(id, progress)),
        chance: chance(),
        store: store.clone(),
        tenants: tenants_now(access),
        tracer: tracer.clone(),
    };
    Worker::new(worker_config(config), with)
}

/// Tells the tenants of the moment.
pub fn tenants_now(access: &Access) -> TenantsNow {
    let access = access.clone();
    Arc::new(move || access.tenants())
}

/// The source of all jitter.
pub fn chance() -> Arc<dyn Fn() -> f64 + Send + Sync> {
    Arc::new(rand::random::<f64>)
}

/// Opens the audit file, if there is one. `incarnation` names this run of this replica in its
/// records, as it does in the journal.
pub fn open_audit(config: &Config, incarnation: u64, clock: &Clock) -> Result<Audit, StartError> {
    let Some(path) = &config.audit_file else { return Ok(Audit::off()) };
    let mode = match config.audit_failure {
        config::AuditFailureMode::Refuse => audit::FailureMode::Refuse,
        config::AuditFailureMode::Log => audit::FailureMode::Log,
    };
    let replica = format!("{incarnation:016x}");
    Ok(Audit::open(path, mode, replica, clock.clone())?)
}

pub async fn bind(
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

/// The origins whose pages may call the port for browsers.
pub fn web_origins(config: &Config) -> LiveOrigins {
    LiveOrigins::new(config.web.as_ref().map_or(&[], |web| &web.origins))
}

/// Binds the address of the port for browsers, if there is one.
pub async fn bind_web(
    door: grpc::Bound,
    config: &Config,
    origins: &LiveOrigins,
) -> Result<grpc::Bound, StartError> {
    let Some(named) = &config.web else { return Ok(door) };
    let settings = WebRules { origins: origins.clone(), is_read_only: named.read_only };
    let bound = door.with_second_door(named.listen, Arc::new(Web::new(settings))).await;
    bound.map_err(|source| StartError::WebListen { address: named.listen, source })
}

pub fn door(config: &Config, digest_key: DigestKey) -> grpc::Config {
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
        reflection: settings::reflection(config.reflection),
        stream_stall: config.stream_stall,
    }
}

pub const fn watch_config(config: &Config) -> watch::Config {
    watch::Config { heartbeat: config.heartbeat }
}

pub fn worker_config(config: &Config) -> worker::Config {
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

/// The client of Oz, which reads the file of certificates that the settings name.
pub fn oz_client(
    config: &Config,
    secrets: &Secrets,
    clock: &Clock,
) -> Result<oz::Client, config::Error> {
    oz::Client::new(oz_config(&config.oz, secrets.keychain()), clock.clone(), chance())
        .map_err(|refused| config.origins.refused(refused.setting(), refused.why()))
}

pub fn oz_config(config: &config::OzConfig, keychain: Option<Arc<dyn Keychain>>) -> oz::Config {
    let credentials = match &config.credentials {
        config::OzCredentials::Login { login, password } => {
            oz::Credentials::Login { email: login.clone(), password: password.clone() }
        }
        config::OzCredentials::Token(token) => oz::Credentials::Token(token.clone()),
    };
    oz::Config {
        keychain,
        ca_file: config.ca_file.clone(),
        proxy: config.proxy.as_ref().map(|url| url.expose_secret().to_owned()),
        trace_headers: config.trace_headers,
        timeout: config.timeout,
        connect_timeout: config.connect_timeout,
        ..oz::Config::new(config.url.clone(), credentials)
    }
}
