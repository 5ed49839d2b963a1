//! What a command of the writer is made of, so that it can be repeated.
//!
//! It deliberately decides no repeat: `command.rs` does.

use async_trait::async_trait;
use sqlx::PgConnection;

use crate::journal::Error;

/// A command's statement or two, each safe to repeat.
#[async_trait]
pub(super) trait Statement: Send + Sync {
    /// The reply to the command.
    type Output: Send;

    /// Whether it claims matches. If its answer is lost, this replica holds matches that none of
    /// its drivers knows of.
    const CLAIMS: bool = false;

    /// Runs it once. `again`: an earlier run, whose answer was lost, may have taken effect.
    async fn run(&self, connection: &mut PgConnection, again: bool) -> Result<Self::Output, Error>;
}
