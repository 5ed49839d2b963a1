//! Opens connections to the database file, each kind with its settings.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use sqlx::{
    AssertSqlSafe, ConnectOptions, Row, SqliteConnection, SqlitePool, raw_sql,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

/// How long a statement waits for a lock. This process holds none for long; an operator's own
/// `sqlite3` may.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a read waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// The writer's page cache, in SQLite's notation: negative for KiB. A match touches half a dozen
/// pages of 4 KiB, and matches in progress touch theirs again.
const WRITER_CACHE: &str = "-16384";

/// How many rows SQLite's thread hands over at once. Each batch costs two thread switches, and the
/// default is 50 rows.
const ROWS_BUFFERED: usize = 1024;

/// The path of the database file, from which connections are opened.
#[derive(Clone, Debug)]
pub(super) struct Files {
    path: PathBuf,
}

impl Files {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Creates an empty file that only its owner can read, if there is none: it will hold keys.
    pub(super) fn create(&self) -> io::Result<()> {
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        match options.open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            made => made.map(drop),
        }
    }

    /// A connection for inspecting the file: opening it changes nothing.
    pub(super) async fn look(&self) -> sqlx::Result<SqliteConnection> {
        self.options().connect().await
    }

    /// The writer's connection.
    pub(super) async fn connect(&self) -> sqlx::Result<SqliteConnection> {
        self.options()
            .journal_mode(SqliteJournalMode::Wal)
            // Every commit is synced before it is acknowledged.
            .synchronous(SqliteSynchronous::Full)
            // Erased bytes are overwritten.
            .pragma("secure_delete", "ON")
            .pragma("cache_size", WRITER_CACHE)
            .connect()
            .await
    }

    /// A connection for reading, which never waits for the writer.
    pub(super) async fn reader(&self) -> sqlx::Result<SqliteConnection> {
        self.options().read_only(true).connect().await
    }

    /// A pool of connections for reading, which never wait for the writer.
    pub(super) async fn readers(&self, connections_max: u32) -> sqlx::Result<SqlitePool> {
        let options = self.options().read_only(true);
        SqlitePoolOptions::new()
            .max_connections(connections_max)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            // Concurrent reads take turns, which is worth no log line unless it becomes an error.
            .acquire_slow_threshold(ACQUIRE_TIMEOUT)
            .max_lifetime(None)
            .idle_timeout(None)
            // A connection to a file doesn't die by itself.
            .test_before_acquire(false)
            .connect_with(options)
            .await
    }

    fn options(&self) -> SqliteConnectOptions {
        SqliteConnectOptions::new()
            .filename(&self.path)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT)
            // Rows that SQLite sorts must not reach the disk.
            .pragma("temp_store", "MEMORY")
            .row_buffer_size(ROWS_BUFFERED)
            .disable_statement_logging()
    }
}

/// Moves the WAL into the database and truncates it. False if a reader still blocks that after
/// `wait`, during which nothing can be written.
pub(super) async fn empty_wal(
    connection: &mut SqliteConnection,
    wait: Duration,
) -> sqlx::Result<bool> {
    let sql = format!(
        "PRAGMA busy_timeout = {};
         PRAGMA wal_checkpoint(TRUNCATE);
         PRAGMA busy_timeout = {};",
        wait.as_millis(),
        BUSY_TIMEOUT.as_millis(),
    );
    let rows = raw_sql(AssertSqlSafe(sql)).fetch_all(connection).await?;
    let checkpoint = rows.iter().find(|row| row.len() == 3).ok_or(sqlx::Error::RowNotFound)?;
    Ok(checkpoint.try_get::<i64, _>(0)? == 0)
}
