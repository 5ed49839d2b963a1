//! Entering what an older version wrote into the indexes that lists walk.

use async_trait::async_trait;
use sqlx::query;

use crate::journal::{
    Error,
    sqlite::operation::{Operation, Rows, Tx},
};

/// Enters some matches, oldest first.
pub(super) struct Enlist {
    pub limit: usize,
}

#[async_trait]
impl Operation for Enlist {
    type Outcome = usize;

    async fn run(&self, _: Rows, tx: &mut Tx<'_>) -> Result<usize, Error> {
        // A row without a match can't be; it would come again and again.
        const ENLIST: &str = "
            UPDATE match_states SET
                caller = coalesce((SELECT m.caller FROM matches AS m
                                   WHERE m.match_id = match_states.match_id), ''),
                end_state = CASE WHEN end_time IS NOT NULL THEN state END
            WHERE match_id IN (
                SELECT match_id FROM match_states
                WHERE caller IS NULL OR end_time IS NOT NULL AND end_state IS NULL
                ORDER BY match_id LIMIT $1)";
        let entered = query(ENLIST)
            .bind(i64::try_from(self.limit).unwrap_or(i64::MAX))
            .execute(&mut *tx.connection)
            .await?;
        Ok(usize::try_from(entered.rows_affected()).unwrap_or(usize::MAX))
    }
}
