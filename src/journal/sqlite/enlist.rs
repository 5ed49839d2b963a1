//! Enters matches that an older version wrote into the indexes that lists walk.

use std::sync::Arc;

use crate::journal::{
    Error,
    sqlite::{
        operation::{Operation, Tx},
        parts::{Part, PartSize},
        statements,
    },
};

/// Enters matches, oldest first: at most `limit`, and at most as many as make one part.
pub(super) struct Enlist {
    pub limit: usize,
    pub parts: Arc<PartSize>,
}

impl Operation for Enlist {
    type Outcome = Part;

    fn run(&self, tx: &mut Tx<'_>) -> Result<Part, Error> {
        let (most, began) = self.parts.begin();
        let limit = self.limit.min(most);
        let done = tx.execute(statements::ENLIST, [i64::try_from(limit).unwrap_or(i64::MAX)])?;
        self.parts.end(done, began);
        Ok(Part { done, is_last: done < limit || limit == self.limit })
    }
}
