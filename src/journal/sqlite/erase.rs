//! Erases matches: a match's row, and by cascade all rows that belong to the match.
//!
//! Deleted bytes are overwritten (`secure_delete`), and the writer empties the WAL before it
//! answers. If a reader blocks that for longer than a caller can wait (see `emptying`), the WAL is
//! emptied soon after that reader is done. One thing this can't promise: when SQLite rebuilds a
//! page, it doesn't overwrite the space that live rows move out of. A row that is erased later may
//! have left a copy there, until that space is used again. The schema keeps this rare (see
//! `1.sql`); only a `VACUUM` of the whole file rules it out.

use std::sync::Arc;

use crate::{
    domain::{MatchId, TenantId},
    journal::{
        Erased, Error,
        sqlite::{
            operation::{Operation, Tx},
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

impl Operation for EraseOne {
    type Outcome = Erased;

    fn run(&self, tx: &mut Tx<'_>) -> Result<Erased, Error> {
        let id = blob(self.match_id.as_uuid());
        let has_not_ended =
            tx.optional(statements::HAS_NOT_ENDED, (id, self.tenant.as_str()), |row| row.get(0))?;
        match has_not_ended {
            None => Ok(Erased::Absent),
            Some(true) => Ok(Erased::Running),
            Some(false) => {
                tx.execute(statements::ERASE, [id])?;
                Ok(Erased::Done)
            }
        }
    }

    fn erases(&self) -> bool {
        true
    }

    fn has_erased(outcome: &Erased) -> bool {
        matches!(outcome, Erased::Done)
    }
}

impl Operation for EraseExpired {
    type Outcome = Part;

    fn run(&self, tx: &mut Tx<'_>) -> Result<Part, Error> {
        let (most, began) = self.parts.begin();
        let limit = self.limit.min(most);
        let due = [tx.now.as_micros(), i64::try_from(limit).unwrap_or(i64::MAX)];
        // Both statements select the same matches: nothing changes between them.
        tx.execute(statements::RAISE_FLOOR, due)?;
        let done = tx.execute(statements::ERASE_EXPIRED, due)?;
        self.parts.end(done, began);
        let is_last = done < limit || limit == self.limit;
        Ok(Part { done, is_last })
    }

    fn has_erased(outcome: &Part) -> bool {
        outcome.done > 0
    }

    fn is_continued(outcome: &Part) -> bool {
        !outcome.is_last
    }
}
