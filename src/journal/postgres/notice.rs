//! What replicas tell each other: always to look, never what is to be seen. A notice that is lost
//! costs time and nothing else.

use sqlx::{PgConnection, query};

use crate::journal::postgres::connect::{self, STATEMENT_TIMEOUT};

/// Where notices are sent. The statement that writes events names it as well.
pub(super) const CHANNEL: &str = "facematch";

/// Something was written or erased. What `write.sql` sends.
pub(super) const WRITTEN: &str = "";

/// A replica came or went.
pub(super) const LEASES: &str = "leases";

/// A replica let go of matches.
pub(super) const RELEASED: &str = "released";

/// Tells the others.
pub(super) async fn send(connection: &mut PgConnection, notice: &str) -> sqlx::Result<()> {
    let sending = query("SELECT pg_notify($1, $2)").bind(CHANNEL).bind(notice);
    connect::in_time(STATEMENT_TIMEOUT, sending.execute(connection)).await.map(drop)
}
