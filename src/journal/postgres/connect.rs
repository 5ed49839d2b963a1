//! Makes connections to the database, checks and configures them, and classifies their errors.

use std::{fmt, sync::Arc, time::Duration};

use secrecy::{ExposeSecret, SecretString};
use sqlx::{
    AssertSqlSafe, ConnectOptions, PgConnection, PgPool, Row,
    error::DatabaseError,
    postgres::{PgConnectOptions, PgDatabaseError, PgPoolOptions, PgSeverity},
    query_as, query_scalar, raw_sql,
};
use tokio::{sync::watch, time};

use crate::database_url::{
    Malformed,
    postgres::{self, Address},
};

/// How long making a connection may take.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a read waits for a connection from a pool, which retries failed connections meanwhile.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);

/// How long one statement may take: a slow disk's sync may take nearly as long. After that the
/// connection counts as lost.
pub(super) const STATEMENT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a start waits for a table that another session has locked. Shorter than
/// [`STATEMENT_TIMEOUT`], so that the database itself reports the lock, and no session goes on
/// waiting for a start that has been given up.
pub(super) const LOCK_TIMEOUT: &str = "SET lock_timeout = '5s'";

/// The pause between a failed attempt to connect and the next.
pub(super) const RECONNECT_PAUSE: Duration = Duration::from_millis(500);

/// Where the database is, and the role and settings that each new session has there.
#[derive(Clone)]
pub(super) struct Database {
    options: PgConnectOptions,
    /// The statement that applies the URL's settings to a new session. `None` if it has none.
    settings: Option<Arc<str>>,
    /// The password, if it may be replaced: each new connection uses the current one.
    password: Option<watch::Receiver<SecretString>>,
}

/// What an error implies for the statement that failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Meaning {
    /// The statement had no effect, because another one got in first: it can be sent again at once.
    Raced,
    /// The statement had no effect: the database refused it.
    Refused,
    /// The connection or the database is gone, and whether the statement took effect is unknown.
    Unknown,
}

impl Database {
    /// Parses a `postgres://` URL. `password` replaces the URL's own.
    pub(super) fn parse(
        url: &SecretString,
        password: Option<watch::Receiver<SecretString>>,
    ) -> Result<Self, Malformed> {
        let Address { connect, settings, .. } = postgres::address(url.expose_secret())?;
        let settings =
            (!settings.is_empty()).then(|| postgres::set_config(&settings, false).into());
        Ok(Self { options: connect.disable_statement_logging(), settings, password })
    }

    /// The options for a connection that is made now, with the current password.
    fn options(&self) -> PgConnectOptions {
        match &self.password {
            Some(password) => self.options.clone().password(password.borrow().expose_secret()),
            None => self.options.clone(),
        }
    }

    /// Makes a single connection, outside of all pools, and prepares its session.
    pub(super) async fn connect(&self) -> sqlx::Result<PgConnection> {
        in_time(CONNECT_TIMEOUT, async {
            let mut connection = self.options().connect().await?;
            set_out(&mut connection, self.settings.as_deref()).await?;
            Ok(connection)
        })
        .await
    }

    /// Makes a single connection and sends no statement over it.
    pub(super) async fn reach(&self) -> sqlx::Result<PgConnection> {
        in_time(CONNECT_TIMEOUT, self.options().connect()).await
    }

    /// Prepares the session of a connection from [`Self::reach`].
    pub(super) async fn prepare_session(&self, connection: &mut PgConnection) -> sqlx::Result<()> {
        in_time(CONNECT_TIMEOUT, set_out(connection, self.settings.as_deref())).await
    }

    /// A pool for reads. It connects on demand.
    pub(super) fn readers(&self, connections_max: u32) -> PgPool {
        self.pool(connections_max)
    }

    /// A pool for the one connection that listens, as sqlx's listener needs one.
    pub(super) fn listener(&self) -> PgPool {
        self.pool(1)
    }

    /// Gives a pool the new password each time that it is replaced.
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
            // Reads that wait for a connection are normal, and not logged before they fail.
            .acquire_slow_threshold(ACQUIRE_TIMEOUT)
            .max_lifetime(None)
            .idle_timeout(None)
            // A ping would cost each read a round trip; a read retries over the next connection.
            .test_before_acquire(false)
            .after_connect(move |connection, _| {
                let settings = settings.clone();
                Box::pin(async move { set_out(connection, settings.as_deref()).await })
            })
            .connect_lazy_with(self.options())
    }
}

/// The database's URL without the user and the password.
impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&postgres::place(&self.options))
    }
}

/// Planner settings of each session. Every statement here looks up rows by their keys. A plan lasts
/// as long as its connection; one made while a table was small would be to read the whole table, so
/// the planner is kept from that choice.
const PLANNING: [&str; 6] = [
    "SET enable_seqscan = off",
    "SET enable_bitmapscan = off",
    "SET enable_hashjoin = off",
    "SET enable_mergejoin = off",
    "SET plan_cache_mode = force_generic_plan",
    "SET jit = off",
];

/// Prepares a new session. Refuses a standby, which a connection may reach for a moment during a
/// failover: its data may be old.
async fn set_out(connection: &mut PgConnection, settings: Option<&str>) -> sqlx::Result<()> {
    if let Some(settings) = settings {
        raw_sql(AssertSqlSafe(settings)).execute(&mut *connection).await?;
    }
    let shown = raw_sql("SHOW transaction_read_only").fetch_one(&mut *connection).await?;
    if shown.try_get::<&str, _>(0)? != "off" {
        return Err(read_only());
    }
    apply_settings(connection, &PLANNING).await
}

/// The error of a server that takes no writes.
pub(super) fn read_only() -> sqlx::Error {
    sqlx::Error::Io(std::io::Error::other("the server is read-only: a standby?"))
}

/// Applies `SET` or `RESET` statements. A database that doesn't know a setting may refuse it.
pub(super) async fn apply_settings(
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

/// The required value of `synchronous_commit`: a commit is synced before it is acknowledged.
pub(super) const SYNCHRONOUS: &str = "on";

/// Reads `synchronous_commit`.
pub(super) async fn synchronous_commit(connection: &mut PgConnection) -> sqlx::Result<String> {
    let shown = query_scalar("SHOW synchronous_commit").fetch_one(connection);
    in_time(STATEMENT_TIMEOUT, shown).await
}

/// The required encoding of a database: an event may hold any character.
pub(super) const ENCODING: &str = "UTF8";

/// Reads the database's encoding.
pub(super) async fn encoding(connection: &mut PgConnection) -> sqlx::Result<String> {
    let shown = query_scalar("SHOW server_encoding").fetch_one(connection);
    in_time(STATEMENT_TIMEOUT, shown).await
}

/// This role's name and how many connections it may have at once, if the role or the database
/// limits them. `None` for a superuser, to whom no limit applies.
pub(super) async fn connections_allowed(
    connection: &mut PgConnection,
) -> sqlx::Result<Option<(String, u32)>> {
    const LIMIT: &str = "
        SELECT r.rolname::text, least(nullif(r.rolconnlimit, -1), nullif(d.datconnlimit, -1))
        FROM pg_roles AS r, pg_database AS d
        WHERE r.rolname = current_user AND d.datname = current_database() AND NOT r.rolsuper";
    let found = query_as(LIMIT).fetch_optional(connection);
    let found: Option<(String, Option<i32>)> = match in_time(STATEMENT_TIMEOUT, found).await {
        // A database without these catalogues has no such limits.
        Err(sqlx::Error::Database(_)) => None,
        found => found?,
    };
    Ok(found.and_then(|(role, limit)| Some((role, u32::try_from(limit?).ok()?))))
}

/// An error in one line: PostgreSQL's own words where it has raised it, with the code that its
/// manual lists. sqlx's own text would add the line of PostgreSQL's source.
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

/// Whether an error says that there are too many connections already.
pub(super) fn lacks_connections(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|error| error.code()).is_some_and(|code| code == "53300")
}

/// Runs a statement with a time limit. After a timeout its connection must not be used again: the
/// late answer would be taken for the next statement's.
pub(super) async fn in_time<T>(
    limit: Duration,
    statement: impl Future<Output = sqlx::Result<T>>,
) -> sqlx::Result<T> {
    time::timeout(limit, statement).await.unwrap_or_else(|_| Err(timed_out()))
}

/// Whether an error is the timeout of [`late`].
pub(super) fn is_timeout(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Io(error) if error.kind() == std::io::ErrorKind::TimedOut)
}

/// The error of a statement that was not answered in time.
pub(super) fn timed_out() -> sqlx::Error {
    sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())
}

/// Classifies the error of a statement. The codes are from the appendix "PostgreSQL Error Codes" of
/// PostgreSQL's manual.
pub(super) fn meaning(error: &sqlx::Error) -> Meaning {
    let sqlx::Error::Database(error) = error else {
        return Meaning::Unknown;
    };
    let code = error.code().unwrap_or_default();
    match &*code {
        // Another commit has taken the position: see write.sql.
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

/// Whether the database refuses a write for good, judging by the code: it can't hold a value (class
/// 22), or a value violates a constraint (not null, check) or is too large (class 54). The same
/// statement would fail the same way for ever.
pub fn is_permanent(error: &sqlx::Error) -> bool {
    let error = error.as_database_error().and_then(|error| error.try_downcast_ref());
    error.is_some_and(|error: &PgDatabaseError| {
        let code = error.code();
        code.starts_with("22") || code.starts_with("54") || ["23502", "23514"].contains(&code)
    })
}

/// Whether an error means that the connection can't be used any more.
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
