//! Notifications between replicas, by NOTIFY. Each only says "look", and deliberately carries no
//! data: a notification that is lost costs time and nothing else.

use sqlx::{PgConnection, query};

use crate::journal::postgres::connect::{self, STATEMENT_TIMEOUT};

/// The channel of all notifications. The statement that writes events (`write.rs`) names it too.
pub(super) const CHANNEL: &str = "facematch";

/// Payload: events were written, or matches erased. The statement that writes sends the same.
pub(super) const WRITTEN: &str = "";

/// Payload: a lease was taken or deleted.
pub(super) const LEASES: &str = "leases";

/// Payload: a replica released matches.
pub(super) const RELEASED: &str = "released";

/// Notifies all replicas that listen.
pub(super) async fn send(connection: &mut PgConnection, notice: &str) -> sqlx::Result<()> {
    let sending = query("SELECT pg_notify($1, $2)").bind(CHANNEL).bind(notice);
    connect::in_time(STATEMENT_TIMEOUT, sending.execute(connection)).await.map(drop)
}
