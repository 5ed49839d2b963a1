//! Turns: replicas that write at the same time do so one after another, in the order in which they
//! asked, so that a replica that is farther from the database than others has its share of commits.
//!
//! A turn is an advisory lock of the transaction, whose waiters PostgreSQL serves first come, first
//! served. A function takes it, then runs `write.sql`: that statement's snapshot is younger than
//! the wait, and its commit passes the turn on. So a turn is one trip, and nothing is held between
//! two. It is about fairness alone: the order of the journal rests on the key of `commits`, also
//! beside replicas that take no turns.

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

/// Takes the turn. Two journals in schemas of one database have turns of their own.
const TAKE: &str = "pg_advisory_xact_lock('commits'::regclass::oid::integer, 1)";

/// How often the function is made that another replica may be making: each try but the last finds
/// it there.
const TRIES_MAX: usize = 20;

/// The function that takes a turn and writes in it. Its name has the digest of its text: replicas
/// of another version have their own beside it.
pub(super) struct Function {
    name: String,
    create: Arc<str>,
    /// The statement that calls it, with the parameters of `write.sql`.
    pub call: Arc<str>,
}

impl Function {
    /// Around the statement that writes.
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

    /// Makes it if it isn't there. False if the database can't have it, or doesn't let this role
    /// call it: then writes take no turns.
    pub(super) async fn make(&self, connection: &mut PgConnection) -> sqlx::Result<bool> {
        let making = connect::in_time(STATEMENT_TIMEOUT, self.try_make(connection));
        match making.await {
            Err(error) if connect::meaning(&error) == Meaning::Refused => {
                let error = connect::sentence(&error);
                warn!(error, "writes take no turns: a distant replica may be late");
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
                    warn!(name = self.name, "writes take no turns: no right to call the function");
                    return Ok(false);
                }
                None => {}
            }
            tries += 1;
            match raw_sql(AssertSqlSafe(Arc::clone(&self.create))).execute(&mut *connection).await {
                Ok(_) => info!(name = self.name, "the function for writing in turns was made"),
                Err(error) if tries < TRIES_MAX && is_there(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// All of it but its name. A wait ends when its writer has given it up.
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

/// Whether another replica has made it just now: the key of a catalogue, or its name.
fn is_there(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    matches!(code.as_deref(), Some("23505" | "42723"))
}
