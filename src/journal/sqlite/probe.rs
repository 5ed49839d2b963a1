//! A write that leaves nothing behind. It shows whether the store takes writes while no other write
//! is made.
//!
//! It is as large as a batch of a busy service: a disk may have room for a page but not for a
//! match.

use async_trait::async_trait;
use sqlx::raw_sql;

use crate::journal::{
    Error,
    sqlite::operation::{Operation, Rows, Tx},
};

/// Writes 64 KiB into a table that no other connection ever sees. SQLite writes and syncs the pages
/// all the same, since a dropped table is overwritten (`secure_delete`).
const FILL: &str = "
    CREATE TABLE probe (filler BLOB) STRICT;
    INSERT INTO probe VALUES (zeroblob(65536));
    DROP TABLE probe;";

/// The operation that makes this write.
pub(super) struct Probe;

#[async_trait]
impl Operation for Probe {
    type Outcome = ();

    async fn run(&self, _rows: Rows, tx: &mut Tx<'_>) -> Result<(), Error> {
        raw_sql(FILL).execute(tx.connection()).await?;
        Ok(())
    }
}
