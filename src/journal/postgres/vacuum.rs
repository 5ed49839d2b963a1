//! Configures autovacuum of the tables that retention empties. It deliberately leaves an operator's
//! own settings alone.

use sqlx::{PgConnection, query_scalar, raw_sql};
use tracing::{info, warn};

use crate::journal::postgres::connect::{self, Meaning, STATEMENT_TIMEOUT};

/// Configures autovacuum for all of the tables, unless any of them has a setting for it. A refusal
/// is logged and otherwise ignored; if the tables are busy, the next start tries again.
pub(super) async fn settle(connection: &mut PgConnection) -> sqlx::Result<()> {
    match connect::in_time(STATEMENT_TIMEOUT, try_settle(connection)).await {
        Err(error) if connect::meaning(&error) == Meaning::Refused => {
            let error = connect::sentence(&error);
            warn!(error, "autovacuum can't be configured: erased data stays in the files longer");
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
    info!("autovacuum configured");
    Ok(())
}
