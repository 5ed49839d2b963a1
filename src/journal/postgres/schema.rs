//! Creates and migrates the tables, before anything else uses the database.
//!
//! Migrations only go forward: each version is one SQL file that writes its number into
//! `facematch_schema`, and a database of a newer version is refused. Each file is sent at once and
//! runs as one transaction; replicas that start together may all try it, and all but one fail and
//! check again. A change that older replicas tolerate is an addition and raises no version, so that
//! they can run beside newer ones, and start again. They also write meanwhile, so no addition
//! blocks them for longer than a moment.

use std::time::Duration;

use sqlx::{AssertSqlSafe, PgConnection, Row, query, query_scalar, raw_sql};
use tokio::time;

use crate::{
    domain::{Cursor, DigestKey, Position, Timestamp},
    journal::{
        Keys, Origin,
        postgres::{
            connect::{self, Database, Meaning, STATEMENT_TIMEOUT},
            rows,
        },
    },
};

/// The migrations in order. Each raises the schema by one version.
pub(super) const MIGRATIONS: [&str; 1] = [include_str!("1.sql")];

/// The additions to the current version, in order. Each is a statement of its own, since an index
/// is built while other replicas write.
const ADDITIONS: [Addition; 4] = [
    Addition::Columns { one: "end_state", add: include_str!("lists.sql") },
    Addition::Index {
        name: "match_states_unfinished_by_caller",
        create: "CREATE INDEX CONCURRENTLY IF NOT EXISTS match_states_unfinished_by_caller
            ON match_states (caller, match_id) WHERE end_time IS NULL",
    },
    Addition::Index {
        name: "match_states_by_end",
        create: "CREATE INDEX CONCURRENTLY IF NOT EXISTS match_states_by_end
            ON match_states (caller, end_state, match_id) WHERE end_state IS NOT NULL",
    },
    Addition::Index {
        name: "match_states_unlisted",
        create: "CREATE INDEX CONCURRENTLY IF NOT EXISTS match_states_unlisted
            ON match_states (match_id, caller)
            WHERE caller IS NULL OR end_time IS NOT NULL AND end_state IS NULL",
    },
];

/// An addition to `match_states`.
#[derive(Clone, Copy, Debug)]
enum Addition {
    /// Columns. If `one` of them exists, all do.
    Columns { one: &'static str, add: &'static str },
    /// An index. If its build was interrupted, the index exists but is not valid.
    Index { name: &'static str, create: &'static str },
}

/// How often an addition is tried, and the pause between two tries: a backup may have locked the
/// table, or another replica may be making the addition.
const ADDING_TRIES_MAX: usize = 300;
const ADDING_PAUSE: Duration = Duration::from_millis(200);

/// How long an index build waits for older transactions: as long as a backup of some gigabytes
/// takes. A build that fails is not repeated in this start; the next start begins it again.
const INDEX_LOCK_TIMEOUT: &str = "SET lock_timeout = '10min'";

/// How often the database is asked whether it still builds an index: an index of many matches takes
/// minutes, and a build whose connection was lost must not be waited for.
const WATCH_INTERVAL: Duration = Duration::from_secs(5);

/// The schema version that this program reads and writes.
pub(super) const VERSION: usize = MIGRATIONS.len();

/// How often migrations are tried while other replicas may run them too: each try but the last
/// finds one more version done.
const TRIES_MAX: usize = 20;

/// What a database was found to hold.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A journal of this version or an older one, or nothing yet.
    Ours { version: usize },
    /// A journal of a version that this program doesn't know.
    Newer { version: usize },
    /// Another application's tables, with the names of the journal's.
    Foreign,
}

/// Inspects a database without changing it.
pub(super) async fn inspect(connection: &mut PgConnection) -> sqlx::Result<Found> {
    // Through the search path, by which every other statement finds its tables.
    const TABLES: &str = "SELECT to_regclass('facematch_schema') IS NOT NULL,
        to_regclass('matches') IS NOT NULL OR to_regclass('events') IS NOT NULL";
    let row =
        connect::in_time(STATEMENT_TIMEOUT, query(TABLES).fetch_one(&mut *connection)).await?;
    match (row.try_get(0)?, row.try_get(1)?) {
        (false, true) => Ok(Found::Foreign),
        (false, false) => Ok(Found::Ours { version: 0 }),
        (true, _) => version(connection).await,
    }
}

async fn version(connection: &mut PgConnection) -> sqlx::Result<Found> {
    let reading = query_scalar("SELECT version FROM facematch_schema").fetch_one(connection);
    let version: i32 = connect::in_time(STATEMENT_TIMEOUT, reading).await?;
    Ok(match usize::try_from(version) {
        Ok(version) if version <= VERSION => Found::Ours { version },
        Ok(version) => Found::Newer { version },
        Err(_) => Found::Foreign,
    })
}

/// Migrates a journal to this version. Leaves a newer journal and foreign tables as they are.
pub(super) async fn migrate(
    connection: &mut PgConnection,
    database: &Database,
) -> sqlx::Result<Found> {
    let mut tries = 0;
    loop {
        let found = inspect(connection).await?;
        let Found::Ours { version } = found else {
            return Ok(found);
        };
        let Some(&step) = MIGRATIONS.get(version) else {
            extend(connection, database).await?;
            return Ok(found);
        };
        tries += 1;
        let stepping = raw_sql(step).execute(&mut *connection);
        match connect::in_time(STATEMENT_TIMEOUT, stepping).await {
            Ok(_) => tracing::info!(schema.version = version, "database schema migrated"),
            // Another replica has run the same migration, or is about to commit it.
            Err(error) if tries < TRIES_MAX && is_done_already(&error) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Makes all missing additions. Replicas that start together may all try.
async fn extend(connection: &mut PgConnection, database: &Database) -> sqlx::Result<()> {
    let mut failures = 0;
    while let Some(addition) = missing(connection).await? {
        match add(connection, database, addition).await {
            Ok(true) => tracing::info!(?addition, "database schema extended"),
            Ok(false) => time::sleep(ADDING_PAUSE).await,
            Err(error) if is_in_the_way(&error, addition) && failures < ADDING_TRIES_MAX => {
                failures += 1;
                // Replicas that start together on an empty database race each other: nothing is wrong.
                if failures == 1 && !is_done_already(&error) {
                    let error = connect::sentence(&error);
                    tracing::warn!(error, "database schema can't be extended yet: retrying");
                }
                time::sleep(ADDING_PAUSE).await;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Whether a start would make additions.
pub(super) async fn lacks_additions(connection: &mut PgConnection) -> sqlx::Result<bool> {
    Ok(missing(connection).await?.is_some())
}

/// The next missing addition.
async fn missing(connection: &mut PgConnection) -> sqlx::Result<Option<Addition>> {
    const COLUMN: &str = "SELECT EXISTS (SELECT FROM pg_attribute
        WHERE attrelid = to_regclass('match_states') AND attname = $1 AND NOT attisdropped)";
    const INDEX: &str = "SELECT EXISTS (SELECT FROM pg_index
        WHERE indexrelid = to_regclass($1) AND indisvalid)";
    for addition in ADDITIONS {
        let is_there = match addition {
            Addition::Columns { one, .. } => query_scalar(COLUMN).bind(one),
            Addition::Index { name, .. } => query_scalar(INDEX).bind(name),
        };
        let looking = is_there.fetch_one(&mut *connection);
        if !connect::in_time(STATEMENT_TIMEOUT, looking).await? {
            return Ok(Some(addition));
        }
    }
    Ok(None)
}

/// Makes an addition. Returns false if another replica is building the same index.
async fn add(
    connection: &mut PgConnection,
    database: &Database,
    addition: Addition,
) -> sqlx::Result<bool> {
    const IS_BUILT: &str = "SELECT EXISTS (SELECT FROM pg_stat_progress_create_index
        WHERE index_relid = to_regclass($1))";
    // Left by a replica that stopped during the build.
    const IS_HALF: &str = "SELECT EXISTS (SELECT FROM pg_index
        WHERE indexrelid = to_regclass($1) AND NOT indisvalid)";
    match addition {
        Addition::Columns { add, .. } => {
            let adding = raw_sql(add).execute(connection);
            connect::in_time(STATEMENT_TIMEOUT, adding).await?;
        }
        Addition::Index { name, create } => {
            if is_so(connection, IS_BUILT, name).await? {
                return Ok(false);
            }
            let drop = format!("DROP INDEX CONCURRENTLY IF EXISTS {name}");
            let is_half = is_so(connection, IS_HALF, name).await?;
            let statements = is_half.then_some(drop).into_iter().chain([create.to_owned()]);
            connect::apply_settings(connection, &[INDEX_LOCK_TIMEOUT]).await?;
            for statement in statements {
                run_watched(connection, database, statement).await?;
            }
            connect::apply_settings(connection, &[connect::LOCK_TIMEOUT]).await?;
        }
    }
    Ok(true)
}

/// Asks the database a yes-or-no question about a name.
async fn is_so(
    connection: &mut PgConnection,
    question: &'static str,
    name: &str,
) -> sqlx::Result<bool> {
    let asked = query_scalar(question).bind(name).fetch_one(connection);
    connect::in_time(STATEMENT_TIMEOUT, asked).await
}

/// Executes a statement that may take long, for as long as the database works on it.
async fn run_watched(
    connection: &mut PgConnection,
    database: &Database,
    statement: String,
) -> sqlx::Result<()> {
    let asked = query_scalar("SELECT pg_backend_pid()").fetch_one(&mut *connection);
    let session = connect::in_time(STATEMENT_TIMEOUT, asked).await?;
    tokio::select! {
        done = raw_sql(AssertSqlSafe(statement)).execute(connection) => done.map(drop),
        lost = watch_session(database, session) => Err(lost),
    }
}

/// Returns once the database no longer works on a session's statement, or can't be asked. A last
/// pause gives the answer time to arrive.
async fn watch_session(database: &Database, session: i32) -> sqlx::Error {
    const IS_AT_WORK: &str = "SELECT EXISTS (SELECT FROM pg_stat_activity
        WHERE pid = $1 AND state = 'active')";
    let is_at_work = async || {
        let mut connection = database.connect().await?;
        let asked = query_scalar(IS_AT_WORK).bind(session).fetch_one(&mut connection);
        connect::in_time(STATEMENT_TIMEOUT, asked).await
    };
    loop {
        time::sleep(WATCH_INTERVAL).await;
        match is_at_work().await {
            Ok(true) => {}
            Ok(false) => {
                time::sleep(WATCH_INTERVAL).await;
                return connect::timed_out();
            }
            Err(error) => return error,
        }
    }
}

/// Whether an addition may succeed at the next try: another session has locked the table, or has
/// just made the same addition.
fn is_in_the_way(error: &sqlx::Error, addition: Addition) -> bool {
    const LOCK_NOT_AVAILABLE: &str = "55P03";
    const DEADLOCK: &str = "40P01";
    // Also the error of two sessions that write to a catalogue at once.
    const INTERNAL: &str = "XX000";
    let code = error.as_database_error().and_then(|error| error.code());
    let code = code.as_deref();
    is_done_already(error)
        || matches!(code, Some(DEADLOCK | INTERNAL))
        || code == Some(LOCK_NOT_AVAILABLE) && matches!(addition, Addition::Columns { .. })
}

/// Whether an error means that another replica runs the same migration: a violated unique key of a
/// catalogue, a table or a column that exists already, or a lost race.
fn is_done_already(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code().map(|c| c.into_owned()));
    matches!(code.as_deref(), Some("23505" | "42P07" | "42701" | "42710"))
        || connect::meaning(error) == Meaning::Raced
}

/// Creates the store's id and keys if it has none, and enters a new incarnation.
pub(super) async fn enter(
    connection: &mut PgConnection,
    now: Timestamp,
) -> sqlx::Result<(Origin, Keys)> {
    let drawn: ([u8; 32], [u8; 32]) = (rand::random(), rand::random());
    query(
        "INSERT INTO store (id, store, digest_key, token_key, floor, erasures)
         VALUES (1, $1, $2, $3, 0, 0) ON CONFLICT DO NOTHING",
    )
    .bind(rand::random::<i64>())
    .bind(drawn.0.as_slice())
    .bind(drawn.1.as_slice())
    .execute(&mut *connection)
    .await?;
    let incarnation: u64 = rand::random();
    query(
        "INSERT INTO incarnations (incarnation, started_position, start_time)
         SELECT $1, last_position, $2 FROM commits ORDER BY first_position DESC LIMIT 1",
    )
    .bind(incarnation.cast_signed())
    .bind(now.as_micros())
    .execute(&mut *connection)
    .await?;
    let (store, keys) = identity(connection).await?;
    Ok((Origin { store, incarnation }, keys))
}

/// The newest position, and the incarnation that wrote it.
pub(super) async fn head(connection: &mut PgConnection) -> sqlx::Result<Cursor> {
    const HEAD: &str = "
        SELECT last_position, incarnation FROM commits ORDER BY first_position DESC LIMIT 1";
    let row = query(HEAD).fetch_one(connection).await?;
    let (position, incarnation) = (rows::unsigned(&row, 0)?, rows::unsigned(&row, 1)?);
    Ok(Cursor { position: Position(position), incarnation })
}

async fn identity(connection: &mut PgConnection) -> sqlx::Result<(u64, Keys)> {
    let row = query("SELECT store, digest_key, token_key FROM store").fetch_one(connection).await?;
    let key = |column: usize| {
        let bytes: &[u8] = row.try_get(column)?;
        <[u8; 32]>::try_from(bytes).map_err(|error| sqlx::Error::Decode(error.into()))
    };
    let store: i64 = row.try_get(0)?;
    Ok((store.cast_unsigned(), Keys { digest: DigestKey(key(1)?), token: key(2)? }))
}
