//! Erases matches: a match's row, and by cascade all rows that belong to the match.
//!
//! Deleted bytes are overwritten (`secure_delete`), and the writer empties the WAL before it
//! answers. If a reader blocks that for longer than a caller can wait (see `emptying`), the WAL is
//! emptied soon after that reader is done. One thing this can't promise: when SQLite rebuilds a
//! page, it doesn't overwrite the space that live rows move out of. A row that is erased later may
//! have left a copy there, until that space is used again. The schema keeps this rare (see
//! `1.sql`); only a `VACUUM` of the whole file rules it out.

use std::sync::Arc;

use async_trait::async_trait;
use sqlx::{Row, query};

use crate::{
    domain::{MatchId, TenantId},
    journal::{
        Erased, Error,
        sqlite::{
            operation::{Operation, Rows, Tx},
            parts::{Part, PartSize},
            rows::blob,
            statements,
        },
    },
};

/// Erases one match of a tenant, if the match has ended.
pub(super) struct EraseOne {
    pub tenant: TenantId,
    pub match_id: MatchId,
}

/// Erases matches whose retention has ended: at most `limit`, and at most as many as make one part.
pub(super) struct EraseExpired {
    pub limit: usize,
    pub parts: Arc<PartSize>,
}

#[async_trait]
impl Operation for EraseOne {
    type Outcome = Erased;

    async fn run(&self, _: Rows, tx: &mut Tx<'_>) -> Result<Erased, Error> {
        let id = blob(self.match_id.as_uuid());
        let found = query(statements::HAS_NOT_ENDED)
            .bind(id)
            .bind(self.tenant.as_str())
            .fetch_optional(tx.connection())
            .await?;
        let Some(row) = found else {
            return Ok(Erased::Absent);
        };
        if row.try_get::<bool, _>(0)? {
            return Ok(Erased::Running);
        }
        let erasing = query(statements::ERASE).bind(id);
        erasing.execute(tx.connection()).await?;
        Ok(Erased::Done)
    }

    fn erases(&self) -> bool {
        true
    }

    fn has_erased(outcome: &Erased) -> bool {
        matches!(outcome, Erased::Done)
    }
}

#[async_trait]
impl Operation for EraseExpired {
    type Outcome = Part;

    async fn run(&self, _: Rows, tx: &mut Tx<'_>) -> Result<Part, Error> {
        let (most, began) = self.parts.begin();
        let limit = self.limit.min(most);
        let erased = query(statements::ERASE_EXPIRED)
            .bind(tx.now.as_micros())
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(tx.connection())
            .await?;
        self.parts.end(erased.len(), began);
        let is_last = erased.len() < limit || limit == self.limit;
        Ok(Part { done: erased.len(), is_last })
    }

    fn has_erased(outcome: &Part) -> bool {
        outcome.done > 0
    }

    fn is_continued(outcome: &Part) -> bool {
        !outcome.is_last
    }
}
