//! When PostgreSQL cleans up the tables that retention empties, unless the operator has said so.

use sqlx::{PgConnection, query_scalar, raw_sql};
use tracing::{info, warn};

use crate::journal::postgres::connect::{self, Meaning, STATEMENT_TIMEOUT};

/// Sets it for all of them, if none of it is set. A database that can't be told so is as good, and
/// one whose tables are busy is told at the next start.
pub(super) async fn settle(connection: &mut PgConnection) -> sqlx::Result<()> {
    match connect::in_time(STATEMENT_TIMEOUT, try_settle(connection)).await {
        Err(error) if connect::meaning(&error) == Meaning::Refused => {
            let error = connect::sentence(&error);
            warn!(error, "autovacuum of the tables can't be set: what is erased stays longer");
            Ok(())
        }
        settled => settled,
    }
}

async fn try_settle(connection: &mut PgConnection) -> sqlx::Result<()> {
    const IS_SET: &str = "SELECT EXISTS (SELECT FROM pg_class
        WHERE oid IN (to_regclass('matches'), to_regclass('match_states'),
                to_regclass('match_analyses'), to_regclass('match_labels'),
                to_regclass('events'), to_regclass('commits'), to_regclass('erased'))
            AND array_to_string(reloptions, ' ') LIKE '%autovacuum_%')";
    if query_scalar(IS_SET).fetch_one(&mut *connection).await? {
        return Ok(());
    }
    raw_sql(include_str!("vacuum.sql")).execute(connection).await?;
    info!("autovacuum of the tables was set");
    Ok(())
}
