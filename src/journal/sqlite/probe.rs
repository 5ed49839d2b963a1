//! A write that changes nothing: whether the store takes any, while nothing else is written.

use async_trait::async_trait;
use sqlx::query;

use crate::journal::{
    Error,
    sqlite::operation::{Operation, Rows, Tx},
};

/// Writes a row as it is. SQLite writes its page all the same, and syncs it.
pub(super) struct Probe;

#[async_trait]
impl Operation for Probe {
    type Outcome = ();

    async fn run(&self, _rows: Rows, tx: &mut Tx<'_>) -> Result<(), Error> {
        query("UPDATE store SET floor = floor").execute(&mut *tx.connection).await?;
        Ok(())
    }
}
