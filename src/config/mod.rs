//! The settings of `serve`: flags > environment > file > defaults, each checked when it is read.
//!
//! This is the only module that reads the environment. It deliberately opens nothing but the
//! settings file and the files of secrets: whether an address is free, or a journal can be opened,
//! is checked by the module that uses it.

mod about;
mod changed;
mod defaults;
mod error;
mod for_doctor;
mod live;
mod origins;
mod parse;
mod sample;
mod secret_file;
mod service_link;
mod settings;
mod source;
mod traces;
mod transport;

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

use secrecy::{ExposeSecret, SecretString};

pub use about::{About, Secrecy};
pub use changed::Changed;
pub use error::{Error, Problem, ValueOrigin};
pub use for_doctor::{DoctorSettings, LoadedForDoctor, load_for_doctor};
pub use live::{Given, LiveConfig, Reread, Values};
pub use origins::Origins;
pub use sample::settings_sample;
pub use secret_file::SecretFile;
pub use settings::{TABLE, live_settings, settings_markdown};
pub use source::{Environment, Flags};

pub use crate::text::one_line;
pub use traces::{Sampler, TracesConfig};
pub use transport::{ClientAuth, TlsConfig, WebConfig};

#[cfg(any(test, fuzzing))]
pub(crate) use source::fuzzing;

use settings as s;
use source::Sources;

/// All settings of `serve`, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// The address for callers.
    pub listen: SocketAddr,
    /// The files of TLS; `None` means plain text.
    pub tls: Option<TlsConfig>,
    /// The file with the callers; `None` means that calls aren't authenticated.
    pub callers_file: Option<PathBuf>,
    /// The port for browsers; `None` means that there is none.
    pub web: Option<WebConfig>,
    /// The location of the journal.
    pub store: StoreLocation,
    /// The file with the database's password.
    pub store_password_file: Option<SecretFile>,
    /// The access to Oz.
    pub oz: OzConfig,
    /// The photo library; `None` if the settings name none.
    pub library: Option<LibraryConfig>,
    /// The environment variables by which clouds name their credentials and stores.
    pub cloud_variables: BTreeMap<String, SecretString>,
    /// The time between two polls of one analysis.
    pub poll_interval: Duration,
    /// How long Oz may still work on a request whose answer was lost.
    pub oz_settle: Duration,
    /// The timeout of a match whose request sets none.
    pub match_timeout: Duration,
    /// How long a match that has lost its photo waits for its caller to send it again.
    pub photo_grace: Duration,
    /// How long a match is kept after its end.
    pub retention: Duration,
    /// The most unfinished matches at the same time.
    pub max_unfinished: u64,
    /// The memory for photos until Oz has them, in bytes.
    pub photo_memory: u64,
    /// The most connections at the same time.
    pub max_connections: usize,
    /// The most connections of one address at the same time; `None` means half of all.
    pub max_connections_per_address: Option<usize>,
    /// How long a connection may live, give or take a tenth.
    pub max_connection_age: Duration,
    /// How long a connection may stay open without a call.
    pub idle_timeout: Duration,
    /// The most open calls of one connection.
    pub max_streams: u32,
    /// The most bytes of a request's headers.
    pub max_header: u64,
    /// After how much silence a connection gets a keepalive ping.
    pub keepalive: Duration,
    /// The most open calls of all connections together.
    pub max_calls: usize,
    /// The memory for requests being received, without their photos, in bytes.
    pub request_memory: u64,
    /// How long the whole body of a request may take to arrive.
    pub receive_timeout: Duration,
    /// Who may use reflection.
    pub reflection: Reflection,
    /// How long an update may stay unread before its stream counts as stalled.
    pub stream_stall: Duration,
    /// After how much silence a stream sends a heartbeat.
    pub heartbeat: Duration,
    /// How long a replica may be silent before others take its matches.
    pub lease: Duration,
    /// How long a graceful shutdown may take.
    pub drain_timeout: Duration,
    /// How long calls are still served after health has turned NOT_SERVING.
    pub drain_delay: Duration,
    /// The address of the admin port; `None` means that there is none.
    pub admin_listen: Option<SocketAddr>,
    /// The audit file.
    pub audit_file: Option<PathBuf>,
    /// What happens to calls whose audit record can't be written.
    pub audit_failure: AuditFailureMode,
    /// Whether a crash may write the memory of the process to a disk.
    pub allow_core_dumps: bool,
    /// How traces are recorded; `None` if they are not.
    pub traces: Option<TracesConfig>,
    /// The format of the log.
    pub log: LogFormat,
    /// What is logged, as a list of directives.
    pub log_level: String,
    /// The settings that differ from their defaults, in a form that may be logged.
    pub changed: Changed,
    /// The origin of each value, for errors that other modules find.
    pub origins: Origins,
}

impl Config {
    /// The most connections of one address: the setting, or half of all connections.
    pub fn max_connections_per_address(&self) -> usize {
        self.max_connections_per_address.unwrap_or(self.max_connections.div_ceil(2))
    }
}

/// The photo library, as the settings name it. What a library needs is checked when it is opened.
#[derive(Debug, Clone)]
pub struct LibraryConfig {
    /// Where the photos are. May hold a password.
    pub url: SecretString,
    /// The SQL query that finds a photo.
    pub query: Option<String>,
    /// The file with the library's secret.
    pub secret_file: Option<PathBuf>,
    /// The file with the certificates to trust instead of the public ones.
    pub ca_file: Option<PathBuf>,
}

/// The access to Oz.
#[derive(Debug, Clone)]
pub struct OzConfig {
    /// The base URL, without a trailing slash.
    pub url: String,
    /// The credentials of the service at Oz.
    pub credentials: OzCredentials,
    /// The file that the password or the token came from, if it came from one.
    pub secret_file: Option<SecretFile>,
    /// PEM certificates to trust instead of the public ones.
    pub ca_file: Option<PathBuf>,
    /// The URL of a proxy; it may hold a password.
    pub proxy: Option<SecretString>,
    /// How long one request may take. Uploads are limited by lack of progress instead.
    pub timeout: Duration,
    /// How long opening a connection may take.
    pub connect_timeout: Duration,
    /// Whether requests carry the trace context of their match.
    pub trace_headers: bool,
    /// The most requests at the same time, of all replicas together.
    pub max_requests: usize,
    /// The most requests per second, of all replicas together; `None` means no limit.
    pub max_rate: Option<u32>,
}

/// The credentials of the service at Oz.
#[derive(Debug, Clone)]
pub enum OzCredentials {
    /// An account.
    Login {
        /// The account's e-mail address.
        login: String,
        /// The account's password.
        password: SecretString,
    },
    /// An access token, which is renewed outside of the service.
    Token(SecretString),
}

/// The location of the journal.
#[derive(Debug, Clone)]
pub enum StoreLocation {
    /// An SQLite file that only this process may use.
    Sqlite(PathBuf),
    /// The URL of a PostgreSQL database that replicas share; it may hold a password.
    Postgres(SecretString),
}

impl StoreLocation {
    /// The kind of the store, for the log: `sqlite` or `postgres`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "sqlite",
            Self::Postgres(_) => "postgres",
        }
    }
}

/// What happens to calls whose audit record can't be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditFailureMode {
    /// They are refused.
    Refuse,
    /// They are answered, and the failure is logged.
    Log,
}

/// The format of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object per line.
    Json,
}

/// Who may use reflection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reflection {
    /// Every peer.
    Open,
    /// Every caller with a valid credential.
    Callers,
    /// No caller.
    Off,
}

/// The target of messages that are logged at every level: errors that prevent the start or end the
/// process, and panics.
pub const ALWAYS_LOGGED: &str = "facematch::always";

/// The settings of the log, which are known even if another setting is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// The format of the log.
    pub format: LogFormat,
    /// What is logged, as a list of directives.
    pub level: String,
}

/// The settings, and the warnings about them.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The settings, or the error of the first wrong one.
    pub config: Result<Config, Error>,
    /// Warnings, one sentence each. They matter even with an error, since they may show its cause.
    pub warnings: Vec<String>,
    /// The settings of the log for the above.
    pub log: LogSettings,
    /// What the settings were read from, to read them again.
    pub given: Given,
}

/// Loads the settings of `serve`.
pub fn load(flags: Flags, environment: Environment) -> Loaded {
    let mut warnings = source::warnings(&flags, &environment);
    warnings.extend(traces::warnings(&environment));
    let mut sources = Sources::without_file(flags.clone(), environment.clone());
    let opened = sources.read_file();
    let given = Given::new(flags, environment, &sources);
    let log = log(&sources);
    let config = opened.and_then(|()| config(&sources));
    Loaded { config, warnings, log, given }
}

/// The log's settings. A wrong one falls back to its default, because its error has to be logged.
fn log(sources: &Sources) -> LogSettings {
    LogSettings {
        format: sources.get(&s::LOG).unwrap_or(LogFormat::Text),
        level: sources.get(&s::LOG_LEVEL).unwrap_or_else(|_| "info".to_owned()),
    }
}

fn config(sources: &Sources) -> Result<Config, Error> {
    Ok(Config {
        listen: transport::listen(sources)?,
        tls: transport::tls(sources)?,
        callers_file: sources.find(&s::CALLERS_FILE)?.map(|(path, _)| path),
        web: transport::web(sources)?,
        store: sources.get(&s::STORE)?,
        store_password_file: store_password_file(sources)?,
        oz: oz(sources)?,
        library: library(sources)?,
        cloud_variables: sources.environment().cloud_variables(),
        poll_interval: sources.get(&s::OZ_POLL_INTERVAL)?,
        oz_settle: sources.get(&s::OZ_SETTLE)?,
        match_timeout: sources.get(&s::MATCH_TIMEOUT)?,
        photo_grace: sources.get(&s::PHOTO_GRACE)?,
        retention: sources.get(&s::RETENTION)?,
        max_unfinished: sources.get(&s::MAX_UNFINISHED)?,
        photo_memory: sources.get(&s::PHOTO_MEMORY)?,
        max_connections: sources.get(&s::MAX_CONNECTIONS)?,
        max_connections_per_address: sources
            .find(&s::MAX_CONNECTIONS_PER_ADDRESS)?
            .map(|(count, _)| count),
        max_connection_age: sources.get(&s::MAX_CONNECTION_AGE)?,
        idle_timeout: sources.get(&s::IDLE_TIMEOUT)?,
        max_streams: sources.get(&s::MAX_STREAMS)?,
        max_header: sources.get(&s::MAX_HEADER)?,
        keepalive: sources.get(&s::KEEPALIVE)?,
        max_calls: sources.get(&s::MAX_CALLS)?,
        request_memory: sources.get(&s::REQUEST_MEMORY)?,
        receive_timeout: sources.get(&s::RECEIVE_TIMEOUT)?,
        reflection: sources.get(&s::REFLECTION)?,
        stream_stall: sources.get(&s::STREAM_STALL)?,
        heartbeat: sources.get(&s::HEARTBEAT)?,
        lease: sources.get(&s::LEASE)?,
        drain_timeout: sources.get(&s::DRAIN_TIMEOUT)?,
        drain_delay: sources.get(&s::DRAIN_DELAY)?,
        admin_listen: sources.find(&s::ADMIN_LISTEN)?.map(|(address, _)| address),
        audit_file: sources.find(&s::AUDIT_FILE)?.map(|(path, _)| path),
        audit_failure: sources.get(&s::AUDIT_FAILURE)?,
        allow_core_dumps: sources.get(&s::ALLOW_CORE_DUMPS)?,
        traces: traces::traces(sources)?,
        log: sources.get(&s::LOG)?,
        log_level: sources.get(&s::LOG_LEVEL)?,
        changed: Changed::of(sources),
        origins: Origins::of(sources),
    })
}

/// Finds the password file and reads it once, so that a wrong file is reported at the start.
fn store_password_file(sources: &Sources) -> Result<Option<SecretFile>, Error> {
    let Some((path, origin)) = sources.find(&s::STORE_PASSWORD_FILE)? else { return Ok(None) };
    let refuse =
        |problem| Err(Error::new(s::STORE_PASSWORD_FILE.about.name, problem, origin.clone()));
    match sources.get(&s::STORE)? {
        StoreLocation::Sqlite(_) => refuse(Problem::Unusable("is for a postgres:// store only")),
        StoreLocation::Postgres(url) if parse::url_holds_password(url.expose_secret()) => {
            refuse(Problem::Unusable("can't be combined with a password in the URL of --store"))
        }
        StoreLocation::Postgres(_) => {
            let file =
                SecretFile::new(&s::OZ_PASSWORD, &s::STORE_PASSWORD_FILE, path, origin.clone());
            file.read().map(|_| Some(file))
        }
    }
}

fn library(sources: &Sources) -> Result<Option<LibraryConfig>, Error> {
    let query = sources.find(&s::LIBRARY_QUERY)?;
    let secret_file = sources.find(&s::LIBRARY_SECRET_FILE)?;
    let ca_file = sources.find(&s::LIBRARY_CA_FILE)?;
    if let Some((url, _)) = sources.find(&s::LIBRARY)? {
        return Ok(Some(LibraryConfig {
            url,
            query: query.map(|(query, _)| query),
            secret_file: secret_file.map(|(path, _)| path),
            ca_file: ca_file.map(|(path, _)| path),
        }));
    }
    let alone = [
        (&s::LIBRARY_QUERY.about, query.map(|(_, origin)| origin)),
        (&s::LIBRARY_SECRET_FILE.about, secret_file.map(|(_, origin)| origin)),
        (&s::LIBRARY_CA_FILE.about, ca_file.map(|(_, origin)| origin)),
    ];
    match alone.into_iter().find_map(|(about, origin)| Some((about, origin?))) {
        Some((about, origin)) => Err(Error::new(about.name, Problem::Needs("library"), origin)),
        None => Ok(None),
    }
}

fn oz(sources: &Sources) -> Result<OzConfig, Error> {
    let url =
        sources.value(&s::OZ_URL, "the base URL of the Oz API, such as https://oz.example")?;
    let (credentials, secret_file) = credentials(sources)?;
    Ok(OzConfig {
        url,
        credentials,
        secret_file,
        ca_file: ca_file(sources)?,
        proxy: sources.find(&s::OZ_PROXY)?.map(|(url, _)| url),
        timeout: sources.get(&s::OZ_TIMEOUT)?,
        connect_timeout: sources.get(&s::OZ_CONNECT_TIMEOUT)?,
        trace_headers: sources.get(&s::OZ_TRACE_HEADERS)?,
        max_requests: sources.get(&s::OZ_MAX_REQUESTS)?,
        max_rate: sources.find(&s::OZ_MAX_RATE)?.map(|(rate, _)| rate),
    })
}

fn credentials(sources: &Sources) -> Result<(OzCredentials, Option<SecretFile>), Error> {
    let login = sources.find(&s::OZ_LOGIN)?;
    let password = sources.secret(&s::OZ_PASSWORD, &s::OZ_PASSWORD_FILE)?;
    let token = sources.secret(&s::OZ_TOKEN, &s::OZ_TOKEN_FILE)?;
    match (login, password, token) {
        (Some((login, _)), Some(password), None) => {
            Ok((OzCredentials::Login { login, password: password.value }, password.file))
        }
        (None, None, Some(token)) => Ok((OzCredentials::Token(token.value), token.file)),
        (Some((_, origin)), _, Some(token)) => Err(two(&s::OZ_LOGIN.about, origin, token.origin)),
        (None, Some(password), Some(token)) => {
            Err(two(&s::OZ_PASSWORD.about, password.origin, token.origin))
        }
        (Some((_, origin)), None, None) => {
            let problem = Problem::Needs("oz-password or --oz-password-file");
            Err(Error::new(s::OZ_LOGIN.about.name, problem, origin))
        }
        (None, Some(password), None) => {
            let problem = Problem::Needs("oz-login");
            Err(Error::new(s::OZ_PASSWORD.about.name, problem, password.origin))
        }
        (None, None, None) => {
            let hint = "with --oz-password or its file; or --oz-token or its file instead";
            Err(Error::bare(s::OZ_LOGIN.about.name, Problem::Missing { hint }))
        }
    }
}

fn two(about: &About, origin: ValueOrigin, token: ValueOrigin) -> Error {
    let elsewhere = Some(token).filter(|token| *token != origin);
    let problem = Problem::Conflict { other: s::OZ_TOKEN.about.name, origin: elsewhere };
    Error::new(about.name, problem, origin)
}

/// Finds the CA file and checks that it exists, so that a wrong path is reported at the start and
/// not at the first match.
fn ca_file(sources: &Sources) -> Result<Option<PathBuf>, Error> {
    let Some((path, origin)) = sources.find(&s::OZ_CA_FILE)? else { return Ok(None) };
    match std::fs::metadata(&path) {
        Ok(found) if found.is_file() => Ok(Some(path)),
        Ok(_) => {
            Err(Error::new(s::OZ_CA_FILE.about.name, Problem::Unusable("is not a file"), origin))
        }
        Err(error) => {
            let problem = Problem::Unreadable { path, why: error.to_string() };
            Err(Error::new(s::OZ_CA_FILE.about.name, problem, origin))
        }
    }
}

#[cfg(test)]
mod tests;
