//! What happens at a database before a replica uses it: it is reached, checked and migrated, and a
//! new incarnation is entered.
//!
//! It deliberately starts no task.

use sqlx::{PgConnection, query_scalar};

use crate::{
    domain::{Cursor, Timestamp},
    journal::{
        Keys, Origin,
        postgres::{
            connect::{self, Database, STATEMENT_TIMEOUT},
            open_error::OpenError,
            pooler::{self, SessionOwner},
            schema::{self, Found},
            vacuum, write,
        },
    },
};

/// With fewer connections a replica can't work at all: one each for writing, for the lease, for
/// LISTEN, for reading other replicas' events, for health checks, for look-ups and for followers.
const CONNECTIONS_MIN: u32 = 7;

/// Connects to the database, checks that it can hold a journal, and migrates it. The connection is
/// for the writer.
pub async fn prepare(database: &Database, needed: u32) -> Result<PgConnection, OpenError> {
    let unusable = |source| OpenError::of(database, needed, true, source);
    let mut connection = checked(database, needed).await?;
    match schema::migrate(&mut connection, database).await.map_err(unusable)? {
        Found::Ours { .. } => Ok(connection),
        Found::Newer { version } => Err(OpenError::newer(database, version)),
        Found::Foreign => Err(OpenError::NotAJournal { database: database.to_string() }),
    }
}

/// Connects to the database, and checks that it can hold a journal.
pub async fn checked(database: &Database, needed: u32) -> Result<PgConnection, OpenError> {
    let unusable = |source| OpenError::of(database, needed, true, source);
    let mut connection = reach(database, needed).await?;
    check_limit(&mut connection, database, needed).await?;
    let found = connect::encoding(&mut connection).await.map_err(unusable)?;
    if found != connect::ENCODING {
        return Err(OpenError::NotUtf8 { database: database.to_string(), found });
    }
    let found = connect::synchronous_commit(&mut connection).await.map_err(unusable)?;
    if found != connect::SYNCHRONOUS {
        return Err(OpenError::NotDurable { database: database.to_string(), found });
    }
    Ok(connection)
}

/// Makes the first connection, and checks that no pooler shares its session.
async fn reach(database: &Database, needed: u32) -> Result<PgConnection, OpenError> {
    let unreachable = |source| OpenError::of(database, needed, false, source);
    let mut connection = database.reach().await.map_err(unreachable)?;
    match pooler::session_owner(database, &mut connection).await.map_err(unreachable)? {
        SessionOwner::Own => {}
        SessionOwner::Shared => {
            return Err(OpenError::SharedSessions { database: database.to_string() });
        }
    }
    database.prepare_session(&mut connection).await.map_err(unreachable)?;
    connect::apply_settings(&mut connection, &[connect::LOCK_TIMEOUT])
        .await
        .map_err(unreachable)?;
    Ok(connection)
}

/// What a replica learns when it enters its incarnation in the database.
pub struct Entered {
    pub origin: Origin,
    pub keys: Keys,
    pub notices: bool,
    pub takes_turns: bool,
    pub head: Cursor,
}

/// Enters a new incarnation, and prepares the connection for the writer. All of it has the time
/// limit of one statement.
pub async fn enter(
    connection: &mut PgConnection,
    database: &Database,
    now: Timestamp,
) -> sqlx::Result<Entered> {
    connect::in_time(STATEMENT_TIMEOUT, async {
        let (origin, keys) = schema::enter(connection, now).await?;
        let notices = has_notify(connection).await?;
        vacuum::settle(connection).await?;
        let takes_turns = write::function(notices).make(connection).await?;
        let head = schema::head(connection).await?;
        connect::apply_settings(connection, &["RESET lock_timeout"]).await?;
        // The URL may set a lock_timeout of its own.
        database.prepare_session(connection).await?;
        Ok(Entered { origin, keys, notices, takes_turns, head })
    })
    .await
}

/// Checks the role's connection limit at the start: if it were only met later, calls would wait for
/// a connection and fail. With fewer connections than it uses, a replica is slow and logs a
/// warning; with fewer than [`CONNECTIONS_MIN`] it doesn't start.
async fn check_limit(
    connection: &mut PgConnection,
    database: &Database,
    needed: u32,
) -> Result<(), OpenError> {
    let allowed = connect::connections_allowed(connection).await;
    let Some((role, limit)) =
        allowed.map_err(|source| OpenError::of(database, needed, true, source))?
    else {
        return Ok(());
    };
    if limit < CONNECTIONS_MIN {
        let why = format!("too many connections for role \"{role}\", whose limit is {limit}");
        return Err(OpenError::TooFewConnections { database: database.to_string(), why, needed });
    }
    if limit < needed {
        tracing::warn!(
            role,
            limit,
            needed,
            "the database allows fewer connections than a replica uses"
        );
    }
    Ok(())
}

/// Whether the database has LISTEN and NOTIFY. Distributed databases that speak PostgreSQL's
/// protocol may have neither; there a timer polls for everything.
async fn has_notify(connection: &mut PgConnection) -> sqlx::Result<bool> {
    query_scalar("SELECT EXISTS (SELECT 1 FROM pg_proc WHERE proname = 'pg_notify')")
        .fetch_one(connection)
        .await
}
