//! Enters matches that an older version wrote into the indexes that lists walk.

use std::sync::Arc;

use async_trait::async_trait;
use sqlx::query;

use crate::journal::{
    Error,
    sqlite::{
        operation::{Operation, Rows, Tx},
        parts::{Part, PartSize},
        statements,
    },
};

/// Enters matches, oldest first: at most `limit`, and at most as many as make one part.
pub(super) struct Enlist {
    pub limit: usize,
    pub parts: Arc<PartSize>,
}

#[async_trait]
impl Operation for Enlist {
    type Outcome = Part;

    async fn run(&self, _: Rows, tx: &mut Tx<'_>) -> Result<Part, Error> {
        let (most, began) = self.parts.begin();
        let limit = self.limit.min(most);
        let entered = query(statements::ENLIST)
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .execute(tx.connection())
            .await?;
        let done = usize::try_from(entered.rows_affected()).unwrap_or(usize::MAX);
        self.parts.end(done, began);
        Ok(Part { done, is_last: done < limit || limit == self.limit })
    }
}
