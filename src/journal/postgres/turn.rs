//! Turns: replicas that write at the same time commit one after another, in the order of their
//! requests, so that a replica that is farther from the database gets its fair share of commits.
//!
//! A turn is an advisory lock that a transaction holds; PostgreSQL grants it first come, first
//! served. A function takes the lock, then runs `write.sql`: the statement's snapshot is younger
//! than the wait, and its commit releases the lock. So a turn is one round trip, and no lock is
//! held between two. Turns deliberately provide fairness alone: the key of `commits` orders the
//! journal, also if some replicas take no turns.

use std::{fmt::Write as _, sync::Arc};

use sqlx::{AssertSqlSafe, PgConnection, query_scalar, raw_sql};
use tracing::{info, warn};

use crate::journal::postgres::connect::{self, Meaning, STATEMENT_TIMEOUT};

/// The types of `write.sql`'s parameters, in their order.
const PARAMETERS: [&str; 24] = [
    "uuid[]",
    "text[]",
    "text[]",
    "uuid[]",
    "boolean[]",
    "smallint[]",
    "text[]",
    "uuid[]",
    "text[]",
    "text[]",
    "text[]",
    "uuid[]",
    "bigint[]",
    "integer[]",
    "bigint[]",
    "text[]",
    "bigint[]",
    "text[]",
    "text[]",
    "text[]",
    "bigint",
    "bigint",
    "boolean",
    "integer",
];

/// Takes the turn's lock. Its key contains the table `commits`, so journals in two schemas of one
/// database don't wait for each other.
const TAKE: &str = "pg_advisory_xact_lock('commits'::regclass::oid::integer, 1)";

/// How many times a start tries to create the function. A try fails if another replica creates the
/// function at the same moment; the next one finds it there.
const TRIES_MAX: usize = 20;

/// The database function that takes a turn and writes in it. Its name contains a digest of its
/// text, so replicas of another version have a function of their own.
pub(super) struct Function {
    name: String,
    create: Arc<str>,
    /// The statement that calls the function, with the parameters of `write.sql`.
    pub call: Arc<str>,
}

impl Function {
    /// Wraps the statement that writes.
    pub(super) fn around(write: &str) -> Self {
        let rest = rest_of_definition(write);
        let name = format!("write_events_{}", &blake3::hash(rest.as_bytes()).to_hex()[..16]);
        let values = (1..=PARAMETERS.len()).fold(String::new(), |mut values, number| {
            let comma = if values.is_empty() { "" } else { ", " };
            let _ = write!(values, "{comma}${number}");
            values
        });
        Self {
            create: format!("CREATE FUNCTION {name}{rest}").into(),
            call: format!("SELECT * FROM {name}({values})").into(),
            name,
        }
    }

    /// Creates the function if it doesn't exist. Returns false if the database refuses it, or
    /// doesn't let this role call it: writes then take no turns.
    pub(super) async fn make(&self, connection: &mut PgConnection) -> sqlx::Result<bool> {
        let making = connect::in_time(STATEMENT_TIMEOUT, self.try_make(connection));
        match making.await {
            Err(error) if connect::meaning(&error) == Meaning::Refused => {
                let error = connect::sentence(&error);
                warn!(error, "writes take no turns: the commits of a distant replica may be late");
                Ok(false)
            }
            made => made,
        }
    }

    async fn try_make(&self, connection: &mut PgConnection) -> sqlx::Result<bool> {
        const MAY_CALL: &str = "SELECT has_function_privilege(to_regproc($1)::oid, 'EXECUTE')";
        let mut tries = 0;
        loop {
            let may_call = query_scalar(MAY_CALL).bind(&self.name).fetch_one(&mut *connection);
            match may_call.await? {
                Some(true) => return Ok(true),
                Some(false) => {
                    warn!(
                        name = self.name,
                        "writes take no turns: this role may not call the function"
                    );
                    return Ok(false);
                }
                None => {}
            }
            tries += 1;
            match raw_sql(AssertSqlSafe(Arc::clone(&self.create))).execute(&mut *connection).await {
                Ok(_) => info!(name = self.name, "function for writing in turns created"),
                Err(error) if tries < TRIES_MAX && is_there(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// The function's definition after its name. Its `lock_timeout` is the writer's time limit for a
/// statement: a wait ends when its writer has given up.
fn rest_of_definition(write: &str) -> String {
    format!(
        "({parameters})
RETURNS TABLE (match_id uuid, sequence bigint, \"position\" bigint, \"time\" bigint)
LANGUAGE plpgsql
SET lock_timeout = {patience}
AS $function$
#variable_conflict use_column
BEGIN
PERFORM {TAKE};
RETURN QUERY
{write};
END
$function$",
        parameters = PARAMETERS.join(", "),
        patience = STATEMENT_TIMEOUT.as_millis(),
    )
}

/// Whether another replica has just created the function: its name exists, or a catalogue's unique
/// key was violated.
fn is_there(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    matches!(code.as_deref(), Some("23505" | "42723"))
}
