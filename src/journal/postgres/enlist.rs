//! Enters matches that replicas of an older version wrote into the indexes that lists walk.

use async_trait::async_trait;
use sqlx::{PgConnection, query};

use crate::journal::{
    Error,
    postgres::{rows, statement::Statement},
};

/// Enters up to `limit` matches, oldest first.
pub(super) struct Enlist {
    pub limit: usize,
}

#[async_trait]
impl Statement for Enlist {
    type Output = usize;

    async fn run(&self, connection: &mut PgConnection, _again: bool) -> Result<usize, Error> {
        // Rows that other statements have locked are left to the next call. A row without a match
        // can't exist; but if it did, without the empty tenant it would be found again and again.
        const ENLIST: &str = "
            UPDATE match_states AS s SET
                caller = coalesce((SELECT m.caller FROM matches AS m
                                   WHERE m.match_id = s.match_id), ''),
                end_state = CASE WHEN s.end_time IS NOT NULL THEN s.state END
            FROM (SELECT match_id FROM match_states
                  WHERE caller IS NULL OR end_time IS NOT NULL AND end_state IS NULL
                  ORDER BY match_id, caller LIMIT $1 FOR UPDATE SKIP LOCKED) AS u
            WHERE s.match_id = ANY (ARRAY[u.match_id])";
        let entered = query(ENLIST).bind(rows::limit(self.limit)).execute(connection).await?;
        Ok(usize::try_from(entered.rows_affected()).unwrap_or(usize::MAX))
    }
}
