//! Detects a pooler, between this replica and the database, that gives each transaction another
//! session, as PgBouncer does in its transaction and statement modes.
//!
//! A replica can't work with such a pooler: its prepared statements, its settings and LISTEN belong
//! to a session. The check deliberately relies only on the database's own answers, so it detects
//! any product. A pooler that keeps a client's session until the client disconnects does no harm.

use sqlx::{Connection, PgConnection, Row, raw_sql};

use crate::journal::postgres::connect::{self, CONNECT_TIMEOUT, Database};

/// How many times the sessions of two connections are compared. The first comparison detects a
/// pooler without other clients; a busy one may by chance assign the same session again.
const ROUNDS: usize = 3;

/// Whether a connection has its session to itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum SessionOwner {
    /// The session is the connection's own for as long as the connection is open.
    Own,
    /// Other connections get the session as well.
    Shared,
}

/// Whether a connection, over which no statement was sent yet, has a session of its own.
///
/// # Errors
/// [`sqlx::Error::PoolTimedOut`] if a second connection gets no session in time.
pub(super) async fn session_owner(
    database: &Database,
    connection: &mut PgConnection,
) -> sqlx::Result<SessionOwner> {
    // Some poolers pin a session to a client only after its first SET.
    let marked = raw_sql("SET facematch.session = 'own'").execute(&mut *connection);
    match connect::in_time(CONNECT_TIMEOUT, marked).await {
        Ok(_) | Err(sqlx::Error::Database(_)) => {}
        Err(failure) => return Err(failure),
    }
    let mut other = database.reach().await?;
    for _ in 0..ROUNDS {
        if is_shared(connection, &mut other).await? {
            return Ok(SessionOwner::Shared);
        }
    }
    if let Err(error) = other.close().await {
        tracing::debug!(%error, "second connection not closed cleanly");
    }
    Ok(SessionOwner::Own)
}

/// Whether a connection's session changes between transactions, or another connection holds it in
/// an open transaction.
async fn is_shared(one: &mut PgConnection, other: &mut PgConnection) -> sqlx::Result<bool> {
    let before = session(one, "SELECT pg_backend_pid()").await?;
    if session(one, "SELECT pg_backend_pid()").await? != before {
        return Ok(true);
    }
    let others = match session(other, "BEGIN; SELECT pg_backend_pid()").await {
        Err(error) if forbids_transactions(&error) => return Ok(true),
        Err(error) if connect::is_timeout(&error) => return Err(sqlx::Error::PoolTimedOut),
        others => others?,
    };
    // If the first comparison is true, `one` isn't asked: `other` may hold the only session.
    let is_shared = others == before || session(one, "SELECT pg_backend_pid()").await? != before;
    session(other, "ROLLBACK; SELECT pg_backend_pid()").await?;
    Ok(is_shared)
}

/// Runs statements, and returns the process id of the session that ran the last one.
async fn session(connection: &mut PgConnection, statements: &'static str) -> sqlx::Result<i32> {
    // Reads to the end of the answer, where a failure is reported.
    let asked = raw_sql(statements).fetch_all(connection);
    let rows = connect::in_time(CONNECT_TIMEOUT, asked).await?;
    rows.last().ok_or(sqlx::Error::RowNotFound)?.try_get(0)
}

/// Whether an error is that of a pooler that gives each statement another session.
fn forbids_transactions(error: &sqlx::Error) -> bool {
    const PROTOCOL_VIOLATION: &str = "08P01";
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| code == PROTOCOL_VIOLATION)
}

/// Whether a prepared statement has met another session than its own: there its name exists
/// already, or doesn't exist.
pub(super) fn lost_its_session(error: &sqlx::Error) -> bool {
    const DUPLICATE_PREPARED_STATEMENT: &str = "42P05";
    const INVALID_STATEMENT_NAME: &str = "26000";
    let code = error.as_database_error().and_then(|error| error.code());
    matches!(code.as_deref(), Some(DUPLICATE_PREPARED_STATEMENT | INVALID_STATEMENT_NAME))
}
