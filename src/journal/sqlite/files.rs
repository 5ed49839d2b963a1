//! Opens connections to the database file, each kind with its settings.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags};
use sqlx::{
    ConnectOptions, SqliteConnection, SqlitePool,
    sqlite::{SqliteConnectOptions, SqlitePoolOptions},
};

/// How long a statement waits for a lock. This process holds none for long; an operator's own
/// `sqlite3` may.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a read waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// What the writer's connection is set to.
const WRITER_SETTINGS: &str = "
    PRAGMA journal_mode = WAL;
    -- Every commit is synced before it is acknowledged.
    PRAGMA synchronous = FULL;
    -- Erased bytes are overwritten.
    PRAGMA secure_delete = ON;
    PRAGMA foreign_keys = ON;
    PRAGMA temp_store = MEMORY;
    -- KiB of pages in memory, if negative. A match touches a dozen pages of 4 KiB, and matches in
    -- progress touch theirs again.
    PRAGMA cache_size = -16384;
    -- Pages in the WAL at which a commit moves them into the database. A page that was written
    -- often is moved once, so the more there are, the less is written, and fewer than one commit in
    -- a hundred waits for it.
    PRAGMA wal_autocheckpoint = 4000;";

/// How many statements stay prepared: enough for all of the writer's.
const STATEMENTS_PREPARED: usize = 64;

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

    /// The bytes of the file and of its WAL.
    pub(super) fn bytes(&self) -> u64 {
        let mut wal = self.path.clone().into_os_string();
        wal.push("-wal");
        let size = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
        size(&self.path) + size(Path::new(&wal))
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
    pub(super) fn look(&self) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        Ok(connection)
    }

    /// The writer's connection.
    pub(super) fn writer(&self) -> rusqlite::Result<Connection> {
        let connection = self.look()?;
        connection.execute_batch(WRITER_SETTINGS)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_PREPARED);
        Ok(connection)
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
pub(super) fn empty_wal(connection: &Connection, wait: Duration) -> rusqlite::Result<bool> {
    connection.busy_timeout(wait)?;
    let is_blocked =
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, bool>(0));
    connection.busy_timeout(BUSY_TIMEOUT)?;
    Ok(!is_blocked?)
}
