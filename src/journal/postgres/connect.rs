//! How connections to the database are made, what they must be like, and what their errors mean.

use std::{fmt, str::FromStr, time::Duration};

use secrecy::{ExposeSecret, SecretString};
use sqlx::{
    ConnectOptions, PgConnection, PgPool,
    error::DatabaseError,
    postgres::{PgConnectOptions, PgDatabaseError, PgPoolOptions, PgSeverity},
    query_scalar, raw_sql,
};
use tokio::time;

/// How long making a connection may take.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a read waits for a connection; one that fails is tried again meanwhile.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);

/// How long one statement may take: an unlucky sync of a slow disk does. Whoever waits longer has
/// lost the connection without knowing it.
pub(super) const STATEMENT_TIMEOUT: Duration = Duration::from_secs(10);

/// After a failed try to connect, how long nobody tries again.
pub(super) const RECONNECT_PAUSE: Duration = Duration::from_millis(500);

/// Where the database is, and who we are there.
#[derive(Clone)]
pub(super) struct Database {
    options: PgConnectOptions,
}

/// What a failure says of the statement that failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Meaning {
    /// It did nothing, because somebody else was faster: it can be sent again at once.
    Raced,
    /// It did nothing: the database refused it.
    Refused,
    /// The connection or the database is gone, and whether it did anything is unknown.
    Unknown,
}

impl Database {
    /// What a `postgres://` URL names.
    pub(super) fn parse(url: &SecretString) -> sqlx::Result<Self> {
        check(url.expose_secret())?;
        let options = PgConnectOptions::from_str(url.expose_secret())?;
        let options = options.application_name("facematch").disable_statement_logging();
        Ok(Self { options })
    }

    /// A connection of one's own.
    pub(super) async fn connect(&self) -> sqlx::Result<PgConnection> {
        in_time(CONNECT_TIMEOUT, async {
            let mut connection = self.options.connect().await?;
            set_out(&mut connection).await?;
            Ok(connection)
        })
        .await
    }

    /// Connections for reading, made as they are needed.
    pub(super) fn readers(&self, connections_max: u32) -> PgPool {
        self.pool(connections_max)
    }

    /// A place for the one connection that listens.
    pub(super) fn listener(&self) -> PgPool {
        self.pool(1)
    }

    fn pool(&self, connections_max: u32) -> PgPool {
        PgPoolOptions::new()
            .max_connections(connections_max)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            // Many who read at once take turns: that is no news before it is an error.
            .acquire_slow_threshold(ACQUIRE_TIMEOUT)
            .max_lifetime(None)
            .idle_timeout(None)
            // Another trip for each read; whoever meets a dead connection takes the next one.
            .test_before_acquire(false)
            .after_connect(|connection, _| Box::pin(set_out(connection)))
            .connect_lazy_with(self.options.clone())
    }
}

/// What a URL may say after its question mark: what sqlx knows. Of anything else it would log the
/// value, which may be a piece of a password, and go on without.
const PARAMETERS: [&str; 18] = [
    "application_name",
    "dbname",
    "host",
    "hostaddr",
    "options",
    "password",
    "port",
    "ssl-ca",
    "ssl-cert",
    "ssl-key",
    "ssl-mode",
    "ssl-root-cert",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "statement-cache-capacity",
    "user",
];

/// Refuses what would be taken apart in the wrong places. A password with a slash in it would be
/// shown as the name of a database. Nothing of the URL is repeated.
fn check(url: &str) -> sqlx::Result<()> {
    let refused = |why: &str| Err(sqlx::Error::Configuration(why.into()));
    let (_, rest) = url.split_once("://").unwrap_or_default();
    let (place, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = place.split_once('/').unwrap_or((place, ""));
    let is_taken_apart = url.contains('#')
        || path.contains(['@', '/'])
        || parameters.contains('@')
        || authority.matches('@').count() > 1;
    if is_taken_apart {
        return refused(
            "characters such as / ? # @ in a user's name or password are written %2F %3F %23 %40",
        );
    }
    let name = |parameter: &str| parameter.split('=').next().unwrap_or_default().to_owned();
    let names = parameters.split('&').filter(|parameter| !parameter.is_empty()).map(name);
    let is_known =
        |name: &String| PARAMETERS.contains(&name.as_str()) || name.starts_with("options[");
    if !names.clone().all(|name| is_known(&name)) {
        return refused("it has a parameter that is not known here");
    }
    Ok(())
}

/// Without the password.
impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.options.get_host();
        let port = self.options.get_port();
        let database = self.options.get_database().unwrap_or_default();
        write!(f, "postgres://{host}:{port}/{database}")
    }
}

/// How statements are planned here: each looks up rows by their keys. A plan is kept for the life of
/// a connection, also one that was made while the tables were small and reading all of one was
/// cheapest; so that is not among the choices.
const PLANNING: [&str; 6] = [
    "SET enable_seqscan = off",
    "SET enable_bitmapscan = off",
    "SET enable_hashjoin = off",
    "SET enable_mergejoin = off",
    "SET plan_cache_mode = force_generic_plan",
    "SET jit = off",
];

/// Makes a new connection ready. An engine that doesn't know a setting plans as it likes. A standby
/// isn't connected to, as one may be for a moment while another takes over: what it has is old.
async fn set_out(connection: &mut PgConnection) -> sqlx::Result<()> {
    let read_only: String =
        query_scalar("SHOW transaction_read_only").fetch_one(&mut *connection).await?;
    if read_only != "off" {
        return Err(sqlx::Error::Io(std::io::Error::other("it can only be read: a standby?")));
    }
    for setting in PLANNING {
        match raw_sql(setting).execute(&mut *connection).await {
            Ok(_) | Err(sqlx::Error::Database(_)) => {}
            Err(failure) => return Err(failure),
        }
    }
    Ok(())
}

/// What `synchronous_commit` must be, so that whatever is committed is synced before we hear of it.
pub(super) const SYNCHRONOUS: &str = "on";

/// What `synchronous_commit` is.
pub(super) async fn synchronous_commit(connection: &mut PgConnection) -> sqlx::Result<String> {
    let shown = query_scalar("SHOW synchronous_commit").fetch_one(connection);
    in_time(STATEMENT_TIMEOUT, shown).await
}

/// What a statement came to, or that it took too long. Its connection is not to be used again
/// then: the answer may still come.
pub(super) async fn in_time<T>(
    limit: Duration,
    statement: impl Future<Output = sqlx::Result<T>>,
) -> sqlx::Result<T> {
    time::timeout(limit, statement).await.unwrap_or_else(|_| Err(late()))
}

/// No answer in time.
pub(super) fn late() -> sqlx::Error {
    sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())
}

/// What a failure says of the statement that failed. Codes are of the appendix "PostgreSQL Error
/// Codes" of PostgreSQL's manual.
pub(super) fn meaning(error: &sqlx::Error) -> Meaning {
    let sqlx::Error::Database(error) = error else {
        return Meaning::Unknown;
    };
    let code = error.code().unwrap_or_default();
    match &*code {
        // The key that orders commits.
        "23505" if error.constraint() == Some("commits_pkey") => Meaning::Raced,
        // serialization_failure, deadlock_detected.
        "40001" | "40P01" => Meaning::Raced,
        // statement_completion_unknown.
        "40003" => Meaning::Unknown,
        // The class of connection exceptions, and that of an operator's intervention.
        code if code.starts_with("08") || code.starts_with("57P") => Meaning::Unknown,
        _ if ends_connection(&**error) => Meaning::Unknown,
        _ => Meaning::Refused,
    }
}

/// Whether the connection is of no use any more.
pub(super) fn is_broken(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => false,
        sqlx::Error::Database(_) => meaning(error) == Meaning::Unknown,
        sqlx::Error::RowNotFound | sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. } => {
            false
        }
        _ => true,
    }
}

fn ends_connection(error: &dyn DatabaseError) -> bool {
    let error = error.try_downcast_ref::<PgDatabaseError>();
    error.is_some_and(|error| matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic))
}
