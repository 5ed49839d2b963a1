//! How connections to the database are made, what they must be like, and what their errors mean.

use std::{fmt, sync::Arc, time::Duration};

use secrecy::{ExposeSecret, SecretString};
use sqlx::{
    AssertSqlSafe, ConnectOptions, PgConnection, PgPool, Row,
    error::DatabaseError,
    postgres::{PgConnectOptions, PgDatabaseError, PgPoolOptions, PgSeverity},
    query_as, query_scalar, raw_sql,
};
use tokio::{sync::watch, time};

use crate::journal::postgres::address::{self, Address, Malformed};

/// How long making a connection may take.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a read waits for a connection; one that fails is tried again meanwhile.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);

/// How long one statement may take: an unlucky sync of a slow disk does. Whoever waits longer has
/// lost the connection without knowing it.
pub(super) const STATEMENT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the start waits for a table that another session has locked. Sooner than
/// [`STATEMENT_TIMEOUT`], so that the database says so itself, and keeps no session waiting for a
/// start that was given up.
pub(super) const LOCK_TIMEOUT: &str = "SET lock_timeout = '5s'";

/// After a failed try to connect, how long nobody tries again.
pub(super) const RECONNECT_PAUSE: Duration = Duration::from_millis(500);

/// Where the database is, and who we are there.
#[derive(Clone)]
pub(super) struct Database {
    options: PgConnectOptions,
    /// What sets PostgreSQL's settings of the URL in a new session, if it has any.
    settings: Option<Arc<str>>,
    /// The password, if it may be replaced: each new connection takes the present one.
    password: Option<watch::Receiver<SecretString>>,
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
    /// What a `postgres://` URL names, with its own password or this one.
    pub(super) fn parse(
        url: &SecretString,
        password: Option<watch::Receiver<SecretString>>,
    ) -> Result<Self, Malformed> {
        let Address { connect, settings } = address::address(url.expose_secret())?;
        let settings = (!settings.is_empty()).then(|| setting(&settings).into());
        Ok(Self { options: connect.disable_statement_logging(), settings, password })
    }

    /// How to connect at this moment.
    fn options(&self) -> PgConnectOptions {
        match &self.password {
            Some(password) => self.options.clone().password(password.borrow().expose_secret()),
            None => self.options.clone(),
        }
    }

    /// A connection of one's own.
    pub(super) async fn connect(&self) -> sqlx::Result<PgConnection> {
        in_time(CONNECT_TIMEOUT, async {
            let mut connection = self.options().connect().await?;
            set_out(&mut connection, self.settings.as_deref()).await?;
            Ok(connection)
        })
        .await
    }

    /// A connection on which nothing was said yet.
    pub(super) async fn reach(&self) -> sqlx::Result<PgConnection> {
        in_time(CONNECT_TIMEOUT, self.options().connect()).await
    }

    /// Makes such a connection ready.
    pub(super) async fn set_out(&self, connection: &mut PgConnection) -> sqlx::Result<()> {
        in_time(CONNECT_TIMEOUT, set_out(connection, self.settings.as_deref())).await
    }

    /// Connections for reading, made as they are needed.
    pub(super) fn readers(&self, connections_max: u32) -> PgPool {
        self.pool(connections_max)
    }

    /// A place for the one connection that listens.
    pub(super) fn listener(&self) -> PgPool {
        self.pool(1)
    }

    /// Has a pool connect with the present password, whenever that is replaced.
    pub(super) async fn keep_password(mut self, pool: PgPool) {
        while let Some(password) = &mut self.password
            && password.changed().await.is_ok()
        {
            pool.set_connect_options(self.options());
        }
    }

    fn pool(&self, connections_max: u32) -> PgPool {
        let settings = self.settings.clone();
        PgPoolOptions::new()
            .max_connections(connections_max)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            // Many who read at once take turns: that is no news before it is an error.
            .acquire_slow_threshold(ACQUIRE_TIMEOUT)
            .max_lifetime(None)
            .idle_timeout(None)
            // Another trip for each read; whoever meets a dead connection takes the next one.
            .test_before_acquire(false)
            .after_connect(move |connection, _| {
                let settings = settings.clone();
                Box::pin(async move { set_out(connection, settings.as_deref()).await })
            })
            .connect_lazy_with(self.options())
    }
}

/// Without the password.
impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(socket) = self.options.get_socket() {
            let database = self.options.get_database().unwrap_or_default();
            return write!(f, "postgres:///{database}?host={}", socket.display());
        }
        let host = match self.options.get_host() {
            host if host.contains(':') => format!("[{host}]"),
            host => host.to_owned(),
        };
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

/// Makes a new connection ready. A standby is not connected to, as may happen for a moment while
/// another server takes over: what it has is old.
async fn set_out(connection: &mut PgConnection, settings: Option<&str>) -> sqlx::Result<()> {
    if let Some(settings) = settings {
        raw_sql(AssertSqlSafe(settings)).execute(&mut *connection).await?;
    }
    let shown = raw_sql("SHOW transaction_read_only").fetch_one(&mut *connection).await?;
    if shown.try_get::<&str, _>(0)? != "off" {
        return Err(sqlx::Error::Io(std::io::Error::other("it can only be read: a standby?")));
    }
    plan_with(connection, &PLANNING).await
}

/// The statement that sets these settings for a session.
fn setting(settings: &[(String, String)]) -> String {
    // Read the same whether the database takes a backslash for itself or not.
    let literal = |text: &str| format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"));
    let set = |(name, value): &(String, String)| {
        format!("set_config({}, {}, false)", literal(name), literal(value))
    };
    format!("SELECT {}", settings.iter().map(set).collect::<Vec<_>>().join(", "))
}

/// Has statements planned with these settings, as far as the engine knows them.
pub(super) async fn plan_with(
    connection: &mut PgConnection,
    settings: &[&'static str],
) -> sqlx::Result<()> {
    for setting in settings {
        let planned = raw_sql(*setting).execute(&mut *connection);
        match in_time(STATEMENT_TIMEOUT, planned).await {
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

/// The encoding that a database must have: an event may hold any character.
pub(super) const ENCODING: &str = "UTF8";

/// The encoding of the database.
pub(super) async fn encoding(connection: &mut PgConnection) -> sqlx::Result<String> {
    let shown = query_scalar("SHOW server_encoding").fetch_one(connection);
    in_time(STATEMENT_TIMEOUT, shown).await
}

/// How many connections our role may have at once, if that is limited: by itself or by the
/// database. A superuser is not held to it.
pub(super) async fn connections_allowed(
    connection: &mut PgConnection,
) -> sqlx::Result<Option<(String, u32)>> {
    const LIMIT: &str = "
        SELECT r.rolname::text, least(nullif(r.rolconnlimit, -1), nullif(d.datconnlimit, -1))
        FROM pg_roles AS r, pg_database AS d
        WHERE r.rolname = current_user AND d.datname = current_database() AND NOT r.rolsuper";
    let found = query_as(LIMIT).fetch_optional(connection);
    let found: Option<(String, Option<i32>)> = match in_time(STATEMENT_TIMEOUT, found).await {
        // An engine without these tables has no such limits.
        Err(sqlx::Error::Database(_)) => None,
        found => found?,
    };
    Ok(found.and_then(|(role, limit)| Some((role, u32::try_from(limit?).ok()?))))
}

/// What a failure says, in PostgreSQL's own words where it is PostgreSQL that says it, with the code
/// that its manual lists. sqlx adds the line of PostgreSQL's source.
pub(super) fn sentence(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(error) => {
            let detail =
                error.try_downcast_ref::<PgDatabaseError>().and_then(|error| error.detail());
            let detail = detail.map(|text| format!(", {text}")).unwrap_or_default();
            let code = error.code().unwrap_or_default();
            format!("PostgreSQL says: {}{detail} ({code})", error.message())
        }
        other => other.to_string(),
    }
}

/// Whether a failure says that there are too many connections already.
pub(super) fn lacks_connections(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|error| error.code()).is_some_and(|code| code == "53300")
}

/// What a statement came to, or that it took too long. Its connection is not to be used again
/// then: the answer may still come.
pub(super) async fn in_time<T>(
    limit: Duration,
    statement: impl Future<Output = sqlx::Result<T>>,
) -> sqlx::Result<T> {
    time::timeout(limit, statement).await.unwrap_or_else(|_| Err(late()))
}

/// Whether a failure is that no answer came in time.
pub(super) fn is_late(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Io(error) if error.kind() == std::io::ErrorKind::TimedOut)
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

/// Whether the database refuses what was to be written for good, by the code: a value that it
/// can't hold (class 22), one against its own rules (not null, check), or one too large for it
/// (class 54). The same statement fails the same way for ever.
pub fn is_permanent(error: &sqlx::Error) -> bool {
    let error = error.as_database_error().and_then(|error| error.try_downcast_ref());
    error.is_some_and(|error: &PgDatabaseError| {
        let code = error.code();
        code.starts_with("22") || code.starts_with("54") || ["23502", "23514"].contains(&code)
    })
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
