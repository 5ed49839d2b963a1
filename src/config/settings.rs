//! The table of the settings of `serve`, from which the flags, the help text and the table of docs
//! are made.
//!
//! It deliberately doesn't say where a value comes from: see `source`.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use secrecy::SecretString;

use super::{
    AuditFailureMode, ClientAuth, LogFormat, Reflection, StoreLocation,
    about::{About, Secrecy, Setting},
    parse,
};

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

const fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

const fn days(days: u64) -> Duration {
    minutes(24 * 60 * days)
}

const TIB: u64 = 1 << 40;

// The limits are wide: they refuse values that can't work, not values that are unwise.

pub static CONFIG: Setting<PathBuf> = Setting::without(
    "config",
    "FILE",
    "a TOML file with these settings, its keys being the flags without dashes in front; unknown \
     keys are refused",
    parse::path,
);

pub static LISTEN: Setting<SocketAddr> = Setting::with(
    "listen",
    "ADDRESS",
    "127.0.0.1:50051",
    "where callers connect; port 0 takes any free one",
    parse::address,
);

pub static ALLOW_PLAINTEXT: Setting<bool> = Setting::switch(
    "allow-plaintext",
    "lets --listen and --web-listen name another address than the loopback without TLS, where a \
     proxy terminates it",
);

pub static ALLOW_ANONYMOUS: Setting<bool> = Setting::switch(
    "allow-anonymous",
    "lets --listen and --web-listen name another address than the loopback without --callers-file: \
     every caller that reaches the port may then do everything",
);

pub static TLS_CERT_FILE: Setting<PathBuf> = Setting::without(
    "tls-cert-file",
    "FILE",
    "the server's certificate in PEM, then those of its issuers: callers connect with TLS; read \
     again when it changes and on SIGHUP, together with the other --tls-… files",
    parse::path,
);

pub static TLS_KEY_FILE: Setting<PathBuf> = Setting::without(
    "tls-key-file",
    "FILE",
    "the private key of the certificate, in PEM and not encrypted",
    parse::path,
);

pub static TLS_CLIENT_CA_FILE: Setting<PathBuf> = Setting::without(
    "tls-client-ca-file",
    "FILE",
    "the certificate authorities that issue client certificates, in PEM",
    parse::path,
);

pub static TLS_CLIENT_CRL_FILE: Setting<PathBuf> = Setting::without(
    "tls-client-crl-file",
    "FILE",
    "the revocation lists of these authorities, in PEM; it must hold one of each issuer, \
     intermediate ones included: certificates of other issuers are refused",
    parse::path,
);

pub static TLS_CLIENT_AUTH: Setting<ClientAuth> = Setting::without(
    "tls-client-auth",
    "MODE",
    "off, optional or required: whether callers have to present a client certificate; required \
     once --tls-client-ca-file is set, else off",
    parse::client_auth,
);

pub static CALLERS_FILE: Setting<PathBuf> = Setting::without(
    "callers-file",
    "FILE",
    "a TOML file with the callers, their credentials and their tenants; without it, calls aren't \
     authenticated and belong to the tenant default; read again when it changes and on SIGHUP",
    parse::path,
);

pub static WEB_LISTEN: Setting<SocketAddr> = Setting::without(
    "web-listen",
    "ADDRESS",
    "where browsers and curl connect, by HTTP/1.1 or HTTP/2: see web.md; with TLS, callers and \
     limits as on --listen, which stays for gRPC alone",
    parse::address,
);

pub static WEB_ORIGINS: Setting<Vec<String>> = Setting::without(
    "web-origins",
    "ORIGINS",
    "the origins whose pages may call --web-listen, such as https://desk.example, separated by \
     commas; without TLS, names by which the port itself is reached belong here too; * admits \
     every page and name, and is refused together with callers",
    parse::origins,
)
.live();

pub static WEB_READ_ONLY: Setting<bool> = Setting::switch(
    "web-read-only",
    "refuses the calls of --web-listen that change matches: RunMatch, CreateMatch, CancelMatch and \
     DeleteMatch",
);

pub static STORE: Setting<StoreLocation> = Setting::with(
    "store",
    "STORE",
    "sqlite:facematch.db",
    "where the journal lies: a file that this process alone may use, or postgres://… for many replicas",
    parse::store,
)
.hiding(Secrecy::PasswordInUrl);

pub static STORE_PASSWORD_FILE: Setting<PathBuf> = Setting::without(
    "store-password-file",
    "FILE",
    "a file that holds the password for a postgres:// store, so that no URL with a secret stands \
     in a list of processes; read again when it changes, for new connections",
    parse::path,
);

pub static OZ_URL: Setting<String> = Setting::without(
    "oz-url",
    "URL",
    "the base URL of the Oz API, from the vendor; required",
    parse::oz_url,
)
.hiding(Secrecy::PasswordInUrl);

pub static OZ_LOGIN: Setting<String> = Setting::without(
    "oz-login",
    "LOGIN",
    "the Oz account, together with a password; this or a token is required",
    parse::text,
)
.hiding(Secrecy::Account);

pub static OZ_PASSWORD: Setting<SecretString> = Setting::without(
    "oz-password",
    "PASSWORD",
    "its password; other users of the machine can read flags, so prefer the file",
    parse::secret,
)
.hiding(Secrecy::Secret);

pub static OZ_PASSWORD_FILE: Setting<PathBuf> = Setting::without(
    "oz-password-file",
    "FILE",
    "a file that holds the password; a line break at its end is dropped; read again when it \
     changes, when Oz refuses the password, and on SIGHUP",
    parse::path,
);

pub static OZ_TOKEN: Setting<SecretString> = Setting::without(
    "oz-token",
    "TOKEN",
    "an Oz access token, instead of an account",
    parse::token,
)
.hiding(Secrecy::Secret);

pub static OZ_TOKEN_FILE: Setting<PathBuf> = Setting::without(
    "oz-token-file",
    "FILE",
    "a file that holds the token; a line break at its end is dropped; read again when it changes, \
     when Oz refuses the token, and on SIGHUP",
    parse::path,
);

pub static OZ_CA_FILE: Setting<PathBuf> = Setting::without(
    "oz-ca-file",
    "FILE",
    "PEM certificates to trust instead of the public ones, for an Oz behind a private CA",
    parse::path,
);

pub static OZ_PROXY: Setting<SecretString> = Setting::without(
    "oz-proxy",
    "URL",
    "a proxy for the requests to Oz; proxy variables of the environment are not read",
    parse::proxy,
)
.hiding(Secrecy::PasswordInUrl);

pub static OZ_TRACE_HEADERS: Setting<bool> = Setting::with(
    "oz-trace-headers",
    "MODE",
    "on",
    "on or off: whether requests to Oz carry the headers traceparent and tracestate; off for an Oz \
     behind a gateway that refuses unknown headers",
    parse::on_or_off,
);

pub static OZ_POLL_INTERVAL: Setting<Duration> = Setting::with(
    "oz-poll-interval",
    "DURATION",
    "1s",
    "between two polls of an analysis; Oz asks for no less than 1s",
    |text| parse::duration(text, ms(10)..=minutes(1)),
);

pub static OZ_TIMEOUT: Setting<Duration> = Setting::with(
    "oz-timeout",
    "DURATION",
    "30s",
    "for one request to Oz; an upload is limited by lack of progress instead",
    |text| parse::duration(text, ms(100)..=minutes(10)),
);

pub static OZ_CONNECT_TIMEOUT: Setting<Duration> = Setting::with(
    "oz-connect-timeout",
    "DURATION",
    "5s",
    "for opening a connection to Oz",
    |text| parse::duration(text, ms(100)..=minutes(1)),
);

pub static OZ_MAX_REQUESTS: Setting<usize> = Setting::with(
    "oz-max-requests",
    "NUMBER",
    "512",
    "requests to Oz at once, logins included, of all replicas together; without a cap, 20,000 \
     polls would open 20,000 sockets",
    |text| parse::count(text, 1..=65_536),
)
.live();

// The clock counts microseconds, so it can't space more than a million requests a second.
pub static OZ_MAX_RATE: Setting<u32> = Setting::without(
    "oz-max-rate",
    "NUMBER",
    "requests to Oz a second, logins not counted, of all replicas together; beyond it, all \
     matches are polled less often",
    |text| parse::count(text, 1..=1_000_000),
)
.live();

pub static OZ_SETTLE: Setting<Duration> = Setting::with(
    "oz-settle",
    "DURATION",
    "5s",
    "after an answer was lost: how long Oz may still work on the request before it is looked for \
     once more and sent again",
    |text| parse::duration(text, ms(0)..=minutes(10)),
);

pub static LIBRARY: Setting<SecretString> = Setting::without(
    "library",
    "URL",
    "the photo library from which photos are read by their reference_key: file:///dir, \
     s3://bucket/prefix, gs://…, azure://…, https://host/photos/{key}, postgres://… or mysql://…; \
     see library.md. Tenants of a callers file have libraries of their own there",
    parse::library,
)
.hiding(Secrecy::PasswordInUrl);

pub static LIBRARY_QUERY: Setting<String> = Setting::without(
    "library-query",
    "SQL",
    "the query of a library in a database: one parameter, the key, and one binary column, the \
     photo, such as SELECT photo FROM customers WHERE id = $1",
    parse::text,
);

pub static LIBRARY_SECRET_FILE: Setting<PathBuf> = Setting::without(
    "library-secret-file",
    "FILE",
    "a file that holds the library's secret: the password of the database, or a bearer token for \
     https://; read again when it changes and on SIGHUP",
    parse::path,
);

pub static LIBRARY_CA_FILE: Setting<PathBuf> = Setting::without(
    "library-ca-file",
    "FILE",
    "PEM certificates to trust for a library behind a private CA: instead of the public ones, or \
     beside them for a database; read again when it changes and on SIGHUP",
    parse::path,
);

pub static MATCH_TIMEOUT: Setting<Duration> = Setting::with(
    "match-timeout",
    "DURATION",
    "20m",
    "how long a match may take if its caller sets no timeout; Oz may take 16 minutes",
    |text| parse::duration(text, ms(1)..=days(1)),
);

pub static PHOTO_GRACE: Setting<Duration> = Setting::with(
    "photo-grace",
    "DURATION",
    "60s",
    "how long a match whose photo died with its server waits for its caller to send it again",
    |text| parse::duration(text, ms(0)..=days(1)),
);

pub static RETENTION: Setting<Duration> = Setting::with(
    "retention",
    "DURATION",
    "30d",
    "how long a match is kept after its end; it is erased within a minute after that",
    |text| parse::duration(text, ms(1)..=days(3_650)),
)
.live();

pub static MAX_UNFINISHED: Setting<u64> = Setting::with(
    "max-unfinished",
    "NUMBER",
    "100000",
    "unfinished matches at once; new ones beyond it are refused as OVERLOADED, and none beyond it are \
     taken over from other replicas or an earlier start; taking over comes before new matches",
    |text| parse::count(text, 1..=10_000_000),
)
.live();

pub static PHOTO_MEMORY: Setting<u64> = Setting::with(
    "photo-memory",
    "SIZE",
    "512MiB",
    "for photos on their way to Oz, those still being received included; what finds no room is refused as overload",
    |text| parse::size(text, 1_024..=TIB),
);

pub static MAX_CONNECTIONS: Setting<usize> = Setting::with(
    "max-connections",
    "NUMBER",
    "10000",
    "of callers at once; more are closed as soon as they are made, since Oz and the store need \
     descriptors too",
    |text| parse::count(text, 1..=1_000_000),
);

pub static MAX_CONNECTIONS_PER_ADDRESS: Setting<usize> = Setting::without(
    "max-connections-per-address",
    "NUMBER",
    "connections of one address (an IPv4 address, or the first 64 bits of an IPv6 address) at once; \
     half of --max-connections unless set, so that no address can hold them all: set it higher \
     where all callers come through one proxy",
    |text| parse::count(text, 1..=1_000_000),
);

pub static MAX_CONNECTION_AGE: Setting<Duration> = Setting::with(
    "max-connection-age",
    "DURATION",
    "1h",
    "give or take a tenth: a connection that old is closed in order, so that load reaches new \
     replicas; calls on it may go on for as long again, 10m at most, before their streams are \
     told to resume",
    |text| parse::duration(text, ms(100)..=days(30)),
);

pub static IDLE_TIMEOUT: Setting<Duration> = Setting::with(
    "idle-timeout",
    "DURATION",
    "30m",
    "how long a connection may be without a call, pings or not, before it is closed in order; \
     clients reconnect with their next call",
    |text| parse::duration(text, ms(100)..=days(1)),
);

pub static MAX_STREAMS: Setting<u32> = Setting::with(
    "max-streams",
    "NUMBER",
    "20000",
    "calls at once on one connection; the transport's own default is no limit",
    |text| parse::count(text, 1..=1_000_000),
);

pub static MAX_HEADER: Setting<u64> = Setting::with(
    "max-header",
    "SIZE",
    "64KiB",
    "for the headers of one call, each counted with 32 bytes more; above what any client sends",
    |text| parse::size(text, 4_096..=16 << 20),
);

pub static KEEPALIVE: Setting<Duration> = Setting::with(
    "keepalive",
    "DURATION",
    "60s",
    "of silence before a connection is pinged; without an answer within the same time, 20s at most, \
     it is closed",
    |text| parse::duration(text, ms(100)..=minutes(60)),
);

pub static MAX_CALLS: Setting<usize> = Setting::with(
    "max-calls",
    "NUMBER",
    "50000",
    "open calls of all connections, from their headers to the end of their answers; beyond its \
     share of them, a connection is refused as OVERLOADED; an open call takes 8KiB to 13KiB",
    |text| parse::count(text, 1..=10_000_000),
);

pub static REQUEST_MEMORY: Setting<u64> = Setting::with(
    "request-memory",
    "SIZE",
    "64MiB",
    "for all requests that are being received, headers included and photos apart; no request may \
     be over 64KiB beside its photo, and no connection has more than its share; answers that wait \
     to be read may take as much again",
    // The least value has room for the largest request.
    |text| parse::size(text, 256 << 10..=TIB),
);

pub static RECEIVE_TIMEOUT: Setting<Duration> = Setting::with(
    "receive-timeout",
    "DURATION",
    "60s",
    "for the whole body of a request; an upload that brings less than 256KiB in 20s, and not its \
     rest, is ended sooner",
    |text| parse::duration(text, ms(100)..=minutes(60)),
);

pub static STREAM_STALL: Setting<Duration> = Setting::with(
    "stream-stall",
    "DURATION",
    "2m",
    "how long an update may lie unread before its stream is ended as UPDATES_UNREAD; a \
     caller that reads again resumes",
    |text| parse::duration(text, ms(100)..=days(1)),
);

pub static HEARTBEAT: Setting<Duration> = Setting::with(
    "heartbeat",
    "DURATION",
    "20s",
    "of silence before a stream says that it is alive; proxies cut at 60s to 5m",
    |text| parse::duration(text, ms(100)..=minutes(5)),
);

pub static LEASE: Setting<Duration> = Setting::with(
    "lease",
    "DURATION",
    "10s",
    "how long a replica may be silent before others take its matches; PostgreSQL only",
    |text| parse::duration(text, ms(1_000)..=minutes(5)),
);

pub static DRAIN_TIMEOUT: Setting<Duration> = Setting::with(
    "drain-timeout",
    "DURATION",
    "30s",
    "for a graceful shutdown after SIGTERM; a second signal ends it at once",
    |text| parse::duration(text, ms(0)..=minutes(60)),
);

pub static DRAIN_DELAY: Setting<Duration> = Setting::with(
    "drain-delay",
    "DURATION",
    "0s",
    "after SIGTERM: how long calls are still served after health has turned NOT_SERVING and /readyz \
     503, since balancers notice that late; comes before --drain-timeout",
    |text| parse::duration(text, ms(0)..=minutes(10)),
);

pub static REFLECTION: Setting<Reflection> = Setting::with(
    "reflection",
    "WHO",
    "open",
    "who may ask the port for the contract by gRPC reflection: open (every peer), callers (those \
     with a valid credential) or off",
    parse::reflection,
)
.live();

pub static ADMIN_LISTEN: Setting<SocketAddr> = Setting::without(
    "admin-listen",
    "ADDRESS",
    "where the admin port answers /livez, /readyz, /metrics and /version over plain HTTP, without \
     authentication; nothing there is secret, but admit only monitoring; see operating.md",
    parse::address,
);

pub static AUDIT_FILE: Setting<PathBuf> = Setting::without(
    "audit-file",
    "FILE",
    "a file for one line of JSON on each call, chained by hashes and written before its answer; \
     this process alone may write it, and it may be moved away at any time: see audit.md",
    parse::path,
);

pub static AUDIT_FAILURE: Setting<AuditFailureMode> = Setting::with(
    "audit-failure",
    "MODE",
    "refuse",
    "what happens to calls while the audit file can't be written: refuse (AUDIT_UNAVAILABLE, \
     without an effect) or log (they go on without a line)",
    parse::audit_failure,
);

pub static OTLP_ENDPOINT: Setting<String> = Setting::without(
    "otlp-endpoint",
    "URL",
    "a collector of OpenTelemetry that takes traces over gRPC; without it, or \
     OTEL_EXPORTER_OTLP_ENDPOINT, no traces are recorded: see tracing.md",
    parse::otlp_endpoint,
)
.hiding(Secrecy::PasswordInUrl);

pub static ALLOW_CORE_DUMPS: Setting<bool> = Setting::switch(
    "allow-core-dumps",
    "lets a crash write the memory of the process to a disk, photos and secrets included, and lets \
     other processes of its user read that memory; Linux only, elsewhere the system's limits apply",
);

pub static LOG: Setting<LogFormat> =
    Setting::with("log", "FORMAT", "text", "the form of the log: text or json", parse::log_format);

pub static LOG_LEVEL: Setting<String> = Setting::with(
    "log-level",
    "LEVEL",
    "info",
    "what is logged: off, error, warn, info, debug, trace, or such as warn,facematch=debug",
    parse::log_level,
)
.live();

/// Every setting, in the order of the help text and of docs/settings.md.
pub static TABLE: [&About; 62] = [
    &CONFIG.about,
    &LISTEN.about,
    &ALLOW_PLAINTEXT.about,
    &ALLOW_ANONYMOUS.about,
    &TLS_CERT_FILE.about,
    &TLS_KEY_FILE.about,
    &TLS_CLIENT_CA_FILE.about,
    &TLS_CLIENT_CRL_FILE.about,
    &TLS_CLIENT_AUTH.about,
    &CALLERS_FILE.about,
    &WEB_LISTEN.about,
    &WEB_ORIGINS.about,
    &WEB_READ_ONLY.about,
    &STORE.about,
    &STORE_PASSWORD_FILE.about,
    &OZ_URL.about,
    &OZ_LOGIN.about,
    &OZ_PASSWORD.about,
    &OZ_PASSWORD_FILE.about,
    &OZ_TOKEN.about,
    &OZ_TOKEN_FILE.about,
    &OZ_CA_FILE.about,
    &OZ_PROXY.about,
    &OZ_TRACE_HEADERS.about,
    &OZ_POLL_INTERVAL.about,
    &OZ_TIMEOUT.about,
    &OZ_CONNECT_TIMEOUT.about,
    &OZ_MAX_REQUESTS.about,
    &OZ_MAX_RATE.about,
    &OZ_SETTLE.about,
    &LIBRARY.about,
    &LIBRARY_QUERY.about,
    &LIBRARY_SECRET_FILE.about,
    &LIBRARY_CA_FILE.about,
    &MATCH_TIMEOUT.about,
    &PHOTO_GRACE.about,
    &RETENTION.about,
    &MAX_UNFINISHED.about,
    &PHOTO_MEMORY.about,
    &MAX_CONNECTIONS.about,
    &MAX_CONNECTIONS_PER_ADDRESS.about,
    &MAX_CONNECTION_AGE.about,
    &IDLE_TIMEOUT.about,
    &MAX_STREAMS.about,
    &MAX_HEADER.about,
    &KEEPALIVE.about,
    &MAX_CALLS.about,
    &REQUEST_MEMORY.about,
    &RECEIVE_TIMEOUT.about,
    &STREAM_STALL.about,
    &HEARTBEAT.about,
    &LEASE.about,
    &DRAIN_TIMEOUT.about,
    &DRAIN_DELAY.about,
    &REFLECTION.about,
    &ADMIN_LISTEN.about,
    &AUDIT_FILE.about,
    &AUDIT_FAILURE.about,
    &OTLP_ENDPOINT.about,
    &ALLOW_CORE_DUMPS.about,
    &LOG.about,
    &LOG_LEVEL.about,
];

/// The names of the settings that may change while the service runs, in the order of the table.
pub fn live_settings() -> impl Iterator<Item = &'static str> {
    TABLE.iter().filter(|about| about.is_live).map(|about| about.name)
}

/// The settings as a Markdown table, exactly as docs/settings.md shows it.
pub fn settings_markdown() -> String {
    let head = "| flag | environment | default | what and why |\n| --- | --- | --- | --- |\n";
    TABLE.iter().fold(head.to_owned(), |table, about| table + &row(about))
}

fn row(about: &About) -> String {
    let default = about.default.map_or("none".to_owned(), |text| format!("`{text}`"));
    format!("| `--{}` | `{}` | {default} | {} |\n", about.name, about.variable(), about.reason)
}
