//! Finds out whether a pooler between this replica and the database gives each transaction another
//! session: PgBouncer does in its transaction and statement modes.
//!
//! A replica can't work so: its prepared statements, its settings and LISTEN belong to a session.
//! Only what the database itself says is relied on, so any pooler is found out, whatever it calls
//! itself. One that keeps a client's session until the client has gone is as good as none.

use sqlx::{Connection, PgConnection, Row, raw_sql};

use crate::journal::postgres::connect::{self, CONNECT_TIMEOUT, Database};

/// How often the sessions of two connections are compared. A pooler that no other client uses is
/// found out by the first time; beside other clients it may by chance give the same session again.
const ROUNDS: usize = 3;

/// Whose session a connection has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum SessionOwner {
    /// Its own, for as long as it is open.
    Own,
    /// One that other connections get as well.
    Shared,
}

/// Whether the session of a connection on which nothing was said yet is its own.
///
/// # Errors
/// [`sqlx::Error::PoolTimedOut`] if a second connection gets no session in time.
pub(super) async fn sessions(
    database: &Database,
    connection: &mut PgConnection,
) -> sqlx::Result<SessionOwner> {
    // Some poolers keep a session for a client from the first setting on.
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
        tracing::debug!(%error, "a connection was not closed properly");
    }
    Ok(SessionOwner::Own)
}

/// Whether a connection's session changes between transactions, or another connection has it while
/// that is in the middle of a transaction.
async fn is_shared(one: &mut PgConnection, other: &mut PgConnection) -> sqlx::Result<bool> {
    let before = session(one, "SELECT pg_backend_pid()").await?;
    if session(one, "SELECT pg_backend_pid()").await? != before {
        return Ok(true);
    }
    let others = match session(other, "BEGIN; SELECT pg_backend_pid()").await {
        Err(error) if forbids_transactions(&error) => return Ok(true),
        Err(error) if connect::is_late(&error) => return Err(sqlx::Error::PoolTimedOut),
        others => others?,
    };
    // Not asked once it is known: the other may have the only session that there is.
    let is_shared = others == before || session(one, "SELECT pg_backend_pid()").await? != before;
    session(other, "ROLLBACK; SELECT pg_backend_pid()").await?;
    Ok(is_shared)
}

/// The number of the session in which a text of statements ends.
async fn session(connection: &mut PgConnection, statements: &'static str) -> sqlx::Result<i32> {
    // To the end of the answer, where a failure is told.
    let asked = raw_sql(statements).fetch_all(connection);
    let rows = connect::in_time(CONNECT_TIMEOUT, asked).await?;
    rows.last().ok_or(sqlx::Error::RowNotFound)?.try_get(0)
}

/// Whether a failure is that of a pooler in which each statement may get another session.
fn forbids_transactions(error: &sqlx::Error) -> bool {
    const PROTOCOL_VIOLATION: &str = "08P01";
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| code == PROTOCOL_VIOLATION)
}

/// Whether a failure is that of a prepared statement in another session than its own: it is there
/// already, or not there.
pub(super) fn lost_its_session(error: &sqlx::Error) -> bool {
    const DUPLICATE_PREPARED_STATEMENT: &str = "42P05";
    const INVALID_STATEMENT_NAME: &str = "26000";
    let code = error.as_database_error().and_then(|error| error.code());
    matches!(code.as_deref(), Some(DUPLICATE_PREPARED_STATEMENT | INVALID_STATEMENT_NAME))
}
