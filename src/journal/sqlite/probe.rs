//! A write that leaves nothing behind: whether the store takes any, while nothing else is written.
//!
//! It is as large as a batch of a busy service: a disk may have room for a page and not for a match.

use async_trait::async_trait;
use sqlx::raw_sql;

use crate::journal::{
    Error,
    sqlite::operation::{Operation, Rows, Tx},
};

/// Writes 64 KiB into a table that no other connection ever sees. SQLite writes the pages and syncs
/// them all the same, since what is dropped is overwritten (`secure_delete`).
const FILL: &str = "
    CREATE TABLE probe (filler BLOB) STRICT;
    INSERT INTO probe VALUES (zeroblob(65536));
    DROP TABLE probe;";

/// Asks for such a write.
pub(super) struct Probe;

#[async_trait]
impl Operation for Probe {
    type Outcome = ();

    async fn run(&self, _rows: Rows, tx: &mut Tx<'_>) -> Result<(), Error> {
        raw_sql(FILL).execute(tx.connection()).await?;
        Ok(())
    }
}
